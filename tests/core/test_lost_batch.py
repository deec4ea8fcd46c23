"""A disk that fails under a batch: fetched again once, to new files; the second time is the end (row 89)."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from mailarchive import batch
from mailarchive.cli.background import Background
from mailarchive.errors import DiskError, ExitCode, FullError, LostError
from mailarchive.events import Archived, Warned
from mailarchive.ports import at_once
from tests.jobs import old, run_backup, yes
from tests.memory import MemoryArchive, MemoryCatalogue, MemorySource

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mailarchive.events import Event
    from mailarchive.model import Mailbox, StoredMessage
    from tests.memory import MemoryIncoming

LOST = LostError("the disk failed on /archive/x: Input/output error")


class Failing(MemoryArchive):
    """An archive that fails at some of its steps, counted from 1: `add` or `seal`, or the end of what `seal` gives."""

    def __init__(self, where: str, *when: int, error: DiskError = LOST) -> None:
        super().__init__()
        self._where, self._when, self._error = where, when, error
        self._count = itertools.count(1)
        self.discarded_while_busy = False
        self._busy = False

    def add(self, mailbox: Mailbox, incoming: MemoryIncoming, uidvalidity: int | None = None) -> StoredMessage:
        """Take a message, or fail after its octets came."""
        stored = super().add(mailbox, incoming, uidvalidity)
        self._fail("add", lambda: self.pending.pop(stored.location, None))
        return stored

    def seal(self) -> Callable[[], None]:
        """Close the batch, or fail."""
        self._fail("seal")
        commit = super().seal()
        self._busy = True

        def later() -> None:
            try:
                self._fail("commit", self.sealed.clear)
                commit()
            finally:
                self._busy = False

        return later

    def discard(self) -> None:
        """Drop the batch."""
        self.discarded_while_busy |= self._busy
        super().discard()

    def _fail(self, where: str, first: Callable[[], object] = lambda: None) -> None:
        if where == self._where and next(self._count) in self._when:
            first()
            raise self._error


@pytest.fixture
def source() -> MemorySource:
    """Give a server with six old messages."""
    made = MemorySource()
    for number in range(6):
        made.add("INBOX", old(number))
    return made


@pytest.fixture(autouse=True)
def _pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a batch hold two messages."""
    monkeypatch.setattr(batch, "BATCH_MESSAGES", 2)


def told(said: Sequence[Event]) -> list[str]:
    """Give the warnings."""
    return [event.message for event in said if isinstance(event, Warned)]


@pytest.mark.parametrize("threaded", [False, True])
@pytest.mark.parametrize(
    ("where", "when", "count"), [("add", 1, 1), ("add", 2, 2), ("add", 4, 2), ("seal", 1, 2), ("seal", 3, 2)]
)
def test_f089_what_the_disk_lost_is_fetched_again_once(
    source: MemorySource, where: str, when: int, count: int, *, threaded: bool
) -> None:
    """Exit 0 and a word about it; each message is archived and told once, and leaves the server as if nothing were."""
    archive, catalogue = Failing(where, when), MemoryCatalogue()
    with Background() as background:
        finished, said = run_backup(
            source, archive, catalogue, deletion=yes(), later=background if threaded else at_once
        )
    assert (finished.exit_code, finished.error) == (ExitCode.DONE, "")
    assert (finished.total.archived, finished.total.deleted, finished.total.failed) == (6, 6, 0)
    assert (len(archive.durable), len(catalogue.table)) == (6, 6)
    what = "message is" if count == 1 else "messages are"
    assert told(said) == [f"{LOST.message}; {count} {what} fetched again"]
    assert len(source.fetched) == 6 + count
    archived = [event.uid for event in said if isinstance(event, Archived)]
    assert sorted(archived) == sorted(set(archived))
    assert not archive.discarded_while_busy


@pytest.mark.parametrize("threaded", [False, True])
@pytest.mark.parametrize("when", [1, 2, 3])
def test_f089_it_is_lost_while_the_next_ones_come(source: MemorySource, when: int, *, threaded: bool) -> None:
    """With them go those that were being added: they may rest on a copy that is not there."""
    archive, catalogue = Failing("commit", when), MemoryCatalogue()
    with Background() as background:
        finished, said = run_backup(
            source, archive, catalogue, deletion=yes(), later=background if threaded else at_once
        )
    assert (finished.exit_code, finished.total.archived, finished.total.deleted) == (ExitCode.DONE, 6, 6)
    assert (len(archive.durable), len(catalogue.table)) == (6, 6)
    assert len(told(said)) == 1
    assert len(source.fetched) in {8, 10}
    assert not archive.discarded_while_busy


@pytest.mark.parametrize("threaded", [False, True])
@pytest.mark.parametrize(("where", "when"), [("add", (2, 3)), ("add", (1, 7)), ("seal", (1, 3)), ("commit", (1, 3))])
def test_f089_the_second_time_ends_the_run(
    source: MemorySource, where: str, when: tuple[int, ...], *, threaded: bool
) -> None:
    """Exit 14; what is not durable has no row and stays on the server, and the next run takes it."""
    archive, catalogue = Failing(where, *when), MemoryCatalogue()
    with Background() as background:
        finished, said = run_backup(
            source, archive, catalogue, deletion=yes(), later=background if threaded else at_once
        )
    assert finished.exit_code is ExitCode.DISK
    assert finished.error.startswith(LOST.message)
    assert len(told(said)) == 1
    assert len(catalogue.table) == len(archive.durable) == finished.total.archived < 6
    assert (finished.total.deleted, len(source.boxes["INBOX"])) == (0, 6)
    finished, _ = run_backup(source, archive, catalogue, run="run2", deletion=yes())
    assert (finished.exit_code, finished.total.deleted, len(archive.durable)) == (ExitCode.DONE, 6, 6)


@pytest.mark.parametrize("where", ["add", "seal", "commit"])
@pytest.mark.parametrize("error", [FullError("no space left"), DiskError("the disk failed on cur")])
def test_f086_f089_any_other_error_ends_the_run_at_once(source: MemorySource, where: str, error: DiskError) -> None:
    """A full disk does not get emptier by trying, and a folder whose sync failed cannot have another name."""
    finished, said = run_backup(source, Failing(where, 2, error=error), MemoryCatalogue(), deletion=yes())
    assert (finished.exit_code, told(said), finished.total.deleted) == (ExitCode.DISK, [], 0)
    assert len(source.fetched) < 6


def test_f089_who_stops_the_run_is_not_kept(source: MemorySource) -> None:
    """What was lost is for the next run then, and is not called failed."""
    archive, catalogue = Failing("seal", 3), MemoryCatalogue()
    answers = iter([None] * 8)
    finished, _ = run_backup(source, archive, catalogue, stop=lambda: next(answers, ExitCode.INTERRUPT))
    assert (finished.exit_code, finished.total.failed) == (ExitCode.INTERRUPT, 0)
    assert finished.total.archived == len(archive.durable) < 6
