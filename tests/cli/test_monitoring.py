"""What others are told of a backup: pings, a command on failure, metrics, a log."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import ssl
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trustme

from mailarchive.cli import running
from mailarchive.demo.server import DemoServer
from mailarchive.demo.store import Store
from mailarchive.errors import ExitCode
from mailarchive.monitoring import failure, ping, textfile
from mailarchive.monitoring.metrics import Key, parsed
from mailarchive.monitoring.outcome import Outcome
from tests import maildir
from tests.command import mailarchive, process
from tests.corpus import corpus
from tests.listener import Listener

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.command import Result
    from tests.vault import Vault

USER = "kim@example.org"
PASSWORD = "canary-password-4711"


@pytest.fixture(scope="module")
def server() -> Iterator[DemoServer]:
    """Serve eight messages."""
    store = Store()
    account = store.add_account(USER, PASSWORD, limit=50_000_000)
    for sample in corpus(8, seed=5, now=datetime.now(UTC) - timedelta(days=500), sizes="small"):
        box = account.find("INBOX")
        assert box is not None
        box.append(sample.raw, sample.internal_date, sample.flags)
    with DemoServer(store) as running_server:
        yield running_server


def configure(home: Path, server: DemoServer, keys: str = "", password: str = PASSWORD, more: str = "") -> Path:
    """Write a configuration with the account `home`; gives its archive."""
    config = home / ".config" / "mailarchive" / "config.toml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(
        f'archive = "{home}/mail"\n[account.home]\nserver = "imap+insecure://127.0.0.1:{server.imap_port}"\n'
        f'user = "{USER}"\npassword_command = "echo {password}"\n{keys}\n{more}'
    )
    config.chmod(0o600)
    return home / "mail" / "home"


def test_a_success_pings_before_and_after(server: DemoServer, home: Path) -> None:
    """First /start, then the address itself; a query stays where it is; `{account}` is the account."""
    with Listener() as listener:
        configure(home, server, f'ping_url = "{listener.url}/{{account}}?x=1"')
        result = mailarchive("backup", "-q")
    assert (result.code, result.out, result.err) == (0, "", "")
    assert listener.asked == ["/canary-uuid-4711/home/start?x=1", "/canary-uuid-4711/home?x=1"]


def test_a_failure_pings_its_exit_code(server: DemoServer, home: Path) -> None:
    """Also where the run could not begin."""
    with Listener() as listener:
        configure(home, server, f'ping_url = "{listener.url}"', password="wrong-password")
        assert mailarchive("backup", "-q").code == ExitCode.SIGN_IN
    assert listener.asked == ["/canary-uuid-4711/start", "/canary-uuid-4711/12"]


def test_a_dry_run_and_other_commands_tell_nobody(server: DemoServer, home: Path) -> None:
    """A monitor hears of backups only."""
    with Listener() as listener:
        keys = f'ping_url = "{listener.url}"\non_failure = "touch {home}/failed"\ntextfile = "{home}/mail.prom"'
        configure(home, server, keys)
        assert mailarchive("backup", "--dry-run").code == 0
        assert mailarchive("prune", "--older-than", "1y", "--dry-run").code == 13
        assert mailarchive("du").code == 0
    assert listener.asked == []
    assert not (home / "failed").exists()
    assert not (home / "mail.prom").exists()


@pytest.mark.parametrize("how", ["dead", "silent", "refusing", "redirecting", "broken"])
def test_a_ping_that_fails_changes_nothing_and_its_address_is_never_said(
    vault: Vault, server: DemoServer, home: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """The backup ends with 0 and all its mail; one warning each names the host and not the address."""
    monkeypatch.setattr(ping.ping, "__kwdefaults__", {"patience": 0.2, "pause": 0.0})
    code = {"refusing": 404, "redirecting": 302}.get(how, 500)
    with (
        Listener(code, location="http://127.0.0.1:9/elsewhere" if how == "redirecting" else "") as listener,
        socket.create_server(("127.0.0.1", 0)) as silent,
    ):
        url = listener.url
        if how == "silent":
            url = f"http://127.0.0.1:{silent.getsockname()[1]}/canary-uuid-4711"
        elif how == "dead":
            url = "http://127.0.0.1:9/canary-uuid-4711"
        archive = configure(home, server, f'ping_url = "{url}"')
        vault.secrets += ["canary-uuid-4711", url]
        vault.keepers.add(home / ".config" / "mailarchive" / "config.toml")
        result = vault.run("--log-file", home / "log", "backup")
    assert result.code == 0
    assert len(maildir.files(archive)) == 8
    warnings = [line for line in result.err.splitlines() if "the ping to 127.0.0.1 failed: " in line]
    assert len(warnings) == 2, result.err
    tries = {"broken": 6, "refusing": 2, "redirecting": 2}.get(how, 0)
    assert len(listener.asked) == tries


def test_a_ping_is_tried_three_times() -> None:
    """The third answer counts; a drip that never ends is given up all the same."""
    with Listener(500, 503, 200) as listener:
        assert ping.ping(listener.url, pause=0.0) == ""
        assert len(listener.asked) == 3


def test_only_a_certificate_that_is_trusted_is_spoken_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the right name too; nothing is asked of anybody else."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with Listener(context=context) as listener:
        url = f"https://localhost:{listener.port}/canary-uuid-4711"
        assert ping.ping(url, pause=0.0).startswith("its certificate is not to be trusted (unable to get")
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        other = ping.ping(url.replace("localhost", "127.0.0.1"), pause=0.0)
        assert other.startswith("its certificate is not to be trusted (IP address mismatch")
        assert listener.asked == []
        assert ping.ping(url, pause=0.0) == ""
        assert listener.asked == ["/canary-uuid-4711"]


def test_an_answer_that_comes_octet_by_octet_is_given_up() -> None:
    """Although no single wait on the socket is too long."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as drip:

        def slow() -> None:
            line, _ = drip.accept()
            with line, contextlib.suppress(OSError):
                line.sendall(b"HTTP/1.1 200 OK\r\n")
                while not over.wait(0.05):
                    line.sendall(b"X: y\r\n")

        thread = threading.Thread(target=slow)
        thread.start()
        try:
            url = f"http://127.0.0.1:{drip.getsockname()[1]}/"
            assert ping.ping(url, patience=0.2, pause=0.0) == "no answer in time"
        finally:
            over.set()
            thread.join()


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("http://hc.example.org/canary-uuid-4711", "in clear text only this computer is pinged"),
        ("file:///canary-uuid-4711", "does not begin with https://"),
        ("https:///canary-uuid-4711", "does not begin with https://"),
        ("https://canary-uuid-4711@hc.example.org/", "holds a user"),
        ("https://hc.example.org:x/canary-uuid-4711", "no address"),
        ("https://hc.example.org/canary-uuid-4711#x", "fragment"),
    ],
)
def test_an_address_that_is_not_pinged_is_refused_and_not_repeated(
    server: DemoServer, home: Path, url: str, what: str
) -> None:
    """Exit 10, before anything is connected."""
    configure(home, server, f'ping_url = "{url}"')
    result = mailarchive("backup")
    assert result.code == ExitCode.CONFIG
    assert what in result.err
    assert "config.toml:6: account.home.ping_url: " in result.err
    assert "canary" not in result.err


def test_config_show_hides_the_address(server: DemoServer, home: Path) -> None:
    """It says where it comes from."""
    configure(home, server, 'ping_url = "https://hc.example.org/canary-uuid-4711"')
    out = mailarchive("config", "show").out
    assert "canary-uuid" not in out
    assert any(line.split()[:2] == ["ping_url", '"***"'] for line in out.splitlines()), out


def test_on_failure_gets_what_happened_and_no_password(
    server: DemoServer, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In variables; those of passwords are taken away."""
    monkeypatch.setenv("MAILARCHIVE_OTHER_PASSWORD", "canary-other")
    configure(home, server, f'on_failure = "env > {home}/said; echo noise"', password="canary-wrong")
    result = mailarchive("backup", "-q", password="canary-environment")
    assert result.code == ExitCode.SIGN_IN
    said = (home / "said").read_text()
    assert "canary" not in said
    lines = dict(line.partition("=")[::2] for line in said.splitlines())
    assert (lines["MAILARCHIVE_ACCOUNT"], lines["MAILARCHIVE_EXIT_CODE"]) == ("home", "12")
    assert lines["MAILARCHIVE_COMMAND"] == "backup"
    assert lines["MAILARCHIVE_ERROR"] in result.err
    assert "refused" in lines["MAILARCHIVE_ERROR"]
    assert result.out == ""


def test_on_failure_is_not_run_after_a_success(server: DemoServer, home: Path) -> None:
    """Nor when another run is on the archive."""
    archive = configure(home, server, f'on_failure = "touch {home}/failed"')
    assert mailarchive("backup").code == 0
    import filelock

    with filelock.FileLock(archive / ".mailarchive" / "lock"):
        assert mailarchive("backup").code == ExitCode.BUSY
    assert not (home / "failed").exists()


@pytest.mark.parametrize("line", ["exit 7", "kill -9 $$", "/does/not/exist"])
def test_on_failure_that_fails_is_a_warning(server: DemoServer, home: Path, line: str) -> None:
    """The exit code is that of the backup."""
    configure(home, server, f'on_failure = "{line}"', password="wrong-word")
    result = mailarchive("backup")
    assert result.code == ExitCode.SIGN_IN
    assert "warning: home: the command of on_failure: it " in result.err


def test_a_command_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    """Nothing of it outlives its time."""
    problem = failure.told(f"sleep 600 & echo $! > {tmp_path}/pid; wait", os.environ, {}, patience=0.3)
    assert problem == "it did not end within 0.3 s"
    pid = int((tmp_path / "pid").read_text())
    # Who was orphaned stays as a zombie until its new parent looks; what a zombie was is over all the same.
    gone = False
    while not gone:
        try:
            gone = ") Z " in Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            gone = True


def test_the_error_of_a_failure_is_one_harmless_line(tmp_path: Path) -> None:
    """No control character reaches the command, which may write it to a terminal or into a mail."""
    said = failure.variables(Outcome("a", ExitCode.BUG, 1.0, 1.0, error="x"), "backup")
    assert failure.told(f"env > {tmp_path}/out", {}, said) == ""
    assert "MAILARCHIVE_ERROR=x\n" in (tmp_path / "out").read_text()


def test_metrics_of_several_accounts_and_runs(server: DemoServer, home: Path) -> None:
    """The option, or the key; a failure keeps the last success; mode 0644."""
    file = home / "mail.prom"
    dead = '[account.dead]\nserver = "imap+insecure://127.0.0.1:9"\nuser = "x"\npassword_command = "echo x"\n'
    configure(home, server, more=dead)
    assert mailarchive("backup", "--textfile", file).code == ExitCode.UNREACHABLE
    first = parsed(file.read_text())
    assert first[Key("home", "messages_archived")] == 8
    assert first[Key("home", "exit_code")] == 0
    assert first[Key("dead", "exit_code")] == 15
    assert first[Key("home", "quota_limit_bytes")] == 50_000_000 // 1024 * 1024
    assert Key("dead", "last_success_timestamp_seconds") not in first
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    configure(home, server, f'textfile = "{file}"', password="wrong-word")
    assert mailarchive("backup", "home").code == ExitCode.SIGN_IN
    second = parsed(file.read_text())
    assert second[Key("home", "exit_code")] == 12
    success = Key("home", "last_success_timestamp_seconds")
    assert second[success] == first[success]
    assert second[Key("dead", "exit_code")] == 15


def test_metrics_that_cannot_be_written_are_a_warning(server: DemoServer, home: Path) -> None:
    """The backup has worked all the same, and a file of somebody else is as it was."""
    file = home / "precious"
    file.write_text("mine")
    archive = configure(home, server)
    for path in (file, home / "absent" / "x.prom"):
        result = mailarchive("backup", "--textfile", path)
        assert result.code == 0
        assert f"warning: the metrics in {path} could not be written: " in result.err
    assert file.read_text() == "mine"
    assert len(maildir.files(archive)) == 8


def test_a_bug_in_the_work_is_told_and_stays_a_bug(
    server: DemoServer, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 1, and the monitor hears of it."""

    def bug(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(running, "run_backup", bug)
    with Listener() as listener:
        configure(home, server, f'ping_url = "{listener.url}"')
        assert mailarchive("backup").code == ExitCode.BUG
    assert listener.asked == ["/canary-uuid-4711/start", "/canary-uuid-4711/1"]


def test_a_bug_in_what_is_told_changes_nothing(server: DemoServer, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of the four: the mail is there, the code is that of the backup, and a line says it."""

    def bug(*_: object, **__: object) -> str:
        raise ZeroDivisionError

    for module, name in ((ping, "address"), (failure, "told"), (textfile, "write")):
        monkeypatch.setattr(module, name, bug)
    keys = f'ping_url = "http://127.0.0.1:9/x"\non_failure = "true"\ntextfile = "{home}/mail.prom"'
    archive = configure(home, server, keys)
    result = mailarchive("backup")
    assert result.code == 0
    assert result.err.count("unexpected failure (ZeroDivisionError)") == 3
    assert len(maildir.files(archive)) == 8
    configure(home, server, keys, password="wrong-word")
    result = mailarchive("backup")
    assert result.code == ExitCode.SIGN_IN
    assert result.err.count("unexpected failure (ZeroDivisionError)") == 4


@pytest.mark.parametrize("variable", ["MAILARCHIVE_LOG_FILE", "MAILARCHIVE_BACKUP_LOG_FILE"])
def test_a_variable_asks_for_the_log_and_a_log_that_fails_stops_nothing(
    server: DemoServer, home: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """The same as the option; in a folder that is not there it is a warning."""
    archive = configure(home, server)
    monkeypatch.setenv(variable, str(home / "absent" / "log"))
    result = mailarchive("backup")
    assert result.code == 0
    assert result.err.count("warning: the log ") == 1
    assert len(maildir.files(archive)) == 8
    (home / "absent").mkdir()
    assert mailarchive("backup").err == ""
    assert (home / "absent" / "log").exists()


def test_the_log_tells_a_whole_run_and_no_address(vault: Vault, server: DemoServer, home: Path) -> None:
    """One line for each event; the run and the account on each of them; errors of the configuration too."""
    archive = configure(home, server)
    vault.secrets += [PASSWORD, USER]
    vault.keepers.update({home / ".config" / "mailarchive" / "config.toml"})
    vault.keepers.update(archive.parent.rglob("*"))
    log = home / "log"
    assert mailarchive("backup", "-q", "--log-file", log).code == 0
    assert mailarchive("--log-file", log, "backup", "absent").code == ExitCode.CONFIG
    vault.keepers.update(path for path in home.rglob("*") if archive in path.parents)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    run = lines[0]["run"]
    assert lines[0]["event"] == "started"
    assert [line["event"] for line in lines[-2:]] == ["finished", "error"]
    assert sum(line["event"] == "archived" for line in lines) == 8
    assert {line["run"] for line in lines[:-1]} == {run}
    assert {line["account"] for line in lines[:-1]} == {"home"}
    assert lines[-1]["exit_code"] == 10
    assert "@" not in log.read_text()


def test_two_runs_at_once_one_works_the_other_ends_with_11(server: DemoServer, home: Path) -> None:
    """The second ends while the first still works; silent with -q; the first is not disturbed."""
    archive = configure(home, server)
    assert mailarchive("backup", "--limit", "2").code == 0
    config = home / ".config" / "mailarchive" / "config.toml"
    # The lock is held by then, and the run goes on only after the second one has ended.
    waits = f"touch {home}/begun; while ! test -e {home}/go; do sleep 0.02; done; echo {PASSWORD}"
    config.write_text(config.read_text().replace(f"echo {PASSWORD}", waits))
    first: list[Result] = []
    waited: list[Result] = []
    thread = threading.Thread(target=lambda: first.append(process("backup")))
    thread.start()
    while thread.is_alive() and not (home / "begun").exists():
        threading.Event().wait(0.01)
    second, chatty = process("backup", "-q"), process("backup")
    assert first == []
    patient = threading.Thread(target=lambda: waited.append(process("backup", "--wait", "60s")))
    patient.start()
    (home / "go").touch()
    thread.join()
    patient.join()
    assert (second.code, second.out, second.err) == (11, "", "")
    assert (chatty.code, chatty.out) == (11, "")
    assert "has been going since" in chatty.err
    assert [(each.code, each.err) for each in first + waited] == [(0, ""), (0, "")]
    assert len(maildir.files(archive)) == 8
