"""`--jobs N`: several accounts at a time, each as it would be alone, and all of them under one roof."""

from __future__ import annotations

import io
import json
import os
import selectors
import signal
import threading
import time
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mailarchive.cli.fleet import PER_HOST, Fleet, _Running
from mailarchive.cli.options import Shared
from mailarchive.cli.targets import targets
from mailarchive.demo.server import DemoServer
from mailarchive.demo.store import Store
from mailarchive.errors import ExitCode
from tests import maildir
from tests.cli import terminal
from tests.command import mailarchive, process, started, wait_until_idle
from tests.corpus import corpus
from tests.json_schema import problems
from tests.servers.proxy import Proxy

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

NAMES = ("home", "work", "oldisp")
COUNT = 30


@pytest.fixture
def server() -> Iterator[DemoServer]:
    """Serve three accounts of thirty old messages in three mailboxes."""
    store = Store()
    now = datetime.now(UTC)
    for index, name in enumerate(NAMES):
        account = store.add_account(name, "secret")
        boxes = [account.mailbox("INBOX"), account.create("Lists"), account.create("Work")]
        for number, sample in enumerate(corpus(COUNT, seed=index, now=now - timedelta(days=500), sizes="small")):
            boxes[number % 3].append(
                b"Date: Tue, 01 Jan 2019 10:00:00 +0000\r\n" + sample.raw, sample.internal_date, ()
            )
    with DemoServer(store) as running:
        yield running


class Configured:
    """A configuration of the three accounts, of which single ones can be changed."""

    def __init__(self, home: Path, port: int) -> None:
        self.mail = home / "mail"
        self._file = home / ".config" / "mailarchive" / "config.toml"
        self._file.parent.mkdir(parents=True)
        self.accounts = {
            name: {
                "server": f"imap+insecure://127.0.0.1:{port}",
                "user": name,
                "password_command": "echo secret",
            }
            for name in NAMES
        }
        self.write()

    def write(self, **changes: dict[str, Any]) -> None:
        """Write the file, with other values for some accounts."""
        lines = [f"archive = {json.dumps(str(self.mail))}"]
        for name, keys in self.accounts.items():
            lines.append(f"[account.{name}]")
            lines += [f"{key} = {json.dumps(value)}" for key, value in {**keys, **changes.get(name, {})}.items()]
        self._file.write_text("\n".join(lines))
        self._file.chmod(0o600)

    def held(self, name: str) -> list[bytes]:
        """Give what the archive of an account holds."""
        place = self.mail / name
        return sorted(each.octets for each in maildir.files(place)) if place.exists() else []


@pytest.fixture
def configured(home: Path, server: DemoServer) -> Configured:
    """Configure the three accounts."""
    return Configured(home, server.imap_port)


def on_server(server: DemoServer, name: str) -> list[bytes]:
    """Give what is on the server."""
    account = server.store.account(name)
    return sorted(message.raw for box in ("INBOX", "Lists", "Work") for message in account.mailbox(box).messages())


def lines_of(out: str, name: str) -> list[dict[str, Any]]:
    """Give the JSON lines of one account."""
    return [line for line in map(json.loads, out.splitlines()) if line.get("account") == name]


@pytest.mark.parametrize("jobs", [1, 2, 8])
def test_one_that_fails_stops_no_other(server: DemoServer, configured: Configured, jobs: int) -> None:
    """The others are archived; each result stands whole, then one summary; the code is that of the worst."""
    configured.write(work={"password_command": "echo wrong"})
    result = process("backup", "--jobs", str(jobs))
    assert result.code == ExitCode.SIGN_IN
    assert [configured.held(name) for name in NAMES] == [on_server(server, "home"), [], on_server(server, "oldisp")]
    blocks = [list(block) for blank, block in groupby(result.out.splitlines(), lambda line: line[:1] == " ") if blank]
    titles = [line for line in result.out.splitlines() if line[:1] != " "]
    assert sorted(line.split(" ")[0] for line in titles[:2]) == ["home", "oldisp"]
    assert titles[2:] == ["3 accounts: 2 done, 1 with trouble"]
    assert [len(block) for block in blocks] == [6, 6, 1]
    assert blocks[2] == ["  work: exit 12: sign-in refused"]
    assert result.err.count("mailarchive: error: ") == 1
    assert "sign-in of work" in result.err


@pytest.mark.parametrize("jobs", [1, 3])
def test_json_lines_say_whose_they_are(configured: Configured, jobs: int) -> None:
    """One line about the schema, then each with its account, each account whole and in order, and one end."""
    result = process("--json", "backup", "--jobs", str(jobs))
    assert (result.code, result.err) == (0, "")
    schema, *lines, end = result.events
    assert schema["event"] == "schema"
    assert {line["account"] for line in lines} == set(NAMES)
    assert [list(line)[:2] for line in lines] == [["event", "account"]] * len(lines)
    for line in lines:
        # The one line that always has it is that of the beginning.
        bare = {key: value for key, value in line.items() if key != "account" or line["event"] == "started"}
        assert problems(bare) == []
    for name in NAMES:
        names = [line["event"] for line in lines_of(result.out, name)]
        assert names[0] == "started"
        assert names[-1] == "finished"
        assert names.count("archived") == COUNT
    assert end == {
        "event": "accounts_finished",
        "accounts": [{"account": name, "exit_code": 0} for name in NAMES],
        "exit_code": 0,
    }
    assert len(configured.held("home")) == COUNT


def test_a_single_account_is_told_as_ever(configured: Configured) -> None:
    """No summary of one, and no account on each line."""
    result = mailarchive("--json", "backup", "home", "--jobs", "4")
    assert len(configured.held("home")) == COUNT
    assert result.end["event"] == "finished"
    assert "account" not in result.end
    assert "accounts" not in mailarchive("backup", "home", "--jobs", "4").out


def test_quiet_says_nothing_when_all_is_well(configured: Configured) -> None:
    """As in a crontab."""
    result = process("-q", "backup", "--jobs", "3")
    assert (result.code, result.out, result.err) == (0, "", "")
    assert len(configured.held("work")) == COUNT


def test_they_run_at_the_same_time(configured: Configured, tmp_path: Path) -> None:
    """Each password comes only when all three are asked for."""
    meet = f"touch {tmp_path}/$$; for i in $(seq 1000); do"
    meet += f" [ $(ls {tmp_path} | wc -l) = 3 ] && echo secret && exit; sleep 0.02; done; exit 1"
    configured.write(**{name: {"password_command": meet} for name in NAMES})
    assert process("-q", "backup", "--jobs", "3").code == 0


def test_at_most_four_to_a_host(home: Path) -> None:
    """A fifth account of the host waits, and one of another host goes before it; so does a command."""
    servers = ["imap.example.org"] * 5 + ["IMAP.example.org", "other.example.org"]
    accounts = "".join(f'[account.a{n}]\nuser = "u"\nserver = "imaps://{host}"\n' for n, host in enumerate(servers))
    accounts += "".join(f'[account.t{n}]\nserver = "imap+tunnel:"\ntunnel = "cat"\n' for n in range(6))
    config = home / "c.toml"
    config.write_text(accounts)
    config.chmod(0o600)
    nothing = dict.fromkeys(("wait", "to", "user", "password_command", "password_file", "ca_file", "fingerprint"))
    waiting = targets((), nothing, Shared(config=str(config)), os.environ)
    fleet = Fleet(lambda *_: ExitCode.DONE, Shared(), jobs=11)
    begun = []
    while (target := fleet._next(waiting)) is not None:
        waiting.remove(target)
        begun.append(target.name)
        fleet._running[len(begun)] = type("Child", (), {"target": target})()
    assert begun == ["a0", "a1", "a2", "a3", "a6", "t0", "t1", "t2", "t3", "t4", "t5"]
    assert [target.name for target in waiting] == ["a4", "a5"]
    assert PER_HOST == 4
    fleet._running.popitem()
    assert fleet._next(waiting) is None
    del fleet._running[1]
    assert fleet._next(waiting) is waiting[0]


@pytest.mark.parametrize(
    ("shared", "soon", "late"),
    [(Shared(), "", "one\ntwo\nhalf"), (Shared(json=True), "one\n", "two\n")],
)
def test_what_an_account_says_is_not_cut(
    shared: Shared, soon: str, late: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its result comes whole when it has ended; a JSON line as soon as it is whole, and half a line never."""
    monkeypatch.setattr(os, "waitpid", lambda pid, _: (pid, 0))
    options = dict.fromkeys(("wait", "password_command", "password_file", "ca_file", "fingerprint"))
    (target,) = targets(("imaps://me@imap.example.org",), {**options, "to": "x", "user": None}, Shared(), os.environ)
    fleet, codes = Fleet(lambda *_: ExitCode.DONE, shared, jobs=2), dict[str, ExitCode]()
    reading, writing = os.pipe()
    child = _Running(target, 1, reading, io.BytesIO(b"careful\n"))
    fleet._running[1] = child
    fleet._selector.register(reading, selectors.EVENT_READ, child)
    os.write(writing, b"one\ntwo")
    fleet._hear(child, codes)
    assert capsys.readouterr() == (soon, "")
    os.write(writing, b"\nhalf")
    os.close(writing)
    fleet._hear(child, codes)
    fleet._hear(child, codes)
    assert capsys.readouterr() == (late, "careful\n")
    assert (codes, fleet._running) == ({"me": ExitCode.DONE}, {})
    fleet._selector.close()


def test_f122_nothing_forks_beside_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The locks of a thread would be copied, and nobody would open them."""

    def fork() -> int:
        raise AssertionError

    monkeypatch.setattr(os, "fork", fork)
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        options = dict.fromkeys(("wait", "password_command", "password_file", "ca_file", "fingerprint"))
        (target,) = targets(
            ("imaps://me@imap.example.org",), {**options, "to": "x", "user": None}, Shared(), os.environ
        )
        with pytest.raises(RuntimeError, match="must not fork"):
            Fleet(lambda *_: ExitCode.DONE, Shared(), jobs=2).run([target])
    finally:
        done.set()
        thread.join()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_all_after_their_batch(
    server: DemoServer, configured: Configured, number: signal.Signals, code: int
) -> None:
    """Those that run say how far they came; the third one is not begun; the next run ends the work."""
    with Proxy(server.imap_port, delay=0.02) as proxy:
        slow = {"server": f"imap+insecure://127.0.0.1:{proxy.port}"}
        configured.write(**dict.fromkeys(NAMES, slow))
        with started("--json", "backup", "--jobs", "2", "--older-than", "1y", "--delete", "--yes") as child:
            seen = read_until(child, lambda text: all(f'"expunged", "account": "{name}"' in text for name in NAMES[:2]))
            child.send_signal(number)
            rest, err = child.communicate(timeout=60)
    assert (child.returncode, "Traceback" in err) == (code, False)
    out = seen + rest
    for name in NAMES[:2]:
        end = lines_of(out, name)[-1]
        gone = COUNT - len(on_server(server, name))
        assert end["event"] == "finished"
        assert 0 < gone == end["total"]["deleted"] < COUNT
    assert lines_of(out, "oldisp") == []
    assert not (configured.mail / "oldisp").exists()
    last = json.loads(out.splitlines()[-1])
    assert last["accounts"][2] == {"account": "oldisp", "exit_code": code}
    configured.write()
    assert process("-q", "backup", "--jobs", "2").code == 0
    assert all(len(configured.held(name)) == COUNT for name in NAMES)


def test_ctrl_c_at_a_terminal_is_one_signal(server: DemoServer, configured: Configured) -> None:
    """The terminal sends it to the whole group of the foreground: the accounts hear of it once, and so end in order."""
    with Proxy(server.imap_port, delay=0.02) as proxy:
        slow = {"server": f"imap+insecure://127.0.0.1:{proxy.port}"}
        configured.write(**dict.fromkeys(NAMES, slow))
        seen = terminal.mailarchive(
            *("--json", "backup", "home", "work", "--jobs", "2", "--older-than", "1y", "--delete", "--yes"),
            answers=[('"expunged", "account": "home"', ""), ('"expunged", "account": "work"', terminal.CTRL_C)],
        )
    assert seen.code == ExitCode.INTERRUPT
    assert "interrupted\n" not in seen.text
    for name in NAMES[:2]:
        assert f'"finished", "account": "{name}"' in seen.text
        assert on_server(server, name)


def test_a_second_signal_ends_all_at_once(server: DemoServer, configured: Configured) -> None:
    """Two servers are silent in the middle of a body: the first signal waits for them, the second for nothing."""
    with Proxy(server.imap_port, cut_server=20_000, cut="hang", cuts=None) as proxy:
        silent = {"server": f"imap+insecure://127.0.0.1:{proxy.port}"}
        configured.write(home=silent, work=silent)
        with started("--json", "backup", "home", "work", "--jobs", "2") as child:
            read_until(child, lambda text: text.count('"fetching"') == 2)
            while sum(connection.cut for connection in proxy.connections) < 2:
                time.sleep(0.01)
            for pid in children(child.pid):
                wait_until_idle(int(pid))
            child.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            assert child.poll() is None
            child.send_signal(signal.SIGINT)
            # A server may be silent for a minute, so this would not be the end of it by itself.
            _, err = child.communicate(timeout=30)
    assert (child.returncode, "Traceback" in err) == (143, False)
    assert "home: interrupted" in err
    assert "work: interrupted" in err
    assert maildir.left_overs(configured.mail / "home") == []


def test_a_process_that_is_killed_costs_one_account(server: DemoServer, configured: Configured) -> None:
    """It is named, with code 1; the others are archived, and no half line is printed."""
    with Proxy(server.imap_port, cut_server=20_000, cut="hang", cuts=None) as proxy:
        configured.write(home={"server": f"imap+insecure://127.0.0.1:{proxy.port}"})
        with started("--json", "backup", "--jobs", "3") as child:
            seen = read_until(child, lambda text: text.count('"event": "finished"') == 2 and '"fetching"' in text)
            while len(left := children(child.pid)) > 1:
                time.sleep(0.01)
            os.kill(int(left[0]), signal.SIGKILL)
            rest, err = child.communicate(timeout=60)
    assert child.returncode == ExitCode.BUG
    assert err == "mailarchive: error: home: its process was ended by signal 9\n"
    last = json.loads((seen + rest).splitlines()[-1])
    assert [end["exit_code"] for end in last["accounts"]] == [1, 0, 0]
    assert [len(configured.held(name)) for name in NAMES[1:]] == [COUNT, COUNT]


@pytest.mark.parametrize("delete", [True, False])
def test_nobody_is_asked_whether_to_delete(server: DemoServer, configured: Configured, *, delete: bool) -> None:
    """At a terminal that needs --yes, also where the account says delete = true; nothing is connected."""
    keys = {"delete": delete, "older_than": "1y"}
    configured.write(**dict.fromkeys(NAMES, keys))
    words = ("backup", "--jobs", "2", *(() if delete else ("--delete", "--older-than", "1y")))
    seen = terminal.mailarchive(*words)
    assert seen.code == ExitCode.USAGE
    assert "home: deleting needs a yes, and with --jobs nobody is asked" in seen.text
    assert "hint: add --yes, or leave --jobs out" in seen.text
    assert not configured.mail.exists()
    assert terminal.mailarchive(*words, "--yes").code == 0
    assert [on_server(server, name) for name in NAMES] == [[], [], []]
    assert [len(configured.held(name)) for name in NAMES] == [COUNT] * 3


def test_nobody_is_asked_for_a_password(configured: Configured) -> None:
    """The account without one fails and says how to give it; the others go on."""
    del configured.accounts["work"]["password_command"]
    configured.write()
    seen = terminal.mailarchive("backup", "--jobs", "2")
    assert seen.code == ExitCode.CONFIG
    assert "work: no password" in seen.text
    assert "Password" not in seen.text
    assert [len(configured.held(name)) for name in NAMES] == [COUNT, 0, COUNT]


def test_a_single_account_may_be_asked(server: DemoServer, configured: Configured) -> None:
    """Who has --jobs in the environment is asked all the same where there is nobody beside it."""
    del configured.accounts["work"]["password_command"]
    configured.write()
    seen = terminal.mailarchive(
        *("backup", "work", "--older-than", "1y", "--delete"),
        answers=[("Password of work", "secret\n"), ("[y/N]", "y\n")],
        MAILARCHIVE_BACKUP_JOBS="4",
    )
    assert (seen.code, on_server(server, "work"), len(configured.held("work"))) == (0, [], COUNT)


def test_a_terminal_shows_who_is_running(configured: Configured) -> None:
    """A line that is gone in the end, and whole results."""
    seen = terminal.mailarchive("backup", "--jobs", "2")
    assert (seen.code, len(configured.held("oldisp"))) == (0, COUNT)
    assert "0 of 3 accounts done; running: home, work" in seen.text
    left = [line.rpartition("\r")[2] for line in seen.text.rstrip("\n").split("\n")]
    assert not any("running:" in line for line in left)
    assert left[-1] == "3 accounts: 3 done, 0 with trouble"
    assert sum(line.startswith("  total ") for line in left) == 3


def test_what_a_command_says_stays_with_its_account(configured: Configured) -> None:
    """A password command may complain, and may leave a helper behind that nobody waits for."""
    configured.write(work={"password_command": "echo careful >&2; sleep 30 & echo secret"})
    result = process("backup", "--jobs", "2", timeout=25)
    assert (result.code, result.err) == (0, "careful\n")


def read_until(child: subprocess.Popen[str], enough: Callable[[str], bool]) -> str:
    """Read lines of a process until all of them together are enough; gives them."""
    assert child.stdout is not None
    text = ""
    while not enough(text):
        line = child.stdout.readline()
        assert line, text
        text += line
    return text


def children(pid: int) -> list[str]:
    """Give the processes that a process has started."""
    file = Path(f"/proc/{pid}/task/{pid}/children")
    if not file.exists():
        pytest.skip("the children of a process are read from /proc")
    return file.read_text(encoding="ascii").split()
