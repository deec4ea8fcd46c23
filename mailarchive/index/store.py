"""The file of the index: SQLite with FTS5, keyed by digest, with the catalogue of the archive attached for reading.

The law of this room: the catalogue is only read. A file that is damaged, of another archive or of another version is
thrown away and begun anew; nothing is lost by that but time.

The words are kept without the texts (`content=''`), so the file has about a third of the octets of the text in it; what
it cannot do then is to forget a message, and no message ever leaves an archive.
"""

from __future__ import annotations

import contextlib
import sqlite3
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from mailarchive.catalogue import digest_of, raw
from mailarchive.catalogue_file import PATIENCE
from mailarchive.catalogue_file import VERSION as CATALOGUE_VERSION
from mailarchive.errors import ArchiveError, BusyError, DiskError, os_error
from mailarchive.index.words import spaced
from mailarchive.model import Location

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mailarchive.model import Digest
    from mailarchive.reading import Letter

NAME: Final = "index.sqlite"
"""Of the file, beside the catalogue."""

VERSION: Final = 1
"""Of its form; a file of any other is made anew."""

_MODES: Final = ("mode=rw", "mode=ro", "mode=ro&immutable=1")
_PARTS: Final = ("", "-wal", "-shm", "-journal")
_PAGE: Final = 2000
_PLACES = (
    "known.content c CROSS JOIN known.placement p ON p.content = c.id CROSS JOIN known.mailbox m ON m.id = p.mailbox"
)
_UNKNOWN = "NOT EXISTS (SELECT 1 FROM letter l WHERE l.digest = c.digest)"
_INSTANT = "CAST(strftime('%s', p.internal_date) AS INTEGER)"
_SCHEMA = """
    CREATE TABLE fact (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

    -- What a list of messages shows, so that no file has to be opened for it. They are sorted by `at`.
    CREATE TABLE letter (
        id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, at INTEGER, subject TEXT NOT NULL, sender TEXT NOT NULL,
        recipients TEXT NOT NULL, attachments INTEGER NOT NULL
    );
    CREATE INDEX letter_at ON letter (at);
    CREATE VIRTUAL TABLE words USING fts5 (
        subject, sender, receiver, copied, list, filename, body,
        content = '', columnsize = 0, tokenize = 'unicode61 remove_diacritics 2'
    );
    -- Octets of words that are gathered before they are written: fewer pieces to be merged, and many together.
    INSERT INTO words (words, rank) VALUES ('hashsize', 8388608);
    INSERT INTO words (words, rank) VALUES ('automerge', 16)
"""
_SHORT: Final = 500
"""Characters of a field in a list."""


class Waiting(NamedTuple):
    """A message that is not indexed yet; `at` is when it was received, in seconds, None if that is unknown."""

    digest: Digest
    location: Location
    at: int | None


class Index:
    """The index of one archive, open.

    Args:
        path: Of the file; it is made if it is missing. None makes one that lives as long as this value, for an archive
            beside which nothing is kept.
        catalogue: Of the archive; it must be there.
        archive_id: The archive that both belong to.
        network: Whether they lie on a network filesystem.
    """

    def __init__(self, path: Path | None, catalogue: Path, archive_id: str, *, network: bool = False) -> None:
        self.lasting = path is not None
        self._shown = path or Path("index")
        self._id = archive_id
        self._network = network
        with self._mapped():
            try:
                self._open(path)
            except sqlite3.DatabaseError as error:
                if path is None or _code(error) in _NOT_ITS_FAULT:
                    raise
                drop(path)
                self._open(path)
            try:
                self._attach(catalogue)
            except BaseException:
                self.db.close()
                raise

    def close(self) -> None:
        """Close it."""
        self.db.close()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give the connection for looking; the catalogue is in it as `known`."""
        with self._mapped():
            yield self.db

    def behind(self, condition: str = "1", values: Sequence[object] = ()) -> int:
        """Count what is not indexed yet, of that which fulfils a condition as `waiting` takes it."""
        query = f"SELECT count(DISTINCT c.id) FROM {_PLACES} WHERE c.id > ? AND {condition} AND {_UNKNOWN}"  # noqa: S608 - ours
        with self.reading() as db:
            return int(db.execute(query, (self._reached(), *values)).fetchone()[0])

    def waiting(self, condition: str = "1", values: Sequence[object] = ()) -> Iterator[Waiting]:
        """Give what is not indexed yet, of that which fulfils a condition on `p`, a placement, and `c`, its content.

        It holds a few thousand at a time, and messages may be taken in meanwhile.
        """
        query = (
            f"SELECT c.id, c.digest, min(p.location), max({_INSTANT}) FROM {_PLACES}"  # noqa: S608 - ours
            f" WHERE c.id > ? AND {condition} AND {_UNKNOWN} GROUP BY c.id ORDER BY c.id LIMIT {_PAGE}"
        )
        last = self._reached()
        while True:
            with self.reading() as db:
                rows = db.execute(query, (last, *values)).fetchall()
            for number, key, place, at in rows:
                last = number
                yield Waiting(digest_of(key), Location(place), at)
            if len(rows) < _PAGE:
                return

    def settle(self) -> None:
        """Note how far everything is indexed, so that the next look begins there.

        The note is good only for this very file of a catalogue: another one may have given its numbers otherwise.
        """
        first = self._reached()
        with self._mapped():
            missing = self.db.execute(
                "SELECT min(c.id) FROM known.content c WHERE c.id > ? AND"  # noqa: S608 - ours
                f" {_UNKNOWN}",
                (first,),
            ).fetchone()[0]
            last = self.db.execute("SELECT max(id) FROM known.content").fetchone()[0] or 0
            reached = missing - 1 if missing is not None else last
            if reached > first:
                note = f"{self._file}:{reached}:{self._digest(reached)}"
                self.db.execute("INSERT OR REPLACE INTO fact VALUES ('reached', ?)", (note,))

    def _reached(self) -> int:
        """Give the number of a content up to which all are indexed; 0 if none is known."""
        with self._mapped():
            row = self.db.execute("SELECT value FROM fact WHERE key = 'reached'").fetchone()
            file, _, rest = (row[0] if row else "").partition(":")
            number, _, digest = rest.partition(":")
            valid = number.isdecimal() and file == self._file and digest == self._digest(int(number))
        return int(number) if valid else 0

    def _digest(self, number: int) -> str:
        row = self.db.execute("SELECT hex(digest) FROM known.content WHERE id = ?", (number,)).fetchone()
        return str(row[0]) if row else ""

    def add(self, letters: Iterable[tuple[Waiting, Letter]]) -> None:
        """Take in messages, in one transaction; those that are there by now are left alone.

        Raises:
            BusyError: Another process is taking in messages.
        """
        with self._mapped():
            # Not IMMEDIATE, which would lock the catalogue too, and that is somebody else's to write.
            self.db.execute("BEGIN")
            try:
                for waiting, letter in letters:
                    self._add(waiting, letter)
                self.db.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self.db.execute("ROLLBACK")
                raise

    def _add(self, waiting: Waiting, letter: Letter) -> None:
        sent = int(letter.date.timestamp()) if letter.date is not None else None
        recipients = ", ".join(filter(None, (letter.to, letter.cc)))
        listed = (_cut(letter.subject), _cut(letter.sender), _cut(recipients))
        made = self.db.execute(
            "INSERT OR IGNORE INTO letter (digest, at, subject, sender, recipients, attachments)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (raw(waiting.digest), waiting.at if waiting.at is not None else sent, *listed, letter.attachments),
        )
        if made.rowcount < 1:
            return
        texts = (letter.subject, letter.sender, letter.to, letter.cc, letter.list_id, letter.names, letter.body)
        self.db.execute(
            "INSERT INTO words (rowid, subject, sender, receiver, copied, list, filename, body)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (made.lastrowid, *map(spaced, texts)),
        )

    def _open(self, path: Path | None) -> None:
        if path is not None:
            for suffix in _PARTS:
                beside = Path(f"{path}{suffix}")
                if beside.is_symlink() or (beside.exists() and not beside.is_file()):
                    raise ArchiveError(f"{beside} is a link or no file; links inside an archive are not followed")
            path.touch(mode=0o600)
            path.chmod(0o600)
        # An empty name is a file of SQLite's own, which nobody else sees and which is gone at the end.
        name = "" if path is None else path.absolute().as_uri()
        self.db = sqlite3.connect(name, isolation_level=None, timeout=PATIENCE, uri=True)
        try:
            if path is not None:
                self.db.execute(f"PRAGMA journal_mode = {'TRUNCATE' if self._network else 'WAL'}")
            self.db.execute("PRAGMA synchronous = NORMAL")
            self.db.execute("PRAGMA cache_size = -16384")
            self._prepare()
        except BaseException:
            self.db.close()
            raise

    def _prepare(self) -> None:
        """Make the tables of a new file; refuse one that is not ours, so that it is made anew."""
        if self._version() == 0:
            self.db.execute("BEGIN IMMEDIATE")
        # Asked again under the lock: another process may have been quicker.
        if self.db.in_transaction and self._version() == 0:
            for statement in _SCHEMA.split(";"):
                self.db.execute(statement)
            self.db.execute("INSERT INTO fact VALUES ('archive', ?)", (self._id,))
            self.db.execute(f"PRAGMA main.user_version = {VERSION}")
        if self.db.in_transaction:
            self.db.execute("COMMIT")
        owner = self.db.execute("SELECT value FROM fact WHERE key = 'archive'").fetchone()
        if self._version() != VERSION or owner != (self._id,):
            raise sqlite3.DatabaseError("of another archive or version")

    def _version(self) -> int:
        return int(self.db.execute("PRAGMA main.user_version").fetchone()[0])

    def _attach(self, catalogue: Path) -> None:
        if not catalogue.is_file() or catalogue.is_symlink():
            raise ArchiveError(f"the catalogue {catalogue} is gone", hint="mailarchive reindex makes it from the files")
        self._file = str(catalogue.stat().st_ino)
        # Nothing is written, but only who might takes SQLite's own files away again that even a look makes. Where
        # nothing can be written beside it, SQLite needs to be told that nobody else writes either.
        for mode in _MODES:
            try:
                self.db.execute("ATTACH ? AS known", (f"{catalogue.absolute().as_uri()}?{mode}",))
                version = int(self.db.execute("PRAGMA known.user_version").fetchone()[0])
                break
            except sqlite3.OperationalError as error:
                if _code(error) not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY) or mode == _MODES[-1]:
                    raise
                with contextlib.suppress(sqlite3.Error):
                    self.db.execute("DETACH known")
        if version > CATALOGUE_VERSION:
            raise ArchiveError(
                f"{catalogue} was written by a later version of mailarchive (schema {version})",
                hint="update mailarchive",
            )
        owner = self.db.execute("SELECT value FROM known.meta WHERE key = 'archive'").fetchone() if version else None
        if owner != (self._id,):
            raise ArchiveError(
                f"the catalogue {catalogue} belongs to another archive", hint="mailarchive reindex makes it anew"
            )

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            code = _code(error)
            if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise BusyError(f"another program is writing {self._shown}", hint="run again later") from None
            if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
                raise DiskError(f"the disk does not take {self._shown}: {error}") from None
            raise ArchiveError(
                f"the index {self._shown} does not work: {error}", hint="mailarchive reindex has it made anew"
            ) from None
        except OSError as error:
            raise os_error(error, str(self._shown)) from None


_NOT_ITS_FAULT = (
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
)


def drop(path: Path) -> None:
    """Remove an index."""
    try:
        for suffix in _PARTS:
            Path(f"{path}{suffix}").unlink(missing_ok=True)
    except OSError as error:
        raise os_error(error, str(path)) from None


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _cut(text: str) -> str:
    return _writable(" ".join(text[: 2 * _SHORT].split())[:_SHORT])


def _writable(text: str) -> str:
    """Give a text that a database takes."""
    return text.encode("utf-8", "replace").decode("utf-8")
