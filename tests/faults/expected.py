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

# Near relatives of other rows: the long run has them too.
NAMES = """
headers-cut status-line-cut continue-then-close endless-continue half-close length-and-chunks
http2-preface http09 http3-version header-without-colon header-nul negative-length wordy-length
two-lengths switching-protocols 400-empty 400-string-error 400-message-only 400-detail 400-numeric-code
400-object-code 400-null-fields 400-list 400-bad-utf8 400-id-in-oneapi-header 400-billing-limit
content-policy-old 401-html 403 410 418 429-credit 429-spend 300-choices 302-without-location 304
redirect-cross-301 redirect-cross-303 redirect-cross-308 425 429-skewed-date 429-empty-hint 429-html
429-huge-ms 529-retry-after 523 525 526 500-empty 500-binary 500-text 522 529 599 500-retry-after 206
blank-200 json-number json-true json-single-quotes json-comments json-lines json-deep-objects json-utf16
json-huge-created json-huge-float error-string-in-200 error-null-in-200 data-number data-item-string
data-item-list data-item-nulls data-b64-list data-url-number data-object one-null-item b64-html
b64-only-padding b64-of-nothing usage-null-members usage-chat-style created-odd html-ctype odd-ctype
problem-ctype identity-named deflate-unasked zstd-unasked odd-encoding sse-no-type sse-late-partial
sse-ids sse-no-space sse-odd-fields sse-null-data sse-dataurl sse-huge-id sse-close-delimited
sse-only-done sse-empty sse-error-first sse-number-final sse-url sse-endless-lines png-bad-pixels
png-signature-only png-header-only bmp tiff ico ppm psd fits jp2 empty-riff one-byte png-trailing
png-animated png-palette png-grey-alpha jpeg-cmyk revised-number revised-object revised-surrogate
url-gopher url-empty-host url-no-slashes url-wordy-port url-negative-port url-link-local url-cgnat
url-multicast url-nat64 url-6to4 url-trap-three url-trap-octal url-trap-hex url-trap-short url-trap-zero
url-localhost-dot-trap url-userinfo-trick url-nul url-space url-tab-in-host url-ideographic-dots
url-fraction-slash url-zone url-percent-host url-redirect-localhost url-redirect-userinfo
url-redirect-garbage url-redirect-empty url-redirect-tls url-octets url-chunked url-fragment
url-redirect-relative url-redirect-303 url-502-then-ok url-503-then-ok url-close-then-ok url-range-wrong
url-401 url-403 url-429 url-503 url-garbage url-truncated url-400 url-451 url-304 url-204 url-206 url-svg
url-gzip-unasked cl-too-short http10-close early-hints rst-after-answer slow-headers truncated-chunked
keepalive-drop 400-null-error 400-deep 400-gzip-unasked error-echo-key-at-the-limit 405 409 413 415 422
redirect-same-308 redirect-cross-302 redirect-loop redirect-evil-location error-huge error-template
429-past-date 429-negative 429-nan 429-garbage 429-zero 429-overflow 521 500-cut 504 520 500-user-error
html-echo-key json-array json-string json-trailing json-nan json-dup-keys json-bom json-bad-utf8
json-deep-extra json-surrogate data-missing data-null data-string data-item-null data-item-blanks
data-b64-number data-both b64-bad-chars b64-whitespace b64-dataurl empty-strings extra-fields bare-data
usage-null usage-odd usage-negative plain-ctype no-ctype br-unasked gzip-unasked gzip-nested sse-cr
sse-bom sse-bytewise sse-multiline-data sse-no-event-name sse-unknown-event sse-done-marker sse-comments
sse-sparse sse-odd-preview sse-junk-preview sse-two-completed sse-cut-in-completed sse-rst sse-deep
sse-empty-events png-bomb-header png-bad-crc jpeg-truncated webp-truncated gif eps pdf elf random-bytes
html-as-image png-text-evil revised-bidi revised-template revised-path url-ftp url-javascript
url-scheme-relative url-relative url-bad-port url-trap-decimal url-localhost-trap url-backslash
url-redirect-metadata url-unicode url-wrong-ctype url-disposition url-amp url-jpeg url-404-then-ok
url-429-then-ok url-reset-then-ok url-signed-404 url-404 url-html sliced slow-close json-huge 402
429-date 429-ms 524-html 204 json-null data-item-empty error-beside-data truncated-b64 b64-huge-junk
image-27mb sse-crlf sse-out-of-order sse-error-after-completed sse-ignored sse-flood sse-no-completed
png-zero-size png-bomb-warn jpeg-ok revised-5mib url-data url-huge url-redirect-file url-dead url-name
url-signed url-slow-ok url-signed-redirect url-truncated-then-ok url-410 url-cl-huge url-hang url-file
rst-mid-body slow-ok
"""
RELATIVES = frozenset(NAMES.split())


def placed(row: Row) -> Row:
    return replace(row, core=row.core and Wish.read(row.prompt).name not in RELATIVES)


ROWS = tuple(placed(row) for row in WIRE + REPLY + PICTURE)
CORE = tuple(row for row in ROWS if row.core)
DOORS = tuple(row for row in ROWS if row.doors)
