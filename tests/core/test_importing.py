"""The import in memory: what counts when, that nothing is doubled, and that it is no evidence for a deletion."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from mailarchive import importing
from mailarchive.catalogue import EVIDENCE
from mailarchive.errors import DiskError, ExitCode, MessageError
from mailarchive.events import Imported, ImportFinished, Importing, NotImported, Started, Warned
from mailarchive.foreign import DateFrom, ForeignMessage, LeftOut, NotRead, Origin, Remark
from mailarchive.importing import import_mail
from mailarchive.model import Run
from mailarchive.tally import Intake
from tests.jobs import NOW, World, of_type, run_backup, text, yes
from tests.memory import MemoryArchive, MemoryCatalogue, Steps, Stopped, never

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mailarchive.events import Event
    from mailarchive.foreign import Foreign


def made(number: int, mailbox: str = "old", **facts: Any) -> ForeignMessage:
    """Make a message that differs from all others."""
    octets = facts.pop("octets", text(number))

    def chunks() -> Iterator[bytes]:
        yield octets[:7]
        yield octets[7:]

    return ForeignMessage(Origin("/src/old.mbox", number), mailbox, len(octets), chunks, **facts)


def broken(number: int) -> ForeignMessage:
    """Make a message that breaks off."""

    def chunks() -> Iterator[bytes]:
        yield b"Subject: x"
        raise MessageError("the file has changed while it was read")

    return replace(made(number), chunks=chunks)


def take(
    messages: Sequence[Foreign],
    archive: MemoryArchive,
    catalogue: MemoryCatalogue,
    run: str = "import1",
    **options: Any,
) -> tuple[ImportFinished, list[Event]]:
    """Run an import and give its end and all it said."""
    said: list[Event] = []
    finished = import_mail(
        [("/src", 1000, messages)],
        archive,  # type: ignore[arg-type] # it takes what has octets
        catalogue,
        run=Run(run, "import", "0", "home", "imaps://imap.example.org", "/archive", NOW, "from /src"),
        report=said.append,
        stop=options.pop("stop", never),
        clock=lambda: 0.0,
        **options,
    )
    assert said[-1] is finished
    return finished, said


@pytest.fixture
def archive() -> MemoryArchive:
    """Give an empty archive."""
    return MemoryArchive()


@pytest.fixture
def catalogue() -> MemoryCatalogue:
    """Give an empty catalogue."""
    return MemoryCatalogue()


def test_new_messages_are_kept_and_told(archive: MemoryArchive, catalogue: MemoryCatalogue) -> None:
    """Octets, manifest, row; then the event, and numbers that add up."""
    messages = [
        made(1, flags=frozenset({"\\Seen"}), date=NOW, dated_by=DateFrom.RECEIVED, notes={"source_uid": 7}),
        made(2, "Work"),
    ]
    finished, said = take(messages, archive, catalogue)
    assert list(map(type, said)) == [Started, Importing, Imported, Imported, ImportFinished]
    assert finished.total == Intake(read=2, new=2, size=len(text(1)) + len(text(2)))
    assert finished.mailboxes[0] == ("old", Intake(read=1, new=1, size=len(text(1))))
    assert finished.exit_code is ExitCode.DONE
    assert sorted(archive.durable.values()) == [text(1), text(2)]
    lines = list(archive.told("import1"))
    line = next(each for each in lines if each.get("type") == "imported")
    digest = said[2].digest  # type: ignore[union-attr]
    assert line == {
        "type": "imported",
        "source": "/src/old.mbox",
        "offset": 1,
        "mailbox": "old",
        "digest": digest,
        "size": len(text(1)),
        "internal_date": NOW.isoformat(),
        "date_from": "received",
        "flags": ["\\Seen"],
        "location": f"old/{digest}",
        "source_uid": 7,
    }
    assert lines[-1] == {"type": "finished", "counts": {"read": 2, "new": 2, "already": 0, "failed": 0}, "exit": 0}


def test_a_second_import_finds_everything_there(archive: MemoryArchive, catalogue: MemoryCatalogue) -> None:
    """Also what comes twice in one source, and under another date."""
    messages = [made(1), made(2), replace(made(3, octets=text(1)), date=NOW)]
    first, _ = take(messages, archive, catalogue)
    assert (first.total.new, first.total.already) == (2, 1)
    rows = dict(catalogue.table)
    second, said = take(messages, archive, catalogue, run="import2")
    assert (second.total.read, second.total.new, second.total.already) == (3, 0, 3)
    assert second.total.size == 0
    assert all(event.already for event in of_type(said, Imported))
    assert catalogue.table.keys() == rows.keys()
    assert len(archive.durable) == 2


def test_what_cannot_be_read_is_named_and_stops_nothing(archive: MemoryArchive, catalogue: MemoryCatalogue) -> None:
    """A failure of the reader, one in the middle of a message, something left out, a remark: exit 3."""
    origin = Origin("/src/bad", 5)
    messages: list[Foreign] = [
        NotRead(origin, "old", "it is empty"),
        broken(1),
        made(2),
        LeftOut(origin, "in Spam or Trash"),
        LeftOut(origin, "in Spam or Trash"),
        Remark(origin, "the index does not fit"),
        made(3),
    ]
    finished, said = take(messages, archive, catalogue)
    assert finished.total == Intake(read=4, new=2, failed=2, size=len(text(2)) + len(text(3)))
    assert finished.total.adds_up
    assert finished.left_out == (("in Spam or Trash", 2),)
    assert finished.exit_code is ExitCode.PARTIAL
    failures = {(event.source, event.offset): event.reason for event in of_type(said, NotImported)}
    assert failures == {
        ("/src/bad", 5): "it is empty",
        ("/src/old.mbox", 1): "the file has changed while it was read",
    }
    assert [event.message for event in of_type(said, Warned)] == ["/src/bad at octet 5: the index does not fit"]
    assert sorted(archive.durable.values()) == [text(2), text(3)]


def test_labels_are_mailboxes(archive: MemoryArchive, catalogue: MemoryCatalogue) -> None:
    """A message stands in each of them and counts once; it is new if any of them lacked it."""
    message = made(1, "inbox", also=("Work", "INBOX", "Été"))
    finished, _ = take([message], archive, catalogue)
    assert {location.partition("/")[0] for location in archive.durable} == {"INBOX", "Work", "Été"}
    assert finished.mailboxes == (("INBOX", Intake(read=1, new=1, size=len(text(1)))),)
    assert {row.mailbox for row in catalogue.table.values()} == {"INBOX", "Work", "Été"}
    more = replace(message, also=(*message.also, "New"))
    assert take([more], archive, catalogue, run="import2")[0].total.new == 1
    assert take([more], archive, catalogue, run="import3")[0].total.already == 1


def test_one_mailbox_for_everything(archive: MemoryArchive, catalogue: MemoryCatalogue) -> None:
    """Labels do not count then."""
    take([made(1, "a", also=("b",)), made(2, "c")], archive, catalogue, into="Old/mail")
    assert {row.mailbox for row in catalogue.table.values()} == {"Old/mail"}
    assert len(archive.durable) == 2


def test_names_that_cannot_be_written_are_made_so(archive: MemoryArchive, catalogue: MemoryCatalogue) -> None:
    """A lone surrogate, which neither SQLite nor a wire takes."""
    take([made(1, "a\udcff")], archive, catalogue)
    assert {row.mailbox for row in catalogue.table.values()} == {"a?"}


def test_nothing_imported_is_evidence() -> None:
    """A run that deletes fetches the message first, finds the copy, and only then may delete."""
    world = World()
    octets = text(0)
    take([made(1, "INBOX", octets=octets)], world.archive, world.catalogue, run="import0")
    (row,) = world.catalogue.table.values()
    assert row.origin not in EVIDENCE
    assert not world.catalogue.placements("INBOX", None)
    assert not world.catalogue.placements("INBOX", world.source.uidvalidity["INBOX"])
    finished, _ = run_backup(*world.ports, deletion=yes())
    assert ("INBOX", 1) in world.source.fetched
    assert finished.total.deleted == finished.total.archived == 6
    assert list(world.archive.durable.values()).count(octets) == 1


def test_a_dry_run_counts_the_same_and_changes_nothing(archive: MemoryArchive, catalogue: MemoryCatalogue) -> None:
    """New, there, twice, in several mailboxes, broken."""
    take([made(1), made(2, "Work")], archive, catalogue, run="import0")
    before = (dict(archive.durable), dict(catalogue.table), set(archive.manifests))
    messages = [made(1), made(2), made(2), made(3, also=("Work",)), broken(4), made(2, "Work")]
    dry, said = take(messages, archive, catalogue, dry_run=True)
    assert (dict(archive.durable), dict(catalogue.table), set(archive.manifests)) == before
    wet, _ = take(messages, archive, catalogue)
    assert dry.total == wet.total == Intake(6, 2, 3, 1, size=len(text(2)) + len(text(3)))
    assert dry.mailboxes == wet.mailboxes
    assert isinstance(said[0], Started)
    assert said[0].dry_run


def test_the_file_that_a_catalogue_does_not_know_is_there(archive: MemoryArchive, catalogue: MemoryCatalogue) -> None:
    """The files outrank it: a dry run with a lost catalogue counts as the real one."""
    take([made(1)], archive, catalogue)
    dry, _ = take([made(1)], archive, MemoryCatalogue(), dry_run=True)
    assert dry.total == Intake(read=1, already=1)


@pytest.mark.parametrize("after", [0, 1, 2, 3])
def test_a_signal_ends_after_the_batch(archive: MemoryArchive, catalogue: MemoryCatalogue, after: int) -> None:
    """What has been taken counts, the rest is for the next run, and the numbers add up."""
    asked = itertools.count()
    messages = [made(number, f"box{number % 2}") for number in range(6)]
    stop = lambda: ExitCode.INTERRUPT if next(asked) > 8 + after else None  # noqa: E731 - as short as that
    finished, _ = take(messages, archive, catalogue, stop=stop)
    assert finished.exit_code is ExitCode.INTERRUPT
    assert finished.error
    assert finished.total.adds_up
    assert finished.total.new == len(archive.durable) < 6
    rest, _ = take(messages, archive, catalogue, run="import2")
    assert rest.total == Intake(6, 6 - finished.total.new, finished.total.new, 0, size=rest.total.size)


@pytest.mark.parametrize("where", ["fail_add", "fail_sync", "fail_manifest"])
def test_a_disk_that_fails_ends_the_run(archive: MemoryArchive, catalogue: MemoryCatalogue, where: str) -> None:
    """Nothing of the batch counts, and the run says why."""
    setattr(archive, where, DiskError("no space left"))
    finished, said = take([made(1)], archive, catalogue)
    assert (finished.exit_code, finished.error) == (ExitCode.DISK, "no space left")
    assert finished.total == Intake()
    assert not of_type(said, Imported)
    assert not catalogue.table
    assert not archive.pending
    setattr(archive, where, None)
    assert take([made(1)], archive, catalogue, run="import2")[0].exit_code is ExitCode.DONE


def test_a_damaged_copy_is_set_aside_and_told(archive: MemoryArchive, catalogue: MemoryCatalogue) -> None:
    """The fresh octets take its place."""
    take([made(1)], archive, catalogue)
    (location,) = archive.durable
    archive.durable[location] = b"other"
    finished, said = take([made(1)], archive, catalogue, run="import2")
    assert archive.durable[location] == text(1)
    assert finished.exit_code is ExitCode.PARTIAL
    assert "set aside" in of_type(said, Warned)[0].message


def test_wherever_it_is_killed_nothing_is_lost_or_doubled() -> None:
    """Before and after each step; the next run brings everything, and a third one finds it."""
    messages = [made(number, f"box{number % 2}", also=("all",)) for number in range(4)]
    for before in (True, False):
        for stop_at in itertools.count():
            steps = Steps(stop_at, before)
            archive, catalogue = MemoryArchive(steps), MemoryCatalogue(steps)
            try:
                take(messages, archive, catalogue)
            except Stopped:
                pass
            else:
                assert stop_at > 20
                break
            steps.stop_at = -1
            archive.discard()
            finished, _ = take(messages, archive, catalogue, run="import2")
            assert finished.total.new + finished.total.already == 4
            assert finished.exit_code is ExitCode.DONE
            assert len(archive.durable) == 8
            assert len(catalogue.table) == 8
            third, _ = take(messages, archive, catalogue, run="import3")
            assert third.total.already == 4


def test_numbers_that_do_not_add_up_are_told(
    archive: MemoryArchive, catalogue: MemoryCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message that got lost on the way between reader and archive would be noticed."""
    take_some = importing._Keeper.take
    monkeypatch.setattr(importing._Keeper, "take", lambda keeper, messages: take_some(keeper, messages[1:]))
    finished, said = take([made(1), made(2)], archive, catalogue)
    assert finished.total.read == 1
    assert finished.exit_code is ExitCode.PARTIAL
    assert "do not add up" in of_type(said, Warned)[0].message
    assert not Intake(read=2, new=1).adds_up
