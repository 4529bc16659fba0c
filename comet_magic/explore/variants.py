"""What varies in a grid, the combinations of it, and the nearest that a model takes. Nothing is read or sent."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import chain, islice
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..catalog import DEFAULT_MODEL, WIRE_PARAMETERS, Interval, Model, find, resolve_size, suggest
from ..errors import InvalidRequestError
from ..preset_files import Preset, find_preset
from ..request import INPUT_OPTIONS
from ..request.checks import shown
from ..request.prompt_template import (
    Variant,
    alternatives_in,
    filled,
    groups_in,
    names_in,
    text_of,
    variants,
    with_words,
)
from ..text import clean

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MOST_CELLS = 200  # of a grid; more are drawn from, or are a dataset
DRAWS = 50  # combinations that are looked at for each cell of a sample, as models may not take some
OPTIONS = frozenset({*WIRE_PARAMETERS, *INPUT_OPTIONS, "extra", "preset"}) - {"prompt", "n"}
# Qualities by rank, those of dall-e beside the others.
QUALITIES = {"low": 0.0, "standard": 0.6, "medium": 1.0, "hd": 1.8, "high": 2.0, "xhigh": 3.0, "max": 4.0}


@dataclass(frozen=True)
class Axis:
    """Something that varies.

    Attributes:
        name: of the option or the word; of alternatives in the prompt, as they are typed there, without braces.
        values: at least one.
        labels: a short text for each value, no two alike.
        kind: what is done with a value: an option is set, a word or one of alternatives is filled into the prompt.
    """

    name: str
    values: tuple[Any, ...]
    labels: tuple[str, ...]
    kind: str = "option"


class Combination(NamedTuple):
    """One of the combinations, as it was asked for.

    Attributes:
        labels: the label of its value on each axis.
        prompt: with its words.
        options: with its values.
        places: which value of each axis it has.
    """

    labels: Mapping[str, str]
    prompt: str
    options: Mapping[str, Any]
    places: tuple[int, ...]


# --- what varies


def with_presets(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with each named preset looked up; one whose template has alternatives becomes one for each.

    Raises:
        InvalidRequestError: there is no such preset.
        ConfigurationError: a file of presets cannot be used.
    """
    if options.get("preset") is None:
        return dict(options)
    found = []
    for named in _listed("preset", options["preset"]):
        preset = named if isinstance(named, Preset) else find_preset(named)
        for text, words in variants(preset.template):
            label = preset.label or preset.name
            name = f"{label} ({', '.join(words)})" if words else label  # what the axis calls it
            found.append(replace(preset, template=text, name=name, label=label))
    return {**options, "preset": found}


def axes_of(prompt: Any, words: Mapping[str, Any] | None, options: Mapping[str, Any]) -> tuple[Axis, ...]:
    """What varies, in the order given: options, words, alternatives of the prompt. One value is an axis too.

    Raises:
        InvalidRequestError: a list is empty, a word has the name of an option or is not in the prompt.
    """
    axes = [
        _axis(name, _listed(name, value), "option") for name, value in options.items() if value is not None
    ]
    if not isinstance(words, Mapping | None):
        raise InvalidRequestError(
            f"words is {shown(words)}; it must be a mapping such as {{'animal': ['cat', 'dog']}}",
            param="words",
        )
    prompts = _prompts(prompt)
    texts = [text for text in prompts if isinstance(text, str)]
    for name, value in (words or {}).items():
        _check_word(name, texts)
        axes.append(_axis(name, [_word(name, one) for one in _listed(name, value)], "word"))
    if len(prompts) > 1:
        axes.append(_axis("prompt", prompts, "prompt"))
    elif texts:
        axes += _alternatives(texts[0])
    return tuple(axes)


def _word(name: str, value: Any) -> str:
    text = text_of(value)
    if text is None:
        said = f"words has {shown(value)} for {name}; it must be a text or a number"
        raise InvalidRequestError(said, param="words")
    return text


def _prompts(prompt: Any) -> list[Any]:
    """The prompts; of several, each with its own alternatives taken."""
    prompts = _listed("prompt", prompt)
    if len(prompts) == 1:
        return prompts
    each = (variants(one) if isinstance(one, str) else [one] for one in prompts)
    taken = (one.text if isinstance(one, Variant) else one for one in chain.from_iterable(each))
    return list(islice(taken, MOST_CELLS + 1))


def _listed(name: str, value: Any) -> list[Any]:
    """The values of an option: of a list each; anything else is the only one. A tuple may be a box of a mask."""
    several = isinstance(value, list | range) or (isinstance(value, tuple) and name != "mask")
    values = list(value) if several else [value]
    if not values:
        raise InvalidRequestError(f"{name} is an empty list; give a value, or leave it out", param=name)
    distinct: list[Any] = []
    for one in values:
        if not (isinstance(one, str | int | None) and one in distinct):
            distinct.append(one)
    return distinct


def _check_word(name: object, prompts: Sequence[str]) -> None:
    if not isinstance(name, str) or not name.isidentifier():
        raise InvalidRequestError(
            f"words contains {shown(name)}; it takes names as in {{animal}}", param="words"
        )
    if name in OPTIONS or name in ("prompt", "n"):
        raise InvalidRequestError(
            f"words contains {name}, the name of an option; take another", param="words"
        )
    if not any(name in names_in(text) for text in prompts):
        meant = suggest(name, OPTIONS)
        raise InvalidRequestError(
            f"words contains {name}; the prompt has no {{{name}}}",
            param="words",
            hint=f"Did you mean {meant}?" if meant else "",
        )


def _alternatives(prompt: str) -> Iterator[Axis]:
    """One axis for each {red|blue} of the prompt."""
    seen: dict[str, int] = {}
    for words in groups_in(prompt):
        name = "|".join(words)
        seen[name] = seen.get(name, 0) + 1
        yield _axis(name if seen[name] == 1 else f"{name} ({seen[name]})", words, "alternatives")


def _axis(name: str, values: Sequence[Any], kind: str) -> Axis:
    labels: list[str] = []
    for number, value in enumerate(values, 1):
        label = _label(name, value, number)
        labels.append(label if label not in labels else f"{label} ({number})")
    return Axis(name, tuple(values), tuple(labels), kind)


def _label(name: str, value: Any, number: int) -> str:
    """A value in a few words."""
    if value is None:
        return "not set"
    if isinstance(value, Preset):
        return clean(value.name, limit=80)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        text = str(value)
        if name in INPUT_OPTIONS and isinstance(value, str):
            text = Path(value).name
        return clean(" ".join(text.split()), limit=80) or "nothing"
    if isinstance(value, os.PathLike):
        return clean(Path(value).name, limit=80)
    if isinstance(value, Mapping) and name == "extra":
        return clean(json.dumps(dict(value), default=str, ensure_ascii=False), limit=80)
    return f"{name} {number}"


# --- combinations


def is_template(prompt: Any, words: Mapping[str, Any] | None) -> bool:
    """Whether words are filled into a prompt: only then do braces in it mean something."""
    return bool(words) or any(
        isinstance(text, str) and bool(alternatives_in(text)) for text in _listed("prompt", prompt)
    )


def count_of(axes: Sequence[Axis]) -> int:
    """How many combinations there are."""
    return prod(len(axis.values) for axis in axes)


def combinations(
    prompt: Any, axes: Sequence[Axis], *, template: bool, sample: int | None, seed: int | None
) -> Iterator[Combination]:
    """The combinations in order, the last axis changes fastest; with `sample` in random order, many times that number.

    Raises:
        InvalidRequestError: there are more than a grid takes; or a name in the prompt has no value.
    """
    total = count_of(axes)
    numbers: Sequence[int] = range(total)
    if sample is not None:
        drawn = min(total, sample * DRAWS)
        numbers = random.Random(seed).sample(range(total), drawn)  # noqa: S311 - not for secrets
    elif total > MOST_CELLS:
        raise InvalidRequestError(
            f"there are {total:,} combinations; a grid takes up to {MOST_CELLS}",
            param="sample",
            hint=f"Draw some of them: sample={min(20, total)} (--sample); for more there is generate_dataset.",
        )
    return (_combination(prompt, axes, _places(number, axes), template=template) for number in numbers)


def _places(number: int, axes: Sequence[Axis]) -> tuple[int, ...]:
    places: list[int] = []
    for axis in reversed(axes):
        number, place = divmod(number, len(axis.values))
        places.append(place)
    return tuple(reversed(places))


def _combination(
    prompt: Any, axes: Sequence[Axis], places: tuple[int, ...], *, template: bool
) -> Combination:
    options: dict[str, Any] = {}
    words: dict[str, Any] = {}
    taken: list[str] = []
    text = prompt
    for axis, place in zip(axes, places, strict=True):
        value = axis.values[place]
        if axis.kind == "option":
            options[axis.name] = value
        elif axis.kind == "word":
            words[axis.name] = value
        elif axis.kind == "prompt":
            text = value
        else:
            taken.append(value)
    if template and isinstance(text, str):
        text = filled(with_words(text, taken) if taken else text, words)
    preset = options.pop("preset", None)
    if isinstance(preset, Preset):
        asked = {"preset": preset.label}
        if preset.template and isinstance(text, str) and text.strip():
            asked["prompt"], text = text, filled(preset.template, {"prompt": text})
        options = {**preset.options, **options, "asked": asked}
    labels = {axis.name: axis.labels[place] for axis, place in zip(axes, places, strict=True)}
    return Combination(labels, text, options, places)


# --- what a model takes


def adapted(options: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The options as their model takes them, as far as there is a nearest value; and in words what was changed.

    What has no nearest value stays, and is refused when the request is made.
    """
    model = options.get("model")
    spec = find(DEFAULT_MODEL if model is None else model if isinstance(model, str) else "")
    fitting, notes = dict(options), []
    for name, value in options.items():
        if name in WIRE_PARAMETERS[3:] and value is not None and spec.known:
            nearest = _nearest(spec, name, value)
            if nearest is not value and nearest != value:
                fitting[name] = nearest
                legal = f"no {name}" if nearest is None else f"{name} {nearest}"
                notes.append(f"{legal} instead of {shown(value)}")
    return fitting, tuple(notes)


def _nearest(spec: Model, name: str, value: Any) -> Any:
    """The value itself if the model takes it or nothing is near; else the nearest; None leaves the option out."""
    if not isinstance(value, str | int | float):  # an array has no plain equality
        return value
    rule = spec.rule(name)
    if rule is None or rule.admits(value):
        return None if rule is None and value == "auto" else value
    if value == "auto":
        return None
    if name == "size" and isinstance(value, str):
        try:
            size = resolve_size(spec, value)
        except InvalidRequestError:
            return value
        return value if rule.admits(size) else rule.nearest(size) or value
    if name == "quality" and value in QUALITIES:
        ranked = [word for word in rule.choices() if word in QUALITIES]
        return min(ranked, key=lambda word: abs(QUALITIES[word] - QUALITIES[value]), default=value)
    if isinstance(rule, Interval) and type(value) is int:
        return min(max(value, rule.low), rule.high)
    return value
