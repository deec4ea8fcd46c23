"""How an archive stands: what it holds, how its runs ended, and what somebody should see to.

The law of this room: pure. What is told is what was seen; a finding that a human must act on is serious, and what the
next run sees to by itself is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mailarchive.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from mailarchive.model import Quota

BACKUP: Final = "backup"
COMPLETE: Final = frozenset({ExitCode.DONE, ExitCode.PARTIAL})
"""Codes of a run that came to its end, even if single messages failed."""
PASSING: Final = frozenset({ExitCode.LATER, ExitCode.BUSY, ExitCode.INTERRUPT, ExitCode.TERMINATE, ExitCode.HANGUP})
"""Codes of a run that the next one makes good without anybody's help."""
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


@dataclass(frozen=True, slots=True)
class RunSeen:
    """What the manifest of a run says of it as a whole.

    Attributes:
        started: Aware; None where its first line cannot be read. `ended`: None if it was cut short or still goes.
        exit: The code that it ended with, as a number; None if it was cut short or still goes.
        counts: How many messages were selected, archived, deleted and so on.
        quota: What the server said of its quota last.
    """

    id: str
    command: str
    started: datetime | None
    ended: datetime | None
    exit: int | None
    counts: Mapping[str, int]
    quota: Quota | None = None


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a catalogue says of an archive.

    Attributes:
        messages: Each once, of `size` octets in all, however many mailboxes have it.
        held: Messages that are archived and may never be deleted from the server, because they are not plausible.
        open: Messages whose deletion was begun, and nobody knows the end of.
    """

    messages: int
    size: int
    held: int = 0
    open: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """What was seen of one archive.

    Attributes:
        exists: Whether there is one yet.
        kind: Format and layout in words.
        holdings: None where there is no catalogue that can be read.
        lost: Why there is none, in a few words, where there should be one.
        damaged: How many things were set aside as damaged.
        holder: Which run holds it, in words that follow "a run"; empty if none does.
        last: The latest run. `success`: the latest backup that came to its end.
        quota: What a run heard last of it, `quota_at` this time.
    """

    exists: bool = False
    kind: str = ""
    holdings: Holdings | None = None
    lost: str = ""
    damaged: int = 0
    holder: str = ""
    last: RunSeen | None = None
    success: RunSeen | None = None
    quota: Quota | None = None
    quota_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Due:
    """Something that somebody may want to see to; a serious one needs a human."""

    text: str
    hint: str = ""
    serious: bool = False


def of_runs(runs: Iterable[RunSeen]) -> tuple[RunSeen | None, RunSeen | None, RunSeen | None]:
    """Find the latest run, the latest backup that came to its end, and the latest that heard of a quota.

    Args:
        runs: The latest first; no more of them are asked for than needed.
    """
    last = success = heard = None
    for run in runs:
        last = last or run
        if success is None and run.command == BACKUP and run.exit in COMPLETE:
            success = run
        if heard is None and run.quota is not None:
            heard = run
        # A server that tells no quota never will; the backup that came to its end would have heard it.
        if success is not None:
            break
    return last, success, heard


def due(standing: Standing, place: str, *, oldest: datetime | None = None, age: str = "") -> Iterator[Due]:
    """Say what is due.

    Args:
        standing: What was seen.
        place: The folder of the archive, as it is typed in a shell.
        oldest: The last success must not be older; None if its age does not matter.
        age: What to call that limit.
    """
    last = standing.last
    if standing.holder:
        yield Due(f"a {last.command if last else 'run'} {standing.holder}")
    elif last is not None:
        yield from _of_last(last)
    if not standing.exists:
        yield Due("nothing is archived yet; the first backup makes the archive")
    if standing.lost:
        yield Due(f"the catalogue {standing.lost}", hint=f"mailarchive reindex {place}", serious=True)
    if standing.damaged:
        things = f"{standing.damaged} damaged file{' was' if standing.damaged == 1 else 's were'}"
        hint = f"mailarchive verify {place}, then remove them"
        yield Due(f"{things} set aside in .mailarchive/damaged", hint=hint, serious=True)
    if standing.holdings is not None:
        yield from _of_holdings(standing.holdings)
    if oldest is not None:
        yield from _of_age(standing.success, oldest, age)


def _of_holdings(holdings: Holdings) -> Iterator[Due]:
    if holdings.open:
        yield Due(f"{_messages(holdings.open)} in a deletion that was interrupted; the next run settles it")
    if holdings.held:
        yield Due(f"{_messages(holdings.held)} archived that can never be deleted from the server, being implausible")


def _of_age(success: RunSeen | None, oldest: datetime, age: str) -> Iterator[Due]:
    """Say that the last success is too old, or that there is none."""
    ended = None if success is None else success.ended or success.started
    if ended is None:
        yield Due("no backup has come to its end yet", serious=True)
    elif ended < oldest:
        yield Due(f"the last success is older than {age}", serious=True)


def _of_last(last: RunSeen) -> Iterator[Due]:
    """Say how the last run ended, unless it ended well."""
    if last.exit is None:
        yield Due(f"the last run ({last.command}) was cut short; the next one goes on there")
    elif last.exit != ExitCode.DONE:
        known = {int(code): code for code in ExitCode}.get(last.exit)
        meaning = f": {known.meaning}" if known is not None else ""
        yield Due(f"the last run ({last.command}) ended with {last.exit}{meaning}", serious=known not in PASSING)


def ago(then: datetime | None, now: datetime) -> str:
    """Say how long ago something was: `3 d ago`; empty if it is not known."""
    if then is None:
        return ""
    seconds = (now - then).total_seconds()
    if seconds < 0:
        return "in the future"
    for unit, word in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= unit * (2 if word == "d" else 1):
            return f"{int(seconds // unit)} {word} ago"
    return "just now"


def _messages(n: int) -> str:
    return f"{n} message{'' if n == 1 else 's'}"
