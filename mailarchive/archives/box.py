"""The folder of one mailbox: what it holds by digest, and the batch that is being written to it.

The law of this room: a file is known by the first part of its name, which is made of its digest; a mail program may
change the rest at any time, so a name that is gone is looked for once more.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import repeat
from typing import TYPE_CHECKING, Final

from mailarchive.archives import durable
from mailarchive.archives.filed import FIRST, REST, Filed
from mailarchive.archives.uidlist import KEYWORDS, Keywords, is_keyword
from mailarchive.digests import digested
from mailarchive.errors import ArchiveError, MissingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mailarchive.archives.batches import Batch
    from mailarchive.archives.durable import Directory
    from mailarchive.model import Digest

_FIRST: Final = re.compile(FIRST)
NAME: Final = re.compile(f"({FIRST}){REST}")
"""A whole name of ours: its first part, what that is made of, and what mail programs may change."""

FOLDER: Final = "maildirfolder"
"""In every mailbox of a Maildir++ but INBOX."""


class Box:
    """The folder of one mailbox, open: what it holds by digest, and the batch that is being written.

    Attributes:
        batch: The one that is being written; None where nothing is. `pending`: its messages, by digest.
        sealed: Those of the batch before, while it is made durable.
        files: What is there, by digest; `others`: equal ones under another date, by the first part of their names.
    """

    def __init__(self, folder: str, leaf: Directory) -> None:
        self.folder = folder
        self._leaf = leaf
        self._open: dict[str, Directory] = {}
        self.batch: Batch | None = None
        self.pending: dict[str, tuple[Digest, str]] = {}
        self.sealed: dict[str, tuple[Digest, str]] = {}
        self.files = Filed()
        self.others: dict[str, tuple[str, str]] = {}
        self._keywords: Keywords | None = None
        self._letters_on_disk = ""
        self.look()

    def look(self) -> None:
        """Read the names that are there now; a mail program may have changed the part behind the separator."""
        self.files.clear()
        self.others.clear()
        self._seen = self._changed()
        # Somebody may have put a copy under another date beside ours; neither hides the other.
        for sub, name in self.files.fill(self._there()):
            if found := NAME.fullmatch(name):
                self.others[found.group(1)] = (sub, name)

    def _there(self) -> Iterator[tuple[str, str]]:
        """Give the folder and the name of each file, whosever it is."""
        present = set(self._leaf.folders())
        for sub in ("new", "cur"):
            if sub in present:
                yield from zip(repeat(sub), self.sub(sub).each_name(), strict=False)

    def look_again(self) -> bool:
        """Read the names anew if any of them can have changed; tells whether it did."""
        if self._changed() == self._seen:
            return False
        self.look()
        return True

    def _changed(self) -> tuple[int, ...]:
        present = set(self._leaf.folders())
        return tuple(self.sub(sub).changed() for sub in ("new", "cur") if sub in present)

    def digest_of(self, hexes: str) -> Digest | None:
        """Read a file back and hash it; None if it has gone since."""
        for _ in range(2):
            place = self.files.get(hexes)
            if place is None:
                break
            sub, name = place
            try:
                return digest_of_file(self.sub(sub), name)
            except MissingError:
                self.look()
        return None

    def sub(self, name: str, *, create: bool = False) -> Directory:
        """Open one of the three folders of the Maildir, once."""
        if name not in self._open:
            self._open[name] = self._leaf.child(name, create=create)
        return self._open[name]

    def mark(self) -> None:
        """Say to mail programs that this is a folder in a Maildir++, by the empty file that they look for."""
        if not self._leaf.has(FOLDER):
            self._leaf.draft(FOLDER).finish()

    def sync(self) -> bool:
        """Make the folders of the Maildir durable."""
        return self._leaf.sync()

    def find(self, unique: str) -> tuple[Directory, str] | None:
        """Find a file by the first part of its name, whatever a mail program has made of the rest."""
        found = self._find(unique)
        return (self.sub(found[0]), found[1]) if found is not None else None

    def has(self, unique: str) -> bool:
        """Tell whether there is a file of which this is the first part of the name."""
        return self._find(unique) is not None

    def place(self, unique: str) -> int | None:
        """Give the place in `files` of the file whose name begins like this; None if it is not there.

        It is negative for one that has no place of its own, or a name of an unusual shape.
        """
        parts = _FIRST.fullmatch(unique)
        place = self.files.place(parts[2]) if parts is not None else None
        if place is not None and self.files.unique(place) == unique:
            return place
        return -1 if self.has(unique) else None

    def _find(self, unique: str) -> tuple[str, str] | None:
        parts = _FIRST.fullmatch(unique)
        if parts is None:
            return None
        found = self.files.get(parts[2])
        if found is not None and found[1].startswith(unique):
            return found
        return self.others.get(unique)

    def letters(self, flags: frozenset[str]) -> str:
        """Give the letters of keywords in this mailbox; a new one counts after `commit`."""
        if not _has_keyword(flags):
            return ""
        # Held here, for a batch that fails in its own thread takes the table away.
        table = self._keywords
        if table is None:
            self._letters_on_disk = self.text(KEYWORDS)
            names = [name for _, name in (*self.files.values(), *self.others.values())]
            used = set().union(*(name.partition(",S=")[2].partition("2,")[2] for name in names))
            table = self._keywords = Keywords(self._letters_on_disk, used)
        return table.letters(flags)

    def text(self, name: str) -> str:
        """Read one of Dovecot's files in this mailbox; empty if there is none."""
        if self._leaf.size(name) is None:
            return ""
        return b"".join(self._leaf.read(name)).decode("utf-8", "surrogateescape")

    def seal(self) -> Callable[[], bool]:
        """Close the batch and begin the next; gives what makes the closed one durable, in whichever thread.

        That gives its names, and tells whether they are durable too; a letter of a keyword is durable before a name has
        it, or it would mean nothing for ever. It raises ArchiveError, and the batch is void.
        """
        assert self.batch is not None
        batch, self.batch = self.batch, self.batch.next()
        names, self.sealed, self.pending = self.pending, self.pending, {}
        table = self._keywords
        letters = table.text if table is not None and table.grown else None
        if table is not None:
            table.grown = False

        def commit() -> bool:
            try:
                if letters is not None:
                    self._write_letters(letters)
                batch.commit()
            except ArchiveError:
                batch.abandon()
                self.sealed = {}
                self._keywords = None
                raise
            # In this order, so that each is always found in one of the two.
            self.files.put(("cur", name) for _, name in names.values())
            self.sealed = {}
            return batch.names_durable

        return commit

    def _write_letters(self, text: str) -> None:
        if self.text(KEYWORDS) != self._letters_on_disk:
            raise ArchiveError(f"another program has just changed {self.folder}/{KEYWORDS}", hint="run again")
        durable.replace(self._leaf, KEYWORDS, text.encode("utf-8", "surrogateescape"))
        self._letters_on_disk = text

    def close(self) -> None:
        """Drop what was not committed and let everything go."""
        if self.batch is not None:
            self.batch.abandon()
        for directory in self._open.values():
            directory.close()
        self._leaf.close()


@lru_cache(maxsize=1024)
def _has_keyword(flags: frozenset[str]) -> bool:
    return any(map(is_keyword, flags))


def digest_of_file(directory: Directory, name: str) -> Digest:
    """Read a file from the device and hash it."""
    return digested(directory.read(name, cold=True))[0]
