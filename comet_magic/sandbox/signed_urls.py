"""URLs of pictures that need no memory: they contain what to paint, when they expire, and a signature."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import zlib
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlencode, urlsplit

from .error_replies import ErrorReply

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL.Image import Image

FOLDER = "/pictures/"

# A URL must stay below the 8 KiB that clients and proxies accept.
_LONGEST_WORDS = 900
_SUFFIX = {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}


@dataclass(frozen=True)
class PictureSpec:
    """All that determines the bytes of one picture."""

    subject: str
    width: int
    height: int
    position: int
    transparent: bool
    output_format: str
    compression: int | None

    @property
    def mime(self) -> str:
        """The content type of the picture."""
        return f"image/{self.output_format}"

    def paint(self) -> Image:
        """Paint the picture; always the same one."""
        from .painter import paint

        return paint(
            self.subject,
            width=self.width,
            height=self.height,
            position=self.position,
            transparent=self.transparent,
        )

    def encode(self, image: Image) -> bytes:
        """The picture, or a preview of it, as a file in `output_format`."""
        from .painter import encode

        return encode(image, self.output_format, self.compression)

    def file(self) -> Iterator[bytes]:
        """The bytes of the picture, painted when they are taken."""
        yield self.encode(self.paint())


def painted_words(prompt: str) -> str:
    """The words that the painter gets: the prompt, or the beginning and the hash of a long one."""
    if len(prompt) <= _LONGEST_WORDS:
        return prompt
    return f"{prompt[:_LONGEST_WORDS]} {hashlib.sha256(prompt.encode()).hexdigest()[:16]}"


def signed_path(spec: PictureSpec, *, secret: bytes, expires: int) -> str:
    """The path and query under which this server paints the picture until `expires`, a Unix time."""
    facts = json.dumps(astuple(spec), separators=(",", ":"), ensure_ascii=False).encode()
    payload = base64.urlsafe_b64encode(zlib.compress(facts, 9)).rstrip(b"=").decode()
    query = urlencode({"expires": expires, "signature": _signature(payload, str(expires), secret)})
    return f"{FOLDER}{payload}{_SUFFIX[spec.output_format]}?{query}"


def spec_at(target: str, *, secret: bytes, now: float) -> PictureSpec:
    """The picture that a URL names.

    Raises:
        ErrorReply: 403 if the signature is wrong or the URL has expired.
    """
    parts = urlsplit(target)
    payload = parts.path.removeprefix(FOLDER).partition(".")[0]
    query = parse_qs(parts.query)
    expires, signature = (query.get(name, [""])[0] for name in ("expires", "signature"))
    if not hmac.compare_digest(signature.encode(), _signature(payload, expires, secret).encode()):
        raise ErrorReply(403, "The signature of this address is wrong", code="access_denied")
    if now >= int(expires):
        raise ErrorReply(403, "This address has expired", code="access_denied")
    facts = zlib.decompress(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return PictureSpec(*json.loads(facts))


def _signature(payload: str, expires: str, secret: bytes) -> str:
    digest = hmac.new(secret, f"{payload} {expires}".encode(), hashlib.sha256).digest()
    # Standard base64, so that "+", "/" and "=" travel percent-encoded as they do in real signed addresses.
    return base64.b64encode(digest).decode()
