"""What of an archive needs a human, and what does not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mailarchive.errors import ExitCode
from mailarchive.model import Quota
from mailarchive.screen.status import Row, status_lines
from mailarchive.screen.words import WIDE, cell_width
from mailarchive.standing import Due, Holdings, RunSeen, Standing, ago, due, of_runs

NOW = datetime(2026, 11, 26, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)


def run(code: int | None, *, hours: float = 1, command: str = "backup", quota: Quota | None = None) -> RunSeen:
    """Make a run that began so many hours ago and took a minute."""
    begun = NOW - hours * HOUR
    return RunSeen(f"r{hours}", command, begun, None if code is None else begun + HOUR / 60, code, {}, quota)


def found(standing: Standing, **more: datetime) -> list[tuple[str, bool]]:
    """Give what is due, and whether it is serious."""
    return [(each.text, each.serious) for each in due(standing, "/a", age="2d", **more)]


@pytest.mark.parametrize("code", [None, *ExitCode])
def test_how_the_last_run_ended(code: ExitCode | None) -> None:
    """A good end says nothing; what the next run makes good needs nobody; everything else does."""
    said = found(Standing(exists=True, last=run(code)))
    passing = (None, 11, 75, 129, 130, 143)
    assert [serious for _, serious in said] == ([] if code == 0 else [code not in passing])
    assert code in (None, 0) or said[0][0] == f"the last run (backup) ended with {code:d}: {code.meaning}"


def test_a_code_of_a_later_version_needs_a_human() -> None:
    """Nobody knows what it means."""
    assert found(Standing(exists=True, last=run(99))) == [("the last run (backup) ended with 99", True)]


def test_a_run_that_is_going_is_no_failed_one() -> None:
    """Its manifest has no end yet."""
    standing = Standing(exists=True, last=run(None), holder="has been going since 07:04 (pid 4711 on x)")
    assert found(standing) == [("a backup has been going since 07:04 (pid 4711 on x)", False)]


@pytest.mark.parametrize(
    ("standing", "serious"),
    [
        (Standing(), False),
        (Standing(exists=True, lost="is gone"), True),
        (Standing(exists=True, damaged=2), True),
        (Standing(exists=True, holdings=Holdings(1, 1, held=3)), False),
        (Standing(exists=True, holdings=Holdings(1, 1, open=3)), False),
    ],
)
def test_what_needs_a_human(standing: Standing, serious: bool) -> None:
    """Damage and loss; not what the next run settles."""
    assert [each.serious for each in due(standing, "/a")] == [serious]


@pytest.mark.parametrize(
    ("success", "text"),
    [
        (None, "no backup has come to its end yet"),
        (run(0, hours=49), "the last success is older than 2d"),
        (run(0, hours=47), ""),
    ],
)
def test_the_age_of_the_last_success(success: RunSeen | None, text: str) -> None:
    """Counts only where one is given."""
    standing = Standing(exists=True, success=success)
    assert found(standing, oldest=NOW - 48 * HOUR) == ([(text, True)] if text else [])
    assert found(standing) == []


def test_the_runs_that_matter_are_found() -> None:
    """The latest of all; the latest backup that came to its end, with 3 too; the latest that heard of a quota."""
    quota = Quota(1, 2)
    runs = [run(15), run(0, command="undo", quota=quota), run(None), run(3, quota=Quota(0, 2)), run(0)]
    assert of_runs(runs) == (runs[0], runs[3], runs[1])
    assert of_runs([]) == (None, None, None)

    def endless() -> object:
        yield from runs
        raise AssertionError

    assert of_runs(endless())[1] is runs[3]  # type: ignore[arg-type] # no more are asked for


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "in the future"),
        (5, "just now"),
        (60, "1 min ago"),
        (7199, "1 h ago"),
        (47 * 3600, "47 h ago"),
        (48 * 3600, "2 d ago"),
    ],
)
def test_how_long_ago(seconds: int, text: str) -> None:
    """In one unit."""
    assert ago(NOW - timedelta(seconds=seconds), NOW) == text
    assert ago(None, NOW) == ""


def test_the_table_has_a_row_for_each_account() -> None:
    """With a line for each thing that is due, whatever the width; nothing foreign as it is."""
    good = Standing(
        exists=True, holdings=Holdings(12_402, 1_920_000_000), last=run(0), success=run(0), quota=Quota(96, 100)
    )
    bad = Standing(exists=True, last=run(15), success=run(0, hours=100))
    evil = "x\x1b[31m\u202e\n"
    rows = [
        Row("home", good),
        Row(evil, bad, (Due(evil, evil, serious=True), Due("small"))),
        Row("away", Standing(), error=evil, hint=evil),
    ]
    texts = [line.text for line in status_lines(rows, NOW, width=WIDE, encoding="utf-8")]
    assert " ".join(texts[1].split()) == "home 12 402 1.92 GB 59 min ago ok 59 min ago 96 %"
    assert " ".join(texts[2].split()[1:]) == "- - 59 min ago exit 15 4 d ago -"
    assert "not found" in texts[3]
    assert [text[:4] for text in texts[4:]] == ["  ! ", "    ", "  · ", "  ✗ ", "    "]
    assert not {"\x1b", "\u202e", "\n"} & {*"".join(texts)}
    for width in (60, 30):
        narrow = [line.text for line in status_lines(rows[:1], NOW, width=width, encoding="utf-8")]
        assert max(map(cell_width, narrow)) <= width
        assert "12 402" in " ".join(narrow)
