"""What leaves an archive for other programs, and the ports of where it goes.

The law of this room: values and Protocols only. Names of files are made by us; nothing that a sender wrote is a path.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from mailarchive.finding import Found
    from mailarchive.ports import Chunk


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message whose copy has just been read and was what it should be.

    Attributes:
        found: What the catalogue says of it.
        folder: The parts of its mailbox's name, from the top.
        is_crlf: See `mboxrd.Lines`. `is_ended`: likewise.
        read: Gives its octets, each time from the beginning; ArchiveError if they cannot be read.
    """

    found: Found
    folder: tuple[str, ...]
    is_crlf: bool
    is_ended: bool
    read: Callable[[], Iterator[Chunk]]


class ExportFolder(Protocol):
    """A new folder that an export fills; every part of a name is one that `exports.names` made.

    Each method raises DiskError if it cannot be written.
    """

    def write(self, folder: Sequence[str], name: str, pieces: Iterable[Chunk], *, when: datetime | None = None) -> str:
        """Write a new file; gives its name, which has a number where the name was taken.

        If `pieces` raises, nothing is left of it.

        Args:
            folder: The folders above it, made where they are missing.
            name: Of the file.
            pieces: What stands in it.
            when: The time of the file; None for the present.
        """
        ...

    def scratch(self) -> IO[bytes]:
        """Give a file without a name, which is gone when it is closed."""
        ...

    def append(self, folder: Sequence[str], name: str, pieces: Iterable[Chunk]) -> None:
        """Add to a file of this export, which is made where it is missing; if `pieces` raises, nothing is added."""
        ...


class Form(Protocol):
    """Writes messages in one form into a folder."""

    @property
    def once(self) -> bool:
        """Whether a message that lies in several mailboxes is wanted once only."""
        ...

    def add(self, message: Outgoing) -> int:
        """Write one message; gives how many files that made.

        Raises:
            MessageError: It cannot be written in this form.
            ArchiveError, DiskError: It cannot be read, or not be written.
        """
        ...

    def finish(self) -> None:
        """Write what stands behind all messages."""
        ...
