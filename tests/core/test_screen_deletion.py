"""What a person sees while messages are deleted and put back."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from mailarchive.errors import DiskError, ExitCode
from mailarchive.events import (
    Archived,
    Deleting,
    Expunged,
    Fetching,
    Finished,
    Kept,
    Listing,
    MailboxFinished,
    NotPutBack,
    PutBack,
    RestoreFinished,
    Restoring,
    Settled,
    Warned,
)
from mailarchive.model import UID, ItemState
from mailarchive.screen.plain import Plain
from mailarchive.screen.reports import settled_text
from mailarchive.screen.terminal import Terminal
from mailarchive.tally import Return
from tests.core.screen_samples import (
    DELETING_PLAN,
    DIGEST,
    FAILED_RUN,
    FINISHED,
    RESTORED,
    RUN,
    STARTED,
    TALLY,
    UNDO,
    UNDO_STARTED,
    Clock,
    Tty,
    shown,
)


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM", "COLUMNS", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/me")


def plain(*, quiet: bool = False, verbose: bool = False) -> tuple[Plain, io.StringIO, io.StringIO]:
    """Make the screen of a cron job and its two streams."""
    out, err = io.StringIO(), io.StringIO()
    return Plain(out, err, quiet=quiet, verbose=verbose), out, err


def expunged(uid: int) -> Expunged:
    """Remove one message."""
    return Expunged("INBOX", UID(uid), DIGEST, 1024, ItemState.GONE)


# The plan and the question

DELETION = "would delete 12 791 messages, 1.21 GB, from the server"
SENTENCE = f"  would archive 3 812 messages, 123.1 MB; {DELETION}; nothing was changed"
ASKED = [
    "home · imaps://imap.example.org · older than 1y = before 2025-11-23 00:00 CET",
    "  mailbox            on server   selected   already   to fetch      bytes   to delete   to keep       freed",
    "  INBOX                 12 402      9 811     9 000        811    92.1 MB       9 790        21     1.10 GB",
    "  Lists/debian           3 117      3 001         0      3 001    31.0 MB       3 001         0    106.0 MB",
    "  total                 15 519     12 812     9 000      3 812   123.1 MB      12 791        21     1.21 GB",
    "  kept: 18 flagged, 3 sent after the cut-off",
    "  quota: 1.92 GB of 2.00 GB (96 %)  →  about 0.71 GB of 2.00 GB (36 %)",
]


@pytest.mark.parametrize("quiet", [False, True])
def test_a_question_shows_the_plan_on_stderr(*, quiet: bool) -> None:
    """The plan that is asked about is no result, and whoever is asked sees it, quiet or not."""
    screen, out, err = plain(quiet=quiet)
    screen(STARTED)
    screen(DELETING_PLAN)
    screen.question(DELETING_PLAN)
    assert out.getvalue() == ""
    assert err.getvalue().splitlines() == ASKED


def test_a_question_stands_on_a_clean_line() -> None:
    """The bar is gone before the plan, and does not come back behind it."""
    out, err = io.StringIO(), Tty()
    screen = Terminal(out, err, color=False)
    screen(STARTED)
    screen(Listing("INBOX", 0, 4))
    assert "0/4" in err.getvalue()
    screen.question(DELETING_PLAN)
    assert out.getvalue() == ""
    lines = shown(err.getvalue())
    assert (lines[0], lines[-1]) == (ASKED[0], "")
    assert lines[1:] == [
        "  on server  selected  already  to fetch     bytes  to delete  to keep     freed",
        "  INBOX",
        "     12 402     9 811    9 000       811   92.1 MB      9 790       21   1.10 GB",
        "  Lists/debian",
        "      3 117     3 001        0     3 001   31.0 MB      3 001        0  106.0 MB",
        "  total",
        "     15 519    12 812    9 000     3 812  123.1 MB     12 791       21   1.21 GB",
        *ASKED[-2:],
        "",
    ]


def test_a_question_in_an_ascii_locale() -> None:
    """The plan is laid out as stderr can write it."""
    raw = io.BytesIO()
    screen = Plain(io.StringIO(), io.TextIOWrapper(raw, encoding="ascii", errors="strict"))
    box = replace(DELETING_PLAN.mailboxes[0], mailbox="Entwürfe")
    screen.question(replace(DELETING_PLAN, mailboxes=(box,)))
    table = raw.getvalue().decode("ascii").splitlines()[:3]
    assert table[1].startswith("  Entw\\xfcrfe ")
    assert len({len(line) for line in table}) == 1


def test_dry_run_prints_the_plan_on_stdout() -> None:
    """The plan of a dry run is its result."""
    screen, out, err = plain()
    screen(replace(STARTED, dry_run=True))
    screen(DELETING_PLAN)
    screen(FINISHED)
    assert out.getvalue().splitlines() == [
        *ASKED,
        SENTENCE,
    ]
    assert err.getvalue() == ""


def test_verbose_plan_of_a_deletion() -> None:
    """With -v the plan of a run that does it is one line."""
    screen, _, err = plain(verbose=True)
    screen(STARTED)
    screen(DELETING_PLAN)
    assert err.getvalue() == "plan: 3 812 messages to fetch, 123.1 MB; 12 791 messages to delete, 1.21 GB\n"


# What stays


def test_kept_is_told_with_verbose_alone() -> None:
    """Each message that stays has a line with -v; else the summary says it."""
    for verbose, lines in ((True, ["kept: INBOX 7: flagged", "kept: INBOX 8: damaged (a\\x1bb)"]), (False, [])):
        screen, out, err = plain(verbose=verbose)
        screen(Kept("INBOX", UID(7), "flagged"))
        screen(Kept("INBOX", UID(8), "damaged", "a\x1bb"))
        assert err.getvalue().splitlines() == lines
        assert out.getvalue() == ""


# Interrupted deletions


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (
            Settled(RUN, "INBOX", gone=1234, back=3),
            "was settled: 1 234 had gone, 3 were still there and are unmarked",
        ),
        (Settled(RUN, "INBOX", back=1), "was settled: 1 was still there and is unmarked"),
        (Settled(RUN, "INBOX"), "was settled: nothing was left of it"),
        (Settled(RUN, "INBOX", gone=1, open=2), "is still open: 1 had gone, 2 are still there and marked \\Deleted"),
        (Settled(RUN, "INBOX", open=1), "is still open: 1 is still there and marked \\Deleted"),
        (
            Settled(RUN, "INBOX", abandoned=4),
            "was settled: 4 were left alone, because the server numbers them anew or shows others",
        ),
        (
            Settled(RUN, "INBOX", abandoned=1),
            "was settled: 1 was left alone, because the server numbers it anew or shows another",
        ),
    ],
)
def test_settled(event: Settled, text: str) -> None:
    """What became of an earlier deletion is one sentence with the numbers that are not 0."""
    assert settled_text(event) == f"an interrupted deletion in INBOX (run {RUN}) {text}"


def test_settled_is_a_note() -> None:
    """What was found of an interrupted deletion stands on stderr."""
    screen, out, err = plain()
    screen(Settled(RUN, "INBOX", gone=12, back=3))
    assert err.getvalue() == (
        f"mailarchive: an interrupted deletion in INBOX (run {RUN}) was settled: "
        "12 had gone, 3 were still there and are unmarked\n"
    )
    assert out.getvalue() == ""


@pytest.mark.parametrize("quiet", [False, True])
def test_an_open_deletion_is_urgent(*, quiet: bool) -> None:
    """Marks that are still on messages are told at once, with what to type."""
    screen, _, err = plain(quiet=quiet)
    screen(STARTED)
    screen(Settled(RUN, "INBOX", open=3))
    open_one = f"an interrupted deletion in INBOX (run {RUN}) is still open: 3 are still there and marked \\Deleted"
    assert err.getvalue().splitlines() == [f"mailarchive: {open_one}", "hint: run mailarchive prune to settle it"]


def test_quiet_keeps_what_was_settled_until_a_human_is_needed() -> None:
    """A run that ends well does not tell of it, one that does not does."""
    for end, lines in ((FINISHED, 0), (FAILED_RUN, 2)):
        screen, _, err = plain(quiet=True)
        screen(STARTED)
        screen(Settled(RUN, "INBOX", gone=12))
        assert err.getvalue() == ""
        screen(end)
        assert len(err.getvalue().splitlines()) == lines
        assert ("12 had gone" in err.getvalue()) is bool(lines)


# Bars


def test_the_bar_of_a_deletion() -> None:
    """It names the mailbox and counts what went and what stays; after the last message the line is free."""
    err = Tty()
    clock = Clock()
    screen = Terminal(io.StringIO(), err, color=False, clock=clock)
    screen(Deleting("Work\x1b", 1200, 50_000))
    for uid in range(1, 1001):
        clock.now += 0.125
        screen(expunged(uid) if uid % 10 else Kept("Work\x1b", UID(uid), "flagged"))
    bar = shown(err.getvalue())[-1]
    assert bar.startswith("deleting from Work\\x1b ")
    assert bar.endswith("1 000/1 200")
    for uid in range(1001, 1201):
        screen(expunged(uid))
    assert shown(err.getvalue()) == [""]


def test_what_is_kept_outside_a_deletion_moves_no_bar() -> None:
    """While bodies arrive, a message that will stay is no step."""
    err = Tty()
    clock = Clock()
    screen = Terminal(io.StringIO(), err, color=False, clock=clock)
    screen(Deleting("INBOX", 2, 0))
    screen(Fetching("INBOX", 3, 0))
    clock.now += 1
    screen(Kept("INBOX", UID(1), "flagged"))
    screen(expunged(2))
    assert shown(err.getvalue())[-1].endswith("0/3")
    screen(Archived("INBOX", UID(3), DIGEST, 10))
    assert shown(err.getvalue())[-1].endswith("1/3")


def test_notes_and_ends_take_the_bar_of_a_deletion_away() -> None:
    """A note, the end of a mailbox and an error stand on clean lines, and late events draw nothing."""
    for end in (MailboxFinished("INBOX", TALLY), replace(FINISHED, error="no space left"), None):
        err = Tty()
        screen = Terminal(io.StringIO(), err, color=False)
        screen(Deleting("INBOX", 4, 0))
        screen(Warned("slow"))
        screen(expunged(1))
        if end is not None:
            screen(end)
        screen.error(DiskError("no space left"))
        screen(expunged(2))
        assert shown(err.getvalue()) == ["mailarchive: warning: slow", "mailarchive: error: no space left", ""]


def test_nothing_to_delete_draws_no_bar() -> None:
    """A mailbox without candidates passes by unseen."""
    err = Tty()
    screen = Terminal(io.StringIO(), err, color=False)
    screen(Deleting("INBOX", 0, 0))
    screen(Restoring("INBOX", 0, 0))
    assert err.getvalue() == ""


def test_the_bar_of_an_undo() -> None:
    """It counts what was put back and what could not be, and leaves only the complaint."""
    out, err = io.StringIO(), Tty()
    clock = Clock()
    screen = Terminal(out, err, color=False, clock=clock)
    screen(UNDO_STARTED)
    screen(Restoring("INBOX", 5, 5000))
    for already in (False, False, True):
        clock.now += 1
        screen(PutBack("INBOX", DIGEST, 1000, already=already))
    bar = shown(err.getvalue())[-1]
    assert bar.startswith("putting back INBOX ")
    for part in ("3/5", "3.0 kB", "1.0 kB/s"):
        assert part in bar
    screen(NotPutBack("INBOX", DIGEST, "over quota"))
    assert shown(err.getvalue())[0] == "mailarchive: not put back: INBOX 0f0f0f0f0f0f: over quota"
    screen(RESTORED)
    assert shown(err.getvalue()) == ["mailarchive: not put back: INBOX 0f0f0f0f0f0f: over quota", ""]
    assert "put back   there already" in out.getvalue()


# The end of an undo


def test_plain_undo() -> None:
    """The result of an undo stands on stdout, what failed on stderr."""
    screen, out, err = plain()
    for event in (UNDO_STARTED, NotPutBack("INBOX", DIGEST, "over quota"), RESTORED):
        screen(event)
    assert out.getvalue().splitlines() == [
        f"home · imaps://imap.example.org · what {RUN} deleted",
        "  mailbox            of the run   put back   there already   failed       bytes",
        "  INBOX                       5          3               1        1      4.1 kB",
        "  total                       5          3               1        1      4.1 kB",
        "  quota: 1.84 GB of 2.00 GB (92 %)",
        f"  archive: /srv/mail/home   run: {UNDO}",
    ]
    assert err.getvalue() == "mailarchive: not put back: INBOX 0f0f0f0f0f0f: over quota\n"


def test_an_error_of_an_undo_is_told_once() -> None:
    """The error that cut an undo short is not repeated when it reaches the command line."""
    screen, out, err = plain()
    screen(UNDO_STARTED)
    screen(RestoreFinished(UNDO, RUN, "/srv", (), Return(), ExitCode.DISK, error="no space left", hint="free some"))
    screen.error(DiskError("no space left", hint="free some"))
    assert err.getvalue() == "mailarchive: error: no space left\nhint: free some\n"
    assert "nothing to put back" not in out.getvalue()


def test_quiet_undo() -> None:
    """A quiet undo speaks only if it did not end well."""
    done = replace(RESTORED, exit_code=ExitCode.DONE)
    for event, lines in (
        (done, []),
        (
            RESTORED,
            [
                "mailarchive: warning: slow",
                f"mailarchive: home: 3 put back, 1 failed; exit 3: {ExitCode.PARTIAL.meaning}",
            ],
        ),
    ):
        screen, out, err = plain(quiet=True)
        for each in (UNDO_STARTED, Warned("slow"), event):
            screen(each)
        assert out.getvalue() == ""
        assert err.getvalue().splitlines() == lines


def test_quiet_names_deletions_of_a_run_that_did_not_end_well() -> None:
    """Who reads the mail of a cron job sees what is gone."""
    screen, _, err = plain(quiet=True)
    screen(STARTED)
    screen(Finished(RUN, "/srv", (("INBOX", TALLY),), TALLY, ExitCode.PARTIAL, deleting=True))
    assert err.getvalue() == (
        f"mailarchive: home: 2 archived, 2 deleted, 1 kept, 0 failed; exit 3: {ExitCode.PARTIAL.meaning}\n"
    )
