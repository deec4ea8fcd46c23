"""What `backup` and `prune` make of options, environment and configuration about deleting."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import click
import pytest

from mailarchive.cli import cli
from mailarchive.cli.zone import now
from mailarchive.errors import ExitCode
from mailarchive.model import Method
from tests.cli.resolved import OLD, configure, deletion_of
from tests.command import mailarchive

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.resolved import Resolved


# Whether


@pytest.mark.parametrize(
    ("keys", "defaults", "environ", "words", "deletes"),
    [
        ("", "", None, [], False),
        ("", "", None, ["--delete", "--yes"], True),
        ("", "", "1", ["--yes"], True),
        ("", "", "true", ["--no-delete"], False),
        ("delete = true", "", None, [], True),
        ("delete = true", "", None, ["--no-delete"], False),
        ("delete = true", "", "false", [], False),
        ("delete = false", "delete = true", None, [], False),
        ("", "delete = true", None, [], True),
        ("delete = false", "", "yes", ["--yes"], True),
        ("delete = false", "delete = false", "0", ["--delete", "-y"], True),
    ],
)
def test_flag_environment_account_defaults_built_in(
    runs: list[Resolved],
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    keys: str,
    defaults: str,
    environ: str | None,
    words: list[str],
    deletes: bool,
) -> None:
    """In this order; nothing is deleted if nobody says so."""
    configure(home, keys, defaults)
    if environ is not None:
        monkeypatch.setenv("MAILARCHIVE_BACKUP_DELETE", environ)
    assert mailarchive("backup", *OLD, *words).code == 0
    assert (runs[0].deletion is not None) is deletes


def test_prune_deletes_without_being_told_twice(runs: list[Resolved], home: Path) -> None:
    """Also where the account says no: who types prune means it."""
    configure(home, "delete = false")
    assert mailarchive("prune", *OLD, "--yes").code == 0
    assert deletion_of(runs).from_config is False


# How


@pytest.mark.parametrize("command", ["backup", "prune"])
def test_nothing_said_means_the_careful_way(runs: list[Resolved], home: Path, command: str) -> None:
    """Method auto, flagged mail stays, unread mail goes, no age, no limit, what was put back stays."""
    configure(home, "delete = true")
    assert mailarchive(command, *OLD).code == 0
    deletion, policy = deletion_of(runs), runs[0].policy
    assert (deletion.method, deletion.max_delete, deletion.archived_before) == (Method.AUTO, None, None)
    assert (policy.keep_flagged, policy.keep_unread, policy.keep_put_back) == (True, False, True)


KEYS = 'delete = true\ndelete_method = "trash"\nkeep_flagged = false\nkeep_unread = true\nmax_delete = 5\n'
DEFAULTS = 'delete_method = "mark"\nkeep_flagged = true\nkeep_unread = false\nmax_delete = 6\n'
FLAGS = ("--delete-method", "expunge", "--keep-flagged", "--no-keep-unread", "--max-delete", "7")
ENVIRON = {"DELETE_METHOD": "exclusive", "KEEP_FLAGGED": "1", "KEEP_UNREAD": "0", "MAX_DELETE": "8"}


@pytest.mark.parametrize("command", ["backup", "prune"])
@pytest.mark.parametrize(
    ("environ", "keys", "words", "expected"),
    [
        (False, "delete = true", (), (Method.MARK, True, False, 6)),
        (False, KEYS, (), (Method.TRASH, False, True, 5)),
        (True, KEYS, (), (Method.EXCLUSIVE, True, False, 8)),
        (True, KEYS, FLAGS, (Method.EXPUNGE, True, False, 7)),
        (True, KEYS, ("--no-keep-flagged", "--keep-unread"), (Method.EXCLUSIVE, False, True, 8)),
    ],
)
def test_how_follows_the_same_order(
    runs: list[Resolved],
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    command: str,
    environ: bool,
    keys: str,
    words: tuple[str, ...],
    expected: tuple[Method, bool, bool, int],
) -> None:
    """Each option by itself: flag, environment, account, defaults."""
    configure(home, keys, DEFAULTS)
    for name, value in ENVIRON.items() if environ else ():
        monkeypatch.setenv(f"MAILARCHIVE_{command.upper()}_{name}", value)
    assert mailarchive(command, *OLD, *words).code == 0
    deletion, policy = deletion_of(runs), runs[0].policy
    assert (deletion.method, policy.keep_flagged, policy.keep_unread, deletion.max_delete) == expected


def test_what_was_put_back_goes_only_if_that_is_said(runs: list[Resolved], home: Path) -> None:
    """--include-restored."""
    configure(home, "delete = true")
    assert mailarchive("backup", *OLD, "--include-restored").code == 0
    assert runs[0].policy.keep_put_back is False


@pytest.mark.parametrize(
    ("keys", "words", "days"),
    [
        ("", ["--min-copies-age", "2w"], 14),
        ("min_copies_age = '30d'", [], 30),
        ("min_copies_age = '30d'", ["--min-copies-age", "1d"], 1),
    ],
)
def test_the_age_of_a_copy_counts_back_from_the_start_of_today(
    runs: list[Resolved], home: Path, keys: str, words: list[str], days: int
) -> None:
    """Like every age, and so at least as old as was asked for."""
    configure(home, f"delete = true\n{keys}")
    before = now().date()
    assert mailarchive("backup", *OLD, *words).code == 0
    found = deletion_of(runs).archived_before
    assert found is not None
    assert found.date() in {before - dt.timedelta(days=days), now().date() - dt.timedelta(days=days)}
    assert (found.hour, found.minute) == (0, 0)


@pytest.mark.parametrize(
    ("keys", "words", "from_config"),
    [
        ("delete = true", [], True),
        ("delete = true\ndelete_method = 'expunge'", [], True),
        ("delete = true", ["--delete-method", "expunge"], False),
        ("", ["--delete", "-y"], False),
        ("delete_method = 'expunge'", ["--delete", "-y"], True),
        ("delete_method = 'expunge'", ["--delete", "-y", "--delete-method", "mark"], False),
    ],
)
def test_who_asked_for_the_method_is_remembered(
    runs: list[Resolved], home: Path, keys: str, words: list[str], from_config: bool
) -> None:
    """It decides between exit 2 and exit 10 if the server cannot do it."""
    configure(home, keys)
    assert mailarchive("backup", *OLD, *words).code == 0
    assert deletion_of(runs).from_config is from_config


@pytest.mark.parametrize(
    ("defaults", "words", "relative"),
    [
        ("", OLD, True),
        ("", ("--newer-than", "1y"), True),
        ("older_than = '1y'", (), True),
        ("older_than = '1y'", ("--before", "2020"), False),
        ("older_than = '1y'", ("--after", "2001"), True),
        ("", ("--after", "2020"), False),
        ("", ("--older-than", "1y", "--after", "2001"), True),
        ("", ("--larger-than", "1M"), False),
    ],
)
def test_a_cut_off_that_counts_from_now_is_known_as_one(
    runs: list[Resolved], home: Path, defaults: str, words: tuple[str, ...], relative: bool
) -> None:
    """Only such a one is in danger from a wrong clock."""
    configure(home, "", defaults)
    assert mailarchive("backup", *words).code == 0
    assert runs[0].policy.relative is relative


@pytest.mark.parametrize(
    ("words", "years"),
    [
        ((), 2),
        (("--newer-than", "9y"), 2),
        (("--after", "2001"), 2),
        (("--older-than", "3y"), 3),
        (("--older-than", "3y", "--newer-than", "9y"), 3),
        (("--before", "2020"), None),
    ],
)
def test_only_another_end_takes_the_place_of_the_age_of_the_account(
    runs: list[Resolved], home: Path, words: tuple[str, ...], years: int | None
) -> None:
    """A beginning does not: mail that the account wants to stay would be deleted."""
    configure(home, "delete = true\nolder_than = '2y'")
    assert mailarchive("backup", *words).code == 0
    before = runs[0].policy.before
    assert before is not None
    year = 2020 if years is None else now().year - years
    assert before.year == year


# The environment

NEGATIVE = [
    (("backup", "--yes", *OLD), "NO_DELETE", "delete = true", "deletion", None),
    (("prune", "--yes"), "UNSEEN", "", "seen", False),
    (("prune", "--yes"), "UNFLAGGED", "", "flagged", False),
    (("prune", "--yes", *OLD), "NO_KEEP_FLAGGED", "keep_flagged = true", "keep_flagged", False),
    (("prune", "--yes", *OLD), "NO_KEEP_UNREAD", "keep_unread = true", "keep_unread", False),
]


def value(run: Resolved, name: str) -> object:
    """Give what came of an option: of the policy, or whether there is a deletion."""
    return run.deletion if name == "deletion" else getattr(run.policy, name)


@pytest.mark.parametrize(("words", "variable", "keys", "name", "expected"), NEGATIVE)
def test_the_environment_may_say_no(
    runs: list[Resolved],
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    words: tuple[str, ...],
    variable: str,
    keys: str,
    name: str,
    expected: object,
) -> None:
    """By the negative name of an option, as on the command line; an option that is typed comes before it."""
    configure(home, keys)
    monkeypatch.setenv(f"MAILARCHIVE_{words[0].upper()}_{variable}", "1")
    assert mailarchive(*words).code == 0
    assert value(runs[0], name) == expected
    negative = f"--{variable.lower().replace('_', '-')}"
    positive = negative.replace("--no-", "--").replace("--un", "--")
    assert mailarchive(*words, positive).code == 0
    assert value(runs[1], name) != expected


@pytest.mark.parametrize(("words", "variable", "keys", "name", "expected"), NEGATIVE)
def test_a_no_that_is_denied_says_nothing(
    runs: list[Resolved],
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    words: tuple[str, ...],
    variable: str,
    keys: str,
    name: str,
    expected: object,
) -> None:
    """`MAILARCHIVE_BACKUP_NO_DELETE=0` asks for no deletion, and an empty variable is none."""
    configure(home, keys)
    for text in ("0", ""):
        monkeypatch.setenv(f"MAILARCHIVE_{words[0].upper()}_{variable}", text)
        assert mailarchive(*words, *OLD).code == 0
        assert value(runs[-1], name) != expected
    configure_again = home / ".config" / "mailarchive" / "config.toml"
    configure_again.write_text(configure_again.read_text().replace("delete = true", ""))
    monkeypatch.setenv("MAILARCHIVE_BACKUP_NO_DELETE", "0")
    assert mailarchive("backup", *OLD).code == 0
    assert runs[-1].deletion is None


@pytest.mark.parametrize(
    ("command", "yes", "no"),
    [
        ("backup", "DELETE", "NO_DELETE"),
        ("prune", "SEEN", "UNSEEN"),
        ("prune", "FLAGGED", "UNFLAGGED"),
        ("prune", "KEEP_FLAGGED", "NO_KEEP_FLAGGED"),
        ("prune", "KEEP_UNREAD", "NO_KEEP_UNREAD"),
    ],
)
def test_a_yes_and_a_no_in_the_environment_are_refused(
    runs: list[Resolved], home: Path, monkeypatch: pytest.MonkeyPatch, *, command: str, yes: str, no: str
) -> None:
    """Exit 2; both variables are named. Two that say the same are fine."""
    configure(home)
    prefix = f"MAILARCHIVE_{command.upper()}_"
    monkeypatch.setenv(prefix + no, "true")
    monkeypatch.setenv(prefix + yes, "1")
    result = mailarchive(command, *OLD, "--yes")
    assert (result.code, runs) == (2, [])
    assert f"error: {prefix}{yes} and {prefix}{no} contradict each other\nhint: unset one of them" in result.err
    monkeypatch.setenv(prefix + yes, "0")
    assert mailarchive(command, *OLD, "--yes").code == 0
    monkeypatch.setenv(prefix + no, "perhaps")
    result = mailarchive(command, *OLD, "--yes")
    assert result.code == 2
    assert "'perhaps' is not a valid boolean" in result.err


# What does not delete, and what takes no password


def test_a_comparison_with_the_server_deletes_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`verify --server` makes the plan of a backup of everything, whatever the account wants deleted."""
    from mailarchive.cli import verifying

    seen: list[object] = []

    def record(*_: object, **options: object) -> ExitCode:
        seen.append((options["dry_run"], options.get("removal")))
        return ExitCode.DONE

    monkeypatch.setattr(verifying, "run_backup", record)
    monkeypatch.setattr(verifying, "run_verify", lambda *_: ExitCode.DONE)
    configure(home, "delete = true")
    assert mailarchive("verify", "home", "--server").code == 0
    assert seen == [(True, None)]


def test_no_option_takes_a_password() -> None:
    """It would stand in the history of the shell and in the list of processes."""
    for name, command in cli.commands.items():
        for parameter in command.params:
            words = {word for option in parameter.opts for word in option.strip("-").split("-")}
            secret = words & {"password", "passwd", "pass", "pw", "token", "secret"}
            names_a_place = str(parameter.name).endswith(("_command", "_file"))
            takes_nothing = isinstance(parameter, click.Option) and parameter.is_flag
            assert not secret or names_a_place or takes_nothing, (name, parameter.opts)
            assert not (isinstance(parameter, click.Option) and parameter.hide_input), (name, parameter.opts)


@pytest.mark.parametrize("command", ["backup", "prune"])
def test_both_commands_choose_mail_by_the_same_options(command: str) -> None:
    """`interface.md` section 5, and section 6 but for --delete."""
    names = {str(parameter.name) for parameter in cli.commands[command].params}
    other = {str(parameter.name) for parameter in cli.commands["prune" if command == "backup" else "backup"].params}
    here = {"to", "delete", "format", "layout", "index", "max_bytes", "textfile"}
    assert names - other == (here if command == "backup" else {"archive"})
