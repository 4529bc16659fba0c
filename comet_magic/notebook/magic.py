"""The magics and their settings: they read what was typed, and leave the work to `cell_call`, `commands` and `history`.

Wrong usage becomes a `UsageError` of one line; it and every other failure are a `CometError`, and fail the cell.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

from IPython.core.magic import (
    Magics,
    line_cell_magic,
    line_magic,
    magics_class,
    needs_local_scope,
    no_var_expand,
)
from traitlets import Bool, Float, Integer, List, Unicode, observe

from ..errors import CometError, InvalidRequestError
from .arguments import KEY_ADVICE, usage_error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..explore import Grid
    from ..images import Images
    from .input_transforms import InputTransforms

INLINE_MAX_KB = 300
CONFIRM_ABOVE = 1.00  # USD


def _setting(trait: Any, help_text: str, **options: Any) -> Any:
    """A trait that `%config` sets; without a default it is None."""
    if "default_value" not in options:
        options |= {"default_value": None, "allow_none": True}
    return trait(help=help_text, **options).tag(config=True)


def _with_help(method: Any) -> Any:
    """Let `?` show the help of a magic; it is made when somebody asks, so loading reads no table."""

    def getdoc() -> str:
        from .flags import help_of

        return help_of(method.__name__)

    method.getdoc = getdoc
    return method


def _command(method: Any) -> Any:
    """A line magic from a method that takes the words and the flags of the line; `--help` is answered here."""

    @wraps(method)
    def magic(self: Any, line: str) -> Any:
        from .flags import help_of, read_line

        values, words = read_line(method.__name__, line)
        if values["help"]:
            print(help_of(method.__name__))
            return None
        return method(self, words, values)

    return no_var_expand(line_magic(_with_help(magic)))


def _refuse_words(magic: str, words: str) -> None:
    if words:
        raise usage_error(f"{magic} takes flags only, not {words.split(maxsplit=1)[0][:40]}")


@magics_class
class CometMagics(Magics):
    """The magics of comet_magic and their settings: `%config CometMagics.model = "gpt-image-2"`."""

    shell: Any
    input_transforms: InputTransforms

    model = _setting(Unicode, "the model when a cell names none")
    size = _setting(Unicode, "the size when a cell names none")
    quality = _setting(Unicode, "the quality when a cell names none")
    inline = _setting(
        Unicode, "what the notebook keeps of pictures: auto, full, preview or none", default_value="auto"
    )
    inline_max_kb = _setting(
        Integer, "auto shows pictures up to this size in their own bytes", default_value=INLINE_MAX_KB
    )
    base_url = _setting(Unicode, "where requests go; it needs a key given by login")
    archive = _setting(Unicode, "the folder that keeps every picture; off for none")
    timeout = _setting(
        Float, "seconds for a call with all its attempts and waits, not counting its time in the queue"
    )
    max_cost = _setting(Float, "limit of one call, USD")
    max_cost_session = _setting(
        Float, "limit of all clients of this process at one vendor and in one archive, USD"
    )
    max_cost_day = _setting(
        Float, "limit of a day at one vendor in all archives of this machine that are known, USD"
    )
    confirm_above = _setting(
        Float,
        "USD; a cell that could cost more needs --yes or a limit, and the panel asks",
        default_value=CONFIRM_ABOVE,
    )
    price_per_image = _setting(Float, "USD, for models whose price is unknown")
    max_in_flight = _setting(Integer, "calls sent side by side")
    download_proxy = _setting(
        Unicode, "proxy for all picture downloads from other machines, as in http://127.0.0.1:7890"
    )
    picture_origins = _setting(
        List, 'further servers of yours that pictures may come from, as in ["http://127.0.0.1:9000"]'
    )
    reuse = _setting(Bool, "reuse earlier results of the same request (free)", default_value=False)
    metadata = _setting(Bool, "saved files carry their request", default_value=True)
    debug = _setting(Bool, "show whole tracebacks", default_value=False)

    @no_var_expand
    @needs_local_scope
    @line_cell_magic
    @_with_help
    def cometimg(
        self, line: str, cell: str | None = None, local_ns: Mapping[str, Any] | None = None
    ) -> Images | Grid | None:
        """Turn a prompt into pictures: %%cometimg takes the text below its line, %cometimg the rest of its own line.

        Flags come first; -- ends them. {name}, {name.attr} and {name[0]} are filled in from the notebook, other
        braces stay as they are. The pictures come back as Images, a list of PIL pictures.
        """
        from .cell_call import run_cell

        try:
            return run_cell(self, line, cell, local_ns or {})
        except InvalidRequestError as error:
            problem = error.sentence
        raise usage_error(problem)

    def display_settings(self, inline: str | None) -> dict[str, Any]:
        """How pictures are shown: `inline` as the cell says or else the setting, and `max_bytes`."""
        from .flags import INLINE

        chosen = inline or self.inline
        if chosen not in INLINE:
            raise usage_error(f"CometMagics.inline is {chosen}; it takes {', '.join(INLINE)}")
        if self.inline_max_kb < 1:
            raise usage_error(f"CometMagics.inline_max_kb is {self.inline_max_kb}; it takes 1 or more")
        return {"inline": chosen, "max_bytes": self.inline_max_kb * 1000}

    def client_settings(self) -> dict[str, Any]:
        """The settings of the client that `%config CometMagics` sets; what is not set is left out."""
        from ..settings import ClientOptions

        settings = {name: getattr(self, name, None) for name in ClientOptions.__annotations__}
        return {name: value for name, value in settings.items() if value is not None}

    @_command
    def cometimg_models(self, words: str, values: Mapping[str, Any]) -> None:
        """What each model takes and costs."""
        from . import commands

        commands.show_models(words, refresh=bool(values["refresh"]), settings=self.client_settings())

    @_command
    def cometimg_login(self, words: str, values: Mapping[str, Any]) -> None:
        """Prompt for the key without showing it; it is kept until the kernel ends."""
        from . import commands

        if words:
            raise usage_error(f"%cometimg_login takes no key on its line. If that was one: {KEY_ADVICE}")
        commands.login(self.base_url, keep=bool(values["keyring"]))

    @_command
    def cometimg_status(self, words: str, values: Mapping[str, Any]) -> None:
        """Key source, base URL, archive, spend; what is running or uncertain."""
        from . import commands

        _refuse_words("%cometimg_status", words)
        commands.show_status(self.client_settings(), balance=bool(values["balance"]))

    @_command
    def cometimg_cancel(self, words: str, values: Mapping[str, Any]) -> None:  # noqa: ARG002 - as every command
        """Cancel what is still running; what was already sent may still be billed."""
        from . import commands

        _refuse_words("%cometimg_cancel", words)
        commands.cancel_running(self.client_settings())

    @_command
    def cometimg_forget(self, words: str, values: Mapping[str, Any]) -> None:  # noqa: ARG002 - as every command
        """Delete the pictures and inputs of the call ID from disk; the history and its money stay."""
        from . import history

        try:
            history.forget_call(words, self.client_settings())
        except InvalidRequestError as error:
            problem = str(error)
        else:
            return
        raise usage_error(problem)

    @_command
    def cometimg_preset(self, words: str, values: Mapping[str, Any]) -> None:
        """List presets; with a name and flags keep one, which --preset NAME and generate(preset=NAME) use.

        A preset is options and a template, so it may be a style: %cometimg_preset rough --quality low --template
        "{prompt}, charcoal on rough paper". Yours are in presets.toml in your configuration folder; a project may have
        some in cometimg.toml.
        """
        from .presets import change_presets

        try:
            change_presets(words, values)
        except InvalidRequestError as error:
            problem = error.sentence
        else:
            return
        raise usage_error(problem)

    @_command
    def cometimg_history(self, words: str, values: Mapping[str, Any]) -> Images | None:
        """What was made, newest first; with an ID, the pictures of that call."""
        from . import history

        try:
            return history.show_history(words, values, shell=self.shell, settings=self.client_settings())
        except InvalidRequestError as error:
            problem = str(error)
        raise usage_error(problem)

    @no_var_expand
    @line_magic
    def cometimg_panel(self, line: str) -> Any:
        """Show the form."""
        _refuse_words("%cometimg_panel", line.strip())
        from .panel import Panel

        return Panel()

    @observe("debug")
    def _switch_tracebacks(self, change: Any) -> None:
        CometError.full_traceback = bool(change["new"])


def load(shell: Any) -> None:
    """Register the magics and the completion; what an earlier load registered is removed first."""
    from .completion import make_matcher
    from .input_transforms import InputTransforms

    unload(shell)
    magics = CometMagics(shell)
    shell.register_magics(magics)
    magics.input_transforms = InputTransforms(shell)
    magics.input_transforms.add()
    if shell.Completer is not None:
        shell.Completer.custom_matchers.append(make_matcher(shell, magics))


def unload(shell: Any) -> None:
    """Remove all that `load` registered, and stop what the magics started."""
    import sys

    from .completion import IDENTIFIER

    registry = shell.magics_manager.registry
    magics = registry.pop(CometMagics.__name__, None)
    if magics is None:
        return
    for kind, names in magics.magics.items():
        for name in names:
            shell.magics_manager.magics[kind].pop(name, None)
    shell.configurables.remove(magics)
    magics.input_transforms.remove()
    if shell.Completer is not None:
        matchers = shell.Completer.custom_matchers
        matchers[:] = [each for each in matchers if getattr(each, "matcher_identifier", None) != IDENTIFIER]
    CometError.full_traceback = False
    if f"{__package__}.session" in sys.modules:
        sys.modules[f"{__package__}.session"].session.close()
