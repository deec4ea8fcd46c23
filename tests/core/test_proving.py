"""Copies are read back one batch ahead of the deletion, in a thread where there is one (`mailarchive.proving`)."""

from __future__ import annotations

import threading
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from mailarchive import removal
from mailarchive.cli.background import Background
from mailarchive.errors import ArchiveError, ExitCode, UnreachableError
from mailarchive.job import Answer
from mailarchive.model import FLAGGED, UID
from mailarchive.policy import Policy
from mailarchive.proving import FRESH
from mailarchive.prune import prune
from tests.jobs import CUT, World, kept, run_backup, run_prune, there, warnings, yes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mailarchive.events import Planned
    from mailarchive.model import Location

INBOX = Policy(before=CUT, mailboxes=("INBOX",))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Give one whose four old messages are archived, and removed one by one."""
    monkeypatch.setattr(removal, "BATCH", 1)
    return World().archived()


class Late:
    """Does a task only when it is waited for, as late as a thread may."""

    def __init__(self, log: list[str]) -> None:
        self.log = log

    def __call__(self, task: Callable[[], None]) -> Callable[[], None]:
        """Begin it."""
        self.log.append("begun")
        left = [task]

        def wait() -> None:
            while left:
                self.log.append("read")
                left.pop()()

        return wait


def test_the_next_batch_is_begun_before_one_is_removed_and_waited_for_after(world: World) -> None:
    """As late as a thread may be, nothing is removed whose copy was not read before."""
    log: list[str] = []
    world.source.between = lambda step: log.append(step) if step in ("store", "expunge") else None
    run_prune(*world.ports, policy=INBOX, later=Late(log))
    removed = ["store", "expunge"]
    assert log == [
        "begun",
        "read",
        "begun",
        *removed,
        "read",
        "begun",
        *removed,
        "read",
        "begun",
        *removed,
        "read",
        *removed,
    ]
    assert there(world.source) == [5]


def test_a_backup_that_deletes_reads_ahead_too(world: World) -> None:
    """Where batches are made durable in a thread, copies are read in it."""
    log: list[str] = []
    run_backup(*world.ports, deletion=yes(), later=Late(log), policy=INBOX)
    assert log.count("begun") == log.count("read") == 4
    assert all(pair != ("begun", "begun") for pair in pairwise(log))
    assert there(world.source) == [5]


def test_all_goes_as_well_in_a_thread_of_its_own(world: World) -> None:
    """Each copy is read in it, and what was found there is told."""
    reading = set()
    read = world.archive.read

    def noting(location: Location, *, cold: bool = False) -> Iterator[bytes]:
        reading.add(threading.current_thread())
        return read(location, cold=cold)

    world.archive.read = noting  # type: ignore[method-assign] # to see where it is asked is the point

    def consent(_: Planned) -> Answer:
        del world.archive.durable[world.location(1)]
        return Answer.GIVEN

    with Background() as background:
        finished, said = run_prune(
            *world.ports, policy=INBOX, later=background, deletion=replace(yes(), consent=consent)
        )
    assert threading.current_thread() not in reading
    assert "the archived copy of UID 2 is gone from the archive" in warnings(said)
    assert (there(world.source), finished.exit_code) == ([2, 5], ExitCode.PARTIAL)


@pytest.mark.parametrize(("seconds", "times"), [(FRESH - 1, 1), (FRESH + 1, 2)])
def test_a_copy_that_was_read_long_ago_is_read_again(
    world: World, monkeypatch: pytest.MonkeyPatch, seconds: float, times: int
) -> None:
    """A server takes its time over one batch, and somebody damages the copy of the next meanwhile."""
    now = 0.0
    place = world.location(1)

    def between(step: str) -> None:
        nonlocal now
        if step == "store" and not now:
            now = seconds
            world.archive.durable[place] = b"rotten"

    world.source.between = between
    monkeypatch.setattr("tests.jobs.prune", lambda *ports, **more: prune(*ports, **{**more, "clock": lambda: now}))
    finished, _ = run_prune(*world.ports, policy=INBOX)
    assert world.archive.read_cold.count(place) == times
    assert there(world.source) == ([5] if times == 1 else [2, 3, 4, 5])
    assert finished.exit_code is (ExitCode.DONE if times == 1 else ExitCode.ARCHIVE)


def test_a_copy_that_vanishes_after_it_was_read_keeps_its_message(world: World) -> None:
    """Somebody tidies the archive up while the batch before is removed."""
    place = world.location(1)

    def between(_: str) -> None:
        world.archive.durable.pop(place, None)

    world.source.between = between
    finished, said = run_prune(*world.ports, policy=INBOX)
    assert world.archive.read_cold.count(place) == 1
    assert kept(said) == {("INBOX", 2): "not read back in this run"}
    assert (there(world.source), finished.exit_code) == ([2, 5], ExitCode.PARTIAL)


def test_what_ends_a_mailbox_is_not_hidden_by_what_the_reading_met(world: World) -> None:
    """The line breaks, and the copies of the next batch cannot even be asked for: the line is what is told."""
    log: list[str] = []
    place = world.location(1)

    def between(_: str) -> None:
        world.archive.unreadable[place] = ValueError("a bug")
        raise UnreachableError("the line broke")

    world.source.between = between
    finished, _ = run_prune(*world.ports, policy=INBOX, later=Late(log))
    assert finished.exit_code is ExitCode.UNREACHABLE
    assert (there(world.source), log.count("begun")) == ([1, 2, 3, 4, 5], log.count("read"))


def test_a_stop_ends_the_reading(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch may be gigabytes of copies."""
    monkeypatch.setattr(removal, "BATCH", 4)

    def stop() -> ExitCode | None:
        return ExitCode.TERMINATE if len(world.archive.read_cold) > 1 else None

    finished, said = run_prune(*world.ports, policy=INBOX, stop=stop)
    assert len(world.archive.read_cold) == 2
    assert set(kept(said).values()) == {"the run ended before"}
    assert (there(world.source), finished.exit_code) == ([1, 2, 3, 4, 5], ExitCode.TERMINATE)


def test_what_is_being_read_is_waited_for_when_nothing_more_is_removed(world: World) -> None:
    """Whatever ends it: here a server that does not do what it is told."""
    log: list[str] = []
    world.source.refusals["store"] = "NO"
    run_prune(*world.ports, policy=INBOX, later=Late(log))
    assert log.count("begun") == log.count("read")
    assert len(world.archive.read_cold) < 4


def test_what_is_held_is_not_read(world: World) -> None:
    """It stays, whatever its copy holds."""
    key = next(key for key, row in world.catalogue.table.items() if row.mailbox == "INBOX" and row.uid == 2)
    world.catalogue.table[key] = replace(world.catalogue.table[key], hold="it looked wrong")
    run_prune(*world.ports, policy=INBOX)
    assert len(world.archive.read_cold) == 3


def test_damage_ends_all_deletion_though_the_message_stays_anyway(world: World) -> None:
    """Somebody flags it after the plan was made; its copy was read, and is not what it should be."""
    world.archive.durable[world.location(0)] = b"rotten"
    read = world.archive.read

    def flagging(location: Location, *, cold: bool = False) -> Iterator[bytes]:
        world.source.boxes["INBOX"][UID(1)].flags |= {FLAGGED}
        return read(location, cold=cold)

    world.archive.read = flagging  # type: ignore[method-assign] # to act in between is the point
    finished, said = run_prune(*world.ports, policy=INBOX)
    assert there(world.source) == [1, 2, 3, 4, 5]
    assert finished.exit_code is ExitCode.ARCHIVE
    assert sum("does not match" in each for each in warnings(said)) == 1


def test_none_of_a_batch_counts_of_which_one_cannot_be_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fails is no ground to delete anything on, also not what was read before."""
    monkeypatch.setattr(removal, "BATCH", 4)
    world.archive.unreadable[world.location(2)] = ArchiveError("the disk does not read it")
    finished, _ = run_prune(*world.ports, policy=INBOX)
    assert (there(world.source), finished.exit_code) == ([1, 2, 3, 4, 5], ExitCode.ARCHIVE)
