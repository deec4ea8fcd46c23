"""The accounts of the demo server with their mailboxes and quota, in memory, whatever protocol shows them.

The law of this room: it knows no protocol. Every change happens under the lock of its account, a request is carried
out as a whole or not at all, and a UIDVALIDITY is never given twice in one account.
"""

from __future__ import annotations

import hmac
import threading
from typing import TYPE_CHECKING

from mailarchive.demo.mailbox import (
    Mailbox,
    MailboxExistsError,
    NameRefusedError,
    NoSuchMailboxError,
    OverQuotaError,
)
from mailarchive.model import INBOX, is_inbox

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mailarchive.demo.mailbox import Message

DELIMITER = "/"
LONGEST_NAME = 255
FIRST_UIDVALIDITY = 1_000_001


class Account:
    """One user's mailboxes under one quota; it always has an INBOX.

    Attributes:
        lock: Held for every change and by whoever wants to see several things at one moment.
        limit: Most octets that the messages may have together; None for no limit.
        used: How many they have.
    """

    def __init__(self, user: str, password: str, limit: int | None = None) -> None:
        self.user = user
        self.limit = limit
        self.used = 0
        self.lock = threading.RLock()
        self._password = password
        self._next_uidvalidity = FIRST_UIDVALIDITY
        self._mailboxes: dict[str, Mailbox] = {}
        self.create(INBOX)

    def opens_to(self, password: str) -> bool:
        """Tell whether this is the password."""
        return hmac.compare_digest(password.encode(), self._password.encode())

    def mailboxes(self) -> list[Mailbox]:
        """Give all mailboxes, INBOX first, then by name."""
        with self.lock:
            return sorted(self._mailboxes.values(), key=lambda mailbox: (mailbox.name != INBOX, mailbox.name))

    def find(self, name: str) -> Mailbox | None:
        """Give the mailbox of a name, or None."""
        return self._mailboxes.get(proper_name(name))

    def mailbox(self, name: str) -> Mailbox:
        """Give the mailbox of a name.

        Raises:
            NoSuchMailboxError: There is none.
        """
        found = self.find(name)
        if found is None:
            raise NoSuchMailboxError(name)
        return found

    def create(self, name: str, special_use: Iterable[str] = ()) -> Mailbox:
        """Make a mailbox, and those above it that are missing (RFC 3501 section 6.3.3).

        Raises:
            MailboxExistsError: It is there.
            NameRefusedError: The name cannot be.
        """
        name = proper_name(name.removesuffix(DELIMITER))
        _check_name(name)
        with self.lock:
            if name in self._mailboxes:
                raise MailboxExistsError(name)
            self._make_parents(name)
            return self._make(name, frozenset(special_use))

    def delete(self, name: str) -> None:
        """Delete a mailbox with its messages; mailboxes below it stay (RFC 3501 section 6.3.4).

        Raises:
            NoSuchMailboxError: There is none.
            NameRefusedError: It is INBOX.
        """
        with self.lock:
            mailbox = self.mailbox(name)
            if mailbox.name == INBOX:
                raise NameRefusedError("INBOX stays")
            mailbox.expunge(mailbox.messages())
            del self._mailboxes[mailbox.name]

    def rename(self, old: str, new: str) -> None:
        """Rename a mailbox and those below it; of INBOX the messages move instead (RFC 3501 section 6.3.5).

        Raises:
            NoSuchMailboxError: There is no `old`, and nothing below it.
            MailboxExistsError: There is a `new`.
            NameRefusedError: The new name cannot be.
        """
        old, new = proper_name(old), proper_name(new.removesuffix(DELIMITER))
        _check_name(new)
        with self.lock:
            if new in self._mailboxes:
                raise MailboxExistsError(new)
            if old == INBOX:
                self.move(self.mailbox(INBOX), self.mailbox(INBOX).messages(), self.create(new))
                return
            if new.startswith(old + DELIMITER):
                raise NameRefusedError("a mailbox cannot lie below itself")
            below = [name for name in self._mailboxes if name.startswith(old + DELIMITER)]
            moving = ([old] if old in self._mailboxes else []) + below
            if not moving:
                raise NoSuchMailboxError(old)
            targets = {name: new + name.removeprefix(old) for name in moving}
            for target in targets.values():
                _check_name(target)
                if target in self._mailboxes:
                    raise MailboxExistsError(target)
            for name, target in targets.items():
                mailbox = self._mailboxes.pop(name)
                mailbox.name = target
                self._mailboxes[target] = mailbox
            self._make_parents(new)

    def move(self, source: Mailbox, messages: Sequence[Message], target: Mailbox) -> list[Message]:
        """Move messages of one mailbox into another, all or none; the quota does not matter, as nothing is added."""
        with self.lock:
            limit, self.limit = self.limit, None
            try:
                moved = target.take(messages)
            finally:
                self.limit = limit
            source.expunge(messages)
            return moved

    def reserve(self, octets: int) -> None:
        """Count octets that are coming; the lock is held.

        Raises:
            OverQuotaError: They would not fit; nothing was counted.
        """
        if self.limit is not None and self.used + octets > self.limit:
            raise OverQuotaError(self.user)
        self.used += octets

    def release(self, octets: int) -> None:
        """Count octets that have gone; the lock is held."""
        self.used -= octets

    def _make_parents(self, name: str) -> None:
        for parent in parents(name):
            if parent not in self._mailboxes:
                self._make(parent, frozenset())

    def _make(self, name: str, special_use: frozenset[str]) -> Mailbox:
        mailbox = self._mailboxes[name] = self._build(name, self._next_uidvalidity, special_use)
        self._next_uidvalidity += 1
        return mailbox

    def _build(self, name: str, uidvalidity: int, special_use: frozenset[str]) -> Mailbox:
        return Mailbox(self, name, uidvalidity, special_use)


class Store:
    """All accounts of a server."""

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}

    def add_account(self, user: str, password: str, limit: int | None = None) -> Account:
        """Add an account with an empty INBOX; `limit` is its quota in octets."""
        account = Account(user, password, limit)
        self.add(account)
        return account

    def add(self, account: Account) -> None:
        """Add an account that was made elsewhere."""
        self._accounts[account.user] = account

    def account(self, user: str) -> Account:
        """Give the account of a user; KeyError if there is none."""
        return self._accounts[user]

    def sign_in(self, user: str, password: str) -> Account | None:
        """Give the account if the password is right."""
        account = self._accounts.get(user)
        return account if account is not None and account.opens_to(password) else None


def proper_name(name: str) -> str:
    """Give a mailbox name with INBOX, and INBOX above others, in capitals (RFC 3501 section 5.1)."""
    first, delimiter, rest = name.partition(DELIMITER)
    return INBOX + delimiter + rest if is_inbox(first) else name


def parents(name: str) -> list[str]:
    """Give the names above a name, the highest first."""
    levels = name.split(DELIMITER)
    return [DELIMITER.join(levels[:depth]) for depth in range(1, len(levels))]


def _check_name(name: str) -> None:
    if not name or len(name) > LONGEST_NAME:
        raise NameRefusedError("a name has 1 to 255 characters")
    if not all(name.split(DELIMITER)):
        raise NameRefusedError("a level of the name is empty")
    if any(not sign.isprintable() or sign in "%*" for sign in name):
        raise NameRefusedError("a name holds no control character and no wildcard")
