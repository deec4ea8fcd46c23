"""Stop a deletion at every step, lose the catalogue, make it anew from the files, and run again (K15).

What the new catalogue says must be what the lost one said, and more only where a manifest was durable before its rows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from mailarchive import batch, recital, reindex, removal
from mailarchive.errors import ExitCode
from mailarchive.model import DELETED, Method
from tests.crash.test_delete_points_memory import METHODS, STRANGER, World, uninterrupted
from tests.jobs import run_reindex
from tests.memory import MemoryRebuild, Steps, Stopped

if TYPE_CHECKING:
    from mailarchive.model import UID, UIDL, Placement
    from tests.memory import MemoryCatalogue


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "BATCH_MESSAGES", 2)
    monkeypatch.setattr(removal, "BATCH", 2)
    monkeypatch.setattr(recital, "BATCH", 2)
    monkeypatch.setattr(reindex, "BATCH", 2)


def rows(catalogue: MemoryCatalogue) -> dict[tuple[str, int, UID | UIDL], Placement]:
    """Give its rows without what a manifest in memory does not tell: the time."""
    return {key: replace(row, archived_at=None, origin="") for key, row in catalogue.table.items()}


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("method", METHODS)
def test_f110_a_deletion_killed_at_any_step_converges_with_a_new_catalogue(method: Method, before: bool) -> None:
    """It knows all rows, and every deletion that is open; the next run ends the work, the one after it has none."""
    whole = uninterrupted(method)
    for stop_at in range(whole.steps.count):
        world = World(method)
        world.killed(stop_at, before=before)
        old, (new, finished, _) = world.catalogue, run_reindex(world.archive)
        assert finished.exit_code is ExitCode.DONE
        assert rows(old).items() <= rows(new).items()
        assert old.expunged <= new.expunged
        left = {(each.mailbox, row.uid) for each in old.open_batches() for row, _ in each.items}
        known = {(each.mailbox, row.uid): (each, marked) for each in new.open_batches() for row, marked in each.items}
        gone = {(name, uid) for name, _, uid in new.expunged}
        assert left <= known.keys() | gone
        if DELETED not in world.source.boxes["INBOX"][STRANGER].flags:
            assert any(STRANGER in each.lifted for each in new.open_batches())
        assert new.put_back == old.put_back
        assert not new.verified
        world.catalogue = new
        world.settled(whole)


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_f110_a_reindex_killed_at_any_step_changes_nothing(before: bool) -> None:
    """It writes to the new catalogue only, and the next one makes the same."""
    world = World(Method.EXPUNGE)
    world.killed(uninterrupted(Method.EXPUNGE).steps.count // 2, before=True)
    whole, _, _ = run_reindex(world.archive)
    assert whole.steps.count > 5
    mail, lines = dict(world.archive.durable), {run: list(m.durable) for run, m in world.archive.manifests.items()}
    for stop_at in range(whole.steps.count):
        with pytest.raises(Stopped):
            run_reindex(world.archive, catalogue=MemoryRebuild(Steps(stop_at, before)))
        assert (world.archive.durable, {run: m.durable for run, m in world.archive.manifests.items()}) == (mail, lines)
        again, _, _ = run_reindex(world.archive)
        assert rows(again) == rows(whole)
