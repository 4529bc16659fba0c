"""`kill -9` at random moments of a call for four pictures: nothing is lost, hidden, or paid twice."""

from __future__ import annotations

import io
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from tests.crash import actor
from tests.crash.actor import Moment
from tests.crash.evidence import Scene
from tests.faults.pictures import canvas, encode, picture

if TYPE_CHECKING:
    from tests.crash.conftest import Stage

WAYS: dict[str, tuple[str, dict[str, Any], int]] = {  # the last is the number of requests
    "bodies": ("F:slow-ok:0.02", {"n": 4}, 1),
    "addresses": ("F:url-slow-ok:0.02", {"n": 4, "model": "dall-e-3", "response_format": "url"}, 4),
    "addresses in one answer": ("F:url-slow-ok:0.02", {"n": 4}, 1),
    "streams": ("F:sse-ok", {"n": 4, "stream": True, "partial_images": 2}, 4),
    "27 MB": ("F:image-27mb", {}, 1),
    "30 MB sent": ("F:slow-ok:0.02", {"n": 4, "resize": False}, 1),
}
KINDS = ("sending", "waiting", "decoding", "downloading", "Arrived", "done")


def large_file() -> bytes:
    """A PNG of 30 MB that is sent as it is."""
    out = io.BytesIO()
    Image.frombytes("RGB", (3200, 3200), random.Random(0).randbytes(3200 * 3200 * 3)).save(
        out, "PNG", compress_level=0
    )
    return out.getvalue()


def moments(dice: random.Random, seconds: float, *, requests: int, pictures: int) -> list[Moment]:
    """At any time of a call, and a little after each of its steps."""
    most = dict.fromkeys(KINDS, requests) | {"Arrived": pictures}
    later = [Moment(kind, dice.random() ** 3 * seconds / 2, dice.randint(1, most[kind])) for kind in KINDS]
    return [Moment("start", dice.uniform(0, seconds)), *later]


@pytest.mark.parametrize(
    ("way", "runs", "full"),
    [
        ("bodies", 6, 90),
        ("addresses", 4, 80),
        ("addresses in one answer", 4, 60),
        ("streams", 4, 60),
        ("27 MB", 2, 10),
        ("30 MB sent", 3, 20),
    ],
)
@pytest.mark.timeout(1800)  # three hundred kills
def test_killed_at_random_nothing_is_lost_hidden_or_paid_twice(
    stage: Stage, way: str, runs: int, full: int
) -> None:
    seed = random.randrange(10**6)
    dice = random.Random(seed)
    prompt, options, requests = WAYS[way]
    if way == "30 MB sent":
        options = {**options, "image": large_file()}
    asked = replace(stage.asked, options=options)
    seconds = stage.begin(actor.timed, replace(asked, prompt=f"{prompt} #{way}")).hear()
    print(f"seed {seed}, {seconds:.3f} s")

    for run in range(full if stage.full else runs):
        choice = moments(dice, seconds, requests=requests, pictures=options.get("n", 1))
        moment = choice[(run + (3 if way == "27 MB" else 0)) % len(choice)]  # a large one is long in reading
        scene = Scene(stage.server, replace(asked, prompt=f"{prompt} #{way} {run}"))
        stage.kill(scene.asked, moment)

        scene.check_what_is_left()
        patient = dice.random() < 0.6
        talk = stage.begin(actor.restarted if patient else actor.impatient, scene.asked)
        if patient:
            found = scene.check_after_restart(*talk.hear())
            talk.pipe.send("go on")
        assert len(talk.hear()) == scene.wanted
        talk.end()
        scene.check_nothing_was_repeated_but_what_was_doubtful()
        print(f"{run}: {moment}: {found if patient else 'asked again at once'}; {scene.posts} posts")


@pytest.mark.parametrize("options", [{"n": 4}, {"n": 4, "model": "dall-e-3", "response_format": "url"}])
def test_an_answer_that_was_paid_is_what_the_same_call_gets_after_a_restart(
    stage: Stage, options: dict[str, Any]
) -> None:
    asked = replace(stage.asked, prompt=f"F:url-slow-ok:0.5 #{options}", options=options)
    parts = 4 if "model" in options else 1
    stage.kill(asked, Moment("downloading", 0.0, parts))
    assert stage.server.counts(asked.prompt).posts == parts

    talk = stage.begin(actor.impatient, asked)
    assert len(talk.hear()) == 4
    talk.end()
    assert stage.server.counts(asked.prompt).posts == parts


def test_pictures_with_a_receipt_are_what_the_same_call_gets_after_a_restart(stage: Stage) -> None:
    asked = replace(stage.asked, prompt="F:slow-ok:0.02 #with a receipt")
    stage.ends_killed(stage.begin(actor.killed_before_its_end, asked))
    assert stage.server.counts(asked.prompt).posts == 1

    talk = stage.begin(actor.impatient, asked)
    assert len(talk.hear()) == 1
    talk.end()
    assert stage.server.counts(asked.prompt).posts == 1


@pytest.mark.parametrize("raw_answer_lost", [False, True], ids=["raw answer kept", "raw answer lost"])
@pytest.mark.parametrize(
    "function",
    [
        "comet_magic.client.results.pasted",
        "comet_magic.archive.layout.put",
        "comet_magic.archive.claims.settle",
    ],
)
def test_killed_while_a_picture_is_pasted_both_are_here_after_a_restart_and_nothing_is_pasted_twice(
    stage: Stage, function: str, raw_answer_lost: bool
) -> None:
    prompt = f"F:slow-ok:0.02 #{function} {raw_answer_lost}"
    options = {"image": encode(canvas(prompt)), "mask": (0, 0, 24, 24), "size": "1024x1024"}
    asked = replace(stage.asked, prompt=prompt, options=options)
    scene = Scene(stage.server, asked)
    stage.ends_killed(stage.begin(actor.killed_in, asked, function))
    scene.check_what_is_left()
    if raw_answer_lost:  # as after a power cut
        for path in (scene.folder / "spool").iterdir():
            path.unlink()

    talk = stage.begin(actor.restarted, asked)
    talk.hear()
    (row,) = scene.rows()
    found = [(scene.folder / str(one.unpasted)).read_bytes() for one in row.pictures]
    kept = [one.sha256 for one in row.pictures]
    talk.pipe.send("go on")
    again = talk.hear()
    talk.end()

    lost = raw_answer_lost and not function.endswith("settle")
    assert (row.state, found) == (("unknown", []) if lost else ("done", [picture(prompt)]))
    assert again == kept or lost
    assert scene.posts == 1 + lost
    assert len(list((scene.folder / "unpasted").glob("*/*"))) == 1
