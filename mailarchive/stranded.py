"""Finishes what an interrupted deletion has moved to Gmail's trash and not removed there (K14 of `safety.md`).

The law of this room: only the present selection deletes, with a proof of the present run. In the trash a message has no
labels any more, so a selection by mailbox cannot say whether it still picks it; it then stays there, and is told.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mailarchive import expunge, headers
from mailarchive.errors import ArchiveError, ExitCode
from mailarchive.examining import look
from mailarchive.expunge import Evidence, Guards, How
from mailarchive.model import Method, in_order
from mailarchive.verify import read_back

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailarchive.job import Work
    from mailarchive.model import UID, UIDL, Mailbox, Placement
    from mailarchive.ports import Source, WritableMailbox

LEFT = "of an interrupted deletion are in the trash, and free no quota until it is emptied"


def remove(source: Source, work: Work, trash: Mailbox, rows: Sequence[Placement]) -> int:
    """Remove from the trash what is proved, and what the selection of this run picks; gives how many are gone."""
    if work.policy.mailboxes:
        return 0
    work.archive.secure()
    by_id = {row.object_id: row for row in rows if row.object_id}
    with source.select(trash) as box:
        found = box.in_trash(by_id.keys(), trash)
        here: dict[UID | UIDL, Placement] = {}
        for object_id, uid in found.items():
            row = by_id[object_id]
            here[uid] = replace(row, mailbox=trash.name, uid=uid, uidvalidity=box.status.uidvalidity)
        return _removed(work, trash, box, here) if here else 0


def tell(work: Work, count: int, trash: Mailbox) -> None:
    """Say that some are left there."""
    if count:
        work.codes.add(ExitCode.PARTIAL)
        work.warn(f"{count} messages {LEFT}", trash.name)


def _removed(work: Work, trash: Mailbox, box: WritableMailbox, here: dict[UID | UIDL, Placement]) -> int:
    proofs = {}
    for uid, row in here.items():
        try:
            proofs[uid] = read_back(work.archive, row.location)[0]
        except ArchiveError as error:
            work.codes.add(error.exit_code)
            work.warn(f"an archived copy cannot be read: {error.message}", trash.name)
            return 0
    seen, twice = look(box, in_order(here))
    evidence = [
        Evidence(uid, here[uid], proofs[uid], each.message, headers.envelope(each.head))
        for uid, each in seen.items()
        if uid not in twice
    ]
    guards = Guards(archived_before=work.archived_before)
    how = How(Method.EXPUNGE)
    order, _ = expunge.approve(trash, box.status, evidence, work.policy, guards, how=how, marked=box.marked())
    if order is None:
        return 0
    states = box.expunge(order).states
    return sum(state.deleted for state in states.values())
