"""What other programs note of a message, as tables; and the names that they give to mailboxes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailarchive.foreign import DateFrom, dated, flag, text
from mailarchive.imports import eml, imap_backup, maildir
from mailarchive.imports.marks import (
    EXPUNGED,
    SPAM_OR_TRASH,
    dovecot_keywords,
    gmail_labels,
    of_file_name,
    of_header,
    words,
)


@pytest.mark.parametrize(
    ("word", "read"),
    [
        ("Seen", "\\Seen"),
        ("\\SEEN", "\\Seen"),
        ("\\Answered", "\\Answered"),
        ("Deleted", None),
        ("\\Recent", None),
        ("$Forwarded", "$Forwarded"),
        ("NonJunk", "NonJunk"),
        ("", None),
        ("two words", None),
        ("\\Other", None),
        ("a(b", None),
        ("naïve", None),
        ("esc\x1b", None),
        ("x" * 201, None),
    ],
)
def test_flags_and_keywords(word: str, read: str | None) -> None:
    r"""With or without a backslash; never \\Deleted or \\Recent, and no keyword that a server could not have."""
    assert flag(word) == read


@pytest.mark.parametrize(
    ("head", "flags", "left_out"),
    [
        (b"Subject: x\n\n", None, ""),
        (b"Status: RO\n\n", {"\\Seen"}, ""),
        (b"Status: O\n\n", set(), ""),
        (b"Status: RO\r\nX-Status: AFT\r\n\r\n", {"\\Seen", "\\Answered", "\\Flagged", "\\Draft"}, ""),
        (b"X-Status: D\n\n", set(), ""),
        (b"X-Keywords: $label1 Work  $Forwarded   \n\n", {"$label1", "Work", "$Forwarded"}, ""),
        (b"X-Mozilla-Status: 0001\nX-Mozilla-Status2: 00000000\n\n", {"\\Seen"}, ""),
        (b"X-Mozilla-Status: 1007\n\n", {"\\Seen", "\\Answered", "\\Flagged", "$Forwarded"}, ""),
        (b"X-Mozilla-Status: 0009\n\n", {"\\Seen"}, EXPUNGED),
        (b"X-Mozilla-Status: 0000\nX-Mozilla-Keys: $label2 NonJunk\n\n", {"$label2", "NonJunk"}, ""),
        (b"X-Mozilla-Status: zzzz\n\n", set(), ""),
        (b"\nStatus: RO\n", None, ""),
    ],
)
def test_flags_in_the_header(head: bytes, flags: set[str] | None, left_out: str) -> None:
    """Status, X-Status, X-Keywords and Thunderbird's fields; none of them is not the same as unread."""
    assert of_header(head) == (None if flags is None else frozenset(flags), left_out)


@pytest.mark.parametrize(
    ("name", "unique", "flags"),
    [
        ("1393664400.M1P2.host:2,FS", "1393664400.M1P2.host", {"\\Flagged", "\\Seen"}),
        ("1393664400.M1P2.host;2,R", "1393664400.M1P2.host", {"\\Answered"}),
        ("1393664400.M1P2.host!2,DP", "1393664400.M1P2.host", {"\\Draft", "$Forwarded"}),
        ("1393664400.M1P2.host,U=5:2,Sab", "1393664400.M1P2.host,U=5", {"\\Seen", "Work", "$label1"}),
        ("1393664400.M1P2.host:2,ST", "1393664400.M1P2.host", {"\\Seen"}),
        ("1393664400.M1P2.host:2,S,z", "1393664400.M1P2.host", {"\\Seen"}),
        ("1393664400.M1P2.host:2,", "1393664400.M1P2.host", set()),
        ("1393664400.M1P2.host", "1393664400.M1P2.host", set()),
        ("1393664400.M1P2.host:1,X", "1393664400.M1P2.host:1,X", set()),
    ],
)
def test_flags_in_names(name: str, unique: str, flags: set[str]) -> None:
    """Behind :2, or ;2, or !2, with Dovecot's keywords; a message marked as trashed is mail all the same."""
    keywords = dovecot_keywords("0 Work\n1 $label1\n26 Late\nx y\n\n")
    assert keywords == {"a": "Work", "b": "$label1"}
    assert of_file_name(name, keywords) == (unique, frozenset(flags))


@pytest.mark.parametrize(
    ("value", "mailboxes", "flags", "left_out"),
    [
        ("Inbox,Opened", ("INBOX",), {"\\Seen"}, ""),
        ("Inbox,Unread,Important", ("INBOX",), set(), ""),
        ("Sent,Starred", ("Sent",), {"\\Seen", "\\Flagged"}, ""),
        ("Archived,Opened,Work/2014", ("Work/2014",), {"\\Seen"}, ""),
        ("Archived,Category Updates,Opened", ("Archived",), {"\\Seen"}, ""),
        ("Unread", (), set(), ""),
        ("Drafts", ("Drafts",), {"\\Seen", "\\Draft"}, ""),
        ("Spam,Unread", ("Spam",), set(), SPAM_OR_TRASH),
        ("Inbox,Trash", ("INBOX", "Trash"), {"\\Seen"}, SPAM_OR_TRASH),
        ('"Me, myself",Inbox', ("Me, myself", "INBOX"), {"\\Seen"}, ""),
        ('"say ""hi""" , Été', ('say "hi"', "Été"), {"\\Seen"}, ""),
        ("IMAP_$Forwarded,Inbox", ("INBOX",), {"\\Seen", "$Forwarded"}, ""),
        ("Work,Work,,Work", ("Work",), {"\\Seen"}, ""),
        ("Posteingang,Geöffnet", ("Posteingang", "Geöffnet"), {"\\Seen"}, ""),
        ("", (), {"\\Seen"}, ""),
    ],
)
def test_labels_of_gmail(value: str, mailboxes: tuple[str, ...], flags: set[str], left_out: str) -> None:
    """Each label is a mailbox, but for states and opinions; other languages stay what they are."""
    labels = gmail_labels(value)
    assert (labels.mailboxes, labels.flags, labels.left_out) == (mailboxes, frozenset(flags), left_out)


@given(st.text(max_size=300))
def test_any_labels_are_read(value: str) -> None:
    """Nothing makes the reader raise."""
    assert all(gmail_labels(value).names)


@pytest.mark.parametrize(
    ("part", "name"),
    [
        ("INBOX", "INBOX"),
        ("a%3a;b", "a:b"),
        ("100%25;", "100%"),
        ("%1f600;", "\U0001f600"),
        ("%d800;", "%d800;"),
        ("%ffffff;", "%ffffff;"),
        ("%zz;", "%zz;"),
    ],
)
def test_names_of_imap_backup(part: str, name: str) -> None:
    """Escapes are undone where they are some."""
    assert imap_backup.name_of(part) == name


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        (".Work", "Work"),
        (".Work.2014", "Work/2014"),
        (".&AMk-t&AOk- 2014", "Été 2014"),
        (".a&-b", "a&b"),
        (".&AAA", "&AAA"),
        (".&AAAAAAA-", "&AAAAAAA-"),
        (".Été", "Été"),
    ],
)
def test_names_of_maildir_plus_plus(folder: str, name: str) -> None:
    """Dots are delimiters, names modified UTF-7; what is none stays."""
    assert maildir.plus_name(folder) == name


@pytest.mark.parametrize(
    ("parts", "mailbox"),
    [
        ((), "mail"),
        (("Work",), "Work"),
        (("Work", "Old"), "Work/Old"),
        (("2014",), "mail"),
        (("2014", "03", "01"), "mail"),
        (("2014-03",), "mail"),
        (("Work", "2014", "3"), "Work"),
        (("2014", "Work"), "2014/Work"),
    ],
)
def test_mailboxes_of_eml_folders(parts: tuple[str, ...], mailbox: str) -> None:
    """Years, months and days are no mailboxes."""
    assert eml.mailbox_of(parts, "mail") == mailbox


NAMED = datetime(2014, 3, 1, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "hours", "agrees"),
    [
        ("1393664400.x", 0, True),
        ("1393664400.x", 47, True),
        ("1393664400.x", 49, False),
        ("1393664400.x", -100_000, True),
        ("0.x", 0, False),
        ("x.1393664400", 0, False),
        ("999999999999.x", 0, False),
    ],
)
def test_the_time_of_a_file_needs_a_name_that_agrees(name: str, hours: int, *, agrees: bool) -> None:
    """Not more than two days later; an earlier one was set by a server."""
    when = NAMED + timedelta(hours=hours)
    assert maildir.agreed(name, when) == (when if agrees else None)
    assert maildir.agreed(name, None) is None


def test_the_order_of_dates() -> None:
    """What the source says, the topmost Received, Date, the time of the file, and which it was."""
    received = b"Received: by x; Sat, 1 Mar 2014 11:00:00 +0000\nReceived: by y; Sat, 1 Mar 2014 10:00:00 +0000\n"
    date = b"Date: Sat, 1 Mar 2014 09:00:00 +0000\n"
    file = datetime(2020, 1, 1, tzinfo=UTC)
    assert dated(received + date, NAMED, file) == (NAMED, DateFrom.METADATA)
    assert dated(received + date, None, file) == (NAMED.replace(hour=11), DateFrom.RECEIVED)
    assert dated(b"Received: by x; nonsense\n" + date, None, file) == (NAMED, DateFrom.DATE)
    assert dated(b"Date: nonsense\n", None, file) == (file, DateFrom.FILE)
    assert dated(b"", None, None) == (None, DateFrom.UNKNOWN)


def test_names_in_any_charset() -> None:
    """A name of the system is always writable."""
    assert text("Été".encode()) == "Été"
    assert text(b"\xc9t\xe9") == "Été"


def test_flags_without_number() -> None:
    """An index may hold anything; a line of a manifest must stay one that can be read."""
    assert words(["Seen", "Deleted", "x y", "$a"]) == {"\\Seen", "$a"}
    assert len(words(f"k{number}" for number in range(10_000_000))) == 200
