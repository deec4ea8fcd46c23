"""Through deflate a connection reads the same octets, whatever they are and however both streams are cut.

Law of this room: the same calls are made on a plain line and on a compressed one, through a small buffer, and all that
they give must be equal. What is no deflate is a ProtocolError, or a lost line where it only ends too early; never
octets that were not sent.
"""

from __future__ import annotations

import itertools
import zlib
from typing import TYPE_CHECKING
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailarchive.errors import ProtocolError, UnreachableError
from mailarchive.sources import wire
from mailarchive.sources.deflate import Deflate
from tests.servers.pieces import Cut

if TYPE_CHECKING:
    from collections.abc import Sequence

FLUSHES = (zlib.Z_NO_FLUSH, zlib.Z_PARTIAL_FLUSH, zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH)
START = b"M1 OK begin\r\n"


def deflated(pieces: Sequence[tuple[bytes, int]], level: int, *, end: bool) -> bytes:
    """Compress pieces, each followed by a flush of its kind; at the end a sync flush, and the end of the stream."""
    stream = zlib.compressobj(level, wbits=-15)
    out = b"".join(stream.compress(octets) + (stream.flush(how) if how else b"") for octets, how in pieces)
    return out + stream.flush(zlib.Z_SYNC_FLUSH) + (stream.flush(zlib.Z_FINISH) if end else b"")


def reads(line: wire.Wire, counts: Sequence[int]) -> list[bytes | str]:
    """Read in turn a line, then so many octets, until nothing is left; gives all of it and how it ended."""
    found: list[bytes | str] = []
    turn = itertools.cycle(counts)
    try:
        while True:
            count = next(turn)
            found.append(line.read(count) if count else line.readline(1400))
    except ProtocolError as error:
        # What lies behind it in the buffer is how much has come, and nobody reads it.
        return [*found, error.message]
    except UnreachableError as error:
        found.append(error.message)
    return [*found, bytes(line._view[line._start : line._end])]


PIECES = st.lists(
    st.tuples(
        st.binary(max_size=300) | st.sampled_from([b"\r\n", b"a line\r\n", b"x" * 1500, b"\0" * 1200 + b"\n"]),
        st.sampled_from(FLUSHES),
    ),
    max_size=6,
)
CUTS = st.lists(st.integers(1, 20) | st.integers(20, 3000), min_size=2, max_size=5)
COUNTS = st.lists(st.sampled_from([0, 0, 5, 7, 255, 256, 1023, 1024, 2500]), min_size=1, max_size=4)


@given(PIECES, st.tuples(CUTS, CUTS), COUNTS, st.integers(0, 9), st.booleans())
def test_a_compressed_line_reads_as_a_plain_one(
    pieces: list[tuple[bytes, int]], cuts: tuple[list[int], list[int]], counts: list[int], level: int, end: bool
) -> None:
    """Lines and octets are equal one by one, wherever the two streams are cut; so are the ends."""
    plain = b"".join(octets for octets, _ in pieces)
    with mock.patch.multiple(wire, BUFFER=1024, ROOM=256):
        beside = wire.Wire(Cut(START + plain, cuts[0]), "test.example:143")  # type: ignore[arg-type] # all it asks of one
        packed = wire.Wire(Cut(START + deflated(pieces, level, end=end), cuts[1]), "test.example:143")  # type: ignore[arg-type] # see above
        assert packed.readline() == beside.readline() == START
        packed.start_deflate()
        assert reads(packed, counts) == reads(beside, counts)
        assert packed.received <= len(START) + len(plain) + 3000


@given(st.lists(st.binary(max_size=500), max_size=10))
def test_what_is_sent_can_be_read_at_once(pieces: list[bytes]) -> None:
    """After each piece the other side has all of it, without waiting for more."""
    sock = Cut(b"", [1])
    line = wire.Wire(sock, "test.example:143")  # type: ignore[arg-type] # see above
    line.send(b"plain")
    line.start_deflate()
    assert sock.sent == b"plain"
    other = zlib.decompressobj(wbits=-15)
    for piece in pieces:
        sock.sent = b""
        line.send(memoryview(piece))
        assert other.decompress(sock.sent) == piece


@given(st.binary(min_size=1, max_size=400), CUTS)
def test_garbage_is_an_error_or_the_end_and_never_hangs(octets: bytes, cuts: list[int]) -> None:
    """Any octets at all; the line ends behind them."""
    with mock.patch.multiple(wire, BUFFER=1024, ROOM=256):
        line = wire.Wire(Cut(octets, cuts), "test.example:143")  # type: ignore[arg-type] # see above
        line.start_deflate()
        with pytest.raises((ProtocolError, UnreachableError)):
            for _ in line.pieces(10_000_000):
                pass


@given(st.integers(0, 3000))
def test_a_stream_that_ends_too_early_gives_only_what_was_sent(cut: int) -> None:
    """Cut anywhere: a beginning of the text, then a lost line."""
    text = b"".join(b"* %d FETCH (UID %d)\r\n" % (n, n * n) for n in range(300))
    with mock.patch.multiple(wire, BUFFER=1024, ROOM=256):
        line = wire.Wire(Cut(deflated([(text, 0)], 6, end=False)[:cut], [100]), "test.example:143")  # type: ignore[arg-type] # see above
        line.start_deflate()
        *found, why, _ = reads(line, [1])
    assert why == "test.example:143 closed the connection"
    assert text.startswith(b"".join(piece for piece in found if isinstance(piece, bytes)))


def stream(*parts: bytes) -> Deflate:
    """Make a stream that has been fed with the first part."""
    made = Deflate("test.example:143")
    made.feed(parts[0])
    return made


def test_no_more_is_made_than_there_is_room_for() -> None:
    """What 1 kB stands for comes in pieces of the room's size, without being fed again."""
    made = stream(deflated([(b"x" * 1_000_000, 0)], 9, end=False))
    room = memoryview(bytearray(1000))
    sizes = []
    while count := made.give(room):
        sizes.append(count)
    assert sizes == [1000] * 1000
    assert not made.holds


@pytest.mark.parametrize("room", [1, 7, 258])
def test_nothing_is_held_back_until_more_comes(room: int) -> None:
    """Of each beginning of a stream all is given that it stands for, though one octet can stand for 258."""
    packed = deflated([(b"abc" * 300 + b"x" * 500 + bytes(range(100)) * 3, 0)], 9, end=False)
    made, beside = stream(b""), zlib.decompressobj(wbits=-15)
    view = memoryview(bytearray(room))
    for octet in packed:
        made.feed(bytes([octet]))
        given = b""
        while count := made.give(view):
            given += view[:count]
        assert given == beside.decompress(bytes([octet]))


def test_octets_that_were_inflated_and_not_read_are_pending() -> None:
    """What stands in the stream counts as what stands in the buffer."""
    line = wire.Wire(Cut(deflated([(b"x", 0)], 6, end=False), [1000]), "test.example:143")  # type: ignore[arg-type] # see above
    line._fill()
    line.start_deflate()
    assert line.pending()


def test_nothing_may_stand_behind_the_end_of_the_stream() -> None:
    """In the same piece, or in a later one."""
    whole = deflated([(b"bye", 0)], 6, end=True)
    room = memoryview(bytearray(10))
    with pytest.raises(ProtocolError, match="behind the end"):
        stream(whole + b"x").give(room)
    made = stream(whole)
    assert made.give(room) == 3
    assert made.give(room) == 0
    with pytest.raises(ProtocolError, match="behind the end"):
        made.feed(b"x")


def test_a_stream_that_says_nothing_is_left() -> None:
    """Empty blocks may not go on for ever; between octets they are no harm."""
    empty = b"\x00\x00\x00\xff\xff" * 2000
    room = memoryview(bytearray(10))
    made = stream(b"")
    for _ in range(20):
        made.feed(empty)
        assert made.give(room) == 0
        made.feed(b"\x00\x01\x00\xfe\xffx")
        assert made.give(room) == 1
    with pytest.raises(ProtocolError, match="says nothing"):  # noqa: PT012 - it may be any of the rounds
        for _ in range(8):
            made.feed(empty)
            made.give(room)


def test_f017_octets_that_stand_for_too_much_are_a_bomb(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand for one is taken up to the amount that any message may have, and not much further."""
    monkeypatch.setattr("mailarchive.sources.deflate.ALWAYS", 5_000_000)
    made = stream(b"")
    packed = zlib.compressobj(9, wbits=-15)
    room = memoryview(bytearray(100_000))
    given = 0
    with pytest.raises(ProtocolError, match="stand for more than"):  # noqa: PT012 - it may be any of the rounds
        for _ in range(100):
            made.feed(packed.compress(bytes(1_000_000)) + packed.flush(zlib.Z_SYNC_FLUSH))
            while count := made.give(room):
                given += count
    assert 5_000_000 < given < 6_500_000
