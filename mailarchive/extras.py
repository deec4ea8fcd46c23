"""What only some sources have, beside `ports.Source`: a quota, messages taken, something to say.

The law of this room: Protocols of one or few methods that a job asks a source for, and goes without where it has none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from mailarchive.errors import AccountError
    from mailarchive.messages import Messages, Remembered
    from mailarchive.model import UID, UIDL, Mailbox, MailboxStatus, Quota, RemoteMessage
    from mailarchive.ports import Chunk


@runtime_checkable
class HasQuota(Protocol):
    """A source that can say how full the account is."""

    def quota(self) -> Quota | None:
        """STORAGE of the root of INBOX nearest to its limit; None if the server has no limit or does not say."""
        ...


@dataclass(frozen=True, slots=True)
class Appending:
    """A message to be put on the server.

    Attributes:
        size: Its octets; `chunks` gives exactly so many.
        flags: Flags and keywords to give it. `labels`: likewise, where the server has labels.
        internal_date: Aware; None lets the server take the present.
    """

    size: int
    chunks: Callable[[], Iterator[Chunk]]
    flags: frozenset[str] = frozenset()
    internal_date: datetime | None = None
    labels: frozenset[str] = frozenset()


@runtime_checkable
class CanAppend(Protocol):
    """A source that takes messages (RFC 9051 section 6.3.12)."""

    def create(self, name: str) -> Mailbox:
        """Make a mailbox. Raises MailboxError if the server refuses."""
        ...

    def label(self, mailbox: Mailbox, uid: UID, labels: frozenset[str]) -> None:
        """Put labels on a message, where the server has labels. Raises MessageError if it refuses."""
        ...

    def unmark(self, mailbox: Mailbox, uids: Sequence[UID | UIDL]) -> None:
        r"""Take `\Deleted` off messages that we marked once."""
        ...

    def append(self, mailbox: Mailbox, message: Appending) -> UID | None:
        """Put a message into a mailbox; gives its UID where the server tells it (APPENDUID, RFC 4315).

        Raises:
            MessageError: The server refused this one. `MailboxError`: it has no room for more, or no such mailbox.
        """
        ...


@runtime_checkable
class CanAppendMany(Protocol):
    """A source that may take several messages by one command (RFC 3502)."""

    @property
    def at_once(self) -> int:
        """How many; 1 where the server takes only one."""
        ...

    def append_many(self, mailbox: Mailbox, messages: Sequence[Appending]) -> Sequence[UID | None]:
        """Put messages into a mailbox, all or none; gives their UIDs as `append` does.

        Raises:
            MessageError, MailboxError: As for `append`; none of them is there.
        """
        ...


@runtime_checkable
class CanFollow(Protocol):
    """An open mailbox that can say what has changed in it (RFC 7162)."""

    @property
    def steady(self) -> bool:
        """Whether it can be followed from here on."""
        ...

    def follow(self, before: Remembered) -> Messages | None:
        """Give all its messages, of which these were there before.

        Returns:
            None if the server must be asked for all of them: its numbers do not fit, or it does not answer.
        """
        ...


@runtime_checkable
class CanGlance(Protocol):
    """A source that can say how mailboxes stand without opening them."""

    def glance(self, mailboxes: Sequence[Mailbox]) -> Mapping[str, MailboxStatus]:
        """Give by name the status of those that the server answers for; before any mailbox is open."""
        ...


@runtime_checkable
class CanNameSenders(Protocol):
    """An open mailbox that gives the field From for less than the whole of `OpenMailbox.headers`."""

    def senders(self, messages: Sequence[RemoteMessage]) -> Iterator[tuple[UID | UIDL, bytes]]:
        """Give for each message that still exists a header block with the field From alone."""
        ...


@runtime_checkable
class HasAlerts(Protocol):
    """A source whose server may want a human to read something."""

    @property
    def alerts(self) -> Sequence[str]:
        """What it has said so far, foreign text (RFC 9051 section 7.1, ALERT)."""
        ...


@runtime_checkable
class HasAdvice(Protocol):
    """A source of which a human should know something."""

    @property
    def advice(self) -> Sequence[str]:
        """Sentences of ours."""
        ...


@runtime_checkable
class CanRenew(Protocol):
    """A source that can go on on a new line."""

    def renew(self, error: AccountError, *, achieved: bool = False) -> None:
        """Wait and sign in on a new line, or raise the error if that makes no sense.

        Args:
            error: What went wrong.
            achieved: Whether anything came of the last attempt.
        """
        ...


@runtime_checkable
class CanAbandon(Protocol):
    """A source whose goodbye means something (POP3: QUIT)."""

    def abandon(self) -> None:
        """Drop the line without a goodbye, so that nothing counts that the server would do at it."""
        ...
