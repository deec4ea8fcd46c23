"""What the catalogue in SQLite does when its file is not right, is of an older version, or is looked at by others."""

from __future__ import annotations

import itertools
import shutil
import sqlite3
import threading
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from mailarchive import catalogue_file
from mailarchive.catalogue import SqliteCatalogue
from mailarchive.catalogue_file import VERSION
from mailarchive.errors import ArchiveError, BusyError
from mailarchive.model import UID, Digest, ItemState, Known
from tests.contract.catalogues import ID, ROW, order

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


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


def test_f101_a_commit_is_durable(tmp_path: Path) -> None:
    """WAL with synchronous=FULL and the schema number in user_version; on a network TRUNCATE and EXTRA."""
    with closing(SqliteCatalogue(tmp_path / "c", ID)) as local:
        assert local._file.db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert local._file.db.execute("PRAGMA synchronous").fetchone() == (2,)
        assert local._file.db.execute("PRAGMA user_version").fetchone() == (VERSION,)
    with closing(SqliteCatalogue(tmp_path / "n", ID, network=True)) as network:
        assert network._file.db.execute("PRAGMA journal_mode").fetchone() == ("truncate",)
        assert network._file.db.execute("PRAGMA synchronous").fetchone() == (3,)


def test_a_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    """One bad row: none of the batch is there."""
    with closing(SqliteCatalogue(tmp_path / "c", ID)) as catalogue:
        bad = replace(ROW, uid=UID(9), digest=Digest("sha256:zz"))
        with pytest.raises(ValueError, match="hex"):
            catalogue.record("run1", [ROW, bad])
        assert catalogue.placements("Été", 7) == {}


@pytest.mark.parametrize("wrong", ["garbage", "foreign", "other archive", "truncated"])
def test_f105_an_unusable_catalogue_is_set_aside_and_nothing_of_it_is_lost(tmp_path: Path, wrong: str) -> None:
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


def test_f105_a_later_catalogue_is_left_alone(tmp_path: Path) -> None:
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
        assert snapshot.placements("Été", 7)[ROW.uid].location == ROW.location
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
    monkeypatch.setattr("mailarchive.catalogue_file.PATIENCE", 0.1)
    with closing(sqlite3.connect(path, isolation_level=None)) as other, closing(SqliteCatalogue(path, ID)) as ours:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(BusyError, match="another program"):
            ours.begin("run1", {"command": "backup", "started": "now"})
        assert ours.set_aside is None
        other.execute("ROLLBACK")


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
def test_f094_a_link_in_place_of_the_catalogue_is_refused(tmp_path: Path, suffix: str) -> None:
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
    writer._file.db.execute("PRAGMA wal_autocheckpoint = 5")
    committed, going = [0], threading.Event()
    going.set()

    def write() -> None:
        own = SqliteCatalogue(path, ID)
        own._file.db.execute("PRAGMA wal_autocheckpoint = 5")
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
                assert copy._file.db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
                assert len(copy.placements("Été", 7)) >= at_least
    finally:
        going.clear()
        thread.join()
        writer.close()


VERSION_1 = """
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE content (
    id     INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    size   INTEGER NOT NULL
);
CREATE TABLE mailbox (
    id            INTEGER PRIMARY KEY,
    name          TEXT NOT NULL UNIQUE,
    messages      INTEGER,
    uidvalidity   INTEGER,
    uidnext       INTEGER,
    highestmodseq INTEGER,
    seen_run      TEXT
);
CREATE TABLE placement (
    mailbox        INTEGER NOT NULL REFERENCES mailbox (id),
    uidvalidity    INTEGER NOT NULL,
    uid            NOT NULL,
    content        INTEGER NOT NULL REFERENCES content (id),
    location       TEXT NOT NULL,
    verified_at    TEXT,
    internal_date  TEXT,
    flags          TEXT,
    size_announced INTEGER,
    ident          TEXT NOT NULL,
    hold           TEXT NOT NULL,
    origin         TEXT NOT NULL,
    archived_at    TEXT NOT NULL,
    expunged_at    TEXT,
    run            TEXT NOT NULL,
    PRIMARY KEY (mailbox, uidvalidity, uid)
) WITHOUT ROWID;
CREATE INDEX placement_content ON placement (content);
CREATE TABLE run (
    id       TEXT PRIMARY KEY,
    command  TEXT NOT NULL,
    started  TEXT NOT NULL,
    facts    TEXT NOT NULL,
    ended    TEXT,
    result   TEXT
) WITHOUT ROWID;
INSERT INTO meta VALUES ('archive', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa');
INSERT INTO content VALUES (1, x'abababababababababababababababababababababababababababababababab', 1234);
INSERT INTO mailbox VALUES (1, 'Été', 5, 7, 6, 99, 'run0');
INSERT INTO placement VALUES (1, 7, 17, 1, 'Été/1.abc', '2014-03-01T10:00:00+01:00', NULL, NULL, 1200, 'i', '',
    'fetched', '2020-01-01T00:00:00+00:00', NULL, 'run0');
INSERT INTO run VALUES ('run0', 'backup', 'then', '{}', NULL, NULL);
PRAGMA user_version = 1;
"""


@pytest.fixture
def version_1(tmp_path: Path) -> Path:
    """Make a catalogue as the first version of this program made it."""
    path = tmp_path / "catalogue.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.executescript("PRAGMA journal_mode = WAL;" + VERSION_1)
    return path


def schema(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Give the columns of every table and of every index."""
    with closing(sqlite3.connect(path)) as db:
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite%'")]
        return {
            name: [
                *db.execute(f"PRAGMA table_info({name})"),
                *db.execute(f"PRAGMA index_xinfo({name})"),
                *(
                    (kind, unique, origin, partial)
                    for _, kind, unique, origin, partial in db.execute(f"PRAGMA index_list({name})")
                ),
                *(row[2:] for row in db.execute(f"PRAGMA foreign_key_list({name})")),
            ]
            for name in names
        }


def test_a_catalogue_of_version_1_is_brought_to_today(version_1: Path, tmp_path: Path) -> None:
    """Nothing of it is lost, it has the schema of a new one, and it takes what version 1 could not."""
    with closing(SqliteCatalogue(version_1, ID)) as catalogue:
        assert catalogue.set_aside is None
        row = catalogue.rows("Été", 7, [UID(17)])[UID(17)]
        assert (row.digest, row.size, row.archived_at) == (ROW.digest, 1234, datetime(2020, 1, 1, tzinfo=UTC))
        assert (row.object_id, row.confirmed, row.put_back) == ("", False, False)
        assert catalogue.placements("Été", 7)[UID(17)] == Known(
            ROW.location, 1200, row.internal_date, unsure=True, octets=1234, archived_at=row.archived_at
        )
        catalogue.begin("run1", {"command": "prune", "started": "now"})
        batch = catalogue.intend("run1", order(row))
        catalogue.settle(batch, {UID(17): ItemState.GONE})
        catalogue.remember_put_back("run1", [(row.digest, "")])
        assert catalogue.rows("Été", 7, [UID(17)])[UID(17)].put_back
    SqliteCatalogue(tmp_path / "new", ID).close()
    assert schema(version_1) == schema(tmp_path / "new")


@pytest.mark.parametrize("kill", ["an error", "a power cut"])
def test_a_migration_that_is_cut_short_leaves_the_old_version(
    version_1: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kill: str
) -> None:
    """Between any two of its statements: a whole version is on the disk, and the next start goes the whole way."""
    original = catalogue_file._statements
    steps = {version: len(original(script)) for version, script in catalogue_file.STEPS.items()}
    versions = [version for version, statements in sorted(steps.items()) for _ in range(statements)]
    numbers = itertools.count()
    cuts = 0

    def watched(script: str) -> Iterator[str]:
        nonlocal cuts
        for statement in original(script):
            number = next(numbers)
            if kill == "a power cut":
                cut = tmp_path / f"cut{number}"
                cut.mkdir()
                for suffix in ("", "-wal"):
                    shutil.copyfile(f"{version_1}{suffix}", cut / f"{version_1.name}{suffix}")
            elif number == cuts:
                raise KeyboardInterrupt
            yield statement

    monkeypatch.setattr(catalogue_file, "_statements", watched)
    if kill == "a power cut":
        SqliteCatalogue(version_1, ID).close()
        left = [(tmp_path / f"cut{number}" / version_1.name, version) for number, version in enumerate(versions)]
        assert next(numbers) == len(versions)
    else:
        left = [(version_1, 1)]
        for number in range(steps[1]):
            cuts, numbers = number, itertools.count()
            with pytest.raises(KeyboardInterrupt):
                SqliteCatalogue(version_1, ID)
    monkeypatch.setattr(catalogue_file, "_statements", original)
    for path, version in left:
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("PRAGMA user_version").fetchone() == (version,)
            names = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
            assert ("expunge_batch" in names, "listing" in names) == (version > 1, False)
        with closing(SqliteCatalogue(path, ID)) as again:
            assert again.set_aside is None
            assert set(again.placements("Été", 7)) == {17}
            assert list(again.open_batches()) == []


def test_a_look_at_a_catalogue_of_version_1_leaves_it_alone(version_1: Path) -> None:
    """A dry run brings its copy to today."""
    before = version_1.read_bytes()
    with SqliteCatalogue.snapshot(version_1, ID) as snapshot:
        assert set(snapshot.placements("Été", 7)) == {17}
    assert version_1.read_bytes() == before


def test_the_times_of_a_deletion_are_kept(tmp_path: Path) -> None:
    """Read back at the intent, expunged when it is known, and neither after the message was archived again."""

    def times(catalogue: SqliteCatalogue) -> list[bool]:
        row = catalogue._file.db.execute("SELECT verified_at, expunged_at FROM placement WHERE uid = ?", (ROW.uid,))
        return [at is not None for at in row.fetchone()]

    with closing(SqliteCatalogue(tmp_path / "c", ID)) as catalogue:
        catalogue.begin("run1", {"command": "prune", "started": "now"})
        catalogue.record("run1", [ROW, replace(ROW, uid=UID(1))])
        assert times(catalogue) == [False, False]
        batch = catalogue.intend("run1", order(ROW, replace(ROW, uid=UID(1))))
        assert times(catalogue) == [True, False]
        catalogue.settle(batch, {UID(1): ItemState.GONE, ROW.uid: ItemState.REFUSED})
        assert times(catalogue) == [True, False]
        batch = catalogue.intend("run1", order(ROW))
        catalogue.settle(batch, {ROW.uid: ItemState.IN_TRASH})
        assert times(catalogue) == [True, True]
        catalogue.record("run1", [ROW])
        assert times(catalogue) == [False, False]


def test_a_settling_names_only_messages_of_its_batch(tmp_path: Path) -> None:
    """What somebody says of another message changes nothing."""
    with closing(SqliteCatalogue(tmp_path / "c", ID)) as catalogue:
        catalogue.begin("run1", {"command": "prune", "started": "now"})
        catalogue.record("run1", [ROW, replace(ROW, uid=UID(1))])
        batch = catalogue.intend("run1", order(ROW))
        catalogue.settle(batch, {UID(1): ItemState.GONE})
        gone = catalogue._file.db.execute("SELECT count(*) FROM placement WHERE expunged_at IS NOT NULL").fetchone()
        assert gone == (0,)
        assert len(catalogue.open_batches()) == 1


def test_an_old_sqlite_takes_every_statement(tmp_path: Path) -> None:
    """Before 3.32 one had at most 999 values."""
    with closing(SqliteCatalogue(tmp_path / "c", ID)) as catalogue:
        catalogue._file.db.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 999)
        catalogue.begin("run1", {"command": "backup", "started": "now"})
        rows = [replace(ROW, uid=UID(number)) for number in range(1, 2001)]
        catalogue.record("run1", rows)
        assert len(catalogue.rows("Été", 7, [row.uid for row in rows])) == 2000
        catalogue.intend("run1", order(*rows))
        assert len(catalogue.open_batches()[0].items) == 2000


def test_a_hundred_thousand_messages_are_no_trouble(tmp_path: Path) -> None:
    """Their rows and what is known of them come in a few queries, however many were put back."""
    count = 100_000
    with closing(SqliteCatalogue(tmp_path / "c", ID)) as catalogue:
        catalogue.begin("run1", {"command": "backup", "started": "now"})
        rows = [
            replace(ROW, uid=UID(n + 1), digest=Digest(f"sha256:{n:064x}"), ident=f"{n:032x}") for n in range(count)
        ]
        catalogue.record("run1", rows)
        catalogue.remember_put_back("run1", [(row.digest, row.ident) for row in rows[::2]])
        asked = 0

        def ask(_: str) -> None:
            nonlocal asked
            asked += 1

        catalogue._file.db.set_trace_callback(ask)
        known = catalogue.placements("Été", 7)
        found = catalogue.rows("Été", 7, [row.uid for row in rows])
    assert sum(each.put_back for each in known.values()) == count // 2
    assert len(found) == count
    assert asked < 200
