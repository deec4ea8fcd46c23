"""Stop a backup that deletes at every step, before it and after it, in memory; run again; and once more (K1 to K14b).

The archive in memory forgets what was not synced, like a disk after a power cut; the server keeps what it was told.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from mailarchive import batch, removal
from mailarchive.errors import ExitCode
from mailarchive.model import DELETED, FLAGGED, UID, Capabilities, Method
from tests.jobs import old, run_backup, yes, young
from tests.memory import MemoryArchive, MemoryCatalogue, MemorySource, Steps, Stopped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailarchive.events import Finished
    from tests.memory import MemoryMessage

STRANGER = UID(6)
METHODS = [Method.EXPUNGE, Method.TRASH, Method.EXCLUSIVE]
CHANGES = {"store", "unmark", "expunge", "move"}


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "BATCH_MESSAGES", 2)
    monkeypatch.setattr(removal, "BATCH", 2)


@dataclass
class World:
    """Eight messages in two mailboxes: three of equal octets, a flagged one, and a young one that is marked."""

    method: Method
    steps: Steps = field(default_factory=Steps)
    runs: int = 0

    def __post_init__(self) -> None:
        self.source, self.archive, self.catalogue = MemorySource(), MemoryArchive(), MemoryCatalogue()
        for number in (1, 2, 3, 3, 4):
            self.source.add("INBOX", old(number))
        self.source.boxes["INBOX"][UID(5)].flags |= {FLAGGED}
        self.source.add("INBOX", young(9))
        self.source.boxes["INBOX"][STRANGER].flags |= {DELETED}
        for number in (3, 7):
            self.source.add("Work", old(number))
        if self.method is Method.TRASH:
            self.source.boxes["Trash"] = {}
            self.source.special["Trash"] = frozenset({"\\Trash"})
        if self.method is Method.EXCLUSIVE:
            self.source.capabilities = Capabilities()
        self.start = {(name, uid): message.octets for name, uid, message in self._messages()}
        self.wire(self.steps)

    def _messages(self) -> Iterator[tuple[str, UID, MemoryMessage]]:
        for name, box in self.source.boxes.items():
            for uid, message in box.items():
                yield name, uid, message

    def wire(self, steps: Steps) -> None:
        """Put the three ports on one counter."""
        self.steps = self.source.steps = self.archive.steps = self.catalogue.steps = steps

    def run(self) -> Finished:
        """Run once more, with a number of its own."""
        self.runs += 1
        finished, _ = run_backup(
            self.source, self.archive, self.catalogue, run=f"run{self.runs}", deletion=yes(method=self.method)
        )
        return finished

    def killed(self, stop_at: int, *, before: bool) -> None:
        """Run, be killed at one step, and lose what is not durable."""
        self.wire(Steps(stop_at, before))
        with pytest.raises(Stopped):
            self.run()
        self.archive.discard()
        self.check()

    def check(self) -> None:
        """Check what must hold at every instant."""
        where = f"{self.method} stopped at step {self.steps.stop_at} ({self.steps.log[-1]})"
        held = set(self.archive.durable.values()) | {
            m.octets for box in self.source.boxes.values() for m in box.values()
        }
        assert set(self.start.values()) <= held, f"{where}: a message is lost"
        intended = {(found.mailbox, uid) for found in self.catalogue.batches.values() for uid in found.proof}
        written = {
            (line["mailbox"], line["uid"])
            for manifest in self.archive.manifests.values()
            for line in manifest.durable
            if line.get("type") == "expunging"
        }
        assert intended <= written, f"{where}: an intent that no manifest names"
        for (name, uid), octets in self.start.items():
            message = self.source.boxes[name].get(uid)
            if message is not None and (DELETED not in message.flags or (name, uid) == ("INBOX", STRANGER)):
                continue
            row = self.catalogue.table.get((name, 1, uid))
            assert row is not None, f"{where}: UID {uid} of {name} has no row"
            assert self.archive.durable[row.location] == octets, f"{where}: UID {uid} of {name} has no copy"
            assert (name, uid) in intended, f"{where}: UID {uid} of {name} was not intended"
        stranger = self.source.boxes["INBOX"][STRANGER]
        lifted = any(STRANGER in each.lifted for each in self.catalogue.open_batches())
        assert DELETED in stranger.flags or lifted, f"{where}: the mark of another program is lost"
        assert lifted <= (self.method is Method.EXCLUSIVE)

    def state(self) -> tuple[object, ...]:
        """Show all that must be the same however often the run was killed."""
        boxes = {
            name: sorted((m.octets, sorted(m.flags)) for m in box.values()) for name, box in self.source.boxes.items()
        }
        kept = {name: sorted(box) for name, box in self.source.boxes.items() if name != "Trash"}
        rows = {key: row.digest for key, row in self.catalogue.table.items()}
        return boxes, kept, self.archive.durable, rows, self.catalogue.expunged, self.catalogue.open_batches()

    def settled(self, whole: World) -> None:
        """Run to the end: all is as if nothing had happened, and the run after it does nothing."""
        self.wire(Steps())
        where = f"{self.method}, {self.runs} runs"
        assert self.run().exit_code is ExitCode.DONE, where
        assert self.state() == whole.state(), where
        self.source.fetched.clear()
        self.wire(Steps())
        finished = self.run()
        assert (finished.exit_code, finished.total.archived, finished.total.deleted) == (ExitCode.DONE, 0, 0), where
        assert (self.source.fetched, set(self.steps.log) & CHANGES) == ([], set()), where


def uninterrupted(method: Method) -> World:
    """Run once without a stop."""
    world = World(method)
    assert world.run().total.deleted == 6
    return world


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("method", METHODS)
def test_f110_a_deletion_killed_at_any_step_converges(method: Method, before: bool) -> None:
    """At every instant archive and server hold everything; the next run ends the work, the one after it has none."""
    whole = uninterrupted(method)
    assert sorted(whole.source.boxes["INBOX"]) == [5, STRANGER]
    assert DELETED in whole.source.boxes["INBOX"][STRANGER].flags
    assert whole.steps.count > 40
    for stop_at in range(whole.steps.count):
        world = World(method)
        world.killed(stop_at, before=before)
        world.settled(whole)


@pytest.mark.parametrize("method", METHODS)
def test_f110_a_run_that_may_not_delete_comes_between(method: Method) -> None:
    """It changes nothing on the server, and the next one that may still ends the work."""
    whole = uninterrupted(method)
    for stop_at in range(whole.steps.count):
        world = World(method)
        world.killed(stop_at, before=False)
        seen = repr(world.source.boxes)
        world.wire(Steps())
        run_backup(world.source, world.archive, world.catalogue, run="looking")
        assert repr(world.source.boxes) == seen
        world.check()
        world.settled(whole)


@pytest.mark.parametrize("method", METHODS)
def test_f110_a_resumed_deletion_killed_at_any_step_converges(method: Method) -> None:
    """Two kills: the second one strikes at any step of the run that settles the first."""
    whole = uninterrupted(method)
    for first in range(whole.steps.count):
        resumed = World(method)
        resumed.killed(first, before=bool(first % 2))
        resumed.wire(Steps())
        resumed.run()
        # Before and after a step, by turns: what is after one step is before the next.
        for second in range(first % 2, resumed.steps.count, 2):
            world = World(method)
            world.killed(first, before=bool(first % 2))
            world.killed(second, before=bool(second % 4 < 2))
            world.settled(whole)
