"""The archive as its users see it: one folder, one ledger, and nothing said before it is on disk."""

from __future__ import annotations

import contextlib
import errno
import threading
from typing import TYPE_CHECKING, Any, Literal

from ..errors import BudgetExceededError, CometError, ConfigurationError
from ..files import inside, make_folder, make_private_folder, native
from ..text import clean
from . import claims, layout, queries
from .fork_hooks import ForkHooks, watch
from .process_lock import ProcessLock
from .raw_answers import RawAnswer
from .reader import Reader
from .records import Budget, Claim, Orphan, Repair, StoredPicture
from .recovery import Recovery
from .repair import believe_another, repair

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from ..request import ImageRequest
    from .ledger import Ledger

_IN_MEMORY = "memory"
_UNLIMITED = Budget()
Settled = Literal["done", "rejected", "unknown", "cancelled"]


class Archive(Reader, ForkHooks):
    """A folder with a ledger, the original bytes and a receipt per answer; without a folder, a ledger in memory.

    Making one touches nothing; the folder is made by the first claim, and questions to an archive that is not
    there find nothing. Safe to use from many threads, from many processes, and after a fork.

    Args:
        folder: where the archive is, or None to keep nothing on disk.
        store_prompts: False keeps only a hash of each prompt, in the ledger, the receipts and the names.
    """

    def __init__(self, folder: Path | str | None, *, store_prompts: bool = True) -> None:
        super().__init__(folder)
        self.store_prompts = store_prompts
        self.after_fork_in_child()
        watch(self)

    def after_fork_in_child(self) -> None:
        """Begin with nothing at work: in a child, the calls in flight are its parent's."""
        self._lock = threading.Lock()
        self._owner: ProcessLock | None = None
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
        budget: Budget = _UNLIMITED,
        session: str = "",
        copies: Sequence[int] | None = None,
        run: str = "",
        redo: bool = False,
        call_id: str = "",
    ) -> Claim:
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
            call_id: the call's id where another process has given it one.

        Raises:
            CopyTaken: a named copy exists, is being made, or is uncertain.
            BudgetExceededError: it would pass a limit, or its price is unknown and a limit is set.
            ConfigurationError: the folder or the ledger cannot be used.
        """
        wanted = claims.ClaimRequest(
            request, vendor, reserve, session, run, self._ready(), self.store_prompts, call_id
        )
        try:
            with self._known.transaction(create=True) as connection:
                return claims.claim(connection, wanted, budget=budget, copies=copies, redo=redo)
        except BudgetExceededError as error:
            if run:
                with self._ledger.transaction(create=True) as connection:
                    claims.refuse(connection, wanted, copies, error)
            raise

    def raw_answer(self, call: Claim) -> RawAnswer:
        """Where the raw answer of a call goes as it arrives: its file, or memory where there is no folder."""
        if self.folder is None:
            return RawAnswer()
        try:
            layout.must_be_there(self.folder)
            make_folder(inside(self.folder, "spool"))
            return RawAnswer(inside(self.folder, layout.raw_answer_name(call.id)))
        except OSError:
            return RawAnswer()

    def _drop_raw_answer(self, call_id: str) -> None:
        if self.folder is not None:
            with contextlib.suppress(OSError):
                RawAnswer(inside(self.folder, layout.raw_answer_name(call_id))).drop()

    def received(
        self,
        call: Claim,
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
        facts = {"request_id": _cleaned(request_id), "usage": usage, "status": status}
        with self._after_paying(), self._ledger.transaction() as connection:
            claims.receive(connection, call, facts=facts, urls=urls)

    def store(
        self,
        call: Claim,
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
        with self._after_paying():
            copy = self._copy_of(call, index)
        path = ""
        size = len(part) if isinstance(part, bytes) else native(part).stat().st_size
        if self.folder is not None:
            prompt = call.request.prompt if call.request and self.store_prompts else None
            path = layout.put(self.folder, layout.picture_name(call.key, copy, mime, prompt), part, sha256)
        told = clean(revised_prompt, limit=32_000) if revised_prompt and self.store_prompts else None
        picture = StoredPicture(call.key, copy, call.id, index, path, mime, width, height, size, sha256, told)
        with self._lock:
            self._pending.setdefault(call.id, {})[index] = picture
        return native(self.folder / path) if self.folder else None

    def _copy_of(self, call: Claim, index: int) -> int:
        query = "SELECT copy FROM slots WHERE id = ? AND position = ?"
        known = self._ledger.rows(query, (call.id, index))
        if known:
            return int(known[0][0])
        with self._ledger.transaction() as connection:
            return claims.copy_of(connection, call, index)

    def settle(
        self,
        call: Claim,
        state: Settled,
        *,
        cost: int | None = None,
        error: CometError | None = None,
        usage: Mapping[str, Any] | None = None,
        attempts: int | None = None,
        request_id: str | None = None,
    ) -> None:
        """The end of a call: its receipt, then its state, its money and its pictures in one transaction.

        Args:
            call: as it was claimed.
            state: done (billed), rejected, unknown (counted as spent), or cancelled (never sent).
            cost: micro-USD, None where unknown: then what was reserved counts.
            error: what went wrong; a done call may have one.
            usage: as the server reported it.
            attempts: how often it was sent.
            request_id: of the server, where the error does not tell it.

        Raises:
            OSError: the receipt or the ledger cannot be written.
        """
        with self._lock:
            kept = self._pending.get(call.id, {})
        pictures = tuple(kept[index] for index in sorted(kept))
        facts = {
            "cost": cost,
            "usage": usage,
            "attempts": attempts if attempts is not None else (error.attempts or None if error else None),
            "request_id": _cleaned((error.request_id if error else None) or request_id),
            "status": error.status_code if error else None,
        }
        failure: OSError | None = None
        proved = False
        with self._after_paying():
            try:
                proved = self._write_receipt(call, facts, pictures)
            except OSError as problem:  # the money must be settled all the same
                failure = problem
            # What the receipt tells need not be durable twice; of an error it tells nothing.
            with self._ledger.transaction(synced=bool(error) or not proved) as connection:
                claims.settle(connection, call.id, state, facts=facts, error=error, pictures=pictures)
        with self._lock:
            self._pending.pop(call.id, None)
        if failure:
            raise failure
        if state in {"rejected", "cancelled"} or (state == "done" and error is None):
            self._drop_raw_answer(call.id)

    def _write_receipt(
        self, call: Claim, facts: Mapping[str, Any], pictures: tuple[StoredPicture, ...]
    ) -> bool:
        """Whether the next process would find the end of this open call by its receipt, also after a power cut."""
        if self.folder is None or not pictures:
            return False
        row = queries.row_of(self._ledger, call.id)
        told = {name: value for name, value in facts.items() if value is not None}
        layout.write_receipt(self.folder, call.id, {**queries.receipt_facts(row), **told}, pictures)
        return row.get("state") in {"claimed", "received"}

    # --- what a crash left ----------------------------------------------------------------------------

    def reconcile(self) -> list[Orphan]:
        """Settle the open calls of dead processes; gives those that this process must finish, unpaid.

        A receipt makes a call done, also one that was given up; files are adopted, and a call that left nothing
        becomes unknown.
        """
        if self.folder is None or (all(call.alive for call in self.open_calls()) and not self.uncertain()):
            return []
        return self._recovery(self.folder).reconcile()

    def adopt(self, call: Claim) -> bool:
        """Whether a receipt on disk proves that a call was answered; then it is settled so."""
        return self.folder is not None and self._recovery(self.folder).adopt(call)

    def adopt_another(self, call: Claim) -> bool:
        """Whether the picture of a call that was never sent is there from another one; then this is cancelled."""
        return self.folder is not None and believe_another(self._recovery(self.folder), call)

    def orphan(self, call_id: str) -> Orphan | None:
        """What is known to finish the call whose id begins so: its raw answer, the addresses of its pictures."""
        entry = self.entry(call_id)
        call = queries.find_call(self._ledger, entry.id) if entry else None
        return self._recovery(self.folder).orphan(call) if call and self.folder else None

    def repair(self) -> Repair:
        """Look at every file and every receipt, mend what can be mended, and tell what was done.

        Raises:
            ConfigurationError: the folder or the ledger cannot be used.
            OSError: a file cannot be read.
        """
        return repair(self._recovery(self.folder)) if self.folder else Repair()

    def close(self) -> None:
        """Close the ledger and end this process's sign of life; the archive can be used again."""
        with self._lock:
            owner, self._owner = self._owner, None
        self._ledger.close()
        if owner:
            owner.close()

    def _recovery(self, folder: Path) -> Recovery:
        return Recovery(self._ledger, folder, self._ready())

    @property
    def _known(self) -> Ledger:
        """The ledger, made again from the receipts where somebody removed it."""
        if self.folder and not self._ledger.exists and (self.folder / "receipts").is_dir():
            self.repair()
        return self._ledger

    def _ready(self) -> str:
        """The token of this process, after the folder was made and written to."""
        if self.folder is None:
            return _IN_MEMORY
        with self._lock:
            if self._owner is None or not self._owner.holds:
                self._owner = _signed_on(self.folder)
            return self._owner.token

    @contextlib.contextmanager
    def _after_paying(self) -> Iterator[None]:
        """From here on a ledger that cannot be used is a failure of the disk, not of a setting."""
        try:
            yield
        except ConfigurationError as error:
            raise OSError(errno.EIO, str(error), str(self._ledger.path)) from error


def _cleaned(text: str | None) -> str | None:
    return clean(text, limit=200) if text else None


def _signed_on(folder: Path) -> ProcessLock:
    make_private_folder(folder)
    try:
        return ProcessLock(folder)
    except OSError as error:
        reason = error.strerror or type(error).__name__
    raise ConfigurationError(f"the folder {clean(folder)} cannot be written: {reason}")
