"""A message as one stretch of octets, for what has to look back and forth in it.

The law of this room: a large message is never held in memory; it is mapped from a file without a name.
"""

from __future__ import annotations

import mmap
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailarchive.outgoing import ExportFolder, Outgoing
    from mailarchive.reading import Octets

IN_MEMORY: Final = 4 * 1024 * 1024
"""Octets of a message that are held in memory."""


@contextmanager
def whole(message: Outgoing, folder: ExportFolder) -> Iterator[Octets]:
    """Give the octets of a message, as long as the context lasts."""
    if message.found.size <= IN_MEMORY:
        yield b"".join(map(bytes, message.read()))
        return
    with folder.scratch() as file:
        for piece in message.read():
            file.write(piece)
        file.flush()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as octets:
            yield octets
