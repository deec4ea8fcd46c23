"""UIDs as sets on a command line: compressed to ranges, cut to lines that every server takes (RFC 9051 section 9).

The law of this room: a range spans only UIDs that were asked for, and no set is ever empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailarchive.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MOST = 1000
"""UIDs in one command: what a server with MESSAGELIMIT handles in one go (RFC 9738)."""

HIGHEST = 2**32 - 1


def commands(uids: Sequence[int], *, octets: int, most: int = MOST) -> Iterator[tuple[bytes, Sequence[int]]]:
    """Cut ascending UIDs into sets of at most `octets` octets and `most` UIDs; gives each set with its UIDs."""
    begin = 0
    parts: list[bytes] = []
    length = 0
    for first, last in _runs(uids, most):
        part = b"%d" % uids[first] if first + 1 == last else b"%d:%d" % (uids[first], uids[last - 1])
        if parts and (length + len(part) + 1 > octets or last - begin > most):
            yield b",".join(parts), uids[begin:first]
            begin, parts, length = first, [], 0
        parts.append(part)
        length += len(part) + 1
    if parts:
        yield b",".join(parts), uids[begin:]


def _runs(uids: Sequence[int], most: int) -> Iterator[tuple[int, int]]:
    """Give the index ranges of consecutive UIDs, none longer than `most`."""
    first = 0
    for index in range(1, len(uids) + 1):
        if index == len(uids) or uids[index] != uids[index - 1] + 1 or index - first == most:
            yield first, index
            first = index


def parse(text: bytes, *, most: int) -> list[int]:
    """Read a set such as `1:3,7` of an ESEARCH answer (RFC 4731) into UIDs.

    Raises:
        ProtocolError: It is no set, holds 0 or `*`, or would grow over `most` UIDs.
    """
    uids: list[int] = []
    for part in text.split(b","):
        first, colon, last = part.partition(b":")
        try:
            low, high = int(first), int(last) if colon else int(first)
        except ValueError:
            raise ProtocolError("the server sent a set of UIDs that cannot be read") from None
        low, high = min(low, high), max(low, high)
        if low < 1 or high > HIGHEST or len(uids) + high - low + 1 > most:
            raise ProtocolError("the server sent a set of UIDs that cannot be")
        uids.extend(range(low, high + 1))
    return uids
