"""Source rows become dataset rows: each row's request, its key, and which copy of equal requests it is."""

from __future__ import annotations

import copy
import json
import re
import warnings
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from ..catalog import DEFAULT_MODEL, find, resolve_size
from ..client.api import callers_level
from ..errors import CometError, InvalidRequestError, SourceError
from ..request import MOST_PICTURES, NO_INPUTS, ImageRequest, RequestTemplate, WireOptions, requests_of
from ..request.checks import check_model, check_names, check_no_key
from ..text import clean, holds_key
from .key_counts import KeyCounts
from .prompts import Prompt, PromptRule
from .row_inputs import columns_of
from .source_files import no_column
from .values import HoldsPictureError, plain, text_names

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from ..catalog import Model
    from ..request import Inputs
    from .prompts import Rewriter
    from .row_inputs import RowInputs
    from .source import Record, SourceRow

PARAMETERS = tuple(WireOptions.__annotations__)
MOST_TEMPLATES = 1000  # sets of parameters that are remembered
_INTEGERS = ("n", "output_compression", "partial_images")
_WHOLE = re.compile(r"\d{1,9}(?:\.0*)?")  # pandas writes 2 as 2.0 where a row has none


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


class Parameters(NamedTuple):
    """What the parameters of a row come to.

    Attributes:
        pictures: how many pictures it asks for.
        template: of their requests.
        adapted: which defaults its model does not take, and what became of each, in words.
        options: what the template was made of.
    """

    pictures: int
    template: RequestTemplate
    adapted: tuple[str, ...]
    options: Mapping[str, Any]


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
        self._asked = asked
        self._defaults = {name: value for name, value in defaults.items() if value is not None}
        self._models = _several(self._defaults.get("model"))
        if self._models:
            del self._defaults["model"]
        self._prompt = prompt
        self._vendor = vendor
        self._listed = None if parameters is None else tuple(parameters)
        check_names(self._listed or (), PARAMETERS)
        named = tuple(name for name in PARAMETERS if name != prompt)
        self._parameters = named if self._listed is None else self._listed
        self.parameters: tuple[str, ...] = ()
        self._price_per_image = price_per_image
        self._dedupe = dedupe
        self._counts = KeyCounts()
        self._templates: dict[str, Parameters] = {}
        self._position = self._row = 0
        self._own, self._settable = frozenset((prompt, *self._parameters)), frozenset(self._parameters)
        self._names: dict[Any, str] = {}  # of the columns
        self._looked = False
        self._pictures: dict[Any, None] = {}  # columns that are left out
        self._fit: set[str] = set()  # defaults that the model of some row takes
        self._unfit: InvalidRequestError | None = (
            None  # the default model takes them not, and rows have their own
        )
        try:
            for model in self._models or (None,):
                self._make({} if model is None else {"model": model})
            self._check_fit()
        except InvalidRequestError as error:
            self._unfit = error
        if self._unfit and ("model" in self._defaults or self._models):
            raise self._unfit

    def _check_fit(self) -> None:
        """Check that each default is taken by one of several models."""
        for name, value in self._defaults.items() if self._models else ():
            if name not in ("n", "extra") and name not in self._fit:
                ImageRequest("-", model=self._models[0], **{name: value})

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
        """Look rows through before anything is sent; gives how many there are. `columns` are those that are known.

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
            self._check_parameters(row)
            count += 1
        self._check_columns(seen)
        if count and self._unfit and self._unfit.param not in self._fit:
            raise self._unfit
        self._names = text_names(seen)
        own_models = ("model",) if self._models else ()
        named = (name for name in self._parameters if name in seen)
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
            self._parameters = tuple(name for name in self._parameters if name not in words)
        own = () if self._rule.columns is not None else (self._prompt,)
        self._own, self._settable = frozenset((*own, *self._parameters)), frozenset(self._parameters)

    def _check_parameters(self, row: SourceRow) -> None:
        problem = None
        try:
            for model in self._models_of(row.record):
                self._of(row.record, model)
        except InvalidRequestError as error:
            if self._listed is None and error.param in row.record:
                others = [name for name in self._parameters if name in row.record and name != error.param]
                hint = f"Correct it; or, if the column is not a parameter, name those that are: parameters={others}."
                problem = SourceError(f"{row.place}: {error}", hint=hint)
        if problem is not None:
            raise problem

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
            for model in self._models_of(row.record):
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
                parameters = self._of(row.record, model)
                parameters.template.check("" if prompt is None else prompt, keys=suspect)
                if parameters.adapted:
                    self.adapted.update(dict.fromkeys(parameters.adapted, parameters.pictures))
                if self._inputs is None:
                    yield from self._copies(prompt, parameters, columns, row.label)
                    return
                given, facts = self._inputs.of(row, parameters.template.model, keep=sends)
                parameters = parameters._replace(template=self._template(parameters.options, given))
                columns |= columns_of(facts)
                for one in self._copies(prompt, parameters, columns, row.label):
                    yield one._replace(inputs=facts)
                return
        except (InvalidRequestError, SourceError) as error:
            problem = error
        words = prompt if isinstance(prompt, str) and not holds_key(prompt) else ""
        kept = {name: value for name, value in columns.items() if not holds_key((name, value))}
        named = self._model_of(row.record, model)
        self._position += 1
        yield Row(self._position - 1, words, None, "", 0, kept, row.label, problem=problem, model=named)

    def _models_of(self, record: Record) -> tuple[str | None, ...]:
        """The models that a row asks for beside each other; None for the one of its parameters."""
        own = record.get("model")
        if own is None and not self._models:
            return (None,)
        own = typed("model", own) if "model" in self._parameters else None
        return _several(own) or (() if own else self._models) or (None,)

    def _model_of(self, record: Record, model: str | None) -> str | None:
        """The model that a row names which is not sent, as text."""
        named = model or (record.get("model") if "model" in self._parameters else None)
        model = (
            named if isinstance(named, str) and named.strip() else self._defaults.get("model", DEFAULT_MODEL)
        )
        return clean(model, limit=200) if isinstance(model, str) else None

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

    # --- parameters

    def _of(self, record: Record, model: str | None = None) -> Parameters:
        given = {}
        if not self._settable.isdisjoint(record):
            given = {name: typed(name, record[name]) for name in self._parameters if name in record}
            given = {name: value for name, value in given.items() if value is not None}
        return self._make(given if model is None else {**given, "model": model})

    def _make(self, given: Mapping[str, Any]) -> Parameters:
        name = json.dumps(given, sort_keys=True, default=str) if given else ""
        if name not in self._templates:
            if len(self._templates) >= MOST_TEMPLATES:
                self._templates.clear()
            wanted, adapted = self._adapted(given)
            count = wanted.pop("n", 1)
            if type(count) is not int or not 1 <= count <= MOST_PICTURES:
                raise InvalidRequestError(f"n is {count}; a row takes 1 to {MOST_PICTURES}", param="n")
            inputs = NO_INPUTS if self._inputs is None else self._inputs.placeholder(wanted)
            self._templates[name] = Parameters(count, self._template(wanted, inputs), adapted, wanted)
        return self._templates[name]

    def _template(self, options: Mapping[str, Any], inputs: Inputs) -> RequestTemplate:
        if inputs.images:  # without a size, they keep the first one's shape
            (first,) = requests_of("-", {**options, "asked": self._asked}, inputs)
        else:
            first = ImageRequest("-", **options, asked=self._asked)
        return RequestTemplate(first, self._vendor, self._price_per_image)

    def _adapted(self, given: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
        """The parameters of a row: of the defaults, what its own model takes; and in words what it does not."""
        model = given.get("model")
        default = None if self._models else self._defaults.get("model", DEFAULT_MODEL)
        if model is None or model == default:
            return {**self._defaults, **given}, ()
        check_model(model)
        wanted, words = dict(given), []
        for name, value in self._defaults.items():
            if name in given or name == "model":
                continue
            fit, legal = (True, value) if name in ("n", "extra") else _nearest_legal(find(model), name, value)
            if fit:
                self._fit.add(name)
            else:
                ends = "is left out" if legal is None else f"becomes {legal}"
                words.append(f"{name} {value} {ends} for {model}")
            if legal is not None:
                wanted[name] = legal
        return wanted, tuple(words)


def _nearest_legal(spec: Model, name: str, value: Any) -> tuple[bool, Any]:
    """Whether a model takes a value, and the value that it takes instead: for a size the nearest, else None."""
    rule = spec.parameters.get(name)
    if rule is None:
        return False, None
    if name == "size" and isinstance(value, str):
        try:
            value = resolve_size(spec, value)
        except InvalidRequestError:
            return False, None
    if rule.admits(value):
        return True, value
    return False, rule.nearest(value) if name == "size" else None


def _several(models: Any) -> tuple[str, ...]:
    """The models of a list, also one written in JSON; () for a single one."""
    if isinstance(models, str) and models.lstrip().startswith("["):
        models = typed("extra", models)
    if not isinstance(models, list | tuple):
        return ()
    for model in models:
        check_model(model)
    if not models:
        raise InvalidRequestError("model is an empty list; name one or several", param="model")
    return tuple(dict.fromkeys(models))


def typed(name: str, value: Any) -> Any:
    """A parameter's value from a table that may only know texts and floats."""
    try:
        value = plain(value)
    except (HoldsPictureError, TypeError, RecursionError):
        return value  # its check says what it is
    if not isinstance(value, str):
        return value
    value = value.strip()
    if name in _INTEGERS and _WHOLE.fullmatch(value):
        return int(float(value))
    if name == "stream":
        return {"true": True, "false": False, "": None}.get(value.lower(), value)
    if name == "extra":
        try:
            return json.loads(value)
        except ValueError:
            return value or None
    return value or None
