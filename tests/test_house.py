"""The rules of the house: imports, sizes, names and words."""

from __future__ import annotations

import ast
import functools
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import comet_magic

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(comet_magic.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

# What each module or package may import of ours, and nothing else, so there are no circles.
FLOORS: dict[str, set[str]] = {
    "errors": set(),
    "text": {"errors"},
    "money": {"errors"},
    "catalog": {"errors", "money"},
    "frames": set(),
    "explanations": set(),
    "fonts": set(),
    "outputs": set(),
    "addresses": {"errors", "text"},
    "files": {"errors", "machine", "text"},
    "formats": {"errors", "text"},
    "machine": {"errors", "text"},
    "key_sources": {"machine", "text"},
    "extras": {"errors"},
    "tables": {"text"},
    "settings": {"errors", "text", "addresses", "machine", "key_sources"},
    "request": {"catalog", "errors", "files", "formats", "money", "text"},
    "protocol": {"text", "errors", "formats"},
    "comparison": {"errors", "images", "money", "outputs", "tables", "text"},
    "preset_files": {"catalog", "errors", "files", "machine", "request", "tables", "text"},
    "images": {"frames", "extras", "files", "formats", "text", "errors", "request", "catalog", "money"},
    "archive": {
        "machine",
        "frames",
        "extras",
        "request",
        "money",
        "files",
        "formats",
        "settings",
        "text",
        "errors",
        "protocol",
    },
    "sandbox": {"explanations", "catalog", "request", "settings", "errors", "money", "fonts"},
    "client": {
        "preset_files",
        "machine",
        *("errors", "text", "catalog", "addresses", "files", "settings", "request", "protocol", "images"),
        *("archive", "money", "formats", "outputs", "sandbox"),
    },
    "explore": {
        *("client", "archive", "images", "request", "catalog", "settings", "files", "text", "errors"),
        *("money", "frames", "extras", "fonts", "outputs", "tables", "preset_files"),
    },
    "history_table": {
        *(
            "archive",
            "images",
            "machine",
            "outputs",
            "tables",
            "frames",
            "extras",
            "files",
            "money",
            "errors",
            "text",
        ),
    },
    "spend_table": {"archive", "machine", "tables", "frames", "extras", "files", "money", "errors", "text"},
    "lineage": {"archive", "history_table", "tables", "text"},
    "recipes": {
        *("archive", "images", "request", "catalog", "formats", "files", "machine", "errors", "text"),
    },
    "remote": {"machine", "money", "client", "request", "errors", "archive", "settings", "text"},
    "dask": {"remote", "client", "request", "errors", "archive", "text", "extras"},
    "pipeline": {
        *("fonts", "outputs", "explanations"),
        "tables",
        "preset_files",
        "machine",
        *("dask", "client", "archive", "request", "files", "errors", "images", "text", "settings"),
        *("protocol", "catalog", "money", "frames", "extras", "formats"),
    },
    "notebook": {
        "preset_files",
        *("machine", "key_sources", "outputs", "explore", "explanations"),
        *("client", "sandbox", "images", "request", "catalog", "settings", "text", "errors"),
        *("archive", "files", "formats", "protocol", "money", "tables", ""),
        *("history_table", "lineage", "recipes", "machine"),
    },
    "pandas": {"pipeline"},
    "doctor": {
        *("machine", "key_sources", "files", "client", "archive", "settings", "errors", "text"),
        "addresses",
    },
    "__main__": {"sandbox", "pipeline", "doctor", "errors", "outputs"},
}
HOSTS = {  # packages that only some modules may import
    "httpx": {"client"},
    "IPython": {"notebook", "outputs"},
    "ipywidgets": {"notebook"},
    "traitlets": {"notebook"},
    "anyio": {"client", "pipeline"},
    "distributed": {"dask"},
    "dask": {"dask"},
}
HEAVY = {"httpcore", "httpx", "anyio", "PIL", "pandas", "pyarrow", "distributed", "ipywidgets", "numpy"}
# Names of modules that a reader has to be told the meaning of.
METAPHORS = re.compile(
    "cast|crafts|delivery|depot|dice|easels|faces|forks|fronts?|hand|journey|judge|lazy|live|look|news|outcomes|owners"
    "|rehearsal|ring|shelf|sitting|spools|stage|trip|unfinished|waiting|whole"
)
# Words that confuse readers, and what to say in their place.
PHRASES = {
    r"\bfor nothing\b": "free",
    r"\bvendor's end\b|\bshutdown at\b|\bswitches it off\b": "retired on",
    r"\b[Oo]rdered\b|\b\d+ orders?\b": "requested, request",
    r"\bunseen\b": "without showing it",
    r"\b[Ll]ate, after\b": "arrived after",
    r"\bDrop it\b": "Cancel",
    r"\b(?:See large|Use settings|Assign the newest)\b": "Full size, Reuse settings, Save latest to variable",
    r": taken\b": "changed to",
    r";[^.;]*\b(?:is|are) taken(?:$|,)": "it must be",
    r"(?<![Tt]here )\bis no (?!longer)[a-z]": "is not a",
    r"\bstands below\b": "unexpected text after the flags",
    r"\bno picture that\b": "not a PNG, JPEG or WEBP image",
    r"\bin doubt\b": "at risk, unknown",
    r"\bto pay \d": "to generate",
    r"\brehearse": "simulate",
    r"\bstands? beside\b": "in the same folder",
    r"\bits business\b": "not reported",
    r"\bfree at once\b": "you get the cell back immediately",
    r"\ball the same\b": "anyway",
    r"\bthe very\b": "the same",
}


@functools.cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def file_name(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def home(path: Path) -> str:
    """The module, or the package, that a file belongs to."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imports(path: Path) -> list[tuple[str, str]]:
    """(ours or a package, name) of each import of a file, late ones too."""
    found = []
    depth = len(path.relative_to(PACKAGE).parts) - 1
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found += [("package", name.name.partition(".")[0]) for name in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            top, _, rest = (node.module or "").partition(".")
            own = top == "comet_magic"
            found.append(("ours", rest.partition(".")[0]) if own else ("package", top))
        elif isinstance(node, ast.ImportFrom) and node.level > depth:
            names = [node.module] if node.module else [name.name for name in node.names]
            found += [("ours", name.partition(".")[0]) for name in names]
    return found


def strangers(path: Path) -> set[str]:
    """The modules of ours and the packages that a file imports and may not."""
    place = home(path)
    if place == "__init__":
        return set()
    allowed = FLOORS[place] | {place}
    return {
        name
        for kind, name in imports(path)
        if (name not in allowed if kind == "ours" else place not in HOSTS.get(name, {place}))
    }


def test_imports_go_down_the_floors_only() -> None:
    found = {file_name(path): strangers(path) for path in FILES}
    assert {name: names for name, names in found.items() if names} == {}


def test_a_file_and_its_functions_fit_in_the_eye() -> None:
    lengths = {file_name(path): len(path.read_text("utf-8").splitlines()) for path in FILES}
    assert {name: lines for name, lines in lengths.items() if lines > 500} == {}
    lengths = {}
    for path in FILES:
        for node in ast.walk(tree(path)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                body = node.body[1:] if ast.get_docstring(node) is not None else node.body
                lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0
                lengths[f"{file_name(path)}:{node.lineno} {node.name}"] = lines
    assert {name: lines for name, lines in lengths.items() if lines > 40} == {}


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = f"import sys, comet_magic; print(sorted({HEAVY!r} & set(sys.modules)))"
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent
    )
    assert ran.stdout.strip() == "[]"


@pytest.mark.skipif(not (PACKAGE.parent / "pyproject.toml").exists(), reason="only in a clone")
def test_every_dependency_names_the_lowest_version_that_was_tried() -> None:
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text("utf-8"))["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["lab"]]
    assert [one for one in needed if not re.match(r"[\w.-]+>=\d", one)] == []


def test_every_public_name_is_there_and_explained() -> None:
    assert len(set(comet_magic.__all__)) == len(comet_magic.__all__)
    for name in comet_magic.__all__:
        value = getattr(comet_magic, name)
        if name != "__version__":
            assert (value.__doc__ or "").strip(), f"{name} has no docstring"


def test_no_public_function_bears_a_modules_name() -> None:
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    modules = packages | {path.stem for path in PACKAGE.glob("*.py")}
    assert modules & set(comet_magic.__all__) == set()


def test_nothing_is_swallowed_and_nothing_is_left_to_do() -> None:
    words = ("except Exception", "except:", "TODO", "nest_asyncio", "verify=False")
    found = [
        f"{file_name(path)}: {word}" for path in FILES for word in words if word in path.read_text("utf-8")
    ]
    assert found == []


def test_no_query_numbers_its_parameters() -> None:
    """Python 3.12 warns of `?1` with a sequence, and 3.14 refuses it: https://docs.python.org/3/library/sqlite3.html."""
    found = [
        f"{file_name(path)}: {text}"
        for path in FILES
        for text in texts(path)
        if re.search(r"\b(?:SELECT|WHERE|UPDATE|INSERT|DELETE)\b", text) and re.search(r"\?\d", text)
    ]
    assert found == []


def rooms_of_classes() -> dict[str, set[str]]:
    """The files in which each class or alias of a type is defined."""
    found: dict[str, set[str]] = {}
    for path in FILES:
        for node in tree(path).body:
            names = [node.name] if isinstance(node, ast.ClassDef) else []
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                names = [name for name in [node.targets[0].id] if name[0].isupper() and not name.isupper()]
            for name in names:
                found.setdefault(name, set()).add(file_name(path))
    return found


def test_no_class_stands_in_two_places() -> None:
    twice = {name: sorted(rooms) for name, rooms in rooms_of_classes().items() if len(rooms) > 1}
    assert twice == {}


def test_no_module_is_named_by_a_metaphor() -> None:
    names = [path.stem for path in FILES]
    assert [name for name in names if METAPHORS.fullmatch(name)] == []


def texts(path: Path) -> Iterator[str]:
    """The texts of a file that somebody may read: of a module all strings, of a notebook the Markdown."""
    if path.suffix == ".ipynb":
        cells = json.loads(path.read_text("utf-8"))["cells"]
        yield from ("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
        return
    if path.suffix != ".py":
        yield path.read_text("utf-8")
        return
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_texts_use_the_plain_word() -> None:
    readme = PACKAGE.parent / "README.md"
    notebooks = PACKAGE.parent.glob("notebooks/*.ipynb")
    found = [
        f"{path.name}: {text[max(match.start() - 40, 0) : match.end() + 20]!r}: say {plain!r}"
        for path in [*FILES, *notebooks, *([readme] if readme.exists() else [])]
        for text in texts(path)
        for phrase, plain in PHRASES.items()
        for match in re.finditer(phrase, text)
    ]
    assert found == []
