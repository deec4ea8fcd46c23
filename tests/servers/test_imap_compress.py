"""Deflate on an IMAP line (RFC 4978): when it is asked for, what it changes (nothing), and servers that misuse it."""

from __future__ import annotations

import hashlib
import tracemalloc
import zlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from mailarchive.errors import LaterError, ProtocolError, UnreachableError
from mailarchive.model import UID, NotFetched, RemoteMessage
from mailarchive.sources import imap_compress, imap_fetch, pace
from mailarchive.sources.imap import ImapSource
from mailarchive.sources.imap_commands import Commands
from mailarchive.sources.wire import Wire
from tests import maildir
from tests.command import mailarchive, plain_url
from tests.conftest import require_program
from tests.corpus import MAILBOXES, corpus, spread
from tests.servers.dovecot import Dovecot, dovecot_version
from tests.servers.dovecot_conf import compressing
from tests.servers.proxy import Proxy
from tests.servers.scripted import BOX, Scripted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from mailarchive.errors import AccountError
    from tests.servers.dovecot import Account

CAPABILITY = ("IMAP4REV1", "COMPRESS=DEFLATE")
WHEN = datetime(2014, 3, 1, tzinfo=UTC)
EXAMINED = (r"EXAMINE", b"* 0 EXISTS\r\nTAG OK done\r\n")
MB = 1024 * 1024


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every server for one on another computer."""
    monkeypatch.setattr(Wire, "is_far", True)


@pytest.fixture
def forced(far: None, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001 - one asks for the other
    """Compress whatever was measured."""
    monkeypatch.setattr(pace, "pays", lambda *_: True)


def raw(octets: bytes) -> bytes:
    """Deflate octets as a server that has all of them at once."""
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(octets) + stream.flush(zlib.Z_SYNC_FLUSH)


def asked(stream: bytes, *, before: bytes = b"") -> Scripted:
    """Make a server that takes COMPRESS, sends this stream at once, and ends the line."""
    answer = before + b"TAG OK deflate\r\n" + stream + b"<CUT>"
    return Scripted([("COMPRESS DEFLATE", answer)], capability=CAPABILITY)


def started(server: Scripted) -> Commands:
    """Put deflate on the line."""
    commands = Commands(server.session)
    imap_compress.consider(commands)
    return commands


@pytest.mark.usefixtures("forced")
def test_what_stands_behind_the_ok_belongs_to_the_stream() -> None:
    """In the same packet; untagged responses before it are read as ever."""
    with asked(raw(b"* 7 EXISTS\r\nM2 OK done\r\n"), before=b"* 3 EXPUNGE\r\n* OK [ALERT] look\r\n") as server:
        commands = started(server)
        seen: list[bytes] = []
        commands.run(b"NOOP", handle=lambda _, line: seen.append(line))
    assert seen == [b"* 7 EXISTS\r\n"]
    assert (commands.expunged, commands.alerts, server.commands[0]) == (1, ["look"], "COMPRESS DEFLATE")


@pytest.mark.usefixtures("forced")
@pytest.mark.parametrize("answer", [b"TAG NO not now\r\n", b"TAG BAD what\r\n", b"TAG NO [COMPRESSIONACTIVE] x\r\n"])
def test_a_server_that_refuses_is_asked_once_and_served_plain(answer: bytes) -> None:
    """No error, no second question; the next commands are read by the server as they are."""
    script = [("COMPRESS DEFLATE", answer), EXAMINED, EXAMINED]
    with Scripted(script, capability=CAPABILITY) as server, ImapSource(server.session) as source:
        for _ in range(2):
            with source.open(BOX) as mailbox:
                assert mailbox.status.exists == 0
    assert [command.split()[0] for command in server.commands] == ["COMPRESS", "EXAMINE", "EXAMINE", "LOGOUT"]
    assert server.unexpected == []


@pytest.mark.usefixtures("forced")
@pytest.mark.parametrize(
    ("stream", "error", "words"),
    [
        (b"\xff" * 50, ProtocolError, "cannot be read"),
        (b"M2 OK done\r\n", ProtocolError, "cannot be read"),
        (raw(b"M2 OK")[:-3], UnreachableError, "closed the connection"),
        (raw(b"* 1 EXISTS\r\nM2 O"), UnreachableError, "closed the connection"),
        (zlib.compress(b"M2 OK done\r\n"), ProtocolError, "cannot be read"),
        (raw(b"* BYE going down\r\n"), UnreachableError, "going down"),
        (raw(b"* BYE [LIMIT] too many\r\n"), LaterError, "too many"),
        (raw(b"M7 OK what\r\n"), ProtocolError, "not asked"),
    ],
)
def test_a_stream_that_makes_no_sense_ends_the_session(stream: bytes, error: type[AccountError], words: str) -> None:
    """Garbage, plain text, the wrong header, an end too early, BYE: one clear error."""
    with asked(stream) as server, pytest.raises(error, match=words):
        started(server).run(b"NOOP")


@pytest.mark.usefixtures("forced")
def test_a_stream_that_begins_before_the_ok_is_no_answer() -> None:
    """Nothing compressed may come before it."""
    with asked(b"", before=raw(b"M2 OK done\r\n") + b"\r\n") as server, pytest.raises(ProtocolError, match="no IMAP"):
        started(server)


def bomb(head: bytes, zeros: int, tail: bytes) -> bytes:
    """Deflate some text, so many MiB of zeros and some text, a MiB at a time: a thousandth of it."""
    stream = zlib.compressobj(9, wbits=-15)
    first = stream.compress(head) + stream.flush(zlib.Z_FULL_FLUSH)
    block = stream.compress(bytes(MB)) + stream.flush(zlib.Z_FULL_FLUSH)
    return first + block * zeros + stream.compress(tail) + stream.flush(zlib.Z_SYNC_FLUSH)


@pytest.mark.usefixtures("forced")
def test_f017_a_megabyte_that_stands_for_a_gigabyte_passes_in_bounded_memory() -> None:
    """The body of a message, whole, in pieces; beside the stream itself hardly any memory is taken."""
    head = b"* 1 FETCH (UID 7 BODY[] {%d}\r\n" % (1024 * MB)
    packed = bomb(head, 1024, b")\r\nM2 OK done\r\n")
    assert len(packed) < 1.2 * MB
    count = 0
    with asked(packed) as server:
        commands = started(server)
        tracemalloc.start()
        try:
            for arrival in imap_fetch.bodies(commands, [RemoteMessage(UID(7), 5, WHEN, frozenset())]):
                assert not isinstance(arrival, NotFetched)
                count += sum(len(chunk) for chunk in arrival.chunks())
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert count == 1024 * MB
    assert peak < 2 * MB


@pytest.mark.usefixtures("forced")
@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"* OK ", "a line of more than"),
        (b"* LIST () {999999999}\r\n", "answers without end"),
        (b"* 1 FETCH (UID 7 BODY[] {99999999999}\r\n", "announced a message"),
    ],
)
def test_the_caps_on_what_a_server_says_hold_for_what_is_inflated(head: bytes, words: str) -> None:
    """A line, a response and a message are as long as they are read, not as they came."""
    with asked(bomb(head, 300, b"")) as server, pytest.raises(ProtocolError, match=words):
        list(imap_fetch.bodies(started(server), [RemoteMessage(UID(7), 5, WHEN, frozenset())]))


def body(uid: int) -> bytes:
    """Write the answer with one message."""
    return b"* 1 FETCH (UID %d BODY[] {5}\r\nhello)\r\n" % uid


LARGE = [RemoteMessage(UID(uid), imap_fetch.WINDOW_OCTETS, WHEN, frozenset()) for uid in (1, 2, 3)]
"""Each is asked for alone."""


def fetched(commands: Commands) -> list[int]:
    """Fetch these, giving the UID of each that came."""
    found = []
    for arrival in imap_fetch.bodies(commands, LARGE):
        assert not isinstance(arrival, NotFetched)
        assert b"".join(bytes(chunk) for chunk in arrival.chunks()) == b"hello"
        found.append(int(arrival.message.uid))
    return found


@pytest.mark.usefixtures("far")
def test_a_mailbox_of_few_large_messages_is_compressed_behind_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """While nothing is known of the rate, the first message is asked for alone, so that the line is idle behind it."""
    monkeypatch.setattr(pace, "pays", lambda _, stretch: stretch.octets > 0)
    rest = raw(body(2) + b"M3 OK done\r\n" + body(3) + b"M4 OK done\r\n")
    script = [("UID FETCH 1 ", body(1) + b"TAG OK done\r\n"), ("COMPRESS", b"TAG OK deflate\r\n" + rest + b"<CUT>")]
    with Scripted(script, capability=CAPABILITY) as server:
        server.session.wire.round_trip = 0.05
        assert fetched(Commands(server.session)) == [1, 2, 3]
    assert [command.split()[0] for command in server.commands[:2]] == ["UID", "COMPRESS"]


@pytest.mark.usefixtures("far")
def test_nothing_is_asked_while_an_answer_is_on_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rate is known only when two commands are out: they are answered as they were asked."""
    monkeypatch.setattr(pace, "tells", lambda *_: True)
    monkeypatch.setattr(pace, "pays", lambda _, stretch: stretch.octets > 0)
    script = [(f"UID FETCH {uid} ", body(uid) + b"TAG OK done\r\n") for uid in (1, 2, 3)]
    with Scripted(script, capability=CAPABILITY) as server:
        server.session.wire.round_trip = 0.05
        assert fetched(Commands(server.session)) == [1, 2, 3]
    assert server.unexpected == []


def test_a_server_on_this_computer_is_never_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was measured: what the socket says of the other end decides."""
    monkeypatch.setattr(pace, "pays", lambda *_: True)
    with Scripted([EXAMINED], capability=CAPABILITY) as server, ImapSource(server.session) as source, source.open(BOX):
        pass
    assert [command.split()[0] for command in server.commands] == ["EXAMINE", "LOGOUT"]


@pytest.mark.usefixtures("forced")
def test_a_server_that_does_not_offer_it_is_never_asked() -> None:
    """The capability decides."""
    with Scripted([EXAMINED]) as server, ImapSource(server.session) as source, source.open(BOX):
        pass
    assert [command.split()[0] for command in server.commands] == ["EXAMINE", "LOGOUT"]


@pytest.fixture(scope="module")
def squeezing() -> Iterator[Account]:
    """Give an account on a Dovecot that offers COMPRESS, with 600 messages in seven mailboxes."""
    require_program("dovecot")
    with Dovecot(extra=compressing(dovecot_version())) as server:
        with server.witness() as witness:
            for mailbox, messages in spread(corpus(600, seed=4, now=datetime.now(UTC)), MAILBOXES).items():
                witness.append_many(mailbox, messages)
        yield server.account


def digests(archive: Path) -> list[tuple[str, str, str, str]]:
    """Give what is archived: mailbox, digest, date and flags of each message."""
    return sorted(
        (each.folder, hashlib.sha256(each.octets).hexdigest(), str(each.epoch), each.flags)
        for each in maildir.files(archive)
    )


def backed_up(port: int, user: str, archive: Path) -> list[tuple[str, str, str, str]]:
    """Back everything up and give it."""
    result = mailarchive("backup", plain_url(port, user), "--to", archive)
    assert (result.code, result.err) == (0, "")
    return digests(archive)


def heard(proxy: Proxy) -> Sequence[bytes]:
    """Give the words of the commands that could be read on the line."""
    return [command.split()[1] for command in proxy.client_commands() if len(command.split()) > 1]


@pytest.mark.dovecot
def test_a_compressed_backup_is_the_same_as_a_plain_one(
    squeezing: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Digests, dates and flags of every message; less on the line, and nothing to be read on it."""
    plain_line, packed_line = Proxy(squeezing.imap_port), Proxy(squeezing.imap_port, delay=0.003)
    with plain_line:
        plain = backed_up(plain_line.port, squeezing.user, tmp_path / "plain")
    monkeypatch.setattr(Wire, "is_far", True)
    monkeypatch.setattr(pace, "pays", lambda *_: True)
    with packed_line:
        packed = backed_up(packed_line.port, squeezing.user, tmp_path / "packed")
    assert len(plain) == 600
    assert packed == plain
    assert b"COMPRESS" not in heard(plain_line)
    assert b"COMPRESS" in heard(packed_line)
    assert b"EXAMINE" not in heard(packed_line)
    assert packed_line.bytes_from_server < 0.9 * plain_line.bytes_from_server


@pytest.mark.dovecot
@pytest.mark.usefixtures("far")
@pytest.mark.parametrize(("rate", "expected"), [(2_000_000.0, True), (0.0, False)])
def test_what_is_measured_on_the_line_decides(
    squeezing: Account, tmp_path: Path, rate: float, *, expected: bool
) -> None:
    """A line of 2 MB/s is compressed as soon as enough has come; one that is only long never is."""
    with Proxy(squeezing.imap_port, delay=0.01, rate=rate) as proxy:
        assert len(backed_up(proxy.port, squeezing.user, tmp_path / "archive")) == 600
        words = heard(proxy)
    assert (b"COMPRESS" in words) is expected


@pytest.mark.dovecot
@pytest.mark.usefixtures("forced")
def test_messages_go_back_over_a_compressed_line(squeezing: Account, tmp_path: Path) -> None:
    """A deletion and its undo, literals of APPEND included: the server then holds the same octets."""
    account = squeezing.server.add_user("kim")
    samples = corpus(30, seed=9, now=datetime(2020, 1, 1, tzinfo=UTC))
    with account.witness() as witness:
        witness.append_many("INBOX", samples)
    words = ("--to", tmp_path / "archive", "--older-than", "1y", "--delete", "--yes", "--no-keep-unread")
    with Proxy(account.imap_port) as proxy:
        url = plain_url(proxy.port, account.user)
        result = mailarchive("--json", "backup", url, *words)
        left = account.raw_messages()
        undone = mailarchive("undo", result.end["run"], url, "--archive", tmp_path / "archive")
        words_heard = heard(proxy)
    assert (result.code, undone.code, undone.err) == (0, 0, "")
    assert len(left) < 10  # flagged mail stays
    assert words_heard.count(b"COMPRESS") >= 2
    assert b"APPEND" not in words_heard
    assert sorted(account.raw_messages().values()) == sorted(sample.raw for sample in samples)
