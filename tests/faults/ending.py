"""How a call ended, and everything that is wrong with that ending: once for every row, whatever it is about."""

from __future__ import annotations

import base64
import gc
import io
import re
import stat
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import psutil
from PIL import Image

from tests.faults import pictures
from tests.faults.row import MEBI, Row, within
from tests.faults.scenarios.broken import FILES
from tests.faults.server import KEY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.exchange import Counts

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
SIGNATURE = "SECRETSIG"
SECRET_PART = KEY.removeprefix("sk-test-")
FORMS = {
    KEY,
    *(SECRET_PART[at : at + 8] for at in range(0, len(SECRET_PART), 8)),
    base64.b64encode(KEY.encode()).decode()[:-4],
    base64.b64encode(f"Bearer {KEY}".encode()).decode()[:-4],
}


def secrets_in(text: str) -> list[str]:
    """The forms of the key that stand in a text, whatever their case."""
    folded = text.casefold()
    return sorted(form for form in FORMS if form.casefold() in folded)


@dataclass(frozen=True)
class Ending:
    """What a caller got, and what it took."""

    images: Any
    error: Any
    growth: float = 0.0
    connects: int = 0
    warned: tuple[str, ...] = ()


class Peak:
    """The growth of this process while a block runs, in MiB."""

    def __init__(self, *, watch: bool = True) -> None:
        self._process = psutil.Process()
        self._done = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True) if watch else None
        self.growth = 0.0

    def __enter__(self) -> Peak:
        if self._watch is not None:
            gc.collect()
            self._base = self._process.memory_info().rss
            self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        if self._watch is not None:
            self._watch.join()

    def _look(self) -> None:
        while not self._done.wait(0.005):
            self.growth = max(self.growth, (self._process.memory_info().rss - self._base) / MEBI)


def differences(row: Row, ending: Ending, counts: Counts, prompt: str) -> list[str]:
    """Every way in which the ending is not the one that the row states."""
    return [
        *ended(row, ending),
        *counted(row, ending, counts),
        *sent_well(counts),
        *kept(row, ending, prompt),
        *spoken(row, ending),
        *(identified(row, ending, counts) if ending.error is not None else ()),
    ]


def ended(row: Row, ending: Ending) -> Iterator[str]:
    name = "ok" if ending.error is None else type(ending.error).__name__
    if name not in row.classes:
        yield f"ended with {name}: {ending.error}; {row.ends} was due"
    elif ending.error is not None and ending.error.outcome not in row.outcomes:
        yield f"outcome {ending.error.outcome}; {row.outcomes} was due"
    if row.mib is not None and ending.growth > row.mib:
        yield f"memory grew by {ending.growth:.0f} MiB; {row.mib} was the limit"


def counted(row: Row, ending: Ending, counts: Counts) -> Iterator[str]:
    for name, value, limits in (
        ("POSTs", counts.posts, row.posts),
        ("charges", counts.charged, row.charges),
        ("GETs", counts.gets, row.gets),
        ("connections with a POST", counts.connections, counts.posts),
        ("connects", ending.connects, row.connects),
        ("open exchanges", counts.active, 0),
    ):
        if limits is not None and not within(value, limits):
            yield f"{value} {name}; {limits} was due"
    if row.sent_mib is not None and counts.sent > row.sent_mib * MEBI:
        yield f"{counts.sent / MEBI:.0f} MiB could be sent; {row.sent_mib} was the limit"
    gaps = [after - before for before, after in zip(counts.arrivals, counts.arrivals[1:], strict=False)]
    if row.gaps is not None and (not gaps or min(gaps) < row.gaps):
        yield f"gaps of {gaps} s between POSTs; {row.gaps} was the least"


def sent_well(counts: Counts) -> Iterator[str]:
    posts = [head.headers for head in counts.heads if head.method == "POST"]
    if len({headers.get("idempotency-key") for headers in posts} - {None}) != min(1, len(posts)):
        yield "the attempts of one call do not carry one Idempotency-Key"
    for headers in posts:
        if headers.get("connection", "").lower() != "close":
            yield "a paid POST did not ask for its connection to be closed"
    for head in counts.heads:
        if head.headers.get("accept-encoding", "identity") != "identity":
            yield f"a {head.method} asked for {head.headers['accept-encoding']}"


def known(prompt: str) -> set[bytes]:
    """Every picture with which the server may answer this prompt."""
    stub: Any = SimpleNamespace(
        prompt=prompt, picture=lambda index=0, kind="png": pictures.picture(prompt, index, kind)
    )
    name = prompt.removeprefix("F:").split(" ")[0]
    special = {FILES[name](stub)} if name in FILES else set()
    large = {pictures.large()} if name.startswith("image-27mb") else set()
    usual = {pictures.picture(prompt, index, kind) for index in range(6) for kind in pictures.MIME}
    return usual | special | large


def kept(row: Row, ending: Ending, prompt: str) -> Iterator[str]:
    due = row.images if row.images is not None else row.n if ending.error is None else 0
    images = ending.images if ending.error is None else ending.error.images
    if len(images) != due:
        yield f"{len(images)} pictures; {due} were due"
    if not len(images):
        return
    if not set(images.data) <= known(prompt):
        yield "a picture is not the one that was sent for this prompt"
    for data, path in zip(images.data, images.paths, strict=True):
        if path is None or Path(path).read_bytes() != data:
            yield f"{path} does not hold the provider's bytes"
        elif row.suffix and not str(path).endswith(row.suffix):
            yield f"{path} does not end in {row.suffix}"
    if ending.error is None and len(images) < row.n and not ending.warned:
        yield "fewer pictures than asked came without a warning"


def identified(row: Row, ending: Ending, counts: Counts) -> Iterator[str]:
    error = ending.error
    if row.same_id and counts.request_ids and error.request_id != counts.request_ids[-1]:
        yield f"request id {error.request_id!r}; {counts.request_ids[-1]!r} was sent"
    if counts.posts and error.attempts != counts.posts:
        yield f"attempts {error.attempts}; {counts.posts} POSTs arrived"
    if row.code is not None and error.code != row.code:
        yield f"code {error.code!r}; {row.code!r} was sent"
    if error.__cause__ is not None or error.__context__ is not None:
        yield f"another error hangs on it: {error.__cause__ or error.__context__!r}"
    if "rescue" in row.keeps:
        yield from rescued(error.rescue_path)
    parts = (error, *error.errors)
    if "urls" in row.keeps and not any(part.urls for part in parts):
        yield "the address of the paid picture is lost"
    if "partial" in row.keeps and not opens(error.partial):
        yield "the last preview is lost"
    if not isinstance(error.hint, str):
        yield "the hint is no text"


def rescued(path: str | None) -> Iterator[str]:
    if path is None or not Path(path).is_file() or not Path(path).stat().st_size:
        yield f"the raw answer is not in {path}"
    elif stat.S_IMODE(Path(path).stat().st_mode) != 0o600:
        yield f"others may read {path}"


def opens(data: bytes | None) -> bool:
    if not data:
        return False
    with Image.open(io.BytesIO(data)) as image:
        image.load()
    return True


def texts(ending: Ending) -> Iterator[str]:
    """Everything that a person may come to see of an ending."""
    yield from ending.warned
    error = ending.error
    if error is not None:
        for each in (error, *error.errors):
            yield from (str(each), repr(each), str(each.args), each.hint, *each.lines())
            yield from (str(each.code or ""), str(each.param or ""), str(each.request_id or ""))
    images = ending.images if error is None else error.images
    if len(images):
        data, _ = images._repr_mimebundle_()
        yield from (repr(images), images.notice)
        yield from (f"{kind}: {value}" for kind, value in data.items() if kind.startswith("text/"))


def spoken(row: Row, ending: Ending) -> Iterator[str]:
    for text in texts(ending):
        if CONTROL.search(text):
            yield f"control characters in {text[:200]!r}"
        if secrets_in(text):
            yield f"the key is in {text[:200]!r}"
        if SIGNATURE in text:
            yield f"a signature is in {text[:200]!r}"
        if text.startswith(("text/html", "text/markdown", "text/latex")):
            yield f"server text may be shown as {text[:200]}"
        if len(text) > 4000:
            yield f"{len(text)} characters: {text[:80]!r}"
    if ending.error is None:
        return
    lines = ending.error.lines()
    whole = "\n".join(lines)
    if len(str(ending.error)) > 500 or len(lines) > 6 or any("\n" in line for line in lines):
        yield f"not a short message: {len(str(ending.error))} characters, {len(lines)} lines"
    yield from (f"{word!r} is missing in {whole!r}" for word in row.says if word not in whole)
    yield from (f"{word!r} stands in {whole!r}" for word in row.hides if word in whole)


def left_behind(folder: Path) -> Iterator[str]:
    """What must not lie in a folder after a call: unfinished files, open doors, the key."""
    for path in folder.rglob("*"):
        if path.name.endswith(".part"):
            yield f"{path} was left"
        if path.is_file():
            if stat.S_IMODE(path.stat().st_mode) & 0o077 and path.name != ".gitignore":
                yield f"others may read {path}"
            if secrets_in(path.read_bytes().decode("latin-1")):
                yield f"the key is in {path}"


def remembered(error: BaseException) -> Iterator[str]:
    """Local variables of the frames of an error that show the key."""
    at = error.__traceback__
    while at is not None:
        if "/tests/" not in at.tb_frame.f_code.co_filename:
            for name, value in at.tb_frame.f_locals.items():
                if secrets_in(repr(value)[:100_000]):
                    yield f"{at.tb_frame.f_code.co_qualname} remembers the key in {name}"
        at = at.tb_next


def marked(row: Row) -> str:
    """The row's prompt, unlike any other prompt of this run."""
    return f"{row.prompt} #{time.monotonic_ns():x}"
