"""The catalogue that `reindex` makes: a file beside the old one, until it is complete.

The law of this room: the old file stays as it is until the new one is whole and on the disk; then the old one is set
aside, and the new one takes its name. Killed at any time, there is the old one, the new one, or none.
"""

from __future__ import annotations

import contextlib
import sqlite3
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from mailarchive.catalogue import EVIDENCE, LISTED, SqliteCatalogue, digest_of, raw
from mailarchive.catalogue_file import set_aside
from mailarchive.catalogue_runs import instant, stamp
from mailarchive.errors import ArchiveError, os_error
from mailarchive.model import Location
from mailarchive.rebuilding import Copy, Totals

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from datetime import datetime

    from mailarchive.model import UID, UIDL, Digest
    from mailarchive.ports import OpenBatch

_AT_ONCE: Final = 900
_PARTS: Final = ("", "-wal", "-shm", "-journal")
_COPY = "location, folder, digest, size, ident, hold"


class SqliteRebuild(SqliteCatalogue):
    """A catalogue that is being made; see `rebuilding.Rebuilding`.

    Args:
        path: Of the catalogue whose place it is to take.
        archive_id: The archive it belongs to.
        network: Whether it lies on a network filesystem.
        sync: Makes the names in its folder durable.
    """

    def __init__(self, path: Path, archive_id: str, *, network: bool, sync: Callable[[], None]) -> None:
        self._path = path
        self._sync = sync
        self._new = path.with_name(f"{path.name}.new")
        self.drop()
        super().__init__(self._new, archive_id, network=network)
        with self._file.transaction() as db:
            # Temporary tables are in a file of their own that nobody else sees, and need little memory.
            db.execute(
                "CREATE TEMP TABLE copy (location TEXT PRIMARY KEY, folder TEXT NOT NULL, digest BLOB NOT NULL,"
                " size INTEGER NOT NULL, ident TEXT NOT NULL, hold TEXT NOT NULL) WITHOUT ROWID"
            )
            db.execute("CREATE INDEX temp.copy_digest ON copy (digest)")

    @classmethod
    @contextmanager
    def beside(cls, path: Path, archive_id: str, *, network: bool, sync: Callable[[], None]) -> Iterator[SqliteRebuild]:
        """Make one; what is left of it at the end, because it was not completed, is removed."""
        made = cls(path, archive_id, network=network, sync=sync)
        try:
            yield made
        finally:
            made.close()
            made.drop()

    def drop(self) -> None:
        """Remove the file of one that was never completed."""
        try:
            for suffix in _PARTS:
                Path(f"{self._new}{suffix}").unlink(missing_ok=True)
        except OSError as error:
            raise os_error(error, str(self._new)) from None

    def keep(self, copies: Sequence[Copy]) -> None:
        """Take note of messages that are whole."""
        rows = [(raw(copy.digest), copy) for copy in copies]
        with self._file.transaction() as db:
            db.executemany(
                "INSERT OR IGNORE INTO content (digest, size) VALUES (?, ?)", [(key, copy.size) for key, copy in rows]
            )
            db.executemany(
                f"INSERT OR REPLACE INTO copy ({_COPY}) VALUES (?, ?, ?, ?, ?, ?)",  # noqa: S608 - ours
                [(copy.location, copy.folder, key, copy.size, copy.ident, copy.hold) for key, copy in rows],
            )

    def copies(self, digests: Collection[Digest]) -> dict[Digest, list[Copy]]:
        """Give the copies of some octets, in order of location."""
        found: dict[Digest, list[Copy]] = {}
        for copy in self._copies("digest", [raw(digest) for digest in digests]):
            found.setdefault(copy.digest, []).append(copy)
        return found

    def copies_at(self, locations: Collection[Location]) -> dict[Location, Copy]:
        """Give what is at some locations."""
        return {copy.location: copy for copy in self._copies("location", list(locations))}

    def leave(self, mailbox: str, uidvalidity: int | None, left: Mapping[UID | UIDL, datetime | None]) -> None:
        """Commit that messages have left the server by our hand, and when; now if that is unknown."""
        now = stamp()
        with self._file.transaction() as db:
            db.executemany(
                "UPDATE placement SET expunged_at = ? WHERE mailbox = (SELECT id FROM mailbox WHERE name = ?)"
                " AND uidvalidity = ? AND uid = ?",
                [(at.isoformat() if at else now, mailbox, uidvalidity or 0, uid) for uid, at in left.items()],
            )

    def reopen(self, batch: OpenBatch) -> None:
        """Commit a batch of deletions whose end is not known; its number is given anew."""
        opened_at = batch.opened_at.isoformat() if batch.opened_at else stamp()
        with self._file.transaction() as db:
            db.execute("INSERT OR IGNORE INTO mailbox (name) VALUES (?)", (batch.mailbox,))
            number = db.execute(
                "INSERT INTO expunge_batch (run, mailbox, uidvalidity, method, opened_at)"
                " VALUES (?, (SELECT id FROM mailbox WHERE name = ?), ?, ?, ?)",
                (batch.run, batch.mailbox, batch.uidvalidity, batch.method.value, opened_at),
            ).lastrowid
            db.executemany(
                "INSERT INTO expunge_item (batch, uid, digest, was_deleted, state) VALUES (?, ?, ?, ?, 'intent')",
                [(number, row.uid, raw(row.digest), was_deleted) for row, was_deleted in batch.items],
            )
            db.executemany(
                "INSERT INTO foreign_mark (batch, uid, state, fingerprint) VALUES (?, ?, 'lifted', ?)",
                [(number, uid, batch.fingerprints.get(uid, "")) for uid in batch.lifted],
            )

    def strike(self, run: str) -> None:
        """Commit that a run is not known after all."""
        with self._file.transaction() as db:
            db.execute("DELETE FROM run WHERE id = ?", (run,))

    def live(self, mailbox: str, uidvalidity: int | None) -> int:
        """Count the messages of a generation of a mailbox that have not left the server by our hand."""
        with self._file.reading() as db:
            row = db.execute(
                "SELECT count(*) FROM placement WHERE mailbox = (SELECT id FROM mailbox WHERE name = ?)"
                " AND uidvalidity = ? AND expunged_at IS NULL",
                (mailbox, uidvalidity or 0),
            ).fetchone()
        return int(row[0])

    def totals(self) -> Totals:
        """Count what is in it."""
        with self._file.reading() as db:
            row = db.execute(
                "SELECT count(*) FILTER (WHERE origin IN (?, ?)), count(*) FILTER (WHERE origin = ?),"
                " count(*) FILTER (WHERE expunged_at IS NOT NULL),"
                " (SELECT count(*) FROM copy WHERE location NOT IN (SELECT location FROM placement)) FROM placement",
                (*EVIDENCE, LISTED),
            ).fetchone()
        return Totals(*row)

    def complete(self) -> str:
        """Take the place of the catalogue that was there; gives the name under which that one is kept."""
        self.close()
        try:
            wal = Path(f"{self._new}-wal")
            if wal.exists() and wal.stat().st_size:
                raise ArchiveError(f"another program has {self._new} open", hint="close it and run again")
            aside = set_aside(self._path)
            self._new.rename(self._path)
        except OSError as error:
            raise os_error(error, str(self._path)) from None
        self._sync()
        return aside.name if aside is not None else ""

    def _copies(self, column: str, values: Sequence[object]) -> Iterator[Copy]:
        for begin in range(0, len(values), _AT_ONCE):
            part = values[begin : begin + _AT_ONCE]
            marks = ", ".join("?" * len(part))
            query = f"SELECT {_COPY} FROM copy WHERE {column} IN ({marks}) ORDER BY location"  # noqa: S608 - ours
            with self._file.reading() as db:
                for location, folder, digest, size, ident, hold in db.execute(query, part):
                    yield Copy(Location(location), folder, digest_of(digest), size, ident, hold)


class Caution(NamedTuple):
    """A message that an earlier catalogue held back."""

    mailbox: str
    uidvalidity: int
    uid: UID | UIDL
    hold: str


def remembered(path: Path, archive_id: str) -> tuple[list[Caution], datetime | None]:
    """Give what an earlier catalogue held back, and when it last trusted the clock; nothing if it cannot be used.

    Only this is taken over from it, because it can make less deletable and never more: its rows, and that a second
    fetch once gave the same octets, count for nothing if the files do not say so too.
    """
    found: list[Caution] = []
    sane: datetime | None = None
    if not path.is_file() or path.is_symlink():
        return found, sane
    with contextlib.suppress(sqlite3.Error, ValueError), contextlib.closing(_looked_at(path)) as db:
        facts = dict(db.execute("SELECT key, value FROM meta WHERE key IN ('archive', 'sane_now')").fetchall())
        if facts.get("archive") == archive_id:
            sane = instant(facts.get("sane_now"))
            rows = db.execute(
                "SELECT m.name, p.uidvalidity, p.uid, p.hold FROM placement p JOIN mailbox m ON m.id = p.mailbox"
                " WHERE p.hold <> '' ORDER BY m.name, p.uidvalidity"
            )
            found = [Caution(*row) for row in rows]
    return found, sane


def _looked_at(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
