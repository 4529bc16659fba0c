"""What the doctor finds, says and mends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import comet_magic as cm
from comet_magic import doctor
from comet_magic.__main__ import main
from comet_magic.sandbox import Sandbox

KEY = "sk-doctor-0123456789abcdef"


@pytest.fixture(autouse=True)
def _no_way_to_the_vendor(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same on every machine, with or without a network."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")


@pytest.fixture
def report(capsys: pytest.CaptureFixture[str]):
    def run(*arguments: str) -> tuple[int, str]:
        status = main(["doctor", *arguments])
        return status, "".join(capsys.readouterr())

    return run


def test_a_machine_in_order_gets_no_bad_line(report, monkeypatch: pytest.MonkeyPatch) -> None:
    with Sandbox() as sandbox:
        monkeypatch.setenv("COMETAPI_BASE_URL", sandbox.base_url)
        monkeypatch.setenv("COMETAPI_KEY", KEY)
        status, text = report()
        assert [entry.charged for entry in sandbox.log] == [False]
    assert (status, "BAD" in text) == (0, False)
    assert "API key from COMETAPI_KEY" in text
    assert KEY not in text


def test_a_server_that_cannot_be_reached_is_bad_and_says_what_to_do(
    report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMETAPI_BASE_URL", "http://127.0.0.1:1/v1")
    status, text = report()
    assert status == 1
    assert "127.0.0.1:1 cannot be reached" in text
    assert "→ Check the network" in text


def test_without_a_key_an_unreachable_vendor_is_worth_a_note_because_the_sandbox_answers(
    report, monkeypatch: pytest.MonkeyPatch
) -> None:
    status, text = report()
    assert (status, "note  https://api.cometapi.com/v1 (default)" in text) == (0, True)
    monkeypatch.setenv("COMETAPI_KEY", KEY)
    status, text = report()
    assert (status, "BAD   https://api.cometapi.com/v1 (default)" in text) == (1, True)


def test_a_place_where_no_archive_can_be_made_is_bad(report, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    status, text = report("--archive", "file/cometimg")
    assert (status, "BAD   file is not a folder" in text) == (1, True)
    assert "COMETIMG_ARCHIVE" in text


def test_a_base_url_that_is_none_is_bad(report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMETAPI_BASE_URL", "nonsense")
    assert "base_url is nonsense" in report()[1]


def test_a_package_below_its_floor_is_bad() -> None:
    assert doctor._installed("pillow", "pillow>=999").severity == "bad"
    assert doctor._installed("pillow", "pillow>=12.3,<99").severity == "ok"
    assert doctor._installed("no-such-package", "no-such-package>=1").severity == "bad"


def test_a_package_that_is_not_installed_is_worth_a_note() -> None:
    missing = "m.version = m.requires = lambda _: (_ for _ in ()).throw(m.PackageNotFoundError)"
    code = (
        f"import importlib.metadata as m; {missing}; from comet_magic.__main__ import main; main(['doctor'])"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(cm.__file__).parent.parent)}
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert "runs from its folder" in ran.stdout


def test_a_dotenv_that_git_keeps_is_bad(report, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"COMETAPI_KEY={KEY}\n")
    subprocess.run(["git", "init", "-q"], check=True)
    assert "tracked by git" not in report()[1]
    subprocess.run(["git", "add", ".env"], check=True)
    status, text = report()
    assert (status, "tracked by git" in text, KEY in text) == (1, True, False)


def test_the_archive_is_looked_at_and_a_damaged_picture_is_named_by_a_repair(report, tmp_path: Path) -> None:
    with Sandbox() as sandbox, cm.Client(base_url=sandbox.base_url, api_key="sandbox") as client:
        images = client.generate("a boat", model="dall-e-2", size="256x256")
    assert "cometimg: 1 call\n" in report()[1]
    for path in (tmp_path / "cometimg").glob("ledger.sqlite*"):
        path.unlink()
    assert "the ledger of cometimg is gone" in report()[1]
    assert not (tmp_path / "cometimg" / "ledger.sqlite").exists()
    assert "pictures adopted: 1\n" in report("--repair")[1]
    assert "cometimg: 1 call\n" in report()[1]
    assert report("--repair")[0] == 0
    Path(images.paths[0]).write_bytes(b"damaged")
    status, text = report("--repair")
    assert (status, "pictures whose file is damaged: 1" in text) == (1, True)


@pytest.mark.parametrize(
    ("folder", "said"), [("nowhere", "no archive in nowhere"), ("off", "the archive is off")]
)
def test_a_repair_of_an_archive_that_is_not_there_makes_none_and_says_so(
    report, tmp_path: Path, folder: str, said: str
) -> None:
    status, text = report("--repair", "--archive", folder)
    assert (status, said in text) == (1, True)
    assert not (tmp_path / folder).exists()


@pytest.mark.parametrize(("count", "said"), [(1, "1 call may"), (2, "2 calls may")])
def test_calls_that_may_be_billed_are_counted(report, count: int, said: str) -> None:
    with Sandbox(fail="drop") as sandbox:
        settings = {"base_url": sandbox.base_url, "api_key": "sandbox"}
        with cm.Client(**settings) as client:
            for _ in range(count):
                with pytest.raises(cm.AmbiguousError):
                    client.generate("a boat")
    assert f"note  {said} be billed without a picture" in report()[1]


def test_an_archive_that_is_off_is_told(report) -> None:
    assert "the archive is off" in report("--archive", "off")[1]


MOUNTS = """\
overlay / overlay rw 0 0
auto.home /home/ada autofs rw 0 0
server:/ada /home/ada nfs4 rw 0 0
//server/ada /mnt/my\\040pictures cifs rw 0 0
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/work/cometimg", "overlay"),
        ("/home/ada/cometimg", "nfs4"),
        ("/home/adam/cometimg", "overlay"),
        ("/mnt/my pictures/cometimg", "cifs"),
    ],
)
def test_a_folder_is_on_the_last_mount_above_it(folder: str, kind: str) -> None:
    assert doctor._kind_at(Path(folder), MOUNTS) == kind


def test_every_finding_has_its_own_words() -> None:
    findings = list(doctor.examine())
    assert len({finding.what for finding in findings}) == len(findings)
    assert all(finding.advice for finding in findings if finding.severity == "bad")


def test_a_call_that_a_dead_process_left_open_is_counted(report, tmp_path: Path) -> None:
    code = (
        "import os, sys, comet_magic as cm; from comet_magic.archive import Archive; "
        "request = cm.ImageRequest('a boat'); "
        "Archive(sys.argv[1]).claim(request, vendor='sandbox', reserve=None); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "left")], check=True, timeout=60)

    _, text = report("--archive", str(tmp_path / "left"))

    assert "1 call may be billed without a picture" in text
