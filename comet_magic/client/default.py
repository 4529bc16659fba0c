"""The one client that a process shares: `generate`, the magic and the panel use it, and so share one limiter."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Unpack

from ..settings import hide_keys
from .api import Client, named
from .core import configure

if TYPE_CHECKING:
    from ..images import Images
    from ..request import Options
    from ..settings import ClientOptions
    from .core import Config

_shared: tuple[Config, Client] | None = None
_lock = threading.Lock()


def shared_client(**overrides: Unpack[ClientOptions]) -> Client:
    """The shared client; a new one is made when the key, the base URL or a setting has changed.

    Raises:
        MissingKeyError: no key was found.
    """
    global _shared
    hide_keys(overrides)
    config = configure({**overrides})
    with _lock:
        if _shared is not None and _shared[0] == config:
            return _shared[1]
        previous, _shared = _shared, (config, Client(**overrides))
        client = _shared[1]
    if previous is not None:
        previous[1].close()
    return client


def close_shared_client() -> None:
    """Close the shared client, if there is one."""
    global _shared
    with _lock:
        previous, _shared = _shared, None
    if previous is not None:
        previous[1].close()


@named
def generate(prompt: str, **options: Unpack[Options]) -> Images:
    """Turn a prompt into pictures with the process's shared client.

    A parameter that is None is not sent; the server's default holds. All are checked against the model before the
    request leaves; those of a model that is not in the table are sent unchecked, and the server decides. What each
    parameter means to the vendor: https://apidoc.cometapi.com/images-generations.

    Args:
        prompt: what the picture shows; up to 32,000 characters for GPT image models, 4,000 for dall-e-3.
        model: its id; None means `gpt-image-2`. `%cometimg_models` and the README list what each takes.
        n: how many pictures, 1 to 100; more than the model makes at once become several requests.
        size: `1536x1024` (width x height in pixels), `auto`, `square`, `portrait`, `landscape`, or a ratio such as
            `16:9`, which becomes the nearest size that the model takes.
        quality: `low`, `medium`, `high` or `auto` for GPT image models, the newest take `xhigh` and `max` too;
            `standard` or `hd` for dall-e-3.
        style: `vivid` or `natural`, for dall-e-3.
        background: `transparent`, `opaque` or `auto`; transparent needs png or webp.
        output_format: `png`, `jpeg` or `webp`.
        output_compression: 0 to 100 percent, for jpeg and webp.
        response_format: `url` or `b64_json`, for the models that offer both; what you get back is the same.
        moderation: `low` or `auto`.
        user: an id of your end user, for the vendor's abuse checks.
        stream: request previews while the model works; they are handed to `on_event`.
        partial_images: how many previews, 0 to 3; needs `stream`.
        extra: parameters that the table does not know, by name; named ones cannot be overridden.
        timeout: seconds for the whole call, attempts and waits; 600 unless the client says otherwise.
        max_cost: USD; a call that could cost more is refused before it is sent.
        reuse: take pictures of the same request from the archive (free), and pay only for the rest.
        on_event: called with each `Progress`, `Preview` and `Arrived` of `comet_magic.client`, on another thread; it
            must be quick. What it raises is logged and stops nothing.

    Returns:
        `Images`: a list of PIL images, also for one, with `.data` (the bytes as they came), `.paths` (their files),
        `.cost` in micro-USD, `.cost_usd`, and more.

    Raises:
        MissingKeyError: no key was found; nothing was sent.
        InvalidRequestError: a parameter breaks a rule of the model; `param` names it, nothing was sent.
        BudgetExceededError: it could cost more than a limit allows; nothing was sent.
        APIStatusError: the server refused; its subclasses say why.
        AmbiguousError, APITimeoutError: it was sent and no answer came; it may be billed and is not sent again.
        PartialResultError: some of several pictures failed; the others are in `images`.
        CometError: any other failure; `outcome` always says whether it may be billed.

    Example:
        >>> import comet_magic as cm
        >>> images = cm.generate("a paper boat", size="square", quality="low")
        >>> images.image.size, images.mime_types, images.cost_usd
        ((1024, 1024), ('image/png',), 0.00472)
    """
    hide_keys(options)
    return shared_client().generate(prompt, **options)


@named
async def agenerate(prompt: str, **options: Unpack[Options]) -> Images:
    """Turn a prompt into pictures, awaited; takes, gives and raises what `generate` does.

    Cancelling the await cancels what was not sent; what was sent runs on, and its pictures land in the archive.

    Example:
        >>> import asyncio, comet_magic as cm
        >>> images = asyncio.run(cm.agenerate("a paper boat", model="dall-e-2", size="256x256"))
        >>> images.image.size
        (256, 256)
    """
    hide_keys(options)
    client = await asyncio.to_thread(shared_client)  # the key may be in a keyring, which takes its time
    return await client._awaited(prompt, options)  # noqa: SLF001 - the two are one room
