"""Server to archive: what the selection picks and the archive does not hold yet.

The law of this room: one straight way. List, plan, fetch; a batch is durable in the archive, then in the manifest,
then in the catalogue, and only then it counts. What came whole is kept even if the line then dies. Nothing on the
server is changed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mailarchive.batch import Batch
from mailarchive.errors import AccountError, ArchiveError, ExitCode, MailarchiveError, MailboxError, UsageError, worst
from mailarchive.events import Failed, Fetching, Finished, Gone, MailboxFinished, Started, Tally
from mailarchive.job import Work
from mailarchive.model import NotFetched
from mailarchive.ports import HasAlerts
from mailarchive.survey import quota_of, survey

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailarchive.events import Report
    from mailarchive.model import Quota, Run
    from mailarchive.plan import MailboxPlan
    from mailarchive.policy import Policy
    from mailarchive.ports import Archive, Catalogue, Manifest, OpenMailbox, Source, Stop


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
    work = Work(run, archive, catalogue, policy, report, stop)
    report(_started(run, dry_run=dry_run))
    for doubt in archive.doubts:
        work.warn(doubt, serious=False)
    manifest: Manifest | None = None
    quota: Quota | None = None
    trouble: MailarchiveError | None = None
    try:
        quota = quota_of(source, work)
        the_plan = survey(source, work, quota)
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


def _begin(work: Work) -> Manifest:
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


def _mailbox(source: Source, part: MailboxPlan, manifest: Manifest, work: Work) -> None:
    """Fetch what the plan holds for one mailbox."""
    name = part.mailbox.name
    work.rows[name] = part.tally
    del work.waiting[name]
    if part.fetch:
        work.report(Fetching(name, len(part.fetch), part.size))
        batch = Batch(part, manifest, work)
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


def _fetch(box: OpenMailbox, part: MailboxPlan, batch: Batch, work: Work) -> bool:
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


def _balance(name: str, work: Work, *, reached: bool) -> None:
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


def _finished(work: Work, trouble: MailarchiveError | None, quota: Quota | None, seconds: float) -> Finished:
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


def _end(work: Work, manifest: Manifest, finished: Finished) -> Finished:
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
