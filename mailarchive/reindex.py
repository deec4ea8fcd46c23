"""Makes the catalogue anew from the files: the mail first, then the manifests, then the lists beside the mail.

The law of this room: nothing in the archive is changed, and nothing is believed that the octets do not bear out. A row
is made only for octets that are there and whole; what is not there is fetched again. Nothing counts as verified, and
what only a list says is no evidence. The old catalogue stays until the new one is complete.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Final

from mailarchive import headers
from mailarchive.errors import ArchiveError, ExitCode, MissingError, worst
from mailarchive.events import Flaw, ReindexFinished, Reindexing, Verified, Warned
from mailarchive.model import Digest, Placement
from mailarchive.rebuilding import Copy, Totals
from mailarchive.recital import Reciter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from mailarchive.events import Report
    from mailarchive.model import UID, UIDL, Location, Remnant
    from mailarchive.ports import Archive, Stop
    from mailarchive.rebuilding import Rebuilding

BATCH: Final = 500
"""Messages that are looked up and committed together."""


def reindex(
    archive: Archive,
    catalogue: Rebuilding,
    *,
    name: str,
    run: str,
    report: Report,
    stop: Stop,
    clock: Callable[[], float],
    holds: Iterable[tuple[str, int, UID | UIDL, str]] = (),
    sane: datetime | None = None,
) -> ReindexFinished:
    """Make a catalogue from the files of an archive, and put it in the place of the old one.

    Args:
        archive: Open, and held by this process alone.
        catalogue: A new one of that archive.
        name: What the archive is called in the report.
        run: Id of this call, for the rows that no manifest speaks for.
        report: Hears of each message, last of all of the `ReindexFinished` that is returned.
        stop: Asked between messages; the old catalogue then stays.
        clock: Seconds of a monotonic clock.
        holds: What an earlier catalogue held back: mailbox, UIDVALIDITY, UID, and why.
        sane: When an earlier catalogue trusted the clock last; what the manifests say comes before it.
    """
    begun = clock()
    work = _Work(archive, catalogue, run, report, stop)
    reciter = Reciter(archive, catalogue, work.tell, work.flawed)
    trouble: ArchiveError | None = None
    totals: Totals | None = None
    aside = ""
    try:
        catalogue.begin(run, {"command": "reindex", "started": ""})
        work.read(name)
        reciter.recite(stop)
        reciter.resume(run)
        work.take_lists(reciter.name_of)
        work.hold(holds)
        reciter.remember(run, sane)
        if stop() is None:
            totals = catalogue.totals()
            aside = catalogue.complete()
    except ArchiveError as error:
        trouble, totals = error, None
    stopped = stop() if totals is None else None
    codes = work.codes | ({trouble.exit_code} if trouble is not None else set())
    counted = totals or Totals(0, 0, 0, 0)
    finished = ReindexFinished(
        archive=name,
        read=work.done,
        size=work.size,
        placed=counted.placed,
        listed=counted.listed,
        expunged=counted.expunged,
        unplaced=counted.unplaced,
        open=reciter.open,
        runs=reciter.runs,
        flaws=tuple((flaw, work.flaws[flaw]) for flaw in Flaw if work.flaws[flaw]),
        complete=totals is not None,
        set_aside=aside,
        exit_code=worst(codes | ({stopped} if stopped is not None else set())),
        seconds=clock() - begun,
        error=trouble.message if trouble is not None else "interrupted; nothing was changed" if stopped else "",
        hint=trouble.hint if trouble is not None else "",
    )
    report(finished)
    return finished


@dataclass(slots=True)
class _Work:
    """One call: what was read so far, and what was wrong with it.

    Attributes:
        done: How many messages were read, of `size` octets in all.
        flawed: Where those are that are not whole.
    """

    archive: Archive
    catalogue: Rebuilding
    run: str
    report: Report
    stop: Stop
    codes: set[ExitCode] = field(default_factory=set)
    flaws: Counter[Flaw] = field(default_factory=Counter)
    flawed: set[Location] = field(default_factory=set)
    done: int = 0
    size: int = 0

    def tell(self, event: Verified | Warned) -> None:
        """Report what was found, and remember how bad it is."""
        if isinstance(event, Warned):
            self.codes.add(ExitCode.PARTIAL)
        elif event.flaw is not None:
            self.flaws[event.flaw] += 1
            self.codes.add(ExitCode.ARCHIVE)
        self.report(event)

    def read(self, name: str) -> None:
        """Read every message of the archive, and take note of those that are whole."""
        count = sum(1 for _ in self.archive.scan())
        self.report(Reindexing(name, count))
        copies: list[Copy] = []
        for folder, location in self.archive.scan():
            if self.stop() is not None:
                return
            if (copy := self._read(folder, location)) is not None:
                copies.append(copy)
            if len(copies) >= BATCH:
                self.catalogue.keep(copies)
                copies.clear()
        self.catalogue.keep(copies)

    def take_lists(self, name_of: Callable[[tuple[str, ...]], str | None]) -> None:
        """Make the rows that no manifest has made, of what blocks and lists beside the mail say."""
        placed = (each for each in self.archive.remains() if each.uid is not None)
        for (folder, uidvalidity), some in groupby(placed, key=lambda each: (each.folder, each.uidvalidity)):
            mailbox = name_of(folder)
            for remnants in _in_batches(some):
                if self.stop() is not None:
                    return
                if mailbox is not None:
                    self._take(mailbox, uidvalidity, remnants)

    def hold(self, holds: Iterable[tuple[str, int, UID | UIDL, str]]) -> None:
        """Hold back what an earlier catalogue held back."""
        for (mailbox, uidvalidity), some in groupby(holds, key=lambda each: each[:2]):
            self.catalogue.confirm(mailbox, uidvalidity, {uid: why for _, _, uid, why in some})

    def _read(self, folder: tuple[str, ...], location: Location) -> Copy | None:
        """Read one message, and report it; None if it is not what its location says."""
        digest = hashlib.sha256()
        head, size = b"", 0
        flaw, detail = None, ""
        try:
            for piece in self.archive.read(location):
                digest.update(piece)
                head += piece[: headers.HEAD - len(head)]
                size += len(piece)
        except MissingError:
            flaw, detail = Flaw.MISSING, "it went while the archive was read"
        except ArchiveError as error:
            flaw, detail = Flaw.UNREADABLE, error.message
        found = Digest(f"sha256:{digest.hexdigest()}")
        if flaw is None and not found.startswith(self.archive.hint(location)):
            flaw, detail = Flaw.DAMAGED, "the octets do not fit the name"
        self.done += 1
        self.size += size
        self.tell(Verified(location, size, flaw, detail))
        if flaw is not None:
            self.flawed.add(location)
            return None
        return Copy(location, "/".join(folder), found, size, headers.ident(head), headers.hold(head, size))

    def _take(self, mailbox: str, uidvalidity: int | None, remnants: list[Remnant]) -> None:
        """Make rows for messages of a mailbox that have none yet."""
        copies = self.catalogue.copies_at({each.location for each in remnants})
        known = self.catalogue.rows(mailbox, uidvalidity, [each.uid for each in remnants if each.uid is not None])
        rows = []
        for each in remnants:
            copy = copies.get(each.location)
            if copy is None or each.uid is None or each.uid in known:
                continue
            rows.append(
                Placement(
                    mailbox=mailbox,
                    uidvalidity=uidvalidity,
                    uid=each.uid,
                    digest=copy.digest,
                    size=copy.size,
                    location=copy.location,
                    internal_date=each.internal_date,
                    flags=each.flags,
                    # A block proves the octets and not what was announced: a second fetch does that.
                    size_announced=None if each.proven else copy.size,
                    ident=copy.ident,
                    hold=copy.hold,
                    origin="manifest" if each.proven else "uidlist",
                )
            )
        self.catalogue.record(self.run, rows)


def _in_batches(remnants: Iterable[Remnant]) -> Iterator[list[Remnant]]:
    waiting: list[Remnant] = []
    for each in remnants:
        waiting.append(each)
        if len(waiting) >= BATCH:
            yield waiting
            waiting = []
    if waiting:
        yield waiting
