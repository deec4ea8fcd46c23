"""The file of the catalogue: opened, brought to the schema of today, copied for a look, and its errors made ours.

The law of this room: it knows SQLite and no mail. A file that is damaged or belongs to another archive is set aside
and a new one begun; one that a later version wrote is left alone. A schema changes in one transaction together with
its number, so a kill leaves the old one or the new one.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mailarchive.errors import ArchiveError, BusyError, DiskError, FullError, os_error

if TYPE_CHECKING:
    from collections.abc import Iterator

VERSION: Final = 3
"""Of the schema, kept in `user_version`; each of `STEPS` raises it by one."""

PATIENCE = 10.0
"""Seconds to wait for another program that looks into the file."""

STEPS: Final = {
    1: """
        ALTER TABLE placement ADD COLUMN object_id TEXT NOT NULL DEFAULT '';
        ALTER TABLE placement ADD COLUMN confirmed INTEGER NOT NULL DEFAULT 0;
        CREATE TABLE expunge_batch (
            id INTEGER PRIMARY KEY, run TEXT NOT NULL, mailbox INTEGER NOT NULL REFERENCES mailbox (id),
            uidvalidity INTEGER NOT NULL, method TEXT NOT NULL, opened_at TEXT NOT NULL, closed_at TEXT
        );
        CREATE INDEX expunge_batch_open ON expunge_batch (id) WHERE closed_at IS NULL;
        CREATE TABLE expunge_item (
            batch INTEGER NOT NULL REFERENCES expunge_batch (id), uid NOT NULL, digest BLOB NOT NULL,
            was_deleted INTEGER NOT NULL, state TEXT NOT NULL, PRIMARY KEY (batch, uid)
        ) WITHOUT ROWID;
        CREATE TABLE foreign_mark (
            batch INTEGER NOT NULL REFERENCES expunge_batch (id), uid NOT NULL, state TEXT NOT NULL,
            fingerprint TEXT NOT NULL, PRIMARY KEY (batch, uid)
        ) WITHOUT ROWID;
        CREATE TABLE put_back (
            digest BLOB NOT NULL, ident TEXT NOT NULL, run TEXT NOT NULL, at TEXT NOT NULL,
            PRIMARY KEY (digest, ident)
        ) WITHOUT ROWID;
        CREATE INDEX put_back_ident ON put_back (ident);
        CREATE TABLE dated (
            mailbox INTEGER NOT NULL REFERENCES mailbox (id), uid TEXT NOT NULL, size INTEGER, internal_date TEXT,
            PRIMARY KEY (mailbox, uid)
        ) WITHOUT ROWID;
    """,
    2: """
        CREATE TABLE listing (
            mailbox INTEGER PRIMARY KEY REFERENCES mailbox (id), uidvalidity INTEGER NOT NULL,
            uidnext INTEGER NOT NULL, highestmodseq INTEGER NOT NULL, listed_at TEXT NOT NULL,
            messages INTEGER NOT NULL, facts BLOB NOT NULL
        );
    """,
}
"""Statements by the version that they start from; `schema.sql` is where they lead."""

_FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)

_UNUSABLE = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR)

_PARTS = ("", "-wal", "-journal")


class CatalogueFile:
    """One open file with the schema of today.

    Args:
        path: The file; it is made if it is missing.
        archive_id: The archive it must belong to.
        network: Whether it lies on a network filesystem, where a WAL cannot be shared.
        shown: What errors call it.

    Attributes:
        db: The connection; reading from it belongs into `reading`, writing into `transaction`.
        shown: See above.
        set_aside: Where an unusable file went that was here; None if there was none.
    """

    def __init__(self, path: Path, archive_id: str, *, network: bool = False, shown: Path | None = None) -> None:
        self.set_aside: Path | None = None
        self.shown = shown or path
        self._id = archive_id
        # A batch is recorded in a thread of its own; whoever looks meanwhile waits for the end of its transaction.
        self._lock = threading.RLock()
        with self._mapped():
            try:
                self._open(path, network=network)
            except (sqlite3.DatabaseError, _ForeignError) as error:
                if isinstance(error, sqlite3.Error) and _primary(error) not in _UNUSABLE:
                    raise
                self._begin_anew(path, network=network)

    def close(self) -> None:
        """Close the file; SQLite then folds its WAL into it."""
        self.db.close()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give the connection for looking."""
        with self._lock, self._mapped():
            yield self.db

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Give the connection for changes that are durable together at the end, or not made at all."""
        with self._lock, self._mapped():
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield self.db
                self.db.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self.db.execute("ROLLBACK")
                raise

    def _open(self, path: Path, *, network: bool) -> None:
        for suffix in ("", "-wal", "-shm", "-journal"):
            beside = Path(f"{path}{suffix}")
            if beside.is_symlink() or (beside.exists() and not beside.is_file()):
                raise ArchiveError(f"{beside} is a link or no file; links inside an archive are not followed")
        # Made by us with its mode, so that SQLite's own files beside it get the same one.
        path.touch(mode=0o600)
        path.chmod(0o600)
        self.db = sqlite3.connect(path, isolation_level=None, timeout=PATIENCE, check_same_thread=False)
        try:
            self._check()
            self.db.execute("PRAGMA foreign_keys = ON")
            if network:
                self.db.execute("PRAGMA journal_mode = TRUNCATE")
                self.db.execute("PRAGMA synchronous = EXTRA")
            else:
                self.db.execute("PRAGMA journal_mode = WAL")
                self.db.execute("PRAGMA synchronous = FULL")
            while self._version() < VERSION:
                self._migrate()
        except BaseException:
            self.db.close()
            raise

    def _version(self) -> int:
        """Give the number of the schema in the file; 0 for a new one."""
        return int(self.db.execute("PRAGMA user_version").fetchone()[0])

    def _check(self) -> None:
        """Look at the file before anything is changed in it."""
        version = self._version()
        if version > VERSION:
            raise ArchiveError(
                f"{self.shown} was written by a later version of mailarchive (schema {version}, known {VERSION})",
                hint="update mailarchive, or move that file away: the catalogue is then made anew",
            )
        tables = self.db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if version == 0 and tables:
            raise _ForeignError
        if version:
            row = self.db.execute("SELECT value FROM meta WHERE key = 'archive'").fetchone()
            if row is None or row[0] != self._id:
                raise _ForeignError

    def _migrate(self) -> None:
        """Bring the schema one step further in one transaction; a new file gets the one of today at once."""
        with self.transaction() as db:
            # Asked again under the lock: another process may have been quicker.
            version = self._version()
            if version == 0:
                schema = resources.files("mailarchive").joinpath("schema.sql").read_text(encoding="utf-8")
                for statement in _statements(schema):
                    db.execute(statement)
                db.execute("INSERT INTO meta VALUES ('archive', ?)", (self._id,))
                db.execute(f"PRAGMA user_version = {VERSION}")
            elif version < VERSION:
                for statement in _statements(STEPS[version]):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {version + 1}")

    def _begin_anew(self, path: Path, *, network: bool) -> None:
        """Set a catalogue aside that cannot be used, and begin an empty one."""
        self.set_aside = set_aside(path)
        self._open(path, network=network)

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        path = self.shown
        try:
            yield
        except sqlite3.Error as error:
            if _primary(error) == sqlite3.SQLITE_CANTOPEN and not os.access(path, os.R_OK | os.W_OK):
                raise ArchiveError(f"no permission for the catalogue {path}") from None
            if isinstance(error, sqlite3.OperationalError) and _primary(error) in _FULL:
                kind = FullError if _primary(error) == sqlite3.SQLITE_FULL else DiskError
                raise kind(
                    f"the disk does not take the catalogue {path}: {error}",
                    hint="free some space and run again; what was archived is safe",
                ) from None
            if _primary(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise BusyError(
                    f"another program has the catalogue {path} open and holds it", hint="close it and run again"
                ) from None
            raise ArchiveError(
                f"the catalogue {path} does not work: {error}",
                hint="no mail is lost: `mailarchive reindex` makes it anew from the files",
            ) from None
        except OSError as error:
            raise os_error(error, str(path)) from None


def set_aside(path: Path) -> Path | None:
    """Give a catalogue and its journals another name; None if there is nothing.

    The file goes first: without its WAL it may lack what was committed last, and a WAL without its file is dropped by
    SQLite.
    """
    aside = path.with_name(f"{path.name}.set-aside-{datetime.now(UTC).strftime('%Y%m%dT%H%M%S%f')}")
    moved = False
    for suffix in ("", "-wal", "-shm", "-journal"):
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(f"{aside}{suffix}")
            moved = moved or not suffix
    return aside if moved else None


def has_full_text() -> bool:
    """Tell whether the SQLite of this Python can search words (FTS5)."""
    with contextlib.closing(sqlite3.connect(":memory:")) as db:
        try:
            db.execute("CREATE VIRTUAL TABLE t USING fts5 (words, tokenize = 'unicode61 remove_diacritics 2')")
        except sqlite3.Error:
            return False
    return True


@contextmanager
def copied(path: Path) -> Iterator[Path]:
    """Give a copy of a catalogue in a temporary folder, whole even while another process writes it.

    Raises:
        BusyError: It was being written all the time.
        ArchiveError: It cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="mailarchive-") as folder:
        copy = Path(folder) / "catalogue.sqlite"
        try:
            _copy(path, copy)
        except OSError as error:
            raise os_error(error, f"{path}, to be copied") from None
        yield copy


def _copy(path: Path, copy: Path) -> None:
    """Copy the file and its journals: again until nothing has moved meanwhile."""
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


class _ForeignError(Exception):
    """The file is a database, and not the catalogue of this archive."""


def _primary(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _statements(script: str) -> list[str]:
    lines = (line.partition("--")[0] for line in script.splitlines())
    return [statement for statement in "\n".join(lines).split(";") if statement.strip()]
