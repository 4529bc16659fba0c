"""Sources in files: local ones, globs, addresses of fsspec, standard input and open handles.

What kind a file is, its name says; that it is compressed or UTF-16, its first bytes. CSV is read strictly.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import glob
import gzip
import io
import itertools
import json
import os
import re
import sys
import zlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from ..errors import ConfigurationError, SourceError
from ..extras import load_extra
from ..text import clean, counted
from .source import BATCH, FEW, Source, SourceRow, arrow_rows, check_columns, read_row, without_bytes
from .source_folder import SourceFolder

FORMATS = ("csv", "tsv", "jsonl", "json", "parquet", "txt")
_ENDINGS = {f".{name}": name for name in FORMATS} | {".ndjson": "jsonl"}
_SHEETS = (".xlsx", ".xls", ".xlsm", ".ods")
_SEPARATORS = (",", ";", "\t")
_BINARY = re.compile("[\0-\x08]|^PAR1")
_UNDECODED = re.compile("[\udc80-\udcff]")
_GZIP = b"\x1f\x8b"
_MODE = "rb"
Opener = Callable[[], contextlib.AbstractContextManager[Any]]
_Found = tuple[str, Opener, SourceFolder]


@dataclass(frozen=True)
class FileOptions:
    """How files are read.

    Attributes:
        prompt: the column of the prompts; that of the lines of a .txt file.
        format: one of `FORMATS`, for a file whose name does not say it.
        encoding: of a text, if it is neither UTF-8 nor begins with a byte order mark.
        sep: between two values of a csv file; by default the one that its header has.
        needs_prompt: a file must have the column of the prompts.
        pictures: columns with pictures, whose names lead beside the file.
    """

    prompt: str
    format: str | None = None
    encoding: str | None = None
    sep: str | None = None
    needs_prompt: bool = True
    pictures: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.format is not None and self.format not in FORMATS:
            raise ConfigurationError(f"format is {clean(self.format)}; it must be {', '.join(FORMATS)}")
        if self.sep is not None and len(self.sep) != 1:
            raise ConfigurationError(f"sep is {self.sep!r}; it must be one character")
        try:
            codecs.lookup(self.encoding or "utf-8")
        except LookupError:
            problem = f"encoding is {clean(self.encoding)}; Python does not know it"
        else:
            return
        raise ConfigurationError(problem)


@dataclass(frozen=True)
class _File:
    """A file: its name in messages, its kind, how it is opened, for bytes or for lines, and its folder."""

    name: str
    kind: str
    open: Opener = field(repr=False)
    options: FileOptions = field(repr=False)
    folder: SourceFolder | None = None

    def rows(self) -> Iterator[SourceRow]:
        """Its rows, which know the folder if pictures are named in them; an error names the file."""
        if not self.options.pictures:
            return self._rows()
        return (row._replace(folder=self.folder) for row in self._rows())

    def _rows(self) -> Iterator[SourceRow]:
        try:
            with self.open() as opened:
                if self.kind == "parquet":
                    yield from _parquet(self, opened)
                    return
                with contextlib.closing(self.lines(opened)) as lines:
                    yield from self._of_lines(lines)
        except (OSError, EOFError, zlib.error, ValueError) as error:  # also of pyarrow
            problem = clean(getattr(error, "strerror", None) or error, limit=200)
        else:
            return
        raise SourceError(f"{self.name} cannot be read: {problem}")

    def _of_lines(self, lines: Iterator[str]) -> Iterator[SourceRow]:
        begin: list[str] = []
        while not "".join(begin).strip() and (line := next(lines, "")):
            begin.append(line)
        kind = self.kind or {"{": "jsonl", "[": "json"}.get("".join(begin).lstrip()[:1], "csv")
        readers = {"jsonl": _jsonl, "json": _json, "txt": _txt}
        return readers.get(kind, _csv)(self, itertools.chain(begin, lines))

    def lines(self, opened: Any) -> Generator[str, None, None]:
        """Its lines, with their ends and without a byte order mark."""
        with contextlib.ExitStack() as layers:
            text = _as_text(opened, self.options.encoding, layers)
            for number, line in enumerate(text, 1):
                bad = None if line.isascii() else _UNDECODED.search(line)
                if bad:
                    raise SourceError(
                        f"{self.name}, line {number}: byte 0x{ord(bad[0]) - 0xDC00:x} is not {text.encoding}",
                        hint="Give the encoding of the file, such as encoding='cp1252'.",
                    )
                if number == 1 and _BINARY.search(line):
                    raise SourceError(
                        f"{self.name} is not a text that is {text.encoding}",
                        hint="Give its encoding, such as encoding='utf-16-le', or what it is: format='parquet'."
                        " A spreadsheet is read by pandas.read_excel.",
                    )
                yield line.removeprefix("\ufeff") if number == 1 else line


def _as_text(opened: Any, encoding: str | None, layers: contextlib.ExitStack) -> Any:
    """A file as text; the layers above it are taken off at the end, for they would close it."""
    if isinstance(opened.read(0), str):
        return opened
    if not hasattr(opened, "peek"):
        opened = io.BufferedReader(opened)
        layers.callback(opened.detach)
    if opened.peek(2)[:2] == _GZIP:
        opened = io.BufferedReader(gzip.GzipFile(fileobj=opened))
    marked = "utf-16" if opened.peek(2)[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else None
    text = io.TextIOWrapper(opened, marked or encoding or "utf-8", errors="surrogateescape", newline="")
    layers.callback(text.detach)
    return text


# --- which files


def read_files(source: str | os.PathLike[str], options: FileOptions) -> Source:
    """The source of a path, a glob, an address of fsspec, or `-` for standard input.

    Raises:
        SourceError: there is no such file, or it is not a table.
    """
    text = os.fspath(source)
    if text == "-":
        return read_handle(sys.stdin.buffer if hasattr(sys.stdin, "buffer") else sys.stdin, options)
    opened = _remote(text) if "://" in text else _local(Path(os.path.expanduser(text)))  # noqa: PTH111
    files = [
        _File(clean(name), _kind(name, options), open_it, options, folder) for name, open_it, folder in opened
    ]
    return Source(lambda: itertools.chain.from_iterable(file.rows() for file in files))


def _local(path: Path) -> list[_Found]:
    if path.is_dir():
        raise SourceError(f"{clean(path)} is a folder", hint=f"Name its files: {clean(path / '*.csv')}")
    found = [path] if path.is_file() else sorted(map(Path, glob.glob(str(path), recursive=True)))  # noqa: PTH207
    files = [path for path in found if path.is_file()]
    if not files:
        raise SourceError(
            f"there is no file {clean(path)}", hint="One prompt is given as a list: ['a red boat']."
        )
    return [(str(path), partial(path.open, _MODE), SourceFolder(str(path.parent))) for path in files]


def _remote(address: str) -> list[_Found]:
    fsspec = load_extra("fsspec")
    try:
        files = fsspec.open_files(address, _MODE)
    except (ImportError, ValueError, OSError) as error:  # a driver of it is missing, or the address is wrong
        problem = clean(error, limit=200)
    else:
        names = [address] if len(files) == 1 else [file.path for file in files]
        return [
            (name, partial(_itself, file), SourceFolder(file.path.rpartition("/")[0], file.fs))
            for name, file in zip(names, files, strict=True)
        ]
    raise SourceError(f"{clean(address)} cannot be read: {problem}")


def _itself(file: Any) -> Any:
    return file  # of fsspec: it opens anew each time it is entered


def _kind(name: str, options: FileOptions) -> str:
    if options.format:
        return options.format
    path = Path(urlsplit(name).path if "://" in name else name)
    suffix = Path(path.stem if path.suffix.lower() == ".gz" else path).suffix.lower()
    if suffix in _ENDINGS:
        return _ENDINGS[suffix]
    if suffix in _SHEETS:
        raise SourceError(
            f"{clean(name)} is a spreadsheet", hint=f"Give pandas.read_excel({clean(path.name)!r})."
        )
    raise SourceError(
        f"{clean(name)} is not a table; its name must end in {', '.join(_ENDINGS)}",
        hint="Or say what it is: format='csv'. One prompt is given as a list: ['a red boat'].",
    )


def read_handle(handle: Any, options: FileOptions) -> Source:
    """The source of an open file: from where it stands to its end, again if it can go back."""
    name = getattr(handle, "name", None)
    named = isinstance(name, str) and not name.startswith("<")
    kind = _kind(str(name), options) if named else options.format or ""  # "": found by the first line
    try:
        again = bool(getattr(handle, "seekable", bool)())
        start = handle.tell() if again else 0
    except (OSError, ValueError) as error:  # such as a closed one
        problem = clean(error, limit=200)
    else:
        problem = ""
    if problem:
        raise SourceError(f"the open file cannot be read: {problem}")

    @contextlib.contextmanager
    def open_again() -> Iterator[Any]:
        if again:
            handle.seek(start)
        yield handle

    folder = SourceFolder(str(Path(str(name)).parent)) if named else None
    file = _File(clean(name) if named else "the open file", kind, open_again, options, folder)
    return Source(file.rows, whole=again)


# --- csv


class _Lines:
    """Lines that are counted; those of the record that is being read are kept, to find a broken quote in them."""

    def __init__(self, lines: Iterator[str]) -> None:
        self.number = 0
        self.record: list[str] = []
        self._lines = lines

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.number += 1
        self.record.append(line)
        return line


def _csv(file: _File, given: Iterator[str]) -> Iterator[SourceRow]:
    lines = _Lines(given)
    first = _header_text(lines)
    if not first:
        raise SourceError(f"{file.name} is empty; its first line must name the columns")
    sep, names = _header(file, first)
    reader = csv.reader(lines, delimiter=sep, strict=True)
    while True:
        lines.record.clear()
        place = f"{file.name}, line {lines.number + 1}"
        broken = ""
        try:
            values = next(reader, None)
        except csv.Error as error:
            broken = str(error)
        if broken:
            raise _broken_quote("".join(lines.record), place, sep, names, broken)
        if values is None:
            return
        if values:
            yield _csv_row(values, names, place, sep)


def _header_text(lines: _Lines) -> str:
    """The text of the first record that is not blank; "" at the end of the file."""
    text = ""
    for line in lines:
        text += line
        if text.strip() and text.count('"') % 2 == 0:
            return text
        text = text if text.strip() else ""
    return text


def _header(file: _File, text: str) -> tuple[str, tuple[str, ...]]:
    """The separator, by which the prompts' column is found, and the names of the columns."""
    options = file.options
    separators = (options.sep,) if options.sep else ("\t",) if file.kind == "tsv" else _SEPARATORS
    ways = []
    for sep in separators:
        with contextlib.suppress(csv.Error):
            ways.append(
                (sep, [name.strip() for name in next(csv.reader([text], delimiter=sep, strict=True))])
            )
    if not ways:
        raise SourceError(f"{file.name}, line 1: a quote in the header is not closed")
    sep, names = next(
        (way for way in ways if options.prompt in way[1]), max(ways, key=lambda way: len(way[1]))
    )
    while names and not names[-1]:
        names.pop()
    named = tuple(name or f"column_{number}" for number, name in enumerate(names, 1))
    check_columns(named, f"{file.name}, line 1")
    if options.needs_prompt and options.prompt not in named:
        raise no_column(options.prompt, named, file.name)
    return sep, named


def no_column(prompt: str, names: tuple[Any, ...], where: str = "") -> SourceError:
    """The error that the column of the prompts is not there."""
    there = ", ".join(str(name) for name in names) or "none"
    return SourceError(
        f"{where}{': ' if where else ''}there is no column {clean(prompt, limit=80)};"
        f" the columns are: {clean(there, limit=300)}",
        hint="Name the column of the prompts: prompt='caption', or --prompt-column caption."
        + (" If each line is a prompt: format='txt'." if where else ""),
    )


def _csv_row(values: list[str], names: tuple[str, ...], place: str, sep: str) -> SourceRow:
    beyond = [value for value in values[len(names) :] if value.strip()]
    if not beyond:
        given = itertools.chain(values, itertools.repeat(""))
        return SourceRow({name: value or None for name, value in zip(names, given)}, place)  # noqa: B905
    if len(names) == 1:
        hint = "Put each prompt in quotes, or name the file .txt: one prompt a line."
    else:
        hint = f"A value with {sep!r} in it must be in quotes."
    said = f"{counted(len(beyond), 'value')} too many: {clean(beyond[0], limit=40)} is behind {names[-1]}"
    return SourceRow({}, place, problem=SourceError(f"{place} has {said}", hint=hint))


def _broken_quote(text: str, place: str, sep: str, names: tuple[str, ...], error: str) -> SourceError:
    """The error of a quote that is not closed or has text behind it, with its line and column."""
    name, number = re.fullmatch(r"(.*, line )(\d+)", place, re.DOTALL).groups()  # type: ignore[union-attr]
    column, line, at = 0, int(number), 0
    quoted = re.compile(f'"(?:[^"]|"")*("(?=[{re.escape(sep)}\r\n]|$)|)')
    while at < len(text):
        if text[at] == '"' and (at == 0 or text[at - 1] in (sep, "\n", "\r")):
            found = quoted.match(text, at)
            if found is None or not found[1]:
                break
            line += found[0].count("\n")
            at = found.end()
        else:
            column += text[at] == sep
            at += 1
    where = f"column {names[column]}" if column < len(names) else f"value {column + 1}"
    return SourceError(
        f"{name}{line}, {where}: the quote that opens there is not closed, or text follows it ({clean(error)})",
        hint='A quote within a value in quotes is written twice: "a ""red"" boat".',
    )


# --- the others


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        check_columns(tuple(name for name, _ in pairs), "an object")
    return found


def _jsonl(file: _File, lines: Iterator[str]) -> Iterator[SourceRow]:
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text:
            yield _object_row(text, f"{file.name}, line {number}")


def _object_row(text: str, place: str) -> SourceRow:
    problem = "is not a JSON object"
    try:
        record = json.loads(text, object_pairs_hook=_unique)
        if isinstance(record, dict):
            return SourceRow(record, place)
    except json.JSONDecodeError as error:
        problem = f"is not JSON: {error.msg} (column {error.colno})"
    except (SourceError, RecursionError) as error:
        problem = f"cannot be read: {clean(error, limit=200)}"
    return SourceRow({}, place, problem=SourceError(f"{place} {problem}"))


def _json(file: _File, lines: Iterator[str]) -> Iterator[SourceRow]:
    rows = json.loads("".join(lines), object_pairs_hook=_unique)
    if not isinstance(rows, list):
        raise SourceError(
            f"{file.name} is not a list of objects",
            hint="pandas writes one by to_json(path, orient='records').",
        )
    for number, row in enumerate(rows):
        yield read_row(row, f"{file.name}, object {number}", prompt=file.options.prompt)


def _txt(file: _File, lines: Iterator[str]) -> Iterator[SourceRow]:
    for number, line in enumerate(lines, 1):
        prompt = line.rstrip("\r\n")
        if prompt.strip():
            yield SourceRow({file.options.prompt: prompt}, f"{file.name}, line {number}")


def _parquet(file: _File, opened: BinaryIO) -> Iterator[SourceRow]:
    table = load_extra("pyarrow.parquet").ParquetFile(opened)
    schema = table.schema_arrow
    check_columns(tuple(schema.names), file.name)
    pictures = file.options.pictures
    columns = without_bytes(schema, pictures)
    batches = table.iter_batches(batch_size=FEW if pictures else BATCH, columns=columns)
    yield from arrow_rows(batches, f"{file.name}, row", schema, pictures)
