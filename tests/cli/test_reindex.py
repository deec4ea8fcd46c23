"""`mailarchive reindex`: the catalogue is lost, damaged, old or foreign, and nothing is fetched or kept twice."""

from __future__ import annotations

import json
import shutil
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from mailarchive.demo.server import DemoServer
from mailarchive.demo.store import Store
from tests.command import mailarchive, plain_url
from tests.corpus import corpus, spread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.command import Result

USER = "kim"
COUNT = 42
FACTS = "m.name, p.uidvalidity, uid, location, internal_date, flags, size_announced, ident, hold"
BOXES = ["INBOX", "Work/Été 2014", "a:b"]
OLD = ("--older-than", "1y")
STAY = {"\\Flagged", "\\Draft", "\\Deleted"}


@dataclass
class Place:
    """A demo server with forty messages and two copies of them, and an archive of all."""

    server: DemoServer
    archive: Path

    @property
    def catalogue(self) -> Path:
        """The file that gets lost."""
        return self.archive / ".mailarchive" / "catalogue.sqlite"

    def backup(self, *words: str | Path, archive: Path | None = None) -> Result:
        """Back up, with --json."""
        url = plain_url(self.server.imap_port, USER)
        return mailarchive("--json", "backup", url, "--to", archive or self.archive, *words)

    def numbers(self, *words: str | Path) -> dict[str, Any]:
        """Back up without an error; gives what was done in all."""
        result = self.backup(*words)
        assert (result.code, result.err) == (0, ""), result
        total: dict[str, Any] = result.end["total"]
        return total

    def lose(self) -> None:
        """Remove the catalogue and what SQLite keeps beside it."""
        for suffix in ("", "-wal", "-shm"):
            (self.archive / ".mailarchive" / f"catalogue.sqlite{suffix}").unlink(missing_ok=True)

    def reindex(self, code: int = 0) -> dict[str, Any]:
        """Make it anew; gives the last line."""
        result = mailarchive("--json", "reindex", self.archive)
        assert (result.code, result.err) == (code, ""), result
        return result.end

    def rows(self, columns: str = "origin, verified_at") -> list[tuple[Any, ...]]:
        """Look into the catalogue."""
        db = sqlite3.connect(self.catalogue)
        try:
            return db.execute(f"SELECT {columns} FROM placement p JOIN mailbox m ON m.id = p.mailbox").fetchall()
        finally:
            db.close()

    def left(self) -> int:
        """Count what is on the server."""
        account = self.server.store.account(USER)
        return sum(len(account.mailbox(name).messages()) for name in BOXES)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Serve and archive it; all of it is old and nothing is flagged."""
    store = Store()
    account = store.add_account(USER, "secret", limit=50_000_000)
    samples = corpus(COUNT - 2, seed=8, now=datetime.now(UTC) - timedelta(days=500), sizes="tiny")
    boxes = spread(samples, BOXES)
    boxes["INBOX"].append(boxes["INBOX"][0])
    boxes["a:b"].append(boxes["INBOX"][1])
    for name, messages in boxes.items():
        box = account.find(name) or account.create(name)
        for sample in messages:
            box.append(sample.raw, sample.internal_date, frozenset(sample.flags) - STAY)
    with DemoServer(store) as running:
        made = Place(running, tmp_path / "archive")
        assert made.numbers()["archived"] == COUNT
        yield made


def snapshot(archive: Path) -> dict[str, bytes]:
    """Remember every message, by its path."""
    return {
        str(p): p.read_bytes() for p in archive.rglob("*") if p.parent.name in {"cur", "new", "tmp"} and p.is_file()
    }


def test_after_a_reindex_nothing_is_fetched_again(place: Place) -> None:
    """The catalogue is deleted; every placement comes back from the manifest, none is verified, and no file changes."""
    before = place.rows(FACTS)
    files = snapshot(place.archive)
    place.lose()
    end = place.reindex()
    assert (end["placed"], end["listed"], end["unplaced"], end["runs"]) == (COUNT, 0, 0, 1)
    assert (end["read"], end["complete"], end["set_aside"]) == (len(files), True, "")
    assert sorted(place.rows(FACTS)) == sorted(before)
    assert set(place.rows()) == {("manifest", None)}
    assert snapshot(place.archive) == files
    total = place.numbers()
    assert (total["selected"], total["already"], total["archived"]) == (COUNT, COUNT, 0)
    assert mailarchive("verify", place.archive).code == 0


def test_f105_it_can_be_deleted_from_once_it_was_read_back(place: Place) -> None:
    """A prune after a reindex reads every copy back and then deletes, as before."""
    place.lose()
    place.reindex()
    url = plain_url(place.server.imap_port, USER)
    result = mailarchive("--json", "prune", url, "--archive", place.archive, *OLD, "--yes")
    assert result.code == 0
    assert result.end["total"]["deleted"] == COUNT
    assert place.left() == 0


def test_without_manifests_and_lists_all_is_compared_with_the_server(place: Place) -> None:
    """Only the mail is left: nothing says where it was, it is all fetched and nothing is kept twice."""
    files = snapshot(place.archive)
    place.lose()
    shutil.rmtree(place.archive / ".mailarchive" / "runs")
    for name in place.archive.rglob("dovecot-*"):
        name.unlink()
    end = place.reindex()
    assert (end["placed"], end["listed"], end["unplaced"]) == (0, 0, len(files))
    assert place.numbers()["archived"] == COUNT
    assert snapshot(place.archive) == files


@pytest.mark.parametrize("reindexed", [False, True])
@pytest.mark.parametrize("how", ["lost", "garbage", "torn", "empty", "foreign", "older"])
def test_f105_a_catalogue_that_is_not_the_right_one_makes_no_duplicates(
    place: Place, how: str, *, reindexed: bool
) -> None:
    """With a reindex nothing is fetched again; without one it is, and the archive is still the same."""
    old = place.archive.parent / "old.sqlite"
    shutil.copy(place.catalogue, old)
    if how == "older":
        box = place.server.store.account(USER).mailbox("INBOX")
        for sample in corpus(3, seed=9, now=datetime.now(UTC) - timedelta(days=900), sizes="tiny"):
            box.append(sample.raw, sample.internal_date, frozenset())
        assert place.numbers()["archived"] == 3
    files = snapshot(place.archive)
    octets = place.catalogue.read_bytes()
    place.lose()
    if how == "foreign":
        assert place.backup(archive=place.archive.parent / "other").code == 0
        shutil.copy(place.archive.parent / "other" / ".mailarchive" / "catalogue.sqlite", place.catalogue)
    elif how == "older":
        shutil.copy(old, place.catalogue)
    elif how != "lost":
        place.catalogue.write_bytes(
            {"garbage": b"garbage" * 900, "torn": octets[: len(octets) // 2], "empty": b""}[how]
        )
    if reindexed:
        end = place.reindex()
        assert bool(end["set_aside"]) is (how != "lost")
    total = place.numbers()
    assert snapshot(place.archive) == files
    assert total["archived"] == (0 if reindexed else 3 if how == "older" else COUNT)
    assert place.numbers()["archived"] == 0


def test_f103_f104_files_that_a_reader_renamed_or_moved_are_followed(place: Place) -> None:
    """Other flags, from `new` to `cur`, into another mailbox's folder: still archived, and still one copy."""
    work = place.archive / "Work" / "Été 2014"
    first, second, third, *_ = sorted((work / "cur").iterdir())
    first.rename(first.with_name(first.name.partition(":")[0] + ":2,FRS"))
    second.rename(place.archive / "INBOX" / "cur" / second.name)
    third.rename(work / "new" / third.name.partition(":")[0])
    place.lose()
    assert place.reindex()["placed"] == COUNT
    files = snapshot(place.archive)
    assert place.numbers()["archived"] == 0
    assert snapshot(place.archive) == files
    assert mailarchive("verify", place.archive).code == 0


def test_a_copy_that_is_damaged_or_gone_is_told_and_fetched_again(place: Place) -> None:
    """Exit 13 with the file; the next backup repairs it, and nothing else is fetched."""
    box = place.archive / "Work" / "Été 2014" / "cur"
    damaged, gone, *_ = sorted(box.iterdir())
    octets = damaged.read_bytes()
    damaged.write_bytes(octets[::-1])
    gone.unlink()
    place.lose()
    result = mailarchive("reindex", place.archive)
    assert result.code == 13
    assert f"damaged: Work/Été 2014/{damaged.name.partition(':')[0]}" in result.err
    assert f"missing: Work/Été 2014/{gone.name.partition(':')[0]}" in result.err
    assert "1 damaged, 1 missing" in result.out
    result = place.backup()
    assert result.end["total"]["archived"] == 2
    assert damaged.read_bytes() == octets
    assert gone.exists()


def test_what_only_a_list_says_is_archived_and_never_deleted_without_a_new_fetch(place: Place) -> None:
    """The manifests are lost, and dovecot-uidlist is there: no fetch in a backup, no deletion in a prune."""
    place.lose()
    shutil.rmtree(place.archive / ".mailarchive" / "runs")
    end = place.reindex()
    assert (end["placed"], end["listed"], end["unplaced"]) == (0, COUNT, 0)
    files = snapshot(place.archive)
    assert place.numbers()["archived"] == 0
    prune = mailarchive(
        "--json", "prune", plain_url(place.server.imap_port, USER), "--archive", place.archive, *OLD, "--yes"
    )
    assert (prune.end["total"]["deleted"], place.left()) == (0, COUNT)
    assert ["only a list says that it is archived", COUNT] in prune.end["kept"]
    total = place.numbers(*OLD, "--delete", "--yes")
    assert (total["archived"], total["deleted"], place.left()) == (COUNT, COUNT, 0)
    assert snapshot(place.archive) == files


def test_what_is_wrong_with_a_manifest_is_told_and_the_rest_is_used(place: Place) -> None:
    """A line in the middle, exit 3; a torn tail is nothing to tell."""
    path = next((place.archive / ".mailarchive" / "runs").iterdir())
    path.chmod(0o600)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines) + b'{"type":"arch')
    place.lose()
    assert place.reindex()["placed"] == COUNT
    lines[5] = b"garbage\n"
    path.write_bytes(b"".join(lines))
    result = mailarchive("reindex", place.archive)
    assert result.code == 3
    assert "line 6 cannot be read" in result.err
    # What the line said, the list beside the mail says too.
    assert [origin for origin, _ in place.rows()].count("uidlist") == 1
    assert place.backup().end["total"]["archived"] == 0


@pytest.mark.parametrize(
    ("kind", "by_files"), [(("--layout", "maildir++"), (0, COUNT)), (("--format", "mbox"), (COUNT - 1, 0))]
)
def test_archives_of_every_kind_come_back(place: Place, kind: tuple[str, str], by_files: tuple[int, int]) -> None:
    """By their manifests; and without them by lists, or by the blocks of mbox, which are evidence."""
    place.archive = place.archive.with_name("other")
    assert place.numbers(*kind)["archived"] == COUNT
    before = place.rows(FACTS)
    place.lose()
    end = place.reindex()
    assert (end["placed"], end["listed"], end["unplaced"]) == (COUNT, 0, 0)
    assert sorted(place.rows(FACTS)) == sorted(before)
    assert place.numbers()["archived"] == 0
    place.lose()
    shutil.rmtree(place.archive / ".mailarchive" / "runs")
    end = place.reindex()
    assert (end["placed"], end["listed"]) == by_files
    # Of equal octets the block names one UID; the other one is fetched, and known again.
    assert place.numbers()["archived"] == COUNT - sum(by_files)
    total = place.numbers(*OLD, "--delete", "--yes")
    assert (total["archived"], total["deleted"], place.left()) == (by_files[1], COUNT, 0)


def test_f105_the_loss_is_told_with_what_to_type(place: Place) -> None:
    """By a backup, a dry run and a verification."""
    hint = f"mailarchive reindex {place.archive}"
    url = plain_url(place.server.imap_port, USER)
    for words in (("verify", place.archive), ("backup", url, "--to", place.archive, "--dry-run")):
        place.lose()
        assert hint in mailarchive(*words).err
    result = mailarchive("backup", url, "--to", place.archive)
    assert (result.code, hint in result.err) == (0, True)
    place.catalogue.write_bytes(b"garbage" * 900)
    result = mailarchive("backup", url, "--to", place.archive)
    assert "was set aside" in result.err
    assert hint in result.err
    assert mailarchive("backup", url, "--to", place.archive).err == ""


def test_it_waits_for_nobody_and_makes_nothing(place: Place, tmp_path: Path) -> None:
    """No archive is exit 13; one that is held is exit 11; both leave everything as it is."""
    assert mailarchive("reindex", tmp_path / "none").code == 13
    assert not (tmp_path / "none").exists()
    before = place.catalogue.read_bytes()
    from mailarchive.archives.opening import open_for_reading, open_for_writing

    there = open_for_reading(place.archive)
    assert there is not None
    there.close()
    with open_for_writing(place.archive, there.marker.account, run="r", started="07:04"):
        assert mailarchive("reindex", place.archive).code == 11
    assert place.catalogue.read_bytes() == before


def test_accounts_are_known_by_name(place: Place, home: Path) -> None:
    """As for `verify`."""
    config = home / ".config" / "mailarchive" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(
        f'[account.home]\narchive = "{place.archive}"\nserver = "imap+insecure://127.0.0.1:{place.server.imap_port}"\n'
        f'user = "{USER}"\npassword_command = "echo secret"\n'
    )
    config.chmod(0o600)
    place.lose()
    result = mailarchive("reindex", "home")
    assert (result.code, result.err) == (0, "")
    assert f"{COUNT} placed by the manifests of 1 run," in result.out
    assert mailarchive("reindex", "nobody").code == 10
    assert mailarchive("-q", "reindex").out == ""


def test_what_an_old_catalogue_held_back_stays_held(place: Place) -> None:
    """A hold that no file tells is taken over; that a second fetch confirmed something is not."""
    db = sqlite3.connect(place.catalogue)
    db.execute("UPDATE placement SET hold = 'the server gives other octets each time', confirmed = 1 WHERE uid = 3")
    db.commit()
    db.close()
    place.reindex()
    held = [row for row in place.rows("uid, hold, confirmed") if row[1]]
    assert {uid for uid, _, _ in held} == {3}
    assert all(not confirmed for _, _, confirmed in place.rows("uid, hold, confirmed"))
    total = place.numbers(*OLD, "--delete", "--yes")
    assert (total["kept"], place.left()) == (len(held), len(held))


def test_json_and_quiet(place: Place) -> None:
    """One event for each message, and the numbers at the end."""
    result = mailarchive("--json", "reindex", place.archive)
    kinds = [json.loads(line)["event"] for line in result.out.splitlines()]
    assert kinds[:2] == ["schema", "reindexing"]
    assert kinds.count("verified") == len(snapshot(place.archive))
    result = mailarchive("-q", "reindex", place.archive)
    assert (result.code, result.out, result.err) == (0, "", "")


def test_what_was_imported_is_known_again(place: Place, tmp_path: Path) -> None:
    """The same rows, and importing it again adds nothing."""
    old = tmp_path / "old"
    old.mkdir()
    for number, sample in enumerate(corpus(4, seed=11, now=datetime.now(UTC) - timedelta(days=900), sizes="tiny")):
        (old / f"{number}.eml").write_bytes(sample.raw)
    assert mailarchive("import", old, "--archive", place.archive).code == 0
    before = place.rows("m.name, p.uid, p.location, internal_date, ident")
    assert len(before) == COUNT + 4
    place.lose()
    assert place.reindex()["unplaced"] == 0
    assert sorted(place.rows("m.name, p.uid, p.location, internal_date, ident"), key=str) == sorted(before, key=str)
    files = snapshot(place.archive)
    assert mailarchive("import", old, "--archive", place.archive).code == 0
    assert snapshot(place.archive) == files
