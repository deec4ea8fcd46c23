"""`mailarchive backup` and `mailarchive demo` as a user runs them, against the demo server."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from mailarchive.demo.server import DemoServer
from mailarchive.demo.store import Store
from mailarchive.errors import ExitCode
from tests import maildir
from tests.command import mailarchive, plain_url, process
from tests.corpus import corpus

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

USER = "kim@example.org"
PASSWORD = "canary-password-4711"
HOSTILE = "\x1b]0;owned\x07[red]\u202egnp.exe"


@pytest.fixture(scope="module")
def server() -> Iterator[DemoServer]:
    """Serve sixty messages, some of them in a mailbox with a hostile name."""
    store = Store()
    account = store.add_account(USER, PASSWORD, limit=50_000_000)
    for index, sample in enumerate(corpus(60, seed=5, now=datetime.now(UTC) - timedelta(days=500), sizes="small")):
        name = "INBOX" if index % 3 else HOSTILE
        # A real server would refuse such a name, so it is made behind its back.
        box = account.find(name) or account._make(name, frozenset())
        box.append(sample.raw, sample.internal_date, sample.flags)
    with DemoServer(store) as running:
        yield running


def configure(home: Path, server: DemoServer, extra: str = "") -> Path:
    """Write a configuration with the account `home`; gives the archive folder."""
    secret = home / "password"
    secret.write_text(PASSWORD + "\n")
    secret.chmod(0o600)
    config = home / ".config" / "mailarchive" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(
        f'archive = "{home}/mail"\n[defaults]\nolder_than = "1y"\n[account.home]\n'
        f'server = "imap+insecure://127.0.0.1:{server.imap_port}"\nuser = "{USER}"\n'
        f"password_command = \"cat '{secret}'\"\n{extra}"
    )
    config.chmod(0o600)
    return home / "mail" / "home"


def test_an_account_of_the_configuration(server: DemoServer, home: Path) -> None:
    """`mailarchive backup` with nothing else: all accounts, their age, their archive."""
    archive = configure(home, server)
    result = mailarchive("backup")
    assert (result.code, result.err) == (0, "")
    assert len(maildir.files(archive)) == 60
    assert result.out.startswith("home · imap+insecure://127.0.0.1:")
    assert "older than 1y = before " in result.out
    assert mailarchive("backup", "home", "--older-than", "9y").code == 0


def test_one_account_that_fails_does_not_stop_the_others(server: DemoServer, home: Path) -> None:
    """The most serious code wins, and the other account is backed up."""
    dead = '[account.dead]\nserver = "imap+insecure://127.0.0.1:9"\nuser = "x"\npassword_command = "echo x"\n'
    archive = configure(home, server, dead)
    result = mailarchive("backup")
    assert result.code == 15
    assert "127.0.0.1:9" in result.err
    assert len(maildir.files(archive)) == 60


def test_wrong_accounts_are_told_with_a_guess(server: DemoServer, home: Path) -> None:
    """Exit 10."""
    configure(home, server)
    result = mailarchive("backup", "hoem")
    assert result.code == 10
    assert "home" in result.err


def test_f124_hostile_names_reach_neither_terminal_nor_path(server: DemoServer, tmp_path: Path) -> None:
    """No ESC, no BEL, no bidi override in output, JSON, paths or manifest; the name is still told apart."""
    url = plain_url(server.imap_port, USER)
    for shown in ((), ("--json",), ("-v",)):
        archive = tmp_path / "-".join(("archive", *shown))
        result = mailarchive(*shown, "backup", url, "--to", archive, password=PASSWORD)
        assert result.code == 0
        for path in archive.rglob("*"):
            assert not any(sign in str(path) for sign in "\x1b\x07\u202e"), path
        for text in (result.out, result.err, *(p.read_text() for p in archive.rglob("*.jsonl"))):
            assert not any(sign in text for sign in "\x1b\x07\u202e")
    assert len(maildir.by_folder(tmp_path / "archive")) == 2


def test_json_is_one_object_a_line_and_nothing_else(server: DemoServer, tmp_path: Path) -> None:
    """The first line names the schema, the last is `finished` with numbers that add up."""
    result = mailarchive(
        "backup", plain_url(server.imap_port, USER), "--to", tmp_path / "a", "--json", password=PASSWORD
    )
    lines = [json.loads(line) for line in result.out.splitlines()]
    assert (result.code, result.err) == (0, "")
    assert lines[0]["event"] == "schema"
    assert sum(line["event"] == "archived" for line in lines) == 60
    assert lines[-1]["event"] == "finished"
    total = lines[-1]["total"]
    assert total["selected"] == total["already"] + total["archived"] + total["failed"] == 60


def test_quiet_is_silent_when_all_is_well(server: DemoServer, tmp_path: Path) -> None:
    """For cron."""
    url = plain_url(server.imap_port, USER)
    result = mailarchive("-q", "backup", url, "--to", tmp_path / "a", password=PASSWORD)
    assert (result.code, result.out, result.err) == (0, "", "")
    result = mailarchive("-q", "backup", url, "--to", tmp_path / "b", password="wrong")
    assert (result.code, result.out) == (12, "")
    assert result.err


def test_the_password_is_nowhere(server: DemoServer, tmp_path: Path, home: Path) -> None:
    """Not in the output of a success or of a failure with --debug, not in any file, not in the process list."""
    url = plain_url(server.imap_port, USER)
    results = [
        mailarchive("--debug", "-v", "backup", url, "--to", tmp_path / "a", password=PASSWORD),
        mailarchive("--debug", "backup", url, "--to", tmp_path / "b", password=PASSWORD + "x"),
        mailarchive("--debug", "backup", url.replace("@127", f":{PASSWORD}@127"), "--to", tmp_path / "c"),
        mailarchive("--debug", "backup", url, "--to", tmp_path / "d", password=PASSWORD + "\n\n"),
    ]
    assert [result.code for result in results] == [0, 12, 2, 10]
    for result in results:
        assert PASSWORD not in result.out + result.err
    for folder in (tmp_path, home):
        for path in folder.rglob("*"):
            if path.is_file():
                assert PASSWORD.encode() not in path.read_bytes(), path


def test_f113_a_closed_stdout_stops_no_backup(server: DemoServer, tmp_path: Path) -> None:
    """`mailarchive backup | head -0`: the mail is archived, and there is no traceback."""
    reading, writing = os.pipe()
    os.close(reading)
    environment = {**os.environ, "MAILARCHIVE_PASSWORD": PASSWORD}
    url = plain_url(server.imap_port, USER)
    with subprocess.Popen(
        [sys.executable, "-m", "mailarchive", "backup", url, "--to", str(tmp_path / "a")],
        stdout=writing,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        env=environment,
    ) as child:
        os.close(writing)
        _, err = child.communicate(timeout=60)
    assert b"Traceback" not in err
    assert child.returncode == 0
    assert len(maildir.files(tmp_path / "a")) == 60


def test_f123_locale_c_loses_nothing(server: DemoServer, tmp_path: Path) -> None:
    """ASCII output, UTF-8 folder names."""
    environ = {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "COLUMNS": "20"}
    result = process(
        "backup", plain_url(server.imap_port, USER), "--to", tmp_path / "a", password=PASSWORD, environ=environ
    )
    assert (result.code, result.err) == (0, "")
    assert result.out.isascii()
    assert len(maildir.files(tmp_path / "a")) == 60


def test_f115_f122_two_runs_at_once_one_works_and_the_other_says_so(server: DemoServer, tmp_path: Path) -> None:
    """Exit 11 within a second or so, with the pid of the first; --wait waits for it."""
    from mailarchive.archives.opening import open_for_writing

    url = plain_url(server.imap_port, USER)
    assert mailarchive("backup", url, "--to", tmp_path / "a", "--limit", "1", password=PASSWORD).code == 0
    identity = f"imap+insecure://kim%40example.org@127.0.0.1:{server.imap_port}"
    with open_for_writing(tmp_path / "a", identity, run="other", started="07:04"):
        before = time.monotonic()
        result = process("backup", url, "--to", tmp_path / "a", password=PASSWORD)
        assert time.monotonic() - before < 5
        assert result.code == 11
        assert f"since 07:04 (pid {os.getpid()}" in result.err
        assert mailarchive("backup", url, "--to", tmp_path / "a", "--wait", "1s", password=PASSWORD).code == 11
    assert mailarchive("backup", url, "--to", tmp_path / "a", "--wait", "10s", password=PASSWORD).code == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_f113_a_signal_ends_the_run_after_the_batch(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """What has come is archived and recorded, the code is that of the signal, and the next run goes on there."""
    store = Store()
    account = store.add_account(USER, PASSWORD)
    sample = corpus(1, seed=5, now=datetime.now(UTC) - timedelta(days=500))[0]
    large = sample.raw + b"0123456789abcdef" * 20_000
    for index in range(200):
        account.mailbox("INBOX").append(b"X-Number: %d\r\n" % index + large, sample.internal_date)
    with DemoServer(store) as running:
        url = plain_url(running.imap_port, USER)
        with subprocess.Popen(
            [sys.executable, "-m", "mailarchive", "backup", url, "--to", str(tmp_path / "a"), "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "MAILARCHIVE_PASSWORD": PASSWORD},
            text=True,
        ) as child:
            assert child.stdout is not None
            for line in child.stdout:
                if '"fetching"' in line:
                    child.send_signal(number)
                    break
            out, err = child.communicate(timeout=60)
        assert "Traceback" not in err
        assert child.returncode == code
        last = json.loads(out.splitlines()[-1])
        assert last["total"]["archived"] < 200
        assert last["total"]["archived"] == len(maildir.files(tmp_path / "a"))
        assert mailarchive("backup", url, "--to", tmp_path / "a", password=PASSWORD).code == 0
    assert len(maildir.files(tmp_path / "a")) == 200


def test_the_demo_shows_everything_and_takes_its_files_away(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says what it does, proves it, names its folder, and leaves nothing behind, and no note about it.

    It offers no undo, for its server ends with it.
    """
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    result = mailarchive("demo")
    assert (result.code, result.err) == (0, "")
    assert "92 % of its quota" in result.out
    assert "Lost: 0. Changed: 0." in result.out
    assert "is removed now" in result.out
    assert "undo with" not in result.out
    assert list(tmp_path.iterdir()) == []
    assert list(home.rglob("*.json")) == []


def test_the_demo_offers_no_undo_to_programs_and_in_its_help() -> None:
    """As the test above."""
    ends = [event["undo"] for event in mailarchive("demo", "--json").events if event["event"] == "finished"]
    assert ends == ["", "", ""]
    text = " ".join(mailarchive("demo", "--help").out.split())
    assert "says how to undo it" not in text
    assert "The server ends with the demo, so there is nothing to undo then." in text


def test_the_demo_over_pop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One mailbox, no quota but that of the server itself, and the same proof; nothing is left behind."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    result = mailarchive("demo", "--pop")
    assert (result.code, result.err) == (0, "")
    assert "$ mailarchive backup pop+insecure://demo@127.0.0.1:" in result.out
    assert "POP3 shows one mailbox of them, INBOX, with 344 messages." in result.out
    assert "has used 92 % of its quota" in result.out
    assert "  quota: " not in result.out
    assert "Before: 344 messages in INBOX. Now: " in result.out
    assert "Lost: 0. Changed: 0. Used of the quota: 7" in result.out
    assert "undo with" not in result.out
    assert list(tmp_path.iterdir()) == []


def test_the_demo_keeps_its_files_if_asked(tmp_path: Path) -> None:
    """--to DIR: an archive like any other, but that nothing can be undone."""
    result = mailarchive("demo", "--to", tmp_path / "a")
    assert result.code == 0
    assert "undo with" not in result.out
    assert len(maildir.files(tmp_path / "a")) > 800
    assert str(tmp_path / "a") in result.out
    assert mailarchive("-q", "demo", "--to", tmp_path / "b").out == ""
    again = mailarchive("demo", "--to", tmp_path / "a")
    assert (again.code, again.out) == (2, "")
    assert "name a new folder" in again.err


def test_the_environment_can_say_every_option(
    server: DemoServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MAILARCHIVE_BACKUP_<OPTION> by the name of the option, several mailboxes with commas; a flag comes before it."""
    url = plain_url(server.imap_port, USER)
    monkeypatch.setenv("MAILARCHIVE_BACKUP_MAILBOX", "INBOX,!No such")
    monkeypatch.setenv("MAILARCHIVE_BACKUP_TO", str(tmp_path / "a"))
    assert mailarchive("-q", "backup", url, password=PASSWORD).code == 0
    assert set(maildir.by_folder(tmp_path / "a")) == {"INBOX"}
    monkeypatch.setenv("MAILARCHIVE_BACKUP_FROM", "nobody at all")
    monkeypatch.setenv("MAILARCHIVE_BACKUP_TO", str(tmp_path / "b"))
    assert mailarchive("-q", "backup", url, password=PASSWORD).code == 0
    assert maildir.files(tmp_path / "b") == []


def test_f115_a_second_run_is_silent_with_quiet(server: DemoServer, tmp_path: Path) -> None:
    """Exit 11 and not a word: the next run of cron comes by itself."""
    from mailarchive.archives.opening import open_for_writing

    url = plain_url(server.imap_port, USER)
    mailarchive("-q", "backup", url, "--to", tmp_path / "a", "--limit", "1", password=PASSWORD)
    with open_for_writing(tmp_path / "a", url, run="other", started="07:04"):
        result = mailarchive("-q", "backup", url, "--to", tmp_path / "a", password=PASSWORD)
    assert (result.code, result.out, result.err) == (11, "", "")


def test_f124_a_traceback_cannot_steer_the_terminal(tmp_path: Path) -> None:
    """--debug shows where an error came from, with the server's text made safe."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"* BYE \x1b]0;owned\x07 go away\r\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        result = mailarchive("--debug", "backup", plain_url(listener.getsockname()[1], "x"), "--to", tmp_path / "a")
        thread.join(5)
    assert result.code == 75
    assert "Traceback" in result.err
    assert "\x1b" not in result.err
    assert "\x07" not in result.err


def test_f113_a_stop_between_two_accounts_is_told(
    server: DemoServer, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal at the very end of the first account: the second is not begun, and the code says so."""
    from mailarchive.cli import running

    second = f'[account.two]\nserver = "imap+insecure://127.0.0.1:{server.imap_port}"\nuser = "x"\n'
    archive = configure(home, server, second + 'password_command = "echo x"\n')
    original = running.run_backup

    def and_then_a_signal(target, selection, screen, interrupt, **more):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN003, ANN202
        code = original(target, selection, screen, interrupt, **more)
        interrupt.code = ExitCode.TERMINATE
        return code

    monkeypatch.setattr(running, "run_backup", and_then_a_signal)
    assert mailarchive("-q", "backup").code == 143
    assert len(maildir.files(archive)) == 60
    assert not (home / "mail" / "two").exists()
