"""Tables in files: what is recognised, and what is refused with its line before anything is paid."""

from __future__ import annotations

import gzip
import io
import sys
import tempfile
from typing import TYPE_CHECKING, Any

import fsspec
import pandas
import pyarrow
import pytest
from pyarrow import parquet

from comet_magic.errors import ConfigurationError, SourceError
from comet_magic.pipeline.expand import Expander
from comet_magic.pipeline.read_source import read_source
from tests.pipeline.maker import told
from tests.processes import start

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def prompts(source: Any, prompt: str = "prompt", **options: Any) -> list[str]:
    """The prompts of a table, after it was looked through."""
    table = read_source(source, prompt=prompt, **options)
    items = Expander({"model": "gpt-image-2"}, prompt=prompt, vendor="sandbox")
    if table.whole:
        items.look_through(table.rows(), table.columns or ())
    return [item.prompt for batch, _ in table.batches() for item in items.read(batch)]


GOOD: dict[str, tuple[str, bytes]] = {
    "csv": ("a.csv", b"prompt,note\na boat,x\nb boat,\n"),
    "a header with blanks": ("a.csv", b"note, prompt\nx,a boat\ny,b boat\n"),
    "semicolons": ("a.csv", b"prompt;note\na boat;x\nb boat;1,5\n"),
    "tabs in a csv": ("a.csv", b"prompt\tnote\na boat\tx, y\nb boat\t\n"),
    "empty values behind the last column": ("a.csv", b"prompt,note,,\na boat,x,,\nb boat,,, \n"),
    "an index without a name": ("a.csv", b",prompt\n0,a boat\n1,b boat\n"),
    "blank lines": ("a.csv", b"\n\nprompt,note\n\na boat,x\n\nb boat,y\n"),
    "line ends of an old Mac": ("a.csv", b"prompt,note\ra boat,x\rb boat,y\r"),
    "a BOM": ("a.csv", b"\xef\xbb\xbfprompt,note\na boat,x\nb boat,y\n"),
    "UTF-16": ("a.csv", "prompt,note\na boat,é\nb boat,x\n".encode("utf-16")),
    "UTF-16, the other way round": (
        "a.tsv",
        b"\xfe\xff" + "prompt\tx\na boat\té\nb boat\t1\n".encode("utf-16-be"),
    ),
    "a compressed csv": ("a.csv.gz", gzip.compress(b"prompt\na boat\nb boat\n")),
    "a compressed jsonl": ("a.jsonl.gz", gzip.compress(b'{"prompt": "a boat"}\n{"prompt": "b boat"}')),
    "compressed, and not said so": ("a.csv", gzip.compress(b"prompt\na boat\nb boat\n")),
    "ndjson": ("a.ndjson", b'\xef\xbb\xbf{"prompt": "a boat"}\n\n{"prompt": "b boat", "x": 1}\n'),
    "json": ("a.json", b'[{"prompt": "a boat"}, {"prompt": "b boat"}]'),
    "txt": ("a.txt", b"a boat\n\n  \r\nb boat\r\n"),
}


@pytest.mark.parametrize("kind", GOOD)
def test_a_file_is_read_as_people_have_it(kind: str, tmp_path: Path) -> None:
    name, content = GOOD[kind]
    (tmp_path / name).write_bytes(content)

    assert prompts(tmp_path / name) == ["a boat", "b boat"]


BAD: dict[str, tuple[str, bytes, str]] = {
    "an unclosed quote": ("a.csv", b'prompt,mood\na,b\nc,"calm\nd,e\n', "a.csv, line 3, column mood: the quote"),
    "a quote that ends early": ("a.csv", b'prompt,mood\n"a "red" boat",calm\n', "a.csv, line 2, column prompt"),
    "an unclosed quote in a long file": (
        "a.csv", b'prompt,mood\n"a\n\nb",c\nd,"e\n' + b"row,calm\n" * 30_000, "a.csv, line 5, column mood",
    ),
    "a value too many": ("a.csv", b"prompt,mood\na,b\nc,d,e\n", "line 3 has 1 value too many: e is behind mood"),
    "commas in one column": ("a.csv", b"prompt\na boat, at sea\n", "or name the file .txt: one prompt a line"),
    "a doubled header": ("a.csv", b"prompt,mood, prompt\na,b,c\n", "prompt stands twice (columns 1 and 3)"),
    "a header alone, without the column": ("a.csv", b"caption;mood\n", "the columns are: caption, mood"),
    "nothing": ("a.csv", b"", "is empty; its first line must name the columns"),
    "a doubled name": ("a.jsonl", b'{"prompt": "a", "prompt": "b"}\n', "the column prompt stands twice"),
    "no object": ("a.jsonl", b'{"prompt": "a"}\n[1]\n', "line 2 is not a JSON object"),
    "half a line": ("a.jsonl", b'{"prompt": "a"}\n{"prompt', "line 2 is not JSON"),
    "columns of JSON": ("a.json", b'{"prompt": ["a"]}', "is not a list of objects"),
    "half a list": ("a.json", b'[{"prompt": "a"},', "cannot be read: Expecting value: line 1"),
    "a list of numbers": ("a.json", b"[1]", "object 0 is of type int"),
    "another encoding": ("a.csv", "prompt\na\ncafé\n".encode("cp1252"), "line 3: byte 0xe9 is not utf-8"),
    "half a gz": ("a.csv.gz", gzip.compress(b"prompt\na\n" * 99)[:-9], "cannot be read: "),
    "no parquet": ("a.parquet", b"no parquet", "a.parquet cannot be read"),
    "UTF-16 without a mark": ("a.csv", "prompt\na".encode("utf-16-le"), "not a text that is utf-8 Give its encoding"),
    "a spreadsheet under another name": ("a.csv", b"PK\x03\x04", "A spreadsheet is read by pandas.read_excel"),
    "a spreadsheet": ("a.xlsx", b"PK", "Give pandas.read_excel('a.xlsx')"),
    "another kind": ("a.doc", b"", "its name must end in .csv, .tsv"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_a_damaged_file_is_refused_with_its_line(kind: str, tmp_path: Path) -> None:
    name, content, words = BAD[kind]
    (tmp_path / name).write_bytes(content)

    with pytest.raises(SourceError) as caught:
        prompts(tmp_path / name)

    said = f"{caught.value} {caught.value.hint}".replace(f"{tmp_path}/", "")
    assert words in said
    assert name in said


def test_a_parquet_file_that_is_damaged_within_is_told_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    parquet.write_table(pyarrow.table({"prompt": [str(number) * 9 for number in range(2000)]}), path)
    whole = bytearray(path.read_bytes())
    whole[100:4000] = bytes(3900)
    path.write_bytes(whole)

    with pytest.raises(SourceError, match=r"rows.parquet cannot be read: \w+ .*\w"):
        prompts(path)


@pytest.mark.parametrize("place", ["nowhere.csv", "none/*.csv", "folder", "a boat"])
def test_what_is_not_there_is_told(place: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()

    with pytest.raises(SourceError, match=r"there is no file|is a folder"):
        prompts(str(tmp_path / place))


def test_options_say_what_is_not_recognised(tmp_path: Path) -> None:
    (tmp_path / "a.dat").write_bytes("prompt|x\ncafé|1\n".encode("cp1252"))

    assert prompts(tmp_path / "a.dat", format="csv", sep="|", encoding="cp1252") == ["café"]
    for options, words in (
        ({"format": "xml"}, "format is xml; it must be csv"),
        ({"sep": ",,"}, "sep is ',,'; it must be one character"),
        ({"encoding": "klingon"}, "encoding is klingon"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            prompts(tmp_path / "a.dat", **options)
    with pytest.raises(ConfigurationError, match="sep is for files; the source is of type list"):
        prompts(["a"], sep=",")


def test_a_glob_is_one_table_in_the_order_of_its_names(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text("prompt\nb boat\n")
    (tmp_path / "a.jsonl").write_text('{"prompt": "a boat", "x": 1}')
    (tmp_path / "a[1].csv").write_text("prompt\nodd name\n")

    assert prompts(str(tmp_path / "[ab].*")) == ["a boat", "b boat"]
    assert prompts(str(tmp_path / "a[1].csv")) == ["odd name"]


def test_an_address_of_fsspec_is_read(tmp_path: Path) -> None:
    system = fsspec.filesystem("memory")
    system.pipe({"/tables/a.csv.gz": gzip.compress(b"prompt\na boat\n"), "/tables/b.json": b'["b boat"]'})
    system.pipe("/tables/c.parquet", pandas.DataFrame({"prompt": ["c boat"]}).to_parquet())

    try:
        assert prompts("memory://tables/*") == ["a boat", "b boat", "c boat"]
        with pytest.raises(SourceError, match="cannot be read"):
            prompts("memory://tables/none.csv")
        with pytest.raises(SourceError, match="Protocol not known"):
            prompts("nosuch://tables/a.csv")
    finally:
        system.rm("/tables", recursive=True)


def _temporary(path: Path) -> Any:
    file = tempfile.NamedTemporaryFile("w+", suffix=".csv")  # noqa: SIM115 - the test closes it
    file.write(path.read_text())
    file.seek(0)
    return file


HANDLES: dict[str, Callable[[Path], Any]] = {
    "texts": lambda path: path.open(),
    "texts as csv wants them": lambda path: path.open(newline=""),
    "bytes": lambda path: path.open("rb"),
    "no buffer": lambda path: path.open("rb", buffering=0),
    "a temporary file": _temporary,
    "StringIO": lambda path: io.StringIO(path.read_text()),
    "BytesIO": lambda path: io.BytesIO(gzip.compress(path.read_bytes())),
}


@pytest.mark.parametrize("kind", HANDLES)
def test_an_open_file_is_read_by_its_kind_and_stays_open(kind: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('prompt,note\n"a\nboat",x\nb boat,y\n')

    with HANDLES[kind](tmp_path / "a.csv") as handle:
        assert prompts(handle) == ["a\nboat", "b boat"]
        assert not handle.closed


def test_a_file_that_is_closed_or_not_for_reading_is_told(tmp_path: Path) -> None:
    with (tmp_path / "a.csv").open("w") as handle:
        with pytest.raises(SourceError, match=r"a\.csv cannot be read: not readable"):
            prompts(handle)
    with pytest.raises(SourceError, match="the open file cannot be read: I/O operation on closed file"):
        prompts(handle)


def test_an_open_file_without_a_name_is_known_by_its_first_line() -> None:
    assert prompts(io.StringIO('{"prompt": "a boat"}\n')) == ["a boat"]
    assert prompts(io.StringIO('[{"prompt": "a boat"}]')) == ["a boat"]
    assert prompts(io.StringIO("a boat\nb boat\n"), format="txt") == ["a boat", "b boat"]
    with pytest.raises(SourceError, match="there is no column prompt") as caught:
        prompts(io.StringIO("a boat\n"))
    assert "format='txt'" in caught.value.hint


READS_STDIN = """
import json, sys
from comet_magic.pipeline.read_source import read_source
print(json.dumps({"prompts": [row.record["prompt"] for row in read_source("-", prompt="prompt").rows()]}))
"""


def test_a_dash_is_standard_input() -> None:
    process = start(READS_STDIN)
    assert process.stdin is not None
    process.stdin.write("prompt;x\na boat;1\n")

    assert told(process) == {"prompts": ["a boat"]}


def test_a_path_may_begin_at_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("prompt\na boat\n")
    monkeypatch.setenv("HOME", str(tmp_path))

    assert prompts("~/rows.csv") == ["a boat"]


def test_without_pyarrow_a_parquet_file_names_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "rows.parquet").write_bytes(b"PAR1")
    for name in [name for name in sys.modules if name.partition(".")[0] == "pyarrow"]:
        monkeypatch.setitem(sys.modules, name, None)  # type: ignore[arg-type]  # as the import system has it

    with pytest.raises(ConfigurationError, match="is not installed") as caught:
        prompts(tmp_path / "rows.parquet")

    assert "comet-magic[data]" in caught.value.hint
