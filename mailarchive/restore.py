"""Archive to server: puts back what one run deleted, with flags, keywords, labels and dates.

The law of this room: what to put back is read from the manifest of that run, and the octets are proved before they are
sent. A message that is there is not put there twice, however often this runs and wherever it was killed. What was put
back is remembered before it is sent, so that no later run deletes it again unasked.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
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
    MissingError,
    UsageError,
    worst,
)
from mailarchive.events import NotPutBack, PutBack, RestoreFinished, Restoring, Return
from mailarchive.job import Work
from mailarchive.model import UID, Criteria, Digest, Location, in_order
from mailarchive.policy import Policy
from mailarchive.ports import Appending, CanAppend, HasQuota
from mailarchive.verify import read_back

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from mailarchive.events import Report
    from mailarchive.model import UIDL, Mailbox, Quota, RemoteMessage, Run
    from mailarchive.ports import Archive, Catalogue, Manifest, OpenMailbox, Source, Stop

HEAD = 64 * 1024


@dataclass(frozen=True, slots=True)
class Lost:
    """A message that a run intended to delete, as its manifest says.

    Attributes:
        uidnext: The UID that the next message of the mailbox was to get then; what was put back since has no lower one.
        announced: The size that the server announced then.
    """

    mailbox: str
    uidvalidity: int
    uid: UID
    digest: Digest
    size: int
    location: Location
    internal_date: datetime | None
    flags: frozenset[str]
    labels: frozenset[str]
    uidnext: int
    announced: int | None


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
        lost = list(_lost(archive.told(of)))
        if not dry_run:
            manifest = begin(work)
            manifest.write(type="undo", of=of)
        mailboxes, _ = source.mailboxes()
        if manifest is not None and (batches := catalogue.open_batches()):
            reconcile.settle(source, work, batches, mailboxes, manifest, may_delete=False)
        named = {mailbox.name: mailbox for mailbox in mailboxes}
        for name in dict.fromkeys(each.mailbox for each in lost):
            some = [each for each in lost if each.mailbox == name]
            rows[name] = Return(wanted=len(some))
            if stop() is None:
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


def _lost(lines: Iterable[Mapping[str, object]]) -> Iterator[Lost]:
    """Read the messages that a run intended to delete; whether it did is for the server to show."""
    for line in lines:
        if line.get("type") != "expunging":
            continue
        try:
            date = line.get("internal_date")
            yield Lost(
                mailbox=_text(line["mailbox"]),
                uidvalidity=_number(line["uidvalidity"]),
                uid=UID(_number(line["uid"])),
                digest=Digest(_text(line["digest"])),
                size=_number(line["size"]),
                location=Location(_text(line["location"])),
                internal_date=datetime.fromisoformat(_text(date)) if date is not None else None,
                flags=_texts(line.get("flags")),
                labels=_texts(line.get("labels")),
                uidnext=_number(line.get("uidnext") or 1),
                announced=_number(line["announced"]) if line.get("announced") is not None else None,
            )
        except (KeyError, TypeError, ValueError):
            raise ArchiveError("the manifest of that run cannot be read", hint="its format is not known here") from None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError
    return value


def _texts(value: object) -> frozenset[str]:
    return frozenset(_text(each) for each in value) if isinstance(value, list) else frozenset()


@dataclass(slots=True)
class _Returner:
    """Puts the messages of one mailbox back."""

    source: Source
    work: Work
    manifest: Manifest | None
    rows: dict[str, Return]
    name: str
    failed: int = field(default=0)

    def mailbox(self, mailbox: Mailbox | None, lost: Sequence[Lost]) -> None:
        """Put back what is not there; without a manifest, only count."""
        self.work.report(Restoring(self.name, len(lost), sum(each.size for each in lost)))
        missing = list(lost)
        try:
            if mailbox is not None:
                there = self._there(mailbox, lost)
                for each in there:
                    self._count(each, there=1)
                missing = [each for each in lost if id(each) not in {id(one) for one in there}]
            if self.manifest is None:
                for each in missing:
                    self._count(each, put_back=1, size=each.size)
                return
            self._put_back(mailbox, missing)
        except MailboxError as error:
            self.work.warn(error.message, self.name)
            row = self.rows[self.name]
            for each in missing[row.put_back + self.failed :]:
                self._fail(each, error.message)

    def _there(self, mailbox: Mailbox, lost: Sequence[Lost]) -> list[Lost]:
        """Find those that are on the server: never deleted, or put back before."""
        with self.source.open(mailbox) as box:
            listed = {message.uid: message for message in box.listing(Criteria())}
            same = box.status.uidvalidity
            still = [each for each in lost if same == each.uidvalidity and _is_still(each, listed.get(each.uid))]
            gone = [each for each in lost if id(each) not in {id(one) for one in still}]
            return [*still, *self._returned(box, gone, listed)]

    def _returned(
        self, box: OpenMailbox, gone: Sequence[Lost], listed: Mapping[UID | UIDL, RemoteMessage]
    ) -> list[Lost]:
        """Find those that an earlier try has put back: same date, same size, same Message-ID, Date and From."""
        candidates: dict[int, list[UID | UIDL]] = {}
        for index, each in enumerate(gone):
            first = each.uidnext if box.status.uidvalidity == each.uidvalidity else 1
            fitting = [uid for uid, message in listed.items() if int(uid) >= first and _fits(each, message)]
            if fitting:
                candidates[index] = fitting
        if not candidates:
            return []
        probed = {uid for fitting in candidates.values() for uid in fitting}
        idents = {
            sighting.message.uid: headers.envelope(sighting.head).ident for sighting in box.probe(in_order(probed))
        }
        taken: set[UID | UIDL] = set()
        found = []
        for index, fitting in candidates.items():
            ident = self._ident(gone[index])
            match = next((uid for uid in fitting if uid not in taken and idents.get(uid) == ident), None)
            if match is not None:
                taken.add(match)
                found.append(gone[index])
        return found

    def _put_back(self, mailbox: Mailbox | None, missing: Sequence[Lost]) -> None:
        """Send what is not there, one after the other."""
        assert isinstance(self.source, CanAppend)
        assert self.manifest is not None
        if not missing:
            return
        # Before anything is sent: a run that deletes must never meet a message of which this is not known.
        self.work.catalogue.remember_put_back(
            self.work.run.id, [(each.digest, self._ident(each)) for each in missing if self._location(each)]
        )
        if mailbox is None:
            mailbox = self.source.create(self.name)
        for each in missing:
            if self.work.stop() is not None:
                return
            try:
                uid = self.source.append(mailbox, self._appending(each))
            except MessageError as error:
                self._fail(each, error.message)
                continue
            except AccountError:
                self.manifest.sync()
                raise
            self.manifest.write(
                type="restored", mailbox=self.name, digest=each.digest, size=each.size, uid=uid, was=each.uid
            )
            self._count(each, put_back=1, size=each.size)
        self.manifest.sync()

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
        """Say where a copy is; one that a mail program has moved away may have a twin elsewhere."""
        if self.work.archive.holds(each.location):
            return each.location
        other = self.work.catalogue.location(each.digest)
        return other if other is not None and self.work.archive.holds(other) else None

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
        except MissingError:
            return ""
        return headers.envelope(head).ident

    def _count(self, each: Lost, *, put_back: int = 0, there: int = 0, size: int = 0) -> None:
        self.rows[self.name] += Return(put_back=put_back, there=there, size=size)
        self.work.report(PutBack(self.name, each.digest, each.size, already=bool(there)))

    def _fail(self, each: Lost, reason: str) -> None:
        self.failed += 1
        self.rows[self.name] += Return(failed=1)
        self.work.codes.add(ExitCode.PARTIAL)
        self.work.report(NotPutBack(self.name, each.digest, reason))


def _is_still(each: Lost, message: RemoteMessage | None) -> bool:
    """Tell whether a message was not deleted at all."""
    return message is not None and _fits(each, message)


def _fits(each: Lost, message: RemoteMessage) -> bool:
    """Tell whether a listed message can be this one, as far as its facts tell."""
    return message.internal_date == each.internal_date and message.size in (each.size, each.announced)


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
        error, hint = trouble.message, trouble.hint
    quota: Quota | None = None
    if trouble is None and isinstance(source, HasQuota):
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
