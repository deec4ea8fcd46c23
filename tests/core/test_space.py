"""Room on the disk of an archive, and what a run says of a disk that is full (`mailarchive.space`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mailarchive import batch, space
from mailarchive.errors import DiskError, ExitCode, FullError
from mailarchive.events import Archived, Fetching, Planned, Warned
from tests.jobs import old, run_backup, run_prune, text, yes
from tests.memory import MemoryArchive, MemoryCatalogue, MemoryMessage, MemorySource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailarchive.events import Event
    from mailarchive.model import Mailbox, StoredMessage
    from tests.memory import MemoryIncoming

MB = 1_000_000


def serve(size: int) -> MemorySource:
    """Give a server with four old messages in two mailboxes, of so many octets each as announced."""
    made = MemorySource()
    for number, box in enumerate(("INBOX", "INBOX", "Work", "Work")):
        made.add(box, MemoryMessage(text(number), old(number).internal_date, frozenset(), size=size))
    return made


@pytest.fixture
def source() -> MemorySource:
    """Give a server whose messages are 18 MB in all as announced."""
    return serve(4_400_000)


def warnings(said: Sequence[Event]) -> list[str]:
    """Give the warnings."""
    return [event.message for event in said if isinstance(event, Warned)]


def test_f109_a_plan_that_is_larger_than_what_is_free_is_told_and_runs() -> None:
    """A warning, and exit 0 if it fits in the end: sizes may lie."""
    archive = MemoryArchive()
    archive.room = 101 * MB
    finished, said = run_backup(serve(200 * MB), archive, MemoryCatalogue())
    assert finished.exit_code is ExitCode.DONE
    assert warnings(said) == ["101 MB free, 800 MB needed on /archive: this run may not come to its end"]
    assert finished.total.archived == 4


def test_f109_a_disk_that_is_nearly_full_ends_the_run_before_anything_is_fetched(source: MemorySource) -> None:
    """Exit 14 after the plan; no manifest, no question, nothing asked of the server but the list."""
    archive = MemoryArchive()
    archive.room = 100 * MB - 1
    finished, said = run_backup(source, archive, MemoryCatalogue(), deletion=yes())
    assert finished.exit_code is ExitCode.DISK
    assert finished.error == (
        "too little space left on /archive (99 MB free, 18 MB needed, 100 MB must stay free); nothing was touched"
    )
    assert finished.hint == "free some space and run again"
    assert any(isinstance(event, Planned) for event in said)
    assert not any(isinstance(event, Fetching | Archived) for event in said)
    assert (archive.durable, archive.manifests, len(source.boxes["INBOX"])) == ({}, {}, 2)


def test_f109_a_dry_run_says_so_too(source: MemorySource) -> None:
    """And ends as it would."""
    archive = MemoryArchive()
    archive.room = 5 * MB
    finished, said = run_backup(source, archive, MemoryCatalogue(), dry_run=True)
    assert finished.exit_code is ExitCode.DONE
    assert warnings(said) == [
        "5 MB free, 18 MB needed on /archive: this run may not come to its end",
        "nothing can be fetched: 100 MB must stay free on /archive",
    ]


def test_f109_who_fetches_nothing_needs_no_room() -> None:
    """A second run, and one that only deletes."""
    source = serve(-1)
    archive, catalogue = MemoryArchive(), MemoryCatalogue()
    run_backup(source, archive, catalogue)
    archive.room = 0
    assert run_backup(source, archive, catalogue, run="run2")[0].exit_code is ExitCode.DONE
    finished, _ = run_prune(source, archive, catalogue, run="run3")
    assert (finished.exit_code, finished.total.deleted) == (ExitCode.DONE, 4)


def test_f109_no_batch_is_begun_when_little_is_left(source: MemorySource, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was archived before is safe and counted, and leaves the server only where its mailbox was whole."""
    monkeypatch.setattr(batch, "BATCH_MESSAGES", 1)
    archive, catalogue = Filling(3, 99 * MB), MemoryCatalogue()
    finished, _ = run_backup(source, archive, catalogue, deletion=yes())
    assert finished.exit_code is ExitCode.DISK
    assert finished.total.archived == len(archive.durable) == len(catalogue.table) == 3
    assert finished.error == (
        "too little space left on /archive (99 MB free, 18 MB needed, 100 MB must stay free);"
        " 3 messages are safe, nothing after them was touched"
    )
    assert (finished.total.deleted, len(source.boxes["INBOX"]), len(source.boxes["Work"])) == (2, 0, 2)


def test_f086_a_full_disk_is_told_with_what_is_free_and_what_is_safe(
    source: MemorySource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the words of `interface.md`; one message is not called messages."""
    monkeypatch.setattr(batch, "BATCH_MESSAGES", 1)
    archive = Filling(1, None)
    finished, _ = run_backup(source, archive, MemoryCatalogue())
    assert finished.exit_code is ExitCode.DISK
    assert finished.error == (
        "no space left on /archive (18 MB needed); 1 message is safe, nothing after them was touched"
    )
    archive = Filling(0, 999_999, full=True)
    monkeypatch.setattr(space, "ROOM", 0)
    finished, _ = run_backup(source, archive, MemoryCatalogue())
    assert finished.error == "no space left on /archive (0 MB free, 18 MB needed); nothing was touched"
    assert finished.hint == "free some space and run again"


def test_f087_f088_a_disk_with_room_that_takes_nothing(source: MemorySource) -> None:
    """Its inodes, or what this user may have of it, are used up, and the hint says so."""
    finished, _ = run_backup(source, Filling(0, 900 * MB, full=True), MemoryCatalogue())
    assert finished.error == "no space left on /archive (900 MB free, 18 MB needed); nothing was touched"
    assert finished.hint == "there is room, so the inodes of the disk (df -i) or a quota may be used up"


def test_f086_numbers_are_parted() -> None:
    """As in the table."""
    assert space._in_mb(12_345_678_901) == "12 346 MB"
    assert space._in_mb(12_345_678_901, up=False) == "12 345 MB"


class Filling(MemoryArchive):
    """An archive whose disk has too little room, or with `full` none, after so many messages."""

    def __init__(self, good: int, room: int | None, *, full: bool = False) -> None:
        super().__init__()
        self._good, self._then, self._full = good, room, full or room is None

    def add(self, mailbox: Mailbox, incoming: MemoryIncoming, uidvalidity: int | None = None) -> StoredMessage:
        """Take a message while there is room."""
        self._good -= 1
        if self._good < 0 and self._full:
            self.room = self._then
            raise FullError("no space left")
        if self._good <= 0 and not self._full:
            self.room = self._then
        return super().add(mailbox, incoming, uidvalidity)


def test_f086_other_disk_errors_keep_their_words(source: MemorySource) -> None:
    """Only a full disk is told so."""
    archive = MemoryArchive()
    archive.fail_sync = DiskError("the disk failed on /archive/x: Input/output error", hint="look at dmesg")
    finished, _ = run_backup(source, archive, MemoryCatalogue())
    assert finished.error.startswith("the disk failed on /archive/x: Input/output error; 0 of 4 messages")
    assert finished.hint == "look at dmesg"
