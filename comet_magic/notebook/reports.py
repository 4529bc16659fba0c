"""What the small magics show: models, key and login, status, cancelling."""

from __future__ import annotations

import getpass
import importlib.util
import time
from contextlib import suppress
from datetime import date
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from IPython.core.error import StdinNotImplementedError

from ..errors import ConfigurationError
from ..files import from_here
from ..settings import KEYRING_SERVICE, check_key, find_key, resolve_base_url
from ..settings import login as remember
from ..text import counted
from .live import publish, spell
from .options import wrong
from .session import session
from .tables import table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from decimal import Decimal

    from ..archive import Archive, OpenCall
    from ..catalog import Model
    from ..client import Abandoned, Client, Job
    from ..settings import BaseURL
    from ..text import Secret


def models(name: str, *, refresh: bool, settings: Mapping[str, Any]) -> None:
    """Show the catalog: all models, or everything about one; or what the vendor lists today."""
    from ..catalog import MODELS, suggest

    chosen = [model for model in MODELS if name in (model.id, *model.snapshots)]
    if refresh:
        publish(_listed(session.asking(**settings), name))
    elif chosen:
        publish(_one_model(chosen[0]))
    elif name:
        near = suggest(name, [model.id for model in MODELS])
        raise wrong(f"{name[:60]} is not in the table" + (f"; did you mean {near}?" if near else ""))
    else:
        publish(_every_model())


def _listed(client: Client, words: str) -> Any:
    listed = [model for model in client.catalogue() if words.casefold() in model.id.casefold()]
    rows = [
        (model.id, model.name, *map(_usd, (model.text_in, model.image_out, model.per_request)))
        for model in listed
    ]
    head = ("model", "name", "text in, per million tokens", "picture out, per million tokens", "per picture")
    caption = f"{counted(len(rows), 'image model')} at {client.vendor}, {date.today()}"
    return table(head, rows, caption=caption, notes=["What this package knows of them: %cometimg_models"])


def _usd(amount: Decimal | None) -> str:
    return "" if amount is None else f"${amount.normalize():f}"


def _every_model() -> Any:
    from ..catalog import DEFAULT_MODEL, MODELS
    from ..catalog.markdown import square_price

    head = ("model", "n", "sizes", "quality", "streams", "one square picture", "switched off")
    rows = [
        (
            model.id + (" (default)" if model.id == DEFAULT_MODEL else ""),
            model.n,
            model.parameters["size"],
            model.parameters.get("quality", ""),
            "yes" if model.streams else "",
            square_price(model),
            model.retired or "",
        )
        for model in MODELS
    ]
    dates = {model.price.date for model in MODELS if model.price}
    note = f"Prices as of {max(dates)}; --refresh shows today's. %cometimg_models NAME shows every parameter of one."
    return table(head, rows, notes=[note])


def _one_model(model: Model) -> Any:
    from ..catalog.markdown import square_price

    price = model.price
    basis = f" (as of {price.date}, grade {price.grade}, {price.source})" if price else ""
    rows = [
        *((name, rule) for name, rule in model.parameters.items()),
        ("prompt", f"up to {model.prompt_limit:,} characters"),
        ("answers with", {"b64_json": "the picture", "url": "an address"}.get(model.answers, "either")),
        ("one square picture", f"{square_price(model)}{basis}"),
        *([("switched off", model.retired)] if model.retired else []),
        *([("notice", model.notice)] if model.notice else []),
        ("rules from", model.source),
    ]
    return table(("", ""), rows, caption=model.id)


def login(base_url: str | None, *, keep: bool) -> None:
    """Ask for the key, unseen, and remember it for one origin until the kernel ends.

    Raises:
        ConfigurationError: nobody can type here, or what was typed is no key.
    """
    base = resolve_base_url(base_url)
    host = urlsplit(base.url).netloc
    key = None
    with suppress(StdinNotImplementedError, EOFError):
        # Never in a variable: a traceback's frames keep what it held.
        key = check_key(getpass.getpass(f"Key for {host} (it is not shown): "), "the prompt")
    if key is None:
        raise ConfigurationError(
            "nobody can type a key here",
            hint="Set COMETAPI_KEY in the environment this kernel is started from.",
        )
    remember(key, base)
    print(f"The key is kept for {host} until this kernel ends.")
    if keep:
        _store(key, base)


def _store(key: Secret, base: BaseURL) -> None:
    problem = ""
    if importlib.util.find_spec("keyring") is None:
        raise ConfigurationError(
            "keyring is not installed, so the key is kept in this kernel only",
            hint='Install it: pip install "comet-magic[keyring]"',
        )
    import keyring
    from keyring.errors import KeyringError

    try:
        keyring.set_password(KEYRING_SERVICE, urlsplit(base.url).hostname or "", key.reveal())
    except (KeyringError, RuntimeError) as error:
        problem = type(error).__name__
    if problem:
        raise ConfigurationError(f"the keyring refused the key ({problem}); it is kept in this kernel only")
    print("It is in this system's keyring too.")


def status(settings: Mapping[str, Any], *, balance: bool) -> None:
    """Show where requests would go, with which key, what was spent, and what is open or uncertain."""
    base = resolve_base_url(settings.get("base_url"))
    key = find_key(None, base)
    client = session.looking(**settings)
    folder = client.archive.folder
    rows = [
        ("key", _key_line(key.source, base)),
        ("base URL", f"{base.url} ({base.source})"),
        ("archive", from_here(folder) if folder else "off: pictures are kept in memory only"),
        *_spend_rows(client, base),
        *([("balance", _balance(settings))] if balance else []),
    ]
    publish(table(("", ""), rows, notes=key.notices))
    running = list(_running(session.jobs(client)))
    if running:
        publish(table(("running", "for", "state", "can cost", "request id"), running))
    uncertain = [_uncertain_row(call) for call in _uncertain(client.archive)]
    if uncertain:
        note = (
            "An uncertain call was sent and its answer was lost: it counts as spent, and is not sent again."
        )
        publish(
            table(("uncertain since", "model", "can cost", "request id", "prompt"), uncertain, notes=[note])
        )


def _uncertain(archive: Archive) -> list[OpenCall]:
    """Calls that were lost, and those that a process left open when it died."""
    return [*archive.uncertain(), *(call for call in archive.open_calls() if not call.alive)]


def _uncertain_row(call: OpenCall) -> tuple[str, ...]:
    since = f"{call.created.astimezone():%Y-%m-%d %H:%M}"
    return since, call.model, f"at most {_bound(call.bound)}", call.request_id or "", call.prompt or ""


def _key_line(source: str, base: BaseURL) -> str:
    if source == "withheld":
        return "none for this base URL: %cometimg_login gives it one"
    if source != "none":
        return f"from {source}"
    if base.source == "default":
        return "none: the sandbox answers, on this machine and for nothing"
    return "none: %cometimg_login gives one"


def _spend_rows(client: Client, base: BaseURL) -> Iterator[tuple[str, str]]:
    from ..request import dollars

    for vendor in dict.fromkeys((base.vendor, "sandbox")):
        spend = client.archive.spend(vendor=vendor)
        if not spend.calls:
            continue
        more = f", at most {dollars(spend.bound)}" if spend.bound != spend.spent else ""
        unpriced = f", {spend.unpriced} of unknown price" if spend.unpriced else ""
        name = "spent in the sandbox (play money)" if vendor == "sandbox" else f"spent at {vendor}"
        yield name, f"{dollars(spend.spent)}{more} in {counted(spend.calls, 'call')}{unpriced}"


def _balance(settings: Mapping[str, Any]) -> str:
    """What the vendor says the key has used and has left, and whether that moved since it was last asked."""
    from ..client import shared_client
    from ..request import dollars

    client = shared_client(**settings)
    balance = client.balance()
    before = session.balance_before(client.base_url, balance.used)
    left = "no limit" if balance.left is None else f"{dollars(balance.left)} left"
    moved = "" if before is None else f", {dollars(balance.used - before)} since it was last asked for"
    return f"{dollars(balance.used)} used, {left}{moved}"


def _running(jobs: tuple[Job, ...]) -> Iterator[tuple[str, str, str, str, str]]:
    for job in jobs:
        for call in job.calls:
            if call.state in ("done", "failed"):
                continue
            state = f"{call.state}, in the background" if job.abandoned else call.state
            elapsed = spell(time.monotonic() - job.started)
            yield (
                call.request.model,
                elapsed,
                state,
                f"at most {_bound(call.reserved)}",
                call.request_id or "",
            )


def _bound(micro: int | None) -> str:
    from ..request import dollars

    return dollars(micro)


def cancel(settings: Mapping[str, Any]) -> None:
    """Drop what still runs: close its connections, and say what that can have cost."""
    jobs = session.jobs(session.looking(**settings))
    print(said_of_drop([job.drop() for job in jobs]) or "Nothing runs.")


def said_of_drop(what: Sequence[Abandoned]) -> str:
    """What dropping calls means for the money; "" where none ran."""
    from ..request import total

    calls = sum(each.cancelled for each in what)
    most = _bound(total(each.bound for each in what))
    dropped = f"Dropped {counted(calls, 'request')}."
    return f"{dropped} What was already sent may be billed all the same, at most {most}." if calls else ""
