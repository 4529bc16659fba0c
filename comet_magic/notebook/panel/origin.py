"""Where the panel's requests go and with which key: words for its head. No key is ever shown or asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...errors import CometError
from ...settings import KEY_PAGE, find_key, resolve_base_url
from ...text import html
from ..confirm import never_asks, purchase, purchase_to_confirm
from ..magic import CONFIRM_ABOVE
from ..session import session

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...archive import Archive
    from ...client import Client
    from .form import Order

HOW = (
    "set COMETAPI_KEY before Jupyter starts, put it into a .env file, or run %cometimg_login in a cell, "
    f"which asks for it unseen. A key comes from {KEY_PAGE}."
)


def shell() -> Any:
    """The running IPython, or None."""
    from IPython.core.getipython import get_ipython

    return get_ipython()  # type: ignore[no-untyped-call,unused-ignore]


def magics() -> Any:
    """The loaded magics with their `%config` settings, or None."""
    running = shell()
    return None if running is None else running.magics_manager.registry.get("CometMagics")


def client_settings() -> dict[str, Any]:
    """What `%config CometMagics` says about the client."""
    loaded = magics()
    return dict(loaded.client_settings()) if loaded is not None else {}


def destination() -> str | None:
    """Where a click would send now: a base URL, "" for the sandbox, None where the settings cannot be used."""
    try:
        return session.destination(client_settings().get("base_url"))
    except CometError:
        return None


def head(settings: Mapping[str, Any]) -> str:
    """The panel's head: its name, the address, the key's source; and how to set one where there is none."""
    try:
        offline = session.destination(settings.get("base_url")) == ""
        base = resolve_base_url(settings.get("base_url"))
        key = find_key(None, base)
    except CometError as error:
        return _head("settings cannot be used", f"{error}. {error.hint or HOW}")
    source, left_out = key.source, "".join(f" {notice[:1].upper()}{notice[1:]}." for notice in key.notices)
    if offline:
        sandbox = "Sandbox: there is no key, so pictures are painted on this machine and cost nothing."
        return _head("sandbox · no key needed", f"{sandbox} For real ones {HOW}{left_out}")
    if source not in ("none", "withheld"):
        return _head(f"{base.vendor} · key from {source}", left_out.strip())
    return _head(f"{base.url} · no key", f"There is no key for {base.url}: {HOW}{left_out}")


def _head(chip: str, notice: str) -> str:
    band = f'<div class="comet-band" role="note">{html(notice, limit=900)}</div>' if notice else ""
    return (
        '<div class="comet-head"><span class="comet-name">Comet Magic</span>'
        f'<span class="comet-chip">{html(chip)}</span></div>{band}'
    )


def defaults() -> dict[str, Any]:
    """What `%config CometMagics` says about the picture."""
    loaded = magics()
    names = ("model", "size", "quality")
    found = {name: getattr(loaded, name, None) for name in names} if loaded is not None else {}
    return {name: value for name, value in found.items() if value is not None}


def to_confirm(client: Client, order: Order) -> str:
    """What a click would buy, in words, if a person should confirm it; the first real purchase of a kernel always."""
    if never_asks(client.vendor, {**client_settings(), **order.options}):
        return ""
    plan = client.plan(order.prompt, **order.options)
    if plan.requests and not session.confirmed_click:
        return purchase(plan)
    return purchase_to_confirm(plan, getattr(magics(), "confirm_above", CONFIRM_ABOVE))


def price_per_image() -> float | None:
    """What a picture costs where the catalog does not know, USD, or None."""
    each: float | None = client_settings().get("price_per_image")
    return each


def archive() -> Archive:
    """The archive that the panel's calls go to."""
    return session.archive_client(**client_settings()).archive
