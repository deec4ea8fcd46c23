"""What the jobs need from the world: a server, an archive, a catalogue, a clock.

The law of this room: Protocols only, in the words of the jobs. Narrowing is a hint and the policy is the law; None
means "cannot say" and unknown means keep; a deletion needs an `ExpungeOrder`, which only `expunge.approve` makes.
Every adapter passes the contract suite of its port in `tests/contract/`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from mailarchive.errors import ExitCode
    from mailarchive.expunge import ExpungeOrder
    from mailarchive.messages import Remembered
    from mailarchive.model import (
        UID,
        UIDL,
        Capabilities,
        Criteria,
        Digest,
        ItemState,
        Known,
        Location,
        Mailbox,
        MailboxStatus,
        Method,
        NotFetched,
        Placement,
        Remnant,
        RemoteMessage,
        Sighting,
        StoredMessage,
    )

Chunk: TypeAlias = "bytes | bytearray | memoryview"


class Incoming(Protocol):
    """A message that is arriving.

    The bytes must be read to the end before the next message is asked for, and each chunk is valid only until the
    next one is. What the server says of the message may stand behind its bytes on the wire (RFC 9051 section 7.5.2
    fixes no order), so `message` is complete only after the last chunk.
    """

    @property
    def message(self) -> RemoteMessage:
        """What the server says of the message; read it after the chunks."""
        ...

    def chunks(self) -> Iterator[Chunk]:
        """Give the exact octets, in pieces; if it raises, nothing of them may be kept.

        Raises:
            AccountError: The line died.
            AgainError: They may be those of another message; what gave this one gives it once more.
        """
        ...


class OpenMailbox(Protocol):
    """One mailbox, open for reading."""

    @property
    def status(self) -> MailboxStatus:
        """What the server said when it was opened."""
        ...

    @property
    def doubts(self) -> Sequence[str]:
        """Why what was listed is not to be trusted for a deletion, one sentence each."""
        ...

    def listing(self, criteria: Criteria) -> Sequence[RemoteMessage]:
        """Give at least every message that fits the criteria, each UID once, in ascending order.

        Raises:
            MailboxError: The listing cannot be trusted (cut off, a UID twice).
        """
        ...

    def headers(self, messages: Sequence[RemoteMessage]) -> Iterator[tuple[UID | UIDL, bytes]]:
        """Give for each message that still exists its header fields Message-ID, Date, From, To, Cc, Subject, List-Id.

        Each value is a header block of at most 64 KiB.
        """
        ...

    def probe(self, uids: Sequence[UID | UIDL]) -> Iterator[Sighting]:
        """Look at messages afresh (`safety.md` D2); one that is gone does not come, and one that comes twice may."""
        ...

    def present(self, uids: Sequence[UID | UIDL]) -> Collection[UID | UIDL]:
        """Say which of these are there, asked in another way than the probe; silence is no absence."""
        ...

    def fetch(self, messages: Sequence[RemoteMessage]) -> Iterator[Incoming | NotFetched]:
        """Give the bodies, in any order, never marking anything as read; each message asked for comes exactly once."""
        ...


@dataclass(frozen=True, slots=True)
class ExpungeResult:
    """What a server made of an order, as far as a look after it tells.

    Attributes:
        states: For each UID of the order: `GONE`, `IN_TRASH`, `MARKED`, or `REFUSED` with our mark taken off again.
        reason: Why some were refused, in the server's words or ours; empty if none was.
        ignored: Whether the server said OK and did not do it: nothing more may be deleted on it.
        strangers: How many messages that others had marked vanished with ours: the server ignores the set, and all
            deletion on the account stops.
        lifted: UIDs of strangers whose marks could not be put back (`exclusive` only); they stay in the journal.
    """

    states: Mapping[UID | UIDL, ItemState]
    reason: str = ""
    ignored: bool = False
    strangers: int = 0
    lifted: frozenset[UID | UIDL] = frozenset()


class WritableMailbox(OpenMailbox, Protocol):
    """One mailbox, open for deleting."""

    def matching(self, uids: Sequence[UID | UIDL], imap_search: str) -> Collection[UID | UIDL]:
        """Say which of these the user's own SEARCH keys find now."""
        ...

    def marked(self) -> frozenset[UID | UIDL]:
        r"""Give every message of the mailbox that carries `\Deleted`, whoever put it there."""
        ...

    def mark(self, uids: Sequence[UID | UIDL], *, deleted: bool) -> None:
        r"""Put `\Deleted` on messages, or take it off; for marks that are given back, never to delete."""
        ...

    def expunge(self, order: ExpungeOrder) -> ExpungeResult:
        """Carry an order out: mark, remove exactly those, look again (D5 to D7).

        Raises:
            MailboxError: The server refused before anything was changed for good; nothing of the order is deleted.
            AccountError: The line died; what came of the order is unknown until the next session looks.
        """
        ...

    def in_trash(self, object_ids: Collection[str], trash: Mailbox) -> Mapping[str, UID]:
        """Find messages in the trash by the ids that they keep (Gmail); for settling what a dead line left open."""
        ...


class Source(Protocol):
    """One account on one server, signed in."""

    @property
    def capabilities(self) -> Capabilities:
        """What this server can do."""
        ...

    def mailboxes(self) -> tuple[list[Mailbox], list[str]]:
        """List the mailboxes, and a sentence for each line of the answer that could not be read."""
        ...

    def open(self, mailbox: Mailbox) -> AbstractContextManager[OpenMailbox]:
        """Open a mailbox for reading (EXAMINE). Raises MailboxError if this one cannot be opened."""
        ...

    def select(self, mailbox: Mailbox) -> AbstractContextManager[WritableMailbox]:
        """Open a mailbox for deleting (SELECT); `status` says whether it may be. Raises MailboxError likewise."""
        ...


class Manifest(Protocol):
    """The list of what one run did, kept beside the mail (`archive-format.md` section 6)."""

    def write(self, **fields: object) -> None:
        """Append one line; durable only after `sync`."""
        ...

    def write_all(self, common: Mapping[str, object], rows: Iterable[dict[str, object]]) -> None:
        """Append a line for each row, in front of which stands what all of them have in common; rows hold no None."""
        ...

    def sync(self) -> None:
        """Make every line written so far durable."""
        ...

    def close(self) -> None:
        """Sync, and make the file read-only: nothing is added to a run that is over."""
        ...


class Archive(Protocol):
    """Messages on disk. Bytes out are bytes in; a message is invisible until `sync`; equal bytes are kept once."""

    @property
    def id(self) -> str:
        """The id of the archive, for ever."""
        ...

    @property
    def doubts(self) -> Sequence[str]:
        """Why no deletion may rest on this archive, one sentence each."""
        ...

    def add(self, mailbox: Mailbox, incoming: Incoming, uidvalidity: int | None = None) -> StoredMessage:
        """Take the octets of one message; nothing is visible or durable yet.

        Args:
            mailbox: Where it was seen; all of a batch go to one mailbox.
            incoming: What arrives.
            uidvalidity: The generation that its UID belongs to; None where there is none, or no UID.

        Raises:
            DiskError: They could not be written. Nothing of the batch may be recorded.
            Whatever `incoming.chunks()` raises; the part received so far is dropped.
        """
        ...

    def sync(self) -> None:
        """Make everything added so far durable and visible. After an error the whole batch is void: fetch it again.

        Raises:
            LostError: The disk failed under octets that no name was given to, so that they may be added again, once.
            DiskError: It failed otherwise, or is full.
        """
        ...

    def seal(self) -> Callable[[], None]:
        """Close the batch; gives what makes it durable and visible, as `sync` would.

        That may be called in another thread, while the next batch is added to the same mailbox; it ends before another
        batch is sealed, synced or discarded, and before anything else is asked of the archive.
        """
        ...

    def discard(self) -> None:
        """Drop everything added since the last `sync` or `seal`."""
        ...

    def holds(self, location: Location) -> bool:
        """Tell, without reading it, whether a message is still where it was put."""
        ...

    def read(self, location: Location, *, cold: bool = False) -> Iterator[bytes]:
        """Give the octets of a message; with `cold`, from the device rather than from memory where it can be had.

        Raises:
            ArchiveError: It is not there, or cannot be read.
        """
        ...

    def hint(self, location: Location) -> str:
        """Give what a location itself tells of the digest: `sha256:` and its first hex digits, maybe all."""
        ...

    def scan(self) -> Iterator[tuple[tuple[str, ...], Location]]:
        """Give every message: the parts of its folder and its location."""
        ...

    def remains(self) -> Iterator[Remnant]:
        """Give what the files tell of every message: as `scan`, once for each UID that it has, or once without one."""
        ...

    def mailbox_of(self, folder: tuple[str, ...], delimiter: str | None) -> str | None:
        """Give the full name of the mailbox that a folder is of; None if it is of none."""
        ...

    def also(self, mailbox: Mailbox, stored: StoredMessage, message: RemoteMessage) -> StoredMessage:
        """Place a message that is durable already into another mailbox too, by a link where that can be.

        It is part of the batch and counts after `sync`, like what `add` takes.
        """
        ...

    def number(
        self,
        mailbox: Mailbox,
        status: MailboxStatus,
        rows: Callable[[], Iterable[tuple[UID | UIDL, Location]]],
        *,
        changed: bool,
    ) -> None:
        """Write down beside the mail which UID the server gave to each message, where other programs read such a list.

        Only a help: what is not written now is written by the next run.

        Args:
            mailbox: Whose list.
            status: What the server says of it; without UIDVALIDITY there is no list.
            rows: Gives what is known of that generation, UIDs ascending; asked only if the list has to be made.
            changed: Whether the run has archived anything here; if not, a list that looks current is left alone.

        Raises:
            ArchiveError: It could not be written.
        """
        ...

    def manifest(self, run: str) -> Manifest:
        """Begin the manifest of a run."""
        ...

    def secure(self) -> None:
        """Make everything that is there durable, whoever wrote it, so that reading it back reads the device.

        Raises:
            DiskError: The system could not; nothing may then be deleted.
        """
        ...

    def free(self) -> int | None:
        """Give how many octets may still be written on the disk of the archive; None if it does not say."""
        ...

    def runs(self) -> list[str]:
        """Give the ids of all runs that have left a manifest, in order."""
        ...

    def told(self, run: str, bad: Callable[[str], None] | None = None) -> Iterator[Mapping[str, object]]:
        """Give the lines of the manifest of a run that was; a torn last line is left out.

        Args:
            run: Its id.
            bad: Called with a sentence for each other line that cannot be read, which is then left out too; without
                it, such a line is an error.

        Raises:
            MissingError: There is no such manifest. `ArchiveError`: it cannot be read.
        """
        ...

    def folder(self, mailbox: Mailbox) -> str:
        """The folder, relative to the archive and with `/`, that holds (or would hold) this mailbox."""
        ...


@dataclass(frozen=True, slots=True)
class OpenBatch:
    """A batch of deletions whose end is not known (`safety.md` section 5).

    Attributes:
        number: Of the batch.
        run: That intended it.
        items: The placement of each message that is still open, and whether it was marked before we came.
        lifted: UIDs of strangers whose marks were taken off for `exclusive` and are not given back yet.
        fingerprints: What those were (`expunge.fingerprint`), so that no other message gets the mark.
        opened_at: When it was intended.
    """

    number: int
    run: str
    mailbox: str
    uidvalidity: int
    method: Method
    items: tuple[tuple[Placement, bool], ...]
    lifted: frozenset[UID | UIDL] = frozenset()
    fingerprints: Mapping[UID | UIDL, str] = field(default_factory=dict)
    opened_at: datetime | None = None


class Catalogue(Protocol):
    """What we know of the mail; derived, and never more trusted than the files."""

    def placements(
        self,
        mailbox: str,
        uidvalidity: int | None,
        *,
        within: tuple[int, int] | None = None,
        among: Sequence[UID | UIDL] | None = None,
    ) -> Mapping[UID | UIDL, Known]:
        """Say which UIDs of this generation of a mailbox are archived, where, and what the server said of them.

        With `within`, only those from the first to the last of these two; with `among`, only these.

        A UIDL whose message was deleted is not among them: a server may give it to another message.
        """
        ...

    def numbered(self, mailbox: str, uidvalidity: int | None) -> Iterator[tuple[UID | UIDL, Location]]:
        """Give every UID of a generation that was ever archived, deleted ones too, in order, and where it lies."""
        ...

    def locations(self, digests: Sequence[Digest]) -> Mapping[Digest, Location]:
        """Find any one copy of each of these octets that are archived, in whichever mailbox."""
        ...

    def located(self) -> Mapping[Location, tuple[Digest, int]]:
        """Give what should be at every location: digest, and octets."""
        ...

    def last_seen(self, mailbox: str) -> MailboxStatus | None:
        """What the last run saw of a mailbox; None if no run ever did."""
        ...

    def mailboxes(self) -> Collection[str]:
        """Names of the mailboxes that the last run saw on the server."""
        ...

    def record(self, run: str, placements: Sequence[Placement]) -> None:
        """Commit placements whose bytes are durable, in one transaction."""
        ...

    def listing(self, mailbox: str) -> Remembered | None:
        """Give the listing of a mailbox that was remembered last; None if there is none that can be read."""
        ...

    def remember_listing(self, mailbox: str, remembered: Remembered) -> None:
        """Commit the listing of a mailbox, in the place of any other of it."""
        ...

    def dates(self, mailbox: str) -> Mapping[UID | UIDL, tuple[int | None, datetime | None]]:
        """Give what was asked for apart about messages of a mailbox: announced size, and date (POP3)."""
        ...

    def remember_dates(self, mailbox: str, dates: Mapping[UID | UIDL, tuple[int | None, datetime | None]]) -> None:
        """Commit dates that were asked for apart, in the place of all that were known of the mailbox."""
        ...

    def saw(self, run: str, statuses: Mapping[str, MailboxStatus]) -> None:
        """Remember the mailboxes of the server as this run saw them."""
        ...

    def rows(self, mailbox: str, uidvalidity: int | None, uids: Sequence[UID | UIDL]) -> Mapping[UID | UIDL, Placement]:
        """Give the whole rows of some messages of a mailbox, those that are there."""
        ...

    def confirm(self, mailbox: str, uidvalidity: int | None, found: Mapping[UID | UIDL, str]) -> None:
        """Commit what a second fetch showed: for each UID why it must be held; empty if the octets were the same."""
        ...

    def forget(self, mailbox: str, uidvalidity: int | None, uids: Collection[UID | UIDL]) -> None:
        """Commit that copies are not what they were, so that the next run fetches the messages again."""
        ...

    def known_runs(self) -> Collection[str]:
        """Give the ids of all runs that are known here."""
        ...

    def intend(self, run: str, order: ExpungeOrder) -> int:
        """Commit, before the server hears of it, what is about to be deleted (D4); gives the number of the batch.

        The copies were just read back, so this also is when they were last verified.
        """
        ...

    def settle(
        self, batch: int, states: Mapping[UID | UIDL, ItemState], given_back: Collection[UID | UIDL] = ()
    ) -> None:
        """Commit what came of messages of a batch, and which strangers have their marks again.

        A message that is `GONE` or `IN_TRASH` is expunged from now on. The batch is closed when nothing is open.
        """
        ...

    def open_batches(self) -> Sequence[OpenBatch]:
        """Give what earlier runs intended and nobody knows the end of, oldest first."""
        ...

    def remember_put_back(self, run: str, messages: Collection[tuple[Digest, str]]) -> None:
        """Commit that octets are on the server again: digest, and ident (see `Envelope.ident`)."""
        ...

    def sane_now(self) -> datetime | None:
        """Give the time of the latest run whose clock was not in doubt; None if there was none."""
        ...

    def trust_clock(self, now: datetime) -> None:
        """Commit that the clock was right at this time."""
        ...

    def begin(self, run: str, facts: Mapping[str, object]) -> None:
        """Commit that a run has begun."""
        ...

    def finish(self, run: str, facts: Mapping[str, object]) -> None:
        """Commit how a run ended."""
        ...


Later: TypeAlias = "Callable[[Callable[[], None]], Callable[[], None]]"
"""Begins a task, maybe in another thread; gives what waits for its end and raises what it raised. One at a time."""


def at_once(task: Callable[[], None]) -> Callable[[], None]:
    """Do a task here and now; see `Later`."""
    task()
    return lambda: None


Stop: TypeAlias = "Callable[[], ExitCode | None]"
"""Asked between messages: the code to end with if the job should end after the current batch, else None."""
