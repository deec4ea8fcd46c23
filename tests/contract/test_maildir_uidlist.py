"""The list of UIDs beside the mail of a Maildir (`archive-format.md` section 4)."""

from __future__ import annotations

import hashlib
import os
import time
import tomllib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from mailarchive.archives import durable
from mailarchive.archives.uidlist import Numbered, parse_uidlist
from mailarchive.errors import ArchiveError, BusyError, DiskError
from mailarchive.model import UID, UIDL, Location, Mailbox, MailboxStatus, transient
from tests.contract.archives import INBOX, MaildirShelf, add

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from mailarchive.archives.uidlist import UidList
    from mailarchive.ports import Archive

STATUS = MailboxStatus(3, 1234567, 900)
POP = MailboxStatus(3, 1)
LONG_AGO = 1_000_000_000


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[MaildirShelf]:
    """Give a Maildir archive."""
    made = MaildirShelf(tmp_path / "archive")
    yield made
    made.close()


@pytest.fixture
def places(shelf: MaildirShelf) -> list[Location]:
    """Archive three messages, the last of them the oldest."""
    archive = shelf.open()
    octets = (b"x", b"xx", b"xxx")
    stored = [add(archive, each, internal_date=datetime(2014 - at, 3, 1, tzinfo=UTC)) for at, each in enumerate(octets)]
    archive.sync()
    return [each.location for each in stored]


def path_of(shelf: MaildirShelf) -> Path:
    """Name the list of INBOX."""
    return shelf.path / "INBOX" / "dovecot-uidlist"


def number(
    shelf: MaildirShelf,
    rows: Mapping[Any, Location],
    status: MailboxStatus = STATUS,
    *,
    changed: bool = True,
    mailbox: Mailbox = INBOX,
) -> UidList | None:
    """Have the list written at the end of a run, and read it."""
    archive: Archive = shelf.open()
    archive.number(mailbox, status, lambda: iter(rows.items()), changed=changed)
    return parse_uidlist(path_of(shelf).read_text()) if path_of(shelf).exists() else None


def bare(location: Location) -> str:
    """Give the name of the file."""
    return location.rpartition("/")[2]


def test_the_list_is_as_the_format_says(shelf: MaildirShelf, places: list[Location]) -> None:
    """V, N and G; a line a file, ascending; further UIDs of a file in X."""
    number(shelf, {UID(5): places[1], UID(17): places[0], UID(18): places[0], UID(44): places[0], UID(45): places[2]})
    marker = tomllib.loads((shelf.path / ".mailarchive" / "archive.toml").read_text())
    guid = hashlib.sha256(f"{marker['id']} INBOX".encode()).hexdigest()[:32]
    assert path_of(shelf).read_text().splitlines() == [
        f"3 V1234567 N900 G{guid}",
        f"5 :{bare(places[1])}",
        f"17 X18,44 :{bare(places[0])}",
        f"45 :{bare(places[2])}",
    ]
    assert path_of(shelf).stat().st_mode & 0o777 == 0o600


def test_a_list_that_would_not_change_is_not_written(shelf: MaildirShelf, places: list[Location]) -> None:
    """The file stays the same one, whether or not the run has archived something."""
    number(shelf, {UID(5): places[1]})
    before = path_of(shelf).stat().st_ino
    for changed in (True, False):
        number(shelf, {UID(5): places[1]}, changed=changed)
        assert path_of(shelf).stat().st_ino == before


def test_a_run_that_changed_nothing_does_not_even_ask(shelf: MaildirShelf, places: list[Location]) -> None:
    """A list that is there and younger than the last new file is left alone; a missing or older one is made."""
    number(shelf, {UID(5): places[1]})
    archive = shelf.open()

    def never() -> Iterator[tuple[UID, Location]]:
        raise AssertionError("asked")

    archive.number(INBOX, STATUS, never, changed=False)
    os.utime(path_of(shelf), (LONG_AGO, LONG_AGO))
    with pytest.raises(AssertionError, match="asked"):
        archive.number(INBOX, STATUS, never, changed=False)
    number(shelf, {UID(5): places[1]}, changed=False)
    shelf.open().number(INBOX, STATUS, never, changed=False)
    path_of(shelf).unlink()
    assert number(shelf, {UID(5): places[1]}, changed=False) is not None


def test_n_never_falls_and_is_above_every_uid(shelf: MaildirShelf, places: list[Location]) -> None:
    """Dovecot calls a smaller one corrupt."""
    for uidnext, uid, expected in ((900, 5, 900), (None, 5, 900), (20, 5, 900), (20, 1000, 1001), (2000, 5, 2000)):
        found = number(shelf, {UID(uid): places[0]}, MailboxStatus(1, 7, uidnext))
        assert found is not None
        assert found.uidnext == expected


def test_only_the_newest_generation_is_listed(shelf: MaildirShelf, places: list[Location]) -> None:
    """Another UIDVALIDITY begins a new list, N too; none at all gives none."""
    number(shelf, {UID(5): places[1]})
    found = number(shelf, {UID(1): places[0]}, MailboxStatus(1, 7, 2))
    assert found is not None
    assert (found.uidvalidity, found.uidnext) == (7, 2)
    assert found.files == (Numbered(bare(places[0]), (1,)),)
    path_of(shelf).unlink()
    assert number(shelf, {UID(1): places[0]}, MailboxStatus(1, None, 2)) is None


def test_what_the_list_knew_and_nothing_contradicts_stays(shelf: MaildirShelf, places: list[Location]) -> None:
    """A catalogue that was lost, or UIDs that Dovecot gave to other files; of the same UID the catalogue knows more."""
    number(shelf, {UID(5): places[1], UID(17): places[0], UID(18): places[0]})
    with path_of(shelf).open("a") as file:
        file.write("30 :imported.file,S=5:2,S\n31 :1.00112233445566778899aabbccddeeff.mailarchive,S=7\n")
    found = number(shelf, {UID(5): places[2], UID(18): places[0], UID(40): places[1]})
    assert found is not None
    assert found.files == (
        Numbered(bare(places[2]), (5,)),
        Numbered(bare(places[0]), (17, 18)),
        Numbered("imported.file,S=5", (30,)),
        Numbered(bare(places[1]), (40,)),
    )


def test_a_file_that_is_gone_or_elsewhere_has_no_line(shelf: MaildirShelf, places: list[Location]) -> None:
    """Only what lies in the folder of the mailbox."""
    next((shelf.path / "INBOX" / "cur").glob(f"{bare(places[0])}*")).unlink()
    elsewhere = Location(places[1].replace("INBOX", "Work"))
    found = number(shelf, {UID(1): places[0], UID(2): elsewhere, UID(3): places[2]})
    assert found is not None
    assert found.files == (Numbered(bare(places[2]), (3,)),)


def test_a_file_that_a_mail_program_has_just_moved_keeps_its_line(shelf: MaildirShelf, places: list[Location]) -> None:
    """Between the batch and the end of the run."""
    assert shelf.opened is not None
    archive = shelf.opened.mail
    assert archive.holds(places[0])
    file = next((shelf.path / "INBOX" / "cur").glob(f"{bare(places[0])}*"))
    file.rename(shelf.path / "INBOX" / "new" / bare(places[0]))
    other = next((shelf.path / "INBOX" / "cur").glob(f"{bare(places[1])}*"))
    other.unlink()
    archive.number(INBOX, STATUS, lambda: [(UID(1), places[0]), (UID(2), places[1])], changed=True)
    found = parse_uidlist(path_of(shelf).read_text())
    assert found is not None
    assert found.files == (Numbered(bare(places[0]), (1,)),)


@pytest.mark.parametrize("text", ["", "3 V1234567 N5\ngarbage\n", "\x00\xff", "1 1234567 9\n5 x\n"])
def test_a_damaged_list_is_written_anew(shelf: MaildirShelf, places: list[Location], text: str) -> None:
    """It costs nothing."""
    path_of(shelf).write_text(text, encoding="latin-1")
    found = number(shelf, {UID(5): places[1]})
    assert found is not None
    assert found.files == (Numbered(bare(places[1]), (5,)),)


def test_pop_counts_from_1_by_date_and_keeps_its_numbers(shelf: MaildirShelf, places: list[Location]) -> None:
    """V is the second in which the archive was made, P the UIDL; a later message gets the next number."""
    marker = tomllib.loads((shelf.path / ".mailarchive" / "archive.toml").read_text())
    first = number(shelf, {UIDL("u1"): places[0], UIDL("u2"): places[1]}, POP)
    assert first is not None
    assert (first.uidvalidity, first.uidnext) == (int(marker["created"].timestamp()), 3)
    assert first.files == (Numbered(bare(places[1]), (1,), "u2"), Numbered(bare(places[0]), (2,), "u1"))
    odd: dict[UIDL, Location] = {UIDL("u1"): places[0], UIDL("two words"): places[2], UIDL("v2"): places[1]}
    second = number(shelf, odd, POP)
    assert second is not None
    assert second.files == (
        Numbered(bare(places[1]), (1,), "v2"),
        Numbered(bare(places[0]), (2,), "u1"),
        Numbered(bare(places[2]), (3,)),
    )
    third = number(shelf, {UIDL("u1"): places[0], transient("x"): places[2]}, POP)
    assert third == second


def test_a_mailbox_without_a_folder_gets_none(shelf: MaildirShelf, places: list[Location]) -> None:
    """Nothing was archived from it."""
    number(shelf, {UID(1): places[0]}, mailbox=Mailbox("Empty", b"Empty", "/"))
    assert not (shelf.path / "Empty").exists()
    assert number(shelf, {}) is None


def test_a_list_that_another_program_holds_is_left_for_the_next_run(
    shelf: MaildirShelf, places: list[Location]
) -> None:
    """Dovecot's lock is respected for two minutes, as Dovecot does; what lies there longer means nothing."""
    lock = path_of(shelf).with_name("dovecot-uidlist.lock")
    lock.touch()
    with pytest.raises(BusyError, match=r"holds .*dovecot-uidlist\.lock"):
        number(shelf, {UID(5): places[1]})
    assert lock.exists()
    assert sorted(path.name for path in (shelf.path / "INBOX").iterdir()) == ["cur", lock.name, "new", "tmp"]
    os.utime(lock, (time.time() - 121, time.time() - 121))
    assert number(shelf, {UID(5): places[1]}) is not None
    assert not lock.exists()


@pytest.mark.parametrize("links", [True, False])
def test_a_kill_between_any_two_steps_leaves_a_list_and_no_lock_for_ever(
    shelf: MaildirShelf, places: list[Location], monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    """The old one or the new one; our own left-over lock is known as ours, where there are links, at once."""
    number(shelf, {UID(5): places[1]})

    class Kill(BaseException):
        """The process ends here."""

    if not links:
        monkeypatch.setattr(durable.Directory, "link", lambda *_: False)
    for steps in range(1, 30):
        left = [steps]

        def step(name: str, call: Any, left: list[int] = left) -> Any:
            def instead(*given: Any, **named: Any) -> Any:
                left[0] -= 1
                if left[0] <= 0:
                    raise Kill(name)
                return call(*given, **named)

            return instead

        leaf = durable.Directory.at(str(shelf.path / "INBOX"))
        with monkeypatch.context() as patch:
            for name in ("link", "replace", "unlink", "fsync", "open", "chmod"):
                patch.setattr(f"mailarchive.archives.durable.os.{name}", step(name, getattr(os, name)))
            try:
                durable.replace_under_lock(leaf, "dovecot-uidlist", [b"3 V1 N%d\n" % steps])
                break
            except Kill:
                pass
            finally:
                leaf.close()
        found = parse_uidlist(path_of(shelf).read_text())
        assert found is not None
        lock = path_of(shelf).with_name("dovecot-uidlist.lock")
        if lock.exists() and not links:
            os.utime(lock, (LONG_AGO, LONG_AGO))
        assert number(shelf, {UID(5): places[1]}, changed=False) is not None
        assert not lock.exists()
    assert left[0] > 0
    assert steps > 6


def test_f086_a_full_disk_leaves_the_old_list(
    shelf: MaildirShelf, places: list[Location], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no lock."""
    before = number(shelf, {UID(5): places[1]})

    def full(*_: Any) -> None:
        raise DiskError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(durable.Draft, "write", full)
        archive = shelf.opened
        assert archive is not None
        with pytest.raises(ArchiveError):
            archive.mail.number(INBOX, STATUS, lambda: [(UID(6), places[0])], changed=True)
    assert sorted(path.name for path in (shelf.path / "INBOX").iterdir()) == ["cur", "dovecot-uidlist", "new", "tmp"]
    assert parse_uidlist(path_of(shelf).read_text()) == before
