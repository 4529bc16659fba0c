"""The checks of a request; each raises `InvalidRequestError` that names the parameter at fault.

`Extra` holds the parameters that are not in the table, as immutable JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from ..catalog import SIZE_WORDS, WIRE_PARAMETERS, Boolean, Interval, Model, Rule, find, suggest
from ..errors import InvalidRequestError
from ..text import Withheld, holds_key

if TYPE_CHECKING:
    from collections.abc import Iterable

_UNSENDABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")
_EMPTY = re.compile("[\\s'\"`\xab\xbb\u2018-\u201f\u2039\u203a\u300c-\u300f]*")  # nothing, or only quotes
# https://developers.openai.com/api/reference/resources/images/methods/generate
_OF_GIF_AND_SVG = ("svg", "frame_count", "frame_duration_ms")
_PICTURES = ("image", "mask", "markup")
_NOT_TAKEN = {
    "response_format": "Leave it out: the answer holds the picture itself.",
    "partial_images": "It is for models that stream.",
}


def shown(value: object, *, text_expected: bool = True) -> str:
    """A value as a message shows it: short and on one line; never raises.

    A text where a number or True is expected is called one: "n is the text 2".
    """
    if isinstance(value, str) and value and not text_expected:
        return f"the text {shown(value)}"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and value.bit_length() > 64:
        return "a number of very many digits"
    text = str(value) if isinstance(value, str | int | float) else f"of type {type(value).__name__}"
    text = "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )
    return (text if len(text) <= 80 else f"{text[:79]}…") or "empty"


def check_names(given: Iterable[str], known: Iterable[str]) -> None:
    """Check that every name is known."""
    names = tuple(known)
    for name in given:
        if name not in names:
            meant = suggest(name, names)
            hint = (
                f"Did you mean {meant}?" if meant else "Pass a parameter that is not in the table by extra."
            )
            raise InvalidRequestError(f"{shown(name)} is not a parameter", param=name, hint=hint)


def check_no_key(name: str, value: object) -> None:
    """Refuse a value with an API key in it, before it is sent, stored or shown."""
    if isinstance(value, Withheld) or holds_key(value):
        raise InvalidRequestError(
            f"{name} contains what looks like an API key, so nothing was done with it",
            param=name,
            hint="Take it out, and rotate the key if others have seen it.",
        )


def check_call(options: Mapping[str, Any]) -> None:
    """Check the kinds of the options about the call itself."""
    reuse, on_event = options.get("reuse"), options.get("on_event")
    if reuse is not None and not isinstance(reuse, bool):
        raise InvalidRequestError(
            f"reuse is {shown(reuse, text_expected=False)}; it must be True or False", param="reuse"
        )
    if on_event is not None and not callable(on_event):
        raise InvalidRequestError(f"on_event is {shown(on_event)}; it must be a function", param="on_event")


def has_pictures(options: Mapping[str, Any]) -> bool:
    """Whether pictures go into a call; one without has no option about them, and no model that needs them."""
    if options.get("image") is not None:
        return True
    for name in ("mask", "markup"):
        if options.get(name) is not None:
            raise InvalidRequestError(f"{name} is set without image; give the picture too", param=name)
    model = options.get("model")
    if isinstance(model, str) and find(model).needs_input:
        raise InvalidRequestError(f"{model} edits pictures; give it one by image=", param="image")
    return False


def check_model(model: object) -> None:
    """Check that the id can be sent."""
    if not isinstance(model, str) or not model.strip() or not model.isprintable() or len(model) > 200:
        raise InvalidRequestError(f"model is {shown(model)}; it must be the id of a model", param="model")


def check_prompt(spec: Model, prompt: object, *, keys: bool = True) -> None:
    """Check that the prompt is text, neither blank nor too long, without control characters or, if asked, keys."""
    if keys:
        check_no_key("prompt", prompt)
    if not isinstance(prompt, str):
        said = f"prompt is {shown(prompt)}; it must be a text"
    elif _EMPTY.fullmatch(prompt):
        said = "prompt is empty; say what the picture shows"
    elif len(prompt) > spec.prompt_limit:
        said = f"prompt has {len(prompt)} characters; {spec.id} takes {spec.prompt_limit}"
    elif found := _UNSENDABLE.search(prompt):
        said = f"prompt contains U+{ord(found[0]):04X} at character {found.start() + 1}, which cannot be sent"
    else:
        return
    raise InvalidRequestError(said, param="prompt")


def check_value(spec: Model, name: str, value: object) -> None:
    """Check that the model takes this parameter and this value."""
    rule = spec.rule(name)
    openable = name != "output_format" or not (isinstance(value, str) and value in ("gif", "svg"))
    if rule is not None and openable and rule.admits(value):
        return
    found = shown(value, text_expected=not isinstance(rule, Interval | Boolean))
    said, hint = f"{name} is {found}; {spec.id} takes {rule or f'no {name}'}", ""
    if rule is None:
        hint = _NOT_TAKEN.get(name, "")
    elif not openable:
        said = f"output_format is {value}; it must be png, jpeg or webp"
    else:
        near, hint = _nearest(rule, value)
        said += near
    raise InvalidRequestError(said, param=name, hint=hint)


def _nearest(rule: Rule, value: object) -> tuple[str, str]:
    """What to add to the message, and the hint."""
    near = rule.nearest(value)
    if rule.kind == "size" and near:
        return f", nearest {near}", f"Use size {near}."
    if rule.kind == "size" and isinstance(value, str):
        near = suggest(value, (*rule.choices(), *SIZE_WORDS))
    return "", f"Did you mean {near}?" if near else ""


def check_extra(extra: Mapping[str, Any]) -> None:
    """Check that no parameter of ours is in `extra`, and none that asks for gif or svg pictures."""
    for name in extra:
        if name in WIRE_PARAMETERS or name in _PICTURES:
            raise InvalidRequestError(f"extra contains {name}; set it by its own name", param=name)
        if name in _OF_GIF_AND_SVG:
            raise InvalidRequestError(
                f"extra contains {name}; only png, jpeg and webp can be opened", param=name
            )
        if not name.strip():
            raise InvalidRequestError("extra contains a parameter without a name", param="extra")


class Extra(Mapping[str, Any]):
    """An immutable JSON object; two are equal if their canonical texts are. Values are given as copies.

    Raises:
        InvalidRequestError: it is not JSON; `param` is "extra".
    """

    __slots__ = ("_text", "_values")

    def __init__(self, values: Mapping[str, Any] | None = None) -> None:
        if not isinstance(values, Mapping | None) or not all(isinstance(name, str) for name in values or ()):
            said, hint = "extra must be a mapping of names to JSON values", 'Write it as {"name": value}.'
            raise InvalidRequestError(said, param="extra", hint=hint)
        self._text = canonical({**values} if values else {})
        self._values: dict[str, Any] = json.loads(self._text)

    def __getitem__(self, name: str) -> Any:
        return deepcopy(self._values[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        return self._text == other._text if isinstance(other, Extra) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return repr(self._values)


def canonical(values: Mapping[str, Any]) -> str:
    """The canonical text of a JSON object: sorted names, no spaces, ASCII only.

    Raises:
        InvalidRequestError: a value is not JSON, or a text is not valid Unicode.
    """
    try:
        text = json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)
        json.dumps(values, ensure_ascii=False).encode()
        return text
    except UnicodeEncodeError:
        reason = "it contains half a character"
    except RecursionError:
        reason = "it is nested too deeply"
    except (TypeError, ValueError) as error:
        reason = f"it is not JSON ({type(error).__name__})"
    raise InvalidRequestError(f"extra cannot be sent: {reason}", param="extra")
