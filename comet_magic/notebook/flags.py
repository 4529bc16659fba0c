"""The flags of each magic: those of the wire come from the catalog, ours from the lists below."""

from __future__ import annotations

import inspect
from functools import cache
from typing import TYPE_CHECKING, Any

from .arguments import Flag, read_flags, refuse_key

if TYPE_CHECKING:
    from .arguments import Kind

HELP = Flag("help", "show this text", "switch")
INLINE = ("auto", "full", "preview", "none")
SHORT = {"model": "-m", "n": "-n"}
KINDS: dict[str, Kind] = {"integer": "integer", "boolean": "switch"}

CELL_FLAGS = (
    Flag("edit", "edit the picture that the last cell made", "switch"),
    Flag(
        "image",
        "a variable, also boats[1], or a path; may be repeated",
        "texts",
        metavar="NAME|PATH",
        quotes="generate",
    ),
    Flag(
        "mask",
        "a variable or a path (white changes), or left,top,right,bottom",
        metavar="NAME|PATH|BOX",
        quotes="generate",
    ),
    Flag("markup", "a variable or a path", metavar="NAME|PATH", quotes="generate"),
    Flag("no_resize", "", "switch", quotes="generate"),
    Flag("no_paste_back", "", "switch", quotes="generate"),
    Flag(
        "raw",
        "send a parameter that the table does not know, its value in JSON; may be repeated",
        "pair",
        "",
        "NAME=VALUE",
    ),
    Flag("preset", "%cometimg_preset lists them", metavar="NAME", quotes="generate"),
    Flag(
        "vary",
        "a grid of all these values, words of {names} and prompt= split at |; prompt alone: of {red|blue} in it",
        "texts",
        "",
        "NAME=A,B",
    ),
    Flag("sample", "with --vary", "integer", "", "N", quotes="vary"),
    Flag("sample_seed", "with --sample", "integer", "", "N", quotes="vary"),
    Flag("no_reuse", "with --vary", "switch", quotes="vary"),
    Flag("out", "assign the pictures to this variable, and show them", "name", "-o", "NAME"),
    Flag("quiet", "show no progress and no pictures", "switch", "-q"),
    Flag(
        "inline",
        "what the notebook keeps: auto (the default), full, preview, or none for the caption only",
        choices=INLINE,
    ),
    Flag("save", "also save here: a folder if it exists or ends in a slash, else a file; never overwrites"),
    Flag("reuse", "", "switch", quotes="generate"),
    Flag("dry_run", "show the exact request and its price; send nothing", "switch"),
    Flag("max_cost", "", "number", "", "USD", quotes="generate"),
    Flag("yes", "buy it without asking, also above %config CometMagics.confirm_above", "switch"),
    Flag("timeout", "", "number", "", "S", quotes="generate"),
    Flag("download_proxy", "download pictures through this proxy", metavar="URL"),
    Flag("prompt_file", "read the prompt from a text file", metavar="PATH"),
    Flag("no_interpolate", "leave {names} in the prompt as they are", "switch"),
    HELP,
)
PRESET_FLAGS = (
    Flag("template", "put this around the prompt, which {prompt} stands for", metavar="TEXT"),
    Flag("delete", "remove the preset NAME", metavar="NAME"),
    *(flag for flag in CELL_FLAGS if flag.name in ("raw", "reuse", "max_cost", "timeout")),
    HELP,
)
FLAGS = {
    "cometimg_models": (Flag("refresh", "ask the vendor for today's models and prices", "switch"), HELP),
    "cometimg_login": (Flag("keyring", "also keep the key in this system's keyring", "switch"), HELP),
    "cometimg_status": (Flag("balance", "ask the vendor what the key has used and has left", "switch"), HELP),
    "cometimg_cancel": (HELP,),
    "cometimg_forget": (HELP,),
    "cometimg_history": (
        Flag("limit", "20 unless set", "integer", "", "N", quotes="history"),
        Flag("model", "", "text", "-m", quotes="history"),
        Flag("day", "such as 2026-11-22", "text", "", "DATE", quotes="history"),
        Flag("since", "", "text", "", "DATE", quotes="history"),
        Flag("min_cost", "", "number", "", "USD", quotes="history"),
        Flag("max_cost", "", "number", "", "USD", quotes="history"),
        Flag("starred", "", "switch", quotes="history"),
        Flag("parent", "its ID", "text", "", "ID", quotes="history"),
        Flag("tree", "show what ID was made from, and what was made from it", "switch"),
        Flag("star", "give ID a star", "switch"),
        Flag("unstar", "take the star of ID away", "switch"),
        Flag(
            "as_code",
            "write the cell that made ID, a picture file or the last one into the next cell",
            "switch",
        ),
        Flag("fetch", "download the missing pictures of ID again (free: they are already paid)", "switch"),
        HELP,
    ),
}
WITH_WIRE = {"cometimg": CELL_FLAGS, "cometimg_preset": PRESET_FLAGS}
USAGE = {  # what follows the name of each magic
    "cometimg": "[flags] prompt …",
    "cometimg_models": "[name] [flags]",
    "cometimg_preset": "[name] [flags]",
    "cometimg_login": "[flags]",
    "cometimg_status": "[flags]",
    "cometimg_cancel": "",
    "cometimg_forget": "ID",
    "cometimg_history": "[words, ID or picture file] [flags]",
}


@cache
def flags_of(magic: str) -> tuple[Flag, ...]:
    """The flags of a magic; its name has no percent signs."""
    return (*wire_flags(), *WITH_WIRE[magic]) if magic in WITH_WIRE else FLAGS[magic]


@cache
def wire_flags() -> tuple[Flag, ...]:
    """One flag for each parameter that is sent; its help is what `generate` says, and the rules of the catalog."""
    from ..catalog import DEFAULT_MODEL, MODELS, WIRE_PARAMETERS

    flags = [
        Flag(
            "model",
            f"{DEFAULT_MODEL} unless set; %cometimg_models lists them",
            short="-m",
            group="the picture",
            quotes="generate",
        )
    ]
    for name in WIRE_PARAMETERS:
        rules = {model.id: rule for model in MODELS if (rule := model.rule(name))}
        if not rules or name in ("model", "prompt"):
            continue
        kind = KINDS.get(next(iter(rules.values())).kind, "text")
        said = "" if kind == "switch" else _explain(rules)
        said = f"in one request {said}" if name == "n" else said
        flags.append(Flag(name, said, kind, SHORT.get(name, ""), group="the picture", quotes="generate"))
    return tuple(flags)


def _explain(rules: dict[str, Any]) -> str:
    """Each rule once, with a model that it is for; the rule of the default model comes first."""
    from ..catalog import DEFAULT_MODEL

    models: dict[str, list[str]] = {}
    for model in sorted(rules, key=lambda model: model != DEFAULT_MODEL):
        models.setdefault(str(rules[model]), []).append(model)
    if len(models) == 1:
        return next(iter(models))
    more = {rule: f" and {len(ids) - 1} more" if len(ids) > 1 else "" for rule, ids in models.items()}
    return "; ".join(f"{rule} ({ids[0]}{more[rule]})" for rule, ids in models.items())


def read_line(magic: str, line: str) -> tuple[dict[str, Any], str]:
    """The value of each flag of a small magic's line, and its words.

    Raises:
        UsageError: one line with the fix; a key is refused without being repeated.
    """
    refuse_key(line)
    return read_flags(line, flags_of(magic), magic=f"%{magic}")


@cache
def help_of(magic: str) -> str:
    """The text that `--help` and `?` show: the magic's docstring, and its flags."""
    from IPython.core.magic_arguments import MagicArgumentParser

    from .magic import CometMagics

    make: Any = MagicArgumentParser  # partly typed
    about = inspect.cleandoc(getattr(CometMagics, magic).__doc__)
    parser = make(magic, usage=f"{magic} {USAGE[magic]}".strip(), description=about, add_help=False)
    parser.color = False  # Python 3.14 colours help if it thinks that it runs in a terminal
    groups: dict[str, Any] = {}
    for flag in flags_of(magic):
        if flag.group not in groups:
            groups[flag.group] = parser.add_argument_group(flag.group)
        shape = (
            {"metavar": flag.metavar or flag.name.upper()} if flag.takes_value else {"action": "store_true"}
        )
        spellings = [spelling for spelling in (flag.short, flag.spelling) if spelling]
        groups[flag.group].add_argument(*spellings, help=flag.explanation.replace("%", "%%"), **shape)
    text: str = parser.format_help()
    return text
