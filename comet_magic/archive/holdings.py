"""What an archive holds on disk, and removing of it what somebody wants gone. The money of every call stays."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, NamedTuple

from ..errors import InvalidRequestError
from ..files import inside
from ..formats import SUFFIX
from ..protocol.decisions import FORGOTTEN
from . import layout
from .layout import is_input

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from .ledger import Ledger


_FOLDERS = ("images", "unpasted", "inputs", "spool")  # a stranger's ledger could name the ledger itself


class Holdings(NamedTuple):
    """Bytes on disk.

    Attributes:
        pictures: with what came before something was pasted back.
        inputs: pictures that went in.
        raw_answers: answers as they came, of calls that are open, failed or uncertain.
    """

    pictures: int
    inputs: int
    raw_answers: int


def holdings(folder: Path) -> Holdings:
    """What an archive's folder holds; links are not followed."""
    pictures, unpasted, inputs, raw = (sum(size for _, size in _files(folder / name)) for name in _FOLDERS)
    return Holdings(pictures + unpasted, inputs, raw)


def _files(folder: Path) -> Iterator[tuple[str, int]]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield from _files(folder / entry.name)
                elif entry.is_file(follow_symlinks=False):
                    yield entry.name, entry.stat(follow_symlinks=False).st_size
    except OSError:  # not there, or not ours to read: it is not counted
        return


def prune_raw_answers(ledger: Ledger, folder: Path) -> list[str]:
    """Remove the raw answers that no promise needs: of refusals, and of calls whose pictures are all here."""
    query = """SELECT id FROM sound c WHERE state IN ('rejected', 'cancelled') OR (state = 'done'
        AND json_array_length(copies) <= (
            SELECT COUNT(*) FROM pictures p WHERE p.call = c.number AND p.path IS NOT NULL))"""
    ended = {call_id for (call_id,) in ledger.rows(query)}
    names = [layout.relative(folder, path) for path in layout.files(folder, "spool/*")]
    return _removed(folder, [name for name in names if name.rpartition("/")[2].partition(".")[0] in ended])


def forget(ledger: Ledger, folder: Path, call_id: str) -> list[str]:
    """Delete the pictures, the inputs and the raw answer of an ended call; what other calls have too stays.

    Raises:
        InvalidRequestError: the call is still open.
    """
    (row,) = ledger.rows("SELECT number, state, inputs FROM sound WHERE id = ?", (call_id,))
    number, state, inputs = row
    if state in ("claimed", "received"):
        raise InvalidRequestError("this call is still open; %cometimg_cancel cancels what runs", param="id")
    query = "SELECT path, unpasted FROM pictures WHERE call = ?"
    names = [name for pair in ledger.rows(query, (number,)) for name in pair if name]
    for facts in filter(is_input, json.loads(inputs or "[]")):
        sha256 = facts["sha256"]
        query = "SELECT 1 FROM calls WHERE number != ? AND instr(inputs, ?) LIMIT 1"
        if not ledger.rows(query, (number, sha256)):
            names.append(f"inputs/{sha256[:2]}/{sha256}{SUFFIX[facts['mime']]}")
    shared = "SELECT 1 FROM pictures WHERE call != ? AND (path = ? OR unpasted = ?) LIMIT 1"
    names = [name for name in names if not ledger.rows(shared, (number, name, name))]
    names += [layout.relative(folder, path) for path in layout.files(folder, f"spool/{call_id}.*")]
    # The files first: a crash in between leaves pictures that are missing, not files that a repair would adopt.
    removed = _removed(folder, names)
    with ledger.transaction() as connection:
        connection.execute(
            """UPDATE pictures SET path = NULL, url = NULL, unpasted = NULL, sha256 = NULL, revised_prompt = NULL
            WHERE call = ?""",
            (number,),
        )
        connection.execute(
            "UPDATE calls SET inputs = NULL, error = ?, message = 'deleted on request' WHERE number = ?",
            (FORGOTTEN, number),
        )
    return removed


def _removed(folder: Path, names: Iterable[str]) -> list[str]:
    """Delete real files of the folder; gives those that were there.

    Raises:
        OSError: one cannot be deleted.
    """
    ours = [name for name in dict.fromkeys(names) if name.partition("/")[0] in _FOLDERS]
    there = [name for name in ours if layout.is_there(folder, name)]
    for name in there:
        inside(folder, name).unlink(missing_ok=True)
    return there
