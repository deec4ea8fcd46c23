"""The result of a run and the plan of a dry run as tables, for every width."""

from __future__ import annotations

import unicodedata
from dataclasses import replace

import pytest

from mailarchive.errors import ExitCode
from mailarchive.events import Finished, Planned, PlannedMailbox, RestoreFinished
from mailarchive.screen import tables
from mailarchive.screen.words import WIDE, cell_width
from mailarchive.tally import Return, Tally
from tests.core.screen_samples import DELETING_PLAN, RUN

INBOX = Tally(
    on_server=12402, selected=9811, already=9000, archived=811, deleted=9790, kept=21, failed=0, size=92_100_000
)
DEBIAN = Tally(on_server=3117, selected=3001, already=0, archived=3001, deleted=3001, kept=0, failed=0, size=31_000_000)


def result_table(event: Finished, *, width: int, deleting: bool, encoding: str = "utf-8") -> list[str]:
    """Lay out the result as text."""
    return [line.text for line in tables.result_table(event, width=width, deleting=deleting, encoding=encoding)]


def plan_table(planned: Planned, *, width: int = WIDE) -> list[str]:
    """Lay out a plan as text."""
    return [line.text for line in tables.plan_table(planned, width=width)]


def finished(*rows: tuple[str, Tally]) -> Finished:
    """Make the end of a run with these rows."""
    return Finished(
        run=RUN,
        archive="/home/me/Mail/archive/home",
        mailboxes=rows,
        total=sum((tally for _, tally in rows), Tally()),
        exit_code=ExitCode.DONE,
    )


CONTRACT = finished(("INBOX", INBOX), ("Lists/debian", DEBIAN))

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


def test_without_deletion_no_columns_for_it() -> None:
    """A run that was not asked to delete shows neither deleted nor kept."""
    tally = Tally(on_server=5, selected=3, already=1, archived=2, size=2048)
    event = finished(("INBOX", tally))
    assert result_table(event, width=WIDE, deleting=False) == [
        "  mailbox            on server   selected   already   archived   failed       bytes",
        "  INBOX                      5          3         1          2        0      2.0 kB",
        "  total                      5          3         1          2        0      2.0 kB",
    ]


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


def test_f123_at_20_columns_the_rows_stack() -> None:
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
def test_f124_hostile_names_are_harmless(name: str) -> None:
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


def test_plan_table_of_a_deletion() -> None:
    """A plan that deletes says how many go and stay, and what that frees."""
    assert plan_table(DELETING_PLAN) == [
        "  mailbox            on server   selected   already   to fetch      bytes   to delete   to keep       freed",
        "  INBOX                 12 402      9 811     9 000        811    92.1 MB       9 790        21     1.10 GB",
        "  Lists/debian           3 117      3 001         0      3 001    31.0 MB       3 001         0    106.0 MB",
        "  total                 15 519     12 812     9 000      3 812   123.1 MB      12 791        21     1.21 GB",
    ]


def test_plan_table_of_a_deletion_at_80_columns() -> None:
    """Eight columns just fit below the names."""
    lines = plan_table(DELETING_PLAN, width=80)
    assert lines[:3] == [
        "  on server  selected  already  to fetch     bytes  to delete  to keep     freed",
        "  INBOX",
        "     12 402     9 811    9 000       811   92.1 MB      9 790       21   1.10 GB",
    ]
    assert max(map(cell_width, lines)) == 80


def test_plan_table_of_a_deletion_at_40_columns() -> None:
    """Below that each number has a line."""
    lines = plan_table(DELETING_PLAN, width=40)
    assert lines[:9] == [
        "INBOX",
        " on server   12 402",
        " selected     9 811",
        " already      9 000",
        " to fetch       811",
        " bytes      92.1 MB",
        " to delete    9 790",
        " to keep         21",
        " freed      1.10 GB",
    ]
    assert len(lines) == 27


@pytest.mark.parametrize("method", ["trash", "mark"])
def test_what_frees_nothing_is_not_called_freed(method: str) -> None:
    """In the trash, or marked, messages go on counting."""
    header = plan_table(replace(DELETING_PLAN, method=method))[0]
    assert header.endswith("to delete   to keep   their bytes")


RETURNED = RestoreFinished(
    run=RUN,
    of=RUN,
    archive="/srv",
    mailboxes=(
        ("INBOX", Return(wanted=9790, put_back=9000, there=790, size=1_000_000_000)),
        ("Lists/debian", Return(wanted=3001, put_back=3000, failed=1, size=106_000_000)),
    ),
    total=Return(wanted=12791, put_back=12000, there=790, failed=1, size=1_106_000_000),
    exit_code=ExitCode.PARTIAL,
)


def test_restore_table() -> None:
    """A row says what was deleted, and where each of these messages is now; one that failed stands out."""
    lines = tables.restore_table(RETURNED)
    assert [line.text for line in lines] == [
        "  mailbox            of the run   put back   there already   failed       bytes",
        "  INBOX                   9 790      9 000             790        0     1.00 GB",
        "  Lists/debian            3 001      3 000               0        1    106.0 MB",
        "  total                  12 791     12 000             790        1     1.11 GB",
    ]
    assert [line.role for line in lines] == ["head", "", "bad", "bad"]
    assert tables.restore_table(RETURNED, width=80) == lines


def test_restore_table_at_40_columns() -> None:
    """A narrow terminal gets one number a line."""
    lines = [line.text for line in tables.restore_table(RETURNED, width=40)]
    assert lines[6:12] == [
        "Lists/debian",
        " of the run       3 001",
        " put back         3 000",
        " there already        0",
        " failed               1",
        " bytes         106.0 MB",
    ]


@pytest.mark.parametrize("width", [1, 2, 10, 20, 40, 60, 79, 80, 81, 82, 90, 99, 107, 108, 200])
def test_every_width_shows_every_planned_number(width: int) -> None:
    """No width crashes, hides a number or, from 20 cells on, overflows."""
    lines = plan_table(DELETING_PLAN, width=width)
    text = "\n".join(lines)
    for number in ("12 402", "9 790", "1.10 GB", "106.0 MB", "12 791", "1.21 GB"):
        assert number in text
    if width >= 20:
        assert max(map(cell_width, lines)) <= width
