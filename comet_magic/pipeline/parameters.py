"""The parameters of each row: checked, hashed and priced once for all rows that share them."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from ..catalog import DEFAULT_MODEL, find, resolve_size
from ..errors import InvalidRequestError
from ..request import MOST_PICTURES, NO_INPUTS, ImageRequest, WireOptions, requests_of
from ..request.checks import check_model, check_prompt
from ..text import clean
from .source import HoldsPictureError, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from ..catalog import Model
    from ..money import Price
    from ..request import Inputs
    from .row_index import IndexedRow
    from .row_inputs import RowInputs
    from .source import Record

PARAMETERS = tuple(WireOptions.__annotations__)
MOST_TEMPLATES = 1000  # sets of parameters that are remembered
_INTEGERS = ("n", "output_compression", "partial_images")
_WHOLE = re.compile(r"\d{1,9}(?:\.0*)?")  # pandas writes 2 as 2.0 where a row has none
_MARK = "\N{OBJECT REPLACEMENT CHARACTER}the prompt goes here\N{OBJECT REPLACEMENT CHARACTER}"


class RequestTemplate:
    """Checks, keys and prices for many prompts with the same parameters; much faster than a request for each.

    Args:
        template: a request with these parameters; its prompt does not matter.
        vendor: the vendor they are sent to.
        price_per_image: micro-USD, used if the table has no price.
    """

    def __init__(self, template: ImageRequest, vendor: str, price_per_image: int | None = None) -> None:
        self._template = template
        self._spec = template.spec
        self._price_per_image = price_per_image
        self._prices: dict[int, Price] = {}
        quoted = json.dumps(_MARK)
        # After the prompt come only vendor and version, so the last match is the prompt.
        before, _, after = template.with_prompt(_MARK).key_text(vendor).rpartition(quoted)
        self._before, self._after = hashlib.sha256(before.encode()), after.encode()
        facts = template.to_dict()
        self.model = template.model
        self.parameters = json.dumps(
            {name: value for name, value in facts.items() if name not in ("prompt", "model")}
        )

    def check(self, prompt: object, *, keys: bool = True) -> None:
        """Check that the model takes this prompt; without `keys` it was looked through for API keys before.

        Raises:
            InvalidRequestError: it does not.
        """
        check_prompt(self._spec, prompt, keys=keys)

    def request(self, prompt: str) -> ImageRequest:
        """The request for a prompt."""
        return self._template.with_prompt(prompt)

    def key(self, prompt: str) -> str:
        """The key of that request."""
        name = self._before.copy()
        name.update(json.dumps(prompt).encode())
        name.update(self._after)
        return name.hexdigest()

    def estimate(self, prompt: str) -> Price:
        """The price of that request; it depends on the length of the prompt only."""
        length = len(prompt)
        if length not in self._prices:
            self._prices[length] = self.request(prompt).estimate(self._price_per_image)
        return self._prices[length]


class IndexedTemplates:
    """The templates of rows that an index has.

    Args:
        folder: of the dataset.
        vendor: the vendor they are sent to.
        price_per_image: as of `RequestTemplate`.
    """

    def __init__(self, folder: Path, vendor: str, price_per_image: int | None = None) -> None:
        self._folder = folder
        self._to = vendor, price_per_image
        self._known: dict[tuple[str | None, ...], RequestTemplate] = {}

    def of(self, row: IndexedRow) -> RequestTemplate:
        """The template of the request of a row.

        Raises:
            CometError: its model does not take such a request any more.
        """
        facts = row.model, row.parameters, row.inputs
        if facts not in self._known:
            given = {"prompt": "-", "model": row.model, **json.loads(row.parameters or "{}")}
            request = ImageRequest.from_dict(given, row.given(self._folder))
            if len(self._known) >= MOST_TEMPLATES:
                self._known.clear()
            self._known[facts] = RequestTemplate(request, *self._to)
        return self._known[facts]


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


class RowParameters:
    """Reads the parameters of rows: those of their columns, and the defaults.

    Args:
        defaults: the parameters of every row that does not say otherwise.
        columns: those that may be parameters.
        vendor: whom the requests are sent to.
        price_per_image: micro-USD, for a model whose price is not known.
        asked: what a person gave for the parameters, such as a preset.
        inputs: the pictures that go in, or None.

    Attributes:
        columns: those that may be parameters.
        models: that every row asks for which names none itself; () if the defaults do not have several.

    Raises:
        InvalidRequestError: the defaults break a rule.
    """

    def __init__(
        self,
        defaults: Mapping[str, Any],
        columns: Iterable[str],
        *,
        vendor: str,
        price_per_image: int | None = None,
        asked: Mapping[str, Any] | None = None,
        inputs: RowInputs | None = None,
    ) -> None:
        self.columns = dict.fromkeys(columns)  # in their order
        self._vendor, self._price_per_image = vendor, price_per_image
        self._asked = asked
        self._inputs = inputs
        self._defaults = {name: value for name, value in defaults.items() if value is not None}
        self.models = _several(self._defaults.get("model"))
        if self.models:
            del self._defaults["model"]
        self._known: dict[str, Parameters] = {}
        self._fit: set[str] = set()  # defaults that the model of some row takes
        self._unfit: InvalidRequestError | None = None  # of a default model that rows may replace
        try:
            for model in self.models or (None,):
                self.of({}, model)
            for name, value in self._defaults.items() if self.models else ():
                if name not in ("n", "extra") and name not in self._fit:  # one of several models must take it
                    ImageRequest("-", model=self.models[0], **{name: value})
        except InvalidRequestError as error:
            self._unfit = error
        if self._unfit and ("model" in self._defaults or self.models):
            raise self._unfit

    def check_defaults(self) -> None:
        """Check, once rows were looked through, that each default is taken by the model of one.

        Raises:
            InvalidRequestError: one is not.
        """
        if self._unfit and self._unfit.param not in self._fit:
            raise self._unfit

    def models_of(self, record: Record) -> tuple[str | None, ...]:
        """The models that a row asks for beside each other; None for the one of its parameters."""
        own = record.get("model")
        if own is None and not self.models:
            return (None,)
        own = typed("model", own) if "model" in self.columns else None
        return _several(own) or (() if own else self.models) or (None,)

    def named_model(self, record: Record, model: str | None) -> str | None:
        """The model that a row names which is not sent, as text."""
        named = model or (record.get("model") if "model" in self.columns else None)
        if not isinstance(named, str) or not named.strip():
            named = self._defaults.get("model", DEFAULT_MODEL)
        return clean(named, limit=200) if isinstance(named, str) else None

    def of(self, record: Record, model: str | None = None) -> Parameters:
        """The parameters of a row, for one of the models that it asks for.

        Raises:
            InvalidRequestError: they break a rule.
        """
        named = {name: typed(name, record[name]) for name in record if name in self.columns}
        given = {name: value for name, value in named.items() if value is not None} if named else named
        if model is not None:
            given["model"] = model
        name = json.dumps(given, sort_keys=True, default=str) if given else ""
        if name not in self._known:
            if len(self._known) >= MOST_TEMPLATES:
                self._known.clear()
            wanted, adapted = self._adapted(given)
            count = wanted.pop("n", 1)
            if type(count) is not int or not 1 <= count <= MOST_PICTURES:
                raise InvalidRequestError(f"n is {count}; a row takes 1 to {MOST_PICTURES}", param="n")
            inputs = NO_INPUTS if self._inputs is None else self._inputs.placeholder(wanted)
            self._known[name] = Parameters(count, self.template(wanted, inputs), adapted, wanted)
        return self._known[name]

    def template(self, options: Mapping[str, Any], inputs: Inputs) -> RequestTemplate:
        """The template of requests with these parameters and pictures."""
        if inputs.images:  # without a size, they keep the first one's shape
            (first,) = requests_of("-", {**options, "asked": self._asked}, inputs)
        else:
            first = ImageRequest("-", **options, asked=self._asked)
        return RequestTemplate(first, self._vendor, self._price_per_image)

    def _adapted(self, given: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
        """The parameters of a row: of the defaults, what its own model takes; and in words what it does not."""
        model = given.get("model")
        default = None if self.models else self._defaults.get("model", DEFAULT_MODEL)
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
