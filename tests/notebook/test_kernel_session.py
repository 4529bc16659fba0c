"""Loading and unloading, help and completion, login, status and history in a real kernel."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from comet_magic.sandbox import Sandbox, start_sandbox

from .conftest import KEY, Kernel

if TYPE_CHECKING:
    from pathlib import Path

Connect = Callable[[Sandbox], Kernel]
SMALL = "-m dall-e-2 --size 256x256"
TYPED = "sk-typedTYPED9876543210xyz"
LEFT = """(
    sorted(
        thread.name for thread in __import__('threading').enumerate()
        if not type(thread).__module__.startswith('zmq')  # starts one for the first large message it sends
    ),
    len(get_ipython().Completer.custom_matchers),
    [type(each).__name__ for each in get_ipython().configurables if 'Comet' in type(each).__name__],
    {name for kind in get_ipython().magics_manager.magics.values() for name in kind if 'comet' in name},
    {event: len(calls) for event, calls in get_ipython().events.callbacks.items()},
    'CometMagics' in get_ipython().magics_manager.registry,
)"""


def text_of(ran: Any) -> str:
    return "\n".join(output.data["text/plain"] for output in ran.outputs) + ran.stdout


@pytest.mark.every_kernel
def test_loading_and_unloading_twenty_times_leaves_nothing_behind(bare_kernel: Kernel) -> None:
    before = bare_kernel.value(LEFT)

    for _ in range(10):
        bare_kernel.run("%load_ext comet_magic\n%load_ext comet_magic")
        bare_kernel.run("%reload_ext comet_magic")
        bare_kernel.run("%unload_ext comet_magic")

    assert bare_kernel.value(LEFT) == before


@pytest.mark.every_kernel
def test_unloading_stops_the_sandbox_and_every_thread_that_a_call_started(bare_kernel: Kernel) -> None:
    before = bare_kernel.value(LEFT)
    for _ in range(2):
        bare_kernel.run("%load_ext comet_magic")
        ran = bare_kernel.run(f"%cometimg {SMALL} a boat")
        assert ran.status == "ok", ran.error
        during = bare_kernel.value(LEFT)
        bare_kernel.run("%unload_ext comet_magic")

    assert len(during[0]) > len(before[0])
    assert bare_kernel.value(LEFT) == before


@pytest.mark.every_kernel
def test_unloading_gives_tracebacks_back_to_whom_they_belong(bare_kernel: Kernel) -> None:
    bare_kernel.run("%load_ext comet_magic\n%config CometMagics.debug = True")
    assert bare_kernel.value("__import__('comet_magic').CometError.full_traceback") is True

    bare_kernel.run("%unload_ext comet_magic")

    assert bare_kernel.value("__import__('comet_magic').CometError.full_traceback") is False


@pytest.mark.every_kernel
@pytest.mark.parametrize("name", ["%cometimg", "%%cometimg"])
def test_the_question_mark_and_help_show_the_same_text(kernel: Kernel, name: str) -> None:
    asked = kernel.run(f"{name}?").reply["payload"][0]["data"]["text/plain"]
    helped = kernel.run("%cometimg --help").stdout

    flags = set(re.findall(r"--[a-z][a-z-]+", helped))
    assert {"--size", "--quality", "--reuse", "--dry-run"} <= flags
    assert flags <= set(re.findall(r"--[a-z][a-z-]+", asked))
    assert "low, medium, high or auto" in " ".join(asked.split())


@pytest.mark.parametrize("magic", ["models", "login", "status", "cancel", "history"])
def test_each_small_magic_helps(kernel: Kernel, magic: str) -> None:
    assert kernel.run(f"%cometimg_{magic} --help").stdout.startswith(f"::\n\n  %cometimg_{magic}")


@pytest.mark.every_kernel
@pytest.mark.parametrize(
    ("typed", "offered"),
    [("%%cometimg --qual", ["--quality"]), ("x = %cometimg -m dall-e-3 --quality ", ["standard", "hd"])],
)
def test_tab_offers_flags_and_values(kernel: Kernel, typed: str, offered: list[str]) -> None:
    assert kernel.complete(typed)["matches"] == offered


def test_the_settings_are_listed_and_used(connect: Connect, sandbox: Sandbox) -> None:
    kernel = connect(sandbox)
    kernel.run("%config CometMagics.model = 'dall-e-2'\n%config CometMagics.size = '256x256'")

    kernel.run("%cometimg a boat")

    assert "CometMagics.inline_max_kb" in kernel.run("%config CometMagics").stdout
    assert [entry.model for entry in sandbox.log if entry.charged] == ["dall-e-2"]


def test_a_limit_on_money_refuses_the_call_before_it_is_sent(connect: Connect, sandbox: Sandbox) -> None:
    kernel = connect(sandbox)

    flag = kernel.run("%cometimg --max-cost 0.01 --quality high a boat")
    setting = kernel.run("%config CometMagics.max_cost = 0.01\n%cometimg --quality high a boat")

    for ran in (flag, setting):
        assert ran.error is not None
        assert ran.error["ename"] == "BudgetExceededError"
        assert "max_cost is $0.01" in ran.traceback[0]
    assert sandbox.log == []


# --- the key


@pytest.mark.every_kernel
def test_login_asks_unseen_and_leaves_the_key_nowhere(connect: Connect, sandbox: Sandbox) -> None:
    kernel = connect(sandbox)
    message_id = kernel.start("%cometimg_login", allow_stdin=True)
    asked = kernel.client.get_stdin_msg(timeout=30)
    kernel.client.input(TYPED)
    ran = kernel.finish(message_id)
    status = kernel.run("%cometimg_status")

    assert asked["content"]["password"] is True
    assert ran.status == "ok", ran.error
    assert "from %cometimg_login" in text_of(status)
    assert TYPED[3:12] not in str(ran.messages) + str(status.messages)
    assert kernel.value(f"any({TYPED[3:12]!r} in str(each) for each in (In, Out))") is False


def test_a_login_that_is_no_key_is_refused_without_being_repeated(kernel: Kernel) -> None:
    message_id = kernel.start("%cometimg_login", allow_stdin=True)
    kernel.client.get_stdin_msg(timeout=30)
    kernel.client.input("two words")
    ran = kernel.finish(message_id)

    assert ran.error is not None
    assert ran.error["ename"] == "ConfigurationError"
    assert "two words" not in str(ran.messages)


@pytest.mark.every_kernel
def test_login_where_nobody_can_type_names_the_environment_variable(kernel: Kernel) -> None:
    ran = kernel.finish(kernel.start("%cometimg_login", allow_stdin=False))

    assert ran.error is not None
    assert ran.error["ename"] == "ConfigurationError"
    assert "COMETAPI_KEY" in "".join(ran.traceback)
    assert len(ran.traceback) <= 6


def test_an_alias_of_the_key_variable_is_noticed_once(kernel: Kernel, sandbox: Sandbox) -> None:
    kernel.run(
        "import os; os.environ['COMETAPI_API_KEY'] = 'alias-key-123456'; "
        f"os.environ['COMETAPI_BASE_URL'] = {sandbox.base_url!r}"
    )

    first, second = (kernel.run(f"%cometimg {SMALL} a boat") for _ in range(2))

    assert "COMETAPI_API_KEY works too" in first.stdout
    assert "works too" not in second.stdout
    assert "alias-key-123456" not in str(first.messages)


# --- what is there


def test_the_status_without_a_key_says_that_the_sandbox_answers_and_starts_nothing(
    bare_kernel: Kernel, tmp_path: Path
) -> None:
    bare_kernel.run("%load_ext comet_magic")
    before = bare_kernel.value("__import__('threading').active_count()")

    shown = text_of(bare_kernel.run("%cometimg_status"))

    assert "none: the sandbox on this machine answers (free)" in shown
    assert "of the sandbox, which starts with the first call" in shown
    assert re.search(r"archive +cometimg$", shown, re.MULTILINE)
    assert bare_kernel.value("__import__('threading').active_count()") == before
    assert list(tmp_path.iterdir()) == []


def test_the_status_names_the_proxy_without_its_login(bare_kernel: Kernel) -> None:
    bare_kernel.run(
        "%load_ext comet_magic\nimport os; os.environ['COMETAPI_KEY'] = 'sk-named-0123456789abcdef'"
    )
    assert "proxy" not in text_of(bare_kernel.run("%cometimg_status"))

    bare_kernel.run("os.environ['HTTPS_PROXY'] = 'name:hunter2@127.0.0.1:9'")
    shown = text_of(bare_kernel.run("%cometimg_status"))
    assert re.search(r"\nproxy +http://127\.0\.0\.1:9 \(HTTPS_PROXY\)\n", shown)
    assert "hunter2" not in shown


def test_the_status_tells_what_was_spent_at_whom(kernel: Kernel) -> None:
    kernel.run(f"%cometimg {SMALL} -n 2 a boat")

    assert re.search(
        r"spent in the sandbox \(play money\) +\$0.032 in 1 call", text_of(kernel.run("%cometimg_status"))
    )


def test_the_models_are_shown_from_the_table(kernel: Kernel) -> None:
    every, one = kernel.run("%cometimg_models"), kernel.run("%cometimg_models dall-e-3")

    assert "gpt-image-2 (default)" in text_of(every)
    assert "standard or hd" in text_of(one)
    assert "<table>" in every.outputs[0].data["text/html"]


def test_nothing_to_cancel_is_said(kernel: Kernel) -> None:
    assert kernel.run("%cometimg_cancel").stdout == "Nothing is running.\n"


def test_the_history_shows_what_was_made_and_gives_it_again(kernel: Kernel) -> None:
    kernel.run(f"%cometimg {SMALL} a <b>red</b> boat\n%cometimg {SMALL} a castle")

    every = kernel.run("%cometimg_history")
    boats = kernel.run("%cometimg_history red boat --limit 5 -m dall-e-2 --since 2020-01-01")

    assert "a castle" in text_of(every)
    assert "a castle" not in text_of(boats)
    markup = boats.outputs[0].data["text/html"]
    assert "<b>red</b>" not in markup
    assert "data:image/" in markup

    found = re.search(r"\b[0-9a-f]{8}\b", text_of(boats))
    assert found
    again = kernel.run(f"%cometimg_history {found[0]}")
    assert [output.pictures for output in again.shown] == [["image/png"]]
    assert kernel.value("(_.prompt, _.image.size, _.pictures[0].reused)") == (
        "a <b>red</b> boat",
        (256, 256),
        True,
    )


def test_the_cell_that_made_a_picture_comes_back_as_the_next_cell(kernel: Kernel) -> None:
    kernel.run(f"%%cometimg {SMALL} --raw 'seed=5'\na cat's {{hat}}")
    found = re.search(r"\b[0-9a-f]{8}\b", text_of(kernel.run("%cometimg_history")))
    assert found

    ran = kernel.run(f"%cometimg_history {found[0]} --as-code")

    (payload,) = ran.reply["payload"]
    assert payload["source"] == "set_next_input"
    assert payload["text"] == (
        "%%cometimg -m dall-e-2 --size 256x256 --raw seed=5 --no-interpolate\na cat's {hat}\n"
    )


def test_an_empty_history_says_so(kernel: Kernel) -> None:
    assert kernel.run("%cometimg_history").stdout == "Nothing was made yet.\n"
    assert kernel.run("%cometimg_history boats").stdout == "Nothing found.\n"


def test_reuse_answers_from_the_archive_and_charges_nothing(connect: Connect, sandbox: Sandbox) -> None:
    kernel = connect(sandbox)
    kernel.run(f"x = %cometimg {SMALL} a boat")

    ran = kernel.run(f"y = %cometimg {SMALL} --reuse a boat")
    setting = kernel.run(f"%config CometMagics.reuse = True\nz = %cometimg {SMALL} a boat")

    assert [output.pictures for output in (*ran.shown, *setting.shown)] == [["image/png"], ["image/png"]]
    assert kernel.value("x.data == y.data == z.data") is True
    assert len([entry for entry in sandbox.log if entry.charged]) == 1


def test_loading_tells_of_calls_that_an_earlier_kernel_left_open(
    fresh_kernel: Kernel, kernel: Kernel, slow_sandbox: Sandbox, tmp_path: Path
) -> None:
    fresh_kernel.run(
        f"import os; os.chdir({str(tmp_path)!r}); os.environ['COMETAPI_KEY'] = {KEY!r}; "
        f"os.environ['COMETAPI_BASE_URL'] = {slow_sandbox.base_url!r}\n%load_ext comet_magic"
    )
    fresh_kernel.start(f"%cometimg {SMALL} a boat")
    assert slow_sandbox.until(bool)
    fresh_kernel.kill()

    told = kernel.run("%reload_ext comet_magic")
    status = kernel.run("%cometimg_status")

    assert told.stdout == "1 call has an unknown outcome and may be billed: %cometimg_status\n"
    assert "a boat" in text_of(status)


def test_the_status_counts_what_a_stranger_made_unreadable(
    connect: Connect, sandbox: Sandbox, tmp_path: Path
) -> None:
    kernel = connect(sandbox)
    kernel.run(f"x = %cometimg {SMALL} a boat\ny = %cometimg {SMALL} a cat")
    assert kernel.run("%cometimg_status").stdout == ""
    with (tmp_path / "cometimg" / "receipts.jsonl").open("a") as receipts:
        receipts.write("\n{\n")
    with contextlib.closing(sqlite3.connect(tmp_path / "cometimg" / "ledger.sqlite")) as ledger, ledger:
        ledger.execute("UPDATE calls SET request = '[' WHERE number = 1")

    status = kernel.run("%cometimg_status")
    assert status.stdout == "2 entries of the archive cannot be read and are left out.\n"
    assert kernel.run(f"z = %cometimg {SMALL} a dog").status == "ok"


def test_the_vendors_models_and_prices_of_today_are_asked_without_the_key(
    kernel: Kernel, sandbox: Sandbox
) -> None:
    kernel.run(f"import os; os.environ['COMETAPI_BASE_URL'] = {sandbox.base_url!r}")

    shown = text_of(kernel.run("%cometimg_models --refresh gpt-image-2"))

    assert re.search(r"gpt-image-2 .*\$4 +\$24", shown)
    assert "dall-e-3" not in shown
    assert [entry.status for entry in sandbox.log] == [200]


def test_the_balance_is_shown_with_what_moved_since(connect: Connect, sandbox: Sandbox) -> None:
    kernel = connect(sandbox)
    before = text_of(kernel.run("%cometimg_status --balance"))
    kernel.run(f"%cometimg {SMALL} a boat")

    after = text_of(kernel.run("%cometimg_status --balance"))

    assert re.search(r"balance +\$0.00 used, \$[\d.]+ left$", before, re.MULTILINE)
    assert re.search(r"balance +\$0.016 used, .* left, \$0.016 since you last asked", after)


def test_the_balance_of_no_key_is_refused_with_the_ways_on(kernel: Kernel) -> None:
    ran = kernel.run("%cometimg_status --balance")

    assert ran.error is not None
    assert ran.error["ename"] == "MissingKeyError"
    assert "COMETAPI_KEY" in "".join(ran.traceback)


def test_a_key_can_be_kept_in_the_keyring(kernel: Kernel, tmp_path: Path) -> None:
    if kernel.run("import keyring, keyring.backend").status == "error":
        pytest.skip("keyring is not installed: pip install comet-magic[keyring]")
    kernel.run(
        "import keyring, keyring.backend\n"
        "class Ring(keyring.backend.KeyringBackend):\n"
        "    priority = 1\n    kept = {}\n"
        "    def get_password(self, service, user): return self.kept.get((service, user))\n"
        "    def set_password(self, service, user, word): self.kept[service, user] = word\n"
        "    def delete_password(self, service, user): del self.kept[service, user]\n"
        "before = keyring.get_keyring(); keyring.set_keyring(Ring())"
    )
    message_id = kernel.start("%cometimg_login --keyring", allow_stdin=True)
    kernel.client.get_stdin_msg(timeout=30)
    kernel.client.input(TYPED)
    ran = kernel.finish(message_id)
    kept = kernel.value("Ring.kept")
    kernel.run("keyring.set_keyring(before)")

    assert "keyring too" in ran.stdout
    assert kept == {("comet_magic", "api.cometapi.com"): TYPED}


def test_a_keyring_that_refuses_says_so_and_the_login_counts(kernel: Kernel) -> None:
    kernel.run(
        "import keyring, keyring.backends.fail\n"
        "before = keyring.get_keyring(); keyring.set_keyring(keyring.backends.fail.Keyring())"
    )
    message_id = kernel.start("%cometimg_login --keyring", allow_stdin=True)
    kernel.client.get_stdin_msg(timeout=30)
    kernel.client.input(TYPED)
    ran = kernel.finish(message_id)
    kernel.run("keyring.set_keyring(before)")

    assert ran.error is not None
    assert "kept in this kernel only" in ran.traceback[0]
    assert "from %cometimg_login" in text_of(kernel.run("%cometimg_status"))


def test_a_picture_whose_file_is_gone_keeps_its_row_and_is_named(kernel: Kernel, tmp_path: Path) -> None:
    kernel.run(f"%cometimg {SMALL} a boat")
    (picture,) = tmp_path.glob("cometimg/images/*/*.png")
    picture.unlink()

    shown = text_of(kernel.run("%cometimg_history"))
    found = re.search(r"\b[0-9a-f]{8}\b", shown)
    assert found
    ran = kernel.run(f"%cometimg_history {found[0]}")

    assert "missing" in shown
    assert ran.error is not None
    assert picture.name in ran.traceback[0]


def test_a_refused_call_stands_in_the_history_without_a_picture(connect: Connect) -> None:
    with start_sandbox(fail="moderation") as sandbox:
        kernel = connect(sandbox)
        kernel.run(f"%cometimg {SMALL} a boat")

    assert re.search(r"refused +a boat", text_of(kernel.run("%cometimg_history")))


def test_the_cell_of_a_prompt_that_was_not_kept_cannot_be_written(kernel: Kernel, sandbox: Sandbox) -> None:
    kernel.run(
        "import comet_magic as cm\n"
        f"with cm.Client(base_url={sandbox.base_url!r}, api_key='k', store_prompts=False) as client:\n"
        "    client.generate('a boat', model='dall-e-2', size='256x256')"
    )
    found = re.search(r"\b[0-9a-f]{8}\b", text_of(kernel.run("%cometimg_history")))
    assert found

    assert "is not kept" in kernel.run(f"%cometimg_history {found[0]} --as-code").traceback[0]


def test_the_status_tells_what_is_held_and_a_call_can_be_forgotten(kernel: Kernel, tmp_path: Path) -> None:
    kernel.run(f"%cometimg -q {SMALL} a boat")
    held = text_of(kernel.run("%cometimg_status"))
    call_id = kernel.value("__import__('comet_magic').history()[0].id")
    forgotten = kernel.run(f"%cometimg_forget {call_id[:8]}")
    after = text_of(kernel.run("%cometimg_history"))

    assert re.search(r"it holds +0\.\d MB of pictures", held)
    assert "1 file of" in forgotten.stdout
    assert not list((tmp_path / "cometimg" / "images").rglob("*.png"))
    assert "forgotten" in after
    assert "$0.016" in after
    assert "needs the ID" in kernel.run("%cometimg_forget").traceback[0]
