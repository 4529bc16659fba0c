"""What the small magics show: models, login, status, cancelling, and the history of calls."""

from __future__ import annotations

import getpass
import importlib.util
import re
import time
from contextlib import suppress
from datetime import date
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from IPython.core.error import StdinNotImplementedError

from ..errors import CometError, ConfigurationError, SaveError
from ..files import from_here
from ..key_sources import KEYRING_SERVICE
from ..machine import ask_patiently
from ..settings import check_key, find_key, resolve_base_url
from ..settings import login as remember_key
from ..text import clean, counted
from .arguments import usage_error
from .cell_output import data_url, display_bundle, duration, file_address
from .session import session
from .tables import Thumbnail, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from decimal import Decimal

    from ..archive import Archive, Entry, Reader
    from ..catalog import Model
    from ..client import Abandoned, Client, Job
    from ..images import Images
    from ..settings import BaseURL
    from ..text import Secret

HISTORY_LIMIT = 20
PROMPT_SHOWN = 160  # characters of a prompt in the history
THUMBNAIL_EDGE = 96  # longest edge of a thumbnail, pixels
_CALL_ID = re.compile(r"[0-9a-f]{6,32}")


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
        print(f"{counted(set_aside, 'entry', 'entries')} of the archive cannot be read and count as absent.")
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
            yield call.request.model, elapsed, state, _at_most(call.reserved), call.request_id or ""


def _uncertain_row(call: Entry) -> tuple[str, ...]:
    since = f"{call.created.astimezone():%Y-%m-%d %H:%M}"
    return since, call.model, _at_most(call.bound_micro), call.request_id or "", call.prompt or ""


def _at_most(micro: int | None) -> str:
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
    most = _at_most(total(each.bound_micro for each in stopped))
    return f"Cancelled {counted(count, 'request')}. What was already sent may still be billed, {most}."


# --- %cometimg_forget


def forget_call(call_id: str, settings: Mapping[str, Any]) -> None:
    """Delete the pictures and inputs of a call from disk, and say what was deleted.

    Raises:
        InvalidRequestError: the call is still open.
        SaveError: a file cannot be deleted.
    """
    archive = session.archive_client(**settings).archive
    here, found = _find_call(archive, call_id) if _CALL_ID.fullmatch(call_id) else (archive, None)
    if found is not None and here is not archive:
        raise usage_error(
            f"this call is of the dataset {clean(here.folder)}; name its folder as the archive first"
        )
    if found is None:
        raise usage_error("%cometimg_forget needs the ID of a call; %cometimg_history lists them")
    try:
        removed = archive.forget(found)
    except OSError as error:
        problem = error.strerror or type(error).__name__
    else:
        print(f"{counted(len(removed), 'file')} of {found.id[:8]} deleted; its money stays in the history.")
        return
    raise SaveError(f"the files of {found.id[:8]} cannot all be deleted: {problem}")


# --- %cometimg_history


def show_history(
    words: str, values: Mapping[str, Any], *, shell: Any, settings: Mapping[str, Any]
) -> Images | None:
    """Show the history; with the ID of a call return its pictures, or write its cell into the next one."""
    from ..archive import ask_known

    client = session.archive_client(**settings)
    archive = client.archive
    here, found = _find_call(archive, words) if _CALL_ID.fullmatch(words) else (archive, None)
    if values["as_code"] and not words:  # of the last one
        found = next(iter(archive.history(limit=1)), None)
    if found is None and (values["fetch"] or values["as_code"]):
        flag = "--fetch" if values["fetch"] else "--as-code"
        known = words or values["fetch"]
        problem = "needs the ID of a call; %cometimg_history lists them" if known else "finds no call"
        raise usage_error(f"{flag} {problem}")
    if found is not None and values["as_code"]:
        _write_next_cell(found, shell)
        return None
    if found is not None:
        if values["fetch"] and here is not archive:
            where = clean(here.folder)
            hint = f"comet_magic.open_dataset({where!r}).retry('failed') fetches what is paid."
            raise ConfigurationError(f"this call is of the dataset {where}", hint=hint)
        return client.fetch(found.id) if values["fetch"] else images_of(here, found)
    limit, facts = _limit(values["limit"]), {"model": values["model"], "since": _since(values["since"])}
    answers, problems = ask_known(archive.folder, lambda reader: reader.history(words, limit=limit, **facts))
    own = (archive, archive.history(words, limit=limit, **facts))
    entries = [(reader, entry) for reader, calls in (own, *answers) for entry in calls]
    entries = sorted(entries, key=lambda one: one[1].created, reverse=True)[:limit]
    for problem in problems:
        print(problem)
    if not entries:
        print("Nothing found." if words or values["model"] or values["since"] else "Nothing was made yet.")
        return None
    display_bundle(_history_table(entries))
    return None


def _find_call(archive: Archive, call_id: str) -> tuple[Reader, Entry | None]:
    """The call with an id, and the archive that has it: the own one, or that of a dataset of this machine."""
    from ..archive import ask_known

    found = archive.entry(call_id)
    answers = [] if found else ask_known(archive.folder, lambda reader: reader.entry(call_id))[0]
    return next(((reader, entry) for reader, entry in answers if entry), (archive, found))


def _limit(given: int | None) -> int:
    if given is not None and given < 1:
        raise usage_error(f"--limit is {given}; it takes 1 or more")
    return given or HISTORY_LIMIT


def _since(given: str | None) -> date | None:
    if given is None:
        return None
    with suppress(ValueError):
        return date.fromisoformat(given)
    raise usage_error(f"--since is {given}; it takes a date such as 2026-11-22")


def _history_table(entries: Sequence[tuple[Reader, Entry]]) -> Any:
    from ..money import dollars

    rows = [
        (
            _thumbnail(archive, entry),
            entry.id[:8],
            f"{entry.created.astimezone():%Y-%m-%d %H:%M}",
            entry.model,
            _size_of(entry),
            _at_most(entry.bound_micro) if entry.cost is None and entry.bound else dollars(entry.cost_micro),
            entry.outcome if entry.outcome != "done" else f"{len(entry.pictures)}",
            _clamped(entry.prompt or ""),
        )
        for archive, entry in entries
    ]
    head = ("", "id", "time", "model", "size", "cost", "pictures", "prompt")
    return table(
        head,
        rows,
        notes=[
            "%cometimg_history ID shows one again; --as-code writes its cell, without an ID that of the last one."
        ],
    )


def _size_of(entry: Entry) -> str:
    """The sizes that came; without pictures, the size that was requested."""
    came = dict.fromkeys(f"{picture.width}x{picture.height}" for picture in entry.pictures)
    return ", ".join(came) or str(entry.parameters.get("size", ""))


def _clamped(prompt: str) -> str:
    words = " ".join(prompt.split())
    return words if len(words) <= PROMPT_SHOWN else f"{words[: PROMPT_SHOWN - 1].rstrip()}…"


def _thumbnail(archive: Reader, entry: Entry) -> Thumbnail | str:
    from ..images import preview

    if not entry.pictures:
        return ""
    try:
        small, mime = preview(archive.load(entry.pictures[0]), THUMBNAIL_EDGE)
    except (CometError, OSError):  # the file is gone or damaged; the rest of the row is still true
        return "missing"
    path = from_here(archive.path_of(entry.pictures[0]))
    return Thumbnail(data_url(small, mime), entry.prompt or "picture", file_address(str(path)))


def images_of(archive: Reader, entry: Entry) -> Images:
    """The pictures of a call, read from the archive.

    Raises:
        SaveError: a file is gone or damaged.
    """
    from ..client import picture_of
    from ..images import Images

    return Images(
        [picture_of(archive, stored, cost_micro=stored.cost_micro) for stored in entry.pictures],
        prompt=entry.prompt or "",
        model=entry.model,
        created=int(entry.created.timestamp()),
        usage=entry.usage,
        cost_micro=entry.cost_micro,
    )


def _write_next_cell(entry: Entry, shell: Any) -> None:
    from .as_code import request_code

    if entry.request is None:
        raise usage_error(f"the prompt of {entry.id[:8]} is not kept, so its cell cannot be written")
    shell.set_next_input(request_code(entry.request), replace=False)
