"""Messages as files: one Maildir for each mailbox (`archive-format.md` sections 1 to 3).

The law of this room: the file holds exactly the octets that came; its name is made of their digest, so that adding
them again finds the copy; nothing is visible before `sync`, and a file that is there is never changed, renamed or
removed. One found damaged is set aside, and the fresh octets take its name.
"""

from __future__ import annotations

import contextlib
import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from mailarchive.archives import durable, numbering
from mailarchive.archives.batches import Twin
from mailarchive.archives.box import NAME
from mailarchive.archives.boxes import SUFFIX, Boxes
from mailarchive.archives.marker import META
from mailarchive.archives.records import Records
from mailarchive.archives.remains import FLAG_LETTERS, remains
from mailarchive.errors import ArchiveError, MissingError
from mailarchive.model import Digest, Location, StoredMessage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from mailarchive.archives.batches import Batch
    from mailarchive.archives.box import Box
    from mailarchive.archives.durable import Directory, Draft
    from mailarchive.archives.flat import FlatNames
    from mailarchive.archives.names import Names
    from mailarchive.model import UID, UIDL, Mailbox, MailboxStatus, Remnant, RemoteMessage
    from mailarchive.ports import Incoming

HEAD = 64 * 1024
_LOOKS = 3


class _Choice(NamedTuple):
    """Under which name a message is kept: of an equal copy that is there, or a free one.

    `damaged` are the digits of a copy that does not match and gives way; empty for none.
    """

    name: str
    already: bool = False
    damaged: str = ""


class MaildirArchive(Records):
    """An archive of Maildirs; see `ports.Archive`.

    Args:
        root: The folder of the archive; this object closes it.
        archive_id: From the marker. `separator`: before the flags in a name.
        names: Turns mailbox names into folders, and back.
        flat: Whether the layout is that of Maildir++.
        run: Id of the run that writes. `created`: when the archive was made, in seconds since 1970.
        elsewhere: Says of octets where another copy is, in whichever mailbox, for linking.
        together: See `batches.Batch`.
    """

    def __init__(
        self,
        root: Directory,
        archive_id: str,
        names: Names | FlatNames,
        *,
        run: str,
        separator: str = ":",
        flat: bool = False,
        created: int = 1,
        elsewhere: Callable[[Sequence[Digest]], Mapping[Digest, Location]] = lambda _: {},
        together: bool = False,
    ) -> None:
        super().__init__(root, archive_id, names, run=run, elsewhere=elsewhere)
        self._separator = separator
        self._created = created
        self._count = 0
        self._boxes = Boxes(root, self._doubt, flat=flat, together=together)

    def add(self, mailbox: Mailbox, incoming: Incoming, uidvalidity: int | None = None) -> StoredMessage:  # noqa: ARG002 - the list of UIDs is written at the end
        """Take the octets of one message into the current batch; all of a batch go to one mailbox."""
        box = self._boxes.for_writing(self.folder(mailbox))
        assert box.batch is not None
        self._count += 1
        draft = box.batch.draft(f"{self._run}.{self._count}{SUFFIX}")
        try:
            digest, size, head = _pour(incoming, draft)
            message = incoming.message
            choice = self._choose(box, message, digest, size)
            if choice.already:
                draft.drop()
            else:
                self._keep(box, draft, choice, message, digest)
            return self._stored(box, choice, digest, size, head)
        except BaseException:
            draft.drop()
            raise

    def also(self, mailbox: Mailbox, stored: StoredMessage, message: RemoteMessage) -> StoredMessage:
        """Place a message that is durable already into another mailbox too; it counts after `sync`.

        It is a hard link where both have the same INTERNALDATE and the filesystem can, else a copy.

        Raises:
            MissingError: The message is not where it was stored.
            ArchiveError: It is there and does not match.
        """
        box = self._boxes.for_writing(self.folder(mailbox))
        choice = self._choose(box, message, stored.digest, stored.size)
        if not choice.already:
            draft = self._second(box, choice, stored)
            try:
                self._keep(box, draft, choice, message, stored.digest)
            except BaseException:
                draft.drop()
                raise
        return self._stored(box, choice, stored.digest, stored.size, stored.head)

    def sync(self) -> None:
        """Make the batch durable and visible."""
        self.seal()()

    def seal(self) -> Callable[[], None]:
        """Close the batch; gives what makes it durable and visible, in whichever thread."""
        box = self._boxes.writing
        if box is None or box.batch is None:
            return lambda: None
        self._link_twins(box, box.batch)
        commit = box.seal()
        return lambda: self._doubt(commit())

    def number(
        self,
        mailbox: Mailbox,
        status: MailboxStatus,
        rows: Callable[[], Iterable[tuple[UID | UIDL, Location]]],
        *,
        changed: bool,
    ) -> None:
        """Write the list of UIDs that Dovecot reads, if it is missing or not what it should be."""
        folder = self.folder(mailbox)
        leaf = self._boxes.leaf(folder) if status.uidvalidity is not None else None
        if leaf is None:
            return
        try:
            box = self._boxes.get(folder) if changed or not numbering.is_current(leaf) else None
            if box is not None:
                guid = hashlib.sha256(f"{self.id} {mailbox.name}".encode("utf-8", "surrogatepass")).hexdigest()[:32]
                numbering.write(box, leaf, status, rows, numbering.Naming(guid, self._created))
        finally:
            leaf.close()

    def discard(self) -> None:
        """Drop everything added since the last sync."""
        if self._boxes.writing is not None and self._boxes.writing.batch is not None:
            self._boxes.writing.batch.abandon()
            self._boxes.writing.pending.clear()

    def holds(self, location: Location) -> bool:
        """Tell whether a message is still there, whole as far as its size tells, without reading it."""
        size = self._size(location)
        if size is None and self._renamed(location):
            size = self._size(location)
        return size is not None and size == int(location.rpartition("S=")[2])

    def read(self, location: Location, *, cold: bool = False) -> Iterator[bytes]:
        """Give the octets of a message; with `cold`, from the device rather than from memory."""
        begun = False
        for last in (False, True):
            found = self._find(location)
            if found is None and (last or not self._renamed(location)):
                break
            if found is None:
                continue
            try:
                for piece in found[0].read(found[1], cold=cold):
                    begun = True
                    yield piece
            except MissingError:
                # A mail program may just have given it another name.
                if begun or last or not self._renamed(location):
                    raise
            else:
                return
        raise MissingError(f"{self._root.path}/{location} is not in the archive")

    def hint(self, location: Location) -> str:
        """Give what a location itself tells of the digest."""
        parts = NAME.fullmatch(location.rpartition("/")[2])
        return f"sha256:{parts.group(3) if parts else ''}"

    def scan(self) -> Iterator[tuple[tuple[str, ...], Location]]:
        """Give every message: the parts of its folder and its location."""
        for parts in self._boxes.maildirs():
            box = self._boxes.get("/".join(parts))
            if box is not None:
                for _, name in sorted([*box.files.values(), *box.others.values()]):
                    unique = NAME.fullmatch(name)
                    assert unique is not None
                    yield parts, Location(f"{box.folder}/{unique.group(1)}")

    def remains(self) -> Iterator[Remnant]:
        """Give what names and lists tell of every message, once for each UID that it has."""
        for parts in self._boxes.maildirs():
            box = self._boxes.get("/".join(parts))
            if box is not None:
                yield from remains(box, parts)

    def sweep(self) -> int:
        """Remove what interrupted runs left in `tmp`; gives the number of files. Only under the lock."""
        return self._boxes.sweep()

    def close(self) -> None:
        """Drop what was not synced, and let every descriptor go."""
        self.discard()
        self._boxes.close()

    def _choose(self, box: Box, message: RemoteMessage, digest: Digest, size: int) -> _Choice:
        """Decide between a new file, a copy that is there, and a damaged copy to be set aside."""
        assert box.batch is not None
        digits = digest.removeprefix("sha256:")
        for hexes in (digits[:32], digits):
            waiting = box.pending.get(hexes) or box.sealed.get(hexes)
            if waiting is not None:
                if waiting[0] == digest:
                    return _Choice(waiting[1], already=True)
                continue
            found = box.digest_of(hexes)
            if found == digest:
                place = box.files.get(hexes)
                assert place is not None
                box.batch.adopt(box.sub(place[0]), place[1])
                return _Choice(place[1], already=True)
            if found is not None and found.startswith(f"sha256:{hexes}"):
                continue
            return _Choice(self._name(box, hexes, message, size), damaged=hexes if found is not None else "")
        raise ArchiveError(f"{box.folder}: two messages have the same digest and differ")

    def _keep(self, box: Box, draft: Draft, choice: _Choice, message: RemoteMessage, digest: Digest) -> None:
        """Take a draft into the batch."""
        assert box.batch is not None
        if choice.damaged:
            self._set_aside(box, choice.damaged)
        name = choice.name
        epoch, hexes, _ = name.split(".", 2)
        box.batch.keep(draft, name, int(epoch) if _has_date(message) else None)
        box.pending[hexes] = (digest, name)

    def _second(self, box: Box, choice: _Choice, stored: StoredMessage) -> Draft:
        """Begin a file with the octets of one in another mailbox.

        A mail program may rename that one at any time, so it is looked for again.
        """
        folder, _, unique = stored.location.rpartition("/")
        source = self._boxes.get(folder) if folder != box.folder else None
        # A link has the date of its first name. And where a link of it was found damaged, only octets count.
        link = unique.partition(".")[0] == choice.name.partition(".")[0] and not choice.damaged
        self._count += 1
        for _ in range(_LOOKS if source is not None else 0):
            assert source is not None
            found = source.find(unique)
            if found is not None:
                with contextlib.suppress(MissingError):
                    return self._borrow(box, found, stored, link=link)
            source.look()
        raise MissingError(f"{self._root.path}/{stored.location} is not in the archive")

    def _borrow(self, box: Box, found: tuple[Directory, str], stored: StoredMessage, *, link: bool) -> Draft:
        """Link a file into `tmp`, or copy it where that cannot be."""
        assert box.batch is not None
        directory, name = found
        temporary = f"{self._run}.{self._count}{SUFFIX}"
        mismatch = ArchiveError(
            f"{directory.path}/{name} does not match its name", hint="mailarchive verify tells more"
        )
        size = directory.size(name)
        if size is None:
            raise MissingError(f"{directory.path}/{name} is gone")
        if size != stored.size:
            raise mismatch
        draft = box.batch.link(directory, name, temporary) if link else None
        if draft is not None:
            return draft
        draft = box.batch.draft(temporary)
        try:
            digest = hashlib.sha256()
            for piece in directory.read(name):
                draft.write(piece)
                digest.update(piece)
            if f"sha256:{digest.hexdigest()}" != stored.digest:
                raise mismatch
        except BaseException:
            draft.drop()
            raise
        return draft

    def _link_twins(self, box: Box, batch: Batch) -> None:
        """Have an equal file with the same date in another mailbox linked in the place of what came."""
        names = dict(box.pending.values())
        for digest, location in self.elsewhere(list(names)).items():
            twin = self._twin(box, names[digest], digest, location)
            if twin is not None:
                batch.twin(names[digest], twin)

    def _twin(self, box: Box, name: str, digest: Digest, location: Location) -> Twin | None:
        """Open an equal file, and read it back before it is relied on."""
        folder, _, unique = location.rpartition("/")
        if folder == box.folder or not name.startswith(unique):
            return None
        other = self._boxes.get(folder)
        hexes = digest.removeprefix("sha256:")[:32]
        if other is None or not other.has(unique) or other.digest_of(hexes) != digest:
            return None
        place = other.files.get(hexes)
        assert place is not None
        sub, current = place
        # The box may be closed before the commit, so the twin has a descriptor of its own.
        return Twin(other.sub(sub).again(), current)

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

    def _name(self, box: Box, hexes: str, message: RemoteMessage, size: int) -> str:
        when, flags = message.internal_date, message.flags or frozenset()
        epoch = max(0, int(when.timestamp())) if when is not None else 0
        return f"{epoch}.{hexes}{SUFFIX},S={size}{self._separator}2,{_system_letters(flags)}{box.letters(flags)}"

    def _stored(self, box: Box, choice: _Choice, digest: Digest, size: int, head: bytes) -> StoredMessage:
        # What follows the first part is ours to know only where no mail program has had the file yet.
        unique = choice.name.rpartition(f"{self._separator}2,")[0]
        if choice.already:
            found = NAME.fullmatch(choice.name)
            assert found is not None
            unique = found.group(1)
        location = Location(f"{box.folder}/{unique}")
        return StoredMessage(digest, size, location, choice.already, head, bool(choice.damaged))

    def _renamed(self, location: Location) -> bool:
        """Tell whether the folder of a message has been changed since it was read; it is read anew then."""
        box = self._boxes.get(location.rpartition("/")[0])
        return box is not None and box.look_again()

    def _size(self, location: Location) -> int | None:
        found = self._find(location)
        return found[0].size(found[1]) if found is not None else None

    def _find(self, location: Location) -> tuple[Directory, str] | None:
        folder, _, unique = location.rpartition("/")
        box = self._boxes.get(folder)
        return box.find(unique) if box is not None else None


@lru_cache(maxsize=256)
def _system_letters(flags: frozenset[str]) -> str:
    return "".join(sorted(FLAG_LETTERS[flag] for flag in flags if flag in FLAG_LETTERS))


def _has_date(message: RemoteMessage) -> bool:
    """Tell whether a file can have the date of a message: one before 1970 is left out."""
    return message.internal_date is not None and message.internal_date.timestamp() >= 0


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
