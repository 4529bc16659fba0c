"""The facts inside a picture, and what its first bytes tell."""

from __future__ import annotations

import io
import json
import zlib
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from comet_magic.formats import SUFFIX, check_picture, embed_metadata, sniff
from comet_magic.images import read_metadata
from tests.examples import fewer

FORMATS = [
    pytest.param("PNG", "image/png", "RGB", {}, id="png"),
    pytest.param("PNG", "image/png", "RGBA", {}, id="png-alpha"),
    pytest.param("JPEG", "image/jpeg", "RGB", {"comment": b"a camera's own"}, id="jpeg"),
    pytest.param("WEBP", "image/webp", "RGB", {}, id="webp"),
    pytest.param("WEBP", "image/webp", "RGBA", {}, id="webp-alpha"),
    pytest.param("WEBP", "image/webp", "RGB", {"lossless": True}, id="webp-lossless"),
    pytest.param("WEBP", "image/webp", "RGBA", {"lossless": True}, id="webp-lossless-alpha"),
]


@cache
def picture(kind: str = "PNG", mode: str = "RGB", **options: object) -> bytes:
    red, green = Image.linear_gradient("L").resize((63, 41)), Image.radial_gradient("L").resize((63, 41))
    image = Image.merge("RGB", (red, green, red.rotate(90))).convert(mode)
    if mode == "RGBA":
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("kind", "mime"), [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp")]
)
def test_a_picture_is_known_by_its_first_bytes(kind: str, mime: str) -> None:
    assert sniff(picture(kind)) == mime


@pytest.mark.parametrize(
    "data", [b"", b"GIF89a" + bytes(40), b"<svg xmlns=''>", b"RIFF\0\0\0\0WAVE", b"%PDF-1.7"]
)
def test_other_files_are_no_pictures(data: bytes) -> None:
    assert sniff(data) is None


# --- metadata -----------------------------------------------------------------------------------------

FACTS = {"prompt": 'a boat 🛶 in "quotes"\n', "model": "gpt-image-2", "n": 1, "extra": {"seed": 7}}
LONG = {"prompt": "漢字🛶" * 10_000}


@pytest.mark.parametrize("facts", [FACTS, LONG], ids=["short", "long"])
@pytest.mark.parametrize(("kind", "mime", "mode", "options"), FORMATS)
def test_facts_come_back_and_no_pixel_moves(
    tmp_path: Path, kind: str, mime: str, mode: str, options: dict[str, object], *, facts: dict[str, object]
) -> None:
    before = picture(kind, mode, **options)

    after = embed_metadata(embed_metadata(before, mime, {"older": True}), mime, facts)

    path = tmp_path / f"a{SUFFIX[mime]}"
    path.write_bytes(after)
    assert read_metadata(path) == facts
    with Image.open(io.BytesIO(before)) as old, Image.open(path) as new:
        assert (old.mode, old.size) == (new.mode, new.size)
        assert old.tobytes() == new.tobytes()
        assert kind != "JPEG" or new.info["comment"] == b"a camera's own" or facts is LONG


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 8
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        crc = data[at + 8 + length : at + 12 + length]
        assert zlib.crc32(data[at + 4 : at + 8 + length]) == int.from_bytes(crc, "big")
        at += 12 + length
    return found


def test_a_png_gets_one_valid_chunk_and_keeps_the_others() -> None:
    before = picture("PNG")

    after = embed_metadata(embed_metadata(before, "image/png", {"a": 1}), "image/png", FACTS)

    names = [name for name, _ in chunks(after)]
    assert names.count(b"iTXt") == 1
    assert [chunk for chunk in chunks(after) if chunk[0] != b"iTXt"] == chunks(before)


def test_exif_of_others_is_kept(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation
    exif[0x010F] = "a maker"
    for kind, mime in (("JPEG", "image/jpeg"), ("WEBP", "image/webp")):
        path = tmp_path / f"a{SUFFIX[mime]}"
        path.write_bytes(embed_metadata(picture(kind, exif=exif.tobytes()), mime, FACTS))

        with Image.open(path) as image:
            assert image.getexif()[0x0112] == 6
            assert image.getexif()[0x010F] == "a maker"
        assert read_metadata(path) == FACTS


def test_an_xmp_chunk_stays_behind_the_exif(tmp_path: Path) -> None:
    before = picture("WEBP", xmp=b"<x/>")

    (tmp_path / "a.webp").write_bytes(embed_metadata(before, "image/webp", FACTS))

    assert read_metadata(tmp_path / "a.webp") == FACTS
    with Image.open(tmp_path / "a.webp") as image:
        assert image.info["xmp"] == b"<x/>"


def test_an_outside_reader_finds_the_facts(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(embed_metadata(picture("PNG"), "image/png", FACTS))
    (tmp_path / "a.jpg").write_bytes(embed_metadata(picture("JPEG"), "image/jpeg", FACTS))

    with Image.open(tmp_path / "a.png") as png, Image.open(tmp_path / "a.jpg") as jpeg:
        assert json.loads(png.text["comet_magic"]) == FACTS
        comment = jpeg.getexif().get_ifd(0x8769)[0x9286].removeprefix(b"ASCII\0\0\0")
        assert json.loads(comment) == {"comet_magic": FACTS}


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_picture_without_facts_has_none(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a").write_bytes(picture(kind))
    (tmp_path / "text").write_text("no picture")

    assert read_metadata(tmp_path / "a") == {}
    assert read_metadata(tmp_path / "text") == {}


@pytest.mark.parametrize(("kind", "mime", "mode", "options"), FORMATS)
def test_bytes_after_the_end_are_kept(
    tmp_path: Path, kind: str, mime: str, mode: str, options: dict[str, object]
) -> None:
    before = picture(kind, mode, **options) + b"more of it"

    after = embed_metadata(embed_metadata(before, mime, LONG), mime, FACTS)

    (tmp_path / "a").write_bytes(after)
    assert read_metadata(tmp_path / "a") == FACTS
    assert after.endswith(b"more of it")
    assert check_picture(after, max_pixels=10_000) == (mime, 63, 41)


def test_a_webp_whose_last_padding_is_missing_takes_facts_too(tmp_path: Path) -> None:
    body = picture("WEBP")[8:] + b"JUNK\3\0\0\0abc"
    data = b"RIFF" + len(body).to_bytes(4, "little") + body

    (tmp_path / "a.webp").write_bytes(embed_metadata(data, "image/webp", FACTS))

    assert read_metadata(tmp_path / "a.webp") == FACTS
    with Image.open(tmp_path / "a.webp") as image:
        image.load()


def test_a_mime_that_is_not_the_bytes_changes_nothing() -> None:
    data = picture("PNG")

    assert embed_metadata(data, "image/jpeg", FACTS) == data
    assert embed_metadata(b"GIF89a", "image/gif", FACTS) == b"GIF89a"


@pytest.mark.parametrize("mime", ["image/png", "image/jpeg", "image/webp"])
@fewer
@given(st.data())
def test_broken_pictures_are_left_alone_and_never_crash(mime: str, data: st.DataObject) -> None:
    whole = bytearray(embed_metadata(picture(mime.split("/")[1].upper()), mime, FACTS))
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(12, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))])

    for broken in (bytes(whole), cut):
        assert isinstance(embed_metadata(broken, mime, FACTS), bytes)


@fewer
@given(st.binary(max_size=200))
def test_reading_facts_never_crashes(tmp_path_factory: pytest.TempPathFactory, noise: bytes) -> None:
    folder = tmp_path_factory.mktemp("noise")
    for number, head in enumerate((b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBP")):
        (folder / str(number)).write_bytes(head + noise)
        assert isinstance(read_metadata(folder / str(number)), dict)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"\x89PNG\r\n\x1a", None),
        (b"\xff\xd8\xff", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n\0", "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"\xff\xd8", None),
        (b"RIFF1234WEBP", "image/webp"),
        (b"RIFF1234WEBPVP8 ", "image/webp"),
        (b"RIFF1234WAVE", None),
        (b"XXXX1234WEBP", None),
        (b"RIFF1234WEB", None),
        (b"", None),
    ],
)
def test_a_kind_is_known_by_its_first_bytes_only(data: bytes, kind: str | None) -> None:
    assert sniff(data) == kind


def test_each_kind_has_its_suffix() -> None:
    assert SUFFIX == {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp"}
