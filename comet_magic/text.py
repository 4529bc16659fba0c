"""Cleans every text that leaves the package, and holds the key (`Secret`).

Texts of servers and of users are data: here they are made printable, short and free of keys, and escaped for HTML.
"""

from __future__ import annotations

import base64
import hmac
import html as _html
import re
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from operator import call
from string import ascii_lowercase, ascii_uppercase
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator

_HIDDEN = "[hidden]"
HOLDS_KEY = "a value with an API key in it"
LONGEST_KEY = 8_000  # characters; servers take no longer headers
# What comes with an address and may be a password; a query that is Azure's plain version is none.
_USER = re.compile(r"^\s*[^/?#]*//[^/?#]*@")
_QUERY = re.compile(r"\?(?!api-version=[\w.-]{1,40}\s*$)")

# A shorter value is a word ("sandbox") that may be in any sentence.
_SHORTEST_KEY = 8
# Every part of a key this long is hidden; of a shorter one only the whole.
_LONG_KEY = 20
_PART = 8


class Secret:
    """A key that cannot be printed, copied or pickled by accident.

    `reveal` gives the value. As long as the object lives, `clean` hides the value in every text.
    """

    __slots__ = ("__weakref__", "_find", "_read", "_within")

    def __init__(self, value: str) -> None:
        self._read: Callable[[], str] = lambda: value
        parts, whole = _parts(value), value.translate(_FOLD)
        self._find: Callable[[str], Iterator[tuple[int, int]]] = lambda view: _occurrences(view, parts)
        # "whatever", as people give to a server that wants no key, may be in any prompt.
        plain = len(whole) < _SHORTEST_KEY or (len(whole) < _LONG_KEY and not re.search(r"\d", whole))
        self._within: Callable[[str], bool] = lambda view: not plain and whole in view
        _live[id(self)] = self

    def reveal(self) -> str:
        """The value itself."""
        return self._read()

    def __repr__(self) -> str:
        return "Secret(…)"

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(_raw(self._read()), _raw(other._read()))

    def __hash__(self) -> int:
        return hash((Secret, self._read()))

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Secret is neither copied nor pickled")


@dataclass(frozen=True)
class Withheld:
    """Stands where a value was that is a key or may hold one; it tells nothing of the value but what it was.

    Attributes:
        what: ends the sentence "api_key is".
    """

    what: str

    def __str__(self) -> str:
        return self.what


def conceal_keys(options: Any, known: Container[str]) -> None:
    """Hide in place what may be a key among the options of a public function, so that no traceback shows it.

    A text under a name that contains "key" becomes a `Secret`. What holds a key elsewhere, an address with a password
    or a query, and every value under an unknown name, which may be a token or a header, become `Withheld`.
    """
    for name, value in options.items():
        if value is None or isinstance(value, (Secret, Withheld)):
            continue
        if "key" in name.lower():
            options[name] = _secret(value)
        elif name not in known:
            options[name] = Withheld("hidden")
        else:
            options[name] = concealed_address(value) if name == "base_url" else concealed(value)


def _secret(value: object) -> Secret | Withheld:
    if not isinstance(value, str):
        return Withheld("not a text")
    if len(value) > LONGEST_KEY:
        return Withheld(f"a text of {len(value):,} characters; a key has at most {LONGEST_KEY:,}")
    return Secret(value)


def concealed_address(value: Any) -> Any:
    """The address itself; `Withheld` if it has a user name, a password, a key or a query."""
    if value is None or isinstance(value, Withheld):
        return value
    if not isinstance(value, str):
        return Withheld("not a text")
    if _USER.search(value):
        return Withheld("an address with a user name or a password")
    return Withheld("an address with a query (?…)") if _QUERY.search(value) else concealed(value)


def concealed(value: Any) -> Any:
    """The value itself; `Withheld` if a key is in it."""
    return Withheld(HOLDS_KEY) if holds_key(value) else value


def holds_key(value: Any) -> bool:
    """Whether a key in use, or what looks like an API key, is in a text, or in any text of a mapping or list."""
    if not isinstance(value, str):
        return type(value) not in _SCALARS and _any_holds_key(_texts_in(value))
    shown = _printable(value)
    if "-" in shown and _KEY_FORM.search(shown):
        return True
    return any(secret._within(view) for secret, view, _ in _searches(shown))  # noqa: SLF001 - our own type


def _any_holds_key(texts: set[str]) -> bool:
    # What a simple text holds, a blank more on either side does not hide, so one look clears thousands of them.
    simple, joined = texts, " ".join(texts)
    if not _is_simple(joined):
        simple = {*filter(_is_simple, texts)}
        joined = " ".join(simple)
    if any(map(holds_key, texts - simple)):
        return True
    return holds_key(joined) and any(map(holds_key, simple))


def _texts_in(value: Any) -> set[str]:
    """All texts in mappings and lists, however deep."""
    waiting, seen, texts = [value], set[int](), set[str]()
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            texts.add(one)
        elif isinstance(one, (dict, list, tuple, Mapping)) and id(one) not in seen:
            seen.add(id(one))  # one that contains itself ends too
            for each in (*one, *one.values()) if isinstance(one, (dict, Mapping)) else one:
                kind = type(each)
                if kind is str:
                    texts.add(each)
                elif kind not in _SCALARS:
                    waiting.append(each)
    return texts


_SCALARS = frozenset(
    (int, float, bool, type(None))
)  # told apart more quickly than by the protocol of mappings


def _is_simple(text: str) -> bool:
    """Whether it has nothing but printable ASCII, and no sign that an escape begins with."""
    return text.isascii() and text.isprintable() and not _ESCAPE_SIGN.search(text)


# By identity: in a set, two equal secrets would be one entry, which ends with the first of them.
_live: weakref.WeakValueDictionary[int, Secret] = weakref.WeakValueDictionary()


def clean(text: object, *, limit: int = 500) -> str:
    """The text as it may be shown: printable, without keys and signed queries, at most `limit` characters.

    Control, bidi and zero-width characters and terminal sequences are removed; line breaks and tabs stay. Keys in use
    (exact, in other case, URL-encoded, JSON-escaped, base64, split by blanks), `Bearer …` and `sk-…` are hidden;
    addresses lose user info and query. Cleaning twice changes nothing; nothing is raised.
    """
    plain = text if isinstance(text, str) else _in_words(text)
    window = 4 * limit + 4096
    shown = _KEY_FORM.sub(_HIDDEN, hide_keys(_printable(plain[:window])))
    shown = _ADDRESS.sub(_short_address, _BEARER.sub(rf"\1{_HIDDEN}", shown))
    if len(plain) > window:
        # A key or user info that the window cut in two is not recognised.
        shown = shown[:-_EDGE]
    shown = shown.strip()
    if len(plain) > window or len(shown) > limit:
        shown = shown[: max(limit - 1, 0)].rstrip() + "…"
    return shown


def clean_url(url: object) -> str:
    """The address without user info, query and fragment, printable and short."""
    address = url if isinstance(url, str) else _in_words(url)
    return clean(address[:_LONGEST_ADDRESS].partition("?")[0].partition("#")[0])


def without_keys(data: bytes) -> bytes:
    """The bytes with every key in use hidden, in any form; nothing else is changed."""
    return hide_keys(data.decode("latin-1")).encode("latin-1", "replace")


def counted(count: int, one: str, many: str = "") -> str:
    """A number with its noun: "1 picture", "2,000 pictures"; `many` is `one` plus an s by default."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def html(text: object, limit: int = 500) -> str:
    """The cleaned text, escaped for HTML: no markup, no formula, no link."""
    escaped = _html.escape(clean(text, limit=limit))
    # JupyterLab typesets formulas in HTML, but not across the border of an element.
    # https://docs.mathjax.org/en/v3.2/input/tex/delimiters.html
    return _FORMULA.sub(r"<span>\g<0></span>", escaped)


# ── Characters that are not printable ──────────────────────────────────────────────────────────────────────────

# ECMA-48 sequences whole, 7 and 8 bit: control strings, CSI, and the short ones.
# https://ecma-international.org/publications-and-standards/standards/ecma-48/
_TERMINAL = re.compile(
    r"(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]*+(?:\x07|\x1b\\|\x9c)?"
    r"|(?:\x1b\[|\x9b)[0-?]*+[ -/]*+[@-~]?"
    r"|\x1b[ -/]*+[0-~]"
)
_BREAK = re.compile(r"\r\n?|[\u2028\u2029]")
# C0, C1, soft hyphen, bidi controls, zero-width and other format characters, tags and selectors that carry
# hidden text. https://www.unicode.org/reports/tr36/
_INVISIBLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    r"\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def _in_words(value: object) -> str:
    """What is not a text, as one; never raises."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    try:
        return "" if value is None else str(value)
    except (ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError):
        return f"<{type(value).__name__}>"


def _printable(text: str) -> str:
    if text.isascii() and text.isprintable():  # the usual one, without three searches
        return text
    text = _BREAK.sub("\n", _TERMINAL.sub("", text))
    return _SURROGATE.sub("\ufffd", _INVISIBLE.sub("", text))


# ── Keys in any form ───────────────────────────────────────────────────────────────────────────────

_KEY_FORM = re.compile(r"(?<![A-Za-z0-9_-])sk-[A-Za-z0-9_-]{16,}", re.IGNORECASE)
# A credential holds a digit; "a standard-bearer silhouetted at dusk" does not.
_BEARER = re.compile(r"(\bbearer[\s:=]+)(?=[a-z._~+/=-]*\d)[\w.~+/=-]{4,}", re.IGNORECASE)

# Keys are printable ASCII, so other characters between two of theirs do not separate them.
_NOISE = re.compile(r"[^\x21-\x7e]+")
_ESCAPES = re.compile(
    r"[^\x21-\x7e]+|(?:%|\\x|\\u00|&\#x0*)(?P<hex>[0-9a-f]{2});?|&\#0*(?P<decimal>[0-9]{2,3});|\\(?=[\"'/\\])",
    re.IGNORECASE,
)
_ESCAPE_SIGN = re.compile(r"[%\\&]")
_NEIGHBOURS = 4
# Case does not matter, and the standard and the URL-safe alphabet of base64 become one.
_FOLD = str.maketrans(f"{ascii_uppercase}-_", f"{ascii_lowercase}+/")
_EDGE = 320


def _raw(value: str) -> bytes:
    return value.encode("utf-8", "surrogatepass")


def _parts(value: str) -> frozenset[str]:
    """What to look for in a folded text: every 8 characters of a long key, else the whole key."""
    if len(value) < _SHORTEST_KEY:
        return frozenset()
    forms = {form.translate(_FOLD) for form in (value, *_base64_forms(_raw(value)))}
    if len(value) < _LONG_KEY:
        return frozenset(forms)
    return frozenset(form[at : at + _PART] for form in forms for at in range(len(form) - _PART + 1))


def _base64_forms(value: bytes) -> Iterator[str]:
    """The key inside a longer base64 text, at each alignment, without the characters that its neighbours change."""
    for before in range(3):
        whole = base64.b64encode(bytes(before) + value).decode("ascii")
        shared_end = len(whole) if (before + len(value)) % 3 == 0 else len(whole.rstrip("=")) - 1
        yield whole[(0, 2, 3)[before] : shared_end]


def _occurrences(view: str, parts: frozenset[str]) -> Iterator[tuple[int, int]]:
    if len(parts) > len(view) and len(next(iter(parts))) == _PART:  # few places, many parts of one length
        places = range(len(view) - _PART + 1)
        yield from ((at, at + _PART) for at in places if view[at : at + _PART] in parts)
        return
    for part in parts:
        at = view.find(part)
        while at >= 0:
            yield at, at + len(part)
            at = view.find(part, at + 1)


def _searches(text: str) -> Iterator[tuple[Secret, str, re.Pattern[str]]]:
    """Each live secret with each view of a text in which it is looked for, and the pattern that made the view.

    A view is folded: one without noise; one with escapes read too, if the text has a sign that they begin with.
    """
    secrets = [*filter(None, map(call, _live.valuerefs()))]
    if not secrets:
        return
    simple = text.isascii() and text.isprintable()
    views = [(_NOISE, text.replace(" ", "") if simple else _NOISE.sub("", text))]
    if _ESCAPE_SIGN.search(text):
        views.append((_ESCAPES, _ESCAPES.sub(_decoded, text)))
    for pattern, view in views:
        folded = view.translate(_FOLD)
        for secret in secrets:
            yield secret, folded, pattern


def _places(text: str, pattern: re.Pattern[str]) -> list[tuple[int, int]]:
    """Where each character of the view stands in the text."""
    places: list[tuple[int, int]] = []
    at = 0
    for match in pattern.finditer(text):
        places.extend((i, i + 1) for i in range(at, match.start()))
        at = match.end()
        if pattern is _ESCAPES and _decoded(match):
            places.append(match.span())
    places.extend((i, i + 1) for i in range(at, len(text)))
    return places


def _decoded(match: re.Match[str]) -> str:
    code = int(match["hex"], 16) if match["hex"] else int(match["decimal"] or 0)
    return chr(code) if 0x21 <= code <= 0x7E else ""


def hide_keys(text: str) -> str:
    """The text with every live key in it hidden, whatever its form; nothing else is changed."""
    spans: list[tuple[int, int]] = []
    for secret, view, pattern in _searches(text):
        places: list[tuple[int, int]] = []
        for start, end in secret._find(view):  # noqa: SLF001 - our own type
            places = places or _places(text, pattern)
            spans.append((places[start][0], places[end - 1][1]))
    return _hide(text, sorted(spans)) if spans else text


def _hide(text: str, spans: list[tuple[int, int]]) -> str:
    """The text with each span, and the rest of a base64 form beside it, replaced by one mark."""
    pieces: list[str] = []
    at = 0
    for start, end in spans:
        before = _grown(text, start, -1)
        if before > at or not pieces:
            pieces += [text[at:before], _HIDDEN]
        at = max(at, _grown(text, end, +1))
    return "".join([*pieces, text[at:]])


def _grown(text: str, at: int, step: int) -> int:
    for _ in range(_NEIGHBOURS):
        index = at if step > 0 else at - 1
        if not 0 <= index < len(text) or not (text[index].isalnum() or (step > 0 and text[index] == "=")):
            break
        at += step
    return at


# ── Addresses and formulas ─────────────────────────────────────────────────────────────────────────

_ADDRESS = re.compile(r"(https?:(?:\\?/){2})([^\s<>\"/?#\\]*)([^\s<>\"]*)", re.IGNORECASE)
_LONGEST_HOST = 255
_LONGEST_ADDRESS = 8192
_FORMULA = re.compile(r"[$\\]")


def _short_address(match: re.Match[str]) -> str:
    scheme, authority, rest = match.groups()
    host = authority.rpartition("@")[2]
    if len(host) > _LONGEST_HOST:
        return f"{scheme}…"
    path, mark, query = rest.partition("?")
    place, hash_mark, fragment = path.partition("#")
    # A fragment names a place in a page, unless it carries parameters.
    if "=" in fragment:
        path = f"{place}{hash_mark}…"
    return f"{scheme}{host}{path}{mark}{'…' if query else ''}"
