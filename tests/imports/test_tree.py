"""What lies in a folder is recognised by looking at it: Maildirs, .eml files, mboxes, profiles; and links are left."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mailarchive import imports
from mailarchive.errors import UsageError
from mailarchive.foreign import DateFrom
from mailarchive.imports.tree import LINK
from tests import foreign
from tests.foreign import crlf, letter, letters, mailboxes, maildir, octets, read, reasons

EPOCH = 1393664400


def test_a_maildir_with_all_it_knows(tmp_path: Path) -> None:
    """Flags, keywords, dates; `tmp` is no mail, LF becomes CRLF and CRLF stays."""
    maildir(
        tmp_path / "Work",
        {
            f"cur/{EPOCH}.a:2,FSa": letter(1),
            f"cur/{EPOCH}.b;2,R": crlf(letter(2)),
            "cur/99.c!2,": letter(3),
            f"new/{EPOCH}.d": letter(4),
            "tmp/x": letter(5),
        },
    )
    (tmp_path / "Work" / "dovecot-keywords").write_text("0 $label1\n")
    found = letters(read(tmp_path / "Work"))
    assert octets(found) == [crlf(letter(number)) for number in (1, 2, 3, 4)]
    flags = [sorted(each.flags or ()) for each in found]
    assert flags == [["$label1", "\\Flagged", "\\Seen"], ["\\Answered"], [], []]
    assert {each.mailbox for each in found} == {"Work"}
    assert (found[0].date, found[0].dated_by) == (datetime.fromtimestamp(EPOCH, UTC), DateFrom.METADATA)
    assert found[2].dated_by is DateFrom.DATE


def test_a_file_of_ours_is_what_it_says(tmp_path: Path) -> None:
    """Its name tells the digest of its octets, so no line end is changed."""
    name = f"{EPOCH}.093205eaebd68fd9184915d1265a6d96.mailarchive,S=9:2,S"
    maildir(tmp_path / "Work", {f"cur/{name}": letter(1)})
    assert octets(read(tmp_path / "Work")) == [letter(1)]


@pytest.mark.parametrize(
    ("folders", "names"),
    [
        (["Maildir"], ["INBOX"]),
        (["Maildir", "Maildir/.Work.2014", "Maildir/.&AMk-t&AOk-"], ["INBOX", "Work/2014", "Été"]),
        (["Box", "Box/.Work"], ["INBOX", "Work"]),
        (["Box", "Box/Sub", "Box/Sub/Deep"], ["Box", "Box/Sub", "Box/Sub/Deep"]),
        (["Maildir", "Maildir/Sub"], ["INBOX", "Sub"]),
        (["me/Maildir", "me/Maildir/.Work"], ["INBOX", "Work"]),
        (["all/me/Maildir", "all/me/Maildir/.Work", "all/you/.maildir"], ["me", "me/Work", "you"]),
        (["Mail/A", "Mail/B/C"], ["A", "B/C"]),
        (["Mail/A", "Mail/.mailarchive/damaged"], ["A"]),
        (["Mail/A", "Mail/A/.hidden/x"], ["A"]),
    ],
)
def test_names_of_maildirs(tmp_path: Path, folders: list[str], names: list[str]) -> None:
    """Nested and ++, the first of the folders being the source or in it."""
    for number, folder in enumerate(folders):
        maildir(tmp_path / folder, {f"cur/{EPOCH}.{number}": letter(number)})
    assert sorted(mailboxes(read(tmp_path / folders[0].split("/")[0]))) == sorted(names)


def test_a_folder_of_eml_files(tmp_path: Path) -> None:
    """Folders are mailboxes, numbers are not; names in any case; line ends are those of the wire."""
    for number, name in enumerate(["Work/a.eml", "Work/b.EML", "2014/03/c.eml", "d.eml", "Work/notes.txt"]):
        path = tmp_path / "export" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(letter(number))
    (tmp_path / "export" / "empty.eml").write_bytes(b"")
    found = read(tmp_path / "export")
    assert sorted(mailboxes(found)) == ["Work", "Work", "export", "export"]
    assert sorted(octets(found)) == [crlf(letter(number)) for number in range(4)]
    assert reasons(found) == ["it is empty"]
    (single,) = read(tmp_path / "export" / "Work" / "a.eml")
    assert mailboxes([single]) == ["Work"]


def test_the_time_of_a_file_is_the_last_resort(tmp_path: Path) -> None:
    """For a message whose header says nothing."""
    path = tmp_path / "a.eml"
    path.write_bytes(b"Subject: x\n\nx\n")
    os.utime(path, (EPOCH, EPOCH))
    (message,) = letters(read(path))
    assert (message.date, message.dated_by) == (datetime.fromtimestamp(EPOCH, UTC), DateFrom.FILE)


def test_a_profile_of_thunderbird(tmp_path: Path) -> None:
    """Files without an ending, `.sbd` folders, indexes that are no mail."""
    profile = tmp_path / "x.default"
    local = profile / "Mail" / "Local Folders"
    (local / "Work.sbd").mkdir(parents=True)
    (profile / "prefs.js").write_text("//")
    line = b"From - Sat Mar 01 09:00:00 2014\n"
    (local / "Inbox").write_bytes(foreign.mbox([letter(1)], line))
    (local / "Work").write_bytes(b"")
    (local / "Work.sbd" / "2014").write_bytes(foreign.mbox([letter(2)], line))
    (local / "Inbox.msf").write_bytes(b"From the index\n")
    assert mailboxes(read(profile)) == ["Local Folders/Inbox", "Local Folders/Work/2014"]
    assert mailboxes(read(local)) == ["Inbox", "Work/2014"]


@pytest.mark.parametrize("below", ["", "Old/"])
def test_an_export_of_apple_mail(tmp_path: Path, below: str) -> None:
    """A mailbox is a folder with an mbox file and other things."""
    folder = tmp_path / f"export/{below}Work.mbox"
    folder.mkdir(parents=True)
    (folder / "mbox").write_bytes(foreign.mbox([letter(1)]))
    (folder / "table_of_contents").write_bytes(b"\0From")
    assert mailboxes(read(tmp_path / "export")) == [f"{below}Work"]
    assert mailboxes(read(folder)) == ["Work"]


def test_one_tree_may_hold_several_kinds(tmp_path: Path) -> None:
    """Each is read in its way, in the order of the names."""
    maildir(tmp_path / "c", {f"cur/{EPOCH}.a:2,S": letter(1)})
    (tmp_path / "b.mbox").write_bytes(foreign.mbox([letter(2)]))
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.eml").write_bytes(letter(3))
    foreign.imap_backup(tmp_path / "d", "INBOX", [(1, crlf(letter(4)), ["Seen"])])
    found = read(tmp_path)
    assert mailboxes(found) == ["b", "a", "c", "d/INBOX"]
    assert octets(found) == [crlf(letter(number)) for number in (2, 3, 1, 4)]
    assert imports.look(tmp_path).size >= sum(each.extent for each in letters(found))


def test_links_are_not_followed(tmp_path: Path) -> None:
    """Neither of folders nor of files, wherever they lead; the source itself may be named by one."""
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    maildir(inside / "Work", {f"cur/{EPOCH}.a": letter(1)})
    maildir(outside, {f"cur/{EPOCH}.b": letter(2)})
    (outside / "x.mbox").write_bytes(foreign.mbox([letter(3)]))
    (inside / "Linked").symlink_to(outside)
    (inside / "y.mbox").symlink_to(outside / "x.mbox")
    (inside / "Work" / "cur" / f"{EPOCH}.c").symlink_to(outside / "cur" / f"{EPOCH}.b")
    (inside / "Work" / "loop").symlink_to(inside)
    (tmp_path / "name").symlink_to(inside)
    found = read(tmp_path / "name")
    assert octets(found) == [crlf(letter(1))]
    assert sorted(reasons(found)) == [LINK, LINK, LINK, "it is no regular file"]


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    """A pipe among the messages would never end."""
    maildir(tmp_path / "Work", {f"cur/{EPOCH}.a": letter(1)})
    os.mkfifo(tmp_path / "Work" / "cur" / f"{EPOCH}.b")
    os.mkfifo(tmp_path / "pipe.mbox")
    found = read(tmp_path)
    assert (len(letters(found)), reasons(found)) == (1, ["it is no regular file"])


def test_what_is_no_mail(tmp_path: Path) -> None:
    """Nothing there, nothing of mail in it, a link to itself: refused before anything is opened."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("From here on\n\nnothing")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "image.png").write_bytes(b"\x89PNG\r\n")
    for name in ("empty", "absent", "loop", "image.png", ""):
        with pytest.raises(UsageError):
            imports.look(tmp_path / name if name else tmp_path / "empty")


def test_names_that_no_system_should_have(tmp_path: Path) -> None:
    """Octets that are no UTF-8, controls: the name is text, and can be written anywhere."""
    folder = os.fsencode(tmp_path / "mail")
    path = Path(os.fsdecode(folder + b"/\xc9t\xe9\x1b[31m"))
    path.mkdir(parents=True)
    (path / "a.eml").write_bytes(letter(1))
    found = read(tmp_path / "mail")
    assert mailboxes(found) == ["Été\x1b[31m"]
    assert octets(found) == [crlf(letter(1))]
