"""Which messages are chosen, and which stay whatever is asked (`mailarchive.policy`)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailarchive.model import UID, Envelope, Mailbox, RemoteMessage
from mailarchive.policy import DateKind, HeaderTests, Keep, Policy, matches

CUT = datetime(2025, 11, 23, tzinfo=timezone(timedelta(hours=1)))
NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
SECOND = timedelta(seconds=1)
OLD = CUT - SECOND


def message(
    when: datetime | None = OLD, *, size: int | None = 10, flags: frozenset[str] | None = frozenset()
) -> RemoteMessage:
    """Make a message."""
    return RemoteMessage(UID(1), size, when, flags)


@pytest.mark.parametrize(
    ("when", "before", "after", "chosen"),
    [
        (CUT - SECOND, CUT, None, True),
        (CUT, CUT, None, False),
        (CUT + SECOND, CUT, None, False),
        (CUT.astimezone(UTC) - SECOND, CUT, None, True),
        (CUT.astimezone(timezone(timedelta(hours=14))), CUT, None, False),
        (CUT, None, CUT, True),
        (CUT - SECOND, None, CUT, False),
        (None, CUT, None, True),
        (None, None, CUT, True),
        (CUT, None, None, True),
    ],
)
def test_the_cut_off_is_an_instant_and_half_open(
    when: datetime | None, before: datetime | None, after: datetime | None, chosen: bool
) -> None:
    """Strictly before, or at and after, in whatever zone; an unknown date is archived."""
    assert Policy(before=before, after=after).selects(message(when)) is chosen


@pytest.mark.parametrize(
    ("policy", "facts", "chosen"),
    [
        (Policy(larger_than=10), {"size": 10}, False),
        (Policy(larger_than=10), {"size": 11}, True),
        (Policy(smaller_than=10), {"size": 10}, False),
        (Policy(smaller_than=10), {"size": 9}, True),
        (Policy(larger_than=10), {"size": None}, True),
        (Policy(seen=True), {"flags": frozenset({"\\Seen"})}, True),
        (Policy(seen=True), {"flags": frozenset()}, False),
        (Policy(seen=False), {"flags": frozenset()}, True),
        (Policy(flagged=True), {"flags": frozenset({"\\Seen"})}, False),
        (Policy(flagged=False), {"flags": frozenset({"\\Seen"})}, True),
        (Policy(flagged=True), {"flags": None}, True),
    ],
)
def test_size_and_flags_select_and_unknown_ones_do_not_speak_against(
    policy: Policy, facts: dict[str, Any], chosen: bool
) -> None:
    """What the server did not say never leaves a message out of the archive."""
    assert policy.selects(message(**facts)) is chosen


def test_headers_contain_text_in_any_case() -> None:
    """Every header test must find its text; without header fields nothing matches."""
    policy = Policy(headers=HeaderTests(from_="ANNA", subject="rechnung"))
    assert policy.selects(message(), Envelope(from_="Anna <a@example.org>", subject="Ihre Rechnung"))
    assert not policy.selects(message(), Envelope(from_="Anna <a@example.org>", subject="Hallo"))
    assert not policy.selects(message(), None)
    assert policy.needs_headers


def test_the_sending_date_counts_if_asked_and_believable() -> None:
    """By date sent, INTERNALDATE does not matter; a Date in the future is no date."""
    policy = Policy(before=CUT, date=DateKind.SENT, sane_until=NOW + timedelta(days=2))
    assert policy.selects(message(CUT + SECOND), Envelope(date=OLD))
    assert not policy.selects(message(OLD), Envelope(date=CUT))
    assert policy.date_of(message(OLD), Envelope(date=NOW + timedelta(days=3))) is None
    assert policy.selects(message(OLD), Envelope(date=NOW + timedelta(days=3)))
    assert policy.criteria().received_before is None


@pytest.mark.parametrize(
    ("facts", "envelope", "policy", "why"),
    [
        ({}, Envelope(), {}, None),
        ({"when": CUT}, Envelope(), {}, Keep.NOT_SELECTED),
        ({"when": None}, Envelope(), {}, Keep.NO_DATE),
        ({}, Envelope(date=CUT), {}, Keep.SENT_LATER),
        ({}, Envelope(date=OLD), {}, None),
        ({}, Envelope(date=NOW + timedelta(days=2)), {}, None),
        ({"flags": None}, Envelope(), {}, Keep.NO_FLAGS),
        ({"flags": frozenset({"\\Flagged"})}, Envelope(), {}, Keep.FLAGGED),
        ({"flags": frozenset({"\\Flagged"})}, Envelope(), {"keep_flagged": False}, None),
        ({"flags": frozenset()}, Envelope(), {"keep_unread": True}, Keep.UNREAD),
        ({"flags": frozenset({"\\Seen"})}, Envelope(), {"keep_unread": True}, None),
        ({"flags": frozenset({"\\Draft"})}, Envelope(), {}, Keep.DRAFT),
        ({"size": None}, Envelope(), {"larger_than": 5}, Keep.NO_SIZE),
    ],
)
def test_a_chosen_message_stays_for_a_reason(
    facts: dict[str, Any], envelope: Envelope, policy: dict[str, Any], why: Keep | None
) -> None:
    """Flagged, unread, draft, younger by its own date, or unknown: each has its words."""
    rules = Policy(before=CUT, sane_until=NOW + timedelta(days=2), **policy)
    assert rules.keeps(message(**facts), envelope) is why


BOXES = {
    "INBOX": Mailbox("INBOX"),
    "Work": Mailbox("Work"),
    "Work/2014": Mailbox("Work/2014"),
    "Trash": Mailbox("Trash", special_use=frozenset({"\\Trash"})),
    "Spam": Mailbox("Spam", special_use=frozenset({"\\Junk"})),
    "All": Mailbox("All", special_use=frozenset({"\\All"})),
    "Sent": Mailbox("Sent", special_use=frozenset({"\\Sent"})),
    "Shared/x": Mailbox("Shared/x", personal=False),
    "[Gmail]": Mailbox("[Gmail]", selectable=False),
}


@pytest.mark.parametrize(
    ("patterns", "chosen"),
    [
        ((), {"INBOX", "Work", "Work/2014", "Sent"}),
        (("*",), {"INBOX", "Work", "Work/2014", "Sent"}),
        (("inbox",), {"INBOX"}),
        (("Work",), {"Work"}),
        (("Work*",), {"Work", "Work/2014"}),
        (("!Work*",), {"INBOX", "Sent"}),
        (("*", "!Sent"), {"INBOX", "Work", "Work/2014"}),
        (("Trash", "Shared/x"), {"Trash", "Shared/x"}),
        (("T*",), set()),
        (("[Gmail]",), set()),
        (("Work", "!Work"), set()),
        (("work",), set()),
    ],
)
def test_mailboxes_are_chosen_by_pattern(patterns: tuple[str, ...], chosen: set[str]) -> None:
    """Special and foreign mailboxes join only by their exact name, and what cannot be opened never does."""
    policy = Policy(mailboxes=patterns)
    assert {name for name, box in BOXES.items() if policy.chooses(box)} == chosen


def test_a_plain_name_that_is_not_there_is_told_and_a_pattern_may_match_nothing() -> None:
    """Only names without wildcards must exist."""
    policy = Policy(mailboxes=("Wrok", "inbox", "No*", "!Gone"))
    assert policy.missing(list(BOXES)) == ["Wrok"]


@pytest.mark.parametrize(
    ("pattern", "name", "does"),
    [
        ("*", "a/b", True),
        ("a*c", "a/b/c", True),
        ("a?c", "abc", True),
        ("a?c", "ac", False),
        ("[a]", "a", False),
        ("[a]*", "[a]/b", True),
        ("a*b*c", "aXbYbZc", True),
        ("*a*b", "xaxc", False),
        ("", "", True),
        ("", "a", False),
    ],
)
def test_only_star_and_question_mark_are_wildcards(pattern: str, name: str, does: bool) -> None:
    """Brackets and all else stand for themselves."""
    assert matches(pattern, name) is does


@given(st.text(alphabet="ab*?", max_size=8), st.text(alphabet="ab", max_size=8))
def test_matching_agrees_with_the_definition(pattern: str, name: str) -> None:
    """The quick matcher agrees with a slow one written from the definition."""

    def slow(rest: str, text: str) -> bool:
        if not rest:
            return not text
        if rest[0] == "*":
            return any(slow(rest[1:], text[index:]) for index in range(len(text) + 1))
        return bool(text) and rest[0] in ("?", text[0]) and slow(rest[1:], text[1:])

    assert matches(pattern, name) is slow(pattern, name)
