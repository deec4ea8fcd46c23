"""The result of a run and the plan of a dry run as tables, for every width."""

from __future__ import annotations

import unicodedata

import pytest

from mailarchive.errors import ExitCode
from mailarchive.events import Finished, Planned, PlannedMailbox, Started, Tally
from mailarchive.model import Quota
from mailarchive.screen.words import (
    WIDE,
    cell_width,
    plan_lines,
    plan_table,
    result_lines,
    result_table,
    title,
)

INBOX = Tally(
    on_server=12402, selected=9811, already=9000, archived=811, deleted=9790, kept=21, failed=0, size=92_100_000
)
DEBIAN = Tally(on_server=3117, selected=3001, already=0, archived=3001, deleted=3001, kept=0, failed=0, size=31_000_000)
RUN = "2026-11-23T081502Z-3f"
STARTED = Started(
    run=RUN,
    command="backup",
    account="home",
    server="imaps://imap.example.org",
    archive="/home/me/Mail/archive/home",
    selection="older than 1y = before 2025-11-23 00:00 CET",
)


def finished(*rows: tuple[str, Tally], quota: Quota | None = None, kept: tuple[tuple[str, int], ...] = ()) -> Finished:
    """Make the end of a run with these rows."""
    return Finished(
        run=RUN,
        archive="/home/me/Mail/archive/home",
        mailboxes=rows,
        total=sum((tally for _, tally in rows), Tally()),
        exit_code=ExitCode.DONE,
        quota=quota,
        kept=kept,
    )


CONTRACT = finished(
    ("INBOX", INBOX),
    ("Lists/debian", DEBIAN),
    quota=Quota(714_000_000, 2_000_000_000),
    kept=(("flagged", 18), ("sent after the cut-off", 3)),
)

CONTRACT_TABLE = """\
  mailbox            on server   selected   already   archived   deleted   kept   failed       bytes
  INBOX                 12 402      9 811     9 000        811     9 790     21        0     92.1 MB
  Lists/debian           3 117      3 001         0      3 001     3 001      0        0     31.0 MB
  total                 15 519     12 812     9 000      3 812    12 791     21        0    123.1 MB
"""


def test_contract_table() -> None:
    """The table of the contract comes out cell by cell."""
    lines = result_table(CONTRACT, width=WIDE, deleting=True)
    assert "\n".join(lines) + "\n" == CONTRACT_TABLE
    assert result_table(CONTRACT, width=100, deleting=True) == lines


def test_contract_report() -> None:
    """Around the table stand the run, what was kept and why, the quota, and where everything is."""
    lines = [line.text for line in result_lines(STARTED, CONTRACT, width=WIDE, encoding="utf-8", home="/home/me")]
    assert lines == [
        "home · imaps://imap.example.org · older than 1y = before 2025-11-23 00:00 CET",
        *CONTRACT_TABLE.splitlines(),
        "  kept: 18 flagged, 3 sent after the cut-off",
        "  quota: 0.71 GB of 2.00 GB (36 %)",
        f"  archive: ~/Mail/archive/home   run: {RUN}   undo with: mailarchive undo {RUN}",
    ]


def test_without_deletion_no_columns_for_it() -> None:
    """A run that was not asked to delete shows neither deleted nor kept, and offers no undo."""
    tally = Tally(on_server=5, selected=3, already=1, archived=2, size=2048)
    event = finished(("INBOX", tally))
    assert result_table(event, width=WIDE, deleting=False) == [
        "  mailbox            on server   selected   already   archived   failed       bytes",
        "  INBOX                      5          3         1          2        0      2.0 kB",
        "  total                      5          3         1          2        0      2.0 kB",
    ]
    text = "\n".join(line.text for line in result_lines(STARTED, event, width=WIDE, encoding="utf-8"))
    assert "kept" not in text
    assert "undo" not in text


def test_prune_always_has_the_columns_of_a_deletion() -> None:
    """A prune that found nothing to delete still says so in its columns."""
    prune = Started(**{name: getattr(STARTED, name) for name in STARTED.__slots__} | {"command": "prune"})
    lines = result_lines(prune, finished(("INBOX", Tally(on_server=5))), width=WIDE, encoding="utf-8")
    assert "deleted   kept" in lines[1].text


def test_nothing_to_do_is_said() -> None:
    """A run without anything to say has a sentence instead of an empty table."""
    lines = [line.text for line in result_lines(None, finished(), width=WIDE, encoding="utf-8")]
    assert lines[0] == "  nothing to do"
    assert not any("mailbox" in line for line in lines)


def test_at_80_columns_the_rows_fold() -> None:
    """Where name and numbers have no room side by side, the name gets a line of its own and nothing is lost."""
    assert result_table(CONTRACT, width=80, deleting=True) == [
        "  on server  selected  already  archived  deleted  kept  failed      bytes",
        "  INBOX",
        "     12 402     9 811    9 000       811    9 790    21       0    92.1 MB",
        "  Lists/debian",
        "      3 117     3 001        0     3 001    3 001     0       0    31.0 MB",
        "  total",
        "     15 519    12 812    9 000     3 812   12 791    21       0   123.1 MB",
    ]


def test_at_20_columns_the_rows_stack() -> None:
    """A terminal of 20 columns gets one number a line."""
    event = finished(("Lists/debian-devel-announce", DEBIAN))
    lines = result_table(event, width=20, deleting=True)
    assert lines[:9] == [
        "Lists/debian-devel-…",
        " on server   3 117",
        " selected    3 001",
        " already         0",
        " archived    3 001",
        " deleted     3 001",
        " kept            0",
        " failed          0",
        " bytes     31.0 MB",
    ]
    assert lines[9] == "total"
    assert all(cell_width(line) <= 20 for line in lines)


@pytest.mark.parametrize("deleting", [True, False])
@pytest.mark.parametrize("width", [1, 2, 10, 20, 40, 60, 72, 73, 74, 80, 90, 99, 100, 101, 200])
def test_every_width_shows_every_number(width: int, *, deleting: bool) -> None:
    """No width crashes, hides a number or, from 20 cells on, overflows."""
    lines = result_table(
        finished(("Archiv/日本語のメール/" + "x" * 60, INBOX), ("Entwürfe", DEBIAN)), width=width, deleting=deleting
    )
    text = "\n".join(lines)
    for number in ("12 402", "9 811", "811", "92.1 MB", "15 519", "123.1 MB"):
        assert number in text
    assert ("9 790" in text) is deleting
    if width >= 20:
        assert max(map(cell_width, lines)) <= width


def test_wide_names_keep_the_columns_straight() -> None:
    """Numbers end in the same cell whatever script the names are in."""
    names = ("日本語のメール", "📮 post", "Entwu\N{COMBINING DIAERESIS}rfe", "INBOX", "ﾒｰﾙ")
    lines = result_table(finished(*((name, INBOX) for name in names)), width=WIDE, deleting=True)
    assert len({cell_width(line) for line in lines}) == 1
    assert {cell_width(line[: line.index("12 402")]) for line in lines[1:-1]} == {2 + 16 + 3 + 3}


def test_long_names_are_cut_to_the_terminal() -> None:
    """The name gives way, the numbers stay; without a terminal nothing is cut."""
    event = finished(("Archive/" + "2016-" * 12, Tally(on_server=1)))
    narrow = result_table(event, width=80, deleting=False)
    assert narrow[1].startswith("  Archive/2016-2016")
    assert "…  " in narrow[1]
    assert all(len(line) == 80 for line in narrow)
    assert "Archive/" + "2016-" * 12 in result_table(event, width=WIDE, deleting=False)[1]


@pytest.mark.parametrize("name", ["\x1b[2J\x1b]0;owned\x07", "safe\u202efdp.exe", "\x9b31m", "a\r\nb\ttotal"])
def test_hostile_names_are_harmless(name: str) -> None:
    """A mailbox name brings no control character of any kind into a table."""
    lines = [
        *result_table(finished((name, INBOX)), width=WIDE, deleting=True),
        *plan_table(Planned((PlannedMailbox(name, 5, 4, 1, 3, 4096),))),
    ]
    bad = {character for line in lines for character in line if unicodedata.category(character) in {"Cc", "Cf"}}
    assert bad == set()
    assert len(lines) == 6


@pytest.mark.parametrize("name", ["[red]", "[/nope]", "[link=http://example.org]x[/link]", ":skull:", "{0}", "%s"])
def test_markup_is_only_text(name: str) -> None:
    """A name that looks like markup is printed as it is."""
    assert result_table(finished((name, INBOX)), width=WIDE, deleting=True)[1].startswith(f"  {name} ")


def test_hostile_report_lines() -> None:
    """Account, server, selection, reasons, run and path are foreign text too."""
    evil = "x\x1b[31m\u202e\ny"
    started = Started(run=evil, command="backup", account=evil, server=evil, archive=evil, selection=evil)
    event = Finished(evil, evil, (), Tally(selected=1, deleted=1), ExitCode.DONE, kept=((evil, 3),))
    for line in result_lines(started, event, width=WIDE, encoding="utf-8"):
        assert not {"\x1b", "\u202e", "\n"} & set(line.text)


def test_names_are_laid_out_as_they_can_be_written() -> None:
    """In an ASCII locale the escapes stand in the table, and the columns are still straight."""
    lines = result_table(finished(("Entwürfe", INBOX), ("INBOX", DEBIAN)), width=WIDE, deleting=True, encoding="ascii")
    assert lines[1].startswith("  Entw\\xfcrfe ")
    assert len({len(line) for line in lines}) == 1


def test_plan_table() -> None:
    """A plan shows what is there, chosen, archived already and still to fetch."""
    planned = Planned(
        (
            PlannedMailbox("INBOX", on_server=12402, selected=9811, already=9000, fetch=811, size=92_100_000),
            PlannedMailbox("Lists/debian", on_server=3117, selected=3001, already=0, fetch=3001, size=31_000_000),
        )
    )
    assert plan_table(planned) == [
        "  mailbox            on server   selected   already   to fetch       bytes",
        "  INBOX                 12 402      9 811     9 000        811     92.1 MB",
        "  Lists/debian           3 117      3 001         0      3 001     31.0 MB",
        "  total                 15 519     12 812     9 000      3 812    123.1 MB",
    ]
    last = plan_lines(STARTED, planned, width=WIDE, encoding="utf-8")[-1].text
    assert last == "  would archive 3 812 messages, 123.1 MB; nothing was changed"


def test_empty_plan() -> None:
    """A plan without mailboxes needs no table."""
    lines = [line.text for line in plan_lines(None, Planned(()), width=WIDE, encoding="utf-8")]
    assert lines == ["  would archive 0 messages, 0 B; nothing was changed"]


def test_everything_has_a_word() -> None:
    """A run without a selection says that it takes everything."""
    started = Started(run=RUN, command="backup", account="home", server="", archive="", selection="")
    assert title(started).text == "home · everything"


def test_whereabouts_break_on_a_narrow_terminal() -> None:
    """Archive, run and undo get a line each where they have no room on one."""
    lines = [line.text for line in result_lines(STARTED, CONTRACT, width=60, encoding="utf-8", home="/home/me")]
    assert lines[-3:] == [
        "  archive: ~/Mail/archive/home",
        f"  run: {RUN}",
        f"  undo with: mailarchive undo {RUN}",
    ]
