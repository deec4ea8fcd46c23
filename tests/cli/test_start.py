"""What the command loads, says and returns before it does anything."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import mailarchive
from mailarchive.errors import ExitCode, worst
from tests.command import mailarchive as command
from tests.documents import ROOT, section

if TYPE_CHECKING:
    from pathlib import Path

HEAVY = (
    "imapclient",
    "imaplib",
    "sqlite3",
    "ssl",
    "rich.progress",
    "rich",
    "dateutil",
    "platformdirs",
    "filelock",
    "email",
    "keyring",
    "oauthlib",
    "requests",
    "subprocess",
    "webbrowser",
    "tomllib",
    "xml",
    "http",
    "dns",
)
COMMANDS = (
    "backup",
    "completion",
    "demo",
    "help",
    "import",
    "init",
    "login",
    "logout",
    "prune",
    "reindex",
    "schedule",
    "undo",
    "verify",
)


@pytest.mark.parametrize(
    "words",
    [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)],
)
def test_help_loads_nothing_heavy(words: list[str]) -> None:
    """--help and --version answer without servers, databases and colours being imported."""
    script = (
        "import sys\nfrom mailarchive.cli import run\n"
        f"code = run({words!r})\n"
        f"print('LOADED', [name for name in {HEAVY!r} if name in sys.modules])\nsys.exit(code)\n"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.rstrip().endswith("LOADED []"), found.stdout.splitlines()[-1]


def test_the_exit_codes_stand_in_the_help() -> None:
    """Each code with its meaning."""
    result = command("--help")
    assert result.code == 0
    for code in ExitCode:
        assert f"{code.value:>3}  {code.meaning}" in result.out


def test_the_exit_codes_stand_in_the_readme() -> None:
    """The same table, row by row, and nothing else in it."""
    text = section(ROOT / "README.md", "Exit codes")
    rows = [line for line in text.splitlines() if line.startswith("|")][2:]
    assert rows == [f"| {code.value} | {code.meaning} |" for code in ExitCode]
    order = text.partition("wins: ")[2].partition(".")[0].replace("a signal", "130, 143, 129").split(", ")
    said = [code for word in order for code in ExitCode if str(code.value) == word]
    assert [worst(said[number:]) for number in range(len(said))] == said
    assert {*said, ExitCode.DONE} == set(ExitCode)


def test_the_help_promises_no_more_than_is_true() -> None:
    """Since there is --delete, "nothing on the server is changed" holds only without it."""
    text = " ".join(command("--help").out.split())
    assert "With `--delete` it then removes from the server exactly what it has just proved to hold" in text
    assert "without it, nothing on the server is changed" in text


def test_the_version_is_that_of_the_package() -> None:
    """--version."""
    assert mailarchive.__version__ in command("--version").out


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ([], 0),
        ([ExitCode.DONE, ExitCode.PARTIAL], 3),
        ([ExitCode.PARTIAL, ExitCode.LATER, ExitCode.BUSY], 11),
        ([ExitCode.UNREACHABLE, ExitCode.PROTOCOL], 16),
        ([ExitCode.SIGN_IN, ExitCode.CONFIG], 10),
        ([ExitCode.DISK, ExitCode.ARCHIVE], 13),
        ([ExitCode.ARCHIVE, ExitCode.BUG], 1),
    ],
)
def test_the_most_serious_code_of_several_accounts_wins(codes: list[ExitCode], expected: int) -> None:
    """1, 13, 14, 10, 12, 16, 15, 11, 75, 3."""
    assert worst(codes) == expected


def test_every_code_has_a_seriousness() -> None:
    """No code but 0 is forgotten in the order."""
    for code in ExitCode:
        assert worst([code]) is code


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["backup", "--frobnicate"], "no such option"),
        (["frobnicate"], "no such command"),
        (["backup", "--limit", "0"], "--limit"),
        (["backup", "--date", "never"], "--date"),
        (["backup", "imaps://me@imap.example.org"], "--to DIR"),
        (["backup", "imaps://me@imap.example.org", "other", "--to", "x"], "alone"),
        (["backup", "home", "--to", "x"], "--to goes with a URL"),
        (["backup", "home", "--user", "x"], "--user goes with a URL"),
        (["prune", "--user", "x", "--older-than", "1y"], "--user goes with a URL"),
        (["undo", "2026", "home", "--user", "x"], "--user goes with a URL"),
        (["backup", "imap+insecure://me@imap.example.org", "--to", "x"], "clear text is refused"),
        (["backup", "imaps://me@imap.example.org:99999", "--to", "x"], "port"),
        (["backup", "imaps://me@imap.example.org", "--to", "x", "--older-than", "1"], "a unit is missing"),
        (["backup", "imaps://me@imap.example.org", "--to", "x", "--wait", "5m"], "--wait"),
        (["backup", "imaps://me@imap.example.org", "--to", "x", "--fingerprint", "zz"], "64 hex digits"),
        (["backup", "imaps://me@imap.example.org", "--to", "x", "--imap-search", "a\r\nb"], "printable ASCII"),
        (["backup", "imaps://me@imap.example.org", "--to", "x", "--imap-search", "(ALL"], "do not close"),
        (["backup", "imaps://me@imap.example.org", "--to", "x", "--mailbox", "a\nb"], "line break"),
        (["backup", "imaps://me@imap.example.org", "--to", "x", "--mailbox", "!"], "empty"),
        (["backup", "imaps://me@imap.example.org", "--to", "x", "--keep-under", "0"], "1 to 100"),
        (["backup", "imaps://me@imap.example.org", "--to", "x", "--older-than", "1y", "--before", "2020"], "twice"),
        (["backup", "imaps://me@imap.example.org", "--to", "x", "--before", "2019", "--after", "2020"], "exchange"),
    ],
)
def test_f135_wrong_usage_is_one_line_a_hint_and_exit_2(
    words: list[str], what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is connected, nothing is made; the line says what is wrong, the next one what to do."""
    monkeypatch.chdir(tmp_path)
    result = command(*words)
    assert result.code == 2
    assert result.out == ""
    first, *hints = result.err.splitlines()
    assert first.startswith("mailarchive: error: ")
    assert what.lower() in result.err.lower()
    assert all(line.startswith("hint: ") for line in hints)
    assert "Traceback" not in result.err
    assert list(tmp_path.iterdir()) == []


def test_f138_a_missing_configuration_names_the_one_off_form() -> None:
    """`mailarchive backup` on a fresh machine: exit 10 and what to type."""
    result = command("backup")
    assert result.code == 10
    assert "mailarchive backup imaps://" in result.err


@pytest.mark.parametrize("name", ["backup", "prune"])
def test_the_limit_says_what_it_counts(name: str) -> None:
    """Both halves of the work, and not what stays."""
    text = " ".join(command(name, "--help").out.split())
    assert "At most N messages to fetch or to delete, oldest first; what stays anyway is not counted." in text


WRONG = [
    (["backup", "--frobnicate"], 2, "No such option"),
    (["frobnicate"], 2, "No such command"),
    (["backup", "imaps://me@imap.example.org"], 2, "--to DIR"),
    (["undo", "2026", "imaps://me@imap.example.org"], 2, "--archive DIR"),
    (["backup"], 10, "mailarchive backup imaps://"),
    (["verify"], 10, "mailarchive backup imaps://"),
]


@pytest.mark.parametrize(("words", "code", "what"), WRONG)
@pytest.mark.parametrize(
    ("before", "after", "variable"),
    [
        (["--json"], [], ""),
        ([], ["--json"], ""),
        ([], [], "MAILARCHIVE_JSON"),
    ],
)
def test_what_a_script_reads_names_a_wrong_call(
    monkeypatch: pytest.MonkeyPatch,
    *,
    words: list[str],
    code: int,
    what: str,
    before: list[str],
    after: list[str],
    variable: str,
) -> None:
    """The schema and an error on stdout, the same for a person on stderr."""
    if variable:
        monkeypatch.setenv(variable, "true")
    result = command(*before, *words, *after)
    assert result.code == code
    schema, error = result.events
    assert (schema["event"], error["event"], error["exit_code"]) == ("schema", "error", code)
    assert what in error["message"] + error["hint"]
    first, *hints = result.err.splitlines()
    assert first == f"mailarchive: error: {error['message']}"
    assert hints == [f"hint: {error['hint']}"]


def test_the_variable_of_a_command_asks_for_lines_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of this command only."""
    monkeypatch.setenv("MAILARCHIVE_BACKUP_JSON", "1")
    assert [line["event"] for line in command("backup", "--frobnicate").events] == ["schema", "error"]
    assert command("prune", "--frobnicate").out == ""


@pytest.mark.parametrize("value", ["", "0", "no", "false"])
def test_a_variable_that_says_no_asks_for_no_lines(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """Stdout stays empty."""
    monkeypatch.setenv("MAILARCHIVE_JSON", value)
    assert command("backup").out == ""


@pytest.mark.parametrize("variable", ["MAILARCHIVE_DEBUG", "MAILARCHIVE_BACKUP_DEBUG", ""])
@pytest.mark.parametrize("words", [["backup"], ["backup", "imaps://me@imap.example.org"], ["backup", "--frobnicate"]])
def test_the_environment_can_ask_for_a_traceback(
    monkeypatch: pytest.MonkeyPatch, variable: str, words: list[str]
) -> None:
    """Also of what goes wrong before the first account."""
    assert "Traceback" not in command(*words).err
    if variable:
        monkeypatch.setenv(variable, "1")
    else:
        words = ["--debug", *words]
    assert "Traceback" in command(*words).err


def test_f140_the_environment_can_ask_for_the_traceback_of_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 1."""
    from mailarchive.cli import targets

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(targets, "targets", fail)
    result = command("backup")
    assert (result.code, result.out, "Traceback" in result.err) == (1, "", False)
    monkeypatch.setenv("MAILARCHIVE_DEBUG", "1")
    assert "Traceback" in command("backup").err


def test_f107_a_process_without_memory_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 1, and what to type; it is no bug."""
    from mailarchive.cli import targets

    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(targets, "targets", fail)
    result = command("backup")
    assert (result.code, result.out) == (1, "")
    assert result.err == (
        "mailarchive: error: there is not enough memory for this process\nhint: raise the limit: ulimit -v\n"
    )


@pytest.mark.parametrize("word", ["--password", "--token", "--secret"])
@pytest.mark.parametrize("name", COMMANDS)
def test_f029_no_option_takes_a_password(name: str, word: str) -> None:
    """2, and what was typed is not repeated; not even as the short form of another option."""
    for words in ([word, "canary4711"], [f"{word}=canary4711"]):
        result = command(name, *words)
        assert result.code == ExitCode.USAGE
        assert "No such option" in result.err
        assert "canary" not in result.out + result.err
