"""Wrong input, as the table of faults lists it, word for word: exit code, line, hint, and nothing done."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from mailarchive.archives.opening import open_for_writing
from mailarchive.demo.server import DemoServer
from mailarchive.demo.store import Store
from tests import maildir
from tests.command import mailarchive, plain_url, process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.command import Result

URL = "imaps://me@imap.example.org"
COUNT = 6
USUAL = "use 30d, 8w, 6m or 1y"
CLEAR = "clear text is refused, except to this computer (127.0.0.1, ::1, localhost)"
NAME = "--mailbox: a line break or a NUL is in the name"
FLAGS = "POP3 has no flags, so no message can be chosen by one"


def said(result: Result) -> tuple[str, str]:
    """Give the one error and its hint; nothing else was said, on either stream."""
    first, *rest = result.err.splitlines()
    assert result.out == ""
    assert len(rest) <= 1
    return first.removeprefix("mailarchive: error: "), (rest or ["hint: "])[0].removeprefix("hint: ")


@pytest.fixture
def server() -> Iterator[DemoServer]:
    """Serve six old messages, and a mailbox Food."""
    store = Store()
    account = store.add_account("kim", "secret", limit=50_000_000)
    for number in range(COUNT):
        old = datetime.now(UTC).replace(microsecond=0) - timedelta(days=900 + number)
        head = old.strftime("Date: %a, %d %b %Y %H:%M:%S +0000\r\n") + f"Subject: {number}\r\n"
        account.mailbox("INBOX").append(head.encode() + b"\r\nbody\r\n", old)
    account.create("Food")
    with DemoServer(store) as running:
        yield running


def left(server: DemoServer) -> int:
    """Count what is on the server."""
    return len(server.store.account("kim").mailbox("INBOX").messages())


def configure(home: Path, text: str) -> None:
    """Write a configuration."""
    config = home / ".config" / "mailarchive" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(f'archive = "{home}/mail"\n{text}')
    config.chmod(0o600)


def account(server: DemoServer, name: str = "home", keys: str = "") -> str:
    """Give an account of the configuration."""
    return (
        f'[account.{name}]\nserver = "imap+insecure://127.0.0.1:{server.imap_port}"\nuser = "kim"\n'
        f"password_command = 'echo secret'\n{keys}\n"
    )


@pytest.mark.parametrize(
    ("option", "value", "line", "hint"),
    [
        ("--older-than", "1", "'1': a unit is missing", USUAL),
        ("--older-than", "1.5y", "'1.5y': an age has no decimals", "write 1y6m"),
        ("--older-than", "-1y", "'-1y': an age has no sign", "write 1y"),
        ("--older-than", "0d", "'0d': zero is no age", "use 1d or more, or leave the option out"),
        ("--older-than", "5000y", "'5000y': too long ago for mail", "the longest age is 100y"),
        ("--older-than", "1M", "'1M': is that months?", "write 1m"),
        ("--before", "03/04/2024", "'03/04/2024': can be read two ways", "write 2024-04-03 or 2024-03-04"),
        ("--before", "2024-02-30", "'2024-02-30': February 2024 has 29 days", ""),
        ("--larger-than", "10Gb", "'10Gb': the units are K, M, G and T", "write 10G"),
    ],
)
@pytest.mark.parametrize("more", [(), ("--dry-run",), ("--delete", "--yes")])
def test_f129_what_cannot_be_read_is_named_with_what_to_write(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    option: str,
    value: str,
    line: str,
    hint: str,
    more: tuple[str, ...],
) -> None:
    """2; no server is asked for, and nothing made."""
    monkeypatch.chdir(tmp_path)
    result = mailarchive("backup", URL, "--to", "x", f"{option}={value}", *more)
    assert (result.code, said(result)) == (2, (f"{option} {line}", hint))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ((), "home: which mail is to be deleted? Nothing says so"),
        (("--limit", "5"), "home: which mail is to be deleted? Nothing says so"),
        (("--before", "2999"), "--before 2999-01-01 is in the future: mail that has not come yet would be deleted too"),
    ],
)
@pytest.mark.parametrize("command", [("backup", "--delete"), ("prune",)])
def test_f130_a_deletion_that_nobody_has_chosen(
    server: DemoServer, home: Path, words: tuple[str, ...], line: str, command: tuple[str, ...]
) -> None:
    """2; nothing leaves the server, and nothing is archived either."""
    configure(home, account(server))
    result = mailarchive(*command, "--yes", *words)
    assert (result.code, said(result)[0]) == (2, line)
    assert (left(server), (home / "mail").exists()) == (COUNT, False)


@pytest.mark.parametrize("command", [("backup", "--delete"), ("prune",)])
def test_f131_a_deletion_without_a_yes(server: DemoServer, home: Path, command: tuple[str, ...]) -> None:
    """2, as a process without a terminal, whatever stands in its input; `delete = true` is a yes."""
    configure(home, account(server, keys="older_than = '1y'") + account(server, "sure", "older_than = '1y'"))
    result = process(*command, "home")
    assert result.code == 2
    assert said(result) == (
        "home: deleting needs a yes, and there is no terminal to ask at",
        "add --yes, or delete = true to the account home",
    )
    assert (left(server), (home / "mail").exists()) == (COUNT, False)


@pytest.mark.parametrize("method", ["auto", "expunge"])
def test_f132_a_server_without_uidplus(home: Path, method: str) -> None:
    """2 if it was typed, 10 from the configuration, with what is possible; before the first fetch."""
    store = Store()
    store.add_account("kim", "secret").mailbox("INBOX").append(b"Subject: x\r\n\r\n", datetime(2020, 1, 1, tzinfo=UTC))
    commands: list[bytes] = []
    hidden = frozenset({"UIDPLUS"})
    with DemoServer(store, hidden=hidden, record=commands.append) as server:
        configure(home, account(server, keys=f"delete = true\nolder_than = '1y'\ndelete_method = '{method}'"))
        kept = mailarchive("backup")
        typed = mailarchive("backup", "--delete-method", method)
        mailarchive("backup", "--delete-method", "mark", "--dry-run")
    assert (kept.code, typed.code) == (10, 2)
    choices = "mark, or exclusive if no other program uses the mailbox"
    for result, hint in ((kept, f"set delete_method to {choices}"), (typed, f"choose --delete-method {choices}")):
        line, told = said(result)
        assert "no UIDPLUS" in line
        assert told == hint
    assert not any(b"BODY" in command or b"STORE" in command for command in commands)
    assert maildir.files(home / "mail" / "home") == []


@pytest.mark.parametrize("most", [COUNT - 1, COUNT])
def test_f133_a_plan_above_max_delete(server: DemoServer, tmp_path: Path, most: int) -> None:
    """3: archived, and nothing deleted; as many as were allowed may go."""
    words = ("--to", tmp_path / "a", "--older-than", "1y", "--delete", "--yes", "--max-delete", str(most))
    result = mailarchive("backup", plain_url(server.imap_port, "kim"), *words)
    assert len(maildir.files(tmp_path / "a")) == COUNT
    if most == COUNT:
        assert (result.code, result.err, left(server)) == (0, "", 0)
        return
    assert (result.code, left(server)) == (3, COUNT)
    assert f"nothing is deleted: the plan holds {COUNT} deletions, more than --max-delete {most}\n" in result.err


def test_f134_a_mailbox_that_is_not_there(server: DemoServer, tmp_path: Path, home: Path) -> None:
    """2 with the nearest name, and nothing archived; a pattern may fit none; from the configuration 3, and the others.

    That also holds where mail is to be deleted.
    """
    words = ("backup", plain_url(server.imap_port, "kim"), "--to", tmp_path / "a")
    for more in ((), ("--dry-run",), ("--delete", "--yes")):
        result = mailarchive(*words, "--mailbox", "Foo", *more)
        assert result.code == 2
        assert "mailarchive: error: no mailbox 'Foo' on the server\nhint: did you mean 'Food'?\n" in result.err
        assert (left(server), maildir.files(tmp_path / "a")) == (COUNT, [])
    assert mailarchive(*words, "--mailbox", "Foo*", "--mailbox", "None*").code == 0
    configure(home, account(server, keys="mailboxes = ['Foo', 'INBOX']"))
    result = mailarchive("-q", "backup")
    assert result.code == 3
    assert "no mailbox 'Foo' on the server" in result.err
    assert len(maildir.files(home / "mail" / "home")) == COUNT


@pytest.mark.parametrize(
    ("words", "line", "hint"),
    [
        *(((URL, "--mailbox", f"a{sign}b"), NAME, "") for sign in "\r\n\0"),
        *(
            (
                (f"imaps://me{sign}@imap.example.org",),
                "the server's address holds a line break or control character",
                "",
            )
            for sign in "\r\n\0"
        ),
        *(
            (
                (f"imaps://me@imap{sign}.example.org",),
                "the server's address holds a line break or control character",
                "",
            )
            for sign in "\r\n\0"
        ),
        (
            ("imaps://imap.example.org", "--user", "a\r\nb"),
            "imaps://imap.example.org: the user name 'a\\r\\nb' holds a line break or control character",
            "",
        ),
        (
            ("imaps://me@imap.example.org:99999",),
            "imap.example.org: the port is not a number from 1 to 65535",
            "the usual one is 993",
        ),
        (
            ("https://mail.example.org",),
            "https:// is a web address; the address of the mail server is needed",
            "write imaps://USER@HOST; the provider's help names its IMAP server, often imap.example.org",
        ),
        ((URL, "--format", "zip"), "Invalid value for '--format': 'zip' is not one of 'maildir', 'mbox'", None),
        ((URL, "--frobnicate"), "No such option '--frobnicate'", None),
    ],
)
def test_f135_what_cannot_be_an_address_an_option_or_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], line: str, hint: str | None
) -> None:
    """2; what was typed is shown in signs that steer nothing."""
    monkeypatch.chdir(tmp_path)
    result = mailarchive("backup", *words, "--to", "x")
    told, what = said(result)
    assert result.code == 2
    assert told.startswith(line)
    assert what == ("mailarchive backup --help" if hint is None else hint)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("typed", "meant"), [("bakup", "backup"), ("frob", ""), ("prnue", "prune")])
def test_f135_no_such_command(typed: str, meant: str) -> None:
    """2, with a guess where there is a near one."""
    result = mailarchive(typed)
    line, hint = said(result)
    assert (result.code, hint) == (2, "mailarchive --help")
    assert line == f"No such command '{typed}'" + (f". Did you mean '{meant}'?" if meant else "")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        *(((option,), FLAGS) for option in ("--seen", "--unseen", "--flagged", "--unflagged")),
        (("--imap-search", "ALL"), "--imap-search cannot be"),
        (("--keep-flagged", "--delete", "--yes"), "--keep-flagged has nothing to act on"),
        (("--keep-unread", "--delete", "--yes"), "--keep-unread has nothing to act on"),
    ],
)
def test_f136_what_pop_cannot_say(server: DemoServer, tmp_path: Path, words: tuple[str, ...], line: str) -> None:
    """2; nothing is archived, and nothing deleted."""
    url = f"pop+insecure://kim@127.0.0.1:{server.pop_port}"
    result = mailarchive("backup", url, "--to", tmp_path / "a", "--older-than", "1y", *words)
    assert (result.code, left(server)) == (2, COUNT)
    assert line in result.err
    assert maildir.files(tmp_path / "a") == []


@pytest.mark.parametrize("protocol", ["imap", "pop"])
@pytest.mark.parametrize("host", ["imap.example.org", "10.0.0.1", "127.0.0.1.example.org", "0.0.0.0"])
def test_f137_clear_text_to_another_computer(home: Path, tmp_path: Path, protocol: str, host: str) -> None:
    """2 if it was typed, 10 from the configuration, where all is refused; the hint names the way with TLS."""
    result = mailarchive("backup", f"{protocol}+insecure://me@{host}", "--to", tmp_path / "x")
    assert (result.code, said(result)) == (2, (f"{host}: {CLEAR}", f"use {protocol}s://{host}"))
    configure(home, f'[account.a]\nserver = "{protocol}+insecure://me@{host}"\n')
    result = mailarchive("backup")
    assert result.code == 10
    assert said(result) == (
        f"config.toml:3: account.a.server: {host}: {CLEAR}",
        f"use {protocol}s://{host}",
    )
    assert not (tmp_path / "x").exists()


SERVER = 'server = "imaps://me@imap.example.org"\n'


@pytest.mark.parametrize(
    ("text", "line", "hint"),
    [
        ("[account.home\n", "config.toml:2: ", ""),
        (
            f"[account.home]\n{SERVER}pasword = 'x'\n",
            "config.toml:4: account.home.pasword: unknown key",
            "did you mean 'password_command'?",
        ),
        (f"[account.home]\n{SERVER}[account.home]\n{SERVER}", "config.toml:4: ", ""),
        (f"[account.home]\n{SERVER}format = 'zip'\n", "config.toml:4: account.home.format: unknown format 'zip'", ""),
    ],
)
def test_f138_a_configuration_that_is_wrong(home: Path, text: str, line: str, hint: str) -> None:
    """10 with file and line, for each command that reads it; nothing is made."""
    configure(home, text)
    for command in ("backup", "prune", "verify"):
        result = mailarchive(command)
        told, what = said(result)
        assert result.code == 10
        assert told.startswith(line)
        assert not hint or what == hint
    assert not (home / "mail").exists()


@pytest.mark.parametrize("way", ["password_file", "configuration"])
def test_f138_what_others_can_read_or_change(server: DemoServer, home: Path, way: str) -> None:
    """10: a password is not taken from a file that others read, and no command from one that they write."""
    secret, config = home / "secret", home / ".config" / "mailarchive" / "config.toml"
    configure(home, account(server).replace("password_command = 'echo secret'", f"password_file = '{secret}'"))
    secret.write_text("secret\n")
    secret.chmod(0o644 if way == "password_file" else 0o600)
    if way == "configuration":
        config.chmod(0o666)
    result = mailarchive("backup")
    line, hint = said(result)
    assert result.code == 10
    assert str(secret if way == "password_file" else config) in line
    assert hint.startswith(f"chmod 600 {secret}, and change" if way == "password_file" else f"chmod go-w {config}")
    assert (left(server), (home / "mail").exists()) == (COUNT, False)


@pytest.mark.parametrize("place", ["file", "root", "other things", "another account", "below a file"])
def test_f139_a_place_that_is_no_archive(server: DemoServer, tmp_path: Path, place: str) -> None:
    """13, before the password is asked for; what is there stays as it is."""
    url = plain_url(server.imap_port, "kim")
    (tmp_path / "file").write_text("x")
    (tmp_path / "things").mkdir()
    (tmp_path / "things" / "letter").write_text("mine")
    with open_for_writing(tmp_path / "other", "imaps://you@imap.example.org", run="r", started="07:04"):
        pass
    places: dict[str, tuple[str | Path, str]] = {
        "file": (tmp_path / "file", f"{tmp_path}/file is a file"),
        "root": ("/", "/ holds something else than an archive"),
        "other things": (tmp_path / "things", f"{tmp_path}/things holds something else than an archive"),
        "another account": (tmp_path / "other", "is the archive of imaps://you@imap.example.org, not of imap+insecure"),
        "below a file": (
            tmp_path / "file" / "below",
            f"{tmp_path}/file is a file, so {tmp_path}/file/below cannot be made",
        ),
    }
    where, line = places[place]
    before = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*"))
    for more in ((), ("--dry-run",), ("--older-than", "1y", "--delete", "--yes")):
        result = mailarchive("backup", url, "--to", where, *more)
        assert result.code == 13, result.err
        assert line in said(result)[0]
    assert sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*")) == before
    assert left(server) == COUNT


@pytest.mark.needs_root
@pytest.mark.parametrize("more", [(), ("--older-than", "1y", "--delete", "--yes"), ("--dry-run",)])
def test_f139_root_leaves_the_archive_of_another_user_alone(
    server: DemoServer, tmp_path: Path, more: tuple[str, ...]
) -> None:
    """13 with path and owner: what root writes there, its owner could no longer read or remove."""
    url, archive = plain_url(server.imap_port, "kim"), tmp_path / "a"
    assert mailarchive("-q", "backup", url, "--to", archive, "--limit", "1").code == 0
    for path in (archive, *archive.rglob("*")):
        os.chown(path, 65534, 65534)
    before = sorted((path, path.stat().st_mtime_ns) for path in archive.rglob("*"))
    result = mailarchive("backup", url, "--to", archive, *more)
    assert (result.code, left(server)) == (13, COUNT)
    line, hint = said(result)
    assert line == f"{archive} belongs to another user (uid 65534)"
    assert hint == "run as that user, or choose another folder"
    for command in ("verify", "reindex"):
        assert mailarchive(command, archive).code == 13
    assert sorted((path, path.stat().st_mtime_ns) for path in archive.rglob("*")) == before
