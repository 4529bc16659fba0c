"""Whatever is flipped in an honest answer, stream or picture: a result, or one of our errors."""

from __future__ import annotations

import contextlib
import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comet_magic import CometError
from comet_magic.images import check_picture
from comet_magic.protocol import read_answer, refusal_of
from tests.examples import fewer
from tests.faults import pictures
from tests.faults.scenarios.status import REFUSALS
from tests.faults.scenarios.stream import GOOD

pytestmark = pytest.mark.timeout(900)  # 10,000 examples of each by --full
FLIPS = st.lists(st.tuples(st.integers(0, 10_000), st.binary(min_size=1, max_size=4)), min_size=1, max_size=6)
STUB: Any = SimpleNamespace(
    prompt="seed",
    picture=lambda index=0, kind="png": pictures.picture("seed", index, kind),
    url=lambda **_: "https://pictures.example/0.png",
    envelope=lambda: {"data": [{"b64_json": "aGVsbG8="}]},
)
STREAMS = [
    make(STUB).encode()
    for name, make in GOOD.items()
    if name not in ("sse-huge-id", "sse-deep", "sse-junk-preview")
]
REPLY = json.dumps({"created": 1, "data": [{"b64_json": "aGVsbG8="}, {"url": "https://x.example/"}]}).encode()


def flipped(data: bytes, flips: list[tuple[int, bytes]]) -> bytes:
    for place, piece in flips:
        at = place % max(1, len(data))
        data = data[:at] + piece + data[at + len(piece) :]
    return data


def only_ours(work: Any) -> None:
    with contextlib.suppress(CometError):
        work()


@pytest.mark.parametrize("kind", list(pictures.MIME))
@fewer
@given(flips=FLIPS)
def test_a_flipped_picture_opens_or_is_refused(kind: str, flips: list[tuple[int, bytes]]) -> None:
    data = flipped(pictures.picture("seed", kind=kind), flips)
    only_ours(lambda: check_picture(data, max_pixels=1_000_000))


@pytest.mark.parametrize("kind", list(pictures.MIME))
@fewer
@given(keep=st.integers(0, 2000), tail=st.binary(max_size=40))
def test_a_cut_picture_opens_or_is_refused(kind: str, keep: int, tail: bytes) -> None:
    only_ours(lambda: check_picture(pictures.picture("seed", kind=kind)[:keep] + tail, max_pixels=1_000_000))


@given(stream=st.sampled_from(STREAMS), flips=FLIPS, cut=st.integers(1, 300))
def test_a_flipped_stream_gives_pictures_or_one_of_our_errors(
    stream: bytes, flips: list[tuple[int, bytes]], cut: int
) -> None:
    data = flipped(stream, flips)
    pieces = [data[at : at + cut] for at in range(0, len(data), cut)]
    only_ours(lambda: read_answer(pieces, stream=True, largest=100_000, largest_picture=100_000))


@given(flips=FLIPS, cut=st.integers(1, 50))
def test_a_flipped_reply_gives_pictures_or_one_of_our_errors(
    flips: list[tuple[int, bytes]], cut: int
) -> None:
    data = flipped(REPLY, flips)
    pieces = [data[at : at + cut] for at in range(0, len(data), cut)]
    only_ours(lambda: read_answer(pieces, largest=100_000, largest_picture=100_000))


@fewer
@given(
    name=st.sampled_from(sorted(REFUSALS)),
    flips=FLIPS,
    headers=st.dictionaries(st.text(max_size=20), st.text()),
)
def test_a_flipped_refusal_is_a_short_sentence(
    name: str, flips: list[tuple[int, bytes]], headers: dict[str, str]
) -> None:
    whole = REFUSALS[name].body
    body = (whole if isinstance(whole, bytes) else json.dumps(whole).encode())[:5000]
    error = refusal_of(REFUSALS[name].status, headers, flipped(body, flips))
    assert len(str(error)) <= 500
    assert "\x1b" not in "".join(error.lines())
