"""The magics: they read what was typed, call the client, and hand back its pictures.

Wrong usage becomes IPython's `UsageError` here; every other failure is a `CometError` and fails the cell.
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
    from collections.abc import Callable, Mapping

    from ..images import Images
    from .cell import Cell

CALL_FLAGS = ("timeout", "max_cost", "reuse")
CALL_TRAITS = ("model", "size", "quality")
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


def _helped(method: Any) -> Any:
    """Give a magic the text that `?` shows; it is made when asked for, so that loading reads no table."""

    def getdoc() -> str:
        from .flags import help_of

        return help_of(method.__name__)

    method.getdoc = getdoc
    return method


def _wrong(message: str) -> Exception:
    from .options import wrong

    return wrong(message)


def _show_help(magic: str) -> None:
    from .flags import help_of

    print(help_of(magic))


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
    reuse = _setting(Bool(default_value=False, help="take pictures of the same request from the archive"))
    metadata = _setting(Bool(default_value=True, help="saved files carry their request"))
    debug = _setting(Bool(default_value=False, help="show whole tracebacks"))

    @no_var_expand
    @needs_local_scope
    @line_cell_magic
    @_helped
    def cometimg(
        self, line: str, cell: str | None = None, local_ns: Mapping[str, Any] | None = None
    ) -> Images | None:
        """Turn a prompt into pictures; `%cometimg?` lists the flags."""
        from .cell import prompt_of, read

        typed = read(line, cell)
        if typed.values["help"]:
            _show_help("cometimg")
            return None
        prompt = prompt_of(typed, (local_ns or {}, self.shell.user_ns), self.shell.user_ns_hidden)
        try:
            return self._answer(typed, prompt)
        except InvalidRequestError as error:
            problem = ". ".join(filter(None, (str(error), error.hint)))
        raise _wrong(problem)

    def _answer(self, typed: Cell, prompt: str) -> Images | None:
        from ..request import requests_of
        from .cell import check_target, dry_run, run
        from .live import Live, say
        from .session import session

        values, settings = typed.values, self.client_settings()
        call = self._call(typed)
        inline, max_bytes = self._display(values["inline"])
        requests = requests_of(prompt, call)
        for notice in dict.fromkeys(notice for request in requests for notice in request.notices):
            say(notice)
        if values["dry_run"]:
            dry_run(requests, settings)
            return None
        if values["save"]:
            check_target(values["save"], requests)
        service = session.service(**settings)
        for notice in session.key_notices(self.base_url):
            say(notice)
        live = Live(self.shell, inline=inline, max_bytes=max_bytes, quiet=bool(values["quiet"]))
        bind = self._binder(values["out"])
        images = run(service, prompt, call, live=live, bind=bind)
        if values["save"]:
            try:
                images.save(values["save"], metadata=self.metadata)
            except CometError:
                live.keep(images)
                raise
        return images

    def _call(self, typed: Cell) -> dict[str, Any]:
        """The options of the call: the cell's flags, then the settings."""
        call = {name: getattr(self, name) for name in CALL_TRAITS if getattr(self, name) is not None}
        call |= typed.wire
        call |= {name: typed.values[name] for name in CALL_FLAGS if typed.values[name] is not None}
        if self.reuse:
            call["reuse"] = True
        if typed.values["raw"]:
            call["extra"] = dict(typed.values["raw"])
        return call

    def _display(self, inline: str | None) -> tuple[str, int]:
        from .flags import INLINE

        chosen = inline or self.inline
        if chosen not in INLINE:
            raise _wrong(f"CometMagics.inline is {chosen}; it takes {', '.join(INLINE)}")
        if self.inline_max_kb < 1:
            raise _wrong(f"CometMagics.inline_max_kb is {self.inline_max_kb}; it takes 1 and more")
        return chosen, self.inline_max_kb * 1000

    def _binder(self, name: str | None) -> Callable[[Images], None]:
        def bind(images: Images) -> None:
            if name:
                self.shell.user_ns[name] = images

        return bind

    def client_settings(self) -> dict[str, Any]:
        """What `%config CometMagics` says about the client; what is not set is not in it."""
        settings = {name: getattr(self, name) for name in CLIENT_TRAITS}
        return {name: value for name, value in settings.items() if value is not None}

    @no_var_expand
    @line_magic
    @_helped
    def cometimg_models(self, line: str) -> None:
        """What each model takes and costs."""
        from . import reports

        words, values = self._read("cometimg_models", line)
        if values is not None:
            reports.models(words, refresh=bool(values["refresh"]), settings=self.client_settings())

    @no_var_expand
    @line_magic
    @_helped
    def cometimg_login(self, line: str) -> None:
        """Give the key once, unseen."""
        from . import reports
        from .cell import KEY_ADVICE

        words, values = self._read("cometimg_login", line)
        if words:
            raise _wrong(f"%cometimg_login takes no key on its line. If that was one: {KEY_ADVICE}")
        if values is not None:
            reports.login(self.base_url, keep=bool(values["keyring"]))

    @no_var_expand
    @line_magic
    @_helped
    def cometimg_status(self, line: str) -> None:
        """Key source, base URL, archive, spend; what runs or is uncertain."""
        from . import reports

        words, values = self._read("cometimg_status", line)
        self._no_words("%cometimg_status", words)
        if values is not None:
            reports.status(self.client_settings(), balance=bool(values["balance"]))

    @no_var_expand
    @line_magic
    @_helped
    def cometimg_cancel(self, line: str) -> None:
        """Drop what still runs in the background."""
        from . import reports

        words, values = self._read("cometimg_cancel", line)
        self._no_words("%cometimg_cancel", words)
        if values is not None:
            reports.cancel(self.client_settings())

    @no_var_expand
    @line_magic
    @_helped
    def cometimg_history(self, line: str) -> Images | None:
        """What was made, newest first; with an ID: one again."""
        from . import history

        words, values = self._read("cometimg_history", line)
        if values is None:
            return None
        try:
            return history.show(words, values, shell=self.shell, settings=self.client_settings())
        except InvalidRequestError as error:
            problem = str(error)
        raise _wrong(problem)

    @no_var_expand
    @line_magic
    def cometimg_panel(self, line: str) -> Any:
        """The form."""
        self._no_words("%cometimg_panel", line.strip())
        from .faces import panel

        return panel()

    def _read(self, magic: str, line: str) -> tuple[str, Mapping[str, Any] | None]:
        """The words and flags of a line; None for the flags when its help was asked for and shown."""
        from . import flags, options
        from .cell import refuse_key

        refuse_key(line)
        argv, words = options.scan(line, flags.flags_of(magic), magic=f"%{magic}")
        values = vars(options.parse(argv, flags.parser_of(magic)))
        if values["help"]:
            _show_help(magic)
            return words, None
        return words, values

    def _no_words(self, magic: str, words: str) -> None:
        if words:
            raise _wrong(f"{magic} takes flags only; {words.split(maxsplit=1)[0][:40]} is none")

    @observe("debug")
    def _switch_tracebacks(self, change: Any) -> None:
        CometError.full_traceback = bool(change["new"])


def load(shell: Any) -> None:
    """Register the magics and the completion; what an earlier load left is taken out first."""
    from .completion import make_matcher

    unload(shell)
    magics = CometMagics(shell)
    shell.register_magics(magics)
    if shell.Completer is not None:
        shell.Completer.custom_matchers.append(make_matcher(shell, lambda: magics.model))


def unload(shell: Any) -> None:
    """Take out all that `load` put in, and stop what the magics started."""
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
        kept = [each for each in shell.Completer.custom_matchers if _identifier(each) != IDENTIFIER]
        shell.Completer.custom_matchers[:] = kept
    CometError.full_traceback = False
    if f"{__package__}.session" in sys.modules:
        sys.modules[f"{__package__}.session"].session.close()


def _identifier(matcher: Any) -> Any:
    return getattr(matcher, "matcher_identifier", None)
