"""Pictures that are broken, disguised, hostile or merely unusual, and hostile words beside good ones."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.faults import pictures
from tests.faults.exchange import Exchange, scenario

if TYPE_CHECKING:
    from collections.abc import Callable

# What stands in `b64_json`, by scenario.
FILES: dict[str, Callable[[Exchange], bytes]] = {
    "png-bomb": lambda _: pictures.blank(25_000, 25_000),
    "png-bomb-warn": lambda _: pictures.blank(12_000, 10_000),
    "png-bomb-header": lambda _: pictures.header_bomb(),
    "png-zero-size": lambda _: pictures.empty_sides(),
    "png-truncated": lambda x: x.picture()[:-60],
    "png-signature-only": lambda x: x.picture()[:8],
    "png-header-only": lambda x: x.picture()[:33],
    "png-bad-crc": lambda x: pictures.bad_crc(x.picture()),
    "png-bad-pixels": lambda x: pictures.bad_pixels(x.picture()),
    "png-bad-stream": lambda x: pictures.bad_stream(x.picture()),
    "png-text-bomb": lambda _: pictures.text_bomb(),
    "png-text-evil": lambda x: pictures.text_evil(x.picture()),
    "png-trailing": lambda x: x.picture() + pictures.HTML,
    "png-animated": lambda x: pictures.animated(x.prompt),
    "png-palette": lambda x: pictures.odd(x.prompt, "P", "png"),
    "png-grey-alpha": lambda x: pictures.odd(x.prompt, "LA", "png"),
    "jpeg-truncated": lambda x: x.picture(kind="jpeg")[:-200],
    "jpeg-ok": lambda x: x.picture(kind="jpeg"),
    "jpeg-cmyk": lambda x: pictures.odd(x.prompt, "CMYK", "jpeg"),
    "webp-truncated": lambda x: x.picture(kind="webp")[:-20],
    "webp-ok": lambda x: x.picture(kind="webp"),
    "mime-mismatch": lambda x: x.picture(kind="jpeg"),
    "gif": lambda _: pictures.disguised("gif"),
    "bmp": lambda _: pictures.disguised("bmp"),
    "tiff": lambda _: pictures.disguised("tiff"),
    "ico": lambda _: pictures.disguised("ico"),
    "ppm": lambda _: pictures.disguised("ppm"),
    "eps": lambda _: pictures.EPS,
    "pdf": lambda _: pictures.PDF,
    "psd": lambda _: pictures.PSD,
    "fits": lambda _: pictures.FITS,
    "jp2": lambda _: pictures.JP2,
    "svg-script": lambda _: pictures.SVG,
    "html-as-image": lambda _: pictures.HTML,
    "elf": lambda _: pictures.ELF,
    "random-bytes": lambda _: pictures.noise(),
    "empty-riff": lambda _: b"RIFF\x04\x00\x00\x00WEBP",
    "one-byte": lambda _: b"\x89",
}
# What stands in `revised_prompt`, beside a good picture.
WORDS: dict[str, object] = {
    "revised-xss": '<script>window.__pwned=1</script><img src=x onerror="window.__pwned=1"><b>bold</b>',
    "revised-markdown": "# big ![x](http://127.0.0.2/trap.png) [a](javascript:alert(1)) $\\href{http://127.0.0.2}{x}$",
    "revised-ansi": "\x1b[31mred\x1b]0;title\x07 \x9b2J back\x08\x08 \x7f nul\x00 \u0085",
    "revised-bidi": "invoice \u202egnp.exe\u202c \u2066x\u2069 zero\u200b\u200f\ufeff width",
    "revised-5mib": "long " * (1024 * 1024),
    "revised-template": "{0} {prompt} %s %(x)d ${HOME} {{7*7}} $x^2$ `id` $(id)",
    "revised-path": "../../../../tmp/pwned/../../etc/passwd\\..\\..\\CON.png",
    "revised-number": 7,
    "revised-object": {"text": ["a"]},
    "revised-surrogate": "lonely \ud83d surrogate",
}


def pictured(name: str) -> None:
    @scenario(name)
    async def answer(x: Exchange) -> None:
        x.charge()
        data = await asyncio.to_thread(FILES[name], x)
        await x.reply(x.envelope([x.item(data)]))


def worded(name: str) -> None:
    @scenario(name)
    async def answer(x: Exchange) -> None:
        await x.deliver([x.item(revised_prompt=WORDS[name])])


for _name in FILES:
    pictured(_name)
for _name in WORDS:
    worded(_name)


@scenario("revised-echo-key")
async def repeat_the_key_in_the_revised_prompt(x: Exchange) -> None:
    await x.deliver([x.item(revised_prompt=f"a boat for {x.bearer}")])
