"""A file for each mailbox, in the variant mboxrd (`archive-format.md` section 5).

The law of this room: what `import` reads from these files are the octets of the archive, bit for bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailarchive import mbox_block, mboxrd
from mailarchive.exports import names
from mailarchive.headers import HEAD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailarchive.outgoing import ExportFolder, Outgoing
    from mailarchive.ports import Chunk


class Mbox:
    """`Work/2014.mbox` for the mailbox Work/2014; flags and keywords in Status, X-Status and X-Keywords."""

    once = False

    def __init__(self, folder: ExportFolder) -> None:
        self._folder = folder
        self._files: set[tuple[str, ...]] = set()

    def add(self, message: Outgoing) -> int:
        """Write one message."""
        *above, name = names.folders(message.folder)
        self._folder.append(above, f"{name}.mbox", _pieces(message))
        return counted(self._files, (*above, name))

    def finish(self) -> None:
        """Nothing stands behind them."""


def counted(files: set[tuple[str, ...]], name: tuple[str, ...]) -> int:
    """Count a file once; gives 1 when it is new."""
    before = len(files)
    files.add(name)
    return len(files) - before


def head_of(message: Outgoing) -> bytes:
    """Give the first octets of a message, those that its header can take."""
    head = b""
    for piece in message.read():
        head += bytes(piece[: HEAD - len(head)])
        if len(head) >= HEAD:
            break
    return head


def body(message: Outgoing) -> Iterator[bytes]:
    """Give a message as it stands in such a file, and the empty line behind it."""
    yield from mboxrd.encode(map(bytes, message.read()), crlf=message.is_crlf, ended=message.is_ended)
    yield b"\n"


def _pieces(message: Outgoing) -> Iterator[Chunk]:
    found = message.found
    facts = mbox_block.Facts(
        digest=found.id,
        size=found.size,
        crlf=message.is_crlf,
        ended=message.is_ended,
        length=None,
        date=found.internal_date,
        uid=None,
        uidvalidity=None,
        flags=found.flags or frozenset(),
    )
    length = sum(map(len, body(message))) - 1
    line = mbox_block.separator(head_of(message), found.internal_date)
    text = mbox_block.block(line, facts, base=None, known=_keywords(facts.flags))
    yield mbox_block.with_length(text, length)
    yield from body(message)


def _keywords(flags: frozenset[str]) -> list[str]:
    """Choose the keywords that can stand in a field, a blank between them."""
    return [flag for flag in flags if not flag.startswith("\\") and flag.isascii() and flag.isprintable()][:100]
