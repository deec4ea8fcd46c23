"""What holds back every deletion of a run, however good the evidence for a message is (`safety.md` section 8).

The law of this room: pure; a guard stops deletion, never archiving, and says why in words that the user reads.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

RELEASE_YEAR: Final = 2026
"""A clock that says an earlier year than that of this release is wrong."""

BEHIND: Final = timedelta(days=1)
AHEAD: Final = timedelta(days=400)


def clock(now: datetime, last_sane: datetime | None) -> str:
    """Say why the clock is not to be believed; empty if it is.

    Args:
        now: What it says, aware.
        last_sane: The time of the last run whose clock was not in doubt; None if there was none.
    """
    if now.year < RELEASE_YEAR:
        return f"the clock of this computer says {now:%Y-%m-%d}, which is before this version was made"
    if last_sane is None:
        return ""
    if now < last_sane - BEHIND:
        return f"the clock of this computer says {now:%Y-%m-%d}, and the last run was on {last_sane:%Y-%m-%d}"
    if now > last_sane + AHEAD:
        days = (now - last_sane).days
        return f"the clock of this computer says {now:%Y-%m-%d}, {days} days after the last run"
    return ""


def amount(planned: int, most: int | None) -> str:
    """Say why the plan is too large; empty if it is not."""
    if most is None or planned <= most:
        return ""
    return f"the plan holds {planned} deletions, more than --max-delete {most}"


def place(doubts: Sequence[str]) -> str:
    """Say why nothing may rest on this archive; empty if it may."""
    return doubts[0] if doubts else ""
