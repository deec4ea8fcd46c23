"""The decision that a message may be deleted: every condition, each alone (`safety.md` section 6, C1 to C7)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mailarchive.expunge import Evidence, ExpungeOrder, Guards, Refusal, approve
from mailarchive.model import UID, Digest, Envelope, Location, Mailbox, MailboxStatus, Placement, RemoteMessage
from mailarchive.policy import Keep, Policy

BOX = Mailbox("INBOX")
STATUS = MailboxStatus(10, uidvalidity=1, uidnext=11, writable=True)
OLD = datetime(2020, 1, 1, tzinfo=UTC)
CUT = datetime(2025, 1, 1, tzinfo=UTC)
DIGEST = Digest("sha256:" + "a" * 64)
ARCHIVED = datetime(2026, 1, 1, tzinfo=UTC)
PLACEMENT = Placement(
    mailbox="INBOX",
    uidvalidity=1,
    uid=UID(5),
    digest=DIGEST,
    size=100,
    location=Location("INBOX/x"),
    internal_date=OLD,
    flags=frozenset(),
    size_announced=100,
    ident="i",
    archived_at=ARCHIVED,
)
FRESH = RemoteMessage(UID(5), 100, OLD, frozenset({"\\Seen"}))
GOOD = Evidence(UID(5), PLACEMENT, DIGEST, FRESH, Envelope(ident="i"))
POLICY = Policy(before=CUT)


def changed(part: str, **facts: Any) -> Evidence:
    """Change one part of the good evidence."""
    if part == "evidence":
        return replace(GOOD, **facts)
    if part == "fresh":
        return replace(GOOD, fresh=FRESH._replace(**facts))
    if part == "envelope":
        return replace(GOOD, envelope=replace(Envelope(ident="i"), **facts))
    return replace(GOOD, placement=replace(PLACEMENT, **facts))


def test_a_message_with_all_the_evidence_is_in_the_order() -> None:
    """Archived, read back, the same message, old and unflagged: it may go."""
    order, refused = approve(BOX, STATUS, [GOOD], POLICY, Guards())
    assert refused == ()
    assert order is not None
    assert (order.mailbox, order.uidvalidity) == (BOX, 1)
    assert [(item.uid, item.digest) for item in order.items] == [(5, DIGEST)]


@pytest.mark.parametrize(
    ("evidence", "why"),
    [
        (changed("evidence", placement=None), Refusal.NOT_ARCHIVED),
        (changed("placement", uid=UID(6)), Refusal.NOT_ARCHIVED),
        (changed("placement", uidvalidity=2), Refusal.OTHER_GENERATION),
        (changed("placement", uidvalidity=None), Refusal.OTHER_GENERATION),
        (changed("placement", origin="uidlist"), Refusal.NO_PROOF),
        (changed("placement", origin="import"), Refusal.NO_PROOF),
        (changed("placement", hold="placeholder"), Refusal.HOLD),
        (changed("evidence", read_back=None), Refusal.NOT_READ_BACK),
        (changed("evidence", read_back=Digest("sha256:" + "b" * 64)), Refusal.DAMAGED),
        (changed("evidence", fresh=None), Refusal.GONE),
        (changed("evidence", envelope=None), Refusal.GONE),
        (changed("fresh", uid=UID(6)), Refusal.OTHER_MESSAGE),
        (changed("fresh", size=101), Refusal.OTHER_MESSAGE),
        (changed("fresh", size=None), Refusal.OTHER_MESSAGE),
        (changed("fresh", internal_date=OLD + timedelta(seconds=1)), Refusal.OTHER_MESSAGE),
        (changed("envelope", ident="j"), Refusal.OTHER_MESSAGE),
        (changed("fresh", flags=None), Keep.NO_FLAGS),
        (changed("fresh", flags=frozenset({"\\Flagged"})), Keep.FLAGGED),
        (changed("fresh", flags=frozenset({"\\Draft"})), Keep.DRAFT),
        (changed("envelope", date=CUT), Keep.SENT_LATER),
    ],
)
def test_one_missing_condition_keeps_the_message(evidence: Evidence, why: Refusal | Keep) -> None:
    """Each condition alone refuses, with its own reason."""
    order, refused = approve(BOX, STATUS, [evidence], POLICY, Guards())
    assert order is None
    assert [each.reason for each in refused] == [why]


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (replace(STATUS, uidvalidity=None), Refusal.NO_UIDVALIDITY),
        (replace(STATUS, writable=False), Refusal.READ_ONLY),
        (replace(STATUS, uids_stick=False), Refusal.UNSTABLE_UIDS),
        (replace(STATUS, uidvalidity=2), Refusal.OTHER_GENERATION),
    ],
)
def test_a_mailbox_that_is_not_to_be_trusted_keeps_everything(status: MailboxStatus, why: Refusal) -> None:
    """The state of the mailbox is a condition of every message."""
    order, refused = approve(BOX, status, [GOOD], POLICY, Guards())
    assert order is None
    assert refused[0].reason is why


def test_a_guard_holds_everything_and_says_why() -> None:
    """The clock, the amount, the place: the words of the guard reach the user."""
    order, refused = approve(BOX, STATUS, [GOOD], POLICY, Guards(held="the clock is wrong"))
    assert order is None
    assert (refused[0].reason, refused[0].detail) == (Refusal.GUARD, "the clock is wrong")


@pytest.mark.parametrize(
    ("archived_at", "age", "goes"),
    [
        (ARCHIVED, timedelta(days=7), True),
        (ARCHIVED, timedelta(days=8), False),
        (None, timedelta(days=1), False),
    ],
)
def test_a_copy_must_be_old_enough_if_asked(archived_at: datetime | None, age: timedelta, goes: bool) -> None:
    """--min-copies-age: at least that old; an unknown age is not old."""
    guards = Guards.of_age(ARCHIVED + timedelta(days=7), age)
    order, refused = approve(BOX, STATUS, [changed("placement", archived_at=archived_at)], POLICY, guards)
    assert (order is not None) is goes
    assert [each.reason for each in refused] == ([] if goes else [Refusal.TOO_FRESH])


def test_each_candidate_is_ordered_or_refused_and_a_doubled_one_is_refused() -> None:
    """Nothing is lost between the two lists, and a UID that comes twice is left alone."""
    other = replace(GOOD, uid=UID(6), placement=replace(PLACEMENT, uid=UID(6)), fresh=FRESH._replace(uid=UID(6)))
    order, refused = approve(BOX, STATUS, [GOOD, other, GOOD], POLICY, Guards())
    assert order is not None
    assert [item.uid for item in order.items] == [6]
    assert [(each.uid, each.reason) for each in refused] == [(5, Refusal.OTHER_MESSAGE)] * 2


def test_a_hold_tells_what_looked_wrong() -> None:
    """The reason of the gate reaches the user."""
    _, refused = approve(BOX, STATUS, [changed("placement", hold="placeholder")], POLICY, Guards())
    assert refused[0].detail == "placeholder"


def test_nobody_else_can_make_an_order() -> None:
    """An order without a decision, and an empty one, cannot be written."""
    with pytest.raises(TypeError, match="approve"):
        ExpungeOrder(BOX, 1, (), seal=object())
    order, _ = approve(BOX, STATUS, [], POLICY, Guards())
    assert order is None
