"""Runs the jobs on the ports in memory and keeps what they say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from mailarchive.backup import backup
from mailarchive.events import Kept, Warned
from mailarchive.finding import Found
from mailarchive.job import Answer, Deletion
from mailarchive.model import Run
from mailarchive.policy import Policy
from mailarchive.prune import prune
from mailarchive.reindex import reindex
from mailarchive.restore import restore, undo
from tests.memory import MemoryArchive, MemoryCatalogue, MemoryMessage, MemoryRebuild, MemorySource, never

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailarchive.events import Event, Finished, ReindexFinished, RestoreFinished
    from mailarchive.model import Location

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


def yes(answer: Answer = Answer.GIVEN, **options: Any) -> Deletion:
    """Ask for a deletion, and agree to it."""
    return Deletion(lambda _: answer, **options)


def _run(run: str, command: str, now: datetime) -> Run:
    return Run(run, command, "0", "home", "imaps://imap.example.org", "/archive", now, "old", CUT)


def run_backup(
    source: MemorySource,
    archive: MemoryArchive,
    catalogue: MemoryCatalogue,
    *,
    run: str = "run1",
    policy: Policy | None = None,
    now: datetime = NOW,
    **options: Any,
) -> tuple[Finished, list[Event]]:
    """Run a backup and give its end and all it said."""
    said: list[Event] = []
    finished = backup(
        source,
        archive,  # type: ignore[arg-type] # it takes the messages of the source in memory only
        catalogue,
        policy=policy or Policy(before=CUT),
        run=_run(run, "backup", now),
        report=said.append,
        stop=options.pop("stop", never),
        clock=lambda: 0.0,
        **options,
    )
    assert said[-1] is finished
    return finished, said


def run_prune(
    source: MemorySource,
    archive: MemoryArchive,
    catalogue: MemoryCatalogue,
    *,
    run: str = "run1",
    policy: Policy | None = None,
    now: datetime = NOW,
    **options: Any,
) -> tuple[Finished, list[Event]]:
    """Run a prune and give its end and all it said."""
    said: list[Event] = []
    finished = prune(
        source,
        archive,  # type: ignore[arg-type] # see above
        catalogue,
        policy=policy or Policy(before=CUT),
        run=_run(run, "prune", now),
        report=said.append,
        stop=options.pop("stop", never),
        clock=lambda: 0.0,
        deletion=options.pop("deletion", None) or yes(),
        **options,
    )
    assert said[-1] is finished
    return finished, said


def run_undo(
    source: MemorySource,
    archive: MemoryArchive,
    catalogue: MemoryCatalogue,
    of: str = "run1",
    *,
    run: str = "undo1",
    **options: Any,
) -> tuple[RestoreFinished, list[Event]]:
    """Take a run back and give the end of that and all it said."""
    said: list[Event] = []
    finished = undo(
        source,
        archive,  # type: ignore[arg-type] # see above
        catalogue,
        of=of,
        run=_run(run, "undo", NOW),
        report=said.append,
        stop=options.pop("stop", never),
        clock=lambda: 0.0,
        **options,
    )
    assert said[-1] is finished
    return finished, said


def found_in(catalogue: MemoryCatalogue) -> list[Found]:
    """Find everything, as a query for everything does: equal octets once for each mailbox."""
    found: dict[tuple[str, str], Found] = {}
    for row in catalogue.table.values():
        found[row.mailbox, row.digest] = Found(
            row.digest,
            row.mailbox,
            row.location,
            row.size,
            row.internal_date,
            row.flags,
            uidvalidity=row.uidvalidity,
            uid=row.uid,
        )
    return list(found.values())


def run_restore(
    source: MemorySource,
    archive: MemoryArchive,
    catalogue: MemoryCatalogue,
    *,
    run: str = "restore1",
    wanted: Sequence[Found] | None = None,
    mail: MemoryArchive | None = None,
    **options: Any,
) -> tuple[RestoreFinished, list[Event]]:
    """Put what was found back, or everything, and give the end of that and all it said."""
    said: list[Event] = []
    finished = restore(
        source,
        mail or archive,  # type: ignore[arg-type] # see above
        archive,  # type: ignore[arg-type] # see above
        catalogue,
        wanted=lambda: found_in(catalogue) if wanted is None else wanted,
        run=_run(run, "restore", NOW),
        report=said.append,
        stop=options.pop("stop", never),
        clock=lambda: 0.0,
        **options,
    )
    assert said[-1] is finished
    return finished, said


def run_reindex(
    archive: MemoryArchive, *, run: str = "zz-reindex", **options: Any
) -> tuple[MemoryRebuild, ReindexFinished, list[Event]]:
    """Make a catalogue from the files of an archive and give it, the end, and all that was said."""
    said: list[Event] = []
    catalogue = options.pop("catalogue", None) or MemoryRebuild()
    finished = reindex(
        archive,  # type: ignore[arg-type] # see above
        catalogue,
        name="/archive",
        run=run,
        report=said.append,
        stop=options.pop("stop", never),
        clock=lambda: 0.0,
        **options,
    )
    assert said[-1] is finished
    return catalogue, finished, said


def of_type(said: Sequence[Event], *kinds: type[Any]) -> list[Any]:
    """Give the events of some kinds."""
    return [event for event in said if isinstance(event, kinds)]


def warnings(said: Sequence[Event]) -> list[str]:
    """Give the warnings."""
    return [event.message for event in of_type(said, Warned)]


def there(source: MemorySource, mailbox: str = "INBOX") -> list[int]:
    """Give the UIDs of a mailbox of the server."""
    return sorted(int(uid) for uid in source.boxes[mailbox])


class World:
    """A server with four old messages and a young one in INBOX, and two old ones in Work; nothing archived."""

    def __init__(self) -> None:
        self.source = MemorySource()
        self.archive, self.catalogue = MemoryArchive(), MemoryCatalogue()
        for number in range(4):
            self.source.add("INBOX", old(number))
        self.source.add("INBOX", young(100))
        for number in (10, 11):
            self.source.add("Work", old(number))

    @property
    def ports(self) -> tuple[MemorySource, MemoryArchive, MemoryCatalogue]:
        """The three ports."""
        return self.source, self.archive, self.catalogue

    def archived(self) -> World:
        """Archive everything first, without a deletion."""
        run_backup(*self.ports, run="run0")
        self.source.fetched.clear()
        return self

    def location(self, number: int, mailbox: str = "INBOX") -> Location:
        """Say where the copy of a message is."""
        found = (row.location for row in self.catalogue.table.values() if row.mailbox == mailbox)
        return next(place for place in found if self.archive.durable.get(place) == text(number))


def kept(said: list[Event]) -> dict[tuple[str, int], str]:
    """Give why each message stayed."""
    return {(event.mailbox, int(event.uid)): event.reason for event in of_type(said, Kept)}


def sound(finished: Finished) -> None:
    """Check that the numbers add up, and that each that stayed has a reason."""
    assert all(row.adds_up(deleting=True) for _, row in finished.mailboxes)
    assert sum(number for _, number in finished.kept) == finished.total.kept
