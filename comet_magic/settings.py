"""The settings of a client, and where its key and its base URL come from.

Nothing is sent from here. The key is looked up at every call, so a login or an edited `.env` counts at once; the
result is a value (`Key`) even if there is no key.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal, TypedDict, get_args
from urllib.parse import SplitResult, urlsplit

from .addresses import DEFAULT_PORTS, is_loopback_url, is_private, is_this_machine, origins_of
from .errors import ConfigurationError, MissingKeyError
from .key_sources import ask_keyring, forget_keyring, read_dotenv
from .machine import DEFAULT_ARCHIVE
from .text import LONGEST_KEY, Secret, Withheld, clean, clean_url, concealed_address

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MIB = 1024 * 1024
DEFAULT_BASE_URL = "https://api.cometapi.com/v1"  # https://apidoc.cometapi.com/images-generations
VENDOR_ORIGIN = "https://api.cometapi.com:443"
KEY_PAGE = "https://www.cometapi.com/console/token"
KEY_VARIABLES = ("COMETAPI_KEY", "COMETAPI_API_KEY")  # some tools use the second spelling
BASE_URL_VARIABLE = "COMETAPI_BASE_URL"
TRY_SANDBOX = 'import os; os.environ["COMETAPI_KEY"] = "sandbox"'
INSECURE_VARIABLE = "COMETIMG_ALLOW_INSECURE"
DATASET_IN_FLIGHT = 8  # calls of a dataset side by side: at most so many are unknown after a crash


Auth = Literal["bearer", "api-key"]


class ConnectionOptions(TypedDict, total=False):
    """Where requests go and with which key, as `comet_magic.generate` explains."""

    api_key: str | None
    base_url: str | None
    auth: Auth | None
    allow_insecure: bool | None


class ClientOptions(ConnectionOptions, total=False):
    """What `Client` and `AsyncClient` take; each is explained at `Settings`."""

    timeout: float
    connect_timeout: float
    stream_idle_timeout: float
    download_timeout: float
    max_attempts: int
    retry_base_delay: float
    max_image_bytes: int
    max_response_bytes: int
    max_image_pixels: int
    max_in_flight: int
    archive: str | os.PathLike[str] | None
    store_prompts: bool
    max_cost: float | None
    max_cost_session: float | None
    max_cost_day: float | None
    price_per_image: float | None
    download_proxy: str | None
    picture_origins: Sequence[str] | None


@dataclass(frozen=True)
class Settings:
    """The settings of one client.

    Attributes:
        timeout: seconds for a call with all its attempts and waits, not counting its time in the queue.
        connect_timeout: seconds to reach the server.
        stream_idle_timeout: seconds of silence after which a stream is given up.
        download_timeout: seconds for one picture by address, all tries together.
        max_attempts: how often a request is sent at most, if no work began; 1 never sends again.
        retry_base_delay: seconds before the second attempt; doubles up to 8. Downloads wait half as long.
        max_image_bytes: largest picture, encoded.
        max_response_bytes: largest answer for each picture asked for.
        max_image_pixels: largest picture, width times height.
        max_in_flight: calls sent side by side.
        archive: folder of the archive; None keeps nothing on disk.
        store_prompts: False keeps only the hash of a prompt in the ledger.
        max_cost: limit of one call, USD.
        max_cost_session: limit of all clients of this process at one vendor and in one archive, USD.
        max_cost_day: limit of a day at one vendor in all archives of this machine that are known, USD.
        price_per_image: USD, for models whose price is unknown.
        download_proxy: proxy for all picture downloads from other machines, as in `http://127.0.0.1:7890`. Without
            one, the environment's is used for hosts that cannot be reached directly.
        picture_origins: further servers of yours that pictures may come from, as in `["http://127.0.0.1:9000"]`.
    """

    timeout: float = 600.0
    connect_timeout: float = 10.0
    stream_idle_timeout: float = 120.0
    download_timeout: float = 60.0
    max_attempts: int = 3
    retry_base_delay: float = 0.5
    max_image_bytes: int = 64 * MIB
    max_response_bytes: int = 64 * MIB
    max_image_pixels: int = 64_000_000  # below the 89 million at which Pillow begins to warn
    max_in_flight: int = 4
    archive: str | os.PathLike[str] | None = DEFAULT_ARCHIVE
    store_prompts: bool = True
    max_cost: float | None = None
    max_cost_session: float | None = None
    max_cost_day: float | None = None
    price_per_image: float | None = None
    download_proxy: str | None = None
    picture_origins: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if self.picture_origins is not None:
            object.__setattr__(self, "picture_origins", origins_of(self.picture_origins))
        for field in fields(self):
            value, kind = getattr(self, field.name), str(field.type)
            if value is not None or not kind.endswith("None"):
                _check_kind(field.name, value, kind)


def _check_kind(name: str, value: object, kind: str) -> None:
    """Refuse a value that is not of the kind its setting has.

    Raises:
        ConfigurationError: with what was given and what it must be.
    """
    if kind.startswith("float"):
        check_number(name, value)
        return
    if kind == "bool":
        right, must = type(value) is bool, "a bool: True or False"
    elif kind == "int":
        right, must = type(value) is int and value >= 1, "a whole number from 1 up"
    elif kind.startswith("Sequence"):
        right, must = isinstance(value, tuple), "a list"
    else:
        right, must = isinstance(value, (str, os.PathLike)), "a path" if name == "archive" else "an address"
    if not right:
        raise ConfigurationError(f"{name} is {_shown(value)}; it must be {must}")


def check_number(name: str, value: object) -> None:
    """Refuse a setting that is not a finite number above 0.

    Raises:
        ConfigurationError: with what was given and what it must be.
    """
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not 0 < value <= sys.float_info.max:  # type: ignore[operator]  # it is a number
        units = {"timeout": "seconds", "delay": "seconds", "minute": "requests"}
        unit = units.get(name.rpartition("_")[2], "USD")
        raise ConfigurationError(
            f"{name} is {_shown(value)}; it must be a number of {unit} above 0", param=name
        )


def _shown(value: object) -> str:
    try:
        return clean(repr(value), limit=80)
    except ValueError:  # Python prints no whole number of more than 4,300 digits
        return "a number of very many digits"


# --- base URL


@dataclass(frozen=True)
class BaseURL:
    """Where requests go.

    Attributes:
        url: the address without a slash at its end, as in `https://api.cometapi.com/v1`.
        origin: scheme, host and port; a key is sent to one origin only.
        vendor: `cometapi`, `sandbox` for any loopback address, else the host.
        source: `argument`, the environment variable's name, `default`, or `sandbox`: the key says that, and whoever
            sends replaces the address by that of this process's sandbox.
        query: Azure's `?api-version=…`, which every request bears, or "".
        auth: how the key is sent: `Authorization: Bearer …`, or the header `api-key`.
    """

    url: str
    origin: str
    vendor: str
    source: str
    query: str = ""
    auth: Auth = "bearer"

    @property
    def host(self) -> str:
        """Host and port, for messages."""
        return self.url.partition("://")[2].partition("/")[0]

    @property
    def in_clear(self) -> bool:
        """Whether the key crosses a network unencrypted."""
        return self.url.startswith("http:") and self.vendor != "sandbox"

    def endpoint(self, path: str) -> str:
        """The address of a route, such as `/images/generations`."""
        return f"{self.url}{path}{self.query}"

    def options(self) -> ConnectionOptions:
        """The options that lead here, for a client somewhere else; without a key."""
        return {"base_url": self.endpoint(""), "auth": self.auth, "allow_insecure": self.in_clear}


# Port 0 stands for whichever the sandbox of the process that sends gets.
SANDBOX = BaseURL("http://127.0.0.1:0/v1", "http://127.0.0.1:0", "sandbox", "sandbox")


def resolve_base_url(
    given: str | None = None, *, auth: Auth | None = None, allow_insecure: bool | None = None
) -> BaseURL:
    """The base URL: the one given, else the environment's, else the vendor's; the key `sandbox` leads to the sandbox.

    Args:
        given: an address; the name of a route at its end is cut.
        auth: None is `api-key` for hosts of Azure OpenAI and `bearer` for all others.
        allow_insecure: whether http may lead into a private network; None is as the environment says.

    Raises:
        ConfigurationError: it is not an https address (http is allowed on loopback, and where it was allowed, in a
            private network).
    """
    given = concealed_address(given)
    if auth not in (None, *get_args(Auth)):
        raise ConfigurationError(f"auth must be {' or '.join(get_args(Auth))}")
    if allow_insecure not in (None, True, False):
        raise ConfigurationError("allow_insecure must be True or False")
    insecure = _environment_allows_http() if allow_insecure is None else bool(allow_insecure)
    if given is not None:
        return _base_url(given, "argument", auth, insecure)
    named = _environment_base(auth, insecure)
    if named is None and _key_says_sandbox():
        return SANDBOX
    return named or _base_url(DEFAULT_BASE_URL, "default", auth, insecure)


def _key_says_sandbox() -> bool:
    found = _logins.get(VENDOR_ORIGIN)
    with suppress(ConfigurationError):  # a key that cannot be one is told when it is looked for
        key = Key(found, "") if found else _from_mapping(os.environ, "") or _dotenv_key()
        return key is not None and key.secret == Secret("sandbox")
    return False


def base_url_of(options: ClientOptions) -> BaseURL:
    """The base URL that the options of a client name; raises what `resolve_base_url` does."""
    base = resolve_base_url(
        options.get("base_url"), auth=options.get("auth"), allow_insecure=options.get("allow_insecure")
    )
    key: Any = options.get("api_key")
    word = key.reveal() if isinstance(key, Secret) else key
    return SANDBOX if base.source == "default" and word == "sandbox" else base


def _environment_base(auth: Auth | None, insecure: bool) -> BaseURL | None:  # noqa: FBT001 - as resolved above
    named = concealed_address(os.environ.get(BASE_URL_VARIABLE, "").strip())
    return _base_url(named, BASE_URL_VARIABLE, auth, insecure) if named else None


def _environment_allows_http() -> bool:
    said = os.environ.get(INSECURE_VARIABLE, "").strip().lower()
    if said not in ("", "0", "1", "false", "true"):
        raise ConfigurationError(f"{INSECURE_VARIABLE} is {_shown(said)}; it must be 1 or 0")
    return said in ("1", "true")


# Azure OpenAI: https://learn.microsoft.com/azure/ai-foundry/openai/reference
_AZURE = ".openai.azure.com"
_ROUTE = re.compile(
    r"/(?:(?:chat/)?completions|responses|images(?:/(?:generations|edits|variations))?)$", re.IGNORECASE
)
_QUOTES = "\"'`"


def _base_url(text: str | Withheld, source: str, auth: Auth | None, insecure: bool) -> BaseURL:  # noqa: FBT001
    text, parts = _split(text)
    host, port = parts.hostname or "", parts.port
    query = f"?{parts.query}" if parts.query else ""
    auth = auth or ("api-key" if host.endswith(_AZURE) else "bearer")
    if query and auth != "api-key":
        raise _no_address(
            f"{clean_url(text)} with the query {query}",
            'Leave the query out. For Azure\'s api-version, give auth="api-key" to the client.',
        )
    loopback = is_loopback_url(text)
    if parts.scheme == "http" and not loopback:
        _check_http(host, clean_url(text), insecure)
    path = _ROUTE.sub("", parts.path.rstrip("/")).rstrip("/") or "/v1"
    netloc = (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")
    origin = f"{parts.scheme}://{host}:{port or DEFAULT_PORTS[parts.scheme]}"
    vendor = "sandbox" if loopback else "cometapi" if origin == VENDOR_ORIGIN else host
    return BaseURL(f"{parts.scheme}://{netloc}{path}", origin, vendor, source, query, auth)


def _split(text: str | Withheld) -> tuple[str, SplitResult]:
    """The address, trimmed, and its parts.

    Raises:
        ConfigurationError: it is not an address of a server; what may be a password is not repeated.
    """
    if isinstance(text, Withheld):
        raise _no_address(text.what, "Keys are given by api_key=, COMETAPI_KEY or %cometimg_login.")
    text = text.strip()
    shown = clean_url(text) or "empty"
    if text[:1] in _QUOTES or text[-1:] in _QUOTES:
        raise _no_address(
            f"{shown}, in quotes" if text else shown, "Docker's --env-file keeps quotes: leave them out."
        )
    if "#" in text:
        raise _no_address(f"{shown} with a fragment (#…)")
    if "://" not in text:
        raise _no_address(f"{shown}, without https://" if text else shown)
    try:
        parts = urlsplit(text)
        usable = parts.hostname and parts.port != 0 and parts.scheme in DEFAULT_PORTS
    except ValueError:
        usable = False
    if not usable or not text.isprintable() or any(sign in text for sign in " \\"):
        raise _no_address(shown)
    return text, parts


def _no_address(what: str, hint: str = "") -> ConfigurationError:
    return ConfigurationError(
        f"base_url is {what}; it must be an address such as {DEFAULT_BASE_URL}", hint=hint
    )


def _check_http(host: str, shown: str, insecure: bool) -> None:  # noqa: FBT001
    """Refuse http outside of a private network; a name is looked up when something is sent.

    Raises:
        ConfigurationError: with the way on.
    """
    if is_this_machine(host):  # 0.0.0.0, where servers listen, and odd spellings
        raise ConfigurationError(
            f"base_url is {shown}; it must be https (http is allowed on loopback only)",
            hint="If it is a server on this machine, its address is 127.0.0.1 or localhost.",
        )
    if not insecure:
        raise ConfigurationError(
            f"base_url is {shown}; it must be https (http is allowed on loopback only)",
            hint="Over http the key would be readable on its way: use https. To a server in your own network, "
            f"allow_insecure=True or {INSECURE_VARIABLE}=1 allows it.",
        )
    if re.fullmatch(r"[0-9.]+|.*:.*", host) and not is_private(host):
        raise ConfigurationError(
            f"base_url is {shown}; it must be https: {host} is not an address of a private network"
        )


# --- key


@dataclass(frozen=True)
class Key:
    """A key and where it came from; `secret` is None when there is none."""

    secret: Secret | None
    source: str
    notices: tuple[str, ...] = ()

    def require(self, base: BaseURL) -> Secret:
        """The secret.

        Raises:
            MissingKeyError: there is none; the hint says how to set one.
        """
        if self.secret is not None:
            return self.secret
        if self.source == "withheld":
            raise MissingKeyError(
                f"the environment's key is not sent to {clean_url(base.url)}, which was given by argument",
                hint="Pass api_key= for that address, use %cometimg_login, or set COMETAPI_BASE_URL.",
            )
        raise MissingKeyError(
            "no API key was found",
            hint=f"Set COMETAPI_KEY (get one at {KEY_PAGE}) or use %cometimg_login; "
            f"to try without one, set it to sandbox, in Python by {TRY_SANDBOX}."
            + "".join(f" {notice[0].upper()}{notice[1:]}." for notice in self.notices),
        )


_logins: dict[str, Secret] = {}


def login(key: Secret, base: BaseURL) -> None:
    """Remember a key for one origin until this process ends."""
    _logins[base.origin] = check_key(key.reveal(), "login")


def logout() -> None:
    """Forget every key given by login, and what the keyring said."""
    _logins.clear()
    forget_keyring()


_told: set[str] = set()


def untold(notices: Iterable[str]) -> tuple[str, ...]:
    """Those of the notices that were not told in this process; from now on they are."""
    fresh = tuple(notice for notice in notices if notice not in _told)
    _told.update(fresh)
    return fresh


def check_key(key: str, source: str) -> Secret:
    """The key as a secret, without spaces at its ends.

    Raises:
        ConfigurationError: it is in quotes, too long, or has characters that no header may have; neither error nor
            traceback shows the key.
    """
    key = key.strip()
    hint = "Copy the key again, without anything around it."
    if not key:
        what, hint = "is empty", f"Get a key at {KEY_PAGE}."
    elif len(key) > LONGEST_KEY:
        what = f"has {len(key):,} characters; a key has at most {LONGEST_KEY:,}"
    elif key[0] in _QUOTES or key[-1] in _QUOTES:
        what, hint = "is in quotes", "Leave them out: Docker's --env-file keeps them as part of the key."
    elif not all(33 <= ord(c) <= 126 for c in key):
        what = "contains a space, a line break or a character outside ASCII"
    else:
        return Secret(key)
    del key
    raise ConfigurationError(f"the key from {source} {what}", hint=hint)


def find_key(given: Secret | Withheld | None, base: BaseURL) -> Key:
    """The key for a base URL: given, login, environment, keyring, `.env`, in this order.

    The environment's key goes only to the vendor or to the environment's own base URL.

    Raises:
        ConfigurationError: the first value found cannot be a key.
    """
    try:
        return _found_key(given, base)
    except ConfigurationError as error:
        problem = error.bare()  # the frames behind it know the environment
    raise problem


def _found_key(given: Secret | Withheld | None, base: BaseURL) -> Key:
    if given is not None and not isinstance(given, Secret):
        what = given.what if isinstance(given, Withheld) else "not a text"
        raise ConfigurationError(f"api_key is {what}", hint="Pass the key itself, or set COMETAPI_KEY.")
    if given is not None:
        return Key(check_key(given.reveal(), "the argument"), "argument")
    if base == SANDBOX:
        return Key(Secret("sandbox"), "sandbox")
    if base.origin in _logins:
        return Key(_logins[base.origin], "%cometimg_login")
    if base.source == "argument" and base.origin != VENDOR_ORIGIN:
        own = _environment_base(base.auth, insecure=True)  # only its origin counts
        if own is None or own.origin != base.origin:
            return Key(None, "withheld")
    found = _from_mapping(os.environ, "{}")
    if found is not None:
        return found
    kept = ask_keyring(urlsplit(base.url).hostname or "")
    if kept.value is not None:
        return Key(check_key(kept.value.reveal(), "the keyring"), "keyring")
    found = _dotenv_key() or Key(None, "none")
    return replace(found, notices=(kept.problem, *found.notices)) if kept.problem else found


def _from_mapping(values: Any, source: str, notices: tuple[str, ...] = ()) -> Key | None:
    for name in KEY_VARIABLES:
        value = (values.get(name) or "").strip()
        if value:
            where, notice = (
                source.format(name),
                f"{name} works too, but the vendor's name for it is COMETAPI_KEY",
            )
            alias = () if name == KEY_VARIABLES[0] else (notice,)
            return Key(check_key(value, where), where, notices + alias)
    return None


def _dotenv_key() -> Key | None:
    answer = read_dotenv()
    if answer.value is None:
        return Key(None, "none", (answer.problem,)) if answer.problem else None
    path, values, mode = answer.value
    open_to_others = os.name == "posix" and mode & (stat.S_IRGRP | stat.S_IROTH)
    told = (f"{path.name} can be read by other users: run chmod 600 on it",) if open_to_others else ()
    return _from_mapping(values, "{} in " + str(path), told)
