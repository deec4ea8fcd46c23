"""Tunnel accounts: a command that speaks IMAP and is signed in already, and everything that can be wrong with one."""

from __future__ import annotations

import os
import shlex
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mailarchive.address import tunnel_address
from mailarchive.errors import ExitCode, LaterError, MailarchiveError, ProtocolError, SignInError, UnreachableError
from mailarchive.secret import Secret
from mailarchive.sources import connect
from mailarchive.sources.imap_session import enter
from mailarchive.sources.tls import Trust
from mailarchive.sources.tunnel import Tunnel
from tests import maildir
from tests.command import mailarchive
from tests.corpus import corpus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.conftest import MakeUser

NOW = datetime(2026, 11, 1, tzinfo=UTC)
ADDRESS = tunnel_address("home")
PREAUTH = r"printf '* PREAUTH [CAPABILITY IMAP4rev1] in\r\n'"
ABLE = r"read line; printf '* CAPABILITY IMAP4rev1\r\nCAP OK done\r\n'"


def opened(command: str | Sequence[str], environ: dict[str, str] | None = None) -> MailarchiveError | None:
    """Go through a tunnel and leave at once; gives the error."""
    try:
        source = connect(ADDRESS, Secret(""), Trust(), tunnel=Tunnel(command, environ or dict(os.environ)))
    except MailarchiveError as error:
        return error
    source.close(polite=False)
    return None


def stat_of(pid: str | int) -> list[str]:
    """Give state, parent and what follows of a process; nothing if it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()


def children() -> set[int]:
    """Give the numbers of the processes that this one has started, ended ones that nobody has asked after too."""
    pids = [entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return {int(pid) for pid in pids if stat_of(pid)[1:2] == [str(os.getpid())]}


def is_alive(pid: int) -> bool:
    """Tell whether a process runs."""
    return bool(set(stat_of(pid)[:1]) - {"Z", "X"})


@pytest.mark.dovecot
def test_f011_a_tunnel_is_backed_up_without_a_password(
    dovecot_user: MakeUser, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dovecot's own `imap` through `doveadm exec`, as text and as a list, twice; nothing is asked for, nothing left."""
    account = dovecot_user("tunnel owner")
    account.append_many("INBOX", corpus(5, seed=7, now=NOW, sizes="tiny"))
    file = home / ".config" / "mailarchive" / "config.toml"
    file.parent.mkdir(parents=True)
    words = ", ".join(f'"{word}"' for word in account.imap_exec())
    file.write_text(
        f'archive = "{home}/mail"\n'
        f"[account.text]\nserver = 'imap+tunnel:'\ntunnel = '''{shlex.join(account.imap_exec())}'''\n"
        f'[account.list]\nserver = "imap+tunnel://me@imap.example.org"\ntunnel = [{words}]\n'
    )
    file.chmod(0o600)
    monkeypatch.delenv("MAILARCHIVE_PASSWORD", raising=False)
    before = children()
    for archived in (5, 0):
        result = mailarchive("backup", "--json", "--no-input")
        assert result.code == 0, result.err
        ends = [event["total"]["archived"] for event in result.events if event["event"] == "finished"]
        assert ends == [archived, archived]
    assert len(maildir.files(home / "mail" / "text")) == 5
    assert 'account = "imap+tunnel://text@text"' in (home / "mail/text/.mailarchive/archive.toml").read_text()
    assert 'account = "imap+tunnel://me@imap.example.org"' in (home / "mail/list/.mailarchive/archive.toml").read_text()
    assert children() == before


@pytest.mark.dovecot
def test_a_deletion_through_a_tunnel_is_like_any_other(dovecot_user: MakeUser, home: Path) -> None:
    """What is proved is removed, and put back octet for octet, more of it than a pipe holds."""
    account = dovecot_user("tunnel deleter")
    small = list(corpus(3, seed=8, now=NOW, sizes="tiny"))
    large = replace(small[0], raw=b"Subject: large\r\n\r\n" + b"%060d\r\n" % 7 * 50_000)
    account.append_many("INBOX", [*small, large])
    before = sorted(account.raw_messages().values())
    file = home / "c.toml"
    file.write_text(
        f"archive = '{home}/mail'\n[account.home]\nserver = 'imap+tunnel:'\n"
        f"tunnel = '''{shlex.join(account.imap_exec())}'''\n"
    )
    words = ("--delete", "--yes", "--mailbox", "INBOX", "--no-keep-flagged")
    result = mailarchive("backup", "--json", "--config", file, *words)
    assert result.code == 0, result.err
    assert account.raw_messages() == {}
    assert mailarchive("undo", result.end["run"], "--config", file).code == 0
    assert sorted(account.raw_messages().values()) == before


@pytest.mark.parametrize(
    ("command", "kind", "said"),
    [
        (
            "echo 'ssh: host is \x1b[31mgone' >&2; exit 255",
            UnreachableError,
            "ended with exit status 255: ssh: host is",
        ),
        ("exec 1>&- 0<&-; echo last >&2", UnreachableError, "the tunnel of home has ended: last"),
        ("true", UnreachableError, "the tunnel of home has ended"),
        (["/nonexistent/ssh"], UnreachableError, "cannot be started: No such file or directory"),
        (r"printf '* OK ready\r\n'; sleep 60", SignInError, "wants a sign-in"),
        (r"printf '* BYE full\r\n'; sleep 60", LaterError, "does not let us in now: full"),
        (r"printf 'Welcome to host\r\n'; sleep 60", ProtocolError, "does not greet like an IMAP server"),
        (f"{PREAUTH}; read line; echo broke >&2; exit 3", UnreachableError, "ended with exit status 3: broke"),
    ],
)
def test_what_can_be_wrong_with_a_tunnel(command: str | list[str], kind: type[MailarchiveError], said: str) -> None:
    """Each ends in one line that says why, and nothing of the command is left."""
    before = children()
    error = opened(command)
    assert type(error) is kind
    assert said in error.message
    assert children() == before


def test_f001_a_tunnel_that_ends_has_exit_code_15_and_its_last_words_made_safe(home: Path) -> None:
    """The last line of stderr, without escape sequences; other accounts would go on."""
    file = home / "c.toml"
    file.write_text(
        "[account.home]\nserver = 'imap+tunnel:'\ntunnel = '''printf 'first\\n\\033[31mno route\\n' >&2; exit 255'''\n"
    )
    result = mailarchive("backup", "--config", file)
    assert result.code == ExitCode.UNREACHABLE
    assert r"the tunnel of home has ended with exit status 255: \x1b[31mno route" in result.err
    assert "first" not in result.err
    assert "\x1b" not in result.err


def test_a_good_tunnel_is_entered_and_left() -> None:
    """PREAUTH is what a tunnel has to say."""
    assert opened(f"{PREAUTH}; {ABLE}; read line") is None


def test_nothing_outlives_the_line(tmp_path: Path) -> None:
    """A command that ignores its end, and a child that it has started, are gone when the line is closed."""
    note = tmp_path / "pids"
    stubborn = f"{sys.executable} -c 'import signal, time; signal.signal(15, 1); signal.signal(1, 1); time.sleep(60)'"
    command = f"{stubborn} & echo $$ $! > {shlex.quote(str(note))}; {PREAUTH}; {ABLE}; wait"
    before = children()
    assert opened(command) is None
    pids = [int(word) for word in note.read_text().split()]
    assert len(pids) == 2
    deadline = time.monotonic() + 5
    while any(map(is_alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(map(is_alive, pids))
    assert children() == before


def test_a_command_that_floods_stderr_is_not_stopped_by_it() -> None:
    """A megabyte of warnings is read and forgotten, so that the pipe never fills."""
    flood = (
        "i=0; while [ $i -lt 20000 ]; do echo 'a warning of about fifty octets, again and again'; i=$((i+1)); done >&2"
    )
    assert opened(f"{flood}; {PREAUTH}; {ABLE}; read line") is None


def test_f029_a_command_gets_none_of_our_passwords(tmp_path: Path) -> None:
    """The environment goes through, but for the variables that hold passwords."""
    note = tmp_path / "env"
    environ = {**os.environ, "MAILARCHIVE_HOME_PASSWORD": "canary", "OTHER": "here"}
    assert opened(f"env > {shlex.quote(str(note))}; {PREAUTH}; {ABLE}; read line", environ) is None
    assert "OTHER=here" in note.read_text()
    assert "canary" not in note.read_text()


def test_f003_a_silent_command_is_given_up() -> None:
    """A tunnel that stands and says nothing is an error in the time of any server."""
    before = children()
    line = Tunnel("sleep 60", dict(os.environ)).open("home", timeout=0.2)
    with pytest.raises(UnreachableError, match="silent"):
        enter(line, ADDRESS)
    assert children() == before


def test_a_one_off_has_no_command() -> None:
    """A command never stands in an argument; both ways to write a tunnel say where it belongs."""
    for word in ("imap+tunnel:", "imap+tunnel://me@imap.example.org"):
        result = mailarchive("backup", word, "--to", "x")
        assert "a tunnel is an account of the configuration" in result.err
