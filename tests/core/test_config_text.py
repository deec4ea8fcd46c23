"""An account added to a configuration (`mailarchive.config_text`, `mailarchive.config_writing`)."""

from __future__ import annotations

import os
import stat
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailarchive.address import parse_url
from mailarchive.config import load
from mailarchive.config_text import HEAD, NewAccount, text, with_account
from mailarchive.config_values import OAuthKeys
from mailarchive.config_writing import Draft, write_password
from mailarchive.errors import ConfigError, DiskError
from mailarchive.secret import Secret

if TYPE_CHECKING:
    from pathlib import Path

SERVER = parse_url("imaps://imap.example.org", user="me@example.org")
BEFORE = '# mine\n[defaults]\nolder_than = "2y"\n\n[account.old]  # the first\nserver = "imaps://a@b.example"\n'


def names(folder: Path) -> list[str]:
    """Name what is in a folder."""
    return [path.name for path in folder.iterdir()]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_text_reads_back_as_it_was(value: str) -> None:
    """Quotes, backslashes, controls, line ends, emoji: the line is one line, and nothing in it can steer a terminal."""
    written = text(value)
    assert tomllib.loads(f"x = {written}") == {"x": value}
    assert written.isprintable()


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, {}),
        ({"password_command": "pass show 'a b' | head -1 # \"x\"\\"}, {}),
        ({"password_file": "~/pw"}, {}),
        ({"keyring": True}, {}),
        ({"archive": "/mnt/usb/mail", "older_than": "18m", "format": "mbox", "ca_file": "/ca.pem"}, {}),
        (
            {"oauth": OAuthKeys(provider="google", client_id="c", client_secret_command="pass x", scopes=("a", "b"))},
            {
                "oauth": {
                    "provider": "google",
                    "client_id": "c",
                    "client_secret_command": "pass x",
                    "scopes": ["a", "b"],
                }
            },
        ),
        ({"oauth": OAuthKeys(token_command="oama x")}, {"oauth": {"token_command": "oama x"}}),
    ],
)
def test_an_account_reads_back(keys: dict[str, Any], expected: dict[str, Any], tmp_path: Path) -> None:
    """Every key that was given, none that was not, and the reader finds nothing wrong."""
    account = NewAccount("new.one", SERVER, **keys)
    written = with_account("", account)
    assert written.startswith(HEAD)
    wanted = {"server": "imaps://imap.example.org", "user": "me@example.org", **keys, **expected}
    assert tomllib.loads(written) == {"account": {"new.one": wanted}}
    draft = Draft(tmp_path / "config.toml", os.environ)
    draft.write(account)
    (found,) = load(tmp_path / "config.toml", environ=os.environ).accounts.values()
    assert (found.name, found.address, found.older_than) == ("new.one", SERVER, keys.get("older_than"))


@pytest.mark.parametrize(
    "before",
    [BEFORE, BEFORE.rstrip("\n"), "\ufeff" + BEFORE, BEFORE.replace("\n", "\r\n"), BEFORE + "# end", "# only\n"],
)
def test_what_stands_there_stays(before: str, tmp_path: Path) -> None:
    """Octet for octet, comments and line ends too; the mode too; the new account comes behind it."""
    path = tmp_path / "config.toml"
    path.write_bytes(before.encode())
    path.chmod(0o640)
    Draft(path, os.environ).write(NewAccount("new", SERVER))
    after = path.read_bytes()
    assert after.startswith(before.encode())
    assert ("\r\n" in before) == (b'\r\n[account.new]\r\nserver = "' in after)
    assert list(load(path, environ=os.environ).accounts)[-1] == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert names(tmp_path) == ["config.toml"]


def test_a_new_file_is_closed_to_others(tmp_path: Path) -> None:
    """The file and the folder, whatever the umask says."""
    mask = os.umask(0)
    try:
        Draft(tmp_path / "a" / "config.toml", os.environ).write(NewAccount("new", SERVER))
        write_password(tmp_path / "b" / "password", Secret("geheim-4711"))
    finally:
        os.umask(mask)
    for path in (tmp_path / "a" / "config.toml", tmp_path / "b" / "password"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert (tmp_path / "b" / "password").read_text() == "geheim-4711\n"


def test_a_link_to_a_configuration_stays_a_link(tmp_path: Path) -> None:
    """Of people who keep their configurations in one repository."""
    real, path = tmp_path / "dotfiles.toml", tmp_path / "config.toml"
    real.write_text(BEFORE)
    path.symlink_to(real)
    Draft(path, os.environ).write(NewAccount("new", SERVER))
    assert path.is_symlink()
    assert "[account.new]" in real.read_text()


@pytest.mark.parametrize(
    ("before", "account", "why"),
    [
        (BEFORE, NewAccount("old", SERVER), "there twice"),
        (BEFORE, NewAccount("OLD", SERVER), "only in case"),
        (BEFORE, NewAccount("a/b", SERVER), "cannot be the name"),
        (BEFORE, NewAccount("new", SERVER, archive="~/Mail/archive/old"), "the archive of account.old"),
        ('account = { old = { server = "imaps://a@b.example" } }\n', NewAccount("new", SERVER), "cannot be added"),
        (BEFORE, NewAccount("new", SERVER, older_than="1M"), "is that months"),
    ],
)
def test_what_would_not_be_right_is_not_written(before: str, account: NewAccount, why: str, tmp_path: Path) -> None:
    """The file stays as it was."""
    path = tmp_path / "config.toml"
    path.write_text(before)
    with pytest.raises(ConfigError, match=why):
        Draft(path, os.environ).write(account)
    assert path.read_text() == before
    assert names(tmp_path) == ["config.toml"]


@pytest.mark.parametrize("before", [None, BEFORE])
def test_what_another_has_written_meanwhile_stays(before: str | None, tmp_path: Path) -> None:
    """An editor was quicker: nothing is written over."""
    path = tmp_path / "config.toml"
    if before is not None:
        path.write_text(before)
    draft = Draft(path, os.environ)
    path.write_text(BEFORE + "# more\n")
    with pytest.raises(ConfigError, match="changed in the meantime"):
        draft.write(NewAccount("new", SERVER))
    assert path.read_text() == BEFORE + "# more\n"
    assert names(tmp_path) == ["config.toml"]


@pytest.mark.parametrize("before", ["[account.x]\nsever = 1\n", "nonsense"])
def test_a_configuration_that_is_wrong_is_told_at_once(before: str, tmp_path: Path) -> None:
    """Before anybody is asked anything."""
    path = tmp_path / "config.toml"
    path.write_text(before)
    with pytest.raises(ConfigError):
        Draft(path, os.environ)


def test_a_failing_disk_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing beside it."""
    path = tmp_path / "config.toml"
    path.write_text(BEFORE)
    draft = Draft(path, os.environ)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DiskError, match="No space left"):
        draft.write(NewAccount("new", SERVER))
    with pytest.raises(DiskError, match="No space left"):
        write_password(tmp_path / "password", Secret("geheim-4711"))
    assert path.read_text() == BEFORE
    assert names(tmp_path) == ["config.toml"]


def test_the_file_of_a_password_is_not_written_over(tmp_path: Path) -> None:
    """Nor followed where it is a link."""
    path, link = tmp_path / "password", tmp_path / "link"
    path.write_text("mine")
    link.symlink_to(tmp_path / "elsewhere")
    for place in (path, link):
        with pytest.raises(ConfigError, match="is there already"):
            write_password(place, Secret("geheim-4711"))
    assert path.read_text() == "mine"
    assert not (tmp_path / "elsewhere").exists()
