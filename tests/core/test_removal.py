"""A backup that deletes, on the ports in memory: prove, order, expunge, look again (`mailarchive.removal`)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from mailarchive import removal
from mailarchive.errors import ExitCode
from mailarchive.events import (
    Archived,
    Deleting,
    Expunged,
    Fetching,
    Finished,
    Kept,
    Listing,
    MailboxFinished,
    Planned,
    Settled,
    Started,
)
from mailarchive.job import Answer
from mailarchive.model import FLAGGED, UID, ItemState
from mailarchive.policy import Policy
from mailarchive.tally import Tally
from tests.jobs import (
    CUT,
    NOW,
    World,
    kept,
    of_type,
    old,
    run_backup,
    run_prune,
    sound,
    text,
    there,
    yes,
)
from tests.memory import MemoryMailbox, MemoryMessage, Steps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailarchive.model import UIDL, Location


@pytest.fixture
def world() -> World:
    """Give a fresh one."""
    return World()


def test_the_good_way_from_the_first_event_to_the_last(world: World) -> None:
    """Archived, proved, removed: each step is told, in order, and the young one stays."""
    world.source.boxes.pop("Work")
    world.source.boxes["INBOX"][UID(2)].flags |= {FLAGGED}
    finished, said = run_backup(*world.ports, deletion=yes())
    digests = {event.uid: event.digest for event in of_type(said, Archived)}
    size = len(text(1))
    assert there(world.source) == [2, 5]
    assert [type(event) for event in said] == [
        *(Started, Listing, Planned, Fetching, *[Archived] * 4),
        *(Deleting, Kept, *[Expunged] * 3, MailboxFinished, Finished),
    ]
    planned, deleting = of_type(said, Planned)[0], of_type(said, Deleting)[0]
    assert (planned.deleting, planned.delete, planned.delete_size, planned.method) == (True, 3, 3 * size, "expunge")
    assert planned.kept == (("flagged", 1),)
    assert deleting == Deleting("INBOX", 4, 4 * size)
    assert of_type(said, Kept) == [Kept("INBOX", UID(2), "flagged")]
    assert of_type(said, Expunged) == [
        Expunged("INBOX", UID(uid), digests[UID(uid)], size, ItemState.GONE) for uid in (1, 3, 4)
    ]
    assert finished.total == Tally(on_server=5, selected=4, archived=4, deleted=3, kept=1, size=4 * size)
    assert (finished.exit_code, finished.deleting, finished.method) == (ExitCode.DONE, True, "expunge")
    assert finished.kept == (("flagged", 1),)
    sound(finished)


def test_several_mailboxes_are_emptied_each_after_it_is_archived(world: World) -> None:
    """Bodies are never fetched between deletions of one mailbox, and each row adds up."""
    finished, said = run_backup(*world.ports, deletion=yes())
    assert (there(world.source), there(world.source, "Work")) == ([5], [])
    order = [(type(event).__name__, event.mailbox) for event in of_type(said, Fetching, Deleting, MailboxFinished)]
    steps = ("Fetching", "Deleting", "MailboxFinished")
    assert order == [(step, box) for box in ("INBOX", "Work") for step in steps]
    assert (finished.total.deleted, finished.total.kept) == (6, 0)
    sound(finished)


def test_the_next_run_has_nothing_to_do(world: World) -> None:
    """No fetch, no mark, no removal."""
    run_backup(*world.ports, deletion=yes())
    world.source.fetched.clear()
    world.source.steps = Steps()
    finished, said = run_backup(*world.ports, run="run2", deletion=yes())
    assert (world.source.fetched, world.source.steps.log) == ([], [])
    assert of_type(said, Deleting, Expunged, Kept, Settled) == []
    assert (finished.total.selected, finished.exit_code) == (0, ExitCode.DONE)


def test_the_intent_is_durable_before_the_server_hears_of_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """In each batch: manifest, catalogue, marks, removal, manifest, catalogue."""
    monkeypatch.setattr(removal, "BATCH", 2)
    world.archived()
    steps = Steps()
    world.source.steps = world.archive.steps = world.catalogue.steps = steps
    run_prune(*world.ports, policy=Policy(before=CUT, mailboxes=("INBOX",)))
    once = ["manifest sync", "commit intent", "store", "store", "expunge", "expunge", "manifest sync", "commit result"]
    # Before them: manifest, run and clock; after them: the mailboxes, manifest and run.
    assert steps.log == ["manifest sync", "commit", "commit", *once, *once, "commit", "manifest sync", "commit"]


def test_the_manifest_names_each_message_before_and_after(world: World) -> None:
    """What undo needs stands in it: where it was, its flags, its date, and where the copy is."""
    seen: list[int] = []

    def look(step: str) -> None:
        if step == "store":
            lines = world.archive.manifests["run1"].durable
            seen.append(sum(line.get("type") == "expunging" for line in lines))

    world.source.between = look
    run_backup(*world.ports, deletion=yes(), policy=Policy(before=CUT, mailboxes=("INBOX",)))
    assert seen == [4] * 4
    lines = world.archive.manifests["run1"].durable
    first = next(line for line in lines if line.get("type") == "expunging")
    row = world.catalogue.table["INBOX", 1, UID(1)]
    assert first == {
        "type": "expunging",
        "mailbox": "INBOX",
        "uidvalidity": 1,
        "uidnext": 6,
        "uid": 1,
        "digest": row.digest,
        "size": len(text(0)),
        "announced": len(text(0)),
        "internal_date": old(0).internal_date,
        "flags": {"\\Seen"},
        "labels": None,
        "object_id": None,
        "ident": row.ident,
        "location": row.location,
        "method": "expunge",
    }
    assert [line["uid"] for line in lines if line.get("type") == "expunged"] == [1, 2, 3, 4]
    assert lines[-1]["counts"] == {"selected": 4, "already": 0, "archived": 4, "failed": 0, "deleted": 4, "kept": 0}


def test_every_copy_is_read_back_from_the_device_first(world: World) -> None:
    """In this run, even if an earlier one archived it; and only what may go is read."""
    world.archived().source.boxes["INBOX"][UID(2)].flags |= {FLAGGED}
    read: list[Location] = []
    world.source.between = lambda step: read.extend(world.archive.read_cold) if step == "store" and not read else None
    run_prune(*world.ports, policy=Policy(before=CUT, mailboxes=("INBOX",)))
    assert read == [world.location(number) for number in (0, 2, 3)]


def test_the_flags_of_the_probe_count_and_not_those_of_the_listing(world: World) -> None:
    """A message that is flagged, or removed, between the listing and the probe."""

    def consent(_: Planned) -> Answer:
        world.source.boxes["INBOX"][UID(1)].flags |= {FLAGGED}
        world.source.boxes["INBOX"][UID(2)].flags |= {"\\Draft"}
        del world.source.boxes["INBOX"][UID(3)]
        return Answer.GIVEN

    finished, said = run_backup(*world.archived().ports, deletion=replace(yes(), consent=consent))
    assert kept(said) == {("INBOX", 1): "flagged", ("INBOX", 2): "a draft", ("INBOX", 3): "gone by another hand"}
    assert there(world.source) == [1, 2, 5]
    assert (finished.exit_code, finished.total.deleted) == (ExitCode.DONE, 3)
    sound(finished)


def test_a_message_sent_after_the_cut_off_stays(world: World) -> None:
    """Its Date is younger than its INTERNALDATE says: the younger of the two counts."""
    octets = text(50).replace(b"1 Mar 2014", b"1 Mar 2026")
    uid = world.source.add("INBOX", MemoryMessage(octets, old(0).internal_date, frozenset()))
    policy = Policy(before=CUT, sane_until=NOW)
    finished, said = run_backup(*world.ports, deletion=yes(), policy=policy)
    assert kept(said) == {("INBOX", uid): "sent after the cut-off"}
    assert there(world.source) == [5, uid]
    assert finished.exit_code is ExitCode.DONE


@pytest.mark.parametrize("announced", [7, None])
def test_f061_a_lying_size_is_fetched_a_second_time(world: World, announced: int | None) -> None:
    """The same octets again: deleted. Once confirmed, it is not fetched a third time."""
    world.source.boxes["INBOX"][UID(2)].size = announced
    run_backup(*world.ports, run="run0")
    assert world.source.fetched.count(("INBOX", UID(2))) == 1
    world.source.refusals["store"] = "NO"
    finished, _ = run_backup(*world.ports, deletion=yes())
    assert world.source.fetched.count(("INBOX", UID(2))) == 2
    world.source.refusals.clear()
    finished, _ = run_backup(*world.ports, run="run2", deletion=yes())
    assert world.source.fetched.count(("INBOX", UID(2))) == 2
    assert there(world.source) == [5]
    assert finished.exit_code is ExitCode.DONE


@pytest.mark.parametrize("already", [False, True])
def test_f064_octets_that_change_from_fetch_to_fetch_are_held(world: World, already: bool) -> None:
    """Archived once, never deleted, told in the run that finds it (3) and later only counted (0)."""
    message = world.source.boxes["INBOX"][UID(2)]
    message.size, message.later = 7, text(77)
    if already:
        world.archived().source.fetched.append(("INBOX", UID(2)))
    finished, said = run_backup(*world.ports, deletion=yes())
    assert kept(said) == {("INBOX", 2): "looked wrong when it was archived"}
    assert (there(world.source), finished.exit_code) == ([2, 5], ExitCode.PARTIAL)
    assert text(77) not in world.archive.durable.values()
    finished, said = run_backup(*world.ports, run="run2", deletion=yes())
    assert kept(said) == {("INBOX", 2): "looked wrong when it was archived"}
    assert finished.exit_code is ExitCode.DONE
    sound(finished)


def test_flags_that_change_while_copies_are_read_count(world: World) -> None:
    """The last look is the last thing before the order."""
    world.archived()
    read = world.archive.read

    def flagging(location: Location, *, cold: bool = False) -> Iterator[bytes]:
        world.source.boxes["INBOX"][UID(2)].flags |= {FLAGGED}
        return read(location, cold=cold)

    world.archive.read = flagging  # type: ignore[method-assign] # to act in between is the point
    finished, said = run_backup(*world.ports, deletion=yes())
    assert kept(said) == {("INBOX", 2): "flagged"}
    assert (there(world.source), finished.exit_code) == ([2, 5], ExitCode.DONE)


def test_flags_that_change_while_other_things_are_asked_count(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The look is the last question before the order."""
    marked = MemoryMailbox.marked

    def flagging(box: MemoryMailbox) -> frozenset[UID | UIDL]:
        world.source.boxes["INBOX"][UID(2)].flags |= {FLAGGED}
        return marked(box)

    monkeypatch.setattr(MemoryMailbox, "marked", flagging)
    _, said = run_prune(*world.archived().ports, policy=Policy(before=CUT, mailboxes=("INBOX",)))
    assert kept(said) == {("INBOX", 2): "flagged"}
    assert there(world.source) == [2, 5]


def test_what_the_search_keys_of_the_user_find_no_more_stays(world: World) -> None:
    """--imap-search is judged by the server alone, and asked again before the deletion."""
    world.archived().source.unmatched = {UID(2)}
    policy = Policy(before=CUT, imap_search="KEYWORD x")
    finished, said = run_backup(*world.ports, deletion=yes(), policy=policy)
    assert set(kept(said).values()) == {"no longer selected"}
    assert (there(world.source), finished.exit_code) == ([2, 5], ExitCode.DONE)


def test_a_stop_between_batches_keeps_the_rest(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch that was begun is ended and recorded; the rest is kept, and the next run goes on."""
    monkeypatch.setattr(removal, "BATCH", 2)
    removed: list[UID] = []
    world.source.leaving = lambda _, uid, __: removed.append(uid)

    def stop() -> ExitCode | None:
        return ExitCode.TERMINATE if removed else None

    finished, said = run_backup(*world.ports, deletion=yes(), stop=stop)
    assert there(world.source) == [3, 4, 5]
    assert kept(said) == {("INBOX", 3): "the run ended before", ("INBOX", 4): "the run ended before"}
    assert finished.exit_code is ExitCode.TERMINATE
    assert world.catalogue.open_batches() == []
    sound(finished)
    finished, _ = run_backup(*world.ports, run="run2", deletion=yes())
    assert (there(world.source), there(world.source, "Work")) == ([5], [])
    assert finished.exit_code is ExitCode.DONE


@pytest.mark.parametrize("limits", [{"free": 500}, {"keep_under": 60}])
def test_enough_is_enough(world: World, monkeypatch: pytest.MonkeyPatch, limits: dict[str, Any]) -> None:
    """The server's own figures say that the target is reached: the rest stays, though the plan held it."""
    monkeypatch.setattr(removal, "BATCH", 1)
    used = sum(len(m.octets) for box in world.source.boxes.values() for m in box.values())
    world.source.limit = used + 1
    # It frees more than it announces.
    for box in world.source.boxes.values():
        for message in box.values():
            message.size = 1
    finished, said = run_backup(*world.ports, deletion=yes(), policy=replace(Policy(before=CUT), **limits))
    assert finished.total.deleted == (2 if "free" in limits else 3)
    assert set(kept(said).values()) == {"enough was freed"}
    assert finished.quota is not None
    assert finished.quota_before is not None
    assert finished.quota_before.used - finished.quota.used == finished.total.deleted * len(text(1))
    sound(finished)
