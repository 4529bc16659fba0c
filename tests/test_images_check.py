import gc
import io
import os
import struct
import subprocess
import sys
import textwrap
import threading
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image, ImageFile

from comet_magic.errors import BadImageError, TooLargeError
from comet_magic.images import check_picture, preview
from comet_magic.images.rows import channels, complete
from comet_magic.images.structure import read_structure

from .images_made import MOST, chunk, made, noise, with_chunk, with_segment

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
PNG, JPEG, WEBP = "image/png", "image/jpeg", "image/webp"
HEADER = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
WIDE = struct.pack(">IIBBBBB", 12_000, 10_000, 1, 0, 0, 0, 0)


def check(data, max_pixels=MOST):
    return check_picture(data, max_pixels=max_pixels)


def webp_head(kind, body):
    return b"RIFF" + struct.pack("<I", len(body) + 12) + b"WEBP" + kind + struct.pack("<I", len(body)) + body


class TestAGoodPicture:
    @pytest.mark.parametrize(
        ("mime", "mode"),
        [
            *((PNG, mode) for mode in ("RGB", "RGBA", "L", "P", "1", "LA", "I;16")),
            *((JPEG, mode) for mode in ("RGB", "L", "CMYK")),
            *((WEBP, mode) for mode in ("RGB", "RGBA")),
        ],
    )
    def test_has_its_kind_and_size_told(self, mime, mode):
        assert check(made(mime, mode)) == (mime, 48, 32)

    @pytest.mark.parametrize(
        ("mime", "options"),
        [
            (JPEG, {"progressive": True}),
            (JPEG, {"exif": b"Exif\0\0II*\0broken"}),
            (WEBP, {"lossless": True}),
            (WEBP, {"exif": b"Exif\0\0II*\0"}),
            (PNG, {"compress_level": 0}),
        ],
    )
    def test_may_be_of_any_flavour(self, mime, options):
        assert check(made(mime, **options)) == (mime, 48, 32)

    def test_may_carry_what_other_programs_add(self):
        assert check(made(PNG) + b"trailing") == (PNG, 48, 32)
        assert check(made(JPEG) + b"\0" * 100) == (JPEG, 48, 32)
        assert check(made(JPEG)[:2] + b"\xff\xff" + made(JPEG)[2:]) == (JPEG, 48, 32)
        assert check(with_segment(made(JPEG), 0xEB, b"JP\0\1 provenance")) == (JPEG, 48, 32)
        assert check(with_chunk(made(PNG), chunk(b"caBX", b"provenance"))) == (PNG, 48, 32)

    def test_may_hold_texts_of_any_size_and_kind(self):
        bomb = chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(50_000_000)))
        odd = [
            chunk(b"tEXt", b"\xff\xff"),
            chunk(b"iTXt", b"k\0\1\0\0\0nonsense"),
            chunk(b"eXIf", b"II*\0oops"),
        ]
        for extra in ([bomb] * 20, odd, [chunk(b"acTL", b"\0" * 8)], [chunk(b"acTL", b"")]):
            assert check(with_chunk(made(PNG), *extra)) == (PNG, 48, 32)

    def test_that_moves_is_its_first_frame(self):
        frames = [Image.new("RGB", (20, 10), colour) for colour in ("red", "blue", "green")]
        for mime, kind in ((PNG, "PNG"), (WEBP, "WEBP")):
            out = io.BytesIO()
            frames[0].save(out, kind, save_all=True, append_images=frames[1:], duration=50, lossless=True)
            assert check(out.getvalue()) == (mime, 20, 10)

    @pytest.mark.parametrize(("mode", "each"), [("RGB", 3), ("RGBA", 4), ("L", 0), ("P", 0), ("I;16", 0)])
    def test_that_is_a_plain_png_is_known_to_open_without_its_pixels(self, mode, each):
        png = made(PNG, mode)
        pixels = read_structure(png, PNG).pixels
        assert channels(png, pixels) == each
        assert complete(png, pixels, row=1 + each * 48, rows=32) == bool(each)
        assert not complete(png, pixels, row=1 + each * 48, rows=31)

    def test_with_as_many_pixels_as_allowed_is_opened(self):
        assert check(made(PNG), max_pixels=48 * 32) == (PNG, 48, 32)
        with pytest.raises(TooLargeError, match="48x32; up to 1,535 pixels"):
            check(made(PNG), max_pixels=48 * 32 - 1)


class TestOtherBytes:
    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"\x89PNG",
            b"GIF89a" + bytes(100),
            b"BM" + bytes(100),
            b"II*\0" + bytes(100),
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
            b"%PDF-1.7",
            b"8BPS\0\1" + bytes(100),
            b"\0\0\0\x0cjP  \r\n\x87\n",
            b"SIMPLE  =                    T",
            b"\x7fELF" + bytes(100),
            b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
            b"<!doctype html><script>alert(1)</script>",
            b'{"error": "no"}',
            b"RIFF\x10\0\0\0WAVEfmt ",
        ],
    )
    def test_are_no_picture(self, data):
        with pytest.raises(BadImageError, match="png, jpeg and webp"):
            check(data)

    def test_reach_no_decoder_but_three(self, tmp_path):
        script = tmp_path / "script.py"
        script.write_text(
            textwrap.dedent(
                """
                import sys
                from comet_magic.errors import BadImageError
                from comet_magic.images import check_picture

                for path in sys.argv[1:]:
                    with open(path, "rb") as file:
                        data = file.read()
                    try:
                        check_picture(data, max_pixels=10**6)
                    except BadImageError:
                        pass
                print(*sorted(name for name in sys.modules if name.endswith("ImagePlugin")))
                """
            )
        )
        files = []
        for number, data in enumerate(
            (made(PNG), made(JPEG), made(WEBP), b"GIF89a", b"8BPS\0", b"%!PS", b"BM")
        ):
            files.append(tmp_path / f"{number}.png")
            files[-1].write_bytes(data)
        done = subprocess.run(
            [sys.executable, script, *files], capture_output=True, text=True, check=True, env=ENVIRONMENT
        )
        assert done.stdout.split() == ["PIL.JpegImagePlugin", "PIL.PngImagePlugin", "PIL.WebPImagePlugin"]


class TestADamagedPicture:
    @pytest.mark.parametrize("mime", [PNG, JPEG, WEBP])
    def test_that_is_cut_anywhere_is_found(self, mime):
        whole = made(mime)
        for length in [*range(12, 64), *range(64, len(whole), 17), len(whole) - 1]:
            with pytest.raises(BadImageError):
                check(whole[:length])

    @pytest.mark.parametrize("mime", [PNG, JPEG, WEBP])
    def test_that_is_cut_is_found_also_where_pillow_was_told_to_bear_it(self, mime, monkeypatch):
        monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
        whole = noise(mime, size=(64, 64))
        with pytest.raises(BadImageError):
            check(whole[: len(whole) * 2 // 3])

    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (made(PNG)[:32] + b"\0" + made(PNG)[33:], "checksum"),
            (made(PNG)[:60] + bytes([made(PNG)[60] ^ 1]) + made(PNG)[61:], "checksum"),
            (made(PNG)[:8] + chunk(b"iTXt", HEADER) + made(PNG)[8:], "not in its place"),
            (with_chunk(made(PNG), chunk(b"IHDR", HEADER)), "not in its place"),
            (made(PNG)[:8] + chunk(b"IHDR", bytes(13)) + chunk(b"IEND", b""), "no pixels"),
            (made(PNG)[:8] + chunk(b"IHDR", HEADER) + chunk(b"IEND", b""), "broken"),
            (with_chunk(made(PNG), chunk(b"IDAT", zlib.compress(b"short"))), "broken"),
            (
                made(PNG)[:8] + chunk(b"IHDR", HEADER) + chunk(b"IDAT", b"no zlib") + chunk(b"IEND", b""),
                "broken",
            ),
            (with_chunk(made(PNG), *[chunk(b"tEXt", b"")] * 70_000), "too many pieces"),
            (made(JPEG)[:20] + b"junk" + made(JPEG)[20:], "a marker is missing"),
            (made(JPEG)[:2] + b"\xff\xd9" + made(JPEG)[2:], "a marker is missing"),
            (b"\xff\xd8" + b"\xff" * 70_000 + made(JPEG)[2:], "too many pieces"),
            (with_segment(made(JPEG), 0xC0, b"\x08\0\x20\0\x30\3\1\x22\0\2\x11\1\3\x11\1"), "two headers"),
            (made(JPEG)[:2] + made(JPEG)[made(JPEG).index(b"\xff\xda") :], "no pixels"),
            (made(JPEG)[:-2] + b"\xff\xda\0\2" * 300 + b"\xff\xd9", "too many scans"),
            (webp_head(b"JUNK", bytes(40)), "no picture"),
            (webp_head(b"VP8X", bytes(10)), "broken"),
            (webp_head(b"VP8L", b"\x2f" + bytes(40)), "broken"),
            (webp_head(b"VP8 ", b"\0\0\0\x9d\x01\x2a" + bytes(40)), "no pixels"),
        ],
    )
    def test_is_refused_with_its_reason(self, data, reason):
        with pytest.raises(BadImageError, match=reason) as caught:
            check(data)
        assert caught.value.outcome == "billed"
        assert caught.value.__context__ is None
        assert len(str(caught.value)) < 200

    def test_without_a_palette_is_refused(self):
        png = made(PNG, "P")
        start = png.index(b"PLTE") - 4
        length = int.from_bytes(png[start : start + 4], "big") + 12
        with pytest.raises(BadImageError):
            check(png[:start] + png[start + length :])


class TestAHugePicture:
    @pytest.mark.parametrize(
        "data",
        [
            made(PNG)[:8]
            + chunk(b"IHDR", WIDE)
            + chunk(b"IDAT", zlib.compress(bytes(1501 * 10_000)))
            + chunk(b"IEND", b""),
            made(PNG)[:8] + chunk(b"IHDR", struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 2, 0, 0, 0)),
            with_segment(made(JPEG), 0xC0, b"\x08\xff\xff\xff\xff\3"),
            webp_head(b"VP8X", bytes(4) + b"\xff\xff\xff" * 2),
            webp_head(b"VP8L", b"\x2f\xff\xff\xff\x0f" + bytes(40)),
            webp_head(b"VP8 ", b"\0\0\0\x9d\x01\x2a\xff\x3f\xff\x3f" + bytes(40)),
        ],
        ids=["png", "png header only", "jpeg", "webp", "webp lossless", "webp lossy"],
    )
    def test_is_refused_before_memory_is_taken(self, data):
        gc.collect()
        tracemalloc.start()
        with pytest.raises(TooLargeError, match="up to 64,000,000 pixels"):
            check(data)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 2**20

    def test_is_refused_as_a_preview_too(self):
        with pytest.raises(TooLargeError):
            preview(made(PNG)[:8] + chunk(b"IHDR", WIDE), 256)


class TestChecking:
    def test_leaves_no_setting_of_pillow_changed(self):
        before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, len(Image.OPEN))
        check(made(PNG))
        assert (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, len(Image.OPEN)) == before

    def test_does_not_depend_on_the_limit_of_pillow(self, monkeypatch):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
        assert check(made(PNG)) == (PNG, 48, 32)
        assert check(made(JPEG)) == (JPEG, 48, 32)

    def test_maps_the_limit_of_pillow_where_webp_obeys_it(self, monkeypatch):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
        with pytest.raises(BadImageError, match="decompression bomb"):
            check(made(WEBP))

    def test_is_done_by_many_threads_at_once(self):
        good = [made(mime) for mime in (PNG, JPEG, WEBP)]
        bad = [data[: len(data) // 2] for data in good]
        barrier = threading.Barrier(8)

        def work(number):
            barrier.wait(10)
            results = []
            for _ in range(20):
                results.append(check(good[number % 3])[1:] == (48, 32))
                with pytest.raises(BadImageError):
                    check(bad[number % 3])
            return all(results)

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(work, range(8)))


class TestAPreview:
    @pytest.mark.parametrize(
        ("mime", "mode"),
        [(PNG, "RGB"), (PNG, "P"), (PNG, "I;16"), (JPEG, "RGB"), (JPEG, "CMYK"), (WEBP, "RGB")],
    )
    def test_of_an_opaque_picture_is_a_small_jpeg(self, mime, mode):
        data, kind = preview(made(mime, mode, (400, 200)), 100)
        assert kind == JPEG
        assert check(data) == (JPEG, 100, 50)

    @pytest.mark.parametrize(("mime", "mode"), [(PNG, "RGBA"), (PNG, "LA"), (WEBP, "RGBA")])
    def test_of_a_transparent_picture_is_a_small_png(self, mime, mode):
        data, kind = preview(made(mime, mode, (200, 400)), 100)
        assert kind == PNG
        assert check(data) == (PNG, 50, 100)
        with Image.open(io.BytesIO(data)) as image:
            assert image.mode == "RGBA"

    def test_keeps_the_transparent_colour_of_a_palette(self):
        out = io.BytesIO()
        image = Image.new("P", (40, 40), 1)
        image.putpalette([255, 0, 0, 0, 255, 0])
        image.paste(0, (0, 0, 20, 20))
        image.save(out, "PNG", transparency=0)
        assert preview(out.getvalue(), 20)[1] == PNG

    def test_of_a_picture_with_an_alpha_channel_nobody_sees_is_a_jpeg(self):
        out = io.BytesIO()
        Image.new("RGBA", (40, 40), (1, 2, 3, 255)).save(out, "PNG")
        assert preview(out.getvalue(), 20)[1] == JPEG

    def test_of_a_small_picture_is_not_larger(self):
        assert check(preview(made(PNG), 512)[0]) == (JPEG, 48, 32)

    def test_of_a_thin_picture_keeps_a_pixel(self):
        assert check(preview(made(PNG, "RGB", (3000, 1)), 100)[0]) == (JPEG, 100, 1)

    def test_of_a_broken_picture_is_refused(self):
        for data in (
            b"",
            made(PNG)[:-30],
            made(JPEG)[:-30],
            made(PNG)[:8] + chunk(b"IHDR", HEADER) + chunk(b"IDAT", b"?") + chunk(b"IEND", b""),
        ):
            with pytest.raises(BadImageError):
                preview(data, 100)

    def test_shows_grey_of_sixteen_bits_as_grey(self):
        image = Image.frombytes("I;16", (2, 1), struct.pack("<HH", 0, 32768))
        out = io.BytesIO()
        image.resize((32, 32), Image.Resampling.NEAREST).save(out, "PNG")
        with Image.open(io.BytesIO(preview(out.getvalue(), 32)[0])) as shown:
            assert shown.getpixel((2, 2))[0] < 8
            assert 120 < shown.getpixel((30, 30))[0] < 136
