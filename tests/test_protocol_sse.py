"""Server-sent events become previews and one picture, whatever the line ends and cuts."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comet_magic import errors
from comet_magic.protocol import Reply, StreamEvent, StreamReader, read_answer, read_preview

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8
LIMIT = 1 << 20


def event(kind: str, data: bytes = PICTURE, *, named: bool = True, end: str = "\n", **facts: object) -> bytes:
    body = json.dumps(
        {"type": f"image_generation.{kind}", "b64_json": base64.b64encode(data).decode(), **facts}
    )
    name = f"event: image_generation.{kind}{end}" if named else ""
    return f"{name}data: {body}{end}{end}".encode()


STREAM = event("partial_image", b"preview", partial_image_index=0) + event(
    "completed", usage={"total_tokens": 5}
)


def read(stream: bytes, *, cut: int = 0, largest: int = LIMIT) -> Reply:
    pieces = [stream[at : at + cut] for at in range(0, len(stream), cut)] if cut else [stream]
    return read_answer(pieces, stream=True, largest=largest, largest_picture=LIMIT)


def events(stream: bytes, cut: int) -> list[StreamEvent]:
    reader = StreamReader(largest=LIMIT)
    found = [one for at in range(0, len(stream), cut) for one in reader.feed(stream[at : at + cut])]
    return [*found, *reader.finish()]


@pytest.mark.parametrize("cut", [1, 2, 3, 7, 100, 5000])
@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
@pytest.mark.parametrize("named", [True, False])
def test_the_picture_is_the_same_for_every_line_end_and_cut(cut: int, end: str, named: bool) -> None:
    stream = event("partial_image", b"preview", named=named, end=end) + event(
        "completed", named=named, end=end
    )
    assert read(stream, cut=cut).items[0].data == PICTURE
    assert [one.is_preview for one in events(stream, cut)] == [True, False]


def test_usage_comes_with_the_last_event() -> None:
    assert read(STREAM).usage == {"total_tokens": 5}


def test_a_preview_is_the_picture_of_a_partial_event() -> None:
    first = events(STREAM, 4096)[0]
    assert read_preview(first, largest_picture=LIMIT) == b"preview"


@pytest.mark.parametrize(
    "data", [b"{", b"[]", b'{"b64_json": 5}', b'{"b64_json": "!!!!"}', b'{"b64_json": ""}']
)
def test_a_preview_that_cannot_be_read_is_none(data: bytes) -> None:
    assert read_preview(StreamEvent("x", data), largest_picture=LIMIT) is None


@pytest.mark.parametrize(
    "before",
    [
        b"\xef\xbb\xbf",
        b": keepalive\n\n",
        b"event: image_generation.unknown\ndata: {}\n\n",
        b"id: 5\nretry: 10\n\n",
        b"\n\n\n",
    ],
)
def test_what_is_not_a_picture_is_passed_over(before: bytes) -> None:
    assert read(before + STREAM).items[0].data == PICTURE


def test_data_on_several_lines_is_joined() -> None:
    lines = json.dumps({"type": "image_generation.completed", "b64_json": "AAAA"}, indent=1).encode()
    stream = b"".join(b"data: " + line + b"\n" for line in lines.split(b"\n")) + b"\n"
    assert read(stream).items[0].data == b"\0\0\0"


def test_a_last_event_without_a_blank_line_counts() -> None:
    assert read(STREAM.rstrip(b"\n")).items[0].data == PICTURE


def test_a_plain_answer_sent_as_the_only_event_counts() -> None:
    body = json.dumps({"created": 1, "data": [{"b64_json": "AAAA"}]}).encode()
    assert read(b"data: " + body + b"\n\ndata: [DONE]\n\n").items[0].data == b"\0\0\0"


@pytest.mark.parametrize(
    "stream",
    [b"", event("partial_image"), event("completed")[:-200], b"data: [DONE]\n\n", b'data: {"data": []}\n\n'],
)
def test_a_stream_without_its_picture_leaves_the_bill_open(stream: bytes) -> None:
    with pytest.raises(errors.CometError) as caught:
        read(stream)
    assert isinstance(caught.value, (errors.AmbiguousError, errors.BadResponseError))


@pytest.mark.parametrize(
    "stream",
    [
        b'event: error\ndata: {"error": {"message": "no", "code": "moderation_blocked"}}\n\n',
        b'data: {"error": {"message": "no", "code": "moderation_blocked"}}\n\n',
        b'event: error\ndata: {"message": "no", "code": "moderation_blocked"}\n\n',
    ],
)
def test_an_error_event_is_the_servers_error(stream: bytes) -> None:
    with pytest.raises(errors.ContentPolicyError) as caught:
        read(event("partial_image") + stream)
    assert caught.value.outcome == "rejected"


def test_a_line_without_end_is_given_up() -> None:
    with pytest.raises(errors.TooLargeError):
        read(b"data: " + b"a" * 5000, cut=100, largest=4000)
    with pytest.raises(errors.TooLargeError):
        read(b"data: aaaaaaaa\n" * 1000, cut=100, largest=4000)


@given(
    st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"data:", b"event:", b" x", b":", b"\xef\xbb\xbf"])),
    st.integers(1, 9),
)
def test_the_events_do_not_depend_on_the_cuts(parts: list[bytes], cut: int) -> None:
    stream = b"".join(parts)
    assert events(stream, cut) == events(stream, max(1, len(stream)))


@given(
    st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"data: x", b"event: y", b": z"])),
    st.integers(1, 9),
)
def test_an_event_is_read_again_from_where_it_begins(parts: list[bytes], cut: int) -> None:
    stream = b"".join(parts)
    for one in events(stream, cut):
        again = events(stream[one.begins :], len(stream))
        assert (again[0].name, again[0].data) == (one.name, one.data)
        assert len(again) == len([other for other in events(stream, cut) if other.begins >= one.begins])


@given(st.binary(max_size=500), st.integers(1, 50))
def test_any_bytes_are_a_reply_or_one_of_our_errors(stream: bytes, cut: int) -> None:
    try:
        read(b"data: " + stream, cut=cut)
    except errors.CometError:
        pass


PLAIN = json.dumps({"error": None, "data": [{"b64_json": base64.b64encode(PICTURE).decode()}]}).encode()


@pytest.mark.parametrize(
    ("name", "data", "preview", "end"),
    [
        ("message", b'{"type": "image_generation.completed"}', False, False),
        ("message", b'{"type": "image_generation.partial_image"}', True, False),
        ("image_edit.partial_image", b'{"error": {}}', True, False),
        ("image_generation.partial_succeeded", b"{}", False, False),
        ("", b'{"partial_image_b64": "AAAA"}', True, False),
        ("", b" [DONE]\r", False, True),
        ("", b"", False, False),
    ],
)
def test_previews_and_the_end_are_known_by_the_name_and_else_by_the_first_bytes(
    name: str, data: bytes, preview: bool, end: bool
) -> None:
    event = StreamEvent(name, data)
    assert (event.is_preview, event.is_end) == (preview, end)


def test_a_plain_answer_as_the_only_event_is_read_also_where_it_says_that_there_is_no_error() -> None:
    assert read(b"data: " + PLAIN + b"\n\n").items[0].data == PICTURE
