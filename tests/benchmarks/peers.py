"""Who is measured: us, the official client, the quickest parts there are, and plain httpx as people write it.

Each gives one picture (`one`), the time to the first preview of a stream (`preview`) and, on an event loop,
one picture of a batch (`each`). All end with an image object that opens lazily; with a folder its file is saved and
synced before. What we do beyond that (claim, raw answer, ledger, receipt) the peers leave out.
"""

import asyncio
import base64
import io
import itertools
import json
import os
import time
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

KEY = "sk-bench-0123456789abcdef0123456789"
BODY = {"model": "gpt-image-2", "prompt": "a paper boat"}
STREAM = {**BODY, "stream": True, "partial_images": 3}


class Peer:
    """A client at `base_url`; `folder` is where its pictures go, if anywhere."""

    package = ""

    def __init__(self, base_url: str, *, folder: str | None = None, in_flight: int = 1) -> None:
        self.base_url, self.folder, self.in_flight = base_url, folder, in_flight
        self.url = f"{base_url}/images/generations"
        self.headers = {"Authorization": f"Bearer {KEY}"}
        self.numbers = itertools.count()
        self.by_url = "-url/" in base_url

    @classmethod
    def installed(cls) -> bool:
        return find_spec(cls.package) is not None

    def keep(self, data: bytes) -> object:
        """Writes the picture where there is a folder, and opens it."""
        from PIL import Image

        if self.folder:
            with Path(self.folder, f"{os.getpid()}-{time.monotonic_ns()}").open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        return Image.open(io.BytesIO(data))

    def warm(self) -> None:
        """The first call, which imports and connects."""
        self.preview() if "-stream/" in self.base_url else self.one()

    def pixels(self) -> None:
        """One picture, and its pixels used."""
        self.one().load()

    def edit_prepared(self, data: bytes) -> object:
        """An edit of a picture that Pillow lays on white first, as gpt-image-2 shows what hides below transparency."""
        from PIL import Image

        given, out = Image.open(io.BytesIO(data)), io.BytesIO()
        paper = Image.new("RGBA", given.size, "white")
        Image.alpha_composite(paper, given).convert("RGB").save(out, "PNG", compress_level=1)
        return self.edit(out.getvalue())

    def close(self) -> None:
        """Closes what the synchronous calls have opened."""
        self.client.close()

    def table(self, rows: int) -> None:
        """As many prompts as rows, one picture each."""

        async def slots() -> None:
            async with self:
                await in_slots(self, rows)

        asyncio.run(slots())

    async def __aenter__(self) -> "Peer":
        self.many = self.opened()
        return self

    async def __aexit__(self, *error: object) -> None:
        await (self.many.aclose if hasattr(self.many, "aclose") else self.many.close)()

    async def engine_loop(self) -> asyncio.AbstractEventLoop | None:
        """Another loop than the caller's that does the work, after one call for warmth."""
        await self.each()
        return None


async def in_slots(peer: Peer, pictures: int) -> list[float]:
    """Gets the pictures with as many in flight as the peer has; returns what each took."""
    numbers, took = iter(range(pictures)), []

    async def slot() -> None:
        for _ in numbers:
            start = time.perf_counter()
            await peer.each()
            took.append(time.perf_counter() - start)

    await asyncio.gather(*(slot() for _ in range(peer.in_flight)))
    return took


class Comet(Peer):
    """This package; the options say only where to."""

    package = "comet_magic"

    @property
    def options(self) -> dict[str, object]:
        where = {"api_key": KEY, "base_url": self.base_url, "archive": self.folder}
        return {**where, "max_in_flight": self.in_flight}

    @cached_property
    def client(self):
        from comet_magic.client import Client

        return Client(**self.options)

    @property
    def prompt(self) -> str:
        return f"a paper boat {next(self.numbers)}"

    def one(self) -> object:
        return self.client.generate(self.prompt)

    def edit(self, data: object) -> object:
        return self.client.generate(self.prompt, image=data, size="1024x1024")

    edit_prepared = edit

    def pixels(self) -> None:
        self.one().image.load()

    def preview(self) -> float:
        from comet_magic.client.job import Preview

        seen: list[tuple[float, object]] = []
        start = time.perf_counter()
        self.client.generate(
            self.prompt,
            stream=True,
            partial_images=3,
            on_event=lambda event: seen.append((time.perf_counter(), event)),
        )
        return next(at for at, event in seen if isinstance(event, Preview)) - start

    def table(self, rows: int) -> None:
        import comet_magic

        if not self.folder or not hasattr(comet_magic, "generate_dataset"):
            super().table(rows)
            return
        os.environ |= {"COMETAPI_KEY": KEY, "COMETAPI_BASE_URL": self.base_url}
        frame = [{"caption": self.prompt} for _ in range(rows)]
        folder = f"{self.folder}/{next(self.numbers)}"
        comet_magic.generate_dataset(frame, folder, prompt="caption", max_in_flight=self.in_flight)

    async def engine_loop(self) -> asyncio.AbstractEventLoop | None:
        loops: list[asyncio.AbstractEventLoop] = []

        def note(event: object) -> None:
            if not loops:
                loops.append(asyncio.get_running_loop())

        await self.many.generate(self.prompt, on_event=note)
        return loops[0] if loops else None

    def opened(self):
        from comet_magic.client import AsyncClient

        return AsyncClient(**self.options)

    async def __aexit__(self, *error: object) -> None:
        await self.many.__aexit__(*error)

    async def each(self) -> object:
        return await self.many.generate(self.prompt)


class Openai(Peer):
    """The official client, sync and async."""

    package = "openai"

    @cached_property
    def client(self):
        from openai import OpenAI

        return OpenAI(base_url=self.base_url, api_key=KEY)

    def one(self) -> object:
        item = self.client.images.generate(**BODY).data[0]
        if self.by_url:
            import httpx

            return self.keep(httpx.get(item.url).content)
        return self.keep(base64.b64decode(item.b64_json))

    def edit(self, data: bytes) -> object:
        picture = ("picture.png", data, "image/png")
        item = self.client.images.edit(image=picture, size="1024x1024", **BODY).data[0]
        return self.keep(base64.b64decode(item.b64_json))

    def preview(self) -> float:
        start = time.perf_counter()
        first = 0.0
        for event in self.client.images.generate(**STREAM):
            base64.b64decode(event.b64_json)
            first = first or time.perf_counter() - start
        return first

    def opened(self):
        from openai import AsyncOpenAI

        return AsyncOpenAI(base_url=self.base_url, api_key=KEY)

    async def each(self) -> object:
        reply = await self.many.images.generate(**BODY)
        return self.keep(base64.b64decode(reply.data[0].b64_json))


class Httpx(Peer):
    """One kept httpx client, `.json()` and the standard library's base64."""

    package = "httpx"

    @cached_property
    def client(self):
        import httpx

        return httpx.Client(timeout=600)

    def one(self) -> object:
        item = self.client.post(self.url, json=BODY, headers=self.headers).json()["data"][0]
        if self.by_url:
            return self.keep(self.client.get(item["url"]).content)
        return self.keep(base64.b64decode(item["b64_json"]))

    def edit(self, data: bytes) -> object:
        given = {
            "data": {**BODY, "size": "1024x1024"},
            "files": {"image": ("picture.png", data, "image/png")},
        }
        reply = self.client.post(f"{self.base_url}/images/edits", headers=self.headers, **given)
        return self.keep(base64.b64decode(reply.json()["data"][0]["b64_json"]))

    def preview(self) -> float:
        start = time.perf_counter()
        first = 0.0
        with self.client.stream("POST", self.url, json=STREAM, headers=self.headers) as reply:
            for line in reply.iter_lines():
                if line.startswith("data: "):
                    base64.b64decode(json.loads(line[6:])["b64_json"])
                    first = first or time.perf_counter() - start
        return first

    def opened(self):
        import httpx

        return httpx.AsyncClient(timeout=600)

    async def each(self) -> object:
        reply = await self.many.post(self.url, json=BODY, headers=self.headers)
        return self.keep(base64.b64decode(reply.json()["data"][0]["b64_json"]))


class Aiohttp(Peer):
    """The quickest parts there are: aiohttp, orjson and pybase64."""

    package = "aiohttp"

    @classmethod
    def installed(cls) -> bool:
        return super().installed() and find_spec("orjson") is not None

    @cached_property
    def run(self):
        # Not an asyncio.Runner: its signal handler costs a repr of the result, 20 ms for 2 MB.
        loop = asyncio.new_event_loop()
        loop.run_until_complete(self.__aenter__())
        return loop.run_until_complete

    def close(self) -> None:
        self.run(self.__aexit__())

    @staticmethod
    def read(body: bytes) -> dict[str, str]:
        import orjson

        return orjson.loads(body)

    @staticmethod
    def decoded(item: dict[str, str]) -> bytes:
        import pybase64

        return pybase64.b64decode(item["b64_json"], validate=True)

    def one(self) -> object:
        return self.run(self.each())

    def preview(self) -> float:
        return self.run(self.first())

    async def first(self) -> float:
        start = time.perf_counter()
        first, scanned, waiting = 0.0, 0, bytearray()
        async with self.many.post(self.url, json=STREAM) as reply:
            async for piece in reply.content.iter_any():
                waiting += piece
                while (end := waiting.find(b"\n\n", scanned)) >= 0:
                    self.decoded(self.read(waiting[waiting.index(b"{") : end]))
                    del waiting[: end + 2]
                    first = first or time.perf_counter() - start
                    scanned = 0
                scanned = max(0, len(waiting) - 1)
        return first

    def opened(self):
        import aiohttp

        timeout, connector = aiohttp.ClientTimeout(total=600), aiohttp.TCPConnector(limit=0)
        return aiohttp.ClientSession(headers=self.headers, connector=connector, timeout=timeout)

    async def each(self) -> object:
        async with self.many.post(self.url, json=BODY) as reply:
            item = self.read(await reply.read())["data"][0]
        if self.by_url:
            async with self.many.get(item["url"]) as reply:
                return self.keep(await reply.read())
        return self.keep(self.decoded(item))


PEERS: dict[str, type[Peer]] = {"comet_magic": Comet, "openai": Openai, "aiohttp": Aiohttp, "httpx": Httpx}
