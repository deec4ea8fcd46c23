"""Archive to server: puts messages back, with flags, keywords, labels and dates.

The law of this room: what to put back is what one run deleted, as its manifest says, or what a query finds in the
archive; how, and that nothing is doubled, is `returning.py`. What a query finds is put back once for each mailbox,
however many UIDs the same octets had there.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mailarchive import reconcile
from mailarchive.course import begin, close, report_start, tell_alerts
from mailarchive.errors import MailarchiveError, UsageError, worst
from mailarchive.events import RestoreFinished
from mailarchive.extras import CanAppend, HasQuota
from mailarchive.hierarchy import Hierarchy
from mailarchive.job import Work
from mailarchive.lost import Lost
from mailarchive.lost import lost as read_lost
from mailarchive.model import ALL
from mailarchive.policy import Policy
from mailarchive.returning import Copies, Returner, Terms
from mailarchive.tally import Return

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mailarchive.events import Report
    from mailarchive.finding import Found
    from mailarchive.model import Digest, Mailbox, Quota, Run
    from mailarchive.ports import Archive, Catalogue, Manifest, Source, Stop


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
    work = Work(run, archive, catalogue, Policy(), report, stop)
    job = _Job(source, work, Copies(archive), clock, of=of, dry_run=dry_run)
    return job.run(lambda: read_lost(archive.told(of)))


def restore(
    source: Source,
    mail: Archive,
    archive: Archive,
    catalogue: Catalogue,
    *,
    wanted: Callable[[], Iterable[Found]],
    to: str = "",
    run: Run,
    report: Report,
    stop: Stop,
    clock: Callable[[], float],
    keeps: bool = True,
    dry_run: bool = False,
) -> RestoreFinished:
    """Put back what was found in an archive.

    Args:
        source: Signed in, for restoring unless `dry_run`.
        mail: Where the octets are; it is only read.
        archive: Where it is written down what was put back, open for writing unless `dry_run`: that of the server.
        catalogue: Of `archive`.
        wanted: Gives what is to be put back, as it lies in `mail`.
        to: The mailbox that gets everything; empty for the mailboxes that the messages were in.
        run: Who and when.
        report: Hears of every step, last of all of what is returned.
        stop: Asked between messages.
        clock: Seconds of a monotonic clock.
        keeps: Whether `archive` is that of the server, so that its later runs must not delete what was put back.
        dry_run: Only count; nothing is changed anywhere.

    Raises:
        UsageError: This server takes no messages. Other errors stand in the result.
    """
    work = Work(run, archive, catalogue, Policy(), report, stop)
    job = _Job(source, work, Copies(mail), clock, keeps=keeps, recognises=keeps, dry_run=dry_run)

    def read() -> list[Lost]:
        found = returning(wanted(), to)
        mailboxes, _ = source.mailboxes()
        if source.capabilities.labels:
            return _labelled(found, mailboxes, mail)
        return found if to else _renamed(found, mailboxes, Hierarchy(mail))

    return job.run(read)


def returning(found: Iterable[Found], to: str = "") -> list[Lost]:
    """Make of what was found what is to be put back: equal octets once for each mailbox."""
    wanted: dict[tuple[str, Digest], Found] = {}
    for each in found:
        wanted.setdefault((to or each.mailbox, each.digest), each)
    return [
        Lost(
            mailbox=mailbox,
            uidvalidity=0,
            uid=None,
            digest=digest,
            size=each.size,
            location=each.location,
            internal_date=each.internal_date,
            flags=each.flags or frozenset(),
            labels=frozenset(),
            uidnext=1,
            announced=None,
        )
        for (mailbox, digest), each in wanted.items()
    ]


def _renamed(lost: Sequence[Lost], mailboxes: Iterable[Mailbox], hierarchy: Hierarchy) -> list[Lost]:
    """Write the names of mailboxes as the server divides them; those that it has stay as they are."""
    there = {mailbox.name: mailbox.delimiter for mailbox in mailboxes}
    delimiter = next(filter(None, there.values()), None)
    names = {each.mailbox for each in lost}
    new = {name: name if name in there else hierarchy.elsewhere(name, delimiter) for name in names}
    return [each if new[each.mailbox] == each.mailbox else replace(each, mailbox=new[each.mailbox]) for each in lost]


def _labelled(lost: Sequence[Lost], mailboxes: Iterable[Mailbox], mail: Archive) -> list[Lost]:
    """Choose and complete what goes where mailboxes are labels: what is in the mailbox of all goes there only.

    The labels are those that it had when it was archived, which only the manifests tell.
    """
    everything = {mailbox.name for mailbox in mailboxes if ALL in mailbox.special_use}
    there = {each.digest for each in lost if each.mailbox in everything}
    labels: dict[str, set[str]] = defaultdict(set)
    for run in mail.runs() if there else ():
        for line in mail.told(run, lambda _: None):
            digest, texts = line.get("digest"), line.get("labels")
            if isinstance(texts, list) and line.get("type") == "archived" and digest in there:
                labels[str(digest)].update(text for text in texts if isinstance(text, str))
    return [
        replace(each, labels=frozenset(labels.get(each.digest, ()))) if each.mailbox in everything else each
        for each in lost
        if each.mailbox in everything or each.digest not in there
    ]


@dataclass(slots=True)
class _Job:
    """One run that puts messages back."""

    source: Source
    work: Work
    copies: Copies
    clock: Callable[[], float]
    of: str = ""
    keeps: bool = True
    recognises: bool = False
    dry_run: bool = False

    def run(self, read: Callable[[], list[Lost]]) -> RestoreFinished:
        """Find out what is lost, and put it back."""
        if not isinstance(self.source, CanAppend):
            raise UsageError("this server takes no messages, so nothing can be put back")
        begun = self.clock()
        work = self.work
        rows: dict[str, Return] = {}
        manifest: Manifest | None = None
        trouble: MailarchiveError | None = None
        report_start(work, dry_run=self.dry_run)
        try:
            lost = _by_mailbox(read())
            rows = {name: Return(wanted=len(some), left=len(some)) for name, some in lost.items()}
            if not self.dry_run:
                manifest = begin(work)
                if self.of:
                    manifest.write(type="undo", of=self.of)
            self._each(lost, rows, manifest, self._mailboxes(manifest))
        except UsageError:
            raise
        except MailarchiveError as error:
            trouble = error
        tell_alerts(self.source, work)
        finished = self._finished(rows, trouble, self.clock() - begun)
        if manifest is not None:
            total = finished.total
            counts = {"wanted": total.wanted, "put_back": total.put_back, "there": total.there, "failed": total.failed}
            finished = close(work, manifest, finished, counts)
        work.report(finished)
        return finished

    def _mailboxes(self, manifest: Manifest | None) -> dict[str, Mailbox]:
        """List what is on the server, and settle what an interrupted deletion left open there."""
        mailboxes, _ = self.source.mailboxes()
        if manifest is not None and self.keeps and (batches := self.work.catalogue.open_batches()):
            reconcile.settle(self.source, self.work, batches, mailboxes, manifest, may_delete=False)
        # A name that only holds others can be made a mailbox, and cannot be opened before.
        return {mailbox.name: mailbox for mailbox in mailboxes if mailbox.selectable}

    def _each(
        self,
        lost: dict[str, list[Lost]],
        rows: dict[str, Return],
        manifest: Manifest | None,
        named: dict[str, Mailbox],
    ) -> None:
        terms = Terms(self.source, self.work, manifest, self.copies, self.keeps, self.recognises)
        for name, some in lost.items():
            if self.work.stop() is None:
                Returner(terms, rows, name).mailbox(named.get(name), some)

    def _finished(self, rows: dict[str, Return], trouble: MailarchiveError | None, seconds: float) -> RestoreFinished:
        codes = set(self.work.codes)
        stopped = self.work.stop()
        error = hint = ""
        if stopped is not None:
            codes.add(stopped)
            error = "interrupted; run it again for the rest"
        if trouble is not None:
            codes.add(trouble.exit_code)
            error, hint = trouble.message, trouble.hint or "run it again for the rest"
        quota: Quota | None = None
        if trouble is None and isinstance(self.source, HasQuota):
            # A line that dies over this question costs nothing.
            with contextlib.suppress(MailarchiveError):
                quota = self.source.quota()
        return RestoreFinished(
            run=self.work.run.id,
            of=self.of,
            archive=self.work.run.archive,
            mailboxes=tuple(rows.items()),
            total=sum(rows.values(), Return()),
            exit_code=worst(codes),
            quota=quota,
            seconds=seconds,
            error=error,
            hint=hint,
        )


def _by_mailbox(lost: Iterable[Lost]) -> dict[str, list[Lost]]:
    found: dict[str, list[Lost]] = {}
    for each in lost:
        found.setdefault(each.mailbox, []).append(each)
    return found
