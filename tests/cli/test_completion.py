"""`mailarchive completion`: what real shells make of it at a terminal."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from mailarchive.cli import cli, run
from mailarchive.demo.server import DemoServer
from mailarchive.demo.store import Store
from tests.cli.terminal import at_a_terminal
from tests.command import mailarchive, process

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

VARIABLE = "_MAILARCHIVE_COMPLETE"
HOSTILE = (
    "h$(touch ran)",
    "h`touch ran`",
    "h;touch ran",
    "h'",
    'h"',
    "h&",
    "h|x",
    "h>ran",
    "h!x",
    "h~",
    "h#",
    "h{a,b}",
)
LEFT_OUT = ("x\nplain,evil", "x\x1b[31mred", "x\ttab", "x\u202eleft", "x\x00nul", "x\x7f")


@pytest.fixture
def archive(home: Path) -> Path:
    """Configure two accounts, one of which has an archive of mailboxes with friendly and other names."""
    store = Store()
    account = store.add_account("kim", "secret")
    for name in ("INBOX", "Family & Friends", "Lists/debian", "Lists/rust", "Été 2014", *HOSTILE):
        box = account.find(name) or account.create(name)
        box.append(b"Subject: x\r\n\r\nx\r\n", datetime(2020, 1, 1, tzinfo=UTC), ())
    file = home / ".config" / "mailarchive" / "config.toml"
    file.parent.mkdir(parents=True)
    with DemoServer(store) as server:
        url = f"imap+insecure://127.0.0.1:{server.imap_port}"
        file.write_text(
            f'archive = "{home}/mail"\n[account.home]\nuser = "kim"\nserver = "{url}"\n'
            f'password_command = "echo secret"\n'
            f'[account.work]\nuser = "kim"\nserver = "{url}"\npassword_command = "touch {home}/ran"\n'
        )
        file.chmod(0o600)
        assert mailarchive("-q", "backup", "home").code == 0
    with contextlib.closing(sqlite3.connect(home / "mail/home/.mailarchive/catalogue.sqlite")) as db:
        for name in LEFT_OUT:
            db.execute("INSERT INTO mailbox (name) VALUES (?)", (name,))
        db.commit()
    return home / "mail" / "home"


def offered(*words: str, shell: str = "bash") -> list[str]:
    """Give what a shell would be told about the last of the words."""
    line = " ".join(["mailarchive", *words])
    asked = {VARIABLE: f"{shell}_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(words))}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in asked.items():
            patch.setenv(name, value)
        found = mailarchive()
    assert found.err == ""
    return [text.removeprefix("plain,") for text in found.out.splitlines()]


def test_accounts_by_their_first_letters(archive: Path) -> None:
    """From the configuration, none twice; no command of it is run."""
    assert offered("backup", "''") == ["home", "work"]
    assert offered("backup", "ho") == ["home"]
    assert offered("backup", "home", "''") == ["work"]
    assert offered("login", "w") == ["work"]
    assert offered("config", "show", "w") == ["work"]
    assert offered("status", "x") == []
    assert offered("verify", "/t") == ["dir,/t"]
    assert not (archive.parent.parent / "ran").exists()


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_command_completes(name: str) -> None:
    """Whatever it takes, its name and its options are offered."""
    assert name in offered(name[:2])
    if name != "config":
        assert "--help" in offered(name, "--he")


def test_mailboxes_as_the_archives_know_them(archive: Path) -> None:
    """Also after `=`, also behind the `!` of an exclusion; those of the account that is named."""
    assert offered("backup", "--mailbox", "Lists/") == ["Lists/debian", "Lists/rust"]
    assert offered("backup", "--mailbox", "=", "Lists/d") == ["Lists/debian"]
    assert offered("prune", "home", "--mailbox", "'!Lists/'") == ["\\!Lists/debian", "\\!Lists/rust"]
    assert offered("backup", "work", "--mailbox", "Li") == []
    assert offered("prune", "--archive", str(archive), "--mailbox", "F") == ["Family\\ \\&\\ Friends"]
    assert offered("backup", "--mailbox", "x") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_trouble_is_silent(home: Path, shell: str) -> None:
    """No configuration, one that is wrong, a catalogue that is none: nothing is offered, and nothing is said."""
    assert offered("backup", "ho", shell=shell) == []
    file = home / ".config" / "mailarchive" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text("[account.home\n")
    assert offered("backup", "ho", shell=shell) == []
    archive = home / "a" / ".mailarchive"
    archive.mkdir(parents=True)
    (archive / "catalogue.sqlite").write_bytes(b"nonsense" * 1000)
    assert offered("prune", "--archive", str(home / "a"), "--mailbox", "x", shell=shell) == []
    assert offered("frobnicate", "x", shell=shell) == []
    for broken in ("", "bash", "tcsh_complete", "bash_source"):
        found = process(environ={VARIABLE: broken or "x", "COMP_WORDS": "mailarchive"})
        assert (found.code, found.out, found.err) == (1, "", "")


def test_a_bug_is_silent_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The words are not even there."""
    monkeypatch.setenv(VARIABLE, "bash_complete")
    assert run([]) == 1
    assert capsys.readouterr() == ("", "")


def sit_down(shell: str, require: Callable[[str], str], folder: Path) -> Callable[[str], list[str]]:
    """Give what types a line at a shell that has read our script; that gives the words which a program got then."""
    program = require(shell)
    folder.mkdir()
    (folder / "script").write_text(mailarchive("completion", shell).out, encoding="utf-8")
    (folder / "bin").mkdir()
    ours = folder / "bin" / "mailarchive"
    ours.write_text(
        f'#!/bin/sh\n[ -n "${VARIABLE}" ] && exec {sys.executable} -m mailarchive "$@"\n'
        "printf 'ARGV<%s>\\n' \"$@\"\nprintf 'END''OFWORDS\\n'\n"
    )
    ours.chmod(0o755)
    rc = f"PS1='ready> '; cd {folder}; "
    rc += "autoload -U compinit; compinit -u -D; " if shell == "zsh" else ""
    (folder / ".zshrc").write_text(f"{rc}. {folder}/script\n")
    commands = {
        "bash": [program, "--rcfile", str(folder / ".zshrc"), "-i"],
        "zsh": [program, "-d", "-i"],
        "fish": [
            program, "--no-config", "-C",
            f"cd {folder}; function fish_prompt; echo -n 'ready> '; end; source {folder}/script",
        ],
    }  # fmt: skip
    environ = {
        "PATH": f"{folder}/bin:{os.environ['PATH']}",
        "PYTHONPATH": os.getcwd(),  # noqa: PTH109 - where the package is imported from
        "ZDOTDIR": str(folder),
        "LC_ALL": "C.UTF-8",
    }

    def type_line(line: str) -> list[str]:
        seen = at_a_terminal(commands[shell], [("ready> ", line + "\n"), ("ENDOFWORDS", "exit\n")], environ)
        return [text[5:-1] for text in seen.text.splitlines() if text.startswith("ARGV<") and text.endswith(">")]

    return type_line


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_tab_in_a_real_shell(shell: str, archive: Path, tmp_path: Path, require: Callable[[str], str]) -> None:
    """An account, a mailbox with blanks, and one whose name would run a command."""
    assert archive.exists()
    types = sit_down(shell, require, tmp_path / "s")
    assert types("mailarchive backup ho\t") == ["backup", "home"]
    assert types("mailarchive backup --mailbox Fam\t") == ["backup", "--mailbox", "Family & Friends"]
    assert types("mailarchive backup --mailbox Lists/r\t") == ["backup", "--mailbox", "Lists/rust"]
    assert types("mailarchive backup --mailbox h\\$\t") == ["backup", "--mailbox", "h$(touch ran)"]
    assert not (tmp_path / "s" / "ran").exists()


@pytest.mark.parametrize("name", HOSTILE)
def test_bash_types_a_hostile_name_as_one_harmless_word(
    name: str, archive: Path, require: Callable[[str], str]
) -> None:
    """What is offered is read back by the shell as the name, and runs nothing."""
    assert archive.exists()
    words = offered("backup", "--mailbox", "h")
    bash = require("bash")
    read = [
        subprocess.run(
            [bash, "--norc", "-c", f"printf %s {word}"], capture_output=True, text=True, check=True, cwd=archive.parent
        ).stdout
        for word in words
    ]
    assert name in read
    assert len(read) == len(HOSTILE)
    assert not (archive.parent / "ran").exists()
