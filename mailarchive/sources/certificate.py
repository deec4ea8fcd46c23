"""Why a certificate or a handshake was refused, in words, and which certificate it was.

The law of this room: it explains a refusal that has happened, and can undo none; what stands in a certificate is
foreign text.
"""

from __future__ import annotations

import hashlib
import ssl
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

NAMES: Final = 3
"""Names of a certificate that people are shown."""

_NOT_YET: Final = 9
_EXPIRED: Final = 10
_SELF_SIGNED: Final = 18
_UNKNOWN_AUTHORITY: Final = (2, 19, 20, 21, 27)
_OTHER_HOST: Final = (62, 64)
"""Codes of X509_STORE_CTX_get_error(3)."""

_NO_TLS: Final = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST")
_OLD_TLS: Final = ("UNSUPPORTED_PROTOCOL", "ALERT_PROTOCOL_VERSION", "VERSION_TOO_LOW")


@dataclass(frozen=True, slots=True)
class Certificate:
    """What the server has shown; everything is empty where OpenSSL does not tell.

    Attributes:
        fingerprint: SHA-256, 64 hex digits.
        names: The hosts that it is for.
        authority: Who has signed it.
        begins: The first moment at which it is valid. `ends`: the last one.
    """

    fingerprint: str = ""
    names: tuple[str, ...] = ()
    authority: str = ""
    begins: datetime | None = None
    ends: datetime | None = None


def presented(sock: socket.socket) -> Certificate:
    """Read the certificate of the other side, trusted or not."""
    # Python has no public way to the certificate that was refused, before 3.13 none at all.
    look = getattr(getattr(sock, "_sslobj", None), "get_unverified_chain", None)
    chain = look() if look else None
    if not chain:
        return Certificate()
    fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(chain[0].public_bytes())).hexdigest()
    with suppress(ValueError, ssl.SSLError):
        return _read(fingerprint, chain[0].get_info())
    return Certificate(fingerprint)


def _read(fingerprint: str, info: Mapping[str, Any]) -> Certificate:
    names = tuple(name for kind, name in info.get("subjectAltName", ()) if kind in ("DNS", "IP Address"))
    common = [value for part in info.get("subject", ()) for key, value in part if key == "commonName"]
    issuer = {key: value for part in info.get("issuer", ()) for key, value in part}
    known = [issuer[key] for key in ("commonName", "organizationName", "organizationalUnitName") if key in issuer]
    begins, ends = (_moment(info.get(key)) for key in ("notBefore", "notAfter"))
    return Certificate(fingerprint, names or tuple(common), known[0] if known else "", begins, ends)


def _moment(text: str | None) -> datetime | None:
    with suppress(ValueError, OverflowError):
        return datetime.fromtimestamp(ssl.cert_time_to_seconds(text or ""), UTC)
    return None


def refused(error: ssl.SSLCertVerificationError, host: str, seen: Certificate) -> tuple[str, str]:
    """Say why the certificate of a host is not trusted, and what to do about it."""
    reason = _reason(error, host, seen, datetime.now(UTC))
    if error.verify_code in (_NOT_YET, _EXPIRED):
        hint = f"the clock of this computer says {datetime.now(UTC):%Y-%m-%d}"
        return reason, f"{hint}; the fingerprint is {seen.fingerprint}" if seen.fingerprint else hint
    pin = f"this certificate with --fingerprint {seen.fingerprint}".rstrip()
    return reason, f"if this is the right server: trust one authority with --ca-file or {pin}"


def _reason(error: ssl.SSLCertVerificationError, host: str, seen: Certificate, now: datetime) -> str:
    code, what = error.verify_code, f"the certificate of {host}"
    if code in _OTHER_HOST:
        more = " and others" if len(seen.names) > NAMES else ""
        names = ", ".join(seen.names[:NAMES]) + more
        return f"{what} is for {names}" if names else f"{what} is not for this host"
    # The dates may be those of another certificate in the chain.
    if code == _EXPIRED and seen.ends and seen.ends < now:
        return f"{what} expired on {seen.ends:%Y-%m-%d}"
    if code == _NOT_YET and seen.begins and seen.begins > now:
        return f"{what} is not valid before {seen.begins:%Y-%m-%d}"
    if code == _SELF_SIGNED:
        return f"{what} is not trusted (it is signed by itself)"
    if code in _UNKNOWN_AUTHORITY:
        return f"{what} is not trusted (it is signed by {seen.authority or 'somebody'}, an authority not known here)"
    return f"{what} is not trusted ({error.verify_message.rstrip('.')})"


def failed(error: ssl.SSLError, peer: str) -> tuple[str, str]:
    """Say why a handshake failed, and what to do about it."""
    reason = error.reason or ""
    if any(word in reason for word in _NO_TLS):
        return f"{peer} answers with something that is not TLS", "check scheme and port"
    if any(word in reason for word in _OLD_TLS):
        return f"{peer} offers no TLS 1.2 or newer", "older TLS can be broken, so no option allows it"
    if "HANDSHAKE_FAILURE" in reason:
        return f"TLS with {peer} failed: it takes none of our ciphers", "weak ciphers can be broken, so none is offered"
    return f"TLS with {peer} failed: {reason.replace('_', ' ').lower() or 'protocol error'}", ""
