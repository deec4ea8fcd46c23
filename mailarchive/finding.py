"""What is found in an archive, and the port of what finds it.

The law of this room: values and Protocols only. What is found is what the catalogue says of archived mail; every text
in it is foreign.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from mailarchive.model import UID, UIDL, Digest, Location
    from mailarchive.query import Query


@dataclass(frozen=True, slots=True)
class Found:
    """One message in one mailbox of the archive.

    Attributes:
        digest: Of its octets; `id` is what a user types for it.
        mailbox: Full name.
        location: For the archive that was searched, and for no other.
        size: Octets.
        internal_date: When it was received, aware; what its Date field says where that is unknown; None if that is too.
        flags: When it was archived; None where they are unknown.
        subject: Decoded, one line. `sender` and `recipients` (To and Cc) likewise.
        attachments: How many it has; None where only its header was read.
        uidvalidity: Of the newest placement in this mailbox; None where the protocol has none. `uid` likewise.
        origin: Who says that it lay there (`Placement.origin`).
    """

    digest: Digest
    mailbox: str
    location: Location
    size: int
    internal_date: datetime | None
    flags: frozenset[str] | None
    subject: str = ""
    sender: str = ""
    recipients: str = ""
    attachments: int | None = None
    uidvalidity: int | None = None
    uid: UID | UIDL | None = None
    origin: str = ""

    @property
    def id(self) -> str:
        """The hex digits of the digest."""
        return self.digest.removeprefix("sha256:")


class Finder(Protocol):
    """Finds archived messages."""

    def find(self, query: Query, *, limit: int | None = None, once: bool = False) -> Iterator[Found]:
        """Give what a query asks for, newest first; what has no date comes last.

        Octets that lie in several mailboxes are found in each of them that the query allows, once in each.

        Args:
            query: From `query.parse`.
            limit: At most so many.
            once: Give the same octets once only, wherever they lie: the newest.
        """
        ...

    def resolve(self, prefix: str) -> Found:
        """Give the message whose digest begins with these digits; `sha256:` may stand before them.

        Raises:
            UsageError: They are no digits of a digest, or no message has such a one, or several have.
        """
        ...
