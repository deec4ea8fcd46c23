"""Server to archive: what the selection picks and the archive does not hold yet; then, if asked, off the server.

The law of this room: one straight way. List, plan, fetch; a batch is durable in the archive, then in the manifest,
then in the catalogue, and only then it counts. What came whole is kept even if the line then dies. A mailbox is
archived completely before anything of it is deleted; without a deletion nothing on the server is changed.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mailarchive.batch import Batch
from mailarchive.course import Course
from mailarchive.digests import digested
from mailarchive.errors import AccountError, AgainError, ArchiveError, ExitCode, MailboxError, RenumberedError
from mailarchive.events import Failed, Fetching, Gone, Held, MailboxFinished
from mailarchive.job import Work
from mailarchive.model import NotFetched, is_lasting, named
from mailarchive.ports import at_once

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mailarchive.events import Finished, Report
    from mailarchive.job import Deletion
    from mailarchive.model import UID, UIDL, RemoteMessage, Run
    from mailarchive.plan import MailboxPlan
    from mailarchive.policy import Policy
    from mailarchive.ports import Archive, Catalogue, Later, Manifest, OpenMailbox, Source, Stop
    from mailarchive.removal import Remover

SESSION = 60.0
"""Seconds after which a session that is to be short gets no more messages to fetch."""
WINDOW = 10
"""Messages between two looks at the clock in such a session."""
CHANGING = "the server gives other octets each time"
"""The hold of a message of which a second fetch gave other octets than the first."""


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
    deletion: Deletion | None = None,
    later: Later = at_once,
) -> Finished:
    """Archive what the policy picks and the archive does not hold, and then delete it on the server if asked to.

    Args:
        source: Signed in; for deleting where a deletion is asked for.
        archive: Open for writing, unless `dry_run`.
        catalogue: Of that archive.
        policy: What to pick.
        run: Who and when.
        report: Hears of every step, last of all of the `Finished` that is returned.
        stop: Asked between messages.
        clock: Seconds of a monotonic clock.
        dry_run: End after the plan; nothing is changed anywhere.
        deletion: What the user asked to be deleted; None for nothing.
        later: Where a batch is made durable, or copies are read back, while the server is busy.

    Raises:
        UsageError: The selection names a mailbox that is not there, or asks for what this server cannot do.
        ConfigError: The same, where it was the configuration that asked.
        Other errors do not leave: they end the run and stand in the result.
    """
    work = Work(run, archive, catalogue, policy, report, stop, later=later, clock=clock)

    def step(part: MailboxPlan, manifest: Manifest, remover: Remover | None) -> None:
        name = part.mailbox.name
        work.rows[name] = part.tally
        del work.waiting[name]
        batch = Batch(part, manifest, work, keeping=remover is not None)
        _Mailbox(source, work, batch, remover, clock).work_through(part)
        report(MailboxFinished(name, work.rows[name]))

    return Course(source, work, deletion, dry_run=dry_run).run(step, clock)


@dataclass(slots=True)
class _Mailbox:
    """Archives one mailbox and then removes what may be removed: as a whole, or in pieces where a session is short."""

    source: Source
    work: Work
    batch: Batch
    remover: Remover | None
    clock: Callable[[], float]

    def work_through(self, part: MailboxPlan) -> None:
        """Take piece after piece; what a run that is cut short does not come to stays, and is told."""
        chunk = self.source.capabilities.chunk if self.remover is not None else None
        pieces = deque(part.pieces(chunk))
        reached = False
        try:
            while pieces and self.work.stop() is None:
                piece = pieces.popleft()
                before = len(self.batch.archived)
                try:
                    short = chunk is not None and all(is_lasting(message.uid) for message in piece.fetch)
                    rest = self._archive(piece, short=short)
                except (AccountError, ArchiveError):
                    self._leave(piece, self.batch.archived[before:])
                    raise
                if rest:
                    pieces.appendleft(replace(piece, fetch=rest, already=(), unsure=()))
                if self.work.stop() is not None:
                    # The line may stand in the middle of an answer.
                    self._leave(piece, self.batch.archived[before:])
                elif self.remover is not None:
                    self.remover.mailbox(piece, self.batch.archived[before:])
            reached = not pieces and self.work.stop() is None
        finally:
            for piece in pieces:
                self._leave(piece, ())
            _balance(part.mailbox.name, self.work, reached=reached)

    def _leave(self, piece: MailboxPlan, archived: Sequence[UID | UIDL]) -> None:
        if self.remover is not None:
            self.remover.leave(piece, archived)

    def _archive(self, part: MailboxPlan, *, short: bool) -> Sequence[RemoteMessage]:
        """Fetch what the plan holds; gives what was left for another session, because this one was long enough."""
        name, work, batch = part.mailbox.name, self.work, self.batch
        unsure = part.unsure if self.remover is not None else ()
        if not part.fetch and not unsure:
            return ()
        if part.fetch:
            work.report(Fetching(name, len(part.fetch), part.size))
        rest: Sequence[RemoteMessage] = ()
        try:
            with self.source.open(part.mailbox) as box:
                if box.status.uidvalidity != part.status.uidvalidity:
                    raise RenumberedError
                doubted = len(box.doubts)
                seen = len(batch.unsure)
                rest = self._fetch(box, part, short=short)
                if self.remover is not None:
                    _fetch_again(box, [*unsure, *batch.unsure[seen:]], part, work, batch.manifest)
                for sentence in box.doubts[doubted:]:
                    work.warn(sentence, name)
                    work.held.setdefault(name, sentence)
        except MailboxError as error:
            batch.commit()
            work.warn(error.message, name)
            work.held[name] = error.message
        except AccountError:
            # The line is dead, but what came whole before is as good as ever.
            batch.commit()
            raise
        return rest

    def _fetch(self, box: OpenMailbox, part: MailboxPlan, *, short: bool) -> Sequence[RemoteMessage]:
        """Take what comes; gives what is left when a session that is to be short has lasted long enough."""
        begun = self.clock()
        window = WINDOW if short else max(1, len(part.fetch))
        for first in range(0, len(part.fetch), window):
            if first and short and self.clock() - begun > SESSION:
                self._commit(box)
                return part.fetch[first:]
            # All of them at once are not copied.
            messages = part.fetch[first : first + window] if short else part.fetch
            _take(box, messages, self.batch, self.work)
            if self.work.stop() is not None:
                break
        self._commit(box)
        return ()

    def _commit(self, box: OpenMailbox) -> None:
        """Make everything durable that came, and fetch once more what a disk that failed has lost of it."""
        self.batch.commit()
        again, self.batch.void = self.batch.void, []
        if again and self.work.stop() is None:
            _take(box, again, self.batch, self.work)
            self.batch.commit()


def _fetch_again(
    box: OpenMailbox, messages: Sequence[RemoteMessage], part: MailboxPlan, work: Work, manifest: Manifest
) -> None:
    """Fetch a second time what did not have the announced size; only the same octets make it deletable.

    Sizes lie often, so that alone is no fault; a server that gives other octets each time is one.
    """
    if not messages or work.stop() is not None:
        return
    name, uidvalidity = part.mailbox.name, part.status.uidvalidity
    rows = work.catalogue.rows(name, uidvalidity, [message.uid for message in messages])
    found: dict[UID | UIDL, str] = {}
    for arrival in box.fetch(messages):
        if isinstance(arrival, NotFetched):
            continue
        try:
            digest, _ = digested(arrival.chunks())
        except AgainError:
            continue
        uid = arrival.message.uid
        if uid in rows:
            same = rows[uid].digest == digest
            found[uid] = "" if same else CHANGING
    for uid, hold in found.items():
        # In the manifest too, because a catalogue can be lost.
        manifest.write(
            type="compared",
            mailbox=name,
            uidvalidity=uidvalidity,
            **named(uid),
            digest=rows[uid].digest,
            hold=hold or None,
        )
    manifest.sync()
    work.catalogue.confirm(name, uidvalidity, found)
    for uid, hold in found.items():
        if hold:
            work.codes.add(ExitCode.PARTIAL)
            work.report(Held(name, uid, hold))


def _take(box: OpenMailbox, messages: Sequence[RemoteMessage], batch: Batch, work: Work) -> None:
    """Take what comes, until the user stops the run."""
    name = batch.mailbox
    gone = 0
    for arrival in box.fetch(messages):
        if not isinstance(arrival, NotFetched):
            try:  # noqa: SIM105 - once for each message, where a context costs
                batch.add(arrival)
            except AgainError:
                pass
        elif arrival.gone:
            gone += 1
        else:
            work.count(name, failed=1)
            work.codes.add(arrival.code)
            work.report(Failed(name, arrival.uid, arrival.reason))
        if work.stop() is not None:
            break
    if gone:
        work.count(name, selected=-gone)
        work.report(Gone(name, gone))


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
