"""The table of what can be painted: its drawing, its colour and where it belongs. Its words are in `vocabulary`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from . import animals, buildings, crafts, people, plants, sitting, things

if TYPE_CHECKING:
    from collections.abc import Callable

    from .canvas import Brush

Place = Literal["water", "ground", "road", "air", "table", "deep"]


@dataclass(frozen=True)
class Seat:
    """Where a passenger goes, in the carrier's measures, and whether the carrier hides its feet."""

    x: float
    y: float
    size: float
    behind: bool = True


@dataclass(frozen=True)
class Subject:
    """One thing a prompt may name."""

    name: str
    draw: Callable[[Brush, str], None]
    colour: str
    size: float = 0.5  # of the shorter edge
    place: Place = "ground"
    land: str = ""  # where it is when the prompt names no place
    hour: str = ""
    half: float = 0.35  # half its width, for the shadow and for keeping apart
    varied: bool = False  # several of them have several colours


def _animal(name: str) -> Subject:
    breed = sitting.BREEDS[name]
    draw = partial(sitting.sitting, breed=breed)
    return Subject(name, draw, breed.coat, size=0.46, land="hills", half=0.36)


SUBJECTS: tuple[Subject, ...] = (
    Subject(
        "paper boat", crafts.paper_boat, "#fdfaf5",
        size=0.56, place="water", land="water", hour="sunrise", half=0.5,
    ),
    Subject("sailboat", crafts.sailboat, "#d9483b", size=0.52, place="water", land="sea", half=0.48, varied=True),
    Subject("ship", crafts.ship, "#d9483b", size=0.62, place="water", land="sea", half=0.5),
    Subject("lighthouse", buildings.lighthouse, "#d64541", size=0.66, land="sea", half=0.4),
    Subject("house", buildings.house, "#c95f4a", size=0.44, land="hills", half=0.48, varied=True),
    Subject("castle", buildings.castle, "#5a74b8", size=0.58, land="hills", half=0.46),
    Subject("windmill", buildings.windmill, "#b9583f", size=0.54, land="hills", half=0.4),
    Subject("pagoda", buildings.pagoda, "#c23b35", size=0.62, land="mountains", half=0.4),
    Subject("bridge", buildings.bridge, "#c23b35", size=0.56, place="water", land="lake", half=0.6),
    Subject("tent", buildings.tent, "#e2763b", size=0.46, land="forest", hour="night", half=0.55, varied=True),
    Subject("snowman", buildings.snowman, "#d9483b", size=0.5, land="snow", half=0.3),
    _animal("cat"),
    _animal("dog"),
    _animal("fox"),
    _animal("rabbit"),
    _animal("bear"),
    _animal("panda"),
    _animal("lion"),
    _animal("tiger"),
    _animal("otter"),
    _animal("wolf"),
    _animal("mouse"),
    Subject("bird", animals.bird, "#4f8fd0", size=0.34, land="hills", half=0.4, varied=True),
    Subject("gull", animals.gull, "#fbfaf8", size=0.26, place="air", land="sea", half=0.45),
    Subject("owl", animals.owl, "#9a7250", size=0.42, place="air", land="forest", hour="night", half=0.5),
    Subject("penguin", animals.penguin, "#d9483b", size=0.48, land="snow", half=0.28, varied=True),
    Subject("duck", animals.duck, "#f7c948", size=0.36, place="water", land="lake", half=0.5),
    Subject("fish", animals.fish, "#f28a35", size=0.46, place="deep", land="deep", hour="day", half=0.5, varied=True),
    Subject("whale", animals.whale, "#3f6fa8", size=0.62, place="deep", land="deep", hour="day", half=0.6),
    Subject(
        "butterfly", animals.butterfly, "#f28a5a",
        size=0.3, place="air", land="hills", hour="day", half=0.5, varied=True,
    ),
    Subject("horse", animals.horse, "#9a6240", size=0.5, land="hills", half=0.5),
    Subject("tree", plants.tree, "#5f9f4a", size=0.6, land="hills", half=0.4),
    Subject("fir tree", plants.pine, "#2f7a56", size=0.6, land="snow", half=0.32),
    Subject("palm tree", plants.palm, "#3f9a5a", size=0.6, land="beach", half=0.45),
    Subject("cactus", plants.cactus, "#4c9a5f", size=0.42, land="desert", half=0.34),
    Subject("flower", plants.flower, "#f0718a", size=0.46, land="hills", half=0.32, varied=True),
    Subject("tulip", plants.tulip, "#e2506a", size=0.46, land="hills", half=0.25, varied=True),
    Subject("mushroom", plants.mushroom, "#d9483b", size=0.38, land="forest", half=0.42),
    Subject("balloon", crafts.hot_air_balloon, "#e2553f", size=0.5, place="air", land="hills", half=0.36, varied=True),
    Subject("rocket", crafts.rocket, "#e2483f", size=0.6, place="air", land="space", hour="night", half=0.3),
    Subject("plane", crafts.plane, "#e2553f", size=0.44, place="air", land="hills", hour="day", half=0.55, varied=True),
    Subject("kite", things.kite, "#e2553f", size=0.4, place="air", land="hills", hour="day", half=0.32, varied=True),
    Subject("car", crafts.car, "#e2553f", size=0.54, place="road", land="road", half=0.52, varied=True),
    Subject("train", crafts.train, "#c0392b", size=0.66, land="hills", half=0.52),
    Subject("bicycle", crafts.bicycle, "#2f9a9a", size=0.5, place="road", land="road", half=0.5, varied=True),
    Subject("robot", people.robot, "#4fa3a5", size=0.54, land="city", half=0.36),
    Subject("astronaut", people.astronaut, "#e2763b", size=0.52, land="moon", hour="night", half=0.36),
    Subject("person", people.person, "#c9503f", size=0.46, land="hills", half=0.2),
    Subject(
        "mug", things.mug, "#4f86c0",
        size=0.36, place="table", land="room", hour="sunrise", half=0.42, varied=True,
    ),
    Subject("vase", things.vase, "#5f8fc4", size=0.48, place="table", land="room", hour="day", half=0.3, varied=True),
    Subject("apple", things.apple, "#d9483b", size=0.32, place="table", land="room", hour="day", half=0.42),
    Subject("book", things.book, "#b9483f", size=0.46, place="table", land="room", hour="day", half=0.56),
    Subject("umbrella", things.umbrella, "#e2483f", size=0.44, land="city", hour="storm", half=0.5, varied=True),
    Subject("lantern", things.lantern, "#d9362e", size=0.32, place="air", land="water", hour="night", half=0.4),
    Subject("star", things.star, "#f7c043", size=0.34, place="air", land="hills", hour="night", half=0.5),
    Subject("heart", things.heart, "#e2405f", size=0.36, place="air", land="hills", hour="sunset", half=0.45),
)  # fmt: skip

SEATS = {
    "paper boat": Seat(0.25, -0.08, 0.46),
    "sailboat": Seat(-0.24, -0.15, 0.3, behind=False),
    "balloon": Seat(0.0, -0.05, 0.25),
    "horse": Seat(-0.04, -0.42, 0.6),
    "bicycle": Seat(-0.12, -0.25, 0.62),
}
RIDERS = frozenset({*sitting.BREEDS, "person", "astronaut", "robot", "penguin", "bird"})
BY_NAME = {subject.name: subject for subject in SUBJECTS}
