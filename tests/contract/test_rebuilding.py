"""What every catalogue that is being made from files promises (`rebuilding.Rebuilding`), and its file."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from mailarchive.catalogue import SqliteCatalogue
from mailarchive.catalogue_rebuild import SqliteRebuild, remembered
from mailarchive.model import UID, Digest, Location, Method
from mailarchive.ports import OpenBatch
from mailarchive.rebuilding import Copy, Totals
from tests.contract.catalogues import DIGEST, ID, OTHER, ROW
from tests.memory import MemoryRebuild

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mailarchive.model import UIDL
    from mailarchive.rebuilding import Rebuilding

COPY = Copy(Location("Été/1.abc"), "Été", DIGEST, 1234, "i", "placeholder")
COPIES = [
    COPY,
    COPY._replace(location=Location("A/2"), folder="A"),
    COPY._replace(location=Location("A/3"), folder="A", digest=OTHER),
]
DAY = datetime(2026, 11, 23, 8, 15, 2, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "memory"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rebuilding]:
    """Give each in turn, with a run begun."""
    facts = {"command": "reindex", "started": "now"}
    if request.param == "memory":
        memory = MemoryRebuild()
        memory.begin("run1", facts)
        yield memory
        return
    with SqliteRebuild.beside(tmp_path / "catalogue.sqlite", ID, network=False, sync=lambda: None) as found:
        found.begin("run1", facts)
        yield found


def test_copies_are_found_by_octets_and_by_place(made: Rebuilding) -> None:
    """In order of place, however many are asked for; what is not there is not given."""
    made.keep(COPIES)
    made.keep([])
    nothing = [Digest(f"sha256:{number:064x}") for number in range(2000)]
    found = {digest: list(copies) for digest, copies in made.copies([*nothing, DIGEST, OTHER]).items()}
    assert found == {DIGEST: [COPIES[1], COPY], OTHER: [COPIES[2]]}
    places = [Location(f"x/{number}") for number in range(2000)]
    assert made.copies_at([*places, COPY.location]) == {COPY.location: COPY}


def test_what_left_is_counted_no_more_and_stays_known(made: Rebuilding) -> None:
    """A row that is not there cannot leave."""
    made.record("run1", [ROW, replace(ROW, uid=UID(2))])
    made.leave("Été", 7, {UID(2): DAY, UID(3): None})
    made.leave("Nowhere", 7, {UID(2): None})
    assert (made.live("Été", 7), made.live("Été", 8), made.live("Nowhere", 7)) == (1, 0, 0)
    assert made.totals() == Totals(2, 0, 1, 0)


def test_totals_tell_evidence_from_lists_and_what_is_left_over(made: Rebuilding) -> None:
    """Rows of labels are neither."""
    made.keep(COPIES)
    made.record(
        "run1",
        [
            replace(ROW, uid=UID(uid), origin=origin)
            for uid, origin in enumerate(("fetched", "manifest", "uidlist", "label", "import"), 1)
        ],
    )
    assert made.totals() == Totals(2, 1, 0, 2)


def test_an_open_deletion_is_given_to_the_next_run(made: Rebuilding) -> None:
    """With all that it needs; each batch by itself, in order; one may have nothing but marks of strangers."""
    made.record("run1", [ROW])
    first = OpenBatch(0, "run0", "Été", 7, Method.TRASH, ((ROW, True),), opened_at=DAY)
    marks: dict[UID | UIDL, str] = {UID(6): "a", UID(7): "b"}
    second = OpenBatch(0, "run0", "Work", 3, Method.EXCLUSIVE, (), frozenset(marks), marks, DAY)
    for batch in (first, second):
        made.reopen(batch)
    found = made.open_batches()
    assert [(each.run, each.mailbox, each.uidvalidity, each.method, each.opened_at) for each in found] == [
        ("run0", "Été", 7, Method.TRASH, DAY),
        ("run0", "Work", 3, Method.EXCLUSIVE, DAY),
    ]
    assert [(row.uid, row.digest, marked) for row, marked in found[0].items] == [(ROW.uid, DIGEST, True)]
    assert (found[1].items, found[1].lifted, dict(found[1].fingerprints)) == ((), frozenset(marks), marks)
    assert found[0].number != found[1].number


def test_a_run_can_be_struck_off(made: Rebuilding) -> None:
    """It is not known then."""
    made.begin("run2", {"command": "backup", "started": "now"})
    made.strike("run2")
    assert set(made.known_runs()) == {"run1"}


# The file


def rows(path: Path) -> list[tuple[object, ...]]:
    """Look into a catalogue."""
    with closing(sqlite3.connect(path)) as db:
        return db.execute("SELECT uid, location FROM placement").fetchall()


def test_the_new_one_takes_the_place_of_the_old_one_when_it_is_complete(tmp_path: Path) -> None:
    """Until then the old one is as it was; then it is kept beside, with its WAL, and the folder is synced."""
    path = tmp_path / "catalogue.sqlite"
    old = SqliteCatalogue(path, ID)
    old.record("run1", [ROW])
    synced: list[bool] = []
    with SqliteRebuild.beside(path, ID, network=False, sync=lambda: synced.append(path.exists())) as made:
        made.keep(COPIES)
        made.record("run2", [replace(ROW, uid=UID(2))])
        assert (rows(path), synced) == ([(ROW.uid, ROW.location)], [])
        aside = made.complete()
    assert synced == [True]
    assert rows(path) == [(2, ROW.location)]
    assert aside.startswith("catalogue.sqlite.set-aside-")
    assert rows(tmp_path / aside) == [(ROW.uid, ROW.location)]
    old.close()
    assert not list(tmp_path.glob("catalogue.sqlite.new*"))
    with closing(SqliteCatalogue(path, ID)) as again:
        assert again.set_aside is None
        assert set(again.rows("Été", 7, [ROW.uid, UID(2)])) == {2}


@pytest.mark.parametrize("network", [True, False])
def test_one_that_is_not_completed_leaves_nothing(tmp_path: Path, network: bool) -> None:
    """Nor do the remains of one that was killed stand in the way of the next."""
    path = tmp_path / "catalogue.sqlite"
    for suffix in ("", "-wal", "-journal"):
        (tmp_path / f"catalogue.sqlite.new{suffix}").write_bytes(b"garbage")
    with SqliteRebuild.beside(path, ID, network=network, sync=lambda: None) as made:
        made.record("run1", [ROW])
    assert list(tmp_path.iterdir()) == []
    with SqliteRebuild.beside(path, ID, network=network, sync=lambda: None) as made:
        made.record("run1", [ROW])
        assert made.complete() == ""
    assert rows(path) == [(ROW.uid, ROW.location)]


def test_an_old_wal_without_its_file_does_not_spoil_the_new_one(tmp_path: Path) -> None:
    """Somebody has deleted the file and not what SQLite keeps beside it; or a kill came in between."""
    path = tmp_path / "catalogue.sqlite"
    old = SqliteCatalogue(path, ID)
    old.record("run1", [ROW, replace(ROW, uid=UID(5))])
    wal = (tmp_path / "catalogue.sqlite-wal").read_bytes()
    assert wal
    old.close()
    path.unlink()
    (tmp_path / "catalogue.sqlite-wal").write_bytes(wal)
    with SqliteRebuild.beside(path, ID, network=False, sync=lambda: None) as made:
        made.record("run2", [replace(ROW, uid=UID(2))])
        assert made.complete() == ""
    assert rows(path) == [(2, ROW.location)]


def test_only_caution_is_taken_over_from_an_old_one(tmp_path: Path) -> None:
    """What it held back, and its clock; of one that is foreign, damaged or a link, nothing."""
    path = tmp_path / "catalogue.sqlite"
    assert remembered(path, ID) == ([], None)
    with closing(SqliteCatalogue(path, ID)) as old:
        old.record("run1", [ROW, replace(ROW, uid=UID(2), hold="")])
        old.trust_clock(DAY)
    assert remembered(path, ID) == ([("Été", 7, ROW.uid, "placeholder")], DAY)
    assert remembered(path, "b" * 32) == ([], None)
    (tmp_path / "link").symlink_to(path)
    assert remembered(tmp_path / "link", ID) == ([], None)
    path.write_bytes(path.read_bytes()[:5000])
    assert remembered(path, ID)[0] == []
    path.write_bytes(b"garbage" * 900)
    assert remembered(path, ID) == ([], None)
