"""Fills the `{names}` of a prompt in from the notebook.

Only a name that exists is replaced, with its attributes and indexes. Every other brace stays as it was typed, so
JSON, LaTeX and `$5` pass. Nothing is evaluated, and no function is called by this module.
"""

from __future__ import annotations

import re
from collections import ChainMap
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

_NAME = r"[^\W\d]\w*"
_STEP = rf"\.(?!__){_NAME}|\[-?\d+\]|\[(?:'[^'\]]*'|\"[^\"\]]*\"|{_NAME})\]"
_FIELD = rf"({_NAME})((?:{_STEP})*)"
_BRACES = re.compile(
    rf"\{{\{{(?P<literal>{_FIELD})\}}\}}"
    rf"|\{{(?P<name>{_NAME})(?P<steps>(?:{_STEP})*)\}}"
    rf"|(?<!\{{)\{{\s*(?P<start>{_NAME})(?P<tail>[^{{}}\n]*)\}}"
)
# A conversion or a format code, as in {price!r} and {price:.2f}; {a: 1} is no format code.
_FORMAT = re.compile(rf"(?:{_STEP})*(?:![rsa](?::.*)?|:[^\s\"'].*)")


class Filled(NamedTuple):
    """A prompt with the known names replaced, and a sentence for each field that was not."""

    text: str
    warnings: tuple[str, ...]


def fill(
    prompt: str,
    *namespaces: Mapping[str, Any],
    hidden: Mapping[str, Any] | None = None,
    words: Container[str] | None = None,
) -> Filled:
    """The prompt with `{name}`, `{name.attr}`, `{name[0]}` and `{name[key]}` replaced by their values.

    The first namespace that has a name wins. `{{name}}` gives a literal `{name}`. What cannot be filled in stays
    as typed. It is warned about if a name was meant: one that is unknown, or known and not used as above.
    Names that are `hidden` are never suggested. `words` are those of a template, which is filled in later: they stay,
    as doubled braces do, and those in a value are doubled.
    """
    names: ChainMap[str, Any] = ChainMap(*(dict(namespace) for namespace in namespaces))
    visible = [name for name in names if name not in (hidden or {})]
    warnings: list[str] = []

    def replace(match: re.Match[str]) -> str:
        if words is not None and (match["literal"] or match["name"] in words):
            return match[0]
        if match["literal"]:
            return "{" + match["literal"] + "}"
        value, warning = _value(match, names, visible)
        if words is not None and value is not None:
            value = value.replace("{", "{{").replace("}", "}}")
        if warning:
            warnings.append(warning)
        return match[0] if value is None else value

    return Filled(_BRACES.sub(replace, prompt), tuple(dict.fromkeys(warnings)))


def _value(match: re.Match[str], names: Mapping[str, Any], visible: list[str]) -> tuple[str | None, str]:
    """The text for one field, None to leave it as typed; and a warning, "" if none is due."""
    field, name = match[0], match["name"] or match["start"]
    if name not in names:
        meant = match["name"] or _FORMAT.fullmatch(match["tail"])
        return None, _unknown_name(field, name, visible) if meant else ""
    if match["name"]:
        value, problem = _walk(names[name], re.findall(_STEP, match["steps"]))
        return (
            value,
            f"{field} in the prompt cannot be read ({problem}); it is left as typed" if problem else "",
        )
    if name not in visible or match["tail"].startswith("|"):  # {red|blue} are alternatives
        return None, ""
    return None, (
        f"{field} in the prompt is left as typed: only {{name}}, {{name.attr}} and {{name[0]}} are filled in, "
        "without format codes or calls (--no-interpolate hides this line)"
    )


def _unknown_name(field: str, name: str, words: list[str]) -> str:
    near = get_close_matches(name, [word for word in words if not word.startswith("_")], 1)
    advice = f"did you mean {{{near[0]}}}?" if near else "--no-interpolate hides this line"
    return f"{field} in the prompt is not a name that is defined; it is left as typed ({advice})"


def _walk(value: Any, steps: list[str]) -> tuple[str | None, str]:
    """The text at the end of the steps and "", or None and the class name of what went wrong."""
    try:
        for step in steps:
            value = getattr(value, step[1:]) if step.startswith(".") else _item(value, step[1:-1])
        return str(value), ""
    except (LookupError, AttributeError, TypeError, ValueError) as error:
        return None, type(error).__name__


def _item(value: Any, index: str) -> Any:
    if re.fullmatch(r"-?\d+", index):
        try:
            return value[int(index)]
        except KeyError:  # a mapping whose keys are written in digits
            return value[index]
    return value[index.strip("'\"")]
