"""The pictures and addresses in the documents of an answer, wherever they stand.

Members are judged by what they hold first and by their names second: bytes that are a picture are one under any name;
an address counts under a name for pictures; base64 of something else counts only under a name for base64. Where an
object holds several, the best wins: a picture, then an address, then what is damaged.
https://apidoc.cometapi.com/images-generations
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from ..errors import BadResponseError, CometError
from ..formats import kind_of, sniff
from ..text import hide_keys
from .refusal import is_nothing, members, plain_name, what_is_said

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .body import Base64Sink, DocumentReader

MOST_ENTRIES = 1000  # far more than can be asked for; each costs more memory here than in the answer
MOST_NODES = 20_000
MOST_URLS = 100
LONGEST_URL = 65_537  # characters; one more than are fetched
_DEEPEST = 40
_LONGEST_WORDS = 65_536  # characters of a text in which addresses and `data:` URIs are looked for
_LONGEST_REVISED = 65_536  # characters

_OTHERS = re.compile(  # names of what was sent, of what is not finished, and of other things
    r"prompt|negative|partial|preview|thumb|mask|input|request(?!ed)|reference|^ref|init|logo|avatar|icon|polling"
    r"|status|callback|webhook|cancel|docs?(?:url)?$|help|document|support|dashboard|billing|terms|policy|next|prev|self"
    r"|stream|video|audio|model|provider|user|schema|homepage|website|baseurl|^(?:get|errors?)$"
)
_PLACES = re.compile(
    r"url|uri|link|href|src|image|img|output|result|picture|photo|file|asset|artifact|^data$|^content$"
)
_DIGITS = re.compile(r"\d+")
_CODED = re.compile(r"b64|base64")
_BASE64 = re.compile(r"[A-Za-z0-9+/=_%\\\s-]{64,}")
_HEAD = 88  # signs that tell the kind of a picture
_DATA_URI = re.compile(r"data:[^,;\"'\s]{0,100}((?:;[^,;\"'\s]{0,300}){0,9}),([^\"'<>)\s]*)", re.IGNORECASE)
_ADDRESS = re.compile(r"https?://[^\s\"'<>\\]+", re.IGNORECASE)
_WHOLE_ADDRESS = re.compile(r"https?://\S|/[^\s/]\S{0,2000}\.(?:png|jpe?g|webp)(?:\?\S*)?$", re.IGNORECASE)
_MARKDOWN = re.compile(r"!\[[^\]]{0,1000}\]\(\s*(https?://[^)\s]+)")
_REVISED = ("revised_prompt", "revisedPrompt", "actual_prompt", "enhanced_prompt")
_FIRST = ("data", "b64json", "url", "images", "image", "output", "outputs", "result", "results")
_ORDER = {name: place for place, name in enumerate(_FIRST)}

PICTURE, PLACE, DAMAGED = range(3)  # the best first


@dataclass(frozen=True)
class ReplyItem:
    """One picture of an answer: bytes, or an address, or the error that stands in its place.

    Where both bytes and an address came, the bytes count and nothing is downloaded.
    """

    data: bytes | None = None
    url: str | None = None
    revised_prompt: str | None = None
    error: CometError | None = None


def _rank(item: ReplyItem) -> int:
    """How good an item is, the best lowest."""
    if item.error is not None:
        return DAMAGED
    if item.url is not None:
        return PLACE
    return PICTURE if sniff(item.data or b"") else DAMAGED


@dataclass
class PictureFinder:
    """Finds the pictures of documents; `reader` holds the long ones, and at most `left` values are looked at."""

    reader: DocumentReader
    left: int = MOST_NODES

    def find(self, value: Any, name: str = "", revised: str | None = None, depth: int = 0) -> list[ReplyItem]:
        """The pictures in a value that has this plain name."""
        self.left -= 1
        if self.left < 0 or depth > _DEEPEST:
            return []
        if isinstance(value, dict):
            return self._in_object(value, revised, depth)
        if isinstance(value, list):
            return self._in_list(value, name, revised, depth)
        return self._in_text(value, name, revised) if isinstance(value, str) and value else []

    def _in_object(self, value: Mapping[str, Any], revised: str | None, depth: int) -> list[ReplyItem]:
        """Those of its best member, and of members that differ from that in a number only."""
        for own in filter(None, map(value.get, _REVISED)):
            if isinstance(own, str):
                revised = hide_keys(own[:_LONGEST_REVISED])
                break
        best: dict[str, list[ReplyItem]] = {}
        chosen = (DAMAGED + 1, 0)
        for name, part in list(value.items())[:MOST_ENTRIES]:
            plain = plain_name(name)
            if _OTHERS.search(plain) or not part:
                continue
            found = self.find(part, plain, revised, depth + 1)
            order = (min(map(_rank, found)), _ORDER.get(plain, len(_ORDER))) if found else chosen
            if found and order < chosen:
                best, chosen = {}, order
            if found and order[0] == chosen[0]:
                best.setdefault(_DIGITS.sub("", plain), []).extend(found)
        return next(iter(best.values()), [])

    def _in_list(self, values: list[Any], name: str, revised: str | None, depth: int) -> list[ReplyItem]:
        """Those of all its entries; of one that failed beside them, its error."""
        if name == "data" and len(values) > MOST_ENTRIES:
            raise BadResponseError(f"the answer has {len(values)} entries; at most {MOST_ENTRIES} are read")
        entries = [self.find(value, name, revised, depth + 1) for value in values[:MOST_ENTRIES]]
        if not any(entries):
            return []
        return [
            item
            for value, found in zip(values, entries, strict=False)
            for item in found or _failed_entry(value, expected=name == "data")
        ]

    def _in_text(self, text: str, name: str, revised: str | None) -> list[ReplyItem]:
        sinks = self.reader.pictures_in(text) or self._short(text, name)
        if sinks:
            items = (_item(sink, revised) for sink in sinks)
            return [item for item in items if item.error or item.data]
        urls = [text] if _is_place(text, name) else _MARKDOWN.findall(text[:_LONGEST_WORDS])
        return [ReplyItem(url=hide_keys(url[:LONGEST_URL]), revised_prompt=revised) for url in urls]

    def _short(self, text: str, name: str) -> list[Base64Sink]:
        """The pictures that a text holds as base64 or `data:` URIs that were too short to be taken out."""
        coded = _CODED.search(name) is not None
        whole = _DATA_URI.match(text)
        uris = [whole.groups()] if whole else _DATA_URI.findall(text[:_LONGEST_WORDS])
        if uris:
            return [self._of_uri(*uri) for uri in uris]
        if _ADDRESS.match(text.lstrip()) or is_nothing(text):
            return []
        if not coded and not (_BASE64.fullmatch(text) and kind_of(self.reader.decode(text[:_HEAD]).finish())):
            return []
        return [self.reader.decode(text)]

    def _of_uri(self, facts: str, body: str) -> Base64Sink:
        if "base64" in facts.lower():
            return self.reader.decode(body)
        sink = self.reader.decode("")
        sink.put(unquote_to_bytes(body))
        return sink


def _item(sink: Base64Sink, revised: str | None) -> ReplyItem:
    data = sink.finish()
    return ReplyItem(data=None if sink.error else data, revised_prompt=revised, error=sink.error)


def _is_place(text: str, name: str) -> bool:
    """Whether a text is the address of a picture: under `url` any, elsewhere a whole one."""
    if name == "url":
        return True
    named = _PLACES.search(name) is not None or _CODED.search(name) is not None or not name
    return named and _WHOLE_ADDRESS.match(text.strip()) is not None


def _failed_entry(value: Any, *, expected: bool) -> list[ReplyItem]:
    """What stands for an entry beside pictures that is none: its error, where it tells one or should be a picture."""
    said = what_is_said([value], failed=False) if isinstance(value, dict) else None
    if said is not None and said.is_fault:
        # it stands beside pictures, so the call is billed
        return [ReplyItem(error=said.error(200, {}).with_facts(outcome="billed", retryable=False))]
    if not expected:
        return []
    return [ReplyItem(error=BadResponseError("an entry of the answer has neither a picture nor an address"))]


def addresses_in(documents: Iterable[Any]) -> tuple[str, ...]:
    """Every address in documents, whatever its name, in turn and once."""
    found: dict[str, None] = {}
    for member in members(documents):
        if isinstance(member.value, str) and "://" in member.value:
            found.update(
                (hide_keys(url[:LONGEST_URL]), None) for url in _ADDRESS.findall(member.value)[:MOST_URLS]
            )
        if len(found) >= MOST_URLS:
            break
    return tuple(found)[:MOST_URLS]
