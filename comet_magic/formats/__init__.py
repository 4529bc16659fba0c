"""PNG, JPEG and WEBP as files: their kind, size and structure, and embedded metadata. No pixel is decoded here."""

from .container import broken
from .kinds import (
    SUFFIX,
    FileKind,
    check_picture,
    embed_metadata,
    embedded_metadata,
    embedded_texts,
    foreign_kind,
    kind_of,
    plain,
    sniff,
    stripped,
)
