"""Recipes: the options of the call that made a picture, from the ledger of an archive or from the picture's own file.

A file may be a stranger's. Of what it says only the prompt and options of the wire are taken; input pictures are
looked up by their hash in the archives of this machine; everything else is left out and named.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .archive import Reader, ask_known
from .archive.layout import is_input
from .catalog import WIRE_PARAMETERS
from .errors import CometError, InvalidRequestError
from .files import from_here
from .formats import embedded_metadata, embedded_texts
from .machine import DEFAULT_ARCHIVE, archive_folder, expanded
from .request import ImageRequest, Inputs
from .text import clean, holds_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from PIL.Image import Image

    from .archive import Entry
    from .request import InputPicture

LARGEST = 256 << 20  # bytes of a file that is read
_LONGEST_PROMPT = 100_000  # characters
_MOST_PICTURES = 4  # that a file may ask for; more is for a person to say
_MOST_INPUTS = 32
_FACTS = {
    *("software", "prompt", "model", "size", "created", "revised_prompt", "request_id", "parents"),
    *("request", "inputs", "asked"),
}
_ADDRESS = re.compile(r"\s*(?:[a-z][a-z0-9+.-]*://|data:|[~/\\]|\.{1,2}[/\\]|[a-z]:[/\\])", re.IGNORECASE)


class Recipe(dict[str, Any]):
    """The options of the call that made a picture: `comet_magic.generate(**recipe)` makes it again.

    Attributes:
        notices: sentences on what was left out of what the file says.
    """

    def __init__(self, options: Mapping[str, Any], notices: Sequence[str] = ()) -> None:
        super().__init__(options)
        self.notices = tuple(notices)


def recipe(
    picture: str | os.PathLike[str] | bytes | Image | list[Image],
    *,
    archive: str | os.PathLike[str] = DEFAULT_ARCHIVE,
) -> Recipe:
    """The options of the call that made a picture; nothing is sent.

    It is found in the archive, in the datasets of this machine, or in the file itself, as `Images.save` writes it. Of
    files of Stable Diffusion web UI and InvokeAI, the prompt is taken.

    Args:
        picture: a file, its bytes, a PIL picture, or `Images` of one call.
        archive: where it and its input pictures are looked up first.

    Returns:
        A mapping for `comet_magic.generate(**recipe)`: the prompt, the options that were sent, `extra`, and the input
        pictures as files of an archive. It holds no limits. `.notices` says what of a file was left out.

    Raises:
        InvalidRequestError: the file cannot be read or says nothing of how it was made, or an input picture is gone.
        ConfigurationError: the archive cannot be read.

    Example:
        >>> import comet_magic as cm
        >>> images = cm.generate("a paper boat", model="dall-e-2", size="256x256")
        >>> path = images.save("boat.png")[0]
        >>> cm.recipe(path)
        {'prompt': 'a paper boat', 'model': 'dall-e-2', 'size': '256x256'}
    """
    return find_recipe(picture, Reader(archive_folder(archive)))


def find_recipe(picture: Any, own: Reader) -> Recipe:
    """As `recipe`, looking first in this archive."""
    given = _given(picture)
    readers = [own, *(reader for reader, _ in ask_known(own.folder, lambda _: None)[0])]
    folders = [reader.folder for reader in readers if reader.folder]
    request = given.request
    if request is None and (entry := _maker(given, readers)) is not None:
        request = entry.request
        folders.sort(key=lambda folder: folder != entry.folder)  # its own first, if it is known here
    if request is not None:
        return Recipe(options_of(replace_inputs(request, _placed(request.inputs, folders))))
    if given.facts.get("prompt"):
        return _of_facts(given, folders)
    prompt = _foreign_prompt(given.texts)
    if prompt:
        notice = f"{given.name} is of another program: its prompt is taken, its other settings are not"
        return Recipe({"prompt": _checked(prompt, given.name)}, [notice])
    raise InvalidRequestError(f"{given.name} does not say how it was made", param="picture")


def options_of(request: ImageRequest) -> dict[str, Any]:
    """The options with which `generate` makes this request, its input pictures as files of the archive.

    Raises:
        InvalidRequestError: an input picture is gone; it is named.
    """
    facts = request.to_dict()
    options: dict[str, Any] = {"prompt": facts.pop("prompt"), **facts}
    size = (request.asked or {}).get("size")
    if isinstance(size, str) and _same_size(request, size):
        options["size"] = size
    inputs = request.inputs
    if not inputs.images:
        return options
    options["image"] = [_path_of(picture) for picture in inputs.images]
    if inputs.original is not None:  # what was given, of which the first one was made; it is pasted back
        options["image"][0] = _path_of(inputs.original)
    for role in ("mask", "markup"):
        picture = getattr(inputs, role)
        if picture is not None:
            options[role] = _path_of(picture)
    if not inputs.paste_back:
        options["paste_back"] = False
    rules = request.spec.inputs
    if rules and any(picture.width * picture.height > rules.pixels for picture in inputs.images):
        options["resize"] = False
    return options


def _same_size(request: ImageRequest, size: str) -> bool:
    """Whether a size as a person gave it, such as 16:9, is the one of the request."""
    try:
        return ImageRequest("-", model=request.model, size=size).size == request.size
    except InvalidRequestError:
        return False


def replace_inputs(request: ImageRequest, inputs: Inputs) -> ImageRequest:
    """The same request with these inputs; nothing is checked again."""
    return ImageRequest.from_dict(request.to_dict(), inputs, request.asked) if inputs.images else request


def _path_of(picture: InputPicture) -> Path:
    picture.open().close()  # a link would be followed by whoever runs the call
    if not isinstance(picture.content, Path):
        raise InvalidRequestError(f"the input picture {picture.name} is in no archive", param="image")
    return from_here(picture.content)


def _placed(inputs: Inputs, folders: Sequence[Path]) -> Inputs:
    """The inputs with each picture in the first of these folders that has it.

    Raises:
        InvalidRequestError: none has one; it is named.
    """

    def placed(picture: InputPicture | None) -> InputPicture | None:
        if picture is None:
            return None
        places = [replace(picture, content=folder / picture.name) for folder in folders]
        for place in places:
            try:
                place.open().close()
            except InvalidRequestError:
                continue
            return place
        raise InvalidRequestError(
            f"the input picture {picture.name} is gone",
            param="image",
            hint="Give the picture again by image=.",
        )

    images = tuple(filter(None, map(placed, inputs.images)))
    return replace(
        inputs,
        images=images,
        mask=placed(inputs.mask),
        markup=placed(inputs.markup),
        original=placed(inputs.original),
    )


# --- what was given


class _Given(NamedTuple):
    """A picture that somebody gave: its name in messages, and what is known of it before an archive is asked."""

    name: str
    data: bytes = b""
    path: Path | None = None
    request: ImageRequest | None = None
    facts: Mapping[str, Any] = {}
    texts: Mapping[str, str] = {}


def _given(picture: Any) -> _Given:
    """Read what was given.

    Raises:
        InvalidRequestError: it is not a picture, or cannot be read.
    """
    if isinstance(picture, list | tuple) and picture:
        found = [_given(one) for one in picture]
        if len(found) > 1 and any(one.request is None or one.request != found[0].request for one in found):
            said = f"picture is {len(found)} pictures, which are not of one call; give one of them"
            raise InvalidRequestError(said, param="picture")
        return found[0]
    if isinstance(picture, bytes | bytearray | memoryview):
        return _of_bytes("the picture", bytes(picture))
    if hasattr(picture, "getpixel"):
        return _of_pil(picture)
    if not isinstance(picture, str | os.PathLike):
        kind = "an empty list" if isinstance(picture, list | tuple) else f"of type {type(picture).__name__}"
        said = f"picture is {kind}; it takes a file, its bytes, a PIL picture or Images"
        raise InvalidRequestError(said, param="picture")
    name = clean(picture, limit=200)
    try:
        path = expanded(picture)
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        problem = clean(getattr(error, "strerror", None) or error, limit=120)
    else:
        if len(data) <= LARGEST:
            return _of_bytes(name, data)._replace(path=path.resolve())
        problem = f"it is larger than {LARGEST >> 20} MiB"
    raise InvalidRequestError(f"picture is {name}; it cannot be read: {problem}", param="picture")


def _of_bytes(name: str, data: bytes) -> _Given:
    return _Given(name, data, facts=embedded_metadata(data), texts=embedded_texts(data))


def _of_pil(image: Image) -> _Given:
    """A picture of a call, or of a file that PIL opened."""
    from .images.display import origin_of

    origin = origin_of(image)
    if origin is not None:
        path = origin.picture.path
        given = _of_bytes("the picture", origin.picture.data)._replace(path=Path(path) if path else None)
        return given._replace(request=origin.facts.request)
    name = getattr(image, "filename", "")
    if name:
        return _given(name)
    texts = {key: text for key, text in image.info.items() if isinstance(key, str) and isinstance(text, str)}
    try:
        facts = json.loads(texts.get("comet_magic", "{}"))
    except (ValueError, RecursionError):
        facts = {}
    return _Given("the picture", facts=facts if isinstance(facts, dict) else {}, texts=texts)


def _maker(given: _Given, readers: Sequence[Reader]) -> Entry | None:
    """The call that made the picture, by its bytes, or by its place in the folder of an archive."""
    digest = hashlib.sha256(given.data).hexdigest() if given.data else ""
    for reader in readers if digest else ():
        entry = reader.maker(digest)
        if entry is not None:
            return entry
    if given.path is None or len(given.path.parents) < 4:
        return None
    folder = given.path.parents[2]
    if not (folder / "ledger.sqlite").is_file():
        return None
    try:
        return Reader(folder).maker(digest, given.path.relative_to(folder).as_posix())
    except CometError:  # a folder that is not an archive of ours; the file itself may tell
        return None


# --- what a file says; it may be a stranger's


def _of_facts(given: _Given, folders: Sequence[Path]) -> Recipe:
    facts = given.facts
    prompt = _checked(facts["prompt"], given.name)
    said = {
        "model": facts.get("model"),
        **(facts["request"] if isinstance(facts.get("request"), dict) else {}),
    }
    refused = sorted({*facts} - _FACTS)
    options: dict[str, Any] = {"prompt": prompt}
    for name, value in said.items():
        if value is None:
            continue
        if name == "extra" and isinstance(value, dict):
            taken = {key: each for key, each in value.items() if _takes(prompt, {"extra": {key: each}})}
            refused += [f"extra.{key}" for key in value if key not in taken]
            options |= {"extra": taken} if taken else {}
        elif _takes(prompt, {name: value}):
            options[name] = value
        else:
            refused.append(name)
    asked, listed = facts.get("asked"), facts.get("inputs") or []
    if isinstance(listed, list) and len(listed) <= _MOST_INPUTS and all(map(is_input, listed)):
        inputs = _placed(Inputs.from_list(listed, None), folders)
        request = ImageRequest.from_dict(options, inputs, asked if isinstance(asked, dict) else None)
        options = options_of(request)
    else:
        refused.append("inputs")
    words = ", ".join(clean(name, limit=40) for name in refused[:8])
    notice = f"{given.name} also holds {words}, which a recipe does not; that was left out"
    return Recipe(options, [notice] if refused else [])


def _takes(prompt: str, option: Mapping[str, Any]) -> bool:
    """Whether an option of a file is one of the wire, of the right kind, and no address, path or key."""
    name, value = next(iter(option.items()))
    if name not in (*WIRE_PARAMETERS, "extra") or name == "prompt":
        return False
    if name == "n" and not (type(value) is int and 1 <= value <= _MOST_PICTURES):
        return False
    if any(_ADDRESS.match(text) or holds_key(text) for text in _texts_in(option)):
        return False
    try:
        ImageRequest.from_dict({"prompt": prompt, **option})
        if name == "extra":
            ImageRequest("-", extra=value)
    except InvalidRequestError:
        return False
    return True


def _texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, each in value.items():
            yield name
            yield from _texts_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts_in(each)


def _checked(prompt: object, name: str) -> str:
    """A prompt of a file.

    Raises:
        InvalidRequestError: it is not text, or contains a key.
    """
    if not isinstance(prompt, str) or not prompt.strip() or len(prompt) > _LONGEST_PROMPT:
        raise InvalidRequestError(f"{name} does not say how it was made", param="picture")
    if holds_key(prompt):
        raise InvalidRequestError(
            f"the prompt in {name} contains what looks like an API key, so it is not used", param="picture"
        )
    return prompt


def _foreign_prompt(texts: Mapping[str, str]) -> str:
    """The prompt that another program wrote into its file; "" if there is none.

    Stable Diffusion web UI: https://github.com/AUTOMATIC1111/stable-diffusion-webui/wiki/Features#png-info
    InvokeAI: https://invoke-ai.github.io/InvokeAI/features/gallery/
    """
    for name in ("invokeai_metadata", "sd-metadata"):
        try:
            said = json.loads(texts.get(name, "{}"))
        except (ValueError, RecursionError):
            continue
        image = said.get("image") if isinstance(said, dict) else None
        prompt = said.get("positive_prompt") if isinstance(said, dict) else None
        prompt = prompt or (image.get("prompt") if isinstance(image, dict) else None)
        if isinstance(prompt, list) and prompt and isinstance(prompt[0], dict):
            prompt = prompt[0].get("prompt")
        if isinstance(prompt, str) and prompt.strip():
            return prompt
    said = texts.get("parameters") or texts.get("UserComment", "")
    lines = re.split(r"\n(?=Negative prompt: |Steps: \d)", f"\n{said}", maxsplit=1)
    return lines[0].strip() if len(lines) > 1 else ""
