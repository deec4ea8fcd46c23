"""The ports in memory: a server, an archive, a catalogue that fail or stop when a test says so.

They pass the same contract suites as the real ones, and count every step that would touch the world, so that a test
can stop a run before or after each of them.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mailarchive.errors import MissingError
from mailarchive.model import (
    UID,
    Capabilities,
    Digest,
    Known,
    Location,
    Mailbox,
    MailboxStatus,
    NotFetched,
    RemoteMessage,
    StoredMessage,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from mailarchive.model import (
        UIDL,
        Criteria,
        Placement,
        Quota,
    )


class Stopped(BaseException):
    """The process ends here: not an error, so that nothing handles it."""


@dataclass
class Steps:
    """Counts what touches the world, and ends the process at one step, before it (`before`) or just after it."""

    stop_at: int = -1
    before: bool = True
    count: int = 0
    log: list[str] = field(default_factory=list)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Be one step."""
        number = self.count
        self.count += 1
        self.log.append(name)
        if number == self.stop_at and self.before:
            raise Stopped(name)
        yield
        if number == self.stop_at and not self.before:
            raise Stopped(name)


@dataclass
class MemoryMessage:
    """A message on the server in memory."""

    octets: bytes
    internal_date: datetime | None
    flags: frozenset[str] = frozenset()
    size: int | None = -1
    """As announced; -1 for the truth."""
    refuse: str = ""
    """Why the server does not give it; `-` for an OK without data."""

    def remote(self, uid: UID) -> RemoteMessage:
        """Show it as a listing does."""
        return RemoteMessage(uid, len(self.octets) if self.size == -1 else self.size, self.internal_date, self.flags)


class MemorySource:
    """A server in memory; see `ports.Source`."""

    def __init__(self, steps: Steps | None = None, *, quota: Quota | None = None) -> None:
        self.capabilities = Capabilities(uidplus=True, move=True, quota=quota is not None)
        self.boxes: dict[str, dict[UID, MemoryMessage]] = {}
        self.uidvalidity: dict[str, int | None] = defaultdict(lambda: 1)
        self.uids_stick = True
        self.no_headers: set[UID] = set()
        self.special: dict[str, frozenset[str]] = {}
        self.unread: list[str] = []
        self.doubts: list[str] = []
        self.alerts: list[str] = []
        self.fetched: list[tuple[str, UID]] = []
        self.gone_at_fetch: set[tuple[str, UID]] = set()
        self.broken_boxes: dict[str, Exception] = {}
        self.cut_after: int | None = None
        self.cut_error: Exception | None = None
        self.steps = steps or Steps()
        self._quota = quota

    def add(self, mailbox: str, message: MemoryMessage, uid: int | None = None) -> UID:
        """Put a message on the server."""
        box = self.boxes.setdefault(mailbox, {})
        number = UID(uid if uid is not None else max(box, default=0) + 1)
        box[number] = message
        return number

    def quota(self) -> Quota | None:
        """Say how full it is."""
        return self._quota

    def mailboxes(self) -> tuple[list[Mailbox], list[str]]:
        """List the mailboxes."""
        found = [Mailbox(name, name.encode(), "/", self.special.get(name, frozenset())) for name in self.boxes]
        return found, self.unread

    @contextmanager
    def open(self, mailbox: Mailbox) -> Iterator[MemoryMailbox]:
        """Open a mailbox."""
        if mailbox.name in self.broken_boxes:
            raise self.broken_boxes[mailbox.name]
        yield MemoryMailbox(self, mailbox.name)


class MemoryMailbox:
    """An open mailbox in memory."""

    def __init__(self, source: MemorySource, name: str) -> None:
        self._source = source
        self._name = name
        self.doubts: Sequence[str] = source.doubts
        self.status = MailboxStatus(
            len(self._box),
            source.uidvalidity[name],
            max(self._box, default=0) + 1,
            uids_stick=source.uids_stick,
        )

    @property
    def _box(self) -> dict[UID, MemoryMessage]:
        return self._source.boxes[self._name]

    def listing(self, criteria: Criteria) -> list[RemoteMessage]:  # noqa: ARG002 - a server that cannot narrow
        """List everything."""
        return [message.remote(uid) for uid, message in sorted(self._box.items())]

    def headers(self, messages: Sequence[RemoteMessage]) -> Iterator[tuple[UID | UIDL, bytes]]:
        """Give header blocks."""
        for message in messages:
            octets = self._box[UID(int(message.uid))].octets
            if message.uid in self._source.no_headers:
                continue
            yield message.uid, octets.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"

    def fetch(self, messages: Sequence[RemoteMessage]) -> Iterator[MemoryIncoming | NotFetched]:
        """Give the bodies."""
        for listed in messages:
            uid = UID(int(listed.uid))
            message = self._box.get(uid)
            if message is None or (self._name, uid) in self._source.gone_at_fetch:
                yield NotFetched(uid, "gone by another hand", gone=True)
            elif message.refuse:
                yield NotFetched(uid, message.refuse)
            else:
                self._source.fetched.append((self._name, uid))
                yield MemoryIncoming(self._source, message, message.remote(uid))


class MemoryIncoming:
    """A message that arrives in pieces of 1,000 octets."""

    def __init__(self, source: MemorySource, message: MemoryMessage, remote: RemoteMessage) -> None:
        self._source = source
        self._octets = message.octets
        self.message = remote

    def chunks(self) -> Iterator[bytes]:
        """Give the octets."""
        for begin in range(0, len(self._octets), 1000):
            if self._source.cut_after is not None:
                self._source.cut_after -= 1
                if self._source.cut_after < 0 and self._source.cut_error is not None:
                    self._source.cut_after = None
                    raise self._source.cut_error
            with self._source.steps.step("chunk"):
                yield self._octets[begin : begin + 1000]


class MemoryManifest:
    """A manifest in memory; `durable` are the lines that a power cut leaves."""

    def __init__(self, steps: Steps) -> None:
        self.lines: list[dict[str, object]] = []
        self.durable: list[dict[str, object]] = []
        self.closed = False
        self._steps = steps

    def write(self, **fields: object) -> None:
        """Append a line."""
        assert not self.closed
        self.lines.append(fields)

    def sync(self) -> None:
        """Make them durable."""
        with self._steps.step("manifest sync"):
            self.durable = list(self.lines)

    def close(self) -> None:
        """Close it."""
        self.sync()
        self.closed = True


class MemoryArchive:
    """An archive in memory; `durable` is what a power cut leaves."""

    id = "0" * 32

    def __init__(self, steps: Steps | None = None) -> None:
        self.doubts: list[str] = []
        self.durable: dict[Location, bytes] = {}
        self.pending: dict[Location, bytes] = {}
        self.manifests: dict[str, MemoryManifest] = {}
        self.fail_add: Exception | None = None
        self.fail_sync: Exception | None = None
        self.steps = steps or Steps()

    def folder(self, mailbox: Mailbox) -> str:
        """Name the folder."""
        return mailbox.name

    def add(self, mailbox: Mailbox, incoming: MemoryIncoming) -> StoredMessage:
        """Take a message."""
        octets = b"".join(bytes(chunk) for chunk in incoming.chunks())
        if self.fail_add is not None:
            raise self.fail_add
        digest = Digest(f"sha256:{hashlib.sha256(octets).hexdigest()}")
        location = Location(f"{mailbox.name}/{digest}")
        already = location in self.durable or location in self.pending
        if not already:
            with self.steps.step("write"):
                self.pending[location] = octets
        return StoredMessage(digest, len(octets), location, already=already, head=octets[:65536])

    def sync(self) -> None:
        """Make the batch durable."""
        if self.fail_sync is not None:
            raise self.fail_sync
        for location, octets in list(self.pending.items()):
            with self.steps.step("link"):
                self.durable[location] = octets
        self.pending.clear()

    def discard(self) -> None:
        """Drop the batch."""
        self.pending.clear()

    def holds(self, location: Location) -> bool:
        """Tell whether it is there."""
        return location in self.durable

    def hint(self, location: Location) -> str:
        """Tell the digest."""
        return location.rpartition("/")[2]

    def read(self, location: Location, *, cold: bool = False) -> Iterator[bytes]:  # noqa: ARG002 - memory is warm
        """Give the octets."""
        if location not in self.durable:
            raise MissingError(f"{location} is not in the archive")
        yield self.durable[location]

    def scan(self) -> Iterator[tuple[tuple[str, ...], Location]]:
        """Give everything."""
        for location in self.durable:
            yield tuple(location.split("/")[:-1]), location

    def manifest(self, run: str) -> MemoryManifest:
        """Begin a manifest."""
        assert run not in self.manifests
        self.manifests[run] = MemoryManifest(self.steps)
        return self.manifests[run]


class MemoryCatalogue:
    """A catalogue in memory."""

    def __init__(self, steps: Steps | None = None) -> None:
        self.rows: dict[tuple[str, int | None, UID | UIDL], Placement] = {}
        self.seen: dict[str, MailboxStatus] = {}
        self.runs: dict[str, dict[str, object]] = {}
        self.steps = steps or Steps()

    def placements(self, mailbox: str, uidvalidity: int | None) -> dict[UID | UIDL, Known]:
        """Say what is archived."""
        return {
            uid: Known(row.location, row.size_announced, row.internal_date)
            for (name, validity, uid), row in self.rows.items()
            if (name, validity) == (mailbox, uidvalidity)
        }

    def location(self, digest: Digest) -> Location | None:
        """Find a copy."""
        return next((row.location for row in self.rows.values() if row.digest == digest), None)

    def located(self) -> dict[Location, tuple[Digest, int]]:
        """Say what should be where."""
        return {row.location: (row.digest, row.size) for row in self.rows.values()}

    def last_seen(self, mailbox: str) -> MailboxStatus | None:
        """Say what the last run saw."""
        return self.seen.get(mailbox)

    def mailboxes(self) -> list[str]:
        """Give the mailboxes of the last run."""
        return list(self.seen)

    def record(self, run: str, placements: Sequence[Placement]) -> None:
        """Commit."""
        assert run in self.runs
        with self.steps.step("commit"):
            for row in placements:
                self.rows[row.mailbox, row.uidvalidity, row.uid] = replace(row)

    def saw(self, run: str, statuses: Mapping[str, MailboxStatus]) -> None:
        """Remember."""
        assert run in self.runs
        with self.steps.step("commit"):
            self.seen.update(statuses)

    def begin(self, run: str, facts: Mapping[str, object]) -> None:
        """Begin a run."""
        with self.steps.step("commit"):
            self.runs[run] = dict(facts)

    def finish(self, run: str, facts: Mapping[str, object]) -> None:
        """End a run."""
        with self.steps.step("commit"):
            self.runs[run].update(facts, ended=True)


def never() -> None:
    """Do not stop."""
    return
