"""Pictures in a cell: variables, elements, paths, boxes; the last one edited; and the code that makes it again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from comet_magic.notebook.arguments import UsageError, read_flags
from comet_magic.notebook.cell_names import input_options
from comet_magic.notebook.flags import flags_of

if TYPE_CHECKING:
    from pathlib import Path

RED, BLUE = Image.new("RGB", (64, 64), "red"), Image.new("RGB", (64, 64), "blue")


def options(
    line: str, variables: dict[str, object] | None = None, newest: object = None
) -> dict[str, object]:
    values, _ = read_flags(line, flags_of("cometimg"), magic="%%cometimg")
    return input_options(values, ({}, variables or {}), newest)  # type: ignore[arg-type]


def test_a_picture_is_a_variable_an_element_or_a_path_and_may_be_repeated(tmp_path: Path) -> None:
    RED.save(tmp_path / "red.png")
    variables = {"boats": [RED, BLUE], "sky": np.ones((64, 64), bool)}

    assert options("--image boats --image boats[1] --image boats[-2] --image red.png", variables)[
        "image"
    ] == [
        [RED, BLUE],
        BLUE,
        RED,
        "red.png",
    ]
    assert options("--image ./x/a.png")["image"] == ["./x/a.png"]
    assert options("--mask sky", variables)["mask"] is variables["sky"]
    assert options("") == {}


@pytest.mark.parametrize("box", ["1,2,30,40", "1, 2, 30, 40", "1.0,2,30,40", "(1, 2, 30, 40)", "[1,2,30,40]"])
def test_a_mask_is_a_box_if_it_is_four_numbers(box: str) -> None:
    assert options(f"--mask '{box}'")["mask"] == (1, 2, 30, 40)


def test_switches_turn_off_what_is_done_unasked() -> None:
    assert options("--no-resize --no-paste-back") == {"resize": False, "paste_back": False}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--image boat", "there is no variable and no file of this name"),
        ("--image boats[7]", "boats has no element [7]"),
        ("--image boats --mask nothing", "--mask is nothing, which is None"),
        ("--image nothing", "--image is nothing, which is None"),
        ("--image nothings[1]", "--image is nothings[1], which is None"),
        ("--image number[0]", "number has no element [0]"),
        ("--edit --image boats[0]", "with --image, leave --edit out"),
        ("--edit", "there is no picture to edit yet"),
    ],
)
def test_what_leads_to_no_picture_is_one_sentence(line: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        options(line, {"boats": [RED], "number": 3, "nothing": None, "nothings": [RED, None]})

    assert words in str(caught.value)


def test_edit_takes_the_last_picture_and_asks_which_one_of_several() -> None:
    assert options("--edit", newest=[RED])["image"] == [[RED]]
    with pytest.raises(UsageError, match="made 2 pictures; name the one to edit"):
        options("--edit", newest=[RED, BLUE])
