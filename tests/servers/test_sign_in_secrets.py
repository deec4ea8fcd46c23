"""What becomes of passwords and tokens at the sign-in: how they are sent, and that nothing ever shows them.

The servers here are scripted, because a real one neither repeats a password nor lies about a token.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest

from mailarchive.address import Security, ServerAddress
from mailarchive.errors import LaterError, MailarchiveError, ProtocolError, SignInError, UnreachableError
from mailarchive.secret import Secret
from mailarchive.sources import connect
from mailarchive.sources.imap_session import sign_in
from mailarchive.sources.tls import Trust
from tests.servers.scripted_pop import ScriptedPop
from tests.servers.test_sign_in import Talker

if TYPE_CHECKING:
    from tests.vault import Vault

USER = "k,i=m@example.org"
TOKEN = "ya29.canary-token_4711-~+/="
PASSWORD = "canary 4711"
PASSWORDS = ['canary"\\ 4711', "canary ümläut", "canary 🐟 4711", "canary" * 50, " canary 4711 "]
GREETING = b"* OK ready\r\n"
BOTH = b"* CAPABILITY IMAP4rev1 AUTH=XOAUTH2 AUTH=OAUTHBEARER AUTH=PLAIN\r\nTAG OK done\r\n"
ONLY = b"* CAPABILITY IMAP4rev1 AUTH=XOAUTH2\r\nTAG OK done\r\n"
PLAIN = b"* CAPABILITY IMAP4rev1 AUTH=PLAIN AUTH=LOGIN\r\nTAG OK done\r\n"
IN = b"TAG OK in\r\n"
ADVICE = "mailarchive login home"


def coded(text: str | bytes) -> bytes:
    """Give base64."""
    return base64.b64encode(text.encode() if isinstance(text, str) else text)


def bearer(port: int) -> bytes:
    """Give what OAUTHBEARER sends, as RFC 7628 section 4.1 has it, with the user name quoted by RFC 5801."""
    name = "k=2Ci=3Dm@example.org"
    return coded(f"n,a={name},\1host=127.0.0.1\1port={port}\1auth=Bearer {TOKEN}\1\1")


XOAUTH2 = coded(f"user={USER}\1auth=Bearer {TOKEN}\1\1")


def attempt(
    vault: Vault, *answers: bytes, secret: str | Secret = TOKEN
) -> tuple[MailarchiveError | None, list[bytes], int]:
    """Sign in to a scripted IMAP server; gives the error, what it heard, and its port."""
    secret = Secret(secret, is_token=True, advice=ADVICE) if isinstance(secret, str) else secret
    vault.secrets.append(secret.reveal())
    with Talker(GREETING, answers) as server:
        port = server.port
        address = ServerAddress("imap", Security.NONE, "127.0.0.1", port, USER)
        error: MailarchiveError | None = None
        try:
            sign_in(address, secret, Trust()).wire.close()
        except MailarchiveError as caught:
            error = caught
    if error is not None:
        with vault.raises(type(error)):
            raise error
    return error, server.heard, port


def test_a_token_goes_by_oauthbearer_where_it_is_offered(vault: Vault) -> None:
    """The standard one first; nothing is sent before the server asks."""
    error, heard, port = attempt(vault, BOTH, b"+ \r\n", IN, BOTH)
    assert error is None
    assert heard[-3].endswith(b"AUTHENTICATE OAUTHBEARER\r\n")
    assert heard[-2].strip() == bearer(port)


def test_a_token_goes_by_xoauth2_where_only_that_is_offered(vault: Vault) -> None:
    """As Microsoft has it."""
    error, heard, _ = attempt(vault, ONLY, b"+ \r\n", IN, ONLY)
    assert error is None
    assert heard[-3].endswith(b"AUTHENTICATE XOAUTH2\r\n")
    assert heard[-2].strip() == XOAUTH2


@pytest.mark.parametrize(("offers", "last"), [(BOTH, coded("\1")), (ONLY, b"")])
def test_f021_a_server_that_repeats_a_token(vault: Vault, offers: bytes, last: bytes) -> None:
    """In its challenge and its NO, as it is and in base64: `***`; the challenge is answered so that the NO comes."""
    challenge = coded(json.dumps({"status": f"invalid {TOKEN}", "schemes": "bearer"}))
    no = b"TAG NO [AUTHENTICATIONFAILED] not " + TOKEN.encode() + b" nor " + XOAUTH2 + b" ok\r\n"
    error, heard, _ = attempt(vault, offers, b"+ \r\n", b"+ " + challenge + b"\r\n", no)
    assert isinstance(error, SignInError)
    assert error.hint == ADVICE
    assert "***" in error.message
    assert "invalid ***" in error.message
    assert error.message.endswith(")")
    assert heard[-1].strip() == last


@pytest.mark.parametrize(
    "challenge", [b"rubbish", coded(b"\xff\xfe"), coded("[" * 9000), coded("5"), coded('{"status": 401}'), b""]
)
def test_a_challenge_that_makes_no_sense_is_answered_all_the_same(vault: Vault, challenge: bytes) -> None:
    """The NO behind it is what counts."""
    error, heard, _ = attempt(vault, ONLY, b"+ \r\n", b"+ " + challenge + b"\r\n", b"TAG NO expired\r\n")
    assert isinstance(error, SignInError | ProtocolError)
    assert heard.count(XOAUTH2 + b"\r\n") == 1


def test_a_server_that_asks_again_and_again_hears_a_token_once(vault: Vault) -> None:
    """A third challenge is answered with `*`, which ends the exchange."""
    error, heard, port = attempt(vault, BOTH, *[b"+ \r\n"] * 6)
    assert isinstance(error, MailarchiveError)
    assert heard.count(bearer(port) + b"\r\n") == 1


def test_f022_a_server_without_a_way_for_tokens(vault: Vault) -> None:
    """12; it says which ways are offered, and nothing is sent."""
    error, heard, _ = attempt(vault, PLAIN)
    assert isinstance(error, SignInError)
    assert error.hint == "it offers LOGIN, PLAIN"
    assert all(b"AUTHENTICATE" not in line for line in heard)


def test_f022_a_server_without_a_way_for_passwords(vault: Vault) -> None:
    """12; a password does not go the way of a token."""
    only = b"* CAPABILITY IMAP4rev1 LOGINDISABLED AUTH=XOAUTH2\r\nTAG OK done\r\n"
    error, heard, _ = attempt(vault, only, secret=Secret(PASSWORD))
    assert isinstance(error, SignInError)
    assert error.hint == "it offers XOAUTH2"
    assert all(b"AUTHENTICATE" not in line and b"LOGIN " not in line for line in heard)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("[UNAVAILABLE] later", LaterError),
        ("[INUSE] later", LaterError),
        ("[LIMIT] later", LaterError),
        ("[EXPIRED] password is old", SignInError),
        ("[AUTHENTICATIONFAILED] no", SignInError),
        ("[AUTHORIZATIONFAILED] no", SignInError),
        ("[PRIVACYREQUIRED] TLS", UnreachableError),
        ("[REFERRAL imap://\x1b[31mother/] go away", SignInError),
    ],
)
@pytest.mark.parametrize("is_token", [False, True])
def test_f023_each_code_is_the_right_error(
    vault: Vault, said: str, kind: type[MailarchiveError], is_token: bool
) -> None:
    """RFC 5530, for passwords and for tokens."""
    offers = BOTH if is_token else PLAIN
    secret = Secret(TOKEN if is_token else PASSWORD, is_token=is_token)
    error, _, _ = attempt(vault, offers, b"+ \r\n", f"TAG NO {said}\r\n".encode(), secret=secret)
    assert type(error) is kind


@pytest.mark.parametrize("answer", [b"* BYE too many connections\r\n", b""])
@pytest.mark.parametrize("is_token", [False, True])
def test_f028_a_line_that_ends_is_no_wrong_password(vault: Vault, answer: bytes, is_token: bool) -> None:
    """BYE: 75; lost: 15 and to be tried again; neither is 12."""
    offers = BOTH if is_token else PLAIN
    secret = Secret(TOKEN if is_token else PASSWORD, is_token=is_token)
    error, _, _ = attempt(vault, offers, b"+ \r\n", answer, secret=secret)
    assert type(error) is (LaterError if answer else UnreachableError)
    assert error.temporary


@pytest.mark.parametrize("password", PASSWORDS)
def test_f021_a_server_that_repeats_a_password_over_pop(vault: Vault, password: str) -> None:
    """In each form; once, and `***` in what is shown."""
    vault.secrets.append(password)
    response = coded(f"\0{USER}\0{password}")
    script = [
        (r"^CAPA$", b"+OK\r\nSASL PLAIN\r\n.\r\n"),
        (r"^AUTH PLAIN$", b"+ \r\n"),
        (r"^.+$", b"-ERR [AUTH] not " + password.encode() + b" nor " + response + b"\r\n"),
    ]
    with ScriptedPop([script]) as server, vault.raises(SignInError) as caught:
        connect(ServerAddress("pop", Security.NONE, "127.0.0.1", server.port, USER), password, Trust())
    assert "***" in str(caught[0])
    assert len(server.commands) == 1


class Changing:
    """A proof that has two tokens."""

    def __init__(self, *tokens: str) -> None:
        self.tokens = list(tokens)

    def current(self) -> Secret:
        """Give the first."""
        return Secret(self.tokens[0], is_token=True, advice=ADVICE)

    def renewed(self) -> Secret | None:
        """Give the next; none after the last."""
        del self.tokens[0]
        return self.current() if self.tokens else None


def refusing(*refusals: str) -> list[list[tuple[str, bytes]]]:
    """Make a POP3 server that refuses so many tokens, one in a session, and lets the next one in."""
    capa = (r"^CAPA$", b"+OK\r\nSASL XOAUTH2\r\nUIDL\r\n.\r\n")
    ask = (r"^AUTH XOAUTH2$", b"+ \r\n")
    scripts = [[capa, ask, (r"^.+$", b"-ERR [AUTH] " + said.encode() + b"\r\n")] for said in refusals]
    empty = [(r"^STAT$", b"+OK 0 0\r\n"), (r"^UIDL$", b"+OK\r\n.\r\n"), (r"^LIST$", b"+OK\r\n.\r\n")]
    return [*scripts, [capa, ask, (r"^[A-Za-z0-9+/=]{20,}$", b"+OK\r\n"), capa, *empty, (r"^QUIT$", b"+OK\r\n")]]


def test_f025_a_token_that_is_refused_is_renewed_once(vault: Vault) -> None:
    """The second one gets in; each was sent once."""
    vault.secrets += [TOKEN, TOKEN[::-1]]
    with ScriptedPop(refusing("expired")) as server:
        address = ServerAddress("pop", Security.NONE, "127.0.0.1", server.port, USER)
        connect(address, Changing(TOKEN, TOKEN[::-1]), Trust()).close()
    sent = [line for commands in server.commands for line in commands if len(line) > 40]
    assert sent == [coded(f"user={USER}\1auth=Bearer {text}\1\1").decode() for text in (TOKEN, TOKEN[::-1])]


def test_f025_a_second_refusal_is_the_end(vault: Vault) -> None:
    """12, with what to type; there is no third attempt."""
    vault.secrets += [TOKEN, TOKEN[::-1]]
    with ScriptedPop(refusing("one", "two", "three")) as server:
        address = ServerAddress("pop", Security.NONE, "127.0.0.1", server.port, USER)
        with vault.raises(SignInError) as caught:
            connect(address, Changing(TOKEN, TOKEN[::-1], "never-sent"), Trust())
    assert "two" in str(caught[0])
    assert caught[0].hint == ADVICE  # type: ignore[attr-defined] # one of ours
    assert len(server.commands) == 2


def test_f020_a_password_is_never_sent_twice(vault: Vault) -> None:
    """A refused sign-in is the end, because of lock-outs."""
    vault.secrets.append(PASSWORD)
    with ScriptedPop([[(r"^CAPA$", b"-ERR\r\n"), (r"^USER ", b"+OK\r\n"), (r"^PASS ", b"-ERR no\r\n")]] * 2) as server:
        address = ServerAddress("pop", Security.NONE, "127.0.0.1", server.port, USER)
        with vault.raises(SignInError):
            connect(address, PASSWORD, Trust())
    assert len(server.commands) == 1
