"""Pictures from words: the same for the same request, and for any request at all."""

from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from io import BytesIO
from itertools import combinations, pairwise
from random import getstate

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageStat

from comet_magic.sandbox import painter
from comet_magic.sandbox.painter import vocabulary
from comet_magic.sandbox.painter.cast import actors
from comet_magic.sandbox.painter.palette import HOURS
from comet_magic.sandbox.painter.scene import LANDS
from comet_magic.sandbox.painter.subjects import RIDERS, SEATS, SUBJECTS
from comet_magic.sandbox.painter.words import read

BOAT = "A paper boat floating on calm water at sunrise."
WORDS = [
    word
    for table in (
        vocabulary.HOURS,
        vocabulary.WEATHER,
        vocabulary.LANDS,
        vocabulary.SUBJECTS,
        vocabulary.COLOURS,
        vocabulary.COUNTS,
        vocabulary.STYLES,
    )
    for words in table.values()
    for word in words.split(",")
]

COLOURS = {"": "", **{colour: words.split(",")[0] for colour, words in vocabulary.COLOURS.items()}}


def small(prompt: str, **more) -> Image.Image:
    return painter.paint(prompt, **({"width": 96, "height": 96} | more))


def colour(image: Image.Image, *box: float) -> list[float]:
    """The mean colour of a part, given in shares of the width and height."""
    width, height = image.size
    part = image.crop((int(box[0] * width), int(box[1] * height), int(box[2] * width), int(box[3] * height)))
    return ImageStat.Stat(part.convert("RGB")).mean


def difference(one: Image.Image, other: Image.Image) -> float:
    return sum(ImageStat.Stat(ImageChops.difference(one.convert("RGB"), other.convert("RGB"))).mean)


def names(prompt: str) -> list[str]:
    return [mention.name for mention in read(prompt).subjects]


# What is painted


def test_the_same_request_gives_the_same_bytes_in_any_thread():
    with ThreadPoolExecutor(4) as pool:
        prints = {sha256(data).digest() for data in pool.map(painter.encode, pool.map(small, [BOAT] * 8))}
    assert len(prints) == 1


def test_the_dice_of_others_are_left_alone():
    before = getstate()
    small("a storm at sea")
    assert getstate() == before


def test_the_pictures_of_one_request_differ():
    images = [small(BOAT, position=position) for position in range(4)]
    assert all(difference(one, other) > 6 for one, other in combinations(images, 2))


def test_other_words_for_the_same_thing_give_another_picture():
    assert difference(small("a cat in a field"), small("a kitten in a meadow")) > 1


def test_a_sunrise_is_warm_at_the_horizon_and_its_water_is_cool_and_dark():
    image = small(BOAT, width=256, height=256)
    red, _, blue = colour(image, 0.85, 0.46, 1, 0.53)
    assert red > blue + 40
    assert sum(colour(image, 0, 0.9, 0.3, 1)) < sum(colour(image, 0, 0.46, 1, 0.53)) - 150


def test_a_night_is_darker_than_a_day():
    assert (
        sum(colour(small("mountains at night"), 0, 0, 1, 1))
        < sum(colour(small("mountains by day"), 0, 0, 1, 1)) * 0.6
    )


def test_windows_shine_at_night():
    image = small("a house in the snow at night", width=256, height=256)
    assert max(pixel[0] - pixel[2] for pixel in image.get_flattened_data()) > 60


@pytest.mark.parametrize(
    "size", [(256, 256), (1024, 1536), (1536, 512), (512, 1536), (3840, 2160), (2048, 2048)]
)
def test_every_size_is_kept(size):
    assert painter.paint(BOAT, width=size[0], height=size[1]).size == size


@pytest.mark.parametrize("land", LANDS)
def test_every_land_is_painted_at_every_hour(land):
    prompts = [word for word in vocabulary.LANDS.get(land, "").split(",") if word] or {
        "harbour": ["a city by the water"],
        "snowy mountains": ["snow in the mountains"],
    }[land]
    for number, hour in enumerate(HOURS):
        prompt = f"{prompts[0]} {vocabulary.HOURS[hour].split(',')[0]}"
        assert read(prompt).hour == hour
        image = small(prompt, position=number)
        assert max(ImageStat.Stat(image.convert("L")).stddev) > 5


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_every_subject_has_words_and_is_painted_into_its_scene(subject):
    assert names(subject.name) == [subject.name]
    assert read(subject.name).land in LANDS
    alone = small(subject.name, transparent=True, label="")
    assert 0.05 < ImageStat.Stat(alone.getchannel("A")).mean[0] / 255 < 0.9
    without = f"{read(subject.name).land} {read(subject.name).hour}"
    assert difference(small(subject.name), small(without)) > 2


def test_the_words_belong_to_subjects_that_can_be_painted():
    assert set(vocabulary.SUBJECTS) == {subject.name for subject in SUBJECTS}
    assert set(vocabulary.HOURS) == set(HOURS)
    assert set(vocabulary.LANDS) <= set(LANDS)
    assert set(SEATS) | RIDERS <= set(vocabulary.SUBJECTS)


def test_weather_lies_over_the_scene():
    plain = small("a meadow by day, windmill")
    assert plain.size == (96, 96)
    for word in ("rain", "snowfall", "rainbow", "northern lights", "mist"):
        assert read(f"a meadow by day, windmill, {word}").weather
        small(f"a meadow by day, windmill, {word}")


def test_no_known_word_gives_a_composition_of_shapes():
    assert len(small("qwertz uiop", width=256, height=256).convert("RGB").quantize(16).getcolors()) > 4
    assert read("qwertz uiop").abstract


def test_the_word_in_the_corner_is_legible_on_light_and_on_dark():
    for prompt in ("snow by day", "outer space"):
        with_word, without = (
            painter.paint(prompt, width=512, height=512, label=label) for label in ("sandbox", "")
        )
        box = ImageChops.difference(with_word, without).getbbox()
        assert box is not None
        assert box[0] > 512 * 0.8
        assert box[1] > 512 * 0.9
        low, high = with_word.crop(box).convert("L").getextrema()
        assert high - low > 120


def test_the_label_can_be_any_word_or_none():
    assert difference(small("", label="sandbox"), small("", label="other")) > 0


# Transparent


def test_a_transparent_picture_holds_the_subject_alone():
    image = small("a red balloon in the mountains", transparent=True)
    assert image.mode == "RGBA"
    assert image.getpixel((2, 2))[3] == 0
    assert image.getchannel("A").getextrema() == (0, 255)


def test_edges_of_a_transparent_picture_have_no_dark_fringe():
    image = small("a snowman", width=256, height=256, transparent=True, label="")
    pale = [pixel for pixel in image.crop((0, 160, 256, 256)).get_flattened_data() if 60 < pixel[3] < 200]
    assert pale
    assert min(min(pixel[:3]) for pixel in pale) > 150


def test_a_transparent_landscape_is_a_round_badge():
    image = small("mountains at sunset", width=128, height=96, transparent=True, label="")
    assert image.getpixel((64, 48))[3] == 255
    assert image.getpixel((64 - 46, 48 - 46))[3] == 0


def test_several_transparent_subjects_share_the_room():
    one, three = (
        small(f"{count} apples", width=192, transparent=True, label="") for count in ("one", "three")
    )
    assert one.getchannel("A").getbbox()[2] - one.getchannel("A").getbbox()[0] < 110
    assert three.getchannel("A").getbbox()[2] - three.getchannel("A").getbbox()[0] > 140


# What a prompt asks for


@pytest.mark.parametrize(
    ("prompt", "meant"),
    [
        (BOAT, "1 paper boat; water; sunrise"),
        ("一只纸船漂浮在平静的水面上，日出", "1 paper boat; water; sunrise"),
        ("暴风雨中的灯塔", "1 lighthouse; sea; storm"),
        ("夜晚的上海，霓虹灯", "city; night"),
        ("雪山，晴天", "mountains; day"),
        ("a black cat and two red cars in the desert at dusk", "1 black cat; 2 red car; desert; sunset"),
        ("foxes in the snow", "3 fox; snow; day"),
        ("two mice by day", "2 mouse; hills; day"),
        ("three wolves in the forest, morning", "3 wolf; forest; sunrise"),
        ("two fish", "2 fish; deep; day"),
        ("an astronaut riding a horse on the moon", "1 astronaut; 1 horse; moon; night"),
        ("a cat, a dog and a paper boat", "1 cat; 1 dog; 1 paper boat; water; sunrise"),
        ("a bear and a lighthouse beside a sailboat at noon", "1 bear; 1 lighthouse; 1 sailboat; sea; day"),
        ("a boat in the mountains at dawn", "1 sailboat; lake; sunrise"),
        ("a boat in the city at night", "1 sailboat; harbour; night"),
        ("rainbow over a snowy cabin", "1 house; snow; day; rainbow"),
        ("a rainy street", "city; storm; rain"),
        ("a foggy morning in the woods", "forest; sunrise; mist"),
        ("a foggy field", "hills; fog; mist"),
        ("snow on the mountains by day, snowfall", "snowy mountains; day; snowfall"),
        ("northern lights", "mountains; night; aurora"),
        ("a cat in the snow in the city by day", "1 cat; city; day; snowfall"),
        ("a storm over calm water", "sea; storm"),
        ("a paper boat in a storm", "1 paper boat; sea; storm"),
        ("a child's kite, afternoon", "1 person; 1 kite; hills; day"),
    ],
)
def test_a_prompt_is_understood(prompt, meant):
    idea = read(prompt)
    cast = (f"{one.count} {COLOURS[one.colour]} {one.name}".replace("  ", " ") for one in idea.subjects)
    assert "; ".join([*cast, idea.land, idea.hour, *sorted(idea.weather)]) == meant


@pytest.mark.parametrize(
    "prompt", ["a street without people", "no cars, a street", "没有人的街道", "a bird's eye view of a city"]
)
def test_what_is_not_wanted_is_not_painted(prompt):
    assert names(prompt) == []


def test_a_colour_belongs_to_the_thing_it_stands_before():
    red, blue = (small(f"a {word} balloon by day", transparent=True, label="") for word in ("red", "blue"))
    assert colour(red, 0.3, 0.2, 0.7, 0.6)[0] > colour(blue, 0.3, 0.2, 0.7, 0.6)[0] + 40


def test_several_of_a_kind_have_several_colours_unless_one_is_named():
    assert len({actor.colour for actor in actors(read("three balloons").subjects)}) == 3
    assert len({actor.colour for actor in actors(read("three red balloons").subjects)}) == 1


def test_who_can_ride_does_so_where_another_has_a_seat():
    (horse,) = actors(read("an astronaut riding a horse").subjects)
    (boat,) = actors(read("a cat, a dog and a paper boat").subjects)
    assert (horse.passenger.subject.name, boat.passenger.subject.name) == ("astronaut", "cat")


def test_a_crowd_is_bounded():
    assert len(actors(read("five cats and five dogs and five birds").subjects)) <= 6


@settings(max_examples=60)
@given(
    prompt=st.one_of(st.text(), st.lists(st.sampled_from(WORDS), max_size=9).map(" ".join)),
    width=st.integers(1, 90),
    height=st.integers(1, 90),
    position=st.integers(0, 9),
    transparent=st.booleans(),
)
@example(prompt="", width=1, height=1, position=0, transparent=False)
@example(prompt="", width=1, height=1, position=0, transparent=True)
@example(prompt="🙂🛶🌅", width=64, height=64, position=0, transparent=True)
@example(prompt="!", width=3, height=90, position=1, transparent=False)
@example(prompt="\ud800 boat", width=90, height=3, position=2, transparent=False)
@example(prompt="a boat on the sea in a storm " * 1100, width=64, height=64, position=3, transparent=False)
def test_no_prompt_and_no_size_fails(prompt, width, height, position, transparent):
    image = painter.paint(prompt, width=width, height=height, position=position, transparent=transparent)
    assert image.size == (width, height)
    assert image.mode == ("RGBA" if transparent else "RGB")


# Files and previews


@pytest.mark.parametrize(("output_format", "name"), [("png", "PNG"), ("jpeg", "JPEG"), ("webp", "WEBP")])
def test_a_picture_becomes_a_file_of_the_format_asked_for(output_format, name):
    with Image.open(BytesIO(painter.encode(small(BOAT), output_format))) as image:
        image.load()
        assert (image.format, image.size) == (name, (96, 96))


@pytest.mark.parametrize("output_format", ["jpeg", "webp"])
def test_compression_is_the_quality(output_format):
    image = small(BOAT, width=256, height=256)
    lengths = [len(painter.encode(image, output_format, quality)) for quality in (0, 40, 80, 100)]
    assert lengths == sorted(set(lengths))


@pytest.mark.parametrize("output_format", ["png", "webp"])
def test_a_transparent_picture_stays_transparent(output_format):
    data = painter.encode(small("a cat", transparent=True), output_format)
    with Image.open(BytesIO(data)) as image:
        assert image.convert("RGBA").getchannel("A").getextrema() == (0, 255)


def test_previews_sharpen():
    image = small(BOAT, width=256, height=256)
    previews = painter.partials(image, 3)
    distances = [difference(preview, image) for preview in previews]
    assert [preview.size for preview in previews] == [image.size] * 3
    assert all(far > near for far, near in pairwise(distances))


def test_previews_of_any_number_and_of_tiny_pictures_exist():
    assert painter.partials(small(""), 0) == []
    assert len(painter.partials(small("", width=1, height=1), 4)) == 4
    assert painter.partials(small("a cat", transparent=True), 1)[0].mode == "RGBA"
