"""The demo server as a whole: sign-in, TLS, caps, many clients and its end."""

from __future__ import annotations

import base64
import imaplib
import socket
import ssl
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import trustme

from mailarchive.demo import names
from mailarchive.demo.sample import USER as SAMPLE_USER
from mailarchive.demo.sample import build_store
from mailarchive.demo.server import DemoServer
from tests.servers.demo_client import PASSWORD, USER, Client, letter, small_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailarchive.demo.store import Account


@pytest.fixture
def served() -> Iterator[tuple[DemoServer, Account]]:
    """A running server and the account behind it."""
    store, account = small_store()
    with DemoServer(store) as server:
        yield server, account


@pytest.fixture
def client(served: tuple[DemoServer, Account]) -> Iterator[Client]:
    """A client that has signed in."""
    with Client(served[0]) as client:
        yield client


def test_a_whole_session_with_imaplib(served: tuple[DemoServer, Account]) -> None:
    """An independent client signs in, lists, selects, searches, fetches, marks, expunges and leaves."""
    server, account = served
    raw = account.mailbox("INBOX").messages()[1].raw
    with imaplib.IMAP4(server.host, server.imap_port) as imap:
        assert {"UIDPLUS", "MOVE", "QUOTA", "SPECIAL-USE", "ESEARCH", "UNSELECT", "LITERAL+"} <= set(imap.capabilities)
        imap.login(USER, PASSWORD)
        assert imap.select("INBOX") == ("OK", [b"5"])
        assert imap.uid("SEARCH", "UNSEEN") == ("OK", [b"1 3 5"])
        status, data = imap.uid("FETCH", "2", "(FLAGS BODY.PEEK[])")
        assert status == "OK"
        assert data[0][1] == raw
        assert imap.uid("STORE", "2", "+FLAGS.SILENT", "(\\Deleted)")[0] == "OK"
        assert imap.expunge() == ("OK", [b"2"])
        assert imap.close()[0] == "OK"
        assert imap.status("INBOX", "(MESSAGES UIDNEXT)")[1] == [b'"INBOX" (MESSAGES 4 UIDNEXT 6)']


def test_every_sample_message_comes_octet_for_octet() -> None:
    """FETCH gives exactly the bytes of the store, for all sample messages in all mailboxes, quickly."""
    store = build_store(datetime(2026, 3, 1, tzinfo=UTC))
    started = time.monotonic()
    with DemoServer(store) as server, imaplib.IMAP4(server.host, server.imap_port) as imap:
        imap.login(SAMPLE_USER, SAMPLE_USER)
        for mailbox in store.account(SAMPLE_USER).mailboxes():
            assert imap.select('"' + names.encode(mailbox.name).decode() + '"', readonly=True)[0] == "OK"
            expected = {message.uid: message.raw for message in mailbox.messages()}
            found = {}
            if expected:
                for each in imap.uid("FETCH", "1:*", "(UID RFC822.SIZE BODY.PEEK[])")[1]:
                    if isinstance(each, tuple):
                        words = each[0].split()
                        assert int(words[words.index(b"RFC822.SIZE") + 1]) == len(each[1])
                        found[int(words[words.index(b"(UID") + 1])] = each[1]
            assert found == expected
    assert time.monotonic() - started < 15


@pytest.mark.parametrize(
    "command",
    [
        f"LOGIN {USER} {PASSWORD}",
        f'login "{USER}" "{PASSWORD}"',
        f"LOGIN {{5+}}\r\n{USER} {{6+}}\r\n{PASSWORD}",
        f"AUTHENTICATE PLAIN {base64.b64encode(f'{chr(0)}{USER}{chr(0)}{PASSWORD}'.encode()).decode()}",
        f"AUTHENTICATE PLAIN {base64.b64encode(f'{USER}{chr(0)}{USER}{chr(0)}{PASSWORD}'.encode()).decode()}",
    ],
)
def test_ways_to_sign_in(served: tuple[DemoServer, Account], command: str) -> None:
    """LOGIN takes atoms, strings and literals; AUTHENTICATE PLAIN takes an initial response."""
    with Client(served[0], sign_in=False) as client:
        answer = client.run(command)
        assert answer.tagged.startswith(b"OK [CAPABILITY IMAP4rev1 ")
        assert client.run("NAMESPACE").untagged == [b'NAMESPACE (("" "/")) NIL NIL']
        assert client.run(command).tagged.startswith(b"BAD"), "only once"


def test_plain_without_initial_response(served: tuple[DemoServer, Account]) -> None:
    """AUTHENTICATE PLAIN asks for the response, and takes `*` as a change of mind."""
    with Client(served[0], sign_in=False) as client:
        client.send(b"a AUTHENTICATE PLAIN\r\n")
        assert client.response() == b"+ "
        client.send(b"*\r\n")
        assert client.finish(b"a").tagged.startswith(b"BAD")
        client.send(b"b AUTHENTICATE PLAIN\r\n")
        assert client.response() == b"+ "
        client.send(base64.b64encode(f"\0{USER}\0{PASSWORD}".encode()) + b"\r\n")
        assert client.finish(b"b").ok


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (f"LOGIN {USER} wrong", b"NO [AUTHENTICATIONFAILED]"),
        (f"LOGIN nobody {PASSWORD}", b"NO [AUTHENTICATIONFAILED]"),
        (f"LOGIN {USER}", b"BAD"),
        ("AUTHENTICATE PLAIN AHgAeQ==", b"NO [AUTHENTICATIONFAILED]"),
        ("AUTHENTICATE PLAIN =", b"BAD"),
        ("AUTHENTICATE PLAIN AAAA=", b"BAD"),
        ("AUTHENTICATE PLAIN eAByb2JpbgBzM2NyZXQ=", b"NO [AUTHORIZATIONFAILED]"),
        ("AUTHENTICATE XOAUTH2 eA==", b"NO [CANNOT]"),
        ("SELECT INBOX", b"BAD sign in first"),
        ("FETCH 1 FLAGS", b"BAD"),
        ("STARTTLS", b"BAD"),
        ("CAPABILITY now", b"BAD"),
        ("DANCE", b"BAD"),
    ],
)
def test_refusals_before_sign_in(served: tuple[DemoServer, Account], command: str, says: bytes) -> None:
    """Wrong passwords, wrong moments and nonsense are refused, and the session goes on."""
    with Client(served[0], sign_in=False) as client:
        assert client.run(command).tagged.startswith(says)
        assert client.run("NOOP").ok


def test_capability_id_and_logout(served: tuple[DemoServer, Account]) -> None:
    """CAPABILITY lists what is there, ID answers, LOGOUT says BYE and closes."""
    with Client(served[0], sign_in=False) as client:
        (capability,) = client.run("CAPABILITY").untagged
        assert client.greeting.startswith(b"* OK [" + capability + b"]")
        assert capability.split()[0] == b"CAPABILITY"
        wanted = "IMAP4rev1 UIDPLUS QUOTA SPECIAL-USE MOVE ESEARCH UNSELECT NAMESPACE ID LITERAL+ SASL-IR AUTH=PLAIN"
        assert set(wanted.encode().split()) <= set(capability.split())
        assert client.run('ID ("name" "test" "version" NIL)').untagged[0].startswith(b'ID ("name" ')
        assert client.run("ID NIL").ok
        assert client.run('ID ("name")').tagged.startswith(b"BAD")
        answer = client.run("LOGOUT")
        assert answer.untagged[0].startswith(b"BYE ")
        assert answer.ok
        assert client.response() == b""


def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Give a TLS context for the server and one for the client that trusts it."""
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(server)
    authority.configure_trust(client)
    return server, client


def test_tls_from_the_first_byte() -> None:
    """With `ssl_context` the port speaks TLS, and a client that does not is dropped."""
    for_server, for_client = contexts()
    with DemoServer(small_store()[0], ssl_context=for_server) as server:
        with Client(server, tls=for_client) as client:
            assert b"EXISTS" in b"".join(client.run("SELECT INBOX").untagged)
        with socket.create_connection((server.host, server.imap_port), timeout=10) as plain:
            plain.sendall(b"a NOOP\r\n")
            with suppress(ConnectionResetError):
                assert not plain.recv(100).startswith(b"*")


def test_starttls_comes_before_sign_in() -> None:
    """With `starttls_context` nobody signs in before TLS, and afterwards everything is as usual."""
    for_server, for_client = contexts()
    with DemoServer(small_store()[0], starttls_context=for_server) as server:
        with Client(server, sign_in=False) as client:
            assert {b"STARTTLS", b"LOGINDISABLED"} <= set(client.run("CAPABILITY").untagged[0].split())
            assert b"AUTH=PLAIN" not in client.greeting
            assert client.run(f"LOGIN {USER} {PASSWORD}").tagged.startswith(b"NO [PRIVACYREQUIRED]")
            assert client.run("AUTHENTICATE PLAIN").tagged.startswith(b"NO [PRIVACYREQUIRED]")
            assert client.run("STARTTLS").ok
            client.start_tls(for_client)
            assert b"AUTH=PLAIN" in client.run("CAPABILITY").untagged[0]
            assert client.run("STARTTLS").tagged.startswith(b"BAD")
            assert client.run(f"LOGIN {USER} {PASSWORD}").ok
        with imaplib.IMAP4("localhost", server.imap_port) as imap:
            imap.starttls(for_client)
            assert imap.login(USER, PASSWORD)[0] == "OK"


def test_what_is_slipped_in_before_tls_ends_the_session() -> None:
    """Octets behind STARTTLS on the clear line are never carried out."""
    for_server, _ = contexts()
    with (
        DemoServer(small_store()[0], starttls_context=for_server) as server,
        Client(server, sign_in=False) as client,
    ):
        client.send(b"a STARTTLS\r\nb NOOP\r\n")
        assert client.response().startswith(b"a OK")
        with suppress(ConnectionResetError):
            assert client.response() == b""


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(b"a NOOP " + b"x" * 70_000 + b"\r\n", id="a long line"),
        pytest.param(b"a LOGIN {70000+}\r\n", id="a large string"),
        pytest.param(b"a APPEND INBOX {70000+}\r\n", id="a message before sign-in"),
        pytest.param(b"a LOGIN" + b" {0+}\r\n" * 101, id="many literals"),
        pytest.param(b"a FROB\r\n" * 10, id="nonsense"),
    ],
)
def test_who_breaks_the_caps_is_sent_away(served: tuple[DemoServer, Account], octets: bytes) -> None:
    """Too long, too large, too many: BYE, and the connection ends."""
    with Client(served[0], sign_in=False) as client:
        client.send(octets)
        while not (response := client.response()).startswith(b"* BYE "):
            assert response.startswith(b"a BAD")
        with suppress(ConnectionResetError):
            assert client.response() == b""


def test_a_literal_that_waits_is_refused_before_it_comes(client: Client) -> None:
    """A synchronising literal over the cap gets NO, and the session goes on."""
    assert client.run("SELECT {70000}").tagged.startswith(b"NO [TOOBIG]")
    assert client.run("APPEND INBOX {99999999}").tagged.startswith(b"NO [TOOBIG]")
    assert client.run("NOOP").ok


@pytest.mark.parametrize(
    "line", [b"NOOP\r\n", b"\r\n", b"a\r\n", b"* NOOP\r\n", b"+a NOOP\r\n", b"a  NOOP\r\n", b"a NOOP\n"]
)
def test_lines_that_are_no_command_are_bad(client: Client, line: bytes) -> None:
    """A missing tag, a wrong tag, two spaces and a bare LF are all refused."""
    client.send(line)
    assert b" BAD " in client.response()
    assert client.run("NOOP").ok


def test_commands_may_be_sent_ahead(client: Client) -> None:
    """Many commands in one packet are answered one after the other."""
    client.send(b"a EXAMINE INBOX\r\nb UID FETCH 1 (UID)\r\nc UID FETCH 2:3 (UID)\r\nd UNSELECT\r\n")
    assert client.finish(b"a").ok
    assert client.finish(b"b").untagged == [b"1 FETCH (UID 1)"]
    assert client.finish(b"c").untagged == [b"2 FETCH (UID 2)", b"3 FETCH (UID 3)"]
    assert client.finish(b"d").ok


def test_the_record_holds_every_command_without_its_literals() -> None:
    """`record` gets each command line as it came."""
    lines: list[bytes] = []
    with DemoServer(small_store()[0], record=lines.append) as server, Client(server) as client:
        client.run("SELECT {5+}\r\nINBOX")
        client.run("uid fetch 1 UID")
    assert lines == [b"t1 LOGIN robin s3cret", b"t2 SELECT {5+}\r\n", b"t3 uid fetch 1 UID"]


def test_stop_says_bye_within_a_second() -> None:
    """Clients that wait, that never read and that have only connected do not hold the end up; no thread is left."""
    store, account = small_store(None)
    account.mailbox("INBOX").append(b"x" * 30_000_000, datetime(2020, 1, 1, tzinfo=UTC))
    before = threading.active_count()
    server = DemoServer(store)
    server.start()
    server.start()
    with Client(server) as idle, Client(server) as stuck:
        assert idle.run("SELECT INBOX").ok
        assert stuck.run("EXAMINE INBOX").ok
        stuck.send(b"a FETCH 6 BODY.PEEK[]\r\n")
        time.sleep(0.05)
        started = time.monotonic()
        server.stop()
        assert time.monotonic() - started < 1
        assert idle.response().startswith(b"* BYE ")
        assert idle.response() == b""
        assert threading.active_count() == before
    server.stop()
    server.start()
    with Client(server) as again:
        assert again.run("NOOP").ok
    server.stop()


def test_clients_at_once(served: tuple[DemoServer, Account]) -> None:
    """Eight clients append at the same time; no message and no UID is lost, and the quota adds up."""
    server, account = served

    def work(name: str) -> None:
        with Client(server) as client:
            for place in range(20):
                raw = letter(f"{name} {place}")
                assert client.run(b"APPEND Trash {%d+}\r\n%s" % (len(raw), raw)).ok

    threads = [threading.Thread(target=work, args=(f"client {each}",)) for each in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    messages = account.mailbox("Trash").messages()
    assert [message.uid for message in messages] == list(range(1, 161))
    assert len({message.raw for message in messages}) == 160
    assert account.used == sum(len(each.raw) for box in account.mailboxes() for each in box.messages())
