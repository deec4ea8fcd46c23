"""SEARCH and UID SEARCH on the demo server: every key, charsets, and the extended result."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

from mailarchive.demo.server import DemoServer
from tests.servers.demo_client import DAY, Client, letter, small_store

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
def inbox(served: tuple[DemoServer, Account]) -> Mailbox:
    """The mailbox that the clients have selected."""
    return served[1].mailbox("INBOX")


@pytest.fixture
def searched(inbox: Mailbox) -> None:
    """Three more messages, UID 6 to 8, for SEARCH to find."""
    inbox.append(
        letter("=?utf-8?B?w4l0w6k=?=", "Gr=C3=BC=C3=9Fe\r\n", "Content-Transfer-Encoding: quoted-printable\r\n"),
        datetime(2022, 1, 1, 0, 30, tzinfo=timezone(timedelta(hours=2))),
        ["\\Answered", "\\Flagged", "$Label1"],
    )
    dated = "Date: Fri, 31 Dec 2021 23:30:00 -0800\r\nCc: Zoe <zoe@example.net>\r\nX-Mark:\r\n"
    inbox.append(letter("dated", "x" * 5000, dated), DAY + timedelta(days=900), ["\\Deleted", "\\Draft"])
    inbox.append(b"Subject: Gr\xfc\xdfe\r\nDate: nonsense\r\n\r\n\xff\xfe", DAY + timedelta(days=901))


@pytest.mark.usefixtures("searched")
@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ("ALL", "1 2 3 4 5 6 7 8"),
        ("SEEN", "2 4"),
        ("UNSEEN", "1 3 5 6 7 8"),
        ("FLAGGED", "6"),
        ("UNFLAGGED 5:7", "5 7"),
        ("ANSWERED", "6"),
        ("UNANSWERED 6:*", "7 8"),
        ("DELETED", "7"),
        ("UNDELETED 6:*", "6 8"),
        ("DRAFT", "7"),
        ("UNDRAFT 7:8", "8"),
        ("KEYWORD $label1", "6"),
        ("UNKEYWORD $Label1 6:7", "7"),
        ("RECENT", "1 2 3 4 5 6 7 8"),
        ("NEW", "1 3 5 6 7 8"),
        ("OLD", ""),
        ("BEFORE 19-May-2020", "1 2"),
        ('SINCE "20-May-2020" 1:5', "4 5"),
        ("ON 19-May-2020", "3"),
        ("ON 1-Jan-2022", "6"),
        ("SENTBEFORE 1-Jan-2022", "7"),
        ("SENTON 31-Dec-2021", "7"),
        ("SENTSINCE 1-Jan-2022", ""),
        ("LARGER 5000", "7"),
        ("SMALLER 60", "8"),
        ("SUBJECT TWO", "2"),
        ("FROM anna@example.org SUBJECT five", "5"),
        ("TO nobody", ""),
        ("CC zoe", "7"),
        ("BCC zoe", ""),
        ('HEADER X-Mark ""', "7"),
        ("HEADER Cc ZOE", "7"),
        ("BODY hello UID 4:9", "4 5"),
        ("TEXT subject: 8", "8"),
        ("TEXT xxxx", "7"),
        ("BODY one", ""),
        (b"CHARSET UTF-8 SUBJECT {5+}\r\n\xc3\xa9t\xc3\xa9", "6"),
        (b"CHARSET utf-8 SUBJECT {7+}\r\nGR\xc3\x9cSSE", "8"),
        (b"CHARSET utf-8 SUBJECT {4+}\r\ngr\xc3\xbc", "8"),
        (b"CHARSET utf-8 BODY {4+}\r\ngr\xc3\xbc", "6"),
        ("NOT SEEN", "1 3 5 6 7 8"),
        ("OR SUBJECT one SUBJECT three", "1 3"),
        ("OR (SEEN SUBJECT two) NOT (UID 1:7)", "2 8"),
        ("(UNSEEN (UID 1,3))", "1 3"),
        ("1:2 UID 2:3", "2"),
        ("UID 99:*", "8"),
        ("CHARSET US-ASCII SUBJECT one", "1"),
    ],
)
def test_search(client: Client, keys: str | bytes, found: str) -> None:
    """Each key finds what it should, and nothing else."""
    command = b"SEARCH " + (keys.encode() if isinstance(keys, str) else keys)
    expected = [b" ".join([b"SEARCH", *found.encode().split()])]
    assert client.run(command).untagged == expected
    assert client.run(b"UID " + command).untagged == expected


@pytest.mark.parametrize(
    ("options", "result"),
    [
        ("MIN", b"MIN 1"),
        ("max", b"MAX 5"),
        ("COUNT", b"COUNT 3"),
        ("ALL", b"ALL 1,3,5"),
        ("", b"ALL 1,3,5"),
        ("COUNT MIN MAX ALL", b"MIN 1 MAX 5 ALL 1,3,5 COUNT 3"),
    ],
)
def test_extended_search(client: Client, options: str, result: bytes) -> None:
    """RETURN gives ESEARCH with the tag, and UID where it was UID SEARCH (RFC 4731)."""
    client.send(f"x SEARCH RETURN ({options}) UNSEEN\r\n".encode())
    assert client.finish(b"x").untagged == [b'ESEARCH (TAG "x") ' + result]
    client.send(f"y UID SEARCH RETURN ({options}) CHARSET UTF-8 UNSEEN\r\n".encode())
    assert client.finish(b"y").untagged == [b'ESEARCH (TAG "y") UID ' + result]


def test_extended_search_that_finds_nothing(client: Client) -> None:
    """Only COUNT has something to say of nothing; ranges are used where they can be."""
    client.send(b"x UID SEARCH RETURN (MIN MAX ALL COUNT) FLAGGED\r\n")
    assert client.finish(b"x").untagged == [b'ESEARCH (TAG "x") UID COUNT 0']
    client.send(b"y SEARCH RETURN () ALL\r\n")
    assert client.finish(b"y").untagged == [b'ESEARCH (TAG "y") ALL 1:5']


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("SEARCH", b"BAD"),
        ("SEARCH COLOUR", b"BAD"),
        ("SEARCH ()", b"BAD"),
        ("SEARCH NOT", b"BAD"),
        ("SEARCH OR SEEN", b"BAD"),
        ("SEARCH BEFORE 31-Feb-2020", b"BAD"),
        ("SEARCH BEFORE 1-Foo-2020", b"BAD"),
        ("SEARCH LARGER x", b"BAD"),
        ("SEARCH LARGER 4294967296", b"BAD"),
        ("SEARCH RETURN (FIRST) ALL", b"BAD"),
        ("SEARCH " + "(" * 60 + "ALL" + ")" * 60, b"BAD"),
        ("SEARCH CHARSET KOI8-R ALL", b"NO [BADCHARSET (US-ASCII UTF-8)]"),
        (b"SEARCH CHARSET UTF-8 SUBJECT {2+}\r\n\xff\xff", b"BAD"),
        (b'SEARCH SUBJECT "\xc3\xa9"', b"BAD"),
    ],
)
def test_refusals_of_search(client: Client, command: str | bytes, says: bytes) -> None:
    """What is no search is refused without an answer, and the session goes on."""
    answer = client.run(command)
    assert answer.tagged.startswith(says)
    assert answer.untagged == []
    assert client.run("NOOP").ok
