"""Where each setting of an account comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mailarchive.config import written
from mailarchive.config_origins import Setting, settings
from tests.core.test_config import write

if TYPE_CHECKING:
    from pathlib import Path

TEXT = """\
archive = "~/Mail"
[defaults]
older_than = "1y"
keep_unread = true
[account.home]
server = "imaps://me@imap.example.org"
password_command = "pass show home"
max_delete = 7
delete = true
[account.other]
server = "imaps://imap.example.net"
user = "me"
archive = "/srv/other"
mailboxes = ["*"]
oauth = { provider = "microsoft", client_id = "abc" }
[account.third]
server = "imap+tunnel:"
tunnel = ["ssh", "h"]
"""


def found(folder: Path, account: str, **environ: str) -> dict[str, Setting]:
    """Give the settings of an account by their keys, each of which is there once."""
    environ = {"HOME": "/home/me", **environ}
    read = written(write(folder, TEXT), environ=environ)
    rows = settings(read, read.config.accounts[account], environ)
    assert len({row.key for row in rows}) == len(rows)
    return {row.key: row for row in rows}


@pytest.mark.parametrize(
    ("account", "key", "value", "origin", "line"),
    [
        ("home", "server", "imaps://imap.example.org", "account", 6),
        ("home", "user", "me", "account", 6),
        ("other", "user", "me", "account", 12),
        ("home", "archive", "/home/me/Mail/home", "top level", 1),
        ("other", "archive", "/srv/other", "account", 13),
        ("home", "password_command", "pass show home", "account", 7),
        ("home", "older_than", "1y", "[defaults]", 3),
        ("home", "keep_unread", True, "[defaults]", 4),
        ("home", "max_delete", 7, "account", 8),
        ("home", "delete", True, "account", 9),
        ("other", "delete", False, "built-in", None),
        ("other", "mailboxes", ["*"], "account", 14),
        ("home", "mailboxes", None, "built-in", None),
        ("home", "delete_method", "auto", "built-in", None),
        ("other", "oauth.client_id", "abc", "account", 15),
        ("home", "ca_file", None, "built-in", None),
        ("third", "tunnel", ["ssh", "h"], "account", 18),
    ],
)
def test_each_key_names_its_line(
    tmp_path: Path, account: str, key: str, value: Any, *, origin: str, line: int | None
) -> None:
    """An account comes before [defaults], and these before what is built in."""
    assert found(tmp_path, account)[key] == Setting(key, value, origin, line=line)


@pytest.mark.parametrize(
    ("variable", "text", "key", "value"),
    [
        ("MAILARCHIVE_BACKUP_OLDER_THAN", "2y", "older_than", "2y"),
        ("MAILARCHIVE_BACKUP_BEFORE", "2024", "before", "2024"),
        ("MAILARCHIVE_BACKUP_MAILBOX", "INBOX,Sent Mail", "mailboxes", ["INBOX", "Sent Mail"]),
        ("MAILARCHIVE_BACKUP_DELETE", "0", "delete", False),
        ("MAILARCHIVE_BACKUP_NO_DELETE", "1", "delete", False),
        ("MAILARCHIVE_BACKUP_KEEP_UNREAD", "yes", "keep_unread", True),
        ("MAILARCHIVE_BACKUP_MAX_DELETE", "9", "max_delete", "9"),
        ("MAILARCHIVE_BACKUP_CA_FILE", "ca.pem", "ca_file", "ca.pem"),
        ("MAILARCHIVE_BACKUP_PASSWORD_FILE", "p", "password_file", "p"),
        ("MAILARCHIVE_HOME_PASSWORD", "canary", "password", "***"),
    ],
)
def test_a_variable_comes_before_the_file(tmp_path: Path, variable: str, text: str, key: str, value: Any) -> None:
    """By its name; a password in it is not shown."""
    assert found(tmp_path, "home", **{variable: text})[key] == Setting(key, value, "environment", variable)


def test_a_variable_that_says_nothing_changes_nothing(tmp_path: Path) -> None:
    """Empty ones are as if they were not there, and a no to a no is nothing."""
    rows = found(tmp_path, "home", MAILARCHIVE_BACKUP_OLDER_THAN="", MAILARCHIVE_BACKUP_NO_DELETE="0")
    assert rows == found(tmp_path, "home")


def test_only_what_the_sign_in_would_use_is_shown(tmp_path: Path) -> None:
    """A password that is given takes the place of the command of the account; systemd's place of it is named."""
    given = found(tmp_path, "home", MAILARCHIVE_HOME_PASSWORD="canary")
    assert "password_command" not in given
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "mailarchive.other.password").write_text("canary")
    rows = found(tmp_path, "other", CREDENTIALS_DIRECTORY=str(folder))
    assert rows["password"].value == "***"
    assert rows["password"].variable == "CREDENTIALS_DIRECTORY/mailarchive.other.password"
    assert not any(key.startswith("oauth") for key in rows)
    third = found(tmp_path, "third", MAILARCHIVE_THIRD_PASSWORD="canary", MAILARCHIVE_BACKUP_CA_FILE="x")
    assert not {"password", "ca_file"} & set(third)
