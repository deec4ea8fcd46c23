"""Hostile text and broken streams: nothing about a screen can harm a terminal or stop a run."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mailarchive.errors import ConfigError, DiskError, ExitCode
from mailarchive.events import (
    Deleting,
    Expunged,
    Failed,
    Fetching,
    Finished,
    Gone,
    Held,
    Kept,
    Listing,
    MailboxFinished,
    NotPutBack,
    Planned,
    PlannedMailbox,
    PutBack,
    RestoreFinished,
    Restoring,
    Settled,
    Started,
    Warned,
)
from mailarchive.model import UIDL, Digest, ItemState, Quota
from mailarchive.screen.jsonl import JsonLines
from mailarchive.screen.plain import Plain
from mailarchive.screen.terminal import Terminal
from tests.core.screen_samples import (
    DELETING_PLAN,
    EVERY_EVENT,
    EVIL,
    RETURN,
    RUN,
    STARTED,
    TALLY,
    Tty,
    child,
)

if TYPE_CHECKING:
    from mailarchive.events import (
        Event,
    )
    from mailarchive.screen import Screen


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM", "COLUMNS", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/me")


@pytest.mark.parametrize("kind", ["plain", "terminal"])
@pytest.mark.parametrize("dry_run", [False, True])
def test_f124_hostile_text_is_harmless(kind: str, monkeypatch: pytest.MonkeyPatch, *, dry_run: bool) -> None:
    """No string of a server brings a control character to a terminal, and markup in it is only text."""
    out, err = io.StringIO(), Tty()
    monkeypatch.setenv("NO_COLOR", "1")
    screen: Screen = (Terminal if kind == "terminal" else Plain)(out, err, verbose=True)
    box = PlannedMailbox(EVIL, 1, 1, 0, 1, 1, delete=1, delete_size=1)
    plan = Planned((box,), deleting=True, method=EVIL, kept=((EVIL, 1),), quota=Quota(1, 2), held=EVIL)
    events: list[Event] = [
        Started(EVIL, EVIL, EVIL, EVIL, EVIL, EVIL, dry_run=dry_run),
        Listing(EVIL, 1, 3),
        plan,
        Fetching(EVIL, 5, 50),
        Failed(EVIL, UIDL(EVIL), EVIL),
        Held(EVIL, UIDL(EVIL), EVIL),
        Gone(EVIL, 1),
        Warned(EVIL, EVIL),
        Settled(EVIL, EVIL, gone=1, back=1, open=1, abandoned=1),
        Deleting(EVIL, 5, 50),
        Expunged(EVIL, UIDL(EVIL), Digest(EVIL), 10, ItemState.GONE),
        Kept(EVIL, UIDL(EVIL), EVIL, EVIL),
        MailboxFinished(EVIL, TALLY),
        Restoring(EVIL, 5, 50),
        PutBack(EVIL, Digest(EVIL), 10),
        NotPutBack(EVIL, Digest(EVIL), EVIL),
        RestoreFinished(EVIL, EVIL, EVIL, ((EVIL, RETURN),), RETURN, ExitCode.PARTIAL, error=EVIL, hint=EVIL),
        Finished(EVIL, EVIL, ((EVIL, TALLY),), TALLY, ExitCode.PARTIAL, error=EVIL, hint=EVIL, kept=((EVIL, 1),)),
    ]
    with screen:
        for event in events:
            screen(event)
        screen.question(plan)
        screen.error(ConfigError(EVIL + "!", hint=EVIL))
    printed = out.getvalue() + re.sub(r"\r(?! *\n)", "", err.getvalue())
    assert not {"\x1b", "\x07", "\u202e", "\x9b", "\r"} & set(printed)
    assert "[red]x[/nope]" in out.getvalue()
    assert "[red]x[/nope]" in err.getvalue()


def test_f123_ascii_stream_gets_plainer_signs() -> None:
    """A locale without our signs gets others; nothing raises and the columns stay straight."""
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii", errors="strict")
    screen = Plain(out, io.StringIO())
    screen(STARTED)
    screen(Finished(RUN, "/srv/Ä", (("Entwürfe", TALLY),), TALLY, ExitCode.DONE))
    text = raw.getvalue().decode("ascii")
    assert text.startswith("home - imaps://imap.example.org - older than 1y")
    table = text.splitlines()[1:4]
    assert table[1].startswith("  Entw\\xfcrfe ")
    assert len({len(line) for line in table}) == 1
    assert "archive: /srv/\\xc4" in text


REPORT = """
import sys
from mailarchive.errors import ExitCode
from mailarchive.events import Finished, MailboxFinished, Started, Warned
from mailarchive.tally import Tally
from mailarchive.screen import choose
screen = choose(json=sys.argv[1] == "json", quiet=False, verbose=True, color=None, stdout=sys.stdout, stderr=sys.stderr)
with screen:
    for _ in range(int(sys.argv[2])):
        screen(Started("run", "backup", "home", "imaps://x", "/srv", ""))
        screen(MailboxFinished("Entw\\u00fcrfe", Tally(on_server=1)))
        screen(Finished("run", "/srv", (("Entw\\u00fcrfe", Tally(on_server=1)),), Tally(on_server=1), ExitCode.DONE))
print("the job went on", file=sys.stderr)
"""


@pytest.mark.parametrize("kind", ["plain", "json"])
def test_f123_locale_c(kind: str) -> None:
    """In the C locale with an ASCII stdout a run with an umlaut in a name ends well."""
    done = child(
        REPORT, kind, "1", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0", PYTHONIOENCODING="ascii:strict"
    )
    assert done.returncode == 0, done.stderr
    assert "Entw\\" in done.stdout.decode("ascii")
    assert done.stderr.endswith(b"the job went on\n")


@pytest.mark.parametrize("kind", ["plain", "json"])
def test_f113_broken_pipe(kind: str) -> None:
    """`mailarchive backup | head -1` loses the output, not the backup, and exits as the backup does."""
    code = f"""
import os, sys
reading, writing = os.pipe()
os.close(reading)
os.dup2(writing, 1)
{REPORT}
"""
    done = child(code, kind, "50")
    lines = done.stderr.decode().splitlines()
    assert done.returncode == 0
    assert lines[-1] == "the job went on"
    assert not [line for line in lines if "rror" in line]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_f113_full_disk_under_stdout() -> None:
    """A result that cannot be written does not turn a good backup into a crash."""
    code = f"import os; os.dup2(os.open('/dev/full', os.O_WRONLY), 1)\n{REPORT}"
    done = child(code, "plain", "1")
    assert (done.returncode, done.stderr.decode().splitlines()[-1]) == (0, "the job went on")


def test_f113_missing_and_closed_streams() -> None:
    """A process without stdout and stderr, or with closed ones, runs on."""
    closed = io.StringIO()
    closed.close()
    for screen in (Plain(None, None), Plain(closed, closed), JsonLines(None), JsonLines(closed)):
        with screen:
            for event, _ in EVERY_EVENT:
                screen(event)
            screen.question(DELETING_PLAN)
            screen.error(DiskError("no space left"))
