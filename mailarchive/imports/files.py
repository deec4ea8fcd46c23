"""Files of a source: opened for reading, without following links, and read in pieces.

The law of this room: nothing of a source is ever written, renamed or removed. A file that is another one, or has
changed, since it was looked at gives no octets: what was learned about it no longer holds. Errors of the system become
a MessageError that names no more than the reason.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from mailarchive.dates import FIRST_YEAR, LAST_YEAR
from mailarchive.errors import MessageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PIECE: Final = 256 * 1024
"""Octets read at a time."""

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW


class _State(NamedTuple):
    device: int
    inode: int
    size: int
    changed: int


class SourceFile:
    """A regular file as it was when it was looked at.

    Raises:
        MessageError: It is none, or cannot be looked at.

    Attributes:
        size: In octets.
        time: Its modification time; None if that is no time of mail.
    """

    __slots__ = ("_state", "path", "size", "time")

    def __init__(self, path: Path) -> None:
        try:
            found = path.lstat()
        except OSError as error:
            raise MessageError(reason(error)) from None
        if not stat.S_ISREG(found.st_mode):
            raise MessageError("it is no regular file")
        self.path = path
        self.size = found.st_size
        self.time = instant(found.st_mtime)
        self._state = _state(found)

    @contextmanager
    def reading(self) -> Iterator[Callable[[int, int], bytes]]:
        """Open it; gives a function that reads at an offset so many octets, fewer only at the end of the file.

        Raises:
            MessageError: It has changed, or cannot be read.
        """
        try:
            # Only a folder above the file may be a link: the user may have named the source by one.
            fd = os.open(self.path, _FLAGS)
            try:
                if _state(os.fstat(fd)) != self._state:
                    raise MessageError("the file has changed while it was read")
                yield lambda offset, count: _whole(fd, offset, count)
            finally:
                os.close(fd)
        except OSError as error:
            raise MessageError(reason(error)) from None

    def pieces(self, start: int, end: int) -> Iterator[bytes]:
        """Give the octets between two offsets. Raises MessageError likewise."""
        with self.reading() as read:
            while start < end:
                piece = read(start, min(PIECE, end - start))
                if not piece:
                    raise MessageError("the file has changed while it was read")
                start += len(piece)
                yield piece

    def part(self, offset: int, count: int) -> bytes:
        """Give a part of it at once. Raises MessageError likewise."""
        with self.reading() as read:
            return read(offset, count)


def instant(seconds: float) -> datetime | None:
    """Give a time of the system, to the second; None if it is outside the years of mail, or 0: unknown."""
    try:
        when = datetime.fromtimestamp(int(seconds), UTC)
    except (OSError, OverflowError, ValueError):
        return None
    return when if seconds >= 1 and FIRST_YEAR <= when.year <= LAST_YEAR else None


def reason(error: OSError) -> str:
    """Say why the system refused."""
    return error.strerror or type(error).__name__


def _state(found: os.stat_result) -> _State:
    return _State(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def _whole(fd: int, offset: int, count: int) -> bytes:
    """Read so many octets, however few the system gives at a time."""
    piece = os.pread(fd, count, offset)
    if len(piece) == count or not piece:
        return piece
    parts = [piece]
    missing = count - len(piece)
    while missing and (piece := os.pread(fd, missing, offset + count - missing)):
        parts.append(piece)
        missing -= len(piece)
    return b"".join(parts)
