"""The reader of POP3 answers gives exactly the octets of a message, however they look and however they arrive."""

from __future__ import annotations

import contextlib
import itertools
import re
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailarchive.errors import AccountError, ProtocolError, UnreachableError
from mailarchive.sources import pop_lines, wire
from mailarchive.sources.pop_lines import Declined, Lines
from mailarchive.sources.wire import Wire
from tests.servers.scripted_pop import multiline

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence


class Stream:
    """A socket from which the octets come in given pieces, and then nothing more, or silence."""

    def __init__(self, pieces: Sequence[bytes], *, silent: bool = False) -> None:
        self._pieces = [piece for piece in pieces if piece]
        self._silent = silent
        self.sent = b""

    def settimeout(self, seconds: float) -> None:
        """Take it."""

    def sendall(self, data: bytes) -> None:
        """Keep it."""
        self.sent += bytes(data)

    def close(self) -> None:
        """Close."""

    def recv_into(self, view: memoryview) -> int:
        """Give the next piece, or as much of it as there is room for."""
        if not self._pieces:
            if self._silent:
                raise TimeoutError
            return 0
        piece = self._pieces.pop(0)
        count = min(len(piece), len(view))
        view[:count] = piece[:count]
        if count < len(piece):
            self._pieces.insert(0, piece[count:])
        return count


def lines_of(*pieces: bytes, silent: bool = False) -> Lines:
    """Give the reader of a stream."""
    stream: socket.socket = Stream(pieces, silent=silent)  # type: ignore[assignment] # what Wire uses of one
    return Lines(Wire(stream, "test"))


def cut(octets: bytes, places: Sequence[int]) -> list[bytes]:
    """Cut octets at these places."""
    marks = [0, *sorted(place % (len(octets) + 1) for place in places), len(octets)]
    return [octets[begin:end] for begin, end in itertools.pairwise(marks)]


def sent(octets: bytes) -> bytes:
    """Give what a message is once it was sent: with a line end at its end."""
    return octets if not octets or octets.endswith(b"\r\n") else octets + b"\r\n"


# Octets that are likely to confuse a reader, and any others.
ODD = st.lists(
    st.one_of(
        st.sampled_from([b"\r", b"\n", b".", b"\r\n", b"\r\n.", b"\r\n.\r", b"\n.\n", b"..", b"+OK", b"-ERR", b"\0"]),
        st.binary(max_size=6),
    ),
    max_size=40,
).map(b"".join)
CUTS = st.lists(st.integers(min_value=0, max_value=100_000), max_size=30)


@settings(max_examples=600, deadline=None)
@given(messages=st.lists(ODD, min_size=1, max_size=4), places=CUTS)
def test_octets_come_out_as_they_went_in(messages: list[bytes], places: list[int]) -> None:
    """For each message, and the next status line stands where it should."""
    whole = b"".join(multiline(message) for message in messages) + b"+OK the end\r\n"
    lines = lines_of(*cut(whole, places))
    for message in messages:
        lines.send(b"RETR", b"1")
        assert lines.status() == b""
        assert b"".join(map(bytes, lines.body())) == sent(message)
        assert lines.waiting == 0
    lines.send(b"NOOP")
    assert lines.status() == b"the end"


@settings(max_examples=300, deadline=None)
@given(message=ODD, places=CUTS, near=st.integers(min_value=3, max_value=9))
def test_dots_are_found_wherever_the_search_for_them_changes(message: bytes, places: list[int], near: int) -> None:
    """From CRLF and a dot to a dot alone, and back."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pop_lines, "NEAR", near)
        lines = lines_of(*cut(multiline(message) + b"+OK\r\n", places))
        lines.send(b"RETR", b"1")
        assert _whole(lines) == sent(message)
        assert lines.ask(b"NOOP") == b""


@settings(max_examples=200, deadline=None)
@given(message=ODD)
def test_octet_by_octet(message: bytes) -> None:
    """The hardest way that it can arrive."""
    whole = multiline(message) + b"+OK\r\n"
    lines = lines_of(*(whole[at : at + 1] for at in range(len(whole))))
    lines.send(b"RETR", b"1")
    lines.status()
    assert b"".join(map(bytes, lines.body())) == sent(message)
    assert lines.ask(b"NOOP") == b""


@settings(max_examples=200, deadline=None)
@given(message=ODD, place=st.integers(min_value=0), silent=st.booleans())
def test_an_answer_that_ends_early_is_an_error(message: bytes, place: int, silent: bool) -> None:
    """Wherever: the line is dead, and what came is not taken for a message."""
    whole = multiline(message)
    begin = place % len(whole)
    lines = lines_of(whole[:begin], silent=silent)
    lines.send(b"RETR", b"1")
    with pytest.raises(UnreachableError):
        _whole(lines)


def _whole(lines: Lines) -> bytes:
    lines.status()
    return b"".join(map(bytes, lines.body()))


@settings(max_examples=300, deadline=None)
@given(octets=st.binary(max_size=400), places=CUTS)
def test_any_octets_end_in_an_answer_or_an_error_of_ours(octets: bytes, places: list[int]) -> None:
    """Nothing else is raised, and nothing hangs."""
    lines = lines_of(*cut(octets, places))
    lines.send(b"RETR", b"1")
    with contextlib.suppress(AccountError, Declined):
        _whole(lines)
    lines = lines_of(*cut(octets, places))
    lines.send(b"UIDL")
    try:
        lines.status()
        assert all(isinstance(line, bytes) for line in lines.listing())
    except (AccountError, Declined):
        pass


@pytest.mark.parametrize("length", [2047, 2048, 2049, 2050, 65_536, 262_143, 262_144, 262_145, 10_000_000])
def test_f073_lines_of_any_length(length: int) -> None:
    """With dots at their beginning and at every place where the buffer of the line ends."""
    for fill in (b"x", b"."):
        message = b"a\r\n" + fill * length + b"\r\n.\r\n"
        whole = multiline(message) + b"+OK\r\n"
        lines = lines_of(*(whole[at : at + 65_521] for at in range(0, len(whole), 65_521)))
        lines.send(b"RETR", b"1")
        assert _whole(lines) == message
        assert lines.ask(b"NOOP") == b""


@pytest.mark.parametrize("offset", range(-8, 3))
def test_the_end_falls_on_the_edge_of_the_buffer(offset: int) -> None:
    """Whichever of its octets the buffer ends with."""
    message = b"y" * (wire.BUFFER - len(b"+OK \r\n") + offset) + b"\r\n..\r\n.\r\n"
    lines = lines_of(multiline(message) + b"+OK\r\n")
    lines.send(b"RETR", b"1")
    assert _whole(lines) == message
    assert lines.ask(b"NOOP") == b""


@pytest.mark.parametrize(
    "message",
    [
        b".\r\n" * 5000,
        b"..\r\n.\r\n...\r\n" * 100,
        b"\r\n" * 5000,
        b"\n.\n.\r.\r\r\n",
        b"a\r\n.\nb\r\n.\rc\r\n",
        b"\r",
        b"\n",
        b"\0",
        b".",
        bytes(range(256)) * 3,
        b"no end",
        b"ends in CR\r",
        b"",
    ],
)
def test_f074_messages_that_confuse(message: bytes) -> None:
    """Only CRLF, a dot, CRLF ends one."""
    lines = lines_of(multiline(message) + b"+OK\r\n")
    lines.send(b"RETR", b"1")
    assert _whole(lines) == sent(message)
    assert lines.ask(b"NOOP") == b""


def test_a_dot_that_a_server_forgot_to_double_stays() -> None:
    """It can only be the message's own; Dovecot forgets to at the first octet of a message."""
    lines = lines_of(b"+OK\r\n.hidden\r\n..two\r\n.\rx\r\n.\nx\r\n.\r\n")
    lines.send(b"RETR", b"1")
    assert _whole(lines) == b".hidden\r\n.two\r\n.\rx\r\n.\nx\r\n"


@pytest.mark.parametrize(("block", "times"), [(b"x" * 200_000, 200), (b"..yz\r\n" * 10_000, 20)])
def test_many_octets_take_little_memory(block: bytes, times: int) -> None:
    """Megabytes in one line and in short ones, with the dot of each taken off."""
    lines = lines_of(b"+OK\r\n", *[block] * times, b"\r\n.\r\n")
    lines.send(b"RETR", b"1")
    lines.status()
    tracemalloc.start()
    count = sum(map(len, lines.body()))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    dots = block.count(b"\r\n")
    assert count == (len(block) - dots) * times + 2
    assert peak < 4 * 1024 * 1024


@pytest.mark.parametrize("answer", [b"+OK " + b"x" * 70_000, b"x" * 5_000_000, b"-ERR " + b"y" * 70_000 + b"\r\n"])
def test_a_status_line_without_end_is_an_error(answer: bytes) -> None:
    """At 64 KiB, long before it takes memory."""
    lines = lines_of(answer)
    lines.send(b"NOOP")
    with pytest.raises(ProtocolError, match="more than 65536 octets"):
        lines.status()


def test_an_endless_list_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a number of lines, or at the length of one."""
    monkeypatch.setattr(pop_lines, "LINES", 1000)
    with pytest.raises(ProtocolError, match="without end"):
        list(lines_of(b"1 2\r\n" * 1001 + b".\r\n").listing())
    assert len(list(lines_of(b"1 2\r\n" * 999 + b".\r\n").listing())) == 999
    with pytest.raises(ProtocolError, match="more than 65536 octets"):
        list(lines_of(b"1 2\r\n" + b"z" * 70_000).listing())


@pytest.mark.parametrize("line", [b"OK\r\n", b"\r\n", b"* OK\r\n", b"-ER\r\n", b" +OK\r\n", b"\0+OK\r\n"])
def test_what_is_no_answer_is_an_error(line: bytes) -> None:
    """Nobody guesses."""
    lines = lines_of(line)
    lines.send(b"NOOP")
    with pytest.raises(ProtocolError):
        lines.status()


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (b"DELE", b"1"),
        (b"RETR", b"1\r\nDELE 1"),
        (b"RETR", b"a"),
        (b"TOP", b"1"),
        (b"XTND", b""),
        (b"USER", b""),
        (b"APOP", b""),
        (b"retr", b"1"),
    ],
)
def test_nothing_leaves_that_the_list_does_not_hold(command: bytes, arguments: bytes) -> None:
    """DELE outside of an order, a second line, a word; only TOP with one number would be harmless."""
    lines = lines_of()
    if (command, arguments) == (b"TOP", b"1"):
        lines.send(command, arguments)
        return
    with pytest.raises(AssertionError):
        lines.send(command, arguments)
    assert lines.waiting == 0
    assert lines.wire.sock.sent == b""  # type: ignore[attr-defined] # a Stream


def test_one_write_holds_a_command_for_each_argument() -> None:
    """All of them are checked before any leaves."""
    lines = lines_of()
    with pytest.raises(AssertionError):
        lines.send(b"RETR", b"1", b"2", b"3\r\nDELE 1")
    assert lines.waiting == 0
    lines.send(b"RETR", b"1", b"2", b"3")
    assert lines.waiting == 3
    assert lines.wire.sock.sent == b"RETR 1\r\nRETR 2\r\nRETR 3\r\n"  # type: ignore[attr-defined] # a Stream


def test_dele_leaves_while_an_order_is_carried_out_and_not_behind_it() -> None:
    """Also if that ends in an error."""
    lines = lines_of()
    with pytest.raises(UnreachableError), lines.deleting():
        lines.ask(b"DELE", b"1")
    with pytest.raises(AssertionError):
        lines.send(b"DELE", b"2")
    assert lines.wire.sock.sent == b"DELE 1\r\n"  # type: ignore[attr-defined] # a Stream


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b"-ERR [IN-USE] x", "IN-USE"),
        (b"-ERR [in-use] x", "IN-USE"),
        (b"-ERR [SYS/TEMP] x", "SYS/TEMP"),
        (b"-ERR maildrop already locked", "IN-USE"),
        (b"-err Mailbox is in use by another", "IN-USE"),
        (b"-ERR", ""),
        (b"-ERR [] x", ""),
    ],
)
def test_the_code_of_a_refusal(said: bytes, code: str) -> None:
    """RFC 2449 section 8, and what older servers say instead."""
    lines = lines_of(said + b"\r\n")
    lines.send(b"NOOP")
    with pytest.raises(Declined) as caught:
        lines.status()
    assert caught.value.code == code
    assert re.search(r"\w", caught.value.said)
