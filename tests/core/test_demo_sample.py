"""The sample mail of the demo: the same every time, old, varied, nearly over quota, and odd where real mail is odd."""

from __future__ import annotations

import email
import email.policy
import re
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from mailarchive.demo import anatomy
from mailarchive.demo.sample import USER, build_store
from mailarchive.demo.sample_odd import odd_messages

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailarchive.demo.mailbox import Message
    from mailarchive.demo.store import Account, Store

NOW = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def account() -> Account:
    """The sample as of March 2026."""
    return build_store(NOW).account(USER)


@pytest.fixture(scope="module")
def messages(account: Account) -> list[Message]:
    """All messages of all mailboxes."""
    return [message for mailbox in account.mailboxes() for message in mailbox.messages()]


@pytest.fixture(scope="module")
def odd(messages: list[Message]) -> dict[str, bytes]:
    """The odd messages as they are in the store, by what is wrong with them."""
    found = (
        (re.search(rb"Message-ID: <([a-z0-9-]+)@odd\.example\.org>", message.raw), message.raw) for message in messages
    )
    return {name[1].decode(): raw for name, raw in found if name}


def contents(store: Store) -> list[object]:
    """Give everything that a client could see of the sample."""
    account = store.account(USER)
    return [
        account.limit,
        *(
            (box.name, box.uidvalidity, box.special_use, each.uid, each.raw, each.internal_date, each.flags)
            for box in account.mailboxes()
            for each in box.messages()
        ),
    ]


def test_two_builds_are_equal() -> None:
    """The same moment gives the same mail, whatever zone it is told in; another moment gives other mail."""
    first = contents(build_store(NOW))
    assert first == contents(build_store(NOW.astimezone(timezone(timedelta(hours=9)))))
    assert first != contents(build_store(NOW + timedelta(days=1)))


@pytest.mark.parametrize("now", [NOW, datetime(2020, 2, 29, tzinfo=UTC), datetime(2035, 12, 31, 23, 59, tzinfo=UTC)])
def test_the_quota_is_92_percent_full_and_most_mail_is_old(now: datetime) -> None:
    """Whenever it is built: 900 to 1200 messages, 15 to 25 MB, 92 % of the quota, most older than a year, none new."""
    account = build_store(now).account(USER)
    messages = [message for mailbox in account.mailboxes() for message in mailbox.messages()]
    assert account.limit is not None
    assert account.limit % 1024 == 0
    assert account.used == sum(len(message.raw) for message in messages)
    assert 91.5 <= 100 * account.used / account.limit <= 92.5
    assert 900 <= len(messages) <= 1200
    assert 15_000_000 <= account.used <= 25_000_000
    old = [message for message in messages if message.internal_date < now - timedelta(days=366)]
    assert 0.6 * len(messages) < len(old) < 0.95 * len(messages)
    assert all(message.internal_date <= now for message in messages)
    assert min(message.internal_date for message in messages) < now - timedelta(days=365 * 9)


def test_the_mailboxes(account: Account) -> None:
    """Nested, non-ASCII, with spaces and an ampersand, and the four special uses; none of them empty but a parent."""
    special = {mailbox.name: set(mailbox.special_use) for mailbox in account.mailboxes() if mailbox.special_use}
    assert special == {"Sent": {"\\Sent"}, "Drafts": {"\\Drafts"}, "Junk": {"\\Junk"}, "Trash": {"\\Trash"}}
    plain = {"INBOX", "Family & Friends", "Lists/debian", "Work", "Work/Projects", "Été 2019", "日本"}
    filled = {mailbox.name for mailbox in account.mailboxes() if mailbox.messages()}
    assert filled == plain | set(special)
    assert {mailbox.name for mailbox in account.mailboxes()} - filled == {"Lists"}


def test_each_mailbox_is_in_the_order_of_time(account: Account) -> None:
    """UIDs rise with the time of arrival, and the summer of 2019 is where it belongs."""
    for mailbox in account.mailboxes():
        dates = [message.internal_date for message in mailbox.messages()]
        assert all(later - earlier > timedelta(minutes=-1) for earlier, later in pairwise(dates))
    assert {message.internal_date.year for message in account.mailbox("Été 2019").messages()} == {2019}


def test_flags_are_those_of_a_real_mailbox(messages: list[Message], account: Account) -> None:
    """Most are seen, some are flagged, answered, forwarded or labelled; nothing is marked deleted."""
    flags = Counter(flag for message in messages for flag in message.flags)
    assert 0.8 * len(messages) < flags["\\Seen"] < len(messages)
    assert all(flags[flag] >= 5 for flag in ("\\Flagged", "\\Answered", "$Forwarded", "$label1"))
    assert flags["\\Deleted"] == 0
    assert all("\\Draft" in message.flags for message in account.mailbox("Drafts").messages())


def test_the_letters_are_well_formed_and_varied(messages: list[Message]) -> None:
    """All but the odd ones parse without a defect; there are many subjects and senders, and all are made up."""
    subjects, senders, kinds = set(), set(), Counter[str]()
    for message in messages:
        if b"@odd.example.org>" in message.raw:
            continue
        parsed = email.message_from_bytes(message.raw, policy=email.policy.default)
        assert not parsed.defects
        assert not [line for line in message.raw.split(b"\r\n") if len(line) > 998 or b"\n" in line or b"\r" in line]
        subjects.add(str(parsed["Subject"]))
        senders.add(str(parsed["From"]))
        for part in parsed.walk():
            kinds[part.get_content_type()] += 1
            assert not part.defects
        sent = parsedate_to_datetime(str(parsed["Date"]))
        assert timedelta(0) <= message.internal_date - sent < timedelta(minutes=1)
        addresses = re.findall(rb"[\w.-]+@([\w.-]+)", message.raw.partition(b"\r\n\r\n")[0])
        assert all(re.search(rb"(?:^|\.)example\.(org|com|net)$", domain) for domain in addresses), addresses
    assert len(subjects) > 200
    assert len(senders) > 20
    assert any(not subject.isascii() for subject in subjects)
    assert any(not sender.isascii() for sender in senders)
    assert all(
        kinds[kind] > 5
        for kind in ("text/plain", "text/html", "image/jpeg", "application/pdf", "multipart/alternative")
    )


def test_attachments_are_real_files_at_their_start(messages: list[Message]) -> None:
    """Attachments decode to bytes that begin like their kind; some hold several hundred kB."""
    sizes = []
    for message in messages:
        for part in email.message_from_bytes(message.raw).walk():
            if part.get_content_disposition() == "attachment":
                octets = part.get_payload(decode=True)
                assert isinstance(octets, bytes)
                assert octets.startswith((b"\xff\xd8\xff\xe0", b"%PDF-1.", b"PK\x03\x04"))
                assert part.get_filename()
                sizes.append(len(octets))
    assert len(sizes) > 100
    assert sum(size > 200_000 for size in sizes) >= 10


def test_some_messages_are_in_two_mailboxes(account: Account) -> None:
    """The same bytes lie in INBOX and in Work/Projects."""
    inbox = {message.raw for message in account.mailbox("INBOX").messages()}
    projects = {message.raw for message in account.mailbox("Work/Projects").messages()}
    assert len(inbox & projects) >= 5


def _header(raw: bytes) -> bytes:
    return anatomy.split(raw)[0]


@pytest.mark.parametrize(
    ("name", "holds"),
    [
        ("8-bit-header", lambda raw: not _header(raw).isascii()),
        ("no-date", lambda raw: b"\nDate:" not in raw),
        ("bare-lf", lambda raw: b"\r" not in raw and b"\n\n" in raw),
        ("no-final-newline", lambda raw: not raw.endswith(b"\n") and b"\r\n\r\n" in raw),
        ("from-line", lambda raw: raw.count(b"\nFrom ") == 2 and b"\n>From " in raw),
        ("long-line", lambda raw: max(map(len, raw.split(b"\r\n"))) > 30_000),
        ("future-date", lambda raw: (anatomy.sent(raw) or NOW.date()) > NOW.date()),
        ("no-subject", lambda raw: b"Subject:" not in raw),
        ("no-date-that-parses", lambda raw: b"\nDate:" in raw and anatomy.sent(raw) is None),
        ("dots", lambda raw: raw.endswith(b"\r\n\r\n.\r\n..\r\n.hidden file\r\n.\r\n")),
        ("mixed-line-ends", lambda raw: {b"lf\n", b"cr\r"} <= set(re.findall(rb"lf\n|cr\r(?!\n)", raw))),
        ("no-body", lambda raw: raw.endswith(b"\r\n\r\n") and raw.count(b"\r\n\r\n") == 1),
        ("header-only", lambda raw: raw.endswith(b"\r\n") and b"\r\n\r\n" not in raw),
        ("unknown-charset", lambda raw: b"charset=x-unheard-of" in raw),
    ],
)
def test_the_odd_messages_are_there(odd: dict[str, bytes], name: str, holds: Callable[[bytes], bool]) -> None:
    """Each odd message is in the store, with what is wrong with it."""
    assert holds(odd[name])


def test_the_odd_messages_are_all_and_old(odd: dict[str, bytes]) -> None:
    """Nothing odd is left out, and all of it is more than a year old."""
    made = odd_messages(NOW)
    assert odd == {each.name: each.raw for each in made}
    assert len(made) == 14
    assert all(each.internal_date < NOW - timedelta(days=366) for each in made)


@pytest.mark.parametrize(
    ("raw", "header", "body"),
    [
        (b"A: b\r\n\r\nbody", b"A: b\r\n\r\n", b"body"),
        (b"A: b\n\nbody\r\n\r\n", b"A: b\n\n", b"body\r\n\r\n"),
        (b"\r\nbody\r\n\r\nmore", b"\r\n", b"body\r\n\r\nmore"),
        (b"A: b\r\n", b"A: b\r\n", b""),
        (b"", b"", b""),
    ],
)
def test_header_and_body(raw: bytes, header: bytes, body: bytes) -> None:
    """A message is cut behind its first empty line, whatever its line ends."""
    assert anatomy.split(raw) == (header, body)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b" plain", "plain"),
        (b" folded\r\n\there", "folded\there"),
        (b" =?utf-8?B?w6k=?= =?iso-8859-1?Q?=E9?= x", "éé x"),
        (b" \xe9\xe8", "éè"),
        (b" \xc3\xa9", "é"),
        (b" =?x-unheard-of?Q?=C3=A9?=", "é"),
        (b" =?idna?B?/w==?=", "ÿ"),
        (b" =?utf-8?B?broken!?=", "=?utf-8?B?broken!?="),
    ],
)
def test_header_values_are_decoded_as_well_as_can_be(value: bytes, text: str) -> None:
    """Encoded words, raw 8-bit octets, unknown charsets and broken base64 all give some text."""
    assert anatomy.decoded(value) == text
