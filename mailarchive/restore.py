"""Archive to server: puts back what one run deleted, with flags, keywords, labels and dates.

The law of this room: what to put back is read from the manifest of that run, and the octets are proved before they are
sent. A message that is there is not put there twice, however often this runs and wherever it was killed. What was put
back is remembered before it is sent, so that no later run deletes it again unasked.
"""

from __future__ import annotations

import contextlib
from collections import Counter, defaultdict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailarchive import headers, reconcile
from mailarchive.course import begin, close, report_start, tell_alerts
from mailarchive.errors import (
    AccountError,
    ArchiveError,
    ExitCode,
    MailarchiveError,
    MailboxError,
    MessageError,
    UsageError,
    worst,
)
from mailarchive.events import NotPutBack, PutBack, RestoreFinished, Restoring
from mailarchive.extras import Appending, CanAppend, HasQuota
from mailarchive.job import Work
from mailarchive.lost import lost as read_lost
from mailarchive.model import DELETED, UID, Criteria, ItemState, in_order
from mailarchive.policy import Policy
from mailarchive.tally import Return
from mailarchive.verify import read_back

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from mailarchive.events import Report
    from mailarchive.lost import Lost
    from mailarchive.model import UIDL, Location, Mailbox, Quota, RemoteMessage, Run
    from mailarchive.ports import Archive, Catalogue, Manifest, OpenMailbox, Source, Stop

HEAD = 64 * 1024


def undo(
    source: Source,
    archive: Archive,
    catalogue: Catalogue,
    *,
    of: str,
    run: Run,
    report: Report,
    stop: Stop,
    clock: Callable[[], float],
    dry_run: bool = False,
) -> RestoreFinished:
    """Put back what one run deleted.

    Args:
        source: Signed in, for restoring unless `dry_run`.
        archive: Open for writing, unless `dry_run`.
        catalogue: Of that archive.
        of: The run to take back.
        run: Who and when.
        report: Hears of every step, last of all of what is returned.
        stop: Asked between messages.
        clock: Seconds of a monotonic clock.
        dry_run: Only count; nothing is changed anywhere.

    Raises:
        UsageError: This server takes no messages. Other errors stand in the result.
    """
    if not isinstance(source, CanAppend):
        raise UsageError("this server takes no messages, so nothing can be put back")
    begun = clock()
    work = Work(run, archive, catalogue, Policy(), report, stop)
    rows: dict[str, Return] = {}
    manifest: Manifest | None = None
    trouble: MailarchiveError | None = None
    report_start(work, dry_run=dry_run)
    try:
        lost = read_lost(archive.told(of))
        rows = {name: Return(wanted=count, left=count) for name, count in Counter(e.mailbox for e in lost).items()}
        if not dry_run:
            manifest = begin(work)
            manifest.write(type="undo", of=of)
        mailboxes, _ = source.mailboxes()
        if manifest is not None and (batches := catalogue.open_batches()):
            reconcile.settle(source, work, batches, mailboxes, manifest, may_delete=False)
        named = {mailbox.name: mailbox for mailbox in mailboxes}
        for name in rows:
            if stop() is None:
                some = [each for each in lost if each.mailbox == name]
                _Returner(source, work, manifest, rows, name).mailbox(named.get(name), some)
    except UsageError:
        raise
    except MailarchiveError as error:
        trouble = error
    tell_alerts(source, work)
    finished = _finished(source, work, of, rows, trouble=trouble, seconds=clock() - begun)
    if manifest is not None:
        total = finished.total
        counts = {"wanted": total.wanted, "put_back": total.put_back, "there": total.there, "failed": total.failed}
        finished = close(work, manifest, finished, counts)
    report(finished)
    return finished


@dataclass(slots=True)
class _Returner:
    """Puts the messages of one mailbox back; without a manifest, it only counts."""

    source: Source
    work: Work
    manifest: Manifest | None
    rows: dict[str, Return]
    name: str
    elsewhere: dict[str, Location] | None = None
    lengths: frozenset[int] = frozenset()

    def mailbox(self, mailbox: Mailbox | None, lost: Sequence[Lost]) -> None:
        """Put back what is not there."""
        self.work.report(Restoring(self.name, len(lost), sum(each.size for each in lost)))
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
            self.work.warn(error.message, self.name)
            for each in waiting:
                self._fail(each, error.message)

    def _there(self, mailbox: Mailbox, lost: Sequence[Lost]) -> tuple[set[int], dict[int, UID]]:
        """Find those that are on the server, by index; and those that are there with nothing but our mark on them.

        Raises:
            MailboxError: The server does not show for certain what it holds; a guess could double a message.
        """
        with self.source.open(mailbox) as box:
            doubts = len(box.doubts)
            listed = {message.uid: message for message in box.listing(Criteria())}
            if box.doubts[doubts:]:
                raise MailboxError(f"nothing is put back here: {box.doubts[-1]}")
            same = box.status.uidvalidity
            there: set[int] = set()
            marked: dict[int, UID] = {}
            for index, each in enumerate(lost):
                if each.uid is None or same != each.uidvalidity or not _is(each, listed.get(each.uid)):
                    continue
                flags = listed[each.uid].flags or frozenset()
                if DELETED in flags - each.flags:
                    marked[index] = each.uid
                else:
                    there.add(index)
            taken = {each.uid for index, each in enumerate(lost) if index in there or index in marked}
            gone = [index for index in range(len(lost)) if index not in there and index not in marked]
            left = {uid: message for uid, message in listed.items() if uid not in taken}
            returned = self._returned(box, lost, gone, left)
            bare = [(UID(int(uid)), lost[i].labels) for i, uid in returned.items() if _lacks(lost[i], listed[uid])]
        if bare and self.manifest is not None:
            # A try that was killed just after it sent a message has not given it its labels.
            assert isinstance(self.source, CanAppend)
            for uid, labels in bare:
                self.source.label(mailbox, uid, labels)
        return there | returned.keys(), marked

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
        assert isinstance(self.source, CanAppend)
        if marked and self.manifest is not None:
            self._remember([each for each, _ in marked])
            self.source.unmark(mailbox, [uid for _, uid in marked])
            self._settle({(each.uidvalidity, uid) for each, uid in marked})
        for each, _ in marked:
            self._count(each, put_back=1)

    def _settle(self, unmarked: Collection[tuple[int, UID | UIDL]]) -> None:
        """Close what the journal holds of these: a mark that is made from now on is somebody else's."""
        for batch in self.work.catalogue.open_batches():
            rows = [row.uid for row, _ in batch.items if (batch.uidvalidity, row.uid) in unmarked]
            if batch.mailbox == self.name and rows:
                self.work.catalogue.settle(batch.number, dict.fromkeys(rows, ItemState.ROLLED_BACK))

    def _put_back(self, mailbox: Mailbox | None, waiting: deque[Lost]) -> None:
        """Send what is not there, one after the other."""
        assert isinstance(self.source, CanAppend)
        if self.manifest is None:
            while waiting:
                each = waiting.popleft()
                self._count(each, put_back=1, size=each.size)
            return
        if not waiting:
            return
        self._remember(waiting)
        if mailbox is None:
            mailbox = self.source.create(self.name)
        while waiting and self.work.stop() is None:
            each = waiting[0]
            try:
                uid = self.source.append(mailbox, self._appending(each))
            except MessageError as error:
                waiting.popleft()
                self._fail(each, error.message)
                continue
            except AccountError:
                self.manifest.sync()
                raise
            waiting.popleft()
            self.manifest.write(
                type="restored", mailbox=self.name, digest=each.digest, size=each.size, uid=uid, was=each.uid
            )
            self._count(each, put_back=1, size=each.size)
        self.manifest.sync()

    def _remember(self, messages: Iterable[Lost]) -> None:
        """Make known what is about to be put back: no run that deletes may meet it and not know it.

        In the manifest too, because a catalogue can be lost.
        """
        assert self.manifest is not None
        known = [(each.digest, self._ident(each)) for each in messages if self._location(each)]
        for digest, ident in known:
            self.manifest.write(type="returning", mailbox=self.name, digest=digest, ident=ident)
        self.manifest.sync()
        self.work.catalogue.remember_put_back(self.work.run.id, known)

    def _appending(self, each: Lost) -> Appending:
        """Prove the copy, and make ready to send it. Raises MessageError if it is not what it was."""
        location = self._location(each)
        if location is None:
            self.work.codes.add(ExitCode.ARCHIVE)
            raise MessageError("its copy is gone from the archive")
        archive = self.work.archive
        try:
            digest, size = read_back(archive, location)
        except ArchiveError as error:
            self.work.codes.add(error.exit_code)
            raise MessageError(f"its copy cannot be read: {error.message}") from None
        if digest != each.digest:
            self.work.codes.add(ExitCode.ARCHIVE)
            raise MessageError("its copy in the archive is damaged")
        return Appending(
            size=size,
            chunks=lambda: archive.read(location),
            flags=each.flags,
            internal_date=each.internal_date,
            labels=each.labels,
        )

    def _location(self, each: Lost) -> Location | None:
        """Say where a copy is, which is still to be proved; a mail program may have moved it, or it has a twin."""
        archive = self.work.archive
        if archive.holds(each.location):
            return each.location
        if self.elsewhere is None:
            self.elsewhere = {archive.hint(place): place for _, place in archive.scan()}
            self.lengths = frozenset(map(len, self.elsewhere)) - {len("sha256:")}
        found = (self.elsewhere.get(each.digest[:length]) for length in self.lengths)
        return next((place for place in found if place is not None), None)

    def _ident(self, each: Lost) -> str:
        """Compute what the probe would show for the archived copy."""
        location = self._location(each)
        if location is None:
            return ""
        head = b""
        try:
            for piece in self.work.archive.read(location):
                head += bytes(piece[: HEAD - len(head)])
                if len(head) >= HEAD:
                    break
        except ArchiveError:
            # It is told where it is to be sent.
            return ""
        return headers.envelope(head).ident

    def _count(self, each: Lost, *, put_back: int = 0, there: int = 0, size: int = 0) -> None:
        self.rows[self.name] += Return(put_back=put_back, there=there, size=size, left=-1)
        self.work.report(PutBack(self.name, each.digest, each.size, already=bool(there)))

    def _fail(self, each: Lost, reason: str) -> None:
        self.rows[self.name] += Return(failed=1, left=-1)
        self.work.codes.add(ExitCode.PARTIAL)
        self.work.report(NotPutBack(self.name, each.digest, reason))


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


def _is(each: Lost, message: RemoteMessage | None) -> bool:
    """Tell whether a listed message can be this one, as far as its facts tell; one without a date got one later."""
    if message is None or message.size not in (each.size, each.announced):
        return False
    return each.internal_date is None or message.internal_date == each.internal_date


def _finished(
    source: Source,
    work: Work,
    of: str,
    rows: dict[str, Return],
    *,
    trouble: MailarchiveError | None,
    seconds: float,
) -> RestoreFinished:
    codes = set(work.codes)
    stopped = work.stop()
    error = hint = ""
    if stopped is not None:
        codes.add(stopped)
        error = "interrupted; run it again for the rest"
    if trouble is not None:
        codes.add(trouble.exit_code)
        error, hint = trouble.message, trouble.hint or "run it again for the rest"
    quota: Quota | None = None
    if trouble is None and isinstance(source, HasQuota):
        # A line that dies over this question costs nothing.
        with contextlib.suppress(MailarchiveError):
            quota = source.quota()
    return RestoreFinished(
        run=work.run.id,
        of=of,
        archive=work.run.archive,
        mailboxes=tuple(rows.items()),
        total=sum(rows.values(), Return()),
        exit_code=worst(codes),
        quota=quota,
        seconds=seconds,
        error=error,
        hint=hint,
    )
