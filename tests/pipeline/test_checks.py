"""Checks of pictures: what each finds, in pictures whose kind is known, and in a dataset."""

from __future__ import annotations

import io
import random

import pytest
from PIL import Image, ImageChops, ImageDraw, ImageFilter

import comet_magic as cm
from comet_magic import checks
from comet_magic.errors import InvalidRequestError

SIZE = (256, 256)
TABLE = [{"prompt": f"boat {number}", "size": "256x256", "model": "dall-e-2"} for number in range(3)]


def scene(seed: int) -> Image.Image:
    """A picture of overlapping shapes before a sky."""
    chance = random.Random(seed)
    image = Image.linear_gradient("L").resize(SIZE).convert("RGB")
    draw = ImageDraw.Draw(image)
    for _ in range(9):
        left, top = chance.randrange(-40, 220), chance.randrange(-40, 220)
        box = (left, top, left + chance.randrange(30, 120), top + chance.randrange(30, 120))
        colour = tuple(chance.randrange(256) for _ in range(3))
        chance.choice((draw.ellipse, draw.rectangle))(box, fill=colour)
    return image


def recompressed(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=35)
    return Image.open(file)


CHANGES = {
    "resized": lambda image: image.resize((600, 600)).resize((170, 170)),
    "recompressed": recompressed,
    "shifted": lambda image: ImageChops.offset(image, 2, 1),
    "brighter": lambda image: image.point(lambda value: min(255, int(value * 1.15))),
}


def test_near_duplicates_are_told_from_different_pictures() -> None:
    scenes = [scene(seed) for seed in range(40)]
    hits = {
        name: sum(checks.distance(one, change(one)) <= checks.NEAR for one in scenes)
        for name, change in CHANGES.items()
    }
    pairs = [(one, other) for number, one in enumerate(scenes) for other in scenes[:number]]
    hits["different"] = sum(checks.distance(*pair) <= checks.NEAR for pair in pairs)
    for name, count in hits.items():
        print(
            f"{name:13} {count:3} of {len(pairs) if name == 'different' else len(scenes)} called near duplicates"
        )
    assert all(hits[name] >= 38 for name in CHANGES), hits
    assert hits["different"] == 0


def test_the_index_finds_all_that_comparing_each_with_each_finds() -> None:
    chance = random.Random(7)
    first = [chance.getrandbits(64) for _ in range(400)]
    flips = [sum(1 << bit for bit in chance.sample(range(64), number % 9)) for number in range(400)]
    flipped = [value ^ flip for value, flip in zip(first, flips, strict=True)]
    look = checks.near_duplicate.begin()
    for value in first:
        assert look(picture_of(value), {"file_name": f"{value}"}) is None
    for value in flipped:
        near = [one for one in first if (one ^ value).bit_count() <= checks.NEAR]
        assert (look(picture_of(value), {"file_name": "new"}) is not None) == bool(near)


def picture_of(value: int) -> Image.Image:
    """A picture with this hash."""
    lines = bytearray()
    for line in range(8):
        tone = 128
        lines.append(tone)
        for at in range(8):
            tone += -8 if value >> (8 * line + at) & 1 else 8
            lines.append(tone)
    image = Image.frombytes("L", (9, 8), bytes(lines))
    assert checks.dhash(image) == value
    return image


def test_scores_grow_with_darkness_and_blur() -> None:
    image = scene(3)
    dark = [checks.dark(image.point(lambda value, part=part: int(value * part))) for part in (1, 0.6, 0.3, 0)]
    blurred = [checks.blurred(image.filter(ImageFilter.GaussianBlur(radius))) for radius in (0, 1, 3)]
    assert dark == sorted(dark)
    assert dark[-1] == 1
    assert blurred == sorted(blurred)
    assert blurred[0] < 0.6
    assert 0.8 < blurred[-1] <= 1


@pytest.mark.parametrize(
    ("image", "found"),
    [
        (Image.new("RGB", SIZE, "navy"), True),
        (recompressed(Image.new("RGB", SIZE, "navy")), True),
        (Image.new("RGBA", SIZE, (0, 0, 0, 0)), True),
        (Image.new("L", (1, 1)), True),
        (scene(1), False),
    ],
)
def test_a_single_colour_is_blank(image: Image.Image, found: bool) -> None:
    assert checks.blank(image) is found
    assert 0 <= checks.blurred(image) <= 1


def test_a_run_writes_what_checks_find_as_columns_and_rejects_nothing(endpoint, make) -> None:
    def tall(image: Image.Image) -> dict[str, object]:
        return {"ratio": image.width / image.height, "mode": image.mode}

    report = make([*TABLE, TABLE[0]], check=["default", tall])
    frame = report.to_frame()
    assert report.counts["done"] == 4
    assert set(frame.columns) >= {"check_blank", "check_size", "check_duplicate", "check_near_duplicate"}
    assert set(frame.columns) >= {"check_dark", "check_blurred", "check_ratio", "check_mode"}
    assert "check_error" not in frame.columns
    assert [record["check_ratio"] for record in report.records()] == [1.0] * 4


def test_an_error_of_a_check_is_told_and_ends_nothing(make) -> None:
    def broken(image: Image.Image) -> bool:
        raise LookupError(f"no rule for {image.size}")

    report = make(TABLE, check=broken)
    assert {record["check_error"][:26] for record in report.records()} == {"broken: LookupError: no ru"}
    again = report.check(checks.dark)
    assert all("check_error" not in record for record in again.records())
    assert {record["check_dark"] is not None for record in again.records()} == {True}


def test_equal_pictures_name_the_first_of_them(make, tmp_path) -> None:
    report = make([{"prompt": f"boat {number}"} for number in range(3)], check=checks.duplicate)
    first, *others = report.records()
    assert [record["check_duplicate"] for record in others] == [first["file_name"]] * 2
    assert first["check_duplicate"] is None


def test_a_column_of_the_source_keeps_its_values_beside_a_check_of_its_name(make) -> None:
    report = make([{"prompt": "a", "check_dark": "mine"}], check=checks.dark)
    (record,) = report.records()
    assert record["check_dark_source"] == "mine"
    assert isinstance(record["check_dark"], float)


@pytest.mark.parametrize(
    "given", ["bright", ["default", "blank"], 5, [checks.dark, "defaults"], [checks.dark, checks.dark]]
)
def test_other_checks_are_refused_before_anything_is_sent(given, endpoint, make, tmp_path) -> None:
    with pytest.raises(InvalidRequestError, match="check"):
        make(TABLE, check=given)
    assert not (tmp_path / "dataset").exists()


def test_checks_are_public() -> None:
    assert cm.checks is checks
    assert [check.name for check in checks.DEFAULT] == [
        *("blank", "size", "duplicate", "near_duplicate", "dark", "blurred")
    ]
