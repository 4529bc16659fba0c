"""Reads the text after a magic's name into flags and the rest.

Each magic has one list of flags, from which it is read, explained and completed. Quotes are read as a shell
reads them, but only among the flags: a prompt stays as typed.
"""

from __future__ import annotations

import builtins
import io
import json
import keyword
import math
import os
import re
import shlex
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from ..errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

KEY_ADVICE = (
    "this cell contains what looks like an API key, so nothing was done with it: delete the cell (its text is "
    "saved with the notebook), rotate the key at the vendor, and give the new one to %cometimg_login"
)
Kind = Literal["text", "texts", "name", "integer", "number", "switch", "pair"]


@dataclass(frozen=True)
class Flag:
    """One flag.

    Attributes:
        name: as the option of `generate` is called; the long form has dashes.
        help: the sentence that explains it, or what is to be said beside the one that is quoted.
        kind: what its value is; a switch has none.
        short: the short form, "" for none.
        metavar: what the help calls the value; the name if "".
        choices: the values it takes, () for any.
        group: the heading in the help.
        quotes: the public name whose docstring explains an option of the same name, or "".
    """

    name: str
    help: str
    kind: Kind = "text"
    short: str = ""
    metavar: str = ""
    choices: tuple[str, ...] = ()
    group: str = "this call"
    quotes: str = ""

    @property
    def spelling(self) -> str:
        """The long form, as it is typed."""
        return "--" + self.name.replace("_", "-")

    @property
    def takes_value(self) -> bool:
        """Whether a word follows the flag."""
        return self.kind != "switch"

    @property
    def explanation(self) -> str:
        """The whole sentence that explains it."""
        if not self.quotes:
            return self.help
        import comet_magic

        from ..explanations import quoted

        return quoted(getattr(comet_magic, self.quotes), self.name.removeprefix("no_"), self.help)


class UsageError(InvalidRequestError):
    """Wrong usage of a magic, in one line.

    IPython's own error of this name only prints to stderr: runners of notebooks find no error in such a cell.
    """

    def lines(self) -> list[str]:
        """The line that a person reads."""
        return [f"UsageError: {self}"]


def usage_error(message: str) -> UsageError:
    """The error for wrong usage, in one clean line."""
    from ..text import clean

    return UsageError(" ".join(clean(message).split()))


def refuse_key(*texts: str) -> None:
    """Refuse text that contains a key, without repeating it."""
    from ..text import holds_key

    if any(holds_key(each) for each in texts):
        raise usage_error(KEY_ADVICE)


def read_flags(
    line: str, flags: Sequence[Flag], *, magic: str, verbatim: bool = False
) -> tuple[dict[str, Any], str]:
    """The value of each flag of a line, None if it was not given, and the rest of the line.

    With `verbatim` the rest begins at the first word that is not a flag, and stays exactly as typed; a flag in it is
    refused. Without, words may come between the flags, and `#` begins a comment. `--` ends the flags in both cases.

    Raises:
        UsageError: one line with the fix.
    """
    values: dict[str, Any] = dict.fromkeys(flag.name for flag in flags)
    words: list[str] = []
    position = _skip(line, 0)
    while position < len(line):
        head = line[position:].split(maxsplit=1)[0].strip(_INVISIBLE)
        if head[0] in _LONG_DASHES and any(_means(head, flag) for flag in flags):
            line = line[:position] + line[position:].replace(head, _hyphens(head), 1)
            continue
        plain = not head.startswith("-") or head == "-"
        if verbatim and plain:
            _refuse_late_flag(line, position, flags, magic)
            return values, line[position:]
        if line[position] == "#":
            break
        word, position = _word(line, position)
        if word == "--":
            return values, " ".join([*words, line[position:]]).strip()
        if plain:
            words.append(word)
            continue
        flag, value = _match(word, flags, magic)
        if flag.takes_value and value is None:
            value, position = _value(line, position, flag, flags)
        read = True if value is None else read_value(value, flag)
        values[flag.name] = [*(values[flag.name] or ()), read] if flag.kind in ("pair", "texts") else read
        position = _skip(line, position)
    return values, " ".join(words)


def _refuse_late_flag(line: str, position: int, flags: Sequence[Flag], magic: str) -> None:
    """Refuse a flag behind the prompt, which would become a part of it."""
    for found in _LATE_FLAG.finditer(line, position):
        flag = next((flag for flag in flags if _means(found["word"], flag)), None)
        if flag is None:
            continue
        before, late = line[position : found.start()].rstrip(), line[found.start("word") :]
        spelled = late.replace(found["word"], _hyphens(found["word"]), 1)
        fix = ""
        with suppress(
            UsageError
        ):  # a wrong value or one more flag behind it is told when this one is in its place
            rest = read_flags(spelled, flags, magic=magic, verbatim=True)[1]
            typed = f"{line[:position]}{spelled.removesuffix(rest).strip()} {before} {rest}"
            fix = f": {magic} {typed.strip()}"
        raise usage_error(
            f"{flag.spelling} stands behind the prompt and would become a part of it; put the flags first{fix} "
            "(or -- before the prompt, to keep it there)"
        )


# Editors and phones make one long dash of two hyphens, and pages show other dashes and spaces than were typed.
_LONG_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"
_INVISIBLE = "\u200b\u2060\ufeff"
_SPACES = (
    f" \t\r\n\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000{_INVISIBLE}"
    "\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
)
_LATE_FLAG = re.compile(rf"(?<=\s)(?P<word>(?:-{{1,2}}|[{_LONG_DASHES}][-{_LONG_DASHES}]?)[a-zA-Z]\S*)")


def _hyphens(word: str) -> str:
    """A word that begins with a long dash, as it was meant."""
    if word[0] not in _LONG_DASHES:
        return word
    name = word.lstrip(f"-{_LONG_DASHES}")
    return ("-" if re.fullmatch(r"[a-zA-Z]\d*", name) else "--") + name


def _means(word: str, flag: Flag) -> bool:
    """Whether a word of the prompt is this flag, perhaps with a typing error in a long name."""
    from ..catalog import suggest

    spelled = _hyphens(word).partition("=")[0]
    if not spelled.startswith("--"):
        return bool(flag.short) and (
            spelled == flag.short or re.fullmatch(rf"{flag.short}\d+", spelled) is not None
        )
    name = spelled[2:].replace("_", "-").lower()
    return name == flag.spelling[2:] or (len(name) > 3 and suggest(name, [flag.spelling[2:]]) is not None)


def _skip(line: str, position: int) -> int:
    return position + len(line[position:]) - len(line[position:].lstrip(_SPACES))


def _word(line: str, position: int) -> tuple[str, int]:
    """The word at this position without its quotes, and the position after it."""
    stream = io.StringIO(line[position:])
    lexer = shlex.shlex(stream, posix=True)
    lexer.whitespace, lexer.whitespace_split = _SPACES, True
    lexer.commenters = ""
    if os.name == "nt":  # C:\pictures is a path there, not an escape
        lexer.escape = ""
    try:
        word = lexer.get_token()
    except ValueError:
        word = None
    if word is None and line.rstrip().endswith("\\"):
        raise usage_error("a \\ ends the line, but flags stand on one line: put them all on it")
    if word is None:
        raise usage_error("a quote among the flags is not closed; -- before the text ends the flags")
    return word, _skip(line, position + stream.tell())


def _value(line: str, position: int, flag: Flag, flags: Sequence[Flag]) -> tuple[str, int]:
    word, after = _word(line, position) if position < len(line) else ("--", position)
    spellings = {"--", *(each.spelling for each in flags), *(each.short for each in flags if each.short)}
    if word.split("=")[0] in spellings:
        takes = ", ".join(flag.choices) or flag.explanation
        raise usage_error(f"{flag.spelling} needs a value: {takes}")
    return word, after


def _match(word: str, flags: Sequence[Flag], magic: str) -> tuple[Flag, str | None]:
    """The flag that a word names, and the value that is part of the word, or None."""
    spelled, has_value, value = word.partition("=")
    for flag in flags:
        if spelled == flag.spelling or (flag.short and spelled == flag.short):
            if has_value and not flag.takes_value:
                raise usage_error(f"{flag.spelling} takes no value")
            return flag, value if has_value else None
    named = "--" + spelled.lstrip("-").replace("_", "-").lower()
    for flag in flags:  # -n4 and -mgpt-image-2 are read; -model is a typing error
        glued = flag.short and word.startswith(flag.short) and not word.startswith("--")
        if glued and flag.takes_value and named not in {each.spelling for each in flags}:
            return flag, word[2:]
    raise _unknown(spelled, named, flags, magic)


def _unknown(spelled: str, named: str, flags: Sequence[Flag], magic: str) -> UsageError:
    from ..catalog import suggest

    if re.search(r"key|token|secret|password|auth", named):
        return usage_error(
            "there is no flag for a key; %cometimg_login prompts for it without showing it. "
            "If this cell contains a real key: delete the cell, and rotate the key"
        )
    if named in {"--base-url", "--archive", "--max-in-flight", "--metadata"}:
        return usage_error(
            f"{named} is a setting, not a flag: %config CometMagics.{named[2:].replace('-', '_')} = ..."
        )
    near = suggest(named[2:], [flag.name.replace("_", "-") for flag in flags]) if len(named) > 3 else None
    if near:
        return usage_error(f"{spelled} is not a flag of {magic}; did you mean --{near}?")
    if spelled.startswith("--") and any(flag.kind == "pair" for flag in flags):
        name = named[2:].replace("-", "_")
        return usage_error(
            f"{spelled} is not a flag of {magic}; --raw {name}=VALUE sends what the table does not know"
        )
    return usage_error(
        f"{spelled} is not a flag of {magic}; --help lists them, and -- before the text ends the flags"
    )


def read_value(word: str, flag: Flag) -> Any:
    """The value of a flag from its word.

    Raises:
        UsageError: it is of another kind.
    """
    match flag.kind:
        case "integer":
            return _integer(word, flag)
        case "number":
            return _number(word, flag)
        case "pair":
            return _pair(word, flag)
        case "name":
            return _identifier(word, flag)
        case _:
            return _text(word, flag)


def _text(word: str, flag: Flag) -> str:
    if flag.choices and word not in flag.choices:
        from ..catalog import suggest

        near = suggest(word, flag.choices)
        advice = f"; did you mean {near}?" if near else ""
        raise usage_error(f"{flag.spelling} is {word or 'empty'}; it takes {', '.join(flag.choices)}{advice}")
    if not word:
        raise usage_error(f"{flag.spelling} is empty")
    return word


def _integer(word: str, flag: Flag) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,9}", word):
        raise usage_error(f"{flag.spelling} is {word or 'empty'}; it takes a whole number")
    return int(word)


def _number(word: str, flag: Flag) -> float:
    try:
        number = float(word.removeprefix("$"))
    except ValueError:
        number = math.nan
    if not (0 < number < math.inf):
        raise usage_error(f"{flag.spelling} is {word or 'empty'}; it takes a number above 0")
    return number


def _identifier(word: str, flag: Flag) -> str:
    if not is_variable(word):
        raise usage_error(f"{flag.spelling} is {word or 'empty'}; it takes the name of a variable of yours")
    return word


def is_variable(word: str) -> bool:
    """Whether a word can name a variable of the user's: none that Python or IPython gives a meaning to."""
    taken = keyword.iskeyword(word) or hasattr(builtins, word) or word in _OF_IPYTHON
    return word.isidentifier() and not taken and not word.startswith("__") and word != "_"


_OF_IPYTHON = frozenset({"In", "Out", "get_ipython", "exit", "quit", "display"})


def _pair(word: str, flag: Flag) -> tuple[str, Any]:
    name, has_value, value = word.partition("=")
    if not has_value or not name:
        raise usage_error(f"{flag.spelling} is {word or 'empty'}; it takes name=value")
    try:
        return name, json.loads(value, parse_constant=_refuse_constant)
    except ValueError:
        quoted = json.dumps(value, ensure_ascii=False)
    raise usage_error(
        f"{flag.spelling} {name} is not JSON; text is written {flag.spelling} '{name}={quoted}'"
    )


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(word)
