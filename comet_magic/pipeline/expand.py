"""Source rows become dataset rows: each row's request, its key, and which copy of equal requests it is."""

from __future__ import annotations

import copy
import sqlite3
import warnings
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from ..client.api import callers_level
from ..errors import CometError, ConfigurationError, InvalidRequestError, SourceError
from ..request.checks import check_names, check_no_key
from ..text import clean, holds_key
from .parameters import PARAMETERS, RowParameters
from .prompts import Prompt, PromptRule
from .row_inputs import columns_of
from .source import HoldsPictureError, plain, text_names
from .source_files import no_column

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from .parameters import Parameters, RequestTemplate
    from .prompts import Rewriter
    from .row_inputs import RowInputs
    from .source import SourceRow

MOST_RECENT = 100_000  # requests whose counts are held in memory


class Row(NamedTuple):
    """One row of the dataset: one picture that a row of the source asks for.

    Attributes:
        position: its place in the dataset, from 0.
        prompt: as the source has it; "" where it has none.
        template: the parameters it shares with other rows; None if they break a rule.
        key: of its request, "" if there is none.
        copy: how many earlier rows have an equal request.
        columns: what else the row of the source has, by the names of the columns as text.
        label: of the row of the source, in the index of its frame.
        shares_earlier: it uses the picture of an earlier row.
        problem: why it cannot be sent.
        model: that it names, if there is no template.
        inputs: what the index keeps of the pictures that go in.
    """

    position: int
    prompt: str
    template: RequestTemplate | None
    key: str
    copy: int
    columns: Mapping[str, Any]
    label: Any = None
    shares_earlier: bool = False
    problem: CometError | None = None
    model: str | None = None
    inputs: tuple[Mapping[str, Any], ...] = ()


class KeyCounts:
    """How often each request was asked for. Memory is bounded: what is older is in a temporary database."""

    def __init__(self) -> None:
        self._recent: dict[bytes, int] = {}
        self._connection: sqlite3.Connection | None = None

    def add(self, key: str, count: int) -> int:
        """Count a request so many times more; gives how often it was counted before.

        Raises:
            ConfigurationError: the folder for temporary files is full or cannot be written.
        """
        short = bytes.fromhex(key[:32])
        try:
            before = self._recent.get(short)
            if before is None:
                before = self._moved_out(short)
            self._recent[short] = before + count
            if len(self._recent) > MOST_RECENT:
                self._move_out()
        except sqlite3.Error as error:
            problem = clean(error)
        else:
            return before
        raise ConfigurationError(
            f"the rows cannot be counted in the folder for temporary files: {problem}",
            hint="Make room there, or set SQLITE_TMPDIR to another folder.",
        )

    def count(self, key: str) -> int:
        """How often a request was counted so far."""
        short = bytes.fromhex(key[:32])
        recent = self._recent.get(short)
        return self._moved_out(short) if recent is None else recent

    def _moved_out(self, short: bytes) -> int:
        if self._connection is None:
            return 0
        found = self._connection.execute("SELECT count FROM counts WHERE key = ?", (short,)).fetchone()
        return int(found[0]) if found else 0

    def _move_out(self) -> None:
        if self._connection is None:
            # "" is a database in a file of its own that SQLite removes: https://sqlite.org/inmemorydb.html
            self._connection = sqlite3.connect("", check_same_thread=False)
            self._connection.execute(
                "CREATE TABLE counts (key BLOB PRIMARY KEY, count INTEGER) WITHOUT ROWID"
            )
        self._connection.executemany("REPLACE INTO counts VALUES (?, ?)", sorted(self._recent.items()))
        self._connection.commit()
        self._recent.clear()

    def close(self) -> None:
        """Remove the database."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Expander:
    """Turns the rows of one source into dataset rows, in order. A context manager; any thread may use it.

    Args:
        defaults: the parameters of every row that does not say otherwise.
        prompt: the column of the prompts, or a template that uses columns.
        vendor: whom the requests are sent to.
        parameters: the columns that are parameters; None: those that are named like one.
        price_per_image: micro-USD, for a model whose price is not known.
        dedupe: equal requests share one picture.
        around: a preset's template around each prompt, or "".
        sample_seed: of the words that are drawn for each row.
        rewriter: rewrites the prompts, or None.
        asked: what a person gave for the parameters, such as a preset.
        inputs: the pictures that go in, or None.

    Attributes:
        duplicates: rows so far whose request an earlier row has too.
        adapted: rows so far by what became of a default that their model does not take, in words.
        parameters: the columns that are parameters, as far as rows were looked through.

    Raises:
        InvalidRequestError: the defaults break a rule.
    """

    def __init__(
        self,
        defaults: Mapping[str, Any],
        *,
        prompt: str,
        vendor: str,
        parameters: Iterable[str] | None = None,
        price_per_image: int | None = None,
        dedupe: bool = False,
        around: str = "",
        sample_seed: int = 0,
        rewriter: Rewriter | None = None,
        asked: Mapping[str, Any] | None = None,
        inputs: RowInputs | None = None,
    ) -> None:
        self._inputs = inputs
        self.duplicates = 0
        self.adapted: Counter[str] = Counter()
        self.rewriter = rewriter
        self._rule = PromptRule(prompt, around, sample_seed)
        self._prompt = prompt
        self._listed = None if parameters is None else tuple(parameters)
        check_names(self._listed or (), PARAMETERS)
        columns = (
            self._listed if self._listed is not None else tuple(name for name in PARAMETERS if name != prompt)
        )
        self._parameters = RowParameters(
            *(defaults, columns), vendor=vendor, price_per_image=price_per_image, asked=asked, inputs=inputs
        )
        self.parameters: tuple[str, ...] = ()
        self._dedupe = dedupe
        self._counts = KeyCounts()
        self._position = self._row = 0
        self._own: frozenset[str] = frozenset()  # the columns of prompt and parameters
        self._names: dict[Any, str] = {}  # of the columns
        self._looked = False
        self._pictures: dict[Any, None] = {}  # columns that are left out

    def anew(self) -> Expander:
        """The same, before its first row; what was looked through need not be again."""
        other = copy.copy(self)
        other.duplicates, other.adapted = 0, Counter()
        other._counts, other._position, other._row = KeyCounts(), 0, 0  # noqa: SLF001 - our own type
        return other

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._counts.close()

    def has(self, key: str, copy: int) -> bool:
        """Whether a row that was read so far asks for this copy of a request."""
        count = self._counts.count(key)
        return copy < (min(count, 1) if self._dedupe else count)

    # --- what is looked at before anything is sent

    def look_through(self, rows: Iterable[SourceRow], columns: Collection[Any] = ()) -> int:
        """Look rows through before anything is sent; gives how many rows of the dataset they make.

        Args:
            rows: of the source.
            columns: those that are known.

        Raises:
            SourceError: a row cannot be read, a column is not there or has values that JSON has no form for, or a
                column that is named like a parameter has a value that is none.
            InvalidRequestError: a default fits no row.
        """
        seen = dict.fromkeys(columns)
        self._looked, count, begun = True, 0, bool(seen)
        if begun:
            self._begin(seen)
        for row in rows:
            if row.problem is not None:
                raise row.problem
            if not begun:
                self._begin(row.record)
                begun = True
            if not row.record.keys() <= seen.keys():
                seen.update(dict.fromkeys(row.record))
            self._rule.look_at(row)
            self._columns(row)
            count += self._check_parameters(row)
        self._check_columns(seen)
        if count:
            self._parameters.check_defaults()
        self._names = text_names(seen)
        own_models = ("model",) if self._parameters.models else ()
        named = (name for name in self._parameters.columns if name in seen)
        self.parameters = tuple(dict.fromkeys((*own_models, *named)))
        if self._pictures:
            names = ", ".join(clean(name, limit=80) for name in self._pictures)
            warnings.warn(f"pictures and bytes are not kept: {names}", stacklevel=callers_level())
        return count

    def _check_columns(self, seen: Collection[Any]) -> None:
        """Check that the columns are there that prompt and parameters need; without any there is no row either."""
        if not seen:
            return
        if self._inputs is not None:
            self._inputs.for_table(seen)
        if self._rule.columns is not None:
            self._rule.check(seen)
        elif self._prompt not in seen:
            raise no_column(self._prompt, tuple(seen))
        for name in self._listed or ():
            if name not in seen:
                raise SourceError(f"parameters contains {name}, and there is no such column")

    def _begin(self, columns: Collection[Any]) -> None:
        """Settle what the columns mean: those that the prompt uses are words, unless they are listed as parameters."""
        self._rule = self._rule.for_table(columns)
        words = self._rule.columns or ()
        if self._listed is None:
            for name in words:
                self._parameters.columns.pop(name, None)
        own = () if self._rule.columns is not None else (self._prompt,)
        self._own = frozenset((*own, *self._parameters.columns))

    def _check_parameters(self, row: SourceRow) -> int:
        """How many rows of the dataset a row makes: one for each picture of each model, and one where it makes none."""
        problem = None
        try:
            models = self._parameters.models_of(row.record)
            return sum(self._parameters.of(row.record, model).pictures for model in models)
        except InvalidRequestError as error:
            if self._listed is None and error.param in row.record:
                names = (name for name in self._parameters.columns if name in row.record)
                others = [name for name in names if name != error.param]
                hint = f"Correct it; or, if the column is not a parameter, name those that are: parameters={others}."
                problem = SourceError(f"{row.place}: {error}", hint=hint)
        if problem is not None:
            raise problem
        return 1

    def _columns(self, row: SourceRow) -> dict[str, Any]:
        """What a row has beside its prompt and parameters; an empty text is a missing value, as it is in CSV."""
        found: dict[str, Any] = {}
        pictures = () if self._inputs is None else self._inputs.names
        for name, value in row.record.items():
            if name in self._own or name in pictures:
                continue
            if name not in self._names:
                self._names |= text_names([name], taken=self._names.values())
            problem = None
            try:
                text = plain(value)
                found[self._names[name]] = None if text == "" else text
            except HoldsPictureError:
                self._pictures[name] = None
            except (TypeError, RecursionError) as error:
                problem = (
                    f"{row.place}: the column {clean(name, limit=80)} holds a value {clean(error, limit=80)}"
                )
            if problem is not None:
                raise SourceError(
                    f"{problem}, which the metadata cannot hold", hint="Convert the column, or leave it out."
                )
        return found

    # --- rows

    def read(self, rows: Collection[SourceRow], *, sends: bool = False) -> Iterator[Row]:
        """The dataset rows of some more rows of the source; the first are looked through if none were.

        Args:
            rows: of the source.
            sends: they are to be sent: prompts that are not rewritten yet are given to `rewrite`, and pictures that
                go in are kept in the folder.

        Raises:
            SourceError, InvalidRequestError: as `look_through` does.
        """
        if not self._looked:
            self.look_through(rows)
        listed = list(rows)
        prompts = [self._prompt_of(row, number) for number, row in enumerate(listed, self._row)]
        self._row += len(listed)
        if self.rewriter is not None:
            prompts = self.rewriter.applied(listed, prompts, asks=sends)
        suspect = holds_key([*(row.record for row in listed), *(one.text for one in prompts)])
        for row, prompt in zip(listed, prompts, strict=True):
            for model in self._parameters.models_of(row.record):
                yield from self._rows_of(row, prompt, model, suspect=suspect, sends=sends)

    def _prompt_of(self, row: SourceRow, number: int) -> Prompt:
        try:
            return Prompt(problem=row.problem) if row.problem else self._rule.prompt_of(row, number)
        except (InvalidRequestError, SourceError) as error:
            return Prompt(problem=error)

    def _rows_of(
        self, row: SourceRow, made: Prompt, model: str | None, *, suspect: bool, sends: bool
    ) -> Iterator[Row]:
        """What a row asks of one model; it is looked through for keys if it is suspect."""
        prompt, columns, problem = made.text, dict[str, Any](), made.problem
        try:
            if row.problem is None:
                columns = self._columns(row)
                if self._inputs is not None:
                    columns |= self._inputs.texts(row)
                if made.columns:
                    columns |= made.columns
            if problem is None:
                if suspect:
                    check_no_key("the row", row.record)
                parameters = self._parameters.of(row.record, model)
                parameters.template.check("" if prompt is None else prompt, keys=suspect)
                if parameters.adapted:
                    self.adapted.update(dict.fromkeys(parameters.adapted, parameters.pictures))
                if self._inputs is None:
                    yield from self._copies(prompt, parameters, columns, row.label)
                    return
                given, facts = self._inputs.of(row, parameters.template.model, keep=sends)
                template = self._parameters.template(parameters.options, given)
                parameters = parameters._replace(template=template)
                columns |= columns_of(facts)
                for one in self._copies(prompt, parameters, columns, row.label):
                    yield one._replace(inputs=facts)
                return
        except (InvalidRequestError, SourceError) as error:
            problem = error
        words = prompt if isinstance(prompt, str) and not holds_key(prompt) else ""
        kept = {name: value for name, value in columns.items() if not holds_key((name, value))}
        named = self._parameters.named_model(row.record, model)
        self._position += 1
        yield Row(self._position - 1, words, None, "", 0, kept, row.label, problem=problem, model=named)

    def _copies(
        self, prompt: str, parameters: Parameters, columns: Mapping[str, Any], label: Any
    ) -> Iterator[Row]:
        count, template, *_ = parameters
        key = template.key(prompt)
        first = self._counts.add(key, count)
        self.duplicates += count if first else count - 1
        for number in range(first, first + count):
            own, shares = (0, number > 0) if self._dedupe else (number, False)
            self._position += 1
            yield Row(self._position - 1, prompt, template, key, own, columns, label, shares)
