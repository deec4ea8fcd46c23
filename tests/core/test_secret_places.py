"""Passwords from systemd and netrc, the order of all sources, and the one scrubber for what is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mailarchive.credentials import PasswordSources, password_for
from mailarchive.errors import ConfigError
from mailarchive.secret import KNOWN, Secret
from tests.vault import Vault

if TYPE_CHECKING:
    from pathlib import Path

CANARY = "canary-4711"


@pytest.fixture(autouse=True)
def secrets(vault: Vault) -> None:
    """Have every test here end with a look for it."""
    vault.secrets.append(CANARY)


def credential(folder: Path, name: str, text: str = CANARY, mode: int = 0o440) -> dict[str, str]:
    """Write a credential as systemd does; gives the environment."""
    (folder / name).write_text(text)
    (folder / name).chmod(mode)
    return {"CREDENTIALS_DIRECTORY": str(folder)}


@pytest.mark.parametrize(("account", "name"), [("home", "mailarchive.home.password"), (None, "mailarchive.password")])
def test_a_credential_of_the_unit_is_the_password(tmp_path: Path, vault: Vault, account: str | None, name: str) -> None:
    """One for each account by its name, and one for a one-off; its mode is an access list's and says nothing."""
    vault.keepers.add(tmp_path / name)
    environ = credential(tmp_path, name, f"{CANARY}\n")
    assert password_for(PasswordSources(account=account, environ=environ)).reveal() == CANARY
    other = PasswordSources(account="other", environ=environ)
    with vault.raises(ConfigError) as caught:
        password_for(other)
    assert "no password" in str(caught[0])


@pytest.mark.parametrize("text", ["", f"{CANARY}\n\n", f"{CANARY}\0", CANARY * 9000])
def test_f026_a_credential_that_is_no_password(tmp_path: Path, vault: Vault, text: str) -> None:
    """10, and nothing else is tried."""
    name = "mailarchive.home.password"
    vault.keepers.add(tmp_path / name)
    environ = credential(tmp_path, name, text)
    with vault.raises(ConfigError) as caught:
        password_for(PasswordSources(account="home", environ=environ, prompt=lambda: "x"))
    assert name in str(caught[0])


def test_a_folder_that_is_not_absolute_is_no_folder_of_systemd(
    tmp_path: Path, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It could be anybody's."""
    vault.keepers.add(tmp_path / "mailarchive.password")
    credential(tmp_path, "mailarchive.password")
    monkeypatch.chdir(tmp_path)
    for folder in (".", ""):
        with vault.raises(ConfigError):
            password_for(PasswordSources(environ={"CREDENTIALS_DIRECTORY": folder}))


# netrc


def netrc(folder: Path, text: str, mode: int = 0o600) -> dict[str, str]:
    """Write a netrc; gives the environment."""
    (folder / ".netrc").write_text(text)
    (folder / ".netrc").chmod(mode)
    return {"HOME": str(folder)}


def asked(environ: dict[str, str], **more: Any) -> str:
    """Ask for the password of kim at the server."""
    where = {"host": "imap.example.org", "user": "kim@example.org", **more}
    return password_for(PasswordSources(account="home", environ=environ, **where)).reveal()


RIGHT = f"machine imap.example.org login kim@example.org password {CANARY}\n"


@pytest.mark.parametrize(
    "text",
    [
        RIGHT,
        RIGHT.replace(" ", "\n\t"),
        RIGHT.replace("machine imap", "machine IMAP"),
        f"machine imap.example.org\n  password {CANARY}\n  account x\n  login kim@example.org",
        f'machine imap.example.org login "kim@example.org" password "{CANARY}"',
        f"# a comment with machine imap.example.org login x password y\n{RIGHT}",
        f"machine imap.example.org login one password no\n{RIGHT}machine imap.example.org login two password no",
        f"macdef init\nmachine imap.example.org login kim@example.org password wrong\n\n{RIGHT}",
        f"default login kim@example.org password wrong\n{RIGHT}",
        f"machine a login b\n{RIGHT}",
        f"rubbish {RIGHT}",
    ],
)
def test_a_netrc_is_read_as_others_read_it(tmp_path: Path, vault: Vault, text: str) -> None:
    """In any order and layout, with several users of one host."""
    vault.keepers.add(tmp_path / ".netrc")
    assert asked(netrc(tmp_path, text)) == CANARY


def test_a_word_in_quotes_may_hold_anything(tmp_path: Path) -> None:
    r"""Blanks, `#`, and quotes and backslashes behind a backslash."""
    text = r'machine imap.example.org login kim@example.org password "a \"b\" \\ #c"'
    assert asked(netrc(tmp_path, text)) == r'a "b" \ #c'


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"machine imap.example.org login other password {CANARY}",
        f"machine imap.example.org.evil login kim@example.org password {CANARY}",
        f"machine imap.example.org password {CANARY}",
        f"default login kim@example.org password {CANARY}",
        "machine imap.example.org login kim@example.org",
        "machine",
        "machine imap.example.org login",
    ],
)
def test_a_netrc_without_our_entry_is_as_none(tmp_path: Path, vault: Vault, text: str) -> None:
    """Host and user must both be ours, and a default is for any host: not for us. It may be open to others."""
    vault.keepers.add(tmp_path / ".netrc")
    environ = netrc(tmp_path, text, 0o644)
    with vault.raises(ConfigError) as caught:
        asked(environ)
    assert str(caught[0]) == "home: no password"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_netrc_with_our_password_that_is_open_to_others(tmp_path: Path, vault: Vault, mode: int) -> None:
    """10, and the command that helps."""
    vault.keepers.add(tmp_path / ".netrc")
    environ = netrc(tmp_path, RIGHT, mode)
    with vault.raises(ConfigError) as caught:
        asked(environ, prompt=lambda: "x")
    assert f"mode {mode:04o}" in str(caught[0])
    assert "chmod 600" in caught[0].hint  # type: ignore[attr-defined] # one of ours


def test_another_netrc_may_be_named(tmp_path: Path, vault: Vault) -> None:
    """By NETRC, as for curl."""
    vault.keepers |= {tmp_path / ".netrc", tmp_path / "mine"}
    environ = netrc(tmp_path, RIGHT.replace(CANARY, "wrong"))
    (tmp_path / "mine").write_text(RIGHT)
    (tmp_path / "mine").chmod(0o600)
    assert asked({**environ, "NETRC": str(tmp_path / "mine")}) == CANARY


def test_the_order_of_all_sources(tmp_path: Path, vault: Vault) -> None:
    """Option, variable, systemd, the account's own, netrc, a person: each comes where none before it is."""
    vault.keepers.add(tmp_path / ".netrc")
    (tmp_path / "file").write_text("account-file")
    (tmp_path / "file").chmod(0o600)
    steps: list[dict[str, Any]] = [
        {"command": "echo option"},
        {"variable": "variable"},
        {"systemd": "systemd"},
        {"configured_command": "echo account"},
        {"configured_file": tmp_path / "file"},
        {"netrc": "netrc"},
        {"prompt": lambda: "person"},
    ]
    found = []
    for first in range(len(steps)):
        given: dict[str, Any] = {}
        for step in steps[first:]:
            given |= step
        environ = {"PATH": "/usr/bin:/bin"}
        if word := given.pop("variable", ""):
            environ["MAILARCHIVE_HOME_PASSWORD"] = word
        (tmp_path / "unit").mkdir(exist_ok=True)
        (tmp_path / "unit" / "mailarchive.home.password").unlink(missing_ok=True)
        if word := given.pop("systemd", ""):
            environ |= credential(tmp_path / "unit", "mailarchive.home.password", word)
        if word := given.pop("netrc", ""):
            environ |= netrc(tmp_path, RIGHT.replace(CANARY, word))
        found.append(asked(environ, **given))
    assert found == ["option", "variable", "systemd", "account", "account-file", "netrc", "person"]


# The one scrubber


def test_every_secret_is_known_from_its_first_moment() -> None:
    """Also one that nobody has handed to a server yet; and all are forgotten when a call begins."""
    secret = Secret(CANARY)
    assert KNOWN.scrub(f"a {secret.reveal()} b") == "a *** b"
    KNOWN.forget()
    assert "canary" in KNOWN.scrub(CANARY)


@pytest.mark.parametrize("words", [("--debug", "backup"), ("--debug", "--json", "backup"), ("backup",)])
def test_f021_a_slip_anywhere_shows_nothing(
    vault: Vault, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    """An error or a bug that carries a secret: `***` on the screen, in JSON and in the traceback of --debug."""
    from mailarchive.cli import targets
    from tests.command import mailarchive

    for kind in (ConfigError, ZeroDivisionError):

        def fail(*_: object, kind: type[Exception] = kind, **__: object) -> None:
            secret = Secret(CANARY)
            raise kind(f"something with {secret.reveal()}")

        monkeypatch.setattr(targets, "targets", fail)
        result = mailarchive(*words)
        vault.texts += [result.out, result.err]
        assert result.code in {1, 10}
        if kind is ConfigError or "--debug" in words:
            assert "something with ***" in result.err


def test_the_look_for_secrets_finds_them(tmp_path: Path) -> None:
    """In a text, in a file, in base64, in a traceback: a look that finds nothing anywhere would prove nothing."""
    import base64

    other = Vault()
    other.secrets += [["longer-canary"], "second-canary"]
    assert other.found("", (tmp_path,)) == []
    assert other.found("x longer-canary y", ())
    assert other.found(base64.b64encode(b"second-canary").decode(), ())
    (tmp_path / "leak").write_bytes(b"\0second-canary\0")
    assert len(other.found("", (tmp_path,))) >= 1
    other.keepers.add(tmp_path / "leak")
    assert other.found("", (tmp_path,)) == []
    with other.raises(ValueError):
        int("longer-canary")
    assert other.found("", ())
