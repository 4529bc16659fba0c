"""Recipes: from a request into a picture's file and back, and what a stranger's file cannot do."""

from __future__ import annotations

import io
import json
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

import comet_magic as cm
from comet_magic.catalog import MODELS
from comet_magic.errors import InvalidRequestError
from comet_magic.formats import embed_metadata, embedded_texts
from comet_magic.images import Images, Picture, prepare_inputs
from comet_magic.request import requests_of

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("plain_pictures")

LOW = {"quality": "low", "size": "1024x1024"}
KINDS = {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WEBP"}


def file_of(kind: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 64), "navy").save(out, kind, **options)
    return out.getvalue()


FILES = {mime: file_of(kind) for mime, kind in KINDS.items()}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[cm.sandbox.Sandbox]:
    with cm.start_sandbox() as running:
        yield running


@pytest.fixture
def client(sandbox: Any, tmp_path: Path) -> Iterator[cm.Client]:
    with cm.Client(base_url=sandbox.base_url, api_key="sandbox", archive=tmp_path / "archive") as client:
        yield client


def key_of(recipe: dict[str, Any]) -> str:
    """The key of the request that `generate(**recipe)` sends."""
    options = {name: value for name, value in recipe.items() if name != "prompt"}
    return requests_of(recipe["prompt"], options, prepare_inputs(options))[0].key("sandbox")


# --- there and back

TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc"]).filter(lambda each: each not in "~./\\:"), min_size=1
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
OPTIONS = st.fixed_dictionaries(
    {"model": st.sampled_from([model.id for model in MODELS if not model.needs_input])},
    optional={
        "size": st.sampled_from(["16:9", "square", "1024x1024", "1536x1024", "256x256", "2048x2048"]),
        "quality": st.sampled_from(["low", "high", "standard"]),
        "style": st.just("vivid"),
        "background": st.just("opaque"),
        "output_format": st.sampled_from(["png", "jpeg"]),
        "moderation": st.just("low"),
        "user": TEXT,
        "extra": st.dictionaries(TEXT, VALUES, max_size=3),
    },
)


@settings(
    max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much]
)
@given(TEXT, OPTIONS, st.sampled_from(list(KINDS)))
def test_a_request_comes_back_from_the_file_of_its_picture_with_the_same_key(
    tmp_path: Path, prompt: str, options: dict[str, Any], mime: str
) -> None:
    try:
        (request,) = requests_of(prompt, options)
    except InvalidRequestError:
        reject()
    picture = Picture(FILES[mime], mime, 64, 64)
    images = Images([picture], prompt=prompt, model=request.model, request=request)
    (path,) = images.save(f"{tmp_path}/")

    recipe = cm.recipe(path)
    path.unlink()

    assert recipe.notices == ()
    assert key_of(recipe) == request.key("sandbox")
    assert recipe.get("size") in (options.get("size"), request.size)


@pytest.mark.full
@settings(
    max_examples=500, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much]
)
@given(TEXT, OPTIONS, st.sampled_from(list(KINDS)))
def test_five_hundred_requests_come_back(
    tmp_path: Path, prompt: str, options: dict[str, Any], mime: str
) -> None:
    test_a_request_comes_back_from_the_file_of_its_picture_with_the_same_key.hypothesis.inner_test(  # type: ignore[attr-defined]
        tmp_path, prompt, options, mime
    )


def test_an_edit_comes_back_from_its_file_in_the_archive_and_from_a_saved_one(
    client: cm.Client, tmp_path: Path
) -> None:
    boat = client.generate("a paper boat", **LOW)
    clear = Image.new("RGBA", (1024, 1024), (200, 10, 10, 90))  # what is sent of it is flattened
    night = client.generate("make it night", image=[clear, boat], mask=(9, 9, 400, 400), **LOW)
    before = Path(str(night.paths[0])).read_bytes()
    (saved,) = night.save(tmp_path / "night.png")
    (plain,) = night.save(tmp_path / "plain.png", metadata=False)
    calls = len(client.archive.history())

    with Image.open(saved) as opened:
        for picture in (night.paths[0], saved, plain, saved.read_bytes(), night, night[0], opened):
            recipe = cm.recipe(picture, archive=tmp_path / "archive")
            again = client.generate(**recipe, reuse=True)
            assert (again.data, again.cost) == (night.data, 0)

    assert night.parents
    assert tuple(cm.read_metadata(saved)["parents"]) == night.parents
    assert Path(str(night.paths[0])).read_bytes() == before
    assert len(client.archive.history()) == calls


def test_an_input_that_is_gone_is_named_and_nothing_is_sent(client: cm.Client, tmp_path: Path) -> None:
    night = client.generate("a paper boat", **LOW).edit("make it night", **LOW)
    (saved,) = night.save(tmp_path / "night.png")
    calls = len(client.archive.history())
    for path in (tmp_path / "archive" / "inputs").rglob("*.png"):
        path.unlink()

    for given_as in (saved, night.paths[0], night):
        with pytest.raises(InvalidRequestError, match=r"the input picture inputs/.* is gone"):
            cm.recipe(given_as, archive=tmp_path / "archive")
    assert len(client.archive.history()) == calls


# --- a stranger's file


def strange(**facts: Any) -> bytes:
    return embed_metadata(FILES["image/png"], "image/png", {"prompt": "a boat", **facts})


def test_paths_addresses_keys_and_limits_of_a_file_are_left_out_with_one_line(tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(FILES["image/png"])
    key = "sk-" + "abcDEF0123456789" * 2
    request = {
        "quality": "low",
        "image": str(secret),
        "mask": [0, 0, 9, 9],
        "max_cost": 1e9,
        "timeout": 1,
        "base_url": "https://evil.example/v1",
        "api_key": key,
        "user": key,
        "n": 100,
        "prompt": "other",
        "extra": {
            "seed": 5,
            "webhook": "https://evil.example",
            "file": "/etc/passwd",
            "token": key,
            "image": ["data:image/png;base64,AA"],
        },
    }

    recipe = cm.recipe(strange(request=request, path=str(secret), model="gpt-image-2"))

    assert recipe == {"prompt": "a boat", "model": "gpt-image-2", "quality": "low", "extra": {"seed": 5}}
    (line,) = recipe.notices
    assert "left out" in line
    assert key not in line


@pytest.mark.parametrize(
    "inputs",
    [
        [{"role": "image", "sha256": "../../../../etc/passwd", "mime": "image/png", "width": 9, "height": 9}],
        [{"role": "image", "path": "/etc/passwd"}],
        "/etc/passwd",
        [None],
        [{"role": "image", "sha256": "0" * 64, "mime": "image/png", "width": 9, "height": 9}] * 99,
    ],
)
def test_inputs_that_are_not_named_by_their_hash_are_left_out(inputs: Any) -> None:
    recipe = cm.recipe(strange(inputs=inputs))

    assert recipe == {"prompt": "a boat"}
    assert "inputs" in recipe.notices[0]


def test_an_input_of_a_file_is_looked_up_by_its_hash_only(tmp_path: Path) -> None:
    facts = {"role": "image", "sha256": "0" * 64, "mime": "image/png", "width": 9, "height": 9}

    with pytest.raises(InvalidRequestError, match="inputs/00/0000"):
        cm.recipe(strange(inputs=[facts]), archive=tmp_path)


@pytest.mark.parametrize("prompt", ["", None, 5, ["a"], "x" * 200_000])
def test_a_file_without_a_prompt_that_can_be_used_says_nothing(prompt: Any) -> None:
    with pytest.raises(InvalidRequestError, match="does not say how it was made"):
        cm.recipe(strange(prompt=prompt))


def test_a_prompt_with_a_key_is_not_used() -> None:
    with pytest.raises(InvalidRequestError, match="looks like an API key"):
        cm.recipe(strange(prompt="a boat sk-" + "abcDEF0123456789" * 2))


@pytest.mark.parametrize(
    "picture", ["missing.png", "", 5, None, b"", [], "\0", bytearray(b"\0"), {"a": 1}, np.eye(9)]
)
def test_what_is_no_picture_is_refused_in_a_sentence(picture: Any) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        cm.recipe(picture)
    assert "expected str, bytes" not in str(caught.value)


def test_several_pictures_of_one_call_have_its_recipe_and_those_of_two_calls_have_none(
    client: cm.Client,
) -> None:
    boats = client.generate("a boat", model="dall-e-2", size="256x256", n=2)
    fox = client.generate("a fox", model="dall-e-2", size="256x256")

    several = cm.recipe(boats)

    assert (
        several == cm.recipe(boats[1]) == {"prompt": "a boat", "model": "dall-e-2", "size": "256x256", "n": 2}
    )
    for mixed in ([*boats, *fox], [boats[0], Image.new("L", (9, 9))]):
        with pytest.raises(InvalidRequestError):
            cm.recipe(mixed)


@pytest.mark.parametrize("form", [bytes, bytearray, memoryview])
def test_the_bytes_of_a_file_may_be_of_any_kind(client: cm.Client, form: Any, tmp_path: Path) -> None:
    boat = client.generate("a boat", model="dall-e-2", size="256x256")

    assert cm.recipe(form(boat.save(tmp_path / "boat.png")[0].read_bytes()))["prompt"] == "a boat"


# --- files of other programs

WEBUI = "a boat, (calm sea:1.2)\nsecond line\nNegative prompt: ugly\nSteps: 20, Sampler: Euler, Size: 512x512"


def png_with(**texts: str) -> bytes:
    info = PngImagePlugin.PngInfo()
    for name, text in texts.items():
        info.add_text(
            name.replace("_metadata", "_metadata").replace("sd_", "sd-"), text, zip=len(text) > 1000
        )
    return file_of(pnginfo=info)


def webui_jpeg(kind: str, order: str) -> bytes:
    exif = Image.Exif()
    coded = WEBUI.encode("utf-16-be" if order == "big" else "utf-16-le")
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + coded
    return file_of(kind, exif=exif)


@pytest.mark.parametrize(
    ("data", "prompt"),
    [
        (png_with(parameters=WEBUI), "a boat, (calm sea:1.2)\nsecond line"),
        (png_with(parameters="a boat\nSteps: 20, Sampler: Euler"), "a boat"),
        (png_with(parameters=WEBUI + "x" * 2000), "a boat, (calm sea:1.2)\nsecond line"),
        (png_with(invokeai_metadata=json.dumps({"positive_prompt": "a boat", "seed": 1})), "a boat"),
        (
            png_with(sd_metadata=json.dumps({"image": {"prompt": [{"prompt": "a boat", "weight": 1}]}})),
            "a boat",
        ),
        (webui_jpeg("JPEG", "big"), "a boat, (calm sea:1.2)\nsecond line"),
        (webui_jpeg("WEBP", "little"), "a boat, (calm sea:1.2)\nsecond line"),
    ],
)
def test_the_prompt_of_another_program_is_taken(data: bytes, prompt: str) -> None:
    recipe = cm.recipe(data)

    assert recipe == {"prompt": prompt}
    assert "another program" in recipe.notices[0]


def bomb(megabytes: int) -> bytes:
    """A PNG with a text that inflates to so many megabytes."""
    packed = zlib.compress(b"parameters: " + bytes(megabytes << 20), 9)
    body = b"zTXtparameters\0\0" + packed
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    data = FILES["image/png"]
    return data[:33] + chunk * 3 + data[33:]


def test_a_text_that_inflates_without_end_is_left_out() -> None:
    assert embedded_texts(bomb(8)) == {"parameters": ""}
    with pytest.raises(InvalidRequestError, match="does not say how it was made"):
        cm.recipe(bomb(8))


@given(st.binary(max_size=200), st.sampled_from(list(KINDS)), st.integers(8, 200))
def test_damaged_files_have_no_texts_or_some_and_raise_nothing(noise: bytes, mime: str, at: int) -> None:
    data = FILES[mime]

    texts = embedded_texts(data[:at] + noise + data[at + len(noise) :])

    assert all(isinstance(text, str) for text in texts.values())
