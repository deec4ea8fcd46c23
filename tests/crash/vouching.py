"""Reads what an archive holds, and what its catalogue vouches for.

The catalogue is read from a copy: whoever opens the file itself would mend what a kill left of it.
"""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from mailarchive.archives.opening import open_for_reading


def vouched(archive: Path) -> set[str]:
    """Give the SHA-256 of each message that the catalogue of an archive says is there."""
    found = list(archive.glob(".mailarchive/catalogue.sqlite*"))
    if not found:
        return set()
    with tempfile.TemporaryDirectory() as folder:
        for path in found:
            # The index of the journal is made anew.
            if not path.name.endswith("-shm"):
                shutil.copyfile(path, Path(folder, path.name))
        with closing(sqlite3.connect(Path(folder, "catalogue.sqlite"))) as db:
            try:
                rows = db.execute("SELECT c.digest FROM placement p JOIN content c ON c.id = p.content").fetchall()
            except sqlite3.OperationalError:
                # Killed before it had its tables.
                return set()
    return {digest.hex() for (digest,) in rows}


def whole(archive: Path) -> set[str]:
    """Give the digests of what an archive holds, by reading all of it."""
    opened = open_for_reading(archive) if archive.exists() else None
    if opened is None:
        return set()
    with opened:
        messages = (opened.mail.read(location) for _, location in opened.mail.scan())
        return {hashlib.sha256(b"".join(pieces)).hexdigest() for pieces in messages}
