"""From an address to a signed-in IMAP session.

The law of this room: imapclient speaks until the server has let us in, over our own connection, so that not one octet
is ever buffered in two places; after that the session is ours. No credential is sent before TLS stands (or to another
host than this one without it), a refused sign-in is never tried again here, and no secret is in any error.
"""

from __future__ import annotations

import ast
import imaplib
import re
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import imapclient
from imapclient.exceptions import IMAPClientError

from mailarchive.address import Security
from mailarchive.errors import LaterError, ProtocolError, SignInError, UnreachableError, UsageError
from mailarchive.secret import Secret
from mailarchive.sources import sasl
from mailarchive.sources.imap_commands import ALERTS, quoted
from mailarchive.sources.tls import dial, greeting, secure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailarchive.address import ServerAddress
    from mailarchive.errors import AccountError
    from mailarchive.sources.tls import Trust
    from mailarchive.sources.wire import Wire

LINES = 1000
"""Lines that a server may send before it has let us in."""

_LATER = re.compile(
    r"\[(UNAVAILABLE|INUSE|LIMIT|SERVERBUG|THROTTLED)\]|too many|maximum number of connections", re.IGNORECASE
)
_PRIVACY = re.compile(r"\[PRIVACYREQUIRED\]", re.IGNORECASE)
_CAPABILITY = re.compile(rb"\* CAPABILITY ([ -~]*?)\r?\n\Z", re.IGNORECASE)
_TOLD = re.compile(rb"[^*+\s]\S* OK \[CAPABILITY ([ -\\^-~]+)\]", re.IGNORECASE)
_ALERT = re.compile(rb"\S+ (?:OK|NO|BAD) \[ALERT\](.*)", re.IGNORECASE)
# One literal and no more: text of a server that goes on like Python could take all the parser's memory.
_SHOWN = re.compile(r"""b(?:'(?:[^'\\]++|\\.)*+'|"(?:[^"\\]++|\\.)*+")""")
_ODD = (AttributeError, IndexError, KeyError, TypeError, ValueError)
"""What imapclient and imaplib raise over answers that make no sense."""


@dataclass(frozen=True, slots=True)
class Session:
    """A line on which an IMAP server has let us in.

    Attributes:
        capability: What it said last that it can do, in upper case.
        alerts: What it wanted a human to read until then, foreign text.
    """

    wire: Wire
    address: ServerAddress
    capability: frozenset[str]
    alerts: tuple[str, ...] = ()


class _OverWire(imaplib.IMAP4):
    """imaplib on our connection; the five methods that its documentation offers for that."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._lines = 0
        self.alerts: list[str] = []
        self.told: frozenset[str] = frozenset()
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
        self._lines += 1
        if self._lines > LINES:
            raise ProtocolError(f"{self._wire.peer} sent more than {LINES} lines before sign-in")
        line = self._wire.readline(65536)
        if len(self.alerts) < ALERTS and (alert := _ALERT.match(line)):
            self.alerts.append(self._wire.words(alert.group(1).strip()))
        if told := _CAPABILITY.match(line) or _TOLD.match(line):
            self.told = _listed(told)
        return line

    def send(self, data: bytes) -> None:  # type: ignore[override] # typeshed names the buffer type only
        """Send a command."""
        self.told = frozenset()
        self._wire.send(data)

    def shutdown(self) -> None:
        """Close the line."""
        self._wire.close()


class _Client(imapclient.IMAPClient):  # type: ignore[misc] # imapclient ships no types
    """imapclient on our connection."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        # imapclient sets the timeout of the socket anew, also to none at all.
        super().__init__(wire.peer, ssl=False, timeout=wire.timeout)
        # imapclient sets this to 5 with or without logging, which formats every line and holds the password.
        self._imap.debug = 0

    def _create_IMAP4(self) -> _OverWire:  # noqa: N802 - imapclient's name
        return _OverWire(self._wire)

    @property
    def signed_in(self) -> bool:
        """Whether the server let us in without being asked (PREAUTH)."""
        return bool(self._imap.state != "NONAUTH")

    @property
    def alerts(self) -> list[str]:
        """What the server wants a human to read."""
        alerts: list[str] = self._imap.alerts
        return alerts

    @property
    def offered(self) -> frozenset[str]:
        """What the server said that it can do when it was asked, right after its greeting."""
        return frozenset(self._imap.capabilities)

    @property
    def told(self) -> frozenset[str]:
        """What the last answer says unasked that the server can do (RFC 9051 section 6.2.2); empty if nothing."""
        told: frozenset[str] = self._imap.told
        return told

    @property
    def bye(self) -> str:
        """What the server said with BYE, if it did."""
        said = self._imap.untagged_responses.get("BYE")
        return "" if said is None else self._wire.words((said or [b""])[-1] or b"BYE")


def sign_in(address: ServerAddress, secret: Secret | str, trust: Trust) -> Session:
    """Connect to an IMAP server, put TLS on the line and sign in.

    Args:
        address: Where, and who.
        secret: A password or a token; a text is a password.
        trust: Whose certificates count.

    Raises:
        UsageError: The user name or password holds CR, LF or NUL.
        SignInError, UnreachableError, ProtocolError, LaterError: As their names say.
    """
    secret = Secret(secret) if isinstance(secret, str) else secret
    for what, text in (("user name", address.user), ("password", secret.reveal())):
        if any(sign in text for sign in "\r\n\0"):
            raise UsageError(f"the {what} holds a line break or a NUL, which no server takes")
    wire = dial(address.host, address.port)
    for hidden in sasl.answers(address, secret):
        wire.keep_secret(hidden)
    try:
        client = _prepare(wire, address, trust)
        _authenticate(wire, client, address, secret)
        return Session(wire, address, client.told or _capability(wire), tuple(client.alerts))
    except BaseException:
        wire.close()
        raise


def secured(address: ServerAddress, trust: Trust) -> Wire:
    """Connect and put TLS on the line, as before a sign-in; the caller closes it. Raises AccountError."""
    wire = dial(address.host, address.port)
    try:
        _prepare(wire, address, trust)
    except BaseException:
        wire.close()
        raise
    return wire


def _prepare(wire: Wire, address: ServerAddress, trust: Trust) -> _Client:
    if address.security is Security.TLS:
        secure(wire, address.host, trust)
    client = _greet(wire)
    if address.security is Security.STARTTLS:
        _start_tls(wire, address, trust)
        # Anybody on the way could have said it.
        client.alerts.clear()
    return client


def enter(wire: Wire, address: ServerAddress) -> Session:
    """Take over a line on which a server has let us in by itself: that of a tunnel, and no other.

    Raises:
        SignInError: The server wants a sign-in.
        UnreachableError, ProtocolError, LaterError: As their names say.
    """
    try:
        line = wire.readline(65536)
        if re.match(rb"\* PREAUTH\b", line, re.IGNORECASE):
            return Session(wire, address, _capability(wire))
        if re.match(rb"\* BYE\b", line, re.IGNORECASE):
            raise LaterError(f"{wire.peer} does not let us in now: {wire.words(line[6:]).strip()}")
        if re.match(rb"\* OK\b", line, re.IGNORECASE):
            raise SignInError(
                f"the tunnel of {wire.peer} wants a sign-in, and is to be signed in already (no PREAUTH)",
                hint="let its command speak for one user, as `doveadm exec imap` does, or use imaps://",
            )
        raise ProtocolError(
            f"the tunnel of {wire.peer} does not greet like an IMAP server",
            hint="run its command yourself: the first thing that it prints has to be * PREAUTH",
        )
    except BaseException:
        wire.close()
        raise


@contextmanager
def _understood(wire: Wire) -> Iterator[None]:
    """Turn what the libraries raise over a senseless answer into a ProtocolError."""
    try:
        yield
    except _ODD:
        raise ProtocolError(f"{wire.peer} sent something before sign-in that cannot be read") from None


def _greet(wire: Wire) -> _Client:
    try:
        with _understood(wire), greeting(wire):
            client = _Client(wire)
            wire.note_round_trip()
    except imaplib.IMAP4.error as error:
        said = wire.words(str(error))
        # A lost line is an error of ours, so what imaplib calls an abort is a BYE, or an answer out of place.
        left = isinstance(error, imaplib.IMAP4.abort) and "unexpected" not in said
        if left or re.search(r"\* BYE\b", said):
            raise LaterError(f"{wire.peer} does not let us in now: {said}") from None
        raise ProtocolError(f"{wire.peer} does not greet like an IMAP server", hint="check the port") from None
    if client.signed_in:
        raise UnreachableError(f"{wire.peer} let us in before we signed in; that cannot be trusted, nothing was sent")
    return client


def _start_tls(wire: Wire, address: ServerAddress, trust: Trust) -> None:
    """Put TLS on a clear line, refusing everything that another party could have slipped in before it."""
    if "STARTTLS" not in _capability(wire):
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


def _capability(wire: Wire) -> frozenset[str]:
    """Ask what the server can do; what it said in clear text, before TLS or unasked does not count."""
    wire.send(b"CAP CAPABILITY\r\n")
    found: frozenset[str] = frozenset()
    for _ in range(LINES):
        line = wire.readline(65536)
        if listed := _CAPABILITY.match(line):
            found = _listed(listed)
        elif re.match(rb"CAP OK\b", line, re.IGNORECASE) and found:
            wire.note_round_trip()
            return found
        elif re.match(rb"\* BYE\b", line, re.IGNORECASE):
            raise LaterError(f"{wire.peer} closed the session: {wire.words(line)}")
        elif not line.startswith(b"* "):
            break
    raise ProtocolError(f"{wire.peer} does not say what it can do (CAPABILITY)")


def _listed(found: re.Match[bytes]) -> frozenset[str]:
    return frozenset(found.group(1).decode("ascii").upper().split())


def _authenticate(wire: Wire, client: _Client, address: ServerAddress, secret: Secret) -> None:
    # What it said before TLS stood does not count.
    offered = _capability(wire) if address.security is Security.STARTTLS else client.offered
    bearer = _Bearer(address, secret, offered) if secret.is_token else None
    try:
        with _understood(wire):
            if bearer is not None:
                client.sasl_login(bearer.mechanism, bearer)
            elif "AUTH=PLAIN" in offered:
                client.sasl_login("PLAIN", _once(sasl.plain(address.user, secret)))
            elif "LOGINDISABLED" in offered:
                raise SignInError(
                    f"{wire.peer} takes none of the ways to sign in that we know", hint=_mechanisms(offered)
                )
            else:
                _login(client, address.user, secret.reveal())
    except (IMAPClientError, imaplib.IMAP4.error) as error:
        raise _refusal(wire, client, str(error), address.user, bearer) from None
    except UnreachableError:
        # A server that says why it hangs up has been reached.
        if bye := client.bye:
            raise LaterError(f"{wire.peer} does not let us in now: {bye}") from None
        raise


class _Bearer:
    """Answers for a token: by OAUTHBEARER where it is offered, else by XOAUTH2.

    A second challenge says why the token is refused (RFC 7628 section 3.2.2); it gets the answer that lets the server
    end the exchange with its NO.
    """

    def __init__(self, address: ServerAddress, secret: Secret, offered: frozenset[str]) -> None:
        known = [name for name in ("OAUTHBEARER", "XOAUTH2") if f"AUTH={name}" in offered]
        if not known:
            raise SignInError(f"{address.host} takes no OAuth2 token", hint=_mechanisms(offered))
        self.mechanism = known[0]
        self.status = ""
        self.advice = secret.advice
        token = sasl.oauthbearer(address, secret) if known[0] == "OAUTHBEARER" else sasl.xoauth2(address.user, secret)
        self._answers: list[str | None] = [token, sasl.FAILED[self.mechanism]]

    def __call__(self, challenge: bytes) -> str | None:
        self.status = self.status or sasl.status(challenge)
        return self._answers.pop(0) if self._answers else None


class _once:  # noqa: N801 - called like a function
    """Answers the first challenge; a server that goes on asking gets the answer that ends the exchange."""

    def __init__(self, answer: str) -> None:
        self._answer: str | None = answer

    def __call__(self, _challenge: bytes) -> str | None:
        answer, self._answer = self._answer, None
        return answer


def _login(client: _Client, user: str, password: str) -> None:
    """Send LOGIN with both arguments quoted; it can carry only ASCII (RFC 9051 section 6.2.3)."""
    if not (user.isascii() and password.isascii()):
        raise SignInError("this server takes only ASCII in a user name and a password")
    client.login(quoted(user.encode("ascii")).decode("ascii"), password)


def _mechanisms(offered: frozenset[str]) -> str:
    names = sorted(name.removeprefix("AUTH=") for name in offered if name.startswith("AUTH="))
    return f"it offers {', '.join(names)}" if names else "it offers none"


def _refusal(wire: Wire, client: _Client, text: str, user: str, bearer: _Bearer | None) -> AccountError:
    """Turn a server's no into the right error."""
    if bye := client.bye:
        return LaterError(f"{wire.peer} does not let us in now: {bye}")
    if re.search(r"unexpected (response|tagged)|command: \w+ => ", text) and "socket error" not in text:
        return ProtocolError(f"{wire.peer} sent something before sign-in that cannot be read")
    said = wire.words(_unquoted(text)).strip()
    if _PRIVACY.search(said):
        return UnreachableError(f"{wire.peer} wants TLS before sign-in", hint="use imaps:// or imap://")
    if _LATER.search(said):
        return LaterError(f"{wire.peer} does not let us in now: {said}")
    what = f"{wire.peer.rpartition(':')[0]} refused the sign-in of {user}"
    if bearer is not None:
        why = f", {wire.words(bearer.status)}" if bearer.status else ""
        return SignInError(f'{what} ("{said}"{why})', hint=bearer.advice)
    return SignInError(
        f'{what} ("{said}")',
        hint="many providers want an app password here, and IMAP switched on in their web settings",
    )


def _unquoted(text: str) -> bytes | str:
    """Undo the form in which imaplib shows bytes, so that a secret in it is found as the server sent it."""
    if _SHOWN.fullmatch(text):
        with suppress(ValueError, SyntaxError):
            octets = ast.literal_eval(text)
            assert isinstance(octets, bytes)
            return octets
    return text
