"""Where a request of the panel goes, with which key, at which price; and what a person is asked before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import CometError
from ..outputs import running_shell
from ..settings import KEY_PAGE, find_key, resolve_base_url
from ..text import clean
from .magic import CONFIRM_ABOVE
from .session import never_asks, purchase, purchase_to_confirm, session

if TYPE_CHECKING:
    from ..archive import Archive
    from ..client import Client
    from .panel.form import Order
    from .session import Service

NO_KEY = (
    f"Run %cometimg_login in a cell: it prompts for the key without showing it. A key comes from {KEY_PAGE}."
)


def magics() -> Any:
    """The loaded magics with their `%config` settings, or None."""
    shell = running_shell()
    return None if shell is None else shell.magics_manager.registry.get("CometMagics")


def client_settings() -> dict[str, Any]:
    """What `%config CometMagics` says about the client."""
    loaded = magics()
    return dict(loaded.client_settings()) if loaded is not None else {}


def reading_client() -> Client:
    """A client for the panel's questions: of its archive, and of the price of a grid. It may have no key to send."""
    return session.archive_client(**client_settings())


def archive_of_panel() -> Archive:
    """The archive that the panel's requests go to."""
    return reading_client().archive


def defaults() -> dict[str, Any]:
    """What `%config CometMagics` says about the picture."""
    loaded = magics()
    found = {name: getattr(loaded, name, None) for name in ("model", "size", "quality")}
    return {name: value for name, value in found.items() if value is not None}


def heading() -> dict[str, str]:
    """Account, address and key source of the next request; never a key."""
    base_url = client_settings().get("base_url")
    try:
        offline = session.destination(base_url) == ""
        base = resolve_base_url(base_url)
        key = find_key(None, base)
    except CometError as error:
        return {
            "account": "Settings cannot be used",
            "address": "",
            "key": "",
            "money": "none",
            "notice": clean(error.sentence),
        }
    account = base.vendor if base.vendor == "cometapi" else ""  # of another one the address says all
    notices = " ".join(f"{notice[:1].upper()}{notice[1:]}." for notice in key.notices)
    if offline:
        said = f"Pictures are painted on this machine and paid with play money. {notices}".strip()
        return {"account": "Sandbox", "address": "", "key": "", "money": "play", "notice": said}
    if key.source in ("none", "withheld"):
        said = f"There is no key for {base.url}. {NO_KEY} {notices}".strip()
        return {"account": account, "address": base.url, "key": "", "money": "none", "notice": said}
    return {
        "account": account,
        "address": base.url,
        "key": key.source,
        "money": "real",
        "notice": notices,
    }


def question(service: Service, order: Order, shown: str | None, *, always: bool = False) -> str:
    """What a person is asked before this is sent, or "".

    Only the sandbox of this kernel is play money: what answers at another address of this machine may be a relay.

    Args:
        service: where it goes.
        order: what its client would send now.
        shown: the price that the person saw; None if that does not matter.
        always: ask about any amount.
    """
    if not service.destination:
        return ""
    plan = order.plan
    if not plan.requests:
        return ""
    where = f"Send to {service.client.base_url}: {purchase(plan)}, in real money."
    if always or not session.confirmed_click:
        return where
    if shown is not None and shown != order.price_text:
        return f"The price has changed from {clean(shown, limit=40)}. {where}"
    if never_asks("", {**client_settings(), **order.options}):
        return ""
    above = getattr(magics(), "confirm_above", CONFIRM_ABOVE)
    return where if purchase_to_confirm(plan, above) else ""
