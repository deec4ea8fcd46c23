"""What runs have seen, in the catalogue: the mailboxes of the server, dates that were asked for apart, the clock.

The law of this room: it remembers what a later run compares with, and vouches for no message.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mailarchive.model import UIDL, MailboxStatus

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from mailarchive.catalogue_file import CatalogueFile
    from mailarchive.model import UID


class Chronicle:
    """The part of a catalogue that is about runs; see `ports.Catalogue`."""

    _file: CatalogueFile

    def last_seen(self, mailbox: str) -> MailboxStatus | None:
        """Say what the last run saw of a mailbox; None if no run ever did."""
        with self._file.reading() as db:
            row = db.execute(
                "SELECT messages, uidvalidity, uidnext, highestmodseq FROM mailbox"
                " WHERE name = ? AND seen_run IS NOT NULL",
                (mailbox,),
            ).fetchone()
        return MailboxStatus(*row) if row else None

    def mailboxes(self) -> Collection[str]:
        """Give the names of the mailboxes that the last run with a list saw on the server."""
        with self._file.reading() as db:
            rows = db.execute(
                "SELECT name FROM mailbox WHERE seen_run = (SELECT max(seen_run) FROM mailbox) ORDER BY name"
            )
            return [name for (name,) in rows]

    def known_runs(self) -> frozenset[str]:
        """Give the ids of all runs that are known here."""
        with self._file.reading() as db:
            return frozenset(run for (run,) in db.execute("SELECT id FROM run"))

    def sane_now(self) -> datetime | None:
        """Give the time of the latest run whose clock was not in doubt; None if there was none."""
        with self._file.reading() as db:
            row = db.execute("SELECT value FROM meta WHERE key = 'sane_now'").fetchone()
        return datetime.fromisoformat(row[0]) if row else None

    def trust_clock(self, now: datetime) -> None:
        """Commit that the clock was right at this time, whatever was trusted before."""
        with self._file.transaction() as db:
            db.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('sane_now', ?)", (now.isoformat(),))

    def dates(self, mailbox: str) -> dict[UID | UIDL, tuple[int | None, datetime | None]]:
        """Give what was asked for apart about messages of a mailbox: announced size, and date."""
        with self._file.reading() as db:
            rows = db.execute(
                "SELECT uid, size, internal_date FROM dated WHERE mailbox = (SELECT id FROM mailbox WHERE name = ?)",
                (mailbox,),
            )
            return {UIDL(uid): (size, instant(date)) for uid, size, date in rows}

    def remember_dates(self, mailbox: str, dates: Mapping[UID | UIDL, tuple[int | None, datetime | None]]) -> None:
        """Commit dates that were asked for apart, in the place of all that were known of the mailbox."""
        with self._file.transaction() as db:
            db.execute("INSERT OR IGNORE INTO mailbox (name) VALUES (?)", (mailbox,))
            (number,) = db.execute("SELECT id FROM mailbox WHERE name = ?", (mailbox,)).fetchone()
            db.execute("DELETE FROM dated WHERE mailbox = ?", (number,))
            db.executemany(
                "INSERT INTO dated (mailbox, uid, size, internal_date) VALUES (?, ?, ?, ?)",
                [(number, uid, size, date.isoformat() if date else None) for uid, (size, date) in dates.items()],
            )

    def saw(self, run: str, statuses: Mapping[str, MailboxStatus]) -> None:
        """Remember the mailboxes of the server as this run saw them."""
        with self._file.transaction() as db:
            db.executemany(
                "INSERT INTO mailbox (name, messages, uidvalidity, uidnext, highestmodseq, seen_run)"
                " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET messages = excluded.messages,"
                " uidvalidity = excluded.uidvalidity, uidnext = excluded.uidnext,"
                " highestmodseq = excluded.highestmodseq, seen_run = excluded.seen_run",
                [(n, s.exists, s.uidvalidity, s.uidnext, s.highestmodseq, run) for n, s in statuses.items()],
            )

    def begin(self, run: str, facts: Mapping[str, object]) -> None:
        """Commit that a run has begun; `facts` has `command` and `started`."""
        with self._file.transaction() as db:
            db.execute(
                "INSERT INTO run (id, command, started, facts) VALUES (?, ?, ?, ?)",
                (run, str(facts["command"]), str(facts["started"]), json.dumps(dict(facts), default=str)),
            )

    def finish(self, run: str, facts: Mapping[str, object]) -> None:
        """Commit how a run ended; `facts` may say when, or it is now."""
        with self._file.transaction() as db:
            result = json.dumps(dict(facts), default=str)
            ended = str(facts.get("ended") or stamp())
            db.execute("UPDATE run SET ended = ?, result = ? WHERE id = ?", (ended, result, run))


def stamp() -> str:
    """Give this second in UTC, as the catalogue writes it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def instant(text: str | None) -> datetime | None:
    """Read an instant as the catalogue wrote it."""
    return datetime.fromisoformat(text) if text else None
