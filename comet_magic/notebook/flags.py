"""The flags of each magic: those of the wire from the catalog, ours from one list."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from .arguments import Flag, make_parser

if TYPE_CHECKING:
    from .arguments import Kind

INLINE = ("auto", "full", "preview", "none")
BESIDE = {  # what the rules of the table cannot say
    "size": "square, portrait, landscape, a ratio such as 16:9, or ",
    "stream": "send previews while it works: ",
}
SHORT = {"model": "-m", "n": "-n"}
KINDS: dict[str, Kind] = {"integer": "integer", "boolean": "switch"}

CELL_FLAGS = (
    Flag(
        "raw",
        "a parameter the table does not know, its value in JSON; may be repeated",
        "pair",
        "",
        "NAME=VALUE",
    ),
    Flag("out", "assign the pictures to this name, and show them", "name", "-o", "NAME"),
    Flag("quiet", "show nothing", "switch", "-q"),
    Flag(
        "inline",
        "what the notebook keeps: auto (the default), full, preview, or none for the caption only",
        choices=INLINE,
    ),
    Flag(
        "save",
        "also save here: a folder if it exists or ends in a slash, else a file; never overwrites",
        "path",
    ),
    Flag("reuse", "take pictures of the same request from the archive, pay for the rest", "switch"),
    Flag("dry_run", "show the exact request and its price; send nothing", "switch"),
    Flag("max_cost", "refuse the call when it could cost more, in USD", "number", "", "USD"),
    Flag("timeout", "seconds for the whole call", "number", "", "S"),
    Flag("prompt_file", "read the prompt from a text file", "path", "", "PATH"),
    Flag("no_interpolate", "leave {names} in the prompt as they are", "switch"),
    Flag("help", "show this text", "switch"),
)
HELP = Flag("help", "show this text", "switch")
FLAGS = {
    "cometimg_models": (Flag("refresh", "ask the vendor for its models and prices of today", "switch"), HELP),
    "cometimg_login": (Flag("keyring", "also keep the key in this system's keyring", "switch"), HELP),
    "cometimg_status": (Flag("balance", "ask the vendor what the key has used and has left", "switch"), HELP),
    "cometimg_cancel": (HELP,),
    "cometimg_history": (
        Flag("limit", "at most so many calls (20)", "integer", "", "N"),
        Flag("model", "only this model", "text", "-m"),
        Flag("since", "only from this day on, as in 2026-11-22", "text", "", "DATE"),
        Flag("as_code", "put the cell that made ID into the next cell", "switch"),
        Flag("fetch", "download what is missing of ID again; it is paid already and costs nothing", "switch"),
        HELP,
    ),
}
CELL_ABOUT = """\
Turn a prompt into pictures: %%cometimg takes the text below its line, %cometimg the rest of its own line.
Flags come first; -- ends them. {name}, {name.attr} and {name[0]} are filled in from the notebook, other
braces stay. The pictures come back as an Images, a list of PIL pictures. IPython takes a line that ends
in ? as a question about it: such a prompt goes into a %%cometimg cell.
"""
ABOUT = {
    "cometimg": ("cometimg [flags] prompt …", CELL_ABOUT),
    "cometimg_models": ("cometimg_models [name] [flags]", "What each model takes and costs."),
    "cometimg_login": (
        "cometimg_login [flags]",
        "Give the key once, unseen; it is kept until the kernel ends.",
    ),
    "cometimg_status": (
        "cometimg_status [flags]",
        "Key source, base URL, archive, spend; what runs or is uncertain.",
    ),
    "cometimg_cancel": (
        "cometimg_cancel",
        "Drop what still runs in the background; what was sent may be billed.",
    ),
    "cometimg_history": (
        "cometimg_history [words or ID] [flags]",
        "What was made, newest first; with an ID: one again.",
    ),
}


@cache
def flags_of(magic: str) -> tuple[Flag, ...]:
    """The flags of a magic, by its name without percent signs."""
    return (*wire_flags(), *CELL_FLAGS) if magic == "cometimg" else FLAGS[magic]


@cache
def wire_flags() -> tuple[Flag, ...]:
    """One flag for each parameter of the wire, explained by the catalog's own rules."""
    from ..catalog import DEFAULT_MODEL, MODELS, WIRE_PARAMETERS

    flags = [
        Flag(
            "model",
            f"{DEFAULT_MODEL} unless set; %cometimg_models lists them",
            short="-m",
            group="the picture",
        )
    ]
    for name in WIRE_PARAMETERS:
        rules = {model.id: model.parameters[name] for model in MODELS if name in model.parameters}
        if not rules or name in ("model", "prompt"):
            continue
        kind = KINDS.get(next(iter(rules.values())).kind, "text")
        flags.append(
            Flag(name, BESIDE.get(name, "") + _explain(rules), kind, SHORT.get(name, ""), group="the picture")
        )
    return tuple(flags)


def _explain(rules: dict[str, Any]) -> str:
    """Each rule once, the default model's first, with a model it holds for."""
    from ..catalog import DEFAULT_MODEL

    models: dict[str, list[str]] = {}
    for model in sorted(rules, key=lambda model: model != DEFAULT_MODEL):
        models.setdefault(str(rules[model]), []).append(model)
    if len(models) == 1:
        return next(iter(models))
    more = {rule: f" and {len(ids) - 1} more" if len(ids) > 1 else "" for rule, ids in models.items()}
    return "; ".join(f"{rule} ({ids[0]}{more[rule]})" for rule, ids in models.items())


@cache
def parser_of(magic: str) -> Any:
    """The argument parser of a magic."""
    usage_line, description = ABOUT[magic]
    return make_parser(magic, flags_of(magic), description=description, usage_line=usage_line)


@cache
def help_of(magic: str) -> str:
    """What `--help` and `?` show: made from the flags, so from the catalog."""
    text: str = parser_of(magic).format_help()
    return text
