"""The folders of an archive: where the Maildirs are, and the few that are open.

The law of this room: a folder is opened part by part, without following links, and never outside the archive; a few
are open at a time, however many there are, and among them always the one that is being written.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from mailarchive.archives.batches import Batch
from mailarchive.archives.box import Box
from mailarchive.archives.marker import META
from mailarchive.errors import MissingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mailarchive.archives.durable import Directory

SUFFIX = ".mailarchive"
"""Of our files in `tmp`."""

SUBFOLDERS = ("cur", "new", "tmp")
_OPEN_BOXES = 4


class Boxes:
    """The Maildirs of one archive.

    Args:
        root: The folder of the archive; this object closes it.
        doubt: Hears of each sync of a folder whether the names in it are durable.
        flat: Whether the mailboxes lie in the folder of INBOX (Maildir++).
        together: See `batches.Batch`.

    Attributes:
        writing: The one that is being written; its batch is there.
    """

    def __init__(
        self, root: Directory, doubt: Callable[[bool], None], *, flat: bool = False, together: bool = False
    ) -> None:
        self.root = root
        self._flat = flat
        self._together = together
        self.writing: Box | None = None
        self._doubt = doubt
        self._open: OrderedDict[str, Box] = OrderedDict()

    def get(self, folder: str) -> Box | None:
        """Open the folder of a mailbox for reading; None if it is not there."""
        box = self._open.get(folder)
        if box is not None:
            self._open.move_to_end(folder)
            return box
        parts = tuple(folder.split("/"))
        if any(part in ("", ".", "..", META) for part in parts):
            return None
        try:
            box = Box(folder, self._descend(parts))
        except MissingError:
            return None
        self._remember(folder, box)
        return box

    def for_writing(self, folder: str) -> Box:
        """Open the folder of a mailbox for a batch, making what is missing; it is read anew.

        Every folder on the way is synced, whoever made it: an interrupted run may not have done so.
        """
        if self.writing is not None and self.writing.folder == folder:
            return self.writing
        if self.writing is not None and (self.writing.pending or self.writing.sealed):
            raise AssertionError("a batch goes to one mailbox; sync before the next")
        stale = self._open.pop(folder, None)
        if stale is not None:
            stale.close()
        parts = tuple(folder.split("/"))
        box = Box(folder, self._descend(parts, create=True))
        try:
            cur, tmp = box.sub("cur", create=True), box.sub("tmp", create=True)
            box.sub("new", create=True)
            if self._flat and len(parts) > 1:
                self._make_inbox(parts[:1])
                box.mark()
            self._doubt(box.sync())
        except BaseException:
            box.close()
            raise
        box.batch = Batch(tmp, cur, together=self._together)
        self._remember(folder, box)
        self.writing = box
        return box

    def leaf(self, folder: str) -> Directory | None:
        """Open the folder of a mailbox and nothing in it, to be closed by the caller; None if it is not there."""
        try:
            return self._descend(tuple(folder.split("/")))
        except MissingError:
            return None

    def maildirs(self) -> Iterator[tuple[str, ...]]:
        """Give the folders that are Maildirs, parents first; one folder is open at a time, however deep they are."""
        return self.root.walk(lambda _, names: "cur" in names, hidden=META, leave=SUBFOLDERS)

    def sweep(self) -> int:
        """Remove what interrupted runs left in `tmp`; gives the number of files."""
        removed = 0
        for parts in list(self.maildirs()):
            leaf = self._descend(parts)
            try:
                if "tmp" in leaf.folders():
                    removed += _sweep(leaf)
            finally:
                leaf.close()
        return removed

    def close(self) -> None:
        """Drop what was not committed, and let every descriptor go."""
        while self._open:
            self._open.popitem()[1].close()
        self.writing = None
        self.root.close()

    def _make_inbox(self, parts: tuple[str, ...]) -> None:
        """Make the folder of all folders a Maildir, as whoever opens a Maildir++ expects, mail of INBOX or not."""
        leaf = self._descend(parts)
        try:
            for name in SUBFOLDERS:
                leaf.child(name, create=True).close()
            self._doubt(leaf.sync())
        finally:
            leaf.close()

    def _remember(self, folder: str, box: Box) -> None:
        self._open[folder] = box
        for old in list(self._open):
            if len(self._open) <= _OPEN_BOXES:
                break
            if self._open[old] is not self.writing and old != folder:
                self._open.pop(old).close()

    def _descend(self, parts: tuple[str, ...], *, create: bool = False) -> Directory:
        return self.root.descend(parts, self._doubt if create else None)


def _sweep(leaf: Directory) -> int:
    tmp = leaf.child("tmp")
    try:
        ours = [name for name in tmp.names() if name.endswith(SUFFIX)]
        for name in ours:
            tmp.remove(name)
        return len(ours)
    finally:
        tmp.close()
