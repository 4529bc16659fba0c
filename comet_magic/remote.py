"""One request on a worker of any engine, such as Ray, Spark, Daft or Dask.

The worker writes picture and receipt to the folder that all share, and finds its own API key. Work that is finished
is found by its receipt, work that was begun by its mark.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any, Unpack

from .archive import WorkerArchive
from .client.batch import BatchCore
from .client.core import configure
from .client.loop_thread import LoopHandle
from .errors import AmbiguousError, InvalidRequestError
from .machine import expanded
from .money import usd
from .request import ImageRequest
from .request.checks import check_names, shown
from .settings import ClientOptions, base_url_of
from .text import conceal_keys

if TYPE_CHECKING:
    import os

_FIELDS = tuple(field.name for field in fields(ImageRequest) if field.name != "asked")


def generate_one(
    request: ImageRequest | Mapping[str, Any],
    store: str | os.PathLike[str],
    *,
    copy: int = 0,
    call_id: str = "",
    redo: bool = False,
    **client: Unpack[ClientOptions],
) -> dict[str, Any]:
    """Make one picture in a shared folder, or find it there; for tasks of Ray, Spark, Daft or Dask.

    A second call for a finished copy pays nothing. A second call for a copy that was begun elsewhere finishes it if
    its whole answer is in the folder, and raises otherwise: it may be billed already.

    On Ray, a task for each row; a task of a worker that dies is run again, which pays for no row twice:

        @ray.remote(max_retries=3)
        def make(row):
            try:
                return cm.generate_one(row, "/shared/boats")
            except cm.CometError as error:
                return {"error": str(error), "outcome": error.outcome}

        affordable = int(max_cost / price_of_one)  # the driver holds the budget
        made = ray.get([make.remote(row) for row in rows[:affordable]])

    On Spark, with a frame of the columns `prompt` and `size`:

        def make(frames):
            for frame in frames:
                rows = frame.to_dict("records")
                yield pd.DataFrame([cm.generate_one(row, "/shared/boats") for row in rows])[["key", "path"]]

        made = table.limit(affordable).mapInPandas(make, "key string, path string")

    Args:
        request: an `ImageRequest`, or a mapping of its fields such as `{"prompt": "a boat", "size": "16:9"}`, which
            is checked like one.
        store: the folder; all workers see the same.
        copy: which of several equal pictures, from 0.
        call_id: from the driver's ledger; without one it is derived from request and copy.
        redo: send a copy again that was begun and is unknown; it may be billed twice.
        **client: settings of the client; the key is looked up where this runs.

    Returns:
        Less than a kilobyte: key, copy, path in the folder, mime, width, height, size, sha256, cost in USD,
        request id.

    Raises:
        InvalidRequestError: the request breaks a rule, or asks for more than 1 picture; nothing was sent.
        AmbiguousError: it was begun before, and there is no whole answer in the folder.
        CometError: as the call ended.
    """
    conceal_keys(client, ClientOptions.__annotations__)
    if isinstance(request, Mapping):
        request = {**request}
        conceal_keys(request, _FIELDS)
    if not isinstance(redo, bool):
        raise InvalidRequestError(f"redo is {shown(redo)}; it must be True or False", param="redo")
    asked = _checked(request)
    archive = WorkerArchive(expanded(store), store_prompts=client.get("store_prompts", True))
    key = asked.key(base_url_of(client).vendor)
    found = archive.finished(key, copy)
    if found is not None:
        return _brief(found)
    derived = hashlib.sha256(f"{key}.{copy}".encode()).hexdigest()[:32]
    call_id = call_id or (uuid.uuid4().hex if redo else derived)
    config = configure({**client, "archive": None})
    core = BatchCore(config, archive=archive, patient=False)
    try:
        if archive.begin(call_id):
            _send(core, archive, asked, copy, call_id)
        else:
            _finish(core, archive, asked, copy, call_id)
    finally:
        core.close()
        archive.close()
    return _brief(archive.finished(key, copy) or {})


def _checked(request: ImageRequest | Mapping[str, Any]) -> ImageRequest:
    if not isinstance(request, ImageRequest):
        if not isinstance(request, Mapping) or "prompt" not in request:
            what = "a mapping without prompt" if isinstance(request, Mapping) else type(request).__name__
            raise InvalidRequestError(f"request is {what}; give an ImageRequest or a mapping with prompt")
        check_names(request, _FIELDS)
        request = ImageRequest(**request)
    if request.n != 1:
        raise InvalidRequestError(f"n is {request.n}; generate_one makes 1 picture", param="n")
    return request


def _brief(facts: Mapping[str, Any]) -> dict[str, Any]:
    left_out = ("id", "position", "revised_prompt")
    shown = {name: value for name, value in facts.items() if name not in left_out}
    return {**shown, "cost": usd(shown["cost"])} if "cost" in shown else shown


def _send(core: BatchCore, archive: WorkerArchive, request: ImageRequest, copy: int, call_id: str) -> None:
    """Make the call; its mark stays while it is not known how the call ended."""
    loop = LoopHandle()
    try:
        call = loop.portal.call(partial(core.perform, request, copy, call_id=call_id))
    finally:
        loop.release()
    error = call.errors[0] if call.errors else None
    if error is None or error.outcome in ("not_sent", "rejected"):
        archive.unmark(call_id)
    if error is not None:
        raise error


def _finish(core: BatchCore, archive: WorkerArchive, request: ImageRequest, copy: int, call_id: str) -> None:
    """Finish what another worker began, if its whole answer is in the folder; nothing is sent."""
    archive.claim(request, vendor=core.base.vendor, reserve=None, copies=(copy,), call_id=call_id)
    try:
        job = core.takeover.fetch(call_id)
    except InvalidRequestError:
        problem = AmbiguousError(
            "this picture was begun by a worker that is gone; it may be billed",
            hint="redo=True makes it again; it may be billed twice.",
        )
    else:
        job.result()
        archive.unmark(call_id)
        return
    raise problem
