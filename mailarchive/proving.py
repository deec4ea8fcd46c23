"""Reads archived copies back from the device, while the server is busy with the batch before.

The law of this room: it reads and hashes, and decides nothing. One batch at most is read ahead; a copy that was read
long ago is read again; and whatever was found stands in what it gives, for nothing is told from another thread.
"""

from __future__ import annotations

from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from mailarchive.errors import ArchiveError, MissingError
from mailarchive.verify import read_back

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from mailarchive.job import Work
    from mailarchive.model import UID, UIDL, Digest, Placement
    from mailarchive.plan import MailboxPlan

FRESH: Final = 60.0
"""Seconds for which a copy that was read counts as untouched; a server may take very long over the batch before."""


@dataclass(slots=True)
class Copies:
    """The archived copies of one batch.

    Attributes:
        uids: The messages of the batch.
        rows: What the catalogue knows of them.
        proofs: The digest of each copy that could be read.
        missing: Those whose copy is gone.
        error: Why a copy could not be read; those after it were not read then.
        read_at: When the reading ended, in seconds of the clock of the run.
    """

    uids: Sequence[UID | UIDL]
    rows: Mapping[UID | UIDL, Placement]
    proofs: dict[UID | UIDL, Digest] = field(default_factory=dict)
    missing: list[UID | UIDL] = field(default_factory=list)
    error: ArchiveError | None = None
    read_at: float = 0.0

    @property
    def damaged(self) -> list[UID | UIDL]:
        """Those whose copy has other octets than were archived."""
        return [uid for uid, digest in self.proofs.items() if digest != self.rows[uid].digest]


class ReadAhead:
    """Gives the copies of one batch after the other; the next is being read while one is worked with.

    The first is being read from the beginning of the context on, whose end waits for what is being read. What
    `work.stop` cuts short is not read to its end.
    """

    def __init__(self, work: Work, part: MailboxPlan, batches: Iterable[Sequence[UID | UIDL]]) -> None:
        self._readings = (_Reading(work, part, uids) for uids in batches)
        self._next: _Reading | None = None

    def __enter__(self) -> Self:
        self._next = next(self._readings, None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._next is not None:
            # What ends the context tells more than what became of copies that nobody wants any more.
            with nullcontext() if error is None else suppress(Exception):
                self._next.drop()

    def __iter__(self) -> Iterator[Copies]:
        """Wait for each batch to be read."""
        while self._next is not None:
            copies = self._next.end()
            self._next = next(self._readings, None)
            yield copies


class _Reading:
    """A batch that is being read."""

    def __init__(self, work: Work, part: MailboxPlan, uids: Sequence[UID | UIDL]) -> None:
        self._work = work
        self._dropped = False
        self._copies = Copies(uids, work.catalogue.rows(part.mailbox.name, part.status.uidvalidity, uids))
        self._wait = work.later(self._read)

    def end(self) -> Copies:
        """Wait for the end, read once more what was read too long ago, and see that all are still there."""
        self._wait()
        copies = self._copies
        if self._work.clock() - copies.read_at > FRESH:
            self._copies = copies = Copies(copies.uids, copies.rows)
            self._read()
        gone = [uid for uid in copies.proofs if not self._work.archive.holds(copies.rows[uid].location)]
        for uid in gone:
            del copies.proofs[uid]
        copies.missing += gone
        return copies

    def drop(self) -> None:
        """Read no more of it."""
        self._dropped = True
        self._wait()

    def _read(self) -> None:
        copies = self._copies
        for uid, row in copies.rows.items():
            if self._dropped or self._work.stop() is not None:
                break
            if row.hold:
                # It stays, whatever its copy holds.
                continue
            try:
                copies.proofs[uid] = read_back(self._work.archive, row.location)[0]
            except MissingError:
                copies.missing.append(uid)
            except ArchiveError as error:
                copies.error = error
                break
        copies.read_at = self._work.clock()
