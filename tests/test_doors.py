"""Each behaviour once, through every door: `generate`, `agenerate`, `Client`, `AsyncClient` and the magic."""

from __future__ import annotations

import asyncio
import shlex
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

import comet_magic as cm
from comet_magic.client import close_shared_client
from comet_magic.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from comet_magic.sandbox.server import Served
    from tests.faults.server import FaultServer

    Door = Callable[..., cm.Images]

pytestmark = pytest.mark.usefixtures("plain_pictures")

SMALL = {"model": "dall-e-2", "size": "256x256"}


def through_generate(sandbox: object) -> Door:
    return cm.generate


def through_agenerate(sandbox: object) -> Door:
    return lambda prompt, **options: asyncio.run(cm.agenerate(prompt, **options))


def through_client(sandbox: object) -> Door:
    def door(prompt: str, **options: Any) -> cm.Images:
        with cm.Client() as client:
            return client.generate(prompt, **options)

    return door


def through_async_client(sandbox: object) -> Door:
    async def door(prompt: str, **options: Any) -> cm.Images:
        async with cm.AsyncClient() as client:
            return await client.generate(prompt, **options)

    return lambda prompt, **options: asyncio.run(door(prompt, **options))


def through_magic(sandbox: object) -> Door:
    config = Config()
    config.HistoryManager.enabled = False
    shell = InteractiveShell.instance(config=config)
    shell.run_line_magic("load_ext", "comet_magic")

    def door(prompt: str, **options: Any) -> cm.Images:
        words = []
        for name, value in options.items():
            flag = "-n" if name == "n" else "--" + name.replace("_", "-")
            words.append(flag if value is True else f"{flag} {shlex.quote(str(value))}")
        images: cm.Images = shell.run_cell_magic(
            "cometimg", " ".join([*words, "--no-interpolate"]), prompt + "\n"
        )
        return images

    return door


DOORS = [through_generate, through_agenerate, through_client, through_async_client, through_magic]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture(params=DOORS, ids=lambda door: door.__name__.removeprefix("through_"))
def generate(
    request: pytest.FixtureRequest, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Door]:
    monkeypatch.setenv("COMETAPI_KEY", "sk-doors-0123456789abcdef")
    monkeypatch.setenv("COMETAPI_BASE_URL", sandbox.base_url)
    yield request.param(sandbox)
    close_shared_client()
    if request.param is through_magic:
        shell = InteractiveShell.instance()
        shell.run_line_magic("unload_ext", "comet_magic")
        shell.restore_sys_module_state()
        shell._atexit_once()
        InteractiveShell.clear_instance()


def posts(sandbox: Sandbox) -> list[Served]:
    return [entry for entry in sandbox.log if entry.method == "POST"]


def sent(sandbox: Sandbox) -> int:
    return len(posts(sandbox))


def test_a_prompt_becomes_a_picture_that_is_also_on_disk(generate: Door, tmp_path: Path) -> None:
    images = generate("a paper boat", **SMALL)
    assert images.image.size == (256, 256)
    assert [Path(path).read_bytes() for path in images.paths] == list(images.data)
    assert images.paths[0].startswith(str(tmp_path / "cometimg" / "images"))


def test_what_a_model_makes_one_by_one_is_asked_for_side_by_side(generate: Door, sandbox: Sandbox) -> None:
    images = generate("a boat", model="dall-e-3", size="1024x1024", n=2)
    assert len(set(images.data)) == 2
    assert sent(sandbox) == 2
    assert images.cost == 0.08


def test_a_stream_gives_the_same_kind_of_pictures(generate: Door, sandbox: Sandbox) -> None:
    images = generate("a boat", model="gpt-image-1-mini", quality="low", output_format="jpeg", stream=True)
    assert images.mime_types == ("image/jpeg",)
    assert images.usage["output_tokens"] > 0


def test_a_size_word_becomes_a_size_the_model_takes(generate: Door) -> None:
    images = generate(
        "a boat", model="gpt-image-1-mini", quality="low", size="portrait", output_format="jpeg"
    )
    assert images.image.size == (1024, 1536)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"model": "gpt-image-2", "size": "1920x1080"}, "1920x1088"),
        ({"model": "gpt-image-2", "quality": "ultra"}, "low, medium, high or auto"),
        ({"model": "gpt-imag-2"}, None),
        ({"model": "gpt-image-2", "background": "transparent", "output_format": "jpeg"}, "jpeg"),
        ({"model": "gpt-image-2", "output_compression": 50}, "output_compression"),
        ({"n": 0, **SMALL}, "n is 0"),
        ({"model": "gpt-image-2", "response_format": "url"}, "response_format"),
    ],
)
def test_what_breaks_a_rule_is_refused_with_the_way_out_and_nothing_is_sent(
    generate: Door, sandbox: Sandbox, options: dict[str, Any], said: str | None
) -> None:
    with pytest.raises((cm.InvalidRequestError, cm.NotFoundError)) as caught:
        generate("a boat", **options)
    if said is not None:
        assert said in f"{caught.value} {getattr(caught.value, 'hint', '')}"
        assert sent(sandbox) == 0


@pytest.mark.parametrize(
    "prompt",
    [
        "a cat's \"hat\" {name} {{x}} $5; 100% & <b> \\n ` ' end;",
        "纸船在平静的水面上漂浮",
        "🚀 emoji 👩‍🚀 and é",
        '{"a": [1, 2]}',
        "two\n\nlines\n",
        "%%time\n!ls\n?x",
        "é" * 1000,
    ],
)
def test_a_prompt_arrives_as_it_was_written(generate: Door, sandbox: Sandbox, prompt: str) -> None:
    generate(prompt, **SMALL)
    assert [entry.prompt.strip() for entry in posts(sandbox)] == [prompt.strip()]


def test_a_prompt_of_32000_characters_arrives_and_a_longer_one_is_refused(
    generate: Door, sandbox: Sandbox
) -> None:
    options = {"model": "gpt-image-1-mini", "quality": "low", "output_format": "jpeg"}
    generate("x" * 32_000, **options)
    assert len(sandbox.log[0].prompt) == 32_000
    with pytest.raises(cm.InvalidRequestError, match=r"32,?000"):
        generate("x" * 32_001, **options)


@pytest.mark.parametrize("prompt", ["", "  \n\t "])
def test_an_empty_prompt_is_refused(generate: Door, sandbox: Sandbox, prompt: str) -> None:
    with pytest.raises(cm.InvalidRequestError):
        generate(prompt, **SMALL)
    assert sent(sandbox) == 0


def test_a_limit_on_the_cost_is_kept_before_anything_is_sent(generate: Door, sandbox: Sandbox) -> None:
    with pytest.raises(cm.BudgetExceededError) as caught:
        generate("a boat", model="dall-e-3", size="1024x1024", n=2, max_cost=0.05)
    assert caught.value.outcome == "not_sent"
    assert sent(sandbox) == 0


def test_what_the_archive_holds_is_not_paid_for_again(generate: Door, sandbox: Sandbox) -> None:
    first = generate("a boat", n=2, **SMALL)
    again = generate("a boat", n=2, reuse=True, **SMALL)
    assert again.data == first.data
    assert again.cost == 0
    assert sent(sandbox) == 1


class TestFailures:
    """What a server may do to a call."""

    @pytest.fixture
    def sandbox(self, request: pytest.FixtureRequest) -> Iterator[Sandbox]:
        with Sandbox(fail=request.param) as running:
            yield running

    @pytest.mark.parametrize("sandbox", ["429:1"], indirect=True)
    def test_a_rate_limit_is_waited_out(self, generate: Door, sandbox: Sandbox) -> None:
        assert len(generate("a boat", **SMALL)) == 1
        assert [entry.charged for entry in posts(sandbox)] == [False, True]

    @pytest.mark.parametrize("sandbox", ["500", "504", "drop"], indirect=True)
    def test_what_may_be_billed_is_sent_once(self, generate: Door, sandbox: Sandbox) -> None:
        with pytest.raises(cm.AmbiguousError) as caught:
            generate("a boat", **SMALL)
        assert caught.value.outcome == "unknown"
        assert sent(sandbox) == 1

    @pytest.mark.parametrize("sandbox", ["moderation"], indirect=True)
    def test_a_refusal_is_final_and_has_the_servers_words(self, generate: Door, sandbox: Sandbox) -> None:
        with pytest.raises(cm.ContentPolicyError) as caught:
            generate("a boat", **SMALL)
        assert caught.value.request_id
        assert sent(sandbox) == 1


@pytest.mark.parametrize("door", DOORS[:4], ids=lambda door: door.__name__.removeprefix("through_"))
def test_fewer_pictures_than_requested_are_warned_of_in_the_callers_own_line(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch, door: Callable[..., Door]
) -> None:
    monkeypatch.setenv("COMETAPI_KEY", server.key)
    monkeypatch.setenv("COMETAPI_BASE_URL", server.base_url)
    monkeypatch.setenv("COMETIMG_ARCHIVE", "off")
    generate = door(server)
    try:
        with pytest.warns(UserWarning, match="2 pictures were requested; the answer held 1") as warned:
            generate(f"F:data-fewer #{door.__name__}", n=2)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            generate(f"F:data-fewer #{door.__name__}", n=1)
    finally:
        close_shared_client()
    assert [each.filename for each in warned] == [__file__]
