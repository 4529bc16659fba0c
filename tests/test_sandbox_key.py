"""`COMETAPI_KEY=sandbox`: every door leads to the sandbox of its process, and no door anywhere else."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import comet_magic as cm
from comet_magic import doctor
from comet_magic.client import close_shared_client
from comet_magic.errors import MissingKeyError
from comet_magic.notebook.panel import Panel
from comet_magic.notebook.session import session
from comet_magic.sandbox import close_process_sandbox, process_sandbox
from comet_magic.settings import TRY_SANDBOX

SMALL = {"model": "dall-e-2", "size": "256x256"}


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    close_shared_client()
    close_process_sandbox()


@pytest.fixture
def _sandbox_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMETAPI_KEY", "sandbox")


def served() -> list[str | None]:
    return [entry.prompt for entry in process_sandbox().log if entry.method == "POST"]


@pytest.mark.usefixtures("_sandbox_key")
def test_python_the_pipeline_and_a_worker_buy_from_the_sandbox(tmp_path: Path) -> None:
    images = cm.generate("a boat", **SMALL)  # type: ignore[arg-type]
    report = cm.generate_dataset(["a castle"], "set", progress=False, **SMALL)  # type: ignore[arg-type]
    request = cm.ImageRequest("a lighthouse", model="dall-e-2", size="256x256")
    facts = cm.generate_one(request, tmp_path / "shared")

    assert served() == ["a boat", "a castle", "a lighthouse"]
    assert (images.cost, report.cost, facts["cost"]) == (0.016, 0.016, 0.016)
    assert cm.plan(["a castle"], "set", **SMALL).done == 1  # type: ignore[arg-type]
    assert cm.spend("sandbox").calls == 2


@pytest.mark.usefixtures("_sandbox_key")
def test_an_async_client_buys_from_the_sandbox() -> None:
    async def main() -> cm.Images:
        async with cm.AsyncClient() as client:
            return await client.generate("a boat", **SMALL)  # type: ignore[arg-type]

    assert asyncio.run(main()).image.size == (256, 256)
    assert served() == ["a boat"]


def test_the_word_may_be_an_argument_or_in_a_file(tmp_path: Path) -> None:
    with cm.Client(api_key="sandbox") as client:
        client.generate("a boat", **SMALL)  # type: ignore[arg-type]
    (tmp_path / ".env").write_text("COMETAPI_KEY=sandbox\n")
    cm.generate("a castle", **SMALL)  # type: ignore[arg-type]

    assert served() == ["a boat", "a castle"]


def test_an_address_that_is_named_gets_the_key_as_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMETAPI_KEY", "sandbox")
    with cm.start_sandbox() as other:
        monkeypatch.setenv("COMETAPI_BASE_URL", other.base_url)
        cm.generate("a boat", **SMALL)  # type: ignore[arg-type]
        assert [entry.prompt for entry in other.log if entry.method == "POST"] == ["a boat"]
    assert served() == []


@pytest.mark.usefixtures("_sandbox_key")
def test_the_panel_says_that_it_is_the_sandbox_and_buys_there() -> None:
    panel = Panel()
    panel.form.fill(SMALL, "a boat")
    panel.generate()
    assert panel.wait(60)

    assert served() == ["a boat"]
    assert panel.images[0].notice == "sandbox"
    panel.close()
    session.close()


def test_the_command_line_runs_on_the_sandbox(tmp_path: Path) -> None:
    (tmp_path / "prompts.csv").write_text("prompt\na boat\n")
    command = [sys.executable, "-m", "comet_magic", "dataset", "prompts.csv", "out", "--model", "dall-e-2"]
    environment = {
        "PATH": "",
        "COMETAPI_KEY": "sandbox",
        "HOME": str(tmp_path),
        "PYTHONPATH": str(Path(cm.__file__).parents[1]),
    }
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stderr
    assert len(list((tmp_path / "out" / "images").rglob("*.png"))) == 1


@pytest.mark.usefixtures("_sandbox_key")
def test_the_doctor_knows_the_word() -> None:
    told = "".join(map(str, doctor.examine()))
    assert "the key is sandbox" in told
    assert "127.0.0.1:0" not in told


def test_without_a_key_the_error_names_a_line_that_leads_to_the_sandbox(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(MissingKeyError) as caught:
        cm.generate("a boat")
    assert TRY_SANDBOX in caught.value.hint

    monkeypatch.setenv("COMETAPI_KEY", "")  # put back after the test
    exec(TRY_SANDBOX, {})
    assert cm.generate("a boat", **SMALL).image.size == (256, 256)  # type: ignore[arg-type]
