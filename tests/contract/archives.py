"""Every archive there is, by name, for the contract suite of the Archive port."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from mailarchive.archives.marker import Kind
from mailarchive.archives.opening import open_for_writing
from mailarchive.model import UID, Mailbox, RemoteMessage
from tests.memory import MemoryArchive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

    from mailarchive.archives.opening import OpenArchive
    from mailarchive.model import Location, StoredMessage
    from mailarchive.ports import Archive

ACCOUNT = "imaps://me@imap.example.org:993"
INBOX = Mailbox("INBOX", b"INBOX", "/")


@dataclass
class Given:
    """A message that arrives in the pieces that a test gives."""

    octets: bytes
    internal_date: datetime | None = None
    flags: frozenset[str] = frozenset()
    piece: int = 1000
    error: Exception | None = None
    message: RemoteMessage = field(init=False)

    def __post_init__(self) -> None:
        self.message = RemoteMessage(UID(1), len(self.octets), self.internal_date, self.flags)

    def chunks(self) -> Iterator[bytes]:
        """Give the octets, and then the error if there is one."""
        for begin in range(0, len(self.octets), self.piece):
            yield self.octets[begin : begin + self.piece]
        if self.error is not None:
            raise self.error


class Shelf(Protocol):
    """An archive under test that can be closed, crashed and opened again."""

    def open(self) -> Archive:
        """Open it, closing it first if it is open; what was not synced is lost."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


class DiskShelf:
    """An archive on disk."""

    def __init__(self, path: Path, kind: Kind) -> None:
        self.path = path
        self.kind: Kind | None = kind
        self.opened: OpenArchive | None = None
        self._runs = 0

    def open(self) -> Archive:
        """Open it."""
        self.close()
        self._runs += 1
        self.opened = open_for_writing(self.path, ACCOUNT, run=f"run{self._runs}", started="07:04", kind=self.kind)
        return self.opened.mail

    def close(self) -> None:
        """Close it."""
        if self.opened is not None:
            self.opened.close()
            self.opened = None


class MaildirShelf(DiskShelf):
    """An archive of nested Maildirs."""

    def __init__(self, path: Path, kind: Kind = Kind()) -> None:  # noqa: B008 - immutable
        super().__init__(path, kind)


class MemoryShelf:
    """The archive of the tests."""

    def __init__(self, _: Path) -> None:
        self.archive = MemoryArchive()

    def open(self) -> Archive:
        """Open it."""
        self.archive.discard()
        return self.archive  # type: ignore[return-value] # it takes the incoming messages of the tests only

    def close(self) -> None:
        """Nothing to close."""


SHELVES: dict[str, Callable[[Path], Shelf]] = {
    "maildir": MaildirShelf,
    "mbox": lambda path: DiskShelf(path, Kind("mbox")),
    "maildir++": lambda path: MaildirShelf(path, Kind(layout="maildir++")),
    "memory": MemoryShelf,
}


def add(archive: Archive, octets: bytes, mailbox: Mailbox = INBOX, **facts: object) -> StoredMessage:
    """Add one message."""
    return archive.add(mailbox, Given(octets, **facts))  # type: ignore[arg-type] # facts are those of Given


def locations(archive: Archive) -> list[Location]:
    """Give everything that is visible."""
    return sorted(location for _, location in archive.scan())


def octets(archive: Archive, location: Location) -> bytes:
    """Read a message back."""
    return b"".join(archive.read(location))
