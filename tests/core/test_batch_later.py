"""A batch is made durable while the next one comes: it counts at its end, and an error of it voids the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mailarchive import batch
from mailarchive.errors import DiskError, ExitCode, UnreachableError
from mailarchive.events import Archived
from tests.jobs import of_type, old, run_backup, yes
from tests.memory import MemoryArchive, MemoryCatalogue, MemorySource, Steps, Stopped

if TYPE_CHECKING:
    from collections.abc import Callable


class Slow:
    """Does a task only when it is waited for, as late as a thread may.

    Attributes:
        log: `begun` and `ended`, by number.
    """

    def __init__(self) -> None:
        self.log: list[str] = []

    def __call__(self, task: Callable[[], None]) -> Callable[[], None]:
        """Begin it."""
        number = sum(each.startswith("begun") for each in self.log)
        assert self.log.count(f"begun {number - 1}") == self.log.count(f"ended {number - 1}"), "one at a time"
        self.log.append(f"begun {number}")

        def wait() -> None:
            task()
            self.log.append(f"ended {number}")

        return wait


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a batch be three messages."""
    monkeypatch.setattr(batch, "BATCH_MESSAGES", 3)


def filled(count: int, steps: Steps | None = None) -> tuple[MemorySource, MemoryArchive, MemoryCatalogue]:
    """Give a server with old messages, and an empty archive."""
    source = MemorySource(steps)
    for number in range(count):
        source.add("INBOX", old(number))
    return source, MemoryArchive(steps), MemoryCatalogue(steps)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6, 10])
def test_the_end_is_the_same_as_if_each_had_been_waited_for(count: int) -> None:
    """All messages, once, in their order; and the last batch is waited for before the mailbox is done."""
    slow = Slow()
    ports = filled(count)
    finished, said = run_backup(*ports, later=slow)
    assert [event.uid for event in of_type(said, Archived)] == list(range(1, count + 1))
    assert (finished.exit_code, finished.total.archived, len(ports[1].durable)) == (ExitCode.DONE, count, count)
    assert slow.log[-1] == f"ended {(count - 1) // 3}"


def test_a_message_is_told_only_when_it_is_durable_and_recorded() -> None:
    """Not when its batch is begun."""
    told: list[tuple[int, int]] = []
    source, archive, catalogue = filled(8)
    real = catalogue.record

    def record(run: str, placements: object) -> None:
        told.append((len(archive.durable), len(archive.manifests)))
        real(run, placements)  # type: ignore[arg-type] # as they come

    catalogue.record = record  # type: ignore[method-assign] # watched
    _, said = run_backup(source, archive, catalogue, later=Slow())
    assert told == [(3, 1), (6, 1), (8, 1)]
    assert len(of_type(said, Archived)) == 8


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_an_error_of_a_batch_voids_it_and_what_came_meanwhile(failing: int) -> None:
    """What was durable before counts; exit 14; and the next run takes the rest."""
    source, archive, catalogue = filled(9)
    slow = Slow()

    def later(task: Callable[[], None]) -> Callable[[], None]:
        if len(slow.log) == 2 * failing:
            archive.fail_sync = DiskError("full")
        return slow(task)

    finished, said = run_backup(source, archive, catalogue, later=later)
    assert finished.exit_code == ExitCode.DISK
    assert len(of_type(said, Archived)) == finished.total.archived == 3 * failing == len(catalogue.table)
    assert len(archive.durable) == 3 * failing
    assert not archive.pending
    archive.fail_sync = None
    finished, _ = run_backup(source, archive, catalogue, run="run2", later=Slow())
    assert (finished.exit_code, finished.total.already, len(catalogue.table)) == (ExitCode.DONE, 3 * failing, 9)


def test_a_line_that_dies_loses_nothing_that_came_whole() -> None:
    """The batch that is under way and the one that was begun both count."""
    source, archive, catalogue = filled(9)
    source.cut_after, source.cut_error = 5, UnreachableError("gone")
    finished, _ = run_backup(source, archive, catalogue, later=Slow())
    assert (finished.exit_code, finished.total.archived) == (ExitCode.UNREACHABLE, 5)
    assert len(catalogue.table) == len(archive.durable) == 5


@pytest.mark.parametrize("deleting", [False, True])
def test_a_stop_at_any_step_leaves_what_the_next_run_ends(deleting: bool) -> None:
    """No row without its octets, nothing gone that is not archived, and the next run ends as if nothing had been."""
    number = 0
    while True:
        steps = Steps(stop_at=number)
        source, archive, catalogue = filled(8, steps)
        options: dict[str, Any] = {"deletion": yes()} if deleting else {}
        try:
            run_backup(source, archive, catalogue, later=Slow(), **options)
        except Stopped:
            pass
        else:
            break
        assert {row.location for row in catalogue.table.values()} <= set(archive.durable), number
        assert len(source.boxes["INBOX"]) == 8 or len(archive.durable) == 8, number
        steps.stop_at = -1
        archive.discard()
        finished, _ = run_backup(source, archive, catalogue, run="run2", later=Slow(), **options)
        assert len(archive.durable) == len(catalogue.table) == 8, number
        assert (finished.exit_code, len(source.boxes["INBOX"])) == (ExitCode.DONE, 0 if deleting else 8), number
        number += 1
    assert number > 10
