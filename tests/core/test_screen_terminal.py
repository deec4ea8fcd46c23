"""What a person at a terminal sees."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import termios
from typing import TYPE_CHECKING

import pytest

from mailarchive.errors import DiskError, ExitCode
from mailarchive.events import Archived, Failed, Fetching, Finished, Gone, Listing, MailboxFinished, Warned
from mailarchive.model import UID
from mailarchive.screen import choose
from mailarchive.screen.plain import columns
from mailarchive.screen.terminal import Terminal
from mailarchive.screen.words import cell_width
from mailarchive.tally import Tally
from tests.core.screen_samples import (
    DIGEST,
    FINISHED,
    PLANNED,
    RESULT,
    RUN,
    STARTED,
    TALLY,
    Clock,
    Tty,
    shown,
)

if TYPE_CHECKING:
    from pathlib import Path

    from mailarchive.screen import Screen


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM", "COLUMNS", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/me")


def run_on_terminal(screen: Screen) -> None:
    """Report a small run that ends well."""
    with screen:
        for event in (
            STARTED,
            Listing("INBOX", 0, 2),
            Listing("Lists", 1, 2),
            PLANNED,
            Fetching("INBOX", 3, 3072),
            Archived("INBOX", UID(7), DIGEST, 1024),
            Warned("slow"),
            Archived("INBOX", UID(8), DIGEST, 1024),
            Gone("INBOX", 1),
            MailboxFinished("INBOX", TALLY),
            FINISHED,
        ):
            screen(event)


def test_terminal_shows_a_bar_and_takes_it_away() -> None:
    """While it lasts the bar names the mailbox and counts; at the end only what matters is left."""
    out, err = io.StringIO(), Tty()
    clock = Clock()
    screen = Terminal(out, err, color=False, clock=clock)
    screen(STARTED)
    screen(Listing("Lists", 1, 4))
    clock.now += 1
    screen(Listing("Work", 2, 4))
    assert "listing Work" in shown(err.getvalue())[0]
    assert shown(err.getvalue())[0].endswith("2/4")
    screen(PLANNED)
    assert shown(err.getvalue()) == [""]
    screen(Fetching("INBOX", 3000, 3_000_000))
    for uid in range(1, 1501):
        clock.now += 0.125
        screen(Archived("INBOX", UID(uid), DIGEST, 1000))
    bar = shown(err.getvalue())[-1]
    assert bar.startswith("INBOX ")
    for part in ("1 500/3 000", "1.5 MB", "8.0 kB/s", "0:03:0"):
        assert part in bar
    screen(Warned("slow"))
    screen(MailboxFinished("INBOX", TALLY))
    screen(FINISHED)
    screen.close()
    assert shown(err.getvalue()) == ["mailarchive: warning: slow", ""]
    assert out.getvalue() == RESULT.replace("1.84", "█████████░ 1.84")


def test_the_bar_is_gone_once_it_is_full() -> None:
    """After the last message nothing is on the line, so that a question can be asked there."""
    err = Tty()
    screen = Terminal(io.StringIO(), err, color=False)
    screen(Fetching("INBOX", 4, 0))
    assert "0/4" in shown(err.getvalue())[0]
    screen(Archived("INBOX", UID(1), DIGEST, 10))
    screen(Gone("INBOX", 2))
    screen(Failed("INBOX", UID(4), "no"))
    assert shown(err.getvalue()) == ["mailarchive: failed: INBOX 4: no", ""]


def test_an_error_takes_the_bar_away() -> None:
    """An error in the middle of a mailbox stands on a clean line."""
    err = Tty()
    screen = Terminal(io.StringIO(), err, color=False)
    screen(Fetching("INBOX", 4, 4096))
    screen.error(DiskError("no space left"))
    screen(Archived("INBOX", UID(1), DIGEST, 1024))
    assert shown(err.getvalue()) == ["mailarchive: error: no space left", ""]


def test_closing_takes_the_bar_away() -> None:
    """A traceback, or a shell prompt after Ctrl-C, stands on a clean line."""
    err = Tty()
    with Terminal(io.StringIO(), err, color=False) as screen:
        screen(Fetching("INBOX", 4, 4096))
        assert "0/4" in err.getvalue()
    assert shown(err.getvalue()) == [""]


def test_many_events_cost_little() -> None:
    """A hundred thousand messages in ten seconds draw the bar a hundred times, not a hundred thousand."""
    err = Tty()
    clock = Clock()
    screen = Terminal(io.StringIO(), err, color=False, clock=clock)
    screen(Fetching("INBOX", 200_000, 0))
    for uid in range(1, 100_001):
        clock.now = uid / 10_000
        screen(Archived("INBOX", UID(uid), DIGEST, 10))
    assert 90 <= err.getvalue().count("\r") <= 110


def test_color_false_means_no_escape_at_all() -> None:
    """--no-color leaves not one ESC on either stream, bold and cursor movements included."""
    out, err = Tty(), Tty()
    run_on_terminal(Terminal(out, err, color=False, verbose=True))
    assert "\x1b" not in out.getvalue() + err.getvalue()
    assert "INBOX" in err.getvalue()


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR turns colours off, FORCE_COLOR or not; an empty value means nothing."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    for value, colored in (("1", False), ("", True)):
        monkeypatch.setenv("NO_COLOR", value)
        out, err = Tty(), Tty()
        run_on_terminal(Terminal(out, err))
        assert ("\x1b" in out.getvalue()) is colored
        assert ("\x1b" in err.getvalue()) is colored


def test_colors_go_only_to_the_stream_that_is_a_terminal() -> None:
    """`mailarchive backup | tee log` has a coloured bar and a plain log."""
    out, err = io.StringIO(), Tty()
    run_on_terminal(Terminal(out, err))
    assert "\x1b" not in out.getvalue()
    assert "\x1b" in err.getvalue()


def test_failures_are_red() -> None:
    """A row with failed messages stands out, the others do not."""
    out = Tty()
    screen = Terminal(out, Tty())
    good, bad = Tally(on_server=1), Tally(on_server=2, selected=1, failed=1)
    screen(Finished(RUN, "/srv", (("Good", good), ("Bad", bad)), good + bad, ExitCode.PARTIAL))
    rows = {name: row for row in out.getvalue().splitlines() for name in ("Good", "Bad", "total") if name in row}
    assert "\x1b[31m" not in rows["Good"]
    assert rows["Bad"].startswith("\x1b[31m")
    assert rows["total"].startswith("\x1b[31m")


def test_ascii_terminal() -> None:
    """A terminal in an ASCII locale gets its bar and its quota in ASCII."""
    raw_out, raw_err = io.BytesIO(), io.BytesIO()
    out, err = (io.TextIOWrapper(raw, encoding="ascii", errors="strict") for raw in (raw_out, raw_err))
    screen = Terminal(out, err, color=True)
    screen(Fetching("Entwürfe", 3, 3072))
    screen(Archived("Entwürfe", UID(1), DIGEST, 1024))
    screen.close()
    screen(FINISHED)
    assert b"Entw\\xfcrfe" in raw_err.getvalue()
    assert b"->  #########. 1.84 GB" in raw_out.getvalue()


def everything(reader: io.FileIO, end: bytes) -> str:
    """Read from the other side of a terminal until `end` has come."""
    received = b""
    while end not in received:
        received += reader.read(65536)
    return received.decode()


def test_f123_a_terminal_of_20_columns() -> None:
    """On a real terminal of 20 columns nothing crashes, and neither table nor bar is wider than it."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 20, 0, 0))
    with os.fdopen(master, "rb", buffering=0) as reader, os.fdopen(slave, "w", encoding="utf-8") as terminal:
        assert columns(terminal) == 20
        screen = choose(json=False, quiet=False, verbose=False, color=None, stdout=terminal, stderr=terminal)
        assert isinstance(screen, Terminal)
        screen(Fetching("Archive/日本語のメール", 3, 3072))
        bar = everything(reader, b"0/3")
        screen(MailboxFinished("INBOX", TALLY))
        screen(FINISHED)
        text = everything(reader, f"undo {RUN}\r\n".encode())
    assert 0 < cell_width(re.sub(r"\x1b\[[0-9;]*m|\r", "", bar)) < 20
    table = [row for row in shown(text) if row.startswith((" on server", " bytes", "INBOX", "total"))]
    assert len(table) == 6
    assert max(map(len, table)) <= 20


def test_an_unknown_width_is_80(tmp_path: Path) -> None:
    """A terminal that cannot say how wide it is counts as 80 columns, a file has no width."""
    assert columns(Tty()) == 80
    master, slave = pty.openpty()
    with os.fdopen(master, "rb"), os.fdopen(slave, "w", encoding="utf-8") as sizeless:
        assert columns(sizeless) == 80
    with (tmp_path / "log").open("w") as log:
        assert columns(log) > 1000
    assert columns(None) > 1000
