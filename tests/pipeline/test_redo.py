"""What is made again, what that costs, and what is never bought twice; pictures that are missing are due again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from comet_magic.errors import ConfigurationError, InvalidRequestError, PartialResultError
from comet_magic.pipeline import Dataset, generate_dataset, open_dataset, plan
from tests.pipeline.conftest import settings
from tests.pipeline.endpoint import Endpoint, _reply, small_picture
from tests.pipeline.maker import rows_of

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from pathlib import Path

    from comet_magic.pipeline import Redo

    Make = Callable[..., Dataset]


@pytest.mark.parametrize("options", [{}, {"store_prompts": False}], ids=["", "prompts are not kept"])
def test_a_paid_picture_is_fetched_and_never_bought_again(
    options: dict[str, bool],
    make: Make,
    endpoint: Endpoint,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    endpoint.urls = endpoint.sold_out = True
    make([*rows_of(2), "WRONG"], **options)
    endpoint.forgiving = True
    planned = plan([*rows_of(2), "WRONG"], tmp_path / "dataset", redo="failed", **settings(endpoint))
    still = make([*rows_of(2), "WRONG"], redo="failed", **options).counts
    said = capsys.readouterr().err
    endpoint.sold_out = False

    report = make([*rows_of(2), "WRONG"], redo="failed", **options)

    assert (planned.to_fetch, planned.to_generate) == (2, 1)
    assert said == "1 row is sent again for at most $0.04; 2 paid pictures are fetched again, free\n"
    assert still["failed"] == 3
    assert (report.counts["done"], endpoint.paid) == (3, 3)


def test_what_came_empty_is_bought_again_and_says_for_how_much(
    make: Make, endpoint: Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    make(["one", "BROKEN a"])

    make(["one", "BROKEN a"], redo="failed")

    assert endpoint.paid == 3
    assert capsys.readouterr().err == "1 row is sent again for at most $0.04\n"


def test_a_picture_that_is_gone_or_damaged_is_found_and_due_again(
    make: Make, endpoint: Endpoint, tmp_path: Path
) -> None:
    report = make(rows_of(4))
    gone, damaged, *_ = [report.folder / record["file_name"] for record in report.records()]
    whole = report.verify()
    gone.unlink()
    damaged.write_bytes(small_picture(8))

    found = report.verify()

    assert whole
    assert not found
    assert [len(found.missing), len(found.damaged)] == [1, 1]
    assert gone.name in str(found)
    assert (report.counts["done"], report.counts["open"]) == (2, 2)
    assert plan(rows_of(4), tmp_path / "dataset", **settings(endpoint)).to_generate == 2
    assert make(rows_of(4)).verify()
    assert endpoint.paid == 6


def test_a_missing_picture_whose_address_still_works_is_fetched_free(make: Make, endpoint: Endpoint) -> None:
    endpoint.urls = True
    report = make(["one"])
    (report.folder / next(report.records())["file_name"]).unlink()
    report.verify()

    assert make(["one"]).counts["done"] == endpoint.paid == 1


def test_looking_at_whole_pictures_writes_nothing(make: Make) -> None:
    report = make(rows_of(2))
    before = (report.folder / "ledger.sqlite").stat().st_mtime_ns

    assert report.verify()
    assert (report.folder / "ledger.sqlite").stat().st_mtime_ns == before
    assert not (report.folder / "owners").exists() or not list((report.folder / "owners").iterdir())


ENDED = ["one", "REFUSE a", "WRONG b", "LOST c", "REFUSE d"]


@pytest.mark.parametrize(
    ("redo", "prompts"),
    [
        ([1, 0], {"REFUSE a"}),
        ([False, False, True, False, True], {"WRONG b", "REFUSE d"}),
        (lambda row: row["outcome"] == "refused" and "d" in row["prompt"], {"REFUSE d"}),
        (["refused", "failed"], {"REFUSE a", "WRONG b", "REFUSE d"}),
        (lambda row: False, set()),
    ],
    ids=["places", "a mask", "a function", "statuses", "none"],
)
def test_redo_takes_rows_and_sends_of_them_those_without_a_picture(
    redo: Any, prompts: set[str], make: Make, endpoint: Endpoint, tmp_path: Path
) -> None:
    make(ENDED)
    asked = len(endpoint.asked)
    endpoint.forgiving = True
    options = {"base_url": endpoint.base_url, "model": "test-model", "price_per_image": 0.04}

    assert plan([*ENDED, "new"], tmp_path / "dataset", redo=redo, **options).to_generate == len(prompts)
    report = make([*ENDED, "new"], redo=redo)

    assert {one.prompt for one in endpoint.asked[asked:]} == prompts
    assert report.counts["done"] == 1 + len(prompts)


def test_rows_that_are_chosen_are_sent_again_without_their_table(make: Make, endpoint: Endpoint) -> None:
    report = make(ENDED)
    endpoint.forgiving = True

    with pytest.warns(UserWarning, match=r"1 call of unknown outcome is sent again .*\(\$0.04 at most\)"):
        again = report.retry([3, 4], progress=False)

    assert [record["outcome"] for record in again.records()] == [
        "done",
        "refused",
        "failed",
        "unknown",
        "done",
    ]


@pytest.mark.parametrize(
    ("redo", "said"),
    [([9], "row 9 is not there"), ([True], "the mask has 1 value"), ({"a": 1}, "give a mask")],
)
def test_rows_that_are_not_there_are_refused_before_anything_is_sent(
    redo: Any, said: str, make: Make, endpoint: Endpoint
) -> None:
    make(ENDED)
    asked = len(endpoint.asked)

    with pytest.raises(InvalidRequestError, match=said) as caught:
        make(ENDED, redo=redo)

    assert caught.value.param == "redo"
    assert len(endpoint.asked) == asked


# --- without the table


@pytest.mark.parametrize(
    ("status", "prompt"), [("refused", "REFUSE a"), ("failed", "WRONG b"), ("unknown", "LOST c")]
)
def test_rows_are_sent_again_without_their_table(
    status: Redo, prompt: str, make: Make, endpoint: Endpoint, recwarn: pytest.WarningsRecorder
) -> None:
    rows = ["one", "REFUSE a", "", "WRONG b", {"prompt": "LOST c", "label": 5}]
    report = make([row if isinstance(row, dict) else {"prompt": row} for row in rows])
    before, asked = list(report.records()), len(endpoint.asked)
    endpoint.forgiving = True

    again = report.retry(status, progress=False)

    assert [one.prompt for one in endpoint.asked[asked:]] == [prompt]
    assert [record["prompt"] for record in again.records()] == [record["prompt"] for record in before]
    assert list(again.records())[4]["label"] == 5
    assert again.counts["done"] == (1 if status == "unknown" else 2)
    assert len(recwarn) == (status == "unknown")


def test_a_report_that_was_opened_needs_the_settings_of_its_run(
    make: Make, endpoint: Endpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(["same", "same", "REFUSE a", "REFUSE a"], dedupe=True)
    report = open_dataset(tmp_path / "dataset")
    endpoint.forgiving = True

    for elsewhere in ({}, {"base_url": "https://example.com/v1", "api_key": "k" * 30}):
        with pytest.raises(ConfigurationError, match="were sent to sandbox, and this would send them to"):
            report.retry("refused", **elsewhere)  # type: ignore[arg-type]
    with pytest.raises(InvalidRequestError, match="model is not a parameter"):
        report.retry("refused", model="gpt-image-2")  # type: ignore[call-arg]
    with pytest.raises(ConfigurationError, match="redo is done"):
        report.retry("done")  # type: ignore[arg-type]
    own = {name: value for name, value in settings(endpoint).items() if name != "model"}
    again = report.retry("refused", **own)

    assert (again.counts["done"], endpoint.paid) == (4, 2)
    assert capsys.readouterr().err == "1 row is sent again for at most $0.04\n"


def test_a_retry_keeps_the_limit_of_its_run_and_can_be_stopped_by_it(make: Make, endpoint: Endpoint) -> None:
    report = make(["one", "REFUSE a", "REFUSE b"], max_cost=0.08)
    endpoint.forgiving = True

    again = report.retry("refused", progress=False)

    assert (again.counts["done"], endpoint.paid) == (2, 2)
    assert report.retry("refused", progress=False, max_cost=1.0).counts["done"] == 3


# --- what is kept and told of rows


def test_prompts_that_are_not_to_be_kept_are_in_no_file(make: Make, endpoint: Endpoint) -> None:
    secret = "unmistakable words"
    report = make([{"prompt": f"REFUSE {secret}", "label": 1}, {"prompt": secret}], store_prompts=False)
    files = [path for path in report.folder.rglob("*") if path.is_file()]

    assert [
        path for path in files if secret.encode() in path.read_bytes() or "unmistakable" in path.name
    ] == []
    assert [(one["prompt"], one.get("label")) for one in report.records()] == [("", 1), ("", None)]
    with pytest.raises(ConfigurationError, match="its prompt is not kept") as caught:
        report.retry("refused", progress=False)
    assert "redo=" in caught.value.hint
    assert make([f"REFUSE {secret}", secret], store_prompts=False).counts["done"] == endpoint.paid == 1


def test_a_row_that_is_refused_here_names_its_model(make: Make) -> None:
    report = make([{"prompt": "", "model": "dall-e-2"}, {"prompt": ""}])

    assert [record["model"] for record in report.records()] == ["dall-e-2", "test-model"]


def test_what_rows_share_costs_once(make: Make) -> None:
    report = make(["a", "b", "a", "a", "REFUSE"], dedupe=True)

    assert sum(record["cost"] or 0 for record in report.records()) == report.cost
    assert [record["cost"] == 0 for record in report.records()] == [False, False, True, True, False]


class NamesEachRequest(Endpoint):
    """Refuses every prompt, with ids in its words that differ from call to call."""

    async def _generate(self, head: object, body: bytes, writer: asyncio.StreamWriter) -> None:
        number = len(self.asked) + int(json.loads(body)["prompt"].split()[1])
        ids = f"(request id: 20261126054524{number:06}Ab3dE, req_{number:08x}, ray 8f2c3d4e5a6b{number:04x})"
        words = f"size 512x512 is not taken by gpt-image-2 {ids}, see https://help.example/{number}"
        _reply(writer, json.dumps({"error": {"message": words, "code": "invalid_value"}}).encode(), 400)


def test_failures_are_grouped_without_ids_and_addresses(tmp_path: Path) -> None:
    with NamesEachRequest() as endpoint:
        report = generate_dataset(rows_of(5), tmp_path / "set", **settings(endpoint))

    ((reason, count),) = report.failures.items()
    assert count == 5
    assert reason == (
        "BadRequestError invalid_value: the server answered 400: size 512x512 is not taken by gpt-image-2"
        " (request id: …, …, ray …), see …"
    )


def test_a_report_raises_only_if_a_row_has_no_picture(make: Make) -> None:
    make(["one"]).raise_for_failures()

    with pytest.raises(PartialResultError, match=r"1 of 2 rows have no picture: 1 refused") as caught:
        make(["one", "REFUSE a"]).raise_for_failures()

    assert "ContentPolicyError moderation_blocked" in caught.value.hint
    assert "$0.04 spent" in caught.value.lines()[-1]
