"""The sandbox's edits, as the official `openai` package uses them, and as the vendor refuses."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from PIL import Image

from comet_magic.sandbox import start_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from comet_magic.sandbox import Sandbox

openai = pytest.importorskip(
    "openai", reason="the openai package is not installed: pip install comet-magic[openai]"
)
pytestmark = pytest.mark.judge


def file_of(image: Image.Image, kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


WHITE = file_of(Image.new("RGB", (256, 256), "white"))
RED = file_of(Image.new("RGB", (64, 64), "red"), "JPEG")


def mask(size: tuple[int, int] = (256, 256), mode: str = "RGBA") -> bytes:
    image = Image.new("RGBA", size, (0, 0, 0, 255))
    image.paste((0, 0, 0, 0), (0, 0, size[0], 100))
    return file_of(image.convert(mode))


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with start_sandbox() as running:
        yield running


@pytest.fixture(scope="module")
def client(sandbox: Sandbox) -> Iterator[Any]:
    with openai.OpenAI(base_url=sandbox.base_url, api_key="sandbox", max_retries=0, timeout=60) as client:
        yield client


def picture(item: Any) -> Image.Image:
    image = Image.open(io.BytesIO(base64.b64decode(item.b64_json)))
    image.load()
    return image


ONE = ("a.png", WHITE, "image/png")
ASKED = {"model": "gpt-image-2", "prompt": "make it night", "quality": "low", "size": "1024x1024"}


def test_openai_edits_one_picture(client: Any) -> None:
    answer = client.images.edit(image=ONE, **ASKED)

    night = picture(answer.data[0])
    assert night.size == (1024, 1024)
    assert night.getpixel((5, 5))[0] < 128
    assert answer.usage.input_tokens_details.image_tokens == 256
    assert (answer.size, answer.quality, answer.output_format) == ("1024x1024", "low", "png")


def test_openai_edits_several_pictures_twice(client: Any) -> None:
    answer = client.images.edit(image=[ONE, ("b.jpg", RED, "image/jpeg")], n=2, **ASKED)

    assert len({item.b64_json for item in answer.data}) == 2
    assert answer.usage.input_tokens_details.image_tokens == 2 * (256 + 16)


def test_openai_changes_only_what_is_inside_the_mask(client: Any) -> None:
    answer = client.images.edit(image=ONE, mask=("m.png", mask(), "image/png"), **ASKED)

    image = picture(answer.data[0])
    assert image.getpixel((500, 5))[0] < 128
    assert image.getpixel((500, 900)) == (255, 255, 255)


def test_openai_streams_an_edit(client: Any) -> None:
    events = list(client.images.edit(image=ONE, stream=True, partial_images=2, **ASKED))

    assert [event.type for event in events] == [
        "image_edit.partial_image",
        "image_edit.partial_image",
        "image_edit.completed",
    ]
    assert events[-1].usage.input_tokens_details.image_tokens == 256
    assert {picture(event).size for event in events} == {(1024, 1024)}


def test_an_edit_in_json_is_taken_too(sandbox: Sandbox) -> None:
    address = f"data:image/png;base64,{base64.b64encode(WHITE).decode()}"
    body = {**ASKED, "images": [{"image_url": address}]}

    answer = httpx.post(
        f"{sandbox.base_url}/images/edits",
        json=body,
        headers={"Authorization": "Bearer sandbox"},
        trust_env=False,
        timeout=60,
    )

    assert answer.status_code == 200
    assert answer.json()["usage"]["input_tokens_details"]["image_tokens"] == 256


def test_a_gateway_that_ignores_masks_is_simulated() -> None:
    with start_sandbox(fail="ignored-mask:1") as sandbox:
        with openai.OpenAI(base_url=sandbox.base_url, api_key="sandbox", max_retries=0) as client:
            ignored, kept = (
                picture(client.images.edit(image=ONE, mask=("m.png", mask(), "image/png"), **ASKED).data[0])
                for _ in range(2)
            )

    assert ignored.getpixel((500, 900)) != (255, 255, 255)
    assert kept.getpixel((500, 900)) == (255, 255, 255)


PALETTE = file_of(Image.new("P", (64, 64)))
DEEP = file_of(Image.new("I;16", (64, 64)))
REFUSED: dict[str, tuple[dict[str, Any], str, str | None]] = {
    "bytes without a type": ({"image": WHITE}, "unsupported_file_mimetype", "image"),
    "a type that is not supported": (
        {"image": ("a.gif", WHITE, "image/gif")},
        "unsupported_file_mimetype",
        "image",
    ),
    "a broken file": ({"image": ("a.png", b"no picture", "image/png")}, "invalid_image_file", "image"),
    "a palette": ({"image": ("a.png", PALETTE, "image/png")}, "invalid_image_file", "image"),
    "sixteen bits": ({"image": ("a.png", DEEP, "image/png")}, "invalid_image_file", "image"),
    "seventeen pictures": ({"image": [ONE] * 17}, "array_above_max_length", "image"),
    "a mask without alpha": (
        {"mask": ("m.png", mask(mode="RGB"), "image/png")},
        "invalid_mask_image_format",
        "mask",
    ),
    "a mask of another size": (
        {"mask": ("m.png", mask((90, 256)), "image/png")},
        "invalid_mask_image_size",
        "mask",
    ),
    "a model that does not edit": ({"model": "dall-e-3", "size": "1024x1024"}, "invalid_value", "model"),
    "fidelity where it is fixed": ({"input_fidelity": "high"}, "unknown_parameter", "input_fidelity"),
    "a size that is none": ({"size": "1000x1000"}, "invalid_value", "size"),
    "several in a stream": ({"stream": True, "n": 2}, "invalid_value", "n"),
    "a style": ({"extra_body": {"style": "vivid"}}, "unknown_parameter", "style"),
}


@pytest.mark.parametrize(("wrong", "code", "param"), REFUSED.values(), ids=REFUSED)
def test_openai_is_refused_as_the_vendor_refuses(
    client: Any, wrong: dict[str, Any], code: str, param: str | None
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.edit(**{"image": ONE, **ASKED, **wrong})

    assert (caught.value.code, caught.value.param) == (code, param)


def post(sandbox: Sandbox, files: list[tuple[str, Any]], data: dict[str, str]) -> httpx.Response:
    return httpx.post(
        f"{sandbox.base_url}/images/edits",
        files=files,
        data=data,
        headers={"Authorization": "Bearer sandbox"},
        trust_env=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("files", "data", "code"),
    [
        ([("image", ONE), ("image", ONE)], {}, "duplicate_parameter"),
        ([("mask", ("m.png", mask(), "image/png"))], {"image[]": "a text"}, "invalid_type"),
        ([("mask", ("m.png", mask(), "image/png"))], {}, "missing_required_parameter"),
    ],
)
def test_a_form_that_the_official_client_would_not_send_is_refused(
    sandbox: Sandbox, files: list[tuple[str, Any]], data: dict[str, str], code: str
) -> None:
    answer = post(sandbox, files, {**ASKED, **data})

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)


def test_markup_is_taken_by_the_models_that_have_it(sandbox: Sandbox) -> None:
    scribble = Image.new("RGBA", (256, 256), (0, 0, 0, 0))
    scribble.paste((255, 0, 0, 255), (10, 10, 40, 40))
    files = [("image", ONE), ("markup", ("markup.png", file_of(scribble), "image/png"))]

    taken = post(sandbox, files, {**ASKED, "model": "gpt-image-2.5-flare"})
    refused = post(sandbox, files, ASKED)
    both = post(
        sandbox, [*files, ("mask", ("m.png", mask(), "image/png"))], {**ASKED, "model": "gpt-image-2.5-flare"}
    )

    assert (taken.status_code, refused.status_code) == (200, 400)
    assert both.json()["error"]["code"] == "mutually_exclusive"


@pytest.mark.parametrize("body", [b"", b"no form", b"--x\r\n"])
def test_what_is_no_form_is_refused(sandbox: Sandbox, body: bytes) -> None:
    answer = httpx.post(
        f"{sandbox.base_url}/images/edits",
        content=body,
        headers={"Authorization": "Bearer sandbox", "Content-Type": "multipart/form-data; boundary=x"},
        trust_env=False,
    )

    assert answer.status_code == 400
