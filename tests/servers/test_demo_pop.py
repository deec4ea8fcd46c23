"""The demo server as a POP3 server: what clients that are none of ours see of it."""

from __future__ import annotations

import base64
import poplib
import ssl
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import trustme

from mailarchive.demo.sample import USER as SAMPLE_USER
from mailarchive.demo.sample import build_store
from mailarchive.demo.server import DemoServer
from mailarchive.demo.store import Store
from tests.servers.demo_client import DAY, PASSWORD, USER, Client, Connection, letter, small_store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mailarchive.demo.store import Account


class Raw(Connection):
    """One connection that has read its greeting, and believes in nothing but CRLF."""

    def __init__(self, server: DemoServer, *, sign_in: bool = True) -> None:
        super().__init__(server.host, server.pop_port)
        self.greeting = self.line()
        if sign_in:
            assert self.run(f"USER {USER}").startswith(b"+OK")
            assert self.run(f"PASS {PASSWORD}").startswith(b"+OK")

    def line(self) -> bytes:
        """Read one line, without CRLF; empty at the end of the connection."""
        line = self._file.readline()
        assert not line or line.endswith(b"\r\n"), line
        return line.removesuffix(b"\r\n")

    def run(self, command: str | bytes) -> bytes:
        """Send a command and read the first line of its answer."""
        self.send((command.encode() if isinstance(command, str) else command) + b"\r\n")
        return self.line()

    def body(self) -> bytes:
        """Read what follows the first line, up to the dot; dots that were stuffed are taken out."""
        body = bytearray()
        while True:
            line = self._file.readline()
            assert line, "the server closed the connection"
            at_start = not body or body.endswith(b"\r\n")
            if at_start and line == b".\r\n":
                return bytes(body)
            body += line[1:] if at_start and line.startswith(b".") else line

    def multi(self, command: str) -> bytes:
        """Send a command and read the lines of its answer."""
        answer = self.run(command)
        assert answer.startswith(b"+OK"), answer
        return self.body()

    def capabilities(self) -> list[str]:
        """Ask for them."""
        return self.multi("CAPA").decode().splitlines()


@pytest.fixture
def served() -> Iterator[tuple[DemoServer, Account]]:
    """A running server and the account behind it."""
    store, account = small_store()
    with DemoServer(store) as server:
        yield server, account


@pytest.fixture
def client(served: tuple[DemoServer, Account]) -> Iterator[Raw]:
    """A client that has signed in."""
    with Raw(served[0]) as client:
        yield client


def uids(account: Account) -> list[int]:
    """Give the UIDs in INBOX."""
    return [message.uid for message in account.mailbox("INBOX").messages()]


def holding(*messages: bytes) -> Store:
    """Give a store whose INBOX holds these messages."""
    store = Store()
    inbox = store.add_account(USER, PASSWORD).mailbox("INBOX")
    for raw in messages:
        inbox.append(raw, DAY)
    return store


def plain(user: str, password: str, identity: str = "") -> str:
    """Give a response of SASL PLAIN."""
    return base64.b64encode(f"{identity}\0{user}\0{password}".encode()).decode()


def test_a_whole_session_with_poplib(served: tuple[DemoServer, Account]) -> None:
    """An independent client signs in, lists, fetches, deletes and leaves; IMAP and the quota see it."""
    server, account = served
    raws = [message.raw for message in account.mailbox("INBOX").messages()]
    uidvalidity = account.mailbox("INBOX").uidvalidity
    used = account.used
    with Client(server) as imap:
        assert imap.run("SELECT INBOX").ok
        pop = poplib.POP3(server.host, server.pop_port, timeout=10)
        assert set(pop.capa()) >= {"TOP", "UIDL", "USER", "SASL", "PIPELINING"}
        pop.user(USER)
        pop.pass_(PASSWORD)
        assert pop.stat() == (5, sum(map(len, raws)))
        assert pop.list()[1] == [b"%d %d" % (number, len(raw)) for number, raw in enumerate(raws, 1)]
        assert pop.uidl()[1] == [b"%d %d.%d" % (number, uidvalidity, number) for number in range(1, 6)]
        assert pop.uidl(3) == b"+OK 3 %d.3" % uidvalidity
        assert b"".join(line + b"\r\n" for line in pop.retr(3)[1]) == raws[2]
        assert pop.top(2, 0)[1][-2:] == [b"Subject: two", b""]
        pop.dele(2)
        pop.dele(5)
        assert pop.stat()[0] == 3
        assert imap.run("NOOP").untagged == [], "a mark is no deletion, and RETR no change of flags"
        assert uids(account) == [1, 2, 3, 4, 5]
        pop.quit()
        assert imap.run("NOOP").untagged == [b"5 EXPUNGE", b"2 EXPUNGE"]
    assert uids(account) == [1, 3, 4]
    assert account.used == used - len(raws[1]) - len(raws[4])


def test_every_sample_message_comes_octet_for_octet() -> None:
    """RETR gives the bytes of the store, LIST their number, TOP with many lines the same."""
    store = build_store(datetime(2026, 3, 1, tzinfo=UTC))
    messages = store.account(SAMPLE_USER).mailbox("INBOX").messages()
    with DemoServer(store) as server, Raw(server, sign_in=False) as client:
        assert client.run(f"AUTH PLAIN {plain(SAMPLE_USER, SAMPLE_USER)}").startswith(b"+OK")
        sizes = [int(line.split()[1]) for line in client.multi("LIST").splitlines()]
        assert len(sizes) == len(messages)
        for number, (message, size) in enumerate(zip(messages, sizes, strict=True), 1):
            sent = message.raw if message.raw.endswith(b"\r\n") else message.raw + b"\r\n"
            assert client.multi(f"RETR {number}") == sent
            assert client.multi(f"TOP {number} 9999999999") == sent
            assert len(sent) == size


@pytest.mark.parametrize(
    ("raw", "sent"),
    [
        (b"", b".\r\n"),
        (b"A: b\r\n\r\nend\r\n", b"A: b\r\n\r\nend\r\n.\r\n"),
        (b"A: b\r\n\r\nend", b"A: b\r\n\r\nend\r\n.\r\n"),
        (b".", b"..\r\n.\r\n"),
        (b".a: b\r\n\r\n.\r\n..\r\n.", b"..a: b\r\n\r\n..\r\n...\r\n..\r\n.\r\n"),
        (b"A: b\n\n.\nc\rd\r.\r\n.e\n", b"A: b\n\n.\nc\rd\r.\r\n..e\n\r\n.\r\n"),
        (b"A: b\r\n\r\nend\r", b"A: b\r\n\r\nend\r\r\n.\r\n"),
        (b"A: b\r\n\r\n" + b"\x00\xff" * 5000 + b"\r\n", b"A: b\r\n\r\n" + b"\x00\xff" * 5000 + b"\r\n.\r\n"),
    ],
)
def test_what_goes_over_the_line(raw: bytes, sent: bytes) -> None:
    """Dots are doubled behind CRLF and at the beginning only; bare CR and LF pass; sizes count no stuffed dots."""
    with DemoServer(holding(raw)) as server, Raw(server) as client:
        size = int(client.run("LIST 1").split()[2])
        assert client.run("STAT") == b"+OK 1 %d" % size
        client.send(b"RETR 1\r\nQUIT\r\n")
        assert client.line() == b"+OK %d octets" % size
        whole = b"".join(iter(lambda: client._file.read(65536), b""))
        assert whole == sent + b"+OK until next time\r\n"
    with DemoServer(holding(raw)) as server, Raw(server) as client:
        assert len(client.multi("RETR 1")) == size
    assert size == len(raw) + (2 if raw and not raw.endswith(b"\r\n") else 0)


@pytest.mark.parametrize(
    ("raw", "lines", "top"),
    [
        (b"A: b\r\nC: d\r\n\r\none\r\n.two\r\nthree\r\n", 0, b"A: b\r\nC: d\r\n\r\n"),
        (b"A: b\r\nC: d\r\n\r\none\r\n.two\r\nthree\r\n", 2, b"A: b\r\nC: d\r\n\r\none\r\n.two\r\n"),
        (b"A: b\r\n\r\none", 1, b"A: b\r\n\r\none\r\n"),
        (b"A: b\r\n\r\none", 7, b"A: b\r\n\r\none\r\n"),
        (b"A: b\r\n", 0, b"A: b\r\n"),
        (b"\r\nno header\r\nat all\r\n", 1, b"\r\nno header\r\n"),
        (b"A: b\n\none\ntwo\n", 1, b"A: b\n\none\n\r\n"),
        (b"", 1, b""),
    ],
)
def test_top(raw: bytes, lines: int, top: bytes) -> None:
    """The header, the empty line, and so many lines of the body."""
    with DemoServer(holding(raw)) as server, Raw(server) as client:
        assert client.multi(f"TOP 1 {lines}") == top


@pytest.mark.parametrize(
    "commands",
    [
        [f"USER {USER}", f"PASS {PASSWORD}"],
        [f"user {USER}", f"pass {PASSWORD}"],
        [f"USER {USER}", "PASS wrong", f"USER {USER}", f"PASS {PASSWORD}"],
        [f"AUTH PLAIN {plain(USER, PASSWORD)}"],
        [f"auth plain {plain(USER, PASSWORD, USER)}"],
        ["AUTH PLAIN", plain(USER, PASSWORD)],
        ["AUTH PLAIN", "*", "AUTH PLAIN", plain(USER, PASSWORD)],
    ],
)
def test_ways_to_sign_in(served: tuple[DemoServer, Account], commands: Sequence[str]) -> None:
    """USER with PASS, and AUTH PLAIN with an initial response and without; only once."""
    with Raw(served[0], sign_in=False) as client:
        assert client.greeting.startswith(b"+OK ")
        for command in commands[:-1]:
            client.run(command)
        assert client.run(commands[-1]).startswith(b"+OK signed in")
        assert client.run("STAT").startswith(b"+OK 5 ")
        assert client.run(f"USER {USER}").startswith(b"-ERR already")


def test_a_password_may_hold_spaces() -> None:
    """All that stands behind PASS and one space is the password."""
    store = Store()
    store.add_account("kim", " pass  wörd ")
    with DemoServer(store) as server, Raw(server, sign_in=False) as client:
        client.run("USER kim")
        assert client.run("PASS  pass  wörd ").startswith(b"+OK")


@pytest.mark.parametrize(
    ("commands", "says"),
    [
        ([f"USER {USER}", "PASS wrong"], b"-ERR [AUTH] "),
        (["USER nobody", f"PASS {PASSWORD}"], b"-ERR [AUTH] "),
        ([f"PASS {PASSWORD}"], b"-ERR USER comes first"),
        ([f"USER {USER}", "PASS wrong", f"PASS {PASSWORD}"], b"-ERR USER comes first"),
        ([f"USER {USER}", "PASS"], b"-ERR "),
        (["USER"], b"-ERR "),
        ([b"USER \xff"], b"-ERR that is not UTF-8"),
        ([f"AUTH PLAIN {plain(USER, 'wrong')}"], b"-ERR [AUTH] "),
        ([f"AUTH PLAIN {plain(USER, PASSWORD, 'anna')}"], b"-ERR [AUTH] nobody may act for others here"),
        (["AUTH PLAIN", "*"], b"-ERR cancelled"),
        (["AUTH PLAIN ="], b"-ERR PLAIN takes three parts"),
        (["AUTH PLAIN AAAA="], b"-ERR that is not base64"),
        (["AUTH PLAIN", ""], b"-ERR PLAIN takes three parts"),
        (["AUTH XOAUTH2 eA=="], b"-ERR only PLAIN"),
        (["AUTH"], b"-ERR only PLAIN"),
        (["STAT"], b"-ERR sign in first"),
        (["NOOP"], b"-ERR sign in first"),
        (["STLS"], b"-ERR TLS is not offered"),
        (["APOP robin c4c9334bac560ecc979e58001b3e22fb"], b"-ERR that is no command"),
        (["CAPA now"], b"-ERR that command takes no argument"),
    ],
)
def test_refusals_before_sign_in(
    served: tuple[DemoServer, Account], commands: Sequence[str | bytes], says: bytes
) -> None:
    """Wrong passwords, wrong moments and nonsense are refused, and the session goes on."""
    with Raw(served[0], sign_in=False) as client:
        for command in commands[:-1]:
            client.run(command)
        assert client.run(commands[-1]).startswith(says)
        assert "UIDL" in client.capabilities()
        assert client.run("QUIT") == b"+OK until next time"
        assert client.line() == b""


@pytest.mark.parametrize(
    "command",
    [
        *("LIST 0", "LIST 6", "LIST 2", "LIST x", "LIST -1", "LIST 1 2", "LIST 99999999999"),
        *("UIDL 0", "UIDL 6", "UIDL 2", "RETR", "RETR 0", "RETR 6", "RETR 2", "RETR 1 1", "DELE", "DELE 6", "DELE 2"),
        *("TOP 1", "TOP 1 x", "TOP 1 -1", "TOP 6 0", "TOP 2 0", "TOP 1 1 1", "STAT 1", "RSET 1", "NOOP 1", "QUIT now"),
        *("", " ", " STAT", "STATUS", "STAT ,", "DELE  1"),
    ],
)
def test_refusals_after_sign_in(client: Raw, command: str) -> None:
    """Numbers that are none, too large or marked, and arguments that do not belong there; nothing changes."""
    assert client.run("DELE 2").startswith(b"+OK")
    assert client.run(command).startswith(b"-ERR ")
    assert client.run("STAT").startswith(b"+OK 4 ")


@pytest.mark.parametrize("line", [b"STAT\n", b"RETR 1" + b" " * 248 + b"\r\n", b"x" * 60_000 + b"\r\n"])
def test_lines_that_are_no_command(client: Raw, line: bytes) -> None:
    """A bare LF ends no command, and no command has more than 255 octets; the session goes on."""
    client.send(line)
    assert client.line().startswith(b"-ERR a ")
    assert client.run("NOOP").startswith(b"+OK")


def test_a_command_of_255_octets_is_taken(served: tuple[DemoServer, Account]) -> None:
    """The cap counts CRLF."""
    with Raw(served[0], sign_in=False) as client:
        assert client.run("USER " + "x" * 248).startswith(b"+OK")
        assert client.run("USER " + "x" * 249).startswith(b"-ERR a command has at most")


@pytest.mark.parametrize("octets", [b"NOOP " + b"x" * 70_000, b"FROB\r\n" * 10])
def test_who_breaks_the_caps_is_sent_away(served: tuple[DemoServer, Account], octets: bytes) -> None:
    """A line without end, and nonsense without end; what was marked stays, and the maildrop is free."""
    server, account = served
    with Raw(server) as client:
        assert client.run("DELE 1").startswith(b"+OK")
        client.send(octets)
        with suppress(ConnectionResetError):
            while line := client.line():
                assert line.startswith(b"-ERR ")
    with Raw(server) as again:
        assert again.run("STAT").startswith(b"+OK 5 ")
    assert uids(account) == [1, 2, 3, 4, 5]


def test_nonsense_counts_only_in_a_row(client: Raw) -> None:
    """A command that makes sense, refused or not, is a new beginning."""
    for command in ("NOOP", "RETR 9"):
        assert all(client.run("FROB").startswith(b"-ERR that is no command") for _ in range(9))
        assert client.run(command)
    assert client.run("NOOP").startswith(b"+OK")


def test_marks_are_undone_by_rset_and_by_a_dropped_line(served: tuple[DemoServer, Account]) -> None:
    """Only QUIT removes; a line that ends in the middle of it does not."""
    server, account = served
    with Raw(server) as client:
        client.run("DELE 1")
        assert client.multi("LIST").startswith(b"2 ")
        assert client.run("RSET") == b"+OK 5 messages"
        assert client.multi("UIDL").startswith(b"1 ")
        assert client.run("QUIT").startswith(b"+OK")
    with Raw(server) as client:
        client.run("DELE 1")
        client.send(b"QUIT")
    with Raw(server) as client:
        assert client.run("STAT").startswith(b"+OK 5 ")
    assert uids(account) == [1, 2, 3, 4, 5]


def test_a_maildrop_has_one_session(served: tuple[DemoServer, Account]) -> None:
    """The second gets IN-USE, with every way to sign in, until the first is gone; other accounts are free."""
    server, _ = served
    server.store.add_account("kim", "secret")
    first = Raw(server)
    with Raw(server, sign_in=False) as second:
        second.run(f"USER {USER}")
        assert second.run(f"PASS {PASSWORD}").startswith(b"-ERR [IN-USE] ")
        assert second.run(f"AUTH PLAIN {plain(USER, PASSWORD)}").startswith(b"-ERR [IN-USE] ")
        assert second.run(f"AUTH PLAIN {plain(USER, 'wrong')}").startswith(b"-ERR [AUTH] ")
        assert second.run("STAT").startswith(b"-ERR sign in first")
        with Raw(server, sign_in=False) as other:
            assert other.run(f"AUTH PLAIN {plain('kim', 'secret')}").startswith(b"+OK")
        # The line drops while the sign-in waits, as when a client comes back at once.
        threading.Timer(0.05, first.close).start()
        assert second.run(f"AUTH PLAIN {plain(USER, PASSWORD)}").startswith(b"+OK")
        assert second.run("QUIT").startswith(b"+OK")
        with Raw(server) as third:
            assert third.run("NOOP").startswith(b"+OK")


def test_a_session_sees_the_moment_of_its_sign_in(served: tuple[DemoServer, Account]) -> None:
    """New mail waits for the next session; what IMAP removes can still be read, and its deletion does no harm."""
    server, account = served
    inbox = account.mailbox("INBOX")
    with Raw(server) as client:
        before = client.multi("UIDL")
        inbox.append(letter("six"), DAY)
        gone = inbox.messages()[1]
        inbox.expunge([gone])
        assert client.multi("UIDL") == before
        assert client.multi("RETR 2") == gone.raw
        assert client.run("RETR 6").startswith(b"-ERR")
        client.run("DELE 2")
        client.run("DELE 3")
        client.run("QUIT")
    assert uids(account) == [1, 4, 5, 6]
    assert account.used == sum(len(message.raw) for message in inbox.messages())
    with Raw(server) as client:
        uidvalidity = b"%d." % inbox.uidvalidity
        numbered = client.multi("UIDL").replace(b" " + uidvalidity, b".").split()
        assert numbered == [b"1.1", b"2.4", b"3.5", b"4.6"]


def test_commands_may_be_sent_ahead(served: tuple[DemoServer, Account]) -> None:
    """A whole session in one packet is answered in order."""
    server, account = served
    with Raw(server, sign_in=False) as client:
        client.send(f"USER {USER}\r\nPASS {PASSWORD}\r\nRETR 1\r\nDELE 1\r\nDELE 1\r\nTOP 2 0\r\nQUIT\r\n".encode())
        assert [client.line()[:3], client.line()[:3], client.line()[:3]] == [b"+OK"] * 3
        assert client.body() == letter("one")
        assert [client.line()[:4] for _ in range(3)] == [b"+OK ", b"-ERR", b"+OK "]
        assert client.body().endswith(b"Subject: two\r\n\r\n")
        assert client.line() == b"+OK until next time"
        assert client.line() == b""
    assert uids(account) == [2, 3, 4, 5]


CAPABILITIES = "TOP|UIDL|USER|SASL PLAIN|RESP-CODES|AUTH-RESP-CODE|PIPELINING|IMPLEMENTATION mailarchive-demo-server"


def test_capa_before_and_after_sign_in(served: tuple[DemoServer, Account]) -> None:
    """It is the same on a line without TLS."""
    with Raw(served[0], sign_in=False) as client:
        assert client.capabilities() == CAPABILITIES.split("|")
        client.run(f"AUTH PLAIN {plain(USER, PASSWORD)}")
        assert client.capabilities() == CAPABILITIES.split("|")


@pytest.mark.parametrize(
    ("hidden", "refused"),
    [("UIDL", ["UIDL", "UIDL 1"]), ("TOP", ["TOP 1 0"]), ("PIPELINING", []), ("SASL", []), ("UIDPLUS", [])],
)
def test_what_is_hidden(hidden: str, refused: Sequence[str]) -> None:
    """UIDL and TOP are refused; the others are only not announced."""
    with DemoServer(small_store()[0], hidden=frozenset({hidden})) as server, Raw(server, sign_in=False) as client:
        wanted = [each for each in CAPABILITIES.split("|") if each.split()[0] != hidden]
        assert client.capabilities() == wanted
        client.send(f"AUTH PLAIN {plain(USER, PASSWORD)}\r\n".encode())
        assert client.line().startswith(b"+OK")
        for command in refused:
            assert client.run(command).startswith(b"-ERR that is no command")
        assert client.run("LIST 1").startswith(b"+OK")


@pytest.mark.parametrize("hidden", ["USER", "CAPA"])
def test_what_else_may_be_hidden(hidden: str) -> None:
    """USER goes with PASS; CAPA is no capability, but may be missing all the same."""
    with DemoServer(small_store()[0], hidden=frozenset({hidden})) as server, Raw(server, sign_in=False) as client:
        for command in {"USER": [f"USER {USER}", f"PASS {PASSWORD}"], "CAPA": ["CAPA"]}[hidden]:
            assert client.run(command).startswith(b"-ERR that is no command")
        assert client.run(f"AUTH PLAIN {plain(USER, PASSWORD)}").startswith(b"+OK")


def test_hidden_codes_are_left_out() -> None:
    """Without AUTH-RESP-CODE there is no AUTH, without RESP-CODES none at all."""
    wrong, right = f"AUTH PLAIN {plain(USER, 'wrong')}", f"AUTH PLAIN {plain(USER, PASSWORD)}"
    hidden = frozenset({"AUTH-RESP-CODE"})
    with DemoServer(small_store()[0], hidden=hidden) as server, Raw(server), Raw(server, sign_in=False) as client:
        assert client.run(wrong).startswith(b"-ERR user")
        assert client.run(right).startswith(b"-ERR [IN-USE] ")
    hidden = frozenset({"RESP-CODES"})
    with DemoServer(small_store()[0], hidden=hidden) as server, Raw(server), Raw(server, sign_in=False) as client:
        assert client.run(wrong).startswith(b"-ERR user")
        assert client.run(right).startswith(b"-ERR another")


def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Give a TLS context for the server and one for the client that trusts it."""
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(server)
    authority.configure_trust(client)
    return server, client


def test_tls_from_the_first_byte() -> None:
    """With `ssl_context` the port speaks TLS, and offers no STLS."""
    for_server, for_client = contexts()
    with DemoServer(small_store()[0], ssl_context=for_server) as server:
        pop = poplib.POP3_SSL("localhost", server.pop_port, context=for_client, timeout=10)
        assert "STLS" not in pop.capa()
        with pytest.raises(poplib.error_proto, match="TLS is not offered"):
            pop._shortcmd("STLS")  # type: ignore[attr-defined]
        pop.user(USER)
        pop.pass_(PASSWORD)
        assert pop.stat()[0] == 5
        pop.quit()


def test_stls_comes_before_sign_in() -> None:
    """With `starttls_context` nobody signs in before TLS, and no name is remembered from before it."""
    for_server, for_client = contexts()
    with DemoServer(small_store()[0], starttls_context=for_server) as server:
        with Raw(server, sign_in=False) as client:
            bare = [each for each in CAPABILITIES.split("|") if each.split()[0] not in ("USER", "SASL")]
            assert client.capabilities() == [*bare[:-1], "STLS", bare[-1]]
            for command in (f"USER {USER}", f"PASS {PASSWORD}", "AUTH PLAIN", f"AUTH PLAIN {plain(USER, PASSWORD)}"):
                assert client.run(command).startswith(b"-ERR TLS comes first")
            assert client.run("STLS").startswith(b"+OK")
            client.start_tls(for_client)
            assert client.capabilities() == CAPABILITIES.split("|")
            assert client.run("STLS").startswith(b"-ERR TLS is not offered")
            assert client.run(f"PASS {PASSWORD}").startswith(b"-ERR USER comes first")
            assert client.run(f"AUTH PLAIN {plain(USER, PASSWORD)}").startswith(b"+OK")
            assert client.capabilities() == CAPABILITIES.split("|")
        pop = poplib.POP3("localhost", server.pop_port, timeout=10)
        pop.stls(for_client)
        pop.user(USER)
        pop.pass_(PASSWORD)
        pop.quit()


def test_what_is_slipped_in_before_tls_ends_the_session() -> None:
    """Octets behind STLS on the clear line are never carried out."""
    for_server, _ = contexts()
    with (
        DemoServer(small_store()[0], starttls_context=for_server) as server,
        Raw(server, sign_in=False) as client,
    ):
        client.send(b"STLS\r\nCAPA\r\n")
        assert client.line().startswith(b"+OK")
        with suppress(ConnectionResetError):
            assert client.line() == b""


def test_the_record_holds_every_command() -> None:
    """`record` gets each command line as it came, those of IMAP as well; what answers AUTH is none."""
    lines: list[bytes] = []
    with DemoServer(small_store()[0], record=lines.append) as server:
        with Raw(server, sign_in=False) as client:
            client.run("AUTH PLAIN")
            client.run(plain(USER, PASSWORD))
            client.run("retr 9")
            client.run("frob")
            client.run("QUIT")
        with Client(server) as imap:
            imap.run("NOOP")
    assert lines == [b"AUTH PLAIN", b"retr 9", b"frob", b"QUIT", b"t1 LOGIN robin s3cret", b"t2 NOOP"]


def test_stop_within_a_second() -> None:
    """Clients of both protocols that never read do not hold the end up, marks are undone, and no thread is left."""
    store, account = small_store(None)
    account.mailbox("INBOX").append(b"x" * 30_000_000, DAY)
    store.add_account("kim", "secret")
    before = threading.active_count()
    server = DemoServer(store)
    server.start()
    with Raw(server) as stuck, Client(server) as imap, Raw(server, sign_in=False) as idle:
        assert idle.run(f"AUTH PLAIN {plain('kim', 'secret')}").startswith(b"+OK")
        assert imap.run("EXAMINE INBOX").ok
        stuck.send(b"DELE 1\r\nRETR 6\r\n")
        imap.send(b"a FETCH 6 BODY.PEEK[]\r\n")
        time.sleep(0.05)
        started = time.monotonic()
        server.stop()
        assert time.monotonic() - started < 1
        assert idle.line() == b""
        assert threading.active_count() == before
    assert len(uids(account)) == 6
    with server, Raw(server) as again:
        assert again.run("NOOP").startswith(b"+OK")


def test_one_of_many_wins(served: tuple[DemoServer, Account]) -> None:
    """Of eight clients that sign in at the same time, one has the maildrop."""
    server, _ = served
    answers: list[bytes] = []
    done = threading.Barrier(8)

    def work() -> None:
        with Raw(server, sign_in=False) as client:
            answers.append(client.run(f"AUTH PLAIN {plain(USER, PASSWORD)}"))
            done.wait(10)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer[:13] for answer in answers) == [b"+OK signed in", *[b"-ERR [IN-USE]"] * 7]
