"""Messages that become durable together: bytes, then the manifest, then the rows that vouch for them.

The law of this room: a message counts, and is told, only after all three; after an error of the disk nothing of the
batch is recorded, and the next run fetches it again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mailarchive import headers
from mailarchive.errors import ArchiveError, ExitCode
from mailarchive.events import Archived, Held
from mailarchive.model import Placement

if TYPE_CHECKING:
    from mailarchive.job import Work
    from mailarchive.model import RemoteMessage, StoredMessage
    from mailarchive.plan import MailboxPlan
    from mailarchive.ports import Incoming, Manifest

BATCH_MESSAGES = 500
BATCH_OCTETS = 32 * 1024 * 1024


class Batch:
    """Messages of one mailbox that become durable together."""

    def __init__(self, part: MailboxPlan, manifest: Manifest, work: Work) -> None:
        self._mailbox = part.mailbox
        self._status = part.status
        self._manifest = manifest
        self._work = work
        self._placements: list[tuple[Placement, StoredMessage]] = []
        self._octets = 0
        self._introduced = False

    def add(self, incoming: Incoming) -> None:
        """Take one message, and make the batch durable if it is full."""
        work = self._work
        try:
            stored = work.archive.add(self._mailbox, incoming)
        except ArchiveError:
            self._drop()
            raise
        self._placements.append((self._placement(incoming.message, stored), replace(stored, head=b"")))
        self._octets += stored.size
        if stored.damaged:
            work.warn(
                f"the archived copy of UID {incoming.message.uid} did not match and was set aside", self._mailbox.name
            )
        if len(self._placements) >= BATCH_MESSAGES or self._octets >= BATCH_OCTETS:
            self.commit()

    def commit(self) -> None:
        """Make bytes durable first, then the manifest, then the rows that vouch for them; then it counts."""
        if not self._placements:
            return
        try:
            self._work.archive.sync()
            self._write_manifest()
        except ArchiveError:
            self._drop()
            raise
        self._work.catalogue.record(self._work.run.id, [placement for placement, _ in self._placements])
        done, self._placements, self._octets = self._placements, [], 0
        for placement, stored in done:
            self._tell(placement, stored)

    def _drop(self) -> None:
        self._placements.clear()
        self._work.archive.discard()

    def _placement(self, message: RemoteMessage, stored: StoredMessage) -> Placement:
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
            ident=headers.ident(stored.head),
            hold=headers.hold(stored.head, stored.size),
        )

    def _write_manifest(self) -> None:
        mailbox, status = self._mailbox, self._status
        if not self._introduced:
            self._introduced = True
            self._manifest.write(
                type="mailbox",
                name=mailbox.name,
                folder=self._work.archive.folder(mailbox),
                delimiter=mailbox.delimiter,
                uidvalidity=status.uidvalidity,
                special_use=mailbox.special_use,
            )
        for placement, stored in self._placements:
            self._manifest.write(
                type="archived",
                mailbox=mailbox.name,
                uidvalidity=status.uidvalidity,
                uid=placement.uid,
                digest=placement.digest,
                size=placement.size,
                internal_date=placement.internal_date,
                flags=placement.flags,
                location=placement.location,
                already=True if stored.already else None,
                hold=placement.hold or None,
            )
        self._manifest.sync()

    def _tell(self, placement: Placement, stored: StoredMessage) -> None:
        work, name = self._work, self._mailbox.name
        work.count(name, archived=1, size=0 if stored.already else stored.size)
        work.report(Archived(name, placement.uid, placement.digest, placement.size, stored.already))
        if placement.hold:
            work.codes.add(ExitCode.PARTIAL)
            work.report(Held(name, placement.uid, placement.hold))
