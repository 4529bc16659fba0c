"""The strokes of the mask brush: what they mark, and what is refused."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import comet_magic
from comet_magic.errors import InvalidRequestError
from comet_magic.images.strokes import MOST_NUMBERS, MOST_STROKES, draw_strokes

SIZE = (120, 80)
BOX = {"tool": "box", "points": [10, 20, 40, 60]}
INVERT = {"tool": "invert"}


def line(*points: float, size: float = 10, tool: str = "brush") -> dict[str, Any]:
    return {"tool": tool, "size": size, "points": list(points)}


def test_a_box_marks_its_pixels_and_no_others() -> None:
    mask = draw_strokes([BOX], SIZE)

    assert (mask.mode, mask.size, mask.getbbox()) == ("L", SIZE, (10, 20, 40, 60))
    assert mask.histogram()[255] == 30 * 40


def test_a_box_is_the_same_from_any_corner() -> None:
    assert draw_strokes([{"tool": "box", "points": [40, 60, 10, 20]}], SIZE) == draw_strokes([BOX], SIZE)


def test_one_point_is_a_dot_of_the_brushs_size() -> None:
    mask = draw_strokes([line(60, 40, size=20)], SIZE)

    left, top, right, bottom = mask.getbbox() or (0, 0, 0, 0)
    assert (left, top, right, bottom) == (50, 30, 71, 51)
    assert mask.histogram()[255] == pytest.approx(math.pi * 10**2, rel=0.15)


def test_a_line_joins_its_points() -> None:
    mask = draw_strokes([line(10, 40, 110, 40, size=6)], SIZE)

    assert all(mask.getpixel((x, 40)) == 255 for x in range(10, 110))
    assert mask.getpixel((60, 50)) == 0


def test_erasing_and_inverting_take_away_what_was_marked() -> None:
    erased = draw_strokes([BOX, line(25, 40, size=4, tool="erase")], SIZE)
    inverted = draw_strokes([BOX, INVERT], SIZE)

    assert (erased.getpixel((25, 40)), erased.getpixel((12, 22))) == (0, 255)
    assert (inverted.getpixel((25, 40)), inverted.getpixel((0, 0))) == (0, 255)
    assert draw_strokes([BOX, INVERT, INVERT], SIZE) == draw_strokes([BOX], SIZE)


def test_strokes_far_outside_are_cut_off() -> None:
    assert draw_strokes([line(-1e8, -1e8, size=4)], SIZE).getbbox() is None
    assert draw_strokes([line(60, 40, size=1e8)], SIZE).getpixel((100, 40)) == 255


@pytest.mark.parametrize(
    "strokes",
    [
        None,
        "box",
        {"tool": "box"},
        [None],
        [[]],
        [{}],
        [{"tool": "star", "points": [1, 1]}],
        [{"tool": ["box"], "points": [1, 1, 2, 2]}],
        [{"tool": "brush"}],
        [line()],
        [line(1)],
        [line(1, math.nan)],
        [line(1, math.inf)],
        [line(1, 10**400)],
        [line(1, True)],
        [line(1, 1, size="9")],  # type: ignore[arg-type]
        [line(1, 1, size=math.nan)],
        [{"tool": "box", "points": [1, 2]}],
        [{"tool": "brush", "size": 1, "points": "1,1"}],
        [{"tool": "brush", "size": 1, "points": [[1], [1]]}],
        [line(*[1.0] * (MOST_NUMBERS + 2))],
        [line(*[1.0] * MOST_NUMBERS), line(1, 1)],
        [INVERT] * (MOST_STROKES + 1),
    ],
    ids=lambda strokes: repr(strokes)[:40],
)
def test_what_is_not_strokes_is_refused_in_one_sentence(strokes: object) -> None:
    with pytest.raises(InvalidRequestError, match="brush strokes cannot be read; clear the mask") as refused:
        draw_strokes(strokes, SIZE)

    assert refused.value.param == "mask"


numbers = st.floats() | st.integers() | st.none() | st.text(max_size=2)
messages = st.fixed_dictionaries(
    {"tool": st.sampled_from(["brush", "erase", "box", "invert", "", None])},
    optional={"size": numbers, "points": st.lists(numbers, max_size=6) | numbers},
)


@given(st.lists(messages | numbers, max_size=3))
def test_any_message_is_drawn_or_refused(strokes: list[Any]) -> None:
    try:
        assert draw_strokes(strokes, (32, 16)).size == (32, 16)
    except InvalidRequestError:
        pass


def test_the_browser_stops_at_the_same_number_of_coordinates() -> None:
    script = Path(comet_magic.__file__).parent / "notebook" / "panel" / "brush.js"

    assert re.findall(r"MOST_NUMBERS = (\d+)", script.read_text("utf-8")) == [str(MOST_NUMBERS)]
