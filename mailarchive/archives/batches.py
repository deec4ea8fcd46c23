"""Files that become durable and visible together (`safety.md` section 3, W1 to W4).

The law of this room: octets first, then the names, then the folder of the names; what could not be synced is lost and
comes anew from the server. Where one call syncs them all (`durable.can_sync_together`) it is that, because it costs a
fraction of a call for each; a few files are synced one by one, so that other programs' writes are not waited for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from mailarchive.archives import durable
from mailarchive.archives.durable import Draft
from mailarchive.errors import ArchiveError, MissingError

if TYPE_CHECKING:
    from mailarchive.archives.durable import Directory

FEW: Final = 8
"""Files that are rather synced one by one; so many are open at a time."""


class Twin(NamedTuple):
    """An equal, durable file in another folder; whoever takes it closes the folder."""

    directory: Directory
    name: str

    def link(self, target: Directory, new_name: str) -> bool:
        """Give the file a second name; False where there are no links, or a mail program has just renamed it."""
        try:
            return self.directory.link(self.name, target, new_name)
        except MissingError:
            return False


class Batch:
    """Files of one Maildir.

    Args:
        tmp: Where they are written. `cur`: where they get their names.
        together: Whether one call may sync them all. The descriptor of `tmp` is older than any of them, or an error
            would not be told.
    """

    def __init__(self, tmp: Directory, cur: Directory, *, together: bool = False) -> None:
        self._tmp = tmp
        self._cur = cur
        self._together = together
        self._adopted = False
        self._drafts: dict[str, Draft] = {}
        self._twins: dict[str, Twin] = {}
        self._open: list[Draft] = []
        self._many = False
        self.names_durable = True
        # The folder is closed to others in any case; a mask that takes rights from us would need mending.
        self._closed = durable.makes_files_ours()

    def next(self) -> Batch:
        """Begin another batch in the same place."""
        return Batch(self._tmp, self._cur, together=self._together)

    def draft(self, name: str) -> Draft:
        """Begin a file; it must be given to `keep` or dropped."""
        return self._tmp.draft(name)

    def keep(self, draft: Draft, name: str, mtime: int | None) -> None:
        """Take a written file into the batch, to get its final name at the commit; `mtime` in seconds since 1970."""
        try:
            if not draft.linked:
                draft.date(mtime, closed=self._closed)
                if not self._together:
                    draft.close(sync=True)
                elif self._many:
                    draft.close(sync=False)
                else:
                    self._hold(draft)
        except ArchiveError:
            draft.drop()
            raise
        self._drafts[name] = draft

    def twin(self, name: str, twin: Twin) -> None:
        """Have the commit link an equal file that is durable already, and drop the draft."""
        if (old := self._twins.pop(name, None)) is not None:
            old.directory.close()
        self._twins[name] = twin

    def link(self, directory: Directory, old: str, name: str) -> Draft | None:
        """Begin a file as a second name of a durable one; None where the system has no links for it.

        Octets and date are those of the first name. Raises MissingError if that is not there.
        """
        return Draft(self._tmp, name, None) if directory.link(old, self._tmp, name) else None

    def adopt(self, directory: Directory, name: str) -> None:
        """Take a file that an interrupted run, or anybody, has left: it and its name are synced like ours."""
        directory.sync_file(name)
        if directory.fd != self._cur.fd:
            directory.sync()
        self._adopted = True

    def commit(self) -> None:
        """Make the octets durable, give every file its name, and make the names durable."""
        if not self._drafts and not self._adopted:
            return
        try:
            for draft in self._open:
                draft.close(sync=True)
            self._open.clear()
            if self._many:
                self._tmp.sync_all()
            for name, draft in self._drafts.items():
                twin = self._twins.get(name)
                if twin is not None and twin.link(self._cur, name):
                    draft.drop()
                else:
                    self._tmp.link_or_move(draft.name, self._cur, name)
            self.names_durable = self._cur.sync()
        except ArchiveError:
            self.abandon()
            raise
        self._forget()

    def abandon(self) -> None:
        """Drop what has no final name; what has one is whole, and the next run adopts it."""
        for draft in self._drafts.values():
            draft.drop()
        self._forget()

    def _hold(self, draft: Draft) -> None:
        """Leave a file open, to be synced by itself if there are no more than a few."""
        self._open.append(draft)
        if len(self._open) > FEW:
            self._many = True
            for each in self._open:
                each.close(sync=False)
            self._open.clear()

    def _forget(self) -> None:
        for twin in self._twins.values():
            twin.directory.close()
        self._twins.clear()
        self._drafts.clear()
        self._open.clear()
        self._adopted = self._many = False
