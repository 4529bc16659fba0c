"""The prompt of each row: a column, or a template filled from columns; around it a preset's, and rewritten or not."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from ..archive.ledger import DATABASE_FAULTS, open_to_read, open_to_write, refuse_code
from ..errors import CometError, ConfigurationError, InvalidRequestError, SourceError
from ..request.prompt_template import alternatives_in, drawn, filled, names_in
from ..text import clean, concealed
from .source import HoldsPictureError, plain

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from .source import Record, SourceRow

AT_ONCE = 32  # prompts that `rewrite` is given together
REWRITES = "rewrites.sqlite"


class Prompt(NamedTuple):
    """The prompt of a row.

    Attributes:
        text: as it is sent; of a column any value that JSON has.
        columns: the words that were drawn, and the prompt before it was changed, by the names of their columns.
        problem: why the row has none, or None.
    """

    text: Any = ""
    columns: Mapping[str, str] = {}
    problem: CometError | None = None


@dataclass(frozen=True)
class PromptRule:
    """How prompts are made of rows.

    Attributes:
        given: a column, or a template that uses columns.
        around: a preset's template, or "".
        seed: of the words that are drawn for each row.
        columns: that the template uses; None if `given` is a column.
    """

    given: str
    around: str = ""
    seed: int = 0
    columns: tuple[str, ...] | None = None

    def for_table(self, columns: Collection[Any]) -> PromptRule:
        """The same for a table with these columns: one with the name of the template makes it a column.

        Raises:
            InvalidRequestError: it is neither a column nor a template.
        """
        if not has_braces(self.given) or self.given in columns:
            return self
        return PromptRule(self.given, self.around, self.seed, names_in(self.given))

    def check(self, columns: Collection[Any]) -> None:
        """Check that the columns that the template uses are there.

        Raises:
            SourceError: one is not.
        """
        for name in self.columns or ():
            if name not in columns:
                there = ", ".join(str(one) for one in columns) or "none"
                raise SourceError(
                    f"the prompt uses {{{clean(name, limit=80)}}}, and there is no such column;"
                    f" the columns are: {clean(there, limit=300)}",
                    hint="Braces that are meant as such are doubled: {{ and }}.",
                )

    def look_at(self, row: SourceRow) -> None:
        """Check that what the prompt of a row is made of is text, or missing.

        Raises:
            SourceError: it is of another type.
        """
        for name in (self.given,) if self.columns is None else self.columns:
            _value(row, name)

    def prompt_of(self, row: SourceRow, number: int) -> Prompt:
        """The prompt of a row, which is the so manieth of the source.

        Raises:
            SourceError: a value is of a type that is not text.
        """
        if self.columns is None and not self.around:
            return Prompt(_value(row, self.given))
        words: list[str] = []
        if self.columns is None:
            text = _value(row, self.given)
        else:
            values = {name: _value(row, name) for name in self.columns}
            empty = next((name for name, value in values.items() if value in (None, "")), None)
            if empty is not None:
                said = f"the column {clean(empty, limit=80)} is empty, and the prompt uses it"
                return Prompt(problem=InvalidRequestError(said, param="prompt"))
            text = self._filled(self.given, f"{self.seed}:{number}", values, words)
        asked = text
        if self.around and isinstance(text, str) and text.strip():
            text = self._filled(self.around, f"{self.seed}:{number}:preset", {"prompt": text}, words)
        columns = {_free(f"drawn_{place}", row.record): word for place, word in enumerate(words, 1)}
        return Prompt(text, columns if text is asked else {**columns, **_asked(asked, row.record)})

    @staticmethod
    def _filled(template: str, seed: str, values: Mapping[str, Any], words: list[str]) -> str:
        if alternatives_in(template):
            variant = drawn(template, seed)
            words += variant.words
            template = variant.text
        return filled(template, values)


def has_braces(text: str) -> bool:
    """Whether a prompt argument may be a template."""
    return "{" in text or "}" in text


def column_of(prompt: str) -> str:
    """The column in which texts without names are: that of the prompts, or the first that a template uses."""
    try:
        return next(iter(names_in(prompt)), "prompt") if has_braces(prompt) else prompt
    except InvalidRequestError:  # it may be a column's name; if not, that is told with the columns
        return prompt


def _value(row: SourceRow, name: str) -> Any:
    value = row.record.get(name)
    try:
        found = plain(value)
    except (HoldsPictureError, TypeError, RecursionError):
        found = {}
    if not isinstance(found, (dict, list)):
        return found
    raise SourceError(f"{row.place}: the prompt is of type {type(value).__name__}; it must be a text")


def _free(name: str, record: Record) -> str:
    while name in record:
        name += "_"
    return name


def _asked(prompt: str, record: Record) -> dict[str, str]:
    """The column with a prompt as it was before a template or a rewriting."""
    return {_free("asked_prompt", record): prompt}


# --- rewriting


@dataclass(frozen=True)
class Rewriter:
    """A function of the user's that rewrites prompts; what it gave is kept in the dataset's folder.

    Attributes:
        function: gets a list of at most 32 prompts and gives as many.
        version: another one asks anew.
        folder: of the dataset.

    Raises:
        ConfigurationError: it is not a plain function.
    """

    function: Callable[[list[str]], Sequence[str]]
    version: str
    folder: Path

    def __post_init__(self) -> None:
        if not callable(self.function) or inspect.iscoroutinefunction(self.function):
            raise ConfigurationError(
                "rewrite must be a function that takes a list of prompts and gives as many"
            )

    def applied(self, rows: Sequence[SourceRow], prompts: list[Prompt], *, asks: bool) -> list[Prompt]:
        """The prompts rewritten; without `asks` only those whose rewriting is kept, the others as they are."""
        wanted = dict.fromkeys(one.text for one in prompts if _is_whole(one))
        known: dict[str, str | CometError] = {**self._kept(wanted)}
        missing = [text for text in wanted if text not in known] if asks else []
        for start in range(0, len(missing), AT_ONCE):
            known |= self._ask(missing[start : start + AT_ONCE])
        return [
            _rewritten(one, known[one.text], row.record) if _is_whole(one) and one.text in known else one
            for row, one in zip(rows, prompts, strict=True)
        ]

    def _ask(self, prompts: list[str]) -> Mapping[str, str | CometError]:
        try:
            given = list(self.function(list(prompts)))
        except BaseException as fault:
            if not isinstance(fault, Exception):
                raise
            problem = _failed(f"{type(fault).__name__}: {clean(fault, limit=200)}")
            return dict.fromkeys(prompts, problem)
        if len(given) != len(prompts):
            problem = _failed(f"it gave {len(given)} prompts for {len(prompts)}")
            return dict.fromkeys(prompts, problem)
        good = {
            prompt: text
            for prompt, text in zip(prompts, given, strict=True)
            if isinstance(text, str) and text.strip() and concealed(text) is text
        }
        self._keep(good)
        return {prompt: good.get(prompt) or _failed("it gave no text for this prompt") for prompt in prompts}

    def _name(self, prompt: str) -> str:
        return hashlib.sha256(f"{self.version}\0{prompt}".encode()).hexdigest()

    def _kept(self, prompts: Iterable[str]) -> dict[str, str]:
        path = self.folder / REWRITES
        if not path.exists():
            return {}
        with _opened(path, open_to_read) as connection:
            query = "SELECT prompt FROM rewrites WHERE name = ?"
            found = {
                prompt: connection.execute(query, (self._name(prompt),)).fetchone() for prompt in prompts
            }
        return {prompt: row[0] for prompt, row in found.items() if row and isinstance(row[0], str)}

    def _keep(self, rewritten: Mapping[str, str]) -> None:
        with _opened(self.folder / REWRITES, open_to_write) as connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS rewrites (name TEXT PRIMARY KEY, prompt TEXT NOT NULL) WITHOUT ROWID"
            )
            rows = [(self._name(prompt), text) for prompt, text in rewritten.items()]
            connection.executemany("REPLACE INTO rewrites VALUES (?, ?)", rows)


@contextlib.contextmanager
def _opened(path: Path, open_it: Callable[[Path], sqlite3.Connection]) -> Any:
    try:
        with contextlib.closing(open_it(path)) as connection:
            refuse_code(connection, path)
            with connection:
                yield connection
    except DATABASE_FAULTS as error:
        problem = clean(getattr(error, "strerror", None) or error)
    else:
        return
    raise ConfigurationError(f"the rewritten prompts in {clean(path)} cannot be used: {problem}")


def _is_whole(prompt: Prompt) -> bool:
    return prompt.problem is None and isinstance(prompt.text, str) and bool(prompt.text.strip())


def _failed(why: str) -> InvalidRequestError:
    return InvalidRequestError(f"rewrite failed: {why}", param="prompt")


def _rewritten(prompt: Prompt, answer: str | CometError, record: Record) -> Prompt:
    if isinstance(answer, CometError):
        return Prompt(prompt.text, prompt.columns, answer)
    return Prompt(answer, {**_asked(prompt.text, record), **prompt.columns})
