"""What a configuration says about deleting (`interface.md` sections 6 and 9)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from mailarchive.config import DeletionKeys, load
from mailarchive.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from mailarchive.config import Config

SERVER = 'server = "imaps://me@imap.example.org"\n'
ALL = """\
delete = true
delete_method = "trash"
keep_flagged = false
keep_unread = true
min_copies_age = "1m2w"
max_delete = 500
"""
READ = DeletionKeys(
    delete=True,
    delete_method="trash",
    keep_flagged=False,
    keep_unread=True,
    min_copies_age="1m2w",
    max_delete=500,
)


def read(folder: Path, text: str) -> Config:
    """Load a text."""
    path = folder / "config.toml"
    path.write_text(text)
    path.chmod(0o600)
    return load(path, environ={"HOME": "/home/me"})


def deletion(folder: Path, account: str, defaults: str = "") -> DeletionKeys:
    """Give what the account `a` says with these keys and defaults."""
    return read(folder, f"[defaults]\n{defaults}\n[account.a]\n{SERVER}{account}").accounts["a"].deletion


def test_nothing_is_said_by_itself(tmp_path: Path) -> None:
    """None of everything, and so nothing is deleted."""
    assert deletion(tmp_path, "") == DeletionKeys(None, None, None, None, None, None)


def test_every_key_is_read_from_both_places(tmp_path: Path) -> None:
    """From the account, and from the defaults where the account says nothing."""
    assert deletion(tmp_path, ALL) == READ
    assert deletion(tmp_path, "", ALL) == READ
    assert deletion(tmp_path, 'older_than = "1y"\n', ALL) == READ


def test_the_account_comes_before_the_defaults_key_by_key(tmp_path: Path) -> None:
    """Also where it says false: that is something, and not nothing."""
    found = deletion(tmp_path, 'delete = false\nkeep_flagged = true\ndelete_method = "auto"\nmax_delete = 1\n', ALL)
    assert found == DeletionKeys(
        delete=False,
        delete_method="auto",
        keep_flagged=True,
        keep_unread=True,
        min_copies_age="1m2w",
        max_delete=1,
    )


@pytest.mark.parametrize("method", ["auto", "expunge", "trash", "mark", "exclusive"])
def test_every_method_of_the_command_line_is_known(tmp_path: Path, method: str) -> None:
    """The words of --delete-method."""
    assert deletion(tmp_path, f'delete_method = "{method}"').delete_method == method


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("delete = 'yes'", "delete: expected true or false, got a text", "write delete = true"),
        ("delete = 1", "delete: expected true or false, got a number", "write delete = true"),
        ("delete = []", "delete: expected true or false, got a list", "write delete = true"),
        ("keep_flagged = 'no'", "keep_flagged: expected true or false, got a text", "write keep_flagged = true"),
        ("keep_unread = 0", "keep_unread: expected true or false, got a number", "write keep_unread = true"),
        ("max_delete = 0", "max_delete: expected a whole number from 1, got 0", "write max_delete = 500"),
        ("max_delete = -5", "max_delete: expected a whole number from 1, got -5", "write max_delete = 500"),
        ("max_delete = 1.5", "max_delete: expected a whole number from 1, got 1.5", "write max_delete = 500"),
        ("max_delete = 100.0", "max_delete: expected a whole number from 1, got 100.0", "write max_delete = 500"),
        ("max_delete = true", "max_delete: expected a whole number from 1, got true or false", "max_delete = 500"),
        ("max_delete = '9'", "max_delete: expected a whole number from 1, got a text", "write max_delete = 500"),
        ("max_delete = inf", "max_delete: expected a whole number from 1, got inf", "write max_delete = 500"),
        (f"max_delete = -{'9' * 4000}", "max_delete: expected a whole number from 1, got -9999", "max_delete = 500"),
        ("delete_method = 'gmail'", "delete_method: unknown delete_method 'gmail'", "'auto' or 'expunge' or 'trash'"),
        ("delete_method = 'Trash'", "delete_method: unknown delete_method 'Trash'", "'trash'"),
        ("delete_method = true", "delete_method: expected a text, got true or false", "delete_method ="),
        ("min_copies_age = '1'", "min_copies_age: '1': a unit is missing", "30d"),
        ("min_copies_age = '10min'", "min_copies_age: '10min': the smallest unit is a day", "30d"),
        ("min_copies_age = 30", "min_copies_age: expected a text, got a number", "min_copies_age ="),
        ("delet = true", "delet: unknown key", "did you mean 'delete'?"),
        ("deletion_method = 'x'", "deletion_method: unknown key", "did you mean 'delete_method'?"),
        ("keep_flaged = true", "keep_flaged: unknown key", "did you mean 'keep_flagged'?"),
        ("keep-unread = true", "keep-unread: unknown key", "did you mean 'keep_unread'?"),
        ("max_deletes = 5", "max_deletes: unknown key", "did you mean 'max_delete'?"),
        ("min_copy_age = '1d'", "min_copy_age: unknown key", "did you mean 'min_copies_age'?"),
        ("include_restored = true", "include_restored: unknown key", "the keys are"),
        ("yes = true", "yes: unknown key", "the keys are"),
    ],
)
@pytest.mark.parametrize("place", ["account.a", "defaults"])
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, place: str, line: str, message: str, hint: str) -> None:
    """In an account and in the defaults; a yes that is not clearly one is none."""
    text = f"[account.a]\n{SERVER}" if place == "account.a" else "[defaults]\n#\n"
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, f"{text}{line}\n")
    assert caught.value.message.startswith(f"config.toml:3: {place}.{message}")
    assert "\n" not in caught.value.message
    assert hint in caught.value.hint


def test_thousands_of_accounts_with_defaults_load_quickly(tmp_path: Path) -> None:
    """Defaults are read once."""
    start = time.monotonic()
    config = read(tmp_path, f"[defaults]\n{ALL}" + "".join(f"[account.a{n}]\n{SERVER}" for n in range(2000)))
    assert all(account.deletion == READ for account in config.accounts.values())
    assert time.monotonic() - start < 5
