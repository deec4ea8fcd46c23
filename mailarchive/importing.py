"""Mail of other programs to archive: what the archive does not hold yet.

The law of this room: a source is only read, and one bad message never ends an import. A batch is durable in the
archive, then in the manifest, then in the catalogue, and only then it counts; importing again finds everything there.
An import proves nothing about a server: no placement made here is evidence for a deletion.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from mailarchive import headers
from mailarchive.batch import BATCH_MESSAGES, BATCH_OCTETS
from mailarchive.course import begin, close, report_start
from mailarchive.digests import digested
from mailarchive.errors import ArchiveError, ExitCode, MailarchiveError, MessageError, worst
from mailarchive.events import Imported, ImportFinished, Importing, NotImported
from mailarchive.foreign import ForeignMessage, LeftOut, NotRead, Remark
from mailarchive.job import Work
from mailarchive.model import INBOX, UIDL, Mailbox, Placement, RemoteMessage, is_inbox, transient
from mailarchive.policy import Policy
from mailarchive.tally import Intake

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from mailarchive.events import Report
    from mailarchive.foreign import Foreign, Origin
    from mailarchive.model import Digest, Run, StoredMessage
    from mailarchive.ports import Archive, Catalogue, Manifest, Stop

    Sources = Iterable[tuple[str, int, Iterable[Foreign]]]
    """What each source is called, its octets, and what is in it."""


def import_mail(
    sources: Sources,
    archive: Archive,
    catalogue: Catalogue,
    *,
    run: Run,
    report: Report,
    stop: Stop,
    clock: Callable[[], float],
    into: str = "",
    dry_run: bool = False,
) -> ImportFinished:
    """Take mail of other programs into an archive.

    Args:
        sources: What to take in; read once.
        archive: Open for writing, unless `dry_run`.
        catalogue: Of that archive.
        run: Who and when.
        report: Hears of every step, last of all of what is returned.
        stop: Asked between messages.
        clock: Seconds of a monotonic clock.
        into: The mailbox that gets everything; empty for the mailboxes of the sources.
        dry_run: Only count; nothing is changed anywhere.
    """
    begun = clock()
    work = Work(run, archive, catalogue, Policy(), report, stop)
    manifest: Manifest | None = None
    trouble: MailarchiveError | None = None
    report_start(work, dry_run=dry_run)
    intake = _Intake(work, into)
    try:
        if dry_run:
            takes: _Counter | _Keeper = _Counter(intake, _held(archive, catalogue))
        else:
            manifest = begin(work)
            takes = _Keeper(intake, manifest)
        for name, size, messages in sources:
            if stop() is None:
                report(Importing(name, size))
                _take_all(messages, intake, takes)
    except MailarchiveError as error:
        trouble = error
    finished = _finished(intake, trouble, clock() - begun)
    if manifest is not None:
        total = finished.total
        counts = {"read": total.read, "new": total.new, "already": total.already, "failed": total.failed}
        finished = close(work, manifest, finished, counts)
    report(finished)
    return finished


@dataclass(slots=True)
class _Intake:
    """What an import has seen so far; `met` counts what the sources gave, before anything is done with it."""

    work: Work
    into: str
    rows: dict[str, Intake] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    met: int = 0

    def places(self, message: ForeignMessage) -> list[str]:
        """Name the mailboxes that get a message, the first one above all."""
        if self.into:
            return [_proper(self.into)]
        return list(dict.fromkeys(map(_proper, (message.mailbox, *message.also))))

    def done(self, message: ForeignMessage, digest: Digest, size: int, *, already: bool) -> None:
        """Count a message that is in the archive."""
        name = self.places(message)[0]
        self._add(name, Intake(read=1, new=not already, already=already, size=0 if already else size))
        path, offset = message.origin
        self.work.report(Imported(name, path, offset, digest, message.extent, size, already))

    def failed(self, origin: Origin, mailbox: str, reason: str) -> None:
        """Count a message that could not be taken in, and name it."""
        name = _proper(self.into or mailbox)
        self._add(name, Intake(read=1, failed=1))
        self.work.codes.add(ExitCode.PARTIAL)
        self.work.report(NotImported(name, origin.path, origin.offset, reason))

    def _add(self, name: str, more: Intake) -> None:
        self.rows[name] = self.rows.get(name, Intake()) + more


def _take_all(messages: Iterable[Foreign], intake: _Intake, takes: _Counter | _Keeper) -> None:
    """Take what a source holds, some messages at a time, so that those of one mailbox become durable together."""
    some: list[ForeignMessage] = []
    octets = 0
    for each in messages:
        if intake.work.stop() is not None:
            return
        intake.met += isinstance(each, ForeignMessage | NotRead)
        if isinstance(each, ForeignMessage):
            some.append(each)
            octets += each.extent
            if len(some) >= BATCH_MESSAGES or octets >= BATCH_OCTETS:
                takes.take(some)
                some, octets = [], 0
        elif isinstance(each, LeftOut):
            intake.left_out[each.reason] += 1
        elif isinstance(each, Remark):
            intake.work.warn(f"{_shown(each.origin)}: {each.text}")
        else:
            intake.failed(each.origin, each.mailbox, each.reason)
    takes.take(some)


@dataclass(slots=True)
class _Counter:
    """Counts what is new, for a dry run. `held` are folder and digest of what the archive has; a digest may be cut."""

    intake: _Intake
    held: set[tuple[str, str]]

    def take(self, messages: Sequence[ForeignMessage]) -> None:
        """Read messages and count them."""
        archive = self.intake.work.archive
        for message in messages:
            if self.intake.work.stop() is not None:
                return
            try:
                digest, size = digested(message.chunks())
            except MessageError as error:
                self.intake.failed(message.origin, message.mailbox, error.message)
                continue
            folders = [archive.folder(_mailbox(name)) for name in self.intake.places(message)]
            already = all(self._has(folder, digest) for folder in folders)
            self.held.update((folder, digest) for folder in folders)
            self.intake.done(message, digest, size, already=already)

    def _has(self, folder: str, digest: Digest) -> bool:
        return (folder, digest) in self.held or (folder, digest[:_CUT]) in self.held


_CUT = len("sha256:") + 32
"""How much of a digest the name of a file tells (`archive-format.md` section 3)."""


def _held(archive: Archive, catalogue: Catalogue) -> set[tuple[str, str]]:
    rows = catalogue.located()
    held = set()
    for parts, location in archive.scan():
        row = rows.get(location)
        held.add(("/".join(parts), row[0] if row is not None else archive.hint(location)))
    return held


class _Kept(NamedTuple):
    """A message that the archive has taken, and the hash of what identifies it."""

    foreign: ForeignMessage
    stored: StoredMessage
    ident: str


@dataclass(slots=True)
class _Keeper:
    """Puts messages into the archive."""

    intake: _Intake
    manifest: Manifest
    introduced: set[str] = field(default_factory=set)

    def take(self, messages: Sequence[ForeignMessage]) -> None:
        """Take some messages, those of each mailbox together."""
        by_place: dict[str, list[ForeignMessage]] = defaultdict(list)
        for message in messages:
            by_place[self.intake.places(message)[0]].append(message)
        for name, some in by_place.items():
            if self.intake.work.stop() is None:
                try:
                    self._batch(name, some)
                except ArchiveError:
                    self.intake.work.archive.discard()
                    raise

    def _batch(self, name: str, messages: Sequence[ForeignMessage]) -> None:
        """Make messages of one mailbox durable: octets, then the manifest, then the rows; then they count."""
        work = self.intake.work
        kept = self._add(name, messages)
        if not kept:
            return
        work.archive.sync()
        copies = [(name, each) for each in kept]
        copies += self._also(kept)
        for place, each in copies:
            self._introduce(place)
            self._write(place, each.foreign, each.stored)
        self.manifest.sync()
        work.catalogue.record(work.run.id, [_placement(place, each) for place, each in copies])
        fresh = {id(each.foreign) for _, each in copies if not each.stored.already}
        for each in kept:
            already = id(each.foreign) not in fresh
            self.intake.done(each.foreign, each.stored.digest, each.stored.size, already=already)

    def _add(self, name: str, messages: Sequence[ForeignMessage]) -> list[_Kept]:
        """Give the archive the octets; a message whose octets cannot be had is told."""
        work, kept = self.intake.work, []
        for message in messages:
            if work.stop() is not None:
                break
            try:
                stored = work.archive.add(_mailbox(name), _Arriving(message))
            except MessageError as error:
                self.intake.failed(message.origin, name, error.message)
                continue
            if stored.damaged:
                work.warn(f"the archived copy of {_shown(message.origin)} did not match and was set aside", name)
            kept.append(_Kept(message, replace(stored, head=b""), headers.ident(stored.head)))
        return kept

    def _also(self, kept: Sequence[_Kept]) -> Iterator[tuple[str, _Kept]]:
        """Put a link of each message into the other mailboxes that show it, where labels are mailboxes."""
        archive = self.intake.work.archive
        by_place: dict[str, list[_Kept]] = defaultdict(list)
        for each in kept:
            for place in self.intake.places(each.foreign)[1:]:
                by_place[place].append(each)
        for place, entries in by_place.items():
            found = []
            for each in entries:
                link = archive.also(_mailbox(place), each.stored, _remote(each.foreign))
                found.append((place, each._replace(stored=link)))
            archive.sync()
            yield from found

    def _introduce(self, name: str) -> None:
        """Write down a mailbox the first time that it is met."""
        if name not in self.introduced:
            self.introduced.add(name)
            folder = self.intake.work.archive.folder(_mailbox(name))
            self.manifest.write(type="mailbox", name=name, folder=folder, delimiter="/")

    def _write(self, place: str, message: ForeignMessage, stored: StoredMessage) -> None:
        self.manifest.write(
            type="imported",
            source=message.origin.path,
            offset=message.origin.offset,
            mailbox=place,
            digest=stored.digest,
            size=stored.size,
            internal_date=message.date,
            date_from=message.dated_by.value,
            flags=message.flags,
            location=stored.location,
            already=True if stored.already else None,
            **message.notes,
        )


@dataclass(frozen=True, slots=True)
class _Arriving:
    """A foreign message as the archive takes it; see `ports.Incoming`."""

    foreign: ForeignMessage

    @property
    def message(self) -> RemoteMessage:
        return _remote(self.foreign)

    def chunks(self) -> Iterator[bytes]:
        return self.foreign.chunks()


def _remote(message: ForeignMessage) -> RemoteMessage:
    return RemoteMessage(transient("import"), None, message.date, message.flags)


def _mailbox(name: str) -> Mailbox:
    return Mailbox(name, name.encode("utf-8"), "/")


def _placement(mailbox: str, kept: _Kept) -> Placement:
    """Make the row of an imported copy: it names no UID of a server, and its digest makes it the same each time."""
    message, stored, ident = kept
    return Placement(
        mailbox=mailbox,
        uidvalidity=None,
        uid=UIDL(f"import:{stored.digest}"),
        digest=stored.digest,
        size=stored.size,
        location=stored.location,
        internal_date=message.date,
        flags=message.flags,
        ident=ident,
        origin="import",
    )


def _proper(name: str) -> str:
    """Give the name of a mailbox as it can be written anywhere; INBOX has one name in any case."""
    return INBOX if is_inbox(name) else name.encode("utf-8", "replace").decode("utf-8")


def _shown(origin: Origin) -> str:
    return origin.path if origin.offset is None else f"{origin.path} at octet {origin.offset}"


def _finished(intake: _Intake, trouble: MailarchiveError | None, seconds: float) -> ImportFinished:
    work = intake.work
    total = sum(intake.rows.values(), Intake())
    error = hint = ""
    whole = trouble is None and work.stop() is None
    if not total.adds_up or (whole and intake.met != total.read):
        work.warn("the numbers of this run do not add up; please report this")
    codes = set(work.codes)
    stopped = work.stop()
    if stopped is not None:
        codes.add(stopped)
        error = "interrupted; run it again for the rest"
    if trouble is not None:
        codes.add(trouble.exit_code)
        error, hint = trouble.message, trouble.hint or "run it again for the rest"
    return ImportFinished(
        run=work.run.id,
        archive=work.run.archive,
        mailboxes=tuple(intake.rows.items()),
        total=total,
        exit_code=worst(codes),
        left_out=tuple(intake.left_out.items()),
        seconds=seconds,
        error=error,
        hint=hint,
    )
