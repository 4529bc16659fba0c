"""PNG, JPEG and WEBP as files: their kind, size and structure, and embedded metadata. No pixel is decoded here."""

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
