"""What `backup` and `prune` refuse before they connect, because nobody chose the mail or said yes."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from mailarchive.cli.zone import now
from tests.cli.resolved import OLD, URL, configure, deletion_of
from tests.command import mailarchive

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.resolved import Resolved

CHOOSING = [
    OLD,
    ("--newer-than", "1y"),
    ("--before", "2020"),
    ("--after", "2020"),
    ("--larger-than", "1M"),
    ("--smaller-than", "1M"),
    ("--from", "anna"),
    ("--to-addr", "me"),
    ("--subject", "x"),
    ("--list-id", "x"),
    ("--seen",),
    ("--unseen",),
    ("--flagged",),
    ("--unflagged",),
    ("--imap-search", "KEYWORD x"),
    ("--free", "1G"),
    ("--keep-under", "80"),
    ("--mailbox", "INBOX"),
    ("--mailbox", "*"),
    ("--mailbox", "!Work", "--mailbox", "*"),
]
NOT_CHOOSING = [
    (),
    ("--limit", "5"),
    ("--date", "sent"),
    ("--mailbox", "!Work"),
    ("--from", ""),
    ("--imap-search", ""),
    ("--max-delete", "5"),
    ("--keep-unread",),
]
COMMANDS = [("backup", "--delete"), ("prune",)]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("words", CHOOSING)
def test_what_chooses_mail_is_a_selection(
    runs: list[Resolved], home: Path, command: tuple[str, ...], words: tuple[str, ...]
) -> None:
    """Any criterion on messages, an amount, or a mailbox that is named."""
    configure(home)
    assert mailarchive(*command, "--yes", *words).code == 0
    deletion_of(runs)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("words", NOT_CHOOSING)
@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_f130_without_a_selection_nothing_is_deleted(
    runs: list[Resolved], home: Path, command: tuple[str, ...], words: tuple[str, ...], dry: tuple[str, ...]
) -> None:
    """Exit 2, and no password is asked for; the mailboxes of the account say only where mail is archived from."""
    asked = configure(home, "mailboxes = ['INBOX']\ndelete = true")
    result = mailarchive(*command, "--yes", *words, *dry)
    assert (result.code, result.out, runs) == (2, "", [])
    assert "mailarchive: error: home: which mail is to be deleted? Nothing says so" in result.err
    assert "hint: add --older-than 1y" in result.err
    assert not asked.exists()


def test_the_age_of_the_account_is_a_selection(runs: list[Resolved], home: Path) -> None:
    """`older_than`, from the account or the defaults."""
    configure(home, "delete = true", "older_than = '2y'")
    assert mailarchive("backup").code == 0
    assert mailarchive("prune").code == 0
    assert [run.deletion is not None for run in runs] == [True, True]


def test_one_account_without_a_selection_stops_nothing_but_itself(runs: list[Resolved], home: Path) -> None:
    """Exit 10 when its turn comes, with what to write where; the accounts before and after it are backed up."""
    more = "".join(
        f'[account."{name}"]\nserver = "{URL}"\n{keys}\n' for name, keys in (("t.w", "delete = true"), ("z", ""))
    )
    asked = configure(home, "delete = true\nolder_than = '1y'", more=more)
    result = mailarchive("backup")
    assert result.code == 10
    assert [run.target.name for run in runs] == ["home", "z"]
    assert result.err.count("error: ") == 1
    assert "error: t.w: which mail is to be deleted? delete = true is in the configuration, and nothing" in result.err
    assert "hint: add older_than = \"1y\" to [account.'t.w']\n" in result.err
    assert not asked.exists()


@pytest.mark.parametrize("command", COMMANDS)
def test_f130_a_deletion_that_is_typed_is_refused_as_a_whole(
    runs: list[Resolved], home: Path, command: tuple[str, ...]
) -> None:
    """Exit 2 before anything is begun: it is the command line that lacks something."""
    configure(home, "delete = true\nolder_than = '1y'", more=f'[account.two]\nserver = "{URL}"\ndelete = true\n')
    result = mailarchive(*command, "--yes")
    assert (result.code, runs) == (2, [])
    assert "two: which mail is to be deleted? Nothing says so" in result.err
    assert mailarchive(*command, "--yes", "home").code == 0


@pytest.mark.parametrize("words", [("--newer-than", "30d"), ("--after", f"{now():%Y-%m-%d}")])
def test_an_age_of_the_account_that_leaves_nothing_is_named(
    runs: list[Resolved], home: Path, words: tuple[str, str]
) -> None:
    """Exit 2, for this account alone; another end on the command line takes its place."""
    configure(home, "older_than = '2y'", more=f'[account.two]\nserver = "{URL}"\n')
    result = mailarchive("backup", *words)
    assert result.code == 2
    assert [run.target.name for run in runs] == ["two"]
    said = " ".join(words)
    assert f'error: home: older_than = "2y" in the configuration and {said} leave no message\n' in result.err
    assert "hint: add --older-than or --before" in result.err
    tomorrow = f"{now() + dt.timedelta(days=1):%Y-%m-%d}"
    assert mailarchive("backup", *words, "--before", tomorrow).code == 0


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("method", "why"), [("trash", "until it is emptied"), ("mark", "until the mailbox is expunged")]
)
def test_what_frees_nothing_cannot_reach_a_quota(
    runs: list[Resolved], home: Path, command: tuple[str, ...], method: str, why: str
) -> None:
    """It would go on until the mailbox is empty. Exit 2, or 10 for the account that wants this method."""
    configure(home, f"delete_method = '{method}'", more=f'[account.two]\nserver = "{URL}"\n')
    words = (*command, "--keep-under", "80", "--yes")
    for dry in ((), ("--dry-run",)):
        result = mailarchive(*words, "--delete-method", method, *dry)
        assert (result.code, runs) == (2, [])
        reason = f"home: {method} frees no quota {why}, so --keep-under cannot go with --delete-method {method}\n"
        assert reason in result.err
        assert "hint: leave --keep-under out, or use --delete-method expunge" in result.err
    result = mailarchive(*words)
    assert result.code == 10
    assert [run.target.name for run in runs] == ["two"]
    assert f'so --keep-under cannot go with delete_method = "{method}"\n' in result.err
    assert mailarchive(*words, "home", "--delete-method", "expunge").code == 0
    assert mailarchive("backup", "--keep-under", "80", "--no-delete").code == 0, (
        "where nothing is deleted, it is harmless"
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_f130_a_day_to_come_is_no_cut_off(runs: list[Resolved], home: Path, command: tuple[str, ...]) -> None:
    """Mail that nobody has seen would be deleted; a backup alone may have it, and today is over soon enough."""
    asked = configure(home)
    tomorrow = f"{now() + dt.timedelta(days=1):%Y-%m-%d}"
    result = mailarchive(*command, "--yes", "--before", tomorrow)
    assert (result.code, runs) == (2, [])
    assert f"--before {tomorrow} is in the future: mail that has not come yet would be deleted too" in result.err
    assert not asked.exists()
    assert mailarchive(*command, "--yes", "--before", f"{now():%Y-%m-%d}").code == 0
    assert mailarchive("backup", "--before", tomorrow).code == 0


@pytest.mark.parametrize(
    "words",
    [
        ("--delete-method", "trash"),
        ("--max-delete", "5"),
        ("--keep-flagged",),
        ("--no-keep-flagged",),
        ("--keep-unread",),
        ("--min-copies-age", "1d"),
        ("--include-restored",),
    ],
)
def test_options_about_deleting_go_with_delete(runs: list[Resolved], home: Path, words: tuple[str, ...]) -> None:
    """Who types them expects something to be deleted, or to be kept from that."""
    configure(home, more=f'[account.two]\nserver = "{URL}"\nolder_than = "1y"\ndelete = true\n')
    name = words[0].replace("--no-", "--")
    for off in ((), ("--no-delete",)):
        result = mailarchive("backup", "home", *OLD, *words, *off)
        assert (result.code, runs) == (2, [])
        assert f"error: {name} goes with --delete, and nothing is to be deleted here" in result.err
        assert "hint: add --delete" in result.err
    assert mailarchive("backup", "home", *OLD, *words, "--delete", "--yes").code == 0
    assert mailarchive("backup", *OLD, *words).code == 0, "one of the accounts deletes"


def test_the_environment_and_a_yes_need_no_deletion(
    runs: list[Resolved], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit that stands in a profile for all runs disturbs none, and a yes to a question not asked says nothing."""
    configure(home)
    monkeypatch.setenv("MAILARCHIVE_BACKUP_MAX_DELETE", "100")
    assert mailarchive("backup", *OLD, "--yes").code == 0
    assert runs[0].deletion is None


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["backup", *OLD, "--delete", "-y", "--delete-method", "gmail"], "--delete-method"),
        (["backup", *OLD, "--delete", "-y", "--max-delete", "0"], "--max-delete"),
        (["backup", *OLD, "--delete", "-y", "--max-delete", "all"], "--max-delete"),
        (["backup", *OLD, "--delete", "-y", "--min-copies-age", "1"], "--min-copies-age '1': a unit is missing"),
        (["prune", *OLD, "-y", "--min-copies-age", "5M"], "--min-copies-age '5M': is that months?"),
        (["prune", *OLD, "-y", "--delete"], "no such option"),
        (["prune", *OLD, "-y", "--no-delete"], "no such option"),
        (["prune", *OLD, "-y", "--to", "x"], "no such option"),
        (["backup", *OLD, "--archive", "x"], "no such option"),
        (["prune", URL, *OLD, "-y"], "where is its archive?"),
        (["prune", "home", *OLD, "-y", "--archive", "x"], "--archive goes with a url"),
        (["prune", URL, "home", *OLD, "-y", "--archive", "x"], "a url stands alone"),
    ],
)
def test_what_cannot_be_read_is_refused(runs: list[Resolved], home: Path, words: list[str], what: str) -> None:
    """One line, a hint, exit 2."""
    asked = configure(home)
    result = mailarchive(*words)
    assert (result.code, result.out, runs) == (2, "", [])
    assert what.lower() in result.err.lower()
    assert not asked.exists()


# Consent without a terminal


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("how", [(), ("--json",), ("--no-input",), ("-q",)])
def test_f131_without_a_terminal_a_yes_is_needed_before_anything_begins(
    runs: list[Resolved], home: Path, command: tuple[str, ...], how: tuple[str, ...]
) -> None:
    """Exit 2 without a connection or a password; --yes and a dry run are fine."""
    asked = configure(home)
    result = mailarchive(*command, *OLD, *how)
    assert (result.code, runs) == (2, [])
    why = "nobody may be asked" if how in {("--json",), ("--no-input",)} else "there is no terminal to ask at"
    assert f"error: home: deleting needs a yes, and {why}\n" in result.err
    assert (result.out == "") is (how != ("--json",))
    assert "hint: add --yes, or delete = true to the account home" in result.err
    assert not asked.exists()
    assert mailarchive(*command, *OLD, *how, "--yes").code == 0
    assert mailarchive(*command, *OLD, *how, "--dry-run").code == 0


@pytest.mark.parametrize("command", [("backup",), *COMMANDS])
def test_f131_a_yes_in_the_configuration_is_one(runs: list[Resolved], home: Path, command: tuple[str, ...]) -> None:
    """`delete = true`, for a backup with and without --delete, and for prune."""
    configure(home, "delete = true")
    assert mailarchive(*command, *OLD).code == 0
    assert runs[0].removal.asks is False


def test_a_one_off_has_no_configuration_to_say_yes(runs: list[Resolved], tmp_path: Path) -> None:
    """The hint does not send the user there, and no archive is made."""
    result = mailarchive("backup", URL, "--to", tmp_path / "a", "--delete", *OLD)
    assert (result.code, runs) == (2, [])
    assert "hint: add --yes\n" in result.err
    assert list(tmp_path.iterdir()) == []
