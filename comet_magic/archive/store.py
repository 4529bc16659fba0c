"""The archive as its users see it: one folder, one ledger, and nothing said before it is on disk."""

from __future__ import annotations

import contextlib
import errno
import json
import shutil
import tempfile
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from comet_magic.errors import BudgetExceededError, CometError, ConfigurationError
from comet_magic.files import make_folder, make_private_folder, native, place, write_whole
from comet_magic.text import clean

from . import budget as money
from . import claims, reading, shelf
from .ledger import Ledger
from .owners import Owner, is_alive
from .records import Budget, Call, Entry, OpenCall, Orphan, Repair, Slot, Spend, StoredPicture
from .recovery import Recovery

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import date, datetime

    from comet_magic.request import ImageRequest

_IN_MEMORY = "memory"
Settled = Literal["done", "rejected", "unknown", "cancelled"]


class Archive:
    """A folder with a ledger, the original bytes and a receipt per answer; without a folder, a ledger in memory.

    Making one touches nothing; the folder is made by the first claim, and questions to an archive that is not
    there find nothing. Safe to use from many threads, from many processes, and after a fork.

    Args:
        folder: where the archive is, or None to keep nothing on disk.
        store_prompts: False keeps only a hash of each prompt, in the ledger, the receipts and the names.
    """

    def __init__(self, folder: Path | str | None, *, store_prompts: bool = True) -> None:
        self.folder = None if folder is None else native(Path(folder)).absolute()
        self.store_prompts = store_prompts
        self._ledger = Ledger(self.folder / "ledger.sqlite" if self.folder else None)
        self._lock = threading.Lock()
        self._owner: Owner | None = None
        self._spool: Path | None = None
        self._pending: dict[str, dict[int, StoredPicture]] = {}

    def __repr__(self) -> str:
        return f"Archive({clean(self.folder)})"

    # --- the life of a call ---------------------------------------------------------------------------

    def claim(
        self,
        request: ImageRequest,
        *,
        vendor: str,
        reserve: int | None,
        budget: Budget = Budget(),
        session: str = "",
        copies: Sequence[int] | None = None,
        run: str = "",
        redo: bool = False,
    ) -> Call:
        """A call that may be sent: row, copies and money are durable when this returns.

        Args:
            request: what will be asked.
            vendor: whom the money is counted for.
            reserve: the most it may cost in micro-USD, None where that is unknown.
            budget: limits that all spending and all calls in flight must keep, exactly.
            session: whose spending the session's limit counts.
            copies: the copies to make; None takes the next free ones.
            run: a name under which a refusal for lack of money is recorded too.
            redo: also take named copies that are uncertain, or whose address is still known.

        Raises:
            CopyTaken: a named copy exists, is being made, or is uncertain.
            BudgetExceededError: it would pass a limit, or its price is unknown and a limit is set.
            ConfigurationError: the folder or the ledger cannot be used.
        """
        order = claims.Order(request, vendor, reserve, session, run, self._ready(), self.store_prompts)
        try:
            with self._ledger.transaction(create=True) as connection:
                return claims.claim(connection, order, budget=budget, copies=copies, redo=redo)
        except BudgetExceededError as error:
            if run:
                with self._ledger.transaction(create=True) as connection:
                    claims.refuse(connection, order, copies, error)
            raise

    def received(
        self,
        call: Call,
        *,
        request_id: str | None = None,
        urls: Sequence[str | None] = (),
        usage: Mapping[str, Any] | None = None,
        status: int | None = None,
    ) -> None:
        """The answer is here; its addresses are durable before anything is fetched from them.

        Raises:
            OSError: the ledger cannot be written.
        """
        facts = {"request_id": request_id, "usage": usage, "status": status}
        with self._writing() as connection:
            claims.receive(connection, call, facts=facts, urls=urls)

    def store(
        self,
        call: Call,
        index: int,
        part: Path | bytes,
        *,
        mime: str,
        width: int,
        height: int,
        sha256: str,
        revised_prompt: str | None = None,
    ) -> Path | None:
        """Put a picture of the answer under its final name, whole and durable; None where nothing is kept.

        A file given as `part` is moved. Storing the same bytes again gives the same path.

        Raises:
            OSError: the disk is full, the folder is gone, and the like; `part` is untouched.
        """
        with self._writing() as connection:
            copy = claims.copy_of(connection, call, index)
        path = ""
        size = len(part) if isinstance(part, bytes) else native(part).stat().st_size
        if self.folder is not None:
            prompt = call.request.prompt if call.request and self.store_prompts else None
            path = shelf.put(self.folder, shelf.picture_name(call.key, copy, mime, prompt), part, sha256)
        told = clean(revised_prompt, limit=32_000) if revised_prompt and self.store_prompts else None
        picture = StoredPicture(call.key, copy, call.id, index, path, mime, width, height, size, sha256, told)
        with self._lock:
            self._pending.setdefault(call.id, {})[index] = picture
        return self.folder / path if self.folder else None

    def settle(
        self,
        call: Call,
        state: Settled,
        *,
        cost: int | None = None,
        error: CometError | None = None,
        usage: Mapping[str, Any] | None = None,
        attempts: int | None = None,
    ) -> None:
        """The end of a call: its receipt, then its state, its money and its pictures in one transaction.

        Args:
            call: as it was claimed.
            state: done (billed), rejected, unknown (counted as spent), or cancelled (never sent).
            cost: micro-USD, None where unknown: then what was reserved counts.
            error: what went wrong; a done call may have one.
            usage: as the server reported it.
            attempts: how often it was sent.

        Raises:
            OSError: the receipt or the ledger cannot be written.
        """
        with self._lock:
            kept = self._pending.pop(call.id, {})
        pictures = tuple(kept[index] for index in sorted(kept))
        facts = {
            "cost": cost,
            "usage": usage,
            "attempts": attempts if attempts is not None else (error.attempts or None if error else None),
            "request_id": error.request_id if error else None,
            "status": error.status_code if error else None,
        }
        failure: OSError | None = None
        try:
            self._write_receipt(call, facts, pictures)
        except OSError as problem:  # the money must be settled all the same
            failure = problem
        with self._writing() as connection:
            claims.settle(connection, call.id, state, facts=facts, error=error, pictures=pictures)
        if failure:
            raise failure
        if state in {"rejected", "cancelled"} or (state == "done" and error is None):
            self._drop_spool(call)

    def _write_receipt(
        self, call: Call, facts: Mapping[str, Any], pictures: tuple[StoredPicture, ...]
    ) -> None:
        if self.folder is None or not pictures:
            return
        row = self._ledger.rows(
            """SELECT vendor, model, request, prompt, prompt_sha256, created, request_id, status, usage,
            reserved, session, run, day FROM calls WHERE id = ?""",
            (call.id,),
        )
        names = ("vendor", "model", "request", "prompt", "prompt_sha256", "created", "request_id", "status",
                 "usage", "reserved", "session", "run", "day")  # fmt: skip
        known = dict(zip(names, row[0], strict=True)) if row else {}
        for name in ("request", "usage"):
            known[name] = json.loads(known[name]) if known.get(name) else None
        told = {name: value for name, value in facts.items() if value is not None}
        content = {"key": call.key, "copies": call.copies, **known, **told}
        shelf.write_receipt(self.folder, call.id, content, pictures)

    # --- the raw answer -------------------------------------------------------------------------------

    def spool(self, call: Call) -> Path:
        """Where the raw answer of a call goes while it arrives; its folder is there.

        Raises:
            OSError: the folder cannot be made.
        """
        return self._spool_folder() / f"{call.id}.body"

    def spooled(self, call: Call, head: Mapping[str, Any]) -> None:
        """Note that the raw answer is whole, so that a crash from here on costs nothing.

        Args:
            call: whose answer it is.
            head: its status, content type and request id.

        Raises:
            OSError: the note cannot be written.
        """
        body = self.spool(call)
        content = {**head, "size": native(body).stat().st_size}
        with contextlib.suppress(FileExistsError):
            write_whole(body.with_suffix(".head"), json.dumps(content, default=str).encode())

    def rescue(self, call: Call) -> Path:
        """Keep the raw answer of a call for good; gives its new path.

        Raises:
            OSError: there is none, or it cannot be moved.
        """
        body = self.spool(call)
        kept = (self.folder or Path(tempfile.mkdtemp(prefix="cometimg-"))) / "rescue" / body.name
        make_folder(kept.parent)
        with contextlib.suppress(FileExistsError):
            place(body, kept)
        body.with_suffix(".head").unlink(missing_ok=True)
        return kept

    def _spool_folder(self) -> Path:
        if self.folder is not None:
            if not self.folder.is_dir():
                raise FileNotFoundError(errno.ENOENT, "the archive's folder is gone", str(self.folder))
            make_folder(self.folder / "spool")
            return self.folder / "spool"
        with self._lock:
            if self._spool is None or not self._spool.is_dir():
                self._spool = Path(tempfile.mkdtemp(prefix="cometimg-"))
                weakref.finalize(self, shutil.rmtree, self._spool, ignore_errors=True)
            return self._spool

    def _drop_spool(self, call: Call) -> None:
        with contextlib.suppress(OSError):
            body = self.spool(call)
            body.unlink(missing_ok=True)
            body.with_suffix(".head").unlink(missing_ok=True)

    # --- what is there --------------------------------------------------------------------------------

    def stored(self, key: str) -> list[StoredPicture]:
        """The pictures of a request on disk, newest first; by `copy` they are in the order they were made."""
        return reading.stored(self._ledger, key)

    def find_copy(self, key: str, copy: int) -> StoredPicture | None:
        """One picture on disk, or None."""
        return reading.find_copy(self._ledger, key, copy)

    def path_of(self, stored: StoredPicture) -> Path:
        """Where a stored picture is."""
        return native((self.folder or Path()) / stored.path)

    def load(self, stored: StoredPicture) -> bytes:
        """The bytes of a stored picture, as they came.

        Raises:
            OSError: the file is gone, or is not what was stored.
        """
        data = self.path_of(stored).read_bytes()
        if shelf.digest_of(data) != stored.sha256:
            raise OSError(errno.EIO, "this is not the picture that was stored", str(self.path_of(stored)))
        return data

    def have(self, keys: Iterable[str]) -> dict[str, list[Slot]]:
        """What became of every copy of these keys; a key that was never asked for is not in it."""
        return reading.have(self._ledger, keys)

    def open_calls(self) -> list[OpenCall]:
        """The calls that are running, here or in another process, or were cut off."""
        return reading.open_calls(self._ledger, ("claimed", "received"), self._lives)

    def uncertain(self) -> list[OpenCall]:
        """The calls that may have been billed and brought nothing."""
        return reading.open_calls(self._ledger, ("unknown",), self._lives)

    def history(
        self,
        words: str = "",
        *,
        limit: int | None = 20,
        model: str | None = None,
        since: date | datetime | None = None,
    ) -> list[Entry]:
        """Calls, newest first, whose prompt holds every word."""
        return reading.history(self._ledger, words=words, limit=limit, model=model, since=since)

    def entry(self, call_id: str) -> Entry | None:
        """The call whose id begins so, or None where none or several do."""
        return reading.entry(self._ledger, call_id)

    def run_entries(self, run: str) -> list[Entry]:
        """Every call of a run, oldest first, with those that there was no money for."""
        return reading.run_entries(self._ledger, run)

    def spend(
        self, vendor: str | None = None, session: str | None = None, since: date | None = None
    ) -> Spend:
        """The money of a vendor, a session, or all, from a day on."""
        day = since.isoformat()[:10] if since else None
        return money.spend(self._ledger, vendor=vendor, session=session, since=day)

    # --- what a crash left ----------------------------------------------------------------------------

    def reconcile(self) -> list[Orphan]:
        """Settle the open calls of dead processes; gives those that this process must finish, unpaid.

        A receipt makes a call done, files are adopted, and a call that left nothing becomes unknown.
        """
        return self._recovery().reconcile() if self.folder and self._ledger.exists else []

    def orphan(self, call_id: str) -> Orphan | None:
        """What is known to finish a call: its raw answer, the addresses of its missing pictures; or None."""
        call = reading.find_call(self._ledger, call_id)
        return self._recovery().orphan(call) if call and self.folder else None

    def repair(self) -> Repair:
        """Look at every file and every receipt, mend what can be mended, and tell what was done."""
        return self._recovery().repair() if self.folder else Repair()

    def close(self) -> None:
        """Close the ledger and end this process's sign of life; the archive can be used again."""
        with self._lock:
            owner, self._owner = self._owner, None
        self._ledger.close()
        if owner:
            owner.close()

    def _recovery(self) -> Recovery:
        assert self.folder is not None
        return Recovery(self._ledger, self.folder, self._ready())

    def _ready(self) -> str:
        """The token of this process, after the folder was made and written to."""
        if self.folder is None:
            return _IN_MEMORY
        with self._lock:
            if self._owner is None or not self._owner.holds:
                self._owner = _signed_on(self.folder)
            return self._owner.token

    def _lives(self, token: str) -> bool:
        if self.folder is None or (self._owner and self._owner.token == token):
            return True
        return is_alive(self.folder / "owners", token)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[Any]:
        """A transaction after something was paid for, whose failure is one of the disk, not of a setting."""
        reason = ""
        try:
            with self._ledger.transaction() as connection:
                yield connection
        except ConfigurationError as error:
            reason = str(error)
        if reason:
            raise OSError(errno.EIO, reason, str(self._ledger.path))


def _signed_on(folder: Path) -> Owner:
    make_private_folder(folder)
    try:
        return Owner(folder / "owners")
    except OSError as error:
        reason = error.strerror or type(error).__name__
    raise ConfigurationError(f"the folder {clean(folder)} cannot be written: {reason}")
