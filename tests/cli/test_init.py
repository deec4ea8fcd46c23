"""`mailarchive init`: with flags alone, and with a person at a terminal."""

from __future__ import annotations

import json
import shlex
import signal
import stat
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from mailarchive.config import load
from mailarchive.demo.server import DemoServer
from mailarchive.demo.store import Store
from tests import maildir
from tests.cli.terminal import CTRL_C, CTRL_D, at_a_terminal
from tests.command import mailarchive

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.cli.terminal import Seen
    from tests.vault import Vault

PASSWORD = "canary 4711 \\ \"quoted\" 'ü'"
MAIL = b"Subject: x\r\n\r\ny\r\n"
OLD = datetime.now(UTC) - timedelta(days=800)


@pytest.fixture
def server(vault: Vault) -> Iterator[DemoServer]:
    """Serve three old messages to kim, one of them in a mailbox with a hostile name."""
    vault.secrets.append(PASSWORD)
    store = Store()
    account = store.add_account("kim", PASSWORD, limit=50_000_000)
    # A real server would refuse such a name, so it is made behind its back.
    account._make("Wo\x1b]0;owned\x07rk", frozenset())
    for name in ("INBOX", "Wo\x1b]0;owned\x07rk"):
        account.mailbox(name).append(MAIL, OLD)
    account.mailbox("INBOX").append(MAIL + b"z\r\n", datetime.now(UTC))
    with DemoServer(store) as running:
        yield running


def url(server: DemoServer, user: str = "") -> str:
    """Give the address of the server."""
    return f"imap+insecure://{user}127.0.0.1:{server.imap_port}"


def config_of(home: Path) -> Path:
    """Say where the configuration is."""
    return home / ".config" / "mailarchive" / "config.toml"


def nothing_in(home: Path) -> bool:
    """Tell whether the program has left no file of its own in a home."""
    return not [path for path in home.rglob("*") if path.is_file()]


def secret_file(folder: Path, vault: Vault) -> Path:
    """Write the password where only we can read it."""
    path = folder / "pass word"
    path.write_text(PASSWORD + "\n")
    path.chmod(0o600)
    vault.keepers.add(path)
    return path


# With flags alone


@pytest.mark.parametrize(
    ("flags", "count"),
    [([], 3), (["--older-than", "1y"], 2), (["--older-than", "all", "--format", "mbox"], None)],
)
def test_flags_write_a_configuration_that_backup_accepts(
    server: DemoServer, vault: Vault, home: Path, *, tmp_path: Path, flags: list[str], count: int | None
) -> None:
    """Nothing is asked; the sign-in is tried; then `mailarchive backup` with nothing else works."""
    command = f"cat {shlex.quote(str(secret_file(tmp_path, vault)))}"
    words = ["init", "kim@example.org", "--server", url(server), "--user", "kim", "--password-command", command]
    result = vault.run(*words, *flags, "--no-input")
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines() == [
        f"example: {url(server)}, written into ~/.config/mailarchive/config.toml",
        "next: mailarchive backup example",
    ]
    assert stat.S_IMODE(config_of(home).stat().st_mode) == 0o600
    assert not (home / "Mail").exists()
    result = vault.run("config", "check")
    assert (result.code, result.err) == (0, "")
    result = vault.run("backup", "--no-input")
    assert (result.code, result.err) == (0, "")
    archive = home / "Mail" / "archive" / "example"
    if count is not None:
        assert len(maildir.files(archive)) == count
    else:
        assert [*archive.rglob("*.mbox")]


def test_a_password_file_is_made_and_every_flag_counts(
    server: DemoServer, vault: Vault, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The password comes from the account's variable, and stands in the file that backup reads from then on."""
    monkeypatch.setenv("MAILARCHIVE_MY_NAME_PASSWORD", PASSWORD)
    file = home / "secret"
    vault.keepers.add(file)
    words: list[str | Path] = [
        "--name",
        "my-name",
        "--password-file",
        file,
        "--to",
        tmp_path / "mail",
        "--older-than",
        "18m",
    ]
    result = vault.run("init", "--server", url(server, "kim@"), *words, "--no-input", "--dry-run", "--json")
    events = [json.loads(line) for line in result.out.splitlines()]
    assert result.code == 0
    assert events[0] == {"event": "configured", "account": "my-name", "config": str(config_of(home))}
    assert events[-1]["event"] == "finished"
    assert not (tmp_path / "mail").exists()
    monkeypatch.delenv("MAILARCHIVE_MY_NAME_PASSWORD")
    assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == (PASSWORD + "\n", 0o600)
    (account,) = load(None, environ={"HOME": str(home)}).accounts.values()
    assert (account.archive, account.password_file, account.older_than) == (tmp_path / "mail", file, "18m")
    assert vault.run("backup").code == 0
    assert len(maildir.files(tmp_path / "mail")) == 2


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        ([], 2, "EMAIL is missing, and nobody may be asked"),
        (["me"], 2, "no e-mail address"),
        (["me@example.org"], 2, "--server is missing, and nobody may be asked"),
        (["me@gmail.com"], 2, "how to sign in is missing"),
        (["me@gmail.com", "--keyring", "--password-file", "x"], 2, "several ways to sign in at once"),
        (["me@gmail.com", "--oauth", "google"], 2, "--client-id is missing"),
        (["me@gmail.com", "--oauth", "acme", "--client-id", "c"], 2, "--issuer is missing"),
        (["me@gmail.com", "--oauth", "x", "--client-id", "c", "--issuer", "http://x"], 10, "https://"),
        (["me@gmail.com", "--ask-password"], 2, "Password of me@gmail.com on imap.gmail.com is missing"),
        (["me@gmail.com", "--name", "a b", "--keyring"], 10, "cannot be the name of an account"),
        (["me@gmail.com", "--password-command", "false"], 10, "ended with exit status 1"),
        (["--server", "imap://kim:canary-pass@x.example"], 2, "a password never stands in a server's address"),
        (["--server", "imap+insecure://kim@mail.example"], 2, "clear text is refused"),
        (["me@gmail.com", "--no-test", "--password-command", "x", "--older-than", "1M"], 2, "is that months?"),
    ],
)
def test_what_is_missing_or_wrong_is_named(vault: Vault, home: Path, words: list[str], code: int, why: str) -> None:
    """By the flag that would say it; nothing is written and nobody is asked for anything, on no network."""
    vault.secrets.append("canary-pass")
    result = vault.run("init", *words, "--no-input")
    assert result.code == code, result.err
    assert why in result.err
    assert result.out == ""
    assert nothing_in(home)


def test_over_pop3(server: DemoServer, vault: Vault, home: Path, tmp_path: Path) -> None:
    """The same, where there is one mailbox and no quota."""
    file = secret_file(tmp_path, vault)
    words = [
        "--server",
        f"pop+insecure://kim@127.0.0.1:{server.pop_port}",
        "--name",
        "pop",
        "--password-file",
        str(file),
    ]
    result = vault.run("init", *words, "--no-input", "--dry-run")
    assert (result.code, result.err) == (0, "")
    assert "would archive 2 messages" in result.out
    assert vault.run("backup", "--no-input").code == 0
    assert len(maildir.files(home / "Mail" / "archive" / "pop")) == 2


@pytest.mark.parametrize("inside", ["letter.txt", "archive"])
def test_a_folder_with_something_else_in_it_is_refused(
    server: DemoServer, vault: Vault, home: Path, tmp_path: Path, inside: str
) -> None:
    """13, as a backup would end: before anything is written."""
    mail = tmp_path / "mail"
    command = f"cat {shlex.quote(str(secret_file(tmp_path, vault)))}"
    words = ["init", "--password-command", command, "--to", str(mail), "--no-input"]
    if inside == "archive":
        other = f"imap+insecure://other@127.0.0.1:{server.imap_port}"
        assert vault.run(*words, "--server", other, "--name", "other", "--no-test").code == 0
        config_of(home).unlink()
        assert vault.run("backup", url(server, "kim@"), "--to", mail, "--password-command", command).code == 0
        words += ["--server", other]
    else:
        mail.mkdir()
        (mail / inside).write_text("x")
        words += ["--server", url(server, "kim@")]
    result = vault.run(*words, "--no-test")
    assert result.code == 13, result.err
    assert not config_of(home).exists()


def test_a_wrong_password_writes_nothing(server: DemoServer, vault: Vault, home: Path) -> None:
    """12, as a backup would end; without the test nobody notices."""
    words = ["init", "--server", url(server, "kim@"), "--password-command", "echo wrong-word", "--no-input"]
    result = vault.run(*words)
    assert result.code == 12
    assert nothing_in(home)
    assert vault.run(*words, "--no-test").code == 0
    assert vault.run("backup").code == 12


def test_an_account_of_the_same_name_is_refused(vault: Vault, home: Path) -> None:
    """10; the file stays octet for octet, and so it does when another one is added."""
    words = ["init", "me@gmail.com", "--password-command", "x", "--no-test", "--no-input"]
    assert vault.run(*words).code == 0
    before = config_of(home).read_bytes()
    result = vault.run(*words)
    assert result.code == 10
    assert "has an account gmail already" in result.err
    assert "--name" in result.err
    assert config_of(home).read_bytes() == before
    assert vault.run(*words, "--name", "second").code == 0
    assert config_of(home).read_bytes().startswith(before)
    assert list(load(None, environ={"HOME": str(home)}).accounts) == ["gmail", "second"]


def test_without_a_person_oauth_ends_with_what_to_type(vault: Vault, home: Path) -> None:
    """Nobody can sign in there, so that the next command is `login`; with a helper nobody needs to."""
    words = ["init", "me@outlook.com", "--oauth", "microsoft", "--client-id", "c-1", "--no-input"]
    result = vault.run(*words)
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines()[-1] == "next: mailarchive login outlook"
    result = vault.run("backup")
    assert "nobody has signed in yet" in result.err
    words = ["init", "me@outlook.com", "--name", "b", "--token-command", "oama x", "--no-test", "--no-input"]
    assert vault.run(*words).code == 0
    accounts = load(None, environ={"HOME": str(home)}).accounts
    assert [accounts[name].oauth is not None for name in ("outlook", "b")] == [True, True]


def test_a_disk_that_fails_takes_the_password_back(
    server: DemoServer, vault: Vault, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Either all is there, or nothing."""
    monkeypatch.setenv("MAILARCHIVE_MAIL_PASSWORD", PASSWORD)
    config_of(home).parent.mkdir(parents=True)

    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fails)
    file = home / "secret"
    result = vault.run("init", "--server", url(server, "kim@"), "--name", "mail", "--password-file", file, "--no-input")
    assert result.code == 14
    assert nothing_in(home)


def test_the_keyring_gets_the_password_at_the_end(
    server: DemoServer, vault: Vault, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a backup takes it from there; where there is no keyring, another way is named."""
    keyring = pytest.importorskip("keyring")
    monkeypatch.setenv("MAILARCHIVE_MAIL_PASSWORD", PASSWORD)
    kept: dict[tuple[str, str], str] = {}
    monkeypatch.setattr(keyring, "get_password", lambda service, name: kept.get((service, name)))
    monkeypatch.setattr(keyring, "set_password", lambda service, name, value: kept.update({(service, name): value}))
    words = ["init", "--server", url(server, "kim@"), "--name", "mail", "--keyring", "--no-input"]
    assert vault.run(*words).code == 0
    assert kept == {("mailarchive", "mail"): PASSWORD}
    monkeypatch.delenv("MAILARCHIVE_MAIL_PASSWORD")
    assert vault.run("backup").code == 0
    assert "keyring = true" in config_of(home).read_text()


# With a person


def sits_down(vault: Vault, answers: Sequence[tuple[str, str]], *words: object, command: Sequence[str] = ()) -> Seen:
    """Run the command at a terminal, and take down what was drawn."""
    program = command or [sys.executable, "-m", "mailarchive"]
    seen = at_a_terminal([*program, "init", *map(str, words)], answers)
    vault.texts.append(seen.text)
    assert not any(sign in seen.text.replace("\x1b[", "") for sign in "\x07\x1b\u202e")
    return seen


def talk(server: DemoServer) -> list[tuple[str, str]]:
    """Give every question of the wizard, with an answer."""
    return [
        ("Your e-mail address:", "kim@example.invalid\r"),
        ("Look it up there? [y/N]", "\r"),
        ("The server, such as", url(server, "kim@") + "\r"),
        ("A name for the account [example]", "\r"),
        ("Number or word [command]", "3\r"),
        ("config/mailarchive/example.password]", "\r"),
        ("Password of kim on 127.0.0.1", PASSWORD + "\r"),
        ("all) [1y]", "\r"),
        ("Mail/archive/example]", "\r"),
        ("Number or word [maildir]", "\r"),
        ("config.toml? [Y/n]", "\r"),
        ("(nothing is changed)? [Y/n]", "\r"),
    ]


def test_the_whole_way_at_a_terminal(server: DemoServer, vault: Vault, home: Path) -> None:
    """From an address to the plan of a first backup; then `backup` asks for nothing."""
    vault.keepers.add(config_of(home).with_name("example.password"))
    seen = sits_down(vault, talk(server))
    assert seen.code == 0, seen.text
    assert "autoconfig.example.invalid" in seen.text
    assert "autoconfig.thunderbird.net" in seen.text
    assert r"Wo\x1b]0;owned\x07rk" in seen.text
    assert "quota: " in seen.text
    assert "would archive 2 messages" in seen.text
    assert seen.text.rstrip().endswith("next: mailarchive backup example")
    assert not (home / "Mail").exists()
    text = config_of(home).read_text()
    assert 'password_file = "~/.config/mailarchive/example.password"' in text
    assert vault.run("backup", "--no-input").code == 0
    assert len(maildir.files(home / "Mail" / "archive" / "example")) == 2


@pytest.mark.parametrize("at", range(11))
def test_ctrl_c_at_any_question_leaves_nothing_behind(server: DemoServer, vault: Vault, home: Path, at: int) -> None:
    """No configuration, no password, no archive, no folder with anything in it; exit 130."""
    answers = talk(server)
    seen = sits_down(vault, [*answers[:at], (answers[at][0], CTRL_C)])
    assert seen.code in (130, -signal.SIGINT), seen.text
    assert nothing_in(home)


@pytest.mark.parametrize("at", [0, 1, 4, 6, 10])
def test_the_end_of_the_input_is_no_answer(server: DemoServer, vault: Vault, home: Path, at: int) -> None:
    """2, and nothing is written."""
    answers = talk(server)
    seen = sits_down(vault, [*answers[:at], (answers[at][0], CTRL_D)])
    assert seen.code == 2, seen.text
    assert "the question was not answered, and nothing was written" in seen.text
    assert nothing_in(home)


def test_a_no_at_the_end_writes_nothing(server: DemoServer, vault: Vault, home: Path) -> None:
    """0, as asked for."""
    seen = sits_down(vault, [*talk(server)[:10], ("config.toml? [Y/n]", "n\r")])
    assert seen.code == 0
    assert "Nothing was written." in seen.text
    assert nothing_in(home)


def test_wrong_answers_are_told_and_asked_again(server: DemoServer, vault: Vault, home: Path) -> None:
    """An address that is none, an unknown way, a wrong password, an age that can be read two ways."""
    answers = [
        ("Your e-mail address:", "kim\r"),
        ("write it like me@example.org)", "kim@gmail.com\r"),
        ("an app password", ""),
        ("Use this server? [Y/n]", "x\r"),
        ("please answer y or n", "n\r"),
        ("The server, such as", "127.0.0.1.5\r"),
        ("is not an IPv4 address", url(server, "kim@") + "\r"),
        ("A name for the account [gmail]", "\r"),
        ("Number or word [command]", "9\r"),
        ("a number from 1 to 5", "ask\r"),
        ("Password of kim on 127.0.0.1", "wrong-word\r"),
        ("Try once more, or in another way? [Y/n]", "\r"),
        ("Try once more, or in another way? [Y/n]: \r\nWhere does", "5\r"),
        ("ask\r\nPassword of kim", ""),
        ("5\r\nPassword of kim on 127.0.0.1", PASSWORD + "\r"),
        ("all) [1y]", "1M\r"),
        ("is that months?", "1m\r"),
        ("Mail/archive/gmail]", "\r"),
        ("Number or word [maildir]", "mbox\r"),
        ("config.toml? [Y/n]", "y\r"),
        ("(nothing is changed)? [Y/n]", "\r"),
    ]
    seen = sits_down(vault, answers)
    assert seen.code == 0, seen.text
    # The plan was made without asking for the password again.
    assert "would archive 2 messages" in seen.text
    assert seen.text.count("Password of kim") == 2
    text = config_of(home).read_text()
    assert "password" not in text.partition("\n")[2]
    assert 'format = "mbox"' in text


def test_a_name_that_is_free_is_offered(vault: Vault, home: Path) -> None:
    """One that is taken is refused, and asked for again."""
    words = ["me@gmail.com", "--password-command", "x", "--no-test"]
    assert vault.run("init", *words, "--no-input").code == 0
    before = config_of(home).read_bytes()
    answers = [
        ("Use this server? [Y/n]", "\r"),
        ("A name for the account [gmail2]", "gmail\r"),
        ("has an account gmail already", CTRL_C),
    ]
    assert sits_down(vault, answers, *words).code == 130
    assert config_of(home).read_bytes() == before


def test_a_server_that_was_found_is_shown_and_confirmed(vault: Vault, home: Path) -> None:
    """What others say of it is made safe; a no leads to the next one, then to a question."""
    script = (
        "import sys\n"
        "from mailarchive.cli import initialising, main\n"
        "from mailarchive.discovery import Candidate, Found\n"
        "from mailarchive.address import parse_url\n"
        "def look_up(mail, protocol, https, dns):\n"
        "    doubts = ('it is a description of \\x1b]0;owned\\x07',)\n"
        "    urls = [parse_url(f'imaps://mail{n}.example', user=mail.text) for n in (1, 2)]\n"
        "    at = [Candidate(url, 'https://\\x1b[2Jx', doubts=doubts) for url in urls]\n"
        "    return Found(tuple(at), ('one \\x1b[31mplace is silent',))\n"
        "initialising.look_up = look_up\n"
        "main()\n"
    )
    answers = [
        ("Look it up there? [y/N]", "y\r"),
        ("mail1.example", ""),
        ("Use this server? [y/N]", "\r"),
        ("mail2.example", "y\r"),
        ("A name for", CTRL_C),
    ]
    seen = sits_down(vault, answers, "kim@example.invalid", command=[sys.executable, "-c", script])
    assert r"one \x1b[31mplace is silent" in seen.text
    assert r"careful  it is a description of \x1b]0;owned\x07" in seen.text
    assert "user     kim@example.invalid" in seen.text
    assert nothing_in(home)


def test_nobody_is_asked_for_a_server_without_a_yes(vault: Vault, home: Path) -> None:
    """Not with --no-input, not after a no: a look-up would end this test."""
    script = (
        "import os\n"
        "from mailarchive.cli import initialising, main\n"
        "initialising.look_up = lambda *_: os._exit(99)\n"
        "main()\n"
    )
    program = [sys.executable, "-c", script]
    for words in (["--no-input"], ["--no-lookup"]):
        answers = [] if "--no-input" in words else [("The server, such as", CTRL_C)]
        seen = sits_down(vault, answers, "kim@example.invalid", *words, command=program)
        assert seen.code == (2 if "--no-input" in words else 130), seen.text
    assert sits_down(vault, [], "kim@example.invalid", "--no-input", "--lookup", command=program).code == 99
    assert nothing_in(home)


def test_the_help_names_every_question(home: Path) -> None:
    """And says that a password is never written into the configuration."""
    result = mailarchive("init", "--help")
    assert result.code == 0
    assert "A password is never written into it" in " ".join(result.out.split())
    assert nothing_in(home)
