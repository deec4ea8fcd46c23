"""The course of a run on one account: look, plan, ask, work through the mailboxes, end.

The law of this room: what every run does around its work stands here once. Errors do not leave: they end the run and
stand in its result. The plan that is shown is the plan that runs, and nothing is deleted without a yes to it.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from mailarchive import expunge, guards, reconcile, space, stranded
from mailarchive.errors import (
    AccountError,
    ArchiveError,
    ConfigError,
    ExitCode,
    FullError,
    MailarchiveError,
    MailboxError,
    UsageError,
    worst,
)
from mailarchive.events import Finished, ImportFinished, RestoreFinished, Started
from mailarchive.extras import CanAbandon, HasAdvice, HasAlerts, HasQuota
from mailarchive.job import Answer
from mailarchive.model import Digest, Method
from mailarchive.removal import Remover
from mailarchive.survey import quota_of, survey
from mailarchive.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mailarchive.events import Planned
    from mailarchive.expunge import How
    from mailarchive.job import Deletion, Work
    from mailarchive.model import UID, UIDL, ItemState, Mailbox, MailboxStatus, Quota
    from mailarchive.plan import MailboxPlan, Plan
    from mailarchive.ports import Manifest, Source

    Step = Callable[[MailboxPlan, Manifest, Remover | None], None]
    """Works through one mailbox; with a Remover, it may delete there."""


class Course:
    """One run on one account.

    Args:
        source: Signed in.
        work: What the run carries.
        deletion: What the user asked to be deleted; None if nothing.
        dry_run: End after the plan; nothing is changed anywhere.
    """

    def __init__(self, source: Source, work: Work, deletion: Deletion | None, *, dry_run: bool) -> None:
        self._source = source
        self._work = work
        self._deletion = deletion
        self._dry_run = dry_run
        self._manifest: Manifest | None = None
        self._quota: Quota | None = None
        self._remover: Remover | None = None
        self._how: How | None = None
        self._mailboxes: Sequence[Mailbox] = ()
        self._sane = False
        self._clock = ""

    def run(self, step: Step, clock: Callable[[], float], *, fetching: bool = True) -> Finished:
        """Go from the first look to the end; the report hears of every step, last of all of what is returned.

        Raises:
            UsageError, ConfigError: What was asked for cannot be on this server; nothing was done.
        """
        begun = clock()
        work = self._work
        report_start(work, dry_run=self._dry_run)
        trouble: MailarchiveError | None = None
        try:
            the_plan = self._look(fetching=fetching)
            shown = self._show(the_plan)
            work.to_fetch = sum(part.size for part in the_plan.mailboxes)
            space.look(work, dry_run=self._dry_run)
            if not self._dry_run:
                self._agree(*shown)
                self._work_through(the_plan, step)
        except (UsageError, ConfigError):
            raise
        except MailarchiveError as error:
            trouble = error
            if isinstance(error, ArchiveError) and isinstance(self._source, CanAbandon):
                # Some servers remove at the goodbye what was fetched, and it may not be durable.
                self._source.abandon()
        tell_alerts(self._source, work)
        finished = self._finished(trouble, clock() - begun)
        if self._manifest is not None:
            finished = _ended(work, self._manifest, finished, sane=self._sane)
        work.report(finished)
        return finished

    def _look(self, *, fetching: bool) -> Plan:
        """List the server, settle what an earlier run left open, and make the plan."""
        work = self._work
        work.policy = replace(work.policy, flagless=not self._source.capabilities.flags)
        mailboxes, unread = self._source.mailboxes()
        self._mailboxes = mailboxes
        for sentence in unread:
            work.warn(sentence)
        if self._deletion is not None and mailboxes:
            self._how = work.how = _choose(self._deletion, self._source, mailboxes)
            work.archived_before = self._deletion.archived_before
        self._quota = quota_of(self._source, work)
        self._reconcile(mailboxes)
        if self._how is not None and not self._dry_run:
            self._recall()
        return survey(
            self._source,
            work,
            self._quota,
            mailboxes,
            deleting=self._how is not None,
            fetching=fetching,
        )

    def _reconcile(self, mailboxes: Sequence[Mailbox]) -> None:
        batches = self._work.catalogue.open_batches()
        if not batches or not mailboxes:
            return
        if self._dry_run:
            self._work.warn("an earlier deletion was interrupted; the next run settles it first", serious=False)
            return
        may_delete = self._how is not None
        reconcile.settle(self._source, self._work, batches, mailboxes, self._begun(), may_delete=may_delete)

    def _recall(self) -> None:
        """Learn from the manifests what the catalogue has forgotten: what was put back must not be deleted again.

        A catalogue may have been lost, or be one of yesterday; a manifest is there for every run.
        """
        archive, catalogue = self._work.archive, self._work.catalogue
        for run in sorted(set(archive.runs()) - set(catalogue.known_runs()) - {self._work.run.id}):
            put_back = []
            started = ""
            for line in archive.told(run):
                started = str(line.get("started", started))
                if line.get("type") == "returning":
                    put_back.append((Digest(str(line.get("digest"))), str(line.get("ident", ""))))
            if put_back:
                catalogue.remember_put_back(run, put_back)
            catalogue.begin(run, {"command": "recalled", "started": started})

    def _show(self, the_plan: Plan) -> tuple[Planned, str]:
        """Show the plan; gives it, and what holds back every deletion whatever anybody says."""
        work, deletion, how = self._work, self._deletion, self._how
        self._clock = guards.clock(work.run.started, work.catalogue.sane_now())
        held = ""
        planned = the_plan.event()
        if deletion is not None and how is not None:
            held = guards.amount(the_plan.leaving, deletion.max_delete) or guards.place(work.archive.doubts)
            planned = the_plan.deletion(
                _word(how.method), held=held or self._doubt, quota=self._quota, doubted=not held
            )
        planned = replace(planned, complete=work.stop() is None)
        if self._dry_run and planned.held and the_plan.leaving:
            work.codes.add(ExitCode.PARTIAL)
        work.report(planned)
        return planned, held

    @property
    def _doubt(self) -> str:
        """What only a person can overrule: a clock that is wrong, where the deletion hangs on it."""
        hangs = self._work.policy.relative or self._work.archived_before is not None
        return self._clock if hangs else ""

    def _agree(self, planned: Planned, held: str) -> None:
        """Have the deletion agreed to, if there is one, and remember whether the clock is to be believed."""
        work, deletion, how = self._work, self._deletion, self._how
        # Nobody is asked for a yes that would change nothing.
        answer = Answer.NO if deletion is None else Answer.GIVEN if held else deletion.consent(planned)
        self._sane = not self._clock or answer is Answer.SAID
        if deletion is None or how is None or answer is Answer.NO:
            return
        held = held or ("" if answer is Answer.SAID else self._doubt)
        if held and planned.deleting and (planned.delete or planned.held):
            work.warn(f"nothing is deleted: {held}")
        self._remover = Remover(
            self._source,
            work,
            self._begun(),
            how,
            held=held,
            archived_before=deletion.archived_before,
            quota=self._quota,
            settle=self._settle,
        )

    def _settle(self, mailbox: str) -> Mapping[UID | UIDL, ItemState]:
        """Look on a new line what became of what this run intended in a mailbox."""
        run = self._work.run.id
        batches = [each for each in self._work.catalogue.open_batches() if (each.run, each.mailbox) == (run, mailbox)]
        states = reconcile.settle(self._source, self._work, batches, self._mailboxes, self._begun(), may_delete=True)
        self._finish_in_trash()
        return states

    def _begun(self) -> Manifest:
        """Begin the manifest and the run, once."""
        if self._manifest is None:
            self._manifest = begin(self._work)
        return self._manifest

    def _work_through(self, the_plan: Plan, step: Step) -> None:
        work = self._work
        manifest = self._begun()
        if self._sane:
            work.catalogue.trust_clock(work.run.started)
        self._finish_in_trash()
        work.waiting = {part.mailbox.name: len(part.fetch) for part in the_plan.mailboxes}
        try:
            for part in the_plan.mailboxes:
                if work.stop() is None:
                    step(part, manifest, self._remover)
        except AccountError:
            # The line is dead, but this needs none.
            _number(work, the_plan)
            raise
        _number(work, the_plan)
        work.catalogue.saw(work.run.id, {part.mailbox.name: self._left(part) for part in the_plan.mailboxes})

    def _left(self, part: MailboxPlan) -> MailboxStatus:
        """Give what a mailbox holds without what this run has removed, so that the next one does not wonder at it."""
        row = self._work.rows.get(part.mailbox.name)
        deleted = 0 if row is None else row.deleted
        return replace(part.status, exists=max(0, part.status.exists - deleted))

    def _finish_in_trash(self) -> None:
        """Remove from Gmail's trash what an interrupted deletion has left there, or say that it is there."""
        work, how, remover = self._work, self._how, self._remover
        rows, work.stranded = work.stranded, []
        if not rows or how is None or how.trash is None:
            return
        gone = 0
        if how.method is Method.GMAIL and remover is not None and not remover.held:
            try:
                gone = stranded.remove(self._source, work, how.trash, rows)
            except MailboxError as error:
                work.warn(error.message, how.trash.name)
            remover.deleted += gone
        stranded.tell(work, len(rows) - gone, how.trash)

    def _finished(self, trouble: MailarchiveError | None, seconds: float) -> Finished:
        work, remover = self._work, self._remover
        if remover is not None and (trouble is not None or work.stop() is not None):
            _keep_the_rest(work)
        total = sum(work.rows.values(), Tally())
        codes = set(work.codes)
        deleting = remover is not None
        if not all(row.adds_up(deleting=deleting) for row in work.rows.values()):
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
        elif stopped is not None and not error:
            error = "interrupted; the next run goes on there"
        if isinstance(trouble, FullError):
            error, hint = space.told(trouble, work, total.archived, total.size)
        changed = remover is not None and remover.deleted > 0
        after = self._quota_after() if changed and trouble is None else None
        return Finished(
            run=work.run.id,
            archive=work.run.archive,
            mailboxes=tuple((name, row) for name, row in work.rows.items() if row.on_server),
            total=total,
            exit_code=worst(codes),
            quota=after or self._quota,
            quota_before=self._quota if after is not None else None,
            seconds=seconds,
            error=error,
            hint=hint,
            kept=tuple(work.kept.most_common()),
            deleting=deleting,
            method=_word(self._how.method) if remover is not None and self._how is not None else "",
            undo=work.run.undo if total.deleted else "",
        )

    def _quota_after(self) -> Quota | None:
        """Ask the server what came back, and never guess; a line that dies over this question costs nothing."""
        try:
            return self._source.quota() if isinstance(self._source, HasQuota) else None
        except MailarchiveError:
            return None


def _number(work: Work, the_plan: Plan) -> None:
    """Write down beside the mail which UID each message has; a failure costs only that."""
    for part in the_plan.mailboxes:
        name, status = part.mailbox.name, part.status
        row = work.rows.get(name)
        changed = row is not None and row.archived > 0
        rows = partial(work.catalogue.numbered, name, status.uidvalidity)
        if not changed and next(iter(rows()), None) is None:
            continue
        try:
            work.archive.number(part.mailbox, status, rows, changed=changed)
        except ArchiveError as error:
            work.warn(f"the list of UIDs for Dovecot was not written: {error.message}", name, serious=False)


def _choose(deletion: Deletion, source: Source, mailboxes: Sequence[Mailbox]) -> How:
    try:
        return expunge.choose(deletion.method, source.capabilities, mailboxes)
    except UsageError as error:
        if deletion.from_config:
            raise ConfigError(error.message, hint=_as_key(error.hint)) from None
        raise


def _keep_the_rest(work: Work) -> None:
    """Account for what a run that was cut short did not come to: it stays."""
    for name, row in work.rows.items():
        left = row.already + row.archived - row.deleted - row.kept
        if left > 0:
            work.kept[expunge.Refusal.NOT_REACHED.value] += left
            work.count(name, kept=left)


def _as_key(hint: str) -> str:
    """Say what an option is called in the configuration."""
    return hint.replace("choose --delete-method ", "set delete_method to ").replace(
        "use --delete-method ", "set delete_method to "
    )


def _word(method: Method) -> str:
    """Give the word that the user knows for a method."""
    return (Method.AUTO if method is Method.GMAIL else method).value


def report_start(work: Work, *, dry_run: bool) -> None:
    """Tell that a run begins, and what is to be known of the place of its archive."""
    run = work.run
    work.report(
        Started(
            run=run.id,
            command=run.command,
            account=run.account,
            server=run.server,
            archive=run.archive,
            selection=run.selection,
            cut_off=run.cut_off,
            dry_run=dry_run,
        )
    )
    for doubt in work.archive.doubts:
        work.warn(doubt, serious=False)


def tell_alerts(source: object, work: Work) -> None:
    """Tell what the server wants a human to read, and what there is to say of it, each sentence once."""
    for sentence in source.advice if isinstance(source, HasAdvice) else ():
        work.warn(sentence, serious=False)
    for alert in dict.fromkeys(source.alerts if isinstance(source, HasAlerts) else ()):
        work.warn(f"the server says: {alert}", serious=False)


def begin(work: Work) -> Manifest:
    """Begin the manifest of a run, and the run in the catalogue."""
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


_Ended = TypeVar("_Ended", Finished, RestoreFinished, ImportFinished)


def close(work: Work, manifest: Manifest, finished: _Ended, counts: Mapping[str, int], **more: object) -> _Ended:
    """Close the manifest and the run; a disk that fails even here is told, and costs no message."""
    try:
        manifest.write(type="finished", counts=counts, **more, exit=int(finished.exit_code))
        manifest.close()
        work.catalogue.finish(work.run.id, {"counts": counts, "exit": int(finished.exit_code)})
    except ArchiveError as error:
        code = worst([finished.exit_code, error.exit_code])
        return replace(finished, exit_code=code, error=finished.error or error.message, hint=error.hint)
    return finished


def _ended(work: Work, manifest: Manifest, finished: Finished, *, sane: bool) -> Finished:
    total = finished.total
    counts = {"selected": total.selected, "already": total.already, "archived": total.archived, "failed": total.failed}
    if finished.deleting:
        counts |= {"deleted": total.deleted, "kept": total.kept}
    before, after = finished.quota_before, finished.quota
    return close(
        work,
        manifest,
        finished,
        counts,
        sane=sane or None,
        quota_before=[before.used, before.limit] if before else None,
        quota_after=[after.used, after.limit] if after else None,
    )
