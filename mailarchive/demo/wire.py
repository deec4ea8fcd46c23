"""The line to one client: lines and literals in, bytes out, TLS in between.

The law of this room: nothing is read that a cap does not bound, nothing that came before TLS is believed behind it,
and a line that another thread cuts ends in `HungUpError` like one that the client closed.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

IDLE = 30 * 60
"""Seconds after which a silent client is sent away (RFC 3501 section 5.4)."""

_PIECE = 65536
_FULL = 1 << 18


class HungUpError(Exception):
    """The client, or `Wire.hang_up`, closed the line."""


class TooLongError(Exception):
    """A line is longer than its cap."""


class Wire:
    """A connected socket with a buffer on each side."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(IDLE)
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock = sock
        self._in = bytearray()
        self._out: list[bytes] = []
        self._waiting = 0

    @property
    def encrypted(self) -> bool:
        """Whether TLS is on the line."""
        return isinstance(self._sock, ssl.SSLSocket)

    def line(self, cap: int) -> bytes:
        """Read up to and with the next LF.

        Raises:
            TooLongError: There is none in `cap` octets.
            HungUpError: The line is closed.
        """
        searched = 0
        while (end := self._in.find(b"\n", searched, cap)) < 0:
            searched = len(self._in)
            if searched >= cap:
                raise TooLongError
            self._in += self._receive()
        found = bytes(self._in[: end + 1])
        del self._in[: end + 1]
        return found

    def exactly(self, octets: int) -> bytes:
        """Read so many octets; HungUpError if the line is closed before."""
        found = self._in[:octets]
        del self._in[:octets]
        while len(found) < octets:
            found += self._receive(min(_PIECE, octets - len(found)))
        return bytes(found)

    def write(self, *parts: bytes) -> None:
        """Put bytes on their way; they leave at the latest with `flush`."""
        self._out += parts
        self._waiting += sum(map(len, parts))
        if self._waiting >= _FULL:
            self.flush()

    def write_all(self, lines: Iterable[bytes]) -> None:
        """Write several pieces."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Send all that was written; HungUpError if the client is gone."""
        waiting, self._out, self._waiting = b"".join(self._out), [], 0
        try:
            self._sock.sendall(waiting)
        except OSError as error:
            raise HungUpError from error

    def start_tls(self, context: ssl.SSLContext) -> None:
        """Put TLS on the line as the server.

        Raises:
            HungUpError: The handshake failed, or the client sent something before it that could have been slipped in.
        """
        if self._in:
            raise HungUpError
        try:
            self._sock = encrypted = context.wrap_socket(self._sock, server_side=True, do_handshake_on_connect=False)
            encrypted.do_handshake()
        except OSError as error:
            raise HungUpError from error

    def hang_up(self, *, writing: bool = False) -> None:
        """Make whoever reads, and if told so whoever writes, in another thread get HungUpError."""
        with contextlib.suppress(OSError):
            # SSLSocket.shutdown would take TLS off the line while the other thread still speaks.
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR if writing else socket.SHUT_RD)

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()

    def _receive(self, most: int = _PIECE) -> bytes:
        try:
            piece = self._sock.recv(most)
        except OSError as error:
            raise HungUpError from error
        if not piece:
            raise HungUpError
        return piece
