"""A line that is no line: octets that come in pieces, for tests of what reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class Cut:
    """A socket from which the octets come in pieces of given sizes, over and over; it takes whatever is sent."""

    def __init__(self, octets: bytes, sizes: Sequence[int]) -> None:
        self.octets = octets
        self.sizes = list(sizes)
        self.sent = b""

    def settimeout(self, _seconds: float) -> None:
        """Never waits."""

    def sendall(self, data: bytes) -> None:
        """Take a command."""
        self.sent += data

    def recv_into(self, view: memoryview) -> int:
        """Give the next piece; 0 when there is none, as a closed line does."""
        size = self.sizes.pop(0)
        self.sizes.append(size)
        piece, self.octets = self.octets[: min(size, len(view))], self.octets[min(size, len(view)) :]
        view[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        """End."""
