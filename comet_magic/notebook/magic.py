"""The magics and their settings: they read what was typed, and leave the work to `cell_call` and `commands`.

Wrong usage becomes IPython's `UsageError`; every other failure is a `CometError`, and both fail the cell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.magic import (
    Magics,
    line_cell_magic,
    line_magic,
    magics_class,
    needs_local_scope,
    no_var_expand,
)
from traitlets import Bool, Float, Integer, Unicode, observe

from ..errors import CometError, InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..images import Images

CLIENT_TRAITS = (
    "base_url",
    "archive",
    "timeout",
    "max_cost",
    "max_cost_session",
    "max_cost_day",
    "price_per_image",
    "max_in_flight",
)
INLINE_MAX_KB = 300


def _setting(trait: Any) -> Any:
    return trait.tag(config=True)


def _with_help(method: Any) -> Any:
    """Let `?` show the help of a magic; it is made when somebody asks, so loading reads no table."""

    def getdoc() -> str:
        from .flags import help_of

        return help_of(method.__name__)

    method.getdoc = getdoc
    return method


def _usage_error(message: str) -> Exception:
    from .arguments import usage_error

    return usage_error(message)


@magics_class
class CometMagics(Magics):
    """The magics of comet_magic and their settings: `%config CometMagics.model = "gpt-image-2"`."""

    shell: Any

    model = _setting(Unicode(None, allow_none=True, help="the model when a cell names none"))
    size = _setting(Unicode(None, allow_none=True, help="the size when a cell names none"))
    quality = _setting(Unicode(None, allow_none=True, help="the quality when a cell names none"))
    inline = _setting(
        Unicode("auto", help="what the notebook keeps of pictures: auto, full, preview or none")
    )
    inline_max_kb = _setting(
        Integer(INLINE_MAX_KB, help="auto shows pictures up to this size in their own bytes")
    )
    base_url = _setting(
        Unicode(None, allow_none=True, help="where requests go; it needs a key given by login")
    )
    archive = _setting(
        Unicode(None, allow_none=True, help="the folder that keeps every picture; off for none")
    )
    timeout = _setting(Float(None, allow_none=True, help="seconds for a whole call"))
    max_cost = _setting(Float(None, allow_none=True, help="most that one call may cost, USD"))
    max_cost_session = _setting(Float(None, allow_none=True, help="most that this kernel may spend, USD"))
    max_cost_day = _setting(
        Float(None, allow_none=True, help="most that the archive may spend in a day, USD")
    )
    price_per_image = _setting(Float(None, allow_none=True, help="USD, for models whose price is unknown"))
    max_in_flight = _setting(Integer(None, allow_none=True, help="calls sent side by side"))
    reuse = _setting(Bool(default_value=False, help="reuse earlier results of the same request (free)"))
    metadata = _setting(Bool(default_value=True, help="saved files carry their request"))
    debug = _setting(Bool(default_value=False, help="show whole tracebacks"))

    @no_var_expand
    @needs_local_scope
    @line_cell_magic
    @_with_help
    def cometimg(
        self, line: str, cell: str | None = None, local_ns: Mapping[str, Any] | None = None
    ) -> Images | None:
        """Turn a prompt into pictures; `%cometimg?` lists the flags."""
        from .cell_call import run_cell

        try:
            return run_cell(self, line, cell, local_ns or {})
        except InvalidRequestError as error:
            problem = ". ".join(filter(None, (str(error), error.hint)))
        raise _usage_error(problem)

    def display_settings(self, inline: str | None) -> dict[str, Any]:
        """How pictures are shown: `inline` as the cell says or else the setting, and `max_bytes`."""
        from .flags import INLINE

        chosen = inline or self.inline
        if chosen not in INLINE:
            raise _usage_error(f"CometMagics.inline is {chosen}; it takes {', '.join(INLINE)}")
        if self.inline_max_kb < 1:
            raise _usage_error(f"CometMagics.inline_max_kb is {self.inline_max_kb}; it takes 1 or more")
        return {"inline": chosen, "max_bytes": self.inline_max_kb * 1000}

    def client_settings(self) -> dict[str, Any]:
        """The settings of the client that `%config CometMagics` sets; what is not set is left out."""
        settings = {name: getattr(self, name) for name in CLIENT_TRAITS}
        return {name: value for name, value in settings.items() if value is not None}

    @no_var_expand
    @line_magic
    @_with_help
    def cometimg_models(self, line: str) -> None:
        """What each model takes and costs."""
        from . import commands

        words, values = self._parse("cometimg_models", line)
        if values is not None:
            commands.show_models(words, refresh=bool(values["refresh"]), settings=self.client_settings())

    @no_var_expand
    @line_magic
    @_with_help
    def cometimg_login(self, line: str) -> None:
        """Prompt for the key without showing it."""
        from . import commands
        from .cell_call import KEY_ADVICE

        words, values = self._parse("cometimg_login", line)
        if words:
            raise _usage_error(f"%cometimg_login takes no key on its line. If that was one: {KEY_ADVICE}")
        if values is not None:
            commands.login(self.base_url, keep=bool(values["keyring"]))

    @no_var_expand
    @line_magic
    @_with_help
    def cometimg_status(self, line: str) -> None:
        """Key source, base URL, archive, spend; what is running or uncertain."""
        from . import commands

        words, values = self._parse("cometimg_status", line)
        self._refuse_words("%cometimg_status", words)
        if values is not None:
            commands.show_status(self.client_settings(), balance=bool(values["balance"]))

    @no_var_expand
    @line_magic
    @_with_help
    def cometimg_cancel(self, line: str) -> None:
        """Cancel what is still running."""
        from . import commands

        words, values = self._parse("cometimg_cancel", line)
        self._refuse_words("%cometimg_cancel", words)
        if values is not None:
            commands.cancel_running(self.client_settings())

    @no_var_expand
    @line_magic
    @_with_help
    def cometimg_history(self, line: str) -> Images | None:
        """What was made, newest first; with an ID, the pictures of that call."""
        from . import commands

        words, values = self._parse("cometimg_history", line)
        if values is None:
            return None
        try:
            return commands.show_history(words, values, shell=self.shell, settings=self.client_settings())
        except InvalidRequestError as error:
            problem = str(error)
        raise _usage_error(problem)

    @no_var_expand
    @line_magic
    def cometimg_panel(self, line: str) -> Any:
        """Show the form."""
        self._refuse_words("%cometimg_panel", line.strip())
        from .panel import Panel

        return Panel()

    def _parse(self, magic: str, line: str) -> tuple[str, Mapping[str, Any] | None]:
        """The words and the flags of a line; None for the flags if `--help` was given, which is then shown."""
        from . import arguments, flags
        from .cell_call import refuse_key

        refuse_key(line)
        argv, words = arguments.split_flags(line, flags.flags_of(magic), magic=f"%{magic}")
        values = arguments.parse_flags(argv, flags.parser_of(magic))
        if values["help"]:
            print(flags.help_of(magic))
            return words, None
        return words, values

    def _refuse_words(self, magic: str, words: str) -> None:
        if words:
            raise _usage_error(f"{magic} takes flags only, not {words.split(maxsplit=1)[0][:40]}")

    @observe("debug")
    def _switch_tracebacks(self, change: Any) -> None:
        CometError.full_traceback = bool(change["new"])


def load(shell: Any) -> None:
    """Register the magics and the completion; what an earlier load registered is removed first."""
    from .completion import make_matcher

    unload(shell)
    magics = CometMagics(shell)
    shell.register_magics(magics)
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
    if shell.Completer is not None:
        matchers = shell.Completer.custom_matchers
        matchers[:] = [each for each in matchers if getattr(each, "matcher_identifier", None) != IDENTIFIER]
    CometError.full_traceback = False
    if f"{__package__}.session" in sys.modules:
        sys.modules[f"{__package__}.session"].session.close()
