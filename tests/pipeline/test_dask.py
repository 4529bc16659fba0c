"""Workers in processes of their own: what they make, what a death costs, and who holds the pace."""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from operator import index, itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from anyio.to_thread import run_sync

from comet_magic import dask, generate_one
from comet_magic.archive import Archive
from comet_magic.client.batch import BatchCore
from comet_magic.client.core import configure
from comet_magic.client.loop_thread import LoopHandle
from comet_magic.errors import (
    AmbiguousError,
    APIConnectionError,
    AuthenticationError,
    CometError,
    ConfigurationError,
    ContentPolicyError,
    MissingKeyError,
    RateLimitError,
    ServerError,
)
from comet_magic.pipeline import generate_dataset, open_dataset
from comet_magic.request import ImageRequest
from tests.images_made import noise
from tests.loopback import until
from tests.pipeline.conftest import impatient, interrupt, settings
from tests.pipeline.endpoint import Endpoint
from tests.pipeline.maker import begin_and_die, kill, rows_of, start_maker
from tests.processes import HOME

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from comet_magic.archive import Claim
    from comet_magic.client.job import RunningCall
    from tests.faults.server import FaultServer

distributed = pytest.importorskip("distributed")
Workers = tuple[str, list[int]]
KEY = {"api_key": "sandbox", "price_per_image": 0.04}


def request(prompt: str = "a boat") -> ImageRequest:
    return ImageRequest(prompt, model="test-model")


# --- what a worker tells


def test_what_a_worker_tells_is_short_and_comes_back_as_the_same_error(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    driver = Archive(tmp_path)
    order = {
        "request": request("REFUSE " + "x" * 5000).to_dict(),
        "store": str(tmp_path),
        "token": driver.token,
    }
    there = {"base_url": endpoint.base_url, **KEY}
    told = dask.perform_on_worker({**order, **there})

    assert told is not None
    assert len(json.dumps(told)) < 1000
    error = dask._error(told)
    assert dask.perform_on_worker({**order, "request": request().to_dict(), **there}) is None
    assert isinstance(error, ContentPolicyError)
    driver.close()
    assert (error.outcome, error.code, error.status_code) == ("rejected", "moderation_blocked", 400)


# --- a call that somebody else makes


class Elsewhere:
    """Workers who do what `send` does."""

    def __init__(self, send: Callable[[Claim], Awaitable[CometError | None]]) -> None:
        self.send = send


def delegated(
    store: Path, endpoint: Endpoint, send: Callable[[Claim], Awaitable[CometError | None]]
) -> tuple[RunningCall, Archive]:
    """What came of a call under a driver whose worker is `send`."""
    core = BatchCore(configure({"base_url": endpoint.base_url, "archive": store, **KEY}))  # type: ignore[typeddict-item]
    loop = LoopHandle()
    try:
        return loop.portal.call(core.delegate, request(), 0, Elsewhere(send)), core.archive
    finally:
        core.close()
        loop.release()


def test_a_worker_whose_disk_is_another_leaves_its_call_unknown(endpoint: Endpoint, tmp_path: Path) -> None:
    async def elsewhere(claim: Claim) -> CometError | None:
        return None

    call, archive = delegated(tmp_path / "store", endpoint, elsewhere)

    assert [(str(error), error.outcome) for error in call.errors] == [
        ("the worker's receipt is not on the shared disk", "unknown")
    ]
    assert [one.bound_micro for one in archive.uncertain()] == [40_000]
    archive.close()


def test_a_driver_finishes_what_its_dead_worker_has_paid(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.urls, endpoint.hold = True, 600

    async def dying(claim: Claim) -> CometError | None:
        await run_sync(begin_and_die, tmp_path / "store", endpoint, claim.id)
        endpoint.hold = 0.0
        return AmbiguousError("the worker was lost")

    call, archive = delegated(tmp_path / "store", endpoint, dying)

    assert call.errors == []
    assert archive.stored(request().key("sandbox"))[0].path
    assert endpoint.paid == 1
    archive.close()


@pytest.mark.parametrize("retryable", [True, False])
@pytest.mark.parametrize("kind", [RateLimitError, APIConnectionError, ServerError])
def test_a_driver_sends_again_what_its_worker_calls_retryable_and_nothing_else(
    endpoint: Endpoint, tmp_path: Path, kind: type[CometError], retryable: bool
) -> None:
    sent: list[str] = []

    async def refused(claim: Claim) -> CometError | None:
        sent.append(claim.id)
        return kind("refused by the server", retryable=retryable and len(sent) < 3, status_code=503)

    call, archive = delegated(tmp_path / "store", endpoint, refused)

    assert len(sent) == (3 if retryable else 1)
    assert [(type(error), error.attempts) for error in call.errors] == [(kind, len(sent))]
    assert [entry.state for entry in archive.history()] == ["rejected"]
    archive.close()


def test_a_worker_tells_its_driver_what_the_server_said_of_sending_again(
    server: FaultServer, tmp_path: Path
) -> None:
    driver = Archive(tmp_path / "store")
    order = {
        "store": str(tmp_path / "store"),
        "token": driver.token,
        "base_url": server.base_url,
        "api_key": server.key,
        "max_attempts": 1,
    }
    told = {}
    for prompt in ("F:500-should-retry", "F:429-no-retry"):
        failed = dask.perform_on_worker({**order, "request": ImageRequest(prompt).to_dict()})
        assert failed is not None
        told[prompt] = dask._error(failed).retryable
    driver.close()
    assert told == {"F:500-should-retry": True, "F:429-no-retry": False}


@pytest.mark.parametrize(
    "there", ["nothing", "another dataset", "a file", "a link", "a driver that has ended"]
)
def test_a_worker_that_joins_late_and_sees_another_folder_sends_nothing(
    endpoint: Endpoint, tmp_path: Path, there: str
) -> None:
    driver, other = Archive(tmp_path / "set"), Archive(tmp_path / "other")
    token, seen = driver.token, tmp_path / ("set" if there == "a driver that has ended" else "other")
    if there == "another dataset":
        assert other.token
    elif there == "a file":
        seen.touch()
    elif there == "a link":
        seen.mkdir()
        (seen / "owners").symlink_to(tmp_path / "set" / "owners")
    elif seen == driver.folder:
        driver.close()
    order = {
        "store": str(seen),
        "token": token,
        "request": request().to_dict(),
        "base_url": endpoint.base_url,
    }
    before = sorted(tmp_path.rglob("*"))

    told = dask.perform_on_worker({**order, **KEY})

    assert told is not None
    error = dask._error(told)
    assert isinstance(error, ConfigurationError)
    assert str(error) == f"the worker on {platform.node()} does not see the folder {seen} of this run"
    assert "give `out` a folder that all of them see" in error.hint
    assert (endpoint.asked, sorted(tmp_path.rglob("*"))) == ([], before)
    driver.close()
    other.close()


# --- a cluster


@pytest.fixture(scope="module")
def shared() -> Iterator[Endpoint]:
    with Endpoint(delay=0.1) as server:
        yield server


CLUSTER = """
import json, sys
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=4, processes=True, dashboard_address=None) as cluster:
        pids = [worker.pid for worker in cluster.workers.values()]
        print(json.dumps([cluster.scheduler_address, pids]), flush=True)
        sys.stdin.read()
"""


# A disk of its own is where the test's folder was; the worker's files are on it, too.
ELSEWHERE = 'mount -t tmpfs none "$0" && exec "$@"'


COUNTS = [60, pytest.param(200, marks=pytest.mark.full)]


@pytest.fixture(scope="module")
def workers(shared: Endpoint, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, list[int]]]:
    """The address of a scheduler, and the ids of its two workers, who find key and base URL in their environment."""
    folder = tmp_path_factory.mktemp("dask")
    script = folder / "cluster.py"
    script.write_text(CLUSTER)
    pipe, quiet = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(
        [sys.executable, str(script)],
        env=environment(shared),
        cwd=folder,
        stdin=pipe,
        stdout=pipe,
        stderr=quiet,
    ) as process:
        assert process.stdout is not None
        address, pids = json.loads(process.stdout.readline())
        yield address, pids
        process.communicate(timeout=60)


def environment(shared: Endpoint) -> dict[str, str]:
    """Of a worker: it finds key and base URL there."""
    found = {
        **os.environ,
        "COMETAPI_BASE_URL": shared.base_url,
        "COMETAPI_KEY": "sandbox",
        "PYTHONPATH": HOME,
    }
    # Dask's profiler can stop a worker's interpreter for ever: https://github.com/python/cpython/issues/106883
    return {**found, "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False"}


@contextmanager
def one_elsewhere(address: str, shared: Endpoint, folder: Path, name: str = "elsewhere") -> Iterator[None]:
    """One more worker, for whom a folder of this machine is on another disk."""
    alone = [shutil.which("unshare") or "", "--map-root-user", "--mount", "sh", "-c", ELSEWHERE, str(folder)]
    if not alone[0] or subprocess.run([*alone, "true"], check=False, capture_output=True).returncode:
        pytest.skip("a mount namespace is not permitted here")
    options = [
        "--name",
        name,
        "--no-nanny",
        "--no-dashboard",
        "--local-directory",
        str(folder / "its"),
    ]
    command = [*alone, sys.executable, "-m", "distributed.cli.dask_worker", address, *options]
    with (
        distributed.Client(address, set_as_default=False) as client,
        subprocess.Popen(command, env=environment(shared), stderr=subprocess.DEVNULL) as process,
    ):
        try:
            assert until(lambda: name in map(itemgetter("name"), known(client)))
            yield
        finally:
            process.terminate()
        assert until(lambda: name not in map(itemgetter("name"), known(client)))


def known(client: Any) -> list[dict[str, Any]]:
    """The workers that a scheduler knows."""
    return [*client.scheduler_info(n_workers=-1)["workers"].values()]


@pytest.fixture
def fresh(shared: Endpoint) -> Endpoint:
    """The shared endpoint, with nothing seen yet."""
    shared.asked.clear()
    shared.delay, shared.forgiving, shared.rate, shared.retry_after = 0.1, False, None, 0.5
    return shared


def redone(rows: list[str], out: Path, **options: Any) -> dict[str, int]:
    counts = generate_dataset(rows, out, **options).counts
    if counts["unknown"]:
        with pytest.warns(UserWarning, match="may be billed twice"):
            counts = generate_dataset(rows, out, redo="unknown", **options).counts
    return counts


def test_workers_make_a_dataset_as_the_driver_would(
    workers: Workers, fresh: Endpoint, tmp_path: Path
) -> None:
    rows = [*rows_of(12), "REFUSE one", "LOST one", "WRONG one"]
    with distributed.Client(workers[0], set_as_default=False) as client:
        report = generate_dataset(rows, tmp_path / "set", cluster=client, max_cost=1.0, **settings(fresh))
        again = generate_dataset(rows, tmp_path / "set", cluster=client, max_cost=1.0, **settings(fresh))

    assert (report.counts["done"], report.counts["refused"], report.counts["failed"]) == (12, 1, 1)
    assert report.counts["unknown"] == 1
    assert report.cost == 0.48
    assert report.bound == 0.52
    assert again.counts == report.counts
    assert len(fresh.asked) == 15
    assert {one.idempotency_key[:32] for one in fresh.asked} == {
        entry.id for entry in Archive(tmp_path / "set").history(limit=None)
    }


def test_workers_send_the_pictures_that_the_driver_has_prepared(
    workers: Workers, fresh: Endpoint, tmp_path: Path
) -> None:
    photos = [noise(size=(16 + number, 16)) for number in range(4)]
    for number, data in enumerate(photos):
        (tmp_path / f"{number}.png").write_bytes(data)
    files: list[Any] = [[0], [1], [2, 3], [1]]
    rows = [
        {"caption": f"edit {row}", "photo": [str(tmp_path / f"{one}.png") for one in numbers]}
        for row, numbers in enumerate(files)
    ]
    options = {"prompt": "caption", "image": "photo", **settings(fresh)}
    with distributed.Client(workers[0], set_as_default=False) as client:
        report = generate_dataset(rows, tmp_path / "set", cluster=client, **options)
        again = generate_dataset(rows, tmp_path / "set", cluster=client, **options)

    assert report.counts["done"] == 4
    sent = {one.prompt: one.files for one in fresh.asked}
    assert sent == {f"edit {row}": tuple(photos[one] for one in numbers) for row, numbers in enumerate(files)}
    assert len(fresh.asked) == 4
    assert again.cost == report.cost == 0.16


def test_money_stays_in_the_driver(workers: Workers, fresh: Endpoint, tmp_path: Path) -> None:
    report = generate_dataset(
        rows_of(20), tmp_path / "set", cluster=workers[0], max_cost=0.40, **settings(fresh)
    )

    assert fresh.paid == 10
    assert report.counts["over_budget"] == 10


def test_a_wrong_key_on_the_workers_stops_the_run(workers: Workers, fresh: Endpoint, tmp_path: Path) -> None:
    with pytest.raises(AuthenticationError):
        generate_dataset(
            ["FORBIDDEN one", *rows_of(40)],
            tmp_path / "set",
            cluster=workers[0],
            **settings(fresh) | {"max_in_flight": 2},
        )

    assert fresh.paid < 10


def test_a_server_that_is_down_for_the_workers_ends_the_run(
    workers: Workers, fresh: Endpoint, tmp_path: Path
) -> None:
    rows = [f"DOWN {row}" for row in rows_of(100)]
    options = settings(fresh) | {"cluster": workers[0]}
    with pytest.raises(AmbiguousError, match="the run was stopped"):
        impatient(rows, tmp_path / "set", **options).report()
    sent = len(fresh.asked)
    counts = open_dataset(tmp_path / "set").counts

    assert (counts["unknown"], counts["open"]) == (sent, 100 - sent)
    assert sent <= 8 + 2 + 4
    fresh.forgiving = True
    assert generate_dataset(rows, tmp_path / "set", **options).counts["done"] == 100 - sent


def test_an_interrupt_ends_the_wait_after_a_429_that_a_worker_got(
    workers: Workers, fresh: Endpoint, tmp_path: Path
) -> None:
    fresh.rate, fresh.retry_after = 0.001, 500
    run = impatient(rows_of(20), tmp_path / "set", **settings(fresh), cluster=workers[0])
    interrupt(run, when=lambda: len(fresh.asked) >= 8)

    assert open_dataset(tmp_path / "set").counts["open"] == 20


def test_workers_without_a_key_stop_the_run_before_anything_is_sent(
    workers: Workers, endpoint: Endpoint, tmp_path: Path
) -> None:
    # Theirs is for another address, and goes nowhere else.
    with pytest.raises(MissingKeyError):
        generate_dataset(rows_of(40), tmp_path / "set", cluster=workers[0], **settings(endpoint))

    assert endpoint.asked == []
    assert open_dataset(tmp_path / "set").counts["open"] == 40


def test_a_worker_that_cannot_make_pictures_stops_the_run(
    workers: Workers, fresh: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask, "perform_on_worker", index)  # it fails where it runs

    with pytest.raises(ConfigurationError, match=r"the workers cannot make pictures \(TypeError"):
        generate_dataset(rows_of(20), tmp_path / "set", cluster=workers[0], **settings(fresh))

    assert fresh.asked == []
    assert open_dataset(tmp_path / "set").counts["open"] == 20


def test_a_worker_that_does_not_see_the_folder_stops_the_run_before_anything_is_sent(
    workers: Workers, fresh: Endpoint, tmp_path: Path
) -> None:
    out, options = tmp_path / "set", settings(fresh) | {"cluster": workers[0]}
    with (
        one_elsewhere(workers[0], fresh, tmp_path),
        pytest.raises(ConfigurationError, match="does not see the folder") as caught,
    ):
        generate_dataset(rows_of(20), out, **options)

    assert str(caught.value) == f"the worker on {platform.node()} does not see the folder {out} of this run"
    assert "give `out` a folder that all of them see" in caught.value.hint
    assert (fresh.asked, Archive(out).history(), [*out.glob("owners/*")]) == ([], [], [])
    assert generate_dataset(rows_of(2), out, **options).counts["done"] == fresh.paid == 2


def test_each_of_several_workers_that_do_not_see_the_folder_is_named(
    workers: Workers, fresh: Endpoint, tmp_path: Path
) -> None:
    with (
        one_elsewhere(workers[0], fresh, tmp_path),
        one_elsewhere(workers[0], fresh, tmp_path, "farther"),
        distributed.Client(workers[0], set_as_default=False) as client,
    ):
        blind = client.scheduler_info(n_workers=-1)["workers"].items()
        names = [address for address, worker in blind if worker["name"] in ("elsewhere", "farther")]
        with pytest.raises(ConfigurationError, match=r"2 of \d workers do not see the folder") as caught:
            generate_dataset(rows_of(20), tmp_path / "set", **settings(fresh), cluster=workers[0])

    assert all(name in str(caught.value) for name in names)
    assert "give `out` a folder that all of them see" in caught.value.hint
    assert fresh.asked == []


def test_a_server_that_refuses_the_workers_is_given_time_by_the_driver(
    workers: Workers, fresh: Endpoint, tmp_path: Path
) -> None:
    fresh.rate, fresh.retry_after, fresh.delay = 6, 0.3, 0.0

    report = generate_dataset(rows_of(12), tmp_path / "set", cluster=workers[0], **settings(fresh))

    assert report.counts["done"] == fresh.paid == 12
    assert fresh.crowded != []


def test_what_workers_finish_after_a_second_interrupt_is_found_by_the_next_run(
    workers: Workers, fresh: Endpoint, tmp_path: Path
) -> None:
    fresh.delay = 1.5
    driver = start_maker(
        rows_of(10), tmp_path / "set", fresh, max_in_flight=3, cluster=workers[0], progress=True
    )
    fresh.until(lambda seen: seen.running == 3)
    assert driver.stderr is not None
    driver.send_signal(signal.SIGINT)
    driver.stderr.readline()
    driver.send_signal(signal.SIGINT)
    end = json.loads(driver.communicate(timeout=60)[0])
    before = open_dataset(tmp_path / "set").counts
    fresh.until(lambda _: len(list((tmp_path / "set").glob("receipts/*/*.json"))) == 3)
    fresh.delay = 0.0

    counts = generate_dataset(rows_of(10), tmp_path / "set", cluster=workers[0], **settings(fresh)).counts

    assert (end["error"], end["outcome"]) == ("CallAbandoned", "unknown")
    assert (before["unknown"], before["open"]) == (3, 7)
    assert counts["done"] == fresh.paid == 10


def test_without_dask_what_to_install_is_told(
    fresh: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)

    with pytest.raises(ConfigurationError, match="distributed is not installed") as caught:
        generate_dataset(["one"], tmp_path / "set", cluster="tcp://127.0.0.1:9", **settings(fresh))

    assert "comet-magic[dask]" in caught.value.hint


def test_a_cluster_that_does_not_answer_is_told_before_paying(fresh: Endpoint, tmp_path: Path) -> None:
    import dask

    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(ConfigurationError, match=r"the cluster at tcp://127.0.0.1:9 cannot be used") as caught,
    ):
        generate_dataset(["one"], tmp_path / "set", cluster="tcp://127.0.0.1:9", **settings(fresh))

    assert caught.value.hint == "Is its scheduler running, and is this its address?"


@pytest.mark.parametrize("count", COUNTS)
def test_a_worker_that_is_killed_costs_at_most_its_calls(
    count: int, workers: Workers, fresh: Endpoint, tmp_path: Path
) -> None:
    rows = rows_of(count)
    options = {**settings(fresh), "max_in_flight": 8, "cluster": workers[0]}
    victim = workers[1].pop()  # each time another one
    killer = _when(fresh, count // 2, lambda: os.kill(victim, signal.SIGKILL))

    report = generate_dataset(rows, tmp_path / "set", **options)
    killer.join()
    first = dict(report.counts)

    assert first["done"] + first["unknown"] == count
    assert first["unknown"] <= 4
    assert max(Counter(one.prompt for one in fresh.asked).values()) == 1
    assert redone(rows, tmp_path / "set", **options)["done"] == count
    assert fresh.paid <= count + 4
    print(f"{count} rows, {first['unknown']} unknown, paid over wanted {fresh.paid / count:.3f}")


@pytest.mark.parametrize("count", COUNTS)
def test_a_driver_that_is_killed_loses_nothing_that_its_workers_finish(
    count: int, workers: Workers, fresh: Endpoint, tmp_path: Path
) -> None:
    rows = rows_of(count)
    options = {"max_in_flight": 8, "cluster": workers[0]}
    driver = start_maker(rows, tmp_path / "set", fresh, **options)
    fresh.until(lambda seen: seen.paid >= count // 2)
    kill(driver)

    counts = redone(rows, tmp_path / "set", **settings(fresh), **options)

    assert counts["done"] == count, (counts, open_dataset(tmp_path / "set").failures)
    assert fresh.paid <= count * 1.02
    print(f"{count} rows, paid over wanted {fresh.paid / count:.3f}")


def test_a_run_of_workers_below_the_pace_of_a_server_is_never_refused(
    workers: Workers, fresh: Endpoint, tmp_path: Path
) -> None:
    fresh.delay, fresh.rate = 0.0, 40

    generate_dataset(
        rows_of(50),
        tmp_path / "set",
        cluster=workers[0],
        max_per_minute=60 * 30,
        **settings(fresh) | {"max_in_flight": 16},
    )

    assert (fresh.crowded, fresh.paid) == ([], 50)


def _when(endpoint: Endpoint, paid: int, act: Any) -> Any:
    """A thread that acts once so many calls are paid."""
    import threading

    def watch() -> None:
        endpoint.until(lambda seen: seen.paid >= paid)
        act()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def test_a_picture_that_another_call_finished_late_is_found_and_not_paid_again(
    workers: Workers, fresh: Endpoint, tmp_path: Path
) -> None:
    generate_one(request("row 0"), tmp_path / "set", base_url=fresh.base_url, **KEY)
    generate_dataset(["row 1"], tmp_path / "set", cluster=workers[0], **settings(fresh))
    generate_one(request("row 2"), tmp_path / "set", base_url=fresh.base_url, **KEY)

    found = generate_dataset(rows_of(3), tmp_path / "set", cluster=workers[0], **settings(fresh))

    assert found.counts["done"] == fresh.paid == 3
    assert found.cost == 0.12
