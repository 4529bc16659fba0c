"""TLS: which certificates are trusted, and what is wrong with a server's."""

from __future__ import annotations

import errno
import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import CometError, ConfigurationError
from ..protocol import decisions
from ..text import clean

if TYPE_CHECKING:
    from collections.abc import Mapping

_contexts: dict[tuple[str, ...], ssl.SSLContext] = {}
_SYSTEM = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def context_for_servers() -> ssl.SSLContext:
    """One context for each set of trusted certificates: reading them costs 20 ms.

    Raises:
        ConfigurationError: those that the environment names cannot be read.
    """
    for variables in (_SYSTEM, ("REQUESTS_CA_BUNDLE",), ("CURL_CA_BUNDLE",)):
        named = {name: os.environ[name] for name in variables if os.environ.get(name)}
        if named:
            break
    key = tuple(named.values())
    if key not in _contexts:
        _contexts[key] = _context_of(named)
    return _contexts[key]


def _context_of(named: Mapping[str, str]) -> ssl.SSLContext:
    """The context that trusts the certificates in files or folders, by the variable that names them.

    Raises:
        ConfigurationError: one of them cannot be read.
    """
    if not named:
        import certifi

        return ssl.create_default_context(cafile=certifi.where())
    places: Any = {
        "capath" if name == "SSL_CERT_DIR" or Path(path).is_dir() else "cafile": path
        for name, path in named.items()
    }
    folders = places.get("capath", "").split(os.pathsep)
    try:
        if "capath" in places and not any(Path(folder).is_dir() for folder in folders):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return ssl.create_default_context(**places)
    except OSError as fault:
        reason = clean(fault.strerror or fault, limit=120)
    raise ConfigurationError(
        f"the trusted certificates in {' or '.join(map(clean, named.values()))} cannot be read: {reason}",
        hint=f"Correct {' and '.join(named)}, or unset what is wrong to trust the usual certificates.",
    )


# https://docs.openssl.org/master/man3/X509_STORE_CTX_get_error/#error-codes
_CLOCK = "Is this machine's clock right? If so, the server's owner has to renew it."
_NAME = "Is the host in the address right, and does no proxy or router answer in its place?"
_CERTIFICATES = {
    9: ("is not valid yet", _CLOCK),
    10: ("has expired", _CLOCK),
    62: ("is for another host", _NAME),
    64: ("is for another host", _NAME),
}
_NO_TLS = {
    *("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "UNKNOWN_PROTOCOL"),
    "PACKET_LENGTH_TOO_LONG",
}
_OTHER_TLS = {"UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "NO_PROTOCOLS_AVAILABLE"}


def tls_fault(fault: BaseException) -> ssl.SSLError | None:
    """The fault of the TLS library that led to this one, or None."""
    seen: BaseException | None = fault
    while seen is not None and not isinstance(seen, ssl.SSLError):
        seen = seen.__cause__ or seen.__context__
    return None if isinstance(seen, ssl.SSLWantReadError) else seen  # that one says: no answer in time


def tls_error(fault: ssl.SSLError, host: str) -> CometError:
    """What is wrong with the certificate, or with the way to an encrypted connection."""
    reason, what = fault.reason or "", clean(fault.reason or fault, limit=120)
    if isinstance(fault, ssl.SSLCertVerificationError):
        what = clean(fault.verify_message, limit=120)
        if fault.verify_code in _CERTIFICATES:
            problem, hint = _CERTIFICATES[fault.verify_code]
            return decisions.NO_TRUST.error(f"the certificate of {host} {problem} ({what})", hint=hint)
        return decisions.NO_TRUST.error(f"{host} has no certificate that this machine trusts ({what})")
    if reason in _NO_TLS:
        return decisions.NO_CONNECTION.error(
            f"{host} speaks no TLS at this port ({what})",
            hint="Is the base URL right? An encrypted server may have another port.",
            retryable=False,
        )
    if reason in _OTHER_TLS:
        return decisions.NO_CONNECTION.error(
            f"{host} and this machine speak no common version of TLS ({what})",
            hint="The server, or a proxy in front of it, is too old.",
            retryable=False,
        )
    return decisions.NO_CONNECTION.error(f"the TLS handshake with {host} failed ({what})")
