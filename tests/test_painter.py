"""Placeholders from words: they show the prompt, the same request gives the same bytes, and no prompt fails."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from itertools import combinations, pairwise
from random import getstate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageFilter, ImageStat

from comet_magic.sandbox import painter

BOAT = "A paper boat floating on calm water at sunrise."
SEEN = """mountains, noon/mountains at night; a lake at sunset/a lake in fog; the sea, noon/the sea in a storm
a street, noon/a street in the snow, noon; a desert at dusk/a forest at dusk; green hills/purple hills
a cup on a table, noon/a cup in a field, noon; a meadow, noon/a house in a meadow, noon; 雪山，晴天/雪山，夜晚
a red balloon, noon/a blue balloon, noon; a balloon, noon/three balloons, noon"""
HOSTILE = ["", " \n\t\0\x07", "🙂🛶🌅", "e\u0301\u200d\ufe0f", "\ud800 boat", "سفينة", "ที่ทะเล", "नाव"]  # fmt: skip


def small(prompt: str, **more) -> Image.Image:
    return painter.paint(prompt, **({"width": 256, "height": 256} | more))


def mean(image: Image.Image, *box: int) -> list[float]:
    return ImageStat.Stat(image.convert("RGB").crop(box or (0, 0, *image.size))).mean


def difference(one: Image.Image, other: Image.Image, *box: int) -> float:
    return sum(mean(ImageChops.difference(one.convert("RGB"), other.convert("RGB")), *box))


def test_the_same_request_gives_the_same_bytes_in_any_thread_and_leaves_the_random_numbers_of_others_alone():
    before = getstate()
    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(painter.encode, pool.map(small, [BOAT] * 8)))) == 1
    assert getstate() == before


def test_the_pictures_of_one_request_differ():
    images = [small(BOAT, position=position) for position in range(4)]
    assert all(difference(one, other) > 6 for one, other in combinations(images, 2))


@pytest.mark.parametrize("size", [(256, 256), (1024, 1536), (1536, 512), (512, 1536), (3840, 2160)])
def test_every_size_is_kept(size):
    assert painter.paint(BOAT, width=size[0], height=size[1]).size == size


def test_a_sunrise_is_warm_and_its_water_is_darker_than_its_sky():
    sky, water = (mean(small(BOAT), 200, top, 240, top + 20) for top in (85, 205))
    assert sky[0] > sky[2] + 30
    assert sum(water) < sum(sky) - 90


@pytest.mark.parametrize("pair", SEEN.replace("\n", "; ").split("; "))
def test_hour_weather_place_colours_and_subjects_of_the_prompt_are_seen(pair):
    assert difference(*map(small, pair.split("/")), 10, 10, 240, 220) > 10


def test_at_night_it_is_darker_and_windows_shine():
    day, night = small("a house in the hills by day"), small("a house in the hills at night")
    assert sum(mean(night, 10, 10, 240, 220)) < sum(mean(day, 10, 10, 240, 220)) * 0.6
    assert max(red - blue for red, _, blue in night.crop((20, 80, 240, 220)).get_flattened_data()) > 60


def test_the_words_of_the_prompt_stand_below_the_scene_beside_a_seal():
    first, longer, other = (small(words) for words in ("qwertz", "qwertz uiop asdf", "qwertp"))
    inked = [sum(image.convert("L").crop((9, 236, 190, 252)).histogram()[:128]) for image in (first, longer)]
    assert 30 < inked[0] * 1.5 < inked[1]
    assert difference(first, other, 9, 236, 190, 252) > 0.5
    red, green, blue = mean(first, 205, 238, 245, 248)
    assert red > max(green, blue) + 40


def test_without_a_font_for_its_script_the_prompt_is_counted_and_never_drawn_in_boxes(tmp_path):
    code = """if True:
        from comet_magic.sandbox import painter
        def label(prompt):
            image = painter.paint(prompt, width=512, height=512, transparent=True)
            return image.crop((30, 480, 480, 504)).tobytes()
        assert label("ሀለሐመሠረሰሸቀበተቸ") == label("一二三四五六七八九十百千") == label("🙂" * 12)
        assert label("一二三四五六七八九十百千万") != label("一二三四五六七八九十百千") != label("12 characters")
    """
    bare = {"PATH": str(tmp_path), "PYTHONPATH": ":".join(sys.path)}  # no fontconfig is found on this path
    subprocess.run([sys.executable, "-c", code], env=bare, check=True)


@pytest.mark.parametrize("prompt", [*HOSTILE, BOAT * 700, "x" * 32_000, "一" * 32_000], ids=range(11))
def test_hostile_prompts_give_pictures(prompt):
    assert small(prompt).mode == "RGB"
    assert small(prompt, transparent=True).mode == "RGBA"


@settings(max_examples=40, deadline=None)
@given(prompt=st.text(), width=st.integers(1, 90), height=st.integers(1, 90), position=st.integers(0, 9))
def test_no_prompt_and_no_size_fails(prompt, width, height, position):
    assert painter.paint(prompt, width=width, height=height, position=position).size == (width, height)


@pytest.mark.parametrize("prompt", ["a red balloon in the mountains", "mountains at sunset"])
@pytest.mark.parametrize("output_format", ["png", "jpeg", "webp"])
def test_a_file_is_of_the_format_asked_for_and_keeps_what_is_transparent(prompt, output_format):
    with Image.open(BytesIO(painter.encode(small(prompt, transparent=True), output_format))) as image:
        assert (image.format, image.size) == (output_format.upper(), (256, 256))
        alpha = image.convert("RGBA").getchannel("A")
    assert alpha.getpixel((2, 2)) == (255 if output_format == "jpeg" else 0)
    assert alpha.crop((100, 60, 150, 200)).getextrema()[1] == 255


def test_compression_is_the_quality():
    for kind in ("jpeg", "webp"):
        lengths = [len(painter.encode(small(BOAT), kind, quality)) for quality in (0, 40, 80, 100)]
        assert lengths == sorted(set(lengths))


def test_previews_are_the_picture_blurred_and_sharpen():
    image, other = small(BOAT), small("the sea at night")
    previews = painter.partials(image, 3)
    assert all(far > near for far, near in pairwise(difference(preview, image) for preview in previews))
    assert difference(previews[0], image.filter(ImageFilter.GaussianBlur(8))) < difference(image, other) / 4
    assert {preview.size for preview in previews} == {image.size}
    assert painter.partials(small("a cat", transparent=True), 1)[0].mode == "RGBA"
