"""How a message gets a second place in a Maildir archive: a link where it can be, and never anything but its octets."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mailarchive.archives import durable
from mailarchive.errors import ArchiveError, DiskError, MissingError
from mailarchive.model import UID, Mailbox, RemoteMessage
from tests.contract.archives import MaildirShelf, add, octets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailarchive.model import StoredMessage
    from mailarchive.ports import Archive

OCTETS = b"Subject: hello\r\n\r\nbody\r\n"
WHEN = datetime(2014, 3, 1, 9, tzinfo=UTC)
LABEL = Mailbox("Label/One", b"", "/")
SEEN = RemoteMessage(UID(9), len(OCTETS), WHEN, frozenset({"\\Seen", "\\Flagged"}))
LATER = SEEN._replace(internal_date=WHEN + timedelta(days=1))


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[MaildirShelf]:
    """Give a Maildir archive."""
    made = MaildirShelf(tmp_path / "archive")
    yield made
    made.close()


@pytest.fixture
def archive(shelf: MaildirShelf) -> Archive:
    """Open it."""
    return shelf.open()


@pytest.fixture
def first(archive: Archive) -> StoredMessage:
    """Store a message."""
    stored = add(archive, OCTETS, internal_date=WHEN)
    archive.sync()
    return stored


def file(shelf: MaildirShelf, folder: str) -> Path:
    """Give the one message of a mailbox."""
    (found,) = [path for sub in ("cur", "new") for path in (shelf.path / folder / sub).iterdir()]
    return found


def test_it_is_a_link_with_a_name_of_its_own(shelf: MaildirShelf, archive: Archive, first: StoredMessage) -> None:
    """One inode, the flags of the message in this mailbox, the date of both; nothing is left in tmp."""
    second = archive.also(LABEL, first, SEEN)
    archive.sync()
    there = file(shelf, "Label/One")
    assert there.name == file(shelf, "INBOX").name + "FS"
    assert there.stat().st_ino == file(shelf, "INBOX").stat().st_ino
    assert there.stat().st_mtime == WHEN.timestamp()
    assert second.location == f"Label/One/{there.name.partition(':')[0]}"
    assert list(shelf.path.rglob("tmp/*")) == []


def test_with_another_date_it_is_a_copy(shelf: MaildirShelf, archive: Archive, first: StoredMessage) -> None:
    """A link would change the date of the first, which mail programs show."""
    archive.also(LABEL, first, LATER)
    archive.sync()
    there, here = file(shelf, "Label/One"), file(shelf, "INBOX")
    assert there.name.startswith(f"{int(WHEN.timestamp()) + 86400}.")
    assert there.stat().st_ino != here.stat().st_ino
    assert (there.stat().st_mtime - here.stat().st_mtime, there.read_bytes()) == (86400, OCTETS)
    assert there.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_f100_where_there_are_no_links_it_is_a_copy(
    shelf: MaildirShelf, archive: Archive, first: StoredMessage, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """On exFAT, over the limit of links of a file, across a mount."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("os.link", refuse)
    second = archive.also(LABEL, first, SEEN)
    archive.sync()
    assert octets(archive, second.location) == OCTETS
    assert file(shelf, "Label/One").stat().st_ino != file(shelf, "INBOX").stat().st_ino
    assert file(shelf, "Label/One").stat().st_mtime == WHEN.timestamp()
    assert list(shelf.path.rglob("tmp/*")) == []


@pytest.mark.parametrize("message", [SEEN, LATER], ids=["link", "copy"])
@pytest.mark.parametrize("moment", ["before", "during", "to new"])
def test_a_source_that_a_mail_program_renames_is_found_again(
    shelf: MaildirShelf, first: StoredMessage, monkeypatch: pytest.MonkeyPatch, message: RemoteMessage, moment: str
) -> None:
    """Before it is looked for, or just after it was found."""
    assert shelf.opened is not None
    archive = shelf.opened.mail
    assert archive.holds(first.location)
    here = file(shelf, "INBOX")
    renamed = here.with_name(here.name + "S") if moment != "to new" else here.parents[1] / "new" / here.name
    if moment == "during":
        original = os.link if message is SEEN else os.open

        def rename_first(name: Any, *arguments: Any, **options: Any) -> Any:
            if name == here.name and here.exists():
                here.rename(renamed)
            return original(name, *arguments, **options)

        monkeypatch.setattr(os, original.__name__, rename_first)
    else:
        here.rename(renamed)
    second = archive.also(LABEL, first, message)
    archive.sync()
    assert octets(archive, second.location) == OCTETS
    assert renamed.exists()
    assert list(shelf.path.rglob("tmp/*")) == []


@pytest.mark.parametrize("moment", ["removed", "a link in its place", "the folder removed"])
def test_a_source_that_has_vanished_is_missing(
    shelf: MaildirShelf, archive: Archive, first: StoredMessage, tmp_path: Path, moment: str
) -> None:
    """Nothing is placed, nothing is left in tmp, and a link is not taken for a message."""
    here = file(shelf, "INBOX")
    here.unlink()
    if moment == "a link in its place":
        (tmp_path / "outside").write_bytes(OCTETS)
        here.symlink_to(tmp_path / "outside")
    elif moment == "the folder removed":
        (shelf.path / "INBOX").rename(tmp_path / "elsewhere")
    for message in (SEEN, LATER):
        with pytest.raises(MissingError):
            archive.also(LABEL, first, message)
    archive.sync()
    assert list((shelf.path / "Label/One").rglob("*/*")) == []


def test_a_source_that_vanishes_before_the_sync_costs_nothing(
    shelf: MaildirShelf, archive: Archive, first: StoredMessage
) -> None:
    """The octets have a name of ours from the beginning."""
    second = archive.also(LABEL, first, SEEN)
    file(shelf, "INBOX").unlink()
    archive.sync()
    assert octets(archive, second.location) == OCTETS


@pytest.mark.parametrize("message", [SEEN, LATER], ids=["link", "copy"])
def test_a_source_that_lost_its_end_is_not_placed(
    shelf: MaildirShelf, archive: Archive, first: StoredMessage, message: RemoteMessage
) -> None:
    """Its size is looked at, and what is copied is hashed."""
    file(shelf, "INBOX").write_bytes(OCTETS[:-1])
    with pytest.raises(ArchiveError, match="does not match"):
        archive.also(LABEL, first, message)
    if message is LATER:
        file(shelf, "INBOX").write_bytes(OCTETS.replace(b"hello", b"hallo"))
        with pytest.raises(ArchiveError, match="does not match"):
            archive.also(LABEL, first, message)
    archive.sync()
    assert list((shelf.path / "Label/One").rglob("*/*")) == []


def test_a_damaged_copy_gives_way_to_good_octets(shelf: MaildirShelf, archive: Archive, first: StoredMessage) -> None:
    """It is set aside, and the fresh one is read before it is relied on."""
    add(archive, OCTETS, LABEL, internal_date=WHEN)
    archive.sync()
    file(shelf, "Label/One").write_bytes(OCTETS.replace(b"hello", b"hallo"))
    second = archive.also(LABEL, first, SEEN)
    archive.sync()
    assert (second.damaged, second.already) == (True, False)
    assert octets(archive, second.location) == OCTETS
    assert len(list((shelf.path / ".mailarchive" / "damaged").iterdir())) == 1


def test_damage_that_both_names_share_is_not_taken_for_a_repair(
    shelf: MaildirShelf, archive: Archive, first: StoredMessage
) -> None:
    """One inode with two names: the damaged octets are not linked again, and nothing is moved."""
    archive.also(LABEL, first, SEEN)
    archive.sync()
    file(shelf, "INBOX").write_bytes(OCTETS.replace(b"hello", b"hallo"))
    archive = shelf.open()
    with pytest.raises(ArchiveError, match="does not match"):
        archive.also(LABEL, first, SEEN)
    assert file(shelf, "Label/One").exists()
    assert not (shelf.path / ".mailarchive" / "damaged").exists()


def test_the_same_mailbox_is_no_second_place(shelf: MaildirShelf, archive: Archive, first: StoredMessage) -> None:
    """The copy that is there is the one; a damaged one is no source for itself."""
    again = archive.also(Mailbox("INBOX", b"", "/"), first, SEEN)
    assert (again.already, again.location) == (True, first.location)
    file(shelf, "INBOX").write_bytes(OCTETS.replace(b"hello", b"hallo"))
    with pytest.raises(MissingError):
        archive.also(Mailbox("INBOX", b"", "/"), first, SEEN)


@pytest.mark.parametrize("message", [SEEN, LATER], ids=["link", "copy"])
def test_the_name_is_durable_at_the_end_of_sync(
    shelf: MaildirShelf,
    archive: Archive,
    first: StoredMessage,
    monkeypatch: pytest.MonkeyPatch,
    message: RemoteMessage,
) -> None:
    """A link is made of a file that is durable, so only its name is synced; a copy is synced before it has one."""
    log: list[tuple[str, str]] = []
    sync, link, rename = os.fsync, os.link, durable._rename_without_replacing

    def watched_sync(descriptor: int) -> None:
        log.append(("sync", Path(f"/proc/self/fd/{descriptor}").readlink().relative_to(shelf.path).as_posix()))
        sync(descriptor)

    def watched_link(source: str, target: str, **options: Any) -> None:
        log.append(("link", target))
        link(source, target, **options)

    def watched_rename(folder: int, source: str, there: int, target: str) -> None:
        log.append(("rename", target))
        rename(folder, source, there, target)

    archive.also(LABEL, first, message)
    archive.discard()
    monkeypatch.setattr(durable, "_rename_without_replacing", watched_rename)
    monkeypatch.setattr("os.fsync", watched_sync)
    monkeypatch.setattr("os.link", watched_link)
    archive.also(LABEL, first, message)
    archive.sync()
    temporary = "run1.3.mailarchive"
    begun = ("link", temporary) if message is SEEN else ("sync", f"Label/One/tmp/{temporary}")
    assert log == [begun, ("rename", file(shelf, "Label/One").name), ("sync", "Label/One/cur")]


def test_a_link_that_an_interrupted_run_left_is_swept(
    shelf: MaildirShelf, archive: Archive, first: StoredMessage
) -> None:
    """It has a name like every other unfinished file, and the first name stays."""
    archive.also(LABEL, first, SEEN)
    (left,) = (shelf.path / "Label/One/tmp").iterdir()
    (shelf.path / "Label/One/tmp/run0.1.mailarchive").hardlink_to(left)
    archive = shelf.open()
    assert list(shelf.path.rglob("tmp/*")) == []
    assert octets(archive, first.location) == OCTETS


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_f086_a_disk_that_fails_is_a_disk_error_and_the_batch_is_void(
    shelf: MaildirShelf, archive: Archive, first: StoredMessage, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Exit 14, nothing half visible, and the next attempt is whole."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr("os.link", fail)
        with pytest.raises(DiskError):
            archive.also(LABEL, first, SEEN)
        archive.discard()
    assert list((shelf.path / "Label/One").rglob("*/*")) == []
    second = archive.also(LABEL, replace(first, already=True), SEEN)
    archive.sync()
    assert octets(archive, second.location) == OCTETS
