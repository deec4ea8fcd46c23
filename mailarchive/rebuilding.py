"""What a catalogue can do while it is made anew from the files, beside `ports.Catalogue`.

The law of this room: Protocols and values only. Until it is complete, nobody else sees it, and the one that was there
is as it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from mailarchive.ports import Catalogue

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from mailarchive.model import UID, UIDL, Digest, Location
    from mailarchive.ports import OpenBatch


class Copy(NamedTuple):
    """A message that was read whole from the archive.

    Attributes:
        folder: Its folder, with `/` between the parts.
        ident: See `Envelope.ident`.
        hold: Why it looks wrong; empty if it does not.
    """

    location: Location
    folder: str
    digest: Digest
    size: int
    ident: str
    hold: str


class Totals(NamedTuple):
    """What is in it.

    Attributes:
        placed: Messages of which a manifest or a block says where they were. `listed`: of which only a list says so.
        expunged: Those of both that have left the server by our hand.
        unplaced: Files of which nothing says where they were.
    """

    placed: int
    listed: int
    expunged: int
    unplaced: int


class Rebuilding(Catalogue, Protocol):
    """A catalogue that is being made from the files."""

    def keep(self, copies: Sequence[Copy]) -> None:
        """Take note of messages that are whole."""
        ...

    def copies(self, digests: Collection[Digest]) -> Mapping[Digest, Sequence[Copy]]:
        """Give the copies of some octets, in order of location."""
        ...

    def copies_at(self, locations: Collection[Location]) -> Mapping[Location, Copy]:
        """Give what is at some locations."""
        ...

    def leave(self, mailbox: str, uidvalidity: int | None, left: Mapping[UID | UIDL, datetime | None]) -> None:
        """Commit that messages have left the server by our hand, and when; now if that is unknown."""
        ...

    def reopen(self, batch: OpenBatch) -> None:
        """Commit a batch of deletions whose end is not known; its number is given anew."""
        ...

    def strike(self, run: str) -> None:
        """Commit that a run is not known after all, because its manifest could not be read to the end."""
        ...

    def live(self, mailbox: str, uidvalidity: int | None) -> int:
        """Count the messages of a generation of a mailbox that have not left the server by our hand."""
        ...

    def totals(self) -> Totals:
        """Count what is in it."""
        ...

    def complete(self) -> str:
        """Take the place of the catalogue that was there; gives the name under which that one is kept, empty for none.

        It cannot be used any more then.
        """
        ...
