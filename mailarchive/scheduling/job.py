"""One backup that is to start by itself: when, with which words, and what it needs.

The law of this room: pure. A word with a control character is refused, because each of the three systems would read it
differently.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mailarchive.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

MARK: Final = "Written by mailarchive schedule: the same command writes it anew, and --remove takes it away."
DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
EVERY: Final = ("hour", "day", "week")
_AT: Final = re.compile(r"(?:([A-Za-z]{3})[a-z]*\s+)?([0-9]{1,2}):([0-9]{2})")
_HINT: Final = "write --at 03:15 or, with --every week, --at 'Sun 03:15'"


@dataclass(frozen=True, slots=True)
class When:
    """A time that comes back, in the zone of the computer.

    Attributes:
        every: A word of `EVERY`.
        minute: Of the hour. `hour`: of the day, unless it comes each hour.
        day: Index in `DAYS`, if it comes once a week.
    """

    every: str
    minute: int
    hour: int = 3
    day: int = 6


@dataclass(frozen=True, slots=True)
class Job:
    """A backup of one account, or of all.

    Attributes:
        account: None for all accounts of the configuration.
        words: The program by its absolute path, and its arguments.
        environ: Variables that it needs and that a timer does not give it by itself.
        writable: Folders that it writes to.
        commands: Whether the account names commands, which may want to write anywhere in the home.
        askers: Accounts whose password nobody will be there to type.
    """

    account: str | None
    words: tuple[str, ...]
    when: When
    environ: tuple[tuple[str, str], ...] = ()
    writable: tuple[Path, ...] = ()
    commands: bool = False
    askers: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What units and agents are called."""
        return "mailarchive-backup" + ("" if self.account is None else f"-{self.account}")

    @property
    def words_for_people(self) -> str:
        """What it does."""
        return "Back up mail" + ("" if self.account is None else f" of the account {self.account}")

    def checked(self) -> Job:
        """Give itself. Raises UsageError: a word holds a control character."""
        for text in (*self.words, *(value for _, value in self.environ), *map(str, self.writable)):
            if any(letter < " " or letter == "\x7f" for letter in text):
                raise UsageError(f"{text!a} holds a control character and cannot stand in a schedule")
        return self


def when(every: str, at: str | None, seed: str) -> When:
    """Read when a backup is to start.

    Args:
        every: A word of `EVERY`.
        at: A time of day, after a day of the week if it comes once a week; None for a time at night.
        seed: Decides the minute where none is said, so that not everybody comes at the same one.

    Raises:
        UsageError: The time cannot be read, or does not go with `every`.
    """
    if at is None:
        return When(every, zlib.crc32(seed.encode("utf-8", "surrogateescape")) % 60)
    found = _AT.fullmatch(at.strip())
    if found is None or int(found[2]) > 23 or int(found[3]) > 59:
        raise UsageError(f"--at {at!a}: this is no time of day", hint=_HINT)
    if every == "hour":
        raise UsageError("--at goes with --every day or week", hint="leave it out, or --every hour")
    day = (found[1] or "").capitalize()
    if day and every != "week":
        raise UsageError(f"--at {at!a}: a day of the week goes with --every week", hint=_HINT)
    if day and day not in DAYS:
        raise UsageError(f"--at {at!a}: the days are {', '.join(DAYS)}", hint=_HINT)
    return When(every, int(found[3]), int(found[2]), DAYS.index(day) if day else 6)
