"""When a run writes down which UID each message has (`mailarchive.course`)."""

from __future__ import annotations

import pytest

from mailarchive.errors import DiskError, ExitCode, UnreachableError
from mailarchive.model import UID
from tests.jobs import World, run_backup, run_prune, warnings


@pytest.fixture
def world() -> World:
    """Give a server with old mail in INBOX and in Work."""
    return World()


def numbered(world: World) -> list[tuple[str, int | None, list[int], bool]]:
    """Give what was written down, and forget it."""
    found = [(name, v, sorted(int(uid) for uid in rows), changed) for name, v, rows, changed in world.archive.numbers]
    world.archive.numbers.clear()
    return found


def test_every_mailbox_is_written_down_with_all_its_uids(world: World) -> None:
    """After the run that archived something, as changed; after a second one, as unchanged."""
    run_backup(*world.ports)
    assert numbered(world) == [("INBOX", 1, [1, 2, 3, 4], True), ("Work", 1, [1, 2], True)]
    run_backup(*world.ports, run="run2")
    assert numbered(world) == [("INBOX", 1, [1, 2, 3, 4], False), ("Work", 1, [1, 2], False)]


def test_what_was_deleted_keeps_its_line(world: World) -> None:
    """It is archived mail like any other."""
    world.archived()
    numbered(world)
    finished, _ = run_prune(*world.ports)
    assert finished.total.deleted == 6
    assert numbered(world) == [("INBOX", 1, [1, 2, 3, 4], False), ("Work", 1, [1, 2], False)]


def test_a_dry_run_writes_nothing_down(world: World) -> None:
    """Nor does a mailbox that nothing was archived from."""
    run_backup(*world.ports, dry_run=True)
    assert numbered(world) == []
    world.source.boxes["Work"].clear()
    run_backup(*world.ports, run="run2")
    assert [name for name, *_ in numbered(world)] == ["INBOX"]


def test_a_line_that_dies_does_not_keep_it_from_being_written(world: World) -> None:
    """What came before is archived, and is written down."""
    world.source.cut_after, world.source.cut_error = 2, UnreachableError("the line died")
    finished, _ = run_backup(*world.ports)
    assert finished.exit_code is ExitCode.UNREACHABLE
    assert numbered(world) == [("INBOX", 1, [1, 2], True)]


def test_a_failure_is_told_and_costs_nothing(world: World) -> None:
    """The run ends as it would have, and the next one writes the list."""
    world.archive.fail_number = DiskError("no space left")
    finished, said = run_backup(*world.ports)
    assert finished.exit_code is ExitCode.DONE
    assert warnings(said) == ["the list of UIDs for Dovecot was not written: no space left"] * 2


def test_a_disk_that_failed_is_left_alone(world: World) -> None:
    """The error of the archive ends the run."""
    world.archive.fail_sync = DiskError("no space left")
    run_backup(*world.ports)
    assert numbered(world) == []


def test_rows_are_of_the_generation_that_the_server_says(world: World) -> None:
    """The mailbox was made anew."""
    run_backup(*world.ports)
    numbered(world)
    world.source.uidvalidity["INBOX"] = 2
    del world.source.boxes["INBOX"][UID(1)]
    run_backup(*world.ports, run="run2")
    assert numbered(world)[0] == ("INBOX", 2, [2, 3, 4], True)
