import gc
import io
import os
import struct
import textwrap
import threading
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from comet_magic.errors import BadImageError, TooLargeError
from comet_magic.images import check_picture, preview

from .images_made import MOST, chunk, made, with_chunk, with_segment
from .processes import run

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
PNG, JPEG, WEBP = "image/png", "image/jpeg", "image/webp"
HEADER = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
WIDE = struct.pack(">IIBBBBB", 12_000, 10_000, 1, 0, 0, 0, 0)


def check(data, max_pixels=MOST):
    return check_picture(data, max_pixels=max_pixels)


def extended(chunks=b"", *, canvas, flags=0):
    """A WEBP with a canvas, and these chunks on it."""
    sides = b"".join((side - 1).to_bytes(3, "little") for side in canvas)
    body = b"WEBPVP8X" + struct.pack("<IB3x", 10, flags) + sides + chunks
    return b"RIFF" + struct.pack("<I", len(body)) + body


def frame(chunks, *, left):
    """The chunk of a frame that begins so many pairs of pixels from the left edge."""
    body = left.to_bytes(3, "little") + bytes(13) + chunks
    return b"ANMF" + struct.pack("<I", len(body)) + body


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

    def test_of_a_file_with_several_is_the_first(self):
        out = io.BytesIO()
        Image.new("RGB", (20, 10), "red").save(
            out, "MPO", save_all=True, append_images=[Image.new("RGB", (40, 30), "blue")]
        )
        assert check(out.getvalue()) == (JPEG, 20, 10)
        assert Image.open(io.BytesIO(preview(out.getvalue(), 64)[0])).size == (20, 10)

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
        with pytest.raises(BadImageError, match="not a PNG, JPEG or WEBP image"):
            check(data)

    def test_need_no_decoder_to_be_checked_and_pictures_neither(self, tmp_path):
        for number, data in enumerate((made(PNG), made(JPEG), made(WEBP), b"GIF89a")):
            (tmp_path / f"{number}").write_bytes(data)
        script = f"""
            import sys
            from pathlib import Path
            from comet_magic.errors import BadImageError
            from comet_magic.formats import check_picture

            for path in sorted(Path({str(tmp_path)!r}).iterdir()):
                try:
                    print(check_picture(path.read_bytes(), max_pixels=10**6)[0])
                except BadImageError:
                    print("PIL" in sys.modules)
        """
        assert run(textwrap.dedent(script)).split() == [PNG, JPEG, WEBP, "False"]


class TestADamagedPicture:
    @pytest.mark.parametrize("mime", [PNG, JPEG, WEBP])
    def test_that_is_cut_anywhere_is_found(self, mime):
        whole = made(mime)
        for length in [*range(12, 64), *range(64, len(whole), 17), len(whole) - 1]:
            with pytest.raises(BadImageError):
                check(whole[:length])

    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (made(PNG)[:32] + b"\0" + made(PNG)[33:], "checksum"),
            (made(PNG)[:60] + bytes([made(PNG)[60] ^ 1]) + made(PNG)[61:], "checksum"),
            (made(PNG)[:8] + chunk(b"iTXt", HEADER) + made(PNG)[8:], "not in its place"),
            (with_chunk(made(PNG), chunk(b"IHDR", HEADER)), "not in its place"),
            (made(PNG)[:8] + chunk(b"IHDR", bytes(13)) + chunk(b"IEND", b""), "no pixels"),
            (made(PNG)[:8] + chunk(b"IHDR", HEADER) + chunk(b"IEND", b""), "no pixels"),
            (made(PNG)[:8] + chunk(b"IHDR", HEADER[:12]) + made(PNG)[33:], "makes no sense"),
            (made(PNG)[:8] + chunk(b"IHDR", HEADER + b"?") + made(PNG)[33:], "makes no sense"),
            (made(PNG)[:8] + chunk(b"IHDR", HEADER[:8] + b"\7\2\0\0\0") + made(PNG)[33:], "makes no sense"),
            (made(PNG)[:8] + chunk(b"IHDR", HEADER[:8] + b"\x08\5\0\0\0") + made(PNG)[33:], "makes no sense"),
            (made(PNG)[:8] + chunk(b"IHDR", HEADER[:8] + b"\x08\2\1\0\0") + made(PNG)[33:], "makes no sense"),
            (made(PNG)[:8] + chunk(b"IHDR", HEADER[:8] + b"\x08\2\0\0\2") + made(PNG)[33:], "makes no sense"),
            (made(PNG)[:-12] + chunk(b"teXt", b"") * 3, "too early"),
            (with_chunk(made(PNG), *[chunk(b"tEXt", b"")] * 70_000), "too many pieces"),
            (made(JPEG)[:20] + b"junk" + made(JPEG)[20:], "a marker is missing"),
            (made(JPEG)[:2] + b"\xff\xd9" + made(JPEG)[2:], "a marker is missing"),
            (b"\xff\xd8" + b"\xff" * 70_000 + made(JPEG)[2:], "too many pieces"),
            (with_segment(made(JPEG), 0xC0, b"\x08\0\x20\0\x30\3\1\x22\0\2\x11\1\3\x11\1"), "two headers"),
            (made(JPEG)[:2] + made(JPEG)[made(JPEG).index(b"\xff\xda") :], "no pixels"),
            (made(JPEG)[:-2] + b"\xff\xda\0\2" * 300 + b"\xff\xd9", "too many scans"),
            (made(JPEG)[:-2] + b"\xff\xc4\0\2" * 70_000 + b"\xff\xd9", "too many pieces"),
            (made(JPEG)[:-2], "too early"),
            (webp_head(b"JUNK", bytes(40)), "no picture"),
            (extended((b"JUNK" + bytes(4)) * 70_000, canvas=(48, 32)), "too many pieces"),
            (webp_head(b"VP8X", bytes(10)), "broken"),
            (webp_head(b"VP8L", b"\x2e" + bytes(40)), "no beginning"),
            (webp_head(b"VP8 ", bytes(46)), "no beginning"),
            (webp_head(b"VP8X", bytes(10)) + made(WEBP)[12:], "no picture"),
            (extended(canvas=(48, 32)), "no picture"),
            (extended(made(WEBP)[12:], canvas=(48, 33)), "two sizes"),
            (extended(made(WEBP)[12:] * 2, canvas=(48, 32)), "2 pictures"),
            (extended(canvas=(48, 32), flags=2), "no picture"),
            (extended(frame(made(WEBP)[12:], left=2), canvas=(48, 32), flags=2), "two sizes"),
            (extended(frame(b"", left=0), canvas=(48, 32), flags=2), "no picture"),
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


class TestChecking:
    @pytest.mark.parametrize(
        "data",
        [
            with_chunk(made(PNG), chunk(b"IDAT", zlib.compress(b"short"))),
            made(PNG)[:8] + chunk(b"IHDR", HEADER) + chunk(b"IDAT", b"no zlib") + chunk(b"IEND", b""),
            made(JPEG).replace(b"\xff\xdb\0C\0", b"\xff\xdb\0C\3"),
            webp_head(b"VP8L", b"\x2f" + bytes(40)),
        ],
        ids=["png of few rows", "png of no zlib", "jpeg without its table", "webp of nothing"],
    )
    def test_looks_at_no_pixel_of_a_whole_container(self, data):
        assert check(data)[0] in (PNG, JPEG, WEBP)
        with pytest.raises(BadImageError):
            preview(data, 16)

    def test_takes_the_first_end_of_a_jpeg_for_its_end(self):
        several = made(JPEG) + made(JPEG)[:100] + b"\xff\xda" * 300
        assert check(several) == (JPEG, 48, 32)

    @pytest.mark.parametrize("mime", [PNG, JPEG, WEBP])
    def test_tolerates_bytes_behind_the_end_whatever_they_are(self, mime):
        for more in (b"\n", made(mime), b"\xff\xda" * 300, bytes(1000)):
            assert check(made(mime) + more) == (mime, 48, 32)

    def test_bears_a_wrong_checksum_of_what_the_picture_does_not_need(self):
        for kind in (b"tEXt", b"gAMA", b"pHYs"):
            damaged = chunk(kind, b"\0\0\0\1\0\0\0\1\0")[:-1] + b"?"
            assert check(with_chunk(made(PNG), damaged)) == (PNG, 48, 32)
            assert preview(with_chunk(made(PNG), damaged), 16)[1] == JPEG

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
