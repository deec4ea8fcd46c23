"""How an import looks: on a terminal, under cron, with hostile names."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest

from mailarchive.errors import ExitCode
from mailarchive.events import Imported, ImportFinished, Importing, NotImported, Started, Warned
from mailarchive.model import Digest
from mailarchive.screen.plain import Plain
from mailarchive.screen.reports import import_lines
from mailarchive.screen.terminal import Terminal
from mailarchive.screen.words import WIDE
from mailarchive.tally import Intake
from tests.core.screen_samples import DIGEST, EVIL, INTAKE, RUN, Clock, Tty, shown

STARTED = Started(
    run=RUN,
    command="import",
    account="home",
    server="imaps://imap.example.org",
    archive="/home/me/mail",
    selection="from old.mbox",
)
FINISHED = ImportFinished(
    RUN, "/home/me/mail", (("INBOX", INTAKE),), INTAKE, ExitCode.PARTIAL, (("in Spam or Trash", 1200), ("a link", 1))
)


def lines(finished: ImportFinished, width: int = WIDE, *, dry_run: bool = False) -> list[str]:
    """Lay the report out."""
    started = replace(STARTED, dry_run=dry_run)
    return [line.text for line in import_lines(started, finished, width=width, encoding="utf-8", home="/home/me")]


def test_report() -> None:
    """The numbers, what was left out, and where it is."""
    assert lines(FINISHED) == [
        "home · imaps://imap.example.org · from old.mbox",
        "  mailbox            read   new   already   failed       bytes",
        "  INBOX                 7     3         2        2      4.1 kB",
        "  total                 7     3         2        2      4.1 kB",
        "  left out: 1 200 in Spam or Trash, 1 a link",
        f"  archive: ~/mail   run: {RUN}",
    ]


def test_report_of_a_dry_run() -> None:
    """It says what would be new, and names no run."""
    found = lines(FINISHED, dry_run=True)
    assert "would be new" in found[1]
    assert found[-1] == "  nothing was changed"
    assert RUN not in "\n".join(found)


def test_nothing_to_import() -> None:
    """An empty source says so; one that failed does not."""
    empty = ImportFinished(RUN, "/srv", (), Intake(), ExitCode.DONE)
    assert lines(empty)[1] == "  nothing to import"
    assert "nothing" not in "\n".join(lines(replace(empty, exit_code=ExitCode.DISK)))


@pytest.mark.parametrize("quiet", [False, True])
def test_failures_are_named_on_stderr(quiet: bool) -> None:
    """With file and offset; a quiet run that ends well says nothing."""
    out, err = io.StringIO(), io.StringIO()
    screen = Plain(out, err, quiet=quiet)
    screen(STARTED)
    screen(NotImported("INBOX", "/old.mbox", 17, "it is empty"))
    screen(NotImported("INBOX", "/a.eml", None, "Permission denied"))
    screen(replace(FINISHED, error="no space left", hint="free some"))
    text = err.getvalue()
    assert "mailarchive: not imported: /old.mbox at octet 17: it is empty\n" in text
    assert "mailarchive: not imported: /a.eml: Permission denied\n" in text
    assert text.endswith("mailarchive: error: no space left\nhint: free some\n")
    assert ("home: 3 new, 2 already, 2 failed; exit 3" in text) is quiet
    assert bool(out.getvalue()) is not quiet
    well, silent = io.StringIO(), io.StringIO()
    screen = Plain(well, silent, quiet=True)
    for event in (STARTED, Warned("a hint"), replace(FINISHED, exit_code=ExitCode.DONE)):
        screen(event)
    assert (well.getvalue(), silent.getvalue()) == ("", "")


def test_the_bar_counts_messages_and_octets() -> None:
    """How many messages there are is not known before; the octets are."""
    out, err, clock = io.StringIO(), Tty(), Clock()
    screen = Terminal(out, err, color=False, clock=clock)
    screen(STARTED)
    screen(Importing("/old.mbox", 4000))
    for _ in range(3):
        clock.now += 1
        screen(Imported("INBOX", "/old.mbox", 0, DIGEST, 1000, 1010))
    (line,) = shown(err.getvalue())
    assert line.startswith("reading /old.mbox")
    assert " 3 " in line
    assert "3.0 kB" in line
    screen(FINISHED)
    assert shown(err.getvalue()) == [""]
    assert "INBOX" in out.getvalue()


@pytest.mark.parametrize("kind", [Plain, Terminal])
def test_hostile_text_is_harmless(kind: type[Plain]) -> None:
    """No name of a file or mailbox brings a control character to a terminal."""
    out, err = io.StringIO(), Tty()
    with kind(out, err, verbose=True) as screen:
        for event in (
            Started(EVIL, "import", EVIL, EVIL, EVIL, EVIL),
            Importing(EVIL, 10),
            Imported(EVIL, EVIL, 5, Digest(EVIL), 5, 5),
            NotImported(EVIL, EVIL, 5, EVIL),
            ImportFinished(
                EVIL, EVIL, ((EVIL, INTAKE),), INTAKE, ExitCode.PARTIAL, ((EVIL, 1),), error=EVIL, hint=EVIL
            ),
        ):
            screen(event)
    printed = out.getvalue() + re.sub(r"\r(?! *\n)|\x1b\[[0-9;]*m", "", err.getvalue())
    assert not {"\x1b", "\x07", "\u202e", "\x9b", "\r"} & set(printed)
    assert "[red]x[/nope]" in out.getvalue()
    assert "[red]x[/nope]" in err.getvalue()
