"""The official `openai` package, which knows nothing of us, uses the sandbox as if it were the vendor."""

import base64
import io
from dataclasses import dataclass

import httpx
import pytest
from PIL import Image

from comet_magic.catalog import MODELS
from comet_magic.sandbox import start_sandbox

pytestmark = pytest.mark.judge
openai = pytest.importorskip(
    "openai", reason="the openai package is not installed: pip install comet-magic[openai]"
)


@dataclass(frozen=True)
class Facts:
    """What the vendors' pages say of a model, written down here apart from the catalog."""

    size: str
    asked: dict
    mode: str = "RGB"
    format: str = "PNG"
    refused: tuple = ()
    streams: bool = False


# https://developers.openai.com/api/reference/resources/images/methods/generate
GPT_ASKED = {"background": "transparent", "output_format": "webp", "quality": "low", "moderation": "low"}
NO_ANSWER_FORM = ({"response_format": "b64_json"}, "unknown_parameter")
NO_STREAM = ({"stream": True}, "unknown_parameter")
NO_QUALITY = ({"quality": "high"}, "unknown_parameter")
WRONG_SIZE = ({"size": "1000x1000"}, "invalid_value")
WRONG_QUALITY = ({"quality": "ultra"}, "invalid_value")
NO_HIGHER_QUALITY = ({"quality": "xhigh"}, "invalid_value")
ONLY_ONE = ({"n": 2}, "invalid_value")
GPT_REFUSED = (
    NO_ANSWER_FORM,
    WRONG_SIZE,
    WRONG_QUALITY,
    ({"n": 11}, "invalid_value"),
    ({"background": "transparent", "output_format": "jpeg"}, "invalid_value"),
    ({"style": "vivid"}, "unknown_parameter"),
    ({"output_compression": 101, "output_format": "jpeg"}, "invalid_value"),
)


def gpt(size, *refused):
    return Facts(size, GPT_ASKED, "RGBA", "WEBP", (*GPT_REFUSED, *refused), streams=True)


def seedream(size):
    asked = {"response_format": "url", "extra_body": {"watermark": False}}
    return Facts(
        size, asked, format="JPEG", refused=(({"size": "100x100"}, "invalid_value"), NO_QUALITY, NO_STREAM)
    )


DALL_E_REFUSED = (WRONG_SIZE, WRONG_QUALITY, NO_STREAM, ({"background": "opaque"}, "unknown_parameter"))
FACTS = {
    "gpt-image-2.6-flare": gpt("1024x640"),
    "gpt-image-2.6-sunburst": gpt("1024x640"),
    "gpt-image-2.5-flare": gpt("640x1024"),
    "gpt-image-2.5-sunburst": gpt("1456x496"),
    "gpt-image-2": gpt("1024x640", NO_HIGHER_QUALITY, ({"size": "4096x4096"}, "invalid_value")),
    "gpt-image-1.5": gpt("1024x1024", NO_HIGHER_QUALITY, ({"size": "1024x640"}, "invalid_value")),
    "gpt-image-1-mini": gpt("1024x1536", NO_HIGHER_QUALITY),
    "gpt-image-1": gpt("1536x1024", NO_HIGHER_QUALITY),
    "chatgpt-image-latest": gpt("1024x1024", NO_HIGHER_QUALITY),
    "dall-e-3": Facts(
        "1024x1024",
        {"response_format": "b64_json", "quality": "hd", "style": "natural"},
        refused=(*DALL_E_REFUSED, ONLY_ONE),
    ),
    "dall-e-2": Facts(
        "256x256", {"response_format": "url"}, refused=(*DALL_E_REFUSED, ({"n": 11}, "invalid_value"))
    ),
    "qwen-image": Facts(
        "1328x1328", {"output_format": "jpeg"}, format="JPEG", refused=(ONLY_ONE, WRONG_SIZE, NO_STREAM)
    ),
    "doubao-seedream-5-0-260128": seedream("2048x2048"),
    "doubao-seedream-4-5-251128": seedream("2560x1440"),
    "bytedance-seedream-4-0-250828": seedream("1280x720"),
}
STREAMING = [model for model, facts in FACTS.items() if facts.streams]


@pytest.fixture
def sandbox():
    with start_sandbox() as running:
        yield running


@pytest.fixture
def client(sandbox):
    with openai.OpenAI(base_url=sandbox.base_url, api_key="sandbox", max_retries=0, timeout=60) as client:
        yield client


def picture(item):
    if item.b64_json:
        data = base64.b64decode(item.b64_json)
    else:
        data = httpx.get(item.url, timeout=60, trust_env=False).raise_for_status().content
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def size_of(image):
    return f"{image.width}x{image.height}"


def test_every_model_of_the_table_is_tried():
    assert list(FACTS) == [model.id for model in MODELS if not model.needs_input]


@pytest.mark.parametrize("model", FACTS)
def test_openai_generates(client, model):
    facts = FACTS[model]

    answer = client.images.generate(model=model, prompt="一只纸船 at sunrise", size=facts.size, **facts.asked)

    image = picture(answer.data[0])
    assert (size_of(image), image.mode, image.format) == (facts.size, facts.mode, facts.format)
    if facts.mode == "RGBA":
        assert image.getextrema()[3][0] == 0


@pytest.mark.parametrize("model", STREAMING)
def test_openai_streams(client, model):
    stream = client.images.generate(
        model=model,
        prompt="a boat",
        size=FACTS[model].size,
        output_format="jpeg",
        stream=True,
        partial_images=1,
    )

    events = list(stream)
    assert [event.type.rpartition(".")[2] for event in events] == [
        "partial_image",
        "completed",
    ]
    assert {size_of(picture(event)) for event in events} == {FACTS[model].size}
    assert events[-1].usage.total_tokens > 200


REFUSALS = [
    pytest.param(model, wrong, code, id=f"{model}-{next(iter(wrong))}")
    for model, facts in FACTS.items()
    for wrong, code in facts.refused
]


@pytest.mark.parametrize(("model", "wrong", "code"), REFUSALS)
def test_openai_is_refused(client, model, wrong, code):
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.generate(model=model, prompt="a boat", **wrong)

    assert (caught.value.param, caught.value.code) == (next(iter(wrong)), code)
    assert caught.value.request_id


@pytest.mark.parametrize("model", STREAMING)
def test_openai_may_not_stream_several(client, model):
    with pytest.raises(openai.BadRequestError, match="Streaming is only supported with n=1") as caught:
        client.images.generate(model=model, prompt="a boat", stream=True, n=2)

    assert caught.value.type == "invalid_request_error"


def test_openai_waits_out_a_rate_limit():
    with start_sandbox(fail="429:1") as sandbox:
        with openai.OpenAI(base_url=sandbox.base_url, api_key="sandbox", max_retries=1) as client:
            client.images.generate(model="dall-e-2", prompt="a boat")
        assert [entry.status for entry in sandbox.log] == [429, 200]


def test_openai_lists_the_models(client):
    assert [model.id for model in client.models.list()] == [model.id for model in MODELS]


def test_openai_sees_who_has_no_key(sandbox):
    with (
        openai.OpenAI(
            base_url=sandbox.base_url, api_key="x", default_headers={"authorization": "Basic x"}
        ) as client,
        pytest.raises(openai.AuthenticationError) as caught,
    ):
        client.images.generate(model="dall-e-2", prompt="a boat")
    assert caught.value.code == "invalid_api_key"
