"""mbox files in all their variants: what comes out is what was put in, whatever stands around it."""

from __future__ import annotations

import mailbox
import os
import tracemalloc
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailarchive.archives.marker import Kind
from mailarchive.archives.opening import open_for_writing
from mailarchive.errors import MessageError
from mailarchive.foreign import DateFrom, ForeignMessage
from mailarchive.imports import mbox
from mailarchive.imports.marks import EXPUNGED, SPAM_OR_TRASH
from mailarchive.model import Mailbox
from tests import foreign
from tests.contract.archives import Given
from tests.foreign import FROM, TAKEOUT, crlf, letter, letters, octets, read, reasons

if TYPE_CHECKING:
    from pathlib import Path


def written(folder: Path, content: bytes, name: str = "old.mbox") -> Path:
    """Write a file."""
    path = folder / name
    path.write_bytes(content)
    return path


NASTY = [
    letter(1),
    letter(2, b"From here on\n>From there\n>>From all\nFrom: nobody\n"),
    letter(3, b"no final newline"),
    letter(4, b"a lone \r in it, and NUL \0\n"),
    letter(5, b"ends in an empty line\n\n"),
    letter(6, b"\n\n\nblank\n\n\n"),
    letter(7, b""),
    letter(8, b"\xff\xfe 8-bit\n"),
    letter(9, b"x" * 200_000 + b"\n"),
    letter(10, b"\nFrom a@example.org Sat Mar  1 09:00:00 2014\nprose that was quoted\n"),
]


def test_what_was_put_in_comes_out(tmp_path: Path) -> None:
    """Nasty messages in mboxrd; a missing last line end is the writer's to add, so it is put in here."""
    put = [each if each.endswith(b"\n") else each + b"\n" for each in NASTY]
    found = read(written(tmp_path, foreign.mbox(put)))
    assert octets(found) == [crlf(each) for each in put]
    assert reasons(found) == []
    offsets = [each.origin.offset for each in letters(found)]
    assert offsets == sorted(offsets, key=lambda offset: offset or 0)
    content = (tmp_path / "old.mbox").read_bytes()
    assert all(offset is not None and content[offset:].startswith(FROM) for offset in offsets)


def test_crlf_stays(tmp_path: Path) -> None:
    """A message that has CRLF keeps its octets, a bare LF in it too."""
    put = [crlf(letter(1)), crlf(letter(2)) + b"bare\nline\r\n"]
    assert octets(read(written(tmp_path, foreign.mbox(put, TAKEOUT)))) == put


@pytest.mark.parametrize(
    ("content", "bodies"),
    [
        (FROM + b"A: 1\n\nx\n\n" + FROM + b"A: 2\n\ny\n", [b"A: 1\n\nx\n", b"A: 2\n\ny\n"]),
        (FROM + b"A: 1\n\nx\n" + FROM + b"A: 2\n\ny\n", [b"A: 1\n\nx\n" + FROM + b"A: 2\n\ny\n"]),
        (FROM + b"A: 1\n\nFrom nobody at all\n\n", [b"A: 1\n\nFrom nobody at all\n"]),
        (FROM + b"A: 1\n\n" + FROM + b"A: 2\n\n", [b"A: 1\n\n", b"A: 2\n\n"]),
        (FROM + b"A: 1\n\n\n" + FROM + b"A: 2\n\n\n", [b"A: 1\n\n", b"A: 2\n\n"]),
        (FROM + b"A: 1\n\nx\n\n\n", [b"A: 1\n\nx\n\n"]),
        (FROM + b"A: 1\n\nx", [b"A: 1\n\nx"]),
        (b"From no date\nA: 1\n\nx\n", [b"A: 1\n\nx\n"]),
    ],
)
def test_where_messages_end(tmp_path: Path, content: bytes, bodies: list[bytes]) -> None:
    """An empty line and a dated From line separate; the empty line belongs to the file, unless it ends a header."""
    assert octets(read(written(tmp_path, content))) == [crlf(each) for each in bodies]


def test_empty_messages_are_named(tmp_path: Path) -> None:
    """Each From line is accounted for."""
    found = read(written(tmp_path, FROM + b"\n" + FROM + FROM.replace(b"a@", b"b@") + b"A: 1\n\n"))
    assert reasons(found) == ["it is empty"]
    assert len(letters(found)) == 1


def test_flags_dates_and_where_they_are_from(tmp_path: Path) -> None:
    """Status becomes flags; a date with a zone is the message's, one without counts last."""
    content = foreign.mbox([letter(1, more=b"Status: RO\nX-Status: F\n"), b"A: 1\n\nx\n"])
    content += foreign.mbox([letter(3)], FROM.replace(b"2014", b"2014 +0100"))
    first, second, third = letters(read(written(tmp_path, content)))
    assert first.flags == frozenset({"\\Seen", "\\Flagged"})
    assert (first.date, first.dated_by) == (datetime(2014, 3, 1, 9, tzinfo=UTC), DateFrom.DATE)
    assert (second.flags, second.dated_by) == (None, DateFrom.FROM_LINE)
    assert (third.date, third.dated_by) == (datetime(2014, 3, 1, 8, tzinfo=UTC), DateFrom.METADATA)
    assert first.mailbox == "old"


def test_takeout(tmp_path: Path) -> None:
    """Labels are mailboxes, folded and encoded; Spam and Trash are left out; ids and labels are noted."""
    put = [
        crlf(letter(1, more=b"X-GM-THRID: 99\nX-Gmail-Labels: Inbox,Starred,\n =?UTF-8?Q?=C3=89t=C3=A9?=\n")),
        crlf(letter(2, more=b"X-Gmail-Labels: =?UTF-8?Q?Work/=C3=A9t?=\n =?UTF-8?Q?=C3=A9,Unread?=\n")),
        crlf(letter(3, more=b"X-Gmail-Labels: Spam\n")),
        crlf(letter(4, more=b"X-Gmail-Labels: Opened\n")),
    ]
    path = written(tmp_path, foreign.mbox(put, TAKEOUT), "All mail.mbox")
    found = read(path)
    assert octets(found) == [put[0], put[1], put[3]]
    assert reasons(found) == [SPAM_OR_TRASH]
    first, second, third = letters(found)
    assert (first.mailbox, first.also, first.flags) == (
        "INBOX",
        ("Été",),
        frozenset({"\\Seen", "\\Flagged"}),
    )
    assert first.notes == {"labels": ("Inbox", "Starred", "Été"), "gm_msgid": "1545", "gm_thrid": "99"}
    assert (first.date, first.dated_by) == (datetime(2016, 9, 16, 22, 26, 51, tzinfo=UTC), DateFrom.METADATA)
    assert (second.mailbox, second.flags) == ("Work/été", frozenset())
    assert third.mailbox == "All mail"


def test_what_thunderbird_deleted_is_left_out(tmp_path: Path) -> None:
    """It waits there only to be compacted away."""
    put = [letter(1, more=b"X-Mozilla-Status: 0009\n"), letter(2, more=b"X-Mozilla-Status: 0001\n")]
    found = read(written(tmp_path, foreign.mbox(put, b"From - Sat Mar 01 09:00:00 2014\n"), "Inbox"))
    assert octets(found) == [crlf(put[1])]
    assert reasons(found) == [EXPUNGED]


def test_notes_of_a_server_are_no_mail(tmp_path: Path) -> None:
    """The first message of an mbox that Dovecot or c-client has kept."""
    note = b"From: Mail System <MAILER-DAEMON@x>\nSubject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\n\nx\n"
    found = read(written(tmp_path, foreign.mbox([note, letter(1)])))
    assert (len(letters(found)), reasons(found)) == (1, [mbox.INTERNAL])


OURS = (
    b"Subject: a\r\n\r\nFrom here\r\n>From there\r\n",
    b"no header, no end",
    b"Status: RO\n\nlf\r\nand a bare \r\n\n\n",
    b"X: 1\r\n\r\n\r\nFrom a@example.org Sat Mar  1 09:00:00 2014\r\nSubject: no message\r\n\r\n",
    bytes(range(256)),
)


def ours(folder: Path) -> Path:
    """Write an archive of ours with mbox files; gives one of them."""
    with open_for_writing(folder, "imaps://me@x", run="r", started="", kind=Kind("mbox"), remember=False) as opened:
        for number, each in enumerate(OURS):
            put = Given(each, datetime(2014, 3, 1, number, tzinfo=UTC), frozenset({"\\Seen", f"word{number}"}))
            opened.mail.add(Mailbox("Work", b"", "/"), put, 77)
        opened.mail.sync()
    return folder / "Work" / "2014.mbox"


def test_our_own_mbox_gives_the_exact_octets(tmp_path: Path) -> None:
    """Whatever they are; with their flags and keywords, the exact date, and the mailbox without the year."""
    path = ours(tmp_path / "archive")
    found = list(mbox.messages(path, "Work/2014"))
    assert octets(found) == list(OURS)
    for number, each in enumerate(letters(found)):
        assert each.flags == frozenset({"\\Seen", f"word{number}"})
        assert each.date == datetime(2014, 3, 1, number, tzinfo=UTC)
        assert each.mailbox == "Work"
    assert [each.mailbox for each in letters(mbox.messages(path, "2014"))] == ["2014"] * len(OURS)


def test_a_damaged_message_of_ours_is_a_failure_and_the_others_are_taken(tmp_path: Path) -> None:
    """Its block says what its octets should be."""
    path = ours(tmp_path / "archive")
    path.chmod(0o600)
    path.write_bytes(path.read_bytes().replace(b"no header", b"No header"))
    found = letters(mbox.messages(path, "Work"))
    with pytest.raises(MessageError, match="not those that were archived"):
        b"".join(found[1].chunks())
    assert [b"".join(found[number].chunks()) for number in (0, 2, 3, 4)] == [OURS[number] for number in (0, 2, 3, 4)]


def test_a_file_that_changes_gives_no_octets(tmp_path: Path) -> None:
    """What was learned about it no longer holds."""
    path = written(tmp_path, foreign.mbox([letter(1)]))
    (message,) = letters(read(path))
    with path.open("ab") as file:
        file.write(b"more")
    with pytest.raises(MessageError, match="has changed"):
        list(message.chunks())
    path.unlink()
    with pytest.raises(MessageError, match="No such file"):
        list(message.chunks())


def test_a_link_in_the_place_of_the_file_is_not_followed(tmp_path: Path) -> None:
    """Not even to the same octets."""
    path = written(tmp_path, foreign.mbox([letter(1)]))
    (message,) = letters(read(path))
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(MessageError):
        list(message.chunks())


def test_what_python_writes(tmp_path: Path) -> None:
    """Another writer of the format: the same messages, with their flags."""
    path = tmp_path / "python.mbox"
    box = mailbox.mbox(path)
    put = [letter(1), letter(2, b"From here on\nall is well\n"), letter(3, b"two\n\nparagraphs\n")]
    for number, each in enumerate(put):
        message = mailbox.mboxMessage(each)
        message.set_flags("RF" if number else "")
        box.add(message)
    box.close()
    found = letters(read(path))
    assert len(found) == 3
    assert [sorted(each.flags or ()) for each in found] == [[], *[["\\Flagged", "\\Seen"]] * 2]
    bodies = [each.partition(b"\r\n\r\n")[2] for each in octets(found)]
    assert bodies == [crlf(each.partition(b"\n\n")[2]) for each in put]


def reader(content: bytes) -> mbox.Read:
    """Read from memory."""
    return lambda offset, count: content[offset : offset + count]


PARTS = st.sampled_from(
    [
        FROM,
        TAKEOUT,
        b"From ",
        b"\n",
        b"\r\n",
        b"\r",
        b"A: 1\n",
        b">From x\n",
        b"x" * 999,
        b"\xff",
        b"\0",
        b"From a Sat ",
    ]
)


@given(st.lists(PARTS, max_size=30).map(b"".join), st.integers(1, 2000))
@example(FROM + b"\n" + FROM, 1)
def test_any_file_is_cut_into_pieces_that_are_all_of_it(content: bytes, block: int) -> None:
    """Whatever the octets, the pieces lie side by side, from the first to the last, in blocks of any size."""
    before = mbox._BLOCK
    try:
        mbox._BLOCK = block  # small files have the boundaries of large ones then
        found = list(mbox.spans(reader(content), 0, len(content)))
    finally:
        mbox._BLOCK = before
    assert found == list(mbox.spans(reader(content), 0, len(content)))
    at = 0
    for each in found:
        assert each.offset == at
        assert at <= each.start <= each.end
        rest = content[each.end :]
        at = next((other.offset for other in found if other.offset > each.offset), len(content))
        assert content[each.end : at] in (b"", b"\n", b"\r\n")
        assert at - each.end <= len(rest)
    assert at == len(content)


@given(st.lists(PARTS, max_size=30).map(b"".join))
def test_no_file_makes_the_reader_raise(content: bytes) -> None:
    """Only our own values come out, and every message can be read."""
    folder = _folder()
    path = folder / "fuzz.mbox"
    path.write_bytes(FROM + content)
    for each in mbox.messages(path, "x"):
        if isinstance(each, ForeignMessage):
            assert len(b"".join(each.chunks())) <= 2 * len(content) + 2


def _folder() -> Path:
    from pathlib import Path

    return Path(os.environ["HOME"])


def test_a_large_file_is_read_in_little_memory(tmp_path: Path) -> None:
    """Forty megabytes of messages, one of them of ten, in a few."""
    path = tmp_path / "large.mbox"
    with path.open("wb") as file:
        for number in range(3000):
            file.write(foreign.mbox([letter(number, b"some words of a letter\n" * 450)]))
        file.write(foreign.mbox([letter(3000, b"y" * 10_000_000 + b"\n")]))
    tracemalloc.start()
    count = size = 0
    for message in mbox.messages(path, "large"):
        assert isinstance(message, ForeignMessage)
        count += 1
        size += sum(map(len, message.chunks()))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 3001
    assert size > 40_000_000
    assert peak < 8_000_000, peak
