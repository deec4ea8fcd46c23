"""Mailboxes on the demo server: LIST, names, CREATE and the like, STATUS, SELECT, APPEND, quota."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from mailarchive.demo import names
from mailarchive.demo.server import DemoServer
from tests.servers.demo_client import Client, small_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailarchive.demo.store import Account


@pytest.fixture
def served() -> Iterator[tuple[DemoServer, Account]]:
    """A running server and the account behind it."""
    store, account = small_store()
    with DemoServer(store) as server:
        yield server, account


@pytest.fixture
def client(served: tuple[DemoServer, Account]) -> Iterator[Client]:
    """A client that has signed in."""
    with Client(served[0]) as client:
        yield client


@pytest.fixture
def account(served: tuple[DemoServer, Account]) -> Account:
    """The account that the client has signed in to."""
    return served[1]


def listed(client: Client, arguments: str) -> set[bytes]:
    """Give what LIST answers, without the leading word."""
    answer = client.run(f"LIST {arguments}")
    assert answer.ok, answer
    return {line.removeprefix(b"LIST ") for line in answer.untagged}


def test_list_shows_special_use_and_nests(client: Client) -> None:
    """LIST knows `*` and `%`, references, gaps above mailboxes, and always shows the special use."""
    every = {b'() "/" "INBOX"', b'(\\Trash) "/" "Trash"', b'() "/" "Work"', b'() "/" "Work/Projects"'}
    assert listed(client, '"" "*"') == every
    assert listed(client, '"" "*" RETURN (SPECIAL-USE)') == every
    assert listed(client, '(SPECIAL-USE) "" "*"') == {b'(\\Trash) "/" "Trash"'}
    assert listed(client, '"" %') == every - {b'() "/" "Work/Projects"'}
    assert listed(client, "Work/ %") == {b'() "/" "Work/Projects"'}
    assert listed(client, '"" inb%') == {b'() "/" "INBOX"'}
    assert listed(client, '"" ""') == {b'(\\Noselect) "/" ""'}
    assert listed(client, '"" "nothing*"') == set()
    assert client.run("DELETE Work").ok
    assert listed(client, '"" Work*') == {b'(\\Noselect) "/" "Work"', b'() "/" "Work/Projects"'}
    assert client.run("SELECT Work").tagged.startswith(b"NO [NONEXISTENT]")
    assert client.run('LSUB "" Trash').untagged == [b'LSUB (\\Trash) "/" "Trash"']
    assert client.run("UNSUBSCRIBE inbox").ok
    assert client.run('LIST "" * RETURN (SUBSCRIBED)').tagged.startswith(b"BAD")


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("Été 2019", b"&AMk-t&AOk- 2019"),
        ("日本", b"&ZeVnLA-"),
        ("Family & Friends", b"Family &- Friends"),
        ("😀/x", b"&2D3eAA-/x"),
        ('quote " and \\', b'quote " and \\'),
        ("INBOX/Below", b"inbox/Below"),
    ],
)
def test_names_are_modified_utf7(client: Client, account: Account, name: str, wire: bytes) -> None:
    """A name is created, listed, selected, renamed and deleted by its form on the wire."""
    quoted = b'"' + wire.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
    assert client.run(b"CREATE " + quoted).ok
    assert account.find(name) is not None
    shown = quoted.replace(b"inbox", b"INBOX")
    assert any(line.endswith(b" " + shown) for line in client.run('LIST "" *').untagged)
    assert client.run(b"EXAMINE " + quoted).ok
    assert client.run(b"RENAME " + quoted + b" Other/Place").ok
    assert account.find(name) is None
    assert client.run("DELETE Other/Place").ok


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("CREATE INBOX", b"NO [ALREADYEXISTS]"),
        ("CREATE Trash", b"NO [ALREADYEXISTS]"),
        ("CREATE a//b", b"NO [CANNOT]"),
        ('CREATE "a*b"', b"NO [CANNOT]"),
        ('CREATE ""', b"NO [CANNOT]"),
        ('CREATE "A&B"', b"BAD"),
        ('CREATE "&AMk"', b"BAD"),
        ('CREATE "&AGE-"', b"BAD"),
        ('CREATE "&A-"', b"BAD"),
        (b"CREATE {2+}\r\n\xc3\xa9", b"BAD"),
        ("DELETE INBOX", b"NO [CANNOT]"),
        ("DELETE nothing", b"NO [NONEXISTENT]"),
        ("RENAME nothing else", b"NO [NONEXISTENT]"),
        ("RENAME Work Trash", b"NO [ALREADYEXISTS]"),
        ("RENAME Work Work/Below", b"NO [CANNOT]"),
        ("SELECT nothing", b"NO [NONEXISTENT]"),
        ("STATUS INBOX ()", b"BAD"),
        ("STATUS INBOX (COLOUR)", b"BAD"),
        ("STATUS nothing (MESSAGES)", b"NO [NONEXISTENT]"),
        ("SUBSCRIBE nothing", b"NO [NONEXISTENT]"),
        ("GETQUOTA other", b"NO [NONEXISTENT]"),
        ("GETQUOTAROOT nothing", b"NO [NONEXISTENT]"),
        ("FETCH 1 FLAGS", b"BAD no mailbox"),
        ("CLOSE", b"BAD no mailbox"),
        ("APPEND nothing {1+}\r\nx", b"NO [TRYCREATE]"),
        ("APPEND INBOX {0+}\r\n", b"NO [CANNOT]"),
        ("APPEND INBOX {3+}\r\na\0b", b"NO [CANNOT]"),
        ("APPEND INBOX (\\Recent) {1+}\r\nx", b"BAD"),
        ('APPEND INBOX "31-Feb-2020 00:00:00 +0000" {1+}\r\nx', b"BAD"),
        ("APPEND INBOX {1+}\r\nx {1+}\r\ny", b"BAD"),
        ('APPEND INBOX "text"', b"BAD"),
    ],
)
def test_refusals_about_mailboxes(client: Client, account: Account, command: str | bytes, says: bytes) -> None:
    """What cannot be is refused with the code that says why, and nothing has changed."""
    used, before = account.used, [mailbox.name for mailbox in account.mailboxes()]
    assert client.run(command).tagged.startswith(says)
    assert client.run("NOOP").ok
    assert (account.used, [mailbox.name for mailbox in account.mailboxes()]) == (used, before)


def test_rename_takes_all_below_along_and_empties_inbox(client: Client, account: Account) -> None:
    """RENAME moves the tree; of INBOX it moves the messages, and INBOX stays."""
    validity = account.mailbox("Work/Projects").uidvalidity
    assert client.run("RENAME Work Old/Work").ok
    assert account.mailbox("Old/Work/Projects").uidvalidity == validity
    assert account.find("Work") is None
    assert account.find("Old") is not None
    assert client.run("RENAME inbox Kept").ok
    assert (len(account.mailbox("Kept").messages()), account.mailbox("INBOX").messages()) == (5, [])


def test_a_mailbox_made_anew_has_another_uidvalidity(client: Client) -> None:
    """DELETE and CREATE of the same name never give the same UIDVALIDITY again."""
    before = client.run("STATUS Trash (UIDVALIDITY)").untagged
    assert client.run("DELETE Trash").ok
    assert client.run("CREATE Trash/").ok
    after = client.run("STATUS Trash (UIDVALIDITY)").untagged
    assert before[0].startswith(b'STATUS "Trash" (UIDVALIDITY ')
    assert before != after


def test_status_and_select(client: Client, account: Account) -> None:
    """STATUS counts without selecting; SELECT says all that RFC 3501 asks for and claims what is recent."""
    inbox = account.mailbox("INBOX")
    status = client.run("STATUS INBOX (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN)").untagged
    assert status == [b'STATUS "INBOX" (MESSAGES 5 RECENT 5 UIDNEXT 6 UIDVALIDITY %d UNSEEN 3)' % inbox.uidvalidity]
    answer = client.run("SELECT inbox")
    assert answer.tagged.startswith(b"OK [READ-WRITE]")
    codes = {line.partition(b"]")[0] for line in answer.untagged}
    assert {b"5 EXISTS", b"5 RECENT", b"OK [UNSEEN 1", b"OK [UIDNEXT 6"} <= codes
    assert b"OK [UIDVALIDITY %d" % inbox.uidvalidity in codes
    assert b"OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft \\*)" in codes
    assert b"FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)" in codes
    answer = client.run("EXAMINE INBOX")
    assert answer.tagged.startswith(b"OK [READ-ONLY]")
    assert b"0 RECENT" in answer.untagged
    assert any(line.startswith(b"OK [PERMANENTFLAGS ()]") for line in answer.untagged)
    assert client.run("SELECT nothing").tagged.startswith(b"NO")
    assert client.run("CHECK").tagged.startswith(b"BAD"), "a failed SELECT leaves nothing selected"


@pytest.mark.parametrize("plus", ["", "+"])
def test_append_keeps_flags_date_and_octets(client: Client, account: Account, plus: str) -> None:
    """APPEND with either kind of literal keeps everything and answers APPENDUID."""
    raw = b"Subject: no line end, bare\nLF and \xff\xfe octets"
    command = f'a APPEND Trash (\\Seen $Forwarded) " 3-Feb-2011 04:05:06 -0330" {{{len(raw)}{plus}}}\r\n'
    client.send(command.encode())
    if not plus:
        assert client.response().startswith(b"+ ")
    client.send(raw + b"\r\n")
    trash = account.mailbox("Trash")
    assert client.finish(b"a").tagged.startswith(b"OK [APPENDUID %d 1]" % trash.uidvalidity)
    (message,) = trash.messages()
    assert message.raw == raw
    assert message.flags == frozenset({"\\Seen", "$Forwarded"})
    assert message.internal_date == datetime(2011, 2, 3, 7, 35, 6, tzinfo=UTC)
    client.run("EXAMINE Trash")
    assert b'INTERNALDATE " 3-Feb-2011 04:05:06 -0330"' in client.run("FETCH 1 INTERNALDATE").untagged[0]


def test_quota_counts_octets_and_refuses_what_does_not_fit(client: Client, account: Account) -> None:
    """STORAGE counts units of 1024 octets; APPEND and COPY over the limit are refused, MOVE and deletion are not."""
    account.limit = 100 * 1024
    assert client.run(b"APPEND INBOX {81920+}\r\n" + b"x" * 81920).ok
    used = sum(len(message.raw) for message in account.mailbox("INBOX").messages())
    assert account.used == used
    line = b'QUOTA "" (STORAGE %d 100)' % -(-used // 1024)
    assert client.run('GETQUOTA ""').untagged == [line]
    assert client.run("GETQUOTAROOT inbox").untagged == [b'QUOTAROOT "INBOX" ""', line]
    assert client.run(b"APPEND INBOX {30000+}\r\n" + b"x" * 30000).tagged.startswith(b"NO [OVERQUOTA]")
    client.run("SELECT INBOX")
    assert client.run("COPY 1:6 Trash").tagged.startswith(b"NO [OVERQUOTA]")
    assert (account.used, account.mailbox("Trash").messages()) == (used, [])
    assert client.run("MOVE 6 Trash").ok
    assert account.used == used
    assert client.run("DELETE Trash").ok
    assert account.used == used - 81920
    account.limit = None
    assert client.run("GETQUOTAROOT INBOX").untagged == [b'QUOTAROOT "INBOX"']
    assert client.run('GETQUOTA ""').tagged.startswith(b"NO")


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        (b"*", b"a/b", True),
        (b"%", b"a/b", False),
        (b"%/%", b"a/b", True),
        (b"a*c", b"a/b/c", True),
        (b"a%c", b"abc", True),
        (b"a%c", b"a/c", False),
        (b"%*", b"a/b", True),
        (b"", b"", True),
        (b"a", b"ab", False),
        (b"*a" * 200, b"a" * 199, False),
    ],
)
def test_patterns(pattern: bytes, name: bytes, fits: bool) -> None:
    """`*` stands for anything, `%` for anything within a level; many of them take no longer."""
    assert names.matches(pattern, name) is fits
