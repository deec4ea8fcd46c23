"""`login` and `logout` where they have nothing to do, and the passwords that a command is given."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from mailarchive.demo.server import DemoServer
from mailarchive.demo.store import Store
from tests import maildir

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.vault import Vault

CANARY = "canary-4711"
MAIL = b"Subject: x\r\n\r\ny\r\n"


@pytest.fixture
def server(vault: Vault) -> Iterator[DemoServer]:
    """Serve one message to kim, whose password nobody may find."""
    vault.secrets.append(CANARY)
    store = Store()
    store.add_account("kim", CANARY, limit=50_000_000).mailbox("INBOX").append(MAIL, datetime.now(UTC))
    with DemoServer(store) as running:
        yield running


def configure(home: Path, port: int, keys: str = "") -> None:
    """Write the account `home`."""
    file = home / ".config" / "mailarchive" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(
        f'[account.home]\nserver = "imap+insecure://kim@127.0.0.1:{port}"\narchive = "{home}/mail"\n{keys}\n'
    )
    file.chmod(0o600)


@pytest.mark.parametrize("command", ["login", "logout"])
def test_an_account_with_a_password_has_nothing_to_sign_in_to(vault: Vault, home: Path, command: str) -> None:
    """10, with the key that would change that; an account that is not there is named likewise."""
    configure(home, 9, "password_command = 'echo x'")
    result = vault.run(command, "home")
    assert (result.code, result.out) == (10, "")
    assert "home: it signs in by a password" in result.err
    assert "hint: for OAuth2 give the account oauth = {" in result.err
    result = vault.run(command, "hme")
    assert result.code == 10
    assert "did you mean 'home'?" in result.err
    assert vault.run(command).code == 2


@pytest.mark.parametrize(("provider", "wrong", "right"), [("google", "--device", "--browser")])
def test_a_provider_that_cannot_says_what_can(vault: Vault, home: Path, provider: str, wrong: str, right: str) -> None:
    """Google gives no device codes for mail; nobody is asked for that."""
    configure(home, 9, f"oauth = {{ provider = '{provider}', client_id = 'c' }}")
    result = vault.run("login", "home", wrong)
    assert result.code == 10
    assert f"hint: mailarchive login home {right}\n" in result.err


def test_without_a_sign_in_a_backup_says_what_to_type(vault: Vault, home: Path) -> None:
    """12; nothing is asked of anybody, and no archive is made."""
    configure(home, 9, "oauth = { provider = 'microsoft', client_id = 'c' }")
    result = vault.run("backup", "home")
    assert (result.code, result.out) == (12, "")
    assert "error: home: nobody has signed in yet\nhint: mailarchive login home\n" in result.err
    assert not (home / "mail").exists()


def test_a_tokens_file_that_others_can_read(vault: Vault, home: Path) -> None:
    """10, and `logout` takes it away."""
    configure(home, 9, "oauth = { provider = 'microsoft', client_id = 'c' }")
    file = home / ".local" / "state" / "mailarchive" / "tokens" / "home.json"
    file.parent.mkdir(parents=True)
    file.write_text("{}")
    file.chmod(0o644)
    result = vault.run("backup", "home")
    assert result.code == 10
    assert "open to other users" in result.err
    assert vault.run("logout", "home").code == 0
    assert not file.exists()


def test_a_password_from_systemd(server: DemoServer, vault: Vault, home: Path, tmp_path: Path) -> None:
    """As a unit with LoadCredential= gives it."""
    configure(home, server.imap_port)
    credential = tmp_path / "mailarchive.home.password"
    credential.write_text(CANARY)
    vault.keepers.add(credential)
    result = vault.process("backup", environ={"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert result.code == 0, result.err
    assert len(maildir.files(home / "mail")) == 1


def test_a_password_from_netrc(server: DemoServer, vault: Vault, home: Path) -> None:
    """Also for a one-off."""
    configure(home, server.imap_port)
    (home / ".netrc").write_text(f"machine 127.0.0.1 login kim password {CANARY}\n")
    (home / ".netrc").chmod(0o600)
    vault.keepers.add(home / ".netrc")
    assert vault.run("backup").code == 0
    url = f"imap+insecure://kim@127.0.0.1:{server.imap_port}"
    result = vault.process("backup", url, "--to", home / "other", environ={"MAILARCHIVE_PASSWORD": CANARY})
    assert result.code == 0, result.err


def test_f020_a_wrong_password_from_anywhere(server: DemoServer, vault: Vault, home: Path) -> None:
    """12, and it is nowhere to be found."""
    wrong = f"{CANARY[:-1]}wrong"
    vault.secrets.append(wrong)
    configure(home, server.imap_port, "password_command = 'printf %s \"$WORD\"'")
    result = vault.process("backup", environ={"WORD": wrong})
    assert result.code == 12
    assert "refused the sign-in of kim" in result.err
    assert "Traceback" in result.err


def test_what_a_provider_says_cannot_steer_a_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    """Its address and its code are foreign text like any other."""
    from mailarchive.cli.signing_in import _tell_code
    from mailarchive.oauth.device import UserCode

    _tell_code(UserCode("https://x.example/\x1b]0;y\x07", "AB\x1b[2J\u202eCD"))
    shown = capfd.readouterr().err
    assert "\\x1b" in shown
    assert not {"\x1b", "\x07", "\u202e"} & set(shown)
