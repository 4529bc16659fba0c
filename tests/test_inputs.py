"""Pictures that go into a request: made ready once, and known by their pixels whatever they were given as."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import random
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageCms, ImageDraw, ImageStat, PngImagePlugin

from comet_magic.errors import InvalidRequestError
from comet_magic.images import prepare_inputs
from comet_magic.images.masks import selected
from comet_magic.request import InputPicture, requests_of
from tests import processes

ORIENTATION, GPS = 0x0112, 0x8825


def scene(mode: str = "RGB", size: tuple[int, int] = (96, 64)) -> Image.Image:
    """A picture without symmetry: a red corner and a dark bar; RGBA has a transparent part with green below it."""
    image = Image.new("RGBA", size, (200, 210, 230, 255))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, size[0] // 3, size[1] // 4), (200, 30, 30, 255))
    draw.rectangle((size[0] // 2, 0, size[0] // 2 + 4, size[1]), (20, 20, 60, 255))
    if mode in ("RGBA", "LA"):
        draw.rectangle((0, size[1] // 2, 20, size[1]), (0, 200, 0, 0))
    return image.convert(mode)


def file_of(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def prepared(value: object, model: str = "gpt-image-2", **options: object) -> Image.Image:
    """The picture as it is sent."""
    (picture,) = prepare_inputs({"image": value, "model": model, **options}).images
    image = Image.open(io.BytesIO(picture.read()))
    assert (picture.mime, picture.width, picture.height) == (Image.MIME[image.format or ""], *image.size)
    return image


class GivesNoArray:
    """Looks like an array, as a tensor on another device does, and cannot be made one."""

    def __init__(self, what: BaseException | None) -> None:
        self._what = what

    def __array__(self, dtype: object = None, copy: object = None) -> None:
        if self._what is not None:
            raise self._what


def closed_before_it_was_read() -> Image.Image:
    with Image.open(io.BytesIO(file_of(scene()))) as image:
        return image


def refusal(**options: object) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as caught:
        prepare_inputs({"image": scene(), **options})
    assert caught.value.outcome == "not_sent"
    return caught.value


def key_of(**options: object) -> str:
    (request,) = requests_of("boat", options, prepare_inputs(options))
    return request.key("cometapi")


def turned(orientation: int) -> bytes:
    """A file that shows the scene upright only to who reads its EXIF."""
    back = {1: (), 2: (0,), 3: (3,), 4: (1,), 5: (5,), 6: (2,), 7: (6,), 8: (4,)}[orientation]
    image = scene()
    for step in back:
        image = image.transpose(Image.Transpose(step))
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return file_of(image, exif=exif)


# --- preparing


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_sent_upright_and_without_exif(orientation: int) -> None:
    sent = prepared(turned(orientation))

    assert sent.convert("RGB").tobytes() == scene().tobytes()
    assert not sent.getexif()


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "HSV"])
def test_every_mode_becomes_rgb_of_eight_bits(mode: str) -> None:
    sent = prepared(scene(mode))

    assert sent.mode == "RGB"
    assert sent.tobytes() == scene(mode).convert("RGB").tobytes()


def test_sixteen_bits_become_eight_without_clipping() -> None:
    values = np.linspace(0, 65535, 64 * 64, dtype=np.uint16).reshape(64, 64)

    sent = np.asarray(prepared(Image.fromarray(values)))

    assert sent.shape == (64, 64, 3)
    assert np.abs(sent[..., 0].astype(int) - (values >> 8)).max() <= 1


def test_a_png_of_sixteen_bits_a_channel_is_not_sent_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "deep.png"
    rows = b"".join(b"\0" + bytes([200, 7, 100, 9, 50, 3]) * 32 for _ in range(32))
    file.write_bytes(_png16(32, 32, rows))

    data = prepare_inputs({"image": file}).images[0].read()

    assert data[24] == 8
    assert Image.open(io.BytesIO(data)).getpixel((3, 3)) == (200, 100, 50)


def _png16(width: int, height: int, rows: bytes) -> bytes:
    import struct
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def test_a_palette_with_transparency_keeps_it_for_a_model_that_sees_it() -> None:
    image = scene("RGBA").quantize(16)

    assert prepared(file_of(image), "gpt-image-1.5").mode == "RGBA"


def test_what_hides_below_transparent_pixels_is_not_shown_to_a_model_that_would_see_it() -> None:
    sent = prepared(scene("RGBA"), "gpt-image-2")

    assert sent.mode == "RGB"
    assert sent.getpixel((5, 60)) == (255, 255, 255)
    assert prepared(scene("RGBA"), "gpt-image-2.5-flare").getpixel((5, 60))[3] == 0


def test_the_first_frame_of_a_moving_picture_is_sent() -> None:
    other = Image.new("RGB", (96, 64), "lime")
    moving = file_of(scene(), "WEBP", save_all=True, append_images=[other], lossless=True)

    assert prepared(moving).convert("RGB").getpixel((2, 2)) == scene().getpixel((2, 2))


def test_a_phones_file_of_two_pictures_becomes_a_plain_jpeg_of_the_first() -> None:
    image, other = scene(size=(320, 240)), Image.new("RGB", (80, 60), "lime")
    mpo = file_of(image, "MPO", save_all=True, append_images=[other], quality=95)

    data = prepare_inputs({"image": mpo}).images[0].read()

    assert Image.open(io.BytesIO(data)).format == "JPEG"
    assert len(data) < len(mpo)


def test_colours_are_converted_to_srgb() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    # of a screen whose red and blue are exchanged
    odd = srgb.replace("sRGB".encode("utf-16-be"), "oddy".encode("utf-16-be"))
    odd = odd.replace(b"rXYZ", b"----", 1).replace(b"bXYZ", b"rXYZ", 1).replace(b"----", b"bXYZ", 1)
    image = Image.new("RGB", (64, 64), (200, 60, 20))

    sent = prepared(file_of(image, icc_profile=odd))
    same = file_of(image, icc_profile=srgb)

    assert "icc_profile" not in sent.info
    red, _, blue = sent.getpixel((9, 9))
    assert (red < 60, blue > 150) == (True, True)
    assert prepare_inputs({"image": same}).images[0].read() == same


def test_a_profile_that_cannot_be_used_is_left_out() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()

    sent = prepared(file_of(scene(), icc_profile=profile))

    assert "icc_profile" not in sent.info
    assert sent.tobytes() == scene().tobytes()


def test_a_place_where_a_photo_was_taken_is_not_sent() -> None:
    exif = Image.Exif()
    exif.get_ifd(GPS)[1] = "N"
    exif[ORIENTATION] = 1
    xmp = b"<x:xmpmeta><exif:GPSLatitude>48,8N</exif:GPSLatitude></x:xmpmeta>"
    for kind in ("JPEG", "PNG", "WEBP"):
        data = file_of(scene(), kind, exif=exif, **({} if kind == "PNG" else {"xmp": xmp}))

        sent = prepare_inputs({"image": data}).images[0].read()

        assert not Image.open(io.BytesIO(sent)).getexif()
        assert b"GPSLatitude" not in sent


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_picture_that_needs_no_change_keeps_its_own_bytes(kind: str) -> None:
    data = file_of(scene(), kind)

    assert prepare_inputs({"image": data}).images[0].read() == data


def test_a_jpeg_with_exif_loses_that_and_is_not_encoded_anew() -> None:
    exif = Image.Exif()
    exif[0x010F] = "a maker of cameras"
    plain, tagged = file_of(scene(), "JPEG"), file_of(scene(), "JPEG", exif=exif)

    sent = prepare_inputs({"image": tagged}).images[0].read()

    assert b"maker" in tagged
    assert b"maker" not in sent
    assert sent[-200:] == plain[-200:]  # the coded pixels


def test_a_large_picture_is_shrunk_to_what_the_model_uses_and_it_is_said_once() -> None:
    large = Image.new("RGB", (4000, 2000), "navy")
    inputs = prepare_inputs({"image": large, "mask": (0, 0, 1000, 1000)})

    (picture,) = inputs.images
    assert picture.width * picture.height <= 4_194_304
    assert abs(picture.width / picture.height - 2) < 0.01
    assert inputs.mask is not None
    assert (inputs.mask.width, inputs.mask.height) == (picture.width, picture.height)
    assert inputs.original is not None
    assert (inputs.original.width, inputs.original.height) == (4000, 2000)
    assert [notice for notice in inputs.notices if "shrunk from 4000x2000" in notice] == list(inputs.notices)
    kept = prepare_inputs({"image": large, "resize": False}).images[0]
    assert (kept.width, kept.height) == (4000, 2000)


@pytest.mark.parametrize(
    "box", [(0, 0, 1, 1), (3999, 1999, 4000, 2000), (7, 0, 8, 2000), (1234, 567, 1236, 568)]
)
def test_a_thin_mask_of_a_picture_that_is_shrunk_still_selects_its_place(box: tuple[int, ...]) -> None:
    inputs = prepare_inputs({"image": Image.new("L", (4000, 2000)), "mask": box})

    assert inputs.mask is not None
    assert (inputs.mask.width, inputs.mask.height) == (inputs.images[0].width, inputs.images[0].height)
    alpha = Image.open(io.BytesIO(inputs.mask.read())).getchannel("A")
    left, top, right, bottom = alpha.point(lambda value: 255 - value).getbbox() or (0, 0, 0, 0)
    share = inputs.mask.width / 4000
    assert (left, top) == (int(box[0] * share), int(box[1] * share))
    assert 0 < right - left <= (box[2] - box[0]) * share + 2
    assert 0 < bottom - top <= (box[3] - box[1]) * share + 2
    assert {value for _, value in alpha.getcolors() or ()} == {0, 255}


def test_thin_scribbles_of_a_picture_that_is_shrunk_are_whole_lines() -> None:
    drawn = Image.new("RGBA", (4000, 2000), (0, 0, 0, 0))
    drawn.paste((255, 0, 0, 255), (1000, 0, 1001, 2000))
    inputs = prepare_inputs(
        {"image": Image.new("L", (4000, 2000)), "markup": drawn, "model": "gpt-image-2.5-flare"}
    )

    assert inputs.markup is not None
    alpha = np.asarray(Image.open(io.BytesIO(inputs.markup.read())).getchannel("A"))
    assert (alpha.max(axis=1) > 0).all()


def test_a_file_that_needed_no_change_is_not_decoded_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = file_of(scene(size=(99, 66)))
    (tmp_path / "boat.png").write_bytes(data)
    first = prepare_inputs({"image": data})

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("it was decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", refuse)
    again = [prepare_inputs({"image": form}) for form in (data, bytearray(data), tmp_path / "boat.png")]

    assert [(one.key, one.images[0].read()) for one in again] == [(first.key, data)] * 3
    with pytest.raises(InvalidRequestError, match="it was decoded"):
        prepare_inputs(
            {"image": data, "model": "gpt-image-1.5"}
        )  # which sees transparency: nothing is known for it


@pytest.mark.parametrize("orientation", [1, 6])
def test_what_is_pasted_back_has_every_pixel_of_a_photo_that_is_encoded_anew(orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    noise = Image.effect_noise((96, 64), 90).convert("RGB" if orientation > 1 else "CMYK")
    data = file_of(noise, "JPEG", exif=exif)
    upright = Image.open(io.BytesIO(data)).convert("RGB")
    upright = upright.transpose(Image.Transpose.ROTATE_270) if orientation == 6 else upright

    inputs = prepare_inputs({"image": data, "mask": (0, 0, 9, 9)})

    assert inputs.images[0].mime == "image/jpeg"
    assert inputs.original is not None
    kept = Image.open(io.BytesIO(inputs.original.read()))
    assert kept.convert("RGB").tobytes() == upright.tobytes()


# --- where they wait


def waiting(data: bytes) -> InputPicture:
    return InputPicture.of(data, "image/png", (16, 16), "0" * 64)


@pytest.fixture
def many() -> list[bytes]:
    """More bytes than wait in memory, of small and of large pictures."""
    sizes = [1, 300_000, 3_000_000, 5_000_000] * 6
    return [random.Random(number).randbytes(size) for number, size in enumerate(sizes)]


def test_pictures_that_wait_are_read_as_they_were_wherever_they_wait(many: list[bytes]) -> None:
    pictures = [waiting(data) for data in many]
    del pictures[3::4]  # others take the place of none of them
    pictures[3:3] = [waiting(data) for data in many[3::4]]
    expected = [
        *many[:3],
        *many[3::4],
        *(data for number, data in enumerate(many) if number > 3 and number % 4 != 3),
    ]

    assert [picture.read() for picture in pictures] == expected
    copies: list[InputPicture] = pickle.loads(pickle.dumps(pictures))
    assert [picture.read() for picture in copies] == expected
    large = next(picture for picture, data in zip(pictures, expected, strict=True) if len(data) == 5_000_000)
    with large.open() as one, large.open() as other:
        assert one.read(9) == other.read(9) == large.read()[:9]
        assert one.seek(-4, os.SEEK_END) == 4_999_996
        assert (one.read(), one.read(), one.tell()) == (large.read()[-4:], b"", 5_000_000)
        assert other.read(1_000_000) == large.read()[9:1_000_009]


def test_without_a_disk_they_wait_in_memory(
    many: list[bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))

    assert [picture.read() for picture in map(waiting, many * 2)] == many * 2


def test_a_forked_child_and_its_parent_do_not_write_over_each_others_pictures() -> None:
    output = processes.run("""
import os, sys
from comet_magic.request import InputPicture

def waiting(mark):
    return InputPicture.of(mark * 5_000_000, "image/png", (16, 16), "0" * 64)

before = waiting(b"a")
ready, go = os.pipe()
child = os.fork()
mine = waiting(b"b" if child else b"c")
if child:
    os.read(ready, 1)
    assert os.waitpid(child, 0)[1] == 0
else:
    os.write(go, b"!")
good = before.read() == b"a" * 5_000_000 and mine.read() == (b"b" if child else b"c") * 5_000_000
if not child:
    os._exit(not good)
print(good)
""")

    assert output == "True\n"


def test_a_killed_process_leaves_no_picture_in_the_folder_for_temporary_files(tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    edge = 2000
    pixels = Image.frombytes("RGB", (edge, edge), random.Random(1).randbytes(edge * edge * 3))
    (tmp_path / "large.png").write_bytes(file_of(pixels, compress_level=0))
    script = """
import os, sys
from comet_magic.images import prepare_inputs
inputs = prepare_inputs({"image": [sys.argv[1]] * 3, "mask": (0, 0, 9, 9)})
print(sum(len(picture.read()) for _, picture in inputs), flush=True)
sys.stdin.read()
"""
    env = {**os.environ, "TMPDIR": str(temporary)}
    with processes.start(script, tmp_path / "large.png", env=env) as process:
        assert process.stdout is not None
        held = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)

    assert held > 30_000_000
    assert list(temporary.iterdir()) == []


# --- forms


def test_the_same_picture_has_the_same_key_whatever_it_was_given_as(tmp_path: Path) -> None:
    image = scene()
    data = file_of(image)
    (tmp_path / "boat.png").write_bytes(data)
    forms = [
        image,
        data,
        bytearray(data),
        memoryview(data),
        tmp_path / "boat.png",
        str(tmp_path / "boat.png"),
        np.asarray(image),
        {"bytes": data, "path": None},
        [image],
        image.convert("RGBA"),
        file_of(image.convert("RGBA")),
        file_of(image, "BMP"),
        file_of(image, "TIFF"),
        file_of(image, "WEBP", lossless=True),
    ]

    assert len({key_of(image=form) for form in forms}) == 1
    assert key_of(image=image) != key_of(image=image.rotate(180))
    assert key_of(image=image) != key_of(image=[image, image])
    assert key_of(image=image) != key_of(image=image, mask=(0, 0, 9, 9))


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("size", [(16, 16), (300, 200), (20_000, 16), (16, 5_000)])
def test_a_picture_is_known_by_the_hash_of_its_mode_size_and_pixels(mode: str, size: tuple[int, int]) -> None:
    image = scene(mode, size)
    options = {"image": image, "model": "gpt-image-1.5", "resize": False}

    (picture,) = prepare_inputs(options).images

    named = f"{mode} {size[0]}x{size[1]} ".encode()
    assert picture.sha256 == hashlib.sha256(named + image.tobytes()).hexdigest()


def test_pasting_back_makes_no_other_request() -> None:
    options = {"image": scene(), "mask": (0, 0, 9, 9)}

    assert key_of(**options) == key_of(**options, paste_back=False)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("nowhere.png", "image nowhere.png cannot be read: No such file"),
        ("https://example.com/a.png", "image is an address; download the picture"),
        (b"not a picture", "image is not a picture that can be opened"),
        (12, "image is of type int; it takes a PIL picture"),
        (np.zeros((4, 4, 7), np.uint8), "image is an array of 4x4x7 uint8"),
        (np.zeros((40, 40), np.float32), "image is an array of 40x40 float32"),
        (Image.new("F", (40, 40)), "floating-point"),
        (Image.new("RGB", (1, 1)), "image is 1x1; it takes at least 16 pixels a side"),
        ([], "image is an empty list"),
        ([None], "image is an empty list"),
        ([scene(), None], "image 2 is None; give a picture in its place"),
        ([[None], (scene(),)], "image is None; give a picture in its place"),
        ([scene()] * 17, "image has 17 pictures; gpt-image-2 takes up to 16"),
        (file_of(scene())[:200], "image is not a picture that can be opened"),
        ("/dev/zero", "it is not a file"),
        (b"\0\0\0\x18ftypheic" + bytes(40), "it is not a PNG, JPEG, WEBP, GIF, BMP or TIFF file"),
        (b"", "it is not a PNG, JPEG, WEBP, GIF, BMP or TIFF file"),
        (GivesNoArray(TypeError("the tensor is on cuda:0")), "the tensor is on cuda:0"),
        (GivesNoArray(RuntimeError("the tensor requires grad")), "the tensor requires grad"),
        (GivesNoArray(None), "not a picture that can be opened"),
        (closed_before_it_was_read(), "its file was closed before its pixels were read"),
    ],
)
def test_what_is_no_picture_is_refused_in_one_sentence(value: object, words: str) -> None:
    error = refusal(image=value)

    assert words in str(error)
    assert error.param == "image"
    assert "object at 0x" not in str(error)


def test_a_path_may_be_given_as_bytes_by_its_object(tmp_path: Path) -> None:
    scene().save(tmp_path / "ü.png")

    class Entry(os.PathLike[bytes]):
        def __fspath__(self) -> bytes:
            return os.fsencode(tmp_path / "ü.png")

    assert prepared(Entry()).convert("RGB").tobytes() == scene().tobytes()


def damaged_exif(kind: str) -> bytes:
    return file_of(scene(), kind, exif=b"Exif\0\0neither II nor MM")


def long_texts() -> bytes:
    """A sound PNG with a text that Pillow refuses to unpack."""
    texts = PngImagePlugin.PngInfo()
    texts.add_text("workflow", "x" * 5_000_000, zip=True)
    return file_of(scene(), pnginfo=texts)


@pytest.mark.parametrize(
    "file", [damaged_exif("PNG"), damaged_exif("WEBP"), damaged_exif("JPEG"), long_texts()]
)
def test_what_is_written_about_a_sound_picture_does_not_keep_it_from_being_sent(file: bytes) -> None:
    sent = prepared(file).convert("RGB")

    assert sent.size == scene().size
    assert max(ImageStat.Stat(ImageChops.difference(sent, scene())).mean) < 6  # of a JPEG's loss


def test_damaged_pixels_are_refused_also_where_exif_is_looked_for_behind_them() -> None:
    broken = bytearray(file_of(Image.effect_noise((96, 64), 90).convert("RGB")))
    broken[len(broken) // 2] ^= 255

    for damaged in (bytes(broken), Image.open(io.BytesIO(broken))):
        assert "not a picture that can be opened" in str(refusal(image=damaged))


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I;16L", "I"])
def test_deep_grey_of_any_order_of_bytes_is_sent_and_selects(mode: str) -> None:
    grey = Image.new(mode, (96, 64), 0x8123)
    half = Image.new(mode, (96, 64), 0)
    half.paste(0xFFFF, (0, 0, 48, 64))

    assert prepared(grey).convert("L").getextrema() == (0x81, 0x81)
    assert selected(half, (96, 64)).getbbox() == (0, 0, 48, 64)


@pytest.mark.parametrize(
    ("options", "param", "words"),
    [
        ({"model": "dall-e-3"}, "image", "dall-e-3 takes no pictures"),
        ({"model": "gemini-3-pro-image"}, "image", "takes pictures by another route"),
        ({"image": None, "model": "qwen-image-edit"}, "image", "qwen-image-edit edits pictures"),
        ({"image": None, "mask": (0, 0, 9, 9)}, "mask", "mask is set without image"),
        ({"mask": (0, 0, 9, 9), "model": "qwen-image-edit"}, "mask", "qwen-image-edit takes none"),
        ({"markup": scene("RGBA")}, "markup", "gpt-image-2 takes none"),
        ({"model": "gpt-image-2.5-flare", "markup": scene()}, "markup", "needs transparent pixels"),
        (
            {"model": "gpt-image-2.5-flare", "markup": scene("RGBA"), "mask": (0, 0, 9, 9)},
            "markup",
            "takes one of them",
        ),
        ({"mask": (0, 0, 200, 9)}, "mask", "within 96x64"),
        (
            {"mask": (0.1, 0.1, 0.5, 0.5)},
            "mask",
            "the box 0.1,0.1,0.5,0.5; it takes left,top,right,bottom in pixels",
        ),
        ({"mask": np.eye(64, 96, dtype=np.uint8)}, "mask", "its brightest pixel is 1 of 255"),
        ({"mask": "-1,0,9,9"}, "mask", "the box -1,0,9,9; it takes left,top,right,bottom in pixels"),
        (
            {"mask": ".1,.1,.5,.5"},
            "mask",
            "the box 0.1,0.1,0.5,0.5; it takes left,top,right,bottom in pixels",
        ),
        ({"mask": "nothing", "image": scene()}, "mask", "mask nothing cannot be read"),
        ({"mask": 7}, "mask", "it takes a box of left, top, right and bottom, a PIL picture"),
        ({"mask": [scene("1"), scene("1")]}, "mask", "mask is of type list; it takes a box"),
        ({"mask": Image.new("L", (50, 50), 255)}, "mask", "mask is 50x50; the picture is 96x64"),
        ({"mask": Image.new("L", (96, 64))}, "mask", "selects nothing"),
        ({"mask": (0, 0, 96, 64)}, "mask", "selects the whole picture"),
        ({"mask": scene()}, "mask", "in colour without transparency"),
    ],
)
def test_what_the_model_does_not_take_is_refused_before_anything_is_sent(
    options: dict[str, object], param: str, words: str
) -> None:
    error = refusal(**options)

    assert words in str(error)
    assert error.param == param


# --- masks


def test_all_forms_of_a_mask_select_the_same(tmp_path: Path) -> None:
    size, box = (96, 64), (10, 20, 50, 40)
    white = Image.new("L", size, 0)
    white.paste(255, box)
    clear = scene().convert("RGBA")
    clear.paste((1, 2, 3, 0), box)
    array = np.asarray(white) > 0
    white.save(tmp_path / "mask.png")
    forms = [
        box,
        [*box],
        white,
        white.convert("1"),
        white.convert("RGB"),
        clear,
        array,
        tmp_path / "mask.png",
        file_of(clear),
        [white],
        ((array,),),
        np.array(box),
        np.array(box, np.float32),
        tuple(np.array(box)),
        "10,20,50,40",
        "(10, 20.0, 50, 40)",
        "[10,20,50,40]",
        white.convert("LA"),  # nothing in it is transparent, so white counts
        file_of(white.convert("RGBA")),
    ]

    assert {selected(form, size).tobytes() for form in forms} == {white.tobytes()}


def test_a_mask_is_sent_with_transparency_where_the_picture_may_change_and_without_colours() -> None:
    inputs = prepare_inputs({"image": scene(), "mask": (10, 20, 50, 40)})

    assert inputs.mask is not None
    sent = Image.open(io.BytesIO(inputs.mask.read()))
    assert sent.mode == "RGBA"
    assert (sent.getpixel((30, 30)), sent.getpixel((5, 5))) == ((0, 0, 0, 0), (0, 0, 0, 255))


def test_a_mask_lies_on_the_first_of_several_pictures_and_that_is_said() -> None:
    inputs = prepare_inputs({"image": [scene(), scene(size=(32, 32))], "mask": (1, 1, 9, 9)})

    assert inputs.notices == ("the mask is the first picture's",)


# --- shape and price


@pytest.mark.parametrize(
    ("model", "size", "expected"),
    [
        ("gpt-image-2", (1024, 1024), "1024x1024"),
        ("gpt-image-2", (1600, 1000), "1600x1008"),
        ("gpt-image-1.5", (1600, 1000), "1536x1024"),
        ("gpt-image-1.5", (500, 900), "1024x1536"),
        ("doubao-seedream-5-0-260128", (2048, 2048), "2048x2048"),
    ],
)
def test_an_edit_keeps_the_shape_of_the_first_picture(
    model: str, size: tuple[int, int], expected: str
) -> None:
    options = {"image": Image.new("RGB", size, "navy"), "model": model}

    (request,) = requests_of("boat", options, prepare_inputs(options))

    assert request.size == expected
    said = [notice for notice in request.notices if "is the nearest to" in notice]
    assert bool(said) == (expected != f"{size[0]}x{size[1]}")


def test_a_size_that_is_given_wins_and_auto_leaves_it_to_the_server() -> None:
    for size in ("auto", "1536x1024"):
        options = {"image": scene(), "size": size}
        (request,) = requests_of("boat", options, prepare_inputs(options))
        assert request.size == size


def test_the_price_holds_the_input_pictures_once_for_each_picture_made() -> None:
    def price(**options: object) -> tuple[int, int]:
        options = {"quality": "low", "size": "1024x1024", **options}
        (request,) = requests_of("boat", options, prepare_inputs(options))
        estimate = request.estimate()
        assert estimate.low_micro is not None
        assert estimate.high_micro is not None
        return estimate.low_micro, estimate.high_micro

    image = Image.new("RGB", (1024, 1024), "navy")
    plain, one = price(), price(image=image)
    # 1024 tokens at 6.40 USD a million
    assert (one[0] - plain[0], one[1] - plain[1]) == (6554, 6554)
    assert price(image=image, n=3)[1] - price(n=3)[1] == 19661
    assert price(image=[image, image])[1] - plain[1] == 13108
