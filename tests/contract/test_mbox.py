"""What an archive of mbox files looks like on disk, and what becomes of files that others have touched."""

from __future__ import annotations

import errno
import hashlib
import json
import mailbox
import os
import stat
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mailarchive import mbox_block
from mailarchive.archives import mbox_folders, tail
from mailarchive.archives.marker import Kind
from mailarchive.archives.mbox import MboxArchive
from mailarchive.archives.names import Names
from mailarchive.errors import ArchiveError, BusyError, DiskError
from mailarchive.model import UID, UIDL, Mailbox, RemoteMessage
from tests.contract.archives import ACCOUNT, INBOX, DiskShelf, Given, add, locations, octets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailarchive.model import StoredMessage
    from mailarchive.ports import Archive

WHEN = datetime(2014, 3, 1, 10, tzinfo=timezone(timedelta(hours=1)))
MESSAGE = b"Return-Path: <anna@example.org>\r\nFrom: Bob <bob@example.org>\r\nSubject: a\r\n\r\nFrom here\r\n"
CUT = b"Subject: cut\r\n\r\nwhat was lost\r\n"


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[DiskShelf]:
    """Give an archive of mbox files."""
    made = DiskShelf(tmp_path / "archive", Kind("mbox"))
    yield made
    made.close()


@dataclass
class From(Given):
    """A message with the name that the server gives it."""

    uid: UID | UIDL = UID(1)  # noqa: RUF009 - a UID is a number

    def __post_init__(self) -> None:
        self.message = RemoteMessage(self.uid, len(self.octets), self.internal_date, self.flags)


def put(archive: Archive, message: bytes, uid: UID | UIDL, uidvalidity: int | None = 77, *flags: str) -> StoredMessage:
    """Add one message that has a UID, of 2014, and sync."""
    stored = archive.add(INBOX, From(message, WHEN, frozenset(flags), uid=uid), uidvalidity)
    archive.sync()
    return stored


def text_of(shelf: DiskShelf, name: str = "INBOX/2014.mbox") -> bytes:
    """Read a file."""
    return (shelf.path / name).read_bytes()


def test_a_message_stands_in_the_file_of_its_year_with_our_block(shelf: DiskShelf) -> None:
    """Octet for octet what the format says."""
    archive = shelf.open()
    stored = put(archive, MESSAGE, UID(17), 1234567, "\\Seen", "\\Flagged", "\\Answered", "$label1", "\\Draft")
    digest = hashlib.sha256(MESSAGE).hexdigest()
    body = MESSAGE.replace(b"\r\n", b"\n").replace(b"\nFrom here", b"\n>From here")
    room = 512 - len(" $label1")
    assert text_of(shelf) == (
        b"From anna@example.org Sat Mar  1 09:00:00 2014\n"
        b"X-IMAPbase: 1234567 0000000017 $label1" + b" " * room + b"\n"
        b"X-UID: 17\n"
        b"Status: RO\n"
        b"X-Status: AFT\n"
        b"X-Keywords: $label1\n"
        b"X-Mailarchive: sha256=%s; size=%d; eol=crlf; end=1; length=%010d; date=2014-03-01T10:00:00+01:00;"
        b" uid=17; uidvalidity=1234567\n" % (digest.encode(), len(MESSAGE), len(body)) + body + b"\n"
    )
    assert stored.location == f"INBOX/2014.mbox@0+{len(text_of(shelf))}.{digest}"
    assert octets(archive, stored.location) == MESSAGE


@pytest.mark.parametrize(
    ("head", "sender"),
    [
        (b"Return-Path: <a@b.c>\nFrom: x@y.z\n", b"a@b.c"),
        (b"Return-Path: <>\nFrom: X Y <x@y.z>\n", b"x@y.z"),
        (b"From: =?utf-8?q?x?= (a b) x@y.z\n", b"x@y.z"),
        (b"From: nobody\n", b"MAILER-DAEMON"),
        ("From: <ü@y.z>\n".encode(), b"MAILER-DAEMON"),
        (b"From: <a b@y.z>\n", b"b@y.z"),
        (b"", b"MAILER-DAEMON"),
        (b"From: " + b"a" * 8000 + b"@" + b"b" * 8000 + b"\n", b"a" * 64 + b"@" + b"b" * 190),
    ],
)
def test_the_separator_names_a_sender_without_blanks(head: bytes, sender: bytes) -> None:
    """Whatever the header says."""
    assert mbox_block.separator(head, WHEN) == b"From " + sender + b" Sat Mar  1 09:00:00 2014\n"


def test_files_go_by_the_year_in_utc(shelf: DiskShelf) -> None:
    """An unknown date, and one that is no date in UTC, is undated."""
    archive = shelf.open()
    dates = [datetime(2014, 1, 1, 0, 30, tzinfo=timezone(timedelta(hours=1))), WHEN, None]
    dates.append(datetime(1, 1, 1, 0, 30, tzinfo=timezone(timedelta(hours=1))))
    for number, date in enumerate(dates):
        add(archive, b"m%d" % number, internal_date=date)
    archive.sync()
    assert sorted(path.name for path in (shelf.path / "INBOX").iterdir()) == ["2013.mbox", "2014.mbox", "undated.mbox"]
    assert len(locations(archive)) == 4


def test_a_file_that_is_full_is_followed_by_another(shelf: DiskShelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a batch and between batches; what went before stays where it is."""
    archive = shelf.open()
    assert isinstance(archive, MboxArchive)
    monkeypatch.setattr(archive, "_largest", mbox_block.LIMIT + 3000)
    for number in range(6):
        add(archive, b"%d" % number + b"x" * 1200, internal_date=WHEN)
        if number % 2:
            archive.sync()
    names = sorted(path.name for path in (shelf.path / "INBOX").iterdir())
    assert names == ["2014-2.mbox", "2014-3.mbox", "2014.mbox"]
    assert {octets(archive, each)[:1] for each in locations(archive)} == {b"%d" % number for number in range(6)}


def test_the_number_and_the_keywords_of_the_first_block_grow_in_their_place(shelf: DiskShelf) -> None:
    """It is as long as before, and what is said is never smaller than a UID that is shown."""
    archive = shelf.open()
    first = put(archive, b"one", UID(5), 77, "a")
    size = len(text_of(shelf))
    put(archive, b"two", UID(9), 77, "b", "a")
    put(archive, b"three", UID(800), 77)
    archive = shelf.open()
    put(archive, b"four", UID(900), 77, "c")
    text = text_of(shelf)
    base = mbox_block.parse_base(text)
    assert base is not None
    assert (base.uidvalidity, base.number, base.keywords) == (77, 900, ("a", "b", "c"))
    assert text[size:].startswith(b"From ")
    assert octets(archive, first.location) == b"one"


def test_a_uid_is_shown_only_while_it_grows_and_in_its_generation(shelf: DiskShelf) -> None:
    """Others stand in our own field alone, where mail programs do not look."""
    archive = shelf.open()
    for uid, uidvalidity in ((5, 77), (3, 77), (9, 78), (6, 77)):
        put(archive, b"%d of %d" % (uid, uidvalidity), UID(uid), uidvalidity)
    text = text_of(shelf)
    assert [line for line in text.split(b"\n") if line.startswith(b"X-UID")] == [b"X-UID: 5", b"X-UID: 6"]
    for each in (b"uid=3; uidvalidity=77", b"uid=9; uidvalidity=78"):
        assert each in text


def test_mail_without_uids_claims_none(shelf: DiskShelf) -> None:
    """POP3: the UIDL in our own field, and nothing that a mail program obeys."""
    archive = shelf.open()
    put(archive, b"one", UIDL("a;b %="), None)
    text = text_of(shelf)
    assert b"X-UID" not in text
    assert b"X-IMAPbase" not in text
    found = mbox_block.parse(text)
    assert found is not None
    assert found[0].uid == UIDL("a;b %=")


def test_keywords_without_room_are_left_out_everywhere(shelf: DiskShelf) -> None:
    """Those that the first block names are shown, and no others."""
    archive = shelf.open()
    words = [f"keyword-{number:03}-{'x' * 30}" for number in range(30)]
    put(archive, b"one", UID(1), 77, *words)
    put(archive, b"two", UID(2), 77, "late")
    base = mbox_block.parse_base(text_of(shelf))
    assert base is not None
    assert 5 < len(base.keywords) < 30
    assert set(base.keywords) < {*words, "late"}
    shown = [line for line in text_of(shelf).split(b"\n") if line.startswith(b"X-Keywords: ")]
    assert set(shown[0].decode().split()[1:]) <= set(base.keywords)


@pytest.mark.parametrize("name", ["../../x", "a.mbox", "2014.mbox", "a/2014.mbox/b", "x.mbox.lock"])
def test_a_mailbox_is_never_taken_for_a_file(shelf: DiskShelf, name: str) -> None:
    """Names that look like ours are escaped."""
    archive = shelf.open()
    add(archive, b"one", Mailbox(name, b"", "/"), internal_date=WHEN)
    archive.sync()
    (path,) = [path for path in shelf.path.rglob("*.mbox") if path.is_file()]
    assert path.name == "2014.mbox"
    assert path.resolve().is_relative_to(shelf.path)
    assert octets(archive, locations(archive)[0]) == b"one"


def test_files_are_read_only_between_runs_and_locks_are_gone(shelf: DiskShelf) -> None:
    """The folder above is closed to others, the file itself to writers."""
    archive = shelf.open()
    put(archive, b"one", UID(1))
    shelf.close()
    files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (shelf.path / "INBOX").iterdir()}
    assert files == {"2014.mbox": 0o444}
    assert stat.S_IMODE((shelf.path / "INBOX").stat().st_mode) == 0o700
    assert not {"batch.run1", "spool.run1", "appending.json"} & {
        path.name for path in (shelf.path / ".mailarchive").iterdir()
    }


LOCKED = """
import fcntl, os, sys, time
os.chmod(sys.argv[1], 0o600)
with open(sys.argv[1], "r+b") as file:
    fcntl.lockf(file, fcntl.LOCK_EX)
    os.write(1, b"x")
    time.sleep(60)
"""
"""Holds a file until it is killed."""


@pytest.mark.parametrize("kind", ["dotlock", "fcntl"])
def test_a_mail_program_that_holds_the_file_is_waited_for_and_then_told(
    shelf: DiskShelf, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Nothing is written into a file that somebody else writes; the batch is void and comes again."""
    archive = shelf.open()
    put(archive, b"one", UID(1))
    before = text_of(shelf)
    path = shelf.path / "INBOX" / "2014.mbox"
    monkeypatch.setattr(tail.Held.__init__, "__kwdefaults__", {"patience": 0.2})
    with ExitStack() as stack:
        if kind == "dotlock":
            path.with_name("2014.mbox.lock").write_text("4711\n")
        else:
            command = [sys.executable, "-c", LOCKED, str(path)]
            child = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
            stack.callback(child.kill)
            assert child.stdout is not None
            assert child.stdout.read(1) == b"x"
        with pytest.raises(BusyError, match="a mail program holds"):
            put(archive, b"two", UID(2))
    assert text_of(shelf) == before
    path.with_name("2014.mbox.lock").unlink(missing_ok=True)
    archive = shelf.open()
    stored = put(archive, b"two", UID(2))
    assert octets(archive, stored.location) == b"two"


def test_f116_a_lock_of_a_run_that_was_killed_holds_nobody_up(shelf: DiskShelf) -> None:
    """It says whose it is, and only the holder of the archive can have made it."""
    archive = shelf.open()
    put(archive, b"one", UID(1))
    lock = shelf.path / "INBOX" / "2014.mbox.lock"
    lock.write_text(f"mailarchive {archive.id} 4711\n")
    stored = put(archive, b"two", UID(2))
    assert octets(archive, stored.location) == b"two"
    assert not lock.exists()


def spoil(path: Path, at: int, octets_: bytes) -> None:
    """Write into a file that is closed to writers."""
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.seek(at)
        file.write(octets_)


def shorten(path: Path, size: int) -> None:
    """Cut a file that is closed to writers."""
    path.chmod(0o600)
    os.truncate(path, size)


@pytest.mark.parametrize("back", range(1, 420, 13))
def test_a_tail_that_was_cut_off_is_recovered(shelf: DiskShelf, back: int) -> None:
    """What is whole stays; the rest of the last message is set aside, and it is taken again when it comes."""
    archive = shelf.open()
    first = put(archive, MESSAGE, UID(1))
    begin = len(text_of(shelf))
    last = put(archive, CUT, UID(2))
    shelf.close()
    size = len(text_of(shelf))
    shorten(shelf.path / "INBOX" / "2014.mbox", max(begin, size - back))
    archive = shelf.open()
    assert archive.holds(first.location)
    assert not archive.holds(last.location)
    assert locations(archive) == [first.location]
    again = put(archive, CUT, UID(2))
    assert not again.already
    assert octets(archive, again.location) == CUT
    assert octets(archive, first.location) == MESSAGE
    assert text_of(shelf).count(b"\nFrom ") == 1
    damaged = shelf.path / ".mailarchive" / "damaged"
    kept = [path.read_bytes() for path in damaged.iterdir()] if damaged.exists() else []
    assert kept == ([text_of(shelf)[begin : size - back]] if size - back > begin else [])


@pytest.mark.parametrize(
    "foreign",
    [
        b"From me@example.org Sat Mar  1 09:00:00 2014\nSubject: mine\n\nbody\n\n",
        b"what is this",
        b"From me@example.org Sat Mar  1 09:00:00 2014\nReceived: half a hea",
    ],
)
def test_what_another_program_wrote_is_never_touched(shelf: DiskShelf, foreign: bytes) -> None:
    """Reading goes on; writing to that file is refused, and the octets are those that were there."""
    archive = shelf.open()
    first = put(archive, MESSAGE, UID(1))
    path = shelf.path / "INBOX" / "2014.mbox"
    path.chmod(0o600)
    with path.open("ab") as file:
        file.write(foreign)
    before = text_of(shelf)
    for _ in range(2):
        assert octets(archive, first.location) == MESSAGE
        with pytest.raises(ArchiveError, match=r"another program|not ours"):
            put(archive, b"two", UID(2))
        archive = shelf.open()
    assert text_of(shelf) == before
    add(archive, b"of another year", internal_date=datetime(2015, 1, 1, tzinfo=UTC))
    archive.sync()
    assert len(locations(archive)) == 2


def test_a_message_is_found_wherever_another_program_has_put_it(shelf: DiskShelf) -> None:
    """By its digest, in whichever file of its mailbox, and it is not taken twice."""
    archive = shelf.open()
    stored = [put(archive, b"%d\n" % number, UID(number)) for number in (1, 2, 3)]
    path = shelf.path / "INBOX" / "2014.mbox"
    text = text_of(shelf)
    at = [text.index(b"From MAILER", begin) for begin in (0, 10)]
    at.append(text.index(b"From MAILER", at[1] + 10))
    path.chmod(0o600)
    path.write_bytes(text[at[1] : at[2]] + text[: at[1]])
    path.with_name("2013.mbox").write_bytes(text[at[2] :])
    assert [octets(archive, each.location) for each in stored] == [b"1\n", b"2\n", b"3\n"]
    assert all(put(archive, b"%d\n" % number, UID(number)).already for number in (1, 2, 3))


def test_a_damaged_message_is_read_as_it_is_and_taken_again(shelf: DiskShelf) -> None:
    """The proof of it fails; a fresh copy is appended, and from then on it is the one that counts."""
    archive = shelf.open()
    put(archive, b"Subject: a\r\n\r\nbody\r\n", UID(1))
    put(archive, b"two", UID(2))
    path = shelf.path / "INBOX" / "2014.mbox"
    spoil(path, text_of(shelf).index(b"body"), b"BODY")
    archive = shelf.open()
    (location,) = [each for each in locations(archive) if octets(archive, each) != b"two"]
    assert b"BODY" in octets(archive, location)
    again = put(archive, b"Subject: a\r\n\r\nbody\r\n", UID(1))
    assert again.damaged
    assert not again.already
    assert len(locations(archive)) == 2
    assert octets(archive, location) == octets(archive, again.location) == b"Subject: a\r\n\r\nbody\r\n"


@pytest.mark.parametrize("with_intent", [True, False])
def test_a_reader_sees_nothing_that_a_killed_run_was_appending(shelf: DiskShelf, with_intent: bool) -> None:
    """Until the next run has looked at it: then what is whole is taken up."""
    archive = shelf.open()
    put(archive, b"one", UID(1))
    end = len(text_of(shelf))
    second = put(archive, b"two", UID(2))
    meta = shelf.path / ".mailarchive"
    if with_intent:
        (meta / "appending.json").write_text(json.dumps({"INBOX/2014.mbox": end}))
    assert shelf.opened is not None
    names = shelf.opened.mail._names
    assert isinstance(names, Names)
    reader = MboxArchive(shelf.opened.mail._root.again(), archive.id, names, run="")
    assert reader.holds(second.location) is not with_intent
    reader.close()
    archive = shelf.open()
    assert archive.holds(second.location)
    assert not (meta / "appending.json").exists()


@pytest.mark.parametrize("rest", [b"\0" * 5000, b"\0" * 300 + b"garbage\n", b"From a@b Sa", b"Fr"])
def test_what_a_power_cut_leaves_behind_the_intent_is_cut_off(shelf: DiskShelf, rest: bytes) -> None:
    """Octets of a batch that never was durable."""
    archive = shelf.open()
    first = put(archive, b"one", UID(1))
    end = len(text_of(shelf))
    shelf.close()
    path = shelf.path / "INBOX" / "2014.mbox"
    path.chmod(0o600)
    with path.open("ab") as file:
        file.write(rest)
    (shelf.path / ".mailarchive" / "appending.json").write_text(json.dumps({"INBOX/2014.mbox": end}))
    archive = shelf.open()
    assert len(text_of(shelf)) == end
    assert locations(archive) == [first.location]


def test_what_stands_behind_the_intent_and_is_not_ours_is_refused(shelf: DiskShelf) -> None:
    """A mail program may have delivered there meanwhile."""
    archive = shelf.open()
    put(archive, b"one", UID(1))
    end = len(text_of(shelf))
    shelf.close()
    path = shelf.path / "INBOX" / "2014.mbox"
    path.chmod(0o600)
    with path.open("ab") as file:
        file.write(b"From x@y.z Sat Mar  1 09:00:00 2014\nSubject: theirs\n\n\n")
    (shelf.path / ".mailarchive" / "appending.json").write_text(json.dumps({"INBOX/2014.mbox": end}))
    before = path.read_bytes()
    with pytest.raises(ArchiveError, match="not ours"):
        shelf.open()
    assert path.read_bytes() == before


@pytest.mark.parametrize("text", ["{", "[]", '{"INBOX/2014.mbox": -1}', '{"INBOX/2014.mbox": "x"}'])
def test_an_intent_that_cannot_be_read_is_told(shelf: DiskShelf, text: str) -> None:
    """Nobody guesses where a file ended."""
    shelf.open()
    shelf.close()
    (shelf.path / ".mailarchive" / "appending.json").write_text(text)
    with pytest.raises(ArchiveError, match="cannot be read"):
        shelf.open()


@pytest.mark.parametrize(
    "path", ["../2014.mbox", "/etc/2014.mbox", ".mailarchive/2014.mbox", "INBOX/passwd", "2014.mbox"]
)
def test_an_intent_leads_nowhere_else(shelf: DiskShelf, path: str) -> None:
    """Only to our files, inside the archive."""
    shelf.open()
    shelf.close()
    victims = [folder / "2014.mbox" for folder in (shelf.path.parent, shelf.path / ".mailarchive", shelf.path)]
    for victim in victims:
        victim.write_bytes(b"\0" * 10)
    (shelf.path / ".mailarchive" / "appending.json").write_text(json.dumps({path: 0}))
    shelf.open()
    for victim in victims:
        assert victim.read_bytes() == b"\0" * 10


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("call", ["pwrite", "fsync", "open", "link", "replace"])
def test_f086_f089_a_disk_that_fails_anywhere_is_a_disk_error_and_the_next_run_is_whole(
    shelf: DiskShelf, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    """Exit 14, nothing half visible, and the same message is taken by the next run."""
    archive = shelf.open()
    first = put(archive, b"one", UID(1))
    before = text_of(shelf)
    original = getattr(os, call)
    with monkeypatch.context() as patch:

        def fail(*arguments: object, **options: object) -> object:
            flags = arguments[1] if call == "open" else os.O_CREAT
            if isinstance(flags, int) and not flags & os.O_CREAT:
                return original(*arguments, **options)
            raise OSError(number, os.strerror(number))

        patch.setattr(os, call, fail)
        with pytest.raises(DiskError):
            put(archive, b"two", UID(2))
    assert text_of(shelf) == before
    archive = shelf.open()
    assert locations(archive) == [first.location]
    stored = put(archive, b"two", UID(2))
    assert [octets(archive, each.location) for each in (first, stored)] == [b"one", b"two"]


def test_python_reads_it(shelf: DiskShelf) -> None:
    """Count, flags, and the header of each message; the octets but for the quoting."""
    archive = shelf.open()
    put(archive, MESSAGE, UID(1), 77, "\\Seen", "\\Flagged")
    put(archive, CUT, UID(2), 77, "\\Answered")
    box = mailbox.mbox(shelf.path / "INBOX" / "2014.mbox", create=False)
    try:
        assert [(each.get_flags(), each["Subject"]) for each in box] == [("ROF", "a"), ("OA", "cut")]
    finally:
        box.close()


def test_the_form_of_an_archive_stays(shelf: DiskShelf, tmp_path: Path) -> None:
    """Asking for another one is refused before anything is touched."""
    shelf.open()
    shelf.close()
    from mailarchive.archives.opening import open_for_writing

    with pytest.raises(ArchiveError, match="is a mbox archive, not maildir"):
        open_for_writing(tmp_path / "archive", ACCOUNT, run="r", started="", kind=Kind())
    assert mbox_folders.FILE.fullmatch("2014-2.mbox")


def name_of(fd: int) -> str:
    """Give the name of an open file."""
    return Path(f"/proc/self/fd/{fd}").readlink().name


def test_octets_of_a_batch_that_are_not_those_of_its_digest_are_cut_off(shelf: DiskShelf) -> None:
    """After a power cut a file may be long enough and hold something else."""
    archive = shelf.open()
    first = put(archive, b"one", UID(1))
    end = len(text_of(shelf))
    put(archive, CUT, UID(2))
    put(archive, b"three", UID(3))
    shelf.close()
    spoil(shelf.path / "INBOX" / "2014.mbox", text_of(shelf).index(b"what was lost"), b"what was LOST")
    (shelf.path / ".mailarchive" / "appending.json").write_text(json.dumps({"INBOX/2014.mbox": end}))
    archive = shelf.open()
    assert locations(archive) == [first.location]
    assert len(text_of(shelf)) == end


def test_f086_f090_a_write_that_fails_in_its_middle_leaves_the_file_as_it_was(
    shelf: DiskShelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What had been appended of the batch is taken back at once."""
    archive = shelf.open()
    first = put(archive, b"one", UID(1))
    before = text_of(shelf)
    original = os.pwrite

    def half(fd: int, octets_: bytes, at: int) -> int:
        if not name_of(fd).startswith("2014.mbox"):
            return original(fd, octets_, at)
        if at > len(before):
            raise OSError(errno.ENOSPC, "full")
        return original(fd, octets_[: len(octets_) // 2], at)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", half)
        with pytest.raises(DiskError, match="no space left"):
            put(archive, CUT, UID(2))
    assert text_of(shelf) == before
    archive = shelf.open()
    assert locations(archive) == [first.location]


def test_all_that_was_written_is_synced_before_it_counts(shelf: DiskShelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """The intent first, then the octets and the name of a new file, then the number in its first block."""
    archive = shelf.open()
    log: list[tuple[str, str]] = []

    def watched(name: str) -> None:
        original = getattr(os, name)

        def call(what: int | str, *arguments: object, **options: object) -> object:
            log.append((name, name_of(what) if isinstance(what, int) else what))
            return original(what, *arguments, **options)

        monkeypatch.setattr(os, name, call)

    for name in ("pwrite", "fsync", "replace", "unlink"):
        watched(name)
    for number in (1, 2):
        archive.add(INBOX, From(b"%d" % number, WHEN, uid=UID(number)), 77)
        archive.add(INBOX, From(b"%d more" % number, WHEN, uid=UID(number + 5)), 77)
        log.clear()
        archive.sync()
        names = {"2014.mbox", "INBOX", "appending.json", ".appending.json.new"}
        steps = [each for each in log if each[1] in names and each != ("unlink", ".appending.json.new")]
        made = [("fsync", "INBOX")] if number == 1 else []
        again = [("pwrite", "2014.mbox"), ("fsync", "2014.mbox")]
        assert steps == [
            ("fsync", ".appending.json.new"),
            ("replace", ".appending.json.new"),
            ("pwrite", "2014.mbox"),
            ("pwrite", "2014.mbox"),
            ("fsync", "2014.mbox"),
            *made,
            *again,
            ("unlink", "appending.json"),
        ]
