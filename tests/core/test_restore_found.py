"""What a query found is put back, once for each mailbox (`mailarchive.restore`)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from mailarchive.errors import ExitCode
from mailarchive.events import PutBack
from mailarchive.model import UID
from mailarchive.policy import Policy
from tests.jobs import CUT, NOW, World, found_in, of_type, old, run_backup, run_restore, text, there, yes
from tests.memory import MemoryArchive, MemoryCatalogue, MemorySource, Steps, Stopped

if TYPE_CHECKING:
    from datetime import datetime

    from tests.memory import MemoryMessage

Fact = tuple[bytes, "datetime | None", frozenset[str]]


def facts(source: MemorySource) -> dict[str, list[Fact]]:
    """Show what is on a server, but for the UIDs."""
    return {
        name: sorted(((m.octets, m.internal_date, m.flags) for m in box.values()), key=repr)
        for name, box in source.boxes.items()
    }


@pytest.fixture
def world() -> World:
    """Give an account of which a run has deleted the six old messages, some with flags; a young one is left."""
    world = World()
    world.source.boxes["INBOX"][UID(2)].flags |= {"\\Answered", "keyword"}
    run_backup(*world.ports, deletion=yes())
    return world


def test_everything_goes_to_an_empty_server_as_it_was(world: World) -> None:
    """Octets, flags, keywords and dates, into mailboxes that are made; and the second time nothing is new."""
    empty, archive, catalogue = MemorySource(), MemoryArchive(), MemoryCatalogue()
    wanted = found_in(world.catalogue)
    finished, _ = run_restore(empty, archive, catalogue, mail=world.archive, wanted=wanted)
    assert (finished.total.wanted, finished.total.put_back, finished.exit_code) == (6, 6, ExitCode.DONE)
    assert facts(empty) == {
        "INBOX": sorted(((m.octets, m.internal_date, m.flags) for m in inbox()), key=repr),
        "Work": sorted(((m.octets, m.internal_date, m.flags) for m in (old(10), old(11))), key=repr),
    }
    assert {digest for digest, _ in catalogue.put_back} == {each.digest for each in wanted}
    assert world.catalogue.put_back == set()
    finished, said = run_restore(empty, archive, catalogue, run="restore2", mail=world.archive, wanted=wanted)
    assert (finished.total.put_back, finished.total.there) == (0, 6)
    assert all(event.already for event in of_type(said, PutBack))


def inbox() -> list[MemoryMessage]:
    """Make the old messages of INBOX as they were."""
    messages = [old(number) for number in range(4)]
    messages[1].flags |= {"\\Answered", "keyword"}
    return messages


def test_what_is_on_the_server_is_not_put_back(world: World) -> None:
    """Neither what was never deleted, under its UID, nor what an earlier try has put back."""
    run_backup(*world.ports, run="run2", policy=Policy())
    finished, _ = run_restore(*world.ports)
    assert (finished.total.wanted, finished.total.put_back, finished.total.there) == (7, 6, 1)
    assert there(world.source) == [5, 6, 7, 8, 9]
    run_backup(*world.ports, run="run3", policy=Policy())
    world.source.steps = Steps()
    finished, _ = run_restore(*world.ports, run="restore2")
    assert (finished.total.wanted, finished.total.put_back, finished.total.there) == (7, 0, 7)
    assert world.source.steps.log == []


def test_another_message_of_the_same_facts_does_not_stand_for_it(world: World) -> None:
    """One that is archived under the UID that it has is known to be another, although its head is the same."""
    twin = old(1)
    twin.octets = text(1)[:-3] + b"y\r\n"
    assert len(twin.octets) == len(text(1))
    world.source.add("INBOX", replace(twin))
    run_backup(*world.ports, run="run2", policy=Policy())
    run_restore(*world.ports)
    octets = sorted(m.octets for m in world.source.boxes["INBOX"].values())
    assert octets == sorted([*map(text, (0, 1, 2, 3, 100)), twin.octets])


def test_what_was_put_back_is_kept_by_a_run_that_deletes(world: World) -> None:
    """As after an undo."""
    run_restore(*world.ports)
    finished, _ = run_backup(*world.ports, run="run2", deletion=yes(), policy=Policy(before=CUT))
    assert finished.total.deleted == 0
    assert dict(finished.kept) == {"put back": 6}


def test_a_server_without_an_archive_here_is_not_remembered(world: World) -> None:
    """The account that the mail was archived from may delete what it still has of it."""
    empty = MemorySource()
    finished, _ = run_restore(empty, world.archive, world.catalogue, keeps=False)
    assert (finished.total.put_back, finished.exit_code) == (6, ExitCode.DONE)
    assert world.catalogue.put_back == set()
    lines = world.archive.manifests["restore1"].durable
    assert {line["type"] for line in lines if "type" in line} == {"restored", "finished"}


def test_one_mailbox_gets_everything_once(world: World) -> None:
    """Equal octets from two mailboxes too."""
    world.source.add("Work", old(0))
    run_backup(*world.ports, run="run2", deletion=yes(), policy=Policy(before=CUT))
    assert len(found_in(world.catalogue)) == 7
    finished, _ = run_restore(*world.ports, to="Back again")
    assert finished.mailboxes[0][0] == "Back again"
    assert sorted(m.octets for m in world.source.boxes["Back again"].values()) == sorted(
        map(text, (0, 1, 2, 3, 10, 11))
    )
    assert there(world.source) == [5]


@pytest.mark.parametrize("at_once", [1, 3])
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_killed_at_any_step_it_puts_back_each_once(before: bool, at_once: int) -> None:
    """Run again it puts back the rest."""

    def ports(steps: Steps) -> tuple[MemorySource, World]:
        world, target = World().archived(), MemorySource()
        target.at_once = at_once
        target.uidvalidity.update(INBOX=9, Work=9)
        target.steps = world.archive.steps = world.catalogue.steps = steps
        return target, world

    steps = Steps()
    target, world = ports(steps)
    run_restore(target, world.archive, world.catalogue)
    whole = facts(target)
    assert sum(map(len, whole.values())) == 6
    for stop_at in range(steps.count):
        target, world = ports(Steps(stop_at, before))
        with pytest.raises(Stopped):
            run_restore(target, world.archive, world.catalogue)
        run_restore(target, world.archive, world.catalogue, run="restore2")
        assert facts(target) == whole, f"step {stop_at}"


def test_a_dry_run_counts(world: World) -> None:
    """And changes nothing."""
    finished, _ = run_restore(*world.ports, dry_run=True)
    assert (finished.total.put_back, finished.exit_code) == (6, ExitCode.DONE)
    assert there(world.source) == [5]
    assert "restore1" not in world.archive.manifests


def test_a_damaged_copy_is_told_and_left_out(world: World) -> None:
    """The others are put back."""
    world.archive.durable[world.location(2)] = b"other"
    finished, _ = run_restore(*world.ports)
    assert (finished.total.put_back, finished.total.failed, finished.exit_code) == (5, 1, ExitCode.ARCHIVE)


def test_mail_without_a_date_comes_back_once(world: World) -> None:
    """A server gives it the present; the octets tell."""
    wanted = [replace(each, internal_date=None) for each in found_in(world.catalogue)]
    empty = MemorySource()
    for run in ("restore1", "restore2"):
        run_restore(empty, world.archive, world.catalogue, keeps=False, wanted=wanted, run=run)
        for box in empty.boxes.values():
            for message in box.values():
                message.internal_date = NOW
    assert sum(map(len, empty.boxes.values())) == 6
