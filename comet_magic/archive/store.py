"""The archive: calls are claimed, their pictures stored and their ends settled, on disk before anyone is told."""

from __future__ import annotations

import contextlib
import errno
import json
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..errors import CometError, ConfigurationError
from ..files import inside, make_private_folder, native
from ..text import clean
from . import claims, layout, queries
from .curation import decide, take_back
from .holdings import forget, prune_raw_answers
from .process_lock import ForkHooks, ProcessLock, others_alive, watch
from .queries import Reader
from .raw_answers import RawAnswer
from .records import Budget, Claim, Orphan, Repair, StoredPicture
from .recovery import Recovery
from .repair import believe_another, check_pictures, release, repair

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ..request import ImageRequest
    from .records import Entry, Settled

_IN_MEMORY = "memory"
_UNLIMITED = Budget()


class Archive(Reader, ForkHooks):
    """An archive in a folder (ledger, pictures, receipts), or in memory if there is no folder.

    Making the object touches nothing: the first claim makes the folder, and questions to an archive that does not
    exist find nothing. Safe to use from many threads, from many processes, and after a fork.

    Args:
        folder: where the archive is, or None to keep nothing on disk.
        store_prompts: False keeps only a hash of each prompt, in the ledger, the receipts and the names.
    """

    nested = False  # whether new pictures go two folders deep, as in a dataset
    _keep_receipt = staticmethod(layout.append_receipt)

    def __init__(self, folder: Path | str | None, *, store_prompts: bool = True) -> None:
        super().__init__(folder)
        self.store_prompts = store_prompts
        self.after_fork_in_child()
        watch(self)

    def after_fork_in_child(self) -> None:
        """Forget the calls in flight: they are the parent's."""
        self._lock = threading.Lock()
        self._owner: ProcessLock | None = None
        self._pending: dict[str, dict[int, StoredPicture]] = {}
        self._began: dict[str, float] = {}  # when each open call was claimed

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
        redo: bool = False,
        call_id: str = "",
        timeout: float | None = None,
        parents: Sequence[str] | None = None,
    ) -> Claim:
        """Claim a call, so that it may be sent: its row, copies and money are durable when this returns.

        Args:
            request: what will be asked.
            vendor: whom the money is counted for.
            reserve: the most it may cost in micro-USD, None if that is unknown.
            budget: limits that all spending and all calls in flight must keep, exactly.
            session: whose spending the session's limit counts.
            copies: the copies to make; None takes the next free ones.
            redo: also take named copies that are uncertain, or whose address is still known.
            call_id: the call's id if another process has given it one.
            timeout: seconds for which its answer is awaited.
            parents: the keys of the calls whose pictures go in; None looks for them.

        Raises:
            CopyTaken: a named copy exists, is being made, or is uncertain.
            BudgetExceededError: it would pass a limit, or its price is unknown and a limit is set.
            ConfigurationError: the folder or the ledger cannot be used.
        """
        if self.has_lost_ledger:
            self.repair()
        owner = self._ready()
        if request.inputs.images:
            self._keep_inputs(request)
            parents = self.parents(request.inputs) if parents is None else parents
        with self._ledger.transaction(create=True) as connection:
            claimed = claims.claim(
                connection,
                request,
                vendor=vendor,
                reserve=reserve,
                budget=budget,
                session=session,
                copies=copies,
                redo=redo,
                call_id=call_id,
                timeout=timeout,
                owner=owner,
                parents=parents or (),
                store_prompts=self.store_prompts,
            )
        with self._lock:
            self._began[claimed.id] = time.monotonic()
        return claimed

    def _keep_inputs(self, request: ImageRequest) -> None:
        if self.folder is None:
            return
        try:
            layout.keep_inputs(self.folder, request.inputs)
        except OSError as error:
            reason = clean(error.strerror or error, limit=120)
        else:
            return
        raise ConfigurationError(f"the input pictures cannot be written to {clean(self.folder)}: {reason}")

    def raw_answer(self, call: Claim) -> RawAnswer:
        """The raw answer of a call, to be written as it arrives: a file, or memory if there is no folder."""
        if self.folder is None:
            return RawAnswer()
        try:
            return RawAnswer(layout.to_write(self.folder, layout.raw_answer_name(call.id)))
        except OSError:
            return RawAnswer()

    def received(
        self,
        call: Claim,
        *,
        request_id: str | None = None,
        urls: Sequence[str | None] = (),
        usage: Mapping[str, Any] | None = None,
        status: int | None = None,
    ) -> None:
        """Note that the answer is here, and the addresses of its pictures, before anything is fetched from them.

        A process that dies loses nothing of it; it is synced with what follows.

        Raises:
            OSError: the ledger cannot be written.
        """
        facts = {"request_id": request_id, "usage": usage, "status": status}
        with self._after_paying(), self._ledger.transaction(synced=False) as connection:
            claims.receive(connection, call, facts=facts, urls=urls)

    def store(
        self,
        call: Claim,
        index: int,
        data: bytes,
        *,
        mime: str,
        width: int,
        height: int,
        sha256: str,
        revised_prompt: str | None = None,
        unpasted: bytes | None = None,
    ) -> Path | None:
        """Store a picture under its final name, whole and durable, and give its path; None without a folder.

        Storing the same bytes again gives the same path. `unpasted` are the bytes that came, if the picture is pasted.

        Raises:
            OSError: the disk is full, the folder is gone, and the like.
        """
        with self._after_paying(), self._ledger.transaction() as connection:
            copy = claims.copy_at(connection, call, index)
        path, came = "", None
        if self.folder is not None:
            if unpasted is not None:
                came = layout.keep_unpasted(self.folder, unpasted)
            prompt = call.request.prompt if call.request and self.store_prompts else None
            name = layout.picture_name(call.key, copy, mime, prompt, nested=self.nested)
            path = layout.put(self.folder, name, data, sha256)
        told = clean(revised_prompt, limit=32_000) if revised_prompt and self.store_prompts else None
        picture = StoredPicture(
            *(call.key, copy, call.id, index, path, mime, width, height, len(data), sha256, told, came)
        )
        with self._lock:
            self._pending.setdefault(call.id, {})[index] = picture
        return native(self.folder / path) if self.folder else None

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
        """Settle a call: its state, money and pictures in one transaction, durable when this returns.

        Args:
            call: as it was claimed.
            state: done (billed), rejected, unknown (counted as spent), or cancelled (never sent).
            cost: micro-USD, None if unknown: then what was reserved counts.
            error: what went wrong; a done call may have one.
            usage: as the server reported it.
            attempts: how often it was sent.
            request_id: of the server, if the error does not tell it.

        Raises:
            OSError: the receipt or the ledger cannot be written.
        """
        with self._lock:
            kept, began = self._pending.get(call.id, {}), self._began.pop(call.id, None)
        pictures = tuple(dict(sorted(kept.items())).values())
        facts = {
            "cost": cost,
            "usage": usage if usage or error is None else error.usage,
            "attempts": attempts if attempts is not None else (error.attempts or None if error else None),
            "request_id": (error.request_id if error else None) or request_id,
            "status": error.status_code if error else None,
            "seconds": None if began is None else time.monotonic() - began,
        }
        failure: OSError | None = None
        with self._after_paying(), self._ledger.transaction() as connection:
            row = claims.settle(connection, call.id, state, facts=facts, error=error, pictures=pictures)
            if pictures and self.folder is not None:
                receipt = layout.receipt_of(row, pictures)
                try:
                    self._keep_receipt(self.folder, receipt)
                except OSError as problem:  # the money must be settled all the same
                    failure = problem
        with self._lock:
            self._pending.pop(call.id, None)
        if failure:
            raise failure
        whole = state in {"rejected", "cancelled"} or (state == "done" and error is None)
        if whole and self.folder is not None:
            with contextlib.suppress(OSError):
                inside(self.folder, layout.raw_answer_name(call.id)).unlink(missing_ok=True)

    # --- what a crash left ----------------------------------------------------------------------------

    @property
    def has_lost_ledger(self) -> bool:
        """Whether the ledger is gone and receipts are here; the next call or a repair makes it again from them."""
        return self.folder is not None and not self._ledger.exists and layout.has_receipts(self.folder)

    def reconcile(self, vendor: str | None = None) -> list[Orphan]:
        """Settle the open calls of dead processes; give those that this process must finish, without paying again.

        A worker's receipt makes a call done, also one that was given up; pictures on disk are adopted; a call that
        left nothing becomes unknown. With a `vendor`, calls of others are left to who has a client of that vendor.
        """
        if self.has_lost_ledger:
            self.repair()
        if self.folder is None or not self.doubtful():
            return []
        return self._recovery(self.folder).reconcile(vendor)

    def adopt(self, call: Claim) -> bool:
        """Settle a call as done if a worker's receipt proves that it was answered; whether it does."""
        return self.folder is not None and self._recovery(self.folder).adopt(call)

    def adopt_another(self, call: Claim) -> bool:
        """Cancel a call that was never sent if a receipt shows that another made its picture; whether one does."""
        return self.folder is not None and believe_another(self._recovery(self.folder), call)

    def orphan(self, call_id: str) -> Orphan | None:
        """The call whose id begins so, with what is on disk to finish it; None if there is no such call."""
        entry = self.entry(call_id)
        call = queries.find_claim(self._ledger, entry.id, self.folder) if entry else None
        return self._recovery(self.folder).orphan(call) if call and self.folder else None

    def is_shared(self) -> bool:
        """Whether anybody else works in the folder; this process shows from now on that it does.

        Raises:
            ConfigurationError: the folder cannot be used.
        """
        return self.folder is not None and others_alive(self.folder, self._ready())

    def verify(self) -> tuple[list[str], list[str]]:
        """The pictures whose file is gone, and those whose file is not what was stored; they are due again.

        Raises:
            ConfigurationError: the ledger cannot be read, or written if there are any.
            OSError: a file cannot be read.
        """
        if self.folder is None:
            return [], []
        missing, damaged = check_pictures(self._ledger, self.folder)
        release(self._ledger, [*missing, *damaged])
        return missing, damaged

    def repair(self) -> Repair:
        """Look at every file and every receipt, mend what can be mended, and tell what was done.

        Raises:
            ConfigurationError: the folder or the ledger cannot be used.
            OSError: a file cannot be read.
        """
        return repair(self._recovery(self.folder)) if self.folder else Repair()

    def prune_raw_answers(self) -> list[str]:
        """Remove the raw answers that no promise needs; gives their names.

        Raises:
            ConfigurationError: the folder or the ledger cannot be used.
            OSError: a file cannot be deleted.
        """
        if self.folder is None:
            return []
        self._ready()
        return prune_raw_answers(self._ledger, self.folder)

    def forget(self, entry: Entry) -> list[str]:
        """Delete the pictures and inputs of an ended call from disk, and leave its money; gives the files' names.

        Raises:
            InvalidRequestError: the call is still open.
            ConfigurationError: the folder or the ledger cannot be used.
            OSError: a file cannot be deleted.
        """
        if self.folder is None:
            return []
        self._ready()
        return forget(self._ledger, self.folder, entry.id)

    def star(self, entry: Entry, *, on: bool = True, paths: Sequence[str] | None = None) -> None:
        """Mark the pictures of a call, or those with these paths in the folder; `on=False` takes the mark away.

        Raises:
            ConfigurationError: the folder or the ledger cannot be used.
        """
        self._ready()
        with self._ledger.transaction() as connection:
            connection.execute(
                """UPDATE pictures SET starred = CASE WHEN :on THEN COALESCE(starred, :now) END
                WHERE call = (SELECT number FROM calls WHERE id = :id)
                AND (:paths IS NULL OR path IN (SELECT value FROM json_each(:paths)))""",
                {"on": on, "now": time.time(), "id": entry.id, "paths": paths and json.dumps(list(paths))},
            )

    def decide(
        self, decision: Literal["keep", "reject", "reroll"], reasons: Mapping[tuple[str, int], str]
    ) -> None:
        """Note one decision on pictures by key and copy, each with its reason; the latest on a picture counts.

        The reason of `reroll` is the index of the copy that is shown from now on.

        Raises:
            ConfigurationError: the ledger cannot be written.
        """
        decide(self._ledger, decision, reasons)

    def take_back(self) -> int:
        """Take the last decision back; gives on how many pictures it was, 0 if there is none.

        Raises:
            ConfigurationError: the ledger cannot be written.
        """
        return take_back(self._ledger)

    def close(self) -> None:
        """Close the ledger and release this process's lock; the archive can be used again."""
        with self._lock:
            owner, self._owner = self._owner, None
        self._ledger.close()
        if owner:
            owner.close()

    def _recovery(self, folder: Path) -> Recovery:
        return Recovery(self._ledger, folder, self._ready())

    @property
    def token(self) -> str:
        """The token of this process, whose lock is in the folder for as long as it works there."""
        return self._ready()

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


def _signed_on(folder: Path) -> ProcessLock:
    make_private_folder(folder)
    layout.must_be_ours(folder)
    try:
        return ProcessLock(folder)
    except OSError as error:
        reason = error.strerror or type(error).__name__
    raise ConfigurationError(f"the folder {clean(folder)} cannot be written: {reason}")


def star_files(paths: Iterable[str], *, on: bool) -> None:
    """Mark pictures by their files in archives, or take the mark away.

    Raises:
        ConfigurationError: one lies in no archive, or its ledger cannot be used.
    """
    for path in paths:
        folder = Path(path).parents[2]
        archive = Archive(folder)
        try:
            name = layout.relative(folder, Path(path))
            entry = archive.maker("", name)
            if entry is None:
                raise ConfigurationError(
                    f"{clean(path)} is in no archive", hint="Only archived pictures have stars."
                )
            archive.star(entry, on=on, paths=[name])
        finally:
            archive.close()
