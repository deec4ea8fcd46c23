"""The decision that a message may be deleted: every condition, each alone (`safety.md` section 6, C1 to C7)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mailarchive.errors import UsageError
from mailarchive.expunge import MOST_STRANGERS, Evidence, ExpungeOrder, Guards, How, Refusal, approve, choose
from mailarchive.model import (
    UID,
    Capabilities,
    Digest,
    Envelope,
    Location,
    Mailbox,
    MailboxStatus,
    Method,
    Placement,
    RemoteMessage,
)
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
MARKED = frozenset({UID(5), UID(6), UID(9)})


def changed(part: str, **facts: Any) -> Evidence:
    """Change one part of the good evidence."""
    if part == "evidence":
        return replace(GOOD, **facts)
    if part == "fresh":
        return replace(GOOD, fresh=FRESH._replace(**facts))
    if part == "envelope":
        return replace(GOOD, envelope=replace(Envelope(ident="i"), **facts))
    return replace(GOOD, placement=replace(PLACEMENT, **facts))


def numbered(uid: int, evidence: Evidence = GOOD) -> Evidence:
    """Make the same evidence for another UID."""
    placement = replace(evidence.placement or PLACEMENT, uid=UID(uid))
    fresh = (evidence.fresh or FRESH)._replace(uid=UID(uid))
    return replace(evidence, uid=UID(uid), placement=placement, fresh=fresh)


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
        (changed("placement", origin="label"), Refusal.NO_PROOF),
        (changed("placement", origin=""), Refusal.NO_PROOF),
        (changed("placement", hold="placeholder"), Refusal.HOLD),
        (changed("placement", size=99), Refusal.UNSURE),
        (changed("placement", put_back=True), Keep.PUT_BACK),
        (changed("evidence", excluded="Work"), Keep.OTHER_LABEL),
        (changed("evidence", chosen=False), Keep.NOT_SELECTED),
        (changed("evidence", read_back=None), Refusal.NOT_READ_BACK),
        (changed("evidence", read_back=Digest("sha256:" + "b" * 64)), Refusal.DAMAGED),
        (changed("evidence", fresh=None), Refusal.GONE),
        (changed("evidence", envelope=None), Refusal.GONE),
        (changed("fresh", uid=UID(6)), Refusal.OTHER_MESSAGE),
        (changed("fresh", size=101), Refusal.OTHER_MESSAGE),
        (changed("fresh", size=None), Refusal.OTHER_MESSAGE),
        (changed("fresh", internal_date=OLD + timedelta(seconds=1)), Refusal.OTHER_MESSAGE),
        (changed("fresh", internal_date=None), Refusal.OTHER_MESSAGE),
        (changed("envelope", ident="j"), Refusal.OTHER_MESSAGE),
        (changed("envelope", ident=""), Refusal.OTHER_MESSAGE),
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
    assert [(each.uid, each.reason) for each in refused] == [(5, Refusal.TWICE)] * 2


def test_a_hold_tells_what_looked_wrong() -> None:
    """The reason of the gate reaches the user."""
    _, refused = approve(BOX, STATUS, [changed("placement", hold="placeholder")], POLICY, Guards())
    assert refused[0].detail == "placeholder"


def test_nobody_else_can_make_an_order() -> None:
    """An order without a decision, and an empty one, cannot be written."""
    with pytest.raises(TypeError, match="approve"):
        ExpungeOrder(BOX, 1, (), How(), seal=object())
    order, _ = approve(BOX, STATUS, [], POLICY, Guards())
    assert order is None


@pytest.mark.parametrize(
    ("then", "now", "same"),
    [("", "", True), ("e1", "e1", True), ("", "e1", True), ("e1", "", True), ("e1", "e2", False)],
)
def test_an_object_id_is_compared_where_both_are_known(then: str, now: str, same: bool) -> None:
    """A server may have begun to give them; two that differ are two messages."""
    evidence = replace(changed("placement", object_id=then), fresh=FRESH._replace(object_id=now))
    order, refused = approve(BOX, STATUS, [evidence], POLICY, Guards())
    assert (order is not None) is same
    assert [each.reason for each in refused] == ([] if same else [Refusal.OTHER_MESSAGE])


def test_one_changed_identity_holds_the_whole_mailbox() -> None:
    """UIDs that mean other messages: not one is deleted, and those with a reason of their own keep it."""
    other = numbered(6, changed("envelope", ident="j"))
    flagged = numbered(7, changed("fresh", flags=frozenset({"\\Flagged"})))
    order, refused = approve(BOX, STATUS, [GOOD, other, flagged], POLICY, Guards())
    assert order is None
    assert [(each.uid, each.reason) for each in refused] == [
        (5, Refusal.GUARD),
        (6, Refusal.OTHER_MESSAGE),
        (7, Keep.FLAGGED),
    ]
    assert "other messages under the UIDs" in refused[0].detail


def test_the_alarm_is_not_lost_where_the_copies_were_not_read_yet() -> None:
    """A first look without proofs holds all, too: nothing is left that could be read back and deleted."""
    other = numbered(6, changed("envelope", ident="j"))
    order, refused = approve(BOX, STATUS, [replace(GOOD, read_back=None), other], POLICY, Guards())
    assert order is None
    assert [each.reason for each in refused] == [Refusal.GUARD, Refusal.OTHER_MESSAGE]


def test_a_held_message_raises_no_alarm() -> None:
    """What looked wrong may never look the same; it stays, and the others go."""
    hold = numbered(6, replace(changed("placement", hold="placeholder"), envelope=Envelope(ident="j")))
    order, refused = approve(BOX, STATUS, [GOOD, hold], POLICY, Guards())
    assert order is not None
    assert order.uids == [5]
    assert [each.reason for each in refused] == [Refusal.HOLD]


def test_a_server_that_knows_the_size_only_now_shows_the_same_message() -> None:
    """It estimated it until the octets came; what came is what it says now."""
    evidence = changed("placement", size_announced=90, confirmed=True)
    order, _ = approve(BOX, STATUS, [evidence], POLICY, Guards())
    assert order is not None
    _, refused = approve(BOX, STATUS, [replace(evidence, fresh=FRESH._replace(size=91))], POLICY, Guards())
    assert [each.reason for each in refused] == [Refusal.OTHER_MESSAGE]


def test_a_second_equal_fetch_makes_a_lying_size_deletable() -> None:
    """Other octets than announced: only with `confirmed`; where the server gave no size that is so too."""
    for announced in (90, None):
        fresh = FRESH._replace(size=announced)
        evidence = replace(changed("placement", size_announced=announced, confirmed=True), fresh=fresh)
        order, _ = approve(BOX, STATUS, [evidence], POLICY, Guards())
        assert order is not None
        unconfirmed = replace(changed("placement", size_announced=announced), fresh=fresh)
        order, refused = approve(BOX, STATUS, [unconfirmed], POLICY, Guards())
        assert (order, [each.reason for each in refused]) == (None, [Refusal.UNSURE])


def test_what_was_put_back_goes_only_if_that_is_asked_for() -> None:
    """--include-restored."""
    order, _ = approve(
        BOX, STATUS, [changed("placement", put_back=True)], replace(POLICY, keep_put_back=False), Guards()
    )
    assert order is not None


def test_the_excluded_mailbox_is_named() -> None:
    """The user reads which label keeps it."""
    _, refused = approve(BOX, STATUS, [replace(GOOD, excluded="Work")], POLICY, Guards())
    assert refused[0].detail == "Work"


def test_on_gmail_a_message_without_its_id_stays() -> None:
    """In the trash it could not be found again."""
    how = How(Method.GMAIL, Mailbox("Trash"))
    order, refused = approve(BOX, STATUS, [GOOD], POLICY, Guards(), how=how)
    assert (order, [each.reason for each in refused]) == (None, [Refusal.NO_PROOF])
    known = replace(changed("placement", object_id="g1"), fresh=FRESH._replace(object_id="g1"))
    order, _ = approve(BOX, STATUS, [known], POLICY, Guards(), how=how)
    assert order is not None
    assert order.how is how


def test_the_strangers_are_all_that_is_marked_and_not_ordered() -> None:
    """For exclusive: a marked candidate that is refused is a stranger too, and one that is ordered is none."""
    refused_one = numbered(6, changed("fresh", flags=frozenset({"\\Flagged", "\\Deleted"})))
    ours = changed("fresh", flags=frozenset({"\\Deleted"}))
    how = How(Method.EXCLUSIVE)
    order, _ = approve(BOX, STATUS, [ours, refused_one], POLICY, Guards(), how=how, marked=MARKED)
    assert order is not None
    assert order.strangers == {6, 9}
    assert [item.was_deleted for item in order.items] == [True]
    order, _ = approve(BOX, STATUS, [ours, refused_one], POLICY, Guards(), marked=MARKED)
    assert order is not None
    assert order.strangers == frozenset()


@pytest.mark.parametrize(
    ("method", "strangers", "goes"),
    [
        (Method.EXCLUSIVE, MOST_STRANGERS, True),
        (Method.EXCLUSIVE, MOST_STRANGERS + 1, False),
        (Method.EXPUNGE, MOST_STRANGERS + 1, True),
    ],
)
def test_with_too_many_strangers_exclusive_leaves_the_mailbox_alone(method: Method, strangers: int, goes: bool) -> None:
    """A thousand marks can be given back; more are left alone. A candidate that is refused counts among them."""
    marked = range(100, 99 + strangers)
    stranger = numbered(6, changed("fresh", flags=frozenset({"\\Flagged", "\\Deleted"})))
    order, refused = approve(
        BOX, STATUS, [GOOD, stranger], POLICY, Guards(), how=How(method), marked={UID(5), UID(6), *map(UID, marked)}
    )
    assert (order is not None) is goes
    assert (Refusal.GUARD in [each.reason for each in refused]) is not goes


def test_an_order_shows_what_it_is() -> None:
    """Its UIDs, and a line for a log without anything of the mail."""
    order, _ = approve(BOX, STATUS, [GOOD, numbered(7)], POLICY, Guards())
    assert order is not None
    assert order.uids == [5, 7]
    assert repr(order) == "ExpungeOrder('INBOX', uidvalidity=1, 2 messages)"


TRASH = Mailbox("Papierkorb", special_use=frozenset({"\\Trash"}))
EVERYTHING = Mailbox("[Gmail]/Alle Nachrichten", special_use=frozenset({"\\All"}))
HIDDEN = replace(TRASH, selectable=False)
PLUS = Capabilities(uidplus=True)
POP3 = Capabilities(uidplus=True, flags=False)
MOVES = Capabilities(move=True)
BOTH = Capabilities(uidplus=True, move=True)
GMAIL = Capabilities(uidplus=True, move=True, labels=True)
GMAIL_BOXES = (BOX, TRASH, EVERYTHING)


@pytest.mark.parametrize(
    ("asked", "capabilities", "boxes", "how"),
    [
        (Method.AUTO, PLUS, (BOX,), How(Method.EXPUNGE)),
        (Method.EXPUNGE, PLUS, (BOX,), How(Method.EXPUNGE)),
        (Method.AUTO, BOTH, (BOX, TRASH), How(Method.EXPUNGE)),
        (Method.TRASH, PLUS, (BOX, TRASH), How(Method.TRASH, TRASH)),
        (Method.TRASH, MOVES, (BOX, TRASH), How(Method.TRASH, TRASH)),
        (Method.MARK, PLUS, (BOX,), How(Method.MARK)),
        (Method.MARK, Capabilities(), (BOX,), How(Method.MARK)),
        (Method.EXCLUSIVE, Capabilities(), (BOX,), How(Method.EXCLUSIVE)),
        (Method.EXCLUSIVE, PLUS, (BOX,), How(Method.EXPUNGE)),
        (Method.AUTO, GMAIL, GMAIL_BOXES, How(Method.GMAIL, TRASH)),
        (Method.EXPUNGE, GMAIL, GMAIL_BOXES, How(Method.GMAIL, TRASH)),
        (Method.TRASH, GMAIL, GMAIL_BOXES, How(Method.TRASH, TRASH)),
    ],
)
def test_the_method_is_what_the_server_can_do(
    asked: Method, capabilities: Capabilities, boxes: tuple[Mailbox, ...], how: How
) -> None:
    """The table of methods (`safety.md` section 6)."""
    assert choose(asked, capabilities, boxes) == how


@pytest.mark.parametrize(
    ("asked", "capabilities", "boxes", "what", "hint"),
    [
        (Method.AUTO, Capabilities(), (BOX, TRASH), "no UIDPLUS", "--delete-method mark, or exclusive if"),
        (Method.EXPUNGE, Capabilities(), (BOX,), "no UIDPLUS", "--delete-method mark, or exclusive if"),
        (Method.AUTO, MOVES, (BOX, TRASH), "no UIDPLUS", "--delete-method trash, mark, or exclusive if"),
        (Method.AUTO, MOVES, (BOX, HIDDEN), "no UIDPLUS", "--delete-method mark, or exclusive if"),
        (Method.TRASH, BOTH, (BOX,), "names no trash", "--delete-method expunge"),
        (Method.TRASH, BOTH, (BOX, HIDDEN), "names no trash", "--delete-method expunge"),
        (Method.TRASH, BOTH, (BOX, replace(TRASH, personal=False)), "names no trash", "--delete-method expunge"),
        (Method.TRASH, BOTH, (BOX, replace(TRASH, wire=b"x" * 400)), "names no trash", "--delete-method expunge"),
        (Method.TRASH, POP3, (BOX,), "POP3 has no trash", "--delete-method expunge"),
        (Method.MARK, POP3, (BOX,), "POP3 has no marks", "--delete-method auto"),
        (Method.EXCLUSIVE, POP3, (BOX,), "POP3 has no marks", "--delete-method auto"),
        (Method.TRASH, Capabilities(), (BOX, TRASH), "no MOVE, no UIDPLUS", "mark, or exclusive if"),
        (Method.MARK, GMAIL, GMAIL_BOXES, "settings of the account", "auto or trash"),
        (Method.EXCLUSIVE, GMAIL, GMAIL_BOXES, "settings of the account", "auto or trash"),
        (Method.AUTO, GMAIL, (BOX, EVERYTHING), "does not show Trash", "Show in IMAP"),
        (Method.AUTO, GMAIL, (BOX, TRASH), "does not show All Mail", "Show in IMAP"),
        (Method.TRASH, GMAIL, (BOX, TRASH), "does not show All Mail", "Show in IMAP"),
        (Method.AUTO, replace(GMAIL, move=False), GMAIL_BOXES, "no MOVE or no UIDPLUS", ""),
        (Method.AUTO, replace(GMAIL, uidplus=False), GMAIL_BOXES, "no MOVE or no UIDPLUS", ""),
    ],
)
def test_f132_what_the_server_cannot_do_is_refused_with_a_way_out(
    asked: Method, capabilities: Capabilities, boxes: tuple[Mailbox, ...], what: str, hint: str
) -> None:
    """Nothing is chosen that was not asked for, and the hint names what can be."""
    with pytest.raises(UsageError, match=what) as error:
        choose(asked, capabilities, boxes)
    assert hint in error.value.hint
