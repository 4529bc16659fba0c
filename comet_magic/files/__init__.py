"""Names safe on every system, whole-or-absent writes, and what a saved picture says about itself."""

from .inside import inside, is_linked, is_name_inside
from .metadata import dimensions, embed_metadata, read_metadata
from .names import SUFFIX, slug, sniff
from .writing import (
    PART,
    from_here,
    make_folder,
    make_private_folder,
    native,
    place,
    sync_folder,
    unwritable,
    write_all,
    write_new,
    write_whole,
)

__all__ = [
    "PART",
    "SUFFIX",
    "dimensions",
    "embed_metadata",
    "from_here",
    "inside",
    "is_linked",
    "is_name_inside",
    "make_folder",
    "make_private_folder",
    "native",
    "place",
    "read_metadata",
    "slug",
    "sniff",
    "sync_folder",
    "unwritable",
    "write_all",
    "write_new",
    "write_whole",
]
