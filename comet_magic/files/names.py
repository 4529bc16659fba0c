"""From a prompt to a readable file name, from first bytes to a kind of picture. No I/O."""

from __future__ import annotations

import re
import unicodedata

SUFFIX = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp"}

# https://learn.microsoft.com/en-us/windows/win32/fileio/naming-a-file
_RESERVED = re.compile(r"(con|prn|aux|nul|conin|conout|com\d|lpt\d)", re.IGNORECASE)
# Letters by category, but drawn as nothing: the Hangul fillers.
_UNSEEN = frozenset("\u115f\u1160\u3164\uffa0")


def slug(prompt: str, *, max_bytes: int = 60) -> str:
    """The words of a prompt as a part of a file name, for any prompt and any system.

    Holds letters and digits of any script in lower case, joined by single dashes, in Unicode form NFC;
    never empty, never a name that Windows reserves, and cut between words where that keeps half of it.

    Args:
        prompt: any text, also with lone surrogates or control characters.
        max_bytes: the longest result in UTF-8, at least 20.
    """
    text = unicodedata.normalize("NFC", prompt[:1000].lower())
    words = _shortened("-".join(filter(None, _readable(text).split("-"))), max_bytes)
    if not words:
        return "image"
    return f"{words}-image" if _RESERVED.fullmatch(words) else words


def _readable(text: str) -> str:
    kept: list[str] = []
    for character in text:
        category = unicodedata.category(character)
        # A mark belongs to the letter before it; without one it is an emoji's variation selector or noise.
        mark = category[0] == "M" and bool(kept) and kept[-1] != "-"
        letter = (category[0] == "L" or category == "Nd") and character not in _UNSEEN
        kept.append(character if letter or mark else "-")
    return "".join(kept)


def _shortened(words: str, max_bytes: int) -> str:
    raw = words.encode()
    if len(raw) <= max_bytes:
        return words
    cut = raw[:max_bytes].decode(errors="ignore")
    # A mark left out of the cut would change the letter it belongs to, so that letter goes too.
    if unicodedata.category(words[len(cut)])[0] == "M":
        cut = cut.rstrip("".join({c for c in cut if unicodedata.category(c)[0] == "M"}))[:-1]
    between = words[len(cut)] == "-"
    dash = cut.rfind("-")
    if not between and dash > len(cut) // 2:
        cut = cut[:dash]
    return cut.strip("-")


def sniff(data: bytes) -> str | None:
    """The kind of picture by its first twelve bytes: png, jpeg or webp as a MIME type, else None."""
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "image/png"
    if data[:3] == b"\xff\xd8\xff":
        return "image/jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return None
