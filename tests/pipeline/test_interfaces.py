"""The pipeline from a terminal and from a frame, and its progress."""

from __future__ import annotations

import inspect
import io
import json
import re
import sys
from itertools import count
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pandas
import pytest

import comet_magic
import comet_magic.pandas
from comet_magic.__main__ import main
from comet_magic.archive import Spend
from comet_magic.errors import InvalidRequestError
from comet_magic.pipeline import DatasetOptions, open_dataset, progress
from comet_magic.pipeline.progress import Bar, Display, Lines, Meter, Status, make_display
from tests.pipeline.conftest import settings
from tests.pipeline.maker import rows_of
from tests.processes import start

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from comet_magic.pipeline import Dataset
    from tests.pipeline.endpoint import Endpoint


# --- the command


@pytest.fixture
def table(endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COMETAPI_BASE_URL", endpoint.base_url)
    monkeypatch.setenv("COMETAPI_KEY", "sandbox")
    path = tmp_path / "prompts.csv"
    path.write_text("caption,label\na boat,1\na harbour,2\n")
    return path


def command(table: Path, *flags: str) -> int:
    given = ["dataset", str(table), str(table.parent / "out"), "--prompt-column", "caption"]
    return main([*given, "--model", "test-model", "--price-per-image", "0.04", *flags])


def test_a_table_becomes_a_dataset_without_a_notebook(
    table: Path, endpoint: Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    status = command(table, "--max-cost", "5")

    said = capsys.readouterr()
    assert (status, endpoint.paid) == (0, 2)
    assert "2 done" in said.out
    assert "2 of" not in said.out
    assert "2 rows" in said.err


def test_a_plan_is_printed_and_nothing_is_sent(
    table: Path, endpoint: Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    status = command(table, "--plan")

    assert (status, endpoint.asked) == (0, [])
    assert "to generate  2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "flags", "expected"),
    [
        ("", (), 0),
        ("REFUSE", (), 3),
        ("WRONG", (), 3),
        ("LOST", (), 3),
        ("LOST", ("--lenient",), 0),
        ("FORBIDDEN", ("--lenient",), 1),
        ("", ("--lenient", "--max-cost", "0.04"), 1),
        ("", ("--size", "none"), 2),
        ("", ("--append", "--replace"), 2),
    ],
)
def test_the_exit_status_tells_how_it_ended(
    words: str, flags: tuple[str, ...], expected: int, table: Path
) -> None:
    table.write_text(f"caption\na boat\n{words} a harbour\n")
    size = ("--model", "gpt-image-2") if "--size" in flags else ()

    assert command(table, "--quiet", *size, *flags) == expected


def test_a_table_that_is_another_one_is_wrong_usage(table: Path) -> None:
    command(table, "--quiet")
    table.write_text("caption\na quay\n")

    assert [command(table, *flags) for flags in (("--plan",), ("--quiet",), ("--append",))] == [2, 2, 0]


def test_rows_that_are_left_make_the_command_fail(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(table, "--max-cost", "$0.04", "--quiet", "--max-in-flight", "1") == 1
    assert "1 done, 1 over budget" in capsys.readouterr().out


def test_wrong_usage_is_told_in_lines_on_stderr(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(table, "--prompt-column", "nothing") == 2
    assert "there is no column nothing; the columns are: caption, label" in capsys.readouterr().err


def test_the_command_takes_the_parameters_of_pictures(
    table: Path, endpoint: Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = (
        "--model",
        "gpt-image-2",
        "--output-compression",
        "80",
        "--output-format",
        "jpeg",
        "--size",
        "16:9",
    )

    assert command(table, *flags, "--dedupe", "--max-per-minute", "6000", "--quiet") == 0
    assert command(table, *flags, "--redo", "failed", "--quiet") == 0
    assert endpoint.paid == 2


@pytest.mark.parametrize(
    ("names", "columns"),
    [
        ("default", {"blank", "size", "duplicate", "near_duplicate", "dark", "blurred"}),
        ("blank,dark", {"blank", "dark"}),
    ],
)
def test_the_command_looks_at_the_pictures_that_it_made(
    names: str, columns: set[str], table: Path, tmp_path: Path
) -> None:
    assert command(table, "--check", names, "--quiet") == 0

    found = {name for record in open_dataset(tmp_path / "out").records() for name in record}
    assert {name for name in found if name.startswith("check_")} - {"check_error"} == {
        f"check_{name}" for name in columns
    }


def test_the_command_refuses_a_check_that_is_not_there_and_sends_nothing(
    table: Path, endpoint: Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(table, "--check", "bright") == 2
    assert "check is bright; it must be default, blank" in capsys.readouterr().err
    assert endpoint.paid == 0


def test_the_command_says_how_a_table_is_read(
    table: Path, endpoint: Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    table = table.rename(table.with_suffix(".dat"))
    table.write_bytes("caption|style\ncafé|oil\n".encode("cp1252"))
    flags = ("--format", "csv", "--sep", "|", "--encoding", "cp1252", "--model", "gpt-image-2", "--plan")

    assert command(table, *flags) == 2
    assert "style is oil; gpt-image-2 takes no style" in capsys.readouterr().err
    assert command(table, *flags, "--parameters", "") == 0
    assert "to generate  1" in capsys.readouterr().out


# --- the frame


def test_a_frame_generates_from_its_column(endpoint: Endpoint, tmp_path: Path) -> None:
    frame = pandas.DataFrame({"caption": ["a boat", "a harbour"], "label": [1, 2]})
    options = settings(endpoint)
    told = frame.comet.plan(
        "caption", out=tmp_path / "out", model="test-model", base_url=endpoint.base_url, price_per_image=0.04
    )

    report = frame.comet.generate("caption", out=tmp_path / "out", **options)

    assert told.to_generate == 2
    assert list(report.rows["label"]) == [1, 2]


def test_the_names_of_the_pipeline_are_public() -> None:
    for name in ("generate_dataset", "agenerate_dataset", "plan", "open_dataset", "generate_one"):
        assert callable(getattr(comet_magic, name))
        assert name in comet_magic.__all__


def test_the_functions_of_a_dataset_take_the_same_arguments_with_the_same_defaults() -> None:
    functions = (comet_magic.generate_dataset, comet_magic.agenerate_dataset, comet_magic.plan)
    makes, awaits, plans = (dict(inspect.signature(function).parameters) for function in functions)

    assert awaits == makes
    assert plans == makes


def test_every_option_of_a_dataset_is_explained_and_a_mistyped_one_is_refused(tmp_path: Path) -> None:
    told = comet_magic.generate_dataset.__doc__ or ""
    options = (*DatasetOptions.__annotations__, "prompt", "cluster", "progress")
    assert [name for name in options if name != "archive" and not re.search(rf"\b{name}\b", told)] == []

    for mistyped, meant in {"promt": "prompt", "redoo": "redo", "max_costs": "max_cost"}.items():
        with pytest.raises(InvalidRequestError, match=f"{mistyped} is not a parameter") as refused:
            comet_magic.generate_dataset(["a boat"], tmp_path / "set", **{mistyped: "x"})
        assert refused.value.hint == f"Did you mean {meant}?"


# --- progress


def status(done: int, total: int | None = 10, **facts: Any) -> Status:
    return Status(
        {"done": done, "refused": 1, "open": 0},
        total,
        Spend(spent_micro=40_000, reserved_micro=40_000),
        **facts,
    )


def test_a_status_tells_counts_and_money_and_its_bound() -> None:
    assert str(status(2)) == "2 done, 1 refused; $0.04 spent, at most $0.08"
    assert str(Status({}, None, Spend())) == "nothing yet; $0.00 spent"
    assert str(status(2, awaited=3)).endswith("; waiting for 3 that another process is making")


def test_rows_that_stay_open_are_no_progress() -> None:
    assert Status({"done": 2, "failed": 1, "open": 7}, 10, Spend()).ended == 3


def test_plain_lines_tell_rate_and_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines()
    lines.show(status(2))
    lines.show(status(5, None))
    lines.close()

    first, last = capsys.readouterr().err.splitlines()
    assert first.startswith("3 of 10 rows, ")
    assert " s left: 2 done, 1 refused; $0.04 spent" in first
    assert last.startswith("6 rows, ")


@pytest.mark.parametrize(
    ("table", "options", "rows"),
    [
        (["a boat"], {"model": ["one", "two"]}, 2),
        (["a boat", "a fox"], {"n": 3}, 6),
        ([{"prompt": "a boat", "n": 2}, {"prompt": "a fox", "n": None}], {"model": ["one", "two"]}, 6),
        ([{"prompt": "a boat"}, {"prompt": ""}], {}, 2),
    ],
)
def test_a_run_counts_the_rows_that_a_table_makes(
    make: Callable[..., Dataset],
    capsys: pytest.CaptureFixture[str],
    table: list[Any],
    options: dict[str, Any],
    rows: int,
) -> None:
    report = make(table, progress=True, **options)

    assert len(report) == rows
    assert f"{rows} of {rows} rows, " in capsys.readouterr().err.splitlines()[-1]


def test_something_long_shows_how_far_it_is_and_something_short_shows_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for seconds in (0.01, 6.0):
        ticks = iter(number * seconds for number in range(100))
        monkeypatch.setattr("comet_magic.pipeline.progress.time", SimpleNamespace(monotonic=ticks.__next__))
        meter = Meter(10, "exported")
        for _ in range(10):
            meter.step()
        meter.close()
        shown = capsys.readouterr().err.splitlines()
        assert bool(shown) == (seconds > 1)

    assert shown[-1].startswith("10 of 10 rows, ")
    assert shown[-1].endswith(": exported")


def test_a_terminal_gets_a_bar_and_a_pipe_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert isinstance(make_display(), Lines)
    monkeypatch.setattr(sys, "stderr", Terminal())
    bar = make_display()
    assert isinstance(bar, Bar)
    bar.close()


def test_a_bar_shows_the_status_and_grows_with_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stderr", out)
    bar = Bar()

    bar.show(status(2))
    bar.show(status(20))
    bar.say("a word")
    bar.close()

    assert "3/10" in out.getvalue()
    assert "21/21" in out.getvalue()
    assert "20 done, 1 refused; $0.04 spent, at most $0.08" in out.getvalue()
    assert "a word" in out.getvalue()


def test_the_rate_of_a_bar_counts_the_time_in_which_nothing_came(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    bar, clock = Bar(), count()
    monkeypatch.setattr(bar._bar, "_time", lambda: float(next(clock)))
    bar.show(status(0))

    for done in (1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3):
        bar.show(status(done))

    assert bar._bar.format_dict["rate"] < 0.3
    bar.close()


IN_A_KERNEL = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config
import comet_magic
InteractiveShell.instance(config=Config(json.loads(sys.argv[1]))).kernel = object()
with comet_magic.start_sandbox() as sandbox:
    options = {"model": "dall-e-2", "size": "256x256", "base_url": sandbox.base_url, "api_key": "sandbox"}
    print(comet_magic.generate_dataset(["a boat"], sys.argv[2], **options))
"""


@pytest.mark.parametrize("config", [{}, {"IPKernelApp": {"parent_handle": 0}}], ids=["bare", "with an app"])
def test_a_run_shows_a_bar_in_every_kernel(config: dict[str, Any], tmp_path: Path) -> None:
    process = start(IN_A_KERNEL, json.dumps(config), tmp_path / "set")
    output, noise = process.communicate(timeout=60)

    assert (process.returncode, noise) == (0, "")
    assert "1/1" in output
    assert "1 done" in output


def test_a_run_shows_how_far_it_is(
    endpoint: Endpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "EVERY_LINE", 0.05)
    endpoint.delay = 0.2
    comet_magic.generate_dataset(rows_of(3), tmp_path / "set", **settings(endpoint) | {"progress": True})

    said = capsys.readouterr().err
    assert said.startswith("0 of 3 rows")
    assert "3 of 3 rows" in said


def test_a_run_says_why_it_waits(
    endpoint: Endpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "EVERY_LINE", 0.02)
    options = settings(endpoint) | {"progress": True}
    endpoint.rate, endpoint.retry_after = 1, 0.6
    comet_magic.generate_dataset(rows_of(2), tmp_path / "crowded", **options)
    crowded = capsys.readouterr().err
    endpoint.rate, endpoint.delay = None, 0.2
    comet_magic.generate_dataset(rows_of(5), tmp_path / "short", **options, max_cost=0.1, max_per_minute=600)
    short = capsys.readouterr().err

    assert re.search(r"a second.*: waiting \d+ s: the server says too many requests; ", crowded)
    assert re.search(r": [123] rows? waits? for money that calls in flight have reserved; ", short)
    assert "; at most 600 a minute\n" in short


class BareShell:
    """The shell of a kernel that has no widgets and no way to show one."""

    kernel = object()


def test_in_a_kernel_that_cannot_show_a_bar_progress_is_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ImportError("IProgress not found")

    monkeypatch.setattr("IPython.get_ipython", BareShell)
    monkeypatch.setattr("comet_magic.pipeline.progress.NotebookBar", refuse)
    shown = Display(make_display)
    shown.show(lambda: Status({"done": 1}, 2, Spend(spent_micro=4700)))
    shown.close()
    assert "1 of 2 rows" in capsys.readouterr().out
