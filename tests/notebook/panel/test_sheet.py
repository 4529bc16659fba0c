"""The sheet below the panel: an ordinary picture that stays in the notebook file."""

from __future__ import annotations

import base64
import io
import random
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from comet_magic.notebook.panel.sheet import MOST_BYTES, Sheet, draw_sheet

if TYPE_CHECKING:
    from tests.notebook.conftest import Kernel


def thumbnail(seed: int, size: tuple[int, int] = (384, 256)) -> bytes:
    """A JPEG full of detail."""
    noise = Image.frombytes("L", (48, 32), random.Random(seed).randbytes(48 * 32))
    out = io.BytesIO()
    Image.merge("RGB", [noise.resize(size).rotate(turn) for turn in (0, 90, 180)]).save(out, "JPEG")
    return out.getvalue()


def shown(bundle: tuple[dict[str, Any], dict[str, Any]]) -> tuple[Image.Image, int, dict[str, Any]]:
    """The picture of a bundle, its bytes and its metadata."""
    data, metadata = bundle
    assert list(data) == ["image/jpeg", "text/plain"]
    file = base64.b64decode(data["image/jpeg"])
    return Image.open(io.BytesIO(file)), len(file), metadata["image/jpeg"]


@pytest.mark.parametrize(("count", "columns", "rows"), [(1, 1, 1), (3, 3, 1), (6, 3, 2), (20, 5, 4)])
def test_a_sheet_is_one_small_jpeg_with_size_and_alternative_text(
    count: int, columns: int, rows: int
) -> None:
    picture, size, metadata = shown(draw_sheet([(thumbnail(i), f"boat {i}", False) for i in range(count)]))

    assert size <= MOST_BYTES
    assert picture.width / picture.height == pytest.approx(columns * 3 / (rows * 2), rel=0.03)
    assert metadata["width"] <= 640
    assert metadata["height"] / metadata["width"] == pytest.approx(picture.height / picture.width, rel=0.02)
    assert metadata["alt"].startswith(f"{count} picture" + ("s: boat 0" if count > 1 else ": boat 0"))


def test_grids_have_the_whole_width_of_a_sheet_between_the_other_pictures() -> None:
    kept = [(thumbnail(i), f"boat {i}", False) for i in range(9)]
    kept[5:5] = [(thumbnail(20, (1600, 1200)), "a grid", True), (thumbnail(21, (1600, 800)), "another", True)]
    picture, size, metadata = shown(draw_sheet(kept))

    assert size <= MOST_BYTES
    assert metadata["width"] == 900
    assert picture.height / picture.width == pytest.approx((3 / 4 + 3 / 4) + (2 / 15 + 2 / 12), rel=0.05)
    assert "a grid; another" in metadata["alt"]


def test_the_alternative_text_has_no_key_and_no_control_characters() -> None:
    key = "sk-" + "sheetTESTKEY0123456789abcdef"
    _, _, metadata = shown(draw_sheet([(thumbnail(1), f"a\nboat \x1b[31m{key}", False)]))

    assert metadata["alt"].startswith("1 picture: a boat ")
    assert "sheetTEST" not in metadata["alt"]


def test_without_a_kernel_nothing_is_shown_and_nothing_raised() -> None:
    sheet = Sheet()

    sheet.show(None)
    sheet.update([(thumbnail(1), "a boat", False)])


def test_a_thumbnail_that_cannot_be_opened_raises_nothing(kernel: Kernel) -> None:
    kernel.run("from comet_magic.notebook.panel.sheet import Sheet\nsheet = Sheet()")
    kernel.run("sheet.show(get_ipython());")

    ran = kernel.run("sheet.update([(b'no picture', 'a boat', False)])")

    assert (ran.status, ran.stderr, ran.updates) == ("ok", "", [])


@pytest.mark.every_kernel
def test_it_is_updated_in_its_own_cell_from_a_thread_while_another_cell_runs(kernel: Kernel) -> None:
    kernel.run("from comet_magic.notebook.panel.sheet import Sheet\nsheet = Sheet()")
    first = kernel.run("sheet.show(get_ipython());").outputs
    again = kernel.run("sheet.show(get_ipython());").outputs

    ran = kernel.run(
        "import threading, contextvars\n"
        f"pictures = [({thumbnail(1)!r}, 'a boat', False)]\n"
        "work = lambda: [sheet.update(pictures), sheet.update(pictures)]\n"
        "thread = threading.Thread(target=contextvars.copy_context().run, args=[work])\n"
        "thread.start(); thread.join()"
    )

    assert first[0].data == {"text/plain": "Pictures of this panel are kept here when the notebook is saved."}
    assert len({output.display_id for output in [*first, *again, *ran.updates]}) == 1
    assert [output.metadata["image/jpeg"]["alt"] for output in ran.updates] == ["1 picture: a boat"]
    assert ran.outputs == []
    assert kernel.run("sheet.show(get_ipython());").outputs[0].pictures == ["image/jpeg"]
