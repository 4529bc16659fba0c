"""A cell in a real kernel: one output, one picture, one name."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from comet_magic.sandbox import Sandbox, start_sandbox

from .conftest import KEY, Kernel

Connect = Callable[[Sandbox], Kernel]
SMALL = "-m dall-e-2 --size 256x256"


@pytest.mark.every_kernel
def test_loading_imports_nothing_heavy_and_creates_nothing(fresh_kernel: Kernel, tmp_path: Path) -> None:
    names = "('httpx', 'anyio', 'PIL', 'ipywidgets')"
    heavy = f"{{name for name in __import__('sys').modules if name.split('.')[0] in {names}}}"
    fresh_kernel.run(f"before = {heavy}; import os; os.chdir({str(tmp_path)!r})")

    ran = fresh_kernel.run("%load_ext comet_magic")

    assert (ran.status, ran.stdout, ran.stderr, ran.outputs) == ("ok", "", "", [])
    assert fresh_kernel.value(f"sorted({heavy} - before)") == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.every_kernel
@pytest.mark.parametrize(
    "code",
    [
        f"%%cometimg {SMALL}\na cat's hat",
        f"%cometimg {SMALL} a cat's hat",
        f"%%cometimg {SMALL}\n\n\na cat's hat\n\n",
        f"x = %cometimg {SMALL} a cat's hat",
        f"x = %cometimg {SMALL} a cat's hat\nx",
    ],
)
def test_a_cell_shows_its_picture_once_in_one_format(kernel: Kernel, code: str) -> None:
    ran = kernel.run(code)

    assert ran.status == "ok", ran.error
    assert [output.pictures for output in ran.shown] == [["image/png"]]
    (output,) = ran.shown
    assert set(output.data) == {"image/png", "text/plain"}
    assert output.metadata["image/png"]["alt"] == "a cat's hat"
    assert "sandbox picture: set COMETAPI_KEY for real ones" in output.data["text/plain"]


BROKEN_DISPLAY = f"""
import IPython.display
class Broken(IPython.display.DisplayHandle):
    def __init__(self):
        raise OSError("the page is gone")
real, IPython.display.DisplayHandle = IPython.display.DisplayHandle, Broken
try:
    boat = %cometimg {SMALL} a boat
finally:
    IPython.display.DisplayHandle = real
"""


@pytest.mark.every_kernel
def test_a_display_that_fails_costs_no_picture(connect: Connect) -> None:
    with start_sandbox(delay=0.4) as sandbox:  # long enough that progress is to be shown too
        kernel = connect(sandbox)
        ran = kernel.run(BROKEN_DISPLAY)

        assert ran.status == "ok", ran.error
        assert kernel.value("boat.image.size") == (256, 256)


@pytest.mark.every_kernel
def test_a_timed_cell_shows_its_picture_once(kernel: Kernel) -> None:
    ran = kernel.run(f"%%time\n%cometimg {SMALL} a hat")

    assert ran.status == "ok", ran.error
    assert [output.pictures for output in ran.shown] == [["image/png"]]
    assert "Wall time" in ran.stdout


@pytest.mark.every_kernel
@pytest.mark.parametrize(("flags", "links"), [("", 1), ("-n 3", 3)], ids=["one", "several"])
def test_below_a_picture_stands_what_it_cost_where_it_is_and_that_it_is_no_real_one(
    kernel: Kernel, flags: str, links: int
) -> None:
    ran = kernel.run(f"%cometimg {SMALL} {flags} a boat's 100%")

    (caption,) = ran.captions
    facts, notice = caption.data["text/plain"].split("\n")
    assert re.search(r"dall-e-2 · .*256x256 · \$0\.0\d+ · cometimg/images/\S+", facts)
    assert notice.startswith("sandbox picture")
    assert "cometimg/" not in ran.stdout
    addresses = re.findall(r'href="([^"]+)"', caption.data["text/html"])
    assert len(addresses) == links
    assert all(
        kernel.value(f"__import__('os').path.isfile(__import__('urllib.parse').parse.unquote({address!r}))")
        for address in addresses
    )


@pytest.mark.every_kernel
@pytest.mark.parametrize("flags", ["-q", "--inline none"])
def test_where_no_picture_is_shown_no_caption_stands_below_it(kernel: Kernel, flags: str) -> None:
    ran = kernel.run(f"%cometimg {SMALL} {flags} a boat")
    assert (ran.captions, "cometimg/" in ran.stdout) == ([], False)


@pytest.mark.every_kernel
def test_the_value_is_bound_as_the_underscore_and_in_out(kernel: Kernel) -> None:
    ran = kernel.run(f"%%cometimg {SMALL}\na boat")
    count = ran.reply["execution_count"]

    assert kernel.value(f"(type(_).__name__, _ is Out[{count}], _.image.size)") == (
        "Images",
        True,
        (256, 256),
    )


@pytest.mark.every_kernel
def test_what_was_shown_by_its_own_cell_shows_itself_again_in_the_next(kernel: Kernel) -> None:
    kernel.run(f"x = %cometimg {SMALL} a boat")

    ran = kernel.run("x")

    assert [(output.kind, output.pictures) for output in ran.shown] == [("execute_result", ["image/png"])]


@pytest.mark.every_kernel
def test_out_names_the_pictures_and_shows_them(kernel: Kernel) -> None:
    ran = kernel.run(f"%%cometimg {SMALL} -o boats -n 2\na boat")

    assert [len(output.pictures) for output in ran.shown] == [1]
    assert kernel.value("(len(boats), boats is _, boats.prompt)") == (2, True, "a boat")


@pytest.mark.every_kernel
def test_quiet_shows_nothing_and_returns_the_pictures(kernel: Kernel) -> None:
    ran = kernel.run(f"%%cometimg {SMALL} -q -o boats\na boat")

    assert ran.shown == []
    assert kernel.value("boats is _") is True


@pytest.mark.every_kernel
@pytest.mark.parametrize(("flags", "shown"), [("-q", 1), ("", 2)])
def test_what_display_is_given_is_shown_also_in_the_cell_that_made_it(
    kernel: Kernel, flags: str, shown: int
) -> None:
    ran = kernel.run(f"x = %cometimg {SMALL} {flags} a boat\ndisplay(x)\nx")

    assert ran.status == "ok", ran.error
    assert [output.pictures for output in ran.shown] == [["image/png"]] * shown


@pytest.mark.every_kernel
def test_a_loop_shows_each_picture_once(kernel: Kernel) -> None:
    ran = kernel.run(f"for color in ('red', 'blue'):\n    %cometimg {SMALL} a {{color}} boat")

    assert [output.metadata["image/png"]["alt"] for output in ran.shown] == ["a red boat", "a blue boat"]


@pytest.mark.every_kernel
def test_capture_records_one_picture_and_no_progress(kernel: Kernel) -> None:
    kernel.run(f"%%capture caught\n%cometimg {SMALL} a boat")

    assert kernel.value("[sorted(each.data) for each in caught.outputs]") == [["image/png", "text/plain"]]


@pytest.mark.parametrize(
    ("inline", "formats"),
    [("none", []), ("full", ["image/png"]), ("preview", ["image/jpeg"]), ("auto", ["image/png"])],
)
def test_inline_decides_what_the_notebook_keeps(kernel: Kernel, inline: str, formats: list[str]) -> None:
    ran = kernel.run(f"%cometimg {SMALL} --inline {inline} a boat")

    (output,) = ran.shown
    assert output.pictures in (formats, ["image/png"] if inline == "preview" else formats)


def test_the_providers_bytes_are_shown_as_they_came(kernel: Kernel) -> None:
    ran = kernel.run(f"x = %cometimg {SMALL} a boat")

    (output,) = ran.shown
    shown = base64.b64decode(output.data["image/png"])
    assert kernel.value("x.data[0]") == shown
    assert Path(kernel.value("x.paths[0]")).read_bytes() == shown


def test_a_real_key_uses_its_address_and_stands_in_no_message(connect: Connect, sandbox: Sandbox) -> None:
    kernel = connect(sandbox)

    ran = kernel.run(f"x = %cometimg {SMALL} a boat")
    status = kernel.run("%cometimg_status")

    assert [entry.path for entry in sandbox.log if entry.charged] == ["/v1/images/generations"]
    assert "set COMETAPI_KEY" not in str(ran.messages)
    assert "from COMETAPI_KEY" in status.outputs[0].data["text/plain"]
    assert KEY[3:15] not in str(ran.messages) + str(status.messages)


@pytest.mark.every_kernel
@pytest.mark.parametrize(
    "prompt",
    [
        'say "hi"',
        '{"a": {"b": 1}}',
        "$5; 100% done;",
        "%matplotlib",
        "一只猫在睡觉",
        "🐈‍⬛ 🚢",
        "x" * 900,
        "a\n\n b\n",
    ],
)
def test_a_prompt_of_any_letters_arrives_as_typed(connect: Connect, sandbox: Sandbox, prompt: str) -> None:
    ran = connect(sandbox).run(f"%%cometimg {SMALL}\n{prompt}")

    assert ran.status == "ok", ran.error
    assert [entry.prompt for entry in sandbox.log if entry.charged] == [prompt.strip("\n")]


def test_a_prompt_of_32000_characters_is_sent_whole(connect: Connect, sandbox: Sandbox) -> None:
    ran = connect(sandbox).run(f"%%cometimg --size 1024x640 --quality low\n{'boat ' * 6400}")

    assert ran.status == "ok", ran.error
    assert [len(entry.prompt or "") for entry in sandbox.log if entry.charged] == [32_000]


@pytest.mark.every_kernel
def test_names_of_the_notebook_and_of_a_function_are_filled_in(connect: Connect, sandbox: Sandbox) -> None:
    kernel = connect(sandbox)
    kernel.run("color = 'red'")

    ran = kernel.run(
        f"def paint(place):\n    %cometimg {SMALL} a {{color}} boat at {{place}}, {{colour}}\npaint('sea')"
    )

    assert [entry.prompt for entry in sandbox.log if entry.charged] == ["a red boat at sea, {colour}"]
    assert "did you mean {color}?" in ran.stdout
    assert ran.stderr == ""


def test_interpolation_can_be_switched_off(connect: Connect, sandbox: Sandbox) -> None:
    kernel = connect(sandbox)
    kernel.run("color = 'red'")

    ran = kernel.run(f"%cometimg {SMALL} --no-interpolate a {{color}} boat")

    assert [entry.prompt for entry in sandbox.log if entry.charged] == ["a {color} boat"]
    assert "in the prompt" not in ran.stdout


@pytest.mark.parametrize("data", [b"a boat\nfrom a file\n", b"\xef\xbb\xbfa boat\r\nfrom a file\r\n"])
def test_a_prompt_can_come_from_a_file_of_any_editor(
    connect: Connect, sandbox: Sandbox, tmp_path: Path, data: bytes
) -> None:
    (tmp_path / "prompt.txt").write_bytes(data)

    connect(sandbox).run(f"%cometimg {SMALL} --prompt-file prompt.txt")

    assert [entry.prompt for entry in sandbox.log if entry.charged] == ["a boat\nfrom a file"]


def test_a_cell_with_line_ends_and_spaces_of_another_system_is_the_same_request(
    connect: Connect, sandbox: Sandbox
) -> None:
    kernel = connect(sandbox)

    for cell in (
        "%%cometimg {} --reuse\na boat\non water",
        "%%cometimg\t{}\xa0--reuse\r\na boat\r\non water\r\n",
    ):
        ran = kernel.run(cell.format(SMALL))
        assert ran.status == "ok", ran.error

    assert [entry.prompt for entry in sandbox.log if entry.charged] == ["a boat\non water"]


def test_saving_puts_a_file_beside_the_archive(kernel: Kernel, tmp_path: Path) -> None:
    ran = kernel.run(f"x = %cometimg {SMALL} -n 2 --save boat.png a boat")

    assert ran.status == "ok", ran.error
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["boat-1.png", "boat-2.png"]


def test_a_dry_run_shows_the_request_and_its_price_and_sends_nothing(
    connect: Connect, sandbox: Sandbox
) -> None:
    ran = connect(sandbox).run("%cometimg -m dall-e-3 -n 3 --dry-run a boat")

    assert '"prompt": "a boat"' in ran.stdout
    assert "(3 times)" in ran.stdout
    assert "price: $0.12; nothing was sent" in ran.stdout
    assert (ran.outputs, sandbox.log) == ([], [])


def test_a_dry_run_names_the_setting_that_is_no_price(connect: Connect, sandbox: Sandbox) -> None:
    kernel = connect(sandbox)
    kernel.run("%config CometMagics.price_per_image = -1")

    assert "price_per_image is -1" in kernel.run("%cometimg --dry-run a boat").traceback[0]


@pytest.mark.every_kernel
def test_streaming_ends_in_one_output_that_is_the_picture(connect: Connect, sandbox: Sandbox) -> None:
    seen: list[str] = []
    kernel = connect(sandbox)

    ran = kernel.finish(
        kernel.start("%cometimg --stream --partial-images 2 --size 1024x640 --quality low a boat"),
        watch=lambda output: seen.append(output.data.get("text/html", "")),
    )

    assert ran.status == "ok", ran.error
    assert [output.pictures for output in ran.shown] in ([["image/png"]], [["image/jpeg"]])
    assert "data:image/" not in "".join(str(output.data) for output in ran.shown)
    assert seen


@pytest.mark.every_kernel
def test_previews_of_a_stream_are_shown_small_while_it_runs(connect: Connect) -> None:
    from comet_magic.sandbox import start_sandbox

    seen: list[str] = []
    with start_sandbox(delay=4) as sandbox:
        kernel = connect(sandbox)
        kernel.finish(
            kernel.start("%cometimg --stream --partial-images 3 --size 1024x640 --quality low a boat"),
            watch=lambda output: seen.append(output.data.get("text/html", "")),
        )

    previews = [markup for markup in seen if "<img" in markup]
    assert previews
    for markup in previews:
        encoded = markup.partition("base64,")[2].partition('"')[0]
        with Image.open(io.BytesIO(base64.b64decode(encoded))) as small:
            assert max(small.size) <= 512


@pytest.mark.every_kernel
def test_a_wait_shows_that_it_lives_before_the_picture_comes(connect: Connect) -> None:
    from comet_magic.sandbox import start_sandbox

    seen: list[dict[str, Any]] = []
    with start_sandbox(delay=2.5) as sandbox:
        kernel = connect(sandbox)
        ran = kernel.finish(
            kernel.start(f"%cometimg {SMALL} a <b>boat</b>"),
            watch=lambda output: seen.append(dict(output.data)),
        )

    progress = [data["text/html"] for data in seen if "text/html" in data]
    assert len(progress) >= 2
    assert all('role="status"' in markup and "dall-e-2" in markup for markup in progress)
    assert any("1 s" in markup for markup in progress)
    assert [output.pictures for output in ran.shown] == [["image/png"]]


def test_saving_makes_the_folder_that_a_slash_names(kernel: Kernel, tmp_path: Path) -> None:
    ran = kernel.run(f"x = %cometimg {SMALL} --save new/deep/ a paper boat")

    assert ran.status == "ok", ran.error
    assert [path.name for path in (tmp_path / "new" / "deep").iterdir()] == ["a-paper-boat.png"]


def test_a_setting_that_changes_between_two_cells_counts_from_then_on(kernel: Kernel, tmp_path: Path) -> None:
    kernel.run(f"%cometimg {SMALL} a boat")

    ran = kernel.run(f"%config CometMagics.archive = 'elsewhere'\n%cometimg {SMALL} a boat")

    assert ran.status == "ok", ran.error
    assert [len(list(tmp_path.glob(f"{name}/images/*/*.png"))) for name in ("cometimg", "elsewhere")] == [
        1,
        1,
    ]


def test_without_an_archive_nothing_is_written(kernel: Kernel, tmp_path: Path) -> None:
    ran = kernel.run(f"%config CometMagics.archive = 'off'\n%cometimg {SMALL} a boat")

    assert ran.status == "ok", ran.error
    assert list(tmp_path.iterdir()) == []
