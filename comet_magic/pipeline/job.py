"""What was asked for: the dataset to be made, checked before anything is read or sent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..errors import ConfigurationError
from ..money import parse_dollars
from ..request import WireOptions
from ..request.checks import check_names
from ..settings import (
    DATASET_IN_FLIGHT,
    BaseURL,
    ClientOptions,
    Settings,
    check_number,
    hide_keys,
    resolve_base_url,
)
from .expand import Expander
from .source import Source, read_source

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

Redo = Literal["failed", "refused", "unknown"]
REDO = ("failed", "refused", "unknown")


class DatasetOptions(WireOptions, ClientOptions, total=False):
    """The parameters of every picture, and the settings of the client; `max_cost` is for the whole dataset."""


@dataclass(frozen=True)
class DatasetJob:
    """A dataset to be made.

    Attributes:
        folder: where it is.
        source: its rows.
        expander: what turns them into requests.
        prompt: the column of the prompts.
        base: where requests go.
        client: settings of the client, without the money and the archive.
        in_flight: calls side by side at the most.
        max_cost: micro-USD that all runs together may cost, or None.
        price_per_image: micro-USD, where the table of models has no price.
        per_minute: pictures a minute at the most, or None.
        redo: which ended rows are run again, and only those.
    """

    folder: Path
    source: Source
    expander: Expander
    prompt: str
    base: BaseURL
    client: ClientOptions
    in_flight: int
    max_cost: int | None
    price_per_image: int | None
    per_minute: float | None
    redo: Redo | None


def read_job(
    source: Any,
    out: str | os.PathLike[str],
    *,
    prompt: str,
    dedupe: bool,
    redo: Redo | None,
    max_per_minute: float | None,
    options: Mapping[str, Any],
) -> DatasetJob:
    """Check what was asked for; nothing is sent or written. A key among the options is hidden there.

    Raises:
        ConfigurationError: the source or a setting cannot be used.
        InvalidRequestError: a parameter breaks a rule.
    """
    hide_keys(options)
    check_names(options, DatasetOptions.__annotations__)
    if "archive" in options:
        raise ConfigurationError("archive is not a setting of a dataset: its folder is its archive")
    if redo is not None and redo not in REDO:
        raise ConfigurationError(f"redo is {redo}; {', '.join(REDO)} are taken")
    if max_per_minute is not None:
        check_number("max_per_minute", max_per_minute)
    client: Any = _those(ClientOptions, options)
    base = resolve_base_url(client.get("base_url"))
    client.setdefault("max_in_flight", DATASET_IN_FLIGHT)
    max_cost = _micro(client.pop("max_cost", None), "max_cost")
    settings = Settings(**_those(Settings, client))
    price_per_image = _micro(settings.price_per_image, "price_per_image")
    expander = Expander(
        _those(WireOptions, options),
        prompt=prompt,
        vendor=base.vendor,
        price_per_image=price_per_image,
        dedupe=dedupe,
    )
    return DatasetJob(
        folder=Path(out).expanduser(),
        source=read_source(source, prompt=prompt),
        expander=expander,
        prompt=prompt,
        base=base,
        client=client,
        in_flight=settings.max_in_flight,
        max_cost=max_cost,
        price_per_image=price_per_image,
        per_minute=max_per_minute,
        redo=redo,
    )


def _those(kind: type, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that have a name there."""
    return {name: options[name] for name in kind.__annotations__ if name in options}


def _micro(amount: float | None, name: str) -> int | None:
    return None if amount is None else parse_dollars(amount, name=name)
