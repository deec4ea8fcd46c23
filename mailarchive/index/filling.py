"""Fills the index with what is archived.

The law of this room: one bad message costs itself and never the others; after each message somebody may say stop, and
what was read until then is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from mailarchive.errors import ArchiveError
from mailarchive.reading import read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mailarchive.index.store import Index, Waiting
    from mailarchive.model import Location
    from mailarchive.reading import Letter

LOOK: Final = 16 * 1024 * 1024
"""Octets of a message that are looked at: what is behind the largest attachments is not indexed."""

_BATCH_MESSAGES = 1000
_BATCH_LETTERS = 4 * 1024 * 1024


class Readable(Protocol):
    """The part of an archive that is needed."""

    def read(self, location: Location) -> Iterator[bytes]:
        """See `ports.Archive`."""
        ...


def fill(
    index: Index,
    archive: Readable,
    waiting: Iterable[Waiting],
    *,
    stop: Callable[[], object],
    progress: Callable[[int], None] = lambda _: None,
    body: bool = True,
) -> int:
    """Take in messages until all are or `stop` says so; gives how many were.

    Args:
        index: Where to.
        archive: Where they are read.
        waiting: From `Index.waiting`.
        stop: Asked after each message; anything but None ends it.
        progress: Told how many have been looked at, now and then.
        body: Whether their texts are wanted, or only their headers.

    Raises:
        BusyError: Another process is at it.
    """
    done = count = letters = 0
    stopped = False
    batch: list[tuple[Waiting, Letter]] = []
    for count, each in enumerate(waiting, 1):
        letter = _letter(archive, each, body=body)
        if letter is not None:
            batch.append((each, letter))
            letters += len(letter.body)
        stopped = stop() is not None
        if stopped or len(batch) >= _BATCH_MESSAGES or letters >= _BATCH_LETTERS:
            index.add(batch)
            done += len(batch)
            batch, letters = [], 0
        if count % 100 == 0:
            progress(count)
        if stopped:
            break
    if batch:
        index.add(batch)
    if count and not stopped:
        index.settle()
    progress(count)
    return done + len(batch)


def _letter(archive: Readable, waiting: Waiting, *, body: bool) -> Letter | None:
    """Read one message; None if it is not there or cannot be had: another time it may be."""
    pieces: list[bytes] = []
    room = LOOK if body else 64 * 1024
    try:
        for piece in archive.read(waiting.location):
            pieces.append(bytes(piece[:room]))
            room -= len(pieces[-1])
            if room <= 0:
                break
    except ArchiveError:
        return None
    return read(b"".join(pieces), body=body, date=waiting.at is None)
