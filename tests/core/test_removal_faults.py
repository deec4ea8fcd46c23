"""A backup that deletes, and a disk, a line or a server that fails in the middle (`mailarchive.removal`)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from mailarchive import removal
from mailarchive.errors import ArchiveError, DiskError, ExitCode, MailboxError, UnreachableError
from mailarchive.events import (
    Expunged,
    Settled,
)
from mailarchive.job import Answer
from mailarchive.model import FLAGGED, UID
from mailarchive.policy import Policy
from tests.jobs import (
    CUT,
    World,
    kept,
    of_type,
    old,
    run_backup,
    run_prune,
    sound,
    text,
    there,
    warnings,
    yes,
)
from tests.memory import Steps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailarchive.events import (
        Planned,
    )
    from mailarchive.model import Location


@pytest.fixture
def world() -> World:
    """Give a fresh one."""
    return World()


def test_f102_a_damaged_copy_ends_every_deletion_of_the_run(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the message, not its batch, not the next batch, not the next mailbox; exit 13."""
    monkeypatch.setattr(removal, "BATCH", 2)
    world.archived()
    world.archive.durable[world.location(2)] = b"rotten"
    finished, said = run_backup(*world.ports, deletion=yes())
    assert [event.uid for event in of_type(said, Expunged)] == [1, 2]
    assert kept(said)["INBOX", 3] == "the archived copy does not match"
    assert [kept(said)[key] for key in (("INBOX", 4), ("Work", 1), ("Work", 2))] == ["held back"] * 3
    assert (there(world.source), there(world.source, "Work")) == ([3, 4, 5], [1, 2])
    assert finished.exit_code is ExitCode.ARCHIVE
    assert any("mailarchive verify" in each for each in warnings(said))
    sound(finished)


@pytest.mark.parametrize(
    ("error", "code"), [(DiskError("read error"), ExitCode.DISK), (ArchiveError("a link"), ExitCode.ARCHIVE)]
)
def test_a_copy_that_cannot_be_read_ends_every_deletion(world: World, error: ArchiveError, code: ExitCode) -> None:
    """A disk that fails is no ground to delete anything on."""
    world.archived()
    world.archive.unreadable[world.location(2)] = error
    finished, said = run_backup(*world.ports, deletion=yes())
    assert of_type(said, Expunged) == []
    assert finished.exit_code is code
    assert any(error.message in each for each in warnings(said))
    sound(finished)


def test_a_copy_that_vanishes_before_it_is_read_keeps_its_message(world: World) -> None:
    """The catalogue says archived, the disk says no: that one stays, the others go, exit 3."""
    world.archived()

    def consent(_: Planned) -> Answer:
        del world.archive.durable[world.location(1)]
        return Answer.GIVEN

    finished, said = run_backup(*world.ports, deletion=replace(yes(), consent=consent))
    assert kept(said) == {("INBOX", 2): "not read back in this run"}
    assert there(world.source) == [2, 5]
    assert "the archived copy of UID 2 is gone from the archive" in warnings(said)
    assert finished.exit_code is ExitCode.PARTIAL
    sound(finished)


def test_f042_another_message_under_a_uid_stops_the_whole_mailbox(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """UIDs that move under the same UIDVALIDITY: nothing more of it is deleted, later batches included."""
    monkeypatch.setattr(removal, "BATCH", 2)
    world.archived()
    moved = world.source.boxes["INBOX"][UID(2)]

    def consent(_: Planned) -> Answer:
        moved.octets = text(9)  # as long, and of the same day
        return Answer.GIVEN

    finished, said = run_backup(*world.ports, deletion=replace(yes(), consent=consent))
    assert there(world.source) == [1, 2, 3, 4, 5]
    assert there(world.source, "Work") == []
    reasons = kept(said)
    assert reasons["INBOX", 2] == "the server now shows another message under this UID"
    assert [reasons["INBOX", uid] for uid in (1, 3, 4)] == ["held back"] * 3
    assert any("other messages under the UIDs" in each for each in warnings(said))
    assert finished.exit_code is ExitCode.PARTIAL
    sound(finished)


def test_f042_the_last_look_raises_the_alarm_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """UIDs that move while the copies are read: nothing of the batch, and nothing of the next ones."""
    monkeypatch.setattr(removal, "BATCH", 2)
    world.archived()
    read = world.archive.read

    def moving(location: Location, *, cold: bool = False) -> Iterator[bytes]:
        world.source.boxes["INBOX"][UID(2)].octets = text(9)
        return read(location, cold=cold)

    world.archive.read = moving  # type: ignore[method-assign] # to act in between is the point
    finished, said = run_backup(*world.ports, deletion=yes())
    assert (there(world.source), there(world.source, "Work")) == ([1, 2, 3, 4, 5], [])
    assert kept(said)["INBOX", 2] == "the server now shows another message under this UID"
    assert {kept(said)["INBOX", uid] for uid in (1, 3, 4)} == {"held back"}
    assert finished.exit_code is ExitCode.PARTIAL
    sound(finished)


def test_silence_is_no_absence(world: World) -> None:
    """What the look after it does not show, and another question does, is unknown and stays open."""
    world.archived().source.haunted = {UID(2)}
    finished, said = run_backup(*world.ports, deletion=yes(), policy=Policy(before=CUT, mailboxes=("INBOX",)))
    assert kept(said) == {("INBOX", 2): "unknown, the next run looks"}
    assert [row.uid for row, _ in world.catalogue.open_batches()[0].items] == [2]
    assert finished.exit_code is ExitCode.PARTIAL
    sound(finished)
    policy = Policy(before=CUT, mailboxes=("INBOX",))
    finished, said = run_backup(*world.ports, run="run2", deletion=yes(), policy=policy)
    assert of_type(said, Settled) == [Settled("run1", "INBOX", open=1)]
    world.source.haunted = set()
    finished, said = run_backup(*world.ports, run="run3", deletion=yes(), policy=policy)
    assert of_type(said, Settled) == [Settled("run1", "INBOX", gone=1)]
    assert finished.exit_code is ExitCode.DONE


def test_the_line_dies_while_bodies_arrive(world: World) -> None:
    """Nothing is deleted, what came is archived and kept, and the numbers add up."""
    world.source.cut_after, world.source.cut_error = 2, UnreachableError("dead")
    finished, said = run_backup(*world.ports, deletion=yes())
    assert there(world.source) == [1, 2, 3, 4, 5]
    assert (finished.total.archived, finished.total.kept, finished.exit_code) == (2, 2, ExitCode.UNREACHABLE)
    assert kept(said) == {("INBOX", 1): "the run ended before", ("INBOX", 2): "the run ended before"}
    assert not any("do not add up" in each for each in warnings(said))
    sound(finished)


def test_f086_the_disk_fails_while_bodies_arrive(world: World) -> None:
    """What was archived before stays on the server, and the numbers add up."""
    world.archived().source.add("INBOX", old(50))
    world.archive.fail_sync = DiskError("full")
    finished, said = run_backup(*world.ports, deletion=yes())
    assert there(world.source) == [1, 2, 3, 4, 5, 6]
    assert (finished.exit_code, finished.total.kept) == (ExitCode.DISK, 4)
    assert not any("do not add up" in each for each in warnings(said))
    sound(finished)


@pytest.mark.parametrize("step", ["store", "expunge", "unmark"])
def test_the_line_dies_in_the_middle_of_a_batch(world: World, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Nobody knows what came of it: kept as unknown, nothing more is tried, and the next run settles it."""
    monkeypatch.setattr(removal, "BATCH", 2)
    if step == "unmark":
        world.source.lies.add("expunge")
    world.source.ended_at[step] = UnreachableError("dead")
    finished, said = run_backup(*world.ports, deletion=yes())
    assert kept(said) == {("INBOX", uid): "unknown, the next run looks" for uid in (1, 2)} | {
        ("INBOX", uid): "the run ended before" for uid in (3, 4)
    }
    assert (finished.exit_code, finished.error.partition(";")[0]) == (ExitCode.UNREACHABLE, "dead")
    assert len(world.catalogue.open_batches()) == 1
    sound(finished)
    world.source.lies.clear()
    finished, said = run_backup(*world.ports, run="run2", deletion=yes())
    assert of_type(said, Settled) == [Settled("run1", "INBOX", back=2)]
    assert (there(world.source), there(world.source, "Work")) == ([5], [])
    assert finished.exit_code is ExitCode.DONE
    sound(finished)


def test_the_disk_fails_after_the_removal(world: World) -> None:
    """The server did it and nothing could record it: what is gone is told so, and the next run settles it."""

    def fail(step: str) -> None:
        if step == "expunge":
            world.archive.fail_manifest = DiskError("full")

    world.source.between = fail
    finished, said = run_backup(*world.ports, deletion=yes())
    assert (there(world.source), kept(said)) == ([5], {})
    assert [event.uid for event in of_type(said, Expunged)] == [1, 2, 3, 4]
    assert (finished.exit_code, finished.total.deleted) == (ExitCode.DISK, 4)
    sound(finished)
    world.archive.fail_manifest, world.source.between = None, lambda _: None
    finished, said = run_backup(*world.ports, run="run2", deletion=yes())
    assert of_type(said, Settled) == [Settled("run1", "INBOX", gone=4)]
    assert finished.exit_code is ExitCode.DONE


def test_f086_the_disk_fails_before_the_intent_is_durable(world: World) -> None:
    """The server never hears of it."""
    world.archived().catalogue.fail_intent = DiskError("full")
    world.source.steps = Steps()
    finished, said = run_prune(*world.ports)
    assert (world.source.steps.log, finished.exit_code) == ([], ExitCode.DISK)
    assert set(kept(said).values()) == {"the run ended before"}
    sound(finished)


def test_a_select_that_fails_costs_one_mailbox(world: World) -> None:
    """Its messages are kept with the server's words, the others go."""
    world.archived()

    def consent(_: Planned) -> Answer:
        world.source.broken_boxes["INBOX"] = MailboxError("the server does not open INBOX: no")
        return Answer.GIVEN

    finished, _said = run_backup(*world.ports, deletion=replace(yes(), consent=consent))
    assert (there(world.source), there(world.source, "Work")) == ([1, 2, 3, 4, 5], [])
    assert finished.kept == (("held back: the server does not open INBOX: no", 4),)
    assert finished.exit_code is ExitCode.PARTIAL
    sound(finished)


def test_f041_two_answers_for_one_uid_keep_that_message(world: World) -> None:
    """The probe names it twice and differently: whichever is true, it stays."""
    world.archived().source.twins[UID(2)] = replace(world.source.boxes["INBOX"][UID(2)], flags=frozenset({FLAGGED}))
    policy = Policy(before=CUT, mailboxes=("INBOX",))
    finished, said = run_backup(*world.ports, deletion=yes(), policy=policy)
    assert kept(said) == {("INBOX", 2): "the server names it twice"}
    assert (finished.total.kept, finished.exit_code) == (1, ExitCode.PARTIAL)
    sound(finished)
