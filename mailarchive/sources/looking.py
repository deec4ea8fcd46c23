"""Looks at a server from outside, one step after the other: its name, its port, its certificate.

The law of this room: nothing is sent that a sign-in would not send, and no credential at all.
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mailarchive.errors import UnreachableError
from mailarchive.sources.tls import dial

if TYPE_CHECKING:
    from mailarchive.address import ServerAddress
    from mailarchive.sources.tls import Trust


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a certificate that was found good says.

    Attributes:
        version: Of TLS, such as `TLSv1.3`.
        names: Hosts and addresses that it is for, foreign text; empty where only its fingerprint counts.
        until: When it ends, aware; None where only its fingerprint counts.
    """

    version: str
    names: tuple[str, ...] = ()
    until: datetime | None = None


def addresses(host: str, port: int) -> list[str]:
    """Look a host name up. Raises UnreachableError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "not a host name"
        raise UnreachableError(f"cannot find {host}: {reason}", hint=f"getent hosts {host}") from None
    return list(dict.fromkeys(str(place[0]) for *_, place in found))


def answers(address: ServerAddress) -> None:
    """Open a connection and close it. Raises UnreachableError."""
    dial(address.host, address.port).close()


def certificate(address: ServerAddress, trust: Trust) -> Certificate | None:
    """Put TLS on a line as a sign-in would, and read the certificate; None where the line is clear text.

    Raises:
        ConfigError, UnreachableError, ProtocolError, LaterError: As at the sign-in.
    """
    if address.protocol == "pop":
        from mailarchive.sources.pop_session import secured
    else:
        from mailarchive.sources.imap_session import secured
    wire = secured(address, trust)
    try:
        return read_certificate(wire.sock)
    finally:
        wire.close()


def read_certificate(sock: socket.socket) -> Certificate | None:
    """Read the certificate at the other end of a line."""
    if not isinstance(sock, ssl.SSLSocket):
        return None
    said = sock.getpeercert() or {}
    until = said.get("notAfter")
    alternatives = said.get("subjectAltName", ())
    assert isinstance(alternatives, tuple)
    return Certificate(
        version=sock.version() or "",
        names=tuple(str(name) for _, name in alternatives),
        until=datetime.fromtimestamp(ssl.cert_time_to_seconds(until), UTC) if isinstance(until, str) else None,
    )
