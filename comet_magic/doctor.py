"""`python -m comet_magic doctor`: checks the installation; each line says what was found and what to do about it.

Nothing is paid for, and the key is neither shown nor sent: the server is asked for a page that needs no key.
"""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from .archive import Archive
from .client import proxy_to, reachable
from .errors import CometError, ConfigurationError
from .files import unwritable
from .key_sources import find_dotenv
from .machine import ARCHIVE_VARIABLE, DEFAULT_ARCHIVE, archive_folder, ask, here
from .settings import SANDBOX, find_key, resolve_base_url
from .text import clean, counted

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

Severity = Literal["ok", "note", "bad"]
MARKS: dict[Severity, str] = {"ok": "ok  ", "note": "note", "bad": "BAD "}
REMOTE = ("nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p", "lustre", "ceph", "glusterfs")


@dataclass(frozen=True)
class Finding:
    """One line of the report; `bad` makes the exit status 1."""

    severity: Severity
    what: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{MARKS[self.severity]}  {self.what}" + (f"\n      → {self.advice}" if self.advice else "")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of the command."""
    parser.add_argument("--archive", default=DEFAULT_ARCHIVE, metavar="PATH", help="another archive's folder")
    parser.add_argument(
        "--repair",
        action="store_true",
        help="check every file of the archive and repair what can be repaired",
    )
    parser.add_argument(
        "--prune",
        choices=("raw",),
        help="raw: remove the raw answers of refusals, and of calls whose pictures are all here",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the findings; 1 if something is bad."""
    if arguments.prune:
        return _prune(archive_folder(arguments.archive))
    if arguments.repair:
        return _repair(archive_folder(arguments.archive))
    findings = list(examine(arguments.archive))
    print("\n".join(str(finding) for finding in findings))
    return int(any(finding.severity == "bad" for finding in findings))


def examine(archive: str = DEFAULT_ARCHIVE) -> Iterator[Finding]:
    """All findings, one after the other."""
    yield from _packages()
    yield from _front_ends()
    for findings in (_key(), _server(), _archive(archive_folder(archive))):
        try:
            yield from findings
        except CometError as error:
            yield Finding("bad", str(error), error.hint)


def _packages() -> Iterator[Finding]:
    yield Finding("ok", f"Python {platform.python_version()} on {platform.system()}, in {sys.prefix}")
    if _version("comet-magic") is None:
        yield Finding("note", "comet_magic runs from its folder", "pip install . brings all that it needs")
        return
    for line in requires("comet-magic") or []:
        requirement, _, marker = line.partition(";")
        if not marker:
            name = requirement.split(">")[0].split("<")[0].strip()
            yield _installed(name, requirement.strip())
    for name, extra in (
        ("keyring", "keyring"),
        ("pandas", "data"),
        ("pyarrow", "data"),
        ("distributed", "dask"),
    ):
        if _version(name) is None:
            yield Finding("note", f"{name} is not installed", f"optional: pip install 'comet-magic[{extra}]'")


def _installed(name: str, requirement: str) -> Finding:
    found = _version(name)
    if found is None:
        return Finding("bad", f"{name} is missing", f"pip install '{requirement}'")
    if _numbers(found) < _numbers(requirement.partition(">=")[2]):
        return Finding("bad", f"{name} {found} is too old", f"pip install '{requirement}'")
    return Finding("ok", f"{name} {found}")


def _numbers(text: str) -> tuple[int, ...]:
    """The leading numbers of a version, as in 8.12 of "8.12,<9"."""
    found = re.match(r"\d+(?:\.\d+)*", text)
    return tuple(int(part) for part in found.group().split(".")) if found else ()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _front_ends() -> Iterator[Finding]:
    found = [f"{name} {_version(name)}" for name in ("jupyterlab", "notebook", "voila") if _version(name)]
    if found:
        yield Finding("ok", f"front end: {', '.join(found)}")
    else:
        yield Finding("note", "no front end in this environment", "pip install 'comet-magic[lab]'")
    if _version("ipykernel") is None:
        yield Finding("note", "ipykernel is not installed", "notebooks need it: pip install ipykernel")


def _key() -> Iterator[Finding]:
    base = resolve_base_url()
    key = find_key(None, base)
    if base == SANDBOX:
        yield Finding("ok", "the key is sandbox: pictures come from the sandbox on this machine")
    elif key.secret is None:
        advice = "set COMETAPI_KEY or use %cometimg_login; without one the notebook uses the sandbox"
        yield Finding("note", "no API key", advice)
    else:
        yield Finding("ok", f"API key from {key.source}")
    for notice in key.notices:
        yield Finding("note", notice)
    dotenv = ask("the .env file", lambda: find_dotenv(here())).value
    if dotenv is not None and _tracked(dotenv):
        yield Finding("bad", f"{dotenv} is tracked by git", "git rm --cached it, and rotate the key")


def _tracked(path: Path) -> bool:
    try:
        asked = subprocess.run(  # noqa: S603 - a fixed command
            ["git", "ls-files", "--error-unmatch", path.name],  # noqa: S607 - whichever git the person uses
            cwd=path.parent,
            capture_output=True,
            check=False,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0


def _server() -> Iterator[Finding]:
    base = resolve_base_url()
    if base == SANDBOX:
        return
    problem, proxy = reachable(base), proxy_to(base)
    if problem is None:
        through = f", through the proxy {proxy}" if proxy else ""
        yield Finding("ok", f"{base.url} answers ({base.source}){through}")
    else:
        # If nothing is set, the sandbox answers, which needs no network.
        asked = base.source != "default" or find_key(None, base).secret is not None
        yield Finding("bad" if asked else "note", f"{base.url} ({base.source}): {problem}", problem.hint)


def _archive(folder: Path | None) -> Iterator[Finding]:
    if folder is None:
        yield Finding("note", "the archive is off", "paid pictures are kept in memory only")
        return
    problem = unwritable(folder)
    if problem:
        advice = f"name another folder: {ARCHIVE_VARIABLE}, archive= or %config CometMagics.archive"
        yield Finding("bad", problem, advice)
    archive = Archive(folder)
    if not (folder / "ledger.sqlite").is_file():
        if archive.has_lost_ledger:
            yield Finding(
                "note", f"the ledger of {clean(folder)} is gone", "--repair makes it from the receipts"
            )
        elif not problem:
            yield Finding("ok", f"no archive yet; the first picture makes {clean(folder)}")
        return
    yield Finding("ok", f"archive {clean(folder)}: {counted(archive.spend().calls, 'call')}")
    uncertain = len(archive.doubtful())
    archive.close()
    if uncertain:
        said = f"{counted(uncertain, 'call')} may be billed without a picture"
        yield Finding("note", said, "%cometimg_status lists them")
    kind = _file_system(folder)
    if kind in REMOTE:
        yield Finding(
            "note", f"the archive is on a network file system ({kind})", "SQLite wants a local disk"
        )


def _file_system(folder: Path) -> str:
    """The kind of file system that a folder is on, or "" if unknown."""
    try:
        mounts = Path("/proc/mounts").read_text("utf-8", "replace")
    except OSError:
        return ""
    return _kind_at(folder.resolve(), mounts)


def _kind_at(folder: Path, mounts: str) -> str:
    """The kind of the last mount above a folder; `mounts` is as in https://man7.org/linux/man-pages/man5/fstab.5.html."""
    found, deepest = "", -1
    for line in mounts.splitlines():
        _, place, kind, *_ = line.split()
        above = Path(place.replace("\\040", " "))
        # A later mount at the same place hides the earlier one, as nfs does with autofs.
        if folder.is_relative_to(above) and len(above.parts) >= deepest:
            found, deepest = kind, len(above.parts)
    return found


def _existing(folder: Path | None) -> Archive:
    if folder is None or not folder.is_dir():  # a lost ledger is made anew, a folder is not
        what = "the archive is off" if folder is None else f"there is no archive in {clean(folder)}"
        raise ConfigurationError(what, hint="Name its folder: --archive PATH.")
    return Archive(folder)


def _prune(folder: Path | None) -> int:
    archive = _existing(folder)
    before = archive.holdings().raw_answers
    removed = archive.prune_raw_answers()
    freed = (before - archive.holdings().raw_answers) / 1e6
    archive.close()
    print(f"{counted(len(removed), 'raw answer')} removed, {freed:.1f} MB")
    return 0


def _repair(folder: Path | None) -> int:
    archive = _existing(folder)
    done = archive.repair()
    archive.close()
    lines = (
        ("calls found done", done.settled),
        ("pictures adopted", done.adopted),
        ("leftovers removed", done.removed),
        ("pictures whose file is gone", done.missing),
        ("pictures whose file is damaged", done.damaged),
        ("files that belong to nothing, left alone", done.unexplained),
    )
    for name, paths in lines:
        print(f"{name}: {len(paths)}")
        for path in paths:
            print(f"      {clean(path)}")
    return int(bool(done.missing or done.damaged))
