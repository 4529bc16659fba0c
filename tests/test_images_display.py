import base64
import gc
import html
import io
import weakref

import pytest
from IPython.core.formatters import DisplayFormatter
from PIL import Image, ImageDraw

from comet_magic.images import Images, bundle, caption
from comet_magic.text import Secret

from .images_made import made, noise, picture, pixels

PNG, JPEG, WEBP = "image/png", "image/jpeg", "image/webp"
PLAIN = "text/plain"


def said(images):
    return " · ".join(caption(images).lines)


def images(*datas, path=None, **facts):
    known = {"prompt": "a paper boat", "model": "gpt-image-2", "cost_micro": 4700, **facts}
    return Images([picture(data, path=path) for data in datas], **known)


@pytest.fixture
def shown():
    """What a kernel would publish for an object."""
    return lambda value: DisplayFormatter(active_types=DisplayFormatter().format_types).format(value)


def kinds(data):
    return sorted(kind for kind in data if kind.startswith("image/"))


def decoded(data):
    (kind,) = kinds(data)
    return base64.b64decode(data[kind], validate=True)


class TestOneOutput:
    @pytest.mark.parametrize("mime", [PNG, JPEG, WEBP])
    @pytest.mark.parametrize("count", [1, 2, 5])
    def test_has_one_picture_in_one_format_and_a_caption(self, shown, mime, count):
        data, metadata = shown(images(*[made(mime)] * count))
        assert len(kinds(data)) == 1
        assert set(data) == {*kinds(data), PLAIN}
        assert set(metadata) == set(kinds(data))

    @pytest.mark.parametrize(("mime", "shown_as"), [(PNG, PNG), (JPEG, JPEG), (WEBP, JPEG)])
    def test_of_a_single_pil_picture_is_the_same(self, shown, mime, shown_as):
        data, _ = shown(images(made(mime))[0])
        assert set(data) == {shown_as, PLAIN}
        assert data[PLAIN] == "gpt-image-2 · 48x32 · $0.0047"

    def test_has_no_html_markdown_or_latex(self, shown):
        evil = Images(
            [picture(made(), revised_prompt="<script>alert(1)</script> $x$ **b**")],
            prompt="<img src=x onerror=alert(1)>\n$x$",
            model="m",
        )
        data, metadata = shown(evil)
        assert set(data) == {PNG, PLAIN}
        assert "script" not in str((data, metadata))
        assert metadata[PNG]["alt"] == "<img src=x onerror=alert(1)> $x$"
        assert "onerror" not in data[PLAIN]

    def test_of_none_is_the_caption(self, shown):
        assert bundle(images()) == ({PLAIN: "gpt-image-2 · no pictures · $0.0047"}, {})
        assert kinds(shown(images())[0]) == []

    def test_holds_the_bytes_of_the_provider_where_they_are_few(self):
        data, metadata = bundle(images(made(PNG)))
        assert decoded(data) == made(PNG)
        assert metadata == {PNG: {"width": 48, "height": 32, "alt": "a paper boat"}}

    def test_is_small_where_they_are_many(self):
        for data in (noise(PNG), noise(PNG, "RGBA"), noise(WEBP)):
            made_small, metadata = bundle(images(data))
            assert len(data) > 300_000
            assert len(decoded(made_small)) <= 300_000
            assert metadata[kinds(made_small)[0]]["width"] == 640

    def test_of_several_small_ones_is_no_wider_than_they_are(self):
        _, metadata = bundle(images(made(PNG, "RGB", (256, 256)), made(PNG, "RGB", (256, 256))))
        assert (metadata[JPEG]["width"], metadata[JPEG]["height"]) == (520, 256)

    def test_is_as_small_as_asked(self):
        for most in (100_000, 20_000):
            assert len(decoded(bundle(images(noise(JPEG)), max_bytes=most)[0])) <= most
        tiny, _ = bundle(images(noise(PNG, "RGBA")), max_bytes=1)
        assert max(pixels(decoded(tiny))[0]) == 128

    def test_keeps_what_can_be_seen_through(self):
        data, _ = bundle(images(noise(PNG, "RGBA")))
        assert kinds(data) == [PNG]

    def test_is_on_the_screen_in_a_size_that_fits(self):
        _, metadata = bundle(images(made(JPEG, "RGB", (1536, 1024))))
        assert (metadata[JPEG]["width"], metadata[JPEG]["height"]) == (640, 427)


class TestInline:
    def test_full_shows_every_byte(self):
        assert decoded(bundle(images(noise(PNG)), inline="full")[0]) == noise(PNG)

    def test_full_of_a_webp_is_as_large_as_it(self):
        data, _ = bundle(images(made(WEBP, "RGB", (1600, 1200))), inline="full")
        assert kinds(data) == [JPEG]
        assert pixels(decoded(data))[0] == (1600, 1200)

    def test_preview_is_small_also_where_it_need_not_be(self):
        data, _ = bundle(images(made(PNG, "RGB", (1600, 1200), compress_level=0)), inline="preview")
        assert kinds(data) == [JPEG]
        assert pixels(decoded(data))[0] == (1024, 768)

    def test_preview_that_would_be_larger_is_the_picture_itself(self):
        single_colour = io.BytesIO()
        Image.new("RGB", (64, 64), "red").save(single_colour, "PNG")
        data, _ = bundle(images(single_colour.getvalue()), inline="preview")
        assert decoded(data) == single_colour.getvalue()

    def test_none_shows_the_caption_only(self):
        assert bundle(images(made()), inline="none") == ({PLAIN: "gpt-image-2 · 48x32 · $0.0047"}, {})


class TestACaption:
    def test_tells_model_size_price_and_file(self, tmp_path):
        one = images(made(), path=str(tmp_path / "cometimg" / "a.png"))
        assert said(one) == "gpt-image-2 · 48x32 · $0.0047 · cometimg/a.png"

    def test_of_several_counts(self):
        several = images(made(), made(), made(PNG, "RGB", (8, 8)), path="/elsewhere/a.png")
        assert (
            said(several) == "gpt-image-2 · 3 pictures several sizes · $0.0047 · /elsewhere/a.png and 2 more"
        )

    def test_is_one_line_without_secrets_or_colours(self):
        key = Secret("sk-proj-1234567890abcdef")
        one = images(
            made(), model=f"gpt\n\x1b[31m{key.reveal()}", notice="sandbox picture:\n set COMETAPI_KEY"
        )
        assert said(one) == "gpt [hidden] · 48x32 · $0.0047 · sandbox picture: set COMETAPI_KEY"

    @pytest.mark.parametrize(
        ("cost", "words"),
        [(0, "$0.00"), (47, "$0.000047"), (4700, "$0.0047"), (1_500_000, "$1.50"), (None, "cost unknown")],
    )
    def test_tells_the_price_as_people_write_it(self, cost, words):
        assert said(images(made(), cost_micro=cost)) == f"gpt-image-2 · 48x32 · {words}"

    def test_of_reused_pictures_says_that_nothing_was_paid(self):
        one = Images([picture(made(), reused=True)], model="m", cost_micro=0)
        assert said(one) == "m · 48x32 · reused (free)"

    def test_of_one_of_several_gives_its_own_price_or_none(self, shown):
        two = Images([picture(made(), cost_micro=100), picture(made())], model="m", cost_micro=250)
        assert shown(two[0])[0][PLAIN] == "m · 48x32 · $0.0001"
        assert shown(two[1])[0][PLAIN] == "m · 48x32"
        assert shown(two)[0][PLAIN] == "m · 2 pictures 48x32 · $0.0002"

    def test_works_where_the_working_folder_is_gone(self, tmp_path, monkeypatch):
        gone = tmp_path / "gone"
        gone.mkdir()
        monkeypatch.chdir(gone)
        gone.rmdir()
        assert said(images(made(), path="/x/a.png")).endswith("/x/a.png")

    def test_is_what_a_terminal_prints(self, shown):
        from IPython.lib.pretty import pretty

        two = images(made(), made())
        assert pretty(two) == "gpt-image-2 · 2 pictures 48x32 · $0.0047"
        assert repr(two) == "<Images: gpt-image-2 · 2 pictures 48x32 · $0.0047>"


class TestWhatWasDoneToAPicture:
    def test_is_shown_where_it_was_done_in_place(self, shown):
        image = images(noise(PNG, size=(200, 200)))[0]
        ImageDraw.Draw(image).rectangle((0, 0, 199, 199), fill="red")
        data, _ = shown(image)
        assert set(data) == {JPEG, PLAIN}
        with Image.open(io.BytesIO(decoded(data))) as seen:
            red, green, blue = seen.getpixel((100, 100))
        assert red > 240
        assert max(green, blue) < 10
        assert data[PLAIN] == "gpt-image-2 · 200x200 · edited"

    @pytest.mark.parametrize("mime", [PNG, JPEG, WEBP])
    def test_is_not_confused_with_looking_at_it(self, shown, mime):
        image = images(made(mime))[0]
        before = shown(image)
        image.getpixel((1, 1))
        image.rotate(3)
        assert shown(image) == before

    def test_in_place_may_change_its_size(self, shown):
        image = images(made(JPEG, "RGB", (400, 300)))[0]
        image.thumbnail((40, 40))
        data, metadata = shown(image)
        assert data[PLAIN].endswith("40x30 · edited")
        assert metadata[JPEG]["width"] == 40

    def test_may_be_that_it_was_closed(self, shown):
        image = images(made(PNG))[0]
        image.load()
        image.close()
        assert decoded(shown(image)[0]) == made(PNG)

    @pytest.mark.parametrize(
        "derive", [Image.Image.copy, lambda image: image.resize((9, 9)), lambda i: i.rotate(9)]
    )
    def test_gives_plain_pictures_otherwise(self, shown, derive):
        derived = derive(images(made())[0])
        assert "_repr_mimebundle_" not in vars(derived)
        assert derived._repr_png_()

    def test_keeps_nothing_alive(self):
        gc.collect()
        gc.disable()
        try:
            several = images(noise(), made())
            references = [weakref.ref(several), *map(weakref.ref, several)]
            several[0].load()
            bundle(several)
            several[0]._repr_mimebundle_()
            del several
            assert [reference() for reference in references] == [None] * 3
        finally:
            gc.enable()

    def test_leaves_a_rendering_that_outlives_it(self):
        image = images(made())[0]
        rendering = image._repr_mimebundle_
        del image
        assert decoded(rendering()[0]) == made()


class TestShownOnce:
    def test_asks_for_the_bundle_unless_the_cell_has_shown_it(self, shown):
        one = images(made())
        with pytest.raises(NotImplementedError):
            one._ipython_display_()
        one._shown = lambda: True
        assert one._ipython_display_() is None
        assert shown(one) == ({}, {})
        one._shown = lambda: False
        assert kinds(shown(one)[0]) == [PNG]


class TestASheet:
    def test_has_all_pictures_in_rows(self):
        red, blue = (Image.new("RGB", (100, 50), colour) for colour in ("red", "blue"))
        files = []
        for image in (red, blue, red):
            out = io.BytesIO()
            image.save(out, "PNG")
            files.append(out.getvalue())
        sheet = images(*files).sheet(width=208)
        assert (sheet.mode, sheet.size) == ("RGB", (208, 108))
        assert [sheet.getpixel(at) for at in ((50, 25), (158, 25), (50, 83), (158, 83), (104, 25))] == [
            (255, 0, 0),
            (0, 0, 255),
            (255, 0, 0),
            (255, 255, 255),
            (255, 255, 255),
        ]

    def test_has_as_many_columns_as_asked(self):
        assert images(*[made()] * 4).sheet(columns=4, width=100).size == (100, 13)
        assert images(*[made()] * 2).sheet(columns=9, width=100).size[0] == 100
        assert images(*[made()] * 30).sheet(width=6).size[0] == 6

    def test_shows_what_can_be_seen_through_on_white(self):
        out = io.BytesIO()
        Image.new("RGBA", (50, 50), (0, 0, 0, 0)).save(out, "PNG")
        assert images(out.getvalue()).sheet(width=50).getpixel((25, 25)) == (255, 255, 255)

    def test_shows_itself_in_one_format(self, shown):
        assert kinds(shown(images(made(), made()).sheet())[0]) == [JPEG]

    def test_mixes_sizes_and_shapes(self):
        sheet = images(made(), made(PNG, "RGB", (10, 300)), made(WEBP, "RGBA")).sheet(width=400)
        assert sheet.width == 400


def test_the_alternative_text_is_short_and_in_one_line():
    long = images(made(), prompt="a\n boat " * 5000)
    alt = bundle(long)[1][PNG]["alt"]
    assert len(alt) == 200
    assert "\n" not in alt
    assert html.escape(alt) == alt
