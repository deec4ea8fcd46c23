"""What we know of the mail, in SQLite beside it.

The law of this room: the archive outranks this file. Nothing here is needed to read your mail; a catalogue that is
damaged or belongs to another archive is set aside and a new one begun, which costs time and never a message. A row is
committed only after the octets it vouches for are durable, and a deletion before the server hears of it.
"""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from mailarchive.catalogue_file import CatalogueFile, copied
from mailarchive.catalogue_listings import Listings
from mailarchive.catalogue_runs import Chronicle, instant, stamp
from mailarchive.errors import ArchiveError
from mailarchive.model import UID, UIDL, Digest, ItemState, Known, Location, Method, Placement
from mailarchive.ports import OpenBatch

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from mailarchive.expunge import ExpungeOrder

EVIDENCE: Final = ("fetched", "manifest")
"""Origins of the rows that a deletion may rest on."""

LISTED: Final = "uidlist"
"""Origin of the rows that only a list beside the mail speaks for: archived as far as a backup goes, and no evidence."""

_AT_ONCE = 900
"""Values in one statement; the oldest SQLite takes 999."""

_PUT_BACK = (
    "(EXISTS (SELECT 1 FROM put_back b WHERE b.digest = c.digest)"
    " OR (p.ident <> '' AND EXISTS (SELECT 1 FROM put_back b WHERE b.ident = p.ident)))"
)
_COPIES = (
    "SELECT c.digest, min(p.location) FROM content c JOIN placement p ON p.content = c.id"
    " WHERE c.digest IN (?) GROUP BY c.id"
)
_PLACE = (
    "INSERT INTO placement (mailbox, uidvalidity, uid, content, location, internal_date, flags,"
    " size_announced, ident, hold, origin, archived_at, object_id, confirmed, run)"
)
_PLACED = (
    "((SELECT id FROM mailbox WHERE name = ?), ?, ?, (SELECT id FROM content WHERE digest = ?),"
    " ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_DIGEST: Final = 3
"""Where the digest stands among the values of `_PLACED`."""
_PLACED_AGAIN = (
    " ON CONFLICT (mailbox, uidvalidity, uid) DO UPDATE SET content = excluded.content,"
    " location = excluded.location, verified_at = NULL, internal_date = excluded.internal_date,"
    " flags = excluded.flags, size_announced = excluded.size_announced, ident = excluded.ident,"
    # What was held once stays held: other octets under the same UID are no better sign.
    " hold = CASE excluded.hold WHEN '' THEN hold ELSE excluded.hold END, origin = excluded.origin,"
    " expunged_at = NULL, object_id = excluded.object_id,"
    " archived_at = CASE content WHEN excluded.content THEN archived_at ELSE excluded.archived_at END,"
    " confirmed = excluded.confirmed OR (confirmed AND content = excluded.content), run = excluded.run"
)
_KNOWN = (
    "p.uid, p.location, p.size_announced, p.internal_date, c.size IS NOT p.size_announced AND NOT p.confirmed, p.hold,"
    " c.size, p.archived_at, p.origin"
)
_WHOLE = (
    "p.uid, c.digest, c.size, p.location, p.internal_date, p.flags, p.size_announced, p.ident, p.hold, p.origin,"
    " p.archived_at, p.object_id, p.confirmed"
)


class SqliteCatalogue(Chronicle, Listings):
    """The catalogue of one archive; see `ports.Catalogue`.

    Args:
        path: The file; it is made if it is missing.
        archive_id: The archive it must belong to.
        network: Whether it lies on a network filesystem, where a WAL cannot be shared.
        shown: What errors call it; a copy is called by its original.
    """

    def __init__(self, path: Path, archive_id: str, *, network: bool = False, shown: Path | None = None) -> None:
        self._file = CatalogueFile(path, archive_id, network=network, shown=shown)

    @classmethod
    @contextmanager
    def snapshot(cls, path: Path, archive_id: str) -> Iterator[SqliteCatalogue]:
        """Open a copy, so that a dry run writes nothing beside the mail, not even SQLite's own files."""
        with copied(path) as copy:
            catalogue = cls(copy, archive_id, shown=path)
            try:
                yield catalogue
            finally:
                catalogue.close()

    @property
    def set_aside(self) -> Path | None:
        """Where an unusable catalogue went that was here; None if there was none."""
        return self._file.set_aside

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def placements(
        self,
        mailbox: str,
        uidvalidity: int | None,
        *,
        within: tuple[int, int] | None = None,
        among: Sequence[UID | UIDL] | None = None,
    ) -> dict[UID | UIDL, Known]:
        """Say which UIDs of this generation of a mailbox are archived, where, and what the server said of them."""
        # Some POP3 servers give the UIDL of a deleted message to another one; a UID is never given again.
        where = "p.origin IN (?, ?, ?) AND (p.expunged_at IS NULL OR typeof(p.uid) = 'integer')"
        values = (mailbox, uidvalidity or 0, *EVIDENCE, LISTED)
        if within is not None:
            return self._known(f"{where} AND p.uid BETWEEN ? AND ?", (*values, *within))
        if among is None:
            return self._known(where, values)
        found: dict[UID | UIDL, Known] = {}
        for begin in range(0, len(among), _AT_ONCE):
            part = among[begin : begin + _AT_ONCE]
            found |= self._known(f"{where} AND p.uid IN ({', '.join('?' * len(part))})", (*values, *part))
        return found

    def _known(self, where: str, values: Sequence[object]) -> dict[UID | UIDL, Known]:
        with self._file.reading() as db:
            # Once for each message of a mailbox in every run: no names of arguments, and no calls that can be spared.
            return {
                uid: Known(
                    place, size, instant(date), unsure == 1, hold, back == 1, octets, _often(at), origin in EVIDENCE
                )
                for uid, place, size, date, unsure, hold, octets, at, origin, back in db.execute(
                    _select(_KNOWN, where), values
                )
            }

    def numbered(self, mailbox: str, uidvalidity: int | None) -> Iterator[tuple[UID | UIDL, Location]]:
        """Give every UID of a generation that was ever archived, deleted ones too, in order, and where it lies."""
        with self._file.reading() as db:
            rows = db.execute(
                "SELECT uid, location FROM placement WHERE mailbox = (SELECT id FROM mailbox WHERE name = ?)"
                " AND uidvalidity = ? AND origin IN (?, ?) ORDER BY uid",
                (mailbox, uidvalidity or 0, *EVIDENCE),
            )
            for uid, location in rows:
                yield _uid(uid), Location(location)

    def placement(self, mailbox: str, uidvalidity: int | None, uid: UID | UIDL) -> Placement | None:
        """Give one row, whatever its origin; None if there is none."""
        return self._whole(mailbox, uidvalidity, [uid]).get(uid)

    def rows(self, mailbox: str, uidvalidity: int | None, uids: Sequence[UID | UIDL]) -> dict[UID | UIDL, Placement]:
        """Give the whole rows of some messages of a mailbox, those that are there."""
        found = self._whole(mailbox, uidvalidity, uids)
        return {uid: row for uid, row in found.items() if row.origin in EVIDENCE}

    def locations(self, digests: Sequence[Digest]) -> dict[Digest, Location]:
        """Find any one copy of each of these octets that are archived."""
        found: dict[Digest, Location] = {}
        with self._file.reading() as db:
            for begin in range(0, len(digests), _AT_ONCE):
                part = [raw(digest) for digest in digests[begin : begin + _AT_ONCE]]
                marks = ", ".join("?" * len(part))
                rows = db.execute(_COPIES.replace("?", marks), part)
                found.update((digest_of(digest), Location(location)) for digest, location in rows)
        return found

    def located(self) -> dict[Location, tuple[Digest, int]]:
        """Give what should be at every location: digest, and octets."""
        with self._file.reading() as db:
            rows = db.execute(
                "SELECT DISTINCT p.location, c.digest, c.size FROM placement p JOIN content c ON c.id = p.content"
            )
            return {Location(place): (digest_of(digest), size) for place, digest, size in rows}

    def record(self, run: str, placements: Sequence[Placement]) -> None:
        """Commit placements whose octets are durable, in one transaction.

        A row that names no `archived_at` was archived now. A UID that has a row already keeps its `archived_at` only
        while its octets are the same; they are on the server again in any case, and their copy was not read back.
        """
        now = stamp()
        rows = [_row(placement, run, now) for placement in placements]
        octets = [(row[_DIGEST], placement.size) for row, placement in zip(rows, placements, strict=True)]
        with self._file.transaction() as db:
            db.executemany("INSERT OR IGNORE INTO mailbox (name) VALUES (?)", {(row.mailbox,) for row in placements})
            _insert(db, "INSERT OR IGNORE INTO content (digest, size)", "(?, ?)", octets)
            _insert(db, _PLACE, _PLACED, rows, _PLACED_AGAIN)

    def confirm(self, mailbox: str, uidvalidity: int | None, found: Mapping[UID | UIDL, str]) -> None:
        """Commit what a second fetch showed: for each UID why it must be held; empty if the octets were the same."""
        with self._file.transaction() as db:
            db.executemany(
                "UPDATE placement SET confirmed = ?, hold = CASE ? WHEN '' THEN hold ELSE ? END"
                " WHERE mailbox = (SELECT id FROM mailbox WHERE name = ?) AND uidvalidity = ? AND uid = ?",
                [(not why, why, why, mailbox, uidvalidity or 0, uid) for uid, why in found.items()],
            )

    def forget(self, mailbox: str, uidvalidity: int | None, uids: Collection[UID | UIDL]) -> None:
        """Commit that copies are not what they were, so that the next run fetches the messages again."""
        with self._file.transaction() as db:
            db.executemany(
                "DELETE FROM placement WHERE mailbox = (SELECT id FROM mailbox WHERE name = ?) AND uidvalidity = ?"
                " AND uid = ? AND NOT EXISTS (SELECT 1 FROM expunge_item i JOIN expunge_batch b ON b.id = i.batch"
                " WHERE b.closed_at IS NULL AND b.mailbox = placement.mailbox AND i.uid = placement.uid)",
                [(mailbox, uidvalidity or 0, uid) for uid in uids],
            )

    def intend(self, run: str, order: ExpungeOrder) -> int:
        """Commit what is about to be deleted, and that its copies were just read back; gives the number of the batch.

        Raises:
            ArchiveError: The order names a message whose row is not here, or is of other octets. Nothing is committed.
        """
        now, name, uidvalidity = stamp(), order.mailbox.name, order.uidvalidity
        with self._file.transaction() as db:
            proved = db.executemany(
                "UPDATE placement SET verified_at = ? WHERE mailbox = (SELECT id FROM mailbox WHERE name = ?)"
                " AND uidvalidity = ? AND uid = ? AND content = (SELECT id FROM content WHERE digest = ?)"
                " AND origin IN (?, ?)",
                [(now, name, uidvalidity, item.uid, raw(item.digest), *EVIDENCE) for item in order.items],
            ).rowcount
            if proved != len(order.items):
                raise ArchiveError(
                    f"the catalogue {self._file.shown} does not hold all that is to be deleted from {name}; nothing is"
                )
            batch = db.execute(
                "INSERT INTO expunge_batch (run, mailbox, uidvalidity, method, opened_at)"
                " VALUES (?, (SELECT id FROM mailbox WHERE name = ?), ?, ?, ?)",
                (run, name, uidvalidity, order.how.method.value, now),
            ).lastrowid
            assert batch is not None
            db.executemany(
                "INSERT INTO expunge_item (batch, uid, digest, was_deleted, state) VALUES (?, ?, ?, ?, 'intent')",
                [(batch, item.uid, raw(item.digest), item.was_deleted) for item in order.items],
            )
            db.executemany(
                "INSERT INTO foreign_mark (batch, uid, state, fingerprint) VALUES (?, ?, 'lifted', ?)",
                [(batch, uid, order.fingerprints.get(uid, "")) for uid in order.strangers],
            )
        return batch

    def settle(
        self, batch: int, states: Mapping[UID | UIDL, ItemState], given_back: Collection[UID | UIDL] = ()
    ) -> None:
        """Commit what came of messages of a batch, and which strangers have their marks again.

        A message that is `GONE` or `IN_TRASH` is expunged from now on. The batch is closed when nothing is open.
        """
        now = stamp()
        known = [(state.value, batch, uid) for uid, state in states.items() if state is not ItemState.INTENT]
        with self._file.transaction() as db:
            db.executemany("UPDATE expunge_item SET state = ? WHERE batch = ? AND uid = ?", known)
            db.executemany(
                "UPDATE placement SET expunged_at = ? WHERE (mailbox, uidvalidity, uid) ="
                " (SELECT b.mailbox, b.uidvalidity, i.uid FROM expunge_batch b JOIN expunge_item i ON i.batch = b.id"
                " WHERE b.id = ? AND i.uid = ?)",
                [(now, batch, uid) for uid, state in states.items() if state.deleted],
            )
            db.executemany(
                "UPDATE foreign_mark SET state = 'restored' WHERE batch = ? AND uid = ?",
                [(batch, uid) for uid in given_back],
            )
            db.execute(
                "UPDATE expunge_batch AS b SET closed_at = ? WHERE id = ? AND closed_at IS NULL"
                " AND NOT EXISTS (SELECT 1 FROM expunge_item WHERE batch = b.id AND state = 'intent')"
                " AND NOT EXISTS (SELECT 1 FROM foreign_mark WHERE batch = b.id AND state = 'lifted')",
                (now, batch),
            )

    def open_batches(self) -> list[OpenBatch]:
        """Give what earlier runs intended and nobody knows the end of, oldest first.

        The digest of an item is that of the copy that was the proof, even if another message was archived under its
        UID since; the rest of its placement is as it is now.
        """
        with self._file.reading() as db:
            batches = db.execute(
                "SELECT b.id, b.run, m.name, b.uidvalidity, b.method, b.opened_at FROM expunge_batch b"
                " JOIN mailbox m ON m.id = b.mailbox WHERE b.closed_at IS NULL ORDER BY b.id"
            ).fetchall()
            return [self._open_batch(db, row) for row in batches]

    def remember_put_back(self, run: str, messages: Collection[tuple[Digest, str]]) -> None:
        """Commit that octets are on the server again: digest, and ident (empty if unknown)."""
        now = stamp()
        with self._file.transaction() as db:
            db.executemany(
                "INSERT INTO put_back (digest, ident, run, at) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (digest, ident) DO UPDATE SET run = excluded.run, at = excluded.at",
                [(raw(digest), ident, run, now) for digest, ident in messages],
            )

    def _whole(self, mailbox: str, uidvalidity: int | None, uids: Sequence[UID | UIDL]) -> dict[UID | UIDL, Placement]:
        """Give the whole rows of some messages, whatever their origin, in as few queries as SQLite lets us."""
        found: dict[UID | UIDL, Placement] = {}
        with self._file.reading() as db:
            for begin in range(0, len(uids), _AT_ONCE):
                part = uids[begin : begin + _AT_ONCE]
                query = _select(_WHOLE, f"p.uid IN ({', '.join('?' * len(part))})")
                for row in db.execute(query, (mailbox, uidvalidity or 0, *part)):
                    found[_uid(row[0])] = _placement(mailbox, uidvalidity, row)
        return found

    def _open_batch(self, db: sqlite3.Connection, row: tuple[int, str, str, int, str, str]) -> OpenBatch:
        number, run, mailbox, uidvalidity, method, opened_at = row
        items = db.execute(
            "SELECT uid, digest, was_deleted FROM expunge_item WHERE batch = ? AND state = 'intent' ORDER BY uid",
            (number,),
        ).fetchall()
        lifted = db.execute("SELECT uid, fingerprint FROM foreign_mark WHERE batch = ? AND state = 'lifted'", (number,))
        fingerprints = {_uid(uid): fingerprint for uid, fingerprint in lifted}
        # Each item has a row: `intend` saw to it, and `forget` leaves those alone.
        rows = self._whole(mailbox, uidvalidity, [_uid(uid) for uid, _, _ in items])
        return OpenBatch(
            number,
            run,
            mailbox,
            uidvalidity,
            Method(method),
            tuple((replace(rows[uid], digest=digest_of(digest)), bool(marked)) for uid, digest, marked in items),
            frozenset(fingerprints),
            fingerprints,
            instant(opened_at),
        )


def _select(columns: str, condition: str) -> str:
    """Make a query over one generation of a mailbox; the last column says whether the message was put back."""
    return (
        f"SELECT {columns}, {_PUT_BACK} FROM placement p JOIN content c ON c.id = p.content"  # noqa: S608 - ours
        f" WHERE p.mailbox = (SELECT id FROM mailbox WHERE name = ?) AND p.uidvalidity = ? AND {condition}"
    )


def raw(digest: Digest) -> bytes:
    """Give a digest as it stands in the file."""
    return bytes.fromhex(digest.removeprefix("sha256:"))


def digest_of(octets: bytes) -> Digest:
    """Read a digest as it stands in the file."""
    return Digest(f"sha256:{octets.hex()}")


def _uid(value: int | str) -> UID | UIDL:
    return UID(value) if isinstance(value, int) else UIDL(value)


def _placement(mailbox: str, uidvalidity: int | None, row: tuple[Any, ...]) -> Placement:
    """Read the columns of `_WHOLE`."""
    uid, digest, size, location, date, flags, announced, ident, hold, origin, archived_at, object_id, *truths = row
    return Placement(
        mailbox=mailbox,
        uidvalidity=uidvalidity,
        uid=_uid(uid),
        digest=digest_of(digest),
        size=size,
        location=Location(location),
        internal_date=instant(date),
        flags=frozenset(flags.split()) if flags is not None else None,
        size_announced=announced,
        ident=ident,
        hold=hold,
        origin=origin,
        archived_at=instant(archived_at),
        object_id=object_id,
        confirmed=bool(truths[0]),
        put_back=bool(truths[1]),
    )


def _insert(
    db: sqlite3.Connection, what: str, values: str, rows: Sequence[tuple[object, ...]], conflict: str = ""
) -> None:
    """Insert many rows by few statements: at each one the other thread may take its turn, and that costs more."""
    width = _AT_ONCE // max(1, len(rows[0]) if rows else 1)
    for begin in range(0, len(rows), width):
        part = rows[begin : begin + width]
        statement = f"{what} VALUES {', '.join([values] * len(part))}{conflict}"
        db.execute(statement, list(itertools.chain.from_iterable(part)))


def _row(placement: Placement, run: str, now: str) -> tuple[object, ...]:
    date, flags, archived_at = placement.internal_date, placement.flags, placement.archived_at
    return (
        placement.mailbox,
        placement.uidvalidity or 0,
        placement.uid,
        raw(placement.digest),
        placement.location,
        date.isoformat() if date is not None else None,
        _flags(flags) if flags is not None else None,
        placement.size_announced,
        placement.ident,
        placement.hold,
        placement.origin,
        archived_at.isoformat() if archived_at is not None else now,
        placement.object_id,
        placement.confirmed,
        run,
    )


@lru_cache(maxsize=1024)
def _often(text: str | None) -> datetime | None:
    """Read an instant that all rows of a batch have in common."""
    return instant(text)


@lru_cache(maxsize=1024)
def _flags(flags: frozenset[str]) -> str:
    return " ".join(sorted(flags))
