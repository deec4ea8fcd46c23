"""What every catalogue promises (`ports.Catalogue`), and what the one in SQLite does when its file is not right."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

from mailarchive.catalogue import VERSION, SqliteCatalogue
from mailarchive.errors import ArchiveError, BusyError
from mailarchive.model import UID, UIDL, Digest, Known, Location, MailboxStatus, Placement
from tests.memory import MemoryCatalogue

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mailarchive.ports import Catalogue

ID = "a" * 32
DIGEST = Digest("sha256:" + "ab" * 32)
ROW = Placement(
    mailbox="Été",
    uidvalidity=7,
    uid=UID(4_294_967_295),
    digest=DIGEST,
    size=1234,
    location=Location("Été/1.abc"),
    internal_date=datetime(2014, 3, 1, 10, tzinfo=timezone(timedelta(hours=-8))),
    flags=frozenset({"\\Seen", "$label1"}),
    size_announced=1200,
    ident="i",
    hold="placeholder",
)


@pytest.fixture(params=["sqlite", "memory"])
def catalogue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Catalogue]:
    """Give each catalogue in turn, with a run begun."""
    if request.param == "memory":
        memory = MemoryCatalogue()
        memory.begin("run1", {"command": "backup", "started": "now"})
        yield memory
        return
    found = SqliteCatalogue(tmp_path / "catalogue.sqlite", ID)
    found.begin("run1", {"command": "backup", "started": "now"})
    yield found
    found.close()


def located(catalogue: Catalogue, uidvalidity: int | None) -> dict[UID | UIDL, Location]:
    """Give the locations of one generation of the mailbox."""
    return {uid: known.location for uid, known in catalogue.placements("Été", uidvalidity).items()}


def test_what_was_recorded_is_known(catalogue: Catalogue) -> None:
    """By mailbox and generation, and by digest."""
    catalogue.record("run1", [ROW, replace(ROW, uid=UID(1), location=Location("Été/2"))])
    assert located(catalogue, 7) == {4_294_967_295: "Été/1.abc", 1: "Été/2"}
    assert catalogue.placements("Été", 7)[ROW.uid] == Known(ROW.location, 1200, ROW.internal_date)
    assert catalogue.location(DIGEST) in {"Été/1.abc", "Été/2"}
    assert catalogue.location(Digest("sha256:" + "00" * 32)) is None


def test_generations_and_mailboxes_are_apart(catalogue: Catalogue) -> None:
    """The same UID under another UIDVALIDITY, or in another mailbox, is another message."""
    catalogue.record("run1", [ROW])
    assert dict(catalogue.placements("Été", 8)) == {}
    assert dict(catalogue.placements("Été", None)) == {}
    assert dict(catalogue.placements("Ete", 7)) == {}
    catalogue.record("run1", [replace(ROW, uidvalidity=None, uid=UIDL("a b"))])
    assert located(catalogue, None) == {"a b": "Été/1.abc"}


def test_a_uid_that_was_archived_again_has_the_new_location(catalogue: Catalogue) -> None:
    """The later row counts."""
    catalogue.record("run1", [ROW])
    catalogue.record("run1", [replace(ROW, location=Location("elsewhere"))])
    assert located(catalogue, 7) == {ROW.uid: "elsewhere"}


def test_the_last_sight_of_a_mailbox_is_remembered(catalogue: Catalogue) -> None:
    """Counts and numbers of the last run; a mailbox that only has rows was never seen."""
    catalogue.record("run1", [ROW])
    assert catalogue.last_seen("Été") is None
    assert list(catalogue.mailboxes()) == []
    catalogue.saw("run1", {"Été": MailboxStatus(5, 7, 6, 99), "b": MailboxStatus(0, None)})
    assert catalogue.last_seen("Été") == MailboxStatus(5, 7, 6, 99)
    assert catalogue.last_seen("b") == MailboxStatus(0, None)
    assert sorted(catalogue.mailboxes()) == ["b", "Été"]


def test_a_row_comes_back_as_it_was(tmp_path: Path) -> None:
    """Every column, the zone of the date included, after the file was closed and opened."""
    with closing(SqliteCatalogue(tmp_path / "c", ID)) as first:
        first.begin("run1", {"command": "backup", "started": "now"})
        first.record(
            "run1", [ROW, replace(ROW, uid=UID(2), internal_date=None, flags=None, size_announced=None, hold="")]
        )
    with closing(SqliteCatalogue(tmp_path / "c", ID)) as again:
        found = again.placement("Été", 7, ROW.uid)
        assert found is not None
        assert found.archived_at is not None
        assert replace(found, archived_at=None) == ROW
        assert found.internal_date is not None
        assert found.internal_date.utcoffset() == timedelta(hours=-8)
        other = again.placement("Été", 7, UID(2))
        assert other is not None
        assert (other.internal_date, other.flags, other.size_announced, other.hold) == (None, None, None, "")
        assert again.placement("Été", 7, UID(3)) is None


def test_a_commit_is_durable(tmp_path: Path) -> None:
    """WAL with synchronous=FULL and the schema number in user_version; on a network TRUNCATE and EXTRA."""
    with closing(SqliteCatalogue(tmp_path / "c", ID)) as local:
        assert local._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert local._db.execute("PRAGMA synchronous").fetchone() == (2,)
        assert local._db.execute("PRAGMA user_version").fetchone() == (VERSION,)
    with closing(SqliteCatalogue(tmp_path / "n", ID, network=True)) as network:
        assert network._db.execute("PRAGMA journal_mode").fetchone() == ("truncate",)
        assert network._db.execute("PRAGMA synchronous").fetchone() == (3,)


def test_a_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    """One bad row: none of the batch is there."""
    with closing(SqliteCatalogue(tmp_path / "c", ID)) as catalogue:
        bad = replace(ROW, uid=UID(9), digest=Digest("sha256:zz"))
        with pytest.raises(ValueError, match="hex"):
            catalogue.record("run1", [ROW, bad])
        assert catalogue.placements("Été", 7) == {}


@pytest.mark.parametrize("wrong", ["garbage", "foreign", "other archive", "truncated"])
def test_an_unusable_catalogue_is_set_aside_and_nothing_of_it_is_lost(tmp_path: Path, wrong: str) -> None:
    """Damaged, of another program, or of another archive: kept under another name, and a new one is begun."""
    path = tmp_path / "catalogue.sqlite"
    if wrong == "garbage":
        path.write_bytes(b"this is no database\n" * 500)
    elif wrong == "foreign":
        with closing(sqlite3.connect(path)) as db:
            db.execute("CREATE TABLE theirs (x)")
            db.commit()
    else:
        with closing(SqliteCatalogue(path, "b" * 32 if wrong == "other archive" else ID)) as other:
            other.begin("run1", {"command": "backup", "started": "now"})
            other.record("run1", [replace(ROW, uid=UID(n + 1)) for n in range(300)])
        if wrong == "truncated":
            octets = bytearray(path.read_bytes())
            octets[100:4096] = b"\xff" * 3996
            path.write_bytes(octets)
    before = path.read_bytes()
    with closing(SqliteCatalogue(path, ID)) as catalogue:
        assert catalogue.set_aside is not None
        assert catalogue.set_aside.read_bytes() == before
        assert catalogue.placements("Été", 7) == {}


def test_a_later_catalogue_is_left_alone(tmp_path: Path) -> None:
    """Of a later schema: refused with a hint, not touched."""
    path = tmp_path / "catalogue.sqlite"
    SqliteCatalogue(path, ID).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")
        db.commit()
    before = path.read_bytes()
    with pytest.raises(ArchiveError, match="later version") as error:
        SqliteCatalogue(path, ID)
    assert error.value.hint
    assert path.read_bytes() == before


def test_a_snapshot_sees_the_rows_and_writes_nothing_beside_the_file(tmp_path: Path) -> None:
    """For dry runs, also while the rows are still in the WAL."""
    path = tmp_path / "catalogue.sqlite"
    writer = SqliteCatalogue(path, ID)
    writer.begin("run1", {"command": "backup", "started": "now"})
    writer.record("run1", [ROW])
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with SqliteCatalogue.snapshot(path, ID) as snapshot:
        assert located(snapshot, 7) == {ROW.uid: ROW.location}
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    writer.close()


def test_a_catalogue_is_closed_to_others(tmp_path: Path) -> None:
    """0600, SQLite's own files too."""
    with closing(SqliteCatalogue(tmp_path / "c", ID)) as catalogue:
        catalogue.begin("run1", {"command": "backup", "started": datetime.now(UTC)})
        assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}


def test_a_catalogue_that_another_program_holds_is_busy_and_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not damaged: it is not set aside, and the message says to close the other program."""
    path = tmp_path / "c"
    SqliteCatalogue(path, ID).close()
    monkeypatch.setattr("mailarchive.catalogue.PATIENCE", 0.1)
    with closing(sqlite3.connect(path, isolation_level=None)) as other, closing(SqliteCatalogue(path, ID)) as ours:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(BusyError, match="another program"):
            ours.begin("run1", {"command": "backup", "started": "now"})
        assert ours.set_aside is None
        other.execute("ROLLBACK")


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
def test_a_link_in_place_of_the_catalogue_is_refused(tmp_path: Path, suffix: str) -> None:
    """Nothing is written where it leads."""
    (tmp_path / f"c{suffix}").symlink_to(tmp_path / "outside")
    with pytest.raises(ArchiveError, match="link"):
        SqliteCatalogue(tmp_path / "c", ID)
    assert not (tmp_path / "outside").exists()


def test_a_snapshot_beside_a_writer_is_whole(tmp_path: Path) -> None:
    """While another connection commits and folds its WAL, each copy holds at least what was committed before it."""
    path = tmp_path / "c"
    writer = SqliteCatalogue(path, ID)
    writer.begin("run1", {"command": "backup", "started": "now"})
    writer._db.execute("PRAGMA wal_autocheckpoint = 5")
    committed, going = [0], threading.Event()
    going.set()

    def write() -> None:
        own = SqliteCatalogue(path, ID)
        own._db.execute("PRAGMA wal_autocheckpoint = 5")
        while going.is_set():
            begin = committed[0]
            own.record("run1", [replace(ROW, uid=UID(begin + n + 1)) for n in range(200)])
            committed[0] = begin + 200
            time.sleep(0.005)
        own.close()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(25):
            at_least = committed[0]
            with SqliteCatalogue.snapshot(path, ID) as copy:
                assert copy._db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
                assert len(copy.placements("Été", 7)) >= at_least
    finally:
        going.clear()
        thread.join()
        writer.close()
