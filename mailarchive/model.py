"""The words of mail as values: mailbox, message, flags, dates, quota.

The law of this room: immutable, pure, and named as the RFCs name them. Sizes are octets, instants are aware
datetimes, and None means "the protocol or the server did not say", which is never the same as "no".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, NewType

from mailarchive.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

UID = NewType("UID", int)
"""A unique identifier of RFC 9051 section 2.3.1.1: 1 to 2**32 - 1. A sequence number is never one."""

UIDL = NewType("UIDL", str)
"""A unique-id listing of RFC 1939 section 7: 1 to 70 characters from 0x21 to 0x7E."""


POP_GENERATION = 1
"""What stands for UIDVALIDITY on POP3: a maildrop has one generation, and a UIDL that returns is the same message."""


def transient(text: str) -> UIDL:
    """Make a name for a message that its server gives no lasting one; it cannot be taken for a UIDL."""
    return UIDL(f" {text}")


def is_lasting(uid: UID | UIDL) -> bool:
    """Tell whether a name means the same message in the next session."""
    return isinstance(uid, int) or not uid.startswith(" ")


def named(uid: UID | UIDL) -> dict[str, UID | UIDL]:
    """Give a name as the field of a manifest: `uid`, or `uidl` (`archive-format.md` section 6)."""
    return {"uid": uid} if isinstance(uid, int) else {"uidl": uid}


def in_order(uids: Iterable[UID | UIDL]) -> list[UID | UIDL]:
    """Sort UIDs by number, and UIDLs by their text."""
    return sorted(uids, key=lambda uid: (uid if isinstance(uid, int) else 0, str(uid)))


Digest = NewType("Digest", str)
"""`sha256:` and 64 lower-case hex digits over the exact octets of a message."""

Location = NewType("Location", str)
"""A token that only the archive that made it understands."""

SEEN = "\\Seen"
FLAGGED = "\\Flagged"
ANSWERED = "\\Answered"
DRAFT = "\\Draft"
DELETED = "\\Deleted"
RECENT = "\\Recent"
FORWARDED = "$Forwarded"

INBOX = "INBOX"

ALL = "\\All"
JUNK = "\\Junk"
TRASH = "\\Trash"


class Method(StrEnum):
    """How messages leave the server (`safety.md` section 6); the words of `--delete-method`.

    Only `GMAIL` is no word of the user's: it is what `AUTO` and `EXPUNGE` mean on Gmail.
    """

    AUTO = "auto"
    EXPUNGE = "expunge"
    TRASH = "trash"
    MARK = "mark"
    EXCLUSIVE = "exclusive"
    GMAIL = "gmail"


class ItemState(StrEnum):
    """What has become of one message of a batch of deletions (`safety.md` section 5)."""

    INTENT = "intent"
    GONE = "gone"
    IN_TRASH = "in trash"
    MARKED = "marked"
    ROLLED_BACK = "rolled back"
    REFUSED = "refused"
    ABANDONED = "abandoned"

    @property
    def deleted(self) -> bool:
        """Whether the message is no longer where it was."""
        return self in (ItemState.GONE, ItemState.IN_TRASH)


def is_inbox(name: str) -> bool:
    """Tell whether a mailbox name means INBOX, which is case-insensitive (RFC 9051 section 5.1)."""
    return name.isascii() and name.upper() == INBOX


@dataclass(frozen=True, slots=True)
class Mailbox:
    r"""One mailbox as LIST shows it (RFC 9051 section 7.3.1); on POP3 the maildrop, called INBOX.

    Attributes:
        name: The full name, decoded from modified UTF-7.
        wire: The name exactly as the server sent it, to be sent back the same way.
        delimiter: The hierarchy delimiter; None for a flat name.
        special_use: The attributes of RFC 6154, such as `\\Trash`, in the RFC's spelling.
        selectable: False for `\\Noselect` and `\\NonExistent`.
        personal: False where it lies in a shared or another user's namespace (RFC 2342).
    """

    name: str
    wire: bytes = b""
    delimiter: str | None = None
    special_use: frozenset[str] = frozenset()
    selectable: bool = True
    personal: bool = True


class RemoteMessage(NamedTuple):
    r"""What the server says of one message without its body.

    A named tuple because a listing holds one for each message of a mailbox.

    Attributes:
        uid: Its UID (IMAP) or UIDL (POP3) in its mailbox.
        size: RFC822.SIZE in octets as announced, a hint that is often wrong.
        internal_date: INTERNALDATE with its zone, or None if missing or not a date.
        flags: Flags and keywords without `\\Recent`; None if unknown.
        object_id: EMAILID (RFC 8474) or X-GM-MSGID, the same in every mailbox for ever; empty where there is none.
        labels: X-GM-LABELS as the server writes them; None where the server has no labels.
    """

    uid: UID | UIDL
    size: int | None = None
    internal_date: datetime | None = None
    flags: frozenset[str] | None = None
    object_id: str = ""
    labels: frozenset[str] | None = None


class Sighting(NamedTuple):
    """A fresh look at one message just before it may be deleted: the identity probe of `safety.md` D2.

    Attributes:
        message: What the server says of it now.
        head: Its header fields Message-ID, Date, From, To, Cc, Subject and List-Id, as a header block.
    """

    message: RemoteMessage
    head: bytes


@dataclass(frozen=True, slots=True)
class NotFetched:
    """A message that was asked for and did not come.

    Attributes:
        reason: One phrase; foreign text is possible.
        gone: Whether another hand has removed it since it was listed.
        code: What a run that meets it ends with, unless it is gone.
    """

    uid: UID | UIDL
    reason: str
    gone: bool = False
    code: ExitCode = ExitCode.PARTIAL


@dataclass(frozen=True, slots=True)
class Run:
    """One call of a job on one account.

    Attributes:
        id: Such as `2026-11-23T081502Z-3f`; ids sort by time.
        account: Name from the configuration, or the user for a one-off.
        server: URL without a secret.
        archive: The folder, for people.
        started: Aware.
        selection: In words, for people and the manifest.
        cut_off: The resolved instant of the selection, if it has one.
        undo: What to type to put back what this run deletes; empty where that cannot be said.
    """

    id: str
    command: str
    version: str
    account: str
    server: str
    archive: str
    started: datetime
    selection: str = ""
    cut_off: datetime | None = None
    undo: str = ""


@dataclass(frozen=True, slots=True)
class Envelope:
    """The header fields that a selection may ask for, decoded, each at most 8 KiB.

    Attributes:
        date: The Date header as an aware instant; None if missing or not a date.
        from_: The From fields as text. `to` holds To and Cc.
        ident: A hash of Message-ID, Date and From that survives what servers do to headers.
    """

    date: datetime | None = None
    from_: str = ""
    to: str = ""
    subject: str = ""
    list_id: str = ""
    ident: str = ""


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message in an archive, durable only after the archive's next `sync`.

    Attributes:
        digest: SHA-256 of the octets received.
        size: Their number.
        location: Where the archive finds it again.
        already: Whether equal bytes were there before, so that nothing was written.
        head: The first octets, at most 64 KiB, for the plausibility gate and the ident.
        damaged: Whether an earlier copy under the same name did not match and was set aside.
    """

    digest: Digest
    size: int
    location: Location
    already: bool = False
    head: bytes = field(default=b"", repr=False, compare=False)
    damaged: bool = False

    def without_head(self) -> StoredMessage:
        """Give the same without its first octets, to be kept for longer."""
        return StoredMessage(self.digest, self.size, self.location, self.already, b"", self.damaged)


class Known(NamedTuple):
    """What the catalogue remembers of a message that is archived: enough to see that the server still means the same.

    Attributes:
        size: As announced then, in octets; None if the server did not say.
        internal_date: Likewise, aware.
        unsure: Whether other octets came than were announced, and no second fetch has confirmed them yet.
        hold: Why it may never be deleted; empty if nothing speaks against it.
        put_back: Whether its octets were put back on the server once.
        octets: How many there are; a server may have estimated only, and knows them since they were fetched.
        archived_at: When a run archived it first under this UID.
        evidence: Whether a run or its manifest vouches for it; a list alone says where it was, and never deletes it.
    """

    location: Location
    size: int | None
    internal_date: datetime | None
    unsure: bool = False
    hold: str = ""
    put_back: bool = False
    octets: int | None = None
    archived_at: datetime | None = None
    evidence: bool = True

    def is_same(self, message: RemoteMessage) -> bool:
        """Tell whether a listed message can be the archived one."""
        return message.size in (self.size, self.octets) and self.internal_date == message.internal_date


@dataclass(frozen=True, slots=True)
class Placement:
    """Where on a server a stored message was seen, and what was known then: one row of the catalogue.

    Attributes:
        mailbox: Full name of the mailbox.
        uidvalidity: UIDVALIDITY of the mailbox at that time; None where the server has none.
        size_announced: The size that the server announced, in octets.
        ident: See `Envelope.ident`.
        hold: Why this message may never be deleted; empty if nothing speaks against it.
        origin: `fetched` or `manifest` are evidence for a deletion; `uidlist` and `import` never are.
        archived_at: When a run archived it first under this UID.
        object_id: See `RemoteMessage.object_id`.
        confirmed: Whether a second fetch gave the same octets; asked only where the size is not what was announced.
        put_back: Whether these octets were put back on the server after a deletion.
    """

    mailbox: str
    uidvalidity: int | None
    uid: UID | UIDL
    digest: Digest
    size: int
    location: Location
    internal_date: datetime | None
    flags: frozenset[str] | None
    size_announced: int | None = None
    ident: str = ""
    hold: str = ""
    origin: str = "fetched"
    archived_at: datetime | None = None
    object_id: str = ""
    confirmed: bool = False
    put_back: bool = False


@dataclass(frozen=True, slots=True)
class Remnant:
    """What the files of an archive tell of one message, without a catalogue and without a manifest.

    Attributes:
        folder: The parts of its folder.
        flags: Flags and keywords; None if the files do not say.
        internal_date: Aware; None if unknown. To the second and in UTC, unless `zoned`.
        uid: Its UID or UIDL; None if no file says.
        uidvalidity: Of that UID.
        zoned: Whether `internal_date` is what the server said, with its zone.
        proven: Whether octets and UID stand together in a block of ours, so that this is evidence.
    """

    folder: tuple[str, ...]
    location: Location
    flags: frozenset[str] | None = None
    internal_date: datetime | None = None
    uid: UID | UIDL | None = None
    uidvalidity: int | None = None
    zoned: bool = False
    proven: bool = False


@dataclass(frozen=True, slots=True)
class MailboxStatus:
    r"""What EXAMINE or SELECT says of a mailbox (RFC 9051 section 6.3.2).

    Attributes:
        exists: Number of messages.
        uidvalidity: None where the server has none: nothing may then be deleted.
        uidnext: None where unknown.
        highestmodseq: RFC 7162; None without CONDSTORE.
        writable: Whether the mailbox is open read-write and `\\Deleted` can be stored for good.
        uids_stick: False after UIDNOTSTICKY (RFC 4315 section 2).
        obstacle: Why it is not writable, in a few words; empty while nothing was tried.
    """

    exists: int
    uidvalidity: int | None = None
    uidnext: int | None = None
    highestmodseq: int | None = None
    writable: bool = False
    uids_stick: bool = True
    obstacle: str = ""


@dataclass(frozen=True, slots=True)
class Criteria:
    """What a source may use to list less; it may always list more, the policy judges again.

    Attributes:
        received_before: Messages with INTERNALDATE before this instant are wanted (aware).
        received_from: Messages with INTERNALDATE at or after this instant are wanted (aware).
        larger_than: Messages of more octets are wanted. `smaller_than`: of fewer.
        seen: True, only seen ones; False, only unseen ones. `flagged` likewise.
        imap_search: Raw SEARCH keys of the user, IMAP only. Not a hint: only the server can judge it.
    """

    received_before: datetime | None = None
    received_from: datetime | None = None
    larger_than: int | None = None
    smaller_than: int | None = None
    seen: bool | None = None
    flagged: bool | None = None
    imap_search: str = ""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a source can do, known before any message is asked for.

    Attributes:
        flags: Whether the protocol has flags (IMAP yes, POP3 no). `internal_date` likewise.
        search: Whether `Criteria.imap_search` can be served.
        uidplus: UID EXPUNGE of exactly a set (RFC 4315). `move`: UID MOVE (RFC 6851).
        quota: Whether quota can be asked for (RFC 9208).
        labels: Whether mailboxes are labels of messages that exist once (Gmail, X-GM-EXT-1).
        chunk: How many messages one archive-and-delete chunk may hold; None for no limit.
    """

    flags: bool = True
    internal_date: bool = True
    search: bool = True
    uidplus: bool = False
    move: bool = False
    quota: bool = False
    labels: bool = False
    chunk: int | None = None


@dataclass(frozen=True, slots=True)
class Quota:
    """STORAGE use and limit of one quota root, in octets (RFC 9208 section 5.1)."""

    used: int
    limit: int

    @property
    def percent(self) -> float:
        """Use in percent of the limit; 0 where the limit is 0."""
        return 100 * self.used / self.limit if self.limit else 0.0
