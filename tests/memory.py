"""The ports in memory: a server, an archive, a catalogue that fail or stop when a test says so.

They pass the same contract suites as the real ones, and count every step that would touch the world, so that a test
can stop a run before or after each of them.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mailarchive.errors import ArchiveError, MessageError, MissingError
from mailarchive.model import (
    DELETED,
    UID,
    Capabilities,
    Digest,
    ItemState,
    Known,
    Location,
    Mailbox,
    MailboxStatus,
    Method,
    NotFetched,
    Quota,
    Remnant,
    RemoteMessage,
    Sighting,
    StoredMessage,
    in_order,
)
from mailarchive.ports import ExpungeResult, OpenBatch
from mailarchive.rebuilding import Totals

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from mailarchive.expunge import ExpungeOrder
    from mailarchive.extras import Appending
    from mailarchive.messages import Remembered
    from mailarchive.model import (
        UIDL,
        Criteria,
        Placement,
    )
    from mailarchive.rebuilding import Copy


EVIDENCE = ("fetched", "manifest")


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
    later: bytes = b""
    """What it gives from the second fetch on, if that differs."""

    def remote(self, uid: UID) -> RemoteMessage:
        """Show it as a listing does."""
        return RemoteMessage(uid, len(self.octets) if self.size == -1 else self.size, self.internal_date, self.flags)


class MemorySource:
    """A server in memory; see `ports.Source`.

    Attributes:
        lies: What it says OK to and does not do: `store`, `expunge`; `all` expunges whatever is marked.
        refusals: What it says NO to, by the same words, and `append`.
        ended_at: The error with which the line dies, once, just before a step of that name.
        between: Called before each step of a deletion, for a second client that acts.
        haunted: UIDs that it calls present when it is asked once more.
        at_once: How many messages it takes by one command.
        trash_ids: What `in_trash` finds, by object id.
        twins: What a probe shows a second time under a UID.
        leaving: Called with mailbox, UID and message just before one is removed by an order.
        limit: Of the quota in octets, whose use is then what the messages take.
    """

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
        self.readonly: set[str] = set()
        self.lies: set[str] = set()
        self.refusals: dict[str, str] = {}
        self.at_once = 1
        self.ended_at: dict[str, Exception] = {}
        self.between: Callable[[str], None] = lambda _: None
        self.haunted: set[UID] = set()
        self.trash_ids: dict[str, UID] = {}
        self.twins: dict[UID, MemoryMessage] = {}
        self.leaving: Callable[[str, UID, MemoryMessage], None] = lambda *_: None
        self.limit: int | None = None
        self.next_uids: dict[str, int] = {}
        self.unmatched: set[UID | UIDL] = set()
        self._quota = quota

    def add(self, mailbox: str, message: MemoryMessage, uid: int | None = None) -> UID:
        """Put a message on the server."""
        box = self.boxes.setdefault(mailbox, {})
        number = UID(uid if uid is not None else self.next_uids.get(mailbox, max(box, default=0) + 1))
        box[number] = message
        self.next_uids[mailbox] = max(self.next_uids.get(mailbox, 0), number + 1)
        return number

    def quota(self) -> Quota | None:
        """Say how full it is."""
        if self.limit is not None:
            return Quota(sum(len(m.octets) for box in self.boxes.values() for m in box.values()), self.limit)
        return self._quota

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Be one step of a deletion."""
        self.between(name)
        if name in self.ended_at:
            raise self.ended_at.pop(name)
        with self.steps.step(name):
            yield

    @contextmanager
    def select(self, mailbox: Mailbox) -> Iterator[WritableMemoryMailbox]:
        """Open a mailbox for deleting."""
        if mailbox.name in self.broken_boxes:
            raise self.broken_boxes[mailbox.name]
        yield WritableMemoryMailbox(self, mailbox.name)

    def create(self, name: str) -> Mailbox:
        """Make a mailbox."""
        with self.step("create"):
            self.boxes.setdefault(name, {})
        return Mailbox(name, name.encode(), "/")

    def label(self, mailbox: Mailbox, uid: UID, labels: frozenset[str]) -> None:
        """There are no labels here."""
        raise AssertionError((mailbox, uid, labels))

    def unmark(self, mailbox: Mailbox, uids: Sequence[UID | UIDL]) -> None:
        """Take marks off."""
        WritableMemoryMailbox(self, mailbox.name).mark(uids, deleted=False)

    def append(self, mailbox: Mailbox, message: Appending) -> UID | None:
        """Take a message."""
        octets = b"".join(bytes(chunk) for chunk in message.chunks())
        assert len(octets) == message.size
        if "append" in self.refusals:
            raise MessageError(self.refusals["append"])
        with self.step("append"):
            # Like the real one: what is put back is to stay.
            return self.add(mailbox.name, MemoryMessage(octets, message.internal_date, message.flags - {DELETED}))

    def append_many(self, mailbox: Mailbox, messages: Sequence[Appending]) -> list[UID | None]:
        """Take several messages, all or none."""
        assert 1 < len(messages) <= self.at_once
        octets = [b"".join(bytes(chunk) for chunk in message.chunks()) for message in messages]
        if "append" in self.refusals:
            raise MessageError(self.refusals["append"])
        with self.step("append"):
            return [
                self.add(mailbox.name, MemoryMessage(each, message.internal_date, message.flags - {DELETED}))
                for each, message in zip(octets, messages, strict=True)
            ]

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
            source.next_uids.get(name, 1),
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

    def probe(self, uids: Sequence[UID | UIDL]) -> Iterator[Sighting]:
        """Look afresh."""
        for uid in uids:
            message = self._box.get(UID(int(uid)))
            if message is not None:
                head = message.octets.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
                yield Sighting(message.remote(UID(int(uid))), head)
                if (twin := self._source.twins.get(UID(int(uid)))) is not None:
                    yield Sighting(twin.remote(UID(int(uid))), head)

    def present(self, uids: Sequence[UID | UIDL]) -> frozenset[UID | UIDL]:
        """Say which are there."""
        return frozenset(uid for uid in uids if uid in self._box or uid in self._source.haunted)

    def matching(self, uids: Sequence[UID | UIDL], imap_search: str) -> frozenset[UID | UIDL]:
        """Find by a rule of the test."""
        assert imap_search
        return frozenset(uid for uid in uids if uid not in self._source.unmatched)

    def marked(self) -> frozenset[UID | UIDL]:
        """Say what is marked."""
        return frozenset(uid for uid, message in self._box.items() if DELETED in message.flags)

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
                again = (self._name, uid) in self._source.fetched
                self._source.fetched.append((self._name, uid))
                octets = message.later if again and message.later else message.octets
                yield MemoryIncoming(self._source, octets, message.remote(uid))


class WritableMemoryMailbox(MemoryMailbox):
    """A mailbox in memory that is open for deleting; see `ports.WritableMailbox`."""

    def __init__(self, source: MemorySource, name: str) -> None:
        super().__init__(source, name)
        writable = name not in source.readonly
        self.status = replace(self.status, writable=writable, obstacle="" if writable else "it is read-only")

    def mark(self, uids: Sequence[UID | UIDL], *, deleted: bool) -> None:
        """Change marks."""
        for uid in uids:
            with self._source.step("store" if deleted else "unmark"):
                message = self._box.get(UID(int(uid)))
                if message is not None and "store" not in self._source.lies:
                    message.flags = message.flags | {DELETED} if deleted else message.flags - {DELETED}

    def expunge(self, order: ExpungeOrder) -> ExpungeResult:
        """Carry an order out as a real server would, or lie."""
        source, method = self._source, order.how.method
        uids = [UID(int(uid)) for uid in order.uids]
        if method is Method.TRASH:
            return self._move(uids, order)
        if "store" in source.refusals:
            return ExpungeResult(dict.fromkeys(uids, ItemState.REFUSED), source.refusals["store"])
        self.mark(in_order(order.strangers), deleted=False)
        self.mark(uids, deleted=True)
        if method is Method.MARK:
            return self._result(uids, ItemState.GONE, marks=True)
        others = self.marked() - set(uids)
        said = source.refusals.get("expunge", "")
        if method is Method.EXCLUSIVE and (others or self.marked() != set(uids)):
            said = "not alone"
        elif not said and "expunge" not in source.lies:
            # Without UIDPLUS, or on a server that ignores the set, all that is marked goes.
            everything = method is Method.EXCLUSIVE or "all" in source.lies
            self._remove(list(self.marked()) if everything else uids)
        ours = [item.uid for item in order.items if not item.was_deleted and item.uid in self._box]
        self.mark(ours, deleted=False)
        self.mark(in_order(order.strangers), deleted=True)
        vanished = len(others - set(self._box))
        result = self._result(uids, ItemState.GONE)
        return replace(result, reason=said or result.reason, ignored=result.ignored and not said, strangers=vanished)

    def in_trash(self, object_ids: Collection[str], trash: Mailbox) -> dict[str, UID]:
        """Find what a test has put there."""
        assert trash.name in self._source.boxes
        return {each: uid for each, uid in self._source.trash_ids.items() if each in object_ids}

    def _move(self, uids: Sequence[UID], order: ExpungeOrder) -> ExpungeResult:
        assert order.how.trash is not None
        if "move" in self._source.refusals:
            return ExpungeResult(dict.fromkeys(uids, ItemState.REFUSED), self._source.refusals["move"])
        for uid in uids:
            with self._source.step("move"):
                message = self._box.get(uid)
                if message is not None:
                    self._source.leaving(self._name, uid, message)
                    del self._box[uid]
                    self._source.add(order.how.trash.name, message)
        return self._result(uids, ItemState.IN_TRASH)

    def _remove(self, uids: Sequence[UID | UIDL]) -> None:
        for uid in sorted(int(uid) for uid in uids):
            with self._source.step("expunge"):
                message = self._box.get(UID(uid))
                if message is not None and DELETED in message.flags:
                    self._source.leaving(self._name, UID(uid), message)
                    del self._box[UID(uid)]

    def _result(self, uids: Sequence[UID], gone: ItemState, *, marks: bool = False) -> ExpungeResult:
        states: dict[UID | UIDL, ItemState] = {}
        for uid in uids:
            there = self._box.get(uid)
            done = gone if there is None else ItemState.REFUSED
            states[uid] = ItemState.MARKED if marks and there is not None and DELETED in there.flags else done
        left = ItemState.REFUSED in states.values()
        return ExpungeResult(states, "they are still there" if left else "", ignored=left)


class MemoryIncoming:
    """A message that arrives in pieces of 1,000 octets."""

    def __init__(self, source: MemorySource, octets: bytes, remote: RemoteMessage) -> None:
        self._source = source
        self._octets = octets
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

    def __init__(self, archive: MemoryArchive) -> None:
        self.lines: list[dict[str, object]] = []
        self.durable: list[dict[str, object]] = []
        self.closed = False
        self._archive = archive

    def write(self, **fields: object) -> None:
        """Append a line."""
        assert not self.closed
        self.lines.append(fields)

    def write_all(self, common: Mapping[str, object], rows: Iterable[dict[str, object]]) -> None:
        """Append a line for each row."""
        for row in rows:
            self.write(**common, **row)

    def sync(self) -> None:
        """Make them durable."""
        if self._archive.fail_manifest is not None:
            raise self._archive.fail_manifest
        with self._archive.steps.step("manifest sync"):
            self.durable = list(self.lines)

    def close(self) -> None:
        """Close it."""
        self.sync()
        self.closed = True

    def told(self) -> Iterator[dict[str, object]]:
        """Give the durable lines as JSON gives them back."""
        for line in self.durable:
            known = {name: value for name, value in line.items() if value is not None}
            yield json.loads(json.dumps(known, default=self._plain))

    @staticmethod
    def _plain(value: object) -> object:
        if isinstance(value, datetime):
            return value.isoformat()
        assert isinstance(value, set | frozenset), value
        return sorted(value)


class MemoryArchive:
    """An archive in memory; `durable` is what a power cut leaves.

    `unreadable` are locations that cannot be read, and why; `read_cold` those that were read back from the device.
    `lists` say of locations what lists beside them say. A manifest line with a field `torn` cannot be read.
    """

    id = "0" * 32

    def __init__(self, steps: Steps | None = None) -> None:
        self.doubts: list[str] = []
        self.durable: dict[Location, bytes] = {}
        self.pending: dict[Location, bytes] = {}
        self.sealed: dict[Location, bytes] = {}
        self.manifests: dict[str, MemoryManifest] = {}
        self.fail_add: Exception | None = None
        self.fail_sync: Exception | None = None
        self.fail_manifest: Exception | None = None
        self.fail_number: Exception | None = None
        self.numbers: list[tuple[str, int | None, dict[UID | UIDL, Location], bool]] = []
        self.unreadable: dict[Location, Exception] = {}
        self.read_cold: list[Location] = []
        self.lists: dict[Location, list[Remnant]] = {}
        self.steps = steps or Steps()
        self.room: int | None = None

    def free(self) -> int | None:
        """Say how much room is left."""
        return self.room

    def folder(self, mailbox: Mailbox) -> str:
        """Name the folder."""
        return mailbox.name

    def add(self, mailbox: Mailbox, incoming: MemoryIncoming, uidvalidity: int | None = None) -> StoredMessage:  # noqa: ARG002 - the catalogue has it
        """Take a message."""
        octets = b"".join(bytes(chunk) for chunk in incoming.chunks())
        if self.fail_add is not None:
            raise self.fail_add
        digest = Digest(f"sha256:{hashlib.sha256(octets).hexdigest()}")
        location = Location(f"{mailbox.name}/{digest}")
        damaged = self.durable.get(location, octets) != octets
        waiting = location in self.pending or location in self.sealed
        already = waiting or (location in self.durable and not damaged)
        if not already:
            with self.steps.step("write"):
                self.pending[location] = octets
        return StoredMessage(digest, len(octets), location, already=already, head=octets[:65536], damaged=damaged)

    def also(self, mailbox: Mailbox, stored: StoredMessage, message: RemoteMessage) -> StoredMessage:  # noqa: ARG002 - no names
        """Place a message into another mailbox too."""
        location = Location(f"{mailbox.name}/{stored.digest}")
        already = location in self.durable or location in self.pending
        if not already:
            if stored.location not in self.durable:
                raise MissingError(f"{stored.location} is not in the archive")
            if self.fail_add is not None:
                raise self.fail_add
            with self.steps.step("write"):
                self.pending[location] = self.durable[stored.location]
        return replace(stored, location=location, already=already, damaged=False)

    def sync(self) -> None:
        """Make the batch durable."""
        self.seal()()

    def seal(self) -> Callable[[], None]:
        """Close the batch."""
        sealed, self.pending = self.pending, {}

        def commit() -> None:
            if self.fail_sync is not None:
                raise self.fail_sync
            for location, octets in sealed.items():
                with self.steps.step("link"):
                    self.durable[location] = octets
            self.sealed.clear()

        self.sealed = sealed.copy()
        return commit

    def discard(self) -> None:
        """Drop the batch, and what has become of the one before is known."""
        self.pending.clear()
        self.sealed.clear()

    def holds(self, location: Location) -> bool:
        """Tell whether it is there."""
        return location in self.durable

    def hint(self, location: Location) -> str:
        """Tell the digest."""
        return location.rpartition("/")[2]

    def read(self, location: Location, *, cold: bool = False) -> Iterator[bytes]:
        """Give the octets."""
        if location in self.unreadable:
            raise self.unreadable[location]
        if location not in self.durable:
            raise MissingError(f"{location} is not in the archive")
        if cold:
            self.read_cold.append(location)
        yield self.durable[location]

    def scan(self) -> Iterator[tuple[tuple[str, ...], Location]]:
        """Give everything."""
        for location in self.durable:
            yield tuple(location.split("/")[:-1]), location

    def number(
        self,
        mailbox: Mailbox,
        status: MailboxStatus,
        rows: Callable[[], Iterable[tuple[UID | UIDL, Location]]],
        *,
        changed: bool,
    ) -> None:
        """Keep what would be written down."""
        if self.fail_number is not None:
            raise self.fail_number
        self.numbers.append((mailbox.name, status.uidvalidity, dict(rows()), changed))

    def remains(self) -> Iterator[Remnant]:
        """Give what a test says of each, in the place of files."""
        for parts, location in self.scan():
            yield from self.lists.get(location) or [Remnant(parts, location)]

    def mailbox_of(self, folder: tuple[str, ...], delimiter: str | None) -> str | None:
        """Name the mailbox."""
        return (delimiter or "/").join(folder)

    def manifest(self, run: str) -> MemoryManifest:
        """Begin a manifest."""
        assert run not in self.manifests
        self.manifests[run] = MemoryManifest(self)
        return self.manifests[run]

    def secure(self) -> None:
        """What is there is durable."""

    def runs(self) -> list[str]:
        """Name them."""
        return sorted(self.manifests)

    def told(self, run: str, bad: Callable[[str], None] | None = None) -> Iterator[dict[str, object]]:
        """Give the durable lines of a manifest, as they are read back from JSON."""
        if run not in self.manifests:
            raise MissingError(f"there is no manifest of a run {run}")
        for line in self.manifests[run].told():
            if "torn" in line:
                if bad is None:
                    raise ArchiveError("a line cannot be read")
                bad("a line cannot be read")
            else:
                yield line


@dataclass
class MemoryBatch:
    """A batch of deletions in memory; see `ports.OpenBatch`."""

    run: str
    mailbox: str
    uidvalidity: int
    method: Method
    proof: dict[UID | UIDL, tuple[Digest, bool]]
    states: dict[UID | UIDL, ItemState]
    lifted: set[UID | UIDL]
    fingerprints: Mapping[UID | UIDL, str]
    opened_at: datetime | None = None


class MemoryCatalogue:
    """A catalogue in memory.

    `table` holds its rows; `verified` and `expunged` name those of them that a batch has found so.
    """

    def __init__(self, steps: Steps | None = None) -> None:
        self.table: dict[tuple[str, int, UID | UIDL], Placement] = {}
        self.verified: set[tuple[str, int, UID | UIDL]] = set()
        self.expunged: set[tuple[str, int, UID | UIDL]] = set()
        self.seen: dict[str, MailboxStatus] = {}
        self.dated: dict[str, dict[UID | UIDL, tuple[int | None, datetime | None]]] = {}
        self.listings: dict[str, Remembered] = {}
        self.runs: dict[str, dict[str, object]] = {}
        self.batches: dict[int, MemoryBatch] = {}
        self.put_back: set[tuple[Digest, str]] = set()
        self.trusted: datetime | None = None
        self.fail_intent: Exception | None = None
        self.steps = steps or Steps()

    def placements(
        self,
        mailbox: str,
        uidvalidity: int | None,
        *,
        within: tuple[int, int] | None = None,
        among: Sequence[UID | UIDL] | None = None,
    ) -> dict[UID | UIDL, Known]:
        """Say what is archived."""
        key = (mailbox, uidvalidity or 0)
        here = [uid for *found, uid in self.table if tuple(found) == key]
        here = [uid for uid in here if isinstance(uid, int) or (*key, uid) not in self.expunged]
        if within is not None:
            here = [uid for uid in here if isinstance(uid, int) and within[0] <= uid <= within[1]]
        if among is not None:
            here = [uid for uid in here if uid in among]
        return {
            uid: Known(
                row.location,
                row.size_announced,
                row.internal_date,
                row.size != row.size_announced and not row.confirmed,
                row.hold,
                row.put_back,
                row.size,
                row.archived_at,
                row.origin != "uidlist",
            )
            for uid, row in self._rows(mailbox, uidvalidity, here, *EVIDENCE, "uidlist").items()
        }

    def rows(self, mailbox: str, uidvalidity: int | None, uids: Sequence[UID | UIDL]) -> dict[UID | UIDL, Placement]:
        """Give whole rows."""
        return self._rows(mailbox, uidvalidity, uids, *EVIDENCE)

    def numbered(self, mailbox: str, uidvalidity: int | None) -> Iterator[tuple[UID | UIDL, Location]]:
        """Say what has which UID."""
        for (name, generation, uid), row in sorted(
            self.table.items(), key=lambda item: (not isinstance(item[0][2], int), item[0][2])
        ):
            if (name, generation) == (mailbox, uidvalidity or 0) and row.origin in EVIDENCE:
                yield uid, row.location

    def locations(self, digests: Sequence[Digest]) -> dict[Digest, Location]:
        """Find copies."""
        return {row.digest: row.location for row in self.table.values() if row.digest in set(digests)}

    def located(self) -> dict[Location, tuple[Digest, int]]:
        """Say what should be where."""
        return {row.location: (row.digest, row.size) for row in self.table.values()}

    def last_seen(self, mailbox: str) -> MailboxStatus | None:
        """Say what the last run saw."""
        return self.seen.get(mailbox)

    def mailboxes(self) -> list[str]:
        """Give the mailboxes of the last run."""
        return list(self.seen)

    def record(self, run: str, placements: Sequence[Placement]) -> None:
        """Commit."""
        assert run in self.runs
        now = datetime.now(UTC)
        with self.steps.step("commit"):
            for row in placements:
                key = (row.mailbox, row.uidvalidity or 0, row.uid)
                old = self.table.get(key)
                archived_at, confirmed = row.archived_at or now, row.confirmed
                if old is not None and old.digest == row.digest:
                    archived_at, confirmed = old.archived_at or now, confirmed or old.confirmed
                self.table[key] = replace(row, archived_at=archived_at, confirmed=confirmed, put_back=False)
                self.verified.discard(key)
                self.expunged.discard(key)

    def confirm(self, mailbox: str, uidvalidity: int | None, found: Mapping[UID | UIDL, str]) -> None:
        """Commit what a second fetch showed."""
        with self.steps.step("commit"):
            for uid, why in found.items():
                key = (mailbox, uidvalidity or 0, uid)
                if key in self.table:
                    self.table[key] = replace(self.table[key], confirmed=not why, hold=why or self.table[key].hold)

    def known_runs(self) -> frozenset[str]:
        """Name the runs."""
        return frozenset(self.runs)

    def forget(self, mailbox: str, uidvalidity: int | None, uids: Collection[UID | UIDL]) -> None:
        """Drop rows."""
        with self.steps.step("commit"):
            needed = {(each.mailbox, row.uid) for each in self.open_batches() for row, _ in each.items}
            for uid in uids:
                if (mailbox, uid) not in needed:
                    self.table.pop((mailbox, uidvalidity or 0, uid), None)

    def intend(self, run: str, order: ExpungeOrder) -> int:
        """Commit what is about to be deleted."""
        name, uidvalidity = order.mailbox.name, order.uidvalidity
        keys = {(name, uidvalidity, item.uid): item.digest for item in order.items}
        if any(
            key not in self.table or self.table[key].digest != digest or self.table[key].origin not in EVIDENCE
            for key, digest in keys.items()
        ):
            raise ArchiveError("the catalogue does not hold all that is to be deleted; nothing is")
        if self.fail_intent is not None:
            raise self.fail_intent
        with self.steps.step("commit intent"):
            number = len(self.batches) + 1
            proof = {item.uid: (item.digest, item.was_deleted) for item in order.items}
            states = dict.fromkeys(proof, ItemState.INTENT)
            self.verified.update(keys)
            self.batches[number] = MemoryBatch(
                run, name, uidvalidity, order.how.method, proof, states, set(order.strangers), order.fingerprints
            )
        return number

    def settle(
        self, batch: int, states: Mapping[UID | UIDL, ItemState], given_back: Collection[UID | UIDL] = ()
    ) -> None:
        """Commit what came of it."""
        with self.steps.step("commit result"):
            found = self.batches[batch]
            for uid, state in states.items():
                if uid in found.states and state is not ItemState.INTENT:
                    found.states[uid] = state
                    if state.deleted:
                        self.expunged.add((found.mailbox, found.uidvalidity, uid))
            found.lifted.difference_update(given_back)

    def open_batches(self) -> list[OpenBatch]:
        """Give what is open."""
        found = []
        for number, batch in sorted(self.batches.items()):
            left = [uid for uid, state in batch.states.items() if state is ItemState.INTENT]
            items = []
            for uid in left:
                digest, was_deleted = batch.proof[uid]
                row = self._told(self.table[batch.mailbox, batch.uidvalidity, uid])
                items.append((replace(row, digest=digest), was_deleted))
            if items or batch.lifted:
                lifted = frozenset(batch.lifted)
                found.append(
                    OpenBatch(
                        number,
                        batch.run,
                        batch.mailbox,
                        batch.uidvalidity,
                        batch.method,
                        tuple(items),
                        lifted,
                        batch.fingerprints,
                        batch.opened_at,
                    )
                )
        return found

    def remember_put_back(self, run: str, messages: Collection[tuple[Digest, str]]) -> None:
        """Commit that octets are on the server again."""
        assert run in self.runs
        with self.steps.step("commit"):
            self.put_back.update(messages)

    def sane_now(self) -> datetime | None:
        """Give the time that was trusted last."""
        return self.trusted

    def trust_clock(self, now: datetime) -> None:
        """Commit that it was right."""
        with self.steps.step("commit"):
            self.trusted = now

    def listing(self, mailbox: str) -> Remembered | None:
        """Give what was remembered."""
        return self.listings.get(mailbox)

    def remember_listing(self, mailbox: str, remembered: Remembered) -> None:
        """Remember it."""
        with self.steps.step("commit"):
            self.listings[mailbox] = remembered

    def dates(self, mailbox: str) -> dict[UID | UIDL, tuple[int | None, datetime | None]]:
        """Give what was asked for apart."""
        return dict(self.dated.get(mailbox, {}))

    def remember_dates(self, mailbox: str, dates: Mapping[UID | UIDL, tuple[int | None, datetime | None]]) -> None:
        """Remember it."""
        with self.steps.step("commit"):
            self.dated[mailbox] = dict(dates)

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

    def _rows(
        self, mailbox: str, uidvalidity: int | None, uids: Sequence[UID | UIDL], *origins: str
    ) -> dict[UID | UIDL, Placement]:
        found = {uid: self.table.get((mailbox, uidvalidity or 0, uid)) for uid in uids}
        return {uid: self._told(row) for uid, row in found.items() if row and row.origin in origins}

    def _told(self, row: Placement) -> Placement:
        put_back = any(digest == row.digest or (ident and ident == row.ident) for digest, ident in self.put_back)
        return replace(row, put_back=put_back)


class MemoryRebuild(MemoryCatalogue):
    """A catalogue that is made from files, in memory; see `rebuilding.Rebuilding`."""

    def __init__(self, steps: Steps | None = None) -> None:
        super().__init__(steps)
        self.kept: dict[Location, Copy] = {}
        self.left_at: dict[tuple[str, int, UID | UIDL], datetime | None] = {}
        self.completed = False

    def keep(self, copies: Sequence[Copy]) -> None:
        """Take note."""
        with self.steps.step("keep"):
            self.kept.update({copy.location: copy for copy in copies})

    def copies(self, digests: Collection[Digest]) -> dict[Digest, list[Copy]]:
        """Find by digest."""
        found: dict[Digest, list[Copy]] = {}
        for _, copy in sorted(self.kept.items()):
            if copy.digest in digests:
                found.setdefault(copy.digest, []).append(copy)
        return found

    def copies_at(self, locations: Collection[Location]) -> dict[Location, Copy]:
        """Find by location."""
        return {place: copy for place, copy in self.kept.items() if place in locations}

    def leave(self, mailbox: str, uidvalidity: int | None, left: Mapping[UID | UIDL, datetime | None]) -> None:
        """Commit that they left."""
        keys = {(mailbox, uidvalidity or 0, uid): at for uid, at in left.items()}
        self.left_at.update({key: at for key, at in keys.items() if key in self.table})
        self.expunged.update(key for key in keys if key in self.table)

    def reopen(self, batch: OpenBatch) -> None:
        """Commit an open batch."""
        proof = {row.uid: (row.digest, was_deleted) for row, was_deleted in batch.items}
        states = dict.fromkeys(proof, ItemState.INTENT)
        self.batches[len(self.batches) + 1] = MemoryBatch(
            batch.run,
            batch.mailbox,
            batch.uidvalidity,
            batch.method,
            proof,
            states,
            set(batch.lifted),
            batch.fingerprints,
            batch.opened_at,
        )

    def strike(self, run: str) -> None:
        """Forget a run."""
        del self.runs[run]

    def live(self, mailbox: str, uidvalidity: int | None) -> int:
        """Count."""
        return sum(key[:2] == (mailbox, uidvalidity or 0) and key not in self.expunged for key in self.table)

    def totals(self) -> Totals:
        """Count."""
        rows = list(self.table.values())
        placed = {row.location for row in rows}
        return Totals(
            sum(row.origin in EVIDENCE for row in rows),
            sum(row.origin == "uidlist" for row in rows),
            len(self.expunged),
            sum(location not in placed for location in self.kept),
        )

    def complete(self) -> str:
        """Be complete."""
        self.completed = True
        return ""


def never() -> None:
    """Do not stop."""
    return
