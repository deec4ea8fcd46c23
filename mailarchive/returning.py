"""Puts the messages of one mailbox back on a server: what is not there, once.

The law of this room: the octets are proved before they are sent. A message that is there is not put there twice,
however often this runs and wherever it was killed. What is put back is remembered before it is sent, so that no later
run deletes it again unasked.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from mailarchive import headers
from mailarchive.errors import AccountError, ArchiveError, ExitCode, MailboxError, MessageError
from mailarchive.events import NotPutBack, PutBack, Restoring
from mailarchive.extras import Appending, CanAppend, CanAppendMany
from mailarchive.model import DELETED, UID, Criteria, ItemState, in_order
from mailarchive.tally import Return
from mailarchive.verify import read_back

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from mailarchive.job import Work
    from mailarchive.lost import Lost
    from mailarchive.model import UIDL, Digest, Location, Mailbox, Placement, RemoteMessage
    from mailarchive.ports import Archive, Manifest, OpenMailbox, Source

_HEAD: Final = 64 * 1024
_TOGETHER: Final = 4 * 1024 * 1024
"""Octets that one command may carry; a message that has more goes alone."""


class Copies:
    """The copies in an archive, which are still to be proved; a mail program may have moved one, or it has a twin."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._elsewhere: dict[str, Location] | None = None
        self._lengths: frozenset[int] = frozenset()

    def location(self, each: Lost) -> Location | None:
        """Say where a copy is; None if there is none."""
        archive = self._archive
        if archive.holds(each.location):
            return each.location
        if self._elsewhere is None:
            self._elsewhere = {archive.hint(place): place for _, place in archive.scan()}
            self._lengths = frozenset(map(len, self._elsewhere)) - {len("sha256:")}
        found = (self._elsewhere.get(each.digest[:length]) for length in self._lengths)
        return next((place for place in found if place is not None), None)

    def proved(self, each: Lost) -> Appending:
        """Read a copy back, and make ready to send it.

        Raises:
            ArchiveError: It is not what it was, or not there.
        """
        archive, location = self._archive, self.location(each)
        if location is None:
            raise ArchiveError("its copy is gone from the archive")
        try:
            digest, size = read_back(archive, location)
        except ArchiveError as error:
            error.message = f"its copy cannot be read: {error.message}"
            raise
        if digest != each.digest:
            raise ArchiveError("its copy in the archive is damaged")
        return Appending(
            size=size,
            chunks=lambda: archive.read(location),
            flags=each.flags,
            internal_date=each.internal_date,
            labels=each.labels,
        )

    def ident(self, each: Lost) -> str:
        """Compute what the probe would show for a copy; empty if it cannot be read, which is told later."""
        location = self.location(each)
        if location is None:
            return ""
        head = b""
        try:
            for piece in self._archive.read(location):
                head += bytes(piece[: _HEAD - len(head)])
                if len(head) >= _HEAD:
                    break
        except ArchiveError:
            return ""
        return headers.envelope(head).ident


@dataclass(frozen=True, slots=True)
class Terms:
    """What is the same for all mailboxes of a run that puts messages back.

    Attributes:
        source: Where to; it takes messages.
        manifest: Of this run; without one, messages are only counted.
        copies: What there is to be put back.
        remembers: Whether later runs of this archive may meet these messages on the server.
        recognises: Whether the catalogue says which octets the messages on this server have.
    """

    source: Source
    work: Work
    manifest: Manifest | None
    copies: Copies
    remembers: bool = True
    recognises: bool = False


@dataclass(slots=True)
class Returner:
    """Puts the messages of one mailbox back, and counts them in `rows`."""

    terms: Terms
    rows: dict[str, Return]
    name: str
    _idents: dict[Digest, str] = field(default_factory=dict)

    def mailbox(self, mailbox: Mailbox | None, lost: Sequence[Lost]) -> None:
        """Put back what is not there."""
        self.terms.work.report(Restoring(self.name, len(lost), sum(each.size for each in lost)))
        waiting = deque(lost)
        try:
            if mailbox is not None:
                there, marked = self._there(mailbox, lost)
                for index in sorted(there):
                    self._count(lost[index], there=1)
                waiting = deque(each for index, each in enumerate(lost) if index not in there | marked.keys())
                self._take_marks_off(mailbox, [(lost[index], uid) for index, uid in marked.items()])
            self._put_back(mailbox, waiting)
        except MailboxError as error:
            self.terms.work.warn(error.message, self.name)
            for each in waiting:
                self._fail(each, error.message)

    def _there(self, mailbox: Mailbox, lost: Sequence[Lost]) -> tuple[set[int], dict[int, UID]]:
        """Find those that are on the server, by index; and those that are there with nothing but our mark on them.

        Raises:
            MailboxError: The server does not show for certain what it holds; a guess could double a message.
        """
        with self.terms.source.open(mailbox) as box:
            doubts = len(box.doubts)
            listed = {message.uid: message for message in box.listing(Criteria())}
            if box.doubts[doubts:]:
                raise MailboxError(f"nothing is put back here: {box.doubts[-1]}")
            same = box.status.uidvalidity
            known = self._known(same, listed)
            there = {index for index, each in enumerate(lost) if each.digest in known.values()}
            marked: dict[int, UID] = {}
            for index, each in enumerate(lost):
                if index in there or each.uid is None or same != each.uidvalidity:
                    continue
                if not _is(each, listed.get(each.uid)):
                    continue
                flags = listed[each.uid].flags or frozenset()
                if DELETED in flags - each.flags:
                    marked[index] = each.uid
                else:
                    there.add(index)
            taken = {each.uid for index, each in enumerate(lost) if index in there or index in marked}
            gone = [index for index in range(len(lost)) if index not in there and index not in marked]
            left = {uid: message for uid, message in listed.items() if uid not in taken and uid not in known}
            returned = self._returned(box, lost, gone, left)
            bare = [(UID(int(uid)), lost[i].labels) for i, uid in returned.items() if _lacks(lost[i], listed[uid])]
        if bare and self.terms.manifest is not None:
            # A try that was killed just after it sent a message has not given it its labels.
            assert isinstance(self.terms.source, CanAppend)
            for uid, labels in bare:
                self.terms.source.label(mailbox, uid, labels)
        return there | returned.keys(), marked

    def _known(
        self, uidvalidity: int | None, listed: Mapping[UID | UIDL, RemoteMessage]
    ) -> Mapping[UID | UIDL, Digest]:
        """Say which octets each message has that was archived under the UID that it has now."""
        if not self.terms.recognises or uidvalidity is None:
            return {}
        rows = self.terms.work.catalogue.rows(self.name, uidvalidity, list(listed))
        return {uid: row.digest for uid, row in rows.items() if _is_still(row, listed[uid])}

    def _returned(
        self, box: OpenMailbox, lost: Sequence[Lost], gone: Sequence[int], listed: Mapping[UID | UIDL, RemoteMessage]
    ) -> dict[int, UID | UIDL]:
        """Find those that an earlier try has put back, by index, each at most once."""
        shelf = Shelf(listed, box.status.uidvalidity)
        candidates = {index: fitting for index in gone if (fitting := shelf.fitting(lost[index]))}
        if not candidates:
            return {}
        probed = {uid for fitting in candidates.values() for uid in fitting}
        idents = {each.message.uid: headers.envelope(each.head).ident for each in box.probe(in_order(probed))}
        if probed - idents.keys():
            raise MailboxError("nothing is put back here: the server lists messages and does not show them")
        taken: set[UID | UIDL] = set()
        found: dict[int, UID | UIDL] = {}
        for index, fitting in candidates.items():
            ident = self._ident(lost[index])
            for uid in fitting:
                # Without anything to compare by, only one of the same date and size is the same.
                if uid not in taken and idents[uid] == ident and (ident or _is(lost[index], listed[uid])):
                    taken.add(uid)
                    found[index] = uid
                    break
        return found

    def _take_marks_off(self, mailbox: Mailbox, marked: Sequence[tuple[Lost, UID]]) -> None:
        """Take back what a run did that only marked."""
        assert isinstance(self.terms.source, CanAppend)
        if marked and self.terms.manifest is not None:
            self._remember([each for each, _ in marked])
            self.terms.source.unmark(mailbox, [uid for _, uid in marked])
            self._settle({(each.uidvalidity, uid) for each, uid in marked})
        for each, _ in marked:
            self._count(each, put_back=1)

    def _settle(self, unmarked: Collection[tuple[int, UID | UIDL]]) -> None:
        """Close what the journal holds of these: a mark that is made from now on is somebody else's."""
        for batch in self.terms.work.catalogue.open_batches():
            rows = [row.uid for row, _ in batch.items if (batch.uidvalidity, row.uid) in unmarked]
            if batch.mailbox == self.name and rows:
                self.terms.work.catalogue.settle(batch.number, dict.fromkeys(rows, ItemState.ROLLED_BACK))

    def _put_back(self, mailbox: Mailbox | None, waiting: deque[Lost]) -> None:
        """Send what is not there, as much at once as the server takes."""
        source, manifest = self.terms.source, self.terms.manifest
        assert isinstance(source, CanAppend)
        if manifest is None:
            while waiting:
                each = waiting.popleft()
                self._count(each, put_back=1, size=each.size)
            return
        if not waiting:
            return
        self._remember(waiting)
        if mailbox is None:
            mailbox = source.create(self.name)
        try:
            while waiting and self.terms.work.stop() is None:
                self._send(mailbox, waiting)
        except (AccountError, MailboxError):
            # What is there is written down: the account may be full, or the line dead.
            manifest.sync()
            raise
        manifest.sync()

    def _send(self, mailbox: Mailbox, waiting: deque[Lost]) -> None:
        """Send the next messages by one command; those that the server does not take so, it gets one by one."""
        source = self.terms.source
        assert isinstance(source, CanAppend)
        some = self._proved(waiting)
        if len(some) > 1 and isinstance(source, CanAppendMany):
            try:
                uids = source.append_many(mailbox, [message for _, message in some])
            except (MessageError, MailboxError):
                # Nothing of it is there (RFC 3502), and one of them may be the reason.
                pass
            else:
                for (each, _), uid in zip(some, uids, strict=True):
                    self._done(waiting, each, uid)
                return
        for each, message in some:
            try:
                uid = source.append(mailbox, message)
            except MessageError as error:
                waiting.popleft()
                self._fail(each, error.message)
                continue
            self._done(waiting, each, uid)

    def _proved(self, waiting: deque[Lost]) -> list[tuple[Lost, Appending]]:
        """Give those at the head of the queue that one command takes; what is not what it was leaves the queue."""
        source = self.terms.source
        most = source.at_once if isinstance(source, CanAppendMany) else 1
        some: list[tuple[Lost, Appending]] = []
        octets = 0
        while len(some) < min(most, len(waiting)):
            each = waiting[len(some)]
            octets += each.size
            if some and octets > _TOGETHER:
                break
            try:
                some.append((each, self.terms.copies.proved(each)))
            except ArchiveError as error:
                del waiting[len(some)]
                octets -= each.size
                self.terms.work.codes.add(error.exit_code)
                self._fail(each, error.message)
        return some

    def _done(self, waiting: deque[Lost], each: Lost, uid: UID | None) -> None:
        """Write down that the first of the queue is on the server."""
        assert self.terms.manifest is not None
        waiting.popleft()
        self.terms.manifest.write(
            type="restored", mailbox=self.name, digest=each.digest, size=each.size, uid=uid, was=each.uid
        )
        self._count(each, put_back=1, size=each.size)

    def _remember(self, messages: Iterable[Lost]) -> None:
        """Make known what is about to be put back: no run that deletes may meet it and not know it.

        In the manifest too, because a catalogue can be lost.
        """
        assert self.terms.manifest is not None
        if not self.terms.remembers:
            return
        known = [(each.digest, self._ident(each)) for each in messages if self.terms.copies.location(each)]
        for digest, ident in known:
            self.terms.manifest.write(type="returning", mailbox=self.name, digest=digest, ident=ident)
        self.terms.manifest.sync()
        self.terms.work.catalogue.remember_put_back(self.terms.work.run.id, known)

    def _ident(self, each: Lost) -> str:
        if each.digest not in self._idents:
            self._idents[each.digest] = self.terms.copies.ident(each)
        return self._idents[each.digest]

    def _count(self, each: Lost, *, put_back: int = 0, there: int = 0, size: int = 0) -> None:
        self.rows[self.name] += Return(put_back=put_back, there=there, size=size, left=-1)
        self.terms.work.report(PutBack(self.name, each.digest, each.size, already=bool(there)))

    def _fail(self, each: Lost, reason: str) -> None:
        self.rows[self.name] += Return(failed=1, left=-1)
        self.terms.work.codes.add(ExitCode.PARTIAL)
        self.terms.work.report(NotPutBack(self.name, each.digest, reason))


class Shelf:
    """The messages that are in a mailbox now, found by their facts.

    What has come since a deletion has a UID that is not lower than the one that was to be given next; there, one fact
    is enough to be looked at, because a server may change the date or the size of what it is given.
    """

    def __init__(self, listed: Mapping[UID | UIDL, RemoteMessage], uidvalidity: int | None) -> None:
        self._uidvalidity = uidvalidity
        self._by_both: dict[tuple[int | None, datetime | None], list[UID | UIDL]] = defaultdict(list)
        self._by_size: dict[int | None, list[UID | UIDL]] = defaultdict(list)
        self._by_date: dict[datetime | None, list[UID | UIDL]] = defaultdict(list)
        for uid, message in listed.items():
            self._by_both[message.size, message.internal_date].append(uid)
            self._by_size[message.size].append(uid)
            self._by_date[message.internal_date].append(uid)

    def fitting(self, each: Lost) -> list[UID | UIDL]:
        """Give those that may be a message, those that fit best first."""
        same = self._uidvalidity == each.uidvalidity and each.uid is not None
        first = each.uidnext if same else 1
        sizes = {each.size, each.announced if each.announced is not None else each.size}
        found = [uid for size in sizes for uid in self._by_both.get((size, each.internal_date), ())]
        if same or each.internal_date is None:
            found += [uid for size in sizes for uid in self._by_size.get(size, ())]
        if same:
            found += self._by_date.get(each.internal_date, ())
        return [uid for uid in dict.fromkeys(found) if int(uid) >= first]


def _lacks(each: Lost, message: RemoteMessage) -> bool:
    """Tell whether a message that was put back lacks labels that it had."""
    return message.labels is not None and bool(each.labels - message.labels)


def _is_still(row: Placement, message: RemoteMessage) -> bool:
    """Tell whether a listed message can be the one that was archived under its UID."""
    return message.size in (row.size, row.size_announced) and message.internal_date == row.internal_date


def _is(each: Lost, message: RemoteMessage | None) -> bool:
    """Tell whether a listed message can be this one, as far as its facts tell; one without a date got one later."""
    if message is None or message.size not in (each.size, each.announced):
        return False
    return each.internal_date is None or message.internal_date == each.internal_date
