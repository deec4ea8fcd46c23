"""What is said around the tables: at the end of a run, of a plan, and of an undo."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mailarchive.errors import ExitCode
from mailarchive.events import (
    Finished,
    Flaw,
    Planned,
    PlannedMailbox,
    ReindexFinished,
    RestoreFinished,
    Settled,
    Started,
)
from mailarchive.expunge import Refusal
from mailarchive.model import Quota
from mailarchive.screen.reports import plan_lines, reindex_lines, restore_lines, result_lines, settled_text, title
from mailarchive.screen.words import WIDE, Line
from mailarchive.tally import Return, Tally
from tests.core.screen_samples import DELETING_PLAN, RESTORED, RUN, STARTED, UNDO, UNDO_STARTED

LIMIT = 2_000_000_000
CONTRACT = Finished(
    run=RUN,
    archive="/home/me/Mail/archive/home",
    mailboxes=(
        ("INBOX", Tally(12402, 9811, 9000, 811, deleted=9790, kept=21, size=92_100_000)),
        ("Lists/debian", Tally(3117, 3001, 0, 3001, deleted=3001, size=31_000_000)),
    ),
    total=Tally(15519, 12812, 9000, 3812, deleted=12791, kept=21, size=123_100_000),
    exit_code=ExitCode.DONE,
    quota=Quota(714_000_000, LIMIT),
    kept=(("flagged", 18), ("sent after the cut-off", 3)),
    quota_before=Quota(1_920_000_000, LIMIT),
    deleting=True,
    method="expunge",
    undo=f"mailarchive undo {RUN}",
)
REINDEXED = ReindexFinished("/home/me/a", 3210, 4_000_000, 3000, 12, 7, 200, 0, 5, (), ExitCode.DONE)
EVIL = "x\x1b[31m\u202e\ny"


def result(event: Finished, width: int = WIDE, *, bar: bool = False) -> list[str]:
    """Write the result of a run as text."""
    lines = result_lines(STARTED, event, width=width, encoding="utf-8", home="/home/me", bar=bar)
    return [line.text for line in lines]


def plan(event: Planned, width: int = WIDE, *, started: Started = STARTED, asking: bool = False) -> list[str]:
    """Write a plan as text."""
    return [line.text for line in plan_lines(started, event, width=width, encoding="utf-8", asking=asking)]


def with_role(lines: list[Line], role: str) -> list[str]:
    """Pick the lines of one role."""
    return [line.text for line in lines if line.role == role]


# Results


def test_contract_report() -> None:
    """A run that deletes looks as in the contract, line by line."""
    assert result(CONTRACT) == [
        "home · imaps://imap.example.org · older than 1y = before 2025-11-23 00:00 CET",
        "  mailbox            on server   selected   already   archived   deleted   kept   failed       bytes",
        "  INBOX                 12 402      9 811     9 000        811     9 790     21        0     92.1 MB",
        "  Lists/debian           3 117      3 001         0      3 001     3 001      0        0     31.0 MB",
        "  total                 15 519     12 812     9 000      3 812    12 791     21        0    123.1 MB",
        "  kept: 18 flagged, 3 sent after the cut-off",
        "  quota: 1.92 GB of 2.00 GB (96 %)  →  0.71 GB of 2.00 GB (36 %)",
        f"  archive: ~/Mail/archive/home   run: {RUN}   undo with: mailarchive undo {RUN}",
    ]


def test_at_80_columns_the_quota_has_room_for_its_bar() -> None:
    """The bar stands before what is left, and the line still fits."""
    lines = result(CONTRACT, 80, bar=True)
    assert lines[-5:] == [
        "  kept: 18 flagged, 3 sent after the cut-off",
        "  quota: 1.92 GB of 2.00 GB (96 %)  →  ███░░░░░░░ 0.71 GB of 2.00 GB (36 %)",
        "  archive: ~/Mail/archive/home",
        f"  run: {RUN}",
        f"  undo with: mailarchive undo {RUN}",
    ]


def test_at_40_columns_the_sentences_fold() -> None:
    """Reasons and quota go on in a second line, and a number stays with its word; the bar gives way."""
    assert result(CONTRACT, 40, bar=True)[-7:-3] == [
        "  kept: 18 flagged,",
        "    3 sent after the cut-off",
        "  quota: 1.92 GB of 2.00 GB (96 %)",
        "    →  0.71 GB of 2.00 GB (36 %)",
    ]


def test_whereabouts_break_on_a_narrow_terminal() -> None:
    """Archive, run and undo get a line each where they have no room on one."""
    assert result(CONTRACT, 60)[-3:] == [
        "  archive: ~/Mail/archive/home",
        f"  run: {RUN}",
        f"  undo with: mailarchive undo {RUN}",
    ]


@pytest.mark.parametrize(
    ("reasons", "line"),
    [
        (("flagged", "unread"), "  kept: 18 flagged, 3 unread"),
        (
            ("held back: 58 deletions, more than 3", "flagged"),
            "  kept: 18 held back: 58 deletions, more than 3; 3 flagged",
        ),
        (("flagged", "held back: no"), "  kept: 18 flagged; 3 held back: no"),
        (("here, there",), "  kept: 18 here, there"),
        (("flagged", "a; b"), "  kept: 18 flagged; 3 a; b"),
    ],
)
def test_reasons_are_told_apart(reasons: tuple[str, ...], line: str) -> None:
    """Also where one of them is a sentence with commas of its own."""
    kept = tuple(zip(reasons, (18, 3), strict=False))
    assert line in result(replace(CONTRACT, kept=kept))
    assert line in plan(replace(DELETING_PLAN, kept=kept))


def test_a_full_account_stands_out() -> None:
    """It is the use after the run that counts."""
    full, empty = Quota(1_900_000_000, LIMIT), Quota(0, LIMIT)
    for before, after, role in ((full, empty, ""), (empty, full, "warn"), (full, full, "warn")):
        event = replace(CONTRACT, quota_before=before, quota=after)
        lines = result_lines(STARTED, event, width=WIDE, encoding="utf-8")
        assert [line.role for line in lines if "quota:" in line.text] == [role]


@pytest.mark.parametrize("before", [None, Quota(1, LIMIT)])
def test_a_server_without_quota_gets_no_line_for_it(before: Quota | None) -> None:
    """What is not known now is not said."""
    assert "quota" not in "\n".join(result(replace(CONTRACT, quota=None, quota_before=before)))


def test_only_what_frees_nothing_has_a_note() -> None:
    """In the trash, messages go on counting; removed ones need no word."""
    notes = with_role(result_lines(None, replace(CONTRACT, method="trash"), width=WIDE, encoding="utf-8"), "warn")
    assert notes == ["  the messages are in the trash, and free no quota until it is emptied"]
    for method in ("expunge", "exclusive", "gmail", ""):
        event = replace(CONTRACT, method=method)
        assert with_role(result_lines(None, event, width=WIDE, encoding="utf-8"), "warn") == []


def test_nothing_in_the_trash_needs_no_note() -> None:
    """A run that would have used the trash and deleted nothing does not speak of it."""
    event = replace(CONTRACT, method="trash", total=Tally(kept=21), mailboxes=(("INBOX", Tally(kept=21)),))
    assert "trash" not in "\n".join(result(event))


@pytest.mark.parametrize("reason", ["marked", Refusal.MARKED])
def test_marked_messages_are_no_deleted_ones(reason: str) -> None:
    """A run that only marks says what is still to be done, and there is nothing to undo."""
    tally = Tally(on_server=5, selected=3, already=3, kept=3)
    event = replace(CONTRACT, method="mark", mailboxes=(("INBOX", tally),), total=tally, kept=((reason, 2), ("new", 1)))
    event = replace(event, undo="")
    lines = result_lines(STARTED, event, width=WIDE, encoding="utf-8")
    assert with_role(lines, "warn") == [
        "  the messages were only marked \\Deleted, and go when a mail program expunges the mailbox"
    ]
    assert f"  kept: 2 {reason}, 1 new" in [line.text for line in lines]
    assert "undo" not in lines[-1].text
    none = replace(event, kept=(("flagged", 3),))
    assert with_role(result_lines(STARTED, none, width=WIDE, encoding="utf-8"), "warn") == []


def test_notes_fold_between_words() -> None:
    """A note is read at 40 columns without the terminal breaking a word."""
    assert result(replace(CONTRACT, method="trash"), 40)[-5:-3] == [
        "  the messages are in the trash, and",
        "    free no quota until it is emptied",
    ]


def test_columns_of_a_deletion() -> None:
    """They stand there when a deletion was asked for, also if nothing went, and never hide a number."""
    plain = replace(CONTRACT, mailboxes=(("INBOX", Tally(on_server=5)),), total=Tally(on_server=5), deleting=False)
    assert "deleted" not in "\n".join(result(plain))
    assert "deleted   kept" in result(replace(plain, deleting=True))[1]
    for total in (Tally(deleted=1), Tally(kept=1)):
        assert "deleted   kept" in result(replace(plain, total=total))[1]


def test_nothing_deleted_nothing_to_undo() -> None:
    """A run that deleted nothing, or from where nothing can be put back, offers no undo."""
    assert "undo" not in "\n".join(result(replace(CONTRACT, undo="")))


def test_nothing_to_do_is_said() -> None:
    """A run without anything to say has a sentence instead of an empty table."""
    lines = result(Finished(RUN, "/srv", (), Tally(), ExitCode.DONE, deleting=True))
    assert lines[1] == "  nothing to do"
    assert not any("mailbox" in line for line in lines)


def test_everything_has_a_word() -> None:
    """A run without a selection says that it takes everything."""
    started = Started(run=RUN, command="backup", account="home", server="", archive="", selection="")
    assert title(started).text == "home · everything"


def test_hostile_report_lines() -> None:
    """Account, server, selection, reasons, run and path are foreign text too."""
    started = Started(run=EVIL, command="backup", account=EVIL, server=EVIL, archive=EVIL, selection=EVIL)
    empty = replace(started, selection="")
    ended = Finished(EVIL, EVIL, (), Tally(selected=1, deleted=1), ExitCode.DONE, kept=((EVIL, 3),), method=EVIL)
    planned = Planned(
        (PlannedMailbox(EVIL, 1, 1, 0, 1, 1, delete=1),), deleting=True, method=EVIL, kept=((EVIL, 1),), held=EVIL
    )
    restored = RestoreFinished(EVIL, EVIL, EVIL, ((EVIL, Return(1)),), Return(1), ExitCode.DONE)
    lines = [
        *result_lines(started, ended, width=WIDE, encoding="utf-8"),
        *plan_lines(started, planned, width=WIDE, encoding="utf-8"),
        *plan_lines(started, replace(planned, held="", quota=Quota(1, 2)), width=WIDE, encoding="utf-8"),
        *restore_lines(started, restored, width=WIDE, encoding="utf-8"),
        *restore_lines(empty, restored, width=WIDE, encoding="utf-8"),
    ]
    for text in [*(line.text for line in lines), settled_text(Settled(EVIL, EVIL, 1, 1, 1, 1))]:
        assert not {"\x1b", "\u202e", "\n"} & set(text)


# Plans

DELETION = "would delete 12 791 messages, 1.21 GB, from the server"
SENTENCE = f"  would archive 3 812 messages, 123.1 MB; {DELETION}; nothing was changed"
PLAN_TABLE = [
    "home · imaps://imap.example.org · older than 1y = before 2025-11-23 00:00 CET",
    "  mailbox            on server   selected   already   to fetch      bytes   to delete   to keep       freed",
    "  INBOX                 12 402      9 811     9 000        811    92.1 MB       9 790        21     1.10 GB",
    "  Lists/debian           3 117      3 001         0      3 001    31.0 MB       3 001         0    106.0 MB",
    "  total                 15 519     12 812     9 000      3 812   123.1 MB      12 791        21     1.21 GB",
]
KEPT_AND_QUOTA = [
    "  kept: 18 flagged, 3 sent after the cut-off",
    "  quota: 1.92 GB of 2.00 GB (96 %)  →  about 0.71 GB of 2.00 GB (36 %)",
]


def test_plan_of_a_deletion() -> None:
    """A plan says what would go and stay, why, what that gives back, and that nothing was changed."""
    assert plan(DELETING_PLAN) == [
        *PLAN_TABLE,
        *KEPT_AND_QUOTA,
        SENTENCE,
    ]


def test_plan_that_is_asked_about() -> None:
    """Before a question the plan has no word that nothing was changed."""
    assert plan(DELETING_PLAN, asking=True) == [*PLAN_TABLE, *KEPT_AND_QUOTA]


def test_plan_of_a_deletion_at_80_columns() -> None:
    """The sentence breaks between its parts."""
    assert plan(DELETING_PLAN, 80)[-4:] == [
        *KEPT_AND_QUOTA,
        "  would archive 3 812 messages, 123.1 MB;",
        "    would delete 12 791 messages, 1.21 GB, from the server; nothing was changed",
    ]


def test_plan_of_a_deletion_at_40_columns() -> None:
    """On a narrow terminal each part has a line."""
    assert plan(DELETING_PLAN, 40)[-7:] == [
        "  kept: 18 flagged,",
        "    3 sent after the cut-off",
        "  quota: 1.92 GB of 2.00 GB (96 %)",
        "    →  about 0.71 GB of 2.00 GB (36 %)",
        "  would archive 3 812 messages, 123.1 MB;",
        "    would delete 12 791 messages, 1.21 GB, from the server;",
        "    nothing was changed",
    ]


def test_plan_that_is_held() -> None:
    """What holds a deletion back stands out, and neither quota nor sentence promises one."""
    held = replace(DELETING_PLAN, held="12 791 messages are more than --max-delete 100")
    lines = plan_lines(STARTED, held, width=WIDE, encoding="utf-8")
    assert [line.text for line in lines[len(PLAN_TABLE) :]] == [
        KEPT_AND_QUOTA[0],
        "  nothing would be deleted: 12 791 messages are more than --max-delete 100",
        "  would archive 3 812 messages, 123.1 MB; nothing was changed",
    ]
    assert with_role(lines, "warn") == ["  nothing would be deleted: 12 791 messages are more than --max-delete 100"]
    assert plan(held, asking=True)[-1].startswith("  nothing would be deleted: ")


@pytest.mark.parametrize(
    ("method", "note", "sentence"),
    [
        (
            "trash",
            "  the messages will be in the trash, and free no quota until it is emptied",
            "would move 12 791 messages, 1.21 GB, to the trash",
        ),
        (
            "mark",
            "  the messages will only be marked \\Deleted, and go when a mail program expunges the mailbox",
            "would mark 12 791 messages, 1.21 GB, as \\Deleted",
        ),
    ],
)
def test_plan_promises_no_quota_that_does_not_come(method: str, note: str, sentence: str) -> None:
    """Before the yes the user reads that this method frees nothing by itself."""
    planned = replace(DELETING_PLAN, method=method)
    lines = plan_lines(STARTED, planned, width=WIDE, encoding="utf-8")
    assert with_role(lines, "warn") == [note]
    assert not any("quota:" in line.text or "from the server" in line.text for line in lines)
    assert sentence in lines[-1].text
    assert plan(planned, asking=True)[-1] == note


def test_plan_without_anything_to_delete() -> None:
    """A deletion that was asked for and finds nothing says so, and nothing of the quota."""
    nothing = replace(DELETING_PLAN, mailboxes=(PlannedMailbox("INBOX", 5, 3, 1, 2, 2048, keep=3),), method="trash")
    lines = plan(nothing)
    assert lines[-1] == (
        "  would archive 2 messages, 2.0 kB; would delete nothing from the server; nothing was changed"
    )
    assert "quota" not in "\n".join(lines)


def test_plan_frees_no_more_than_there_is() -> None:
    """Sizes that the server announced too large do not make the use negative."""
    planned = replace(DELETING_PLAN, quota=Quota(1_000_000_000, LIMIT))
    assert plan(planned)[-2] == "  quota: 1.00 GB of 2.00 GB (50 %)  →  about 0 B of 2.00 GB (0 %)"


def test_plan_without_quota() -> None:
    """A server that does not say gets no line."""
    assert "quota" not in "\n".join(plan(replace(DELETING_PLAN, quota=None)))


def test_plan_of_a_prune() -> None:
    """A prune fetches nothing, so its sentence speaks of the deletion alone."""
    planned = replace(DELETING_PLAN, mailboxes=(PlannedMailbox("INBOX", 5, 3, 3, 0, 0, delete=1, delete_size=2048),))
    assert plan(planned, started=replace(STARTED, command="prune"))[-1] == (
        "  would delete 1 message, 2.0 kB, from the server; nothing was changed"
    )


def test_plan_of_a_backup() -> None:
    """A plan that deletes nothing has no word of it, also if the quota is known."""
    planned = Planned((PlannedMailbox("INBOX", 12402, 9811, 9000, 811, 92_100_000),), quota=Quota(1, LIMIT))
    lines = plan(planned)
    assert lines[-1] == "  would archive 811 messages, 92.1 MB; nothing was changed"
    assert "delete" not in "\n".join(lines)
    assert "quota" not in "\n".join(lines)


@pytest.mark.parametrize("asking", [False, True])
def test_plan_that_was_interrupted(*, asking: bool) -> None:
    """A listing that was cut short is not taken for the whole, whatever else the plan says."""
    for planned in (DELETING_PLAN, Planned(())):
        cut = replace(planned, complete=False)
        lines = plan_lines(STARTED, cut, width=WIDE, encoding="utf-8", asking=asking)
        assert lines[-1] == Line("  interrupted: this is only a part of the plan", "warn")
        assert [line.text for line in lines[:-1]] == plan(planned, asking=asking)


def test_empty_plan() -> None:
    """A plan without mailboxes needs no table."""
    lines = [line.text for line in plan_lines(None, Planned(()), width=WIDE, encoding="utf-8")]
    assert lines == ["  would archive 0 messages, 0 B; nothing was changed"]


# Undo


def restored(event: RestoreFinished, width: int = WIDE, *, bar: bool = False) -> list[str]:
    """Write the result of an undo as text."""
    lines = restore_lines(UNDO_STARTED, event, width=width, encoding="utf-8", home="/srv", bar=bar)
    return [line.text for line in lines]


def test_restore_report() -> None:
    """An undo says whose deletions it took back, where each message is, and where the mail is."""
    assert restored(RESTORED) == [
        f"home · imaps://imap.example.org · what {RUN} deleted",
        "  mailbox            of the run   put back   there already   failed       bytes",
        "  INBOX                       5          3               1        1      4.1 kB",
        "  total                       5          3               1        1      4.1 kB",
        "  quota: 1.84 GB of 2.00 GB (92 %)",
        f"  archive: ~/mail/home   run: {UNDO}",
    ]


def test_restore_report_of_a_dry_run() -> None:
    """An undo that only says what it would do calls nothing done, and names no run that is on record nowhere."""
    started = replace(UNDO_STARTED, dry_run=True)
    lines = [line.text for line in restore_lines(started, RESTORED, width=WIDE, encoding="utf-8")]
    assert lines[1] == "  mailbox            of the run   to put back   there already   failed       bytes"
    assert lines[-2:] == ["  quota: 1.84 GB of 2.00 GB (92 %)", "  nothing was changed"]


def test_restore_report_on_terminals() -> None:
    """At 80 columns there is a bar; at 40 every part has a line, and the bar gives way."""
    assert restored(RESTORED, 80, bar=True)[-2:] == [
        "  quota: █████████░ 1.84 GB of 2.00 GB (92 %)",
        f"  archive: ~/mail/home   run: {UNDO}",
    ]
    assert restored(RESTORED, 40, bar=True)[-3:] == [
        "  quota: 1.84 GB of 2.00 GB (92 %)",
        "  archive: ~/mail/home",
        f"  run: {UNDO}",
    ]


def test_nothing_to_put_back() -> None:
    """An undo of a run that deleted nothing says so; one that was cut short does not."""
    empty = RestoreFinished(UNDO, RUN, "/srv/mail", (), Return(), ExitCode.DONE)
    assert restored(empty)[1:] == ["  nothing to put back", f"  archive: ~/mail   run: {UNDO}"]
    assert "nothing" not in "\n".join(restored(replace(empty, exit_code=ExitCode.UNREACHABLE, error="no answer")))


@pytest.mark.parametrize(
    ("left", "line"),
    [
        (0, None),
        (1, "  1 message was not reached; run it again for the rest"),
        (1200, "  1 200 messages were not reached; run it again for the rest"),
    ],
)
def test_messages_that_an_undo_did_not_reach(left: int, line: str | None) -> None:
    """The numbers of the table do not say that there is something left to do."""
    event = replace(RESTORED, total=replace(RESTORED.total, left=left), quota=None)
    lines = restore_lines(UNDO_STARTED, event, width=WIDE, encoding="utf-8")
    assert with_role(lines, "warn") == ([] if line is None else [line])


def test_restore_without_an_earlier_run() -> None:
    """A run that puts back what was searched for is named by its selection."""
    event = replace(RESTORED, of="")
    searched = replace(UNDO_STARTED, selection="from:anna")
    lines = restore_lines(searched, event, width=WIDE, encoding="utf-8")
    assert lines[0].text == "home · imaps://imap.example.org · from:anna"


# A new catalogue


def reindexed(event: ReindexFinished, width: int = WIDE) -> list[str]:
    """Write the result of a reindex as text."""
    return [line.text for line in reindex_lines(event, width=width, home="/home/me")]


def test_a_new_catalogue_is_told_with_its_numbers() -> None:
    """What was read, what says where it was, and where the old one is."""
    assert reindexed(REINDEXED) == [
        "~/a",
        "  3 210 messages read, 4.0 MB",
        "  3 000 placed by the manifests of 5 runs, 7 of them deleted on the server; 12 by lists alone; 200 left over",
        "  the catalogue is a new one",
    ]
    last = reindexed(replace(REINDEXED, set_aside=f"old{EVIL}"))[-1]
    assert last.startswith("  the catalogue is a new one; the old one is kept as oldx")
    assert not set("\x1b\u202e\n") & set(last)
    assert all(len(line) <= 60 for line in reindexed(REINDEXED, 60))


def test_what_is_open_or_damaged_is_told_with_a_new_catalogue() -> None:
    """In the colours of what a person should see."""
    lines = reindex_lines(replace(REINDEXED, open=2, flaws=((Flaw.DAMAGED, 3),)), width=WIDE, home="")
    assert with_role(lines, "bad") == ["  3 210 messages read, 4.0 MB: 3 damaged"]
    assert with_role(lines, "warn") == ["  2 messages of an interrupted deletion: the next run looks at the server"]


def test_a_reindex_that_was_cut_short_says_that_nothing_changed() -> None:
    """And nothing of what it had found by then."""
    assert reindexed(replace(REINDEXED, complete=False))[1:] == [
        "  3 210 messages read, 4.0 MB",
        "  the catalogue is as it was",
    ]
