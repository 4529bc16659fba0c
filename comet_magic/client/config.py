"""What a client is made from: its base URL, its key and its settings, looked up and checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..catalog import suggest
from ..errors import ConfigurationError
from ..settings import BaseURL, ClientOptions, Key, Settings, find_key, hide_keys, resolve_base_url


@dataclass(frozen=True)
class Config:
    """What a client is made from; equal ones make the same client."""

    base: BaseURL
    key: Key
    settings: Settings


def configure(options: ClientOptions) -> Config:
    """Look up key and base URL, check every setting.

    Raises:
        MissingKeyError: no key was found.
        ConfigurationError: a setting is unknown or cannot be used.
    """
    hide_keys(options)
    known = ClientOptions.__annotations__
    for name in options:
        if name not in known:
            meant = suggest(name, known)
            raise ConfigurationError(
                f"{name} is no setting of a client; it takes {', '.join(known)}",
                hint=f"Did you mean {meant}?" if meant else "",
            )
    given: Any = options.pop("api_key", None)
    base = resolve_base_url(options.pop("base_url", None))
    key = find_key(given, base)
    key.require(base)
    rest: dict[str, Any] = {**options}
    return Config(base, key, Settings(**rest))
