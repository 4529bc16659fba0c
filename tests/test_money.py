"""Limits on money hold exactly, whoever asks at once; nothing is sent that would pass one."""

from __future__ import annotations

import os
from concurrent.futures import wait
from typing import TYPE_CHECKING, Any

import pytest

import comet_magic as cm
from comet_magic import BudgetExceededError, Client, CometError, PartialResultError
from comet_magic.archive import Archive, Budget
from comet_magic.request import ImageRequest
from tests.faults.exchange import USAGE
from tests.faults.server import FaultServer
from tests.processes import start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from comet_magic.client import Job

pytestmark = pytest.mark.usefixtures("plain_pictures")

SMALL: dict[str, Any] = {"model": "dall-e-2", "size": "256x256"}
PRICE = 16_000  # micro-USD, for each of these
TEN = 0.16  # USD


@pytest.fixture
def new_client(server: FaultServer, tmp_path: Path) -> Iterator[Callable[..., Client]]:
    made: list[Client] = []

    def new_client(**settings: Any) -> Client:
        arguments = {"base_url": server.base_url, "api_key": server.key, "archive": tmp_path / "cometimg"}
        made.append(Client(**arguments | settings))
        return made[-1]

    yield new_client
    for client in made:
        client.close()
        client.archive.close()


def charged(server: FaultServer, prompt: str) -> int:
    return server.counts(prompt).charged


def refusals(jobs: list[Job]) -> list[CometError]:
    """The errors of all jobs, once all have ended; each is a refusal that cost nothing."""
    wait(jobs, timeout=60)
    errors = [error for job in jobs if (error := job.exception(0))]
    for error in errors:
        assert isinstance(error, BudgetExceededError)
        assert error.outcome == "not_sent"
    return errors  # type: ignore[return-value]  # each is one, as was just seen


@pytest.mark.parametrize("limit", ["max_cost_session", "max_cost_day"])
def test_money_for_ten_pays_for_ten_of_thirty(
    server: FaultServer, new_client: Callable[..., Client], limit: str
) -> None:
    client = new_client(max_in_flight=4, **{limit: TEN})
    jobs = [client.submit(f"ten {limit}", **SMALL) for _ in range(30)]

    assert len(refusals(jobs)) == 20
    assert charged(server, f"ten {limit}") == server.counts(f"ten {limit}").posts == 10
    assert (client.spend().spent_micro, client.spend().reserved_micro) == (10 * PRICE, 0)
    assert len(client.archive.history(limit=None)) == 10


def test_calls_in_flight_count_with_all_that_they_may_cost(
    server: FaultServer, new_client: Callable[..., Client]
) -> None:
    prompt = "F:slow-ok:0.3 #in flight"
    client = new_client(max_in_flight=30, max_cost_session=TEN)
    jobs = [client.submit(prompt, **SMALL) for _ in range(30)]

    assert len(refusals(jobs)) == 20
    assert charged(server, prompt) == 10


PROCESS = """
import json, sys
from concurrent.futures import wait
from comet_magic import BudgetExceededError, Client
base_url, key, folder = sys.argv[1:]
with Client(base_url=base_url, api_key=key, archive=folder, max_cost_day=0.16, max_in_flight=4) as client:
    sys.stdin.readline()
    jobs = [client.submit("a day", model="dall-e-2", size="256x256") for _ in range(15)]
    wait(jobs)
    print(json.dumps([type(job.exception()).__name__ for job in jobs]))
"""


def test_the_money_of_a_day_is_shared_by_processes(server: FaultServer, tmp_path: Path) -> None:
    folder = tmp_path / "cometimg"
    processes = [start(PROCESS, server.base_url, server.key, folder) for _ in range(2)]
    output = "".join(process.communicate("go\n", timeout=60)[0] for process in processes)

    assert output.count("BudgetExceededError") == 20
    assert output.count("NoneType") == 10
    assert charged(server, "a day") == 10
    assert Archive(folder).spend().bound_micro == 10 * PRICE


def test_the_parts_of_a_call_that_there_is_money_for_are_made(
    server: FaultServer, new_client: Callable[..., Client]
) -> None:
    client = new_client(max_cost_session=0.40)
    with pytest.raises(PartialResultError) as caught:
        client.generate("parts", model="dall-e-3", n=30)  # 4 cents each, a request each

    assert len(caught.value.images) == charged(server, "parts") == 10
    assert len(caught.value.errors) == 20
    assert client.spend().bound_micro == 400_000


def test_a_session_lasts_as_long_as_the_process_whatever_settings_change(
    server: FaultServer, new_client: Callable[..., Client]
) -> None:
    refused = 0
    for number in range(20):
        with new_client(max_cost_session=TEN, timeout=100 + number) as client:
            refused += len(refusals([client.submit(f"setting {number}", **SMALL)]))

    assert refused == 10
    assert client.spend().spent_micro == 10 * PRICE


def test_a_session_counts_all_the_archives_of_the_process_and_memory_too(
    server: FaultServer, new_client: Callable[..., Client], tmp_path: Path
) -> None:
    settings: list[dict[str, Any]] = [
        {"archive": archive, "store_prompts": keeps, "timeout": 100 + number}
        for number in range(5)
        for archive in (None, tmp_path / f"archive {number}")
        for keeps in (True, False)
    ]
    refused = 0
    for number, changed in enumerate(settings):
        with new_client(max_cost_session=TEN, **changed) as client:
            refused += len(refusals([client.submit(f"archive {number}", **SMALL)]))

    assert (len(settings), refused) == (20, 10)
    assert sum(charged(server, f"archive {number}") for number in range(20)) == 10


def test_a_forked_child_has_a_session_of_its_own(new_client: Callable[..., Client]) -> None:
    client = new_client(max_cost_session=PRICE / 1e6)
    client.generate("parent", **SMALL)
    child = os.fork()
    if not child:
        try:
            os._exit(int(client.spend().spent_micro != 0))
        finally:
            os._exit(2)
    _, status = os.waitpid(child, 0)

    assert status == 0
    assert client.spend().spent_micro == PRICE


@pytest.mark.parametrize("where", ["call", "client"])
def test_a_call_over_its_own_limit_is_not_sent(
    server: FaultServer, new_client: Callable[..., Client], where: str
) -> None:
    client = new_client(**{"max_cost": TEN} if where == "client" else {})
    mine = {"max_cost": TEN} if where == "call" else {}
    with pytest.raises(BudgetExceededError, match=r"may cost \$0\.176; max_cost is \$0\.16") as caught:
        client.generate(f"over {where}", n=11, **SMALL, **mine)

    assert caught.value.outcome == "not_sent"
    assert caught.value.hint
    assert server.counts(f"over {where}").posts == 0
    assert len(client.generate(f"within {where}", n=10, **SMALL, **mine)) == 10


@pytest.mark.parametrize("limit", ["max_cost", "max_cost_session", "max_cost_day"])
def test_with_a_limit_an_unknown_price_must_be_told(
    server: FaultServer, new_client: Callable[..., Client], limit: str
) -> None:
    prompt = f"unpriced {limit}"
    with pytest.raises(BudgetExceededError, match="price of this call is unknown") as caught:
        new_client(**{limit: 1.0}).generate(prompt, model="brand-new-model")
    assert (caught.value.outcome, server.counts(prompt).posts) == ("not_sent", 0)
    assert "price_per_image" in (caught.value.hint or "")

    client = new_client(**{limit: 1.0}, price_per_image=0.3)
    jobs = [client.submit(prompt, model="brand-new-model") for _ in range(5)]
    fits = 5 if limit == "max_cost" else 3
    assert len(refusals(jobs)) == 5 - fits
    assert charged(server, prompt) == fits
    assert client.spend().spent_micro == fits * 300_000


def test_play_money_and_real_money_know_nothing_of_each_other(
    server: FaultServer, new_client: Callable[..., Client], tmp_path: Path
) -> None:
    archive = Archive(tmp_path / "cometimg")
    call = archive.claim(ImageRequest("real"), vendor="cometapi", reserve=5_000_000)
    archive.settle(call, "done", cost=5_000_000)
    client = new_client(max_cost_day=TEN)
    client.generate("play", n=10, **SMALL)

    assert client.vendor == "sandbox"
    assert client.spend().bound_micro == 10 * PRICE
    assert archive.spend("cometapi").bound_micro == 5_000_000
    budget = Budget(day=5_000_001, archive=5_000_001)
    archive.claim(ImageRequest("real"), vendor="cometapi", reserve=1, budget=budget)
    with pytest.raises(BudgetExceededError):
        archive.claim(ImageRequest("real"), vendor="cometapi", reserve=1, budget=budget)
    archive.close()


def test_what_may_have_been_billed_counts_as_spent(
    server: FaultServer, new_client: Callable[..., Client]
) -> None:
    client = new_client(max_cost_session=PRICE / 1e6)
    with pytest.raises(CometError) as caught:
        client.generate("F:close-no-response #uncertain", **SMALL)
    assert caught.value.outcome == "unknown"
    with pytest.raises(BudgetExceededError):
        client.generate("after it", **SMALL)

    assert (client.spend().spent_micro, client.spend().uncertain_micro) == (0, PRICE)
    assert server.counts("after it").posts == 0


@pytest.mark.parametrize("prompt", ["F:400 #free", "F:401 #free", "F:403-quota #free"])
def test_what_was_refused_costs_nothing(
    server: FaultServer, new_client: Callable[..., Client], prompt: str
) -> None:
    client = new_client(max_cost_session=PRICE / 1e6)
    with pytest.raises(CometError) as caught:
        client.generate(prompt, **SMALL)
    assert caught.value.outcome == "rejected"
    assert client.spend().bound_micro == 0
    client.generate(f"after {prompt}", **SMALL)
    assert client.spend().spent_micro == PRICE


def test_a_refusal_that_counts_work_costs_what_it_counts(
    server: FaultServer, new_client: Callable[..., Client]
) -> None:
    client = new_client(max_cost_session=0.006)
    with pytest.raises(cm.ContentPolicyError) as caught:
        client.generate("F:content-policy-worked #counted", quality="low")
    (entry,) = client.archive.history()
    assert caught.value.outcome == "billed"
    assert caught.value.usage == entry.usage == USAGE
    assert entry.cost == client.spend().spent > 0
    with pytest.raises(BudgetExceededError):
        client.generate("after it", quality="low")
    assert server.counts("after it").posts == 0


def test_the_ledger_and_the_server_count_the_same_money(tmp_path: Path) -> None:
    with (
        cm.start_sandbox() as sandbox,
        Client(base_url=sandbox.base_url, api_key="sandbox", archive=tmp_path / "cometimg") as client,
    ):
        made = [
            client.generate("a boat", n=2, **SMALL),
            client.generate("a boat", size="1024x1024", quality="low"),
            client.generate("a boat", size="1024x1024", quality="low", stream=True, partial_images=1),
        ]
    client.archive.close()

    assert client.spend().spent == sandbox.spent == pytest.approx(sum(images.cost or 0 for images in made))
    assert client.spend().uncertain_micro == client.spend().reserved_micro == 0
