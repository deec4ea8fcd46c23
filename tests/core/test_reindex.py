"""What a catalogue that is made from files says of each thing that a file can say (`mailarchive.reindex`)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from mailarchive import batch, recital
from mailarchive.errors import ArchiveError, DiskError, ExitCode
from mailarchive.events import Flaw, Verified
from mailarchive.expunge import Refusal
from mailarchive.model import DELETED, UID, UIDL, Digest, Location, MailboxStatus, Method, Remnant
from mailarchive.ports import OpenBatch
from tests.jobs import (
    CUT,
    NOW,
    World,
    kept,
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
)
from tests.memory import MemoryArchive, MemoryCatalogue, MemoryMessage, MemoryRebuild, MemorySource

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mailarchive.model import Placement

DIGEST = "sha256:" + "ab" * 32
FIRST = UID(1)
DAY = "2026-11-23T08:15:02Z"


class Files:
    """An archive with one message and a manifest that a test writes."""

    def __init__(self) -> None:
        self.archive = MemoryArchive()
        source = MemorySource()
        source.add("INBOX", old(1))
        catalogue = MemoryCatalogue()
        run_backup(source, self.archive, catalogue, run="run0")
        self.row = next(iter(catalogue.table.values()))
        manifest = self.archive.manifests["run0"]
        self.lines = manifest.durable
        self.first, self.mailbox, self.archived, self.finished = self.lines

    def told(self, *lines: Mapping[str, object]) -> tuple[MemoryRebuild, int, list[str]]:
        """Put lines behind the one of the mailbox and reindex; gives the catalogue, the code, and the warnings."""
        self.archive.manifests["run0"].durable = [dict(line) for line in (self.first, self.mailbox, *lines)]
        catalogue, finished, said = run_reindex(self.archive)
        return catalogue, finished.exit_code, warnings(said)

    def line(self, kind: str, **fields: object) -> dict[str, object]:
        """Make a line about the message."""
        return {"type": kind, "mailbox": "INBOX", "uidvalidity": 1, "uid": 1, **fields}

    def expunging(self) -> dict[str, object]:
        """Make the line that stands before a deletion."""
        facts = {name: self.archived[name] for name in ("digest", "size", "announced", "internal_date", "location")}
        return self.line("expunging", **facts, flags=[], method="expunge", ident=self.row.ident)


@pytest.fixture
def files() -> Files:
    """Give one."""
    return Files()


def row(catalogue: MemoryCatalogue, uid: UID | UIDL = FIRST) -> Placement | None:
    """Give a row of INBOX, whatever its origin."""
    return catalogue.table.get(("INBOX", 1, uid))


# Lines


def test_a_line_makes_the_row_that_the_run_made(files: Files) -> None:
    """All of it, and that it was never verified; the run and the mailbox are known as they were."""
    catalogue, code, said = files.told(files.archived, files.finished)
    found = row(catalogue)
    assert found is not None
    assert found == replace(files.row, origin="manifest", archived_at=found.archived_at)
    assert (code, said, catalogue.verified, catalogue.expunged) == (0, [], set(), set())
    assert catalogue.runs["run0"]["command"] == "backup"
    assert catalogue.runs["run0"]["exit"] == 0
    assert catalogue.last_seen("INBOX") == MailboxStatus(1, 1)
    assert catalogue.sane_now() == NOW


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"announced": None}, {"size_announced": None}),
        ({"announced": 7}, {"size_announced": 7}),
        ({"internal_date": None}, {"internal_date": None}),
        ({"flags": None}, {"flags": None}),
        ({"flags": []}, {"flags": frozenset()}),
        ({"emailid": "M1"}, {"object_id": "M1"}),
        ({"hold": "placeholder"}, {"hold": "placeholder"}),
        ({"at": DAY}, {"archived_at": datetime(2026, 11, 23, 8, 15, 2, tzinfo=UTC)}),
        ({"of a later version": [1]}, {}),
    ],
)
def test_each_field_of_a_line_counts(files: Files, fields: dict[str, object], expected: dict[str, object]) -> None:
    """What it does not say is unknown, and what is not known here is passed over."""
    catalogue, code, _ = files.told({**files.archived, **fields})
    found = row(catalogue)
    assert code == 0
    assert {name: getattr(found, name) for name in expected} == expected


def test_a_line_without_the_announced_size_needs_a_second_fetch(files: Files) -> None:
    """As one whose size was not what came: archived, and not deletable yet."""
    catalogue, _, _ = files.told({**files.archived, "announced": None})
    assert catalogue.placements("INBOX", 1)[UID(1)].unsure
    catalogue, _, _ = files.told(files.archived)
    assert not catalogue.placements("INBOX", 1)[UID(1)].unsure


@pytest.mark.parametrize(
    "bad",
    [
        {"mailbox": 7},
        {"mailbox": "\ud800"},
        {"uid": "1"},
        {"uid": True},
        {"uid": -1},
        {"uid": 2**70},
        {"uid": None},
        {"uidvalidity": "1"},
        {"digest": "sha256:ab"},
        {"digest": DIGEST.upper()},
        {"size": None},
        {"location": 1},
        {"internal_date": "yesterday"},
        {"internal_date": "2014-03-01T10:00:00"},
        {"flags": [7]},
        {"hold": []},
        {"at": "now"},
    ],
    ids=str,
)
def test_a_line_that_makes_no_sense_is_told_and_the_rest_is_used(files: Files, bad: dict[str, object]) -> None:
    """Exit 3; and its run is not known, so that a run that deletes looks at it for itself."""
    second = {**files.archived, "uid": 2}
    catalogue, code, said = files.told({**files.archived, **bad}, second)
    assert (code, len(said)) == (ExitCode.PARTIAL, 1)
    assert "run0" in said[0]
    assert (row(catalogue), row(catalogue, UID(2)) is not None) == (None, True)
    assert "run0" not in catalogue.runs


def test_a_line_that_is_no_json_is_told_and_the_rest_is_used(files: Files) -> None:
    """As one that makes no sense; and the second it was written in is not that of those behind it."""
    catalogue, code, said = files.told({**files.archived, "at": DAY}, {"torn": True}, {**files.archived, "uid": 2})
    first, second = row(catalogue), row(catalogue, UID(2))
    assert first is not None
    assert second is not None
    assert first.archived_at == datetime.fromisoformat(DAY)
    assert second.archived_at is not None
    assert second.archived_at > first.archived_at
    assert (code, len(said)) == (ExitCode.PARTIAL, 1)
    assert "run0" not in catalogue.runs


def test_a_manifest_of_another_archive_is_left_out(files: Files) -> None:
    """Its UIDs are those of another server."""
    files.first = {**files.first, "archive": "f" * 32}
    catalogue, code, said = files.told(files.archived)
    assert (len(catalogue.table), code, set(catalogue.known_runs())) == (0, ExitCode.PARTIAL, {"zz-reindex"})
    assert "of another archive" in said[0]


def test_a_manifest_that_cannot_be_opened_stops_nothing(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told; a disk that fails is another thing."""

    def told(_run: str, _bad: object) -> Iterator[dict[str, object]]:
        raise ArchiveError("it is a link")

    monkeypatch.setattr(files.archive, "told", told)
    catalogue, finished, said = run_reindex(files.archive)
    assert (finished.exit_code, finished.complete, catalogue.table) == (ExitCode.PARTIAL, True, {})
    assert "it is a link" in warnings(said)[0]


def test_what_left_the_server_is_expunged(files: Files) -> None:
    """And one that was archived again after that is there again (a UIDL may be)."""
    pop = {key: value for key, value in files.archived.items() if key != "uid"} | {"uidl": "a"}
    gone = {"type": "expunged", "mailbox": "INBOX", "uidvalidity": 1, "uidl": "a", "at": DAY}
    catalogue, code, _ = files.told(files.archived, pop, files.line("expunged"), gone)
    assert (catalogue.expunged, code) == ({("INBOX", 1, 1), ("INBOX", 1, "a")}, 0)
    assert catalogue.left_at["INBOX", 1, UIDL("a")] == datetime.fromisoformat(DAY)
    assert set(catalogue.placements("INBOX", 1)) == {1}
    assert catalogue.last_seen("INBOX") == MailboxStatus(0, 1)
    catalogue, _, _ = files.told(pop, gone, pop)
    assert (catalogue.expunged, set(catalogue.placements("INBOX", 1))) == (set(), {"a"})


@pytest.mark.parametrize(
    ("line", "confirmed", "hold"),
    [
        ({"digest": True}, True, ""),
        ({"digest": True, "hold": "the server gives other octets each time"}, False, "the server gives other octets"),
        ({"digest": DIGEST}, False, ""),
    ],
)
def test_a_second_fetch_counts_for_the_octets_that_it_compared(
    files: Files, line: dict[str, object], confirmed: bool, hold: str
) -> None:
    """The same octets confirm, others hold for ever, and what was compared with other octets says nothing."""
    digest = files.row.digest if line["digest"] is True else line["digest"]
    compared = files.line("compared", **{**line, "digest": digest})
    found = row(files.told({**files.archived, "announced": 7}, compared)[0])
    assert found is not None
    assert found.confirmed is confirmed
    assert found.hold.startswith(hold)
    assert bool(found.hold) is bool(hold)


def test_what_was_imported_is_known_and_says_nothing_of_a_server(files: Files) -> None:
    """A row without a UID, by its digest; no backup takes it for archived, and no deletion for evidence."""
    line = {name: value for name, value in files.archived.items() if name not in ("uid", "uidvalidity", "announced")}
    catalogue, code, said = files.told({**line, "type": "imported", "source": "/old/mbox"})
    ((key, found),) = catalogue.table.items()
    assert key == ("INBOX", 0, UIDL(f"import:{files.row.digest}"))
    assert (found.origin, found.location, found.ident) == ("import", files.row.location, files.row.ident)
    assert (code, said, dict(catalogue.placements("INBOX", None))) == (0, [], {})


def test_what_was_put_back_is_remembered(files: Files) -> None:
    """So that no selection takes it away a second time."""
    returning = {"type": "returning", "mailbox": "INBOX", "digest": files.row.digest, "ident": "i"}
    catalogue, _, _ = files.told(files.archived, returning)
    assert catalogue.put_back == {(files.row.digest, "i")}
    assert catalogue.placements("INBOX", 1)[UID(1)].put_back


@pytest.mark.parametrize(
    ("after", "is_open"),
    [
        ([], True),
        (["expunged"], False),
        (["kept"], False),
        (["expunged of another"], True),
    ],
)
def test_an_intent_without_an_end_is_open(files: Files, after: list[str], is_open: bool) -> None:
    """With what the next run needs to ask the server: what it was, and whether it was marked before."""
    other = files.line("expunged", uid=9)
    ends = [other if "of another" in kind else files.line(kind, of="run0") for kind in after]
    catalogue, _, _ = files.told(files.archived, {**files.expunging(), "flags": [DELETED], "at": DAY}, *ends)
    batches = catalogue.open_batches()
    assert bool(batches) is is_open
    if is_open:
        (found,) = batches
        assert isinstance(found, OpenBatch)
        assert (found.run, found.mailbox, found.uidvalidity, found.method) == ("run0", "INBOX", 1, Method.EXPUNGE)
        ((placement, was_deleted),) = found.items
        assert (placement.uid, placement.digest, placement.ident) == (1, files.row.digest, files.row.ident)
        assert was_deleted
        assert found.opened_at == datetime.fromisoformat(DAY)


def test_an_open_deletion_whose_copy_is_gone_can_still_be_asked_for(files: Files) -> None:
    """It has a row by which the server can be asked, and no backup takes it for archived."""
    files.archive.durable.clear()
    catalogue, code, _ = files.told(files.archived, files.expunging())
    assert code == ExitCode.ARCHIVE
    ((placement, _),) = catalogue.open_batches()[0].items
    assert (placement.ident, placement.size_announced) == (files.row.ident, files.row.size_announced)
    assert not files.archive.holds(placement.location)


# Octets


@pytest.mark.parametrize("size", [1, 500])
def test_octets_that_are_nowhere_have_no_row_and_are_fetched_again(
    files: Files, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 13; a row of earlier octets of the same UID goes too, or it would stand for those that are lost."""
    monkeypatch.setattr(recital, "BATCH", size)
    lost = {**files.archived, "digest": DIGEST, "location": "INBOX/lost"}
    files.archive.manifests["run0"].durable = [files.first, files.mailbox, files.archived, lost]
    catalogue, finished, said = run_reindex(files.archive)
    assert (row(catalogue), finished.exit_code, finished.flaws) == (None, ExitCode.ARCHIVE, ((Flaw.MISSING, 1),))
    assert [event.location for event in of_type(said, Verified) if event.flaw] == ["INBOX/lost"]


@pytest.mark.parametrize(
    ("places", "chosen"),
    [
        (["INBOX/here", "INBOX/other", "A/x"], "INBOX/here"),
        (["A/x", "INBOX/other"], "INBOX/other"),
        (["Work/x"], "Work/x"),
    ],
)
def test_a_message_is_followed_by_its_octets(
    files: Files, places: list[str], chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it was put, else in the same mailbox, else anywhere."""
    octets = next(iter(files.archive.durable.values()))
    files.archive.durable = {Location(place): octets for place in places}
    # As if a name told nothing.
    monkeypatch.setattr(files.archive, "hint", lambda _: "sha256:")
    found = row(files.told({**files.archived, "location": "INBOX/here"})[0])
    assert found is not None
    assert found.location == chosen


def test_damaged_and_unreadable_files_are_told_once_and_make_no_row(files: Files) -> None:
    """Each with its reason, exit 13; that they are missing too is not said."""
    place = files.row.location
    files.archive.durable[place] = b"other"
    catalogue, finished, said = run_reindex(files.archive)
    assert (catalogue.table, finished.exit_code, finished.flaws) == ({}, ExitCode.ARCHIVE, ((Flaw.DAMAGED, 1),))
    files.archive.unreadable[place] = DiskError("the disk failed")
    catalogue, finished, said = run_reindex(files.archive)
    assert (finished.flaws, finished.complete) == (((Flaw.UNREADABLE, 1),), True)
    assert [event.detail for event in of_type(said, Verified)] == ["the disk failed"]


def test_what_looked_wrong_is_held_again() -> None:
    """Computed from the octets, for lines of a version that did not say."""
    source = MemorySource()
    source.add("INBOX", MemoryMessage(b"no header at all", NOW - timedelta(days=900)))
    archive = MemoryArchive()
    run_backup(source, archive, MemoryCatalogue())
    for line in archive.manifests["run1"].durable:
        line.pop("hold", None)
    found = row(run_reindex(archive)[0])
    assert found is not None
    assert found.hold == "no header"


# Lists


def listed(files: Files, **facts: Any) -> Remnant:
    """Say of the message what a list says."""
    given: dict[str, Any] = {"internal_date": files.row.internal_date, "uid": UID(1), "uidvalidity": 1, **facts}
    return Remnant(("INBOX",), files.row.location, frozenset(), **given)


def test_a_list_fills_what_no_manifest_says_and_nothing_else(files: Files) -> None:
    """A second UID of the file has a row by the list, the first one that of its manifest."""
    files.archive.lists[files.row.location] = [listed(files), listed(files, uid=UID(7))]
    catalogue, _, _ = files.told(files.archived)
    assert {uid: found.origin for (_, _, uid), found in catalogue.table.items()} == {1: "manifest", 7: "uidlist"}
    known = catalogue.placements("INBOX", 1)
    assert {uid: found.evidence for uid, found in known.items()} == {1: True, 7: False}
    assert known[UID(7)].size == len(text(1))


@pytest.mark.parametrize("proven", [True, False])
def test_only_a_block_of_ours_is_evidence(files: Files, proven: bool) -> None:
    """And then only after a second fetch, for it does not say what was announced."""
    files.archive.manifests.clear()
    files.archive.lists[files.row.location] = [listed(files, proven=proven)]
    catalogue, finished, _ = run_reindex(files.archive)
    found = catalogue.placements("INBOX", 1)[UID(1)]
    assert (found.evidence, found.unsure, bool(catalogue.rows("INBOX", 1, [UID(1)]))) == (proven, proven, proven)
    assert (finished.placed, finished.listed) == ((1, 0) if proven else (0, 1))


@pytest.fixture
def by_list() -> World:
    """Give a world whose archive has lost catalogue and manifests, and has lists."""
    world = World().archived()
    for each in world.catalogue.table.values():
        remnant = Remnant((each.mailbox,), each.location, each.flags, each.internal_date, each.uid, 1)
        world.archive.lists[each.location] = [remnant]
    world.archive.manifests.clear()
    world.catalogue, _, _ = run_reindex(world.archive)
    return world


def test_what_only_a_list_says_is_archived_for_a_backup(by_list: World) -> None:
    """Nothing is fetched again."""
    finished, _ = run_backup(*by_list.ports)
    assert (finished.total.already, finished.total.archived, by_list.source.fetched) == (6, 0, [])


def test_what_only_a_list_says_is_never_deleted_without_a_new_fetch(by_list: World) -> None:
    """A prune keeps it with the reason; a backup that deletes fetches it first, and makes no second copy."""
    finished, said = run_prune(*by_list.ports)
    assert (finished.total.deleted, finished.total.kept, there(by_list.source)) == (0, 6, [1, 2, 3, 4, 5])
    assert set(kept(said).values()) == {Refusal.NO_PROOF.value}
    assert "4 of the chosen messages are archived as far as a list says" in warnings(said)[0]
    files = dict(by_list.archive.durable)
    finished, _ = run_backup(*by_list.ports, run="run2", deletion=yes())
    assert (finished.total.archived, finished.total.deleted, len(by_list.source.fetched)) == (6, 6, 6)
    assert by_list.archive.durable == files


def test_a_list_that_lies_deletes_nothing(by_list: World) -> None:
    """Whatever stands under a UID on the server is fetched before it goes."""
    octets = text(77)
    by_list.source.boxes["INBOX"][UID(1)] = MemoryMessage(octets, old(0).internal_date, frozenset())
    run_backup(*by_list.ports, run="run2", deletion=yes())
    assert octets in by_list.archive.durable.values()


# The whole


def test_nothing_is_fetched_again_and_it_is_deleted_only_after_it_was_read_back() -> None:
    """A backup, a loss, a reindex; then a backup and a prune."""
    world = World().archived()
    world.catalogue, finished, _ = run_reindex(world.archive)
    assert (finished.placed, finished.exit_code) == (6, ExitCode.DONE)
    finished_run, _ = run_backup(*world.ports)
    assert (finished_run.total.already, finished_run.total.archived, world.source.fetched) == (6, 0, [])
    world.archive.read_cold.clear()
    finished_run, _ = run_prune(*world.ports, run="run2")
    assert (finished_run.total.deleted, len(world.archive.read_cold)) == (6, 6)


def test_what_an_undo_put_back_stays_after_a_reindex() -> None:
    """The next deletion keeps it, as it would have with the old catalogue."""
    world = World()
    run_backup(*world.ports, deletion=yes())
    run_undo(*world.ports)
    world.catalogue, _, _ = run_reindex(world.archive)
    finished, _ = run_backup(*world.ports, run="run2", deletion=yes())
    assert (finished.total.deleted, finished.total.kept) == (0, 6)


def test_a_hold_of_the_old_catalogue_is_taken_over() -> None:
    """It can only make less deletable."""
    world = World().archived()
    world.catalogue, _, _ = run_reindex(world.archive, holds=[("INBOX", 1, UID(2), "odd"), ("Gone", 1, UID(1), "odd")])
    finished, said = run_prune(*world.ports)
    assert (finished.total.deleted, kept(said)) == (5, {("INBOX", 2): Refusal.HOLD.value})


def test_the_clock_is_trusted_as_the_manifests_say() -> None:
    """Else as the old catalogue says; else it is not known."""
    world = World().archived()
    assert run_reindex(world.archive, sane=CUT)[0].sane_now() == NOW
    world.archive.manifests.clear()
    assert run_reindex(world.archive, sane=CUT)[0].sane_now() == CUT
    assert run_reindex(world.archive)[0].sane_now() is None


def test_a_mailbox_that_was_renumbered_meanwhile_is_noticed() -> None:
    """As with the old catalogue: nothing of it is deleted in the run that sees it."""
    world = World().archived()
    world.catalogue, _, _ = run_reindex(world.archive)
    world.source.uidvalidity["INBOX"] = 2
    finished, said = run_backup(*world.ports, deletion=yes())
    assert finished.total.deleted == 2
    assert any("numbered this mailbox anew" in each for each in warnings(said))


def test_a_stop_changes_nothing(files: Files) -> None:
    """The new catalogue does not take the place of the old one, and the code is that of the signal."""
    catalogue, finished, said = run_reindex(files.archive, stop=lambda: ExitCode.INTERRUPT)
    assert not catalogue.completed
    assert (finished.complete, finished.exit_code) == (False, ExitCode.INTERRUPT)
    assert finished.error == "interrupted; nothing was changed"
    assert of_type(said, Verified) == []


def test_an_error_changes_nothing(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full."""
    catalogue = MemoryRebuild()

    def full(*_: object) -> None:
        raise DiskError("no space left", hint="free some")

    monkeypatch.setattr(catalogue, "record", full)
    _, finished, _ = run_reindex(files.archive, catalogue=catalogue)
    assert not catalogue.completed
    assert (finished.complete, finished.exit_code, finished.error) == (False, ExitCode.DISK, "no space left")


def test_links_of_labels_are_placed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the folder of each label, without a UID and without being evidence."""
    files = Files()
    octets = next(iter(files.archive.durable.values()))
    digest = files.row.digest
    files.archive.durable[Location(f"Work/{digest}")] = octets
    label = {"type": "mailbox", "name": "Work", "folder": "Work", "delimiter": "/"}
    gmail = {**files.archived, "gm_msgid": "G1", "labels": ["Work"]}
    monkeypatch.setattr(batch, "BATCH_MESSAGES", 2)
    catalogue, code, _ = files.told(label, gmail)
    assert code == 0
    found = catalogue.table["Work", 0, UIDL("gm:G1")]
    assert (found.origin, found.location, found.uidvalidity) == ("label", f"Work/{digest}", None)
    assert row(catalogue, UID(1)) is not None
    assert dict(catalogue.placements("Work", None)) == {}
    # A mailbox with UIDs of its own was archived by itself.
    catalogue, _, _ = files.told({**label, "uidvalidity": 3}, gmail)
    assert set(catalogue.table) == {("INBOX", 1, 1)}


@pytest.mark.parametrize("names", [("aa", "bb"), ("bb", "aa")])
def test_runs_of_one_second_are_taken_in_the_order_in_which_they_began(files: Files, names: tuple[str, str]) -> None:
    """The rest of their ids is chance, and what was deleted was archived before."""
    first, second = (f"2026-11-23T081502Z-{name}" for name in names)
    later = (NOW + timedelta(microseconds=7)).isoformat()
    manifests = files.archive.manifests
    manifests[second] = files.archive.manifest(second)
    manifests[second].durable = [{**files.first, "started": later}, files.line("expunged")]
    manifests[first] = manifests.pop("run0")
    assert run_reindex(files.archive)[0].expunged == {("INBOX", 1, 1)}


def test_lines_are_committed_in_batches_in_their_order(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """However large a batch is, the result is the same."""
    lines = [{**files.archived, "uid": uid} for uid in range(1, 8)]
    lines += [files.line("expunged", uid=uid) for uid in (2, 3)]
    lines += [files.line("compared", uid=uid, digest=Digest(files.row.digest)) for uid in (4, 5)]
    lines += [{**files.archived, "uid": 2}]
    results = []
    for size in (500, 2, 1):
        monkeypatch.setattr(recital, "BATCH", size)
        catalogue, _, _ = files.told(*lines)
        confirmed = {uid for (_, _, uid), found in catalogue.table.items() if found.confirmed}
        results.append((set(catalogue.table), catalogue.expunged, confirmed))
    assert results[0] == ({("INBOX", 1, uid) for uid in range(1, 8)}, {("INBOX", 1, 3)}, {4, 5})
    assert results[1:] == results[:1] * 2
