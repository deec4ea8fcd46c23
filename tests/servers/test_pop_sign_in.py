"""Signing in to POP3 servers that lie, are attacked, or refuse (RFC 1939, 2449, 2595, 5034, 3206)."""

from __future__ import annotations

import base64
import functools
import itertools
import ssl
from typing import TYPE_CHECKING

import pytest

from mailarchive.address import Security, ServerAddress
from mailarchive.demo.server import DemoServer
from mailarchive.demo.store import Store
from mailarchive.errors import (
    ConfigError,
    ExitCode,
    LaterError,
    MailarchiveError,
    ProtocolError,
    SignInError,
    UnreachableError,
    UsageError,
)
from mailarchive.secret import Secret
from mailarchive.sources import Purpose, connect, pop_session, tls, wire
from mailarchive.sources.pop_session import sign_in
from mailarchive.sources.tls import Trust
from tests.command import mailarchive
from tests.contract.sources import CAPA, letters, lines, session, sessions, verbs
from tests.servers.dovecot import _certificates
from tests.servers.scripted_pop import CUT, ScriptedPop

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.conftest import MakeUser
    from tests.servers.scripted_pop import Script

PASSWORD = 'canary"4711\\ü'
USER = "mé@example.org"
OK = b"+OK\r\n"
SASL = (r"^CAPA$", lines("TOP", "UIDL", "SASL PLAIN XOAUTH2", "STLS"))
RESPONSE = base64.b64encode(f"\0{USER}\0{PASSWORD}".encode()).decode()
TOKEN = "ya29.canary-token"
BEARER = base64.b64encode(f"user={USER}\1auth=Bearer {TOKEN}\1\1".encode()).decode()


def address(port: int, security: Security = Security.NONE, host: str = "127.0.0.1") -> ServerAddress:
    """Make the address of a server on this computer."""
    return ServerAddress("pop", security, host, port, USER)


def try_in(
    script: Script,
    *,
    security: Security = Security.NONE,
    secret: Secret | None = None,
    greeting: bytes = b"+OK ready\r\n",
    sessions_: int = 1,
) -> tuple[list[list[str]], MailarchiveError | None, frozenset[str]]:
    """Sign in to a scripted server; gives what it heard, the error, and what it can do."""
    error, offered = None, frozenset[str]()
    with ScriptedPop([list(script) for _ in range(sessions_)], greetings=[greeting]) as server:
        try:
            line, offered = sign_in(address(server.port, security), secret or Secret(PASSWORD), Trust())
            line.close()
        except MailarchiveError as caught:
            error = caught
    return server.commands, error, offered


def silent_about(error: MailarchiveError) -> None:
    """Check that no secret, in whatever form, is in an error or in what led to it."""
    each: BaseException | None = error
    while each is not None:
        for secret in (PASSWORD, TOKEN, RESPONSE, BEARER, "canary"):
            assert secret not in f"{each} {each!r} {getattr(each, 'hint', '')}"
        each = None if each.__suppress_context__ else each.__cause__ or each.__context__


# Ways in


def test_plain_is_used_where_it_is_offered() -> None:
    """In two steps, in UTF-8, once."""
    script = [SASL, SASL, (r"^AUTH PLAIN$", b"+ \r\n"), (r"^[A-Za-z0-9+/=]+$", OK)]
    (heard,), error, offered = try_in(script)
    assert error is None
    assert heard == ["CAPA", "AUTH PLAIN", RESPONSE, "CAPA"]
    assert {"TOP", "SASL", "SASL PLAIN", "SASL XOAUTH2"} <= offered


def test_user_and_pass_where_it_is_not() -> None:
    """A password with a blank, a quote and a letter beyond ASCII goes as it is."""
    script = [CAPA, CAPA, (r"^USER ", OK), (r"^PASS ", OK)]
    (heard,), error, offered = try_in(script, secret=Secret("a b " + PASSWORD))
    assert error is None
    assert heard == ["CAPA", f"USER {USER}", f"PASS a b {PASSWORD}", "CAPA"]
    assert "PIPELINING" in offered


def test_xoauth2_goes_in_two_steps() -> None:
    """Exchange takes no initial response."""
    script = [SASL, SASL, (r"^AUTH XOAUTH2$", b"+\r\n"), (r"^[A-Za-z0-9+/=]+$", OK)]
    (heard,), error, _ = try_in(script, secret=Secret(TOKEN, is_token=True))
    assert error is None
    assert heard == ["CAPA", "AUTH XOAUTH2", BEARER, "CAPA"]


def test_a_refusal_of_xoauth2_comes_as_a_challenge() -> None:
    """It is answered with an empty line, and the refusal behind it is the one that counts."""
    challenge = b"+ " + base64.b64encode(b'{"status":"400"}') + b"\r\n"
    script = [SASL, (r"^AUTH XOAUTH2$", b"+ \r\n"), (r"^.+$", challenge), (r"^$", b"-ERR [AUTH] token expired\r\n")]
    (heard,), error, _ = try_in(script, secret=Secret(TOKEN, is_token=True))
    assert isinstance(error, SignInError)
    assert "token expired" in error.message
    assert heard == ["CAPA", "AUTH XOAUTH2", BEARER, ""]
    silent_about(error)


@pytest.mark.parametrize("early", [b"+OK already in\r\n", b"what?\r\n", b"\r\n"])
def test_an_answer_to_auth_that_makes_no_sense(early: bytes) -> None:
    """Nothing secret is sent on it."""
    (heard,), error, _ = try_in([SASL, (r"^AUTH PLAIN$", early)])
    assert isinstance(error, ProtocolError)
    assert RESPONSE not in heard


# Refusals


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        ("wrong password", SignInError, "app password"),
        ("[AUTH] wrong password", SignInError, "wrong password"),
        ("[IN-USE] locked", LaterError, "another program holds the mailbox"),
        ("[in-use] locked", LaterError, "another program holds the mailbox"),
        ("maildrop already locked", LaterError, "another program holds the mailbox"),
        ("Mailbox is in use", LaterError, "another program holds the mailbox"),
        ("[LOGIN-DELAY] wait", LaterError, "pause between two sign-ins"),
        ("[SYS/TEMP] disk", LaterError, "asks to wait"),
        ("[SYS/PERM] disk", ProtocolError, "disk"),
        ("[X-UNKNOWN] hm", SignInError, "hm"),
        ("", SignInError, "without a reason"),
    ],
)
@pytest.mark.parametrize("way", ["PASS", "USER", "PLAIN", "AUTH"])
def test_f082_each_refusal_has_its_code_and_is_tried_once(
    said: str, kind: type[MailarchiveError], words: str, way: str
) -> None:
    """12, 75 or 16; never a second try, and no secret in what is told."""
    answer = f"-ERR {said}\r\n".encode()
    scripts = {
        "PASS": [CAPA, (r"^USER ", OK), (r"^PASS ", answer)],
        "USER": [CAPA, (r"^USER ", answer)],
        "PLAIN": [SASL, (r"^AUTH", b"+ \r\n"), (r"^[A-Za-z0-9+/=]+$", answer)],
        "AUTH": [SASL, (r"^AUTH", answer)],
    }
    heard, error, _ = try_in(scripts[way], sessions_=3)
    assert len(heard) == 1
    assert type(error) is kind
    assert words in f"{error.message} {error.hint}"
    assert sum(command.startswith(("PASS", "AUTH")) for command in heard[0]) <= 1
    silent_about(error)


def test_the_codes_are_those_of_the_table() -> None:
    """What a process ends with."""
    kinds = (SignInError, LaterError, ProtocolError, UnreachableError)
    codes = (ExitCode.SIGN_IN, ExitCode.LATER, ExitCode.PROTOCOL, ExitCode.UNREACHABLE)
    assert tuple(kind.exit_code for kind in kinds) == codes == (12, 75, 16, 15)


@pytest.mark.parametrize(
    ("greeting", "kind"),
    [
        (b"-ERR go away\r\n", UnreachableError),
        (b"-ERR [IN-USE] locked\r\n", LaterError),
        (b"-ERR [SYS/TEMP] later\r\n", LaterError),
        (b"-ERR [SYS/PERM] never\r\n", ProtocolError),
        (b"* OK IMAP4rev1 ready\r\n", ProtocolError),
        (b"SSH-2.0-x\r\n", ProtocolError),
        (b"x" * 70_000, ProtocolError),
        (b"+O" + CUT, UnreachableError),
        (CUT, UnreachableError),
    ],
)
def test_a_greeting_that_is_none(greeting: bytes, kind: type[MailarchiveError]) -> None:
    """Nothing is said then."""
    (heard,), error, _ = try_in([CAPA], greeting=greeting)
    assert type(error) is kind
    assert heard == []


@pytest.mark.parametrize("echo", [PASSWORD, RESPONSE, base64.b64encode(PASSWORD.encode()).decode(), repr(PASSWORD)])
def test_a_server_that_repeats_the_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, echo: str) -> None:
    """It is masked in the error, on every screen, and with --debug."""
    script = [CAPA, (r"^USER ", OK), (r"^PASS ", f"-ERR no such password {echo} here\r\n".encode())]
    _, error, _ = try_in(script)
    assert isinstance(error, SignInError)
    assert "***" in error.message
    silent_about(error)
    monkeypatch.setenv("NO_COLOR", "1")
    for words in ((), ("--json",), ("--debug",)):
        with ScriptedPop([script]) as server:
            url = f"pop+insecure://m%C3%A9%40example.org@127.0.0.1:{server.port}"
            result = mailarchive(*words, "backup", url, "--to", tmp_path / "a", password=PASSWORD)
        assert result.code == 12
        assert "canary" not in result.out + result.err
        assert echo not in result.out + result.err
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("text", ["a\rb", "a\nb", "a\r\nDELE 1", "a\0b"])
def test_a_line_break_in_user_or_password_is_refused(text: str) -> None:
    """Before anything is connected."""
    with pytest.raises(UsageError, match="line break") as caught:
        sign_in(address(9), Secret(text), Trust())
    assert text not in str(caught.value)
    with pytest.raises(UsageError):
        ServerAddress("pop", Security.NONE, "127.0.0.1", 9, text)


# What the server can do


def test_f077_capa_refused_is_no_trouble() -> None:
    """Then USER and PASS, and nothing is known of what it can do."""
    script = [(r"^CAPA$", b"-ERR\r\n"), (r"^USER ", OK), (r"^PASS ", OK)]
    (heard,), error, offered = try_in(script)
    assert (error, offered) == (None, frozenset())
    assert heard == ["CAPA", f"USER {USER}", f"PASS {PASSWORD}"]


def test_f077_capa_that_is_never_answered_is_asked_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while the line is given up, and a new one asks nothing of the kind."""
    monkeypatch.setattr(pop_session, "PATIENCE", 0.2)
    script = [(r"^CAPA$", b""), (r"^USER ", OK), (r"^PASS ", OK)]
    heard, error, offered = try_in(script, sessions_=2)
    assert (error, offered) == (None, frozenset())
    assert heard == [["CAPA"], [f"USER {USER}", f"PASS {PASSWORD}"]]


def test_capa_that_dies_is_a_dead_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not tried again here."""
    monkeypatch.setattr(pop_session, "PATIENCE", 0.2)
    heard, error, _ = try_in([(r"^CAPA$", CUT)], sessions_=2)
    assert type(error) is UnreachableError
    assert len(heard) == 1


def test_capa_without_end_is_an_error() -> None:
    """At two hundred lines."""
    endless = b"+OK\r\n" + b"X-Y\r\n" * 300
    heard, error, _ = try_in([(r"^CAPA$", endless)])
    assert type(error) is ProtocolError
    assert heard == [["CAPA"]]


def test_a_server_that_says_less_after_the_sign_in_can_still_do_it() -> None:
    """One that no longer answers CAPA can do what it said before."""
    script = [CAPA, (r"^USER ", OK), (r"^PASS ", OK), (r"^CAPA$", b"-ERR not now\r\n")]
    _, error, offered = try_in(script)
    assert error is None
    assert "TOP" in offered


# TLS


def contexts() -> tuple[ssl.SSLContext, Trust]:
    """Make the server's side of TLS, and the trust of a client that knows no authority of ours."""
    _, certificate = _certificates()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context, Trust()


@pytest.fixture
def ca_file(tmp_path: Path) -> Path:
    """Write the certificate of the authority."""
    authority, _ = _certificates()
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


def store() -> Store:
    """Make an account."""
    found = Store()
    found.add_account(USER, PASSWORD)
    return found


@pytest.mark.parametrize("security", [Security.TLS, Security.STARTTLS])
def test_tls_on_the_demo_server(ca_file: Path, security: Security) -> None:
    """From the first octet, or after STLS; what it can do is asked anew behind TLS."""
    commands: list[bytes] = []
    context, _ = contexts()
    which = {"ssl_context": context} if security is Security.TLS else {"starttls_context": context}
    with DemoServer(store(), record=commands.append, **which) as server:  # type: ignore[arg-type] # one of two
        line, offered = sign_in(address(server.pop_port, security), Secret(PASSWORD), Trust(ca_file))
        assert isinstance(line.sock, ssl.SSLSocket)
        line.close()
    assert "TOP" in offered
    words = [command.split(b" ")[0] for command in commands]
    begin = [b"CAPA", b"STLS", b"CAPA"] if security is Security.STARTTLS else [b"CAPA"]
    assert words == [*begin, b"AUTH", b"CAPA"]


@pytest.mark.parametrize("security", [Security.TLS, Security.STARTTLS])
def test_a_certificate_that_nobody_trusts_gets_no_password(security: Security) -> None:
    """15, the exact reason, and not an octet of a credential."""
    commands: list[bytes] = []
    context, trust = contexts()
    which = {"ssl_context": context} if security is Security.TLS else {"starttls_context": context}
    server = DemoServer(store(), record=commands.append, **which)  # type: ignore[arg-type] # one of two
    with server, pytest.raises(UnreachableError, match="not trusted"):
        sign_in(address(server.pop_port, security), Secret(PASSWORD), trust)
    assert [command for command in commands if not command.startswith((b"CAPA", b"STLS"))] == []


NO_STLS = (r"^CAPA$", lines("TOP", "UIDL", "USER"))


@pytest.mark.parametrize(
    "script",
    [
        [NO_STLS],
        [SASL, (r"^STLS$", b"-ERR no\r\n")],
        [SASL, (r"^STLS$", b"+OK begin\r\n+OK injected\r\n")],
        [SASL, (r"^STLS$", b"+OK begin\r\n-")],
        [SASL, (r"^STLS$", b"+OK begin\r\nthis is clear text, and much longer than a record\r\n")],
        [SASL, (r"^STLS$", CUT)],
        [(r"^CAPA$", b"-ERR\r\n"), (r"^STLS$", b"-ERR what?\r\n")],
        [(r"^CAPA$", b"-ERR\r\n"), (r"^STLS$", b"+OK\r\n" + CUT)],
    ],
    ids=["stripped", "refused", "injected", "an octet", "clear text", "dead", "no CAPA, refused", "no CAPA, dead"],
)
def test_f010_f012_f013_f077_without_tls_nothing_is_sent(script: Script) -> None:
    """No user, no password, whatever the server or somebody between us says."""
    heard, error, _ = try_in(script, security=Security.STARTTLS, sessions_=2)
    assert type(error) is UnreachableError
    (said,) = heard
    # A client that has not yet seen the end of the line says hello in TLS; it knows nothing of the user either.
    clear = list(itertools.takewhile(lambda command: not command.startswith("\x16\x03"), said))
    assert clear in (["CAPA"], ["CAPA", "STLS"])
    assert not any(word in command for word in (USER, PASSWORD) for command in said)


def test_f077_a_stripped_capability_is_named() -> None:
    """STLS is not even tried then, and the hint names the port with TLS from the first octet."""
    heard, error, _ = try_in([NO_STLS], security=Security.STARTTLS)
    assert heard == [["CAPA"]]
    assert error is not None
    assert "no STLS" in error.message
    assert "995" in error.hint


def test_a_server_that_answers_stls_with_nonsense() -> None:
    """16."""
    _, error, _ = try_in([SASL, (r"^STLS$", b"hello\r\n")], security=Security.STARTTLS)
    assert type(error) is ProtocolError


@pytest.mark.dovecot
@pytest.mark.parametrize("security", [Security.TLS, Security.STARTTLS, Security.NONE])
@pytest.mark.parametrize("password", ["secret", 'a "b\\ c', "pässwörd ☃ 🐟", "x" * 200])
def test_ways_into_dovecot(dovecot_user: MakeUser, security: Security, password: str) -> None:
    """With passwords of all kinds."""
    user = dovecot_user(password=password)
    port = user.pop3s_port if security is Security.TLS else user.pop3_port
    where = ServerAddress("pop", security, "127.0.0.1", port, user.user)
    with connect(where, password, Trust(user.ca_file)) as source:
        assert [box.name for box in source.mailboxes()[0]] == ["INBOX"]


@pytest.mark.dovecot
def test_f020_a_wrong_password_on_dovecot(dovecot_user: MakeUser) -> None:
    """12, once."""
    user = dovecot_user()
    where = ServerAddress("pop", Security.TLS, "localhost", user.pop3s_port, user.user)
    with pytest.raises(SignInError) as caught:
        connect(where, "canary wrong", Trust(user.ca_file))
    assert "canary" not in f"{caught.value} {caught.value.hint}"


def test_nothing_can_be_put_back_over_pop() -> None:
    """Said before anything is connected."""
    with pytest.raises(UsageError, match="takes no messages"):
        connect(address(9), PASSWORD, Trust(), purpose=Purpose.RESTORE)


def test_a_file_of_certificates_that_is_none(tmp_path: Path) -> None:
    """10."""
    (tmp_path / "ca.pem").write_text("nothing")
    context, _ = contexts()
    with DemoServer(store(), ssl_context=context) as server, pytest.raises(ConfigError):
        sign_in(address(server.pop_port, Security.TLS), Secret(PASSWORD), Trust(tmp_path / "ca.pem"))


def test_a_server_that_never_answers_quit_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A goodbye is worth five seconds, here less; one that trickles is worth no more."""
    monkeypatch.setattr("mailarchive.sources.pop.GOODBYE", 0.3)
    for answer in (b"", b"+OK" + b" " * 3):
        with ScriptedPop([session(letters(1), (r"^QUIT$", answer), quits=False)]) as server:
            connect(address(server.port), PASSWORD, Trust()).close()
        assert verbs(sessions(server)[0], "QUIT") == ["QUIT"]


def test_f028_silence_while_signing_in_is_a_dead_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a wrong password: 15, and to be tried later."""
    monkeypatch.setattr(tls, "Wire", functools.partial(wire.Wire, timeout=0.3))
    scripts: Sequence[Script] = ([CAPA, (r"^USER ", b"")], [CAPA, (r"^USER ", OK), (r"^PASS ", b"")])
    for script in scripts:
        _, error, _ = try_in(script)
        assert type(error) is UnreachableError
        assert error.temporary
