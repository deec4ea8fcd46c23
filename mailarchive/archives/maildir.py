"""Messages as files: one Maildir for each mailbox (`archive-format.md` sections 1 to 3).

The law of this room: the file holds exactly the octets that came; its name is made of their digest, so that adding
them again finds the copy; nothing is visible before `sync`, and a file that is there is never changed, renamed or
removed. One found damaged is set aside, and the fresh octets take its name.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING

from mailarchive.archives import durable
from mailarchive.archives.box import NAME, Box
from mailarchive.archives.manifest import RunManifest
from mailarchive.archives.marker import META
from mailarchive.errors import ArchiveError, MissingError
from mailarchive.model import ANSWERED, DRAFT, FLAGGED, FORWARDED, SEEN, Digest, Location, StoredMessage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mailarchive.archives.durable import Directory, Draft
    from mailarchive.archives.names import Names
    from mailarchive.model import Mailbox, RemoteMessage
    from mailarchive.ports import Incoming

HEAD = 64 * 1024
SUFFIX = ".mailarchive"
SUBFOLDERS = ("cur", "new", "tmp")
_OPEN_BOXES = 4

_FLAG_LETTERS = {DRAFT: "D", FLAGGED: "F", FORWARDED: "P", ANSWERED: "R", SEEN: "S"}


class MaildirArchive:
    """An archive of Maildirs; see `ports.Archive`.

    Args:
        root: The folder of the archive; this object closes it.
        archive_id: From the marker. `separator`: before the flags in a name.
        names: Turns mailbox names into folders, and back.
        run: Id of the run that writes.
        elsewhere: Says where another copy of some octets is, in whichever mailbox, for linking; None for nowhere.
    """

    def __init__(
        self,
        root: Directory,
        archive_id: str,
        names: Names,
        *,
        run: str,
        separator: str = ":",
        elsewhere: Callable[[Digest], Location | None] = lambda _: None,
    ) -> None:
        self.id = archive_id
        self.doubts: list[str] = []
        self.elsewhere = elsewhere
        self._root = root
        self._names = names
        self._run = run
        self._separator = separator
        self._count = 0
        self._boxes: OrderedDict[str, Box] = OrderedDict()
        self._writing: Box | None = None

    def folder(self, mailbox: Mailbox) -> str:
        """Give the folder of a mailbox relative to the archive, with `/` between its parts."""
        return "/".join(self._names.folder(mailbox.name, mailbox.delimiter))

    def add(self, mailbox: Mailbox, incoming: Incoming) -> StoredMessage:
        """Take the octets of one message into the current batch; all of a batch go to one mailbox."""
        box = self._box_for_writing(mailbox)
        assert box.batch is not None
        self._count += 1
        draft = box.batch.draft(f"{self._run}.{self._count}{SUFFIX}")
        try:
            digest, size, head = _pour(incoming, draft)
            return self._settle(box, draft, incoming.message, StoredMessage(digest, size, Location(""), head=head))
        except BaseException:
            draft.drop()
            raise

    def sync(self) -> None:
        """Make the batch durable and visible."""
        box = self._writing
        if box is None or box.batch is None:
            return
        try:
            box.batch.commit()
        except ArchiveError:
            box.pending.clear()
            raise
        box.committed()
        self._doubt(names_durable=box.batch.names_durable)

    def discard(self) -> None:
        """Drop everything added since the last sync."""
        if self._writing is not None and self._writing.batch is not None:
            self._writing.batch.abandon()
            self._writing.pending.clear()

    def holds(self, location: Location) -> bool:
        """Tell whether a message is still there, whole as far as its size tells, without reading it."""
        found = self._find(location)
        return found is not None and found[0].size(found[1]) == int(location.rpartition("S=")[2])

    def read(self, location: Location, *, cold: bool = False) -> Iterator[bytes]:
        """Give the octets of a message; with `cold`, from the device rather than from memory."""
        found = self._find(location)
        if found is None:
            raise MissingError(f"{self._root.path}/{location} is not in the archive")
        directory, name = found
        yield from directory.read(name, cold=cold)

    def hint(self, location: Location) -> str:
        """Give what a location itself tells of the digest."""
        parts = NAME.fullmatch(location.rpartition("/")[2])
        return f"sha256:{parts.group(2) if parts else ''}"

    def scan(self) -> Iterator[tuple[tuple[str, ...], Location]]:
        """Give every message: the parts of its folder and its location."""
        for parts in self._maildirs():
            box = self._box("/".join(parts))
            if box is not None:
                for _, name in sorted([*box.files.values(), *box.others.values()]):
                    unique = NAME.fullmatch(name)
                    assert unique is not None
                    yield parts, Location(f"{box.folder}/{unique.group(1)}")

    def manifest(self, run: str) -> RunManifest:
        """Begin the manifest of a run."""
        meta = self._root.child(META)
        try:
            return RunManifest(meta.child("runs", create=True), run)
        finally:
            meta.close()

    def sweep(self) -> int:
        """Remove what interrupted runs left in `tmp`; gives the number of files. Only under the lock."""
        removed = 0
        for parts in list(self._maildirs()):
            leaf = self._descend(parts)
            try:
                if "tmp" in leaf.folders():
                    removed += _sweep(leaf)
            finally:
                leaf.close()
        return removed

    def close(self) -> None:
        """Drop what was not synced, and let every descriptor go."""
        self.discard()
        while self._boxes:
            self._boxes.popitem()[1].close()
        self._writing = None
        self._root.close()

    def _settle(self, box: Box, draft: Draft, message: RemoteMessage, stored: StoredMessage) -> StoredMessage:
        """Decide between a new file, a copy that is there, and a damaged copy to be set aside."""
        assert box.batch is not None
        digits = stored.digest.removeprefix("sha256:")
        for hexes in (digits[:32], digits):
            if hexes in box.pending:
                digest, name = box.pending[hexes]
                if digest == stored.digest:
                    draft.drop()
                    return self._stored(box, stored, name, already=True)
                continue
            found = box.digest_of(hexes)
            if found == stored.digest:
                draft.drop()
                sub, name = box.files[hexes]
                box.batch.adopt(box.sub(sub), name)
                return self._stored(box, stored, name, already=True)
            if found is not None and found.startswith(f"sha256:{hexes}"):
                continue
            if found is not None:
                self._set_aside(box, hexes)
            name = self._name(hexes, message, stored.size)
            self._keep(box, draft, name, message, stored)
            return self._stored(box, stored, name, damaged=found is not None)
        raise ArchiveError(f"{box.folder}: two messages have the same digest and differ")

    def _keep(self, box: Box, draft: Draft, name: str, message: RemoteMessage, stored: StoredMessage) -> None:
        assert box.batch is not None
        when = message.internal_date
        mtime = when if when is not None and when.timestamp() >= 0 else None
        box.batch.keep(draft, name, mtime, self._twin(box, name, stored))
        found = NAME.fullmatch(name)
        assert found is not None
        box.pending[found.group(2)] = (stored.digest, name)

    def _twin(self, box: Box, name: str, stored: StoredMessage) -> durable.Twin | None:
        """Find an equal file with the same date in another mailbox, and read it back before it is relied on."""
        location = self.elsewhere(stored.digest)
        if location is None:
            return None
        folder, _, unique = location.rpartition("/")
        if folder == box.folder or not name.startswith(unique):
            return None
        other = self._box(folder)
        hexes = stored.digest.removeprefix("sha256:")[:32]
        if other is None or other.find(unique) is None or other.digest_of(hexes) != stored.digest:
            return None
        sub, current = other.files[hexes]
        # The box may be closed before the commit, so the twin has a descriptor of its own.
        return durable.Twin(other.sub(sub).again(), current)

    def _set_aside(self, box: Box, hexes: str) -> None:
        sub, name = box.files.pop(hexes)
        meta = self._root.child(META)
        damaged = meta.child("damaged", create=True)
        try:
            durable.set_aside(box.sub(sub), name, damaged)
            meta.sync()
        finally:
            damaged.close()
            meta.close()

    def _name(self, hexes: str, message: RemoteMessage, size: int) -> str:
        when = message.internal_date
        epoch = max(0, int(when.timestamp())) if when is not None else 0
        letters = "".join(sorted(_FLAG_LETTERS[flag] for flag in message.flags or () if flag in _FLAG_LETTERS))
        return f"{epoch}.{hexes}{SUFFIX},S={size}{self._separator}2,{letters}"

    def _stored(
        self, box: Box, stored: StoredMessage, name: str, *, already: bool = False, damaged: bool = False
    ) -> StoredMessage:
        found = NAME.fullmatch(name)
        assert found is not None
        location = Location(f"{box.folder}/{found.group(1)}")
        return StoredMessage(stored.digest, stored.size, location, already=already, head=stored.head, damaged=damaged)

    def _box_for_writing(self, mailbox: Mailbox) -> Box:
        folder = self.folder(mailbox)
        if self._writing is not None and self._writing.folder == folder:
            return self._writing
        if self._writing is not None and self._writing.pending:
            raise AssertionError("a batch goes to one mailbox; sync before the next")
        stale = self._boxes.pop(folder, None)
        if stale is not None:
            stale.close()
        box = Box(folder, self._make(folder))
        cur, tmp = box.sub("cur", create=True), box.sub("tmp", create=True)
        box.sub("new", create=True)
        self._doubt(names_durable=box.sync())
        box.batch = durable.Batch(tmp, cur)
        self._remember(folder, box)
        self._writing = box
        return box

    def _make(self, folder: str) -> Directory:
        """Open the folder of a mailbox, making what is missing.

        Every folder on the way is synced, whoever made it: an interrupted run may not have done so.
        """
        return self._descend(tuple(folder.split("/")), create=True)

    def _doubt(self, *, names_durable: bool) -> None:
        doubt = "this filesystem cannot make the names of files durable"
        if not names_durable and doubt not in self.doubts:
            self.doubts.append(doubt)

    def _find(self, location: Location) -> tuple[Directory, str] | None:
        folder, _, unique = location.rpartition("/")
        box = self._box(folder)
        return box.find(unique) if box is not None else None

    def _box(self, folder: str) -> Box | None:
        """Open the folder of a mailbox for reading; None if it is not there."""
        box = self._boxes.get(folder)
        if box is not None:
            self._boxes.move_to_end(folder)
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

    def _remember(self, folder: str, box: Box) -> None:
        self._boxes[folder] = box
        for old in list(self._boxes):
            if len(self._boxes) <= _OPEN_BOXES:
                break
            if self._boxes[old] is not self._writing and old != folder:
                self._boxes.pop(old).close()

    def _descend(self, parts: tuple[str, ...], *, create: bool = False) -> Directory:
        """Open a folder by its parts, one descriptor at a time; with `create`, make and sync each one on the way."""
        directory = self._root.again()
        for part in parts:
            try:
                below = directory.child(part, create=create)
                if create:
                    self._doubt(names_durable=directory.sync())
            finally:
                directory.close()
            directory = below
        return directory

    def _maildirs(self) -> Iterator[tuple[str, ...]]:
        """Give the folders that are Maildirs, parents first; one folder is open at a time, however deep they are."""
        waiting: list[tuple[str, ...]] = [()]
        while waiting:
            parts = waiting.pop()
            directory = self._descend(parts)
            try:
                names = directory.folders()
            finally:
                directory.close()
            if parts and "cur" in names:
                yield parts
            below = [name for name in names if name not in SUBFOLDERS and (parts or name != META)]
            waiting.extend((*parts, name) for name in reversed(below))


def _pour(incoming: Incoming, draft: Draft) -> tuple[Digest, int, bytes]:
    """Write the octets of a message, hashing and counting on the way; gives digest, size and head."""
    digest = hashlib.sha256()
    size = 0
    head = b""
    for chunk in incoming.chunks():
        draft.write(chunk)
        digest.update(chunk)
        if size < HEAD:
            head += bytes(chunk[: HEAD - size])
        size += len(chunk)
    return Digest(f"sha256:{digest.hexdigest()}"), size, head


def _sweep(leaf: Directory) -> int:
    tmp = leaf.child("tmp")
    try:
        ours = [name for name in tmp.names() if name.endswith(SUFFIX)]
        for name in ours:
            tmp.remove(name)
        return len(ours)
    finally:
        tmp.close()
