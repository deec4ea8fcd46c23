"""Messages in mbox files: one for each mailbox and year (`archive-format.md` section 5).

The law of this room: what is read back is bit for bit what came; a batch waits in a file without a name and is
appended by `sync` only, where each file ended, under the locks of mail programs; a message that is there is never
changed, moved or removed. What a run that was killed has left at the end of a file is taken up if it is whole, and
cut off if it is a part of ours; anything else is somebody else's and is never touched.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from mailarchive import mbox_block, mboxrd
from mailarchive.archives import durable, tail
from mailarchive.archives.marker import META
from mailarchive.archives.mbox_file import Entry, MboxFile
from mailarchive.archives.mbox_folders import FILE, MboxFolders, location_of, place_of
from mailarchive.archives.records import Records
from mailarchive.archives.tail import Held, Piece, Scratch
from mailarchive.archives.uidlist import LAST as LAST_UID
from mailarchive.digests import digested
from mailarchive.errors import ArchiveError, MissingError
from mailarchive.headers import HEAD
from mailarchive.mbox_block import Facts
from mailarchive.model import POP_GENERATION, Digest, Location, Remnant, StoredMessage, is_lasting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from mailarchive.archives.durable import Directory
    from mailarchive.archives.names import Names
    from mailarchive.mbox_block import Base
    from mailarchive.model import UID, UIDL, Mailbox, MailboxStatus, RemoteMessage
    from mailarchive.ports import Incoming

LARGEST: Final = 3_900_000_000
"""Octets that a file may reach; FAT32 and importers of mail programs stop at 4 GiB."""


class _Poured(NamedTuple):
    """A message that has come: its digest, its octets, what its lines are like, and its first octets."""

    digest: str
    spool: Scratch
    lines: mboxrd.Lines
    head: bytes


@dataclass(slots=True)
class _Waiting:
    """What of a batch goes to one file.

    Attributes:
        end: Where the file ends now.
        pieces: In the scratch file, in their order.
        entries: Of each message: digest, entry in the file, and the X-UID that it shows (0 for none).
        base: X-IMAPbase as it is to be; None if the file has none.
    """

    file: MboxFile
    end: int
    base: Base | None
    pieces: list[Piece] = field(default_factory=list)
    entries: list[tuple[str, Entry, int]] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Where the file will end."""
        return self.end + sum(piece.length for piece in self.pieces)

    @property
    def last_uid(self) -> int:
        """The largest X-UID that the file will show."""
        return max((self.file.last_uid, *(uid for _, _, uid in self.entries)))


class MboxArchive(Records):
    """An archive of mbox files; see `ports.Archive`.

    Args:
        root: The folder of the archive; this object closes it.
        archive_id: From the marker.
        names: Turns mailbox names into folders, and back.
        run: Id of the run that writes.
        largest: Octets that a file may reach.
    """

    def __init__(
        self,
        root: Directory,
        archive_id: str,
        names: Names,
        *,
        run: str,
        elsewhere: Callable[[Sequence[Digest]], Mapping[Digest, Location]] = lambda _: {},
        largest: int = LARGEST,
    ) -> None:
        super().__init__(root, archive_id, names, run=run, elsewhere=elsewhere)
        self._largest = largest
        self._writing: tuple[str, Directory] | None = None
        self._waiting: dict[str, _Waiting] = {}
        self._pending: dict[str, tuple[str, Entry]] = {}
        self._adopted: set[str] = set()
        self._scratch: Scratch | None = None
        self._spool: Scratch | None = None
        self._folders = MboxFolders(root, self._intended())

    def add(self, mailbox: Mailbox, incoming: Incoming, uidvalidity: int | None = None) -> StoredMessage:
        """Take the octets of one message into the current batch; all of a batch go to one mailbox."""
        folder = self._write_to(self.folder(mailbox))
        poured = _pour(incoming.chunks(), self._spooled())
        return self._settle(folder, incoming.message, poured, uidvalidity)

    def also(self, mailbox: Mailbox, stored: StoredMessage, message: RemoteMessage) -> StoredMessage:
        """Place a message that is durable already into another mailbox too: a copy, as these files know no links.

        Raises:
            MissingError: The message is not where it was stored.
            ArchiveError: It is there and does not match.
        """
        folder = self._write_to(self.folder(mailbox))
        poured = _pour(self.read(stored.location), self._spooled())
        if f"sha256:{poured.digest}" != stored.digest:
            raise ArchiveError(
                f"{self._root.path}/{stored.location} does not match", hint="mailarchive verify tells more"
            )
        return replace(self._settle(folder, message, poured, None), head=stored.head)

    def seal(self) -> Callable[[], None]:
        """Append the batch and make it durable, at once: mail programs are kept out for as short a time as can be."""
        self.sync()
        return lambda: None

    def sync(self) -> None:
        """Append the batch to its files and make them durable; then it is visible."""
        if self._writing is None or not (self._waiting or self._adopted):
            return
        folder, directory = self._writing
        meta = self._root.child(META)
        try:
            for name in self._adopted:
                with Held(directory, name, self.id) as held:
                    held.sync()
            if self._waiting:
                tail.intend(meta, {f"{folder}/{name}": waiting.end for name, waiting in self._waiting.items()})
                for waiting in self._waiting.values():
                    self._append(directory, waiting)
                tail.done(meta)
        except ArchiveError:
            self.discard()
            raise
        finally:
            meta.close()
        self._forget()

    def number(
        self,
        mailbox: Mailbox,
        status: MailboxStatus,
        rows: Callable[[], Iterable[tuple[UID | UIDL, Location]]],
        *,
        changed: bool,
    ) -> None:
        """Do nothing: the block of each message says its UID."""

    def discard(self) -> None:
        """Drop everything added since the last sync."""
        self._forget()

    def holds(self, location: Location) -> bool:
        """Tell whether a message is still there, without reading it."""
        return self._folders.find(location) is not None

    def read(self, location: Location, *, cold: bool = False) -> Iterator[bytes]:
        """Give the octets of a message; with `cold`, from the device rather than from memory."""
        found = self._folders.find(location)
        if found is None:
            raise MissingError(f"{self._root.path}/{location} is not in the archive")
        file, entry = found
        yield from file.read(entry, cold=cold)

    def hint(self, location: Location) -> str:
        """Give what a location itself tells of the digest."""
        place = place_of(location)
        return f"sha256:{place.digest if place else ''}"

    def scan(self) -> Iterator[tuple[tuple[str, ...], Location]]:
        """Give every message: the parts of its folder and its location."""
        for parts, location, _, _ in self._folders.messages():
            yield parts, location

    def remains(self) -> Iterator[Remnant]:
        """Give what the block of every message tells."""
        for parts, location, file, entry in self._folders.messages():
            yield _remnant(parts, location, file.facts(entry))

    def sweep(self) -> int:
        """Settle what an interrupted run left at the ends of files; gives the number of files that were cut."""
        cut = 0
        for path, end in self._folders.limits.items():
            folder, _, name = path.rpartition("/")
            directory = self._folders.directory(folder)
            if directory is None:
                continue
            try:
                if FILE.fullmatch(name) and directory.has(name):
                    cut += self._recover(directory, name, end)
            finally:
                directory.close()
        if self._folders.limits:
            meta = self._root.child(META)
            tail.done(meta)
            meta.close()
            self._folders.limits = {}
            self._folders.close()
        return cut

    def close(self) -> None:
        """Drop what was not synced, and let every descriptor go."""
        self.discard()
        self._folders.close()
        for scratch in (self._scratch, self._spool):
            if scratch is not None:
                scratch.close()
        if self._writing is not None:
            self._writing[1].close()
            self._writing = None
        self._root.close()

    def _intended(self) -> dict[str, int]:
        """Learn what an interrupted run was appending: nobody vouches for what is behind the ends of then."""
        meta = self._root.child(META)
        try:
            return tail.intended(meta)
        finally:
            meta.close()

    def _write_to(self, folder: str) -> str:
        if self._writing is not None and self._writing[0] == folder:
            return folder
        if self._waiting:
            raise AssertionError("a batch goes to one mailbox; sync before the next")
        if self._writing is not None:
            self._writing[1].close()
            self._writing = None
        self._writing = (folder, self._root.descend(folder.split("/"), self._doubt))
        self._folders.writing = folder
        self._folders.forget(folder)
        return folder

    def _spooled(self) -> Scratch:
        """Give an empty file for the octets of one message: what is to be said of it is known behind them only."""
        if self._spool is None or self._scratch is None:
            meta = self._root.child(META)
            try:
                self._spool = Scratch(meta, f"spool.{self._run}")
                self._scratch = Scratch(meta, f"batch.{self._run}")
            finally:
                meta.close()
        self._spool.cut()
        return self._spool

    def _settle(self, folder: str, message: RemoteMessage, poured: _Poured, uidvalidity: int | None) -> StoredMessage:
        """Take a message into the batch, or the equal copy that is there."""
        digest = poured.digest
        stored = StoredMessage(Digest(f"sha256:{digest}"), poured.spool.size, Location(""), head=poured.head)
        if digest in self._pending:
            name, entry = self._pending[digest]
            return replace(stored, location=location_of(folder, name, entry, digest), already=True)
        damaged = False
        for name, file in self._folders.files(folder).items():
            there = file.entries.get(digest)
            if there is None:
                continue
            if digested(file.read(there, cold=True))[0] == stored.digest:
                self._adopted.add(name)
                return replace(stored, location=location_of(folder, name, there, digest), already=True)
            damaged = True
        facts = Facts(
            digest=digest,
            size=stored.size,
            crlf=poured.lines.is_crlf,
            ended=poured.lines.is_ended,
            length=None,
            date=message.internal_date,
            uid=message.uid if is_lasting(message.uid) else None,
            uidvalidity=uidvalidity,
            flags=message.flags or frozenset(),
        )
        name, entry = self._stage(folder, facts, poured)
        self._pending[digest] = (name, entry)
        return replace(stored, location=location_of(folder, name, entry, digest), damaged=damaged)

    def _stage(self, folder: str, facts: Facts, poured: _Poured) -> tuple[str, Entry]:
        """Write a message as it will stand in its file; gives the name of that, and its place there."""
        assert self._scratch is not None
        scratch, start = self._scratch, self._scratch.size
        spool = poured.spool
        waiting = self._target(folder, facts, spool.size)
        try:
            base = waiting.base
            first = base is not None and not waiting.size
            facts = facts._replace(shown=_shown(facts, base, waiting.last_uid))
            base = _grown(base, facts)
            text = mbox_block.block(
                mbox_block.separator(poured.head, facts.date),
                facts,
                base=base if first else None,
                known=base.keywords if base is not None else (),
            )
            scratch.write(text)
            begin = scratch.size
            for piece in mboxrd.encode(spool.read(Piece(0, spool.size)), crlf=facts.crlf, ended=facts.ended):
                scratch.write(piece)
            scratch.put(mbox_block.with_length(text, scratch.size - begin), start)
            scratch.write(b"\n")
        except BaseException:
            scratch.cut(start)
            raise
        entry = Entry(waiting.size, waiting.size + len(text), scratch.size - start)
        waiting.pieces.append(Piece(start, entry.length))
        waiting.entries.append((facts.digest, entry, facts.shown))
        waiting.base = base
        return waiting.file.name, entry

    def _target(self, folder: str, facts: Facts, size: int) -> _Waiting:
        """Choose the file of a message: that of its year, or the next of that year where it is full."""
        date = mbox_block.in_utc(facts.date)
        year = f"{date.year:04}" if date is not None else "undated"
        files = self._folders.files(folder)
        number = 1
        while True:
            name = f"{year}.mbox" if number == 1 else f"{year}-{number}.mbox"
            waiting = self._waiting.get(name)
            end = waiting.size if waiting is not None else files[name].size if name in files else 0
            if not end or end + size + mbox_block.LIMIT <= self._largest:
                break
            number += 1
        if waiting is None:
            waiting = self._waiting[name] = self._begin(folder, name, files, facts)
        return waiting

    def _begin(self, folder: str, name: str, files: dict[str, MboxFile], facts: Facts) -> _Waiting:
        assert self._writing is not None
        file = self._folders.file(folder, name)
        if file.whole != file.size:
            # The end was cut by something that is no run of ours: a filesystem, a hand.
            self._mend(file)
        if file.foreign:
            raise ArchiveError(
                f"{file.path} holds messages that another program has written",
                hint="move that file out of the archive; mailarchive import takes what is in it",
            )
        files[name] = file
        is_imap = isinstance(facts.uid, int) and facts.uidvalidity is not None
        base = file.base
        if not file.size and is_imap:
            base = mbox_block.new_base(facts.uidvalidity or 0)
        return _Waiting(file, file.size, base)

    def _append(self, directory: Directory, waiting: _Waiting) -> None:
        assert self._scratch is not None
        file, base = waiting.file, waiting.base
        with Held(directory, file.name, self.id) as held:
            held.expect(waiting.end)
            held.append(self._scratch, waiting.pieces)
            if base is not None:
                base = _rebased(held, base)
        for digest, entry, uid in waiting.entries:
            file.added(digest, entry, uid)
        file.base = base
        file.settled()

    def _recover(self, directory: Directory, name: str, end: int) -> bool:
        """Take up what is whole behind the end of an interrupted append, and cut off the rest; tells whether it did."""
        file = MboxFile(directory, name)
        whole, base = end, file.base
        for digest, entry in sorted(file.entries.items(), key=lambda item: item[1].start):
            if entry.start == whole and digested(file.read(entry, cold=True))[0] == f"sha256:{digest}":
                whole += entry.length
                base = _grown(base, file.facts(entry))
        if whole < file.size:
            _refuse_foreign(file, whole)
        with Held(directory, name, self.id) as held:
            held.expect(file.size)
            if whole < held.size:
                held.cut(whole)
            else:
                held.sync()
            if base is not None and whole:
                _rebased(held, base)
        return whole < file.size

    def _mend(self, file: MboxFile) -> None:
        """Cut off the rest of a message that is not all there, after a copy of it was set aside."""
        assert self._writing is not None
        _refuse_foreign(file, file.whole)
        meta = self._root.child(META)
        damaged = meta.child("damaged", create=True)
        try:
            rest = self._writing[1].read(file.name, start=file.whole)
            durable.keep(damaged, f"{file.name}.{file.whole}.{self._run}", rest)
            meta.sync()
        finally:
            damaged.close()
            meta.close()
        with Held(self._writing[1], file.name, self.id) as held:
            held.cut(file.whole)
        file.refresh()

    def _forget(self) -> None:
        self._waiting.clear()
        self._pending.clear()
        self._adopted.clear()
        if self._scratch is not None:
            self._scratch.cut()


def _refuse_foreign(file: MboxFile, whole: int) -> None:
    """Refuse what stands at the end of a file if it is not a part of a message of ours."""
    if not file.is_rest_of_ours(whole):
        raise ArchiveError(
            f"{file.path} goes on behind octet {whole} with what is not ours",
            hint="move that file out of the archive; mailarchive import takes what is in it",
        )


def _remnant(parts: tuple[str, ...], location: Location, facts: Facts) -> Remnant:
    """Say what a block says; a UID without its UIDVALIDITY, or a name that did not last, places no message."""
    uid, uidvalidity = facts.uid, facts.uidvalidity
    if isinstance(uid, str):
        uidvalidity = POP_GENERATION if is_lasting(uid) else None
    elif uid is not None and not 0 < uid <= LAST_UID:
        uidvalidity = None
    placed = uid is not None and uidvalidity is not None and 0 < uidvalidity <= LAST_UID
    return Remnant(
        folder=parts,
        location=location,
        flags=facts.flags,
        internal_date=facts.date,
        uid=uid if placed else None,
        uidvalidity=uidvalidity if placed else None,
        zoned=True,
        proven=placed,
    )


def _pour(chunks: Iterable[bytes | bytearray | memoryview], spool: Scratch) -> _Poured:
    """Take the octets of a message, hashing on the way."""
    digest = hashlib.sha256()
    lines = mboxrd.Lines()
    head = b""
    for chunk in chunks:
        octets = bytes(chunk)
        spool.write(octets)
        digest.update(octets)
        lines.feed(octets)
        if len(head) < HEAD:
            head += octets[: HEAD - len(head)]
    return _Poured(digest.hexdigest(), spool, lines, head)


def _grown(base: Base | None, facts: Facts) -> Base | None:
    """Take note in X-IMAPbase of what a message shows to mail programs."""
    return (
        base.grown(facts.shown, sorted(flag for flag in facts.flags if flag[:1] != "\\")) if base is not None else None
    )


def _rebased(held: Held, base: Base) -> Base:
    """Write X-IMAPbase into the first block of a file, if it is not there like that; gives it with its place."""
    there = mbox_block.parse_base(held.begins(mbox_block.LIMIT))
    if there is None or len(there.text()) != len(base.text()):
        return base
    if there.text() != base.text():
        held.overwrite(base.text(), there.start)
    return base._replace(start=there.start)


def _shown(facts: Facts, base: Base | None, last: int) -> int:
    """Give the UID that X-UID may say: of the generation of the file, and only while it grows; 0 for none."""
    if base is None or not isinstance(facts.uid, int) or facts.uidvalidity != base.uidvalidity:
        return 0
    return int(facts.uid) if facts.uid > last else 0
