"""Libraries that not everybody needs; an extra of the package brings each."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from .errors import ConfigurationError


def load_extra(library: str, extra: str = "data") -> Any:
    """Import such a library.

    Raises:
        ConfigurationError: it is not installed; the hint names the extra.
    """
    try:
        return import_module(library)
    except ImportError:
        pass
    raise ConfigurationError(f"{library} is not installed", hint=f"pip install 'comet-magic[{extra}]'")
