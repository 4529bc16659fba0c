"""What a prompt asks for: subjects, land, hour and weather, found by its words in English and Chinese."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING

from . import vocabulary
from .subjects import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

_TOKEN = re.compile(r"[a-zà-ÿ]+(?:['’][a-z]+)?|\d+|[\u4e00-\u9fff]")
_LONGEST, _READ, _SEVERAL = 6, 6000, 3  # tokens in a phrase; characters that are read; how many a plural is
_NEGATIONS = {"no", "not", "without", "没", "无", "不"}


@dataclass(frozen=True)
class Mention:
    """One subject of a prompt."""

    name: str
    count: int = 1
    colour: str = ""


@dataclass(frozen=True)
class Idea:
    """What to paint. An empty land and no subjects: nothing was recognised."""

    subjects: tuple[Mention, ...] = ()
    land: str = ""
    hour: str = "day"
    weather: frozenset[str] = frozenset()
    abstract: bool = False


@dataclass
class _Reading:
    subjects: dict[str, Mention] = field(default_factory=dict)
    lands: list[str] = field(default_factory=list)
    hours: list[str] = field(default_factory=list)
    weather: set[str] = field(default_factory=set)
    styles: set[str] = field(default_factory=set)


@cache
def _vocabulary() -> dict[str, tuple[str, str]]:
    tables = (
        ("ignored", {"": vocabulary.IGNORED}),
        ("count", vocabulary.COUNTS),
        ("colour", vocabulary.COLOURS),
        ("style", vocabulary.STYLES),
        ("land", vocabulary.LANDS),
        ("weather", vocabulary.WEATHER),
        ("hour", vocabulary.HOURS),
        ("subject", vocabulary.SUBJECTS),
    )
    return {
        word: (kind, value)
        for kind, table in tables
        for value, words in table.items()
        for word in words.split(",")
    }


def read(prompt: str) -> Idea:
    """What the prompt asks for, completed by where its subjects belong and a dice thrown by its text."""
    found = _Reading()
    colour, count, no = ("", -9), ("1", -9), -9
    for index, kind, value, plural in _matches(prompt[:_READ].lower()):
        if kind == "negation":
            no = index
        elif index - no <= 2:
            continue
        elif kind == "colour":
            colour = (value, index)
        elif kind == "count":
            count = (value, index)
        elif kind == "subject":
            many = int(count[0]) if index - count[1] <= 4 else (_SEVERAL if plural else 1)
            found.subjects.setdefault(
                value, Mention(value, many, colour[0] if index - colour[1] <= 3 else "")
            )
            colour, count = ("", -9), ("1", -9)
        else:
            _note(found, kind, value)
    return _settled(found, prompt)


def _matches(text: str) -> Iterator[tuple[int, str, str, bool]]:
    tokens = [match.group().replace("’", "'") for match in _TOKEN.finditer(text)]
    index = 0
    while index < len(tokens):
        length = 1
        if tokens[index] in _NEGATIONS:
            yield index, "negation", "", False
        else:
            for length in range(min(_LONGEST, len(tokens) - index), 0, -1):
                entry, plural = _entry(tokens[index : index + length])
                if entry is not None:
                    yield index + length - 1, *entry, plural
                    break
        index += length


def _entry(tokens: list[str]) -> tuple[tuple[str, str] | None, bool]:
    """The word's entry and whether it is a plural of it."""
    phrase = "".join(tokens) if "\u4e00" <= tokens[0][0] <= "\u9fff" else " ".join(tokens)
    known = _vocabulary()
    if phrase in known:
        return known[phrase], False
    phrase = phrase.removesuffix("'s")
    for singular in (
        phrase,
        vocabulary.PLURALS.get(phrase, phrase),
        phrase.removesuffix("s"),
        phrase.removesuffix("es"),
        phrase.removesuffix("ies") + "y",
    ):
        if singular in known:
            return known[singular], singular != phrase
    return None, False


def _note(found: _Reading, kind: str, value: str) -> None:
    if kind == "land":
        found.lands.append(value)
    elif kind == "hour":
        found.hours.append(value)
    elif kind == "weather":
        found.weather.add(value)
    elif kind == "style":
        found.styles.add(value)


def _settled(found: _Reading, prompt: str) -> Idea:
    subjects = tuple(found.subjects.values())[:3]
    if len(subjects) > 1:
        subjects = tuple(replace(mention, count=min(mention.count, 2)) for mention in subjects)
    weather = frozenset(found.weather | ({"mist"} if "fog" in found.hours else set()))
    nothing = not (subjects or found.lands or found.hours or weather)
    if nothing or "abstract" in found.styles:
        return Idea(subjects, abstract=True)
    hour = _hour(found, subjects, prompt)
    land = _land(found, subjects, hour)
    if "snow" in found.lands and land != "snow":
        weather |= {"snowfall"}
    return Idea(subjects, land, hour, weather)


def _hour(found: _Reading, subjects: tuple[Mention, ...], prompt: str) -> str:
    if "storm" in found.hours:
        return "storm"
    if found.hours:
        return next((hour for hour in found.hours if hour != "fog"), "fog")
    if "aurora" in found.weather or {"space", "moon"} & set(found.lands):
        return "night"
    if "rain" in found.weather:
        return "storm"
    if {"rainbow"} & found.weather or {"snow", "deep", "beach"} & set(found.lands):
        return "day"
    own = next((hour for mention in subjects if (hour := BY_NAME[mention.name].hour)), "")
    return own or ("day", "sunset", "sunrise")[throw(prompt) % 3]


def _land(found: _Reading, subjects: tuple[Mention, ...], hour: str) -> str:
    places = {BY_NAME[mention.name].place for mention in subjects}
    lands = list(dict.fromkeys(found.lands))
    wet = {"water", "sea", "lake"} & set(lands) or "water" in places
    if "deep" in places and not {"mountains", "city", "desert", "room", "space"} & set(lands):
        return "deep"
    if wet and "city" in lands:
        return "harbour"
    if wet and {"mountains", "forest", "hills", "snow"} & set(lands):
        return "lake"
    if {"snow", "mountains"} <= set(lands):
        return "snowy mountains"
    if "snow" in lands and len(lands) > 1:
        lands.remove("snow")
    if lands:
        return "sea" if hour == "storm" and lands[0] == "water" else lands[0]
    own = [BY_NAME[mention.name].land for mention in subjects]
    if "water" in places:
        own = [BY_NAME[mention.name].land for mention in subjects if BY_NAME[mention.name].place == "water"]
    if not own:
        return {"night": "mountains", "storm": "sea", "fog": "forest"}.get(hour, "lake")
    return "sea" if hour == "storm" and own[0] == "water" else own[0]


def throw(text: str) -> int:
    """A number that belongs to the text."""
    return int.from_bytes(sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big")
