"""The panel in real kernels, pressed as a front end does it: by messages, with a subshell where there is one.

Where a callback runs depends on the version of ipykernel: COMET_TEST_KERNELS names further interpreters.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from queue import Empty
from typing import Any

import pytest

from comet_magic.sandbox import Sandbox, start_sandbox
from tests.loopback import until
from tests.notebook.conftest import KEY, Kernel

Connect = Callable[[Sandbox], Kernel]
SMALL = "panel.form.fill({'model': 'dall-e-2', 'size': '256x256'}, 'a boat')"
BLOCK = """
import time
end = time.monotonic() + 60
while not panel.images and time.monotonic() < end:
    time.sleep(0.05)
print(len(panel.images))
"""


class Front:
    """A front end's side of the panel: it sends what a browser would."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self._subshell = self._open_subshell()

    def _open_subshell(self) -> str | None:
        """A subshell for the messages of widgets, as JupyterLab has one wherever the kernel can."""
        client = self.kernel.client
        if "kernel subshells" not in self._features():
            return None
        request = client.session.msg("create_subshell_request", {})
        client.control_channel.send(request)
        while True:
            reply = client.get_control_msg(timeout=30)
            if reply["parent_header"].get("msg_id") == request["header"]["msg_id"]:
                return str(reply["content"]["subshell_id"])

    def _features(self) -> list[str]:
        message_id = self.kernel.client.kernel_info()
        return list(self.kernel._reply(message_id, 30).get("supported_features", []))

    def send(self, widget: str, data: dict[str, Any]) -> None:
        """A message to a widget, given as an expression."""
        client = self.kernel.client
        comm = self._models.setdefault(widget, "") or self.kernel.value(f"{widget}.model_id")
        self._models[widget] = comm
        message = client.session.msg("comm_msg", {"comm_id": comm, "data": data})
        if self._subshell is not None:
            message["header"]["subshell_id"] = self._subshell
        client.shell_channel.send(message)

    @property
    def _models(self) -> dict[str, str]:
        return self.__dict__.setdefault("_known", {})  # type: ignore[no-any-return]

    def find(self, *widgets: str) -> None:
        """Look names up now: a busy kernel could not tell them."""
        for widget in widgets:
            self._models[widget] = self.kernel.value(f"{widget}.model_id")

    def click(self, widget: str = "panel._generate") -> None:
        self.send(widget, {"method": "custom", "content": {"event": "click"}})

    def type(self, widget: str, value: Any) -> None:
        self.send(widget, {"method": "update", "state": {"value": value}, "buffer_paths": []})


@pytest.fixture
def front(connect: Connect, sandbox: Sandbox) -> Iterator[Front]:
    """A panel that was shown by its magic, before a sandbox."""
    kernel = connect(sandbox)
    ran = kernel.run("panel = %cometimg_panel\npanel")
    assert ran.status == "ok", ran.error
    assert "application/vnd.jupyter.widget-view+json" in ran.shown[0].data
    kernel.run(SMALL)
    yield Front(kernel)
    kernel.run("panel.close(stop=True); panel.wait(10)")  # its thread is not to be seen by the next test


def bought(sandbox: Sandbox) -> list[str | None]:
    return [entry.prompt for entry in sandbox.log if entry.charged]


def slow(front: Front, delay: float) -> Sandbox:
    """Another sandbox for the kernel, one that takes its time."""
    sandbox = start_sandbox(delay=delay)
    front.kernel.run(f"import os; os.environ['COMETAPI_BASE_URL'] = {sandbox.base_url!r}")
    return sandbox


def test_a_click_makes_a_picture(front: Front, sandbox: Sandbox) -> None:
    front.kernel.run("import threading; where = []")
    front.kernel.run("panel._generate.on_click(lambda _: where.append(threading.current_thread().name))")

    front.click()

    assert until(lambda: front.kernel.value("len(panel.images)") == 1)
    assert front.kernel.value("panel.last.image.size") == (256, 256)
    assert len(front.kernel.value("where")) == 1
    assert bought(sandbox) == ["a boat"]


def test_what_is_typed_arrives_before_the_click_that_follows(front: Front, sandbox: Sandbox) -> None:
    front.find("panel.form.prompt", "panel._generate")

    front.type("panel.form.prompt", "a ship")
    front.click()

    assert until(lambda: bought(sandbox) == ["a ship"])


def test_two_clicks_in_a_row_are_one_purchase(front: Front, sandbox: Sandbox) -> None:
    front.find("panel._generate")
    front.click()
    front.click()

    assert until(lambda: front.kernel.value("len(panel.images)") == 1)
    assert front.kernel.value("panel.wait(30)")
    assert len(bought(sandbox)) == 1


def test_the_kernel_is_free_while_a_picture_is_made(front: Front) -> None:
    with slow(front, 60) as sandbox:
        front.click()
        assert until(lambda: len(sandbox.log) == 1)

        ran = front.kernel.run("print(1 + 1, len(panel.images))")

        assert ran.stdout == "2 0\n"
        front.kernel.run("panel.stop(); panel.drop(); panel.wait(30)")


def test_a_picture_is_finished_while_a_cell_blocks_the_kernel(front: Front) -> None:
    with slow(front, 1.5) as sandbox:
        front.click()
        assert until(lambda: len(sandbox.log) == 1)

        ran = front.kernel.run(BLOCK)

    assert ran.stdout == "1\n"


def test_a_click_while_a_cell_blocks_is_heeded_once_at_the_latest_when_it_ends(
    front: Front, sandbox: Sandbox
) -> None:
    front.find("panel._generate")
    message_id = front.kernel.start("import time; time.sleep(1.5)")
    time.sleep(0.3)  # into the cell
    front.click()
    front.click()
    front.kernel.finish(message_id)

    assert until(lambda: front.kernel.value("len(panel.images)") == 1)
    assert front.kernel.value("panel.wait(30)")
    assert len(bought(sandbox)) == 1


def test_an_interrupted_cell_does_not_stop_the_panel(front: Front) -> None:
    with slow(front, 2) as sandbox:
        front.click()
        assert until(lambda: len(sandbox.log) == 1)
        message_id = front.kernel.start("import time; time.sleep(60)")
        time.sleep(0.3)  # into the cell
        front.kernel.interrupt()
        assert front.kernel.finish(message_id).status == "error"

        assert until(lambda: front.kernel.value("len(panel.images)") == 1)


def test_stop_and_drop_by_messages(front: Front) -> None:
    with slow(front, 60) as sandbox:
        front.click()
        assert until(lambda: "Waiting" in front.kernel.value("panel._viewing.stage.line.value"))

        front.click("panel._stop")
        assert until(lambda: "already sent" in front.kernel.value("panel._said.value"))
        assert until(lambda: front.kernel.value("not panel._generate.disabled"))

        front.click("panel._drop")
        assert sandbox.until(lambda log: log[0].disconnected, timeout=30)
        assert front.kernel.value("panel.wait(30)")


def test_the_newest_pictures_get_their_name_in_the_notebook(front: Front) -> None:
    front.type("panel._name", "boats")
    front.click()

    assert until(lambda: front.kernel.value("'boats' in globals()"))
    assert front.kernel.value("boats is panel.last") is True

    front.type("panel._name", "ships")
    assert until(lambda: front.kernel.value("'ships' in globals()"))
    front.type("panel._name", "no name")
    assert until(lambda: "cannot be the name" in front.kernel.value("panel._error.value"))


def test_the_cell_to_copy_makes_the_same_request(front: Front, sandbox: Sandbox) -> None:
    front.kernel.run(
        "panel.form.fill({'model': 'dall-e-3', 'size': '1792x1024', 'style': 'vivid'}, 'a {boat} for $5')"
    )
    cell = front.kernel.value("panel._same_cell()")
    front.click()
    assert until(lambda: front.kernel.value("len(panel.images)") == 1)

    ran = front.kernel.run(cell)

    assert ran.status == "ok", ran.error
    names = front.kernel.value("[panel.last.paths[0], _.paths[0]]")
    assert names[0].rpartition(".0.")[0] == names[1].rpartition(".1.")[0] != ""
    assert bought(sandbox) == ["a {boat} for $5"] * 2


def test_nothing_is_printed_into_other_cells(front: Front) -> None:
    front.click()
    assert until(lambda: front.kernel.value("len(panel.images)") == 1)
    said: list[str] = []
    while True:
        try:
            message = front.kernel.client.get_iopub_msg(timeout=0.2)
        except Empty:
            break
        said += [message["msg_type"]]

    assert not {"stream", "display_data", "error"} & set(said)


def test_the_panel_begins_with_the_settings_of_the_magics(front: Front) -> None:
    front.kernel.run("%config CometMagics.model = 'dall-e-3'")
    front.kernel.run("%config CometMagics.quality = 'hd'")

    front.kernel.run("other = %cometimg_panel")

    assert front.kernel.value("other._same_cell()") == "%%cometimg -m dall-e-3 --quality hd\n"


def test_no_message_of_the_panel_holds_the_key(front: Front) -> None:
    front.click()
    assert until(lambda: front.kernel.value("len(panel.images)") == 1)

    state = front.kernel.value("str(__import__('ipywidgets').Widget.get_manager_state())")

    assert KEY[3:20] not in state


def test_words_behind_the_magic_are_refused(kernel: Kernel) -> None:
    ran = kernel.run("%cometimg_panel large")

    assert ran.status == "error"
    assert "takes flags only" in ran.traceback[0]
