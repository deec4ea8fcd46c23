"""`backup --delete`, `prune` and `undo` as a user runs them, against the demo server."""

from __future__ import annotations

import json
import shlex
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from mailarchive.cli import running
from mailarchive.demo.server import DemoServer
from mailarchive.demo.store import Store
from mailarchive.errors import UnreachableError
from mailarchive.sources import Purpose
from tests import maildir
from tests.cli import terminal
from tests.cli.terminal import CTRL_C, CTRL_D
from tests.command import mailarchive, plain_url
from tests.corpus import corpus

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.command import Result

PASSWORD = "secret"
OLD = ("--older-than", "1y")
ALL, PLAIN, FLAGGED, UNSEEN, YOUNG = 20, 12, 3, 2, 3
"""Old mail that nothing speaks for, flagged, unread, and young mail."""


@pytest.fixture
def server() -> Iterator[DemoServer]:
    """Serve twenty messages, most of them old."""
    store = Store()
    box = store.add_account("kim", PASSWORD, limit=50_000_000).mailbox("INBOX")
    samples = corpus(ALL, seed=9, now=datetime.now(UTC) - timedelta(days=500), sizes="tiny")
    for index, sample in enumerate(samples):
        flags = {"\\Seen", "\\Flagged"} if index < FLAGGED else set() if index < FLAGGED + UNSEEN else {"\\Seen"}
        young = index >= ALL - YOUNG
        date = datetime.now(UTC) - timedelta(days=5 if young else 600 + index)
        head, _, body = sample.raw.partition(b"\r\n\r\n")
        lines = [line for line in head.split(b"\r\n") if not line.lower().startswith((b"date:", b"message-id:"))]
        lines += [date.strftime("Date: %a, %d %b %Y %H:%M:%S +0000").encode(), b"Message-ID: <%d@example.org>" % index]
        box.append(b"\r\n".join(lines) + b"\r\n\r\n" + body, date, frozenset(flags))
    with DemoServer(store) as running_server:
        yield running_server


def left(server: DemoServer) -> int:
    """Count what is on the server."""
    return len(server.store.account("kim").mailbox("INBOX").messages())


def url(server: DemoServer) -> str:
    """Give the address of the server."""
    return plain_url(server.imap_port, "kim")


def configure(home: Path, server: DemoServer, keys: str = "") -> Path:
    """Write a configuration with the account `home`; gives its archive."""
    config = home / ".config" / "mailarchive" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(
        f'archive = "{home}/mail"\n[account.home]\nserver = "imap+insecure://127.0.0.1:{server.imap_port}"\n'
        f'user = "kim"\npassword_command = "echo {PASSWORD}"\nolder_than = "1y"\n{keys}\n'
    )
    config.chmod(0o600)
    return home / "mail" / "home"


def final(*words: object) -> tuple[int, dict[str, Any]]:
    """Run with --json; gives the exit code and the last line."""
    result = mailarchive("--json", *map(str, words))
    assert result.err == ""
    last: dict[str, Any] = json.loads(result.out.splitlines()[-1])
    return result.code, last


# Jobs


def test_a_backup_deletes_what_it_has_proved_and_nothing_else(server: DemoServer, tmp_path: Path) -> None:
    """Old mail goes, flagged and young mail stays, and every message is in the archive."""
    code, last = final("backup", url(server), "--to", tmp_path / "a", *OLD, "--delete", "--yes")
    assert code == 0
    assert last["event"] == "finished"
    assert last["total"]["deleted"] == PLAIN + UNSEEN
    assert last["total"]["kept"] == FLAGGED
    assert left(server) == FLAGGED + YOUNG
    assert len(maildir.files(tmp_path / "a")) == ALL - YOUNG


@pytest.mark.parametrize(
    ("words", "remain"),
    [
        (["--keep-unread"], FLAGGED + UNSEEN + YOUNG),
        (["--no-keep-flagged"], YOUNG),
        (["--max-delete", str(PLAIN + UNSEEN - 1)], ALL),
        (["--max-delete", str(PLAIN + UNSEEN)], FLAGGED + YOUNG),
        (["--min-copies-age", "1d"], ALL),
        (["--no-delete"], ALL),
    ],
)
def test_the_options_reach_the_job(server: DemoServer, home: Path, words: list[str], remain: int) -> None:
    """Each of them keeps or frees what it says."""
    archive = configure(home, server, "delete = true" if words != ["--no-delete"] else "")
    assert mailarchive("-q", "backup", *words).code in {0, 3}
    assert left(server) == remain
    assert len(maildir.files(archive)) == ALL - YOUNG


def test_the_configuration_alone_deletes_under_cron(server: DemoServer, home: Path) -> None:
    """`delete = true`, no terminal, and not a word with -q."""
    configure(home, server, "delete = true")
    result = mailarchive("-q", "backup")
    assert (result.code, result.out, result.err) == (0, "", "")
    assert left(server) == FLAGGED + YOUNG


def test_a_dry_run_needs_no_yes_and_changes_nothing(server: DemoServer, home: Path) -> None:
    """Neither on the server nor on the disk, for backup, prune and undo."""
    archive = configure(home, server)
    assert mailarchive("backup", "--delete", "--dry-run").code == 0
    assert not archive.exists()
    assert mailarchive("-q", "backup").code == 0
    before = {path: path.stat().st_mtime_ns for path in archive.rglob("*")}
    result = mailarchive("prune", "--dry-run")
    assert (result.code, result.err) == (0, "")
    assert f"{PLAIN + UNSEEN} messages" in result.out
    assert left(server) == ALL
    assert {path: path.stat().st_mtime_ns for path in archive.rglob("*")} == before
    code, last = final("prune", "--yes")
    assert (code, left(server)) == (0, FLAGGED + YOUNG)
    before = {path: path.stat().st_mtime_ns for path in archive.rglob("*")}
    assert mailarchive("undo", last["run"], "--dry-run").code == 0
    assert left(server) == FLAGGED + YOUNG
    assert {path: path.stat().st_mtime_ns for path in archive.rglob("*")} == before


def test_prune_deletes_what_is_archived_and_fetches_nothing(server: DemoServer, tmp_path: Path) -> None:
    """What the archive does not hold stays on the server."""
    place: tuple[str | Path, ...] = ("--archive", tmp_path / "a")
    assert mailarchive("-q", "backup", url(server), "--to", tmp_path / "a", *OLD, "--limit", "9").code == 0
    code, last = final("prune", url(server), *place, *OLD, "--yes", "--no-keep-flagged")
    assert code == 0
    assert last["total"]["deleted"] == 9
    assert left(server) == ALL - 9
    assert len(maildir.files(tmp_path / "a")) == 9


def test_undo_puts_back_what_one_run_deleted_and_later_runs_keep_it(server: DemoServer, home: Path) -> None:
    """By the beginning of its id; --include-restored deletes it again."""
    configure(home, server, "delete = true")
    code, last = final("backup")
    assert (code, left(server)) == (0, FLAGGED + YOUNG)
    result = mailarchive("undo", last["run"][:-3])
    assert (result.code, result.err) == (0, "")
    assert left(server) == ALL
    assert mailarchive("-q", "undo", last["run"], "home").code == 0
    assert left(server) == ALL, "a second time puts nothing back twice"
    assert mailarchive("-q", "backup").code == 0
    assert left(server) == ALL, "a run of cron does not undo an undo"
    assert mailarchive("-q", "backup", "--include-restored").code == 0
    assert left(server) == FLAGGED + YOUNG


def test_undo_of_a_one_off(server: DemoServer, tmp_path: Path) -> None:
    """`undo RUN URL --archive DIR`."""
    _, last = final("backup", url(server), "--to", tmp_path / "a", *OLD, "--delete", "--yes")
    assert mailarchive("-q", "undo", last["run"], url(server), "--archive", tmp_path / "a").code == 0
    assert left(server) == ALL


def printed(result: Result) -> list[str]:
    """Give the command that a run says it is undone with, as a shell would read it."""
    (line,) = [part for part in result.out.splitlines() if "undo with: " in part]
    program, *words = shlex.split(line.partition("undo with: ")[2])
    assert program == "mailarchive"
    return words


def test_what_a_run_says_about_undo_works_as_typed(
    server: DemoServer, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a one-off, of an account, and of an account of a configuration that was named; from another folder too."""
    place = tmp_path / "with a blank"
    one_off = mailarchive("backup", url(server), "--to", place, *OLD, "--delete", "--yes")
    assert (one_off.code, left(server)) == (0, FLAGGED + YOUNG)
    configure(home, server)
    named = tmp_path / "my config.toml"
    named.write_text((home / ".config" / "mailarchive" / "config.toml").read_text().replace("/mail", "/other"))
    assert mailarchive(*printed(one_off)).code == 0
    assert left(server) == ALL
    monkeypatch.chdir(tmp_path)
    for before in ((), ("--config", named.name)):
        result = mailarchive(*before, "backup", "--delete", "--yes")
        assert (result.code, left(server)) == (0, FLAGGED + YOUNG)
        monkeypatch.chdir(home)
        assert mailarchive("-q", *printed(result)).code == 0
        assert left(server) == ALL
        monkeypatch.chdir(tmp_path)


# What is demanded of the archive, and what of the session


@pytest.mark.parametrize("more", [("--yes",), ("--dry-run",)])
def test_prune_without_an_archive_is_exit_13(server: DemoServer, tmp_path: Path, more: tuple[str, ...]) -> None:
    """Nothing is made, and no password is asked for."""
    asked = tmp_path / "asked"
    words: tuple[str | Path, ...] = ("--archive", tmp_path / "a", "--password-command", f"touch {asked}", *OLD, *more)
    result = mailarchive("prune", url(server), *words)
    assert result.code == 13
    assert f"there is no archive in {tmp_path / 'a'}" in result.err
    assert "hint: mailarchive backup makes one" in result.err
    assert list(tmp_path.iterdir()) == []
    assert left(server) == ALL


@pytest.mark.parametrize(
    ("words", "purpose"),
    [
        (["backup"], Purpose.READ),
        (["backup", "--delete", "--dry-run"], Purpose.READ),
        (["backup", "--delete", "--yes"], Purpose.DELETE),
        (["prune", "--dry-run"], Purpose.READ),
        (["prune", "--yes"], Purpose.DELETE),
        (["undo", "2", "--dry-run"], Purpose.READ),
        (["undo", "2"], Purpose.RESTORE),
        (["verify", "--server"], Purpose.READ),
    ],
)
def test_a_session_may_do_no_more_than_its_run(
    server: DemoServer, home: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], purpose: Purpose
) -> None:
    """Delete only where that is asked for, put back only for undo, and neither in a dry run."""
    configure(home, server)
    assert mailarchive("-q", "backup", "--limit", "1").code == 0
    seen: list[Purpose] = []

    def refuse(*_: object, purpose: Purpose, **_more: object) -> None:
        seen.append(purpose)
        raise UnreachableError("not today")

    monkeypatch.setattr(running, "connect", refuse)
    assert mailarchive(*words).code == 15
    assert seen == [purpose]


# At a terminal


def test_a_yes_to_the_plan_deletes(server: DemoServer, tmp_path: Path) -> None:
    """The plan is shown first, and the question says how many there are and where."""
    question = "[y/N]"
    seen = terminal.mailarchive(
        "backup", url(server), "--to", tmp_path / "a", *OLD, "--delete", answers=[(question, "y\r")]
    )
    assert seen.code == 0, seen.text
    assert f"Delete {PLAIN + UNSEEN} messages (" in seen.text
    assert ") on 127.0.0.1 once they are archived and proved? [y/N]" in seen.text
    assert seen.text.index("INBOX") < seen.text.index(question)
    assert left(server) == FLAGGED + YOUNG


@pytest.mark.parametrize("answer", ["n\r", "\r"])
def test_a_no_archives_all_the_same(server: DemoServer, tmp_path: Path, answer: str) -> None:
    """Exit 0, nothing deleted, and this is said."""
    words = ("backup", url(server), "--to", tmp_path / "a", *OLD, "--delete")
    seen = terminal.mailarchive(*words, answers=[("[y/N]", answer)])
    assert seen.code == 0, seen.text
    assert "Nothing will be deleted; the mail is archived all the same." in seen.text
    assert left(server) == ALL
    assert len(maildir.files(tmp_path / "a")) == ALL - YOUNG


def test_a_no_to_prune(server: DemoServer, home: Path) -> None:
    """Exit 0; `delete = true` in the account is no answer where there is somebody to ask."""
    configure(home, server, "delete = true")
    assert mailarchive("-q", "backup", "--no-delete").code == 0
    seen = terminal.mailarchive("prune", answers=[("[y/N]", "n\r")])
    assert seen.code == 0, seen.text
    assert ") on 127.0.0.1? [y/N]" in seen.text
    assert left(server) == ALL


@pytest.mark.parametrize(("key", "code", "what"), [(CTRL_D, 2, "was not answered"), (CTRL_C, 130, "interrupted")])
def test_f131_no_answer_at_all_does_nothing(server: DemoServer, tmp_path: Path, key: str, code: int, what: str) -> None:
    """The end of the input is exit 2, Ctrl-C ends at once; neither archives nor deletes, and the lock is free."""
    words = ("backup", url(server), "--to", tmp_path / "a", *OLD, "--delete")
    begun = time.monotonic()
    seen = terminal.mailarchive(*words, answers=[("[y/N]", key)])
    assert time.monotonic() - begun < 20
    assert seen.code == code, seen.text
    assert what in seen.text
    assert "Traceback" not in seen.text
    assert left(server) == ALL
    assert maildir.files(tmp_path / "a") == []
    assert mailarchive("-q", *words, "--yes").code == 0
    assert left(server) == FLAGGED + YOUNG


@pytest.mark.parametrize("more", [("--yes",), ("-q", "--yes"), ("--json", "--yes"), ("--no-input", "--yes")])
def test_a_yes_that_was_given_is_not_asked_for(server: DemoServer, tmp_path: Path, more: tuple[str, ...]) -> None:
    """Also at a terminal."""
    seen = terminal.mailarchive("backup", url(server), "--to", tmp_path / "a", *OLD, "--delete", *more)
    assert seen.code == 0, seen.text
    assert "[y/N]" not in seen.text
    assert left(server) == FLAGGED + YOUNG


@pytest.mark.parametrize("more", ["--json", "--no-input"])
def test_a_terminal_that_nobody_may_be_asked_at_is_none(server: DemoServer, tmp_path: Path, more: str) -> None:
    """Exit 2 before anything is connected."""
    seen = terminal.mailarchive("backup", url(server), "--to", tmp_path / "a", *OLD, "--delete", more)
    assert seen.code == 2, seen.text
    assert "deleting needs a yes, and nobody may be asked" in seen.text
    assert not (tmp_path / "a").exists()


def test_nothing_to_delete_is_no_question(server: DemoServer, tmp_path: Path) -> None:
    """A plan that deletes nothing needs no yes."""
    words = ("backup", url(server), "--to", tmp_path / "a", "--older-than", "50y", "--delete")
    seen = terminal.mailarchive(*words)
    assert seen.code == 0, seen.text
    assert "[y/N]" not in seen.text


# A password that is asked for


@pytest.mark.parametrize(("key", "code", "backed_up"), [(CTRL_D, 10, True), (CTRL_C, 130, False)])
def test_no_password_stops_one_account_and_an_interrupt_all(
    server: DemoServer, home: Path, key: str, code: int, *, backed_up: bool
) -> None:
    """The end of the input is a missing password; Ctrl-C means that it shall end."""
    first = f'[account.first]\nserver = "{url(server)}"\n[account.home]'
    archive = configure(home, server)
    config = home / ".config" / "mailarchive" / "config.toml"
    config.write_text(config.read_text().replace("[account.home]", first))
    seen = terminal.mailarchive("backup", answers=[("Password of kim on 127.0.0.1", key)], NO_COLOR="1")
    assert seen.code == code, seen.text
    assert ("interrupted" in seen.text) is (key == CTRL_C)
    assert ("error: first: no password\nhint: set password_command" in seen.text) is (key == CTRL_D)
    assert (len(maildir.files(archive)) if archive.exists() else 0) == (ALL - YOUNG if backed_up else 0)
    assert not (home / "mail" / "first").exists()
