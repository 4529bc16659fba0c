"""A real kernel, driven as a front end drives it: what it sends back, and when."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Self

import nbformat.v4
from jupyter_client.manager import start_new_kernel


@dataclass(frozen=True)
class Ran:
    """What one cell sent: its text, and its pictures with when the last one arrived."""

    text: str
    shown: tuple[Any, ...]
    arrived_ms: float

    @property
    def megabytes(self) -> float:
        """The messages with pictures as the front end gets them."""
        return sum(len(json.dumps(message["content"])) for message in self.shown) / 1e6

    @property
    def notebook_megabytes(self) -> float:
        """The file of a notebook with this cell alone."""
        outputs = [nbformat.v4.output_from_msg(message) for message in self.shown]
        cell = nbformat.v4.new_code_cell("images", outputs=outputs)
        return len(nbformat.writes(nbformat.v4.new_notebook(cells=[cell])).encode()) / 1e6


class Kernel:
    """A fresh ipykernel with this environment, in this folder."""

    def __init__(self, env: Mapping[str, str], cwd: Path) -> None:
        self._manager, self._client = start_new_kernel(
            kernel_name="python3", env=dict(env), cwd=str(cwd), stderr=subprocess.DEVNULL
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)

    def run(self, code: str) -> Ran:
        """Runs a cell until the kernel is idle again; an error in it is raised."""
        text, shown = "", []
        arrived = start = perf_counter()
        order = self._client.execute(code)
        while True:
            message = self._client.get_iopub_msg(timeout=60)
            if message["parent_header"].get("msg_id") != order:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "error":
                raise RuntimeError("\n".join(content["traceback"]))
            if kind == "stream":
                text += content["text"]
            if kind in {"display_data", "execute_result", "update_display_data"}:
                shown.append(message)
                arrived = perf_counter()
            if kind == "status" and content["execution_state"] == "idle":
                self._client.get_shell_msg(timeout=60)
                return Ran(text, tuple(shown), (arrived - start) * 1e3)

    def cpu_ms(self) -> float:
        """The CPU time of the kernel so far."""
        return float(self.run("import time; print(time.process_time() * 1e3)").text)
