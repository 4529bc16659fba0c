"""Parameters that are not in the table, as immutable JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from ..errors import InvalidRequestError


class Extra(Mapping[str, Any]):
    """An immutable JSON object; two are equal if their canonical texts are. Values are given as copies.

    Raises:
        InvalidRequestError: it is not JSON; `param` is "extra".
    """

    __slots__ = ("_text", "_values")

    def __init__(self, values: Mapping[str, Any] | None = None) -> None:
        if not isinstance(values, Mapping | None) or not all(isinstance(name, str) for name in values or ()):
            raise InvalidRequestError("extra must be a mapping of names to JSON values", param="extra")
        self._text = canonical({**values} if values else {})
        self._values: dict[str, Any] = json.loads(self._text)

    def __getitem__(self, name: str) -> Any:
        return deepcopy(self._values[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        return self._text == other._text if isinstance(other, Extra) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return repr(self._values)


def canonical(values: Mapping[str, Any]) -> str:
    """The canonical text of a JSON object: sorted names, no spaces, ASCII only.

    Raises:
        InvalidRequestError: a value is not JSON, or a text is not valid Unicode.
    """
    try:
        text = json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)
        json.dumps(values, ensure_ascii=False).encode()
        return text
    except UnicodeEncodeError:
        reason = "it contains half a character"
    except RecursionError:
        reason = "it is nested too deeply"
    except (TypeError, ValueError) as error:
        reason = f"it is not JSON ({type(error).__name__})"
    raise InvalidRequestError(f"extra cannot be sent: {reason}", param="extra")
