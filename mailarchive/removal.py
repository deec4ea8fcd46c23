"""The second half of a job in one mailbox: prove, order, expunge, look again.

The law of this room: a mailbox is archived completely before anything of it is removed. The copy is read back from the
disk, the server is looked at afresh, `expunge.approve` decides, the intent is durable before the server hears of it,
and what came of it is recorded after a look. Every candidate ends as deleted or as kept, with its reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mailarchive import expunge, guards, headers
from mailarchive.errors import AccountError, ArchiveError, ExitCode, MailboxError, MissingError
from mailarchive.events import Deleting, Expunged, Kept
from mailarchive.expunge import Evidence, Guards, How, Refusal, Refused
from mailarchive.model import ALL, ItemState, Method, in_order
from mailarchive.policy import Keep
from mailarchive.ports import HasQuota
from mailarchive.verify import read_back

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from mailarchive.expunge import ExpungeOrder
    from mailarchive.job import Work
    from mailarchive.model import UID, UIDL, Digest, Placement, Quota, Sighting
    from mailarchive.plan import MailboxPlan
    from mailarchive.ports import ExpungeResult, Manifest, Source, WritableMailbox

BATCH = 500
"""Messages that are proved, intended and removed together."""


@dataclass(slots=True)
class Remover:
    """Removes from the server what this run may remove.

    Attributes:
        how: The method.
        held: Why nothing may be deleted in this run; empty if nothing speaks against it. It is set when something
            happens after which nothing more may be deleted.
        archived_before: Only what was archived at or before this instant is deleted; None for any.
        quota: What the server said before the run.
        deleted: How many messages have left their place.
    """

    source: Source
    work: Work
    manifest: Manifest
    how: How
    held: str = ""
    archived_before: datetime | None = None
    quota: Quota | None = None
    deleted: int = 0

    def mailbox(self, part: MailboxPlan, archived: Sequence[UID | UIDL] = ()) -> None:
        """Remove what may be removed of one mailbox: what the plan found archived, and what this run has archived."""
        sizes = {message.uid: message.size or 0 for message in (*part.already, *part.fetch)}
        candidates = in_order({message.uid for message in part.already} | set(archived))
        name = part.mailbox.name
        if not candidates:
            return
        self.work.report(Deleting(name, len(candidates), sum(sizes.get(uid, 0) for uid in candidates)))
        ward = _Ward(self, part, set(candidates))
        ward.keep_planned()
        # The archive may have met its doubts only while it was written to.
        self.held = self.held or guards.place(self.work.archive.doubts)
        held = self.held or self.work.held.get(name, "") or part.held
        if held:
            ward.keep(ward.left, Refusal.GUARD, held)
        try:
            if ward.left:
                with self.source.select(part.mailbox) as box:
                    ward.empty(box)
        except MailboxError as error:
            self.work.warn(error.message, name)
            ward.keep(ward.left, Refusal.GUARD, error.message)
        except (AccountError, ArchiveError):
            ward.keep(ward.left, Refusal.NOT_REACHED)
            raise

    def enough(self) -> bool:
        """Tell whether the server's own figures say that the target of the selection is reached."""
        policy = self.work.policy
        if not self.deleted or self.quota is None or (policy.free is None and policy.keep_under is None):
            return False
        now = self.source.quota() if isinstance(self.source, HasQuota) else None
        if now is None:
            return False
        freed = policy.free is None or self.quota.used - now.used >= policy.free
        return freed and (policy.keep_under is None or now.percent < policy.keep_under)


@dataclass(slots=True)
class _Ward:
    """The candidates of one mailbox; `left` are those of which nothing is decided yet."""

    remover: Remover
    part: MailboxPlan
    left: set[UID | UIDL]
    name: str = field(init=False)
    work: Work = field(init=False)

    def __post_init__(self) -> None:
        self.name = self.part.mailbox.name
        self.work = self.remover.work

    def keep_planned(self) -> None:
        """Keep what the plan said would stay."""
        for uid in in_order(self.left & set(self.part.stays)):
            self._keep_one(uid, self.part.stays[uid], "", calm=True)

    def empty(self, box: WritableMailbox) -> None:
        """Work through what is left, in steps."""
        if box.status.uidvalidity != self.part.status.uidvalidity:
            raise MailboxError("the server numbered this mailbox anew while it was read (UIDVALIDITY)")
        waiting = in_order(self.left)
        for first in range(0, len(waiting), BATCH):
            if self.work.stop() is not None:
                self.keep(self.left, Refusal.NOT_REACHED)
            elif self.remover.enough():
                self.keep(self.left, Keep.ENOUGH)
            elif self.remover.held:
                self.keep(self.left, Refusal.GUARD, self.remover.held)
            else:
                self._step(box, waiting[first : first + BATCH])

    def keep(self, uids: Iterable[UID | UIDL], reason: Refusal | Keep, detail: str = "") -> None:
        """Keep messages for one reason."""
        calm = isinstance(reason, Keep) or reason.calm
        for uid in in_order(uids):
            self._keep_one(uid, reason.value, detail, calm=calm)

    def _keep_one(self, uid: UID | UIDL, reason: str, detail: str, *, calm: bool) -> None:
        self.left.discard(uid)
        self.work.kept[f"{reason}: {detail}" if detail and reason == Refusal.GUARD else reason] += 1
        self.work.count(self.name, kept=1)
        if not calm:
            self.work.codes.add(ExitCode.PARTIAL)
        self.work.report(Kept(self.name, uid, reason, detail))

    def _step(self, box: WritableMailbox, uids: Sequence[UID | UIDL]) -> None:
        """Prove, order and remove some of them (D2 to D8)."""
        order, refused = self._decide(box, uids)
        for each in refused:
            self.keep([each.uid], each.reason, each.detail)
        if order is None:
            return
        number = self._intend(box, order)
        try:
            result = box.expunge(order)
        except MailboxError as error:
            # What was marked stays open in the journal, and the next run looks.
            self.keep(order.uids, Refusal.UNKNOWN, error.message)
            raise
        except AccountError:
            self.keep(order.uids, Refusal.UNKNOWN)
            raise
        self._record(number, order, result)

    def _decide(
        self, box: WritableMailbox, uids: Sequence[UID | UIDL]
    ) -> tuple[ExpungeOrder | None, Sequence[Refused]]:
        """Look at the server, then at the disk, and let `expunge.approve` decide (D2, D3)."""
        part, work = self.part, self.work
        rows = work.catalogue.rows(self.name, part.status.uidvalidity, uids)
        seen, twice = _look(box, uids)
        marked = box.marked()
        limits = Guards(archived_before=self.remover.archived_before)
        how = self._how()

        def approve(proofs: Mapping[UID | UIDL, Digest], some: Collection[UID | UIDL]) -> _Verdict:
            evidence = [
                self._evidence(uid, rows.get(uid), seen.get(uid), proofs.get(uid)) for uid in uids if uid in some
            ]
            evidence += [each for each in evidence if each.uid in twice]
            return expunge.approve(part.mailbox, box.status, evidence, work.policy, limits, how=how, marked=marked)

        # Only what nothing else speaks against is read back.
        _, refused = approve({}, uids)
        unproved = {each.uid for each in refused if each.reason is Refusal.NOT_READ_BACK}
        decided = list({each.uid: each for each in refused if each.uid not in unproved}.values())
        if not unproved:
            return None, decided
        proofs = self._read_back({uid: rows[uid] for uid in in_order(unproved)})
        order, refused = approve(proofs, unproved)
        decided += refused
        if any(each.reason is Refusal.DAMAGED for each in refused):
            # An archive with damage is no ground to delete anything on.
            work.codes.add(ExitCode.ARCHIVE)
            self.remover.held = "an archived copy does not match; `mailarchive verify` lists the damage"
            work.warn(self.remover.held, self.name)
            if order is not None:
                decided += [Refused(uid, Refusal.GUARD, self.remover.held) for uid in order.uids]
            return None, decided
        return order, decided

    def _how(self) -> How:
        """Give the method for this mailbox: beside the one with everything, Gmail deletes like any other server."""
        how = self.remover.how
        if how.method is Method.GMAIL and ALL not in self.part.mailbox.special_use:
            return How(Method.EXPUNGE)
        return how

    def _evidence(
        self, uid: UID | UIDL, row: Placement | None, sighting: Sighting | None, proof: Digest | None
    ) -> Evidence:
        labels = self.work.labels
        if sighting is None:
            return Evidence(uid, row, proof, None, None)
        excluded = labels.excluded(sighting.message) if labels is not None else ""
        return Evidence(uid, row, proof, sighting.message, headers.envelope(sighting.head), excluded)

    def _read_back(self, rows: Mapping[UID | UIDL, Placement]) -> dict[UID | UIDL, Digest]:
        """Read the archived copies from the device and hash them; what is not there, or cannot be read, has none."""
        proofs: dict[UID | UIDL, Digest] = {}
        for uid, row in rows.items():
            try:
                proofs[uid] = read_back(self.work.archive, row.location)[0]
            except MissingError:
                self.work.warn(f"the archived copy of UID {uid} is gone from the archive", self.name)
            except ArchiveError as error:
                self.work.codes.add(error.exit_code)
                self.remover.held = f"an archived copy cannot be read: {error.message}"
                self.work.warn(self.remover.held, self.name)
        return {} if self.remover.held else proofs

    def _intend(self, box: WritableMailbox, order: ExpungeOrder) -> int:
        """Make durable what is about to be done: the manifest, then the catalogue (D4)."""
        manifest = self.remover.manifest
        for item in order.items:
            manifest.write(
                type="expunging",
                mailbox=self.name,
                uidvalidity=order.uidvalidity,
                uidnext=box.status.uidnext,
                uid=item.uid,
                digest=item.digest,
                size=item.size,
                announced=item.fresh.size,
                internal_date=item.fresh.internal_date,
                flags=item.fresh.flags,
                labels=item.fresh.labels,
                location=item.location,
                method=order.how.method.value,
            )
        manifest.sync()
        return self.work.catalogue.intend(self.work.run.id, order)

    def _record(self, number: int, order: ExpungeOrder, result: ExpungeResult) -> None:
        """Record what came of it, and tell it (D8)."""
        work, remover = self.work, self.remover
        for item in order.items:
            if result.states[item.uid].deleted:
                remover.manifest.write(
                    type="expunged",
                    mailbox=self.name,
                    uidvalidity=order.uidvalidity,
                    uid=item.uid,
                    digest=item.digest,
                    flags=item.fresh.flags,
                    method=order.how.method.value,
                )
        remover.manifest.sync()
        work.catalogue.settle(number, result.states, order.strangers - result.lifted)
        for item in order.items:
            state = result.states[item.uid]
            if state.deleted:
                self.left.discard(item.uid)
                remover.deleted += 1
                work.count(self.name, deleted=1)
                work.report(Expunged(self.name, item.uid, item.digest, item.size, state))
            elif state is ItemState.MARKED:
                self.keep([item.uid], Refusal.MARKED)
            else:
                self.keep([item.uid], Refusal.IGNORED, result.reason)
        self._draw_conclusions(order, result)

    def _draw_conclusions(self, order: ExpungeOrder, result: ExpungeResult) -> None:
        """Stop where the server has shown that it is not to be trusted with a deletion."""
        work = self.work
        if result.lifted:
            work.warn(f"{len(result.lifted)} marks of other programs could not be given back yet", self.name)
        stuck = sum(state is ItemState.IN_TRASH for state in result.states.values())
        if order.how.method is Method.GMAIL and stuck:
            work.warn(f"{stuck} messages were moved to the trash and could not be removed there", self.name)
        if result.strangers:
            self.remover.held = "the server removed messages that others had marked, beside ours"
            work.codes.add(ExitCode.PROTOCOL)
            work.warn(f"{self.remover.held}: {result.strangers}; nothing more is deleted on it", self.name)
        elif result.ignored:
            self.remover.held = "the server does not remove what it is told to"
            work.warn(f"{self.remover.held} ({result.reason}); nothing more is deleted on it", self.name)
        elif result.reason:
            raise MailboxError(result.reason)


_Verdict = tuple["ExpungeOrder | None", tuple[Refused, ...]]


def _look(box: WritableMailbox, uids: Sequence[UID | UIDL]) -> tuple[dict[UID | UIDL, Sighting], set[UID | UIDL]]:
    """Probe messages; gives what was seen, and which were seen twice in two ways."""
    seen: dict[UID | UIDL, Sighting] = {}
    twice: set[UID | UIDL] = set()
    wanted = set(uids)
    for sighting in box.probe(uids):
        uid = sighting.message.uid
        if uid in wanted and seen.setdefault(uid, sighting) != sighting:
            twice.add(uid)
    return seen, twice
