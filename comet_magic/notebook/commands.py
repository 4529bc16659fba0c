"""What the small magics show: models, login, status and cancelling."""

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
from ..key_sources import KEYRING_SERVICE
from ..machine import ask_patiently
from ..outputs import display_bundle, duration
from ..settings import check_key, find_key, resolve_base_url
from ..settings import login as remember_key
from ..tables import table
from ..text import counted
from .arguments import usage_error
from .session import session

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from decimal import Decimal

    from ..archive import Entry, Reader
    from ..catalog import Model
    from ..client import Abandoned, Client, Job
    from ..settings import BaseURL
    from ..text import Secret


# --- %cometimg_models


def show_models(name: str, *, refresh: bool, settings: Mapping[str, Any]) -> None:
    """Show the catalog, or one model of it; with `refresh`, what the vendor lists today."""
    from ..catalog import MODELS, suggest

    chosen = [model for model in MODELS if name in (model.id, *model.snapshots)]
    if refresh:
        display_bundle(_vendor_table(session.catalogue_client(**settings), name))
    elif chosen:
        display_bundle(_model_table(chosen[0]))
    elif name:
        near = suggest(name, [model.id for model in MODELS])
        advice = f"; did you mean {near}?" if near else "; %cometimg_models lists those that are"
        raise usage_error(f"{name[:60]} is not in the table{advice}")
    else:
        display_bundle(_catalog_table())


def _vendor_table(client: Client, words: str) -> Any:
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


def _catalog_table() -> Any:
    from ..catalog import DEFAULT_MODEL, MODELS
    from ..catalog.markdown import size_words, square_price

    head = ("model", "n", "sizes", "quality", "streams", "one square picture", "retired on")
    rows = [
        (
            model.id + (" (default)" if model.id == DEFAULT_MODEL else ""),
            model.n,
            size_words(model),
            model.parameters.get("quality", ""),
            "yes" if model.streams else "",
            square_price(model),
            model.retired or "",
        )
        for model in MODELS
    ]
    dates = {model.price.date for model in MODELS if model.price}
    notes = [
        f"Prices as of {max(dates)}; --refresh shows today's.",
        "%cometimg_models NAME shows all of one.",
    ]
    return table(head, rows, notes=notes)


def _model_table(model: Model) -> Any:
    from ..catalog.markdown import square_price

    price = model.price
    basis = f" (as of {price.date}, grade {price.grade}, {price.source})" if price else ""
    rows = [
        *((name, rule) for name, rule in model.parameters.items()),
        ("prompt", f"up to {model.prompt_limit:,} characters"),
        ("answers with", {"b64_json": "the picture", "url": "a URL"}.get(model.answers, "either")),
        ("one square picture", f"{square_price(model)}{basis}"),
        *([("retired on", model.retired)] if model.retired else []),
        *([("notice", model.notice)] if model.notice else []),
        ("rules from", model.source),
    ]
    return table(("", ""), rows, caption=model.id)


# --- %cometimg_login


def login(base_url: str | None, *, keep: bool) -> None:
    """Prompt for the key without showing it, and keep it for one origin until the kernel ends.

    Args:
        base_url: where the key will be sent; None for the one in use.
        keep: also store it in the system's keyring.

    Raises:
        ConfigurationError: the kernel cannot prompt, what was typed is not a key, or the keyring refused it.
    """
    base = resolve_base_url(base_url)
    host = urlsplit(base.url).netloc
    key = None
    with suppress(StdinNotImplementedError, EOFError):
        # The typed text is never in a variable: the frames of a traceback would keep it.
        key = check_key(getpass.getpass(f"Key for {host} (not shown): "), "the prompt")
    if key is None:
        raise ConfigurationError(
            "nobody can type a key here",
            hint="Set COMETAPI_KEY in the environment this kernel is started from.",
        )
    remember_key(key, base)
    print(f"The key is kept for {host} until this kernel ends.")
    if keep:
        _store_in_keyring(key, base)


def _store_in_keyring(key: Secret, base: BaseURL) -> None:
    if importlib.util.find_spec("keyring") is None:
        raise ConfigurationError(
            "keyring is not installed, so the key is kept in this kernel only",
            hint='Install it: pip install "comet-magic[keyring]"',
        )

    def store() -> None:
        import keyring

        keyring.set_password(KEYRING_SERVICE, urlsplit(base.url).hostname or "", key.reveal())

    problem = ask_patiently("the keyring", store).problem
    if problem:
        raise ConfigurationError(f"{problem}; the key is kept in this kernel only")
    print("It is in this system's keyring too.")


# --- %cometimg_status


def show_status(settings: Mapping[str, Any], *, balance: bool) -> None:
    """Show where requests go, with which key, what was spent, what is running and what is uncertain."""
    from ..archive import ask_known

    base = resolve_base_url(settings.get("base_url"))
    offline = session.destination(settings.get("base_url")) == ""
    key = find_key(None, base)
    client, archive = _archive_of(settings)
    answers, problems = ask_known(
        client.archive.folder, lambda reader: (list(_spend_rows(reader, base, named=True)), reader.doubtful())
    )
    rows = [
        ("key", _key_words(key.source, offline=offline)),
        ("base URL", _sandbox_words() if offline else f"{base.url} ({base.source})"),
        *([] if offline else _proxy_rows(base)),
        ("archive", archive),
        *([("it holds", _holdings_words(client.archive))] if client.archive.folder else []),
        *_spend_rows(client.archive, base),
        *(row for _, (spent, _) in answers for row in spent),
        *(("cannot be read", problem) for problem in problems),
        *([("balance", _balance_words(settings))] if balance else []),
    ]
    display_bundle(table(("", ""), rows, notes=key.notices))
    set_aside = client.archive.set_aside()
    if set_aside:
        entries, are = counted(set_aside, "entry", "entries"), "is" if set_aside == 1 else "are"
        print(f"{entries} of the archive cannot be read and {are} left out.")
    running = list(_running_rows(session.jobs(client)))
    if running:
        display_bundle(table(("running", "for", "state", "can cost", "request id"), running))
    uncertain = [_uncertain_row(call) for call in client.archive.doubtful()]
    uncertain += [_uncertain_row(call) for _, (_, calls) in answers for call in calls]
    if uncertain:
        head = ("uncertain since", "model", "can cost", "request id", "prompt")
        note = (
            "An uncertain call was sent, but its answer was lost. It counts as spent and is not sent again."
        )
        display_bundle(table(head, uncertain, notes=[note]))


def _holdings_words(archive: Reader) -> str:
    held = archive.holdings()
    parts = (("pictures", held.pictures), ("inputs", held.inputs), ("raw answers", held.raw_answers))
    return ", ".join(f"{size / 1e6:.1f} MB of {name}" for name, size in parts if size) or "nothing"


def _archive_of(settings: Mapping[str, Any]) -> tuple[Client, str]:
    """A client to read the archive with, and where that is; one in memory if its folder cannot be named."""
    try:
        client = session.archive_client(**settings)
    except ConfigurationError as error:
        problem = error
    else:
        folder = client.archive.folder
        return client, str(from_here(folder)) if folder else "off: pictures are kept in memory only"
    print(f"{problem}. {problem.hint}")
    return session.archive_client(**{**settings, "archive": "off"}), f"none: {problem}"


def _proxy_rows(base: BaseURL) -> Iterator[tuple[str, str]]:
    from ..client import proxy_to

    try:
        proxy = proxy_to(base)
    except ConfigurationError as error:
        yield "proxy", str(error)
    else:
        if proxy is not None:
            yield "proxy", str(proxy)


def _sandbox_words() -> str:
    from ..sandbox import running_process_sandbox

    running = running_process_sandbox()
    return f"{running.base_url} (sandbox)" if running else "of the sandbox, which starts with the first call"


def _key_words(source: str, *, offline: bool) -> str:
    if source == "withheld":
        return "none for this base URL: %cometimg_login gives it one"
    if offline:
        return f"{source}: the sandbox on this machine answers (free)"
    if source != "none":
        return f"from {source}"
    return "none: %cometimg_login gives one"


def _spend_rows(archive: Reader, base: BaseURL, *, named: bool = False) -> Iterator[tuple[str, str]]:
    from ..money import dollars

    where = f" in {from_here(archive.folder)}" if named and archive.folder else ""
    for vendor in dict.fromkeys((base.vendor, "sandbox")):
        spend = archive.spend(vendor=vendor)
        if not spend.calls:
            continue
        more = f", at most {dollars(spend.bound_micro)}" if spend.bound != spend.spent else ""
        unpriced = f", {spend.unpriced} of unknown price" if spend.unpriced else ""
        name = "spent in the sandbox (play money)" if vendor == "sandbox" else f"spent at {vendor}"
        yield name + where, f"{dollars(spend.spent_micro)}{more} in {counted(spend.calls, 'call')}{unpriced}"


def _balance_words(settings: Mapping[str, Any]) -> str:
    """What the vendor says the key has used and has left, and the change since it was last asked."""
    from ..client import shared_client
    from ..money import dollars

    client = shared_client(**settings)
    balance = client.balance()
    before = session.balance_before(client.base_url, balance.used_micro)
    left = "no limit" if balance.left_micro is None else f"{dollars(balance.left_micro)} left"
    change = "" if before is None else f", {dollars(balance.used_micro - before)} since you last asked"
    return f"{dollars(balance.used_micro)} used, {left}{change}"


def _running_rows(jobs: Iterable[Job]) -> Iterator[tuple[str, ...]]:
    for job in jobs:
        for call in job.calls:
            if call.state in ("done", "failed"):
                continue
            state = f"{call.state}, in the background" if job.abandoned else call.state
            elapsed = duration(time.monotonic() - job.started)
            yield call.request.model, elapsed, state, at_most(call.reserved), call.request_id or ""


def _uncertain_row(call: Entry) -> tuple[str, ...]:
    since = f"{call.created.astimezone():%Y-%m-%d %H:%M}"
    return since, call.model, at_most(call.bound_micro), call.request_id or "", call.prompt or ""


def at_most(micro: int | None) -> str:
    from ..money import dollars

    return f"at most {dollars(micro)}"


# --- %cometimg_cancel


def cancel_running(settings: Mapping[str, Any]) -> None:
    """Cancel what is still running: close its connections, and say what it may have cost."""
    jobs = session.jobs(session.archive_client(**settings))
    print(cancelled_message([job.drop() for job in jobs]) or "Nothing is running.")


def cancelled_message(stopped: Sequence[Abandoned]) -> str:
    """What was cancelled and what that can cost; "" if nothing was running."""
    from ..money import total

    count = sum(each.cancelled for each in stopped)
    if not count:
        return ""
    most = at_most(total(each.bound_micro for each in stopped))
    return f"Cancelled {counted(count, 'request')}. What was already sent may still be billed, {most}."
