"""`%cometimg_preset`: lists presets, keeps one, takes one away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..outputs import display_bundle
from ..preset_files import delete_preset, presets, save_preset
from ..text import clean
from .arguments import usage_error

if TYPE_CHECKING:
    from collections.abc import Mapping

OPTIONS_OF_A_CALL = ("timeout", "max_cost", "reuse")


def change_presets(name: str, values: Mapping[str, Any]) -> None:
    """Keep a preset under a name, or take one away; without a name show all.

    Raises:
        UsageError: words and flags do not say one of these.
        InvalidRequestError, ConfigurationError: the preset or the file cannot be used; nothing was changed.
    """
    from .flags import wire_flags

    removed = values["delete"]
    names = (*(flag.name for flag in wire_flags()), *OPTIONS_OF_A_CALL)
    options = {option: values[option] for option in names if values[option] is not None}
    if values["raw"]:
        options["extra"] = dict(values["raw"])
    if removed is not None:
        if name or options or values["template"]:
            raise usage_error("--delete NAME stands alone")
        print(f"removed {clean(removed)} from {clean(delete_preset(removed))}")
    elif name:
        print(f"kept {clean(name)} in {clean(save_preset(name, options, values['template'] or ''))}")
    elif options or values["template"]:
        raise usage_error("name the preset that these flags are for: %cometimg_preset NAME flags")
    else:
        display_bundle(presets()._repr_mimebundle_())
