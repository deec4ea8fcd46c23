"""The one place that decides that a message may be deleted from the server.

The law of this room: pure, and every condition of `safety.md` section 6 (C1 to C7) is asked of every message. What is
not known speaks against a deletion. The result is an `ExpungeOrder`, which nothing else can make and without which no
source deletes, and a reason for each message that was refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from mailarchive.errors import UsageError
from mailarchive.model import ALL, DELETED, TRASH, Method
from mailarchive.policy import Keep

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime, timedelta

    from mailarchive.model import (
        UID,
        UIDL,
        Capabilities,
        Digest,
        Envelope,
        Location,
        Mailbox,
        MailboxStatus,
        Placement,
        RemoteMessage,
    )
    from mailarchive.policy import Policy

LONGEST_TRASH = 400
"""Octets of the name of the trash, which stands on the line of every command that moves something there."""
MOST_STRANGERS = 1000
"""Marks of other programs that `exclusive` takes off and puts back; with more of them the mailbox is left alone."""


class Refusal(StrEnum):
    """Why a message may not be deleted, beside the reasons of `policy.Keep`; the words that the user reads."""

    NOT_ARCHIVED = "not archived"
    NO_PROOF = "only a list says that it is archived"
    OTHER_GENERATION = "archived under another UIDVALIDITY"
    HOLD = "looked wrong when it was archived"
    UNSURE = "other octets came than were announced, and no second fetch has confirmed them"
    NOT_READ_BACK = "not read back in this run"
    DAMAGED = "the archived copy does not match"
    GONE = "gone by another hand"
    OTHER_MESSAGE = "the server now shows another message under this UID"
    TWICE = "the server names it twice"
    TOO_FRESH = "archived too recently"
    NO_UIDVALIDITY = "the server gives no UIDVALIDITY"
    READ_ONLY = "the mailbox is read-only"
    UNSTABLE_UIDS = "the server does not keep UIDs"
    GUARD = "held back"
    IGNORED = "the server did not remove it"
    MARKED = "only marked"
    UNKNOWN = "unknown, the next run looks"
    NOT_REACHED = "the run ended before"

    @property
    def calm(self) -> bool:
        """Whether a human need not look: the message stays because of what it is, or of what was asked for."""
        return self in (Refusal.HOLD, Refusal.TOO_FRESH, Refusal.GONE, Refusal.MARKED, Refusal.NOT_REACHED)


@dataclass(frozen=True, slots=True)
class How:
    """By which method messages leave, and where the trash is if they go through it."""

    method: Method = Method.EXPUNGE
    trash: Mailbox | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of one candidate at the moment of the decision.

    Attributes:
        uid: The candidate.
        placement: Its row of the catalogue, for the UIDVALIDITY of now.
        read_back: Digest of the archived copy, read in this run and untouched since; None if it was not read.
        fresh: What the server says of it now; None if it is gone.
        envelope: The fields of the identity probe, as the server gives them now.
        excluded: A mailbox that shows the same message and that the selection excludes (Gmail); empty for none.
        chosen: Whether what only the server can judge still chooses it: its labels, the user's own SEARCH keys.
    """

    uid: UID | UIDL
    placement: Placement | None
    read_back: Digest | None
    fresh: RemoteMessage | None
    envelope: Envelope | None
    excluded: str = ""
    chosen: bool = True


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
    r"""One message of an order, and the proof for it.

    Attributes:
        digest: Of the copy that was read back; its octets are `size`, its place is `location`.
        fresh: What the probe saw; `was_deleted` tells whether it carried `\Deleted` before we came.
        ident: See `Envelope.ident`.
    """

    uid: UID | UIDL
    digest: Digest
    size: int
    location: Location
    fresh: RemoteMessage
    ident: str = ""

    @property
    def was_deleted(self) -> bool:
        r"""Whether another program had marked it `\Deleted` before."""
        return DELETED in (self.fresh.flags or ())


_SEAL: Final = object()


class ExpungeOrder:
    """Permission to delete exactly these messages of this generation of this mailbox; made only by `approve`.

    Attributes:
        strangers: For `exclusive` alone: messages that other programs have marked, whose marks are lifted meanwhile.
        fingerprints: What those are, see `fingerprint`.
    """

    __slots__ = ("fingerprints", "how", "items", "mailbox", "strangers", "uidvalidity")

    def __init__(
        self,
        mailbox: Mailbox,
        uidvalidity: int,
        items: tuple[OrderItem, ...],
        how: How,
        *,
        strangers: frozenset[UID | UIDL] = frozenset(),
        fingerprints: Mapping[UID | UIDL, str] | None = None,
        seal: object,
    ) -> None:
        if seal is not _SEAL:
            raise TypeError("an ExpungeOrder is made by expunge.approve and by nothing else")
        if not items:
            raise ValueError("an ExpungeOrder names at least one message")
        self.mailbox: Final = mailbox
        self.uidvalidity: Final = uidvalidity
        self.items: Final = items
        self.how: Final = how
        self.strangers: Final = strangers
        self.fingerprints: Final = {uid: text for uid, text in (fingerprints or {}).items() if uid in strangers}

    @property
    def uids(self) -> list[UID | UIDL]:
        """The messages, in the order of the items."""
        return [item.uid for item in self.items]

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
    *,
    how: How | None = None,
    marked: Collection[UID | UIDL] = (),
    fingerprints: Mapping[UID | UIDL, str] | None = None,
) -> tuple[ExpungeOrder | None, tuple[Refused, ...]]:
    r"""Decide which candidates may be deleted.

    Args:
        mailbox: The mailbox they are in.
        status: What SELECT said of it, in this session, just before the probe.
        evidence: One for each candidate.
        policy: The selection of this run; an earlier run's authority counts for nothing.
        guards: What holds back every deletion.
        how: The method.
        marked: Every message of the mailbox that carries `\Deleted` now.
        fingerprints: What those are, for giving their marks back.

    Returns:
        The order, or None if nothing may be deleted, and one `Refused` for each candidate that is not in it. Every
        candidate is in exactly one of the two; a UID that comes twice is refused both times. If one candidate is
        another message than the archived one, the UIDs of the whole mailbox mean nothing, and all are refused.
    """
    how = how or How()
    seen: dict[UID | UIDL, int] = {}
    for each in evidence:
        seen[each.uid] = seen.get(each.uid, 0) + 1
    barrier, why = _barrier(status, guards)
    objections = [
        barrier or (Refusal.TWICE if seen[each.uid] > 1 else _objection(each, status, policy, guards, how))
        for each in evidence
    ]
    if Refusal.OTHER_MESSAGE in objections:
        barrier, why = Refusal.GUARD, "the server shows other messages under the UIDs of archived ones"
        # A copy that was not read back yet is no reason to go on and read it.
        objections = [barrier if reason in (None, Refusal.NOT_READ_BACK) else reason for reason in objections]
    ordered = {each.uid for each, reason in zip(evidence, objections, strict=True) if reason is None}
    strangers = frozenset(marked) - ordered if how.method is Method.EXCLUSIVE else frozenset()
    if len(strangers) > MOST_STRANGERS and ordered:
        barrier, why = Refusal.GUARD, f"other programs have marked more than {MOST_STRANGERS} messages here"
        objections = [reason or barrier for reason in objections]
    items: list[OrderItem] = []
    refused: list[Refused] = []
    for each, reason in zip(evidence, objections, strict=True):
        if reason is not None or each.placement is None or each.fresh is None:
            refused.append(Refused(each.uid, reason or Refusal.NOT_ARCHIVED, _detail(each, reason, barrier, why)))
        else:
            row = each.placement
            items.append(OrderItem(each.uid, row.digest, row.size, row.location, each.fresh, row.ident))
    if not items or status.uidvalidity is None:
        return None, tuple(refused)
    order = ExpungeOrder(
        mailbox, status.uidvalidity, tuple(items), how, strangers=strangers, fingerprints=fingerprints, seal=_SEAL
    )
    return order, tuple(refused)


def _barrier(status: MailboxStatus, guards: Guards) -> tuple[Refusal | None, str]:
    """Say why nothing at all may be deleted in this mailbox (C3, C7)."""
    if guards.held:
        return Refusal.GUARD, guards.held
    if status.uidvalidity is None:
        return Refusal.NO_UIDVALIDITY, ""
    if not status.uids_stick:
        return Refusal.UNSTABLE_UIDS, ""
    if not status.writable:
        return Refusal.READ_ONLY, status.obstacle
    return None, ""


def _objection(
    each: Evidence, status: MailboxStatus, policy: Policy, guards: Guards, how: How
) -> Refusal | Keep | None:
    """Say what speaks against deleting one message; None if nothing does. What needs no reading back comes first."""
    row = each.placement
    if row is None or row.uid != each.uid:
        return Refusal.NOT_ARCHIVED
    if each.fresh is None or each.envelope is None:
        return Refusal.GONE
    if row.hold:
        # First, because what looked wrong may never look the same, and that is no alarm.
        return Refusal.HOLD
    if (doubt := _doubt(row, status, each.fresh, each.envelope, how)) is not None:
        return doubt
    if row.size != row.size_announced and not row.confirmed:
        return Refusal.UNSURE
    if not each.chosen:
        return Keep.NOT_SELECTED
    keep = policy.keeps(each.fresh, each.envelope, excluded=each.excluded, put_back=row.put_back)
    if keep is not None:
        return keep
    if guards.archived_before is not None and (row.archived_at is None or row.archived_at > guards.archived_before):
        return Refusal.TOO_FRESH
    if each.read_back is None:
        return Refusal.NOT_READ_BACK
    return None if each.read_back == row.digest else Refusal.DAMAGED


def _doubt(row: Placement, status: MailboxStatus, fresh: RemoteMessage, envelope: Envelope, how: How) -> Refusal | None:
    """Say why a row is no evidence for this message."""
    if row.uidvalidity != status.uidvalidity:
        return Refusal.OTHER_GENERATION
    if row.origin not in ("fetched", "manifest"):
        return Refusal.NO_PROOF
    if how.method is Method.GMAIL and not fresh.object_id:
        return Refusal.NO_PROOF
    return None if same_message(row, fresh, envelope) else Refusal.OTHER_MESSAGE


def _detail(each: Evidence, reason: Refusal | Keep | None, barrier: Refusal | None, why: str) -> str:
    if reason is barrier:
        return why
    if reason is Refusal.HOLD and each.placement is not None:
        return each.placement.hold
    return each.excluded


def same_message(placement: Placement, fresh: RemoteMessage, envelope: Envelope) -> bool:
    """Tell whether the server still shows the message that was archived under this UID (C4).

    Compared are the UID, the size, INTERNALDATE and the ident of the probe headers. A value that was unknown then must
    be unknown now: a difference of any kind is another message. The size may also be that of the octets that came: a
    server may have estimated it until then. An object id is compared where both are known; a server may have begun to
    give them.
    """
    ids = {placement.object_id, fresh.object_id} - {""}
    return (
        fresh.uid == placement.uid
        and fresh.size in (placement.size_announced, placement.size)
        and fresh.internal_date == placement.internal_date
        and envelope.ident == placement.ident
        and len(ids) <= 1
    )


def fingerprint(message: RemoteMessage, ident: str) -> str:
    """Say in a few letters what a message is, so that a later session can tell whether it is the same."""
    date = message.internal_date.isoformat() if message.internal_date is not None else "-"
    return f"{message.size}/{date}/{ident}"


def choose(asked: Method, capabilities: Capabilities, mailboxes: Iterable[Mailbox]) -> How:
    """Turn the method that was asked for into the one that this server can do (`safety.md` section 6).

    Raises:
        UsageError: It cannot be done here; the hint names what can.
    """
    boxes = [box for box in mailboxes if box.selectable]
    trash = trash_of(boxes)
    if capabilities.labels:
        return _choose_on_gmail(asked, capabilities, trash, visible=any(ALL in box.special_use for box in boxes))
    if not capabilities.flags and asked in (Method.MARK, Method.EXCLUSIVE):
        raise UsageError("POP3 has no marks", hint="use --delete-method auto")
    if asked in (Method.AUTO, Method.EXPUNGE):
        if capabilities.uidplus:
            return How(Method.EXPUNGE)
        choices = "mark, or exclusive if no other program uses the mailbox"
        if capabilities.move and trash is not None:
            choices = f"trash, {choices}"
        raise UsageError(
            "this server cannot remove exactly what we name (no UIDPLUS)", hint=f"choose --delete-method {choices}"
        )
    if asked is Method.TRASH:
        if trash is None:
            what = "this server names no trash" if capabilities.flags else "POP3 has no trash"
            raise UsageError(what, hint="use --delete-method expunge")
        if not capabilities.move and not capabilities.uidplus:
            raise UsageError(
                "this server can neither move messages nor remove exactly what we name (no MOVE, no UIDPLUS)",
                hint="choose --delete-method mark, or exclusive if no other program uses the mailbox",
            )
        return How(Method.TRASH, trash)
    if asked is Method.EXCLUSIVE and capabilities.uidplus:
        # What is for servers that cannot do better is not done to one that can.
        return How(Method.EXPUNGE)
    return How(asked)


def trash_of(mailboxes: Iterable[Mailbox]) -> Mailbox | None:
    """Find the user's own trash by its attribute; one with a name too long for a command is none."""
    usable = (box for box in mailboxes if box.selectable and box.personal and len(box.wire) < LONGEST_TRASH)
    return next((box for box in usable if TRASH in box.special_use), None)


def _choose_on_gmail(asked: Method, capabilities: Capabilities, trash: Mailbox | None, *, visible: bool) -> How:
    if asked in (Method.MARK, Method.EXCLUSIVE):
        raise UsageError(
            f"on Gmail the effect of {asked} depends on the settings of the account",
            hint="use --delete-method auto or trash",
        )
    if trash is None or not visible:
        what = "Trash" if trash is None else "All Mail"
        raise UsageError(
            f"Gmail does not show {what} over IMAP, and without it nothing is deleted for good",
            hint="tick 'Show in IMAP' beside it in Gmail's settings, under Labels",
        )
    if not capabilities.move or not capabilities.uidplus:
        raise UsageError("this server says it is Gmail and offers no MOVE or no UIDPLUS; nothing can be deleted on it")
    return How(Method.TRASH if asked is Method.TRASH else Method.GMAIL, trash)
