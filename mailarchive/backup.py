"""Server to archive: what the selection picks and the archive does not hold yet.

The law of this room: one straight way. List, plan, fetch; a batch is durable in the archive, then in the manifest,
then in the catalogue, and only then it counts. What came whole is kept even if the line then dies. Nothing on the
server is changed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mailarchive import headers, plan
from mailarchive.errors import AccountError, ArchiveError, ExitCode, MailarchiveError, MailboxError, UsageError, worst
from mailarchive.events import (
    Archived,
    Failed,
    Fetching,
    Finished,
    Gone,
    Held,
    Listing,
    MailboxFinished,
    Started,
    Tally,
    Warned,
)
from mailarchive.model import INBOX, NotFetched, Placement
from mailarchive.policy import HeaderTests
from mailarchive.ports import HasAlerts, HasQuota

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mailarchive.events import Report
    from mailarchive.model import (
        UID,
        UIDL,
        Known,
        Mailbox,
        MailboxStatus,
        Quota,
        RemoteMessage,
        Run,
        StoredMessage,
    )
    from mailarchive.plan import MailboxPlan, Plan
    from mailarchive.policy import Policy
    from mailarchive.ports import Archive, Catalogue, Incoming, Manifest, OpenMailbox, Source, Stop

BATCH_MESSAGES = 500
BATCH_OCTETS = 32 * 1024 * 1024


@dataclass(slots=True)
class _Work:
    """What one run carries with it."""

    run: Run
    archive: Archive
    catalogue: Catalogue
    policy: Policy
    report: Report
    stop: Stop
    rows: dict[str, Tally] = field(default_factory=dict)
    codes: set[ExitCode] = field(default_factory=set)
    not_reached: int = 0
    waiting: dict[str, int] = field(default_factory=dict)
    """Messages to fetch in the mailboxes that have not been begun."""

    def warn(self, message: str, mailbox: str = "", *, serious: bool = True) -> None:
        if serious:
            self.codes.add(ExitCode.PARTIAL)
        self.report(Warned(message, mailbox, serious))

    def count(self, mailbox: str, **more: int) -> None:
        self.rows[mailbox] = self.rows[mailbox] + Tally(**more)


def backup(
    source: Source,
    archive: Archive,
    catalogue: Catalogue,
    *,
    policy: Policy,
    run: Run,
    report: Report,
    stop: Stop,
    clock: Callable[[], float],
    dry_run: bool = False,
) -> Finished:
    """Archive what the policy picks and the archive does not hold.

    Args:
        source: Signed in.
        archive: Open for writing, unless `dry_run`.
        catalogue: Of that archive.
        policy: What to pick.
        run: Who and when.
        report: Hears of every step, last of all of the `Finished` that is returned.
        stop: Asked between messages.
        clock: Seconds of a monotonic clock.
        dry_run: End after the plan; nothing is changed anywhere.

    Raises:
        UsageError: The selection names a mailbox that is not there, or asks for what this server cannot do.
        Other errors do not leave: they end the run and stand in the result.
    """
    begun = clock()
    work = _Work(run, archive, catalogue, policy, report, stop)
    report(_started(run, dry_run=dry_run))
    for doubt in archive.doubts:
        work.warn(doubt, serious=False)
    manifest: Manifest | None = None
    quota: Quota | None = None
    trouble: MailarchiveError | None = None
    try:
        quota = _quota(source, work)
        the_plan = _survey(source, work, quota)
        report(the_plan.event())
        if not dry_run:
            manifest = _begin(work)
            work.waiting = {part.mailbox.name: len(part.fetch) for part in the_plan.mailboxes}
            for part in the_plan.mailboxes:
                if stop() is None:
                    _mailbox(source, part, manifest, work)
            catalogue.saw(run.id, {part.mailbox.name: part.status for part in the_plan.mailboxes})
    except UsageError:
        raise
    except MailarchiveError as error:
        trouble = error
    for alert in dict.fromkeys(source.alerts if isinstance(source, HasAlerts) else ()):
        work.warn(f"the server says: {alert}", serious=False)
    finished = _finished(work, trouble, quota, clock() - begun)
    if manifest is not None:
        finished = _end(work, manifest, finished)
    report(finished)
    return finished


def _started(run: Run, *, dry_run: bool) -> Started:
    return Started(
        run=run.id,
        command=run.command,
        account=run.account,
        server=run.server,
        archive=run.archive,
        selection=run.selection,
        cut_off=run.cut_off,
        dry_run=dry_run,
    )


def _quota(source: Source, work: _Work) -> Quota | None:
    """Ask for the quota; without one, a selection that needs it cannot be."""
    quota = source.quota() if isinstance(source, HasQuota) else None
    if quota is None and work.policy.keep_under is not None:
        raise UsageError("this server does not tell its quota, so --keep-under cannot be", hint="use --free SIZE")
    return quota


def _survey(source: Source, work: _Work, quota: Quota | None) -> Plan:
    """List the chosen mailboxes and make the plan."""
    if work.policy.imap_search and not source.capabilities.search:
        raise UsageError("this server cannot search, so --imap-search cannot be")
    mailboxes, unread = source.mailboxes()
    for sentence in unread:
        work.warn(sentence)
    before = work.catalogue.mailboxes()
    if not mailboxes and before:
        work.warn(f"the server lists no mailboxes, and there were {len(before)}; nothing was done")
        return plan.make([], work.policy)
    _compare_names(work, mailboxes)
    # Servers list in any order; people look for INBOX first and for the others by name.
    chosen = sorted(filter(work.policy.chooses, mailboxes), key=lambda box: (box.name != INBOX, box.name.casefold()))
    listings = []
    for number, mailbox in enumerate(chosen):
        if work.stop() is not None:
            break
        work.report(Listing(mailbox.name, number, len(chosen)))
        try:
            with source.open(mailbox) as box:
                listings.append(_list(box, mailbox, work))
        except MailboxError as error:
            work.warn(error.message, mailbox.name)
    return plan.make(listings, work.policy, quota)


def _compare_names(work: _Work, mailboxes: list[Mailbox]) -> None:
    """Refuse a mailbox that the user typed and the server does not have; one from the configuration is a warning."""
    names = [mailbox.name for mailbox in mailboxes]
    for pattern in work.policy.missing(names):
        close = plan.nearest(pattern, names)
        hint = f"did you mean {close!r}?" if close else ""
        if work.policy.demand_mailboxes:
            raise UsageError(f"no mailbox {pattern!r} on the server", hint=hint)
        work.warn(f"no mailbox {pattern!r} on the server; {hint or 'it is left out'}")


def _list(box: OpenMailbox, mailbox: Mailbox, work: _Work) -> plan.Listed:
    """List one mailbox, judge each message, and part what is archived from what is not."""
    messages = _chosen(box, mailbox, work)
    for sentence in box.doubts:
        work.warn(sentence, mailbox.name)
    _compare(mailbox, box.status, work)
    known = _known(mailbox, box.status, work)
    already, fetch, lost = [], [], 0
    for message in messages:
        row = known.get(message.uid)
        if row is None or not row.is_same(message):
            fetch.append(message)
        elif work.archive.holds(row.location):
            already.append(message)
        else:
            lost += 1
            fetch.append(message)
    if lost:
        what = "are no longer whole in the archive and are fetched again"
        work.warn(f"{lost} archived messages {what}", mailbox.name, serious=False)
    return plan.Listed(mailbox, box.status, tuple(fetch), tuple(already))


def _known(mailbox: Mailbox, status: MailboxStatus, work: _Work) -> Mapping[UID | UIDL, Known]:
    """Say what is archived of a mailbox; nothing is known where a UID means nothing in the next session."""
    if status.uidvalidity is not None and status.uids_stick:
        return work.catalogue.placements(mailbox.name, status.uidvalidity)
    why = "keeps no UIDs" if status.uidvalidity is not None else "gives no UIDVALIDITY"
    work.warn(
        f"the server {why} here: everything is fetched each time, and compared by content", mailbox.name, serious=False
    )
    return {}


def _chosen(box: OpenMailbox, mailbox: Mailbox, work: _Work) -> list[RemoteMessage]:
    policy = work.policy
    messages = box.listing(policy.criteria())
    if not policy.needs_headers:
        return [message for message in messages if policy.selects(message)]
    # Headers cost a transfer: ask only for those of messages that everything else speaks for.
    loose = replace(policy, headers=HeaderTests())
    candidates = [message for message in messages if loose.selects(message)]
    envelopes = {uid: headers.envelope(head) for uid, head in box.headers(candidates)}
    if lacking := len(candidates) - len(envelopes):
        work.warn(f"the headers of {lacking} messages did not come; the next run looks at them again", mailbox.name)
    return [message for message in candidates if policy.selects(message, envelopes.get(message.uid))]


def _compare(mailbox: Mailbox, status: MailboxStatus, work: _Work) -> None:
    """Tell what has changed in a way that a human should know."""
    before = work.catalogue.last_seen(mailbox.name)
    if before is None:
        return
    if before.uidvalidity != status.uidvalidity:
        work.warn(
            "the server has numbered this mailbox anew (UIDVALIDITY); its messages are compared by content, and no"
            " second copies are made",
            mailbox.name,
            serious=False,
        )
    if before.exists and not status.exists:
        work.warn(f"is empty now and held {before.exists} messages; the archive stays", mailbox.name, serious=False)


def _begin(work: _Work) -> Manifest:
    run = work.run
    manifest = work.archive.manifest(run.id)
    manifest.write(
        manifest=1,
        run=run.id,
        archive=work.archive.id,
        command=run.command,
        version=run.version,
        started=run.started,
        cut_off=run.cut_off,
        selection=run.selection,
    )
    manifest.sync()
    facts = {"command": run.command, "started": run.started, "selection": run.selection, "cut_off": run.cut_off}
    work.catalogue.begin(run.id, facts)
    return manifest


def _mailbox(source: Source, part: MailboxPlan, manifest: Manifest, work: _Work) -> None:
    """Fetch what the plan holds for one mailbox."""
    name = part.mailbox.name
    work.rows[name] = part.tally
    del work.waiting[name]
    if part.fetch:
        work.report(Fetching(name, len(part.fetch), part.size))
        batch = _Batch(part, manifest, work)
        reached = False
        try:
            with source.open(part.mailbox) as box:
                if box.status.uidvalidity != part.status.uidvalidity:
                    raise MailboxError("the server numbered this mailbox anew while it was read (UIDVALIDITY)")
                doubted = len(box.doubts)
                reached = _fetch(box, part, batch, work)
                for sentence in box.doubts[doubted:]:
                    work.warn(sentence, name)
        except MailboxError as error:
            batch.commit()
            reached = True
            work.warn(error.message, name)
        except AccountError:
            # The line is dead, but what came whole before is as good as ever.
            batch.commit()
            raise
        finally:
            _balance(name, work, reached=reached)
    work.report(MailboxFinished(name, work.rows[name]))


def _fetch(box: OpenMailbox, part: MailboxPlan, batch: _Batch, work: _Work) -> bool:
    """Take what comes; False if the user stopped the run before the end."""
    name = part.mailbox.name
    gone = 0
    stopped = False
    for arrival in box.fetch(part.fetch):
        if not isinstance(arrival, NotFetched):
            batch.add(arrival)
        elif arrival.gone:
            gone += 1
        else:
            work.count(name, failed=1)
            work.codes.add(ExitCode.PARTIAL)
            work.report(Failed(name, arrival.uid, arrival.reason))
        if work.stop() is not None:
            stopped = True
            break
    batch.commit()
    if gone:
        work.count(name, selected=-gone)
        work.report(Gone(name, gone))
    return not stopped


def _balance(name: str, work: _Work, *, reached: bool) -> None:
    """Account for what the plan held and what never came.

    In a run that was cut short it was not reached, and the next run goes on there; otherwise it failed.
    """
    row = work.rows[name]
    left = row.selected - row.already - row.archived - row.failed
    if left > 0 and reached:
        work.count(name, failed=left)
        work.codes.add(ExitCode.PARTIAL)
    elif left > 0:
        work.count(name, selected=-left)
        work.not_reached += left


class _Batch:
    """Messages of one mailbox that become durable together."""

    def __init__(self, part: MailboxPlan, manifest: Manifest, work: _Work) -> None:
        self._mailbox = part.mailbox
        self._status = part.status
        self._manifest = manifest
        self._work = work
        self._placements: list[tuple[Placement, StoredMessage]] = []
        self._octets = 0
        self._introduced = False

    def add(self, incoming: Incoming) -> None:
        """Take one message, and make the batch durable if it is full."""
        work = self._work
        try:
            stored = work.archive.add(self._mailbox, incoming)
        except ArchiveError:
            self._drop()
            raise
        self._placements.append((self._placement(incoming.message, stored), replace(stored, head=b"")))
        self._octets += stored.size
        if stored.damaged:
            work.warn(
                f"the archived copy of UID {incoming.message.uid} did not match and was set aside", self._mailbox.name
            )
        if len(self._placements) >= BATCH_MESSAGES or self._octets >= BATCH_OCTETS:
            self.commit()

    def commit(self) -> None:
        """Make bytes durable first, then the manifest, then the rows that vouch for them; then it counts."""
        if not self._placements:
            return
        try:
            self._work.archive.sync()
            self._write_manifest()
        except ArchiveError:
            self._drop()
            raise
        self._work.catalogue.record(self._work.run.id, [placement for placement, _ in self._placements])
        done, self._placements, self._octets = self._placements, [], 0
        for placement, stored in done:
            self._tell(placement, stored)

    def _drop(self) -> None:
        self._placements.clear()
        self._work.archive.discard()

    def _placement(self, message: RemoteMessage, stored: StoredMessage) -> Placement:
        return Placement(
            mailbox=self._mailbox.name,
            uidvalidity=self._status.uidvalidity,
            uid=message.uid,
            digest=stored.digest,
            size=stored.size,
            location=stored.location,
            internal_date=message.internal_date,
            flags=message.flags,
            size_announced=message.size,
            ident=headers.ident(stored.head),
            hold=headers.hold(stored.head, stored.size),
        )

    def _write_manifest(self) -> None:
        mailbox, status = self._mailbox, self._status
        if not self._introduced:
            self._introduced = True
            self._manifest.write(
                type="mailbox",
                name=mailbox.name,
                folder=self._work.archive.folder(mailbox),
                delimiter=mailbox.delimiter,
                uidvalidity=status.uidvalidity,
                special_use=mailbox.special_use,
            )
        for placement, stored in self._placements:
            self._manifest.write(
                type="archived",
                mailbox=mailbox.name,
                uidvalidity=status.uidvalidity,
                uid=placement.uid,
                digest=placement.digest,
                size=placement.size,
                internal_date=placement.internal_date,
                flags=placement.flags,
                location=placement.location,
                already=True if stored.already else None,
                hold=placement.hold or None,
            )
        self._manifest.sync()

    def _tell(self, placement: Placement, stored: StoredMessage) -> None:
        work, name = self._work, self._mailbox.name
        work.count(name, archived=1, size=0 if stored.already else stored.size)
        work.report(Archived(name, placement.uid, placement.digest, placement.size, stored.already))
        if placement.hold:
            work.codes.add(ExitCode.PARTIAL)
            work.report(Held(name, placement.uid, placement.hold))


def _finished(work: _Work, trouble: MailarchiveError | None, quota: Quota | None, seconds: float) -> Finished:
    total = sum(work.rows.values(), Tally())
    codes = set(work.codes)
    if not all(row.adds_up(deleting=False) for row in work.rows.values()):
        work.warn("the numbers of this run do not add up; please report this")
        codes.add(ExitCode.PARTIAL)
    stopped = work.stop()
    if stopped is not None:
        codes.add(stopped)
    error = hint = ""
    if trouble is not None:
        codes.add(trouble.exit_code)
        error, hint = trouble.message, trouble.hint
    not_reached = work.not_reached + sum(work.waiting.values())
    if not_reached:
        all_of_it = total.archived + total.failed + not_reached
        progress = f"{total.archived} of {all_of_it} messages were archived; the next run goes on there"
        error = f"{error}; {progress}" if error else f"interrupted; {progress}"
    return Finished(
        run=work.run.id,
        archive=work.run.archive,
        mailboxes=tuple((name, row) for name, row in work.rows.items() if row.on_server),
        total=total,
        exit_code=worst(codes),
        quota=quota,
        seconds=seconds,
        error=error,
        hint=hint,
    )


def _end(work: _Work, manifest: Manifest, finished: Finished) -> Finished:
    """Close the manifest and the run; a disk that fails even here is told, and costs no message."""
    total = finished.total
    counts = {"selected": total.selected, "already": total.already, "archived": total.archived, "failed": total.failed}
    try:
        manifest.write(type="finished", counts=counts, exit=int(finished.exit_code))
        manifest.close()
        work.catalogue.finish(work.run.id, {"counts": counts, "exit": int(finished.exit_code)})
    except ArchiveError as error:
        code = worst([finished.exit_code, error.exit_code])
        return replace(finished, exit_code=code, error=finished.error or error.message, hint=error.hint)
    return finished
