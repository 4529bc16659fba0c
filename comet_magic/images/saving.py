"""Save pictures under names the user chose, never over another file, and embed how they were made.

The suffix follows the bytes: `boat.jpg` for a PNG becomes `boat.png`, `boat` becomes `boat.png`. Another kind of
file (`boat.gif`) is refused, because nothing is re-encoded here.
"""

from __future__ import annotations

import os
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import SaveError
from ..files import native, slug, unwritable, write_whole
from ..formats import SUFFIX, embed_metadata, embedded_metadata
from ..text import clean

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..request import ImageRequest
    from .picture import Facts, Picture

_OURS = frozenset({".png", ".jpg", ".jpeg", ".webp"})
_OTHER_KINDS = frozenset({".avif", ".bmp", ".gif", ".heic", ".ico", ".pdf", ".ppm", ".svg", ".tif", ".tiff"})
# As for any program's files, the user's umask decides.
_MODE = 0o666
_HINT = "Name a file that does not exist yet (png, jpg or webp), or a folder with a slash at its end."
File = tuple["Picture", "Facts | None"]


def read_metadata(path: str | Path) -> dict[str, Any]:
    """The facts that were embedded when the picture was saved, or {} if there are none.

    Args:
        path: a png, jpeg or webp; files that `Images.save` wrote hold the request they came from: `prompt`, `model`,
            `request` (its other options), `inputs` (by hash) and `parents` (keys of the calls whose pictures went in).

    Raises:
        OSError: there is no such file, or it cannot be read.

    Example:
        >>> import comet_magic as cm
        >>> images = cm.generate("a paper boat", model="dall-e-2", size="256x256")
        >>> cm.read_metadata(images.save("boat.png")[0])["prompt"]
        'a paper boat'
    """
    return embedded_metadata(native(path).read_bytes())


def save_pictures(
    files: Sequence[File], prompt: str, path: str | os.PathLike[str], *, images: Sequence[Any]
) -> list[Path]:
    """Write pictures, and give the paths they got.

    Args:
        files: each picture, and the facts to embed, or None.
        prompt: gives the names in a folder.
        path: a folder or a file.
        images: for the SaveError.

    Raises:
        SaveError: a name is taken (then nothing was written), of another kind of file, or the disk refused.
    """
    if not files:
        return []
    try:
        target = Path(path).expanduser()
        if _is_folder(path, target):
            return _into_folder(files, target / slug(prompt))
        names = _names(target, [picture.mime for picture, _ in files])
        problem = _problem(target, names)
        if not problem:
            return _as_files(files, names)
    except (OSError, RuntimeError, ValueError) as error:
        problem = _reason(path, error)
    raise SaveError(clean(problem), hint=_HINT, images=images)


def obstacle(path: str | os.PathLike[str], mimes: Sequence[str]) -> str:
    """Why pictures of these kinds could not be written there, "" if they could; asked before they are paid for."""
    try:
        target = Path(path).expanduser()
        if _is_folder(path, target):
            return unwritable(target)
        return _problem(target, _names(target, mimes)) or unwritable(target.parent)
    except (OSError, RuntimeError, ValueError) as error:
        return _reason(path, error)


def _is_folder(path: str | os.PathLike[str], target: Path) -> bool:
    return os.fspath(path).endswith(("/", os.sep)) or target.is_dir()


def _reason(path: str | os.PathLike[str], error: Exception) -> str:
    """Why a path cannot be used: no such user, or a character that names cannot have."""
    reason = "it names a home folder that is not there" if isinstance(error, RuntimeError) else ""
    reason = reason or getattr(error, "strerror", None) or str(error) or type(error).__name__
    return f"{os.fspath(path)} cannot be written: {reason}"


def _problem(target: Path, names: list[Path]) -> str:
    if target.suffix.lower() in _OTHER_KINDS:
        return f"{target.name} is not written: pictures are kept as they came, png, jpg or webp"
    taken = [name for name in names if os.path.lexists(name)]
    return f"{taken[0]} exists already; nothing was written" if taken else ""


def _as_files(files: Sequence[File], names: list[Path]) -> list[Path]:
    names[0].parent.mkdir(parents=True, exist_ok=True)
    for (picture, facts), name in zip(files, names, strict=True):
        write_whole(name, _bytes(picture, facts), mode=_MODE)
    return names


def _into_folder(files: Sequence[File], stem: Path) -> list[Path]:
    stem.parent.mkdir(parents=True, exist_ok=True)
    endings = chain(["" if len(files) == 1 else "-1"], (f"-{number}" for number in count(2)))
    return [_free(stem, endings, SUFFIX[picture.mime], _bytes(picture, facts)) for picture, facts in files]


def _free(stem: Path, endings: Iterator[str], suffix: str, data: bytes) -> Path:
    """Write under the next name that is free."""
    while True:
        name = stem.with_name(f"{stem.name}{next(endings)}{suffix}")
        try:
            write_whole(name, data, mode=_MODE)
        except FileExistsError:
            continue
        return name


def _bytes(picture: Picture, facts: Facts | None) -> bytes:
    if facts is None:
        return picture.data
    known = {
        "software": "comet_magic",
        "prompt": facts.prompt,
        "asked": dict(facts.asked),
        "model": facts.model,
        "size": f"{picture.width}x{picture.height}",
        "created": facts.created,
        "revised_prompt": clean(picture.revised_prompt, limit=40_000),
        "request_id": picture.request_id,
        "parents": facts.parents,
        **(recorded(facts.request) if facts.request else {}),
    }
    return embed_metadata(picture.data, picture.mime, {name: value for name, value in known.items() if value})


def recorded(request: ImageRequest) -> dict[str, Any]:
    """What a file keeps of a request: what was asked beside prompt and model, and the inputs by their hashes."""
    asked = request.to_dict()
    del asked["prompt"], asked["model"]
    return {"request": asked, "inputs": request.inputs.to_list()}


def _names(target: Path, mimes: Sequence[str]) -> list[Path]:
    """One name per picture: the file itself, or with -1, -2... for several."""
    stem = target.stem if target.suffix.lower() in _OURS else target.name
    numbers = [""] if len(mimes) == 1 else [f"-{number}" for number in range(1, len(mimes) + 1)]
    return [
        target.with_name(f"{stem}{number}{_suffix(target, mime)}")
        for number, mime in zip(numbers, mimes, strict=True)
    ]


def _suffix(target: Path, mime: str) -> str:
    asked = target.suffix.lower()
    due = SUFFIX.get(mime, ".png")  # of an unknown kind, expect a png
    return target.suffix if {".jpeg": ".jpg"}.get(asked, asked) == due else due
