"""The pictures that go into the requests of a dataset: those of a column, or the same ones for all rows."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..archive.layout import is_there, keep_inputs
from ..errors import InvalidRequestError, SaveError
from ..files import inside, read_inside, replaced
from ..images.masks import as_box
from ..images.prepare import input_rules, prepare_inputs
from ..images.reading import read_picture
from ..request import InputPicture, Inputs
from ..text import clean
from .source import is_missing
from .source_folder import SourceFolder

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from .source import SourceRow

ROLES = ("image", "mask", "markup")
_MOST_KNOWN = 10_000  # inputs whose hashes are remembered
# Stands for a picture while the other parameters are checked.
_ANY = InputPicture("0" * 64, "image/png", 1024, 1024)
_HERE = SourceFolder("")


class PreparedInputs(NamedTuple):
    """The pictures of one row.

    Attributes:
        inputs: prepared; their bytes are in the archive's folder if they were kept.
        facts: what the index keeps of each: the ledger's facts and the column that it came from.
    """

    inputs: Inputs
    facts: tuple[Mapping[str, Any], ...]


class RowInputs:
    """Which pictures each row gives to its request.

    Args:
        given: the options `image`, `mask`, `markup`, `resize` and `paste_back`. A text that names a column stands for
            the picture in it, any other value for a picture that all rows have.
        folder: of the dataset, where pictures are kept.

    Attributes:
        given: what was given for each of `image`, `mask` and `markup`.
        names: that may be columns.
    """

    def __init__(self, given: Mapping[str, Any], folder: Path) -> None:
        self.given = {role: _listed(given[role], role) for role in ROLES if given.get(role) is not None}
        self._how = {name: given[name] for name in ("resize", "paste_back") if given.get(name) is not None}
        self._folder = folder
        self._columns: frozenset[str] = frozenset()
        self._known: dict[str, Inputs] = {}
        self._fixed = frozenset(id(one) for values in self.given.values() for one in values)
        self.names = frozenset(
            one for values in self.given.values() for one in values if isinstance(one, str)
        )

    def for_table(self, columns: Collection[Any]) -> None:
        """Settle which names are columns; what is not one must be a picture that can be read.

        Raises:
            InvalidRequestError: it is neither.
        """
        self._columns = self.names.intersection(columns)
        for role, values in self.given.items():
            for value in values:
                if _is_box(value, role) or (isinstance(value, str) and value in self._columns):
                    continue
                if isinstance(value, str) and not Path(value).expanduser().is_file():
                    there = clean(", ".join(map(str, columns)), limit=300) or "none"
                    said = f"{role} is {clean(value, limit=200)}; there is no such column and no such file"
                    raise InvalidRequestError(f"{said}; the columns are: {there}", param=role)
                read_picture(value, role)

    def placeholder(self, options: Mapping[str, Any]) -> Inputs:
        """Inputs that stand for those of any row, to check the other parameters.

        Raises:
            InvalidRequestError: the model does not take such inputs.
        """
        values = {role: list(values) if role == "image" else values[0] for role, values in self.given.items()}
        input_rules({**options, **values})
        mask, markup = (_ANY if self.given.get(role) else None for role in ROLES[1:])
        return Inputs((_ANY,) * len(self.given["image"]), mask, markup)

    def of(self, row: SourceRow, model: str, *, keep: bool) -> PreparedInputs:
        """The pictures of a row, prepared for a model and, with `keep`, written to the folder.

        Raises:
            InvalidRequestError: one is missing or cannot be read, or the model does not take it.
            SaveError: one cannot be written.
        """
        found = {
            role: [pair for one in values for pair in self._values(row, one, role)]
            for role, values in self.given.items()
        }
        options: dict[str, Any] = {role: [value for value, _ in pairs] for role, pairs in found.items()}
        for role in options.keys() - {"image"}:
            if len(options[role]) > 1:
                said = f"{role} has {len(options[role])} pictures; it takes 1"
                raise InvalidRequestError(said, param=role)
            (options[role],) = options[role]
        name = _identity(model, options, self._fixed)
        inputs = self._known.get(name) if name else None
        if inputs is None or (keep and not all(is_there(self._folder, one.name) for _, one in inputs)):
            inputs = self._prepared({"model": model, **options, **self._how}, keep=keep)
            if name:
                if len(self._known) >= _MOST_KNOWN:
                    self._known.clear()
                self._known[name] = inputs
        columns = [column for role in ROLES for _, column in found.get(role, ())]
        facts = zip(inputs.to_list(), (*columns, None), strict=False)
        return PreparedInputs(inputs, tuple({**fact, "column": column} for fact, column in facts))

    def texts(self, row: SourceRow) -> dict[str, str]:
        """What a row has in these columns, of texts; it tells which picture cannot be read."""
        found = {name: row.record.get(name) for name in self._columns}
        return {name: value for name, value in found.items() if isinstance(value, str) and value}

    def _prepared(self, options: Mapping[str, Any], *, keep: bool) -> Inputs:
        inputs = prepare_inputs(options)
        problem = ""
        try:
            if keep:
                there = [picture for _, picture in inputs if is_there(self._folder, picture.name)]
                keep_inputs(self._folder, inputs)
                for picture in there:
                    _make_whole(self._folder, picture)
        except OSError as error:
            problem = error.strerror or type(error).__name__
        if problem:
            raise SaveError(
                f"an input picture cannot be written to the archive: {problem}", outcome="not_sent"
            )
        here = partial(_in_folder, self._folder)
        return replace(
            inputs,
            images=tuple(map(here, inputs.images)),
            mask=here(inputs.mask) if inputs.mask else None,
            markup=here(inputs.markup) if inputs.markup else None,
            original=here(inputs.original) if inputs.original else None,
        )

    def _values(self, row: SourceRow, given: Any, role: str) -> Iterator[tuple[Any, str | None]]:
        """The pictures that a row gives for one value of an option, each with the column that it came from."""
        if not isinstance(given, str) or given not in self._columns:
            yield given, None
            return
        for value in _listed(_from_cell(row.record.get(given)), role):
            if is_missing(value) or (isinstance(value, str) and not value.strip()):
                said = f"the column {clean(given, limit=80)} is empty; each row needs a picture in it"
                raise InvalidRequestError(said, param=role)
            yield _found(value, row.folder or _HERE, role), given


def columns_of(facts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What is kept of the columns with pictures: the name of the stored file, or of several."""
    found: dict[str, list[str]] = {}
    for one in facts:
        if one["column"] is not None:
            stored = InputPicture(one["sha256"], one["mime"], one["width"], one["height"])
            found.setdefault(one["column"], []).append(stored.name)
    return {name: names[0] if len(names) == 1 else names for name, names in found.items()}


def _make_whole(folder: Path, picture: InputPicture) -> None:
    """Write a picture over a file of its name that holds other bytes: what is sent is read from there.

    Raises:
        OSError: a link is on the way to it, the disk is full, and the like.
    """
    data = picture.read()
    if read_inside(folder, picture.name) != data:
        with replaced(inside(folder, picture.name)) as file:
            file.write(data)


def _in_folder(folder: Path, picture: InputPicture) -> InputPicture:
    return replace(picture, content=folder / picture.name)


def _listed(value: Any, role: str) -> tuple[Any, ...]:
    """What is given for one option, as one or several pictures; an empty list is a missing one."""
    if isinstance(value, list | tuple) and not _is_box(value, role):
        return tuple(one for inner in value for one in _listed(inner, role)) or (None,)
    return (value,)


def _is_box(value: Any, role: str) -> bool:
    return role == "mask" and as_box(value) is not None


def _from_cell(value: Any) -> Any:
    """A value of a table, whose lists and boxes may be texts or arrays."""
    if isinstance(value, str):
        text = value.strip()
        if box := as_box(text):
            return [*box]
        if text.startswith("["):
            try:
                return json.loads(text)
            except ValueError:
                return text
        return text
    return value.tolist() if getattr(value, "ndim", 0) == 1 else value


def _found(value: Any, folder: SourceFolder, role: str) -> Any:
    """A picture of a row; names of files lead to the folder of the table."""
    problem, hint = "", ""
    try:
        if isinstance(value, str | os.PathLike):
            return folder.find(os.fspath(value))
        if isinstance(value, dict) and not value.get("bytes") and isinstance(value.get("path"), str):
            return folder.find(value["path"])
    except InvalidRequestError as error:
        problem, hint = f"{role} {error}", error.hint
    if problem:
        raise InvalidRequestError(problem, param=role, hint=hint)
    return value


def _identity(model: str, options: Mapping[str, Any], fixed: Collection[int]) -> str:
    """A name of the same inputs, "" if they can only be told by preparing them."""
    parts = [model]
    for role, given in options.items():
        for value in given if isinstance(given, list) else [given]:
            content = value.get("bytes") if isinstance(value, dict) else value
            if id(value) in fixed:  # it lives as long as the job, so nothing else has its id
                parts += [role, f"given {id(value)}"]
            elif isinstance(content, bytes):
                parts += [role, hashlib.sha256(content).hexdigest()]
            elif isinstance(content, str | os.PathLike):
                try:
                    about = Path(content).expanduser().stat()
                except OSError:
                    return ""
                parts += [role, os.fspath(content), str(about.st_mtime_ns), str(about.st_size)]
            elif isinstance(content, tuple | list | int | float):
                parts += [role, repr(content)]
            else:
                return ""
    return json.dumps(parts)
