"""The second half of a job in one mailbox: prove, order, expunge, look again.

The law of this room: a mailbox is archived completely before anything of it is removed. The copy is read back from the
disk, the server is looked at afresh, `expunge.approve` decides, the intent is durable before the server hears of it,
and what came of it is recorded after a look. Every candidate ends as deleted or as kept, with its reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mailarchive import guards
from mailarchive.errors import AccountError, ArchiveError, ExitCode, MailboxError, RenumberedError
from mailarchive.events import Deleting, Expunged, Kept
from mailarchive.examining import Examiner
from mailarchive.expunge import Guards, How, Refusal
from mailarchive.extras import CanRenew, HasQuota
from mailarchive.model import ALL, ItemState, Method, in_order, named
from mailarchive.policy import Keep
from mailarchive.proving import ReadAhead

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from mailarchive.expunge import ExpungeOrder, OrderItem
    from mailarchive.job import Work
    from mailarchive.model import UID, UIDL, Quota
    from mailarchive.plan import MailboxPlan
    from mailarchive.ports import ExpungeResult, Manifest, Source, WritableMailbox
    from mailarchive.proving import Copies

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
        secured: Whether the archive was made durable in this run.
        settle: Looks what became of what this run intended in a mailbox, by its name, after a line broke there; gives
            the state of each message.
    """

    source: Source
    work: Work
    manifest: Manifest
    how: How
    held: str = ""
    archived_before: datetime | None = None
    quota: Quota | None = None
    deleted: int = 0
    secured: bool = False
    settle: Callable[[str], Mapping[UID | UIDL, ItemState]] = field(default=lambda _: {})

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
                self._secure()
                self._empty(ward)
        except MailboxError as error:
            self.work.warn(error.message, name)
            ward.keep_doubtful()
            ward.keep(ward.left, Refusal.GUARD, error.message)
        except (AccountError, ArchiveError):
            ward.keep_doubtful()
            ward.keep(ward.left, Refusal.NOT_REACHED)
            raise

    def _empty(self, ward: _Ward) -> None:
        """Work through a mailbox; after a line that broke, look first what became of the last step, and go on.

        Nothing is repeated: what is still there is examined, proved and ordered anew.
        """
        broken = False
        while True:
            before = len(ward.left)
            try:
                if broken:
                    ward.resume(self.settle(ward.name))
                with ward.copies() as proven, self.source.select(ward.part.mailbox) as box:
                    ward.empty(box, proven)
            except AccountError as error:
                if not isinstance(self.source, CanRenew):
                    raise
                self.source.renew(error, achieved=len(ward.left) < before)
                broken = True
            else:
                return

    def _secure(self) -> None:
        """Make the archive durable once, whoever wrote it: a copy that is only in memory proves nothing."""
        if not self.secured:
            self.work.archive.secure()
            self.secured = True

    def leave(self, part: MailboxPlan, archived: Sequence[UID | UIDL]) -> None:
        """Keep all of a mailbox whose archiving was cut short."""
        ward = _Ward(self, part, {message.uid for message in part.already} | set(archived))
        ward.keep_planned()
        ward.keep(ward.left, Refusal.NOT_REACHED)

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
    """The candidates of one mailbox.

    Attributes:
        left: Those of which nothing is decided yet.
        doubtful: What was intended and nobody knows the end of, because the line broke.
    """

    remover: Remover
    part: MailboxPlan
    left: set[UID | UIDL]
    doubtful: ExpungeOrder | None = None
    name: str = field(init=False)
    work: Work = field(init=False)

    def __post_init__(self) -> None:
        self.name = self.part.mailbox.name
        self.work = self.remover.work

    def keep_planned(self) -> None:
        """Keep what the plan said would stay."""
        for uid in in_order(self.left & set(self.part.stays)):
            self._keep_one(uid, self.part.stays[uid], "", calm=True)

    def copies(self) -> ReadAhead:
        """Have the copies of what is left read back, batch by batch."""
        waiting = in_order(self.left)
        # Where a session is short, the plan has cut the pieces, and a session ends with each.
        most = BATCH if self.remover.source.capabilities.chunk is None else max(1, len(waiting))
        return ReadAhead(self.work, self.part, (waiting[at : at + most] for at in range(0, len(waiting), most)))

    def empty(self, box: WritableMailbox, proven: Iterable[Copies]) -> None:
        """Work through what is left, in steps."""
        if box.status.uidvalidity != self.part.status.uidvalidity:
            raise RenumberedError
        for copies in proven:
            if self.work.stop() is not None:
                self.keep(self.left, Refusal.NOT_REACHED)
            elif self.remover.enough():
                self.keep(self.left, Keep.ENOUGH)
            elif held := self.remover.held or self.work.held.get(self.name, ""):
                self.keep(self.left, Refusal.GUARD, held)
            else:
                self._step(box, copies)
                continue
            return

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

    def _step(self, box: WritableMailbox, copies: Copies) -> None:
        """Examine, order and remove a batch (D2 to D8)."""
        limits = Guards(archived_before=self.remover.archived_before)
        examiner = Examiner(self.work, self.part, box, self._how(), limits)
        order, refused = examiner.decide(copies)
        self.remover.held = self.remover.held or examiner.trouble
        for each in refused:
            self.keep([each.uid], each.reason, each.detail)
        if order is None:
            return
        number = self._intend(box, order)
        self.doubtful = order
        try:
            result = box.expunge(order)
            # Silence is no absence: what is said to be gone is asked for in another way.
            deleted = [uid for uid, state in result.states.items() if state.deleted]
            doubted = set(box.present(deleted)) if deleted else set()
        except MailboxError as error:
            # What was marked stays open in the journal, and the next run looks.
            self.doubtful = None
            self.keep(order.uids, Refusal.UNKNOWN, error.message)
            raise
        self.doubtful = None
        self._record(number, order, _doubting(result, doubted))

    def keep_doubtful(self) -> None:
        """Keep what nobody knows the end of: it stays open in the journal, and the next run looks."""
        order, self.doubtful = self.doubtful, None
        if order is not None:
            self.keep(order.uids, Refusal.UNKNOWN)

    def resume(self, states: Mapping[UID | UIDL, ItemState]) -> None:
        """Take note of what a look on a new line has shown; what is there as it was may be examined again."""
        order, self.doubtful = self.doubtful, None
        for item in order.items if order is not None else ():
            state = states.get(item.uid, ItemState.INTENT)
            if state.deleted or state is ItemState.MARKED:
                self._end(item, state)
            elif state is not ItemState.ROLLED_BACK:
                self.keep([item.uid], Refusal.UNKNOWN)

    def _how(self) -> How:
        """Give the method for this mailbox.

        Beside the one with everything, Gmail deletes like any other server; and what is in the trash cannot be moved
        there.
        """
        how = self.remover.how
        if how.method is Method.GMAIL and ALL not in self.part.mailbox.special_use:
            return How(Method.EXPUNGE)
        if how.method is Method.TRASH and how.trash == self.part.mailbox:
            if not self.remover.source.capabilities.uidplus:
                raise MailboxError("this is the trash itself, and this server cannot remove exactly what we name")
            return How(Method.EXPUNGE)
        return how

    def _intend(self, box: WritableMailbox, order: ExpungeOrder) -> int:
        """Make durable what is about to be done: the manifest, then the catalogue (D4)."""
        manifest = self.remover.manifest
        for item in order.items:
            manifest.write(
                type="expunging",
                mailbox=self.name,
                uidvalidity=order.uidvalidity,
                uidnext=box.status.uidnext,
                **named(item.uid),
                digest=item.digest,
                size=item.size,
                announced=item.fresh.size,
                internal_date=item.fresh.internal_date,
                flags=item.fresh.flags,
                labels=item.fresh.labels,
                object_id=item.fresh.object_id or None,
                ident=item.ident,
                location=item.location,
                method=order.how.method.value,
            )
        for uid in in_order(order.strangers):
            manifest.write(
                type="lifted",
                mailbox=self.name,
                uidvalidity=order.uidvalidity,
                **named(uid),
                fingerprint=order.fingerprints.get(uid, ""),
            )
        manifest.sync()
        return self.work.catalogue.intend(self.work.run.id, order)

    def _record(self, number: int, order: ExpungeOrder, result: ExpungeResult) -> None:
        """Record what came of it, and tell it (D8)."""
        work, remover = self.work, self.remover
        for item in order.items:
            state = result.states[item.uid]
            if state is not ItemState.INTENT:
                remover.manifest.write(
                    type="expunged" if state.deleted else "kept",
                    mailbox=self.name,
                    uidvalidity=order.uidvalidity,
                    **named(item.uid),
                    digest=item.digest,
                    flags=item.fresh.flags,
                    method=order.how.method.value,
                    state=None if state.deleted else state.value,
                )
        given_back = order.strangers - result.lifted
        for uid in in_order(given_back):
            remover.manifest.write(type="given_back", mailbox=self.name, uidvalidity=order.uidvalidity, **named(uid))
        try:
            remover.manifest.sync()
            work.catalogue.settle(number, result.states, given_back)
        finally:
            # Even if the disk does not take it: what is gone is gone, and is told so.
            self._tell(order, result)
        self._draw_conclusions(order, result)

    def _tell(self, order: ExpungeOrder, result: ExpungeResult) -> None:
        """Count and tell what became of each message."""
        for item in order.items:
            state = result.states[item.uid]
            if state.deleted or state is ItemState.MARKED:
                self._end(item, state)
            elif state is ItemState.INTENT:
                self.keep([item.uid], Refusal.UNKNOWN)
            else:
                self.keep([item.uid], Refusal.IGNORED, result.reason)

    def _end(self, item: OrderItem, state: ItemState) -> None:
        """Count and tell one message of which all was done that the method can do."""
        if not state.deleted:
            self.keep([item.uid], Refusal.MARKED)
            return
        self.left.discard(item.uid)
        self.remover.deleted += 1
        self.work.count(self.name, deleted=1)
        self.work.report(Expunged(self.name, item.uid, item.digest, item.size, state))

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


def _doubting(result: ExpungeResult, doubted: Collection[UID | UIDL]) -> ExpungeResult:
    """Leave open what one answer of the server calls gone and another shows."""
    if not doubted:
        return result
    states = {uid: ItemState.INTENT if uid in doubted else state for uid, state in result.states.items()}
    return replace(result, states=states)
