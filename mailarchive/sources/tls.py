"""Connecting, and trusting: a socket to the server, with TLS 1.2 or newer, or none.

The law of this room: nothing is sent before TLS stands; the certificate and the host name are always checked, against
the system's authorities, the user's file, or one fingerprint; a failure says exactly what was wrong. There is no way
to switch the check off.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import hmac
import os
import selectors
import socket
import ssl
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mailarchive.errors import ConfigError, NoLineError, UnreachableError
from mailarchive.sources import certificate
from mailarchive.sources.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    _Address = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]
    """As `socket.getaddrinfo` gives it."""

CONNECT_TIMEOUT = 30.0
"""Seconds for all addresses of a host together, and again for the TLS handshake."""
HEAD_START = 0.3
"""Seconds that an address may hesitate before the next one is tried beside it."""
_NO_WAY = (errno.EAFNOSUPPORT, errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EINVAL)
"""What connect(2) says of addresses that this computer has no way to."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom to trust.

    Attributes:
        ca_file: Certificates of authorities in PEM, instead of the system's.
        fingerprint: SHA-256 of the one certificate to trust, hex, colons allowed; instead of any authority.
    """

    ca_file: Path | None = None
    fingerprint: str = ""

    def context(self) -> ssl.SSLContext:
        """Make the TLS settings; without an authority only if a fingerprint is pinned."""
        try:
            context = ssl.create_default_context(cafile=str(self.ca_file) if self.ca_file else None)
        except OSError as error:
            reason = getattr(error, "strerror", None) or "not a file of PEM certificates"
            raise ConfigError(f"cannot read the certificates in {self.ca_file}: {reason}") from None
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.fingerprint:
            # The pinned certificate is compared below, before a single octet is sent.
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def normal_fingerprint(text: str) -> str:
    """Give 64 lower-case hex digits for a SHA-256 fingerprint written in any usual way; ValueError for others."""
    digits = text.removeprefix("SHA256:").removeprefix("sha256:").replace(":", "").replace(" ", "").lower()
    if len(digits) != 64 or set(digits) - set("0123456789abcdef"):
        raise ValueError("a SHA-256 fingerprint has 64 hex digits")
    return digits


def dial(host: str, port: int) -> Wire:
    """Open a TCP connection, to whichever address of the host answers first."""
    peer = f"{host}:{port}"
    try:
        sock = _race(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except socket.gaierror as error:
        # A name that does not exist stays so; a resolver that does not answer may do so later.
        raise NoLineError(
            f"cannot find {host} (for port {port}): {error.strerror}",
            hint="check the name of the server, and the network",
            temporary=error.errno == socket.EAI_AGAIN,
        ) from None
    except TimeoutError:
        raise NoLineError(f"{peer} did not answer for {CONNECT_TIMEOUT:.0f} s", temporary=True) from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        # Who resets the connection has taken it before.
        kind = UnreachableError if isinstance(error, ConnectionResetError) else NoLineError
        raise kind(f"cannot connect to {peer}: {reason}", temporary=True) from None
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return Wire(sock, peer)


def _race(addresses: Sequence[_Address]) -> socket.socket:
    """Connect to the first address that answers; the next one is tried when one fails or hesitates (RFC 8305).

    Raises:
        TimeoutError: None of those that have not failed has answered in time.
        OSError: All failed.
    """
    left, failures = deque(addresses), list[OSError]()
    deadline = time.monotonic() + CONNECT_TIMEOUT
    with selectors.DefaultSelector() as trying:
        try:
            while left or trying.get_map():
                if left:
                    _begin(left.popleft(), trying, failures)
                if not trying.get_map():
                    continue
                patience = deadline - time.monotonic()
                if patience <= 0:
                    raise TimeoutError
                for key, _ in trying.select(min(HEAD_START, patience) if left else patience):
                    sock = trying.unregister(key.fileobj).data
                    if not (code := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)):
                        return sock  # type: ignore[no-any-return] # typeshed leaves `data` open
                    sock.close()
                    failures.append(OSError(code, os.strerror(code)))
        finally:
            for key in list(trying.get_map().values()):
                key.data.close()
    # That this computer has no IPv6 says nothing about the server.
    raise next((error for error in failures if error.errno not in _NO_WAY), failures[-1])


def _begin(address: _Address, trying: selectors.BaseSelector, failures: list[OSError]) -> None:
    family, kind, protocol, _, place = address
    try:
        sock = socket.socket(family, kind, protocol)
    except OSError as error:
        failures.append(error)
        return
    sock.setblocking(False)
    code = sock.connect_ex(place)
    if code in (0, errno.EINPROGRESS, errno.EWOULDBLOCK):
        trying.register(sock, selectors.EVENT_WRITE, sock)
    else:
        sock.close()
        failures.append(OSError(code, os.strerror(code)))


def secure(wire: Wire, host: str, trust: Trust) -> None:
    """Put TLS on a connection and check whom we talk to; nothing else has been sent when this fails."""
    wire.sock.settimeout(CONNECT_TIMEOUT)
    try:
        wire.start_tls(trust.context(), host)
    except ssl.SSLCertVerificationError as error:
        reason, hint = certificate.refused(error, host, certificate.presented(wire.sock))
        raise UnreachableError(f"{reason}; nothing was sent", hint=hint) from None
    except TimeoutError:
        raise UnreachableError(f"{wire.peer} did not finish the TLS handshake", temporary=True) from None
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
        raise UnreachableError(f"{wire.peer} hung up in the TLS handshake", temporary=True) from None
    except ssl.SSLError as error:
        reason, hint = certificate.failed(error, wire.peer)
        raise UnreachableError(f"{reason}; nothing was sent", hint=hint) from None
    except OSError as error:
        reason = error.strerror or "connection lost"
        raise UnreachableError(f"TLS with {wire.peer} failed: {reason}", temporary=True) from None
    wire.sock.settimeout(wire.timeout)
    if trust.fingerprint:
        _compare_fingerprint(wire, host, trust.fingerprint)


@contextlib.contextmanager
def greeting(wire: Wire) -> Iterator[None]:
    """Say what silence mostly means where a server should greet."""
    try:
        yield
    except UnreachableError as error:
        if isinstance(error.__context__, TimeoutError) and not isinstance(wire.sock, ssl.SSLSocket):
            error.hint = "does this port want TLS from the first octet? Then use imaps:// or pops://"
        raise


def _compare_fingerprint(wire: Wire, host: str, wanted: str) -> None:
    sock = wire.sock
    certificate = sock.getpeercert(binary_form=True) if isinstance(sock, ssl.SSLSocket) else None
    found = hashlib.sha256(certificate or b"").hexdigest()
    if not hmac.compare_digest(found, normal_fingerprint(wanted)):
        raise UnreachableError(
            f"the certificate of {host} has the fingerprint {found}, not {normal_fingerprint(wanted)}; nothing was sent"
        )
