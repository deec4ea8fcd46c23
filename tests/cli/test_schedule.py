"""`mailarchive schedule` as a user runs it; the programs of the system are real, or write down what they are told."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import mailarchive as package
from mailarchive.cli import scheduling
from mailarchive.cli.scheduling import program
from mailarchive.demo.server import DemoServer
from mailarchive.demo.store import Store
from mailarchive.scheduling.job import MARK
from tests import maildir
from tests.command import mailarchive
from tests.corpus import corpus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.command import Result

USER = "kim@example.org"
PASSWORD = "canary-password-4711"
BEFORE = "MAILTO=kim\n# mine\n0 5 * * * true\n"


@pytest.fixture(scope="module")
def server() -> Iterator[DemoServer]:
    """Serve four messages."""
    store = Store()
    box = store.add_account(USER, PASSWORD, limit=50_000_000).find("INBOX")
    assert box is not None
    for sample in corpus(4, seed=5, now=datetime.now(UTC) - timedelta(days=500), sizes="small"):
        box.append(sample.raw, sample.internal_date, sample.flags)
    with DemoServer(store) as running:
        yield running


class Place:
    """A home with a configuration, and a folder of programs in front of PATH."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch, port: int) -> None:
        self.home = home
        self.bin = home / "programs 100%"
        self.bin.mkdir()
        self.said = home / "said"
        self.units = home / ".config" / "systemd" / "user"
        self.crontab = home / "crontab"
        self.config = home / ".config" / "mailarchive" / "config.toml"
        self.config.parent.mkdir(parents=True)
        secret = home / "password"
        secret.write_text(PASSWORD + "\n")
        secret.chmod(0o600)
        self.config.write_text(
            f'archive = "{home}/it\'s 100% mail"\n[account.home]\nserver = "imap+insecure://127.0.0.1:{port}"\n'
            f'user = "{USER}"\npassword_file = "{secret}"\n'
            '[account.work]\nserver = "imaps://imap.example.org"\nuser = "x"\npassword_command = "true"\n'
            '[account.asks]\nserver = "imaps://imap.example.org"\nuser = "y"\n'
        )
        self.config.chmod(0o600)
        monkeypatch.setenv("PATH", f"{self.bin}:/usr/bin:/bin")
        root = Path(package.__file__).parent.parent
        self.program = self.make(
            "mailarchive",
            f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(root)!r})\n"
            "from mailarchive.cli import main\nmain()\n",
        )
        monkeypatch.setattr(sys, "argv", [str(self.program)])

    def make(self, name: str, text: str) -> Path:
        """Make a program."""
        path = self.bin / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    def with_system(self, name: str, code: int = 0) -> None:
        """Make a program of the system that writes down its words."""
        self.make(name, f'#!/bin/sh\necho {name} "$@" >> {self.said}\nexit {code}\n')

    def with_crontab(self, code: int = 0, words: str = "no crontab for kim") -> None:
        """Make a crontab that keeps a file, or says that there is none."""
        self.make(
            "crontab",
            f'#!/bin/sh\nif [ "$1" = -l ]; then\n  [ {code} = 0 ] && cat {self.crontab} 2> /dev/null && exit 0\n'
            f"  echo {words} >&2; exit 1\nfi\ncat > {self.crontab}.new && mv {self.crontab}.new {self.crontab}\n",
        )

    def install(self, *words: str) -> Result:
        """Install for systemd."""
        assert self.program.exists()
        return mailarchive("schedule", *words, "--system", "systemd", "--install")

    def tree(self) -> dict[str, bytes]:
        """Give every file of the home."""
        return {str(path): path.read_bytes() for path in self.home.rglob("*") if path.is_file()}


@pytest.fixture
def place(home: Path, monkeypatch: pytest.MonkeyPatch, server: DemoServer) -> Place:
    """Give a home with three accounts; the first is served."""
    return Place(home, monkeypatch, server.imap_port)


@pytest.mark.parametrize("system", ["systemd", "cron", "launchd"])
@pytest.mark.parametrize("words", [[], ["home"], ["--install", "--dry-run"], ["--remove", "--dry-run"]])
def test_printing_changes_nothing(place: Place, system: str, words: list[str]) -> None:
    """No file, and no word to a program of the system but the question what is there."""
    place.with_crontab()
    for name in ("systemctl", "launchctl"):
        place.with_system(name)
    before = place.tree()
    result = mailarchive("schedule", "--system", system, *words)
    assert result.code == 0
    assert place.tree() == before
    assert ("mailarchive" in result.out) == ("--remove" not in words)


@pytest.mark.reader("systemd-analyze")
@pytest.mark.parametrize("words", [(), ("home",), ("work", "--every", "hour"), ("asks", "--every", "week")])
def test_installed_units_are_right_for_systemd(
    place: Place, require: Callable[[str], str], words: tuple[str, ...]
) -> None:
    """systemd-analyze verify has nothing to say about them; they are 0644 and switched on."""
    place.with_system("systemctl")
    assert place.install(*words).code == 0
    units = sorted(place.units.iterdir())
    assert len(units) == 2
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o644 for path in units)
    found = subprocess.run(
        [require("systemd-analyze"), "--user", "--man=no", "verify", *map(str, units)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (found.returncode, "mailarchive" in found.stderr) == (0, False), found.stderr
    name = "mailarchive-backup" + (f"-{words[0]}" if words else "")
    assert place.said.read_text().splitlines() == [
        "systemctl --user daemon-reload",
        f"systemctl --user enable --now {name}.timer",
    ]


@pytest.mark.reader("systemd-analyze")
def test_systemd_would_say_what_is_wrong(place: Place, require: Callable[[str], str]) -> None:
    """The check above can fail: a slip in a unit is found by it."""
    place.with_system("systemctl")
    place.install("home")
    timer = place.units / "mailarchive-backup-home.timer"
    timer.write_text(timer.read_text().replace("OnCalendar=*", "OnCalendar=x"))
    command = [require("systemd-analyze"), "--user", "--man=no", "verify", str(timer)]
    found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert found.returncode or "mailarchive" in found.stderr


def test_installing_again_changes_nothing(place: Place) -> None:
    """Not even the files' times."""
    place.with_system("systemctl")
    place.install("home")
    before = {path: path.stat().st_mtime_ns for path in place.units.iterdir()}
    result = place.install("home")
    assert result.code == 0
    assert result.out.count("unchanged: ") == 2
    assert {path: path.stat().st_mtime_ns for path in place.units.iterdir()} == before
    assert place.install("home", "--at", "05:55").out.count("written: ") == 1


@pytest.mark.parametrize("there", [True, False])
def test_a_systemd_that_does_not_answer_is_said(place: Place, *, there: bool) -> None:
    """The files are there; what is left to type is said, also with -q, and the code is 3."""
    if there:
        place.with_system("systemctl", 1)
    else:
        os.environ["PATH"] = str(place.bin)  # put back by the fixture, which has set it
    result = place.install("home", "-q")
    assert (result.code, result.out) == (3, "")
    assert len(list(place.units.iterdir())) == 2
    assert result.err.splitlines()[1:] == [
        "  systemctl --user daemon-reload",
        "  systemctl --user enable --now mailarchive-backup-home.timer",
    ]


@pytest.mark.parametrize("foreign", ["file", "link", "folder"])
def test_what_is_not_ours_is_neither_written_over_nor_removed(place: Place, foreign: str) -> None:
    """Nothing at all is changed then, the other file neither."""
    place.with_system("systemctl")
    place.units.mkdir(parents=True)
    path = place.units / "mailarchive-backup-home.timer"
    target = place.home / "target"
    mine = f"# {MARK}" if foreign == "link" else "mine"
    target.write_text(mine)
    if foreign == "link":
        path.symlink_to(target)
    elif foreign == "folder":
        path.mkdir()
    else:
        path.write_text("mine")
    result = place.install("home")
    assert result.code == 10
    assert "was not written by mailarchive schedule" in result.err
    assert [each.name for each in place.units.iterdir()] == [path.name]
    result = mailarchive("schedule", "--system", "systemd", "--remove")
    assert (result.code, "nothing of ours" in result.err) == (0, True)
    assert path.exists()
    assert target.read_text() == mine
    assert not place.said.exists()


@pytest.mark.parametrize("answers", [True, False])
def test_removing_takes_exactly_ours_away(place: Place, *, answers: bool) -> None:
    """One account, then all; the link by which a timer was enabled goes too, if systemctl cannot take it away."""
    place.with_system("systemctl", 0 if answers else 1)
    place.install()
    place.install("home", "work")
    (place.units / "other.timer").write_text("x")
    (place.units / "mailarchive-backup-mine.service").write_text("x")
    links = place.units / "timers.target.wants"
    links.mkdir()
    (links / "mailarchive-backup-home.timer").symlink_to(place.units / "mailarchive-backup-home.timer")
    assert mailarchive("schedule", "--system", "systemd", "--remove", "home").code == 0
    names = {path.name for path in place.units.iterdir() if path.is_file()}
    rest = {"other.timer", "mailarchive-backup-mine.service"}
    assert names == rest | {
        f"mailarchive-backup{account}.{kind}" for account in ("", "-work") for kind in ("timer", "service")
    }
    assert (links / "mailarchive-backup-home.timer").is_symlink() == answers
    assert "systemctl --user disable --now mailarchive-backup-home.timer" in place.said.read_text()
    assert mailarchive("schedule", "--system", "systemd", "--remove").code == 0
    assert {path.name for path in place.units.iterdir() if path.is_file()} == rest


def test_a_crontab_keeps_everything_else(place: Place) -> None:
    """Between marks; twice is once; and away again."""
    place.with_crontab()
    place.crontab.write_text(BEFORE)
    for _ in range(2):
        assert mailarchive("schedule", "home", "--system", "cron", "--install").code == 0
        text = place.crontab.read_text()
        assert text.startswith(BEFORE)
        assert text.count(" backup -q ") == 1
    assert mailarchive("schedule", "--system", "cron", "--remove", "work").code == 0
    assert place.crontab.read_text() == text
    assert mailarchive("schedule", "--system", "cron", "--remove").code == 0
    assert place.crontab.read_text() == BEFORE


def test_a_user_without_a_crontab_gets_one(place: Place) -> None:
    """`crontab -l` fails then, with words of its own."""
    place.with_crontab()
    assert mailarchive("schedule", "--system", "cron", "--install").code == 0
    assert place.crontab.read_text().count("\n") == 3


def test_a_crontab_that_cannot_be_read_is_not_written(place: Place) -> None:
    """Everything in it would be lost."""
    place.with_crontab(code=1, words="you are not allowed")
    place.crontab.write_text(BEFORE)
    for what in ("--install", "--remove"):
        result = mailarchive("schedule", "--system", "cron", what)
        assert result.code == 10
        assert "crontab -l failed" in result.err
    assert place.crontab.read_text() == BEFORE


def test_the_line_of_cron_runs_with_next_to_no_environment(place: Place, tmp_path: Path) -> None:
    """From another folder, as cron runs it: it backs up, silently."""
    # Where it is looked for nothing is, so the line itself has to say where it is.
    elsewhere = place.config.rename(place.home / "other 100%.toml")
    out = mailarchive("--config", elsewhere, "schedule", "home", "--system", "cron").out
    line = next(each for each in out.splitlines() if not each.startswith("#"))
    command = line.split(" ", 5)[5].replace(r"\%", "%")
    assert str(place.program).replace("%", r"\%") in line
    bare = {"HOME": str(place.home), "LOGNAME": "kim", "SHELL": "/bin/sh", "PATH": "/usr/bin:/bin"}
    found = subprocess.run(
        ["/usr/bin/env", "-i", *(f"{name}={value}" for name, value in bare.items()), "/bin/sh", "-c", command],
        capture_output=True, text=True, check=False, timeout=60, cwd=tmp_path, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")
    assert len(maildir.files(place.home / "it's 100% mail" / "home")) == 4


def test_the_program_is_found_however_it_was_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its path, by its name, beside the interpreter, as an archive of Python, as a module; a link stays a link."""
    here, path = tmp_path / "bin", tmp_path / "path"
    for folder in (here, path):
        folder.mkdir()
    monkeypatch.setattr(sys, "executable", str(here / "python3"))
    monkeypatch.chdir(tmp_path)
    environ = {"PATH": str(path)}
    assert program("/x/mailarchive/__main__.py", environ) == (str(here / "python3"), "-m", "mailarchive")
    (tmp_path / "mailarchive.pyz").touch()
    assert program("mailarchive.pyz", environ) == (str(here / "python3"), str(tmp_path / "mailarchive.pyz"))
    (path / "real").touch(0o755)
    (path / "mailarchive").symlink_to(path / "real")
    assert program("pytest", environ) == (str(path / "mailarchive"),)
    (here / "mailarchive").touch(0o755)
    assert program("pytest", environ) == (str(here / "mailarchive"),)
    assert program("mailarchive", environ) == (str(path / "mailarchive"),)
    assert program("bin/mailarchive", environ) == (str(here / "mailarchive"),)


def test_a_checkout_that_is_not_installed_runs_from_anywhere(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Started as a module, the line says where the module is."""
    place.program.unlink()
    monkeypatch.setattr(scheduling, "program", lambda *_: (sys.executable, "-m", "mailarchive"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "elsewhere"))
    line = mailarchive("schedule", "home", "--system", "cron").out.splitlines()[1]
    command = line.split(" ", 5)[5].replace(r"\%", "%")
    found = subprocess.run(
        ["/bin/sh", "-c", command], env={"HOME": str(place.home)}, cwd=tmp_path, check=False, timeout=60
    )
    assert found.returncode == 0
    assert len(maildir.files(place.home / "it's 100% mail" / "home")) == 4


def test_an_agent_is_given_to_launchd(place: Place) -> None:
    """The old one is taken out before; a session that does not answer is said."""
    place.with_system("launchctl")
    assert mailarchive("schedule", "home", "--system", "launchd", "--install").code == 0
    path = place.home / "Library" / "LaunchAgents" / "mailarchive-backup-home.plist"
    session = f"gui/{os.getuid()}"
    assert place.said.read_text().splitlines() == [
        f"launchctl bootout {session}/mailarchive-backup-home",
        f"launchctl bootstrap {session} {path}",
    ]
    place.with_system("launchctl", 1)
    result = mailarchive("schedule", "--system", "launchd", "--remove")
    assert (result.code, path.exists()) == (3, False)
    assert f"launchctl bootout {session}/mailarchive-backup-home" in result.err


@pytest.mark.usefixtures("place")
def test_who_would_be_asked_for_a_password_is_told() -> None:
    """Nobody is there at night; the service says where it may be put."""
    result = mailarchive("schedule", "--system", "systemd")
    assert [line for line in result.err.splitlines() if "nobody will be there" in line] == [
        'mailarchive: warning: asks: nobody will be there to type the password; see the README, "Every day"'
    ]
    assert "#LoadCredential=mailarchive.asks.password:" in result.out
    assert "LoadCredential=mailarchive.home" not in result.out


@pytest.mark.parametrize(
    ("words", "code", "what"),
    [
        (["--install", "--remove"], 2, "contradict"),
        (["imaps://me@imap.example.org"], 2, "accounts of the configuration"),
        (["hoem"], 10, "home"),
        (["--at", "noon"], 2, "no time of day"),
    ],
)
def test_what_cannot_be_is_refused(place: Place, words: list[str], code: int, what: str) -> None:
    """Before anything is written."""
    before = place.tree()
    result = mailarchive("schedule", "--system", "systemd", *words)
    assert (result.code, result.out) == (code, "")
    assert what in result.err
    assert place.tree() == before


def test_json_tells_a_script_each_text(place: Place) -> None:
    """One line for each file, and the end."""
    place.with_system("systemctl", 1)
    events = mailarchive("--json", "schedule", "home", "--system", "systemd", "--install").events
    assert [event["event"] for event in events] == ["schema", "schedule", "schedule", "schedule_finished"]
    assert {event["what"] for event in events[1:3]} == {"written"}
    assert Path(events[1]["path"]).read_text() == events[1]["text"]
    assert events[-1]["to_type"][0] == "systemctl --user daemon-reload"


def test_the_log_is_handed_on(place: Place) -> None:
    """By its absolute path, and its folder may be written to."""
    out = mailarchive("schedule", "home", "--system", "systemd", "--log-file", place.home / "log").out
    assert f"--log-file {place.home}/log backup" in out
    assert f"-{place.home}" in next(line for line in out.splitlines() if line.startswith("ReadWritePaths="))
