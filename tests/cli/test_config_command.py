"""`config show`, `config check` and `config path`, as a user types them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.test_login import configure
from tests.command import mailarchive

if TYPE_CHECKING:
    from pathlib import Path

    from mailarchive.cli.deleting import Removal
    from tests.cli.resolved import Resolved
    from tests.vault import Vault


def test_show_says_where_each_setting_comes_from(home: Path) -> None:
    """A line for each, with the line of the file; the command stands there, for the file has it too."""
    configure(home, 1143, 'password_command = "pass show home"')
    result = mailarchive("config", "show", "home")
    assert (result.code, result.err) == (0, "")
    lines = [line.split() for line in result.out.splitlines()]
    assert lines[0] == ["~/.config/mailarchive/config.toml"]
    assert lines[2] == ["home"]
    assert ["password_command", '"pass', "show", 'home"', "account,", "config.toml:4"] in lines
    assert ["delete", "false", "built-in"] in lines


def test_a_secret_is_never_shown(vault: Vault, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only that there is one, and in which variable."""
    vault.secrets.append("canary-4711")
    configure(home, 1143)
    monkeypatch.setenv("MAILARCHIVE_HOME_PASSWORD", "canary-4711")
    for words in (("config", "show"), ("config", "show", "--json"), ("config", "check")):
        result = vault.run(*words)
        assert result.code == 0
    assert '"***"' in vault.run("config", "show").out
    assert "MAILARCHIVE_HOME_PASSWORD" in vault.run("config", "show").out


def test_show_as_json_is_a_line_for_each_setting(home: Path) -> None:
    """With file and line as values of their own."""
    configure(home, 1143, "max_delete = 5")
    result = mailarchive("config", "show", "--json")
    rows = {event["key"]: event for event in result.events if event["event"] == "setting"}
    assert rows["max_delete"] | {"file": ""} == {
        "event": "setting",
        "account": "home",
        "file": "",
        "key": "max_delete",
        "value": 5,
        "origin": "account",
        "variable": "",
        "line": 4,
    }
    assert rows["max_delete"]["file"].endswith("/.config/mailarchive/config.toml")


@pytest.mark.parametrize(
    ("variable", "delete"),
    [("MAILARCHIVE_BACKUP_DELETE", True), ("MAILARCHIVE_BACKUP_NO_DELETE", False)],
)
def test_show_and_a_run_agree(
    home: Path, runs: list[Resolved], monkeypatch: pytest.MonkeyPatch, variable: str, *, delete: bool
) -> None:
    """What a variable says is what a backup does."""
    configure(home, 1143, f'older_than = "1y"\ndelete = {str(not delete).lower()}')
    monkeypatch.setenv(variable, "1")
    shown = {event.get("key"): event for event in mailarchive("config", "show", "--json").events}
    assert shown["delete"]["value"] is delete
    assert mailarchive("backup", "--yes" if delete else "-q").code == 0
    removal: Removal = runs[0].removal
    assert removal.wanted(runs[0].target) is delete


def test_a_file_with_escape_sequences_is_harmless(home: Path) -> None:
    """What stands in the file is foreign to a terminal."""
    configure(home, 1143, 'password_command = "echo \\u202Ex"')
    result = mailarchive("config", "show")
    assert "\u202e" not in result.out
    assert r"\u202e" in result.out


def test_check_counts_the_accounts_of_a_good_file(home: Path) -> None:
    """And says nothing with -q."""
    configure(home, 1143)
    result = mailarchive("config", "check")
    assert result.code == 0
    assert result.out.startswith("ok: 1 account in ")
    assert mailarchive("config", "check", "-q").out == ""
    assert mailarchive("config", "check", "--json").events[-1]["accounts"] == ["home"]


def test_check_says_everything_that_is_wrong_at_once(home: Path) -> None:
    """Each with its line, exit code 10; with --json on stdout too."""
    configure(home, 1143, 'pasword_command = "x"\nolder_than = "1"\n[account.b]\nuser = 3')
    result = mailarchive("config", "check")
    assert result.code == 10
    assert [line.split(": ")[2] for line in result.err.splitlines() if "config.toml:" in line] == [
        "config.toml:4",
        "config.toml:5",
        "config.toml:6",
        "config.toml:7",
    ]
    assert mailarchive("config", "check", "--json").events[-1]["exit_code"] == 10


@pytest.mark.parametrize(
    ("keys", "mode", "said"),
    [
        ('password = "canary"', 0o644, "a password never stands in the configuration, and other users can read this"),
        ('password = "canary"', 0o600, "a password never stands in the configuration\n"),
        ('oauth = { client_id = "x", client_secret = "canary" }', 0o640, "and other users can read this one"),
    ],
)
def test_f138_a_secret_that_others_can_read_is_a_secret_no_more(home: Path, keys: str, mode: int, said: str) -> None:
    """The file is refused, the mode named, and the secret not repeated."""
    configure(home, 1143, keys)
    (home / ".config/mailarchive/config.toml").chmod(mode)
    result = mailarchive("config", "check")
    assert result.code == 10
    assert said in result.err
    assert ("chmod 600" in result.err) is (mode != 0o600)
    assert "canary" not in result.err


def test_a_file_without_secrets_may_be_read_by_others(home: Path) -> None:
    """It is the writing that matters then."""
    configure(home, 1143)
    file = home / ".config/mailarchive/config.toml"
    file.chmod(0o644)
    assert mailarchive("config", "check").code == 0
    file.chmod(0o664)
    assert mailarchive("config", "check").code == 10


def test_path_says_where_it_is_looked_for(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There or not; a flag comes before the variable, and that before the usual place."""
    assert mailarchive("config", "path").out == f"{home}/.config/mailarchive/config.toml\n"
    monkeypatch.setenv("MAILARCHIVE_CONFIG", "/etc/m.toml")
    assert mailarchive("config", "path").out == "/etc/m.toml\n"
    assert mailarchive("config", "path", "--config", "/x.toml").out == "/x.toml\n"
    assert mailarchive("config", "path", "--json").events[-1]["exists"] is False


def test_a_missing_file_or_account_is_an_error(home: Path) -> None:
    """10, with the way on."""
    for command in ("show", "check"):
        assert mailarchive("config", command).code == 10
    configure(home, 1143)
    assert "did you mean 'home'?" in mailarchive("config", "show", "hme").err
    assert mailarchive("config").code == 2
