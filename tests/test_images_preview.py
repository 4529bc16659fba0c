import io
import struct

import pytest
from PIL import Image, ImageFile

from comet_magic.errors import BadImageError, TooLargeError
from comet_magic.images import check_picture, preview

from .images_made import MOST, chunk, made

PNG, JPEG, WEBP = "image/png", "image/jpeg", "image/webp"
HEADER = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
HUGE = struct.pack(">IIBBBBB", 12_000, 10_000, 1, 0, 0, 0, 0)


def check(data):
    return check_picture(data, max_pixels=MOST)


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

    def test_of_a_huge_picture_is_refused(self):
        with pytest.raises(TooLargeError):
            preview(made(PNG)[:8] + chunk(b"IHDR", HUGE), 256)

    def test_maps_the_limit_of_pillow_where_webp_obeys_it(self, monkeypatch):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
        with pytest.raises(BadImageError, match="decompression bomb"):
            preview(made(WEBP), 16)

    def test_does_not_depend_on_the_limit_of_pillow_otherwise(self, monkeypatch):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
        assert preview(made(PNG), 16)[1] == preview(made(JPEG), 16)[1] == JPEG

    def test_of_a_cut_picture_is_refused_also_if_pillow_was_told_to_bear_it(self, monkeypatch):
        monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
        for mime in (PNG, JPEG, WEBP):
            with pytest.raises(BadImageError):
                preview(made(mime)[: len(made(mime)) * 2 // 3], 16)
