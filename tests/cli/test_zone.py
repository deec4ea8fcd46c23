"""The local zone over a change of season (`mailarchive.cli.zone`)."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from mailarchive.cli.zone import LocalZone, now
from mailarchive.dates import cut_off, describe, parse_age, start_of

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Live in Berlin."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("berlin")
def test_f121_an_age_goes_back_over_a_change_of_season() -> None:
    """Five months before a day in November is a midnight of summer time."""
    winter = datetime(2026, 11, 23, 9, tzinfo=LocalZone())
    assert describe(cut_off(parse_age("5m"), winter)) == "2026-06-23 00:00 CEST"
    assert cut_off(parse_age("5m"), winter).astimezone(UTC) == datetime(2026, 6, 22, 22, tzinfo=UTC)
    assert cut_off(parse_age("1y"), winter).astimezone(UTC) == datetime(2025, 11, 22, 23, tzinfo=UTC)
    assert start_of("2026-07-01", LocalZone()).astimezone(UTC) == datetime(2026, 6, 30, 22, tzinfo=UTC)


@pytest.mark.usefixtures("berlin")
def test_f121_every_instant_comes_back_from_local_time() -> None:
    """Each half hour of the nights when the clocks change, in both directions."""
    for day in (datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)):
        for step in range(-6, 12):
            moment = day + timedelta(minutes=30 * step)
            assert moment.astimezone(LocalZone()).astimezone(UTC) == moment
            assert moment.astimezone(LocalZone()).utcoffset() in {timedelta(hours=1), timedelta(hours=2)}


def test_now_is_now() -> None:
    """Aware, and the same instant."""
    assert abs(now() - datetime.now(UTC)) < timedelta(seconds=5)
