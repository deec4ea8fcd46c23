"""Deletes on the server what is archived already and proved now; fetches nothing.

The law of this room: the same selection, the same plan and the same proof as in a backup that deletes, without its
first half.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailarchive.course import Course
from mailarchive.events import MailboxFinished
from mailarchive.job import Work
from mailarchive.ports import at_once

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailarchive.events import Finished, Report
    from mailarchive.job import Deletion
    from mailarchive.model import Run
    from mailarchive.plan import MailboxPlan
    from mailarchive.policy import Policy
    from mailarchive.ports import Archive, Catalogue, Later, Manifest, Source, Stop
    from mailarchive.removal import Remover


def prune(
    source: Source,
    archive: Archive,
    catalogue: Catalogue,
    *,
    policy: Policy,
    run: Run,
    report: Report,
    stop: Stop,
    clock: Callable[[], float],
    deletion: Deletion,
    dry_run: bool = False,
    later: Later = at_once,
) -> Finished:
    """Delete what the policy picks and the archive holds.

    Args:
        source: Signed in, for deleting unless `dry_run`.
        archive: Open for writing, unless `dry_run`.
        catalogue: Of that archive.
        policy: What to pick.
        run: Who and when.
        report: Hears of every step, last of all of the `Finished` that is returned.
        stop: Asked between batches.
        clock: Seconds of a monotonic clock.
        deletion: How, and who says yes.
        dry_run: End after the plan; nothing is changed anywhere.
        later: Where copies are read back while the server is busy.

    Raises:
        UsageError, ConfigError: What was asked for cannot be on this server. Other errors stand in the result.
    """
    work = Work(run, archive, catalogue, policy, report, stop, later=later, clock=clock)

    def step(part: MailboxPlan, _manifest: Manifest, remover: Remover | None) -> None:
        name = part.mailbox.name
        work.rows[name] = part.tally
        del work.waiting[name]
        if remover is not None:
            for piece in part.pieces(source.capabilities.chunk):
                remover.mailbox(piece)
        report(MailboxFinished(name, work.rows[name]))

    return Course(source, work, deletion, dry_run=dry_run).run(step, clock, fetching=False)
