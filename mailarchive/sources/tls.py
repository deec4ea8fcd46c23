"""Connecting, and trusting: a socket to the server, with TLS 1.2 or newer, or none.

The law of this room: nothing is sent before TLS stands; the certificate and the host name are always checked, against
the system's authorities, the user's file, or one fingerprint; a failure says exactly what was wrong. There is no way
to switch the check off.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailarchive.errors import ConfigError, UnreachableError
from mailarchive.sources.wire import Wire

if TYPE_CHECKING:
    from pathlib import Path

CONNECT_TIMEOUT = 30.0


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
    """Open a TCP connection, trying every address of the host."""
    peer = f"{host}:{port}"
    try:
        sock = socket.create_connection((host, port), timeout=CONNECT_TIMEOUT)
    except socket.gaierror as error:
        raise UnreachableError(f"cannot find {host}: {error.strerror}", hint="check the name of the server") from None
    except TimeoutError:
        raise UnreachableError(f"{peer} did not answer for {CONNECT_TIMEOUT:.0f} s", temporary=True) from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UnreachableError(f"cannot connect to {peer}: {reason}", temporary=True) from None
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return Wire(sock, peer)


def secure(wire: Wire, host: str, trust: Trust) -> None:
    """Put TLS on a connection and check whom we talk to; nothing else has been sent when this fails."""
    wire.sock.settimeout(CONNECT_TIMEOUT)
    try:
        wire.start_tls(trust.context(), host)
    except ssl.SSLCertVerificationError as error:
        raise UnreachableError(
            f"the certificate of {host} is not trusted ({error.verify_message.rstrip('.')}); nothing was sent",
            hint="trust one authority with --ca-file or one certificate with --fingerprint",
        ) from None
    except TimeoutError:
        raise UnreachableError(f"{wire.peer} did not finish the TLS handshake", temporary=True) from None
    except ssl.SSLError as error:
        raise UnreachableError(f"TLS with {wire.peer} failed: {error.reason or 'protocol error'}") from None
    except OSError as error:
        reason = error.strerror or "connection lost"
        raise UnreachableError(f"TLS with {wire.peer} failed: {reason}", temporary=True) from None
    wire.sock.settimeout(wire.timeout)
    if trust.fingerprint:
        _compare_fingerprint(wire, host, trust.fingerprint)


def _compare_fingerprint(wire: Wire, host: str, wanted: str) -> None:
    sock = wire.sock
    certificate = sock.getpeercert(binary_form=True) if isinstance(sock, ssl.SSLSocket) else None
    found = hashlib.sha256(certificate or b"").hexdigest()
    if not hmac.compare_digest(found, normal_fingerprint(wanted)):
        raise UnreachableError(
            f"the certificate of {host} has the fingerprint {found}, not {normal_fingerprint(wanted)}; nothing was sent"
        )
