"""From an address to a signed-in IMAP session.

The law of this room: imapclient speaks until the server has let us in, over our own connection, so that not one octet
is ever buffered in two places; after that the session is ours. No credential is sent before TLS stands (or to another
host than this one without it), a refused sign-in is never tried again, and no secret is in any error.
"""

from __future__ import annotations

import imaplib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import imapclient
from imapclient.exceptions import IMAPClientError

from mailarchive.address import Security
from mailarchive.errors import LaterError, ProtocolError, SignInError, UnreachableError, UsageError
from mailarchive.sources.tls import dial, secure

if TYPE_CHECKING:
    from mailarchive.address import ServerAddress
    from mailarchive.errors import AccountError
    from mailarchive.sources.tls import Trust
    from mailarchive.sources.wire import Wire

_LATER = re.compile(r"\[(UNAVAILABLE|INUSE|LIMIT|SERVERBUG)\]|too many|maximum number of connections", re.IGNORECASE)
_PRIVACY = re.compile(r"\[PRIVACYREQUIRED\]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Session:
    """A line on which an IMAP server has let us in; `capability` is what it said last, in upper case."""

    wire: Wire
    address: ServerAddress
    capability: frozenset[str]


class _OverWire(imaplib.IMAP4):
    """imaplib on our connection; the five methods that its documentation offers for that."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        super().__init__()

    def open(self, host: str = "", port: int = 143, timeout: float | None = None) -> None:  # noqa: ARG002
        """Nothing to open: the line stands."""
        self.host, self.port, self.sock = host, port, self._wire.sock

    def read(self, size: int) -> bytes:
        """Read a literal; before sign-in none is large."""
        if size > 65536:
            raise ProtocolError(f"{self._wire.peer} sent a literal of {size} octets before sign-in")
        return self._wire.read(size)

    def readline(self) -> bytes:
        """Read a line."""
        return self._wire.readline(65536)

    def send(self, data: bytes) -> None:  # type: ignore[override] # typeshed names the buffer type only
        """Send a command."""
        self._wire.send(data)

    def shutdown(self) -> None:
        """Close the line."""
        self._wire.close()


class _Client(imapclient.IMAPClient):  # type: ignore[misc] # imapclient ships no types
    """imapclient on our connection."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        super().__init__(wire.peer, ssl=False)
        # imapclient sets this to 5 with or without logging, which formats every line and holds the password.
        self._imap.debug = 0

    def _create_IMAP4(self) -> _OverWire:  # noqa: N802 - imapclient's name
        return _OverWire(self._wire)


def sign_in(address: ServerAddress, password: str, trust: Trust) -> Session:
    """Connect to an IMAP server, put TLS on the line and sign in.

    Raises:
        UsageError: The user name or password holds CR, LF or NUL.
        SignInError, UnreachableError, ProtocolError, LaterError: As their names say.
    """
    for what, text in (("user name", address.user), ("password", password)):
        if any(sign in text for sign in "\r\n\0"):
            raise UsageError(f"the {what} holds a line break or a NUL, which no server takes")
    wire = dial(address.host, address.port)
    try:
        if address.security is Security.TLS:
            secure(wire, address.host, trust)
        client = _greet(wire)
        if address.security is Security.STARTTLS:
            _start_tls(wire, client, address, trust)
        _authenticate(wire, client, address.user, password)
        return Session(wire, address, _capability(wire, client))
    except BaseException:
        wire.close()
        raise


def _greet(wire: Wire) -> _Client:
    try:
        return _Client(wire)
    except (imaplib.IMAP4.error, ValueError) as error:
        if "BYE" in str(error):
            raise _refusal(wire, str(error), "") from None
        raise ProtocolError(f"{wire.peer} does not greet like an IMAP server", hint="check the port") from None


def _start_tls(wire: Wire, client: _Client, address: ServerAddress, trust: Trust) -> None:
    """Put TLS on a clear line, refusing everything that another party could have slipped in before it."""
    if client._imap.state != "NONAUTH":  # noqa: SLF001 - imapclient has no public name for it
        raise UnreachableError(f"{wire.peer} signed us in before TLS; that cannot be trusted, nothing was sent")
    if "STARTTLS" not in _capability(wire, client):
        raise UnreachableError(
            f"{wire.peer} offers no TLS (no STARTTLS); nothing was sent", hint="try imaps:// on port 993"
        )
    wire.send(b"TLS STARTTLS\r\n")
    answer = wire.readline()
    if not re.match(rb"TLS OK\b", answer, re.IGNORECASE):
        raise UnreachableError(f"{wire.peer} did not start TLS; nothing was sent")
    if wire.pending():
        raise UnreachableError(f"{wire.peer} sent data before TLS; that cannot be trusted, nothing was sent")
    secure(wire, address.host, trust)
    # What was said in clear text counts no more.
    imap = client._imap  # noqa: SLF001
    imap.untagged_responses.clear()
    imap.capabilities = ()
    client._cached_capabilities = None  # noqa: SLF001


def _authenticate(wire: Wire, client: _Client, user: str, password: str) -> None:
    offered = _capability(wire, client)
    try:
        if "AUTH=PLAIN" in offered:
            client.plain_login(user, password)
        elif "LOGINDISABLED" in offered:
            raise SignInError(f"{wire.peer} takes none of the ways to sign in that we know", hint=_mechanisms(offered))
        else:
            _login(client, user, password)
    except (IMAPClientError, imaplib.IMAP4.error) as error:
        raise _refusal(wire, str(error), user, password) from None


def _login(client: _Client, user: str, password: str) -> None:
    """Send LOGIN with both arguments quoted; it can carry only ASCII (RFC 9051 section 6.2.3)."""
    if not (user.isascii() and password.isascii()):
        raise SignInError("this server takes only ASCII in a user name and a password")
    quoted = '"' + user.replace("\\", "\\\\").replace('"', '\\"') + '"'
    client.login(quoted, password)


def _mechanisms(offered: frozenset[str]) -> str:
    names = sorted(name.removeprefix("AUTH=") for name in offered if name.startswith("AUTH="))
    return f"it offers {', '.join(names)}" if names else "it offers none"


def _refusal(wire: Wire, text: str, user: str, password: str = "") -> AccountError:
    """Turn a server's no into the right error; the password never is part of it, even if the server repeats it."""
    if password:
        text = text.replace(password, "***")
    if re.match(r"b'(.*)'$", text):
        text = text[2:-1]
    text = text.strip()
    if _PRIVACY.search(text):
        return UnreachableError(f"{wire.peer} wants TLS before sign-in", hint="use imaps:// or imap://")
    if _LATER.search(text) or "BYE" in text:
        return LaterError(f"{wire.peer} does not let us in now: {text}")
    return SignInError(
        f'{wire.peer.rpartition(":")[0]} refused the sign-in of {user} ("{text}")',
        hint="many providers want an app password here, and IMAP switched on in their web settings",
    )


def _capability(wire: Wire, client: _Client) -> frozenset[str]:
    try:
        return frozenset(_text(each).upper() for each in client.capabilities())
    except (IMAPClientError, imaplib.IMAP4.error) as error:
        raise ProtocolError(f"{wire.peer} does not answer CAPABILITY: {error}") from None


def _text(value: bytes | str) -> str:
    return value.decode("ascii", "replace") if isinstance(value, bytes) else value
