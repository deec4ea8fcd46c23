"""One buffered connection to a server, shared by every protocol.

The law of this room: the only file that reads or writes a socket. Memory is bounded by the buffer and by the caps that
the callers give; a dead or silent line is an UnreachableError; a line or literal over its cap is a ProtocolError.
After any error the connection is of no more use. Every octet is counted as it is read, after deflate.
"""

from __future__ import annotations

import math
import select
import socket
import ssl
import time
from typing import TYPE_CHECKING, NamedTuple

from mailarchive.errors import LaterError, ProtocolError, UnreachableError
from mailarchive.scrub import Scrubber
from mailarchive.sources import pace

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator

    from mailarchive.sources.deflate import Deflate

BUFFER = 256 * 1024
ROOM = 64 * 1024
"""Octets that a read asks for at least; with less room behind it, what is left in the buffer moves to its front."""
WORDS = 1000
"""Characters of a server's sentence that people are shown."""
LINE_CAP = 1024 * 1024
TIMEOUT = 60.0
"""Seconds of silence after which a server counts as gone."""
SLOW = 300.0
"""Seconds of waiting for the answer to one command after which its rate must be at least `SLOWEST`."""
SLOWEST = 1024
"""Octets a second; providers that throttle silently go below."""


class Whole(NamedTuple):
    """An answer in the buffer: the groups of its head, the octets of its literal, and how long all of it is."""

    groups: tuple[bytes, ...]
    literal: memoryview
    length: int


class Arrived(NamedTuple):
    """What has arrived: from `start` up to `end`; outside of that stand octets of answers that were read long ago."""

    buffer: bytearray
    view: memoryview
    start: int
    end: int


class Wire:
    """A socket with one fixed read buffer.

    Args:
        sock: Connected, with or without TLS; this object closes it.
        peer: Host and port for messages to people.
        timeout: Seconds that a single read or write may take.

    Attributes:
        round_trip: Seconds of the quickest answer to a short question, for who asks one to note.
    """

    def __init__(self, sock: socket.socket, peer: str, *, timeout: float = TIMEOUT) -> None:
        sock.settimeout(timeout)
        self.peer = peer
        self.timeout = timeout
        self.received = 0
        self.round_trip = math.inf
        self._sock = sock
        self._buffer = bytearray(BUFFER)
        self._view = memoryview(self._buffer)
        self._start = 0
        self._end = 0
        self._closed = False
        self._waited = 0.0
        self._since = 0
        self._scrubber = Scrubber()
        self._deadline: float | None = None
        self._longest = pace.Stretch(0, 0.0)
        self._deflate: Deflate | None = None
        self._packed = memoryview(b"")

    def end_within(self, seconds: float) -> None:
        """Give the line up after so many seconds from now, however much arrives on it."""
        self._deadline = time.monotonic() + seconds
        self._sock.settimeout(seconds)

    def keep_secret(self, secret: str) -> None:
        """Take this out of every word of the server that is shown to people."""
        self._scrubber.add(secret)

    def words(self, octets: bytes | str) -> str:
        """Give what the server said as text for people; secrets are taken out, it is foreign all the same."""
        text = octets if isinstance(octets, str) else octets.decode("utf-8", "replace")
        return self._scrubber.scrub(text)[:WORDS]

    def send(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything."""
        try:
            self._sock.sendall(data if self._deflate is None else self._deflate.deflate(data))
        except OSError as error:
            raise self._dead(error) from None
        self._longest = self.longest
        self._waited, self._since = 0.0, self.received

    def readline(self, cap: int = LINE_CAP) -> bytes:
        """Read up to and with the next LF; a line of more than `cap` octets is a ProtocolError."""
        parts: list[bytes] = []
        length = 0
        scan = self._start
        while (found := self._buffer.find(b"\n", scan, self._end)) < 0:
            if self._end - self._start == BUFFER:
                parts.append(bytes(self._view))
                length += BUFFER
                self._start = self._end = 0
            if length + self._end - self._start > cap:
                raise ProtocolError(f"{self.peer} sent a line of more than {cap} octets")
            before = self._end - self._start
            self._fill()
            scan = self._start + before
        parts.append(bytes(self._view[self._start : found + 1]))
        self._start = found + 1
        if length + len(parts[-1]) > cap:
            raise ProtocolError(f"{self.peer} sent a line of more than {cap} octets")
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def read(self, count: int) -> bytes:
        """Read exactly `count` octets into memory; the caller has checked that they are few."""
        return b"".join(bytes(piece) for piece in self.pieces(count))

    def pieces(self, count: int) -> Iterator[memoryview]:
        """Give exactly `count` octets in pieces, each valid only until the next one is asked for."""
        while count:
            if self._start == self._end:
                self._fill()
            size = min(count, self._end - self._start)
            begin = self._start
            self._start += size
            count -= size
            yield self._view[begin : begin + size]

    def run(self, run: re.Pattern[bytes], one: re.Pattern[bytes]) -> list[tuple[bytes, ...]]:
        """Take what `run` finds next in the buffer, without waiting; gives the groups of each `one` in it."""
        found = run.match(self._buffer, self._start, self._end)
        if found is None:
            return []
        begin, self._start = self._start, found.end()
        return one.findall(self._buffer, begin, self._start)

    def whole(self, head: re.Pattern[bytes], tail: bytes) -> Whole | None:
        """Find, without taking it, an answer that lies whole in the buffer: head, literal and tail.

        The last group of `head` is the size of the literal.
        """
        found = head.match(self._buffer, self._start, self._end)
        if found is None:
            return None
        groups = found.groups()
        begin = found.end()
        end = begin + int(groups[-1])
        # Never behind what has arrived: there the buffer holds octets of answers that were read long ago.
        if not self._buffer.startswith(tail, end, self._end):
            return None
        return Whole(groups, self._view[begin:end], end + len(tail) - self._start)

    def forward(self, count: int) -> None:
        """Take octets that were found in the buffer; what they are stays where it is until more is asked for."""
        assert 0 <= count <= self._end - self._start
        self._start += count

    @property
    def taken(self) -> int:
        """Octets that were received and taken by somebody."""
        return self.received - (self._end - self._start)

    def arrived(self) -> Arrived:
        """Give what has arrived, to be searched and not changed; it stays where it is until more is asked for."""
        return Arrived(self._buffer, self._view, self._start, self._end)

    def more(self) -> None:
        """Wait for octets behind those that have arrived and were not taken yet, which may move."""
        assert self._end - self._start < BUFFER
        self._fill()

    def pending(self) -> bool:
        """Tell whether octets have arrived that nobody asked for, without waiting; a line that has ended raises."""
        if self._start != self._end or (self._deflate is not None and self._deflate.holds):
            return True
        if isinstance(self._sock, ssl.SSLSocket) and self._sock.pending():
            return True
        if not select.select([self._sock], [], [], 0)[0]:
            return False
        try:
            # Of the line below TLS, which alone can be looked at without taking anything from it.
            seen = socket.socket.recv(self._sock, 1, socket.MSG_PEEK)
        except OSError as error:
            raise self._dead(error) from None
        if not seen:
            raise UnreachableError(f"{self.peer} closed the connection", temporary=True)
        return True

    def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """Put TLS on the line; nothing may be pending. Raises ssl.SSLError or OSError for the caller to explain."""
        sock = context.wrap_socket(self._sock, server_hostname=host, do_handshake_on_connect=False)
        # Ours already, so that the caller can look at a certificate that is refused.
        self._sock = sock
        sock.do_handshake()

    def start_deflate(self) -> None:
        """Put deflate on the line, once; what has arrived and was not read is the beginning of its stream."""
        # Imported here: most sessions need no deflate.
        from mailarchive.sources.deflate import Deflate

        assert self._deflate is None
        self._deflate = Deflate(self.peer)
        self._deflate.feed(bytes(self._view[self._start : self._end]))
        self._start = self._end = 0
        self._packed = memoryview(bytearray(ROOM))

    @property
    def is_far(self) -> bool:
        """Whether the other end is on another computer and nothing compresses the line yet."""
        if isinstance(self._sock, ssl.SSLSocket) and self._sock.compression():
            return False
        try:
            peer = self._sock.getpeername()
        except OSError:
            return False
        return isinstance(peer, tuple) and not pace.is_here(peer[0])

    @property
    def longest(self) -> pace.Stretch:
        """The most octets that came between two commands, the last one included."""
        return max(self._longest, pace.Stretch(self.received - self._since, self._waited))

    def note_round_trip(self) -> None:
        """Note that what was sent last was a short question, and that its answer has been read."""
        self.round_trip = min(self.round_trip, self._waited)

    def close(self) -> None:
        """Close the line; never fails, may be called twice."""
        if self._closed:
            return
        self._closed = True
        self._sock.close()

    @property
    def sock(self) -> socket.socket:
        """The socket, for reading the certificate."""
        return self._sock

    def _fill(self) -> None:
        if self._start == self._end:
            self._start = self._end = 0
        elif BUFFER - self._end < ROOM and self._start:
            left = self._end - self._start
            self._view[:left] = bytes(self._view[self._start : self._end])
            self._start, self._end = 0, left
        room = self._view[self._end :]
        count = self._receive(room) if self._deflate is None else self._inflate(self._deflate, room)
        self._end += count
        self.received += count
        self._check_rate()

    def _inflate(self, deflate: Deflate, room: memoryview) -> int:
        """Read what stands for at least one octet, and no more than there is room for."""
        while not (count := deflate.give(room)):
            deflate.feed(self._packed[: self._receive(self._packed)])
            self._check_rate()
        return count

    def _receive(self, room: memoryview) -> int:
        """Wait for octets of the socket."""
        began = time.monotonic()
        try:
            count = self._sock.recv_into(room)
        except OSError as error:
            raise self._dead(error) from None
        now = time.monotonic()
        self._waited += now - began
        if self._deadline is not None and now > self._deadline:
            raise UnreachableError(f"{self.peer} does not end the session")
        if not count:
            raise self._ended()
        return count

    def _check_rate(self) -> None:
        if self._waited > SLOW:
            if self.received - self._since < SLOWEST * SLOW:
                raise LaterError(f"{self.peer} sends less than {SLOWEST} octets a second", final=True)
            self._waited, self._since = 0.0, self.received

    def _ended(self) -> UnreachableError:
        return UnreachableError(f"{self.peer} closed the connection", temporary=True)

    def _dead(self, error: OSError) -> UnreachableError:
        if isinstance(error, TimeoutError):
            return UnreachableError(f"{self.peer} has been silent for {self.timeout:.0f} s", temporary=True)
        reason = error.strerror or type(error).__name__
        return UnreachableError(f"the connection to {self.peer} broke: {reason}", temporary=True)
