"""Messages on the demo server: FETCH, STORE, COPY, MOVE, EXPUNGE, and what other sessions are told of them."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

from mailarchive.demo.server import DemoServer
from tests.servers.demo_client import Client, letter, small_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailarchive.demo.mailbox import Mailbox
    from mailarchive.demo.store import Account


@pytest.fixture
def served() -> Iterator[tuple[DemoServer, Account]]:
    """A running server and the account behind it."""
    store, account = small_store()
    with DemoServer(store) as server:
        yield server, account


@pytest.fixture
def client(served: tuple[DemoServer, Account]) -> Iterator[Client]:
    """A client that has INBOX selected and knows its news."""
    with Client(served[0]) as client:
        assert client.run("SELECT INBOX").ok
        yield client


@pytest.fixture
def other(served: tuple[DemoServer, Account]) -> Iterator[Client]:
    """Another client that has INBOX selected."""
    with Client(served[0]) as client:
        assert client.run("SELECT INBOX").ok
        yield client


@pytest.fixture
def inbox(served: tuple[DemoServer, Account]) -> Mailbox:
    """The mailbox that the clients have selected."""
    return served[1].mailbox("INBOX")


def uids(mailbox: Mailbox) -> list[int]:
    """Give the UIDs in a mailbox."""
    return [message.uid for message in mailbox.messages()]


BODY = "0123456789 first line\r\nsecond line\r\n"
HEAD = b"From: Anna <anna@example.org>\r\nTo: robin@example.org\r\nSubject: six\r\nX-Folded: one\r\n two\r\n"


@pytest.fixture
def sixth(inbox: Mailbox) -> bytes:
    """A sixth message, with a folded field, and its octets; there before the client looks."""
    raw = letter("six", BODY, "X-Folded: one\r\n two\r\n")
    inbox.append(raw, datetime(2021, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=-5))), ["\\Seen"])
    return raw


@pytest.mark.parametrize(
    ("item", "name", "value"),
    [
        ("BODY.PEEK[]", b"BODY[]", HEAD + b"\r\n" + BODY.encode()),
        ("BODY[]", b"BODY[]", HEAD + b"\r\n" + BODY.encode()),
        ("RFC822", b"RFC822", HEAD + b"\r\n" + BODY.encode()),
        ("body.peek[header]", b"BODY[HEADER]", HEAD + b"\r\n"),
        ("RFC822.HEADER", b"RFC822.HEADER", HEAD + b"\r\n"),
        ("BODY.PEEK[TEXT]", b"BODY[TEXT]", BODY.encode()),
        ("RFC822.TEXT", b"RFC822.TEXT", BODY.encode()),
        (
            "BODY.PEEK[HEADER.FIELDS (subject X-FOLDED Cc)]",
            b"BODY[HEADER.FIELDS (SUBJECT X-FOLDED CC)]",
            b"Subject: six\r\nX-Folded: one\r\n two\r\n\r\n",
        ),
        (
            'BODY.PEEK[HEADER.FIELDS.NOT (From "To" X-Folded)]',
            b"BODY[HEADER.FIELDS.NOT (FROM TO X-FOLDED)]",
            b"Subject: six\r\n\r\n",
        ),
        ("BODY.PEEK[HEADER.FIELDS (Cc)]", b"BODY[HEADER.FIELDS (CC)]", b"\r\n"),
        ("BODY.PEEK[TEXT]<2.5>", b"BODY[TEXT]<2>", b"23456"),
        ("BODY.PEEK[]<0.4>", b"BODY[]<0>", b"From"),
        ("BODY.PEEK[TEXT]<30.9999>", b"BODY[TEXT]<30>", BODY.encode()[30:]),
        ("BODY.PEEK[TEXT]<9999.5>", b"BODY[TEXT]<9999>", b""),
    ],
)
def test_fetch_of_octets(sixth: bytes, client: Client, item: str, name: bytes, value: bytes) -> None:
    """Each section and each partial range is exactly a part of the message."""
    assert sixth == HEAD + b"\r\n" + BODY.encode()
    line = b"6 FETCH (UID 6 %s {%d}\r\n%s)" % (name, len(value), value)
    assert client.run(f"UID FETCH 6 {item}").untagged == [line]
    assert client.run(f"FETCH 6 ({item} UID)").untagged == [
        b"6 FETCH (%s {%d}\r\n%s UID 6)" % (name, len(value), value)
    ]


def test_fetch_of_facts(sixth: bytes, client: Client) -> None:
    """FLAGS, INTERNALDATE with its zone, RFC822.SIZE and UID come in the order asked for; FAST is three of them."""
    size = len(sixth)
    facts = b'FLAGS (\\Seen) INTERNALDATE " 2-Jan-2021 03:04:05 -0500" RFC822.SIZE %d' % size
    client.run("EXAMINE INBOX")
    assert client.run("FETCH * FAST").untagged == [b"6 FETCH (" + facts + b")"]
    assert client.run("UID FETCH 6 (rfc822.size uid)").untagged == [b"6 FETCH (RFC822.SIZE %d UID 6)" % size]


@pytest.mark.parametrize(
    ("sequence", "numbers"),
    [("1", [1]), ("2:4", [2, 3, 4]), ("4:2,3", [2, 3, 4]), ("*", [5]), ("4:*", [4, 5]), ("*:4,1", [1, 4, 5])],
)
def test_sequence_sets(client: Client, sequence: str, numbers: list[int]) -> None:
    """Sets may overlap, run backwards and use `*`; each message comes once."""
    for command in ("FETCH", "UID FETCH"):
        answer = client.run(f"{command} {sequence} (UID)")
        assert answer.untagged == [b"%d FETCH (UID %d)" % (number, number) for number in numbers]


def test_uids_that_are_not_there_are_passed_over(client: Client) -> None:
    """A UID set may name what is not there; `n:*` always means at least the last message."""
    assert client.run("UID FETCH 77 (UID)") == ([], b"OK FETCH completed")
    assert client.run("UID FETCH 77:* (UID)").untagged == [b"5 FETCH (UID 5)"]
    assert client.run("UID FETCH 4:4294967295 (UID)").untagged == [b"4 FETCH (UID 4)", b"5 FETCH (UID 5)"]


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("FETCH 6 FLAGS", b"BAD"),
        ("FETCH 0 FLAGS", b"BAD"),
        ("FETCH 1:4294967296 FLAGS", b"BAD"),
        ("FETCH 1,,2 FLAGS", b"BAD"),
        ("FETCH 1 ()", b"BAD"),
        ("FETCH 1 COLOUR", b"BAD"),
        ("FETCH 1 FLAGS UID", b"BAD"),
        ("FETCH 1 BODY.PEEK[MIME]", b"BAD"),
        ("FETCH 1 BODY.PEEK[", b"BAD"),
        ("FETCH 1 BODY.PEEK[]<0.0>", b"BAD"),
        ("FETCH 1 BODY.PEEK[HEADER.FIELDS ()]", b"BAD"),
        ('FETCH 1 BODY.PEEK[HEADER.FIELDS ("a:b")]', b"BAD"),
        ("FETCH 1 ENVELOPE", b"NO [CANNOT]"),
        ("FETCH 1 (FLAGS BODYSTRUCTURE)", b"NO [CANNOT]"),
        ("FETCH 1 BODY.PEEK[1]", b"NO [CANNOT]"),
        ("STORE 6 FLAGS (\\Seen)", b"BAD"),
        ("STORE 1 FLAGS (\\Recent)", b"BAD"),
        ("STORE 1 FLAGS (\\Made-Up)", b"BAD"),
        ("STORE 1 COLOUR (\\Seen)", b"BAD"),
        ("STORE 1 FLAGS", b"BAD"),
        ("COPY 1 nothing", b"NO [TRYCREATE]"),
        ("COPY 9 Trash", b"BAD"),
        ("UID MOVE 1 nothing", b"NO [TRYCREATE]"),
        ("EXPUNGE 1", b"BAD"),
        ("UID EXPUNGE", b"BAD"),
        ("UID NOOP", b"BAD"),
    ],
)
def test_refusals_about_messages(client: Client, inbox: Mailbox, command: str, says: bytes) -> None:
    """What cannot be is refused, nothing has changed, and the session goes on."""
    before = [(message.uid, message.flags) for message in inbox.messages()]
    answer = client.run(command)
    assert answer.tagged.startswith(says)
    assert answer.untagged == []
    assert [(message.uid, message.flags) for message in inbox.messages()] == before
    assert client.run("NOOP").ok


@pytest.mark.parametrize("item", ["BODY[]", "BODY[HEADER]", "BODY[TEXT]<0.3>", "RFC822", "RFC822.TEXT"])
def test_reading_sets_seen_and_says_so(client: Client, inbox: Mailbox, item: str) -> None:
    r"""Without PEEK the message becomes `\Seen`, and the answer tells the new flags; the second time it does not."""
    (first,) = client.run(f"FETCH 1 {item}").untagged
    assert first.endswith(b" FLAGS (\\Seen \\Recent))")
    assert "\\Seen" in inbox.messages()[0].flags
    (again,) = client.run(f"FETCH 1 {item}").untagged
    assert b"FLAGS" not in again


@pytest.mark.parametrize("item", ["BODY.PEEK[]", "RFC822.HEADER", "FLAGS", "BODY.PEEK[HEADER.FIELDS (FROM)]"])
def test_peeking_changes_nothing(client: Client, inbox: Mailbox, item: str) -> None:
    r"""With PEEK, and with what is no text, `\Seen` stays away."""
    assert client.run(f"FETCH 1 {item}").ok
    assert inbox.messages()[0].flags == frozenset()


def test_examine_is_read_only(client: Client, inbox: Mailbox) -> None:
    r"""After EXAMINE nothing sets `\Seen`, and STORE, EXPUNGE and MOVE are refused; COPY is not."""
    client.run("STORE 2 +FLAGS.SILENT (\\Deleted)")
    client.run("EXAMINE INBOX")
    before = [(message.uid, message.flags) for message in inbox.messages()]
    assert b"FLAGS" not in client.run("FETCH 1 BODY[]").untagged[0]
    for command in ("STORE 1 +FLAGS (\\Seen)", "EXPUNGE", "UID EXPUNGE 2", "MOVE 1 Trash", "UID STORE 1 FLAGS ()"):
        assert client.run(command).tagged.startswith(b"NO [CANNOT]"), command
    assert client.run("COPY 1 Trash").ok
    assert client.run("CLOSE").ok
    assert [(message.uid, message.flags) for message in inbox.messages()] == before


def test_store_replaces_adds_and_removes(client: Client, inbox: Mailbox) -> None:
    """The three ways of STORE, aloud and silent; keywords keep the spelling that came first."""
    assert client.run("STORE 1 +FLAGS (\\flagged $Label1)").untagged == [
        b"1 FETCH (FLAGS ($Label1 \\Flagged \\Recent))",
        b"FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Label1)",
    ]
    assert client.run("UID STORE 1,2 -FLAGS \\Seen \\Flagged").untagged == [
        b"1 FETCH (UID 1 FLAGS ($Label1 \\Recent))",
        b"2 FETCH (UID 2 FLAGS (\\Recent))",
    ]
    assert client.run("UID STORE 2 FLAGS.SILENT ($LABEL1 \\Draft)") == ([], b"OK STORE completed")
    assert inbox.messages()[1].flags == frozenset({"$Label1", "\\Draft"})
    assert client.run("STORE 2 FLAGS ()").untagged == [b"2 FETCH (FLAGS (\\Recent))"]
    assert client.run("UID STORE 99 +FLAGS (\\Seen)") == ([], b"OK STORE completed")


def test_uid_expunge_removes_only_what_is_named_and_marked(client: Client, inbox: Mailbox) -> None:
    """Messages that somebody else marked stay."""
    client.run("UID STORE 1,2,4 +FLAGS.SILENT (\\Deleted)")
    assert client.run("UID EXPUNGE 2:3,4,99") == ([b"4 EXPUNGE", b"2 EXPUNGE"], b"OK UID EXPUNGE completed")
    assert uids(inbox) == [1, 3, 5]
    assert client.run("FETCH 1:* (UID)").untagged == [
        b"1 FETCH (UID 1)",
        b"2 FETCH (UID 3)",
        b"3 FETCH (UID 5)",
    ]
    assert client.run("EXPUNGE").untagged == [b"1 EXPUNGE"]


@pytest.mark.parametrize(("command", "left"), [("CLOSE", [2, 3, 4, 5]), ("UNSELECT", [1, 2, 3, 4, 5])])
def test_close_removes_and_unselect_does_not(client: Client, inbox: Mailbox, command: str, left: list[int]) -> None:
    """Both leave the mailbox, and neither says EXPUNGE."""
    client.run("STORE 1 +FLAGS.SILENT (\\Deleted)")
    assert client.run(command).untagged == []
    assert uids(inbox) == left
    assert client.run("FETCH 1 FLAGS").tagged.startswith(b"BAD")


def test_copy_keeps_flags_and_dates_and_tells_uids(client: Client, served: tuple[DemoServer, Account]) -> None:
    """COPYUID names both sides; the copies are equal in octets, flags and date, and the originals stay."""
    account = served[1]
    trash, inbox = account.mailbox("Trash"), account.mailbox("INBOX")
    answer = client.run("COPY 2:4 Trash")
    assert answer.tagged == b"OK [COPYUID %d 2:4 1:3] COPY completed" % trash.uidvalidity
    answer = client.run("UID COPY 1,5,77 Trash")
    assert answer.tagged == b"OK [COPYUID %d 1,5 4:5] COPY completed" % trash.uidvalidity
    assert client.run("UID COPY 77 Trash") == ([], b"OK COPY completed")
    originals = {message.raw: (message.flags, message.internal_date) for message in inbox.messages()}
    assert {message.raw: (message.flags, message.internal_date) for message in trash.messages()} == originals
    assert b"6 EXISTS" in client.run("COPY 1 INBOX").untagged


def test_move_tells_uids_before_the_messages_go(client: Client, served: tuple[DemoServer, Account]) -> None:
    """MOVE answers COPYUID untagged, then EXPUNGE."""
    account = served[1]
    trash = account.mailbox("Trash")
    answer = client.run("MOVE 1,3 Trash")
    copyuid = b"OK [COPYUID %d 1,3 1:2] moved" % trash.uidvalidity
    assert answer == ([copyuid, b"3 EXPUNGE", b"1 EXPUNGE"], b"OK MOVE completed")
    assert (uids(account.mailbox("INBOX")), uids(trash)) == ([2, 4, 5], [1, 2])
    assert client.run("UID MOVE 1 Trash") == ([], b"OK MOVE completed")


def test_expunges_of_others_wait_for_a_moment_that_allows_them(client: Client, other: Client) -> None:
    """FETCH, STORE and SEARCH by number tell no EXPUNGE and keep the numbers; NOOP tells it."""
    client.run("UID STORE 2,4 +FLAGS.SILENT (\\Deleted)")
    assert client.run("EXPUNGE").untagged == [b"4 EXPUNGE", b"2 EXPUNGE"]
    (body,) = other.run("FETCH 4 (UID BODY.PEEK[HEADER.FIELDS (SUBJECT)])").untagged
    assert b"UID 4" in body
    assert b"Subject: four" in body
    assert other.run("STORE 5 +FLAGS.SILENT (\\Answered)") == ([], b"OK STORE completed")
    assert other.run("STORE 2:3 +FLAGS.SILENT (\\Answered)").tagged.startswith(b"NO [EXPUNGEISSUED]")
    assert other.run("SEARCH ALL").untagged == [b"SEARCH 1 3 5"]
    assert other.run("FROB").untagged == []
    assert other.run("NOOP").untagged == [b"4 EXPUNGE", b"2 EXPUNGE"]
    assert other.run("SEARCH ANSWERED").untagged == [b"SEARCH 2 3"]


@pytest.mark.parametrize(
    "command", ["UID FETCH 1:* (UID)", "UID STORE 2 +FLAGS.SILENT (\\Seen)", "UID SEARCH UID 2", "UID COPY 2 Trash"]
)
def test_uid_commands_pass_over_what_is_gone_and_tell_it(client: Client, other: Client, command: str) -> None:
    """By UID, a message that somebody else removed is not there any more, and its EXPUNGE comes with the answer."""
    client.run("UID STORE 2 +FLAGS.SILENT (\\Deleted)")
    client.run("EXPUNGE")
    answer = other.run(command)
    assert answer.ok
    assert answer.untagged[-1] == b"2 EXPUNGE"
    assert not any(b"UID 2" in line or b"SEARCH 2" in line for line in answer.untagged)


def test_copy_by_number_of_what_is_gone_copies_nothing(
    client: Client, other: Client, served: tuple[DemoServer, Account]
) -> None:
    """COPY and MOVE by number fail as a whole if one of the messages is gone, and tell it."""
    client.run("UID STORE 2 +FLAGS.SILENT (\\Deleted)")
    client.run("EXPUNGE")
    answer = other.run("COPY 1:3 Trash")
    assert answer.tagged.startswith(b"NO [EXPUNGEISSUED]")
    assert answer.untagged == [b"2 EXPUNGE"]
    assert served[1].mailbox("Trash").messages() == []


def test_new_messages_and_flags_of_others_are_told(client: Client, other: Client) -> None:
    """APPEND, STORE and new keywords of one session reach the other, once; what came and went is never told."""
    raw = letter("six")
    append = b"APPEND INBOX {%d+}\r\n%s" % (len(raw), raw)
    assert b"6 EXISTS" in client.run(append).untagged
    client.run("STORE 6 +FLAGS.SILENT (\\Flagged)")
    client.run("STORE 1 +FLAGS ($Label1)")
    told = other.run("FETCH 5 (UID)").untagged
    assert told == [
        b"5 FETCH (UID 5)",
        b"FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Label1)",
        b"6 EXISTS",
        b"0 RECENT",
        b"6 FETCH (UID 6 FLAGS (\\Flagged))",
        b"1 FETCH (UID 1 FLAGS ($Label1))",
    ]
    assert other.run("NOOP").untagged == []
    client.run(append)
    client.run("STORE 7 +FLAGS.SILENT (\\Deleted)")
    client.run("EXPUNGE")
    assert other.run("NOOP").untagged == []


def test_a_deleted_mailbox_empties_under_its_readers(client: Client, other: Client) -> None:
    """Who has a mailbox selected that is deleted sees its messages go, and can go on elsewhere."""
    client.run("COPY 1:2 Trash")
    other.run("SELECT Trash")
    assert client.run("DELETE Trash").ok
    assert other.run("NOOP").untagged == [b"2 EXPUNGE", b"1 EXPUNGE"]
    assert other.run("UID FETCH 1:* FLAGS") == ([], b"OK FETCH completed")
    assert other.run("SELECT INBOX").ok


def test_an_empty_mailbox(client: Client) -> None:
    """In an empty mailbox SEARCH finds nothing, UID sets are empty, and numbers are wrong."""
    client.run("SELECT Trash")
    assert client.run("SEARCH ALL").untagged == [b"SEARCH"]
    assert client.run("UID SEARCH UID 1:*").untagged == [b"SEARCH"]
    assert client.run("UID FETCH 1:* FLAGS") == ([], b"OK FETCH completed")
    assert client.run("FETCH 1:* FLAGS").tagged.startswith(b"BAD")
    assert client.run("EXPUNGE") == ([], b"OK EXPUNGE completed")


def test_many_messages_take_no_time(client: Client, served: tuple[DemoServer, Account]) -> None:
    """Fetching, marking and expunging 4,000 messages stays far from quadratic."""
    many = served[1].create("Many")
    served[1].limit = None
    for number in range(4000):
        many.append(letter(f"number {number}"), datetime(2020, 1, 1, tzinfo=UTC))
    started = time.monotonic()
    client.run("SELECT Many")
    assert len(client.run("FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])").untagged) == 4000
    odd = ",".join(str(number) for number in range(1, 4000, 2))
    assert len(client.run(f"UID STORE {odd} +FLAGS (\\Deleted)").untagged) == 2000
    assert len(client.run(f"UID EXPUNGE {odd}").untagged) == 2000
    assert client.run("SEARCH RETURN (COUNT) UNDELETED").untagged[0].endswith(b" COUNT 2000")
    assert time.monotonic() - started < 4
