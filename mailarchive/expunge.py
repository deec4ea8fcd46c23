"""The one place that decides that a message may be deleted from the server.

The law of this room: pure, and every condition of `safety.md` section 6 (C1 to C7) is asked of every message. What is
not known speaks against a deletion. The result is an `ExpungeOrder`, which nothing else can make and without which no
source deletes, and a reason for each message that was refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from mailarchive.model import UID, UIDL, Digest, Envelope, Mailbox, MailboxStatus, Placement, RemoteMessage
    from mailarchive.policy import Keep, Policy


class Refusal(StrEnum):
    """Why a message may not be deleted, beside the reasons of `policy.Keep`."""

    NOT_ARCHIVED = "not archived"
    NO_PROOF = "only a list says that it is archived"
    OTHER_GENERATION = "archived under another UIDVALIDITY"
    HOLD = "looked wrong when it was archived"
    NOT_READ_BACK = "not read back in this run"
    DAMAGED = "the archived copy does not match"
    GONE = "gone by another hand"
    OTHER_MESSAGE = "the server now shows another message under this UID"
    TOO_FRESH = "archived too recently"
    NO_UIDVALIDITY = "the server gives no UIDVALIDITY"
    READ_ONLY = "the mailbox is read-only"
    UNSTABLE_UIDS = "the server does not keep UIDs"
    GUARD = "a guard holds"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of one candidate at the moment of the decision.

    Attributes:
        uid: The candidate.
        placement: Its row of the catalogue, for the UIDVALIDITY of now.
        read_back: Digest of the archived copy, read in this run and untouched since; None if it was not read.
        fresh: What the server says of it now; None if it is gone.
        envelope: The fields of the identity probe, as the server gives them now.
    """

    uid: UID | UIDL
    placement: Placement | None
    read_back: Digest | None
    fresh: RemoteMessage | None
    envelope: Envelope | None


@dataclass(frozen=True, slots=True)
class Guards:
    """What may hold back every deletion of a mailbox, and how old a copy must be.

    Attributes:
        held: Why nothing may be deleted now; empty if nothing speaks against it.
        archived_before: A copy counts only if it was archived at or before this instant; None for any.
    """

    held: str = ""
    archived_before: datetime | None = None

    @classmethod
    def of_age(cls, now: datetime, age: timedelta) -> Guards:
        """Demand that a copy is at least so old."""
        return cls(archived_before=now - age)


@dataclass(frozen=True, slots=True)
class OrderItem:
    """One message of an order, and the proof for it."""

    uid: UID | UIDL
    digest: Digest


_SEAL: Final = object()


class ExpungeOrder:
    """Permission to delete exactly these messages of this generation of this mailbox; made only by `approve`."""

    __slots__ = ("items", "mailbox", "uidvalidity")

    def __init__(self, mailbox: Mailbox, uidvalidity: int, items: tuple[OrderItem, ...], *, seal: object) -> None:
        if seal is not _SEAL:
            raise TypeError("an ExpungeOrder is made by expunge.approve and by nothing else")
        if not items:
            raise ValueError("an ExpungeOrder names at least one message")
        self.mailbox: Final = mailbox
        self.uidvalidity: Final = uidvalidity
        self.items: Final = items

    def __repr__(self) -> str:
        """Show what may be deleted."""
        return f"ExpungeOrder({self.mailbox.name!r}, uidvalidity={self.uidvalidity}, {len(self.items)} messages)"


@dataclass(frozen=True, slots=True)
class Refused:
    """One message that stays, with the reason that the user reads."""

    uid: UID | UIDL
    reason: Refusal | Keep
    detail: str = ""


def approve(
    mailbox: Mailbox,
    status: MailboxStatus,
    evidence: Sequence[Evidence],
    policy: Policy,
    guards: Guards,
) -> tuple[ExpungeOrder | None, tuple[Refused, ...]]:
    """Decide which candidates may be deleted.

    Args:
        mailbox: The mailbox they are in.
        status: What SELECT said of it, in this session, just before the probe.
        evidence: One for each candidate.
        policy: The selection of this run; an earlier run's authority counts for nothing.
        guards: What holds back every deletion.

    Returns:
        The order, or None if nothing may be deleted, and one `Refused` for each candidate that is not in it. Every
        candidate is in exactly one of the two; a UID that comes twice is refused both times.
    """
    barrier = _barrier(status, guards)
    seen: dict[UID | UIDL, int] = {}
    for each in evidence:
        seen[each.uid] = seen.get(each.uid, 0) + 1
    items: list[OrderItem] = []
    refused: list[Refused] = []
    for each in evidence:
        reason: Refusal | Keep | None = barrier
        if reason is None:
            reason = Refusal.OTHER_MESSAGE if seen[each.uid] > 1 else _objection(each, status, policy, guards)
        if reason is not None or each.placement is None:
            detail = guards.held if reason is Refusal.GUARD else ""
            if reason is Refusal.HOLD and each.placement:
                detail = each.placement.hold
            refused.append(Refused(each.uid, reason or Refusal.NOT_ARCHIVED, detail))
        else:
            items.append(OrderItem(each.uid, each.placement.digest))
    if not items or status.uidvalidity is None:
        return None, tuple(refused)
    return ExpungeOrder(mailbox, status.uidvalidity, tuple(items), seal=_SEAL), tuple(refused)


def _barrier(status: MailboxStatus, guards: Guards) -> Refusal | None:
    """Say why nothing at all may be deleted in this mailbox (C3, C7)."""
    if guards.held:
        return Refusal.GUARD
    if status.uidvalidity is None:
        return Refusal.NO_UIDVALIDITY
    if not status.uids_stick:
        return Refusal.UNSTABLE_UIDS
    return None if status.writable else Refusal.READ_ONLY


def _objection(each: Evidence, status: MailboxStatus, policy: Policy, guards: Guards) -> Refusal | Keep | None:
    """Say what speaks against deleting one message; None if nothing does."""
    placement = each.placement
    if placement is None or placement.uid != each.uid:
        return Refusal.NOT_ARCHIVED
    if placement.uidvalidity != status.uidvalidity:
        return Refusal.OTHER_GENERATION
    if placement.origin not in ("fetched", "manifest"):
        return Refusal.NO_PROOF
    if placement.hold:
        return Refusal.HOLD
    if each.read_back is None:
        return Refusal.NOT_READ_BACK
    if each.read_back != placement.digest:
        return Refusal.DAMAGED
    if each.fresh is None or each.envelope is None:
        return Refusal.GONE
    if not same_message(placement, each.fresh, each.envelope):
        return Refusal.OTHER_MESSAGE
    if guards.archived_before is not None and (
        placement.archived_at is None or placement.archived_at > guards.archived_before
    ):
        return Refusal.TOO_FRESH
    return policy.keeps(each.fresh, each.envelope)


def same_message(placement: Placement, fresh: RemoteMessage, envelope: Envelope) -> bool:
    """Tell whether the server still shows the message that was archived under this UID (C4).

    Compared are the UID, the announced size, INTERNALDATE and the ident of the probe headers. A value that was unknown
    then must be unknown now: a difference of any kind is another message.
    """
    return (
        fresh.uid == placement.uid
        and fresh.size == placement.size_announced
        and fresh.internal_date == placement.internal_date
        and envelope.ident == placement.ident
    )
