"""What users call: `Client`, `AsyncClient`, and `generate` with a shared client; the work is done by their `Core`."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
import warnings
import weakref
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

from ..archive import star_files
from ..errors import ConfigurationError
from ..images import Images, prepare_inputs
from ..request import Options, requests_of
from ..request.prompt_template import sent_as_typed
from ..settings import ClientOptions, ConnectionOptions
from ..text import conceal_keys, concealed
from .awaiting import all_finished, finished, started
from .core import Core, configure
from .job import Job, wait, wait_for_all
from .vendor import balance, catalogue

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..archive import Archive, Spend
    from .core import Config, Plan
    from .vendor import Balance, Listed

F = TypeVar("F", bound="Callable[..., Any]")


class GenerateOptions(Options, ConnectionOptions, total=False):
    """What `generate` takes: the options of a call, and where it goes."""


def named(options: type) -> Callable[[F], F]:
    """Show every option by its name in signatures, help and completion; the one list of them is a TypedDict."""

    def name(function: F) -> F:
        shown = inspect.signature(function)
        own = [one for one in shown.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
        given = [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind.__forward_arg__
            )
            for name, kind in options.__annotations__.items()
            if name not in shown.parameters
        ]
        function.__signature__ = shown.replace(parameters=[*own, *given])  # type: ignore[attr-defined]  # PEP 362
        return function

    return name


log = logging.getLogger("comet_magic")
OURS = str(Path(__file__).parents[1]), str(Path(asyncio.__file__).parent)  # no line of theirs is the caller's


class _BaseClient:
    """What `Client` and `AsyncClient` share."""

    def __init__(self, **options: Unpack[ClientOptions]) -> None:
        """Make a client; nothing is sent and nothing is written yet.

        Args:
            **options: `api_key`, `base_url`, and by name what `help(comet_magic.settings.Settings)` explains with its
                units and defaults: `timeout`, `max_in_flight`, `archive`, `max_cost_session`...

        Raises:
            MissingKeyError: no key was found.
            ConfigurationError: a setting cannot be used.
        """
        self._core = Core(configure(options))

    @classmethod
    def _made_of(cls, config: Config) -> Self:
        client = cls.__new__(cls)
        client._core = Core(config)  # noqa: SLF001 - its own
        return client

    def __repr__(self) -> str:
        core = getattr(self, "_core", None)  # a traceback may show a client whose making failed
        return f"{type(self).__name__}({core!r})"

    @named(Options)
    def submit(self, prompt: str, **options: Unpack[Options]) -> Job:
        """Start a call and return at once; takes what `comet_magic.generate` does.

        Returns:
            A `concurrent.futures.Future` of `Images`. `.abandon()` cancels what was not sent yet, `.price` is what
            it should cost.

        Raises:
            InvalidRequestError: a parameter breaks a rule; nothing was sent. All else is raised by `.result()`.
        """
        prompt = _concealed(prompt, options)
        return self._core.submit(prompt, options)

    @named(Options)
    def plan(self, prompt: str, **options: Unpack[Options]) -> Plan:
        """What a call would send and cost; takes what `comet_magic.generate` does, and sends nothing.

        Returns:
            `.requests`, each with `.body()`, and `.price`: `.low` and `.high` in USD, None where unknown.

        Raises:
            InvalidRequestError: a parameter breaks a rule.
        """
        prompt = _concealed(prompt, options)
        return self._core.plan(prompt, options)

    @property
    def archive(self) -> Archive:
        """Where the pictures and the ledger are."""
        return self._core.archive

    @property
    def vendor(self) -> str:
        """The account that money is counted for: `cometapi`, `sandbox`, or a host."""
        return self._core.base.vendor

    @property
    def base_url(self) -> str:
        """Where requests go."""
        return self._core.base.url

    @property
    def key_source(self) -> str:
        """Where the key was found; never the key."""
        return self._core.key.source

    @property
    def jobs(self) -> tuple[Job, ...]:
        """Calls that still run, also in the background."""
        return self._core.jobs

    async def _awaited(self, prompt: str, options: Options) -> Images:
        """Make a call from an asyncio loop; where files are read first, it is started in a thread."""
        _warn_of_alternatives(prompt)
        start = partial(self.submit, prompt, **options)
        slow = any(options.get(name) is not None for name in ("reuse", "image", "preset"))
        job = await started(self._core, start) if slow else start()
        return checked(await finished(job), job)

    def spend(self) -> Spend:
        """What this process has spent at this client's vendor in its archive, with its upper bound."""
        return self._core.archive.spend(vendor=self.vendor, session=self._core.session)


class Client(_BaseClient):
    """A client whose calls wait for their pictures.

    Example:
        >>> import comet_magic as cm
        >>> with cm.start_sandbox() as sandbox, cm.Client(
        ...     base_url=sandbox.base_url, api_key="sandbox", archive=None
        ... ) as client:
        ...     client.generate("a paper boat", size="256x256", model="dall-e-2").image.size
        (256, 256)
    """

    @named(Options)
    def generate(self, prompt: str, **options: Unpack[Options]) -> Images:
        """Turn a prompt into pictures; takes, gives and raises what `comet_magic.generate` does."""
        prompt = _concealed(prompt, options)
        _warn_of_alternatives(prompt)
        job = self._core.submit(prompt, options)
        images = checked(wait(job), job)
        images.maker = self.generate
        return images

    def wait(self) -> None:
        """Wait until every call of this client has ended; how, each job of `submit` says.

        Raises:
            CallAbandoned: on an interrupt; what was sent runs on in the background, what was not is cancelled.
        """
        while jobs := self._core.unfinished:
            wait_for_all(jobs)

    def fetch(self, call_id: str) -> Images:
        """Fetch the missing pictures of a paid call again, while their addresses live; free.

        Args:
            call_id: the call's id in the history, or the beginning of it.

        Raises:
            InvalidRequestError: that call has no pictures left to fetch.
            CometError: the pictures could not be fetched this time either.
        """
        return wait(self._core.takeover.fetch(call_id))

    def catalogue(self) -> tuple[Listed, ...]:
        """The image models and prices that the vendor lists today; read without the key, kept for an hour.

        Raises:
            CometError: the catalogue cannot be read.
        """
        return self._core.start(catalogue, self._core.api, self._core.base).result()

    def balance(self) -> Balance:
        """Money that the key has used and has left, as the vendor reports it.

        Raises:
            CometError: the vendor does not report it.
        """
        return self._core.start(balance, self._core.api, self._core.base).result()

    def close(self) -> None:
        """Take no more calls; what was already sent runs on in the background."""
        self._core.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncClient(_BaseClient):
    """A client whose calls are awaited, from any asyncio loop.

    Example:
        >>> import asyncio, comet_magic as cm
        >>> async def fleet(base_url):
        ...     async with cm.AsyncClient(base_url=base_url, api_key="sandbox", archive=None) as client:
        ...         calls = [client.generate(f"{n} boats", model="dall-e-2", size="256x256") for n in (2, 3)]
        ...         return [images.prompt for images in await asyncio.gather(*calls)]
        >>> with cm.start_sandbox() as sandbox:
        ...     asyncio.run(fleet(sandbox.base_url))
        ['2 boats', '3 boats']
    """

    @named(Options)
    async def generate(self, prompt: str, **options: Unpack[Options]) -> Images:
        """Turn a prompt into pictures; takes, gives and raises what `Client.generate` does.

        Cancelling the await leaves calls that were already sent running in the background.
        """
        prompt = _concealed(prompt, options)
        images = await self._awaited(prompt, options)
        images.maker = _awaited_only
        return images

    async def wait(self) -> None:
        """Wait until every call of this client has ended, as `Client.wait`; cancelling the await stops none of them."""
        while jobs := self._core.unfinished:
            await all_finished(jobs)

    async def fetch(self, call_id: str) -> Images:
        """Fetch the missing pictures of a paid call again; takes, gives and raises what `Client.fetch` does."""
        return await finished(await started(self._core, partial(self._core.takeover.fetch, call_id)))

    async def catalogue(self) -> tuple[Listed, ...]:
        """The image models and prices that the vendor lists today; gives and raises what `Client.catalogue` does."""
        return await asyncio.wrap_future(self._core.start(catalogue, self._core.api, self._core.base))

    async def balance(self) -> Balance:
        """Money that the key has used and has left; gives and raises what `Client.balance` does."""
        return await asyncio.wrap_future(self._core.start(balance, self._core.api, self._core.base))

    async def aclose(self) -> None:
        """Take no more calls; what was already sent runs on in the background."""
        await asyncio.to_thread(self._core.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def _awaited_only(prompt: str, **options: Any) -> Images:  # noqa: ARG001 - as `generate` takes them
    raise ConfigurationError(
        "these pictures were made by an AsyncClient, whose calls are awaited",
        hint="Await client.generate(prompt, ...); for an edit with image=images.",
    )


def checked(images: Images, job: Job) -> Images:
    """The pictures; warns in the caller's own line if they are fewer than requested."""
    asked = len(job.reused)
    for call in job.calls:
        asked += call.request.n
    if len(images) < asked:
        message = f"{asked} pictures were requested; the answer held {len(images)}"
        try:
            warnings.warn(message, stacklevel=callers_level())
        except Warning:  # warnings are errors here, and the pictures are paid
            log.warning("%s", message)
    return images


def _warn_of_alternatives(prompt: object) -> None:
    """Warn if a prompt has alternatives, which are not drawn here."""
    if isinstance(prompt, str) and "|" in prompt and (message := sent_as_typed(prompt)):
        warnings.warn(message, stacklevel=callers_level())


def callers_level() -> int:
    """The `stacklevel` of the first frame outside of this package and asyncio, as seen by the function that warns."""
    frame, level = inspect.currentframe(), 0
    while frame is not None and frame.f_code.co_filename.startswith(OURS):
        frame, level = frame.f_back, level + 1
    return level


def _concealed(prompt: str, options: Options) -> Any:
    """The prompt, hidden if a key is in it; keys among the options are hidden in place."""
    conceal_keys(options, Options.__annotations__)
    return concealed(prompt)


# --- the clients that a process shares: `generate`, the magic and the panel use them, and so share one limiter

MOST_KEPT = 8
_kept: dict[Config, Client] = {}  # the one used last comes last
_lock = threading.Lock()


def shared_client(**overrides: Unpack[ClientOptions]) -> Client:
    """The shared client for a key, a base URL and settings; up to 8 of them are kept, those used last.

    One that is not kept any more is closed when the last caller lets go of it.

    Raises:
        MissingKeyError: no key was found.
    """
    config = configure(overrides)
    with _lock:
        client = _kept.pop(config, None) or Client._made_of(config)  # noqa: SLF001 - our own
        _kept[config] = client
        idle = [each for each, kept in _kept.items() if not kept.jobs and kept is not client]
        for old in idle[: max(0, len(_kept) - MOST_KEPT)]:
            forgotten = _kept.pop(old)
            weakref.finalize(forgotten, forgotten._core.close).atexit = False  # noqa: SLF001 - likewise
            del forgotten
    return client


def close_shared_client() -> None:
    """Close the shared clients."""
    with _lock:
        clients = tuple(_kept.values())
        _kept.clear()
    for client in clients:
        client.close()


def _client_for(prompt: str, options: GenerateOptions) -> tuple[Client, Options]:
    """The shared client of a call, and the options of the call itself.

    Raises:
        InvalidRequestError: a parameter breaks a rule; that is said before a key is missed.
        ConfigurationError: there is no key, or a setting cannot be used.
    """
    conceal_keys(options, GenerateOptions.__annotations__)
    given: Any = {**options}
    where: Any = {name: given.pop(name) for name in ConnectionOptions.__annotations__ if name in given}
    try:
        return shared_client(**where), given
    except ConfigurationError as error:
        problem = error.bare()
    from ..preset_files import with_preset

    prompt, given = with_preset(prompt, given)
    requests_of(prompt, given, prepare_inputs(given))
    raise problem


@named(GenerateOptions)
def generate(prompt: str, **options: Unpack[GenerateOptions]) -> Images:
    """Turn a prompt into pictures with the process's shared client.

    A parameter that is None is not sent; the server's default holds. All are checked against the model before the
    request leaves; those of a model that is not in the table are sent unchecked, and the server decides. What each
    parameter means to the vendor: https://apidoc.cometapi.com/images-generations.

    Args:
        prompt: what the picture shows; up to 32,000 characters for GPT image models, 4,000 for dall-e-3.
        model: the model's id; None means `gpt-image-2`. `%cometimg_models` and the README list what each takes.
        n: how many pictures, 1 to 100; more than the model makes at once become several requests.
        size: `square`, `portrait`, `landscape`, a ratio such as `16:9`, or pixels such as `1536x1024`; a word or a
            ratio becomes the nearest size that the model takes. `auto` leaves it to the model.
        quality: how finely it is drawn: `low`, `medium`, `high` or `auto` for GPT image models, the newest take `xhigh`
            and `max` too; `standard` or `hd` for dall-e-3.
        style: how lively dall-e-3 draws: `vivid` or `natural`.
        background: what is behind the subject: `transparent`, `opaque` or `auto`; transparent needs png or webp.
        output_format: the kind of file: `png`, `jpeg` or `webp`.
        output_compression: percent, for jpeg and webp: 0 to 100.
        response_format: how the server hands pictures over: `url` or `b64_json`, for the models that offer both; what
            you get back is the same.
        moderation: how strict the vendor's filter is: `low` or `auto`.
        user: an id of your end user, for the vendor's abuse checks.
        stream: request previews while the model works; they are handed to `on_event`.
        partial_images: how many previews, with `stream`: 0 to 3.
        image: pictures to edit or to follow: a PIL picture, a path, bytes, an array, `Images`, or a list of these. They
            are sent upright, without EXIF, as 8 bit RGB or RGBA in sRGB. Without `size`, the result has the first one's
            shape.
        mask: which part of the first picture may change: a box `(left, top, right, bottom)`, or a picture or boolean
            array of its size, where white is to change, or what is transparent.
        markup: scribbles on a transparent picture of the first one's size, for gpt-image-2.5 models.
        input_fidelity: how closely gpt-image-1.5 looks at the pictures that go in: `low` or `high`.
        resize: False sends pictures that are larger than the model uses as they are; others are shrunk.
        paste_back: False leaves the server's picture as it came; else the original is put back outside the mask.
        extra: parameters that the table does not know, by name; named ones cannot be overridden.
        timeout: seconds for the whole call, attempts and waits; 600 unless the client says otherwise.
        max_cost: refuse a call that could cost more before it is sent, in USD.
        api_key: the key; see the README for where it is looked for otherwise.
        base_url: where the request goes, an OpenAI-compatible address; it needs a key given beside it or by login.
        auth: `bearer`, or `api-key` for a header of that name; Azure OpenAI's hosts get the latter by themselves.
        allow_insecure: True allows http to servers of a private network.
        reuse: reuse results of the same request (free), also of one still running, in any process that uses the
            archive; pay only for the rest. Awaits that call until its own deadline; if it may be billed and brought
            nothing, this call raises its error.
        preset: the name of a preset: options, which those given here override, and a template around the prompt. Among
            them are styles such as `watercolor`; `comet_magic.presets()` lists them.
        on_event: called with each `Progress`, `Preview` and `Arrived` of `comet_magic.client`, on another thread; it
            must be quick. What it raises is logged and stops nothing.

    Returns:
        `Images`: a list of PIL images, also for one, with `.data` (the bytes as they came), `.paths` (their files),
        `.cost` in USD, and more.

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
        >>> images.image.size, images.mime_types, images.cost
        ((1024, 1024), ('image/png',), 0.00472)
    """
    prompt = concealed(prompt)
    client, given = _client_for(prompt, options)
    prompt = concealed(prompt)  # now the key is known that it may contain
    images = client.generate(prompt, **given)
    if not options.keys() & ConnectionOptions.__annotations__.keys():
        images.maker = generate
    return images


Images.maker = staticmethod(generate)  # also of pictures that were unpickled, or made by hand
Images.marker = staticmethod(star_files)


@named(GenerateOptions)
def edit(picture: Any, prompt: str, **options: Unpack[GenerateOptions]) -> Images:
    """Change a picture by words: takes, gives and raises what `generate` does, with `image=picture`.

    Args:
        picture: what `image` of `generate` takes.
        prompt: what to change.

    Example:
        >>> import comet_magic as cm
        >>> from PIL import Image
        >>> cm.edit(Image.new("RGB", (1024, 768), "navy"), "add a moon", quality="low").image.size
        (1024, 768)
    """
    return generate(prompt, **{**options, "image": picture})


@named(GenerateOptions)
async def agenerate(prompt: str, **options: Unpack[GenerateOptions]) -> Images:
    """Turn a prompt into pictures, awaited; takes, gives and raises what `generate` does.

    Cancelling the await cancels what was not sent; what was sent runs on, and its pictures land in the archive.

    Example:
        >>> import asyncio, comet_magic as cm
        >>> images = asyncio.run(cm.agenerate("a paper boat", model="dall-e-2", size="256x256"))
        >>> images.image.size
        (256, 256)
    """
    prompt = concealed(prompt)
    # in a thread, for the key may be in a keyring, which takes its time
    client, given = await asyncio.to_thread(_client_for, prompt, options)
    prompt = _concealed(prompt, given)
    return await client._awaited(prompt, given)  # noqa: SLF001 - our own
