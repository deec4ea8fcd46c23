"""From an address to a signed-in POP3 session (RFC 1939, 2449, 2595, 5034).

The law of this room: no credential is sent before TLS stands (or to another host than this one without it); what was
said in clear text before STLS does not count; a refused sign-in is never tried again; no secret is in any error.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from mailarchive.address import Security
from mailarchive.errors import ProtocolError, SignInError, UnreachableError, UsageError
from mailarchive.sources import sasl
from mailarchive.sources.pop_lines import LINE, Declined
from mailarchive.sources.tls import dial, greeting, secure

if TYPE_CHECKING:
    from mailarchive.address import ServerAddress
    from mailarchive.secret import Secret
    from mailarchive.sources.tls import Trust
    from mailarchive.sources.wire import Wire

PATIENCE = 10.0
"""Seconds that a server may take to say what it can do, before it is asked nothing of the kind any more."""
CAPABILITIES = 200
"""Lines that CAPA may have."""


def sign_in(address: ServerAddress, secret: Secret, trust: Trust) -> tuple[Wire, frozenset[str]]:
    """Connect to a POP3 server, put TLS on the line and sign in; gives the line and what the server can do.

    Raises:
        UsageError: The user name or password holds CR, LF or NUL.
        SignInError, UnreachableError, ProtocolError, LaterError: As their names say.
    """
    for what, text in (("user name", address.user), ("password", secret.reveal())):
        if any(sign in text for sign in "\r\n\0"):
            raise UsageError(f"the {what} holds a line break or a NUL, which no server takes")
    try:
        return _signed_in(address, secret, trust, asks=True)
    except _SilentError:
        # Some servers never answer a question that they do not know.
        return _signed_in(address, secret, trust, asks=False)


def secured(address: ServerAddress, trust: Trust) -> Wire:
    """Connect and put TLS on the line, as before a sign-in; the caller closes it. Raises AccountError."""
    wire = dial(address.host, address.port)
    try:
        if address.security is Security.TLS:
            secure(wire, address.host, trust)
        _greeted(wire)
        if address.security is Security.STARTTLS:
            _start_tls(wire, address, trust, frozenset())
    except BaseException:
        wire.close()
        raise
    return wire


class _SilentError(Exception):
    """The server does not answer CAPA."""


def _signed_in(address: ServerAddress, secret: Secret, trust: Trust, *, asks: bool) -> tuple[Wire, frozenset[str]]:
    wire = dial(address.host, address.port)
    for hidden in sasl.answers(address, secret):
        wire.keep_secret(hidden)
    try:
        if address.security is Security.TLS:
            secure(wire, address.host, trust)
        _greeted(wire)
        offered = _capabilities(wire) if asks else frozenset()
        if address.security is Security.STARTTLS:
            _start_tls(wire, address, trust, offered)
            offered = _capabilities(wire) if offered else offered
        _authenticate(wire, address.user, secret, offered)
        # What a server can do after the sign-in may differ; one that does not say it again can do what it said.
        return wire, (_capabilities(wire) if offered else offered) or offered
    except BaseException:
        wire.close()
        raise


def _greeted(wire: Wire) -> None:
    with greeting(wire):
        line = wire.readline(LINE)
    if line[:4].upper() == b"-ERR":
        declined = Declined(wire.words(line[4:].strip()))
        refusal = declined.error(wire.peer, f"{wire.peer} does not let us in now")
        raise refusal or UnreachableError(f"{wire.peer} does not let us in now: {declined.said}", temporary=True)
    if line[:3].upper() != b"+OK":
        raise ProtocolError(f"{wire.peer} does not greet like a POP3 server", hint="check the port")


def _said(wire: Wire) -> str:
    """Read a status line; gives the text behind `+OK`. Raises Declined."""
    line = wire.readline(LINE).rstrip(b"\r\n")
    if line[:3].upper() == b"+OK":
        return wire.words(line[3:].strip())
    if line[:4].upper() == b"-ERR":
        raise Declined(wire.words(line[4:].strip()))
    raise ProtocolError(f"{wire.peer} sent something that is no POP3 answer")


def _capabilities(wire: Wire) -> frozenset[str]:
    """Ask what the server can do (RFC 2449); nothing where it does not know the question.

    A capability with arguments is given once bare and once with each argument: `SASL`, `SASL PLAIN`.
    """
    wire.send(b"CAPA\r\n")
    wire.sock.settimeout(min(PATIENCE, wire.timeout))
    try:
        _said(wire)
    except Declined:
        return frozenset()
    except UnreachableError as error:
        if isinstance(error.__context__, TimeoutError):
            raise _SilentError from None
        raise
    finally:
        wire.sock.settimeout(wire.timeout)
    found: set[str] = set()
    for _ in range(CAPABILITIES):
        line = wire.readline(LINE).rstrip(b"\r\n")
        if line == b".":
            return frozenset(found)
        name, *arguments = line.decode("ascii", "replace").upper().split() or [""]
        found |= {name, *(f"{name} {argument}" for argument in arguments)}
    raise ProtocolError(f"{wire.peer} says without end what it can do (CAPA)")


def _start_tls(wire: Wire, address: ServerAddress, trust: Trust, offered: frozenset[str]) -> None:
    """Put TLS on a clear line, refusing everything that another party could have slipped in before it."""
    if offered and "STLS" not in offered:
        raise UnreachableError(f"{wire.peer} offers no TLS (no STLS); nothing was sent", hint="try pops:// on port 995")
    wire.send(b"STLS\r\n")
    try:
        _said(wire)
    except Declined:
        raise UnreachableError(f"{wire.peer} did not start TLS; nothing was sent") from None
    if wire.pending():
        raise UnreachableError(f"{wire.peer} sent data before TLS; that cannot be trusted, nothing was sent")
    secure(wire, address.host, trust)


def _authenticate(wire: Wire, user: str, secret: Secret, offered: frozenset[str]) -> None:
    """Sign in: with a token by XOAUTH2, else by SASL PLAIN where it is offered, else by USER and PASS."""
    listed = sorted(name.removeprefix("SASL ") for name in offered if name.startswith("SASL "))
    if secret.is_token and listed and "XOAUTH2" not in listed:
        host = wire.peer.rpartition(":")[0]
        raise SignInError(f"{host} takes no OAuth2 token", hint=f"it offers {', '.join(listed)}")
    try:
        if secret.is_token:
            # In two steps, because Exchange takes no initial response.
            _exchange(wire, b"XOAUTH2", _coded(sasl.xoauth2(user, secret)))
        elif "SASL PLAIN" in offered:
            _exchange(wire, b"PLAIN", _coded(sasl.plain(user, secret)))
        else:
            wire.send(b"USER " + user.encode("utf-8") + b"\r\n")
            _said(wire)
            wire.send(b"PASS " + secret.reveal().encode("utf-8") + b"\r\n")
            _said(wire)
    except Declined as declined:
        host = wire.peer.rpartition(":")[0]
        what = f"{host} refused the sign-in of {user}"
        refusal = declined.error(wire.peer, what)
        if refusal is not None and not isinstance(refusal, SignInError):
            raise refusal from None
        app = "many providers want an app password here, and POP switched on in their web settings"
        raise SignInError(f'{what} ("{declined.said}")', hint=secret.advice if secret.is_token else app) from None


def _exchange(wire: Wire, mechanism: bytes, answer: str) -> None:
    """Carry an AUTH exchange out (RFC 5034): the answer goes out when the server asks for it."""
    wire.send(b"AUTH " + mechanism + b"\r\n")
    line = wire.readline(LINE).rstrip(b"\r\n")
    if line[:4].upper() == b"-ERR":
        raise Declined(wire.words(line[4:].strip()))
    if not line.startswith(b"+") or line[:3].upper() == b"+OK":
        raise ProtocolError(f"{wire.peer} let us in before we signed in; that cannot be trusted")
    wire.send(answer.encode("ascii") + b"\r\n")
    line = wire.readline(LINE).rstrip(b"\r\n")
    if line.startswith(b"+ ") or line == b"+":
        # A refusal of XOAUTH2 comes as a challenge, and is told after an empty answer.
        wire.send(b"\r\n")
        line = wire.readline(LINE).rstrip(b"\r\n")
    if line[:4].upper() == b"-ERR":
        raise Declined(wire.words(line[4:].strip()))
    if line[:3].upper() != b"+OK":
        raise ProtocolError(f"{wire.peer} sent something before sign-in that cannot be read")


def _coded(text: str) -> str:
    return base64.b64encode(text.encode("utf-8")).decode("ascii")
