"""What a server says is wrong, wherever it says it: kind, code, words, request id, and how long to wait.

One walk over the whole body: a JSON object, list or text, JSON inside a message, several documents, a frame of a stream
at any status, heartbeats first. What becomes of it is the decision table's: code and words first, the status second.
CometAPI passes faults of a request on as 500 or 503, so the status alone decides little.
https://apidoc.cometapi.com/errors/error-codes-handling
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..errors import CometError
from ..formats import sniff
from ..text import clean, clean_url, hide_keys
from .body import DocumentReader, decoded, documents_in, looks_like_a_stream
from .decisions import BASE_URL_HINT, decide, is_known
from .retry import retry_after
from .sse import StreamReader
from .wording import MODERATION, spoken

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

LARGEST_REFUSAL = 1 << 20  # bytes that a packed one may unpack to
MOST_NODES = 5_000  # members of a document that are looked at
_DEEPEST = 20
_LONGEST_FACT = 4096  # characters
_LONGEST_JSON = 1 << 20  # characters of JSON inside a text
_LONGEST_WORDS = 4000  # characters of words that are weighed

# https://learn.microsoft.com/azure/api-management/, https://www.volcengine.com/docs/6369, https://developers.cloudflare.com
_ID_HEADERS = (
    *("x-request-id", "x-oneapi-request-id", "request-id", "apim-request-id", "x-ms-request-id"),
    *("x-tt-logid", "x-amzn-requestid", "x-correlation-id", "x-trace-id", "cf-ray"),
)
_ID_WORDS = re.compile(
    r"\b(?:request|trace|log)[ _-]?id['\"]?\s*(?:[:=]\s*['\"]?|(?=[\w.:-]*\d))([\w.:-]{3,79}\w)",
    re.IGNORECASE,
)
_ID_MEMBERS = frozenset({"requestid", "reqid", "xrequestid", "traceid", "logid"})
_FAULTS = frozenset(
    {
        *("error", "errors", "err", "innererror", "exception", "failure", "fault", "detail", "details"),
        *("errordetails", "errormessage", "errormsg", "lasterror", "raifilteredreason", "promptfeedback"),
    }
)
_CODES = ("code", "errorcode", "errcode", "statuscode", "errorno", "errno")
_TYPES = ("type", "errortype", "status", "reason", "blockreason", "finishreason", "raierrorcode")
_WORDS = (
    *(
        "message",
        "msg",
        "errormessage",
        "errormsg",
        "errmsg",
        "error",
        "errordescription",
        "detail",
        "details",
    ),
    *("description", "title", "reason", "text", "info", "raifilteredreason", "errors", "failurereason"),
)
_NOTHING = frozenset(
    {"", "none", "null", "false", "no error", "ok", "success", "succeeded", "succeed", "successful"}
)
_FINE = frozenset(
    {*_NOTHING, "0", "200", "201", "202", "0.0", "10000", "complete", "completed", "done", "true", "stop"}
)
_WAITS = {
    **dict.fromkeys(("retrydelay", "retryafter", "retryafterseconds", "retryin", "waitseconds"), 1.0),
    **dict.fromkeys(("retryafterms", "retrydelayms", "retryaftermilliseconds"), 0.001),
}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|milli|s|m|h|)[a-z]*", re.IGNORECASE)
# Possessive: a stranger's text must not make them try every way to divide it.
_SPANS = re.compile(r"(?:\d++(?:\.\d++)?\s*+[a-z]*+\s*+)++", re.IGNORECASE)
_WAIT_WORDS = re.compile(
    r"\b(?:retry|again|wait)\b[^.\d]{0,20}?((?:\d++(?:\.\d++)?\s*+(?:ms|milli|s|m|h)[a-z]*+\s*+)++)",
    re.IGNORECASE,
)
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "": 1.0, "ms": 0.001, "milli": 0.001}
_SEPARATORS = re.compile(r"[\W_]+")  # in the names of members
_FLAGS = ("filtered", "flagged", "nsfw", "blocked", "hasnsfwconcepts", "nsfwcontentdetected")
_MODERATED = "refused by content moderation"


@dataclass(frozen=True)
class Said:
    """What a server says is wrong.

    Attributes:
        message: its words, or "".
        codes: its codes and types, the strongest first.
        code: the one that is shown.
        param: the parameter that it names.
        request_id: its id of the request, from the body.
        wait: seconds that it asks to wait.
        named: whether the time to wait is a member of its own, which counts like the header.
        usage: its count of the work that was done, or None.
        worked: whether work was done: it counts some, or holds a picture.
        text: all its words.
        is_fault: whether something is called wrong at all.
    """

    message: str = ""
    codes: tuple[str, ...] = ()
    code: str | None = None
    param: str | None = None
    request_id: str | None = None
    wait: float | None = None
    named: bool = False
    usage: Mapping[str, Any] | None = None
    worked: bool = False
    text: str = ""
    is_fault: bool = False

    def error(self, status: int, headers: Mapping[str, str], *, now: float = 0.0) -> CometError:
        """The error that this is, as the decision table says."""
        row = decide(
            status,
            headers,
            self.codes,
            self.text,
            wait=self.named and self.wait is not None,
            worked=self.worked,
        )
        # a server that answers with an error of its own is the right one
        hint = "" if self.is_fault and row.hint == BASE_URL_HINT else row.hint
        asked = retry_after(headers, now=now)
        leads = f"it redirects to {clean_url(headers['location'])}" if headers.get("location") else ""
        return row.error(
            _sentence(status, leads if 300 <= status < 400 and leads else self.message),
            hint=hint,
            code=self.code,
            param=self.param,
            status_code=status,
            usage=self.usage,
            request_id=request_id_of(headers) or self.request_id,
            retry_after=self.wait if asked is None else asked,
        )


def refusal_of(status: int, headers: Mapping[str, str], body: bytes, *, now: float = 0.0) -> CometError:
    """The error that an answer other than a picture is.

    Args:
        status: the HTTP status, not 2xx.
        headers: names in lower case.
        body: the first part of the body, whole where it is JSON.
        now: seconds since 1970, for a `Retry-After` that is a date.
    """
    body = _unpacked(body, headers)
    reader = DocumentReader(largest_picture=len(body))
    reader.feed(body)
    text = reader.text
    documents = stream_documents(body) if looks_like_a_stream(body) else []
    said = what_is_said(documents or list(documents_in(text)), failed=True)
    if any(sniff(sink.finish()) for sink in reader.all_pictures()):
        said = replace(said, worked=True)
    if not said.message:
        said = replace(said, message=" ".join(clean(prose(text), limit=300).split()))
        if text.lstrip()[:1] != "<" and not said.text:
            said = replace(said, text=said.message, request_id=said.request_id or _id_in(text))
    return said.error(status, headers, now=now)


def _unpacked(body: bytes, headers: Mapping[str, str]) -> bytes:
    try:
        encoding = headers.get("content-encoding", "")
        return b"".join(decoded([body], encoding=encoding, largest=LARGEST_REFUSAL))
    except CometError:
        return body


def stream_documents(body: bytes) -> list[Any]:
    """The documents in the frames of a stream."""
    reader = StreamReader(largest=len(body) + 1)
    return [
        document
        for event in (*reader.feed(body), *reader.finish())
        for document in documents_in(bytes(event.data).decode("utf-8", "replace"))
    ]


def request_id_of(headers: Mapping[str, str], message: str = "") -> str | None:
    """The server's id of the request, from a header or from the words of a message, or None."""
    for name in _ID_HEADERS:
        if headers.get(name):
            return clean(headers[name], limit=100)
    return _id_in(message)


def _id_in(message: str) -> str | None:
    found = _ID_WORDS.search(message)
    return clean(found.group(1), limit=100) if found else None


def prose(text: str) -> str:
    """What a body that is no JSON says: a web page's title, or the text itself."""
    text = text[:4096]
    if text.lstrip()[:1] == "<":
        title = re.search(r"<title[^>]*>([^<]{1,200})", text, re.IGNORECASE)
        said = title.group(1) if title else re.sub(r"<[^>]*>", " ", text)
        return f"a web page instead of an answer: {' '.join(said.split())}"
    return text.strip() or "no text"


def _sentence(status: int, message: str) -> str:
    message = " ".join(clean(message, limit=300).split()) or "no text"
    if 200 <= status < 300:
        return f"the server reported an error in its answer: {message}"
    return f"the server answered {status}: {message}"


# ── The walk ───────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Member:
    """One value of a document.

    Attributes:
        name: its plain name, or that of the list that it stands in.
        value: what it is.
        faulty: whether it is part of what is called wrong.
        listed: whether it stands in a list.
    """

    name: str
    value: Any
    faulty: bool
    listed: bool = False


def plain_name(name: str) -> str:
    """The name of a member without case and separators: "retry_after" and "retryAfter" are one."""
    return _SEPARATORS.sub("", name[:100]).lower()


def members(documents: Iterable[Any], *, faulty: bool = False) -> Iterator[Member]:
    """Every value of documents, the outer ones first, and of the JSON inside their texts."""
    queue = deque(Member("", document, faulty) for document in documents)
    for _ in range(MOST_NODES):
        if not queue:
            return
        member = queue.popleft()
        yield member
        if len(queue) > MOST_NODES:
            continue
        if isinstance(member.value, dict):
            inside = member.faulty or _fails(_plain(member.value))
            for name, value in _plain(member.value).items():
                queue.append(Member(name, value, inside or (name in _FAULTS and not is_nothing(value))))
        else:
            parts = member.value[:MOST_NODES] if isinstance(member.value, list) else _opened(member.value)
            queue.extend(replace(member, value=part, listed=isinstance(member.value, list)) for part in parts)


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    return {plain_name(name): part for name, part in list(value.items())[:MOST_NODES]}


def _opened(text: Any) -> list[Any]:
    """The JSON that a text holds, also behind a few words."""
    if not isinstance(text, str) or len(text) > _LONGEST_JSON or not ("{" in text or text[:1] == "["):
        return []
    return [one for one in documents_in(text) if one]


def is_nothing(value: Any, depth: int = 0) -> bool:
    """Whether a member says that there is no error: false, an empty text, "none", an object of such."""
    if isinstance(value, str):
        return value.strip().lower() in _NOTHING
    if isinstance(value, (dict, list)):
        parts = value.values() if isinstance(value, dict) else value
        return depth < _DEEPEST and all(is_nothing(part, depth + 1) for part in parts)
    return not value


def _fails(value: dict[str, Any]) -> bool:
    """Whether an object, its names plain, calls what it is about failed or refused."""
    if value.get("success") is False or _is_moderated(value):
        return True
    status = str(value.get("status") or value.get("taskstatus") or "").lower()
    if status in ("failed", "failure", "fail", "error", "rejected", "blocked"):
        return True
    types = [value[name] for name in _TYPES if isinstance(value.get(name), str)]
    if any(MODERATION.search(spoken([kind[:200]], "")) for kind in types):
        return True
    coded = any(
        str(value[name]).strip().lower() not in _FINE for name in _CODES if value.get(name) is not None
    )
    return coded and any(isinstance(value.get(name), str) for name in _WORDS)


def _is_moderated(value: dict[str, Any]) -> bool:
    if value.get("respectmoderation") is False or isinstance(value.get("raifilteredreason"), str):
        return True
    return any(value.get(name) is True or value.get(name) == [True] for name in _FLAGS)


def is_work(usage: object, depth: int = 0) -> bool:
    """Whether a `usage` counts anything: work was done, and is billed."""
    if isinstance(usage, dict):
        return depth < _DEEPEST and any(is_work(part, depth + 1) for part in usage.values())
    return type(usage) in (int, float) and usage > 0  # type: ignore[operator]  # a number


def without_keys(value: Any, depth: int = 0) -> Any:
    """A value of a document with every live key in its texts hidden; what stands very deep in it is left out."""
    if isinstance(value, str):
        return hide_keys(value[:_LONGEST_FACT])
    if isinstance(value, (dict, list)) and depth == _DEEPEST:
        return None
    if isinstance(value, dict):
        return {
            hide_keys(name[:_LONGEST_FACT]): without_keys(part, depth + 1) for name, part in value.items()
        }
    return [without_keys(part, depth + 1) for part in value] if isinstance(value, list) else value


@dataclass
class _Notes:
    """What is collected on the walk."""

    words: list[str] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    param: str | None = None
    request_id: str | None = None
    wait: float | None = None
    usage: Mapping[str, Any] | None = None

    def take(self, member: Member) -> None:
        """Take what one value says."""
        if isinstance(member.value, dict):
            value = _plain(member.value)
            self._facts(value)
            if member.faulty or _fails(value):
                self._fault(value)
        elif isinstance(member.value, str):
            self.request_id = self.request_id or _id_in(member.value[:_LONGEST_WORDS])
            if member.faulty and (member.listed or member.name in _WORDS):
                self._words(member.value)

    def _facts(self, value: dict[str, Any]) -> None:
        if self.usage is None and is_work(value.get("usage")):
            self.usage = without_keys(value["usage"])
        for name in _ID_MEMBERS & value.keys():
            self.request_id = _word(value[name]) or self.request_id
        for name, unit in _WAITS.items():
            seconds = span(value.get(name))
            if seconds is not None and self.wait is None:
                self.wait = seconds * unit

    def _fault(self, value: dict[str, Any]) -> None:
        for name in _WORDS:
            if isinstance(value.get(name), str):
                self._words(value[name])
        self.codes += filter(None, (_word(value.get(name)) for name in _CODES))
        self.types += filter(None, (_word(value.get(name)) for name in _TYPES))
        self.param = self.param or _word(value.get("param"))
        if _is_moderated(value):
            self.types.append(_MODERATED)

    def _words(self, text: str) -> None:
        if not is_nothing(text) and text not in self.words and not _opened(text):
            self.words.append(text)


def what_is_said(documents: Iterable[Any], *, failed: bool) -> Said:
    """What is wrong, as documents say it.

    Args:
        documents: the parsed body.
        failed: whether it is known that something is, by the status.
    """
    notes = _Notes()
    for member in members(documents, faulty=failed):
        notes.take(member)
    text = " ".join(word[:_LONGEST_WORDS] for word in notes.words[:100])[:_LONGEST_WORDS]
    waits = _WAIT_WORDS.search(text)
    said = [*notes.words, *notes.types, *notes.codes]
    return Said(
        message=said[0] if said and (notes.words or not failed) else "",
        codes=(*notes.codes, *notes.types),
        code=next(iter(sorted(notes.codes, key=_shown)), None),
        param=notes.param,
        request_id=notes.request_id,
        wait=notes.wait if notes.wait is not None or waits is None else span(waits[1]),
        named=notes.wait is not None,
        usage=notes.usage,
        worked=notes.usage is not None,
        text=text,
        is_fault=bool(said),
    )


def _shown(code: str) -> tuple[bool, bool]:
    """How a code stands in the order of those that might be shown: what is known first, then words, then numbers."""
    return not is_known(code), code.isdecimal()


def span(value: object) -> float | None:
    """Seconds that a member or a text such as "2.5s", "1m30s", "500 ms" means, or None."""
    if isinstance(value, dict):
        parts = span(value.get("seconds")), span(value.get("nanos"))
        return None if parts == (None, None) else (parts[0] or 0.0) + (parts[1] or 0.0) / 1e9
    if isinstance(value, str) and _SPANS.fullmatch(value.strip()[:40]):
        return sum(float(number) * _UNITS[unit.lower()] for number, unit in _SPAN.findall(value))
    return float(value) if type(value) in (int, float) and value >= 0 else None  # type: ignore[operator, arg-type]


def _word(value: object) -> str | None:
    """A code or an id as a short text; None for anything that is none."""
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        return None
    return clean(value, limit=100)
