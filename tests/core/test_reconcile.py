"""What an earlier run left open, and what the next one makes of it (`mailarchive.reconcile`, `safety.md` section 9)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar

import pytest

from mailarchive.errors import ExitCode, MailboxError
from mailarchive.events import Settled
from mailarchive.model import DELETED, UID, Capabilities, ItemState, Mailbox, Method, transient
from mailarchive.policy import Policy
from mailarchive.reconcile import _states
from tests.jobs import (
    CUT,
    NOW,
    of_type,
    old,
    run_backup,
    run_prune,
    run_reindex,
    run_undo,
    text,
    there,
    warnings,
    yes,
    young,
)
from tests.memory import MemoryArchive, MemoryCatalogue, MemoryMailbox, MemorySource, Steps, Stopped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mailarchive.events import Event, Finished
    from mailarchive.model import UIDL, MailboxStatus, Sighting

NOTHING = Policy(before=CUT, mailboxes=("Empty",))
"""A selection that picks nothing, so that what a run does is settling and nothing else."""


EXCLUSIVE = yes(method=Method.EXCLUSIVE)


class Open:
    """A run that was killed at one step of its deletion; INBOX held four old messages, a young one, and a stranger.

    The stranger is UID 6: young, and marked by another program.

    Attributes:
        reindexed: Whether the catalogue was lost then, and made anew from the files.
    """

    reindexed: ClassVar = False

    def __init__(self, step: str, nth: int = 1, method: Method = Method.EXPUNGE, **facts: bool) -> None:
        self.source = MemorySource()
        self.archive, self.catalogue = MemoryArchive(), MemoryCatalogue()
        for number in range(4):
            self.source.add("INBOX", old(number))
        self.source.add("INBOX", young(100))
        self.source.add("INBOX", young(101))
        self.source.boxes["INBOX"][UID(6)].flags |= {DELETED}
        if facts.get("was_deleted"):
            self.source.boxes["INBOX"][UID(2)].flags |= {DELETED}
        self.source.boxes["Empty"] = {}
        self.source.boxes["Trash"] = {}
        self.source.special["Trash"] = frozenset({"\\Trash"})
        if method is Method.EXCLUSIVE:
            self.source.capabilities = Capabilities()
        run_backup(self.source, self.archive, self.catalogue, run="run0")
        seen = 0

        def between(name: str) -> None:
            nonlocal seen
            seen += name == step
            if name == step and seen == nth:
                raise Stopped(name)

        self.source.between = between
        with pytest.raises(Stopped):
            run_prune(self.source, self.archive, self.catalogue, deletion=yes(method=method))
        self.source.between = lambda _: None
        self.source.steps = Steps()
        if self.reindexed:
            self.catalogue, _, _ = run_reindex(self.archive, run="reindex")

    @property
    def marked(self) -> set[int]:
        """What is marked."""
        return {int(uid) for uid, message in self.source.boxes["INBOX"].items() if DELETED in message.flags}

    @property
    def states(self) -> dict[int, ItemState]:
        """What became of the messages of the first batch."""
        return {int(uid): state for uid, state in self.catalogue.batches[1].states.items()}

    def deleting(self, method: Method = Method.EXPUNGE) -> tuple[Finished, list[Event]]:
        """Run again, allowed to delete, and pick nothing."""
        return run_prune(
            self.source, self.archive, self.catalogue, run="run2", policy=NOTHING, deletion=yes(method=method)
        )

    def looking(self, run: str = "run2", *, dry_run: bool = False) -> tuple[Finished, list[Event]]:
        """Run again, not allowed to delete."""
        return run_backup(self.source, self.archive, self.catalogue, run=run, policy=NOTHING, dry_run=dry_run)


@pytest.fixture(autouse=True, params=["kept", "reindexed"])
def _catalogue(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every test have the catalogue of the interrupted run, and one that was made from its files."""
    monkeypatch.setattr(Open, "reindexed", request.param == "reindexed")


STEPS = [
    ("store", 1, [1, 2, 3, 4], 0),
    ("store", 3, [1, 2, 3, 4], 2),
    ("expunge", 1, [1, 2, 3, 4], 4),
    ("expunge", 3, [3, 4], 2),
]
"""Where the run was killed; what of the four is still there, and how many of them carry our mark."""


@pytest.mark.parametrize(("step", "nth", "left", "ours"), STEPS)
def test_a_run_that_may_delete_settles_all(step: str, nth: int, left: list[int], ours: int) -> None:
    """Gone is deleted, what is there loses our mark, strangers keep theirs, and nothing is deleted for the old run."""
    world = Open(step, nth)
    assert len(world.marked - {6}) == ours
    finished, said = world.deleting()
    assert of_type(said, Settled) == [Settled("run1", "INBOX", gone=4 - len(left), back=len(left))]
    assert (there(world.source), world.marked) == ([*left, 5, 6], {6})
    assert world.states == {uid: ItemState.ROLLED_BACK if uid in left else ItemState.GONE for uid in (1, 2, 3, 4)}
    assert world.catalogue.expunged == {("INBOX", 1, UID(uid)) for uid in (1, 2, 3, 4) if uid not in left}
    assert world.source.steps.log == ["unmark"] * ours
    assert finished.exit_code is ExitCode.DONE
    assert world.catalogue.open_batches() == []
    lines = world.archive.manifests["run2"].durable
    told = [(line["uid"], line["of"]) for line in lines if line.get("type") == "expunged"]
    assert told == [(uid, "run1") for uid in (1, 2, 3, 4) if uid not in left]
    # A catalogue that is made from the manifests says the same.
    assert run_reindex(world.archive)[0].open_batches() == []


@pytest.mark.parametrize(("step", "nth", "left", "ours"), STEPS)
def test_a_run_that_may_not_delete_only_looks(step: str, nth: int, left: list[int], ours: int) -> None:
    """What is gone, or has no mark, is settled; marks left behind stay open and are told (3), until a run may."""
    world = Open(step, nth)
    finished, said = world.looking()
    back = len(left) - ours
    assert of_type(said, Settled) == [Settled("run1", "INBOX", gone=4 - len(left), back=back, open=ours)]
    assert (there(world.source), len(world.marked), world.source.steps.log) == ([*left, 5, 6], ours + 1, [])
    assert finished.exit_code is (ExitCode.PARTIAL if ours else ExitCode.DONE)
    assert bool(world.catalogue.open_batches()) is bool(ours)
    run_prune(world.source, world.archive, world.catalogue, run="run3", policy=NOTHING)
    assert (world.marked, world.catalogue.open_batches()) == ({6}, [])


@pytest.mark.parametrize(("step", "nth", "left", "ours"), STEPS)
def test_a_dry_run_writes_nothing(step: str, nth: int, left: list[int], ours: int) -> None:
    """It says that something is open, and leaves it so."""
    world = Open(step, nth)
    finished, said = world.looking(dry_run=True)
    assert (of_type(said, Settled), world.source.steps.log) == ([], [])
    assert warnings(said) == ["an earlier deletion was interrupted; the next run settles it first"]
    assert (finished.exit_code, len(world.marked)) == (ExitCode.DONE, ours + 1)
    assert there(world.source) == [*left, 5, 6]
    assert len(world.catalogue.open_batches()) == 1
    assert set(world.archive.manifests) == {"run0", "run1"}


def test_an_undo_looks_first_too() -> None:
    """What is gone is settled as deleted and then put back; what is there loses our mark, and is settled then."""
    world = Open("expunge", 3)
    finished, said = run_undo(world.source, world.archive, world.catalogue)
    assert of_type(said, Settled) == [Settled("run1", "INBOX", gone=2, open=2)]
    assert (finished.total.put_back, finished.total.there) == (4, 0)
    assert world.marked == {6}
    assert world.catalogue.open_batches() == []
    assert [world.states[uid] for uid in (3, 4)] == [ItemState.ROLLED_BACK] * 2


def test_what_an_undo_has_unmarked_is_settled() -> None:
    """A mark that another program makes after that is its own, and no run takes it for ours."""
    world = Open("expunge", 1)
    run_undo(world.source, world.archive, world.catalogue)
    assert (world.marked, world.catalogue.open_batches()) == ({6}, [])
    world.source.boxes["INBOX"][UID(2)].flags |= {DELETED}
    world.deleting()
    assert world.marked == {2, 6}


def test_a_mark_that_was_there_before_us_is_not_ours() -> None:
    """It is left on, and the message counts as given back."""
    world = Open("expunge", 1, was_deleted=True)
    _, said = world.deleting()
    assert of_type(said, Settled) == [Settled("run1", "INBOX", back=4)]
    assert world.marked == {2, 6}


def test_only_the_present_selection_deletes() -> None:
    """An old run's authority is spent: what is young now, or flagged now, is not deleted for its sake."""
    world = Open("expunge", 1)
    world.source.boxes["INBOX"][UID(2)].flags |= {"\\Flagged"}
    finished, said = run_prune(world.source, world.archive, world.catalogue, run="run2")
    assert of_type(said, Settled) == [Settled("run1", "INBOX", back=4)]
    assert (there(world.source), world.marked) == ([2, 5, 6], {6})
    assert finished.exit_code is ExitCode.DONE


@pytest.mark.parametrize("may_delete", [True, False])
def test_a_mailbox_that_was_renumbered_is_left_alone(may_delete: bool) -> None:
    """UIDVALIDITY differs: nothing of it is touched, and a human hears of it."""
    world = Open("expunge", 1)
    world.source.uidvalidity["INBOX"] = 2
    finished, said = world.deleting() if may_delete else world.looking()
    assert of_type(said, Settled) == [Settled("run1", "INBOX", abandoned=4)]
    assert any("numbered the mailbox anew" in each for each in warnings(said))
    assert (world.marked, world.source.steps.log) == ({1, 2, 3, 4, 6}, [])
    assert set(world.states.values()) == {ItemState.ABANDONED}
    assert finished.exit_code is ExitCode.PARTIAL


@pytest.mark.parametrize("may_delete", [True, False])
def test_another_message_under_a_uid_is_left_alone(may_delete: bool) -> None:
    """Identity differs: its mark may be anybody's, and stays."""
    world = Open("expunge", 1)
    world.source.boxes["INBOX"][UID(2)].octets = text(9)
    finished, said = world.deleting() if may_delete else world.looking()
    assert world.states[2] is ItemState.ABANDONED
    assert 2 in world.marked
    assert of_type(said, Settled)[0].abandoned == 1
    assert finished.exit_code is ExitCode.PARTIAL


@pytest.mark.parametrize("may_delete", [True, False])
@pytest.mark.parametrize("age", [None, timedelta(days=30)])
def test_a_mailbox_that_is_not_listed_may_come_back(may_delete: bool, age: timedelta | None) -> None:
    """Its batches stay open, and that is told."""
    world = Open("expunge", 1)
    world.catalogue.batches[1].opened_at = NOW - age if age is not None else None
    inbox = world.source.boxes.pop("INBOX")
    finished, said = world.deleting() if may_delete else world.looking()
    assert of_type(said, Settled) == []
    assert any("does not list this mailbox now" in each for each in warnings(said))
    assert (finished.exit_code, len(world.catalogue.open_batches())) == (ExitCode.PARTIAL, 1)
    world.source.boxes["INBOX"] = inbox
    run_prune(world.source, world.archive, world.catalogue, run="run3", policy=NOTHING)
    assert (world.marked, world.catalogue.open_batches()) == ({6}, [])


@pytest.mark.parametrize("may_delete", [True, False])
def test_a_mailbox_that_stays_away_closes_its_batches(may_delete: bool) -> None:
    """After a month there is nothing to look at any more."""
    world = Open("expunge", 1)
    world.catalogue.batches[1].opened_at = NOW - timedelta(days=31)
    del world.source.boxes["INBOX"]
    finished, said = world.deleting() if may_delete else world.looking()
    assert of_type(said, Settled) == [Settled("run1", "INBOX", abandoned=4)]
    assert any("the mailbox is gone" in each for each in warnings(said))
    assert (finished.exit_code, world.catalogue.open_batches()) == (ExitCode.PARTIAL, [])


def test_a_server_that_lists_no_mailboxes_settles_nothing() -> None:
    """Sudden emptiness is no proof that everything was deleted."""
    world = Open("expunge", 1)
    boxes, world.source.boxes = world.source.boxes, {}
    _, said = run_prune(world.source, world.archive, world.catalogue, run="run2")
    assert of_type(said, Settled) == []
    assert len(world.catalogue.open_batches()) == 1
    world.source.boxes = boxes
    run_prune(world.source, world.archive, world.catalogue, run="run3", policy=NOTHING)
    assert world.catalogue.open_batches() == []


def test_a_mailbox_that_does_not_open_is_settled_by_a_later_run() -> None:
    """Told, left open, and no other mailbox suffers."""
    world = Open("expunge", 1)
    world.source.broken_boxes["INBOX"] = MailboxError("no")
    finished, said = world.deleting()
    assert warnings(said) == ["what run run1 left open could not be settled: no"]
    assert finished.exit_code is ExitCode.PARTIAL
    assert len(world.catalogue.open_batches()) == 1
    world.source.broken_boxes.clear()
    finished, _ = run_prune(world.source, world.archive, world.catalogue, run="run3", policy=NOTHING)
    assert (finished.exit_code, world.catalogue.open_batches()) == (ExitCode.DONE, [])


def test_by_trash_what_is_absent_is_in_the_trash() -> None:
    """Moved and not answered."""
    world = Open("move", 3, Method.TRASH)
    _, said = world.deleting(Method.TRASH)
    assert of_type(said, Settled) == [Settled("run1", "INBOX", gone=2, back=2)]
    assert world.states == {
        1: ItemState.IN_TRASH,
        2: ItemState.IN_TRASH,
        3: ItemState.ROLLED_BACK,
        4: ItemState.ROLLED_BACK,
    }
    assert len(there(world.source, "Trash")) == 2


def test_by_mark_a_mark_that_was_made_stays() -> None:
    """It was all that was asked for; what was not marked is as it was."""
    world = Open("store", 3, Method.MARK)
    _, said = world.deleting(Method.MARK)
    assert of_type(said, Settled) == [Settled("run1", "INBOX", back=4)]
    assert world.marked == {1, 2, 6}
    assert world.states == {
        1: ItemState.MARKED,
        2: ItemState.MARKED,
        3: ItemState.ROLLED_BACK,
        4: ItemState.ROLLED_BACK,
    }


@pytest.mark.parametrize(
    ("step", "nth", "left"),
    [("unmark", 1, 4), ("store", 1, 4), ("store", 3, 4), ("expunge", 1, 4), ("expunge", 3, 2), ("store", 5, 0)],
)
def test_lifted_marks_are_given_back_before_anything_else(step: str, nth: int, left: int) -> None:
    """Exclusive: strangers first, then our marks; whatever the step."""
    world = Open(step, nth, Method.EXCLUSIVE)
    assert world.catalogue.open_batches()[0].lifted == {6}
    _, said = world.deleting(Method.EXCLUSIVE)
    assert world.source.steps.log[0] == "store"
    assert set(world.source.steps.log[1:]) <= {"unmark"}
    assert of_type(said, Settled) == [Settled("run1", "INBOX", gone=4 - left, back=left)]
    assert world.marked == {6}
    assert world.catalogue.open_batches() == []
    assert run_reindex(world.archive)[0].open_batches() == []


def test_lifted_marks_wait_for_a_run_that_may_write() -> None:
    """Told, exit 3, and nothing is forgotten, however often such a run comes."""
    world = Open("store", 5, Method.EXCLUSIVE)
    for run in ("run2", "run3"):
        finished, said = world.looking(run)
        assert "1 marks of other programs are to be given back; `mailarchive prune` does that" in warnings(said)
        assert finished.exit_code is ExitCode.PARTIAL
        assert (world.marked, world.source.steps.log) == (set(), [])
        assert world.catalogue.open_batches()[0].lifted == {6}
    run_prune(world.source, world.archive, world.catalogue, run="run4", policy=NOTHING, deletion=EXCLUSIVE)
    assert world.marked == {6}
    assert world.catalogue.open_batches() == []


def test_a_lifted_mark_goes_to_no_other_message() -> None:
    """The UID shows another one now: it is not marked, and that is told."""
    world = Open("store", 1, Method.EXCLUSIVE)
    world.source.boxes["INBOX"][UID(6)].octets = text(9)
    _, said = world.deleting(Method.EXCLUSIVE)
    assert any("UID 6" in each and "another message" in each for each in warnings(said))
    assert (world.marked, world.catalogue.open_batches()) == (set(), [])


def test_a_stranger_that_is_gone_meanwhile_cannot_be_marked() -> None:
    """The server passes over it."""
    world = Open("store", 1, Method.EXCLUSIVE)
    del world.source.boxes["INBOX"][UID(6)]
    world.deleting(Method.EXCLUSIVE)
    assert (world.marked, world.catalogue.open_batches()) == (set(), [])


def test_on_gmail_what_was_moved_and_not_removed_is_in_the_trash() -> None:
    """Found there by the id that it keeps; what is not there either is gone."""
    world = Open("expunge", 3)
    world.catalogue.batches[1].method = Method.GMAIL
    for key, row in world.catalogue.table.items():
        world.catalogue.table[key] = replace(row, object_id=f"g{row.uid}")
    world.source.trash_ids = {"g2": UID(77), "g3": UID(78)}
    _, said = world.deleting()
    assert of_type(said, Settled) == [Settled("run1", "INBOX", gone=2, back=2)]
    assert world.states == {
        1: ItemState.GONE,
        2: ItemState.IN_TRASH,
        3: ItemState.ROLLED_BACK,
        4: ItemState.ROLLED_BACK,
    }


def test_a_name_of_one_session_says_nothing_in_the_next() -> None:
    """On POP3 without lasting UIDLs, what does not show itself under its old name may be there all the same."""
    world = Open("expunge", 1)
    (batch,) = world.catalogue.open_batches()
    items = tuple((replace(row, uid=transient(f"1.{number}")), False) for number, (row, _) in enumerate(batch.items))
    mailbox = Mailbox("INBOX", b"INBOX", "/")
    with world.source.open(mailbox) as box:
        states, marked = _states(SilentMailbox(box.status), replace(batch, items=items))
    assert (set(states.values()), marked) == ({ItemState.ABANDONED}, set())


class SilentMailbox(MemoryMailbox):
    """An open mailbox in which nothing answers to the old names."""

    def __init__(self, status: MailboxStatus) -> None:
        self.status = status

    def probe(self, uids: Sequence[UID | UIDL]) -> Iterator[Sighting]:
        """Show nothing."""
        assert uids
        return iter(())

    def present(self, uids: Sequence[UID | UIDL]) -> frozenset[UID | UIDL]:
        """Know nothing."""
        assert uids
        return frozenset()
