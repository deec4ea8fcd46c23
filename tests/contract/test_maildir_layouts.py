"""Maildirs in the layout Maildir++, and on disks that refuse a colon (`archive-format.md` sections 1 to 4)."""

from __future__ import annotations

import contextlib
import errno
import os
import tomllib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from mailarchive.archives.marker import Kind
from mailarchive.archives.opening import open_for_reading, open_for_writing
from mailarchive.archives.uidlist import Numbered, parse_uidlist
from mailarchive.errors import ArchiveError, DiskError
from mailarchive.model import UID, Location, Mailbox, MailboxStatus, RemoteMessage
from tests.contract.archives import ACCOUNT, INBOX, MaildirShelf, add, locations, octets

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FLAT = Kind(layout="maildir++")
ETE = Mailbox("Work/Été 2014.a", b"", "/")
WHEN = datetime(2014, 3, 1, 9, tzinfo=UTC)
STATUS = MailboxStatus(1, 7, 2)


@pytest.fixture
def flat(tmp_path: Path) -> Iterator[MaildirShelf]:
    """Give an archive in the layout Maildir++."""
    made = MaildirShelf(tmp_path / "archive", FLAT)
    yield made
    made.close()


def refuse_colons(patch: pytest.MonkeyPatch) -> None:
    """Make a disk of the one there is that refuses a colon in a name, as those of Windows do."""

    def refusing(call: Any) -> Any:
        def instead(*given: Any, **named: Any) -> Any:
            if any(isinstance(each, str) and ":" in each.rpartition("/")[2] for each in given):
                raise OSError(errno.EINVAL, "Invalid argument")
            return call(*given, **named)

        return instead

    for name in ("open", "link", "rename", "replace", "mkdir"):
        patch.setattr(f"mailarchive.archives.durable.os.{name}", refusing(getattr(os, name)))


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[MaildirShelf]:
    """Give an archive of Maildirs in folders."""
    made = MaildirShelf(tmp_path / "archive")
    yield made
    made.close()


def names(path: Path) -> list[str]:
    """Give what is in a folder."""
    return sorted(found.name for found in path.iterdir())


def test_inbox_is_the_folder_of_all_others(flat: MaildirShelf) -> None:
    """Names in modified UTF-7 behind dots, dots of the name itself escaped, `maildirfolder` where it belongs."""
    archive = flat.open()
    for mailbox in (ETE, Mailbox("a&b", b"", "/"), Mailbox("INBOX/x", b"", "/"), INBOX):
        stored = add(archive, b"x", mailbox, internal_date=WHEN, flags=frozenset({"Junk"}))
        archive.sync()
        archive.number(mailbox, STATUS, lambda stored=stored: [(UID(1), stored.location)], changed=True)  # type: ignore[misc]
    root = flat.path / "Maildir"
    assert names(flat.path) == [".mailarchive", "Maildir"]
    own = ["cur", "dovecot-keywords", "dovecot-uidlist", "new", "tmp"]
    assert names(root) == sorted([".INBOX.x", ".Work.&AMk-t&AOk- 2014%2Ea", ".a&-b", *own])
    assert names(root / ".a&-b") == sorted([*own, "maildirfolder"])
    assert (root / ".a&-b" / "maildirfolder").read_bytes() == b""
    assert stored.location.startswith("Maildir/1393664400.")
    found = parse_uidlist((root / ".INBOX.x" / "dovecot-uidlist").read_text())
    assert found is not None
    assert found.files == (Numbered(stored.location.partition("/")[2], (1,)),)


def test_inbox_is_a_maildir_even_if_it_is_empty(flat: MaildirShelf) -> None:
    """Whoever opens a Maildir++ opens it first."""
    archive = flat.open()
    stored = add(archive, b"x", ETE)
    archive.sync()
    assert names(flat.path / "Maildir") == [".Work.&AMk-t&AOk- 2014%2Ea", "cur", "new", "tmp"]
    assert locations(archive) == [stored.location]


def test_a_layout_is_for_ever(flat: MaildirShelf) -> None:
    """Opened again without being asked for it, with it, and with another one; the marker describes it."""
    archive = flat.open()
    stored = add(archive, b"x", ETE)
    archive.sync()
    flat.kind = None
    archive = flat.open()
    assert octets(archive, stored.location) == b"x"
    assert add(archive, b"x", ETE).already
    flat.close()
    with pytest.raises(ArchiveError, match=r"is a maildir\+\+ archive"):
        open_for_writing(flat.path, ACCOUNT, run="r", started="x", kind=Kind())
    text = (flat.path / ".mailarchive" / "archive.toml").read_text()
    assert "# The folder Maildir beside .mailarchive is INBOX" in text


def test_what_a_killed_run_left_is_swept_from_flat_folders(flat: MaildirShelf) -> None:
    """And a mailbox that was marked half is marked by the next run."""
    archive = flat.open()
    add(archive, b"x", ETE)
    archive.sync()
    (folder,) = (flat.path / "Maildir").glob(".Work*")
    (folder / "tmp" / "run1.9.mailarchive").write_bytes(b"half")
    (folder / "maildirfolder").unlink()
    archive = flat.open()
    assert names(folder / "tmp") == []
    add(archive, b"xx", ETE)
    assert "maildirfolder" in names(folder)


def test_f108_a_name_that_is_too_long_is_recorded(flat: MaildirShelf) -> None:
    """By the folder that it has, and found again by the next run."""
    name = "Lists/" + "日本" * 90
    archive = flat.open()
    stored = add(archive, b"x", Mailbox(name, b"", "/"))
    archive.sync()
    folder = stored.location.rpartition("/")[0]
    assert len(folder.partition("/")[2].encode()) < 250
    marker = tomllib.loads((flat.path / ".mailarchive" / "archive.toml").read_text())
    assert marker["names"] == {folder: name}
    assert flat.open().folder(Mailbox(name, b"", "/")) == folder


def test_f100_a_disk_that_refuses_a_colon_gets_a_semicolon(
    shelf: MaildirShelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Probed once, kept in the marker; the same run of things: found, scanned, read, linked, numbered."""
    refuse_colons(monkeypatch)
    archive = shelf.open()
    first = add(archive, b"x", internal_date=WHEN, flags=frozenset({"\\Seen", "Junk"}))
    archive.sync()
    second = archive.also(ETE, first, RemoteMessage(UID(1), 1, WHEN, frozenset({"\\Flagged"})))
    archive.sync()
    archive.number(INBOX, STATUS, lambda: [(UID(1), first.location)], changed=True)
    (file,) = (shelf.path / "INBOX" / "cur").iterdir()
    assert file.name == f"{first.location.partition('/')[2]};2,Sa"
    marker = shelf.path / ".mailarchive" / "archive.toml"
    assert tomllib.loads(marker.read_text())["separator"] == ";"
    assert "refuses a colon" in marker.read_text()
    archive = shelf.open()
    assert locations(archive) == sorted([first.location, second.location])
    assert archive.holds(first.location)
    assert octets(archive, second.location) == b"x"
    assert add(archive, b"x", internal_date=WHEN).already
    assert f"1 :{first.location.partition('/')[2]}\n" in (shelf.path / "INBOX" / "dovecot-uidlist").read_text()
    assert names(shelf.path / ".mailarchive") == [".noindex", "archive.toml", "lock", "lock.owner", "runs"]


def test_the_separator_is_kept_where_a_colon_has_become_possible(
    shelf: MaildirShelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The archive was copied: new names are like the old ones, and a file renamed to the colon is found."""
    with monkeypatch.context() as patch:
        refuse_colons(patch)
        archive = shelf.open()
        first = add(archive, b"x", internal_date=WHEN)
        archive.sync()
    (file,) = (shelf.path / "INBOX" / "cur").iterdir()
    file.rename(file.with_name(file.name.replace(";2,", ":2,S")))
    archive = shelf.open()
    assert octets(archive, first.location) == b"x"
    assert add(archive, b"x", internal_date=WHEN).already
    second = add(archive, b"xx", internal_date=WHEN)
    archive.sync()
    assert f"{second.location.partition('/')[2]};2," in names(shelf.path / "INBOX" / "cur")


def test_f086_a_disk_that_takes_no_file_gets_no_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is full: that says nothing of colons, and nothing may be decided for ever."""
    call = os.open

    def full(name: Any, flags: int, *given: Any, **named: Any) -> int:
        if isinstance(name, str) and name in ("a:b", "a;b"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return call(name, flags, *given, **named)

    with monkeypatch.context() as patch:
        patch.setattr("mailarchive.archives.durable.os.open", full)
        with pytest.raises(DiskError, match="no space left"):
            open_for_writing(tmp_path / "archive", ACCOUNT, run="r", started="x", remember=False)
    with contextlib.closing(open_for_writing(tmp_path / "archive", ACCOUNT, run="r", started="x")) as opened:
        assert opened.marker.separator == ":"


@pytest.mark.parametrize(("number", "made"), [(errno.ENOSPC, False), (errno.EIO, True)])
def test_f086_f089_a_disk_that_fails_once_decides_nothing_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, *, made: bool
) -> None:
    """It failed while a name with a colon was tried: the archive is not made, or has the colon all the same."""
    call = os.open
    failed: list[str] = []

    def once(name: Any, flags: int, *given: Any, **named: Any) -> int:
        if name == "a:b" and not failed:
            failed.append(name)
            raise OSError(number, os.strerror(number))
        return call(name, flags, *given, **named)

    with monkeypatch.context() as patch:
        patch.setattr("mailarchive.archives.durable.os.open", once)
        if made:
            open_for_writing(tmp_path / "archive", ACCOUNT, run="r", started="x", remember=False).close()
        else:
            with pytest.raises(DiskError, match="no space left"):
                open_for_writing(tmp_path / "archive", ACCOUNT, run="r", started="x", remember=False)
    assert failed == ["a:b"]
    with contextlib.closing(open_for_writing(tmp_path / "archive", ACCOUNT, run="r", started="x")) as opened:
        assert opened.marker.separator == ":"


@pytest.mark.parametrize("kind", [Kind(), FLAT])
def test_the_marker_tells_how_to_open_the_archive(tmp_path: Path, kind: Kind) -> None:
    """Each layout has its own words, about ten lines of comment, and no word about a semicolon."""
    with open_for_writing(tmp_path / "archive", ACCOUNT, run="r", started="x", kind=kind):
        pass
    text = (tmp_path / "archive" / ".mailarchive" / "archive.toml").read_text()
    comment = [line for line in text.splitlines() if line.startswith("#")]
    assert 10 <= len(comment) <= 12
    assert text.startswith("\n".join(comment))
    assert "mutt -R -f" in text
    assert ";2," not in text
    opened = open_for_reading(tmp_path / "archive")
    assert opened is not None
    with opened:
        assert opened.marker.kind == kind
        assert not opened.mail.holds(Location("Maildir/../x"))
