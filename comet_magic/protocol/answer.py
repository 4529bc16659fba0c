"""The one reader of answers of success: pictures and addresses out of a body of any shape, or the error that it tells.

    read_answer(pieces, encoding="", stream=False, largest=..., largest_picture=...)     a whole body
    StreamCollector(largest_picture=...).take(event)                                       a stream while it arrives

A body is a JSON document or several, a stream of events, text around JSON, or the picture itself; its bytes are
believed before its labels. Pictures that are in hand are given, whatever is damaged beside them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from ..errors import (
    AmbiguousError,
    APIStatusError,
    BadImageError,
    BadResponseError,
    CometError,
    ServerError,
    TooLargeError,
)
from ..formats import kind_of, sniff
from ..text import clean
from .body import DocumentReader, decoded, documents_in, looks_like_a_stream
from .decisions import BASE_URL_HINT
from .pictures import PictureFinder, ReplyItem, addresses_in
from .refusal import Said, is_nothing, is_work, members, prose, what_is_said, without_keys
from .sse import StreamEvent, StreamReader

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_FILTERED = "An empty answer often means that the prompt was filtered."
_TASK = "Its pictures are made later, and are not waited for here; the provider's own page can show them by this id."
_DEEPEST = 20
_LONGEST_FACT = 4096  # characters
_IDS = ("taskid", "id", "jobid", "predictionid", "generationid", "requestid")
_STATES = ("status", "taskstatus", "state")
_PENDING = frozenset(
    {
        *("pending", "submitted", "queued", "queueing", "queue", "inqueue", "processing", "running"),
        *("starting", "started", "inprogress", "created", "accepted", "waiting", "notstart", "notstarted"),
        *("scheduled", "validating", "working", "throttled", "generating", "ingenerating", "progress"),
        "initializing",
    }
)


@dataclass(frozen=True)
class Reply:
    """A whole answer; `usage` as sent, or None where it says nothing."""

    items: tuple[ReplyItem, ...]
    created: int | None = None
    usage: dict[str, Any] | None = None

    @property
    def count(self) -> int:
        """How many pictures were made, also damaged ones; what the server refused is none."""
        return sum(not isinstance(item.error, APIStatusError) for item in self.items)


def read_answer(
    pieces: Iterable[bytes],
    *,
    encoding: str = "",
    stream: bool = False,
    largest: int,
    largest_picture: int,
    wanted: int = 1,
) -> Reply:
    """The pictures and addresses that a body with status 2xx holds.

    Args:
        pieces: the raw body, cut anywhere.
        encoding: the `Content-Encoding` header, "" for none.
        stream: whether it is labelled as a stream of events.
        largest: bytes that a compressed body may unpack to, and that an event of a stream may have.
        largest_picture: bytes; a larger picture becomes an item with an error.
        wanted: pictures after which a stream that completes is at its end.

    Raises:
        AmbiguousError: a stream ended before its picture was there.
        BadResponseError: there are no pictures in it; `urls` holds what addresses there are.
        TooLargeError: the text beside the pictures is too long.
        CometError: what the server says is wrong.
    """
    body = decoded(pieces, encoding=encoding, largest=largest)
    beginning = next(body, b"")
    body = chain([beginning], body)
    kind = kind_of(beginning)
    if kind is not None and kind.suffix != ".html":
        return Reply((_whole_body(body, largest_picture),))
    if not looks_like_a_stream(beginning, labelled=stream):
        reader = DocumentReader(largest_picture=largest_picture)
        for piece in body:
            reader.feed(piece)
        return read_documents(reader)
    events, collector = (
        StreamReader(largest=largest),
        StreamCollector(largest_picture=largest_picture, wanted=wanted),
    )
    for event in _events(events, body):
        if collector.take(event):
            break
    return collector.finish()


def is_complete(pieces: Iterable[bytes], *, largest: int) -> bool:
    """Whether a body is a whole JSON document or a stream that reached its end; no picture is held.

    Args:
        pieces: the body as it came, cut anywhere.
        largest: bytes that a compressed body may unpack to, and that an event of a stream may have.
    """
    body = decoded(pieces, largest=largest)
    try:
        beginning = next(body, b"")
        body = chain([beginning], body)
        if looks_like_a_stream(beginning):
            events, collector = StreamReader(largest=largest), StreamCollector(largest_picture=0)
            return any(collector.take(event) for piece in body for event in events.feed(piece))
        if sniff(beginning):
            return False  # whether it is whole is seen when it is checked
        document = DocumentReader(largest_picture=0)
        for piece in body:
            document.feed(piece)
        return document.is_whole
    except CometError:
        return False


def _events(reader: StreamReader, pieces: Iterable[bytes]) -> Iterator[StreamEvent]:
    for piece in pieces:
        yield from reader.feed(piece)
    yield from reader.finish()


def _whole_body(pieces: Iterable[bytes], largest: int) -> ReplyItem:
    """The picture, or other file, that a body itself is."""
    data = bytearray()
    for piece in pieces:
        data += piece
        if len(data) > largest:
            return ReplyItem(error=TooLargeError(f"a picture is larger than max_image_bytes, {largest}"))
    return ReplyItem(data=bytes(data))


# ── Documents ──────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Content:
    """What the documents of a body or of an event hold."""

    items: tuple[ReplyItem, ...]
    created: int | None
    usage: dict[str, Any] | None


def content_of(documents: Sequence[Any], reader: DocumentReader) -> Content:
    """Pictures, time and usage; a picture that a second document repeats counts once."""
    items: list[ReplyItem] = []
    created: int | None = None
    usage: dict[str, Any] | None = None
    for document in documents:
        if not _is_preview(document):
            found = PictureFinder(reader).find(document)
            items += new_items(items, found) if items else found
        # Facts of the whole answer stand in an object, or in one that it holds.
        for part in (document, *document.values()) if isinstance(document, dict) else ():
            if not isinstance(part, dict):
                continue
            for moment in (part.get("created"), part.get("created_at")):
                if created is None and type(moment) is int and abs(moment) < 1 << 53:
                    created = moment
            count = part.get("usage")
            if isinstance(count, dict) and count and (usage is None or is_work(count) > is_work(usage)):
                usage = count
    return Content(tuple(items), created, without_keys(usage) if usage else None)


def new_items(known: Sequence[ReplyItem], found: Sequence[ReplyItem]) -> list[ReplyItem]:
    """The items that are not among those that earlier documents gave."""
    seen = {item.data or item.url for item in known} - {None}
    return [item for item in found if (item.data or item.url) not in seen]


def _is_preview(document: Any) -> bool:
    if not isinstance(document, dict):
        return False
    kind = document.get("type")
    return "partial_image_b64" in document or (isinstance(kind, str) and kind.endswith(".partial_image"))


def read_documents(reader: DocumentReader) -> Reply:
    """The reply of a whole body that is not a stream.

    Raises:
        CometError: as `read_answer`.
    """
    documents = list(documents_in(reader.text))
    content = content_of(documents, reader)
    items = content.items
    if not items and reader.all_pictures() and not reader.is_whole:
        items = tuple(_loose(reader))
    if not items:
        raise _nothing_in(documents, reader.text, content.usage)
    if reader.is_cut:
        items += (ReplyItem(error=BadImageError("the answer was cut within a picture")),)
    return Reply(items, content.created, content.usage)


def _loose(reader: DocumentReader) -> Iterator[ReplyItem]:
    """Whole pictures in a body that cannot be read as documents."""
    for sink in reader.all_pictures():
        data = sink.finish()
        if sink.error is None and sniff(data):
            yield ReplyItem(data=data)


def _nothing_in(documents: list[Any], text: str, usage: Mapping[str, Any] | None) -> CometError:
    """The error for an answer without a picture: what it says, or what it is."""
    said = what_is_said(documents, failed=False)
    urls = addresses_in(documents or [text])
    if said.is_fault:
        return _told(said, urls, usage)
    task = _task(documents)
    if task:
        return BadResponseError(task, hint=_TASK, urls=urls, request_id=said.request_id)
    if not documents:
        return _unreadable(text, urls)
    words = what_is_said([_only_words(one) for one in documents], failed=True)
    if words.message:
        return _told(replace(words, request_id=said.request_id), urls, usage)
    entries = documents[0].get("data") if isinstance(documents[0], dict) else documents[0]
    problem = BadResponseError(
        f"the answer contains no pictures: {_described(documents[0], entries)}", urls=urls
    )
    counts = usage if is_work(usage) else None
    return problem.with_facts(
        hint=_FILTERED if entries == [] else "", request_id=said.request_id, usage=counts
    )


def _told(said: Said, urls: Sequence[str], usage: Mapping[str, Any] | None) -> CometError:
    worked = is_work(usage)
    error = replace(said, usage=usage if worked else None, worked=worked).error(200, {})
    return error.with_facts(urls=tuple(urls), status_code=None)


def _only_words(document: Any) -> dict[str, Any]:
    """What an object says in words, without the data that came with it."""
    if not isinstance(document, dict):
        return {}
    return {name: part for name, part in document.items() if isinstance(part, (str, int, float))}


def _task(documents: Iterable[Any]) -> str:
    """That a server answers with a task, with its id; "" if it does not."""
    for member in members(documents):
        if not isinstance(member.value, dict):
            continue
        value = {name.replace("_", "").replace("-", "").lower(): part for name, part in member.value.items()}
        state = next((value[name] for name in _STATES if isinstance(value.get(name), str)), "")
        plain = "".join(letter for letter in state.lower() if letter.isalpha())
        named = next((value[name] for name in _IDS if isinstance(value.get(name), str) and value[name]), "")
        polled = any(name.startswith(("polling", "statusurl", "poll")) for name in value)
        if named and ("taskid" in value or polled or plain in _PENDING):
            at = f", {clean(state, limit=40)}" if state else ""
            return f"the server answered with a task instead of pictures (task {clean(named, limit=80)}{at})"
    return ""


def _unreadable(text: str, urls: Sequence[str]) -> CometError:
    """The error for a body that is no JSON, by how it begins."""
    if not text.strip():
        return BadResponseError("the answer is empty")
    page = text.lstrip()[:1] == "<"
    words = Said(message=text[:_LONGEST_FACT], text=text[:_LONGEST_FACT], is_fault=True)
    if not page and words.error(200, {}).outcome == "rejected":
        return _told(words, urls, None)
    said = " ".join(clean(prose(text), limit=200).split())
    hint = BASE_URL_HINT if page else ""
    return BadResponseError(f"the answer is not readable as JSON: {said}", hint=hint, urls=urls)


def _described(document: Any, entries: Any) -> str:
    if not isinstance(document, dict):
        return f"it is {_kind(document)}"
    if "data" in document:
        return f"`data` is {_kind(entries)}"
    names = ", ".join(clean(name, limit=30) for name in list(document)[:8])
    return f"`data` is missing{f'; it has {names}' if names else ''}"


def _kind(value: object) -> str:
    if isinstance(value, list):
        return f"a list of {len(value)}" if value else "an empty list"
    names = {dict: "an object", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _said_by(event: StreamEvent, documents: list[Any], text: str) -> Said:
    """What an event without a picture calls wrong; the words of one that is named an error need no JSON."""
    failed = event.name == "error"
    said = what_is_said(documents, failed=failed)
    if failed and not documents and not is_nothing(text):
        return Said(message=text, text=text, is_fault=True)
    return said


# ── Streams ────────────────────────────────────────────────────────────────────────────────────────


class StreamCollector:
    """Collects the pictures, the errors and the usage of a stream, from events of any name.

    Attributes:
        begins: bytes of the stream before the first event that counts.
    """

    def __init__(self, *, largest_picture: int, wanted: int = 1) -> None:
        self._largest_picture = largest_picture
        self._wanted = wanted
        self._items: list[ReplyItem] = []
        self._errors: list[CometError] = []
        self._created: int | None = None
        self._usage: dict[str, Any] | None = None
        self._urls: tuple[str, ...] = ()
        self.begins: int | None = None

    @property
    def pictures(self) -> int:
        """How many finished pictures, or their addresses, have come."""
        return sum(not isinstance(item.error, APIStatusError) for item in self._items)

    def take(self, event: StreamEvent) -> bool:
        """Take the next event; whether the stream is at its end: nothing that follows is needed."""
        if event.is_end:
            return True
        if event.is_preview:
            return False
        reader = DocumentReader(largest_picture=self._largest_picture)
        reader.feed(event.data)
        documents = list(documents_in(reader.text))
        content = content_of(documents, reader)
        self._created = self._created or content.created
        self._usage = content.usage or self._usage
        new = new_items(self._items, content.items)
        self._items += new
        said = _said_by(event, documents, reader.text) if not content.items else Said()
        if (content.items or said.is_fault) and self.begins is None:
            self.begins = event.begins
        names = [event.name, *(str(one.get("type")) for one in documents if isinstance(one, dict))]
        if said.is_fault:
            self._errors.append(_told(said, (), None))
            return not any("partial" in name for name in names)  # the error of a single part does not end it
        completes = any(name.endswith((".completed", ".done", ".complete")) for name in names)
        bears = bool(content.items) or is_work(content.usage)
        return completes and bears and self.pictures > 0 and len(self._items) >= self._wanted

    def finish(self) -> Reply:
        """The reply of the stream.

        Raises:
            AmbiguousError: it ended before a picture was there.
            CometError: what its error says.
        """
        if self.pictures:
            parts = (error.with_facts(outcome="billed") for error in self._errors)
            return Reply(
                (*self._items, *(ReplyItem(error=error) for error in parts)), self._created, self._usage
            )
        if not self._errors:
            raise AmbiguousError("the stream ended before the picture was complete")
        error = self._errors[0]
        if type(error) is ServerError:
            raise AmbiguousError(str(error), request_id=error.request_id)
        raise error.with_facts(outcome="billed", usage=self._usage) if is_work(self._usage) else error


def read_preview(event: StreamEvent, *, largest_picture: int) -> bytes | None:
    """The unfinished picture of an event, or None where it holds none that can be read."""
    reader = DocumentReader(largest_picture=largest_picture)
    try:
        reader.feed(event.data)
        documents = list(documents_in(reader.text))
    except CometError:
        return None
    for document in documents:
        whole = isinstance(document, dict)
        values = [document.get(name) for name in ("b64_json", "partial_image_b64")] if whole else []
        items = [item for value in values for item in PictureFinder(reader).find(value, "b64json")]
        found = next((item.data for item in items if item.data and not item.error), None)
        if found:
            return found
    return None
