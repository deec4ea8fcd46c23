"""Keywords in the names of files, and the table that gives them a meaning (`archive-format.md` section 4)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from mailarchive.archives import durable
from mailarchive.errors import ArchiveError, DiskError
from mailarchive.model import UID, Mailbox, RemoteMessage
from tests.contract.archives import MaildirShelf, add

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WORK = Mailbox("Work", b"Work", "/")


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[MaildirShelf]:
    """Give a Maildir archive."""
    made = MaildirShelf(tmp_path / "archive")
    yield made
    made.close()


def table(shelf: MaildirShelf, folder: str = "INBOX") -> Path:
    """Name the file with the letters of a mailbox."""
    return shelf.path / folder / "dovecot-keywords"


def letters(shelf: MaildirShelf, folder: str = "INBOX") -> list[str]:
    """Give what stands behind the separator in each name, in the order of the sizes."""
    names = [path.name for path in (shelf.path / folder / "cur").iterdir()]
    return [name.partition(":2,")[2] for name in sorted(names, key=lambda name: int(name.split("S=")[1].split(":")[0]))]


def test_a_keyword_has_its_letter_in_every_run(shelf: MaildirShelf) -> None:
    """In order of first sight in each mailbox, and never another one."""
    archive = shelf.open()
    add(archive, b"x", flags=frozenset({"$label1", "\\Seen"}))
    add(archive, b"xx", flags=frozenset({"Junk"}))
    archive.sync()
    add(archive, b"x", WORK, flags=frozenset({"Junk"}))
    archive.sync()
    archive = shelf.open()
    add(archive, b"xxx", flags=frozenset({"Alpha", "junk", "$label1"}))
    archive.sync()
    assert letters(shelf) == ["Sa", "b", "abc"]
    assert letters(shelf, "Work") == ["a"]
    assert table(shelf).read_text() == "0 $label1\n1 Junk\n2 Alpha\n"
    assert table(shelf, "Work").read_text() == "0 Junk\n"


def test_a_mailbox_without_keywords_has_no_table(shelf: MaildirShelf) -> None:
    """Flags have letters of their own; `$Forwarded` has one, and is a keyword all the same, which Dovecot shows."""
    archive = shelf.open()
    add(archive, b"x", flags=frozenset({"\\Flagged", "\\Deleted"}))
    archive.sync()
    assert letters(shelf) == ["F"]
    assert not table(shelf).exists()
    add(archive, b"y", flags=frozenset({"$Forwarded", "\\Flagged"}))
    archive.sync()
    assert letters(shelf) == ["F", "FPa"]
    assert table(shelf).read_text() == "0 $Forwarded\n"


def test_the_table_is_durable_before_a_name_uses_it(shelf: MaildirShelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """A letter without its line would be wrong for ever: the table is synced and renamed before the first link."""
    archive = shelf.open()
    happened = []
    link, rename, sync = durable.Directory.link_or_move, os.replace, durable.Directory.sync

    def noted(name: str, call: Any) -> Any:
        def instead(*given: Any, **named: Any) -> Any:
            happened.append(name)
            return call(*given, **named)

        return instead

    monkeypatch.setattr(durable.Directory, "link_or_move", noted("name", link))
    monkeypatch.setattr(durable.Directory, "sync", noted("sync", sync))
    monkeypatch.setattr("mailarchive.archives.durable.os.replace", noted("table", rename))
    add(archive, b"x", flags=frozenset({"$label1"}))
    del happened[:]
    archive.sync()
    assert happened == ["table", "sync", "name", "sync"]


def test_f086_a_table_that_cannot_be_written_costs_the_batch(
    shelf: MaildirShelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it becomes visible, and the letters are given anew."""
    archive = shelf.open()
    add(archive, b"x", flags=frozenset({"$label1"}))
    with monkeypatch.context() as patch:

        def full(*_: Any, **__: Any) -> None:
            raise DiskError("no space left")

        patch.setattr(durable, "replace", full)
        with pytest.raises(DiskError):
            archive.sync()
    assert letters(shelf) == []
    assert list((shelf.path / "INBOX" / "tmp").iterdir()) == []
    add(archive, b"x", flags=frozenset({"Junk"}))
    archive.sync()
    assert (letters(shelf), table(shelf).read_text()) == (["a"], "0 Junk\n")


def test_what_another_program_wrote_is_kept(shelf: MaildirShelf) -> None:
    """Its letters are used and never given to another keyword, and its lines stay."""
    archive = shelf.open()
    add(archive, b"x", flags=frozenset({"Work"}))
    archive.sync()
    table(shelf).write_text("0 Work\n4 Private\n")
    archive = shelf.open()
    add(archive, b"xx", flags=frozenset({"private", "New"}))
    archive.sync()
    assert letters(shelf) == ["a", "ef"]
    assert table(shelf).read_text() == "0 Work\n4 Private\n5 New\n"


def test_a_table_that_changes_in_the_middle_of_a_batch_costs_the_batch(shelf: MaildirShelf) -> None:
    """Another program may have given the letter of this batch to another keyword."""
    archive = shelf.open()
    add(archive, b"x", flags=frozenset({"Work"}))
    table(shelf).write_text("0 Private\n")
    with pytest.raises(ArchiveError, match="another program has just changed"):
        archive.sync()
    assert letters(shelf) == []
    add(archive, b"x", flags=frozenset({"Work"}))
    archive.sync()
    assert (letters(shelf), table(shelf).read_text()) == (["b"], "0 Private\n1 Work\n")


@pytest.mark.parametrize("sub", ["cur", "new"])
def test_letters_of_a_lost_table_are_not_given_again(shelf: MaildirShelf, sub: str) -> None:
    """Names still carry them, and nobody knows what they meant."""
    archive = shelf.open()
    add(archive, b"x", flags=frozenset({"a", "b"}))
    archive.sync()
    table(shelf).unlink()
    (file,) = (shelf.path / "INBOX" / "cur").iterdir()
    if sub == "new":
        file.rename(shelf.path / "INBOX" / "new" / file.name.partition(":")[0])
    archive = shelf.open()
    add(archive, b"xx", flags=frozenset({"new"}))
    archive.sync()
    assert letters(shelf)[-1] == ("c" if sub == "cur" else "a")


def test_only_26_keywords_have_letters(shelf: MaildirShelf) -> None:
    """The others stand in the manifest."""
    archive = shelf.open()
    for number in range(28):
        add(archive, b"x" * (number + 1), flags=frozenset({f"k{number}", "\\Seen"}))
    archive.sync()
    assert letters(shelf) == [f"S{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"] + ["S", "S"]
    assert len(table(shelf).read_text().splitlines()) == 26


def test_a_link_in_another_mailbox_has_the_letters_of_that_mailbox(shelf: MaildirShelf) -> None:
    """Each mailbox counts for itself."""
    archive = shelf.open()
    add(archive, b"xx", WORK, flags=frozenset({"Other"}))
    archive.sync()
    first = add(archive, b"x", flags=frozenset({"Junk"}))
    archive.sync()
    archive.also(WORK, first, RemoteMessage(UID(1), 1, None, frozenset({"Junk"})))
    archive.sync()
    assert (letters(shelf), letters(shelf, "Work")) == (["a"], ["b", "a"])
