"""`--shard I/N`: machines that never talk to each other share the accounts out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailarchive.cli.crowd import shard_of
from tests.command import mailarchive

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.resolved import Resolved

NAMES = ("home", "work", "oldisp", "uni", "club", "b.u-r_o")


@pytest.fixture
def accounts(home: Path) -> tuple[str, ...]:
    """Configure six accounts."""
    file = home / ".config" / "mailarchive" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(
        "".join(f'[account."{n}"]\nserver = "imaps://imap.example.org"\nuser = "{i}"\n' for i, n in enumerate(NAMES)),
        encoding="utf-8",
    )
    file.chmod(0o600)
    return NAMES


@given(st.sets(st.text(min_size=1), max_size=40), st.integers(1, 50))
def test_shards_part_the_accounts(names: set[str], shards: int) -> None:
    """Each account is in exactly one of the shards from 0 to N-1, whatever other accounts there are."""
    parts = [{name for name in names if shard_of(name, shards) == part} for part in range(shards)]
    assert set().union(*parts) == names
    assert sum(map(len, parts)) == len(names)


@pytest.mark.parametrize(
    ("name", "shards", "part"),
    [("home", 1, 0), ("home", 4, 0), ("home", 1000, 604), ("work", 1000, 398), ("Büro", 1000, 289)],
)
def test_the_shard_of_an_account_never_changes(name: str, shards: int, part: int) -> None:
    """Written down once: a machine with another version must not choose otherwise."""
    assert shard_of(name, shards) == part


@pytest.mark.parametrize("command", ["backup", "prune"])
def test_the_shards_of_a_command_are_all_accounts_once(
    command: str, accounts: tuple[str, ...], runs: list[Resolved]
) -> None:
    """In three calls, as on three machines."""
    for part in range(3):
        assert mailarchive(command, "--shard", f"{part}/3", "--older-than", "1y", "--dry-run").code == 0
    assert sorted(run.target.name for run in runs) == sorted(accounts)


def test_a_shard_of_the_accounts_that_are_named(accounts: tuple[str, ...], runs: list[Resolved]) -> None:
    """The others stay out."""
    for part in range(2):
        assert mailarchive("backup", *accounts[:2], "--shard", f"{part}/2").code == 0
    assert sorted(run.target.name for run in runs) == sorted(accounts[:2])


def test_an_empty_shard_is_no_error(accounts: tuple[str, ...], runs: list[Resolved]) -> None:
    """Code 0, also with options about deleting, which mean something to the other shards; JSON ends as always."""
    empty = next(n for n in range(1000) if all(shard_of(name, 1000) != n for name in accounts))
    result = mailarchive("prune", "--shard", f"{empty}/1000", "--older-than", "1y", "--keep-unread", "--jobs", "2")
    assert (result.code, result.out, result.err, runs) == (0, "0 accounts: 0 done, 0 with trouble\n", "", [])
    end = mailarchive("--json", "backup", "--shard", f"{empty}/1000").end
    assert (end["accounts"], end["exit_code"]) == ([], 0)


@pytest.mark.parametrize(
    ("text", "what", "hint"),
    [
        ("3", "not a part of a number of parts", "0/4, 1/4, 2/4 and 3/4"),
        ("a/4", "not a part", "0/4"),
        ("-1/4", "not a part", "0/4"),
        ("1/4/2", "not a part", "0/4"),
        ("1 /4", "not a part", "0/4"),
        ("\u0661/4", "not a part", "0/4"),
        ("4/4", "the parts are counted from 0", "use 0/4 to 3/4"),
        ("1/1", "the parts are counted from 0", "use 0/1"),
        ("0/0", "there must be one part at least", "use 0/1"),
        ("\x1b[31m/4", "not a part", "0/4"),
    ],
)
def test_a_shard_that_cannot_be(text: str, what: str, hint: str, accounts: tuple[str, ...]) -> None:
    """Exit 2, one line and a hint."""
    assert accounts
    result = mailarchive("backup", "--shard", text)
    assert (result.code, result.out) == (2, "")
    error, advice = result.err.splitlines()
    assert error.startswith("mailarchive: error: --shard ")
    assert what in error
    assert advice.startswith("hint: ")
    assert hint in advice
    assert "\x1b" not in result.err


def test_a_url_has_no_shard(tmp_path: Path) -> None:
    """It is no account of the configuration."""
    result = mailarchive("backup", "imaps://me@imap.example.org", "--to", tmp_path / "a", "--shard", "0/2")
    assert result.code == 2
    assert "a URL is none" in result.err
