"""Whole listings of mailboxes, in the catalogue, so that a run asks only for what has changed.

The law of this room: it remembers what a server said, and vouches for no message; losing it costs a listing.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from mailarchive.messages import Messages, Remembered
from mailarchive.model import MailboxStatus

if TYPE_CHECKING:
    from mailarchive.catalogue_file import CatalogueFile


class Listings:
    """The part of a catalogue that is about what mailboxes held; see `ports.Catalogue`."""

    _file: CatalogueFile

    def listing(self, mailbox: str) -> Remembered | None:
        """Give the listing of a mailbox that was remembered last; None if there is none that can be read."""
        with self._file.reading() as db:
            row = db.execute(
                "SELECT uidvalidity, uidnext, highestmodseq, listed_at, messages, facts FROM listing"
                " WHERE mailbox = (SELECT id FROM mailbox WHERE name = ?)",
                (mailbox,),
            ).fetchone()
        messages = Messages.unpacked(row[5]) if row else None
        if messages is None or len(messages) != row[4]:
            return None
        return Remembered(MailboxStatus(len(messages), *row[:3]), datetime.fromisoformat(row[3]), messages)

    def remember_listing(self, mailbox: str, remembered: Remembered) -> None:
        """Commit the listing of a mailbox, in the place of any other of it."""
        status, messages = remembered.status, remembered.messages
        numbers = (status.uidvalidity, status.uidnext, status.highestmodseq)
        with self._file.transaction() as db:
            db.execute("INSERT OR IGNORE INTO mailbox (name) VALUES (?)", (mailbox,))
            db.execute(
                "INSERT OR REPLACE INTO listing (mailbox, uidvalidity, uidnext, highestmodseq, listed_at, messages,"
                " facts) VALUES ((SELECT id FROM mailbox WHERE name = ?), ?, ?, ?, ?, ?, ?)",
                (mailbox, *numbers, remembered.listed_at.isoformat(), len(messages), messages.packed()),
            )
