"""What we know of the mail, in SQLite beside it.

The law of this room: the archive outranks this file. Nothing here is needed to read your mail; a catalogue that is
damaged or belongs to another archive is set aside and a new one begun, which costs time and never a message. A row is
committed only after the octets it vouches for are durable.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import tempfile
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from mailarchive.errors import ArchiveError, BusyError, DiskError, os_error
from mailarchive.model import UID, UIDL, Digest, Known, Location, MailboxStatus, Placement

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

VERSION = 1
"""Of the schema, kept in `user_version`; each step of `_migrate` raises it by one."""

PATIENCE = 10.0
"""Seconds to wait for another program that looks into the file."""

_FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)

_UNUSABLE = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR)


class SqliteCatalogue:
    """The catalogue of one archive; see `ports.Catalogue`.

    Args:
        path: The file. It is made if it is missing and `readonly` is not set.
        archive_id: The archive it must belong to.
        network: Whether it lies on a network filesystem, where a WAL cannot be shared.
        shown: What errors call it; a copy is called by its original.
    """

    def __init__(self, path: Path, archive_id: str, *, network: bool = False, shown: Path | None = None) -> None:
        self.set_aside: Path | None = None
        self._path = shown or path
        self._id = archive_id
        with self._mapped():
            try:
                self._open(path, network=network)
            except (sqlite3.DatabaseError, _ForeignError) as error:
                if isinstance(error, sqlite3.Error) and _primary(error) not in _UNUSABLE:
                    raise
                self._begin_anew(path, network=network)

    @classmethod
    @contextmanager
    def snapshot(cls, path: Path, archive_id: str) -> Iterator[SqliteCatalogue]:
        """Open a copy, so that a dry run writes nothing beside the mail, not even SQLite's own files."""
        with tempfile.TemporaryDirectory(prefix="mailarchive-") as folder:
            copy = Path(folder) / "catalogue.sqlite"
            with _named(path):
                _copy(path, copy)
            catalogue = cls(copy, archive_id, shown=path)
            try:
                yield catalogue
            finally:
                catalogue.close()

    def close(self) -> None:
        """Close the file; SQLite then folds its WAL into it."""
        self._db.close()

    def placements(self, mailbox: str, uidvalidity: int | None) -> dict[UID | UIDL, Known]:
        """Say which UIDs of this generation of a mailbox are archived, where, and what the server said of them."""
        with self._mapped():
            rows = self._db.execute(
                "SELECT uid, location, size_announced, internal_date FROM placement"
                " WHERE mailbox = (SELECT id FROM mailbox WHERE name = ?)"
                " AND uidvalidity = ? AND origin IN ('fetched', 'manifest')",
                (mailbox, uidvalidity or 0),
            )
            return {
                _uid(uid): Known(Location(location), size, datetime.fromisoformat(date) if date else None)
                for uid, location, size, date in rows
            }

    def placement(self, mailbox: str, uidvalidity: int | None, uid: UID | UIDL) -> Placement | None:
        """Give one row; None if there is none."""
        with self._mapped():
            row = self._db.execute(
                "SELECT c.digest, c.size, p.location, p.internal_date, p.flags, p.size_announced, p.ident, p.hold,"
                " p.origin, p.archived_at FROM placement p JOIN content c ON c.id = p.content"
                " WHERE p.mailbox = (SELECT id FROM mailbox WHERE name = ?) AND p.uidvalidity = ? AND p.uid = ?",
                (mailbox, uidvalidity or 0, uid),
            ).fetchone()
        if row is None:
            return None
        digest, size, location, date, flags, announced, ident, hold, origin, archived_at = row
        return Placement(
            mailbox=mailbox,
            uidvalidity=uidvalidity,
            uid=uid,
            digest=Digest(f"sha256:{digest.hex()}"),
            size=size,
            location=Location(location),
            internal_date=datetime.fromisoformat(date) if date else None,
            flags=frozenset(flags.split()) if flags is not None else None,
            size_announced=announced,
            ident=ident,
            hold=hold,
            origin=origin,
            archived_at=datetime.fromisoformat(archived_at),
        )

    def location(self, digest: Digest) -> Location | None:
        """Find any one copy of these octets."""
        with self._mapped():
            row = self._db.execute(
                "SELECT p.location FROM content c JOIN placement p ON p.content = c.id WHERE c.digest = ? LIMIT 1",
                (_raw(digest),),
            ).fetchone()
        return Location(row[0]) if row else None

    def located(self) -> dict[Location, tuple[Digest, int]]:
        """Give what should be at every location: digest, and octets."""
        with self._mapped():
            rows = self._db.execute(
                "SELECT DISTINCT p.location, c.digest, c.size FROM placement p JOIN content c ON c.id = p.content"
            )
            return {Location(place): (Digest(f"sha256:{digest.hex()}"), size) for place, digest, size in rows}

    def last_seen(self, mailbox: str) -> MailboxStatus | None:
        """Say what the last run saw of a mailbox; None if no run ever did."""
        with self._mapped():
            row = self._db.execute(
                "SELECT messages, uidvalidity, uidnext, highestmodseq FROM mailbox"
                " WHERE name = ? AND seen_run IS NOT NULL",
                (mailbox,),
            ).fetchone()
        return MailboxStatus(*row) if row else None

    def mailboxes(self) -> Collection[str]:
        """Give the names of the mailboxes that the last run with a list saw on the server."""
        with self._mapped():
            rows = self._db.execute(
                "SELECT name FROM mailbox WHERE seen_run = (SELECT max(seen_run) FROM mailbox) ORDER BY name"
            )
            return [name for (name,) in rows]

    def record(self, run: str, placements: Sequence[Placement]) -> None:
        """Commit placements whose octets are durable, in one transaction."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with self._transaction() as db:
            for name in {placement.mailbox for placement in placements}:
                db.execute("INSERT OR IGNORE INTO mailbox (name) VALUES (?)", (name,))
            db.executemany(
                "INSERT OR IGNORE INTO content (digest, size) VALUES (?, ?)",
                [(_raw(placement.digest), placement.size) for placement in placements],
            )
            db.executemany(
                "INSERT INTO placement (mailbox, uidvalidity, uid, content, location, internal_date, flags,"
                " size_announced, ident, hold, origin, archived_at, run)"
                " VALUES ((SELECT id FROM mailbox WHERE name = ?), ?, ?, (SELECT id FROM content WHERE digest = ?),"
                " ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (mailbox, uidvalidity, uid) DO UPDATE SET content = excluded.content,"
                " location = excluded.location, verified_at = NULL, internal_date = excluded.internal_date,"
                " flags = excluded.flags, size_announced = excluded.size_announced, ident = excluded.ident,"
                " hold = excluded.hold, origin = excluded.origin, run = excluded.run",
                [_row(placement, run, now) for placement in placements],
            )

    def saw(self, run: str, statuses: Mapping[str, MailboxStatus]) -> None:
        """Remember the mailboxes of the server as this run saw them."""
        with self._transaction() as db:
            db.executemany(
                "INSERT INTO mailbox (name, messages, uidvalidity, uidnext, highestmodseq, seen_run)"
                " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET messages = excluded.messages,"
                " uidvalidity = excluded.uidvalidity, uidnext = excluded.uidnext,"
                " highestmodseq = excluded.highestmodseq, seen_run = excluded.seen_run",
                [(n, s.exists, s.uidvalidity, s.uidnext, s.highestmodseq, run) for n, s in statuses.items()],
            )

    def begin(self, run: str, facts: Mapping[str, object]) -> None:
        """Commit that a run has begun; `facts` has `command` and `started`."""
        with self._transaction() as db:
            db.execute(
                "INSERT INTO run (id, command, started, facts) VALUES (?, ?, ?, ?)",
                (run, str(facts["command"]), str(facts["started"]), json.dumps(dict(facts), default=str)),
            )

    def finish(self, run: str, facts: Mapping[str, object]) -> None:
        """Commit how a run ended."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with self._transaction() as db:
            result = json.dumps(dict(facts), default=str)
            db.execute("UPDATE run SET ended = ?, result = ? WHERE id = ?", (now, result, run))

    def _open(self, path: Path, *, network: bool) -> None:
        for suffix in ("", "-wal", "-shm", "-journal"):
            beside = Path(f"{path}{suffix}")
            if beside.is_symlink() or (beside.exists() and not beside.is_file()):
                raise ArchiveError(f"{beside} is a link or no file; links inside an archive are not followed")
        # Made by us with its mode, so that SQLite's own files beside it get the same one.
        path.touch(mode=0o600)
        path.chmod(0o600)
        self._db = sqlite3.connect(path, isolation_level=None, timeout=PATIENCE)
        try:
            version = self._version()
            self._db.execute("PRAGMA foreign_keys = ON")
            if network:
                self._db.execute("PRAGMA journal_mode = TRUNCATE")
                self._db.execute("PRAGMA synchronous = EXTRA")
            else:
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute("PRAGMA synchronous = FULL")
            self._migrate(version)
        except BaseException:
            self._db.close()
            raise

    def _version(self) -> int:
        """Look at the file before anything is changed in it; gives the number of its schema, 0 for a new file."""
        version = int(self._db.execute("PRAGMA user_version").fetchone()[0])
        if version > VERSION:
            raise ArchiveError(
                f"{self._path} was written by a later version of mailarchive (schema {version}, known {VERSION})",
                hint="update mailarchive, or move that file away: the catalogue is then made anew",
            )
        tables = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if version == 0 and tables:
            raise _ForeignError
        if version:
            row = self._db.execute("SELECT value FROM meta WHERE key = 'archive'").fetchone()
            if row is None or row[0] != self._id:
                raise _ForeignError
        return version

    def _migrate(self, version: int) -> None:
        """Bring the schema to `VERSION`, each step in one transaction with its number."""
        if version == 0:
            schema = resources.files("mailarchive").joinpath("schema.sql").read_text(encoding="utf-8")
            with self._transaction() as db:
                for statement in _statements(schema):
                    db.execute(statement)
                db.execute("INSERT INTO meta VALUES ('archive', ?)", (self._id,))
                db.execute(f"PRAGMA user_version = {VERSION}")

    def _begin_anew(self, path: Path, *, network: bool) -> None:
        """Set a catalogue aside that cannot be used, and begin an empty one."""
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        self.set_aside = path.with_name(f"{path.name}.set-aside-{stamp}")
        path.rename(self.set_aside)
        for suffix in ("-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                Path(f"{path}{suffix}").rename(f"{self.set_aside}{suffix}")
        self._open(path, network=network)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._mapped():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if _primary(error) == sqlite3.SQLITE_CANTOPEN and not os.access(self._path, os.R_OK | os.W_OK):
                raise ArchiveError(f"no permission for the catalogue {self._path}") from None
            if isinstance(error, sqlite3.OperationalError) and _primary(error) in _FULL:
                raise DiskError(
                    f"the disk does not take the catalogue {self._path}: {error}",
                    hint="free some space and run again; what was archived is safe",
                ) from None
            if _primary(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise BusyError(
                    f"another program has the catalogue {self._path} open and holds it", hint="close it and run again"
                ) from None
            raise ArchiveError(
                f"the catalogue {self._path} does not work: {error}",
                hint="move it away and run again: no mail is lost, and all of it is compared with the server again",
            ) from None
        except OSError as error:
            raise os_error(error, str(self._path)) from None


_PARTS = ("", "-wal", "-journal")


def _copy(path: Path, copy: Path) -> None:
    """Copy a catalogue that another process may be writing: again until nothing has moved meanwhile."""
    end = time.monotonic() + PATIENCE
    while True:
        before = _marks(path)
        for suffix in _PARTS:
            Path(f"{copy}{suffix}").unlink(missing_ok=True)
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(f"{path}{suffix}", f"{copy}{suffix}", follow_symlinks=False)
        if _marks(path) == before:
            return
        if time.monotonic() > end:
            raise BusyError(
                f"the catalogue {path} is being written all the time", hint="run again when the run is over"
            )
        time.sleep(0.05)


def _marks(path: Path) -> list[tuple[int, int, bytes]]:
    """Say of each part how large it is, when it was written, and how it begins (the WAL's salt is there)."""
    marks = []
    for suffix in _PARTS:
        with contextlib.suppress(FileNotFoundError), Path(f"{path}{suffix}").open("rb") as file:
            found = os.fstat(file.fileno())
            marks.append((found.st_size, found.st_mtime_ns, file.read(100)))
    return marks


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise os_error(error, f"{path}, to be copied") from None


class _ForeignError(Exception):
    """The file is a database, and not the catalogue of this archive."""


def _primary(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _statements(script: str) -> list[str]:
    lines = (line.partition("--")[0] for line in script.splitlines())
    return [statement for statement in "\n".join(lines).split(";") if statement.strip()]


def _raw(digest: Digest) -> bytes:
    return bytes.fromhex(digest.removeprefix("sha256:"))


def _uid(value: int | str) -> UID | UIDL:
    return UID(value) if isinstance(value, int) else UIDL(value)


def _row(placement: Placement, run: str, now: str) -> tuple[object, ...]:
    date, flags = placement.internal_date, placement.flags
    return (
        placement.mailbox,
        placement.uidvalidity or 0,
        placement.uid,
        _raw(placement.digest),
        placement.location,
        date.isoformat() if date is not None else None,
        " ".join(sorted(flags)) if flags is not None else None,
        placement.size_announced,
        placement.ident,
        placement.hold,
        placement.origin,
        now,
        run,
    )
