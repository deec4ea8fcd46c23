"""The zone of this computer, with its rules.

The law of this room: an age goes back over a change of season, so the offset of today is not enough; the system is
asked for the offset of each day.
"""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import timedelta


class LocalZone(tzinfo):
    """Whatever TZ or the system says, for any day."""

    def utcoffset(self, moment: datetime | None) -> timedelta | None:
        """Give the offset of a local time."""
        return None if moment is None else _system(moment).utcoffset()

    def tzname(self, moment: datetime | None) -> str | None:
        """Give the name of the zone at a local time, such as CEST."""
        return None if moment is None else _system(moment).tzname()

    def dst(self, moment: datetime | None) -> timedelta | None:  # noqa: ARG002 - the name is that of the base class
        """Give None: the system does not say which part of the offset is summer time."""
        return None

    def fromutc(self, moment: datetime) -> datetime:
        """Turn a time in UTC into local time; the second of two equal ones gets fold 1."""
        there = moment.replace(tzinfo=UTC).astimezone()
        here = there.replace(tzinfo=self)
        return here if here.utcoffset() == there.utcoffset() else here.replace(fold=1)


def now() -> datetime:
    """Give the present moment in the zone of this computer."""
    return datetime.now(UTC).astimezone(LocalZone())


def _system(moment: datetime) -> datetime:
    # A naive time is taken by the system's rules for that day.
    return moment.replace(tzinfo=None).astimezone()
