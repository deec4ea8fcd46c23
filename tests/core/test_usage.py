"""Sums over what a server lists: the parts of each division add up to the whole."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailarchive import usage
from mailarchive.messages import Messages
from mailarchive.model import UID, RemoteMessage
from mailarchive.usage import Part, Senders, Sums, address_of, sizes_of, to_cover

YEARS = [(str(year), datetime(year, 1, 1, tzinfo=UTC)) for year in range(1970, 2030)]
CUT = datetime(2025, 11, 26, tzinfo=UTC)
AGES = [("1y", CUT), ("5y", datetime(2021, 11, 26, tzinfo=UTC))]
DATES = st.floats(-(10**8), 1861920000).map(lambda second: datetime.fromtimestamp(second, UTC))  # up to 2029
MESSAGE = st.builds(
    RemoteMessage,
    uid=st.integers(1, 10**6).map(UID),
    size=st.none() | st.integers(0, 2**40) | st.sampled_from([0, 10 << 10, (10 << 10) + 1, 2**32 - 2, 2**32 - 1]),
    internal_date=st.none() | DATES | DATES.map(lambda date: date.replace(microsecond=0)),
    flags=st.just(frozenset({"\\Seen"})),
    labels=st.none() | st.none() | st.just(frozenset({"a"})),
)
ROW = st.tuples(MESSAGE, st.booleans(), st.booleans())


def message(size: int | None, date: datetime | None, uid: int = 1) -> RemoteMessage:
    """Make a message as it is listed."""
    return RemoteMessage(UID(uid), size, date, frozenset())


def added(*messages: RemoteMessage) -> usage.Usage:
    """Add up one mailbox."""
    sums = Sums(YEARS, AGES)
    sums.add("INBOX", Messages(messages))
    return sums.usage()


@given(st.lists(st.lists(ROW, max_size=25), max_size=3))
def test_the_parts_add_up_to_the_whole(boxes: list[list[tuple[RemoteMessage, bool, bool]]]) -> None:
    """In every division, of whatever a server lists; and what an age frees is what a walk over all of it finds."""
    sums = Sums(YEARS, AGES)
    for number, rows in enumerate(boxes):
        going, archived = bytes(row[1] for row in rows), bytes(row[2] for row in rows)
        sums.add(f"box {number}", Messages(row[0] for row in rows), going=going, archived=archived)
    found = sums.usage()
    # 2**32 - 1 octets is how a column says that it does not know.
    rows = [(m._replace(size=None if m.size == 2**32 - 1 else m.size), g, a) for box in boxes for m, g, a in box]
    assert (found.messages, found.size) == (len(rows), sum(m.size or 0 for m, _, _ in rows))
    for parts in (found.mailboxes, found.years, found.sizes):
        assert sum(part.messages for part in parts) == found.messages
        assert sum(part.size for part in parts) == found.size
    for freed in found.ages:
        old = [(m, a) for m, goes, a in rows if goes and m.internal_date is not None and m.internal_date < freed.before]
        assert (freed.messages, freed.size) == (len(old), sum(m.size or 0 for m, _ in old))
        there = [m for m, a in old if a]
        counted = (len(there), sum(m.size or 0 for m in there)) if boxes else (None, None)
        assert (freed.archived, freed.archived_size) == counted
    largest = sorted((m.size or 0 for m, _, _ in rows), reverse=True)[: usage.LARGEST]
    assert [each.size for each in found.largest] == largest


@given(st.lists(MESSAGE, max_size=30))
def test_columns_and_messages_are_read_alike(messages: list[RemoteMessage]) -> None:
    """One message that does not fit into the columns changes nothing for the others."""
    plain = [m._replace(labels=None) for m in messages]
    odd = RemoteMessage(UID(9), 5, CUT, frozenset(), "M1")
    one, other = added(*plain), added(*plain, odd)
    assert other.messages == one.messages + 1
    assert {part.name: part.size for part in added(*plain, odd._replace(object_id="")).years} == {
        part.name: part.size for part in other.years
    }


@pytest.mark.parametrize(
    ("size", "name"),
    [
        (0, "up to 10K"),
        (10 << 10, "up to 10K"),
        ((10 << 10) + 1, "10K to 100K"),
        (1 << 20, "100K to 1M"),
        ((10 << 20) + 1, "over 10M"),
        (2**33, "over 10M"),
        (None, usage.UNSIZED),
    ],
)
def test_a_class_of_sizes_is_what_larger_than_takes(size: int | None, name: str) -> None:
    """`--larger-than 10K` takes what has more octets than 10K, and nothing that has as many."""
    assert added(message(size, CUT)).sizes == (Part(name, 1, size or 0),)


@pytest.mark.parametrize(
    ("date", "name"),
    [
        (datetime(2024, 12, 31, 23, 59, 59, tzinfo=UTC), "2024"),
        (datetime(2025, 1, 1, tzinfo=UTC), "2025"),
        (datetime(2025, 1, 1, tzinfo=timezone(timedelta(hours=1))), "2024"),
        (datetime(1970, 1, 1, tzinfo=UTC), "1970"),
        (datetime(1969, 12, 31, tzinfo=UTC), usage.EARLY),
        (datetime(2099, 1, 1, tzinfo=UTC), "2029"),
        (None, usage.UNDATED),
    ],
)
def test_a_year_begins_in_the_zone_of_the_user(date: datetime | None, name: str) -> None:
    """Whatever zone the server writes."""
    assert added(message(7, date)).years == (Part(name, 1, 7),)


def test_an_age_ends_at_its_cut_off() -> None:
    """A message of that instant is not older; one without a date is not either."""
    sums = Sums(YEARS, AGES)
    second = timedelta(seconds=1)
    rows = [message(1, CUT), message(2, CUT - second), message(4, AGES[1][1] - second), message(8, None)]
    sums.add("INBOX", Messages(rows), going=b"\1\1\1\1")
    assert [(each.messages, each.size, each.archived) for each in sums.usage().ages] == [(2, 6, None), (1, 4, None)]


def test_labels_count_for_each_mailbox_and_once_for_all() -> None:
    """So the mailboxes hold more than there is."""
    sums = Sums(YEARS, AGES)
    sums.add("All", Messages([message(10, CUT), message(1, CUT, 2)]), shown_in=[["a", "b"], ["b"]])
    found = sums.usage()
    assert (found.messages, found.size) == (2, 11)
    assert found.mailboxes == (Part("b", 2, 11), Part("a", 1, 10))


@pytest.mark.parametrize(
    ("value", "address"),
    [
        (b"Anna <Anna@Example.ORG>", "anna@example.org"),
        (b"anna@example.org", "anna@example.org"),
        (b"anna@example.org (Anna)", "anna@example.org"),
        (b'"ceo@bank.example" <real@example.org>', "real@example.org"),
        (b'"<ceo@bank.example>" <real@example.org>', "real@example.org"),
        (b'"a \\" <x@y.example>" <real@example.org>', "real@example.org"),
        (b"a@example.org, b@example.org", "a@example.org"),
        (b"=?utf-8?q?Anna_=40?= <anna@example.org>", "anna@example.org"),
        (b"anna@example.org.", "anna@example.org"),
        (b"\xff\x1b[31m <a\x1b@x.example>", "a\x1b@x.example"),
        (b"Mailer Daemon", ""),
        (b"<>", ""),
        (b"@", ""),
        (b"", ""),
        (b"x" * 8000 + b"@example.org", ""),
        (b'"' * 8000 + b"<" * 8000, ""),
    ],
)
def test_the_sender_is_the_first_address(value: bytes, address: str) -> None:
    """Never what a name in quotes pretends; whatever is sent, it does not raise."""
    assert address_of(value) == address


def test_senders_are_bounded_and_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are: the largest are named, the others are one part."""
    monkeypatch.setattr(usage, "_MOST_SENDERS", 30)
    senders = Senders()
    for number in range(1000):
        senders.add(f"a{number}@d{number % 7}.example", 1)
        senders.add("big@large.example", 100)
    senders.add("", 5)
    domains, addresses = list(senders.domains.parts()), list(senders.addresses.parts())
    assert domains[0] == Part("large.example", 1000, 100_000)
    assert addresses[0] == Part("big@large.example", 1000, 100_000)
    assert addresses[-1].name == usage.OTHERS
    assert Part(usage.NOBODY, 1, 5) in domains
    for parts in (domains, addresses):
        assert (sum(part.messages for part in parts), sum(part.size for part in parts)) == (2001, 101_005)


@given(st.lists(st.lists(st.integers(0, 10**6), max_size=50), max_size=3), st.floats(0.1, 1))
def test_what_is_looked_at_covers_the_share(columns: list[list[int]], share: float) -> None:
    """With all that are at least as large; and none is smaller than it must be."""
    floor = to_cover(columns, share, 10_000)
    sizes = [size for column in columns for size in column]
    taken = sum(size for size in sizes if size >= floor)
    assert taken >= share * sum(sizes) - 1e-6 * sum(sizes)
    assert sum(size for size in sizes if size > floor) <= share * sum(sizes) or not taken


def test_what_is_looked_at_is_bounded() -> None:
    """By the number, where a share needs more; what has no size needs none."""
    assert to_cover([[5, 4, 3, 2, 1]], 0.9, 2) == 4
    assert to_cover([[2**32 - 1, -1]], 0.9, 2) == 1
    assert list(sizes_of(Messages([message(None, CUT)]))) == [2**32 - 1]
