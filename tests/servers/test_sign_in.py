"""Signing in to servers that lie, are attacked, or refuse (RFC 9051 section 6.2, RFC 8314)."""

from __future__ import annotations

import base64
import socket
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from mailarchive.address import Security, ServerAddress
from mailarchive.errors import LaterError, MailarchiveError, ProtocolError, SignInError, UnreachableError, UsageError
from mailarchive.sources import imap_session
from mailarchive.sources.imap_session import sign_in
from mailarchive.sources.tls import Trust
from tests import maildir
from tests.command import mailarchive
from tests.corpus import corpus
from tests.servers.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from tests.conftest import MakeUser
    from tests.servers.dovecot import Dovecot

PASSWORD = 'canary"4711\\ü'
GREETING = b"* OK ready\r\n"
PLAIN = b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\nTAG OK done\r\n"


class Talker:
    """A server that greets and then answers each line with the next of its answers; remembers what it heard."""

    def __init__(self, greeting: bytes, answers: Sequence[bytes]) -> None:
        self.heard: list[bytes] = []
        self._greeting = greeting
        self._answers = list(answers)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        self._thread.join(5)

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection, connection.makefile("rb") as lines:
            try:
                connection.sendall(self._greeting)
                tag = b""
                while self._answers:
                    line = lines.readline()
                    if not line:
                        return
                    self.heard.append(line)
                    # The answer to a challenge is one word and has no tag of its own.
                    tag = line.split(b" ", 1)[0] if b" " in line else tag
                    connection.sendall(self._answers.pop(0).replace(b"TAG", tag))
            except OSError:
                return


def attempt(
    greeting: bytes, *answers: bytes, security: Security = Security.NONE, password: str = PASSWORD
) -> tuple[MailarchiveError | None, list[bytes]]:
    """Sign in; gives the error, and what the server heard."""
    with Talker(greeting, answers) as server:
        address = ServerAddress("imap", security, "127.0.0.1", server.port, "kim")
        try:
            sign_in(address, password, Trust()).wire.close()
        except MailarchiveError as error:
            return error, server.heard
    return None, server.heard


def test_plain_is_one_challenge_and_utf_8() -> None:
    """AUTHENTICATE PLAIN with the password as it is, and the capabilities of after."""
    error, heard = attempt(GREETING, PLAIN, b"+ \r\n", b"TAG OK in\r\n", PLAIN)
    assert error is None
    assert heard[-2] == base64.b64encode(f"\0kim\0{PASSWORD}".encode()) + b"\r\n"
    assert b"CAPABILITY" in heard[-1]


@pytest.mark.parametrize(("security", "alerts"), [(Security.NONE, ("before", "in")), (Security.STARTTLS, ("in",))])
def test_f031_an_alert_before_tls_is_nobodys(
    monkeypatch: pytest.MonkeyPatch, security: Security, alerts: tuple[str, ...]
) -> None:
    """What is said until the sign-in is kept for the user, but not what anybody on the way could have said."""
    monkeypatch.setattr(imap_session, "_start_tls", lambda *_: None)
    # Within TLS it is asked once more what the server can do.
    asked = [PLAIN, PLAIN] if security is Security.STARTTLS else [PLAIN]
    answers = (*asked, b"+ \r\n", b"* OK [ALERT] in\r\nTAG OK in\r\n", PLAIN)
    with Talker(b"* OK [ALERT] before\r\n", answers) as server:
        session = sign_in(ServerAddress("imap", security, "127.0.0.1", server.port, "kim"), PASSWORD, Trust())
        session.wire.close()
    assert session.alerts == alerts


@pytest.mark.parametrize(
    ("said", "capability"),
    [
        (b"TAG OK [CAPABILITY IMAP4rev1 Move] in\r\n", {"IMAP4REV1", "MOVE"}),
        (b"* CAPABILITY IMAP4rev1 MOVE\r\n* OK x\r\nTAG OK in\r\n", {"IMAP4REV1", "MOVE"}),
        (b"* OK [CAPABILITY IMAP4rev1 MOVE] in\r\nTAG OK in\r\n", {"IMAP4REV1", "AUTH=PLAIN"}),
        (b"TAG OK [CAPABILITY IMAP4rev1 MOVE\r\n", {"IMAP4REV1", "AUTH=PLAIN"}),
    ],
)
def test_what_the_server_can_do_is_asked_unless_it_says_so(said: bytes, capability: set[str]) -> None:
    """RFC 9051 section 6.2.2: the code in the OK to the sign-in, or a line before it, saves a question."""
    with Talker(GREETING, [PLAIN, b"+ \r\n", said, PLAIN]) as server:
        session = sign_in(ServerAddress("imap", Security.NONE, "127.0.0.1", server.port, "kim"), PASSWORD, Trust())
        session.wire.close()
    assert session.capability == capability
    assert (b"CAPABILITY" in server.heard[-1]) is ("AUTH=PLAIN" in capability)


def test_a_server_that_asks_again_and_again_hears_the_password_once() -> None:
    """A second challenge is answered with `*`, which ends the exchange."""
    error, heard = attempt(GREETING, PLAIN, *[b"+ \r\n"] * 5)
    coded = base64.b64encode(f"\0kim\0{PASSWORD}".encode()) + b"\r\n"
    assert heard.count(coded) == 1
    assert isinstance(error, MailarchiveError)


@pytest.mark.parametrize(
    ("greeting", "answers", "expected"),
    [
        (b"* PREAUTH welcome\r\n", [PLAIN], UnreachableError),
        (b"* BYE too many connections\r\n", [], LaterError),
        (b"* OK [ALERT] hi\r\n", [b"* BYE away\r\nTAG OK x\r\n"], LaterError),
        (b"SSH-2.0-OpenSSH\r\n", [], ProtocolError),
        (b"", [], (ProtocolError, UnreachableError)),
        (b"* OK x\r\n" * 1500, [PLAIN], ProtocolError),
        (GREETING, [b"TAG OK nothing\r\n"], ProtocolError),
        (GREETING, [b"* CAPABILITY {5}\r\nhello\r\nTAG OK\r\n"], ProtocolError),
        (GREETING, [b"* CAPABILITY IMAP4rev1 LOGINDISABLED AUTH=XMAGIC\r\nTAG OK done\r\n"], SignInError),
        (GREETING, [PLAIN, b"TAG NO [AUTHENTICATIONFAILED] GOODBYE\r\n"], SignInError),
        (GREETING, [PLAIN, b"TAG NO [UNAVAILABLE] later\r\n"], LaterError),
        (GREETING, [PLAIN, b"TAG NO [PRIVACYREQUIRED] TLS\r\n"], UnreachableError),
        (GREETING, [PLAIN, b"* BYE Temporary problem\r\nTAG NO no\r\n"], LaterError),
        (GREETING, [PLAIN, b"rubbish\r\n"], ProtocolError),
        (GREETING, [PLAIN, b"* X {" + b"9" * 5000 + b"}\r\n"], ProtocolError),
    ],
)
def test_each_refusal_is_the_right_error(
    greeting: bytes, answers: list[bytes], expected: type[MailarchiveError] | tuple[type[MailarchiveError], ...]
) -> None:
    """A refused password is never mistaken for a server that is busy, nor the other way round."""
    error, _ = attempt(greeting, *answers)
    assert isinstance(error, expected), repr(error)


@pytest.mark.parametrize(
    "echo",
    [
        PASSWORD.encode(),
        base64.b64encode(f"\0kim\0{PASSWORD}".encode()),
        base64.b64encode(PASSWORD.encode()),
        PASSWORD.replace("\\", "\\\\").replace('"', '\\"').encode(),
        repr(PASSWORD).encode(),
    ],
)
def test_f021_a_server_that_repeats_the_password(echo: bytes) -> None:
    """Raw, quoted, or in base64."""
    error, _ = attempt(GREETING, PLAIN, b"TAG NO bad " + echo + b" here\r\n")
    assert isinstance(error, SignInError)
    shown = error.message + error.hint
    assert "here" in shown
    assert "***" in shown
    assert "4711" not in shown
    assert echo.decode() not in shown


def test_a_quoted_password_is_masked_on_a_server_with_login_only() -> None:
    """LOGIN with quotes and backslashes, repeated by the server as it came."""
    password = 'pa"ss\\word'
    only = b"* CAPABILITY IMAP4rev1\r\nTAG OK done\r\n"
    echo = password.replace("\\", "\\\\").replace('"', '\\"').encode()
    error, heard = attempt(GREETING, only, b'TAG NO bad LOGIN "me" "' + echo + b'"\r\n', password=password)
    assert isinstance(error, SignInError)
    assert b"LOGIN" in heard[-1]
    assert "***" in error.message
    assert "ss" not in error.message.partition("bad LOGIN")[2]


STARTTLS = b"* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED\r\nTAG OK done\r\n"


@pytest.mark.parametrize(
    ("greeting", "answers", "what"),
    [
        (GREETING, [PLAIN, PLAIN], "no TLS"),
        (b"* PREAUTH in\r\n", [STARTTLS], "before we signed in"),
        (GREETING, [STARTTLS, STARTTLS, b"TAG NO no\r\n"], "did not start TLS"),
        (GREETING, [STARTTLS, STARTTLS, b"TAG BAD no\r\n"], "did not start TLS"),
        (GREETING, [STARTTLS, STARTTLS, b"* OK injected\r\nTAG OK go\r\n"], "did not start TLS"),
        (GREETING, [STARTTLS, STARTTLS, b"TAG OK go\r\n* LIST () x y\r\n"], "data before TLS"),
    ],
)
def test_f010_f011_f012_f013_without_tls_there_is_no_sign_in(greeting: bytes, answers: list[bytes], what: str) -> None:
    """imap:// demands STARTTLS: stripped, refused, or with anything slipped in, nothing secret is sent."""
    error, heard = attempt(greeting, *answers, security=Security.STARTTLS)
    assert isinstance(error, UnreachableError)
    assert what in error.message
    assert not any(b"AUTHENTICATE" in line or b"LOGIN" in line for line in heard)


@pytest.mark.parametrize("sign", ["\r", "\n", "\0"])
def test_a_line_break_is_never_sent(sign: str) -> None:
    """In the password: refused before a connection is made."""
    address = ServerAddress("imap", Security.NONE, "127.0.0.1", 9, "kim")
    with pytest.raises(UsageError, match="line break"):
        sign_in(address, f"a{sign}b", Trust())


def test_a_closed_port_and_an_unknown_name_are_unreachable() -> None:
    """One line that names host and port."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        port = deaf.getsockname()[1]
        with pytest.raises(UnreachableError, match=f"127.0.0.1:{port}"):
            sign_in(ServerAddress("imap", Security.NONE, "127.0.0.1", port, "kim"), "x", Trust())
    with pytest.raises(UnreachableError, match=r"cannot find nowhere\.invalid"):
        sign_in(ServerAddress("imap", Security.TLS, "nowhere.invalid", 993, "kim"), "x", Trust())


@pytest.mark.dovecot
def test_inside_starttls_the_sign_in_is_asked_for_anew(
    dovecot: Dovecot, dovecot_user: MakeUser, tmp_path: Path
) -> None:
    """The capabilities of before TLS count no more: PLAIN is used, so that an umlaut in the password works."""
    account = dovecot_user(None, "pässwörd")
    with account.witness() as witness:
        witness.append_many("INBOX", corpus(2, seed=1, now=datetime.now(UTC)))
    with Proxy(account.imap_port) as proxy:
        url = f"imap://{quote(account.user, safe='')}@localhost:{proxy.port}"
        words = ("backup", url, "--to", tmp_path / "a", "--ca-file", dovecot.ca_file)
        result = mailarchive(*words, password="pässwörd")
        clear = b"".join(proxy.client_commands())
    assert (result.code, result.err) == (0, "")
    assert len(maildir.files(tmp_path / "a")) == 2
    assert b"AUTHENTICATE" not in clear
