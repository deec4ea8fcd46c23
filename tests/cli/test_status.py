"""`status`, as a user types it: after good, failed and interrupted runs, while one is going, and without the disk."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from mailarchive import catalogue_glance
from mailarchive.demo.server import DemoServer
from mailarchive.demo.store import Store
from tests.cli.terminal import mailarchive as at_a_terminal
from tests.cli.test_doctor import state
from tests.cli.test_login import configure
from tests.command import mailarchive, plain_url
from tests.servers.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OLD = datetime.now(UTC) - timedelta(days=900)
MAIL = b"From: a@example.org\r\nSubject: x\r\nMessage-ID: <%d@x>\r\nDate: Sat, 1 Mar 2014 10:00:00 +0100\r\n\r\n%s\r\n"
COUNT = 40


@pytest.fixture
def server() -> Iterator[DemoServer]:
    """Serve forty messages to kim."""
    store = Store()
    inbox = store.add_account("kim", "secret", limit=50_000_000).mailbox("INBOX")
    for number in range(COUNT):
        inbox.append(MAIL % (number, b"x" * 20_000), OLD)
    with DemoServer(store) as running:
        yield running


@pytest.fixture
def account(server: DemoServer, home: Path) -> Path:
    """Configure the account `home` and give its archive, which is still to be made."""
    configure(home, server.imap_port, "password_command = 'echo secret'\nolder_than = '1y'")
    return home / "mail"


def told(*words: str | Path, code: int = 0) -> dict[str, Any]:
    """Run status with --json; gives what it says of the one archive."""
    result = mailarchive("status", "--json", *words)
    assert (result.code, result.err) == (code, ""), result
    lines = [line for line in result.events if line["event"] == "status"]
    assert result.end == {"event": "status_finished", "exit_code": code}
    assert len(lines) == 1
    assert lines[0]["exit_code"] == code
    return lines[0]


def dues(said: dict[str, Any], *, serious: bool) -> list[str]:
    """Give what is due."""
    return [due["text"] for due in said["due"] if due["serious"] is serious]


def test_after_a_good_run(account: Path, server: DemoServer, home: Path) -> None:
    """What is archived, how and when the run ended, the quota as it saw it; no server is asked, nothing is changed."""
    assert mailarchive("backup", "-q").code == 0
    server.stop()
    before = state(home)
    said = told()
    assert (said["messages"], said["exists"], said["kind"]) == (COUNT, True, "maildir, nested")
    assert said["size"] == sum(path.stat().st_size for path in (account / "INBOX" / "cur").iterdir())
    run = said["last_run"]
    assert (run["command"], run["exit_code"], run["counts"]["archived"]) == ("backup", 0, COUNT)
    assert said["last_success"] == run
    ended = datetime.fromisoformat(run["ended"])
    assert datetime.fromisoformat(run["started"]) - timedelta(seconds=1) <= ended <= datetime.now(UTC)
    assert said["quota"]["limit"] == 50_000_000 // 1024 * 1024
    assert (said["due"], said["running"], said["error"]) == ([], "", "")
    result = mailarchive("status")
    assert (result.code, result.err) == (0, "")
    assert [line.split()[:2] for line in result.out.splitlines()] == [["account", "messages"], ["home", "40"]]
    assert " ok " in result.out
    assert state(home) == before
    assert mailarchive("status", "-q").out == ""


def test_before_the_first_run(account: Path) -> None:
    """Nothing is wrong yet; with --max-age a backup that never came is."""
    assert not account.exists()
    said = told()
    assert (said["exists"], said["messages"], said["last_run"]) == (False, None, None)
    assert dues(said, serious=False) == ["nothing is archived yet; the first backup makes the archive"]
    assert dues(told("--max-age", "2d", code=3), serious=True) == ["no backup has come to its end yet"]
    assert not account.exists()


def test_an_old_success_needs_a_human_where_an_age_is_given(account: Path) -> None:
    """By ages and by durations, counted from now; a younger one does not."""
    assert mailarchive("backup", "-q").code == 0
    manifest = next((account / ".mailarchive" / "runs").iterdir())
    manifest.chmod(0o600)
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    past = datetime.now(UTC) - timedelta(hours=30)
    for line in lines:
        line.pop("at", None)
    lines[0]["started"] = past.isoformat()
    lines[-1]["at"] = past.strftime("%Y-%m-%dT%H:%M:%SZ")
    manifest.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))
    for fine in ("31h", "2d", "1w", "1m"):
        assert told("--max-age", fine)["due"] == []
    for old in ("29h", "1d", "90min"):
        assert dues(told("--max-age", old, code=3), serious=True) == [f"the last success is older than {old}"]
    assert mailarchive("status", "-q", "--max-age", "1d").out.count("older than 1d") == 1
    assert "30 h ago" in mailarchive("status").out
    for wrong in ("2", "x", "0d", "1M"):
        result = mailarchive("status", "--max-age", wrong)
        assert (result.code, result.out) == (2, "")
        assert f"--max-age '{wrong}'" in result.err


def test_a_run_that_failed_is_told_and_the_last_success_stays(account: Path, server: DemoServer, home: Path) -> None:
    """A line that died in the middle: 3, with the code; the success before it is another run."""
    assert mailarchive("backup", "-q").code == 0
    good = told()["last_run"]
    inbox = server.store.account("kim").mailbox("INBOX")
    for number in range(COUNT, 2 * COUNT):
        inbox.append(MAIL % (number, b"y" * 20_000), OLD)
    file = home / ".config" / "mailarchive" / "config.toml"
    text = file.read_text()
    with Proxy(server.imap_port, cut_server=400_000) as line:
        file.write_text(text.replace(str(server.imap_port), str(line.port)))
        code = mailarchive("backup", "-q").code
    file.write_text(text)
    assert code not in (0, 3)
    said = told(code=3)
    assert (said["last_run"]["exit_code"], said["last_success"]) == (code, good)
    assert dues(said, serious=True)[0].startswith(f"the last run (backup) ended with {code}: ")
    assert f"exit {code}" in mailarchive("status").out
    assert mailarchive("backup", "-q").code == 0
    said = told()
    assert (said["due"], said["messages"]) == ([], 2 * COUNT)
    assert len(list((account / ".mailarchive" / "runs").iterdir())) == 3


def test_a_run_that_was_killed_is_cut_short(account: Path) -> None:
    """Its manifest has no end: the next run goes on there, and nobody has to do anything."""
    assert mailarchive("backup", "-q").code == 0
    manifest = next((account / ".mailarchive" / "runs").iterdir())
    manifest.chmod(0o600)
    octets = manifest.read_bytes()
    manifest.write_bytes(octets[: octets.rindex(b'{"type":"finished"') + 20])
    said = told()
    assert (said["last_run"]["exit_code"], said["last_run"]["ended"], said["last_success"]) == (None, None, None)
    assert dues(said, serious=False) == ["the last run (backup) was cut short; the next one goes on there"]
    assert "cut short" in mailarchive("status").out
    manifest.write_bytes(b"\0\xff no manifest")
    assert told()["last_run"]["command"] == "run"


def test_while_a_run_is_going(account: Path, server: DemoServer, home: Path) -> None:
    """It is named, with its start and its process; it is not kept waiting, and its catalogue can be read meanwhile."""
    assert mailarchive("backup", "-q", "--limit", "5").code == 0
    file = home / ".config" / "mailarchive" / "config.toml"
    with Proxy(server.imap_port, rate=40_000) as line:
        file.write_text(file.read_text().replace(str(server.imap_port), str(line.port)))
        command = [sys.executable, "-m", "mailarchive", "backup", "-q"]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL) as child:
            try:
                runs, end = account / ".mailarchive" / "runs", time.monotonic() + 30
                while len(list(runs.iterdir())) < 2 and time.monotonic() < end:
                    time.sleep(0.02)
                said = told()
                assert (said["messages"] >= 5, said["last_run"]["ended"]) == (True, None)
                going = dues(said, serious=False)[0]
                assert going.startswith("a backup has been going since ")
                assert f"(pid {child.pid} on {os.uname().nodename})" in going
                assert said["last_success"]["counts"]["archived"] == 5
                assert " running " in mailarchive("status").out
                assert child.poll() is None
            finally:
                child.send_signal(signal.SIGTERM)
        assert child.returncode in (143, -signal.SIGTERM)
    # After an end that somebody asked for, nothing needs a human.
    said = told()
    assert (said["running"], said["last_run"]["exit_code"]) == ("", 143)
    assert len(dues(said, serious=False)) == 1


def test_a_catalogue_that_is_written_all_the_time_is_read(account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through SQLite's own locks, where a run is going: no copy is waited for, what is not committed does not count."""
    assert mailarchive("backup", "-q").code == 0
    owner = {"pid": os.getpid(), "host": os.uname().nodename, "started": "07:04"}
    (account / ".mailarchive" / "lock.owner").write_text(json.dumps(owner))
    with closing(sqlite3.connect(account / ".mailarchive" / "catalogue.sqlite", isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        db.execute("DELETE FROM placement")
        with monkeypatch.context() as patch:
            patch.setattr(catalogue_glance, "copied", None)
            assert told()["messages"] == COUNT
        db.execute("ROLLBACK")
    assert told()["running"] == f"has been going since 07:04 (pid {os.getpid()} on {os.uname().nodename})"


def test_a_catalogue_that_somebody_holds_is_not_called_damaged(account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it holds is not known then, and all else is."""
    assert mailarchive("backup", "-q").code == 0
    owner = {"pid": os.getpid(), "host": os.uname().nodename, "started": "07:04"}
    (account / ".mailarchive" / "lock.owner").write_text(json.dumps(owner))
    monkeypatch.setattr(catalogue_glance, "PATIENCE", 0.01)
    with closing(sqlite3.connect(account / ".mailarchive" / "catalogue.sqlite", isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = TRUNCATE")
        db.execute("BEGIN EXCLUSIVE")
        said = told()
    assert (said["messages"], said["last_run"]["exit_code"]) == (None, 0)
    assert dues(said, serious=True) == []


def test_the_catalogue_of_another_archive_is_not_believed(account: Path, server: DemoServer, home: Path) -> None:
    """Its numbers are those of other mail."""
    url = plain_url(server.imap_port, "kim")
    assert mailarchive("backup", "-q").code == 0
    assert mailarchive("backup", "-q", url, "--to", home / "other", "--limit", "1").code == 0
    shutil.copy(home / "other" / ".mailarchive" / "catalogue.sqlite", account / ".mailarchive" / "catalogue.sqlite")
    assert dues(told(code=3), serious=True) == ["the catalogue is of another archive"]


def test_the_lock_is_never_taken(account: Path) -> None:
    """A run that has it, without a note, keeps it."""
    assert mailarchive("backup", "-q").code == 0
    with (account / ".mailarchive" / "lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert told()["messages"] == COUNT
    before = (account / ".mailarchive").stat().st_mtime_ns
    told()
    assert (account / ".mailarchive").stat().st_mtime_ns == before


def test_a_disk_that_is_not_mounted_hides_no_other(account: Path, server: DemoServer, home: Path) -> None:
    """13 in the end, with the hint; the other account is shown."""
    assert mailarchive("backup", "-q").code == 0
    other = home / "other"
    assert mailarchive("backup", "-q", plain_url(server.imap_port, "kim"), "--to", other).code == 0
    shutil.rmtree(account)
    account.mkdir()
    result = mailarchive("status", "home", "--archive", other)
    assert (result.code, result.err) == (13, "")
    assert "✗ home: archive" in result.out
    assert "is the disk mounted?" in result.out
    row = next(line for line in result.out.splitlines() if line.strip().startswith(str(other)))
    assert row.split()[1] == str(COUNT)
    said = told(code=13)
    assert (said["messages"], "not found: the folder is empty" in said["error"]) == (None, True)


def test_an_archive_by_itself_must_be_there(tmp_path: Path, home: Path) -> None:
    """13; no configuration is needed for it, and without any it is 10."""
    assert home.is_dir()
    result = mailarchive("status", "--archive", tmp_path / "none")
    assert (result.code, "there is no archive in" in result.out) == (13, True)
    assert mailarchive("status", "--archive", "~nobody-here/x").code == 13
    assert mailarchive("status").code == 10


def test_what_needs_a_human_is_3(account: Path) -> None:
    """Damage that was set aside, and a catalogue that is lost or damaged, each with what to type."""
    assert mailarchive("backup", "-q").code == 0
    meta = account / ".mailarchive"
    (meta / "damaged").mkdir()
    (meta / "damaged" / "x").write_text("y")
    said = told(code=3)
    assert dues(said, serious=True) == ["1 damaged file was set aside in .mailarchive/damaged"]
    shutil.rmtree(meta / "damaged")
    (meta / "catalogue.sqlite").write_bytes(b"no database " * 500)
    said = told(code=3)
    assert said["due"][0]["text"].startswith("the catalogue cannot be used: ")
    assert said["due"][0]["hint"] == f"mailarchive reindex {account}"
    assert (said["messages"], said["last_run"]["exit_code"]) == (None, 0)
    (meta / "catalogue.sqlite").unlink()
    assert dues(told(code=3), serious=True) == ["the catalogue is gone"]


def test_what_the_next_run_settles_needs_nobody(account: Path) -> None:
    """A deletion that was interrupted, and mail that is held back."""
    assert mailarchive("backup", "-q", "--delete", "--yes").code == 0
    with closing(sqlite3.connect(account / ".mailarchive" / "catalogue.sqlite")) as db, db:
        db.execute("UPDATE expunge_batch SET closed_at = NULL")
        db.execute("UPDATE expunge_item SET state = 'intent' WHERE uid IN (1, 2)")
        db.execute("UPDATE placement SET hold = 'no header', expunged_at = NULL WHERE uid = 3")
    said = told()
    assert (said["open_deletions"], said["held"]) == (2, 1)
    assert [text.split(" ")[:2] for text in dues(said, serious=False)] == [["2", "messages"], ["1", "message"]]


def test_names_from_elsewhere_are_harmless(account: Path, home: Path) -> None:
    """What a manifest says and what a folder is called reach no terminal as they are."""
    assert mailarchive("backup", "-q").code == 0
    manifest = next((account / ".mailarchive" / "runs").iterdir())
    manifest.chmod(0o600)
    lines = manifest.read_text().splitlines()
    first, last = json.loads(lines[0]), json.loads(lines[-1])
    first["command"] = "x\x1b[31m\u202e"
    last["exit"] = 15
    manifest.write_text("\n".join([json.dumps(first), *lines[1:-1], json.dumps(last)]) + "\n")
    evil = home / "evil\x1b[31m\u202e"
    shutil.copytree(account, evil)
    for words in ((), ("--json",)):
        result = mailarchive("status", "--archive", evil, *words)
        assert result.code == 3
        assert not {"\x1b", "\u202e"} & {*result.out}
    assert r"(x\x1b[31m\u202e) ended with 15" in mailarchive("status", "--archive", evil).out


def test_a_terminal_gets_the_table_too(account: Path) -> None:
    """As wide as it is, in colours where it has them."""
    assert mailarchive("backup", "-q").code == 0
    (account / ".mailarchive" / "damaged").mkdir()
    (account / ".mailarchive" / "damaged" / "x").write_text("y")
    plain, colours = at_a_terminal("status", NO_COLOR="1"), at_a_terminal("status")
    assert (plain.code, colours.code) == (3, 3)
    assert "  ! home: 1 damaged file was set aside in .mailarchive/damaged\n" in plain.text
    assert "\x1b" not in plain.text
    assert "\x1b[" in colours.text
