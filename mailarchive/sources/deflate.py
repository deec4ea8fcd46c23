"""Deflate in both directions of a connection, without headers (RFC 4978, RFC 1951).

The law of this room: octets in, octets out, no socket. However much a few octets stand for, only as many are made at a
time as there is room for; what is no deflate, stands behind its end, or says too little or too much, is a
ProtocolError. What is counted and capped above is what comes out of here, so every cap there holds.
"""

from __future__ import annotations

import zlib

from mailarchive.errors import ProtocolError

WINDOW = -15
"""Raw deflate with a window of 32 KiB."""
ALWAYS = 1024**3
"""Octets that a session may bring however small they came; more than any single message that is taken."""
RATIO = 100
"""How many octets each one that arrives may stand for, beyond `ALWAYS`; mail has 1.3 to 10."""
EMPTY = 64 * 1024
"""Octets that may arrive and stand for nothing at all."""


class Deflate:
    """The two streams of one connection.

    Args:
        peer: Host and port for messages to people.
    """

    def __init__(self, peer: str) -> None:
        self._peer = peer
        self._out = zlib.compressobj(wbits=WINDOW)
        self._in = zlib.decompressobj(wbits=WINDOW)
        self._left: bytes | memoryview = b""
        self._fed = 0
        self._given = 0
        self._silent = 0
        self._full = False

    def deflate(self, data: bytes | bytearray | memoryview) -> bytes:
        """Give what is to be sent for these octets; the other side can read all of them at once."""
        return self._out.compress(data) + self._out.flush(zlib.Z_SYNC_FLUSH)

    @property
    def holds(self) -> bool:
        """Whether there may be octets to give without being fed."""
        return bool(self._left) or self._full

    def feed(self, data: bytes | memoryview) -> None:
        """Take what has arrived; a view is read before it is fed again, and everything before it has been given."""
        assert not self._left
        self._fed += len(data)
        self._silent += len(data)
        if self._in.eof and data:
            raise ProtocolError(f"{self._peer} sent something behind the end of its compressed stream")
        self._left = data

    def give(self, room: memoryview) -> int:
        """Write what comes next into `room`, which is not empty; gives its octets, 0 if it must be fed first."""
        assert room, "without a bound zlib makes all there is"
        if not self.holds:
            return 0
        try:
            octets = self._in.decompress(self._left, len(room))
        except zlib.error:
            raise ProtocolError(f"{self._peer} sent a compressed stream that cannot be read") from None
        if self._in.unused_data:
            raise ProtocolError(f"{self._peer} sent something behind the end of its compressed stream")
        self._left = self._in.unconsumed_tail
        self._full = len(octets) == len(room)
        self._count(len(octets))
        room[: len(octets)] = octets
        return len(octets)

    def _count(self, octets: int) -> None:
        self._given += octets
        self._silent = 0 if octets else self._silent
        if self._silent > EMPTY:
            raise ProtocolError(f"{self._peer} sends a compressed stream that says nothing")
        if self._given > ALWAYS + RATIO * self._fed:
            raise ProtocolError(f"{self._peer} sent {self._fed} octets that stand for more than {self._given}")
