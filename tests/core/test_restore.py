"""What one run deleted comes back, once (`mailarchive.restore`)."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from mailarchive.errors import DiskError, ExitCode, MailboxError, UnreachableError, UsageError
from mailarchive.events import NotPutBack, PutBack, RestoreFinished, Restoring, Started
from mailarchive.model import DELETED, FLAGGED, UID, Location, Method
from mailarchive.policy import Policy
from mailarchive.tally import Return
from tests.jobs import CUT, NOW, of_type, old, run_backup, run_undo, text, there, warnings, yes, young
from tests.memory import MemoryArchive, MemoryCatalogue, MemoryMessage, MemorySource, Steps, Stopped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mailarchive.extras import Appending
    from mailarchive.model import Criteria, Mailbox, Quota, RemoteMessage
    from tests.memory import MemoryMailbox

Fact = tuple[bytes, datetime | None, frozenset[str]]


class World:
    """A server of which run1 has deleted five messages of INBOX, two of them of equal octets, and two of Work."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.source = MemorySource()
        self.archive, self.catalogue = MemoryArchive(), MemoryCatalogue()
        for number in range(3):
            self.source.add("INBOX", old(number))
        for _ in range(2):
            self.source.add("INBOX", old(3))
        self.source.add("INBOX", young(100))
        for number in (10, 11):
            self.source.add("Work", old(number))
        self.source.boxes["INBOX"][UID(2)].flags |= {"\\Answered", "$Forwarded", "keyword"}
        self.before = self.facts()
        run_backup(*self.ports, deletion=yes(), policy=policy)
        self.source.steps = Steps()

    @property
    def ports(self) -> tuple[MemorySource, MemoryArchive, MemoryCatalogue]:
        """The three ports."""
        return self.source, self.archive, self.catalogue

    def facts(self) -> dict[str, list[Fact]]:
        """Show what is on the server, but for the UIDs."""
        return {
            name: sorted(((m.octets, m.internal_date, m.flags) for m in box.values()), key=repr)
            for name, box in self.source.boxes.items()
        }

    def location(self, uid: int) -> Location:
        """Say where the copy of a message of INBOX is."""
        return self.catalogue.table["INBOX", 1, UID(uid)].location


@pytest.fixture
def world() -> World:
    """Give a fresh one."""
    return World()


def test_everything_comes_back_as_it_was(world: World) -> None:
    """Octets, flags, keywords and dates; of two equal messages both; and it is told and written down."""
    finished, said = run_undo(*world.ports)
    assert world.facts() == world.before
    size = sum(len(text(n)) for n in (0, 1, 2, 3, 3))
    assert [type(event) for event in said] == [
        *(Started, Restoring, *[PutBack] * 5, Restoring, *[PutBack] * 2, RestoreFinished)
    ]
    assert of_type(said, Restoring)[0] == Restoring("INBOX", 5, size)
    assert finished.mailboxes[0] == ("INBOX", Return(wanted=5, put_back=5, size=size))
    assert (finished.total.wanted, finished.total.put_back, finished.exit_code) == (7, 7, ExitCode.DONE)
    assert (finished.run, finished.of) == ("undo1", "run1")
    lines = world.archive.manifests["undo1"].durable
    assert lines[1] == {"type": "undo", "of": "run1"}
    restored = [(line["mailbox"], line["was"], line["uid"]) for line in lines if line.get("type") == "restored"]
    assert restored == [("INBOX", uid, uid + 6) for uid in range(1, 6)] + [("Work", 1, 3), ("Work", 2, 4)]
    assert lines[-1]["counts"] == {"wanted": 7, "put_back": 7, "there": 0, "failed": 0}
    assert world.archive.manifests["undo1"].closed


def test_the_second_time_nothing_is_new(world: World) -> None:
    """All are there, the two equal ones as well."""
    run_undo(*world.ports)
    world.source.steps = Steps()
    finished, said = run_undo(*world.ports, run="undo2")
    assert world.facts() == world.before
    assert world.source.steps.log == []
    assert (finished.total.put_back, finished.total.there, finished.exit_code) == (0, 7, ExitCode.DONE)
    assert all(event.already for event in of_type(said, PutBack))


def test_a_dry_run_counts_and_changes_nothing(world: World) -> None:
    """The same numbers, and no manifest, no row, no message."""
    finished, said = run_undo(*world.ports, dry_run=True)
    assert (finished.total.wanted, finished.total.put_back, finished.exit_code) == (7, 7, ExitCode.DONE)
    assert len(of_type(said, PutBack)) == 7
    assert there(world.source) == [6]
    assert set(world.archive.manifests) == set(world.catalogue.runs) == {"run1"}
    assert world.catalogue.put_back == set()


def kill_points(dry: Callable[[Steps], None]) -> int:
    """Count the steps of a run."""
    steps = Steps()
    dry(steps)
    return steps.count


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("gone", [False, True], ids=["there", "mailbox gone"])
def test_an_undo_killed_at_any_step_puts_back_each_once(before: bool, gone: bool) -> None:
    """Run again it puts back the rest; a third time there is nothing to do. Work may have to be made again."""

    def made(steps: Steps) -> World:
        world = World()
        if gone:
            del world.source.boxes["Work"]
        world.source.steps = world.archive.steps = world.catalogue.steps = steps
        return world

    count = kill_points(lambda steps: void(run_undo(*made(steps).ports)))
    assert count > 12
    for stop_at in range(count):
        world = made(Steps(stop_at, before))
        with pytest.raises(Stopped):
            run_undo(*world.ports)
        back = {m.octets for box in world.source.boxes.values() for m in box.values()} - {text(100)}
        remembered = {digest for digest, _ in world.catalogue.put_back}
        rows = {row.digest for row in world.catalogue.table.values() if world.archive.durable[row.location] in back}
        assert rows <= remembered, f"step {stop_at}: on the server, and not remembered"
        finished, _ = run_undo(*world.ports, run="undo2")
        assert world.facts() == world.before, f"step {stop_at}"
        assert finished.exit_code is ExitCode.DONE
        finished, _ = run_undo(*world.ports, run="undo3")
        assert (finished.total.put_back, world.facts()) == (0, world.before)


def void(_: object) -> None:
    """Take a value and give none."""


def test_it_is_remembered_before_anything_is_sent(world: World) -> None:
    """A run that deletes can never meet a message of which it is not known that it was put back."""
    steps = Steps()
    world.source.steps = world.archive.steps = world.catalogue.steps = steps
    run_undo(*world.ports)
    # Before them the manifest and the run, after them the manifest of the mailbox.
    inbox = ["manifest sync", "commit", *["append"] * 5, "manifest sync"]
    work = ["manifest sync", "commit", *["append"] * 2, "manifest sync"]
    assert steps.log == ["manifest sync", "commit", *inbox, *work, "manifest sync", "commit"]
    assert len(world.catalogue.put_back) == 6  # two of the seven are equal


def test_what_was_never_deleted_is_not_doubled() -> None:
    """The run was killed before the server was asked: it is there under its old UID."""
    world = World(Policy(before=CUT, mailboxes=("INBOX",)))
    world.source.ended_at["store"] = UnreachableError("dead")
    run_backup(*world.ports, run="run2", deletion=yes())
    back, _ = run_undo(*world.ports, "run2")
    assert (back.total.wanted, back.total.there, back.total.put_back) == (2, 2, 0)
    assert there(world.source, "Work") == [1, 2]


def test_what_the_run_itself_saw_stay_is_nothing_to_undo() -> None:
    """The server refused, and the manifest says so."""
    world = World(Policy(before=CUT, mailboxes=("INBOX",)))
    world.source.lies.add("expunge")
    run_backup(*world.ports, run="run2", deletion=yes())
    back, _ = run_undo(*world.ports, "run2")
    assert (back.total, back.exit_code) == (Return(), ExitCode.DONE)


@pytest.mark.parametrize("late", [False, True])
def test_what_was_still_there_when_the_line_had_broken_comes_back_if_it_went_later(late: bool) -> None:
    """A server may carry out a deletion after the next session has looked; only a look now can tell."""
    world = World(Policy(before=CUT, mailboxes=("INBOX",)))
    world.source.ended_at["store"] = UnreachableError("dead")
    run_backup(*world.ports, run="run2", deletion=yes())
    run_backup(*world.ports, run="run3", policy=Policy(before=CUT, mailboxes=("INBOX",)), deletion=yes())
    assert world.catalogue.open_batches() == []
    if late:
        del world.source.boxes["Work"][UID(1)]
    back, _ = run_undo(*world.ports, "run2")
    assert (back.total.there, back.total.put_back) == ((1, 1) if late else (2, 0))
    assert world.facts()["Work"] == world.before["Work"]


@pytest.mark.parametrize("gone", [False, True])
def test_what_was_only_marked_loses_the_mark(gone: bool) -> None:
    """By mark: remembered first, then the mark comes off; one that somebody has expunged meanwhile comes back."""
    world = World(Policy(before=CUT, mailboxes=("INBOX",)))
    run_backup(*world.ports, run="run2", deletion=yes(method=Method.MARK))
    assert all(DELETED in m.flags for m in world.source.boxes["Work"].values())
    if gone:
        del world.source.boxes["Work"][UID(1)]
    world.source.between = lambda step: seen.append(len(world.catalogue.put_back)) if step == "unmark" else None
    seen: list[int] = []
    dry, _ = run_undo(*world.ports, "run2", dry_run=True)
    assert seen == []
    back, _ = run_undo(*world.ports, "run2")
    assert (back.total.put_back, dry.total.put_back) == (2, 2)
    assert world.facts()["Work"] == world.before["Work"]
    assert 0 not in seen
    back, _ = run_undo(*world.ports, "run2", run="undo2")
    assert (back.total.put_back, back.total.there) == (0, 2)


def test_a_listing_in_doubt_puts_nothing_back(world: World) -> None:
    """A guess could double a message."""

    class Doubting(MemorySource):
        """Lists, and is not sure."""

        @contextmanager
        def open(self, mailbox: Mailbox) -> Iterator[MemoryMailbox]:
            """Open a mailbox."""
            with super().open(mailbox) as box:
                listing = box.listing
                box.doubts = doubts = []

                def listed(criteria: Criteria) -> list[RemoteMessage]:
                    doubts.append("it lists 1 of 2")
                    return listing(criteria)

                box.listing = listed  # type: ignore[method-assign] # to doubt is the point
                yield box

    doubting = Doubting()
    doubting.boxes, doubting.next_uids = world.source.boxes, world.source.next_uids
    finished, said = run_undo(doubting, world.archive, world.catalogue)
    assert (finished.total.put_back, finished.total.failed, finished.exit_code) == (0, 7, ExitCode.PARTIAL)
    assert any("it lists 1 of 2" in each for each in warnings(said))


def test_a_twin_that_was_never_deleted_stands_for_itself_only(world: World) -> None:
    """Of two equal messages one was deleted: the other is not taken for it, even where UIDNEXT was not told."""
    world.source.add("INBOX", old(3), 5)
    for line in world.archive.manifests["run1"].durable:
        line.pop("uidnext", None)
    finished, _ = run_undo(*world.ports)
    assert (finished.total.there, finished.total.put_back) == (1, 6)
    assert world.facts() == world.before


def test_in_a_renumbered_mailbox_each_is_found_by_what_it_is(world: World) -> None:
    """UIDs mean nothing: date, size, Message-ID, Date and From do; put back once, found then."""
    world.source.uidvalidity["INBOX"] = 2
    run_undo(*world.ports)
    assert world.facts() == world.before
    finished, _ = run_undo(*world.ports, run="undo2")
    assert (finished.total.there, finished.total.put_back) == (7, 0)


def test_a_message_without_a_date_comes_back_once() -> None:
    """The server gives it the present, and it is known again all the same."""
    source, archive, catalogue = MemorySource(), MemoryArchive(), MemoryCatalogue()
    source.add("INBOX", MemoryMessage(text(1), None))
    run_backup(source, archive, catalogue, policy=Policy(), deletion=yes())
    assert there(source) == []
    for run in ("undo1", "undo2"):
        finished, _ = run_undo(source, archive, catalogue, run=run)
        for message in source.boxes["INBOX"].values():
            message.internal_date = datetime.now(UTC)
    assert there(source) == [2]
    assert finished.total.there == 1


def test_a_mailbox_that_is_gone_is_made_again(world: World) -> None:
    """With its name, and all that was in it."""
    del world.source.boxes["Work"]
    finished, _ = run_undo(*world.ports)
    assert world.facts() == world.before
    assert (finished.total.put_back, finished.exit_code) == (7, ExitCode.DONE)


def test_a_message_that_the_server_refuses_stops_no_other(world: World) -> None:
    """Told with its reason, exit 3, and the next try brings it."""
    world.source.refusals["append"] = "NO too large"
    finished, said = run_undo(*world.ports)
    assert {event.reason for event in of_type(said, NotPutBack)} == {"NO too large"}
    assert (finished.total.failed, finished.total.put_back, finished.exit_code) == (7, 0, ExitCode.PARTIAL)
    world.source.refusals.clear()
    finished, _ = run_undo(*world.ports, run="undo2")
    assert (finished.total.put_back, world.facts()) == (7, world.before)


def test_a_mailbox_that_takes_no_more_fails_the_rest_of_it(world: World) -> None:
    """What was put back before counts, and the other mailbox is done."""
    sent = 0

    def full(step: str) -> None:
        nonlocal sent
        sent += step == "append"
        if sent == 3:
            raise MailboxError("OVERQUOTA")

    world.source.between = full
    finished, said = run_undo(*world.ports)
    rows = dict(finished.mailboxes)
    assert (rows["INBOX"].put_back, rows["INBOX"].failed, rows["Work"].put_back) == (2, 3, 2)
    assert "OVERQUOTA" in warnings(said)
    assert finished.exit_code is ExitCode.PARTIAL
    run_undo(*world.ports, run="undo2")
    assert world.facts() == world.before


@pytest.mark.parametrize("how", ["damaged", "gone", "unreadable"])
def test_a_copy_that_is_not_what_it_was_is_not_sent(world: World, how: str) -> None:
    """Proved before it is sent; exit 13 (or the disk's), and the others come."""
    place = world.location(2)
    if how == "damaged":
        world.archive.durable[place] = b"rotten"
    elif how == "gone":
        del world.archive.durable[place]
    else:
        world.archive.unreadable[place] = DiskError("bad sector")
    finished, said = run_undo(*world.ports)
    assert b"rotten" not in [m.octets for m in world.source.boxes["INBOX"].values()]
    assert len(of_type(said, NotPutBack)) == 1
    assert (finished.total.put_back, finished.total.failed) == (6, 1)
    assert finished.exit_code is (ExitCode.DISK if how == "unreadable" else ExitCode.ARCHIVE)


def test_a_copy_that_was_moved_is_found_elsewhere(world: World) -> None:
    """A mail program has put it into another folder: its name tells what it is."""
    place = world.location(2)
    world.archive.durable[Location(f"Elsewhere/{place.rpartition('/')[2]}")] = world.archive.durable.pop(place)
    finished, _ = run_undo(*world.ports)
    assert (finished.total.put_back, finished.exit_code) == (7, ExitCode.DONE)
    assert text(1) in [m.octets for m in world.source.boxes["INBOX"].values()]


def test_the_line_dies_and_the_next_try_goes_on(world: World) -> None:
    """What was sent counts, and is not sent again."""
    world.source.ended_at["append"] = UnreachableError("dead")
    world.source.refusals.clear()
    finished, _ = run_undo(*world.ports)
    assert (finished.exit_code, finished.error) == (ExitCode.UNREACHABLE, "dead")
    finished, _ = run_undo(*world.ports, run="undo2")
    assert (finished.total.put_back, world.facts()) == (7, world.before)


def test_a_line_that_dies_over_the_last_question_costs_nothing(world: World) -> None:
    """The quota is asked for at the end; without an answer there is none, and the run is ended in order."""

    class Dying(MemorySource):
        """Dies when it is asked for its quota."""

        def quota(self) -> Quota | None:
            """Die."""
            raise UnreachableError("dead")

    dying = Dying()
    dying.boxes, dying.next_uids = world.source.boxes, world.source.next_uids
    finished, _ = run_undo(dying, world.archive, world.catalogue)
    assert (finished.total.put_back, finished.quota, finished.exit_code) == (7, None, ExitCode.DONE)
    assert world.archive.manifests["undo1"].closed


def test_the_user_stops_it_between_two_messages(world: World) -> None:
    """What was sent counts; it says how to go on."""

    def stop() -> ExitCode | None:
        return ExitCode.INTERRUPT if len(there(world.source)) >= 3 else None

    finished, _ = run_undo(*world.ports, stop=stop)
    assert (finished.total.put_back, finished.exit_code) == (2, ExitCode.INTERRUPT)
    assert finished.error == "interrupted; run it again for the rest"
    run_undo(*world.ports, run="undo2")
    assert world.facts() == world.before


def test_a_run_that_is_not_there_or_cannot_be_read(world: World) -> None:
    """Exit 13, with the reason; nothing is sent."""
    finished, _ = run_undo(*world.ports, "run9")
    assert finished.exit_code is ExitCode.ARCHIVE
    for line in world.archive.manifests["run1"].durable:
        line.pop("digest", None)
    finished, _ = run_undo(*world.ports, run="undo2")
    assert (finished.exit_code, there(world.source)) == (ExitCode.ARCHIVE, [6])
    assert "cannot be read" in finished.error


def test_a_run_that_deleted_nothing_is_nothing_to_undo(world: World) -> None:
    """Exit 0, and no mailbox is opened."""
    run_backup(*world.ports, run="run2")
    finished, said = run_undo(*world.ports, "run2")
    assert (finished.total, finished.exit_code, of_type(said, Restoring)) == (Return(), ExitCode.DONE, [])


def test_a_server_that_takes_nothing_is_refused_before_anything(world: World) -> None:
    """POP3."""

    class ReadOnly:
        """No APPEND."""

        alerts = ()

    with pytest.raises(UsageError, match="takes no messages"):
        run_undo(ReadOnly(), world.archive, world.catalogue)  # type: ignore[arg-type] # that is the point
    assert set(world.archive.manifests) == {"run1"}


def test_what_is_sent_is_what_was_archived(world: World) -> None:
    """Size, octets, and no flag that was not there."""
    sent: list[Appending] = []
    append = world.source.append

    def watched(mailbox: Mailbox, message: Appending) -> UID | None:
        sent.append(message)
        return append(mailbox, message)

    world.source.append = watched  # type: ignore[method-assign] # to watch it is the point
    run_undo(*world.ports)
    assert sent[1].flags == {"\\Seen", "\\Answered", "$Forwarded", "keyword"}
    assert all(sum(map(len, each.chunks())) == each.size for each in sent)
    assert all(FLAGGED not in each.flags for each in sent)
    assert sent[0].internal_date == old(0).internal_date
    assert sent[0].internal_date is not None
    assert sent[0].internal_date < NOW


def test_as_many_as_the_server_takes_go_out_at_once(world: World) -> None:
    """With the same result, and each is written down."""
    world.source.at_once = 4
    finished, _ = run_undo(*world.ports)
    assert world.facts() == world.before
    assert world.source.steps.log.count("append") == 3
    lines = world.archive.manifests["undo1"].durable
    restored = [(line["mailbox"], line["was"], line["uid"]) for line in lines if line.get("type") == "restored"]
    assert restored == [("INBOX", uid, uid + 6) for uid in range(1, 6)] + [("Work", 1, 3), ("Work", 2, 4)]
    assert (finished.total.put_back, finished.exit_code) == (7, ExitCode.DONE)


def test_what_is_refused_together_is_sent_one_by_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that one message stops no other, and a full account is filled to its end; the next run goes on there."""
    world.source.at_once = 4
    taken: list[int] = []

    def append_many(*_: object) -> list[UID | None]:
        raise MailboxError("full")

    def append(mailbox: Mailbox, message: Appending) -> UID | None:
        if len(taken) == 2:
            raise MailboxError("full")
        taken.append(message.size)
        return MemorySource.append(world.source, mailbox, message)

    with monkeypatch.context() as full:
        full.setattr(world.source, "append_many", append_many)
        full.setattr(world.source, "append", append)
        finished, said = run_undo(*world.ports)
    assert (finished.total.put_back, finished.total.failed, finished.exit_code) == (2, 5, ExitCode.PARTIAL)
    assert {event.reason for event in of_type(said, NotPutBack)} == {"full"}
    lines = world.archive.manifests["undo1"].durable
    assert [line["was"] for line in lines if line.get("type") == "restored"] == [1, 2]
    finished, _ = run_undo(*world.ports, run="undo2")
    assert (finished.total.put_back, finished.total.there, finished.exit_code) == (5, 2, ExitCode.DONE)
    assert world.facts() == world.before


def test_a_bad_copy_among_several_stops_no_other(world: World) -> None:
    """It is told and left out; the others go out together."""
    world.source.at_once = 10
    world.archive.durable[world.location(2)] = b"other"
    finished, said = run_undo(*world.ports)
    assert (finished.total.put_back, finished.total.failed, finished.exit_code) == (6, 1, ExitCode.ARCHIVE)
    assert [event.reason for event in of_type(said, NotPutBack)] == ["its copy in the archive is damaged"]
    assert world.source.steps.log.count("append") == 2
