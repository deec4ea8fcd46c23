"""What a Maildir archive looks like on disk (`archive-format.md` sections 1 to 3, 6 and 9)."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import resource
import stat
import tomllib
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mailarchive.archives import durable
from mailarchive.archives.opening import open_for_reading, open_for_writing
from mailarchive.errors import ArchiveError, BusyError, DiskError
from mailarchive.model import Location, Mailbox
from tests.contract.archives import ACCOUNT, MaildirShelf, add, octets

if TYPE_CHECKING:
    from collections.abc import Iterator

WHEN = datetime(2014, 3, 1, 10, tzinfo=timezone(timedelta(hours=1)))
MESSAGE = b"Subject: hello\r\n\r\nbody\r\n"


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[MaildirShelf]:
    """Give a Maildir archive."""
    made = MaildirShelf(tmp_path / "archive")
    yield made
    made.close()


def files(path: Path) -> list[Path]:
    """Give the messages of an archive."""
    return sorted(found for found in path.rglob("*") if found.parent.name == "cur")


@pytest.mark.parametrize(
    ("flags", "letters"),
    [
        (frozenset(), ""),
        (frozenset({"\\Seen"}), "S"),
        (frozenset({"\\Seen", "\\Flagged", "\\Answered", "\\Draft", "$Forwarded"}), "DFPRSa"),
        (frozenset({"\\Deleted", "$label1", "odd]"}), "a"),
        (frozenset({"\\Seen", "$label1", "Junk"}), "Sab"),
    ],
)
def test_the_name_says_date_digest_size_and_flags(shelf: MaildirShelf, flags: frozenset[str], letters: str) -> None:
    """Epoch, 32 hex digits, octets, sorted flag letters; mtime is INTERNALDATE; never T for a deleted one."""
    archive = shelf.open()
    stored = add(archive, MESSAGE, internal_date=WHEN, flags=flags)
    archive.sync()
    (file,) = files(shelf.path)
    digits = hashlib.sha256(MESSAGE).hexdigest()
    assert file.name == f"{int(WHEN.timestamp())}.{digits[:32]}.mailarchive,S={len(MESSAGE)}:2,{letters}"
    assert file.stat().st_mtime == WHEN.timestamp()
    assert stored.location == f"INBOX/{file.name.partition(':')[0]}"
    assert file.read_bytes() == MESSAGE


@pytest.mark.parametrize("when", [None, datetime(1960, 1, 1, tzinfo=UTC)])
def test_an_unknown_or_ancient_date_is_0(shelf: MaildirShelf, when: datetime | None) -> None:
    """The name begins with 0 and the modification time is left alone."""
    archive = shelf.open()
    add(archive, MESSAGE, internal_date=when)
    archive.sync()
    (file,) = files(shelf.path)
    assert file.name.startswith("0.")
    assert file.stat().st_mtime > 1_600_000_000


def test_f096_folders_and_files_are_closed_to_others_whatever_the_umask(shelf: MaildirShelf) -> None:
    """0700 and 0600 under umask 0 as under any other; manifests 0400 when they are over."""
    before = os.umask(0)
    try:
        archive = shelf.open()
        add(archive, MESSAGE, Mailbox("Work/Été 2014", b"", "/"))
        archive.sync()
        manifest = archive.manifest("run1")
        manifest.write(type="x")
        manifest.close()
    finally:
        os.umask(before)
    for path in [shelf.path, *shelf.path.rglob("*")]:
        mode = stat.S_IMODE(path.lstat().st_mode)
        if path.suffix == ".jsonl":
            assert mode == 0o400, path
        else:
            assert mode == (0o700 if path.is_dir() else 0o600), path


def test_the_marker_tells_a_stranger_what_this_is(shelf: MaildirShelf) -> None:
    """archive.toml begins with ten lines of comment, and names version, id, format, layout, separator and account."""
    shelf.open()
    text = (shelf.path / ".mailarchive" / "archive.toml").read_text()
    assert all(line.startswith("#") for line in text.splitlines()[:10])
    data = tomllib.loads(text)
    assert data["version"] == 1
    assert data["account"] == ACCOUNT
    assert (data["format"], data["layout"], data["separator"]) == ("maildir", "nested", ":")
    assert len(data["id"]) == 32
    assert (shelf.path / ".mailarchive" / ".noindex").exists()


def test_f103_a_flag_that_a_mail_program_set_does_not_hide_the_file(shelf: MaildirShelf) -> None:
    """A renamed file is found by the first part of its name, in cur and in new."""
    archive = shelf.open()
    stored = add(archive, MESSAGE, internal_date=WHEN)
    archive.sync()
    (file,) = files(shelf.path)
    file.rename(file.with_name(file.name + "FS"))
    archive = shelf.open()
    assert archive.holds(stored.location)
    assert octets(archive, stored.location) == MESSAGE
    (file,) = files(shelf.path)
    file.rename(shelf.path / "INBOX" / "new" / file.name.partition(":")[0])
    archive = shelf.open()
    assert octets(archive, stored.location) == MESSAGE
    assert add(archive, MESSAGE, internal_date=WHEN).already


def test_f103_a_file_renamed_during_the_run_is_found_again(shelf: MaildirShelf) -> None:
    """A mail program on the archive at the same time costs nothing."""
    archive = shelf.open()
    add(archive, MESSAGE, internal_date=WHEN)
    archive.sync()
    (file,) = files(shelf.path)
    file.rename(file.with_name(file.name + "S"))
    assert add(archive, MESSAGE, internal_date=WHEN).already
    archive.sync()
    assert len(files(shelf.path)) == 1


def test_f102_a_damaged_copy_is_set_aside_and_the_fresh_octets_take_its_place(shelf: MaildirShelf) -> None:
    """Nothing is overwritten: the damaged file lies in .mailarchive/damaged, and the report says so."""
    archive = shelf.open()
    first = add(archive, MESSAGE, internal_date=WHEN)
    archive.sync()
    (file,) = files(shelf.path)
    file.write_bytes(MESSAGE.replace(b"hello", b"hallo"))
    archive = shelf.open()
    second = add(archive, MESSAGE, internal_date=WHEN)
    archive.sync()
    assert second.damaged
    assert not second.already
    assert octets(archive, first.location) == MESSAGE
    (aside,) = (shelf.path / ".mailarchive" / "damaged").iterdir()
    assert aside.read_bytes() == MESSAGE.replace(b"hello", b"hallo")


def test_equal_bytes_with_the_same_date_are_a_hard_link(shelf: MaildirShelf) -> None:
    """Two mailboxes, one file with two names; with another date, two files."""
    archive = shelf.open()
    first = add(archive, MESSAGE, internal_date=WHEN)
    archive.sync()
    archive = shelf.open()
    assert shelf.opened is not None
    shelf.opened.mail.elsewhere = lambda digests: dict.fromkeys({first.digest} & set(digests), first.location)
    add(archive, MESSAGE, Mailbox("Linked", b"", "/"), internal_date=WHEN, flags=frozenset({"\\Seen"}))
    archive.sync()
    add(archive, MESSAGE, Mailbox("Other", b"", "/"), internal_date=WHEN + timedelta(days=1))
    archive.sync()
    inodes = {file.parts[-3]: file.stat().st_ino for file in files(shelf.path)}
    assert inodes["INBOX"] == inodes["Linked"] != inodes["Other"]
    assert list(shelf.path.rglob("tmp/*")) == []


def test_a_damaged_twin_is_not_linked(shelf: MaildirShelf) -> None:
    """A copy elsewhere is read back before a link relies on it."""
    archive = shelf.open()
    first = add(archive, MESSAGE, internal_date=WHEN)
    archive.sync()
    files(shelf.path)[0].write_bytes(b"damaged")
    assert shelf.opened is not None
    shelf.opened.mail.elsewhere = lambda digests: dict.fromkeys(digests, first.location)
    second = add(archive, MESSAGE, Mailbox("Other", b"", "/"), internal_date=WHEN)
    archive.sync()
    assert octets(archive, second.location) == MESSAGE


def test_left_overs_of_ours_are_swept_and_others_stay(shelf: MaildirShelf) -> None:
    """What an interrupted run left in tmp goes at the next start; what a mail program put there does not."""
    archive = shelf.open()
    add(archive, MESSAGE)
    archive.sync()
    tmp = shelf.path / "INBOX" / "tmp"
    (tmp / "run0.1.mailarchive").write_bytes(b"half")
    (tmp / "1234.other").write_bytes(b"theirs")
    shelf.open()
    assert [left.name for left in tmp.iterdir()] == ["1234.other"]


def test_f094_a_link_inside_the_archive_is_not_followed(shelf: MaildirShelf, tmp_path: Path) -> None:
    """A mailbox folder that is a link to somewhere else is refused, and nothing is written there."""
    shelf.open()
    outside = tmp_path / "outside"
    outside.mkdir()
    (shelf.path / "INBOX").symlink_to(outside)
    archive = shelf.open()
    with pytest.raises(ArchiveError, match="link"):
        add(archive, MESSAGE)
    assert list(outside.iterdir()) == []


def test_f094_the_archive_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    """Only inside are links refused."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "archive").symlink_to(tmp_path / "disk")
    shelf = MaildirShelf(tmp_path / "archive")
    archive = shelf.open()
    stored = add(archive, MESSAGE)
    archive.sync()
    assert octets(archive, stored.location) == MESSAGE
    shelf.close()


@pytest.mark.parametrize("location", ["../INBOX/x", "/etc/passwd", "INBOX/../../x", ".mailarchive/lock", "", "INBOX"])
def test_a_location_cannot_lead_out_of_the_archive(shelf: MaildirShelf, location: str) -> None:
    """Locations come from a file that somebody may have edited."""
    archive = shelf.open()
    add(archive, MESSAGE)
    archive.sync()
    assert not archive.holds(Location(location))


def test_f139_a_folder_with_other_things_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    """No archive is made beside a user's files."""
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(ArchiveError, match="something else"):
        open_for_writing(tmp_path, ACCOUNT, run="r", started="07:04")
    assert [found.name for found in tmp_path.iterdir()] == ["letter.txt"]


def test_f139_a_file_is_no_archive(tmp_path: Path) -> None:
    """--to FILE is refused."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ArchiveError, match="is a file"):
        open_for_writing(tmp_path / "file", ACCOUNT, run="r", started="07:04")


def test_f098_f139_an_archive_belongs_to_one_account(shelf: MaildirShelf) -> None:
    """Another user or host is refused, for writing and for reading."""
    shelf.open()
    shelf.close()
    other = ACCOUNT.replace("me@", "you@")
    with pytest.raises(ArchiveError, match="is the archive of"):
        open_for_writing(shelf.path, other, run="r", started="07:04")
    with pytest.raises(ArchiveError, match="is the archive of"):
        open_for_reading(shelf.path, other)


def test_f106_a_later_version_is_refused_and_nothing_is_touched(shelf: MaildirShelf) -> None:
    """archive.toml of version 2 belongs to a later program."""
    shelf.open()
    shelf.close()
    toml = shelf.path / ".mailarchive" / "archive.toml"
    toml.write_text(toml.read_text().replace("version = 1", "version = 2"))
    before = {path: path.stat().st_mtime_ns for path in shelf.path.rglob("*.toml")}
    with pytest.raises(ArchiveError, match="version 2"):
        open_for_writing(shelf.path, ACCOUNT, run="r", started="07:04")
    assert {path: path.stat().st_mtime_ns for path in shelf.path.rglob("*.toml")} == before


def test_f097_a_disk_that_is_not_mounted_is_never_a_new_start(shelf: MaildirShelf, tmp_path: Path) -> None:
    """The folder is empty or gone, and an archive was there: exit 13, whether written or only planned."""
    archive = shelf.open()
    add(archive, MESSAGE)
    archive.sync()
    shelf.close()
    shelf.path.rename(tmp_path / "unplugged")
    for empty in (False, True):
        if empty:
            shelf.path.mkdir()
        with pytest.raises(ArchiveError, match="not found"):
            open_for_writing(shelf.path, ACCOUNT, run="r", started="07:04")
        with pytest.raises(ArchiveError, match="not found"):
            open_for_reading(shelf.path, ACCOUNT)
    assert list(shelf.path.iterdir()) == []
    shelf.path.rmdir()
    (tmp_path / "unplugged").rename(shelf.path)
    shelf.open()


def test_f115_a_second_run_is_told_who_holds_the_archive(shelf: MaildirShelf) -> None:
    """BusyError names start and pid, and the lock is free again after the first run."""
    shelf.open()
    with pytest.raises(BusyError, match=rf"since 07:04 \(pid {os.getpid()}"):
        open_for_writing(shelf.path, ACCOUNT, run="r", started="08:00")
    shelf.close()
    open_for_writing(shelf.path, ACCOUNT, run="r", started="08:00").close()


def test_an_interrupted_start_is_begun_again(tmp_path: Path) -> None:
    """A folder that holds only an unfinished .mailarchive becomes an archive."""
    path = tmp_path / "archive"
    (path / ".mailarchive" / "runs").mkdir(parents=True)
    open_for_writing(path, ACCOUNT, run="r", started="07:04").close()
    assert (path / ".mailarchive" / "archive.toml").exists()


def test_a_lost_marker_beside_mail_is_no_new_start(shelf: MaildirShelf) -> None:
    """Mail without a marker is somebody's mail: exit 13."""
    archive = shelf.open()
    add(archive, MESSAGE)
    archive.sync()
    shelf.close()
    (shelf.path / ".mailarchive" / "archive.toml").unlink()
    with pytest.raises(ArchiveError, match="marker"):
        open_for_writing(shelf.path, ACCOUNT, run="r", started="07:04")


def test_a_manifest_holds_plain_lines(shelf: MaildirShelf) -> None:
    """Each line is one JSON object; dates have a zone; None is left out; a sync makes it visible on disk."""
    archive = shelf.open()
    manifest = archive.manifest("run1")
    manifest.write(manifest=1, run="run1", cut_off=WHEN, nothing=None)
    manifest.write(type="archived", mailbox="\x1b[31mÉté", flags=frozenset({"b", "a"}))
    manifest.sync()
    path = shelf.path / ".mailarchive" / "runs" / "run1.jsonl"
    lines = path.read_bytes().splitlines()
    first, second = (json.loads(line) for line in lines)
    at = first.pop("at")
    assert timedelta() <= datetime.now(UTC) - datetime.fromisoformat(at) < timedelta(minutes=1)
    assert first == {"manifest": 1, "run": "run1", "cut_off": "2014-03-01T10:00:00+01:00"}
    # The second is said only where it is another one than that of the line before.
    assert second.pop("at", None) != at
    assert second == {"type": "archived", "mailbox": "\x1b[31mÉté", "flags": ["a", "b"]}
    assert b"\x1b" not in lines[1]
    manifest.close()
    with pytest.raises(ArchiveError):
        archive.manifest("run1")


@pytest.mark.parametrize("where", ["archive", "parent"])
def test_f095_a_place_where_others_may_write_is_doubted(tmp_path: Path, where: str) -> None:
    """The archive, or the folder above it; a sticky folder such as /tmp is fine."""
    parent = tmp_path / "parent"
    parent.mkdir(mode=0o700)
    open_for_writing(parent / "archive", ACCOUNT, run="r", started="07:04").close()
    (parent / "archive" if where == "archive" else parent).chmod(0o777)
    with open_for_writing(parent / "archive", ACCOUNT, run="s", started="07:04") as opened:
        assert len(opened.mail.doubts) == 1
        assert "writable by others" in opened.mail.doubts[0]
    parent.chmod(0o1777)
    (parent / "archive").chmod(0o700)
    with open_for_writing(parent / "archive", ACCOUNT, run="t", started="07:04") as opened:
        assert opened.mail.doubts == []


@pytest.mark.parametrize("moment", ["before add", "before sync"])
def test_a_mail_program_that_renames_a_twin_costs_nothing(shelf: MaildirShelf, moment: str) -> None:
    """A link to an equal message elsewhere is only a saving: the copy that has come is good without it."""
    archive = shelf.open()
    first = add(archive, MESSAGE, internal_date=WHEN)
    archive.sync()
    archive = shelf.open()
    assert archive.holds(first.location)
    assert shelf.opened is not None
    shelf.opened.mail.elsewhere = lambda digests: dict.fromkeys(digests, first.location)
    (file,) = files(shelf.path)
    renamed = file.with_name(file.name + "S")
    if moment == "before add":
        file.rename(renamed)
    second = add(archive, MESSAGE, Mailbox("Other", b"", "/"), internal_date=WHEN)
    if moment == "before sync":
        file.rename(renamed)
    archive.sync()
    assert octets(archive, second.location) == MESSAGE
    assert len(files(shelf.path)) == 2
    assert list(shelf.path.rglob("tmp/*")) == []


def test_a_file_that_lost_its_end_is_not_held_and_is_set_aside(shelf: MaildirShelf) -> None:
    """The size in the name is checked without reading; the fresh octets take the place."""
    archive = shelf.open()
    stored = add(archive, MESSAGE, internal_date=WHEN)
    archive.sync()
    files(shelf.path)[0].write_bytes(b"")
    archive = shelf.open()
    assert not archive.holds(stored.location)
    assert add(archive, MESSAGE, internal_date=WHEN).damaged
    archive.sync()
    assert archive.holds(stored.location)


def test_f089_a_manifest_whose_sync_failed_is_lost_and_never_synced_again(
    shelf: MaildirShelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system may have dropped what it could not write: no line is added, and the file is not closed as finished."""
    archive = shelf.open()
    manifest = archive.manifest("run1")
    manifest.write(manifest=1)
    synced: list[int] = []

    def fail(descriptor: int) -> None:
        synced.append(descriptor)
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", fail)
        with pytest.raises(DiskError):
            manifest.sync()
    manifest.write(type="finished")
    manifest.close()
    path = shelf.path / ".mailarchive" / "runs" / "run1.jsonl"
    assert "finished" not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(synced) == 1


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS])
@pytest.mark.parametrize("call", ["write", "fsync", "rename", "mkdir", "open"])
def test_f086_f088_f089_f092_a_disk_that_fails_anywhere_is_a_disk_error_and_the_next_run_is_whole(
    shelf: MaildirShelf, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    """Exit 14, nothing half visible, and the same message is taken by the next run."""
    archive = shelf.open()
    original = getattr(os, call)

    def fail(*arguments: object, **options: object) -> object:
        if call == "open" and not isinstance(options.get("mode", arguments[2] if len(arguments) > 2 else None), int):
            return original(*arguments, **options)
        raise OSError(number, os.strerror(number))

    def attempt() -> None:
        add(archive, MESSAGE, Mailbox("New/Box", b"", "/"))
        archive.sync()

    with monkeypatch.context() as patch:
        if call == "rename":
            patch.setattr(durable, "_rename_without_replacing", fail)
        patch.setattr(os, call, fail)
        with pytest.raises(DiskError):
            attempt()
        archive.discard()
    archive = shelf.open()
    assert files(shelf.path) == []
    stored = add(archive, MESSAGE, Mailbox("New/Box", b"", "/"))
    archive.sync()
    assert octets(archive, stored.location) == MESSAGE
    assert list(shelf.path.rglob("tmp/*")) == []


@pytest.mark.parametrize("name", ["lock", "lock.owner", "runs", "archive.toml"])
def test_f094_links_among_our_own_files_lead_nowhere(shelf: MaildirShelf, tmp_path: Path, name: str) -> None:
    """What they point to is neither written nor made."""
    shelf.open()
    shelf.close()
    victim = tmp_path / "victim"
    victim.write_text("mine")
    place = shelf.path / ".mailarchive" / name
    if place.is_dir():
        place.rmdir()
    place.unlink(missing_ok=True)
    place.symlink_to(victim)
    with contextlib.suppress(ArchiveError):
        archive = shelf.open()
        archive.manifest("run9").close()
    shelf.close()
    assert victim.read_text() == "mine"


def test_f097_a_link_to_a_disk_that_is_not_there(tmp_path: Path) -> None:
    """A dangling link is a disk that is not mounted, and nothing is made."""
    (tmp_path / "archive").symlink_to(tmp_path / "usb" / "mail")
    with pytest.raises(ArchiveError, match="which is not there"):
        open_for_writing(tmp_path / "archive", ACCOUNT, run="r", started="07:04")
    assert not (tmp_path / "usb").exists()


def test_f096_folders_above_a_new_archive_are_closed_too(tmp_path: Path) -> None:
    """What had to be made on the way has mode 0700 whatever the umask."""
    before = os.umask(0)
    try:
        open_for_writing(tmp_path / "a" / "b" / "c", ACCOUNT, run="r", started="07:04").close()
    finally:
        os.umask(before)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "a", tmp_path / "a" / "b")] == [0o700, 0o700]


def test_f107_few_descriptors_are_enough_for_deep_and_for_many_mailboxes(shelf: MaildirShelf) -> None:
    """A hundred levels, and a hundred mailboxes, with 40 descriptors."""
    archive = shelf.open()
    descriptors = Path("/proc/self/fd")
    used = len(list(descriptors.iterdir())) if descriptors.exists() else 20
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 40, hard))
    try:
        add(archive, MESSAGE, Mailbox("/".join("abcdefghij" * 10), b"", "/"))
        archive.sync()
        for number in range(100):
            stored = add(archive, MESSAGE, Mailbox(f"Box {number}", b"", "/"))
            archive.sync()
            assert archive.holds(stored.location)
        archive = shelf.open()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(files(shelf.path)) == 101


def test_octets_are_durable_before_names_and_names_before_the_end_of_sync(
    shelf: MaildirShelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W1 to W4: each file is synced before it has its name, then `cur`; every folder on the way was before."""
    archive = shelf.open()
    log: list[tuple[str, str]] = []
    sync, rename = os.fsync, durable._rename_without_replacing

    def watched_sync(descriptor: int) -> None:
        log.append(("sync", Path(f"/proc/self/fd/{descriptor}").readlink().relative_to(shelf.path).as_posix()))
        sync(descriptor)

    def watched_rename(folder: int, source: str, *target: Any) -> None:
        log.append(("rename", source))
        rename(folder, source, *target)

    monkeypatch.setattr("os.fsync", watched_sync)
    monkeypatch.setattr(durable, "_rename_without_replacing", watched_rename)
    box = Mailbox("Work/2014", b"", "/")
    for number in range(3):
        add(archive, MESSAGE + b"%d" % number, box)
    archive.sync()
    first = log.index(("rename", "run1.1.mailarchive"))
    assert {path for what, path in log[:first] if what == "sync"} >= {
        ".",
        "Work",
        "Work/2014",
        *(f"Work/2014/tmp/run1.{number}.mailarchive" for number in (1, 2, 3)),
    }
    assert log[first:] == [
        *(("rename", f"run1.{number}.mailarchive") for number in (1, 2, 3)),
        ("sync", "Work/2014/cur"),
    ]
    log.clear()
    orphan = files(shelf.path)[0]
    archive = shelf.open()
    assert add(archive, orphan.read_bytes(), box).already
    archive.sync()
    assert ("sync", orphan.relative_to(shelf.path).as_posix()) in log
    assert log[-1] == ("sync", "Work/2014/cur")


@pytest.mark.parametrize("planted", ["a file", "a link"])
def test_f094_a_name_that_somebody_has_planted_in_tmp_is_not_written_through(
    shelf: MaildirShelf, tmp_path: Path, planted: str
) -> None:
    """Files are made exclusively: what is there already is an error, and stays as it is."""
    archive = shelf.open()
    add(archive, MESSAGE)
    archive.sync()
    victim = tmp_path / "victim"
    victim.write_text("mine")
    place = shelf.path / "INBOX" / "tmp" / "run1.2.mailarchive"
    place.symlink_to(victim) if planted == "a link" else place.write_text("mine")
    with pytest.raises(ArchiveError):
        add(archive, MESSAGE + b"other")
    assert (victim if planted == "a link" else place).read_text() == "mine"
