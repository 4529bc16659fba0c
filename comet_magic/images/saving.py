"""Pictures under names the user chose: never over another file, never under a name that lies.

A suffix follows the bytes: `boat.jpg` for a PNG becomes `boat.png`, `boat` becomes `boat.png`. Another
kind of file (`boat.gif`) is refused, because nothing is re-encoded here.
"""

from __future__ import annotations

import errno
import os
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import SaveError
from ..files import SUFFIX, embed_metadata, slug, write_whole
from ..text import clean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .picture import Facts, Picture

_OURS = frozenset({".png", ".jpg", ".jpeg", ".webp"})
_OTHER_KINDS = frozenset({".avif", ".bmp", ".gif", ".heic", ".ico", ".pdf", ".ppm", ".svg", ".tif", ".tiff"})
# Like a file of any program: the user's umask decides.
_MODE = 0o666


_HINT = "Name a file that does not exist yet (png, jpg or webp), or a folder with a slash at its end."


def save_pictures(
    pictures: Sequence[Picture],
    prompt: str,
    path: str | os.PathLike[str],
    *,
    facts: Facts | None,
    images: Sequence[Any],
) -> list[Path]:
    """The files that were written: the provider's pixels, and the facts as metadata.

    Args:
        pictures: what to write.
        prompt: gives the names in a folder.
        path: a folder or a file.
        facts: what the files tell about themselves, or None for nothing.
        images: what a SaveError hands on.

    Raises:
        SaveError: a name is taken (then nothing was written), of another kind of file, or the disk refused.
    """
    folder = os.fspath(path).endswith(("/", os.sep)) or Path(path).expanduser().is_dir()
    target = Path(path).expanduser()
    suffixes = [_suffix(target, picture) for picture in pictures]
    problem = "" if folder else _problem(target, suffixes)
    if problem:
        raise SaveError(clean(problem), hint=_HINT, images=images)
    names = (
        _names_in(target, slug(prompt), suffixes) if folder else [[name] for name in _names(target, suffixes)]
    )
    try:
        (target if folder else target.parent).mkdir(parents=True, exist_ok=True)
        return [
            _write_first(name, _with_facts(picture, facts))
            for name, picture in zip(names, pictures, strict=True)
        ]
    except OSError as error:
        problem = f"{target} cannot be written: {error.strerror or type(error).__name__}"
    raise SaveError(clean(problem), hint=_HINT, images=images)


def _problem(target: Path, suffixes: list[str]) -> str:
    if target.suffix.lower() in _OTHER_KINDS:
        return f"{target.name} is not written: pictures are kept as they came, png, jpg or webp"
    taken = [name for name in _names(target, suffixes) if os.path.lexists(name)]
    return f"{taken[0]} exists already; nothing was written" if taken else ""


def _names_in(folder: Path, stem: str, suffixes: list[str]) -> Iterator[Iterator[Path]]:
    """For each picture the names that come into question, each name once."""
    endings = chain([""] if len(suffixes) == 1 else ["-1"], (f"-{number}" for number in count(2)))
    for suffix in suffixes:
        yield (folder / f"{stem}{ending}{suffix}" for ending in endings)


def _write_first(names: Iterable[Path], data: bytes) -> Path:
    """Write under the first of these names that is free."""
    for name in names:
        try:
            write_whole(name, data, mode=_MODE)
        except FileExistsError:
            continue
        return name
    raise FileExistsError(errno.EEXIST, "another program took the name")


def _with_facts(picture: Picture, facts: Facts | None) -> bytes:
    return (
        picture.data
        if facts is None
        else embed_metadata(picture.data, picture.mime, _metadata(picture, facts))
    )


def _metadata(picture: Picture, facts: Facts) -> dict[str, Any]:
    known = {
        "software": "comet_magic",
        "prompt": facts.prompt,
        "model": facts.model,
        "size": f"{picture.width}x{picture.height}",
        "created": facts.created,
        "revised_prompt": clean(picture.revised_prompt, limit=40_000),
        "request_id": picture.request_id,
    }
    return {name: value for name, value in known.items() if value}


def _names(target: Path, suffixes: list[str]) -> list[Path]:
    """One name per picture: the file itself, or with -1, -2... where there are several."""
    stem = target.stem if target.suffix.lower() in _OURS else target.name
    if len(suffixes) == 1:
        return [target.with_name(stem + suffixes[0])]
    return [target.with_name(f"{stem}-{number}{suffix}") for number, suffix in enumerate(suffixes, 1)]


def _suffix(target: Path, picture: Picture) -> str:
    asked = target.suffix.lower()
    same = {".jpeg": ".jpg"}.get(asked, asked) == SUFFIX[picture.mime]
    return target.suffix if same else SUFFIX[picture.mime]
