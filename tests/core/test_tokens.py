"""Where tokens are kept: a file closed to others, or the keyring."""

from __future__ import annotations

import json
import os
import stat
import sys
from typing import TYPE_CHECKING

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked, PasswordDeleteError

from mailarchive import keychain
from mailarchive.credentials import PasswordSources, password_for
from mailarchive.errors import ConfigError, DiskError, LaterError
from mailarchive.secret import Secret
from mailarchive.tokens import Tokens, TokenStore, state_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.vault import Vault

ACCESS, REFRESH, PASSWORD = "access-canary-4711", "refresh-canary-4711", "password-canary-4711"


def tokens(owner: str = "them") -> Tokens:
    """Make some."""
    return Tokens(owner, Secret(ACCESS, is_token=True), Secret(REFRESH), 1234.5)


@pytest.fixture(autouse=True)
def secrets(vault: Vault) -> None:
    """Have every test here end with a look for these."""
    vault.secrets += [ACCESS, REFRESH, PASSWORD]


class Memory(KeyringBackend):
    """A keyring of the real library that forgets when the test ends; it may be locked."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # the library's
        self.kept: dict[tuple[str, str], str] = {}
        self.locked = False

    def get_password(self, service: str, username: str) -> str | None:
        """Read."""
        if self.locked:
            raise KeyringLocked(f"locked, said with {PASSWORD}")
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        """Write."""
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        """Remove."""
        if self.kept.pop((service, username), None) is None:
            raise PasswordDeleteError


@pytest.fixture
def memory() -> Iterator[Memory]:
    """Put a keyring of our own in the place of the desktop's."""
    before, mine = keyring.get_keyring(), Memory()
    keyring.set_keyring(mine)
    yield mine
    keyring.set_keyring(before)


def test_what_is_kept_comes_back(tmp_path: Path, vault: Vault) -> None:
    """All of it; nothing of it in a repr."""
    vault.keepers.add(tmp_path / "deep" / "tokens" / "home.json")
    store = TokenStore(tmp_path / "deep" / "tokens", "home")
    assert store.load() is None
    store.save(tokens())
    found = store.load()
    assert found == tokens()
    assert found is not None
    assert found.access.is_token
    vault.texts += [repr(found), repr(store), store.place]
    store.save(tokens("others"))
    assert store.load() == tokens("others")
    assert store.forget()
    assert not store.forget()
    assert store.load() is None


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_a_file_is_closed_to_others_whatever_the_umask(tmp_path: Path, vault: Vault, mask: int) -> None:
    """0600 in a folder of 0700, and no other file stays."""
    vault.keepers.add(tmp_path / "t" / "home.json")
    before = os.umask(mask)
    try:
        store = TokenStore(tmp_path / "t", "home")
        with store.locked():
            store.save(tokens())
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "t").iterdir()}
    assert modes.pop("home.json") == 0o600
    assert set(modes) <= {"home.lock"}
    assert all(not mode & 0o077 for mode in modes.values())
    assert stat.S_IMODE((tmp_path / "t").stat().st_mode) == 0o700


@pytest.mark.parametrize("step", ["fsync", "replace", "fchmod"])
def test_a_writing_that_fails_leaves_what_was_there(
    tmp_path: Path, vault: Vault, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """14; the old tokens are whole, and no draft stays."""
    vault.keepers.add(tmp_path / "home.json")
    store = TokenStore(tmp_path, "home")
    store.save(tokens())

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, step, fail)
        with vault.raises(DiskError) as caught:
            store.save(tokens("new"))
    assert "No space left" in str(caught[0])
    assert store.load() == tokens()
    assert [path.name for path in tmp_path.iterdir()] == ["home.json"]


def test_a_reader_never_sees_half_of_it(tmp_path: Path, vault: Vault) -> None:
    """The file changes as a whole: whoever has the old one open reads the old one."""
    vault.keepers.add(tmp_path / "home.json")
    store = TokenStore(tmp_path, "home")
    store.save(tokens("old"))
    with (tmp_path / "home.json").open() as old:
        store.save(tokens("new"))
        assert json.loads(old.read())["owner"] == "old"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_file_open_to_others_is_refused(tmp_path: Path, vault: Vault, mode: int) -> None:
    """Somebody may have read it: signing out and in again is the way."""
    vault.keepers.add(tmp_path / "home.json")
    store = TokenStore(tmp_path, "home")
    store.save(tokens())
    (tmp_path / "home.json").chmod(mode)
    with vault.raises(ConfigError) as caught:
        store.load()
    assert f"mode {mode:04o}" in str(caught[0])
    assert "mailarchive logout home" in caught[0].hint  # type: ignore[attr-defined] # one of ours


def test_what_is_no_file_is_refused_at_once(tmp_path: Path, vault: Vault) -> None:
    """A link, a folder and a pipe without a writer."""
    os.mkfifo(tmp_path / "pipe.json", 0o600)
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "link.json").symlink_to("/etc/passwd")
    for name in ("pipe", "folder", "link"):
        with vault.raises(ConfigError):
            TokenStore(tmp_path, name).load()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "5",
        "[" * 100_000,
        json.dumps({"version": 2, "owner": "x", "access": "y", "refresh": None, "expires_at": None}),
        json.dumps({"version": 1, "owner": "x", "access": 5, "refresh": None, "expires_at": None}),
        json.dumps({"version": 1, "owner": "x", "access": "y", "refresh": [], "expires_at": None}),
        json.dumps({"version": 1, "owner": "x", "access": "y", "refresh": None, "expires_at": "z"}),
        json.dumps({"version": 1, "owner": "x", "access": "y", "refresh": None}),
        json.dumps({"version": 1, "owner": "x", "access": "y", "refresh": None, "expires_at": None, "more": 1}),
    ],
)
def test_what_we_did_not_write_is_nothing(tmp_path: Path, text: str) -> None:
    """Not an error: signing in again is what helps, and what is said then."""
    (tmp_path / "home.json").write_text(text)
    (tmp_path / "home.json").chmod(0o600)
    assert TokenStore(tmp_path, "home").load() is None


def test_a_lock_that_is_never_free_is_told(tmp_path: Path, vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """75."""
    monkeypatch.setattr("mailarchive.tokens.PATIENCE", 0.1)
    store = TokenStore(tmp_path, "home")
    with store.locked(), vault.raises(LaterError), TokenStore(tmp_path, "home").locked():
        raise AssertionError


def test_a_folder_that_cannot_be_made(tmp_path: Path, vault: Vault) -> None:
    """14."""
    (tmp_path / "file").write_text("")
    with vault.raises(DiskError):
        TokenStore(tmp_path / "file" / "x", "home").save(tokens())


@pytest.mark.parametrize(
    ("environ", "place"),
    [
        ({"XDG_STATE_HOME": "/s", "HOME": "/h"}, "/s/mailarchive"),
        ({"XDG_STATE_HOME": "relative", "HOME": "/h"}, "/h/.local/state/mailarchive"),
        ({"HOME": "/h"}, "/h/.local/state/mailarchive"),
    ],
)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the places of Linux")
def test_the_state_folder(environ: dict[str, str], place: str) -> None:
    """As the XDG base directories have it."""
    assert str(state_folder(environ)) == place


# The keyring


def test_the_keyring_keeps_tokens(tmp_path: Path, memory: Memory) -> None:
    """Nothing is written to the disk but a lock."""
    store = TokenStore(tmp_path / "t", "home", keyring=True)
    assert store.load() is None
    with store.locked():
        store.save(tokens())
    assert store.load() == tokens()
    assert list(memory.kept) == [("mailarchive", "home oauth")]
    assert store.place == "the keyring"
    assert {path.name for path in (tmp_path / "t").iterdir()} <= {"home.lock"}
    assert store.forget()
    assert not store.forget()


def test_the_keyring_gives_a_password(memory: Memory) -> None:
    """Under the name of the account."""
    memory.kept["mailarchive", "home"] = PASSWORD
    sources = PasswordSources(account="home", keyring=True, prompt=lambda: pytest.fail("a person was asked"))
    assert password_for(sources).reveal() == PASSWORD


def test_a_keyring_that_does_not_know_it_says_what_to_type(memory: Memory, vault: Vault) -> None:
    """10; a person is not asked instead, because the account says where it is."""
    memory.kept["mailarchive", "other"] = PASSWORD
    with vault.raises(ConfigError) as caught:
        password_for(PasswordSources(account="home", keyring=True, prompt=lambda: "x"))
    assert caught[0].hint == "put it there: keyring set mailarchive home"  # type: ignore[attr-defined] # one of ours


def test_a_locked_keyring_is_told_without_its_words(memory: Memory, vault: Vault) -> None:
    """10, with the kind of failure only."""
    memory.locked = True
    with vault.raises(ConfigError) as caught:
        keychain.read("home", "home: ", "do something else")
    assert str(caught[0]) == "home: the keyring failed (KeyringLocked)"


def test_without_a_keyring_the_other_ways_are_named(vault: Vault) -> None:
    """Under cron the library has none."""
    from keyring.backends.fail import Keyring

    before = keyring.get_keyring()
    keyring.set_keyring(Keyring())  # type: ignore[no-untyped-call] # the library's
    try:
        with vault.raises(ConfigError) as caught:
            password_for(PasswordSources(account="home", keyring=True))
    finally:
        keyring.set_keyring(before)
    assert "no keyring here" in str(caught[0])
    assert "password_command or password_file" in caught[0].hint  # type: ignore[attr-defined] # one of ours


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, vault: Vault) -> None:
    """10, with the command."""
    monkeypatch.setitem(sys.modules, "keyring", None)
    with vault.raises(ConfigError) as caught:
        keychain.read("home", "home: ", "")
    assert caught[0].hint == "pip install 'mailarchive[keyring]'"  # type: ignore[attr-defined] # one of ours
