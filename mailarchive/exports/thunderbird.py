"""Folders as Thunderbird keeps them: `Name`, and `Name.sbd/` for what is below it (`archive-format.md` section 8).

The law of this room: mboxrd, with the flags in X-Mozilla-Status and X-Mozilla-Keys; never an `.msf`, which Thunderbird
makes itself. Everything is below one folder, named after the place, so that no Inbox that is there is overwritten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailarchive import mbox_block
from mailarchive.exports import names
from mailarchive.exports.mbox import body, counted
from mailarchive.model import ANSWERED, FLAGGED, FORWARDED, SEEN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailarchive.outgoing import ExportFolder, Outgoing
    from mailarchive.ports import Chunk

_BITS = {SEEN: 0x0001, ANSWERED: 0x0002, FLAGGED: 0x0004, FORWARDED: 0x1000}
_ROOM = 80
"""Characters of X-Mozilla-Keys, blanks included, so that Thunderbird can add some in place."""


class Thunderbird:
    """What is copied into the folder `Mail/Local Folders` of a profile, while Thunderbird is closed.

    Args:
        folder: Where to.
        top: What the folder is called that holds everything.
    """

    once = False

    def __init__(self, folder: ExportFolder, top: str) -> None:
        self._folder = folder
        self._top = names.part(top, instead="mailarchive")
        self._files: set[tuple[str, ...]] = set()

    def add(self, message: Outgoing) -> int:
        """Write one message."""
        parts = (self._top, *names.folders(message.folder))
        new = 0
        for depth in range(1, len(parts)):
            new += self._append(parts[:depth], ())
        return new + self._append(parts, _pieces(message))

    def finish(self) -> None:
        """Nothing stands behind them."""

    def _append(self, parts: tuple[str, ...], pieces: Iterator[Chunk] | tuple[()]) -> int:
        """Add to the file of a folder; a folder that only holds others has an empty one."""
        if pieces or parts not in self._files:
            *above, name = parts
            self._folder.append([f"{each}.sbd" for each in above], name, pieces)
        return counted(self._files, parts)


def _pieces(message: Outgoing) -> Iterator[Chunk]:
    date = message.found.internal_date
    _, _, stamp = mbox_block.separator(b"", date).partition(b"MAILER-DAEMON ")
    flags = message.found.flags or frozenset()
    bits = sum(bit for flag, bit in _BITS.items() if flag in flags)
    yield b"From - " + stamp
    yield b"X-Mozilla-Status: %04x\nX-Mozilla-Status2: 00000000\n" % bits
    yield f"X-Mozilla-Keys: {_keys(flags):{_ROOM}}\n".encode("ascii")
    yield from body(message)


def _keys(flags: frozenset[str]) -> str:
    """Write keywords as Thunderbird's tags, in small letters."""
    words = sorted(flag.lower() for flag in flags - set(_BITS) if not flag.startswith("\\"))
    return " ".join(word for word in words if word.isascii() and word.isprintable() and len(word) <= 100)[:4000]
