"""One mailbox of the demo server and its messages, in memory.

The law of this room: it knows no protocol. Every change happens under the lock of the account and is told to each
listener of the mailbox at once; a listener only notes it down and speaks when its protocol allows. UIDs only rise, and
the bytes of a message never change.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from mailarchive.demo.store import Account


class StoreError(Exception):
    """The store refuses a request; nothing was changed."""


class OverQuotaError(StoreError):
    """The messages would not fit under the limit of the account."""


class NoSuchMailboxError(StoreError):
    """There is no mailbox of that name."""


class MailboxExistsError(StoreError):
    """There is a mailbox of that name already."""


class NameRefusedError(StoreError):
    """A mailbox of that name cannot be made, renamed or deleted."""


class FlagChange(Enum):
    """What to do with the flags that are named (RFC 3501 section 6.4.6)."""

    REPLACE = "FLAGS"
    ADD = "+FLAGS"
    REMOVE = "-FLAGS"


@dataclass(slots=True, eq=False)
class Message:
    """One message in one mailbox.

    Attributes:
        internal_date: Aware.
        flags: Flags and keywords; replaced as a whole, never changed in place.
        expunged: Whether it has left its mailbox; who holds it may still read its bytes.
    """

    uid: int
    raw: bytes
    internal_date: datetime
    flags: frozenset[str]
    expunged: bool = False


class Listener(Protocol):
    """Somebody who has a mailbox open; called under the lock of the account, so it must be quick."""

    @property
    def writable(self) -> bool:
        """Whether it has the mailbox open for changes."""

    def appended(self, message: Message, *, recent: bool) -> None:
        """Note a new message; `recent` if no other session is told so (RFC 3501 section 2.3.2)."""

    def expunged(self, message: Message) -> None:
        """Note that a message is gone."""

    def flagged(self, message: Message) -> None:
        """Note that the flags of a message are others now."""


class Mailbox:
    r"""One mailbox of an account.

    Attributes:
        special_use: Attributes of RFC 6154 such as `\Sent`.
        uidnext: The UID that the next message gets.
        recent_from: The lowest UID of which no session that may write has heard.
    """

    def __init__(self, account: Account, name: str, uidvalidity: int, special_use: frozenset[str]) -> None:
        self.account = account
        self.name = name
        self.uidvalidity = uidvalidity
        self.special_use = special_use
        self.uidnext = 1
        self.recent_from = 1
        self._messages: dict[int, Message] = {}
        self._keywords: dict[str, str] = {}
        self._listeners: list[Listener] = []

    @property
    def keywords(self) -> tuple[str, ...]:
        """The keywords ever used here, in the spelling that came first; keywords know no case."""
        return tuple(self._keywords.values())

    def messages(self) -> list[Message]:
        """Give the messages of this moment, by rising UID."""
        with self.account.lock:
            return list(self._messages.values())

    def attach(self, listener: Listener) -> tuple[list[Message], int]:
        """Let a listener hear of all changes from now on; gives the messages and the lowest recent UID."""
        with self.account.lock:
            self._listeners.append(listener)
            recent_from = self.recent_from
            if listener.writable:
                self.recent_from = self.uidnext
            return list(self._messages.values()), recent_from

    def detach(self, listener: Listener) -> None:
        """Let a listener hear nothing more."""
        with self.account.lock:
            self._listeners.remove(listener)

    def append(self, raw: bytes, internal_date: datetime, flags: Iterable[str] = ()) -> Message:
        """Add a message.

        Raises:
            OverQuotaError: It would not fit.
            NoSuchMailboxError: The mailbox was deleted meanwhile.
        """
        with self.account.lock:
            self._check_alive()
            self.account.reserve(len(raw))
            return self._add(raw, internal_date, self._spelled(flags))

    def change_flags(
        self,
        messages: Iterable[Message],
        change: FlagChange,
        flags: Iterable[str],
        *,
        untold: Listener | None = None,
    ) -> None:
        """Change flags of messages of this mailbox and tell all listeners but `untold`; those expunged are skipped."""
        with self.account.lock:
            named = self._spelled(flags)
            for message in messages:
                if not message.expunged:
                    self._reflag(message, changed(message.flags, change, named), untold)

    def expunge(self, messages: Iterable[Message]) -> None:
        """Remove messages of this mailbox for good; those expunged before are skipped."""
        with self.account.lock:
            for message in messages:
                if not message.expunged:
                    self._dismiss(message)
                    self.account.release(len(message.raw))

    def take(self, messages: Sequence[Message]) -> list[Message]:
        """Copy messages of any mailbox of the account into this one, all or none, with their flags and dates.

        Raises:
            OverQuotaError: They would not fit.
            NoSuchMailboxError: The mailbox was deleted meanwhile.
        """
        with self.account.lock:
            self._check_alive()
            self.account.reserve(sum(len(message.raw) for message in messages))
            return [self._add(each.raw, each.internal_date, self._spelled(each.flags)) for each in messages]

    def _add(self, raw: bytes, internal_date: datetime, flags: frozenset[str]) -> Message:
        message = Message(self.uidnext, raw, internal_date, flags)
        self._admit(message)
        return message

    def _admit(self, message: Message) -> None:
        """Show a message that has the next UID, and tell; the lock is held."""
        self._messages[message.uid] = message
        self.uidnext += 1
        claimant = next((listener for listener in self._listeners if listener.writable), None)
        for listener in self._listeners:
            listener.appended(message, recent=claimant is None or listener is claimant)
        if claimant is not None:
            self.recent_from = self.uidnext

    def _dismiss(self, message: Message) -> None:
        """Show a message no longer, and tell; the lock is held."""
        del self._messages[message.uid]
        message.expunged = True
        for listener in self._listeners:
            listener.expunged(message)

    def _reflag(self, message: Message, flags: frozenset[str], untold: Listener | None = None) -> None:
        """Give a message these flags, and tell all but `untold` if they are others; the lock is held."""
        if flags == message.flags:
            return
        message.flags = flags
        for listener in self._listeners:
            if listener is not untold:
                listener.flagged(message)

    def _spelled(self, flags: Iterable[str]) -> frozenset[str]:
        return frozenset(
            flag if flag.startswith("\\") else self._keywords.setdefault(flag.lower(), flag) for flag in flags
        )

    def _check_alive(self) -> None:
        if self.account.find(self.name) is not self:
            raise NoSuchMailboxError(self.name)


def changed(before: frozenset[str], change: FlagChange, named: frozenset[str]) -> frozenset[str]:
    """Give the flags after a change."""
    if change is FlagChange.ADD:
        return before | named
    if change is FlagChange.REMOVE:
        return before - named
    return named
