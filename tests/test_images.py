import base64
import copy
import io
import pickle
import struct
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from comet_magic.errors import BadImageError, ConfigurationError, InvalidRequestError
from comet_magic.images import Images, Picture, bundle, check_picture, decoded, read_metadata

from .images_made import MOST, chunk, file_of, made, noise, picture, pixels
from .processes import run

ROOT = str(Path(__file__).parent.parent)
PNG, JPEG, WEBP = "image/png", "image/jpeg", "image/webp"
USAGE = {"total_tokens": 272, "input_tokens_details": {"text_tokens": 10}}


@pytest.fixture
def three():
    pictures = [
        picture(made(PNG), path="a.png", revised_prompt="A boat.", request_id="r1", cost_micro=10),
        picture(made(JPEG), path=None, request_id="r1", cost_micro=20),
        picture(made(WEBP), path="c.webp", revised_prompt="Another.", request_id="r2", cost_micro=30),
    ]
    return Images(
        pictures, prompt="a boat", model="gpt-image-2", created=7, usage=USAGE, cost_micro=60, notice="a note"
    )


def facts(images):
    return (
        images.prompt,
        images.model,
        images.created,
        images.usage,
        images.cost,
        images.notice,
        images.pictures,
    )


class TestTheList:
    @pytest.mark.parametrize("wrong", ["boat.png", None, b"x", np.zeros((9, 9, 3), np.uint8), [], Images()])
    @pytest.mark.parametrize(
        "put",
        [
            lambda images, wrong: images.append(wrong),
            lambda images, wrong: images.extend([images[0], wrong]),
            lambda images, wrong: images.insert(0, wrong),
            lambda images, wrong: images.__setitem__(0, wrong),
            lambda images, wrong: images.__setitem__(slice(0, 1), [wrong]),
            lambda images, wrong: images.__iadd__([wrong]),
        ],
    )
    def test_refuses_what_is_no_picture_and_keeps_those_that_it_has(self, three, tmp_path, put, wrong):
        before = facts(three)

        with pytest.raises(InvalidRequestError, match="Images holds PIL pictures; this is of type"):
            put(three, wrong)

        assert facts(three) == before
        assert len(three.save(f"{tmp_path}/")) == 3

    def test_adds_in_place_the_pictures_of_another_list(self, three):
        paths = three.paths
        three += three[:1]

        assert three.paths == (*paths, paths[0])
        assert isinstance(three, Images)

    def test_holds_pil_pictures_in_order(self, three):
        assert isinstance(three, list)
        assert len(three) == 3
        assert all(isinstance(image, Image.Image) for image in three)
        assert [image.format for image in three] == ["PNG", "JPEG", "WEBP"]
        for image, data in zip(three, three.data, strict=True):
            assert (image.size, image.convert("RGBA").tobytes()) == pixels(data)

    def test_works_with_what_expects_pil(self, three):
        assert np.asarray(three[0]).shape == (32, 48, 3)
        assert three[1].resize((4, 4)).size == (4, 4)
        assert three[2].rotate(90, expand=True).size == (32, 48)

    def test_is_of_one_picture_also_a_list(self):
        one = Images([picture(made())])
        assert one.image is one[0]

    def test_gives_the_only_picture_also_if_it_is_the_users_own(self):
        images = Images()
        images.append(Image.new("RGB", (3, 3)))
        assert images.image is images[0]

    def test_gives_the_only_picture_or_says_how_many_there_are(self, three):
        with pytest.raises(
            InvalidRequestError, match="there are 3 pictures; image gives the only one"
        ) as caught:
            _ = three.image
        assert caught.value.images is three
        with pytest.raises(InvalidRequestError, match="there are 0 pictures"):
            _ = Images([]).image

    def test_reaches_no_decoder_but_three(self, tmp_path):
        for number, mime in enumerate((PNG, JPEG, WEBP)):
            (tmp_path / str(number)).write_bytes(made(mime))
        script = f"""
            import sys
            from pathlib import Path
            from comet_magic.images import Images, Picture, check_picture

            for path in sorted(Path({str(tmp_path)!r}).iterdir()):
                data = path.read_bytes()
                Images([Picture(data, *check_picture(data, max_pixels=10**6))])[0].load()
            print(*sorted(name for name in sys.modules if name.endswith("ImagePlugin")))
        """
        decoders = ["PIL.JpegImagePlugin", "PIL.PngImagePlugin", "PIL.WebPImagePlugin"]
        assert run(textwrap.dedent(script)).split() == decoders


def shade(level):
    """The bytes of a picture of one grey."""
    return file_of(Image.new("RGB", (8, 8), (level,) * 3), PNG)


def level(image):
    return image.convert("L").getpixel((0, 0))


def saved(images, folder):
    """The shades of the pictures as they were saved, in their order."""
    levels = []
    for path in images.save(f"{folder}/{len(list(folder.iterdir()))}/"):
        with Image.open(path) as image:
            levels.append(level(image))
    return levels


CHANGES = {
    "pop": lambda images: images.pop(0),
    "pop of the last": lambda images: images.pop(),
    "remove": lambda images: images.remove(images[1]),
    "del": lambda images: images.__delitem__(1),
    "del of a slice": lambda images: images.__delitem__(slice(0, 3, 2)),
    "reverse": lambda images: images.reverse(),
    "sort": lambda images: images.sort(key=level, reverse=True),
    "clear": lambda images: images.clear(),
    "insert": lambda images: images.insert(0, images[2]),
    "insert of the user's own": lambda images: images.insert(1, Image.new("RGB", (8, 8), (7, 7, 7))),
    "append": lambda images: images.append(Image.new("CMYK", (8, 8))),
    "replacing one": lambda images: images.__setitem__(1, images[1].point(lambda value: value // 2)),
    "replacing a slice": lambda images: images.__setitem__(slice(1, 3), [images[0]]),
    "extend": lambda images: images.extend(Images([picture(shade(200), path="d.png")], prompt="other")),
    "+=": lambda images: images.__iadd__(images[:1]),
    "*=": lambda images: images.__imul__(2),
    "drawing on one": lambda images: images[1].paste((9, 9, 9), (0, 0, 8, 8)),
    "making one smaller": lambda images: images[0].thumbnail((4, 4)),
}


@pytest.fixture(params=CHANGES)
def changed(request):
    """Three shades of grey from a call, after something was done to their list."""
    images = Images(
        [picture(shade(10 * n), path=f"{n}.png", request_id=f"r{n}", cost_micro=n) for n in (1, 2, 3)],
        prompt="a boat",
        cost_micro=6,
    )
    CHANGES[request.param](images)
    return images


class TestAChangedList:
    """The facts of a picture follow it, so that a list tells and saves what it shows, whatever was done to it."""

    def test_saves_what_it_shows(self, changed, tmp_path):
        assert saved(changed, tmp_path) == [level(image) for image in changed]

    def test_saves_what_its_slices_show(self, changed, tmp_path):
        for part in (changed[:1], changed[1:], changed[::-1], changed[::2]):
            assert saved(part, tmp_path) == [level(image) for image in part]

    def test_keeps_its_facts_aligned(self, changed):
        for number, image in enumerate(changed):
            path, request_id = changed.paths[number], changed.request_ids[number]
            before = level(Image.open(io.BytesIO(changed.data[number])))
            if path not in (None, "d.png"):
                assert (path, request_id) == (f"{before // 10}.png", f"r{before // 10}")
            elif path is None:
                assert (request_id, before) == (None, level(image))
        lengths = {
            len(aligned) for aligned in (changed.data, changed.paths, changed.mime_types, changed.pictures)
        }
        assert lengths == {len(changed)}
        assert list(changed.to_frame()["image"]) == list(changed)

    def test_shows_on_its_sheet_what_it_holds(self, changed):
        if changed:
            sheet = changed.sheet(columns=1, width=40)
            middles = [level(sheet.crop((20, 48 * n + 20, 21, 48 * n + 21))) for n in range(len(changed))]
            assert middles == pytest.approx([level(image) for image in changed], abs=2)

    @pytest.mark.parametrize(
        "duplicate",
        [copy.copy, copy.deepcopy, lambda images: pickle.loads(pickle.dumps(images)), Images.copy],
    )
    def test_has_copies_that_show_save_and_tell_the_same(self, changed, duplicate, tmp_path):
        again = duplicate(changed)
        assert saved(again, tmp_path) == [level(image) for image in changed]
        assert (again.cost, again.request_ids) == (changed.cost, changed.request_ids)
        assert [level(image) for image in again] == [level(image) for image in changed]

    def test_costs_what_its_pictures_cost(self, changed):
        costs = dict(zip(changed.paths, changed.to_frame()["cost"], strict=True))
        assert costs.pop(None, 0) == 0
        if "d.png" not in costs:
            assert changed.cost == pytest.approx(sum(costs.values()))

    def test_makes_plain_lists_by_plus_and_times(self, changed):
        for plain in (changed + changed, changed * 2):
            assert type(plain) is list
            assert Images.__iadd__(Images(), plain).paths == changed.paths * 2

    def test_tells_in_each_file_how_that_picture_was_made(self, tmp_path):
        images = Images([picture(shade(10))], prompt="a boat")
        images += Images([picture(shade(20))], prompt="a train")
        images.append(Image.new("RGB", (8, 8)))
        prompts = [read_metadata(path).get("prompt") for path in images.save(tmp_path / "new/")]
        assert prompts == ["a boat", "a train", None]
        told = images.to_frame()["prompt"]
        assert list(told[:2]) == ["a boat", "a train"]
        assert told.isna().tolist() == [False, False, True]


def damaged(path=None):
    """A picture with a whole container whose pixels cannot be decoded."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0))
    png = made()[:8] + header + chunk(b"IDAT", b"no zlib") + chunk(b"IEND", b"")
    return picture(png, path=path)


def unopened(path=None):
    """A picture that Pillow does not even open."""
    return Picture(made()[:60], PNG, 48, 32, path=path)


def another(path=None):
    """A picture of another kind than its record says."""
    return Picture(made(JPEG), PNG, 48, 32, path=path)


def resized(path=None):
    """A picture of another size than its record says."""
    return Picture(made(), PNG, 480, 32, path=path)


def unknown(path=None):
    """A picture of a kind that is not opened."""
    return Picture(b"<svg/>", "image/svg+xml", 48, 32, path=path)


@pytest.mark.parametrize("make", [damaged, unopened, another, resized, unknown])
class TestADamagedPicture:
    def test_is_delivered_with_its_bytes_and_saved(self, make, tmp_path):
        images = Images([make("a.png"), picture(made())])
        assert (images.data[0], images.paths) == (make().data, ("a.png", None))
        if make is unknown:
            return
        first, second = images.save(tmp_path, metadata=False)
        assert first.read_bytes() == make().data
        assert second.read_bytes() == made()
        assert images[0].size == (make().width, make().height)
        assert pickle.loads(pickle.dumps(images)).data == images.data

    def test_is_told_with_its_file_when_its_pixels_are_needed(self, make):
        images = Images([make("images/ab/a.png")])
        for look in (
            lambda: images.image,
            lambda: images.image,
            images.sheet,
            lambda: decoded(images.pictures[0], 16),
        ):
            with pytest.raises(BadImageError, match=r"the picture images/ab/a\.png is broken: ") as caught:
                look()
            assert caught.value.__context__ is None

    def test_is_an_error_of_pillow_when_pillow_is_asked(self, make):
        images = Images([make("a.png")])
        with pytest.raises(OSError, match=r"broken|truncated|cannot"):
            images[0].load()
        with pytest.raises(BadImageError, match=r"a\.png"):
            _ = images.image
        assert "a.png is broken: " in bundle(images, inline="preview")[0]["text/plain"]
        assert images.data[0] == make().data

    def test_is_told_in_the_caption_where_a_preview_is_needed(self, make):
        for images in (Images([make("a.png")]), Images([picture(made()), make("a.png")])):
            data, metadata = bundle(images, inline="preview")
            assert (set(data), metadata) == ({"text/plain"}, {})
            assert "the picture a.png is broken: " in data["text/plain"]

    def test_has_a_caption_and_is_shown_as_it_came_if_it_is_small(self, make):
        images = Images([make()], model="m")
        assert repr(images).startswith("<Images: m · ")
        if make is not unknown:
            assert base64.b64decode(bundle(images)[0][PNG]) == make().data


@pytest.fixture
def decodes(monkeypatch):
    """How often Pillow has decoded a picture."""
    counted = []
    decoder = Image._getdecoder

    def counting(*arguments):
        counted.append(1)
        return decoder(*arguments)

    monkeypatch.setattr(Image, "_getdecoder", counting)
    return counted


@pytest.mark.parametrize("mime", [PNG, JPEG, WEBP])
class TestPixels:
    def test_are_not_decoded_before_somebody_needs_them(self, decodes, mime, tmp_path):
        data = made(mime)
        images = Images([Picture(data, *check_picture(data, max_pixels=MOST), path="a.png")])
        assert repr(images)
        assert (images[0].size, images[0].mode, images.data) == ((48, 32), "RGB", (data,))
        images.save(tmp_path)
        copy.deepcopy(images)[:1].with_notice("a note")
        if mime != WEBP:  # which notebooks do not show
            bundle(images)
        assert decodes == []

    def test_are_decoded_once_for_all_who_need_them(self, decodes, mime, tmp_path):
        images = Images([picture(made(mime))])
        images.image.rotate(90)
        bundle(images, inline="preview")
        bundle(images, inline="full")
        images[0]._repr_mimebundle_()
        images.sheet(width=20)
        images.save(tmp_path)
        assert decodes == [1]


class TestWhatItKnows:
    def test_is_aligned_with_the_pictures(self, three):
        assert three.data == (made(PNG), made(JPEG), made(WEBP))
        assert three.mime_types == (PNG, JPEG, WEBP)
        assert three.paths == ("a.png", None, "c.webp")
        assert three.revised_prompts == ("A boat.", None, "Another.")
        assert three.request_ids == ("r1", "r1", "r2")
        assert (three.prompt, three.model, three.created, three.usage) == ("a boat", "gpt-image-2", 7, USAGE)
        assert three.notice == "a note"

    def test_tells_money_in_dollars_under_its_former_name_too(self, three):
        assert three.cost == three.cost_usd == 0.00006
        assert Images([]).cost is None

    def test_can_get_one_more_sentence(self, three):
        noted = three.with_notice("sandbox picture: set COMETAPI_KEY for real ones")
        assert repr(noted).endswith("sandbox picture: set COMETAPI_KEY for real ones>")
        assert noted.notice == "a note; sandbox picture: set COMETAPI_KEY for real ones"
        assert facts(three.with_notice("")) == facts(three)

    def test_of_a_picture_has_its_checksum(self):
        assert picture(b"" + made()).sha256 == picture(made()).sha256 != picture(made(JPEG)).sha256
        assert replace(picture(made()), sha256="given").sha256 == "given"

    def test_is_not_all_bytes_when_printed(self):
        assert "IHDR" not in repr(picture(made()))


class TestASlice:
    def test_is_images_again(self, three):
        part = three[1:]
        assert isinstance(part, Images)
        assert part.pictures == three.pictures[1:]
        assert (part.prompt, part.model, part.usage) == (three.prompt, three.model, three.usage)
        assert part[0] is three[1]
        assert three[-1] is three[2]

    def test_costs_what_its_pictures_cost(self, three):
        assert three[:2].cost == 0.00003
        assert three[:].cost == 0.00006
        assert three[3:].cost == 0
        unknown = Images([picture(made()), picture(made(JPEG), cost_micro=1)], cost_micro=9)
        assert unknown[:1].cost is None
        assert unknown[1:].cost == 0.000001
        assert unknown[::-1].cost == 0.000009

    def test_keeps_what_the_user_put_in_place(self, three):
        three[1] = Image.new("RGB", (3, 3))
        assert three[1:][0].size == (3, 3)

    def test_of_all_is_a_copy(self, three):
        assert three.copy() == three
        assert isinstance(three.copy(), Images)


class TestACopy:
    @pytest.mark.parametrize(
        "duplicate",
        [
            copy.copy,
            copy.deepcopy,
            *(lambda value, p=p: pickle.loads(pickle.dumps(value, p)) for p in range(2, 6)),
        ],
    )
    def test_keeps_pictures_and_facts(self, three, duplicate):
        three._shown = lambda: True
        three[0].load()
        again = duplicate(three)
        assert type(again) is Images
        assert facts(again) == facts(three)
        assert [image.tobytes() for image in again] == [image.tobytes() for image in three]
        assert again._shown is None

    def test_in_another_process_needs_no_more_than_the_pickle(self, three, tmp_path):
        (tmp_path / "three.pickle").write_bytes(pickle.dumps(three))
        script = """
            import pickle
            three = pickle.load(open("three.pickle", "rb"))
            import sys
            print(type(three).__name__, three.prompt, [image.size for image in three], "IPython" in sys.modules)
        """
        done = subprocess.run(
            [sys.executable, "-W", "error::UserWarning", "-c", textwrap.dedent(script)],
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
            env={"PYTHONPATH": ROOT},
        )
        assert done.stdout.strip() == "Images a boat [(48, 32), (48, 32), (48, 32)] False"

    @pytest.mark.parametrize("index", range(3))
    def test_of_a_picture_alone_is_plain_pil(self, three, index):
        for plain in (three[index].copy(), copy.copy(three[index]), pickle.loads(pickle.dumps(three[index]))):
            assert plain.tobytes() == three[index].tobytes()
            assert "_repr_mimebundle_" not in vars(plain)


class TestAPictureInPrintingColours:
    """Some models answer with a CMYK JPEG; its pixels are RGB, its bytes stay as they came."""

    @pytest.fixture
    def printed(self):
        pure_red = Image.new("CMYK", (640, 480), (0, 255, 255, 0))
        data = file_of(pure_red, JPEG, icc_profile=b"a profile of printing colours")
        return data, Images([picture(data)])

    @pytest.mark.parametrize(
        "look",
        [
            lambda image: image,
            lambda image: image.copy(),
            lambda image: pickle.loads(pickle.dumps(image)),
            copy.deepcopy,
            lambda image: image.resize((8, 8)),
            lambda image: image.crop((0, 0, 8, 8)),
            lambda image: image.thumbnail((8, 8)) or image,
            lambda image: Image.fromarray(np.asarray(image)),
        ],
    )
    def test_is_rgb_however_one_looks_at_it(self, printed, look):
        data, images = printed
        assert images[0].mode == "RGB"
        seen = look(images[0])
        assert (seen.mode, seen.getpixel((1, 1))) == ("RGB", (255, 0, 0))
        assert images.data == (data,)

    def test_is_saved_as_it_came_or_as_png(self, printed, tmp_path):
        data, images = printed
        (path,) = images.save(tmp_path / "as-it-came.jpg", metadata=False)
        images[0].save(tmp_path / "screen.png")
        assert path.read_bytes() == data
        with Image.open(tmp_path / "screen.png") as saved:
            assert (saved.mode, saved.info.get("icc_profile")) == ("RGB", None)

    def test_that_is_damaged_says_so_each_time(self):
        data = noise(JPEG, "CMYK", (64, 64))
        image = Images([Picture(data[: len(data) // 2], JPEG, 64, 64)])[0]
        for _ in range(2):
            with pytest.raises(OSError, match="truncated"):
                image.load()
        assert image.mode == "RGB"

    def test_in_a_pickle_it_is_a_picture_of_pillows(self, printed):
        _, images = printed
        assert b"comet_magic" not in pickle.dumps(images[0])


class TestAFrame:
    def test_has_a_row_for_each_picture(self, three):
        frame = three.to_frame()
        assert isinstance(frame, pd.DataFrame)
        assert list(frame.columns) == [
            "image",
            "prompt",
            "model",
            "size",
            "cost",
            "revised_prompt",
            "request_id",
            "path",
            "sha256",
        ]
        assert list(frame["image"]) == list(three)
        assert list(frame["cost"]) == [0.00001, 0.00002, 0.00003]
        assert list(frame["size"]) == ["48x32"] * 3
        assert frame["path"].tolist()[0] == "a.png"

    @pytest.mark.parametrize(
        "derive",
        [
            lambda frame: frame,
            lambda frame: frame.head(2),
            lambda frame: frame[["revised_prompt"]],
            lambda frame: frame.assign(more=1).sort_values("revised_prompt"),
            lambda frame: pd.concat([frame, frame]).merge(frame, on="revised_prompt"),
        ],
    )
    def test_shows_text_of_a_server_as_it_is_written_not_as_a_formula(self, derive):
        images = Images([picture(made(PNG), revised_prompt=r"$\color{red}{x}$ \(y\)")])
        shown = derive(images.to_frame())
        for table in (shown._repr_html_(), shown.to_html()):
            assert "mathjax_ignore" in table
            assert "$\\color" in table
        assert pd.get_option("display.html.use_mathjax")

    def test_of_no_pictures_has_its_columns(self):
        assert list(Images([]).to_frame().columns)[:2] == ["image", "prompt"]
        assert len(Images([]).to_frame()) == 0

    def test_without_pandas_says_what_to_install(self, three, monkeypatch):
        monkeypatch.setitem(sys.modules, "pandas", None)
        with pytest.raises(ConfigurationError, match="pandas is not installed") as caught:
            three.to_frame()
        assert "comet-magic[data]" in caught.value.hint
        assert caught.value.__context__ is None


class TestASheet:
    @pytest.mark.parametrize(
        ("count", "columns", "width"), [(0, None, 100), (2, -1, 100), (2, 0, 100), (2, 20, 10), (1, 1, 0)]
    )
    def test_that_has_no_room_is_refused(self, count, columns, width):
        with pytest.raises(InvalidRequestError, match="it takes at least one picture and a pixel for each"):
            Images([picture(made())] * count).sheet(columns, width)


def test_the_module_is_there_without_pillow(tmp_path):
    script = "import sys, comet_magic.images as i; i.Images([]); print('PIL' in sys.modules, 'pandas' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env={"PYTHONPATH": ROOT}
    )
    assert done.stdout.split() == ["False", "False"]
