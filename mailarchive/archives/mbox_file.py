"""What one mbox file of an archive holds: where each message begins and ends, by its digest.

The law of this room: it only reads. The blocks say how long their messages are, so most of a file is never looked at;
where a block does not fit, the separator lines tell. A message counts by the digest that its block names, wherever it
stands, because mail programs may have rewritten the file; whether its octets have that digest is for who reads them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from mailarchive import mbox_block, mboxrd
from mailarchive.errors import MissingError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailarchive.archives.durable import Directory
    from mailarchive.mbox_block import Base, Facts

_LOOK: Final = 2048
_PIECE: Final = 1024 * 1024
_WINDOW: Final = 64 * 1024
_SEPARATOR: Final = b"\nFrom "


class Entry(NamedTuple):
    """One message in a file, in octets.

    Attributes:
        start: Where its separator line begins.
        text: Where the message itself begins.
        length: Of all of it, with the empty line behind it.
    """

    start: int
    text: int
    length: int


class MboxFile:
    """What is in one file; read once, and again when the file has changed.

    Args:
        directory: Its folder.
        name: Of the file.
        limit: What is behind this place is not looked at: nobody vouches for it.

    Attributes:
        entries: By digest (64 hex digits), in the order of the file; of equal ones the last, because a second one is
            written only where the first was found damaged.
        size: Octets of the file, as far as it is looked at.
        whole: Where the last message that is all there ends. If it is not `size`, something else follows.
        foreign: Whether something in it is not ours.
        base: X-IMAPbase; None if the file has none.
        last_uid: The largest X-UID that was said to mail programs.
    """

    def __init__(self, directory: Directory, name: str, limit: int | None = None) -> None:
        self.directory = directory
        self.name = name
        self._limit = limit
        self.stamp: tuple[int, int, int] | None = None
        self._window = (0, b"")
        self.entries: dict[str, Entry] = {}
        self.refresh()

    @property
    def path(self) -> str:
        """For messages."""
        return f"{self.directory.path}/{self.name}"

    def refresh(self) -> None:
        """Look again, if the file is not what it was."""
        stamp = self.directory.stamp(self.name)
        if stamp is not None and stamp == self.stamp:
            return
        self.stamp = stamp
        self.entries.clear()
        self.size = self.whole = 0
        self.foreign = False
        self.base: Base | None = None
        self.last_uid = 0
        if stamp is not None:
            self.size = stamp[1] if self._limit is None else min(stamp[1], self._limit)
            self._look()
            self._window = (0, b"")

    def facts(self, entry: Entry) -> Facts:
        """Read what the block of a message says."""
        found = self._block(entry.start)
        self._window = (0, b"")
        if found is None:
            raise MissingError(f"{self.path} was changed by another program just now")
        return found[0]

    def read(self, entry: Entry, *, cold: bool = False) -> Iterator[bytes]:
        """Give the octets of a message as they were received."""
        facts = self.facts(entry)
        length = entry.start + entry.length - entry.text - 1
        pieces = self.directory.read(self.name, cold=cold, start=entry.text, length=length)
        return mboxrd.decode(pieces, crlf=facts.crlf, ended=facts.ended)

    def added(self, digest: str, entry: Entry, uid: int) -> None:
        """Take note of a message that was appended; `uid` is the X-UID it shows, 0 for none."""
        self.entries.pop(digest, None)
        self.entries[digest] = entry
        self.size = self.whole = entry.start + entry.length
        self.last_uid = max(self.last_uid, uid)

    def settled(self) -> None:
        """Take note that the file is now what was noted here."""
        self.stamp = self.directory.stamp(self.name)

    def is_rest_of_ours(self, at: int) -> bool:
        """Tell whether what is behind a place is what a power cut leaves of messages of ours, and nothing else."""
        begin, ours = at, self._octets(at, 1) == b"\0"
        while at < self.size and (at > begin or not ours):
            if self._block(at) is None and not (
                self.size - at <= mbox_block.LIMIT and mbox_block.is_part(self._octets(at, mbox_block.LIMIT))
            ):
                return False
            at = self._next(at)
        return ours or at > begin

    def _look(self) -> None:
        at = 0
        while at < self.size:
            found = self._block(at)
            if found is None:
                # Somebody else's message, or the rest of one of ours.
                self.foreign = True
                at = self._next(at)
                continue
            facts, text = found
            end = self._end(facts, text)
            if end is None:
                break
            self.entries.pop(facts.digest, None)
            self.entries[facts.digest] = Entry(at, text, end - at)
            self.last_uid = max(self.last_uid, facts.shown)
            at = self.whole = end
        if self.size:
            self.base = mbox_block.parse_base(self._octets(0, mbox_block.LIMIT))

    def _block(self, at: int) -> tuple[Facts, int] | None:
        """Read a block; gives what it says, and where its message begins."""
        for length in (_LOOK, mbox_block.LIMIT):
            found = mbox_block.parse(self._octets(at, length))
            if found is not None:
                return found[0], at + found[1]
        return None

    def _end(self, facts: Facts, text: int) -> int | None:
        """Say where the message ends that begins at `text`, behind its empty line; None if it is cut short."""
        said = text + facts.length + 1 if facts.length is not None else None
        if said is None:
            fits, behind = False, b""
        else:
            octets = self._octets(said - 2, 7) if facts.length else b"\n" + self._octets(said - 1, 6)
            fits, behind = octets[:2] == b"\n\n" and said <= self.size, octets[2:]
        if fits and behind in (b"", b"From "):
            return said
        end = self._next(text - 1)
        if end == self.size and said is not None:
            # What follows is no message at all, or the end of this one is not there.
            return said if fits else None if said > end else end
        return end if self._octets(end - 1, 1) == b"\n" else None

    def _next(self, at: int) -> int:
        """Find the next separator line behind a place; the end of the file if there is none."""
        while at < self.size:
            octets = self._octets(at, _PIECE)
            found = octets.find(_SEPARATOR)
            if found >= 0:
                return at + found + 1
            if len(octets) < _PIECE:
                break
            at += len(octets) - len(_SEPARATOR)
        return self.size

    def _octets(self, at: int, length: int) -> bytes:
        """Read some octets, as far as they are within the file; small messages come many at a time."""
        length = max(0, min(length, self.size - at))
        if not length:
            return b""
        start, window = self._window
        if not start <= at <= at + length <= start + len(window):
            ahead = min(max(length, _WINDOW), self.size - at)
            start, window = self._window = (at, b"".join(self.directory.read(self.name, start=at, length=ahead)))
        return window[at - start : at - start + length]
