"""An answer's body becomes a reply, whatever its shape and however it is cut."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from comet_magic import errors
from comet_magic.protocol import Reply, decoded, read_answer

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20
TEXT = base64.b64encode(PICTURE).decode()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["data", "b64_json", "url", "error", "x"]), inner)
    ),
    max_leaves=8,
)


def read(body: bytes, *, cut: int = 0, largest: int = 1 << 20) -> Reply:
    pieces = [body[at : at + cut] for at in range(0, len(body), cut)] if cut else [body]
    return read_answer(pieces, largest=1 << 26, largest_picture=largest)


def answer(*entries: Any, **facts: Any) -> bytes:
    return json.dumps({"created": 1, "data": list(entries), **facts}).encode()


@pytest.mark.parametrize("cut", [0, 1, 2, 3, 5, 7, 64, 1000])
def test_a_picture_is_the_same_however_the_body_is_cut(cut: int) -> None:
    reply = read(answer({"b64_json": TEXT}, {"b64_json": TEXT}, usage={"total_tokens": 3}), cut=cut)
    assert [item.data for item in reply.items] == [PICTURE, PICTURE]
    assert reply.usage == {"total_tokens": 3}
    assert reply.created == 1


@given(st.binary(min_size=1, max_size=2000), st.integers(1, 300), st.integers(0, 200))
def test_any_bytes_come_back_from_any_cut(data: bytes, cut: int, line: int) -> None:
    text = base64.b64encode(data).decode()
    if line:
        text = "\r\n".join(text[at : at + line] for at in range(0, len(text), line))
    assert read(answer({"b64_json": text}), cut=cut).items[0].data == data


@pytest.mark.parametrize(
    "text",
    [f"data:image/png;base64,{TEXT}", TEXT.replace("/", "\\/"), f" {TEXT}\n"],
    ids=["data url", "escaped slashes", "white space"],
)
def test_base64_as_gateways_send_it_is_read(text: str) -> None:
    body = answer({"b64_json": "@"}).replace(b"@", text.replace("\n", "\\n").encode())
    assert read(body).items[0].data == PICTURE


@pytest.mark.parametrize(
    "text",
    [
        TEXT.rstrip("=") + "A" * (-len(TEXT.rstrip("=")) % 4 + 1),
        TEXT[:100] + "!" + TEXT[101:],
        "=" + TEXT,
        TEXT + TEXT[:8],
        "A",
        "====",
        TEXT[:4000] + "\\u0041",
    ],
)
def test_damaged_base64_is_a_bad_picture_and_the_good_one_beside_it_is_kept(text: str) -> None:
    body = answer({"b64_json": "@"}, {"b64_json": TEXT}).replace(b"@", text.encode())
    bad, good = read(body).items
    assert isinstance(bad.error, errors.BadImageError)
    assert good.data == PICTURE


def test_an_empty_string_counts_as_absent() -> None:
    reply = read(answer({"b64_json": "", "url": "https://a.example/x.png", "revised_prompt": ""}))
    assert (reply.items[0].url, reply.items[0].data, reply.items[0].revised_prompt) == (
        "https://a.example/x.png",
        None,
        None,
    )


def test_where_bytes_and_an_address_came_the_bytes_count() -> None:
    item = read(answer({"b64_json": TEXT, "url": "https://a.example/x.png"})).items[0]
    assert (item.data, item.url) == (PICTURE, None)


def test_a_prompt_that_quotes_json_is_text() -> None:
    revised = 'say "b64_json": "AAAA" twice, and picture:0'
    item = read(answer({"b64_json": TEXT, "revised_prompt": revised})).items[0]
    assert (item.data, item.revised_prompt) == (PICTURE, revised)


def test_a_key_spelled_with_escapes_is_read() -> None:
    body = answer({"b64_json": TEXT}).replace(b"b64_json", b"b64\\u005fjson")
    assert read(body).items[0].data == PICTURE


def test_a_picture_above_the_limit_is_an_error_of_its_own() -> None:
    small, large = read(answer({"b64_json": "AAAA"}, {"b64_json": TEXT}), largest=1000).items
    assert small.data == b"\0\0\0"
    assert isinstance(large.error, errors.TooLargeError)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"null",
        b"[]",
        b'"text"',
        b"5",
        answer()[:-5],
        answer(),
        b'{"created": 1}',
        b'{"data": null}',
        b'{"data": "x"}',
        b'{"data": {}}',
        b'{"data": [null]}',
        b'{"data": [{}]}',
        b'{"data": [{"b64_json": null, "url": 5}]}',
        b"[" * 100_000,
        b'{"data": ' + b"[" * 100_000,
        b'{"created": ' + b"9" * 10_000 + b"}",
        b"\xff\xfe\x00",
        b'{"data": [{"b64_json": "' + TEXT.encode(),
    ],
)
def test_a_body_without_pictures_is_a_bad_response(body: bytes) -> None:
    try:
        reply = read(body)
    except errors.BadResponseError as error:
        assert error.outcome == "billed"
    else:
        assert all(isinstance(item.error, errors.BadResponseError) for item in reply.items)


def test_strange_facts_beside_the_pictures_do_no_harm() -> None:
    body = b'{"created": NaN, "usage": [1], "size": 5, "x": {"y": [Infinity]}, "data": [{"b64_json": "AAAA", "z": 1}]}'
    reply = read(b"\xef\xbb\xbf" + body)
    assert (reply.created, reply.usage) == (None, None)


def test_an_error_envelope_in_a_200_is_the_servers_error() -> None:
    with pytest.raises(errors.ContentPolicyError) as caught:
        read(b'{"error": {"message": "no", "type": "x", "code": "moderation_blocked"}}')
    assert caught.value.outcome == "rejected"


@given(JSON, st.integers(1, 50))
def test_any_json_is_a_reply_or_one_of_our_errors(document: Any, cut: int) -> None:
    try:
        read(json.dumps(document).encode(), cut=cut)
    except errors.CometError:
        pass


@given(st.binary(max_size=3000))
def test_any_bytes_are_a_reply_or_one_of_our_errors(body: bytes) -> None:
    try:
        read(b'{"data":[{"b64_json":"' + body)
    except errors.CometError:
        pass


def test_text_without_end_beside_the_pictures_is_given_up() -> None:
    def endless() -> Any:
        yield b'{"x": "'
        while True:
            yield b"a" * 1_000_000

    with pytest.raises(errors.TooLargeError):
        read_answer(endless(), largest=1 << 40, largest_picture=10)


def gzip(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=31)
    return packer.compress(data) + packer.flush()


def unpacked(data: bytes, encoding: str, largest: int = 10_000) -> bytes:
    return b"".join(decoded([data[:10], data[10:]], encoding=encoding, largest=largest))


def test_an_honest_gzip_is_read() -> None:
    assert unpacked(gzip(b"abc" * 100), "gzip") == b"abc" * 100
    assert unpacked(zlib.compress(b"abc" * 100), "deflate") == b"abc" * 100
    assert unpacked(b"abc", "identity") == b"abc"


@pytest.mark.parametrize("encoding", ["UTF-8", "none", "br", "gzip", "deflate", "binary", "aws-chunked", ""])
@pytest.mark.parametrize("body", [b'{"data": 1}', PICTURE, b"GIF89a\0\0\xff", "\u8239".encode()])
def test_bytes_are_believed_before_their_label(body: bytes, encoding: str) -> None:
    assert unpacked(body, encoding) == body
    assert unpacked(gzip(body), encoding) == body
    assert unpacked(gzip(gzip(body)), encoding) == body


def test_deflate_is_read_with_its_header_and_without() -> None:
    bare = zlib.compressobj(wbits=-15)
    assert unpacked(bare.compress(PICTURE) + bare.flush(), "deflate") == PICTURE


def test_a_bomb_is_given_up_at_the_limit() -> None:
    with pytest.raises(errors.TooLargeError):
        unpacked(gzip(b"\0" * 1_000_000), "gzip")


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (gzip(b"abc" * 100)[:-9], "gzip"),
        (gzip(b"abc" * 100)[:20] + b"\0" * 20, ""),
        (b"\x01\x02\xff", "br"),
        (b"\x28\xb5\x2f\xfd\x04", "zstd"),
        (b"\x01\x02\xff", "deflate"),
        (gzip(gzip(gzip(b"abc" * 100))), "gzip"),
    ],
)
def test_damaged_or_unknown_encodings_are_refused(data: bytes, encoding: str) -> None:
    with pytest.raises(errors.BadResponseError):
        unpacked(data, encoding)


@given(st.binary(min_size=1, max_size=300), st.integers(1, 20))
@example(b"\0\0>" + b"\xfb\xef\xbe" * 60, 1)  # three letters, then nothing but plus signs
@example(b"\0\0>" + b"\xfb\xef\xbe" * 60, 10_000)
@example(b"\xff" * 60, 10_000)
def test_base64_with_its_signs_spelled_by_number_is_read_from_any_cut(data: bytes, cut: int) -> None:
    coded = base64.b64encode(data).decode()
    spelled = coded.replace("+", "\\u002B").replace("/", "\\u002f").replace("=", "\\u003d")
    assert read(f'{{"data": [{{"b64_json": "{spelled}"}}]}}'.encode(), cut=cut).items[0].data == data


@pytest.mark.parametrize(
    "text", ["picture:0", "picture:\u00b2", "picture:" + "9" * 5000, "picture:-1", "picture:"]
)
def test_a_text_that_looks_like_our_mark_is_no_picture_of_ours(text: str) -> None:
    body = f'{{"data": [{{"b64\\u005fjson": "{text}"}}]}}'.encode()
    (item,) = read(body).items
    assert isinstance(item.error, errors.BadImageError)


def test_an_answer_of_a_thousand_entries_is_read_and_a_longer_one_is_not() -> None:
    body = b'{"data": [{"b64_json": "AAAA"}' + b", {}" * 999 + b"]}"
    assert len(read(body).items) == 1000
    with pytest.raises(errors.BadResponseError, match="has 1001 entries; at most 1000 are read"):
        read(body.replace(b"]}", b", {}]}"))
