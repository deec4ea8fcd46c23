"""What imap-backup has written, with all flags it has; and indexes that do not fit."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailarchive.foreign import DateFrom
from mailarchive.imports.imap_backup import read_index
from tests import foreign
from tests.foreign import FROM, crlf, index, letter, letters, octets, read, reasons

if TYPE_CHECKING:
    from pathlib import Path

SENT = [
    (5, crlf(letter(1)), ["Seen", "Recent"]),
    (17, crlf(letter(2, b"From you\nFrom: them\n>From all\nFrom\n")), ["Answered", "Flagged", "$Forwarded", "NonJunk"]),
    (18, crlf(letter(3, b"a lone \r here\n\n\n\n")), []),
    (19, crlf(letter(4, b"")), ["Draft", "Deleted"]),
    (20, b"From: first@example.org\r\n\r\n>From the second line\r\n", ["Seen"]),
]


@pytest.mark.parametrize("version", [3, 3.1])
def test_the_pair_gives_what_the_server_sent(tmp_path: Path, version: float) -> None:
    """Octets, flags and UIDs; the date is that of the header, for imap-backup keeps none."""
    foreign.imap_backup(tmp_path, "Work%3a;2014", SENT, version)
    found = read(tmp_path)
    assert octets(found) == [sent for _, sent, _ in SENT]
    assert [each.flags for each in letters(found)] == [
        frozenset({"\\Seen"}),
        frozenset({"\\Answered", "\\Flagged", "$Forwarded", "NonJunk"}),
        frozenset(),
        frozenset({"\\Draft"}),
        frozenset({"\\Seen"}),
    ]
    first = letters(found)[0]
    assert first.mailbox == "Work:2014"
    assert first.notes == {"source_uid": 5, "source_uidvalidity": 1234567}
    assert (first.date, first.dated_by) == (datetime(2014, 3, 1, 9, tzinfo=UTC), DateFrom.DATE)
    assert reasons(found) == []


def test_a_first_line_was_never_quoted(tmp_path: Path) -> None:
    """The writer quotes behind a line end only, so a first line that looks quoted is the sender's own."""
    sent = b">From the sender\r\nFrom: a@example.org\r\n\r\n>From the body\r\n"
    foreign.imap_backup(tmp_path, "INBOX", [(1, sent, [])])
    assert octets(read(tmp_path)) == [sent]


@pytest.mark.parametrize("named", ["INBOX.mbox", "INBOX.imap"])
def test_either_file_means_the_pair(tmp_path: Path, named: str) -> None:
    """Whoever names one of them gets the flags too."""
    foreign.imap_backup(tmp_path, "INBOX", SENT)
    found = read(tmp_path / named)
    assert len(found) == 5
    assert letters(found)[0].flags == frozenset({"\\Seen"})
    assert letters(found)[0].mailbox == "INBOX"


def test_mailboxes_are_folders(tmp_path: Path) -> None:
    """And the names are unescaped at each level."""
    foreign.imap_backup(tmp_path / "me_example.org" / "a%25;b", "c", SENT[:1])
    assert foreign.mailboxes(read(tmp_path)) == ["me_example.org/a%b/c"]


def test_what_the_index_does_not_know_is_read_by_from_lines(tmp_path: Path) -> None:
    """A file longer than its index (issues 169 and 178): no message is lost, and it is told that flags are."""
    entries = foreign.imap_backup(tmp_path, "INBOX", SENT)
    index(tmp_path / "INBOX.imap", entries[:2])
    found = read(tmp_path)
    assert octets(found) == [sent for _, sent, _ in SENT]
    assert [each.flags for each in letters(found)[2:]] == [None] * 3
    (remark,) = reasons(found)
    assert "does not fit" in remark


@pytest.mark.parametrize(
    "change",
    [
        {"offset": 3},
        {"length": 10_000_000},
        {"length": 2**70},
        {"length": 7},
        {"length": 0},
        {"offset": -1},
        {"offset": "0"},
        {"length": None},
        {"offset": True},
    ],
)
def test_an_index_that_does_not_fit_loses_nothing(tmp_path: Path, change: dict[str, Any]) -> None:
    """From the wrong entry on, From lines count."""
    entries = foreign.imap_backup(tmp_path, "INBOX", SENT)
    entries[1] |= change
    index(tmp_path / "INBOX.imap", entries)
    found = read(tmp_path)
    assert octets(found) == [sent for _, sent, _ in SENT]
    assert [each.flags for each in letters(found)] == [frozenset({"\\Seen"}), None, None, None, None]
    (remark,) = reasons(found)
    assert "does not fit" in remark


def test_damaged_indexes(tmp_path: Path) -> None:
    """No JSON, another version, nothing: the mail is read all the same, and that is told."""
    foreign.imap_backup(tmp_path, "INBOX", SENT)
    for text in ("", "{", "[]", '{"version": 2}', '{"version": 3, "messages": 5}', "[" * 100_000, '"\\ud800"'):
        (tmp_path / "INBOX.imap").write_text(text)
        found = read(tmp_path)
        assert octets(found) == [sent for _, sent, _ in SENT]
        assert reasons(found) == ["the index cannot be read; the flags of these messages are not known"]


def test_an_index_without_its_mail(tmp_path: Path) -> None:
    """Messages that it names are missing, and that is a failure; an empty one is an empty mailbox."""
    entries = foreign.imap_backup(tmp_path, "INBOX", SENT)
    (tmp_path / "INBOX.mbox").unlink()
    assert reasons(read(tmp_path)) == ["No such file or directory"]
    index(tmp_path / "INBOX.imap", [])
    assert read(tmp_path) == []
    assert entries


def test_mail_that_begins_with_no_from_line(tmp_path: Path) -> None:
    """It is named, and not guessed at."""
    (tmp_path / "INBOX.mbox").write_bytes(b"nonsense\n" + FROM)
    index(tmp_path / "INBOX.imap", [])
    assert "no message begins here" in reasons(read(tmp_path))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["version", "uid_validity", "messages", "uid", "offset", "length"]), inner)
    ),
    max_leaves=20,
)


@given(JSON)
def test_any_index_is_read_or_refused(tree: object) -> None:
    """Nothing makes the reader raise."""
    read_index(json.dumps(tree).encode())
    read_index(json.dumps({"version": 3, "uid_validity": 1, "messages": tree}).encode())
    read_index(json.dumps({"version": 3, "uid_validity": tree, "messages": []}).encode())
