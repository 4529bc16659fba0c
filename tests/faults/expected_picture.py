"""How broken and hostile pictures, words and addresses end."""

from __future__ import annotations

from tests.faults.row import MEBI, Row

RESCUE = ("rescue",)
URLS = ("urls",)
QUICK = {"download_timeout": 0.4}
SMALL = {"max_image_bytes": MEBI}


def refused(name: str, ends: str = "BadImageError", **facts: object) -> Row:
    """A picture that is not opened; the bytes are kept."""
    return Row(f"F:{name}", ends, keeps=RESCUE, **facts)  # type: ignore[arg-type]


PICTURES = (
    refused("png-bomb", "TooLargeError", mib=100, doors=True),
    refused("png-bomb-warn", "TooLargeError", mib=100),
    refused("png-bomb-header", "TooLargeError", mib=100),
    *(
        refused(name)
        for name in (
            "png-truncated",
            "png-bad-crc",
            "png-bad-pixels",
            "jpeg-truncated",
            "webp-truncated",
            "png-signature-only",
            "png-header-only",
            "png-zero-size",
            "gif",
            "bmp",
            "tiff",
            "ico",
            "ppm",
            "eps",
            "pdf",
            "psd",
            "fits",
            "jp2",
            "elf",
            "random-bytes",
            "empty-riff",
            "one-byte",
        )
    ),
    refused("svg-script", doors=True),
    refused("html-as-image"),
    Row("F:png-text-bomb", "ok|BadImageError|TooLargeError", mib=100),
    Row("F:png-text-evil"),
    Row(
        "F:png-bad-stream", doors=True
    ),  # its container is whole: it is kept, and told when its pixels are needed
    *(Row(f"F:png-{name}") for name in ("trailing", "animated", "palette", "grey-alpha")),
    Row("F:jpeg-ok", suffix=".jpg"),
    Row("F:jpeg-cmyk", suffix=".jpg"),
    Row("F:webp-ok", suffix=".webp", doors=True),
    Row("F:mime-mismatch", suffix=".jpg"),
    Row("F:normal", "TooLargeError", client={"max_image_pixels": 100}, keeps=RESCUE),
    Row("F:normal", "TooLargeError", client={"max_image_bytes": 50}, keeps=RESCUE),
)
WORDS = (
    Row("F:revised-xss", doors=True),
    Row("F:revised-markdown", doors=True),
    Row("F:revised-ansi", doors=True),
    *(
        Row(f"F:revised-{name}")
        for name in ("bidi", "5mib", "template", "path", "number", "object", "surrogate", "echo-key")
    ),
)


def unsafe(name: str, **facts: object) -> Row:
    """An address that is never fetched; it is kept, and nothing is sent."""
    return Row(f"F:url-{name}", "UnsafeURLError", keeps=URLS, **facts)  # type: ignore[arg-type]


def fetched(name: str, gets: int = 1, **facts: object) -> Row:
    return Row(f"F:url-{name}", gets=gets, **facts)  # type: ignore[arg-type]


def gone(name: str, gets: int | tuple[int, int] = 1, ends: str = "DownloadError", **facts: object) -> Row:
    """A picture that was paid and cannot be fetched; its address is kept."""
    facts.setdefault("keeps", URLS)
    return Row(f"F:url-{name}", ends, gets=gets, **facts)  # type: ignore[arg-type]


ADDRESSES = (
    *(
        unsafe(name)
        for name in (
            "file",
            "ftp",
            "gopher",
            "javascript",
            "scheme-relative",
            "empty-host",
            "no-slashes",
            "bad-port",
            "wordy-port",
            "negative-port",
            "given",
            "metadata-name",
            "private",
            "link-local",
            "cgnat",
            "multicast",
            "nat64",
            "6to4",
            "mapped",
            "trap-three",
            "trap-six",
            "trap-decimal",
            "trap-octal",
            "trap-hex",
            "trap-short",
            "trap-zero",
            "localhost-trap",
            "six",
            "localhost-dot-trap",
            "userinfo",
            "userinfo-trick",
            "backslash",
            "crlf",
            "nul",
            "surrogate",
            "tab-in-host",
            "unicode",
            "ideographic-dots",
            "fraction-slash",
            "huge",
            "zone",
            "percent-host",
        )
    ),
    Row("F:url-data", "BadImageError", keeps=RESCUE),
    unsafe("metadata", doors=True),
    unsafe("trap-two", doors=True),
    Row("F:url-one-trap", "PartialResultError", n=2, gets=1, images=1),
    *(unsafe(f"redirect-{name}", gets=1) for name in ("trap", "localhost", "metadata", "file", "userinfo")),
    gone("redirect-garbage", (1, 4), "UnsafeURLError|DownloadError"),
    gone("redirect-nowhere", (1, 4)),
    gone("redirect-empty", (1, 6), "DownloadError|UnsafeURLError"),
    gone("redirect-loop", (1, 6), "DownloadError|UnsafeURLError"),
    gone("redirect-many", (2, 6), "DownloadError|UnsafeURLError"),
    gone("redirect-tls", (1, 4)),
    gone("tls-selfsigned", 0),
    gone("dead", 0),
    gone("name", 0),
    gone("elsewhere", 0),
    gone("secure", 0),
)
DOWNLOADS = (
    fetched("ok", doors=True),
    fetched("ok", 2, n=2, images=2),
    *(
        fetched(name)
        for name in (
            "cookie",
            "octets",
            "wrong-ctype",
            "disposition",
            "chunked",
            "fragment",
            "relative",
            "amp",
            "signed",
            "slow-ok:1",
            "space",
            "long",
            "odd-encoding",
            "gzip-unasked",
        )
    ),
    fetched("negotiated", 2),
    fetched("jpeg", suffix=".jpg"),
    fetched("redirect-ok", 2),
    fetched("redirect-relative", 2),
    fetched("redirect-303", 2),
    fetched("signed-redirect", 2),
    *(
        fetched(f"{kind}-then-ok", 2)
        for kind in ("500", "502", "404", "429", "503", "empty", "reset", "close", "truncated")
    ),
    fetched("500-then-ok:3", 4),
    Row("F:url-range-ignored", gets=(2, 4)),
    Row("F:url-range-wrong", "ok|DownloadError|BadImageError", gets=(2, 4)),
    Row("F:url-one-gone", "PartialResultError", n=2, gets=2, images=1, keeps=URLS, doors=True),
    *(gone(name) for name in ("401", "403", "410")),
    gone("403-expired", doors=True),
    gone("signed-404", (1, 4)),
    *(gone(name, (2, 4)) for name in ("404", "429", "500", "503", "garbage", "truncated")),
    *(gone(name, (1, 4)) for name in ("400", "451", "304")),
    gone("empty", 4),
    *(gone(name, 2, "BadImageError", keeps=RESCUE) for name in ("svg", "avif")),
    *(gone(name, (1, 4), "DownloadError|BadImageError", keeps=()) for name in ("204", "206", "html")),
    gone("bomb", 1, "TooLargeError", keeps=(), mib=100),
    gone("endless", (1, 4), "DownloadError|TooLargeError", client=SMALL, mib=30, sent_mib=64),
    gone("cl-huge", (1, 4), "DownloadError|TooLargeError"),
    gone("gzip-bomb", (1, 4), "DownloadError|TooLargeError|BadImageError", keeps=(), mib=150),
    gone("drip", (1, 4), client=QUICK),
    gone("hang", (1, 4), client=QUICK),
)
PICTURE = PICTURES + WORDS + ADDRESSES + DOWNLOADS
