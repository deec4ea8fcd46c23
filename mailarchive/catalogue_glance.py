"""A glance at a catalogue: how much the archive holds, and what is open; without opening it for writing.

The law of this room: it reads a copy, or where a run is writing, the file itself through SQLite's own locks; neither
keeps a run waiting, makes a file beside the mail, or changes one.
"""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

from mailarchive.catalogue_file import PATIENCE, copied
from mailarchive.errors import ArchiveError, BusyError
from mailarchive.standing import Holdings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def glance(path: Path, archive_id: str, *, busy: bool) -> Holdings:
    """Look into a catalogue.

    Args:
        path: The file.
        archive_id: The archive it must belong to.
        busy: Whether a run is writing it, so that a copy might never be whole.

    Raises:
        BusyError: It was being written all the time.
        ArchiveError: It is damaged, or of another archive or another version; a few words that follow "the catalogue".
    """
    try:
        with _connected(path, busy=busy) as db:
            row = db.execute("SELECT value FROM meta WHERE key = 'archive'").fetchone()
            if row is None or row[0] != archive_id:
                raise ArchiveError("is of another archive")
            messages, size = db.execute(
                "SELECT count(*), coalesce(sum(size), 0) FROM content WHERE id IN (SELECT content FROM placement)"
            ).fetchone()
            (held,) = db.execute("SELECT count(*) FROM placement WHERE hold <> '' AND expunged_at IS NULL").fetchone()
            (open_,) = db.execute(
                "SELECT count(*) FROM expunge_batch b JOIN expunge_item i ON i.batch = b.id"
                " WHERE b.closed_at IS NULL AND i.state = 'intent'"
            ).fetchone()
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise BusyError(f"another program holds the catalogue {path}") from None
        raise ArchiveError(f"cannot be used: {error}") from None
    return Holdings(messages, size, held, open_)


@contextlib.contextmanager
def _connected(path: Path, *, busy: bool) -> Iterator[sqlite3.Connection]:
    if busy:
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=PATIENCE)) as db:
            yield db
        return
    with copied(path) as copy, contextlib.closing(sqlite3.connect(copy)) as db:
        yield db
