"""The quick way to read answers to FETCH is the same as the careful one, whatever a server sends, however it is cut.

Law of this room: the same octets are read twice, once with the patterns of the quick way taken out, and everything that
a caller can see of both must be equal: messages, facts, reasons, doubts, errors, and how much of the line was used.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mailarchive.address import Security, ServerAddress
from mailarchive.errors import AgainError, MailarchiveError
from mailarchive.model import UID, Criteria, Mailbox, MailboxStatus, NotFetched, RemoteMessage
from mailarchive.sources import imap_facts, imap_fetch, imap_items, imap_list, imap_usual, wire
from mailarchive.sources.imap import ImapMailbox
from mailarchive.sources.imap_commands import Commands, Refused
from mailarchive.sources.imap_session import Session
from tests.servers.pieces import Cut

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

NEVER = re.compile(rb"(?!)")
DATE = b"01-Mar-2014 10:00:00 +0100"
WHEN = datetime(2001, 2, 3, tzinfo=UTC)
ADDRESS = ServerAddress("imap", Security.NONE, "127.0.0.1", 143, "me")


FLAGS = st.sampled_from(
    [
        b"",
        b"\\Seen",
        b"\\SEEN \\Recent  kw",
        b"NIL",
        b"nil \\Seen",
        b"]odd [x",
        b"a{5}",
        b'"q"',
        b"(x)",
        b"\xc3\xa9",
        b"*",
    ]
) | st.binary(max_size=4)
DATES = st.sampled_from(
    [
        DATE,
        b" 7-Jul-1996 02:44:25 -0700",
        b"32-Foo-2014 10:00:00 +0100",
        b"01-Mar-2014 10:00:60 +0100",
        b"x",
        b"\\1-Mar-2014 10:00:00 +0100",
    ]
)
UIDS = st.sampled_from([b"1", b"2", b"3", b"4", b"5", b"6", b"05", b"0", b"4294967295", b"4294967296", b"12345678901"])
OCTETS = st.sampled_from(
    [b"hello", b")\r\n", b"x)\r\n* 1 FETCH (UID 2)\r\nM1 OK done\r\n", b"\r\n", b"a" * 700, b"y" * 30, b"\0\xff"]
) | st.binary(max_size=60)
NOISE = st.sampled_from(
    [
        b"* 9 EXISTS\r\n",
        b"* 3 EXPUNGE\r\n",
        b"* OK [ALERT] look\r\n",
        b"* 1 FETCH (FLAGS (\\Deleted))\r\n",
        b"* 1 FETCH (UID 2 FLAGS (\\Deleted))\r\n",
        b"* 1 FETCH (UID 3 BODY[] NIL)\r\n",
        b'* 1 FETCH (UID 3 BODY[] "short")\r\n',
        b"* 1 FETCH (UID 4 X {3}\r\na b FLAGS (\\Seen))\r\n",
        b"* 1 FETCH (BODY[] {2}\r\nab UID 3)\r\n",
        b"* 1 FETCH (UID 5 RFC822.SIZE NIL INTERNALDATE NIL FLAGS ())\r\n",
        b'* LIST () "/" {3}\r\nabc\r\n',
        b"* BYE away\r\n",
        b"nonsense\r\n",
        b"\r\n",
    ]
)
ENDS = st.sampled_from([b"OK done", b"NO [SERVERBUG] cannot", b"NO [THROTTLED] slow", b"BAD what"])


def _headed(sequence: bytes, uid: bytes, flags: bytes, date: bytes) -> bytes:
    return b"* " + sequence + b" FETCH (UID " + uid + b" FLAGS (" + flags + b') INTERNALDATE "' + date + b'" '


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Make the answer with a message, nearly always of the usual shape."""
    head = _headed(b"1", draw(UIDS), draw(FLAGS), draw(DATES))
    octets = draw(OCTETS)
    size = draw(st.sampled_from([b"%d" % len(octets)] * 6 + [b"0%d" % len(octets), b"0", b"99", b"5000000000"]))
    tail = draw(st.sampled_from([b")\r\n"] * 6 + [b")\n", b" MODSEQ (1))\r\n", b" BODY[] {1}\r\nx)\r\n", b""]))
    whole = head + b"BODY[] {" + size + draw(st.sampled_from([b"}\r\n"] * 6 + [b"}\n", b"+}\r\n"])) + octets + tail
    return draw(st.sampled_from([whole] * 6 + [whole.replace(b"FETCH", b"fetch"), whole.replace(b" (", b"  (", 1)]))


@st.composite
def facts(draw: st.DrawFn) -> bytes:
    """Make the answer with the facts of a message, nearly always of the usual shape."""
    size = draw(st.sampled_from([b"10", b"11", b"0", b"0012", b"4294967296", b"12345678901", b"-1", b"NIL"]))
    line = _headed(draw(st.sampled_from([b"1", b"77"])), draw(UIDS), draw(FLAGS), draw(DATES))
    line += b"RFC822.SIZE " + size + draw(st.sampled_from([b")\r\n"] * 6 + [b")\n", b" )\r\n", b" MODSEQ (1))\r\n"]))
    return draw(st.sampled_from([line] * 6 + [line.lower()]))


@st.composite
def looks(draw: st.DrawFn) -> bytes:
    """Make the answer to the identity probe, nearly always of the usual shape."""
    head = draw(st.sampled_from([b"From: a@example.org\r\n\r\n", b"\r\n", b")\r\n", b"x" * 300, b"Date: \xff\n\0\r\n"]))
    size = draw(st.sampled_from([b"%d" % len(head)] * 6 + [b"0", b"9999", b"0%d" % len(head)]))
    name = draw(
        st.sampled_from([b"BODY[HEADER.FIELDS (FROM DATE)]<0>"] * 6 + [b"BODY[HEADER]", b"body[header.fields (x)]"])
    )
    line = _headed(draw(st.sampled_from([b"1", b"77"])), draw(UIDS), draw(FLAGS), draw(DATES))
    line += b"RFC822.SIZE " + draw(st.sampled_from([b"10", b"0012", b"12345678901", b"NIL"])) + b" "
    return (
        line
        + name
        + b" {"
        + size
        + b"}\r\n"
        + head
        + draw(st.sampled_from([b")\r\n"] * 6 + [b" MODSEQ (1))\r\n", b")\n"]))
    )


def usual_facts(uids: Sequence[int]) -> bytes:
    """Make a run of answers as a plain server gives it."""
    return b"".join(_headed(b"1", b"%d" % uid, b"\\Seen", DATE) + b"RFC822.SIZE 10)\r\n" for uid in uids)


RUNS = st.lists(st.integers(1, 8), max_size=8).map(usual_facts)
CUTS = st.lists(st.integers(1, 300) | st.integers(300, 3000), min_size=1, max_size=5)
ANSWERS = st.tuples(st.lists(bodies() | bodies() | NOISE, max_size=12), st.lists(ENDS, min_size=1, max_size=4))
LOOKS = st.tuples(st.lists(looks() | looks() | NOISE, max_size=12), st.lists(ENDS, min_size=1, max_size=2))
LISTS = st.tuples(st.lists(facts() | RUNS | RUNS | NOISE, max_size=10), st.lists(ENDS, min_size=1, max_size=2))


def stream(answer: tuple[list[bytes], list[bytes]]) -> bytes:
    """Put responses and the ends of commands together; all responses come before the first end."""
    responses, ends = answer
    return b"".join(responses) + b"".join(b"M%d " % n + end + b"\r\n" for n, end in enumerate(ends, 1))


def commands_on(sock: Cut, *, filled: bool = False) -> Commands:
    """Make a session on a socket, whose first octets arrive with the first command if `filled`."""
    line = wire.Wire(sock, "test.example:143")  # type: ignore[arg-type] # it has all that a Wire asks of a socket
    plain = line.send

    def send(data: bytes | bytearray | memoryview) -> None:
        plain(data)
        if not line.received:
            line._fill()

    if filled:
        line.send = send  # type: ignore[method-assign] # of this one alone
    return Commands(Session(line, ADDRESS, frozenset({"ESEARCH"})))


def both(octets: bytes, sizes: Sequence[int], read: Callable[[Commands], list[Any]]) -> tuple[list[Any], list[Any]]:
    """Read the same octets in both ways, through a small buffer; gives all that can be seen of each."""
    seen = []
    usual: dict[str, Any] = {"BODY": imap_usual.BODY, "FACTS": imap_usual.FACTS, "PROBED": imap_usual.PROBED}
    for patterns in (usual, dict.fromkeys(usual, NEVER)):
        with (
            mock.patch.multiple(imap_usual, **patterns),
            mock.patch.multiple(wire, BUFFER=1024, ROOM=256),
            mock.patch.object(imap_fetch, "LITERAL_CAP", 650),
        ):
            sock = Cut(octets, sizes)
            commands = commands_on(sock)
            told = read(commands)
            left = bytes(commands.wire._view[commands.wire._start : commands.wire._end]) + sock.octets
            more = (commands.oddities, commands.alerts, commands.expunged, commands.bodies, commands._left)
            seen.append([*told, more, left, sock.sent])
    return seen[0], seen[1]


def fetched(commands: Commands, number: int = 5) -> list[Any]:
    """Fetch messages; gives whatever comes of it."""
    told: list[Any] = []
    messages = [RemoteMessage(UID(uid), 5, WHEN, frozenset(), f"id{uid}") for uid in range(1, number + 1)]
    try:
        for arrival in imap_fetch.bodies(commands, messages):
            if isinstance(arrival, NotFetched):
                told.append(arrival)
                continue
            try:
                octets = b"".join(bytes(chunk) for chunk in arrival.chunks())
                told.append((octets, arrival.message, arrival.size))
            except AgainError as error:
                told.append(str(error))
    except (MailarchiveError, Refused) as error:
        told.append((type(error), str(error)))
    return told


def listed(commands: Commands) -> list[Any]:
    """List a mailbox; gives whatever comes of it."""
    lister = imap_list.Lister(commands, MailboxStatus(5, 1), "INBOX")
    try:
        told: list[Any] = list(lister.listing(Criteria()))
    except (MailarchiveError, Refused) as error:
        told = [(type(error), str(error))]
    return [*told, lister.doubts]


def probed(commands: Commands) -> list[Any]:
    """Look at messages; gives whatever comes of it."""
    told: list[Any] = []
    box = ImapMailbox(commands, Mailbox("INBOX", b"INBOX"), MailboxStatus(5, 1))
    try:
        told.extend(box.probe([UID(uid) for uid in range(1, 6)]))
    except (MailarchiveError, Refused) as error:
        told.append((type(error), str(error)))
    return told


PLAIN = _headed(b"1", b"1", b"\\Seen", DATE) + b"BODY[] {5}\r\nhello)\r\n"


FIRST = b"* 9 EXISTS\r\n"
"""A line that the careful reader waits for, so that what stands behind it has arrived."""


@given(ANSWERS, CUTS)
@settings(max_examples=600)
@example(([FIRST, PLAIN, PLAIN.replace(b"UID 1", b"UID 2")], [b"OK done"]), [300])
@example(([FIRST, PLAIN, PLAIN], [b"OK done"]), [300])
@example(([FIRST, PLAIN.replace(b"\\Seen", b"NIL")], [b"OK done"]), [300])
@example(([FIRST, PLAIN.replace(b"01-Mar", b"\\1-Mar")], [b"OK done"]), [300])
@example(([FIRST, PLAIN.replace(b"01-Mar", b"32-Mar")], [b"OK done"]), [300])
@example(([FIRST, PLAIN.replace(b"{5}\r\nhello", b"{700}\r\n" + b"x" * 700)], [b"OK done"]), [1024])
def test_messages_are_read_the_same_in_both_ways(answer: tuple[list[bytes], list[bytes]], sizes: list[int]) -> None:
    """Bodies, reasons, doubts, errors, and what is left on the line."""
    quick, careful = both(stream(answer), sizes, fetched)
    assert quick == careful


@given(LISTS, CUTS)
@settings(max_examples=600)
@example(
    ([FIRST, usual_facts([1, 2, 3]), b"* 1 FETCH (UID 2 FLAGS ())\r\n", usual_facts([5, 4, 4])], [b"OK done"]), [300]
)
@example(([FIRST, usual_facts([1, 2]), usual_facts([2]).replace(b"SIZE 10", b"SIZE 11")], [b"OK done"]), [300])
def test_facts_are_read_the_same_in_both_ways(answer: tuple[list[bytes], list[bytes]], sizes: list[int]) -> None:
    """The listing, doubts, errors, and what is left on the line."""
    quick, careful = both(stream(answer), sizes, listed)
    assert quick == careful


LOOKED = _headed(b"1", b"1", b"\\Seen", DATE) + b"RFC822.SIZE 10 BODY[HEADER.FIELDS (FROM)]<0> {4}\r\na:\r\n)\r\n"


@given(LOOKS, CUTS)
@settings(max_examples=600)
@example(([FIRST, LOOKED, LOOKED.replace(b"UID 1", b"UID 2")], [b"OK done"]), [300])
@example(([FIRST, LOOKED, LOOKED.replace(b"\\Seen", b"NIL")], [b"NO [SERVERBUG] cannot"]), [300])
def test_messages_are_looked_at_the_same_in_both_ways(
    answer: tuple[list[bytes], list[bytes]], sizes: list[int]
) -> None:
    """What is seen before a deletion, errors, and what is left on the line."""
    quick, careful = both(stream(answer), sizes, probed)
    assert quick == careful


def test_the_quick_way_is_taken() -> None:
    """Usual answers never reach the careful reader, so that the comparison compares something."""
    octets = stream(([PLAIN, PLAIN.replace(b"UID 1", b"UID 2")], [b"OK done"]))
    refuse = mock.Mock(side_effect=AssertionError("the careful reader was asked"))
    commands = commands_on(Cut(octets, [1000]), filled=True)
    with mock.patch.object(imap_fetch, "_careful", refuse):
        assert [told[0] for told in fetched(commands, 2)] == [b"hello", b"hello"]
    commands = commands_on(Cut(stream(([usual_facts([1, 2, 3, 4, 5])], [b"OK done"])), [1000]), filled=True)
    with mock.patch.object(imap_facts.Collector, "_add", refuse):
        assert [message.uid for message in listed(commands)[:-1]] == [1, 2, 3, 4, 5]
    commands = commands_on(
        Cut(stream(([LOOKED, LOOKED.replace(b"UID 1", b"UID 2")], [b"OK done"])), [1000]), filled=True
    )
    with mock.patch.object(imap_items, "read_all", refuse):
        assert [told.message.uid for told in probed(commands)] == [1, 2]


@pytest.mark.parametrize("drained", [True, False])
def test_a_body_that_is_not_read_to_its_end_is_an_error_of_the_caller(drained: bool) -> None:
    """Also where it lay whole in the buffer."""
    octets = stream(([PLAIN, PLAIN.replace(b"UID 1", b"UID 2")], [b"OK done"]))
    commands = commands_on(Cut(octets, [1000]), filled=True)
    arrivals = imap_fetch.bodies(commands, [RemoteMessage(UID(1)), RemoteMessage(UID(2))])
    first = next(arrivals)
    assert not isinstance(first, NotFetched)
    if drained:
        assert list(first.chunks())
        assert not isinstance(next(arrivals), NotFetched)
    else:
        with pytest.raises(AssertionError, match="not read to its end"):
            next(arrivals)
    assert commands.busy


def test_usual_answers_count_against_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """As every other response does."""
    monkeypatch.setattr("mailarchive.sources.imap_commands.Commands.spend", spend := mock.Mock())
    octets = stream(([usual_facts([1, 2, 3])], [b"OK done"]))
    commands = commands_on(Cut(octets, [1000]), filled=True)
    assert len(imap_list.Lister(commands, MailboxStatus(3, 1), "INBOX").listing(Criteria())) == 3
    assert [call.args for call in spend.call_args_list] == [(3,), (1,)]


def test_what_was_read_long_ago_is_no_part_of_an_answer() -> None:
    """The buffer still holds the whole of an equal answer where only the beginning of this one has arrived."""
    line = wire.Wire(Cut(PLAIN + PLAIN, [len(PLAIN), len(PLAIN) - 6]), "test.example:143")  # type: ignore[arg-type] # see above
    line._fill()
    first = line.whole(imap_usual.BODY, imap_usual.TAIL)
    assert first is not None
    line.forward(first.length)
    line._fill()
    assert line.whole(imap_usual.BODY, imap_usual.TAIL) is None


@given(st.lists(st.binary(max_size=90).map(lambda text: text.replace(b"\n", b"") + b"\n"), max_size=20), CUTS)
def test_lines_come_out_as_they_went_in(lines: list[bytes], sizes: list[int]) -> None:
    """Wherever they are cut, and however often what is left moves to the front of the buffer."""
    with mock.patch.multiple(wire, BUFFER=64, ROOM=24):
        line = wire.Wire(Cut(b"".join(lines), sizes), "test.example:143")  # type: ignore[arg-type] # see above
        assert [line.readline() for _ in lines] == lines
