"""PNG, JPEG and WEBP as files: kind, size, structure, and facts inside them. One walker a format, no pixel decoded."""

from .container import broken
from .kinds import (
    SUFFIX,
    check_picture,
    embed_metadata,
    embedded_metadata,
    sniff,
    stripped,
)

__all__ = [
    "SUFFIX",
    "broken",
    "check_picture",
    "embed_metadata",
    "embedded_metadata",
    "sniff",
    "stripped",
]
