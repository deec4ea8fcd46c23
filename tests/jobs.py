"""Runs the jobs on the ports in memory and keeps what they say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from mailarchive.backup import backup
from mailarchive.model import Run
from mailarchive.policy import Policy
from tests.memory import MemoryMessage, never

if TYPE_CHECKING:
    from mailarchive.events import Event, Finished
    from tests.memory import MemoryArchive, MemoryCatalogue, MemorySource

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
CUT = NOW - timedelta(days=365)


def text(number: int, size: int = 300) -> bytes:
    """Make a message that differs from all others."""
    head = b"Message-ID: <%d@example.org>\r\nDate: Sat, 1 Mar 2014 10:00:00 +0100\r\nFrom: a@example.org\r\n" % number
    return head + b"Subject: number %d\r\n\r\n" % number + b"x" * size + b"\r\n"


def old(number: int, **facts: Any) -> MemoryMessage:
    """Make a message that is older than the cut-off."""
    return MemoryMessage(text(number), NOW - timedelta(days=800 + number), frozenset({"\\Seen"}), **facts)


def young(number: int) -> MemoryMessage:
    """Make a message that is younger than the cut-off."""
    return MemoryMessage(text(number), NOW - timedelta(days=30))


def run_backup(
    source: MemorySource,
    archive: MemoryArchive,
    catalogue: MemoryCatalogue,
    *,
    run: str = "run1",
    policy: Policy | None = None,
    **options: Any,
) -> tuple[Finished, list[Event]]:
    """Run a backup and give its end and all it said."""
    said: list[Event] = []
    finished = backup(
        source,
        archive,  # type: ignore[arg-type] # it takes the messages of the source in memory only
        catalogue,
        policy=policy or Policy(before=CUT),
        run=Run(run, "backup", "0", "home", "imaps://imap.example.org", "/archive", NOW, "old", CUT),
        report=said.append,
        stop=options.pop("stop", never),
        clock=lambda: 0.0,
        **options,
    )
    assert said[-1] is finished
    return finished, said
