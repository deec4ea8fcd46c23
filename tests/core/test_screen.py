"""Which screen is chosen, and what the plain one prints."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, TextIO

import pytest

from mailarchive.errors import ConfigError, DiskError, ExitCode, SignInError
from mailarchive.events import Failed, Finished, Gone, Held, MailboxFinished, Settled, Started, Waiting, Warned
from mailarchive.model import UID
from mailarchive.screen import choose
from mailarchive.screen.jsonl import JsonLines
from mailarchive.screen.plain import Plain
from mailarchive.screen.terminal import Terminal
from mailarchive.tally import Tally
from tests.core.screen_samples import (
    FAILED_RUN,
    FINISHED,
    PLANNED,
    RESULT,
    RUN,
    RUN_EVENTS,
    STARTED,
    TALLY,
    Tty,
    child,
)

if TYPE_CHECKING:
    from mailarchive.screen import Screen


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM", "COLUMNS", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/me")


def plain(*, quiet: bool = False, verbose: bool = False) -> tuple[Plain, io.StringIO, io.StringIO]:
    """Make the screen of a cron job and its two streams."""
    out, err = io.StringIO(), io.StringIO()
    return Plain(out, err, quiet=quiet, verbose=verbose), out, err


@pytest.mark.parametrize(
    ("options", "stderr", "kind"),
    [
        ({"json": True}, Tty(), JsonLines),
        ({"json": True, "quiet": True}, io.StringIO(), JsonLines),
        ({}, Tty(), Terminal),
        ({"verbose": True}, Tty(), Terminal),
        ({"quiet": True}, Tty(), Plain),
        ({}, io.StringIO(), Plain),
        ({}, None, Plain),
    ],
)
def test_choose(options: dict[str, bool], stderr: TextIO | None, kind: type[Screen]) -> None:
    """--json wins, then a terminal gets a bar unless it is to be quiet, and all else is plain."""
    asked: dict[str, Any] = {"json": False, "quiet": False, "verbose": False, "color": None} | options
    assert type(choose(**asked, stdout=io.StringIO(), stderr=stderr)) is kind


def test_a_dumb_terminal_gets_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """TERM=dumb says that a carriage return may not go back."""
    monkeypatch.setenv("TERM", "dumb")
    screen = choose(json=False, quiet=False, verbose=False, color=None, stdout=Tty(), stderr=Tty())
    assert type(screen) is Plain


def test_a_closed_stream_is_no_terminal() -> None:
    """A closed stderr chooses the plain screen instead of raising."""
    stream = Tty()
    stream.close()
    closed = io.TextIOWrapper(io.BytesIO())
    closed.close()
    assert type(choose(json=False, quiet=False, verbose=False, color=None, stdout=stream, stderr=closed)) is Plain


IMPORTS = """
import io, sys
from mailarchive.screen import choose
kind = sys.argv[1]
class Tty(io.StringIO):
    def isatty(self): return True
stderr = Tty() if kind == "terminal" else io.StringIO()
with choose(json=kind == "json", quiet=False, verbose=True, color=None, stdout=io.StringIO(), stderr=stderr) as screen:
    from mailarchive.events import Warned
    screen(Warned("x"))
print(any(name.split(".")[0] == "rich" for name in sys.modules))
"""


@pytest.mark.parametrize(("kind", "imported"), [("json", False), ("plain", False), ("terminal", True)])
def test_only_a_terminal_imports_rich(kind: str, *, imported: bool) -> None:
    """A cron job and a script do not pay for rich."""
    done = child(IMPORTS, kind)
    assert (done.stdout.decode().strip(), done.stderr) == (str(imported), b"")


def test_plain_result() -> None:
    """Without a terminal there is nothing but the result, as the contract has it."""
    screen, out, err = plain()
    with screen:
        for event, _ in RUN_EVENTS:
            if not isinstance(event, Failed | Held | Settled | Waiting | Warned):
                screen(event)
    assert out.getvalue() == RESULT
    assert err.getvalue() == ""


def test_plain_complaints_go_to_stderr() -> None:
    """What failed, what was held back and what was warned of stands on stderr, with its place."""
    screen, out, err = plain()
    screen(Failed("INBOX", UID(7), "the server sent nothing"))
    screen(Held("INBOX", UID(8), "empty"))
    screen(Warned("the clock is wrong"))
    screen(Warned("UIDVALIDITY changed", mailbox="Lists", serious=True))
    assert err.getvalue().splitlines() == [
        "mailarchive: failed: INBOX 7: the server sent nothing",
        "mailarchive: held back: INBOX 8: empty",
        "mailarchive: warning: the clock is wrong",
        "mailarchive: warning: Lists: UIDVALIDITY changed",
    ]
    assert out.getvalue() == ""


def test_verbose_has_a_line_for_each_mailbox() -> None:
    """With -v the mailboxes pass by on stderr, and stdout stays the result alone."""
    screen, out, err = plain(verbose=True)
    for event in (STARTED, PLANNED, Gone("INBOX", 1), MailboxFinished("INBOX", TALLY), FINISHED):
        screen(event)
    assert err.getvalue().splitlines() == [
        "plan: 2 messages to fetch, 2.0 kB",
        "INBOX: 1 message removed by another hand meanwhile",
        "INBOX: 2 archived, 2 deleted, 1 kept, 0 failed, 2.0 kB",
    ]
    assert out.getvalue() == RESULT


def test_dry_run_prints_the_plan_alone() -> None:
    """The plan is the result of a dry run; its end has nothing to add."""
    screen, out, _ = plain()
    screen(Started(RUN, "backup", "home", "imaps://imap.example.org", "/srv/mail", "", dry_run=True))
    screen(PLANNED)
    screen(FINISHED)
    assert out.getvalue().splitlines() == [
        "home · imaps://imap.example.org · everything",
        "  mailbox            on server   selected   already   to fetch       bytes",
        "  INBOX                      5          3         1          2      2.0 kB",
        "  total                      5          3         1          2      2.0 kB",
        "  would archive 2 messages, 2.0 kB; nothing was changed",
    ]


def test_two_accounts_one_after_the_other() -> None:
    """Each run of a call has its own header and result."""
    screen, out, _ = plain()
    other = Started(RUN, "backup", "work", "imaps://imap.example.net", "/srv/mail/work", "")
    for event in (STARTED, FINISHED, other, FINISHED):
        screen(event)
    first, second = out.getvalue().split("work · ")
    assert first == RESULT
    assert second.startswith("imaps://imap.example.net · everything\n  mailbox")


def test_quiet_is_silent_when_all_is_well() -> None:
    """A cron job that worked sends no mail, whatever was warned of on the way."""
    screen, out, err = plain(quiet=True)
    with screen:
        for event, _ in RUN_EVENTS:
            if not isinstance(event, Failed):
                screen(event)
    assert (out.getvalue(), err.getvalue()) == ("", "")


def test_quiet_speaks_when_a_human_is_needed() -> None:
    """A quiet run that did not end well says why, and how it ended, on stderr."""
    screen, out, err = plain(quiet=True)
    for event in (STARTED, Warned("slow"), Held("INBOX", UID(8), "empty"), FAILED_RUN):
        screen(event)
    assert out.getvalue() == ""
    assert err.getvalue().splitlines() == [
        "mailarchive: warning: slow",
        "mailarchive: held back: INBOX 8: empty",
        f"mailarchive: home: 2 archived, 1 failed; exit 3: {ExitCode.PARTIAL.meaning}",
    ]


def test_quiet_forgets_the_warnings_of_a_run_that_was_well() -> None:
    """A later account's failure does not bring up an earlier one's trifles."""
    screen, _, err = plain(quiet=True)
    for event in (STARTED, Warned("a trifle"), FINISHED, STARTED, Warned("slow"), FAILED_RUN):
        screen(event)
    assert "trifle" not in err.getvalue()
    assert "slow" in err.getvalue()


def test_quiet_keeps_what_was_said_before_the_run_began() -> None:
    """An archive is opened before; what was odd about it is told if the run ends badly, and forgotten if not."""
    for end, told in ((FAILED_RUN, True), (FINISHED, False)):
        screen, _, err = plain(quiet=True)
        for event in (Warned("the catalogue was set aside"), STARTED, end):
            screen(event)
        assert ("warning: the catalogue was set aside" in err.getvalue()) is told


def test_quiet_error_comes_with_what_led_to_it() -> None:
    """A run that never reached its end still shows its warnings before the error."""
    screen, _, err = plain(quiet=True)
    screen(Warned("the server hung up once"))
    screen.error(SignInError("imap.example.org refused the sign-in of bob"))
    assert err.getvalue().splitlines() == [
        "mailarchive: warning: the server hung up once",
        "mailarchive: error: imap.example.org refused the sign-in of bob",
    ]


def test_error_and_hint() -> None:
    """An error is one line, the hint another; stdout has neither."""
    screen, out, err = plain()
    screen.error(DiskError("no space left on /data", hint="free some space, then run again"))
    assert err.getvalue() == "mailarchive: error: no space left on /data\nhint: free some space, then run again\n"
    assert out.getvalue() == ""


def test_error_of_many_lines() -> None:
    """All errors of a configuration come at once, each with the prefix."""
    screen, _, err = plain()
    screen.error(ConfigError("config.toml:9: unknown key\n\nconfig.toml:12: not a size\x1b[0m"))
    first, second = err.getvalue().splitlines()
    assert first == "mailarchive: error: config.toml:9: unknown key"
    assert second.startswith("mailarchive: error: config.toml:12: not a size")
    assert "\x1b" not in second


def test_an_error_is_told_once() -> None:
    """The error that cut a run short is not repeated when it reaches the command line."""
    screen, out, err = plain()
    screen(STARTED)
    screen(Finished(RUN, "/srv", (), Tally(), ExitCode.DISK, error="no space left", hint="free some"))
    screen.error(DiskError("no space left", hint="free some"))
    screen.error(DiskError("another disk"))
    assert err.getvalue().splitlines() == [
        "mailarchive: error: no space left",
        "hint: free some",
        "mailarchive: error: another disk",
    ]
    assert "nothing to do" not in out.getvalue()
