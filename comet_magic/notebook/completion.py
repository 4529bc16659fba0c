"""Tab completion of the magics' flags, of their values per model, and of names after `-o`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from IPython.core.completer import SimpleCompletion, SimpleMatcherResult, context_matcher

if TYPE_CHECKING:
    from .arguments import Flag
    from .magic import CometMagics

IDENTIFIER = "cometimg"
_MAGIC = re.compile(
    r"\s*(?:[^%=]+=\s*)?(?P<percent>%{1,2})(?P<magic>cometimg(?:_[a-z]+)?)\s(?P<line>.*)", re.DOTALL
)


def make_matcher(shell: Any, magics: CometMagics) -> Any:
    """A matcher for `ip.Completer.custom_matchers`; it reads tables and no network."""

    def match(context: Any) -> Any:
        found = _MAGIC.match(context.text_until_cursor)
        if found is None:
            return SimpleMatcherResult(completions=[])
        from ..catalog import DEFAULT_MODEL

        fragment = re.search(r"[^\s=]*$", found["line"])[0]  # type: ignore[index]  # it may be empty, never absent
        before = found["line"].removesuffix(fragment)
        offers = offer(
            found["magic"], before, fragment, names=_names(shell), default_model=magics.model or DEFAULT_MODEL
        )
        completions = [SimpleCompletion(word, type="param") for word in offers]
        return SimpleMatcherResult(
            completions=completions, matched_fragment=fragment, suppress=bool(completions), ordered=True
        )

    mark: Any = context_matcher(identifier=IDENTIFIER)  # partly typed
    return mark(match)


def offer(magic: str, before: str, fragment: str, *, names: list[str], default_model: str) -> list[str]:
    """The words to offer for `fragment`, the word being typed; `before` is the line up to it."""
    from .flags import USAGE, flags_of

    if magic not in USAGE:
        return []
    flags = flags_of(magic)
    awaiting = re.search(r"(?:^|\s)(--?[\w-]+)(?:\s+|=)$", before)
    flag = _find(awaiting[1], flags) if awaiting else None
    if flag is not None and flag.takes_value:
        words = _values(flag, _model(before, default_model), names)
    elif before.endswith("=") or _in_prompt(before, flags, magic):
        words = []
    else:
        words = [each.spelling for each in flags]
    return [word for word in words if word.startswith(fragment)]


def _find(spelling: str, flags: tuple[Flag, ...]) -> Flag | None:
    return next((flag for flag in flags if spelling in (flag.spelling, flag.short)), None)


def _in_prompt(before: str, flags: tuple[Flag, ...], magic: str) -> bool:
    from .arguments import UsageError, read_flags

    if re.search(r"(?:^|\s)--\s", before):
        return True
    try:
        return bool(read_flags(before, flags, magic=magic, verbatim=True)[1])
    except UsageError:
        return True


def _model(before: str, default: str) -> str:
    named = re.findall(r"(?:^|\s)(?:-m\s*|-m=|--model\s+|--model=)([^\s=]+)", before)
    return named[-1] if named else default


def _values(flag: Flag, model: str, names: list[str]) -> list[str]:
    from ..catalog import MODELS, RATIOS, SIZE_WORDS, Interval, find
    from ..preset_files import presets

    if flag.name == "model":
        return [each.id for each in MODELS]
    if flag.kind == "name":
        return names
    if flag.name == "vary":
        return ["prompt", *(f"{name}=" for name in ("model", "quality", "size", "preset", "image"))]
    if flag.name in ("preset", "delete"):
        return [each.name for each in presets()]
    if flag.choices:
        return list(flag.choices)
    rule = find(model).parameters.get(flag.name)
    if rule is None:
        return []
    if rule.kind == "size":
        return [*dict.fromkeys((*rule.choices(), *SIZE_WORDS, *RATIOS))]
    if isinstance(rule, Interval):
        return [str(number) for number in range(rule.low, min(rule.high, rule.low + 9) + 1)]
    return list(rule.choices())


def _names(shell: Any) -> list[str]:
    hidden = shell.user_ns_hidden
    return sorted(name for name in shell.user_ns if not name.startswith("_") and name not in hidden)
