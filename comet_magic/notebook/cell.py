"""The journey of one `%cometimg` call: what was typed, the request, the waiting, the pictures, the name.

Each step takes one value and hands on one value; what is shown is `live`'s, what is sent is the client's.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import CometError
from ..text import clean, looks_like_key
from . import flags, options
from .live import say
from .options import wrong
from .prompt import fill
from .session import session

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..client import Job
    from ..images import Images, Picture
    from ..request import ImageRequest
    from .live import Live
    from .session import Service

KEY_ADVICE = (
    "this cell holds what looks like an API key, so nothing was done with it: delete the cell (its text is "
    "saved with the notebook), rotate the key at the vendor, and give the new one to %cometimg_login"
)


@dataclass(frozen=True)
class Cell:
    """What was typed: the flags' values (None where not given) and the prompt, as typed."""

    values: Mapping[str, Any]
    prompt: str
    wire: Mapping[str, Any]


def read(line: str, body: str | None) -> Cell:
    """The flags and the prompt of a magic's line and cell.

    Raises:
        UsageError: one line with the fix; a key is refused without being repeated.
    """
    refuse_key(line, body or "")
    magic = "%cometimg" if body is None else "%%cometimg"
    known = flags.flags_of("cometimg")
    argv, rest = options.scan(line, known, magic=magic, verbatim=body is None)
    values = vars(options.parse(argv, flags.parser_of("cometimg")))
    if body is not None and rest:
        raise wrong(f"{rest[:40]} is no flag; the prompt of %%cometimg stands below its line")
    names = [flag.name for flag in flags.wire_flags()]
    wire = {name: values[name] for name in names if values[name] is not None}
    return Cell(values, rest.strip() if body is None else body.strip("\n"), wire)


def refuse_key(*texts: str) -> None:
    """Refuse text that holds a key, without repeating it."""
    if any(looks_like_key(text) for text in texts):
        raise wrong(KEY_ADVICE)


def prompt_of(cell: Cell, namespaces: Sequence[Mapping[str, Any]], hidden: Mapping[str, Any]) -> str:
    """The prompt as it will be sent: read from its file if it has one, its names filled in."""
    prompt = cell.prompt
    path = cell.values["prompt_file"]
    if path is not None:
        if prompt.strip():
            raise wrong("--prompt-file gives the prompt, and there is one in the cell too; keep one of them")
        prompt = _read_file(path)
    if not cell.values["no_interpolate"]:
        prompt, warnings = fill(prompt, *namespaces, hidden=hidden)
        for warning in warnings:
            say(warning)
        refuse_key(prompt)
    if not prompt.strip():
        raise wrong(
            "the prompt is empty; write it below the %%cometimg line, or behind the flags of %cometimg"
        )
    return prompt


def _read_file(path: str) -> str:
    problem = ""
    try:
        return Path(path).expanduser().read_text(encoding="utf-8").strip("\n")
    except UnicodeDecodeError:
        problem = "is not UTF-8 text"
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    raise wrong(f"--prompt-file {path} {problem}")


def check_target(path: str, requests: Sequence[ImageRequest]) -> None:
    """Refuse a `--save` path that could not be written, before anything is paid."""
    from ..images import obstacle

    problem = obstacle(path, [request.mime_hint for request in requests for _ in range(request.n)])
    if problem:
        raise wrong(f"--save {path}: {problem}")


def dry_run(requests: Sequence[ImageRequest], settings: Mapping[str, Any]) -> None:
    """Print the exact requests and what they would cost."""
    from ..request import Price, parse_dollars
    from ..settings import resolve_base_url

    given = settings.get("price_per_image")
    each = None if given is None else parse_dollars(given, name="price_per_image")
    prices = [request.estimate(each) for request in requests]
    bodies = [json.dumps(request.body(), ensure_ascii=False, indent=2) for request in requests]
    url = resolve_base_url(settings.get("base_url")).url
    for body in dict.fromkeys(bodies):
        times = f"   ({bodies.count(body)} times)" if bodies.count(body) > 1 else ""
        print(f"POST {url}/images/generations{times}\n{clean(body, limit=100_000)}")
    print(f"price: {sum(prices, Price(0, 0))}; nothing was sent")


def title_of(job: Job) -> str:
    """What a call makes: "gpt-image-2, 3 pictures, $0.018"."""
    count = sum(request.n for request in job.requests)
    pictures = f", {count} pictures" if count > 1 else ""
    model = job.requests[0].model if job.requests else "from the archive"
    return f"{model}{pictures}, {job.price}"


def run(
    service: Service, prompt: str, call: Mapping[str, Any], *, live: Live, bind: Callable[[Images], None]
) -> Images:
    """Send the call, wait for it, bind and show what comes.

    Raises:
        CallAbandoned: on an interrupt.
        CometError: as the call ended; pictures that exist are bound and shown before.
    """
    from ..client import wait

    job = service.client.submit(prompt, **call, on_event=live.news.note)
    session.track(job)
    live.begin(title_of(job), service.notice)
    try:
        images = noticed(wait(job, tick=live.tick), service.notice)
    except CometError as error:
        found = error.images or _of(job, live.news.arrived)
        if not found:
            live.stop("stopped" if isinstance(error, KeyboardInterrupt) else "failed")
            raise
        error.images = noticed(found, service.notice)
        salvage(error, live=live, bind=bind)
        raise
    bind(images)
    live.show(images)
    asked = call.get("n", 1)
    if len(images) < asked:
        say(f"{asked} pictures were asked for; the answer held {len(images)}")
    return images


def _of(job: Job, pictures: Sequence[Picture]) -> Images | None:
    """The pictures of a call that was stopped before its last one."""
    from ..images import Images
    from ..request import total

    if not pictures:
        return None
    cost = total(picture.cost for picture in pictures)
    return Images(pictures, prompt=job.requests[0].prompt, model=job.requests[0].model, cost=cost)


def noticed(images: Any, notice: str) -> Images:
    """The pictures with a sentence in every caption."""
    pictures: Images = images.with_notice(notice) if notice else images
    return pictures


def salvage(error: CometError, *, live: Live, bind: Callable[[Images], None]) -> None:
    """Bind and show the pictures of a call that failed all the same."""
    images: Any = error.images
    bind(images)
    live.show(images)
    live.keep(images)
