"""Grids in a real kernel: typed, priced, shown while they grow, stopped, and run again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from comet_magic.sandbox import Sandbox, start_sandbox

from .conftest import KEY, Output

if TYPE_CHECKING:
    from .conftest import Kernel

    Connect = Callable[[Sandbox], Kernel]

pytestmark = pytest.mark.usefixtures("plain_pictures")

SMALL = "-m dall-e-2 --size 256x256"
MODELS = "--vary model=gpt-image-2,gpt-image-2.5-flare,dall-e-3 --vary quality=high,max --size 1024x1024"


def paid(sandbox: Sandbox) -> int:
    return sum(served.method == "POST" for served in sandbox.log)


def test_three_models_and_two_qualities_of_which_one_lacks_a_quality(connect: Connect) -> None:
    with start_sandbox() as sandbox:
        kernel = connect(sandbox)
        kernel.run("%config CometMagics.quality = 'low'")  # the order of the cell's own values counts
        plan = kernel.run(f"%%cometimg {MODELS} --dry-run\na boat")
        assert "4 cells: 4 pictures to make" in plan.stdout
        assert "nothing was sent" in plan.stdout
        assert paid(sandbox) == 0

        ran = kernel.run(f"%%cometimg {MODELS} --max-cost 1 -o grid\na boat")
        assert ran.error is None
        assert paid(sandbox) == 4
        assert kernel.value("grid.plan.price.low <= grid.cost <= grid.plan.price.high") is True
        assert kernel.value("[cell.name for cell in grid]") == [
            "gpt-image-2, quality high",
            "gpt-image-2.5-flare, quality high",
            "gpt-image-2.5-flare, quality max",
            "dall-e-3, quality high",
        ]
        page = "".join(output.data.get("text/html", "") for output in ran.outputs)
        assert page.count("<img") == 4
        assert page.count("comet-grid") == 1
        assert "the same as gpt-image-2, quality high" in page
        assert all(not output.pictures for output in ran.outputs)

        again = kernel.run(f"%%cometimg {MODELS} --max-cost 1 -o grid\na boat")
        assert again.error is None
        assert (paid(sandbox), kernel.value("grid.cost")) == (4, 0.0)
        more = kernel.run(f"%%cometimg {MODELS} --vary model=gpt-image-1 -o grid\na boat")
        assert more.error is None
        assert paid(sandbox) == 5
        assert kernel.value("grid.best(by='cost').model, grid.best(by='cost').upgrade('low').model")


@pytest.mark.every_kernel
def test_a_grid_grows_with_few_updates_and_a_refused_cell_says_why(connect: Connect) -> None:
    with start_sandbox(delay=0.5, fail="moderation:1") as sandbox:
        kernel = connect(sandbox)
        seen: list[str] = []
        started = kernel.start(
            f"%%cometimg {SMALL} --vary prompt -o grid\na {{paper|tin|glass|stone|straw}} boat"
        )
        ran = kernel.finish(started, watch=lambda output: seen.append(output.data.get("text/html", "")))

        assert ran.error is None
        tables = [shown for shown in seen if "comet-grid" in shown]
        assert 2 <= len(tables) <= 6
        assert "…</div>" in tables[0]
        assert tables[-1].count("<img") == 4
        assert "<b>failed</b>: " in tables[-1]
        assert kernel.value("[type(error).__name__ for error in grid.errors.values()]") == [
            "ContentPolicyError"
        ]

        kernel.run(f"%%cometimg {SMALL} --vary prompt -o grid\na {{paper|tin|glass|stone|straw}} boat")
        assert (paid(sandbox), kernel.value("len(grid.errors)")) == (6, 0)


@pytest.mark.every_kernel
def test_an_interrupt_keeps_what_came_and_the_next_run_pays_for_the_rest(connect: Connect) -> None:
    with start_sandbox(delay=0.7) as sandbox:
        kernel = connect(sandbox)
        kernel.run("%config CometMagics.max_in_flight = 1")
        cell = f"%%cometimg {SMALL} --vary animal=cat|dog|fox|hen|owl|bee -o grid\na {{animal}}"
        started = kernel.start(cell)

        stopped: list[str] = []

        def stop_once(output: Output) -> None:
            if not stopped and "<img" in output.data.get("text/html", ""):
                stopped.append(output.kind)
                kernel.interrupt()

        ran = kernel.finish(started, watch=stop_once)
        assert ran.error is not None
        assert ran.error["ename"] == "CallAbandoned"
        came = kernel.value("len(grid.images)")
        assert 1 <= came < 6
        assert kernel.value("len(grid.errors)") == 6 - came
        assert kernel.run("_").outputs[0].data["text/html"].count("<img") == came

        assert kernel.run(cell).error is None  # what was sent before is awaited, not bought again
        assert kernel.value("len(grid.images), grid.errors") == (6, {})
        assert paid(sandbox) == 6


def test_words_of_the_grid_win_over_variables_and_alternatives_are_never_looked_up(kernel: Kernel) -> None:
    kernel.run("animal, colour, red = 'horse', 'dark {grey}', 'no'")
    ran = kernel.run(
        f"%%cometimg {SMALL} --vary 'animal=cat|a dog, asleep' -o grid\n"
        "a {colour} {animal} in {red|blue} {{x}}"
    )

    assert (ran.error, "{" in ran.stdout) == (None, False)
    assert kernel.value("[cell.prompt for cell in grid]") == [
        "a dark {grey} cat in red {x}",
        "a dark {grey} cat in blue {x}",
        "a dark {grey} a dog, asleep in red {x}",
        "a dark {grey} a dog, asleep in blue {x}",
    ]


def test_without_vary_alternatives_are_sent_as_typed_with_one_line(kernel: Kernel) -> None:
    ran = kernel.run(f"%%cometimg {SMALL} -o boats\na {{red|blue}} boat")

    assert ran.stdout.count("{red|blue} is sent as typed; alternatives are drawn by vary only\n") == 1
    assert kernel.value("boats.prompt") == "a {red|blue} boat"


def test_pictures_and_prompts_are_varied_and_the_folder_is_written(kernel: Kernel) -> None:
    kernel.run(
        "from PIL import Image; red, blue = (Image.new('RGB', (64, 64), name) for name in ('red', 'blue'))"
    )
    edit = "%%cometimg -m gpt-image-2 --quality low --size 1024x1024"
    ran = kernel.run(f"{edit} --vary image=red,blue --vary 'prompt=at night|at noon' --save out -o grid")

    assert ran.error is None
    assert kernel.value("[cell.prompt for cell in grid], [len(cell.images.parents) for cell in grid]") == (
        ["at night", "at noon"] * 2,
        [0] * 4,
    )
    assert kernel.value("len(list(__import__('pathlib').Path('out').iterdir()))") == 5


def test_the_line_form_takes_prompts_and_draws_some_of_them(kernel: Kernel) -> None:
    ran = kernel.run(
        f"%cometimg {SMALL} --sample 2 --sample-seed 1 -q -o grid --vary 'prompt=a cat|a dog|a fox'"
    )

    assert (ran.error, ran.shown) == (None, [])
    assert kernel.value("len(grid), grid.plan.sample") == (2, "2 of 3 combinations, sample_seed=1")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--vary model", "--vary is model; it takes NAME=A,B, or prompt alone"),
        ("--vary qualty=low,high", "words contains qualty; the prompt has no {qualty}"),
        ("--vary n=1,2", "--vary takes no n"),
        ("--model gpt-image-2 --vary model=dall-e-3", "--vary model= and --model exclude each other"),
        ("--vary 'prompt=a|b'", "--vary prompt= and a prompt in the cell exclude each other"),
        ("--sample 3", "--sample works with --vary only"),
        ("--vary image=nowhere", "there is no variable and no file of this name"),
        ("--vary output_compression=a", "takes a whole number"),
    ],
)
def test_a_wrong_flag_fails_in_one_line(kernel: Kernel, line: str, said: str) -> None:
    ran = kernel.run(f"%%cometimg {line}\na boat")

    assert ran.error is not None
    assert said in ran.traceback[0]
    assert len(ran.traceback) == 1


def test_a_grid_above_the_amount_needs_a_yes_and_python_code_does_not(kernel: Kernel) -> None:
    kernel.run(
        f"import os; os.environ |= {{'COMETAPI_KEY': {KEY!r}, 'COMETAPI_BASE_URL': 'https://shop.invalid/v1'}}"
    )
    ran = kernel.run("%%cometimg --vary quality=high,medium --vary n_words=a|b|c|d -n 2\na {n_words} boat")
    assert ran.error is not None
    assert "this would buy 16 pictures for at most" in ran.traceback[0]
    assert "add --yes, or set a limit: --max-cost" in ran.traceback[0]
    over = kernel.run("%%cometimg --vary quality=high,low --max-cost 0.1\na boat")
    assert over.error is not None
    assert over.error["ename"] == "BudgetExceededError"


@pytest.mark.every_kernel
def test_a_grid_is_shown_once_as_the_value_of_its_cell(kernel: Kernel) -> None:
    code = (
        "import os; os.environ['COMETAPI_KEY'] = 'sandbox'\nimport comet_magic as cm\n"
        "grid = cm.vary('a boat', model='dall-e-2', size=['256x256', '512x512'])\ngrid"
    )
    for cell in (code, "grid"):
        shown = [
            output for output in kernel.run(cell).outputs if "comet-grid" in output.data.get("text/html", "")
        ]
        assert len(shown) == 1
