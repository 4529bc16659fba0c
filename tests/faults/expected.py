"""The table: for every scenario the one way in which a call may end."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.faults.exchange import Wish
from tests.faults.expected_picture import PICTURE
from tests.faults.expected_reply import REPLY
from tests.faults.expected_wire import WIRE

if TYPE_CHECKING:
    from tests.faults.row import Row

# One row or two for each decision; their near relatives are in the long run only.
NAMES = """
normal close-no-response rst-after-request hang drip-body truncated-body http10-truncated desync garbage
bad-chunk-size endless-headers endless-chunked cl-huge 400 400-drip 400-endless 400-id-in-message
content-policy 401 error-echo-key header-echo-key 403-quota 403-waf-html 404-model 429-quota 429-no-retry
301-html redirect-cross-307 redirect-trap error-xss error-ansi header-evil 408 429 429-huge 429-bare
flaky 503-retry-after 500-should-retry 400-should-retry 500 503 500-no-retry 502-html 999 202-task
500-invalid-request 503-model html-200 json-echo-key empty-200 json-deep json-truncated json-huge-int
error-in-200 error-policy-in-200 data-empty data-fewer one-bad-image all-bad-images b64-odd-length
gzip-ok gzip-bomb sse-ok sse-bad-preview sse-completed-hang sse-cut sse-error sse-error-policy
sse-bad-json sse-bad-final sse-stall sse-heartbeat sse-endless-line sse-unasked png-bomb png-truncated
svg-script png-text-bomb webp-ok mime-mismatch revised-xss revised-markdown revised-ansi revised-echo-key
url-metadata-name url-private url-mapped url-trap-six url-userinfo url-crlf url-metadata url-trap-two
url-one-trap url-redirect-trap url-redirect-loop url-tls-selfsigned url-ok url-cookie url-redirect-ok
url-500-then-ok url-range-ignored url-one-gone url-403-expired url-bomb url-endless url-gzip-bomb
url-drip json-own-mark data-flood 429-balance 500-nested-moderation 429-delay-in-body uri-in-url
one-refused only-refused sse-responses sse-ark url-odd-encoding url-negotiated url-empty-then-ok url-space
b64-escaped gzip-tail sse-message sse-null-error url-surrogate
"""
DECISIONS = frozenset(NAMES.split())


def placed(row: Row) -> Row:
    return replace(row, core=row.core and Wish.read(row.prompt).name in DECISIONS)


ROWS = tuple(placed(row) for row in WIRE + REPLY + PICTURE)
CORE = tuple(row for row in ROWS if row.core)
DOORS = tuple(row for row in ROWS if row.doors)
