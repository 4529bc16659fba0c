"""How answers with status 200 end that are wrong, odd, huge, compressed or streamed."""

from __future__ import annotations

from tests.faults.row import MEBI, Row

SMALL = {"max_response_bytes": 4 * MEBI}
RESCUE = ("rescue",)
PARTIAL = ("partial",)


def useless(name: str, **facts: object) -> Row:
    """A whole answer that holds no picture: billed once, the raw answer kept."""
    return Row(f"F:{name}", "BadResponseError", keeps=RESCUE, **facts)  # type: ignore[arg-type]


def either(name: str, **facts: object) -> Row:
    """A picture in an odd answer: taken, or refused as a whole."""
    return Row(f"F:{name}", "ok|BadResponseError", **facts)  # type: ignore[arg-type]


ANSWERS = (
    useless("html-200", says=("Sign in",), hides=("<script",), outcome="billed|unknown", doors=True),
    useless("html-echo-key", outcome="billed|unknown"),
    Row("F:json-echo-key", "ServerError", "unknown", keeps=RESCUE),
    Row("F:empty-200", "BadResponseError", "billed|unknown"),
    Row("F:blank-200", "BadResponseError", "billed|unknown"),
    *(
        useless(f"json-{name}")
        for name in (
            "null",
            "string",
            "number",
            "true",
            "deep",
            "deep-objects",
            "single-quotes",
        )
    ),
    *(Row(f"F:json-{name}") for name in ("array", "trailing", "comments", "lines")),
    Row("F:json-truncated", doors=True),  # cut behind its picture
    *(
        either(f"json-{name}")
        for name in (
            "nan",
            "dup-keys",
            "bom",
            "utf16",
            "bad-utf8",
            "surrogate",
            "deep-extra",
            "huge-int",
            "huge-created",
            "huge-float",
        )
    ),
    Row("F:error-in-200", "ServerError", "unknown", says=("upstream failed",), doors=True),
    Row("F:error-string-in-200", "ServerError", "unknown"),
    Row("F:error-policy-in-200", "ContentPolicyError", "rejected", charged=1),
    Row("F:error-null-in-200"),
    either("error-beside-data"),
    *(
        useless(f"data-{name}")
        for name in (
            "missing",
            "null",
            "string",
            "number",
            "item-null",
            "item-string",
            "item-list",
            "item-empty",
            "item-nulls",
            "item-blanks",
            "b64-number",
            "url-number",
        )
    ),
    Row("F:data-b64-list", "BadImageError", keeps=RESCUE),
    useless("data-empty", doors=True),
    useless("data-flood", mib=500),
    Row("F:data-object", "ok|BadResponseError"),
    Row("F:data-fewer", n=2, images=1, doors=True),
    Row("F:data-fewer", n=4, images=1),
    Row("F:one-bad-image", "PartialResultError", n=2, images=1, doors=True),
    Row("F:one-null-item", "PartialResultError|ok", n=2, images=1),
    Row("F:all-bad-images", "PartialResultError|BadImageError", n=2),
    Row("F:data-more", images=3),
    Row("F:data-more", n=2, images=4),
    Row("F:data-both", gets=0),
    *(Row(f"F:{name}", doors=True) for name in ("uri-in-url", "picture-as-body", "images-member")),
    Row("F:cut-behind-picture", "PartialResultError", n=2, images=1, keeps=RESCUE),
    Row("F:one-refused", "PartialResultError", n=2, images=1, says=("sensitive information",)),
    Row("F:only-refused", "ContentPolicyError", charged=1, says=("sensitive information",)),
    useless("task", says=("a task instead of pictures (task task-7351",), hides=("filtered",)),
    *(
        Row(f"F:{name}", "BadImageError", keeps=RESCUE)
        for name in ("truncated-b64", "b64-bad-chars", "b64-html", "json-own-mark")
    ),
    Row("F:b64-odd-length", "BadImageError", keeps=RESCUE, doors=True),
    Row("F:b64-only-padding", "BadImageError|BadResponseError", keeps=RESCUE),
    Row("F:b64-of-nothing", "BadImageError|BadResponseError", keeps=RESCUE),
    Row("F:b64-huge-junk", "BadImageError", keeps=RESCUE),
    *(
        Row(f"F:{name}")
        for name in (
            "b64-dataurl",
            "b64-escaped",
            "b64-whitespace",
            "empty-strings",
            "extra-fields",
            "bare-data",
            "usage-null",
            "usage-null-members",
            "usage-odd",
            "usage-negative",
            "usage-chat-style",
            "created-odd",
            "plain-ctype",
            "no-ctype",
            "stream-ctype",
            "html-ctype",
            "odd-ctype",
            "problem-ctype",
            "gzip-ok",
            "identity-named",
        )
    ),
    Row("F:normal", doors=True),
    Row("F:normal", n=4, images=4),
    Row("F:normal", "TooLargeError", client={"max_response_bytes": 100}),
    *(
        Row(f"F:{name}", "BadResponseError")
        for name in (
            "br-unasked",
            "zstd-unasked",
            "gzip-corrupt",
        )
    ),
    Row("F:odd-encoding"),
    either("gzip-unasked"),
    either("deflate-unasked"),
    Row("F:gzip-tail", mib=150),
    Row("F:gzip-bomb", "TooLargeError|BadResponseError", mib=150),
    Row("F:gzip-nested", "TooLargeError|BadResponseError", mib=150),
    Row("F:image-27mb", mib=8 * 36),
    Row("F:image-27mb", n=4, images=4, mib=8 * 4 * 36, client={"timeout": 100}, core=False),
)


def events(name: str, ends: str = "ok", **facts: object) -> Row:
    return Row(f"F:sse-{name}", ends, stream=True, **facts)  # type: ignore[arg-type]


def lost(name: str, ends: str = "AmbiguousError", **facts: object) -> Row:
    """A stream that ends without its picture: the last preview is kept."""
    return events(name, ends, outcome="unknown|billed", **facts)


STREAMS = (
    events("ok", doors=True),
    *(
        events(name)
        for name in (
            "crlf",
            "cr",
            "bom",
            "bytewise",
            "multiline-data",
            "no-event-name",
            "no-type",
            "message",
            "null-error",
            "unknown-event",
            "done-marker",
            "out-of-order",
            "late-partial",
            "comments",
            "ids",
            "no-space",
            "odd-fields",
            "null-data",
            "sparse",
            "bad-preview",
            "odd-preview",
            "junk-preview",
            "two-completed",
            "error-after-completed",
            "dataurl",
            "huge-id",
            "close-delimited",
            "ignored",
        )
    ),
    *(events(name) for name in ("responses", "bare", "retry-first", "error-false", "no-completed-name")),
    events("ark", gets=1),
    events("ark-cut", gets=1),
    events("unlabelled-hang", client={"timeout": 3}),
    events("completed-hang"),
    events("pings", client={"timeout": 1}),
    Row("F:open-json", "ok", client={"timeout": 1}),
    lost("cut", keeps=PARTIAL, doors=True),
    lost("cut-in-completed", keeps=PARTIAL),
    lost("rst", keeps=PARTIAL),
    lost("no-completed", keeps=PARTIAL),
    lost("unfinished", "AmbiguousError|ok", charged=1, keeps=PARTIAL),
    lost("only-done"),
    lost("empty", "AmbiguousError|BadResponseError"),
    lost("html", "AmbiguousError|BadResponseError"),
    lost("error", keeps=PARTIAL),
    lost("error-first", "AmbiguousError|ServerError"),
    events(
        "error-policy",
        "ContentPolicyError",
        outcome="rejected",
        charged=1,
        says=("safety system",),
    ),
    lost("bad-json", "AmbiguousError|BadResponseError", keeps=PARTIAL),
    lost("deep", "AmbiguousError|BadResponseError", keeps=PARTIAL),
    events("bad-final", "BadImageError", keeps=RESCUE),
    lost("empty-final", "BadImageError|BadResponseError|AmbiguousError"),
    lost("number-final", "BadImageError|BadResponseError|AmbiguousError"),
    events("url", "ok|BadResponseError|AmbiguousError", gets=(0, 1)),
    lost("stall", "APITimeoutError", client={"stream_idle_timeout": 0.3}, doors=True),
    lost("heartbeat", "APITimeoutError", client={"timeout": 0.5}),
    lost(
        "heartbeat",
        "APITimeoutError",
        client={"timeout": 3, "stream_idle_timeout": 0.5},
        core=False,
    ),
    lost("empty-events", "APITimeoutError", client={"timeout": 0.5}),
    Row("F:sse-endless-line", "TooLargeError", stream=True, client=SMALL, mib=20, sent_mib=16),
    Row("F:sse-endless-lines", "TooLargeError", stream=True, client=SMALL, mib=20, sent_mib=16),
    Row("F:sse-endless-line", "TooLargeError", stream=True, mib=256, sent_mib=80, core=False),
    events("flood:500"),
    events("flood:2000", mib=200, core=False),
    Row("F:sse-unasked", "ok|BadResponseError"),
)
REPLY = ANSWERS + STREAMS
