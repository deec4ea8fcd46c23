"""Messages that become durable together: bytes, then the manifest, then the rows that vouch for them.

The law of this room: a message counts, and is told, only after all three; after an error of the disk nothing of the
batch is recorded. Where octets were lost before any name was given to them, they are fetched once more in the same run,
to new files; after the second such error, or any other, that is for the next run.
"""

from __future__ import annotations

import itertools
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from mailarchive import headers, space
from mailarchive.errors import ArchiveError, ExitCode, LostError
from mailarchive.events import Archived, Held
from mailarchive.model import UIDL, Placement, named
from mailarchive.ports import at_once

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mailarchive.job import Work
    from mailarchive.model import UID, Mailbox, RemoteMessage, StoredMessage
    from mailarchive.plan import MailboxPlan
    from mailarchive.ports import Incoming, Later, Manifest

    _Entry = tuple[Placement, StoredMessage, RemoteMessage]

BATCH_MESSAGES = 500
BATCH_OCTETS = 32 * 1024 * 1024


def _nothing() -> None:
    """Wait for nothing."""


class Batch:
    """Messages of one mailbox that become durable together.

    Attributes:
        mailbox: Its full name.
        manifest: Of the run.
        archived: The UIDs of what has become durable so far, if they are kept. `unsure`: those of them of which other
            octets came than were announced.
        void: Messages that were lost by a disk that failed, to be fetched again.

    Args:
        part: The plan for its mailbox.
        manifest: Of the run.
        work: Of the run.
        keeping: Whether `archived` and `unsure` are kept, as a deletion needs them and nothing else does.
    """

    def __init__(self, part: MailboxPlan, manifest: Manifest, work: Work, *, keeping: bool) -> None:
        self._mailbox = part.mailbox
        self.mailbox = part.mailbox.name
        self._status = part.status
        self.manifest = manifest
        self._work = work
        self._entries: list[_Entry] = []
        self._flight: list[_Entry] = []
        self._landed: Callable[[], None] = _nothing
        self._octets = 0
        self._introduced: set[str] = set()
        self._keeping = keeping
        self.archived: list[UID | UIDL] = []
        self.unsure: list[RemoteMessage] = []
        self.void: list[RemoteMessage] = []

    def add(self, incoming: Incoming) -> None:
        """Take one message, and make the batch durable if it is full."""
        work = self._work
        try:
            if not self._entries:
                space.demand(work.archive.free())
            stored = work.archive.add(self._mailbox, incoming, self._status.uidvalidity)
        except LostError as error:
            self._lose(error, [incoming.message])
            return
        except ArchiveError:
            # What came before is whole, and counts if it becomes durable.
            with suppress(ArchiveError):
                self._reap()
            self._drop()
            raise
        message = incoming.message
        self._entries.append((self._placement(message, stored), stored.without_head(), message))
        self._octets += stored.size
        if stored.damaged:
            work.warn(
                f"the archived copy of UID {incoming.message.uid} did not match; a fresh one has taken its place",
                self._mailbox.name,
            )
        if len(self._entries) >= BATCH_MESSAGES or self._octets >= BATCH_OCTETS:
            self._flush()

    def commit(self) -> None:
        """Make everything durable that was added, and tell it."""
        self._flush()
        self._reap()

    def _flush(self) -> None:
        """Begin to make the batch durable: octets first, then the manifest, then the rows that vouch for them."""
        self._reap()
        if not self._entries:
            return
        entries, self._entries, self._octets = self._entries, [], 0
        try:
            secure = self._work.archive.seal()

            def task() -> None:
                secure()
                shown = self._place_by_labels(entries)
                self._write_manifest(entries)
                self._work.catalogue.record(self._work.run.id, [*(placement for placement, _, _ in entries), *shown])

            self._flight = entries
            self._landed = self._later(task)
        except LostError as error:
            self._flight = []
            self._lose(error, [message for _, _, message in entries])
        except ArchiveError:
            self._drop()
            raise

    @property
    def _later(self) -> Later:
        """Where it is made durable: labels put messages into other mailboxes, so the next ones wait for that."""
        return self._work.later if self._work.labels is None else at_once

    def _reap(self) -> None:
        """Wait for the batch that is being made durable; only then it counts."""
        if not self._flight:
            return
        try:
            self._landed()
        except LostError as error:
            lost, self._flight = self._flight, []
            self._lose(error, [message for _, _, message in lost])
            return
        except ArchiveError:
            self._drop()
            raise
        done, self._flight = self._flight, []
        fresh = sum(stored.size for _, stored, _ in done if not stored.already)
        self._work.count(self._mailbox.name, archived=len(done), size=fresh)
        for placement, stored, message in done:
            if self._keeping:
                self.archived.append(placement.uid)
                if stored.size != message.size:
                    self.unsure.append(message)
            self._tell(placement, stored)

    def _lose(self, error: LostError, messages: Sequence[RemoteMessage]) -> None:
        """Have messages fetched again that the disk has lost, and with them all of the batch they were to go with.

        Raises:
            LostError: It is not the first time in this run.
        """
        work = self._work
        if work.lost:
            self._drop()
            raise error
        work.lost = True
        self._reap()
        again = [*messages, *(message for _, _, message in self._entries)]
        self._drop()
        self.void += again
        what = "message is" if len(again) == 1 else "messages are"
        work.warn(f"{error.message}; {len(again)} {what} fetched again", self._mailbox.name, serious=False)

    def _drop(self) -> None:
        self._entries.clear()
        self._flight = []
        self._octets = 0
        self._work.archive.discard()

    def _placement(self, message: RemoteMessage, stored: StoredMessage) -> Placement:
        ident, hold = headers.judged(stored.head, stored.size)
        return Placement(
            mailbox=self._mailbox.name,
            uidvalidity=self._status.uidvalidity,
            uid=message.uid,
            digest=stored.digest,
            size=stored.size,
            location=stored.location,
            internal_date=message.internal_date,
            flags=message.flags,
            size_announced=message.size,
            ident=ident,
            hold=hold,
            object_id=message.object_id,
        )

    def _place_by_labels(self, entries: Sequence[_Entry]) -> list[Placement]:
        """Put a link of each message into the folder of every mailbox that shows it, where labels are mailboxes.

        Such a placement has no UID, and is no evidence for a deletion.
        """
        labels = self._work.labels
        if labels is None or self._mailbox != labels.everything:
            return []
        by_place: dict[Mailbox, list[_Entry]] = {}
        for entry in entries:
            for place in labels.places(entry[2]):
                by_place.setdefault(place, []).append(entry)
        shown = []
        for place, here in by_place.items():
            self._introduce(place)
            for placement, stored, message in here:
                link = self._work.archive.also(place, stored, message)
                uid = UIDL(f"gm:{message.object_id or placement.digest}")
                changed = replace(placement, mailbox=place.name, uidvalidity=None, uid=uid, location=link.location)
                shown.append(replace(changed, origin="label"))
            self._work.archive.sync()
        return shown

    def _introduce(self, mailbox: Mailbox, uidvalidity: int | None = None) -> None:
        """Write down a mailbox the first time that it is met."""
        if mailbox.name in self._introduced:
            return
        self._introduced.add(mailbox.name)
        self.manifest.write(
            type="mailbox",
            name=mailbox.name,
            folder=self._work.archive.folder(mailbox),
            delimiter=mailbox.delimiter,
            uidvalidity=uidvalidity,
            special_use=mailbox.special_use,
        )

    def _write_manifest(self, entries: Sequence[_Entry]) -> None:
        mailbox, status = self._mailbox, self._status
        self._introduce(mailbox, status.uidvalidity)
        common = {"type": "archived", "mailbox": mailbox.name, "uidvalidity": status.uidvalidity}
        self.manifest.write_all(common, itertools.starmap(_line, entries))
        self.manifest.sync()

    def _tell(self, placement: Placement, stored: StoredMessage) -> None:
        work, name = self._work, self._mailbox.name
        work.report(Archived(name, placement.uid, placement.digest, placement.size, stored.already))
        if placement.hold:
            work.codes.add(ExitCode.PARTIAL)
            work.report(Held(name, placement.uid, placement.hold))


def _line(placement: Placement, stored: StoredMessage, message: RemoteMessage) -> dict[str, object]:
    """Give what the manifest says of one message, beside what it says of all."""
    line: dict[str, object] = named(placement.uid)  # type: ignore[assignment] # made for this line, and wider from here
    line["digest"] = placement.digest
    line["size"] = placement.size
    if placement.size_announced is not None:
        line["announced"] = placement.size_announced
    if placement.internal_date is not None:
        line["internal_date"] = placement.internal_date.isoformat()
    if placement.flags is not None:
        line["flags"] = sorted(placement.flags)
    line["location"] = placement.location
    if stored.already:
        line["already"] = True
    if message.labels is not None:
        line["gm_msgid"] = message.object_id
        line["labels"] = message.labels
    elif message.object_id:
        line["emailid"] = message.object_id
    if placement.hold:
        line["hold"] = placement.hold
    return line
