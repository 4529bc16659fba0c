"""What a run makes, what it leaves alone, what ends it, and what it costs."""

from __future__ import annotations

import errno
import random
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from comet_magic.errors import (
    AuthenticationError,
    ConfigurationError,
    InvalidRequestError,
    MissingKeyError,
    QuotaError,
    RateLimitError,
    SaveError,
    SourceError,
)
from comet_magic.pipeline import (
    Dataset,
    agenerate_dataset,
    dataset_run,
    generate_dataset,
    open_dataset,
    plan,
    runner,
)
from comet_magic.pipeline.source import LINGER
from tests.loopback import until
from tests.pipeline.conftest import settings
from tests.pipeline.endpoint import PICTURE, Endpoint, small_picture
from tests.pipeline.maker import rows_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


Make = "Callable[..., Dataset]"
COUNTS = [40, pytest.param(200, marks=pytest.mark.full)]


def test_every_row_becomes_a_picture_in_the_order_of_the_source(make: Make, endpoint: Endpoint) -> None:
    endpoint.delay = 0.01
    report = make(rows_of(30))

    records = list(report.records())

    assert [record["prompt"] for record in records] == rows_of(30)
    assert all((report.folder / record["file_name"]).read_bytes() == PICTURE for record in records)
    assert report.counts["done"] == 30
    assert report.complete


@pytest.mark.parametrize("count", COUNTS)
def test_rows_that_are_added_are_paid_and_the_others_are_not(
    count: int, make: Make, endpoint: Endpoint
) -> None:
    make(rows_of(count))

    report = make([*rows_of(20), *rows_of(10, first=1000), *rows_of(count - 20, first=20)])

    assert endpoint.paid == count + 10
    assert report.counts["done"] == count + 10


@pytest.mark.parametrize("count", COUNTS)
def test_rows_that_are_shuffled_or_removed_cost_nothing(count: int, make: Make, endpoint: Endpoint) -> None:
    make(rows_of(count))
    shuffled = random.Random(1).sample(rows_of(count), count)

    prompts = [record["prompt"] for record in make(shuffled).records()]
    fewer = len(make(rows_of(5, first=3), replace=True))
    whole = make(rows_of(count))

    assert endpoint.paid == count
    assert prompts == shuffled
    assert fewer == 5
    assert whole.counts["done"] == count


def test_the_same_rows_again_give_the_same_metadata_byte_for_byte(make: Make, tmp_path: Path) -> None:
    rows = [{"prompt": f"row {n}", "label": n, "tags": ["a", None]} for n in range(10)]
    make(rows)
    before = (tmp_path / "dataset/metadata.jsonl").read_bytes()

    make(rows)

    assert (tmp_path / "dataset/metadata.jsonl").read_bytes() == before


def test_ten_equal_rows_are_ten_pictures(make: Make, endpoint: Endpoint) -> None:
    report = make(["the same"] * 10)

    assert endpoint.paid == 10
    assert len({record["file_name"] for record in report.records()}) == 10


def test_ten_equal_rows_are_one_picture_when_deduplicated(make: Make, endpoint: Endpoint) -> None:
    report = make(["the same"] * 10, dedupe=True)

    assert endpoint.paid == 1
    assert report.counts["done"] == 10
    assert len({record["file_name"] for record in report.records()}) == 1


def test_a_row_with_n_makes_as_many_rows(make: Make, endpoint: Endpoint) -> None:
    report = make([{"prompt": "one"}, {"prompt": "three", "n": 3}])

    assert endpoint.paid == 4
    assert [record["prompt"] for record in report.records()] == ["one", "three", "three", "three"]


@pytest.mark.parametrize("count", COUNTS)
def test_one_refused_prompt_costs_one_row(count: int, make: Make) -> None:
    rows = rows_of(count)
    rows[20] = "REFUSE this"

    report = make(rows)

    assert len(report) == count
    assert report.counts["done"] == count - 1
    assert report.counts["refused"] == 1
    refused = list(report.records())[20]
    assert (refused["outcome"], refused["code"]) == ("refused", "moderation_blocked")
    assert refused["file_name"] is None


def test_what_ended_is_left_alone_until_it_is_asked_for(make: Make, endpoint: Endpoint) -> None:
    rows = [*rows_of(3), "REFUSE a", "WRONG b", "LOST c", "BROKEN d"]
    first = make(rows).counts
    asked = len(endpoint.asked)

    again = make(rows).counts

    assert first == again
    assert (first["refused"], first["failed"], first["unknown"]) == (1, 2, 1)
    assert len(endpoint.asked) == asked


@pytest.mark.parametrize(
    ("redo", "prompts"), [("failed", {"WRONG b", "BROKEN d"}), ("refused", {"REFUSE a"})]
)
def test_redo_sends_just_the_rows_that_ended_so(
    redo: str, prompts: set[str], make: Make, endpoint: Endpoint
) -> None:
    rows = ["one", "REFUSE a", "WRONG b", "LOST c", "BROKEN d"]
    make(rows)
    asked = len(endpoint.asked)

    make([*rows, "new"], redo=redo)

    assert {one.prompt for one in endpoint.asked[asked:]} == prompts


def test_an_unknown_row_is_sent_again_only_after_saying_what_that_may_cost(
    make: Make, endpoint: Endpoint
) -> None:
    make(["one", "LOST c"])

    with pytest.warns(
        UserWarning, match=r"1 call of unknown outcome is sent .* billed twice \(\$0.04 at most\)"
    ):
        make(["one", "LOST c"], redo="unknown")

    assert Counter(one.prompt for one in endpoint.asked) == {"one": 1, "LOST c": 2}


def test_where_no_row_is_unknown_sending_those_again_warns_of_nothing(make: Make, endpoint: Endpoint) -> None:
    make(["one"])

    make(["one"], redo="unknown")

    assert endpoint.paid == 1


def test_a_failed_download_is_made_good_for_nothing(endpoint: Endpoint, make: Make) -> None:
    endpoint.urls, endpoint.hold = True, 5.0
    report = make(["one"], download_timeout=0.2)
    failed = report.counts["failed"]
    endpoint.hold = 0.0

    again = make(["one"], redo="failed")

    assert failed == 1
    assert again.counts["done"] == 1
    assert endpoint.paid == 1


# --- what ends a run


@pytest.mark.parametrize(
    ("word", "kind"), [("FORBIDDEN", AuthenticationError), ("EMPTY", QuotaError)], ids=["key", "account"]
)
def test_a_wrong_key_or_an_empty_account_stops_the_run_at_once(
    word: str, kind: type[Exception], make: Make, endpoint: Endpoint, tmp_path: Path
) -> None:
    endpoint.delay = 0.05
    rows = [*rows_of(10), f"{word} one", *rows_of(200, first=10)]

    with pytest.raises(kind) as caught:
        make(rows, max_in_flight=4)

    report = open_dataset(tmp_path / "dataset")
    assert len(endpoint.asked) <= 11 + 8
    assert "rows remain; run it again" in caught.value.hint
    assert report.counts["done"] == endpoint.paid
    assert report.counts["open"] == 211 - endpoint.paid
    assert len(report) == 211


def test_rows_left_open_by_a_stop_are_made_by_the_next_run(make: Make, endpoint: Endpoint) -> None:
    rows = [*rows_of(5), "FORBIDDEN one", *rows_of(20, first=5)]
    with pytest.raises(AuthenticationError):
        make(rows, max_in_flight=2)
    endpoint.forgiving = True

    report = make(rows)

    assert report.counts["done"] == 26
    assert endpoint.paid == 26


def test_without_a_key_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(MissingKeyError):
        generate_dataset(["one"], tmp_path / "dataset")

    assert not (tmp_path / "dataset").exists()


def test_a_folder_that_cannot_be_used_is_found_before_paying(
    make: Make, endpoint: Endpoint, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigurationError, match="cannot be written"):
        make(["one"], "file/dataset")

    assert endpoint.asked == []


def test_a_source_that_fails_ends_the_run_after_the_calls_in_flight(
    make: Make, endpoint: Endpoint, tmp_path: Path
) -> None:
    endpoint.delay = 0.1

    def source() -> Iterator[str]:
        yield from rows_of(30)
        raise LookupError("no more prompts")

    with pytest.raises(SourceError, match="LookupError: no more prompts") as caught:
        make(source(), max_in_flight=4)

    report = open_dataset(tmp_path / "dataset")
    assert report.counts["done"] == endpoint.paid == 30
    assert report.counts["unknown"] == 0
    assert isinstance(caught.value.__cause__, LookupError)


def test_a_source_that_breaks_in_the_middle_tells_what_was_paid_before(
    make: Make, endpoint: Endpoint
) -> None:
    def source() -> Iterator[str]:
        yield from rows_of(10)
        raise LookupError("no more prompts")

    with pytest.raises(SourceError) as caught:
        make(source())

    said = "\n".join(caught.value.lines())
    assert (endpoint.paid, caught.value.outcome) == (10, "billed")
    assert "sent 10 requests for at most $0.40; 10 rows of its table have a picture" in said
    assert "Nothing was sent" not in said


def test_a_source_that_breaks_before_anything_was_sent_says_so(make: Make, endpoint: Endpoint) -> None:
    def source() -> Iterator[str]:
        raise LookupError("no prompts at all")
        yield ""

    with pytest.raises(SourceError) as caught:
        make(source())

    assert (endpoint.asked, caught.value.outcome) == ([], "not_sent")
    assert "Nothing was sent" in "\n".join(caught.value.lines())


def test_an_error_of_the_account_tells_what_the_run_has_paid_before_it(
    make: Make, endpoint: Endpoint
) -> None:
    with pytest.raises(AuthenticationError) as caught:
        make([*rows_of(3), "FORBIDDEN one"], max_in_flight=1)

    assert endpoint.paid == 3
    assert "sent 4 requests for at most $0.12; 3 rows" in "\n".join(caught.value.lines())


def test_a_full_disk_ends_the_run_and_hands_over_the_pictures(
    endpoint: Endpoint, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    make(["first"])
    monkeypatch.setattr("comet_magic.archive.layout.write_whole", refuse)

    with pytest.raises(SaveError, match="No space left") as caught:
        make(["first", *rows_of(100)], max_in_flight=2)

    assert endpoint.paid <= 5
    assert len(caught.value.images) >= 1


# --- money


def test_a_budget_is_exact_under_concurrency(make: Make, endpoint: Endpoint) -> None:
    endpoint.delay = 0.02

    report = make(rows_of(200), max_cost=1.00, max_in_flight=64)

    assert endpoint.paid == 25
    assert report.counts["done"] == 25
    assert report.counts["over_budget"] == 175
    assert (report.cost, report.bound) == (1.0, 1.0)


def test_a_budget_holds_over_all_runs_and_can_be_raised(make: Make, endpoint: Endpoint) -> None:
    make(rows_of(20), max_cost=0.40)
    make(rows_of(20), max_cost=0.40)
    before = endpoint.paid

    report = make(rows_of(20), max_cost=0.60)

    assert (before, endpoint.paid) == (10, 15)
    assert report.counts["over_budget"] == 5


def test_a_row_without_a_known_price_is_not_sent_under_a_budget(make: Make, endpoint: Endpoint) -> None:
    report = make(["one", "two"], max_cost=1.00, price_per_image=None)

    assert endpoint.asked == []
    assert report.counts["over_budget"] == 2
    assert "price" in next(iter(report.failures))


def test_money_that_was_only_reserved_is_used_by_later_rows(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.delay = 0.02
    options = {**settings(endpoint), "model": "gpt-image-1", "quality": "auto", "price_per_image": None}
    high = plan(["one"], tmp_path, **{k: v for k, v in options.items() if k != "progress"}).price.high
    assert high is not None

    report = generate_dataset(rows_of(30), tmp_path / "set", **options, max_cost=2.5 * high, max_in_flight=8)

    assert report.counts["done"] == 30
    assert report.bound < 2.5 * high


# --- the server's pace


@pytest.mark.parametrize(("rate", "count"), [(30, 100), pytest.param(40, 600, marks=pytest.mark.full)])
def test_a_server_with_a_limit_gets_few_requests_too_many(rate: int, count: int, make: Make) -> None:
    with Endpoint(rate=rate) as limited:
        report = make(rows_of(count), max_in_flight=32, base_url=limited.base_url)
        warm = (limited.crowded or limited.asked)[
            0
        ].at + 1  # the first crowd was on its way before anyone knew
        later = [one.status == 429 for one in limited.asked if one.at > warm]

        assert report.counts["done"] == count
        assert sum(later) < 0.1 * len(later)
        print(f"{sum(later)} of {len(later)} too many")


@pytest.mark.full
def test_a_pause_that_the_server_asks_for_is_kept_by_all_calls(make: Make) -> None:
    with Endpoint(rate=4, retry_after=1.5) as limited:
        report = make(rows_of(8), max_in_flight=8, base_url=limited.base_url)
        first = limited.crowded[0].at
        between = [one.at for one in limited.asked if first + 0.2 < one.at < first + 1.45]

        assert report.counts["done"] == 8
        assert between == []


def test_a_server_that_asks_for_too_long_a_pause_stops_the_run(make: Make) -> None:
    with Endpoint(rate=1, retry_after=4000) as limited, pytest.raises(RateLimitError) as caught:
        make(rows_of(5), max_in_flight=2, base_url=limited.base_url)

    assert "67 min" in caught.value.hint


def test_a_run_below_the_pace_of_a_server_is_never_refused(make: Make) -> None:
    with Endpoint(rate=80) as limited:
        make(rows_of(100), max_per_minute=70 * 60, max_in_flight=50, base_url=limited.base_url)

        assert (limited.crowded, limited.paid) == ([], 100)


def test_no_more_calls_are_in_flight_than_allowed(make: Make, endpoint: Endpoint) -> None:
    endpoint.delay = 0.3

    make(rows_of(10), max_in_flight=5)

    assert endpoint.most_running == 5


def test_an_endless_source_is_read_no_faster_than_it_is_worked_off(make: Make, endpoint: Endpoint) -> None:
    read = 0

    def endless() -> Iterator[str]:
        nonlocal read
        while True:
            read += 1
            yield f"row {read}"

    report = make(endless(), max_cost=0.80)

    assert endpoint.paid == 20
    assert read <= 1500
    assert report.counts["done"] == 20


def test_answers_are_on_disk_while_they_arrive(make: Make, endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.picture, endpoint.halfway = small_picture(512), 1.0
    half = len(endpoint.picture) * 4 // 3 // 2
    seen: list[bool] = []

    def look() -> None:
        spool = tmp_path / "dataset" / "spool"
        endpoint.until(
            lambda _: [path.stat().st_size >= half for path in spool.glob("*.body")] == [True] * 6, 30
        )
        seen.append(True)

    looking = threading.Thread(target=look)
    looking.start()
    counts = make(rows_of(6), max_in_flight=6).counts
    looking.join()

    assert seen == [True]
    assert counts["done"] == 6


def test_fewer_pictures_are_fetched_at_once_than_calls_are_in_flight(make: Make, endpoint: Endpoint) -> None:
    endpoint.urls, endpoint.delay, endpoint.hold = True, 0.3, 0.3

    report = make(rows_of(40), max_in_flight=40)

    assert report.counts["done"] == 40
    assert endpoint.most_running > 16
    assert endpoint.most_downloading <= 16


def test_a_server_that_was_not_reached_is_asked_by_the_next_run(make: Make) -> None:
    gone = make(["one"], base_url="http://127.0.0.1:9/v1", retry_base_delay=0.01).counts["open"]
    report = make(["one"])

    assert gone == 1
    assert report.counts["done"] == 1


# --- beside others


@pytest.mark.parametrize("delay", [0.0, 0.8], ids=["they are through with", "they have in hand"])
def test_a_row_that_another_run_took_meanwhile_is_not_paid_twice(
    delay: float, make: Make, endpoint: Endpoint
) -> None:
    endpoint.delay = 0.4
    theirs: list[Dataset] = []

    def take() -> None:
        endpoint.until(lambda seen: seen.running == 1)
        endpoint.delay = delay
        theirs.append(make(["second"], append=True))

    taking = threading.Thread(target=take)
    taking.start()
    make(["first", "second"], max_in_flight=1)
    taking.join()

    assert make(["first", "second"]).counts["done"] == 2
    assert Counter(one.prompt for one in endpoint.asked) == {"first": 1, "second": 1}
    assert len(theirs) == 1


# --- what others see meanwhile


def test_the_metadata_is_there_before_the_end(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "REFRESH", 0.05)
    path = tmp_path / "dataset" / "metadata.jsonl"

    def source() -> Iterator[str]:
        yield from rows_of(3)
        assert until(path.exists)
        yield "last"

    assert make(source()).counts["done"] == 4


def test_metadata_that_cannot_be_written_is_told_and_no_picture_is_lost(make: Make, tmp_path: Path) -> None:
    (tmp_path / "dataset" / "metadata.jsonl" / "taken").mkdir(parents=True)

    with pytest.raises(SaveError, match=r"metadata\.jsonl cannot be written"):
        make(rows_of(3))

    assert open_dataset(tmp_path / "dataset").counts["done"] == 3


def test_a_run_that_is_over_does_not_wait_for_more_rows(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("comet_magic.pipeline.source.LOOK", LINGER)
    more = threading.Event()

    def source() -> Iterator[str]:
        yield "FORBIDDEN one"
        time.sleep(1.5 * LINGER)
        yield "two"
        assert more.wait(30)
        yield "three"

    try:
        with pytest.raises(AuthenticationError):
            make(source())
    finally:
        more.set()

    assert len(open_dataset(tmp_path / "dataset")) == 2


# --- the doors


async def _awaited(rows: list[str], out: Path, options: dict[str, Any]) -> dict[str, int]:
    return (await agenerate_dataset(rows, out, **options)).counts


def test_a_dataset_can_be_awaited(endpoint: Endpoint, tmp_path: Path) -> None:
    import asyncio

    counts = asyncio.run(_awaited(rows_of(5), tmp_path / "set", settings(endpoint)))

    assert counts["done"] == 5


@pytest.mark.parametrize("cancelled", [False, True])
def test_an_awaited_run_leaves_the_callers_loop_free(
    cancelled: bool, endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    blocked: set[str] = set()

    def watch(module: Any, name: str) -> None:
        act = getattr(module, name)

        def watched(*args: Any, **options: Any) -> Any:
            if threading.current_thread() is threading.main_thread():
                blocked.add(name)
            return act(*args, **options)

        monkeypatch.setattr(module, name, watched)

    watch(dataset_run.time, "sleep")
    watch(dataset_run, "open_dataset")
    watch(dataset_run, "make_display")
    watch(dataset_run, "BatchCore")
    endpoint.delay = 0.1

    async def main() -> None:
        run = asyncio.create_task(_awaited(rows_of(8), tmp_path / "set", settings(endpoint)))
        while not endpoint.running:
            await asyncio.sleep(0)
        if cancelled:
            run.cancel()
        await asyncio.wait({run})
        assert run.cancelled() == cancelled

    asyncio.run(main())

    assert blocked == set()


def test_what_an_awaited_run_ends_with_is_told_once(endpoint: Endpoint, tmp_path: Path) -> None:
    import asyncio
    import gc

    (tmp_path / "index.sqlite").write_bytes(b"no database" * 100)
    besides: list[dict[str, Any]] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: besides.append(context))
        with pytest.raises(ConfigurationError, match="cannot be used"):
            await _awaited(["one"], tmp_path, settings(endpoint))
        gc.collect()

    asyncio.run(main())

    assert besides == []


def test_cancelling_the_await_lets_calls_in_flight_finish(endpoint: Endpoint, tmp_path: Path) -> None:
    import asyncio

    endpoint.delay = 0.2

    async def main() -> None:
        task = asyncio.create_task(_awaited(rows_of(50), tmp_path / "set", settings(endpoint)))
        await asyncio.to_thread(endpoint.until, lambda seen: seen.running >= 4)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())

    counts = open_dataset(tmp_path / "set").counts
    assert counts["done"] == endpoint.paid < 50
    assert counts["done"] + counts["open"] == 50


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"sizes": "1024x1024"}, InvalidRequestError, "sizes is not a parameter"),
        ({"archive": "here"}, ConfigurationError, "archive is not a setting of a dataset"),
        ({"redo": "done"}, ConfigurationError, "redo is done"),
        (
            {"max_per_minute": 0},
            ConfigurationError,
            "max_per_minute is 0; it must be a number of requests above 0",
        ),
        ({"max_per_minute": "5"}, ConfigurationError, "max_per_minute is '5'"),
        (
            {"cluster": 5},
            ConfigurationError,
            "cluster must be a distributed.Client or a scheduler's address, not int",
        ),
        ({"model": "gpt-image-2", "size": "7x7"}, InvalidRequestError, "size is 7x7"),
        ({"max_in_flight": 0}, ConfigurationError, "max_in_flight is 0"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_is_read(
    options: dict[str, Any], error: type[Exception], words: str, make: Make, tmp_path: Path
) -> None:
    def never() -> Iterator[str]:
        raise AssertionError("it was read")
        yield

    with pytest.raises(error, match=words):
        make(never(), **options)

    assert not (tmp_path / "dataset").exists()


def test_a_run_leaves_no_thread_behind(make: Make) -> None:
    before = set(threading.enumerate())
    make(rows_of(3))
    assert until(lambda: set(threading.enumerate()) <= before), set(threading.enumerate()) - before


def test_a_budget_that_is_used_up_is_in_the_report_and_not_raised(make: Make) -> None:
    counts = make(rows_of(3), max_cost=0.04).counts

    assert (counts["done"], counts["over_budget"]) == (1, 2)
