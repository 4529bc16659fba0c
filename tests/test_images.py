import copy
import pickle
import subprocess
import sys
import textwrap
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from comet_magic.errors import BadImageError, ConfigurationError, InvalidRequestError
from comet_magic.images import Images, Picture

from .images_made import made, picture, pixels

ROOT = str(Path(__file__).parent.parent)
PNG, JPEG, WEBP = "image/png", "image/jpeg", "image/webp"
USAGE = {"total_tokens": 272, "input_tokens_details": {"text_tokens": 10}}


@pytest.fixture
def three():
    pictures = [
        picture(made(PNG), path="a.png", revised_prompt="A boat.", request_id="r1", cost=10),
        picture(made(JPEG), path=None, request_id="r1", cost=20),
        picture(made(WEBP), path="c.webp", revised_prompt="Another.", request_id="r2", cost=30),
    ]
    return Images(
        pictures, prompt="a boat", model="gpt-image-2", created=7, usage=USAGE, cost=60, notice="a note"
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

    def test_gives_the_only_picture_or_says_how_many_there_are(self, three):
        with pytest.raises(
            InvalidRequestError, match="there are 3 pictures; image gives the only one"
        ) as caught:
            _ = three.image
        assert caught.value.images is three
        with pytest.raises(InvalidRequestError, match="there are 0 pictures"):
            _ = Images([]).image

    def test_is_the_users_to_change(self, three):
        three.append(Image.new("RGB", (1, 1)))
        three[0] = three[0].rotate(90)
        assert len(three.pictures) == 3
        assert three.data[0] == made(PNG)

    def test_of_a_picture_that_was_never_checked_is_refused_when_it_is_broken(self):
        with pytest.raises(BadImageError):
            Images([Picture(made()[:60], PNG, 48, 32)])


class TestWhatItKnows:
    def test_is_aligned_with_the_pictures(self, three):
        assert three.data == (made(PNG), made(JPEG), made(WEBP))
        assert three.mime_types == (PNG, JPEG, WEBP)
        assert three.paths == ("a.png", None, "c.webp")
        assert three.revised_prompts == ("A boat.", None, "Another.")
        assert three.request_ids == ("r1", "r1", "r2")
        assert (three.prompt, three.model, three.created, three.usage) == ("a boat", "gpt-image-2", 7, USAGE)
        assert three.notice == "a note"

    def test_counts_money_in_millionths(self, three):
        assert three.cost == 60
        assert three.cost_usd == 0.00006
        assert Images([]).cost is None
        assert Images([]).cost_usd is None

    def test_takes_a_price_where_both_ends_meet(self):
        @dataclass(frozen=True)
        class Ends:
            low: int | None
            high: int | None

        assert Images([], cost=Ends(5, 5)).cost == 5
        assert Images([], cost=Ends(5, 6)).cost is None
        assert Images([], cost=Ends(None, None)).cost is None

    def test_can_get_one_more_sentence(self, three):
        noted = three.with_notice("sandbox picture: set COMETAPI_KEY for real ones")
        assert repr(noted).endswith("· sandbox picture: set COMETAPI_KEY for real ones>")
        assert facts(noted.with_notice("a note")) == facts(three)

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
        assert three[:2].cost == 30
        assert three[:].cost == 60
        assert three[3:].cost == 0
        unknown = Images([picture(made()), picture(made(JPEG), cost=1)], cost=9)
        assert unknown[:1].cost is None
        assert unknown[1:].cost == 1
        assert unknown[::-1].cost == 9

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
        assert list(frame["cost"]) == [10, 20, 30]
        assert list(frame["size"]) == ["48x32"] * 3
        assert frame["path"].tolist()[0] == "a.png"

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
