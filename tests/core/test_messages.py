"""Messages in columns come out as they went in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailarchive.dates import internal_instant, parse_internal_date
from mailarchive.messages import NO_DATE, Messages
from mailarchive.model import UID, UIDL, RemoteMessage

WHEN = datetime(2014, 3, 1, 10, tzinfo=timezone(timedelta(hours=-8)))
ZONES = st.integers(-12 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
ODD_ZONES = st.just(timezone(timedelta(seconds=61))) | st.just(UTC)
DATES = st.builds(datetime.fromtimestamp, st.integers(0, 2 * 10**11) | st.floats(0, 10**9), ZONES | ODD_ZONES)
FLAGS = st.none() | st.frozensets(st.sampled_from(["\\Seen", "\\Flagged", "kw"]))
UIDS = st.integers(1, 2**32 - 1).map(UID) | st.integers(2**32, 2**40).map(UID) | st.just(UIDL("u1"))
MESSAGE = st.builds(
    RemoteMessage,
    uid=UIDS,
    size=st.none() | st.integers(0, 2**40) | st.sampled_from([0, 2**32 - 2, 2**32 - 1, 2**32, 2**70]),
    internal_date=st.none() | DATES | DATES.map(lambda date: date.replace(microsecond=0)),
    flags=FLAGS,
    object_id=st.sampled_from(["", "", "", "M1"]),
    labels=st.none() | st.none() | FLAGS,
)


def exact(messages: Messages) -> list[tuple[RemoteMessage, str]]:
    """Show messages with their zones, which equal instants do not."""
    return [(message, str(message.internal_date)) for message in messages]


@given(st.lists(MESSAGE, max_size=12), st.integers(-15, 15), st.integers(-15, 15), st.sampled_from([1, 2, -1]))
def test_what_goes_in_comes_out(given_: list[RemoteMessage], first: int, last: int, step: int) -> None:
    """Every field, whether it fits into the columns or not; parts too, and what is put behind a part."""
    messages = Messages(given_)
    assert len(messages) == len(given_)
    assert exact(messages) == [(message, str(message.internal_date)) for message in given_]
    assert [messages[index] for index in range(-len(given_), len(given_))] == given_ + given_
    part = messages[first:last:step]
    assert list(part) == given_[first:last:step]
    more = RemoteMessage(UID(7), 1, WHEN, frozenset({"other"}))
    part.append(more)
    assert list(part) == [*given_[first:last:step], more]
    assert list(messages) == given_
    assert messages.octets == sum(message.size or 0 for message in given_)


def test_a_message_is_found_by_its_uid() -> None:
    """Where they stand in ascending order."""
    for ident in ("", "M1"):
        messages = Messages(RemoteMessage(UID(uid), uid, object_id=ident) for uid in (2, 5, 9))
        assert [messages.find(uid) for uid in (1, 5, 9, 10)] == [None, messages[1], messages[2], None]
        assert list(messages.only([1, 5, 9])) == [messages[1], messages[2]]
    assert Messages().find(1) is None


def test_columns_go_in_at_once() -> None:
    """As a reader of the wire has them."""
    messages = Messages()
    assert messages.extend([1, 2], [10, 0], [(0, 60), NO_DATE], [frozenset({"a"}), None])
    for size, instant in ((2**32, NO_DATE), (2**32 - 1, NO_DATE), (5, (-1, 0)), (5, (2**32, 0))):
        assert not messages.extend([3, 4], [1, size], [NO_DATE, instant], [None, None])
    east = datetime(1970, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))
    assert list(messages) == [RemoteMessage(UID(1), 10, east, frozenset({"a"})), RemoteMessage(UID(2), 0)]
    assert str(messages[0].internal_date) == str(east)


TEXTS = st.sampled_from(
    [
        b"01-Mar-2014 10:00:00 +0100",
        b" 7-Jul-1996 02:44:25 -0700",
        b"1-Jan-1970 00:00:00 +1400",
        b"31-Dec-9998 23:59:59 -1200",
        b"29-Feb-2015 10:00:00 +0000",
        b"01-Mar-2014 10:00:60 +0100",
        b"01-Mar-2014 24:00:00 +0100",
        b"01-Mar-2014 10:00:00 +1401",
        b"01-Mar-1969 10:00:00 +0000",
        b"",
    ]
) | st.binary(max_size=30)


@given(TEXTS)
def test_a_date_in_numbers_is_the_date(text: bytes) -> None:
    """The same instant and zone, and unknown for the same texts."""
    date, numbers = parse_internal_date(text), internal_instant(text)
    if date is None:
        assert numbers is None
    else:
        offset = date.utcoffset()
        assert offset is not None
        assert numbers == (date.timestamp(), offset / timedelta(minutes=1))


@given(st.lists(MESSAGE, max_size=12))
def test_plain_messages_can_be_packed(given_: list[RemoteMessage]) -> None:
    """And come out as they went in; what was packed says nothing about others."""
    messages = Messages(message for message in given_ if Messages([message]).plain)
    found = Messages.unpacked(messages.packed())
    assert found is not None
    assert exact(found) == exact(messages)
    assert Messages(given_).plain is (len(messages) == len(given_))


PACKED = Messages(RemoteMessage(UID(uid), uid, WHEN, frozenset({"a"})) for uid in range(1, 50)).packed()


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"{}\n",
        b"nonsense\n",
        b"\xff\n",
        PACKED[:-1],
        PACKED + b"x",
        PACKED.replace(b'"number": 49', b'"number": 48'),
        PACKED.replace(b'[["a"]]', b"[]"),
        PACKED.replace(b'"order": "', b'"order": "not '),
        PACKED.replace(b'"lengths"', b'"x"'),
        PACKED[:-20] + b"\0" * 20,
    ],
)
def test_what_cannot_be_unpacked_is_nothing(octets: bytes) -> None:
    """Cut short, changed, of another kind of computer: the mailbox is then listed again."""
    assert octets != PACKED
    assert Messages.unpacked(octets) is None


@given(st.sets(st.integers(1, 30)), st.sets(st.integers(1, 30)))
def test_messages_are_chosen_by_their_uids(there: set[int], wanted: set[int]) -> None:
    """Both stand in order."""
    messages = Messages(RemoteMessage(UID(uid), uid, WHEN, frozenset({str(uid % 3)})) for uid in sorted(there))
    assert list(messages.only(sorted(wanted))) == [message for message in messages if message.uid in wanted]


@given(st.lists(MESSAGE, max_size=12), st.frozensets(st.sampled_from(["\\Seen", "\\Flagged", "kw"])))
def test_flags_are_told_by_an_octet_for_each(given_: list[RemoteMessage], flags: frozenset[str]) -> None:
    """Whether a message carries one of them; one whose flags are not known carries none."""
    messages = Messages(given_)
    carries = messages.flagged(flags)
    assert list(carries) == [bool(message.flags and message.flags & flags) for message in given_]
    assert list(messages.where(carries)) == [message for message, one in zip(given_, carries, strict=True) if one]
