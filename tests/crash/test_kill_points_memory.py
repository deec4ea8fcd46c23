"""Stop a backup at every step, before it and after it, in memory; run again; and once more (K1 to K6).

The archive in memory forgets what was not synced, like a disk after a power cut.
"""

from __future__ import annotations

import pytest

from mailarchive import batch
from mailarchive.errors import ExitCode
from tests.jobs import old, run_backup, young
from tests.memory import MemoryArchive, MemoryCatalogue, MemorySource, Steps, Stopped


def server() -> MemorySource:
    """Make the same server each time, with equal messages in it."""
    source = MemorySource()
    for number in (1, 2, 3, 3, 4):
        source.add("INBOX", old(number))
    source.add("INBOX", young(9))
    for number in (3, 7):
        source.add("Work", old(number))
    return source


def wired(steps: Steps) -> tuple[MemorySource, MemoryArchive, MemoryCatalogue]:
    """Make the three ports on one counter."""
    source, archive, catalogue = server(), MemoryArchive(steps), MemoryCatalogue(steps)
    source.steps = steps
    return source, archive, catalogue


def uninterrupted() -> tuple[MemoryArchive, MemoryCatalogue, int]:
    """Run once without a stop; gives also the number of steps."""
    steps = Steps()
    source, archive, catalogue = wired(steps)
    run_backup(source, archive, catalogue)
    return archive, catalogue, steps.count


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_f110_a_backup_killed_at_any_step_converges(before: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the next run the archive is the same as ever, no copy twice; the run after it fetches nothing."""
    monkeypatch.setattr(batch, "BATCH_MESSAGES", 2)
    whole, rows, count = uninterrupted()
    assert count > 20
    for stop_at in range(count):
        steps = Steps(stop_at, before)
        source, archive, catalogue = wired(steps)
        with pytest.raises(Stopped):
            run_backup(source, archive, catalogue)
        # The process is gone: what was not durable is lost.
        archive.discard()
        vouched = {row.location for row in catalogue.table.values()}
        assert vouched <= set(archive.durable), f"step {stop_at} ({steps.log[-1]}): a row without its bytes"
        finished, _ = run_backup(source, archive, catalogue, run="run2")
        assert finished.exit_code is ExitCode.DONE
        assert archive.durable == whole.durable
        assert set(catalogue.table) == set(rows.table)
        source.fetched.clear()
        finished, _ = run_backup(source, archive, catalogue, run="run3")
        assert source.fetched == []
        assert finished.total.archived == 0
