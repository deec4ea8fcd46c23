"""What holds back every deletion of a run (`mailarchive.guards`)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mailarchive import guards

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("now", "last", "why"),
    [
        (NOW, None, ""),
        (datetime(2026, 1, 1, tzinfo=UTC), None, ""),
        (datetime(2025, 12, 31, 23, 59, tzinfo=UTC), None, "before this version was made"),
        (datetime(1970, 1, 1, tzinfo=UTC), None, "says 1970-01-01"),
        (datetime(2100, 1, 1, tzinfo=UTC), None, ""),
        (NOW, NOW, ""),
        (NOW - DAY, NOW, ""),
        (NOW - DAY - SECOND, NOW, "the last run was on 2026-11-23"),
        (NOW + 400 * DAY, NOW, ""),
        (NOW + 400 * DAY + SECOND, NOW, "400 days after the last run"),
        (datetime(2025, 6, 1, tzinfo=UTC), datetime(2025, 6, 1, tzinfo=UTC), "before this version was made"),
    ],
)
def test_f120_a_clock_is_believed_near_the_last_run(now: datetime, last: datetime | None, why: str) -> None:
    """Before the release, a day behind, 400 days ahead: each is said with the dates, and the limits are in."""
    said = guards.clock(now, last)
    assert (why in said) if why else said == ""


@pytest.mark.parametrize(("planned", "most", "holds"), [(5, None, False), (5, 5, False), (6, 5, True), (1, 0, True)])
def test_f133_the_amount_may_not_pass_what_was_said(planned: int, most: int | None, holds: bool) -> None:
    """--max-delete: as many may go, not one more."""
    said = guards.amount(planned, most)
    assert bool(said) is holds
    assert not holds or (str(planned) in said and f"--max-delete {most}" in said)


def test_the_place_holds_with_its_first_doubt() -> None:
    """One sentence is enough."""
    assert guards.place([]) == ""
    assert guards.place(["on tmpfs", "writable by others"]) == "on tmpfs"
