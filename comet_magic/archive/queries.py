"""Questions to an archive, answered also while another process works in it. Nothing here makes or changes a file."""

from __future__ import annotations

import contextlib
import errno
import json
from datetime import date, datetime, time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from ..errors import CometError, ConfigurationError
from ..files import inside, is_address, native, read_inside
from ..machine import absolute
from ..protocol import call_status
from ..request import ImageRequest, Inputs
from ..text import clean, clean_url
from . import layout
from .claims import copy_of_row
from .curation import replacements, verdicts
from .holdings import Holdings, holdings
from .known_folders import known_folders
from .layout import is_call, is_hash, is_input, is_place
from .ledger import Ledger
from .process_lock import is_alive
from .records import (
    Claim,
    Copy,
    Entry,
    Held,
    Measured,
    Spend,
    StoredPicture,
)
from .schema import IS_PICTURE, SUMS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

T = TypeVar("T")
_KEYS_AT_ONCE = 5_000  # so that a plan of a hundred thousand rows never holds the ledger for long
_UNSETTLED = ("claimed", "received", "unknown")
_PICTURE = """key, copy, id, position, path, mime, width, height, size, sha256, revised_prompt, unpasted,
    request_id, cost, starred IS NOT NULL"""
OF_THESE_SIZES = """SELECT DISTINCT key, sha256, size FROM pictures
    WHERE size IN (SELECT value FROM json_each(?)) ORDER BY key"""
_IS_STARRED = "EXISTS (SELECT 1 FROM pictures p WHERE p.call = number AND p.starred IS NOT NULL)"

_WITHOUT_FACTS = """SELECT p.key, p.copy, c.state, c.id, p.path, c.error, c.code, c.message FROM pictures p
    LEFT JOIN calls c ON c.number = CASE WHEN p.path IS NULL THEN p.call END
    WHERE p.key IN (SELECT value FROM json_each(?))"""
# The share as the view `kept` has it; to join with the view would make all of it, each time.
_WITH_FACTS = f"""SELECT p.key, p.copy, c.state, c.id, p.path, c.error, c.code, c.message,
        p.mime, p.width, p.height, p.sha256, p.revised_prompt, c.request_id,
        CASE WHEN p.path IS NOT NULL THEN c.cost / (
            SELECT COUNT(*) FROM pictures s WHERE s.call = p.call AND s.path IS NOT NULL) END,
        c.ended
    FROM pictures p JOIN sound c ON c.number = p.call
    WHERE p.key IN (SELECT value FROM json_each(?)) AND (p.path IS NULL OR ({IS_PICTURE}))"""  # noqa: S608 - our own
# A picture that is here, which most are, needs no look at its call.
_HERE = Copy("", 0, "done", "", "", None, None, None)


class Reader:
    """Reads the archive of a folder, or of this process's memory; without one every answer is empty.

    Every question raises ConfigurationError if the ledger cannot be read.
    """

    def __init__(self, folder: Path | str | None) -> None:
        if is_address(folder):
            raise ConfigurationError(
                f"the archive {clean(folder)} is an address", hint="Name a folder of this machine."
            )
        self.folder = None if folder is None else absolute(native(Path(folder)))
        self._ledger = Ledger(self.folder / "ledger.sqlite" if self.folder else None)

    def stamp(self) -> int | None:
        """A number that every change of the ledger changes: an answer holds while it does. None if it has none."""
        return self._ledger.stamp()

    # --- pictures

    def stored(self, key: str) -> list[StoredPicture]:
        """The pictures of a request on disk, newest first; by `copy` they are in the order they were made."""
        query = f"SELECT {_PICTURE} FROM kept WHERE key = ? AND path != '' ORDER BY call DESC, copy DESC"  # noqa: S608
        return [StoredPicture(*row) for row in self._ledger.rows(query, (key,)) if is_place(row["path"])]

    def path_of(self, stored: StoredPicture) -> Path:
        """Where a stored picture is.

        Raises:
            OSError: its path leads out of the archive's folder.
        """
        return inside(self.folder or Path(), stored.path)

    def is_there(self, stored: StoredPicture) -> bool:
        """Whether the file of a stored picture is where it was put."""
        return self.folder is not None and layout.is_there(self.folder, stored.path)

    def load(self, stored: StoredPicture) -> bytes:
        """The bytes of a stored picture, as they came.

        Raises:
            OSError: the file is gone, or is not what was stored.
        """
        data = read_inside(self.folder or Path(), stored.path)
        if layout.digest_of(data) != stored.sha256:
            raise OSError(errno.EIO, "this is not the picture that was stored", stored.path)
        return data

    def load_unpasted(self, stored: StoredPicture) -> bytes | None:
        """The bytes that came, of a picture that is a pasted one; None if it is not, or they are gone."""
        if stored.unpasted is None or self.folder is None:
            return None
        with contextlib.suppress(OSError):
            return read_inside(self.folder, stored.unpasted)
        return None

    # --- copies

    def copies(self, keys: Iterable[str], *, facts: bool = False) -> dict[tuple[str, int], Copy]:
        """What became of every copy of these keys, by key and copy; one that was never asked for is not in it.

        Args:
            keys: as many as one likes; a hundred thousand take half a second.
            facts: also all that is known of the pictures that are here, of which is said only that they are
                otherwise; it takes longer.
        """
        query = _WITH_FACTS if facts else _WITHOUT_FACTS
        remaining = iter(sorted(set(keys)))  # neighbours are on the same pages of the file
        found: dict[tuple[str, int], Copy] = {}
        while batch := list(islice(remaining, _KEYS_AT_ONCE)):
            for row in self._ledger.rows(query, (json.dumps(batch),)):
                found[row[0], row[1]] = _HERE if row[2] is None else copy_of_row(row)
            if not self._ledger.rows("SELECT 1 FROM decisions LIMIT 1"):
                continue  # most ledgers have nothing to look up
            shown: dict[tuple[str, int], Copy] = {}
            for place, verdict in verdicts(self._ledger, batch).items():
                copy = found.get(place if verdict.by is None else (place[0], verdict.by))
                if copy and verdict.decision == "reject" and copy.outcome == "done":
                    copy = copy._replace(outcome="rejected", message=verdict.reason)
                shown |= {place: copy} if copy else {}
            found |= shown
        return found

    def prompt_sha256(self, key: str) -> str | None:
        """The hash of the prompt of a request; None if it was never asked for."""
        query = "SELECT prompt_sha256 FROM pictures p JOIN calls ON number = p.call WHERE p.key = ? LIMIT 1"
        return next((text for (text,) in self._ledger.rows(query, (key,)) if isinstance(text, str)), None)

    def replacements(self, keys: Iterable[str]) -> set[tuple[str, int]]:
        """Key and copy of each picture that is, or was, shown in the place of a rejected one of these keys."""
        return replacements(self._ledger, keys)

    def held(self, key: str) -> list[Held]:
        """The copies of a request that no new call may take, by number."""
        query = """SELECT copy, id, state IN ('claimed', 'received') AND path IS NULL, path IS NOT NULL FROM slots
            WHERE key = ? AND NOT free ORDER BY copy"""
        return [
            Held(copy, call_id, bool(is_open), bool(here))
            for copy, call_id, is_open, here in self._ledger.rows(query, (key,))
        ]

    def can_fetch(self, call_id: str) -> bool:
        """Whether the missing pictures of a paid call can be fetched again, free: its answer or an address is kept."""
        name = layout.raw_answer_name(call_id)
        kept = self.folder is not None and layout.is_there(self.folder, name)
        return kept or bool(missing_urls(self._ledger, call_id))

    # --- calls

    def open_calls(self) -> list[Entry]:
        """The calls that are running, here or in another process, or were cut off."""
        return [call for call in self.unsettled() if call.state != "unknown"]

    def uncertain(self) -> list[Entry]:
        """The calls that may have been billed and brought nothing."""
        return [call for call in self.unsettled() if call.state == "unknown"]

    def doubtful(self) -> list[Entry]:
        """The uncertain calls, and those that a dead process left open."""
        return [call for call in self.unsettled() if not call.alive]

    def unsettled(self) -> list[Entry]:
        """The calls that are open or uncertain."""
        return self._entries(f"WHERE state IN {_UNSETTLED} ORDER BY state = 'unknown' DESC, number")

    def history(
        self,
        words: str = "",
        *,
        limit: int | None = 20,
        model: str | None = None,
        day: date | None = None,
        since: date | datetime | None = None,
        min_cost: int | None = None,
        max_cost: int | None = None,
        starred: bool = False,
        parent: str | None = None,
    ) -> list[Entry]:
        """Calls, newest first, whose prompt holds every word; `comet_magic.history` explains the filters.

        Costs are micro-USD; `parent` is a call's key.
        """
        start = None
        if since is not None:
            start = (since if isinstance(since, datetime) else datetime.combine(since, time())).timestamp()
        condition = f"""WHERE (:model IS NULL OR model = :model) AND (:start IS NULL OR created >= :start)
            AND (:words = '' OR holds(prompt, :words)) AND (:day IS NULL OR day = :day)
            AND (:least IS NULL OR cost >= :least) AND (:most IS NULL OR cost <= :most)
            AND (NOT :starred OR {_IS_STARRED})
            AND (:parent IS NULL OR (parents IS NOT NULL AND instr(parents, :parent)))
            ORDER BY number DESC LIMIT :limit"""
        values: dict[str, str | float | None]
        values = {"model": model, "start": start, "words": words.strip(), "parent": parent}
        values |= {"day": day.isoformat()[:10] if day else None, "least": min_cost, "most": max_cost}
        return self._entries(
            condition, {**values, "starred": starred, "limit": -1 if limit is None else limit}
        )

    def maker(self, sha256: str, path: str = "") -> Entry | None:
        """The call that made a picture with these bytes, as it came or pasted; or else under this path."""
        query = """WHERE number = (SELECT MAX(call) FROM pictures WHERE CASE WHEN :path = ''
            THEN sha256 = :sha OR instr(unpasted, :sha) ELSE path = :path END)"""
        return next(iter(self._entries(query, {"sha": sha256, "path": path})), None)

    def relatives(self, key: str) -> list[Entry]:
        """The calls that a key came from and those that came of it, over all steps; with its own, oldest first."""
        query = "SELECT key, parents FROM sound WHERE parents IS NOT NULL"
        steps = [(own, parent) for own, texts in self._ledger.rows(query) for parent in _list(texts)]
        related = {key}
        for here, there in ((0, 1), (1, 0)):
            reached, new = {key}, {key}
            while new:
                new = {step[there] for step in steps if step[here] in new and is_hash(step[there])} - reached
                reached |= new
            related |= reached
        condition = "WHERE key IN (SELECT value FROM json_each(:keys)) ORDER BY number"
        return self._entries(condition, {"keys": json.dumps(sorted(related))})

    def entry(self, call_id: str) -> Entry | None:
        """The call whose id begins so, or None if none or several do."""
        if not call_id.isalnum():
            return None
        found = self._entries("WHERE id >= :id AND id < :id || 'g' LIMIT 2", {"id": call_id.lower()})
        return found[0] if len(found) == 1 else None

    def _entries(self, condition: str, values: Mapping[str, Any] | None = None) -> list[Entry]:
        with self._damage_told():
            rows = self._ledger.rows(f"SELECT * FROM sound {condition}", values or ())  # noqa: S608 - our own
            pictures = self._pictures_of([row["number"] for row in rows])
            return [self._entry(row, tuple(pictures.get(row["number"], ()))) for row in rows]

    def _entry(self, row: Mapping[str, Any], pictures: tuple[StoredPicture, ...]) -> Entry:
        state = row["state"]
        cost = 0 if state in {"rejected", "cancelled"} and row["cost"] is None else row["cost"]
        urls = missing_urls(self._ledger, row["id"]) if state in _UNSETTLED else ()
        same = ("id", "key", "vendor", "model", "prompt", "state", "request_id", "attempts", "session", "seconds",
                "timeout", "error", "code", "message")  # fmt: skip
        return Entry(
            **{name: row[name] for name in same},
            created=datetime.fromtimestamp(row["created"]),
            ended=datetime.fromtimestamp(row["ended"]) if row["ended"] else None,
            request=self._request(row),
            parameters=_object(row["request"]),
            outcome=call_status(state, row["error"], picture=bool(pictures)),
            alive=state in ("claimed", "received")
            and (self.folder is None or is_alive(self.folder, row["owner"])),
            cost_micro=cost,
            bound_micro=row["reserved"] if cost is None else cost,
            usage=_object(row["usage"]) or None,
            pictures=pictures,
            parents=tuple(key for key in _list(row["parents"]) if is_hash(key)),
            folder=self.folder,
            urls=tuple(clean_url(url) for _, url in urls),
        )

    def _request(self, row: Mapping[str, Any]) -> ImageRequest | None:
        return request_of(row["request"], row["prompt"], row["inputs"], self.folder, row["asked"])

    def parents(self, inputs: Inputs) -> tuple[str, ...]:
        """The keys of the calls whose pictures, as they are here, go in."""
        given = [(picture, picture.source) for picture in inputs.images if picture.source]
        found = self._ledger.rows(OF_THESE_SIZES, (json.dumps([source.size for _, source in given]),))
        # to read all of a picture for its hash takes a millisecond, and most are not of the size of one that is here
        sizes = {size for _, _, size in found}
        hashes = {
            source.sha256 or layout.digest_of(picture.read())
            for picture, source in given
            if source.size in sizes
        }
        return tuple(dict.fromkeys(key for key, sha256, _ in found if sha256 in hashes))

    def _pictures_of(self, numbers: list[int]) -> dict[int, list[StoredPicture]]:
        query = f"""SELECT call, {_PICTURE} FROM kept WHERE call IN (SELECT value FROM json_each(?))
            ORDER BY call, position"""  # noqa: S608
        found: dict[int, list[StoredPicture]] = {}
        for number, *facts in self._ledger.rows(query, (json.dumps(numbers),)):
            picture = StoredPicture(*facts)
            if is_place(picture.path):
                found.setdefault(number, []).append(picture)
        return found

    @contextlib.contextmanager
    def _damage_told(self) -> Iterator[None]:
        """A row that cannot be what we wrote is told as damage of the ledger."""
        try:
            yield
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError, OSError) as error:
            problem = f"{type(error).__name__}: {clean(error, limit=120)}"
        else:
            return
        raise ConfigurationError(
            f"the ledger {clean(self._ledger.path)} is damaged ({problem})",
            hint="Its pictures are files beside it. Move it away: it is made again from the receipts.",
        )

    def holdings(self) -> Holdings:
        """Bytes on disk: pictures, inputs, raw answers."""
        return holdings(self.folder) if self.folder else Holdings(0, 0, 0)

    def set_aside(self) -> int:
        """How many rows and receipts are damaged, or not made as ours are; they count as absent."""
        query = """SELECT (SELECT COUNT(*) FROM calls) - (SELECT COUNT(*) FROM sound)
            + (SELECT COUNT(*) FROM pictures p JOIN sound c ON c.number = p.call WHERE p.path != '')
            - (SELECT COUNT(*) FROM kept WHERE path != '')"""
        damaged = sum(not receipt for _, receipt in layout.receipts(self.folder)) if self.folder else 0
        return damaged + sum(int(row[0]) for row in self._ledger.rows(query))

    # --- money

    def spend(
        self, vendor: str | None = None, session: str | None = None, since: date | None = None
    ) -> Spend:
        """The money of a vendor, a session, or all, from a day on."""
        query = """SELECT SUM(spent), SUM(reserved), SUM(uncertain), SUM(calls), SUM(unpriced) FROM money
            WHERE (:vendor IS NULL OR vendor = :vendor) AND (:session IS NULL OR session = :session)
            AND (:day IS NULL OR day >= :day)"""
        day = since.isoformat()[:10] if since else None
        rows = self._ledger.rows(query, {"vendor": vendor, "session": session, "day": day})
        return Spend(*rows[0]) if rows and rows[0][0] is not None else Spend()

    def measured(self, vendor: str) -> dict[str, Measured]:
        """By model, what the latest pictures of a vendor took: seconds of a call and bytes of a picture."""
        query = """SELECT model, AVG(seconds), AVG(bytes) FROM (
            SELECT model, seconds, (SELECT AVG(size) FROM pictures WHERE call = number AND path IS NOT NULL) AS bytes
            FROM sound WHERE state = 'done' AND seconds IS NOT NULL AND vendor = ? ORDER BY number DESC LIMIT 1000)
            GROUP BY model"""
        return {
            model: Measured(seconds, size) for model, seconds, size in self._ledger.rows(query, (vendor,))
        }

    def spend_by(
        self, by: Literal["model", "day"] | None, vendor: str | None = None, since: date | None = None
    ) -> dict[tuple[str, str], Spend]:
        """The money by vendor and model, vendor and day, or vendor alone: then the second name is ""."""
        column = f"CAST({by} AS TEXT)" if by else "''"
        query = f"""SELECT CAST(vendor AS TEXT), {column}, {SUMS} FROM calls
            WHERE (:vendor IS NULL OR vendor = :vendor) AND (:day IS NULL OR day >= :day) GROUP BY 1, 2"""  # noqa: S608
        rows = self._ledger.rows(query, {"vendor": vendor, "day": since.isoformat()[:10] if since else None})
        return {(who, name): Spend(*sums) for who, name, *sums in rows}


def ask_known(
    own: Path | None, question: Callable[[Reader], T]
) -> tuple[list[tuple[Reader, T]], tuple[str, ...]]:
    """Ask every folder that money is spent from on this machine, but one's own.

    Returns:
        The reader of each with its answer, the oldest folder first; and why some cannot be read, in words.
    """
    answers, problems = [], []
    for folder in known_folders():
        if folder != own:
            try:
                reader = Reader(folder)
                answers.append((reader, question(reader)))
            except ConfigurationError as error:
                problems.append(str(error))
    return answers, tuple(problems)


def find_claim(ledger: Ledger, call_id: str, folder: Path | None) -> Claim | None:
    """A call by its whole id, or None; one that is not made as ours are is none."""
    query = "SELECT id, key, copies, request, prompt, inputs, vendor, reserved FROM sound WHERE id = ?"
    rows = ledger.rows(query, (call_id,))
    if not rows:
        return None
    _, key, copies, request, prompt, inputs, vendor, reserved = rows[0]
    numbers = _list(copies)
    if not is_call(call_id, key, numbers):
        return None
    asked = request_of(request, prompt, inputs, folder)
    return Claim(call_id, key, tuple(numbers), asked, vendor, reserved)


def missing_urls(ledger: Ledger, call_id: str) -> tuple[tuple[int, str], ...]:
    """Positions and addresses of a call's pictures that are not here."""
    query = (
        "SELECT position, url FROM slots WHERE id = ? AND path IS NULL AND url IS NOT NULL ORDER BY position"
    )
    return tuple((position, url) for position, url in ledger.rows(query, (call_id,)))


def _object(text: str | None) -> Mapping[str, Any]:
    found = json.loads(text or "{}")
    if not isinstance(found, dict):
        raise TypeError("a row's JSON is not an object")
    return found


def _list(text: object) -> list[Any]:
    try:
        found = json.loads(str(text or "[]"))
    except (ValueError, RecursionError):
        return []
    return found if isinstance(found, list) else []


def request_of(
    facts: str, prompt: str | None, inputs: str | None, folder: Path | None, asked: str | None = None
) -> ImageRequest | None:
    """The request of a row; None if its prompt is not kept, or it is not made as ours are."""
    given = _list(inputs)
    if prompt is None or not all(is_input(one) for one in given):
        return None
    try:
        known = {**_object(facts), "prompt": prompt}
        return ImageRequest.from_dict(known, Inputs.from_list(given, folder), _object(asked) or None)
    except CometError:  # the table of models has changed since
        return None
