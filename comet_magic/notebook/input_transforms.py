"""What is done to a cell's text before IPython runs it, so that prompts are read as prompts.

IPython refuses a cell magic without a body, takes a tab behind its name for a letter of it and a line that ends in ?
for a question about its last word, and parses what `%time`, `%%time` and `%%capture` ran as Python when it is paid:
from Python 3.12 on, an apostrophe fails it there.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

from IPython.core.inputtransformer2 import EscapedCommand, MagicAssign, TokenTransformBase

if TYPE_CHECKING:
    from collections.abc import Callable

_OTHER_SPACE = re.compile(r"(%%cometimg)[^\S\n ]")  # which IPython takes for a letter of the name
_WITHOUT_BODY = re.compile(r"%%cometimg(\s.*)?\s*")
_PARSING_CELL_MAGIC = re.compile(r"%%(time|capture)\b")
_PARSING_LINE_MAGIC = re.compile(r"(?P<magic>\s*%time\s+)(?P<code>.*%cometimg\s.*)")
_PROMPT_WITH_QUESTION_MARK = re.compile(r"%cometimg\s.*[^\s?].*\?$")


class CallTransform(TokenTransformBase):
    """One line of a cell that becomes the call of a magic."""

    priority = 4  # before IPython's own transform of lines that end in a question mark

    def __init__(self, start: tuple[int, int], transform: Callable[[list[str]], list[str]]) -> None:
        init: Any = super().__init__  # partly typed
        init(start)
        self._transform = transform

    def transform(self, lines: list[str]) -> list[str]:
        """The lines of the cell with the call in place of the line."""
        return self._transform(lines)


class InputTransforms:
    """The transforms of one shell, to be added and removed."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell

    def add(self) -> None:
        """Let the shell's cells pass through the transforms."""
        self._shell.input_transformers_cleanup.append(self.cell)
        self._shell.input_transformer_manager.token_transformers.append(self)

    def remove(self) -> None:
        """Undo `add`."""
        self._shell.input_transformers_cleanup.remove(self.cell)
        self._shell.input_transformer_manager.token_transformers.remove(self)

    def cell(self, lines: list[str]) -> list[str]:
        """The lines of a cell: with a body if it lacks one, and as Python below a magic that parses it."""
        first, rest = (lines[0], lines[1:]) if lines else ("", [])
        if _OTHER_SPACE.match(first):
            return self.cell([_OTHER_SPACE.sub(r"\1 ", first), *rest])
        if _WITHOUT_BODY.fullmatch(first) and not rest:
            return [first, "\n"]
        if _PARSING_CELL_MAGIC.match(first) and any("%cometimg" in line for line in rest):
            return [first, *self._as_python("".join(rest))]
        return lines

    def find(self, tokens_by_line: Any) -> CallTransform | None:
        """The first line whose prompt IPython would misread; found by its tokens, so never inside a string."""
        for tokens in tokens_by_line:
            call: Any = EscapedCommand.find([tokens]) or MagicAssign.find([tokens])  # type: ignore[no-untyped-call]
            if call is None:
                continue
            text = tokens[0].line.rstrip()
            if timed := _PARSING_LINE_MAGIC.fullmatch(text):
                python = "".join(self._as_python(timed["code"]))
                return CallTransform(tokens[0].start, partial(_with_line, call, timed["magic"] + python))
            if _PROMPT_WITH_QUESTION_MARK.search(text):
                return CallTransform(tokens[0].start, call.transform)
        return None

    def _as_python(self, code: str) -> list[str]:
        python: str = self._shell.transform_cell(code)
        return python.splitlines(keepends=True)


def _with_line(call: Any, line: str, lines: list[str]) -> list[str]:
    """The lines with another text in place of a call's, and that as the call."""
    place = call.start_line
    transformed: list[str] = call.transform([*lines[:place], line, *lines[place + 1 :]])
    return transformed
