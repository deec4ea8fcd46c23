"""The words of mail as values: mailbox, message, flags, dates, quota.

The law of this room: immutable, pure, and named as the RFCs name them. Sizes are octets, instants are aware
datetimes, and None means "the protocol or the server did not say", which is never the same as "no".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, NewType

if TYPE_CHECKING:
    from datetime import datetime

UID = NewType("UID", int)
"""A unique identifier of RFC 9051 section 2.3.1.1: 1 to 2**32 - 1. A sequence number is never one."""

UIDL = NewType("UIDL", str)
"""A unique-id listing of RFC 1939 section 7: 1 to 70 characters from 0x21 to 0x7E."""

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
    """

    uid: UID | UIDL
    size: int | None = None
    internal_date: datetime | None = None
    flags: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class NotFetched:
    """A message that was asked for and did not come.

    Attributes:
        reason: One phrase; foreign text is possible.
        gone: Whether another hand has removed it since it was listed.
    """

    uid: UID | UIDL
    reason: str
    gone: bool = False


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


class Known(NamedTuple):
    """What the catalogue remembers of a message that is archived: enough to see that the server still means the same.

    Attributes:
        size: As announced then, in octets; None if the server did not say.
        internal_date: Likewise, aware.
    """

    location: Location
    size: int | None
    internal_date: datetime | None

    def is_same(self, message: RemoteMessage) -> bool:
        """Tell whether a listed message can be the archived one."""
        return self.size == message.size and self.internal_date == message.internal_date


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
    """

    exists: int
    uidvalidity: int | None = None
    uidnext: int | None = None
    highestmodseq: int | None = None
    writable: bool = False
    uids_stick: bool = True


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
        chunk: How many messages one archive-and-delete chunk may hold; None for no limit.
    """

    flags: bool = True
    internal_date: bool = True
    search: bool = True
    uidplus: bool = False
    move: bool = False
    quota: bool = False
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
