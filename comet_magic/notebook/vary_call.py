"""A cell with `--vary`: from what was typed to the grid that it returns."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from ..explore.grid_display import GridOutput, grid_bundle
from ..explore.grid_run import make_grid
from ..explore.plan import plan_grid
from ..explore.variants import OPTIONS
from ..images import obstacle
from ..images.masks import as_box
from ..outputs import display_bundle
from ..request.prompt_template import alternatives_in, sent_as_typed
from . import flags
from .arguments import read_value, usage_error
from .cell_call import (
    bind,
    call_options,
    cell_client,
    filled_prompt,
    maker,
    refuse_unconfirmed,
    typed_prompt,
)
from .cell_names import found_picture, input_options
from .cell_output import print_notices
from .session import never_asks, session

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..explore import Grid, GridPlan
    from .arguments import Flag
    from .cell_call import TypedCell
    from .magic import CometMagics

PICTURES = ("image", "mask", "markup")


class Variations(NamedTuple):
    """What `--vary` says: values of options, words for names in the prompt, and prompts."""

    options: dict[str, list[Any]]
    words: dict[str, list[str]]
    prompts: list[str]


def run_vary(magics: CometMagics, typed: TypedCell, local_names: Mapping[str, Any]) -> Grid | None:
    """Make the grid that a cell asks for; bind, show and return it.

    Returns:
        The grid, or None with `--dry-run`.

    Raises:
        UsageError, InvalidRequestError: what was typed cannot be used; nothing was sent.
        CallAbandoned: an interrupt; what came was bound and shown before.
        CometError: all cells failed.
    """
    values, output = typed.values, GridOutput(magics.shell, quiet=bool(typed.values["quiet"]))
    client, notice, settings = cell_client(magics, values)
    prompts, words, options = _asked(magics, typed, local_names)
    plan = plan_grid(client, prompts, words, options, sample=values["sample"], seed=values["sample_seed"])
    print_notices(_notices(plan))
    if values["dry_run"]:
        print(f"{plan}\nnothing was sent")
        return None
    if values["save"] and (problem := obstacle(f"{values['save']}/", [])):
        raise usage_error(f"--save {values['save']}: {problem}")
    if not values["yes"] and not never_asks(client.vendor, {**settings, "max_cost": options.get("max_cost")}):
        refuse_unconfirmed(plan, magics.confirm_above)
    grid, error = make_grid(client, plan, output, notice=notice)
    _hand_over(magics, grid, values["out"])
    if error is not None:
        if not output.updates and not values["quiet"]:
            display_bundle(grid_bundle(grid))
        magics.shell.displayhook.update_user_ns(grid)
        raise error
    if values["save"]:
        grid.save(values["save"])
    return grid


def _asked(
    magics: CometMagics, typed: TypedCell, local_names: Mapping[str, Any]
) -> tuple[list[str], dict[str, list[str]], dict[str, Any]]:
    """The prompts of a cell, the words for names in them, and its options; a list of values varies.

    Raises:
        UsageError, InvalidRequestError: what was typed cannot be used.
    """
    shell, values = magics.shell, typed.values
    namespaces = (local_names, shell.user_ns)
    varied = read_variations(values["vary"], namespaces)
    for name in varied.options:
        if values.get(name) is not None:
            flag = f"--{name.replace('_', '-')}"
            raise usage_error(f"--vary {name}= and {flag} exclude each other; keep one of them")
    prompts = _prompts(typed, varied, namespaces, shell.user_ns_hidden)
    options = call_options(typed, magics) | input_options(values, namespaces, session.newest)
    if "image" in options:
        options["image"] = [options["image"]]  # all at once in each cell
    options = {name: value for name, value in options.items() if name not in varied.options}
    return prompts, varied.words, {**options, **varied.options, "reuse": not values["no_reuse"]}


def _hand_over(magics: CometMagics, grid: Grid, name: str | None) -> None:
    """Bind a grid, and let its pictures be edited with the settings of the notebook."""
    for cell in grid:
        if cell.images:
            cell.images.maker = maker(magics)
    session.newest = grid.images
    bind(magics.shell, name, grid)


def _notices(plan: GridPlan) -> list[str]:
    """What a user should know of the requests; braces that were doubled are meant as such."""
    requests = [cell.plan.first for cell in plan.cells]
    return [
        notice
        for request in requests
        for notice in request.notices
        if notice != sent_as_typed(request.prompt)
    ]


def _prompts(
    typed: TypedCell,
    varied: Variations,
    namespaces: Sequence[Mapping[str, Any]],
    hidden: Mapping[str, Any],
) -> list[str]:
    """The prompts with the names of the notebook filled in; those of `--vary` win over these."""
    if varied.prompts and typed_prompt(typed).strip():
        raise usage_error("--vary prompt= and a prompt in the cell exclude each other; keep one of them")
    texts = varied.prompts or [typed_prompt(typed)]
    template = bool(varied.words) or any(map(alternatives_in, texts))
    words = varied.words if template else None
    bare = {**typed.values, "prompt_file": None}
    return [
        filled_prompt(replace(typed, prompt=text, values=bare), namespaces, hidden, words=words)
        for text in texts
    ]


def read_variations(typed: Sequence[str], namespaces: Sequence[Mapping[str, Any]]) -> Variations:
    """What the `--vary` flags of a cell say; one name may come several times.

    Raises:
        UsageError: one line with the fix.
    """
    known = {flag.name: flag for flag in flags.flags_of("cometimg")}
    found = Variations({}, {}, [])
    for text in typed:
        spelled, has_values, values = text.partition("=")
        name = spelled.strip().replace("-", "_")
        if not has_values and name == "prompt":
            continue
        if not has_values or not name.isidentifier():
            raise usage_error(
                f"--vary is {text}; it takes NAME=A,B, or prompt alone for the alternatives {{red|blue}} in the prompt"
            )
        if name in {"n", "extra"}:
            raise usage_error(f"--vary takes no {name}; a cell has one for all its pictures")
        if name in OPTIONS:
            found.options.setdefault(name, []).extend(_values(name, values, known.get(name), namespaces))
        else:
            several = [one.strip() for one in values.split("|")]
            found.prompts.extend(several) if name == "prompt" else found.words.setdefault(name, []).extend(
                several
            )
    return found


def _values(name: str, text: str, flag: Flag | None, namespaces: Sequence[Mapping[str, Any]]) -> list[Any]:
    """The values of an option; one box of a mask has commas of its own."""
    words = [text.strip()] if as_box(text) else [one.strip() for one in text.split(",")]
    if name in PICTURES:
        return [as_box(word) or found_picture(word, f"--vary {name}=", namespaces) for word in words]
    if flag is None or flag.kind == "switch":  # they are typed by what they leave out, or have no value
        truths = {"true": True, "false": False}
        if any(word.lower() not in truths for word in words):
            raise usage_error(f"--vary {name} is {text}; it takes true,false")
        return [truths[word.lower()] for word in words]
    return [read_value(word, flag) for word in words]
