"""One request on a worker of any engine, such as Ray, Spark, Daft or Dask.

The worker writes picture and receipt to the folder that all share, and finds its own API key. Work that is finished
is found by its receipt, work that was begun by its mark.
"""

from __future__ import annotations

import hashlib
import uuid
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from .archive import WorkerArchive
from .client.batch import BatchCore
from .client.core import configure
from .client.loop_thread import LoopHandle
from .errors import AmbiguousError, InvalidRequestError
from .request import ImageRequest
from .settings import ClientOptions, hide_keys, resolve_base_url

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping


def generate_one(
    request: ImageRequest | Mapping[str, Any],
    store: str | os.PathLike[str],
    *,
    copy: int = 0,
    call_id: str = "",
    redo: bool = False,
    **client: Unpack[ClientOptions],
) -> dict[str, Any]:
    """Make one picture in a shared folder, or find it there; for tasks of Ray, Spark, Daft, Dask.

    Asked again for a copy that is finished it pays nothing. Asked again for one that was begun elsewhere it finishes
    what was paid, or refuses: it may be billed already.

    Args:
        request: what is asked, also as its `to_dict()`.
        store: the folder; all workers see the same.
        copy: which of several equal pictures.
        call_id: of the driver's ledger; one is derived from request and copy where there is none.
        redo: send also what was begun and is unknown; it may be billed twice.
        **client: settings of the client; the key is looked up where this runs.

    Returns:
        Less than a kilobyte: key, copy, path in the folder, mime, width, height, size, sha256, cost in micro-USD,
        request id.

    Raises:
        AmbiguousError: it was begun before, and nothing of it is here.
        CometError: as the call ended.
    """
    hide_keys(client)
    asked = request if isinstance(request, ImageRequest) else ImageRequest.from_dict(request)
    if asked.n != 1:
        raise InvalidRequestError(f"n is {asked.n}; one picture is made", param="n")
    depot = WorkerArchive(Path(store).expanduser(), store_prompts=client.get("store_prompts", True))
    key = asked.key(resolve_base_url(client.get("base_url")).vendor)
    found = depot.finished(key, copy)
    if found is not None:
        return _brief(found)
    call_id = call_id or (uuid.uuid4().hex if redo else _derived_id(key, copy))
    config = configure({**client, "archive": None})
    core = BatchCore(config, archive=depot, patient=False)
    make = _begin if depot.begin(call_id) else _finish
    try:
        make(core, depot, asked, copy, call_id)
    finally:
        core.close()
        depot.close()
    return _brief(depot.finished(key, copy) or {})


def _derived_id(key: str, copy: int) -> str:
    return hashlib.sha256(f"{key}.{copy}".encode()).hexdigest()[:32]


def _brief(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if name not in ("id", "position", "revised_prompt")}


def _begin(core: BatchCore, depot: WorkerArchive, request: ImageRequest, copy: int, call_id: str) -> None:
    """The call, marked as begun for as long as its end is open."""
    loop = LoopHandle()
    try:
        call = loop.portal.call(partial(core.perform, request, copy, call_id=call_id))
    finally:
        loop.release()
    error = call.errors[0] if call.errors else None
    if error is None or error.outcome in ("not_sent", "rejected"):
        depot.unmark(call_id)
    if error is not None:
        raise error


def _finish(core: BatchCore, depot: WorkerArchive, request: ImageRequest, copy: int, call_id: str) -> None:
    """What somebody began and did not finish: its whole answer may be here, and costs nothing more."""
    depot.claim(request, vendor=core.base.vendor, reserve=None, copies=(copy,), call_id=call_id)
    try:
        job = core.fetch(call_id)
    except InvalidRequestError:
        problem = AmbiguousError(
            "this picture was begun by a worker that is gone; it may be billed",
            hint="redo=True makes it again; it may be billed twice.",
        )
    else:
        job.result()
        depot.unmark(call_id)
        return
    raise problem
