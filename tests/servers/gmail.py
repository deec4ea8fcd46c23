r"""A server that imitates Gmail (X-GM-EXT-1): each message exists once, and mailboxes are labels on it.

Built on the demo server: a mailbox holds entries, and several entries may show one message. What is imitated is what
Google documents and what clients have run into: an EXPUNGE anywhere but in Trash and Spam takes a label away and frees
nothing, a message in Trash or Spam is nowhere else, an APPEND of octets that are there adds a label only.

Law of this room: the entries are the labels, so that what a mailbox shows and what X-GM-LABELS says cannot differ;
flags are of the message, only `\Deleted` is of the entry; the octets of a message are counted once, from its arrival
until it leaves Trash or Spam.
"""

from __future__ import annotations

import re
from copy import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from mailarchive.demo import fetch as fetching
from mailarchive.demo import message_commands, names
from mailarchive.demo.mailbox import FlagChange, Mailbox, Message, NameRefusedError, changed
from mailarchive.demo.server import DIALECT, DemoServer
from mailarchive.demo.session import Command, Dialect, NoError, State
from mailarchive.demo.store import DELIMITER, Account, Store, parents, proper_name
from mailarchive.demo.syntax import BadError, quoted
from mailarchive.model import DELETED, FLAGGED, INBOX

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Mapping, Sequence

    from mailarchive.demo.mailbox import Listener
    from mailarchive.demo.search import Test
    from mailarchive.demo.session import Session
    from mailarchive.demo.syntax import Arguments
    from mailarchive.demo.view import View

INBOXED = "\\Inbox"
ALL_MAIL = "\\All"
TRASH = "\\Trash"
SPAM = "\\Spam"
DRAFT = "\\Draft"
SENT = "\\Sent"
STARRED = "\\Starred"
IMPORTANT = "\\Important"

ENGLISH: Mapping[str, str] = {
    ALL_MAIL: "[Gmail]/All Mail",
    TRASH: "[Gmail]/Trash",
    SPAM: "[Gmail]/Spam",
    DRAFT: "[Gmail]/Drafts",
    SENT: "[Gmail]/Sent Mail",
    STARRED: "[Gmail]/Starred",
    IMPORTANT: "[Gmail]/Important",
}
"""The mailboxes of the system labels; `\\Inbox` is INBOX in every language."""

GERMAN: Mapping[str, str] = {
    ALL_MAIL: "[Gmail]/Alle Nachrichten",
    TRASH: "[Gmail]/Papierkorb",
    SPAM: "[Gmail]/Spam",
    DRAFT: "[Gmail]/Entwürfe",
    SENT: "[Gmail]/Gesendet",
    STARRED: "[Gmail]/Markiert",
    IMPORTANT: "[Gmail]/Wichtig",
}

LIMIT = 15 << 30
"""Octets that an account has for nothing."""

LONG_AGO = datetime(2015, 3, 14, 9, 26, 53, tzinfo=UTC)
FIRST_MSGID = 1_278_455_344_230_334_865

_USES = {SPAM: "\\Junk", DRAFT: "\\Drafts", STARRED: "\\Flagged"}
"""The attributes of RFC 6154 that are not spelled like the label."""

_ATOM = re.compile(rb'[^\x00-\x20(){%*"\\\]\x7f-\xff]+')
_BARE_LABEL = re.compile(rb"\\[A-Za-z]+")
_ID = re.compile(rb"\d{1,20}(?!\d)")


@dataclass(slots=True, eq=False)
class GmailMessage:
    r"""One message of the account.

    Attributes:
        internal_date: Aware.
        flags: Flags and keywords, without `\Deleted`.
        entries: Where it is shown; empty once it is gone for good.
    """

    msgid: int
    thrid: int
    raw: bytes
    internal_date: datetime
    flags: frozenset[str]
    entries: dict[GmailMailbox, Entry] = field(default_factory=dict)

    @property
    def mailboxes(self) -> list[str]:
        """The names of the mailboxes that show it, sorted."""
        return sorted(mailbox.name for mailbox in list(self.entries))

    @property
    def labels(self) -> frozenset[str]:
        r"""Its labels: names as of mailboxes, and `\Inbox` and the like; All Mail, Trash and Spam are none."""
        return frozenset(mailbox.label for mailbox in list(self.entries) if mailbox.is_label)

    @property
    def in_trash(self) -> bool:
        """Whether it is in Trash."""
        return any(mailbox.label == TRASH for mailbox in list(self.entries))

    @property
    def in_spam(self) -> bool:
        """Whether it is in Spam."""
        return any(mailbox.label == SPAM for mailbox in list(self.entries))

    @property
    def gone(self) -> bool:
        """Whether it was removed for good."""
        return not self.entries

    def uid(self, mailbox: str) -> int:
        """Give its UID in the mailbox of a name; KeyError if that does not show it."""
        return {shown.name: entry.uid for shown, entry in list(self.entries.items())}[mailbox]


@dataclass(slots=True, eq=False, kw_only=True)
class Entry(Message):
    """A message as one mailbox shows it."""

    message: GmailMessage


class GmailMailbox(Mailbox):
    r"""A label, All Mail, Trash or Spam.

    Args:
        gmail: Its account.
        name: As everywhere.
        uidvalidity: As everywhere.
        special_use: As everywhere.
        system: The label that it stands for, such as `\Inbox`; None for one of the user, whose label is the name.
    """

    def __init__(
        self, gmail: GmailAccount, name: str, uidvalidity: int, special_use: frozenset[str], system: str | None
    ) -> None:
        super().__init__(gmail, name, uidvalidity, special_use)
        self._gmail = gmail
        self._system = system
        self._keywords = gmail.keywords

    @property
    def label(self) -> str:
        """The label that it stands for."""
        return self._system or self.name

    @property
    def is_label(self) -> bool:
        """Whether it is neither All Mail nor Trash nor Spam."""
        return self._system != ALL_MAIL and not self.puts_away

    @property
    def puts_away(self) -> bool:
        """Whether a message in here is nowhere else: Trash and Spam."""
        return self._system in (TRASH, SPAM)

    def append(self, raw: bytes, internal_date: datetime, flags: Iterable[str] = ()) -> Message:
        """Add a message, or put the one that has these octets here as well, with the flags and date that it has."""
        with self._gmail.lock:
            self._check_alive()
            found = self._gmail.find_raw(raw)
            if found is not None:
                return self._gmail.place(found, self)
            spelled = self._spelled(flags)
            entry = self._gmail.place(self._gmail.receive(raw, internal_date, spelled - {DELETED}), self)
            self._reflag(entry, entry.flags | spelled & {DELETED})
            return entry

    def change_flags(
        self,
        messages: Iterable[Message],
        change: FlagChange,
        flags: Iterable[str],
        *,
        untold: Listener | None = None,
    ) -> None:
        r"""Change flags of messages wherever they are shown, `\Deleted` only here."""
        with self._gmail.lock:
            named = self._spelled(flags)
            for entry in entries(messages):
                if not entry.expunged:
                    after = changed(entry.flags, change, named)
                    self._reflag(entry, after, untold)
                    self._gmail.flag(entry.message, after - {DELETED})

    def expunge(self, messages: Iterable[Message]) -> None:
        """Take the label away; in All Mail nothing happens, from Trash and Spam messages leave for good."""
        with self._gmail.lock:
            for entry in entries(messages):
                if not entry.expunged:
                    self._gmail.withdraw(entry.message, self)

    def take(self, messages: Sequence[Message]) -> list[Message]:
        """Put messages here as well; into or out of Trash and Spam, here instead."""
        with self._gmail.lock:
            self._check_alive()
            return [self._gmail.place(entry.message, self) for entry in entries(messages)]

    def show(self, message: GmailMessage) -> Entry:
        """Show a message, under a new UID if it is not shown; the lock is held. No other mailbox is looked at."""
        entry = message.entries.get(self)
        if entry is None:
            entry = Entry(self.uidnext, message.raw, message.internal_date, message.flags, message=message)
            message.entries[self] = entry
            self._admit(entry)
        return entry

    def hide(self, message: GmailMessage) -> None:
        """Show a message no longer; the lock is held. No other mailbox is looked at."""
        entry = message.entries.pop(self, None)
        if entry is not None:
            self._dismiss(entry)

    def flag(self, message: GmailMessage) -> None:
        r"""Show the flags that a message has, and `\Deleted` as before; the lock is held."""
        entry = message.entries[self]
        self._reflag(entry, message.flags | entry.flags & {DELETED})


class GmailAccount(Account):
    r"""One user of Gmail; it has INBOX and the mailboxes of the system labels.

    Args:
        user: Who signs in.
        password: With what.
        limit: The quota in octets.
        special: The name of the mailbox of each system label; see `ENGLISH`.
    """

    def __init__(
        self, user: str, password: str, limit: int | None = LIMIT, special: Mapping[str, str] = ENGLISH
    ) -> None:
        self.keywords: dict[str, str] = {}
        self._messages: dict[int, GmailMessage] = {}
        self._next_msgid = FIRST_MSGID
        self._labels = {INBOX: INBOXED} | {name: label for label, name in special.items()}
        self._system: dict[str, GmailMailbox] = {}
        self._reserved = {parent for name in special.values() for parent in parents(name)}
        super().__init__(user, password, limit)
        for label, name in special.items():
            self._make(name, frozenset({_USES.get(label, label)}))

    def add(
        self,
        raw: bytes,
        *labels: str,
        flags: Iterable[str] = (),
        date: datetime = LONG_AGO,
        msgid: int | None = None,
        thrid: int | None = None,
    ) -> GmailMessage:
        r"""Add a message as if it had just come, even if there is one of the same octets.

        Args:
            raw: Its octets.
            labels: Such as `\Inbox` or `Work`, which is made if need be; none for All Mail only, `\Trash` or `\Spam`
                for that only.
            flags: Such as `\Seen`; `\Flagged` is `\Starred` as well.
            date: Its internal date, aware.
            msgid: X-GM-MSGID, if not the next one.
            thrid: X-GM-THRID, if not the same.

        Raises:
            OverQuotaError: It would not fit.
        """
        with self.lock:
            mailboxes = [self.labelled(label) for label in labels]
            message = self.receive(raw, date, self.mailbox(INBOX)._spelled(flags) - {DELETED}, msgid, thrid)
            for mailbox in mailboxes or [self.labelled(ALL_MAIL)]:
                self.place(message, mailbox)
            return message

    def messages(self) -> list[GmailMessage]:
        """Give all messages, those in Trash and Spam too, in the order of their arrival."""
        with self.lock:
            return list(self._messages.values())

    def message(self, msgid: int) -> GmailMessage:
        """Give the message of an X-GM-MSGID; KeyError if there is none."""
        return self._messages[msgid]

    def shown(self, mailbox: str) -> dict[int, GmailMessage]:
        """Give what the mailbox of a name shows, by UID."""
        return {entry.uid: entry.message for entry in entries(self.mailbox(mailbox).messages())}

    def labelled(self, label: str) -> GmailMailbox:
        r"""Give the mailbox of a label, making one of the user if need be.

        Raises:
            NameRefusedError: There is no such system label, or the user cannot have one of that name.
        """
        if label.startswith("\\"):
            try:
                return self._system["\\" + label[1:].capitalize()]
            except KeyError:
                raise NameRefusedError(label) from None
        found = self.find(label) or self.create(label)
        assert isinstance(found, GmailMailbox)
        return found

    def place(self, message: GmailMessage, mailbox: GmailMailbox) -> Entry:
        """Put a message into a mailbox as a copy does: Trash and Spam have it alone, others share it with All Mail."""
        with self.lock:
            assert message.msgid in self._messages, "the message is gone for good"
            for other in list(message.entries):
                if other is not mailbox and (mailbox.puts_away or other.puts_away):
                    other.hide(message)
            if not mailbox.puts_away:
                self._system[ALL_MAIL].show(message)
            entry = mailbox.show(message)
            self.flag(message, message.flags | ({FLAGGED} if mailbox.label == STARRED else set()))
            return entry

    def withdraw(self, message: GmailMessage, mailbox: GmailMailbox) -> None:
        """Take a message out of a mailbox as EXPUNGE does: only from Trash and Spam it leaves for good."""
        with self.lock:
            if mailbox.is_label:
                mailbox.hide(message)
                if mailbox.label == STARRED:
                    self.flag(message, message.flags - {FLAGGED})
            elif mailbox.puts_away:
                mailbox.hide(message)
                del self._messages[message.msgid]
                self.release(len(message.raw))

    def flag(self, message: GmailMessage, flags: Iterable[str]) -> None:
        r"""Give a message these flags wherever it is shown, and show it in Starred if `\Flagged` is among them."""
        with self.lock:
            message.flags = frozenset(flags)
            for mailbox in list(message.entries):
                mailbox.flag(message)
            starred = self._system[STARRED]
            if FLAGGED not in message.flags:
                starred.hide(message)
            elif not message.in_trash and not message.in_spam:
                starred.show(message)

    def relabel(
        self, message: GmailMessage, change: FlagChange, labels: Iterable[str], *, kept: str | None = None
    ) -> None:
        r"""Change the labels of a message as STORE X-GM-LABELS does; `\Trash` and `\Spam` put it there.

        Args:
            message: Of this account.
            change: What to do with the labels.
            labels: Those named.
            kept: A label that stays though all are replaced.

        Raises:
            NameRefusedError: There is no such system label, or the user cannot have one of that name.
        """
        with self.lock:
            # A label that is only taken away is not made for that.
            named = [self.labelled(label) for label in labels if change is not FlagChange.REMOVE or self._has(label)]
            after = changed(message.labels, change, frozenset(mailbox.label for mailbox in named))
            spared = {kept} if change is FlagChange.REPLACE else set()
            for label in message.labels - after - spared:
                self.withdraw(message, self.labelled(label))
            if change is not FlagChange.REMOVE:
                for mailbox in sorted(named, key=lambda each: each.puts_away):
                    self.place(message, mailbox)

    def receive(
        self,
        raw: bytes,
        date: datetime,
        flags: frozenset[str],
        msgid: int | None = None,
        thrid: int | None = None,
    ) -> GmailMessage:
        """Make a message that no mailbox shows yet; the lock is held, and `place` comes next.

        Raises:
            OverQuotaError: It would not fit.
        """
        if msgid is None:
            msgid = self._next_msgid
            self._next_msgid += 1
        assert msgid not in self._messages, "an X-GM-MSGID is given once"
        self.reserve(len(raw))
        message = GmailMessage(msgid, msgid if thrid is None else thrid, raw, date, flags)
        self._messages[msgid] = message
        return message

    def find_raw(self, raw: bytes) -> GmailMessage | None:
        """Give the message of these octets, if there is one."""
        return next((message for message in self.messages() if message.raw == raw), None)

    def create(self, name: str, special_use: Iterable[str] = ()) -> Mailbox:
        """Make a label; those above it are not made, and nothing below `[Gmail]` can be."""
        self._check_free(name)
        return super().create(name, special_use)

    def delete(self, name: str) -> None:
        """Delete a label of the user; the messages stay."""
        self._check_free(name)
        super().delete(name)

    def rename(self, old: str, new: str) -> None:
        """Rename a label of the user."""
        self._check_free(old)
        self._check_free(new)
        super().rename(old, new)

    def move(self, source: Mailbox, messages: Sequence[Message], target: Mailbox) -> list[Message]:
        """Put messages into one mailbox and take them out of another; out of All Mail they cannot be taken so."""
        with self.lock:
            moved = target.take(messages)
            if source is not target:
                source.expunge(messages)
            return moved

    def _has(self, label: str) -> bool:
        return label.startswith("\\") or self.find(label) is not None

    def _check_free(self, name: str) -> None:
        name = proper_name(name.removesuffix(DELIMITER))
        special = name in self._labels and name != INBOX
        if special or name.startswith("\\") or not self._reserved.isdisjoint([name, *parents(name)]):
            raise NameRefusedError(name)

    def _make_parents(self, name: str) -> None:
        r"""Leave gaps, which LIST shows as `\Noselect`."""

    def _build(self, name: str, uidvalidity: int, special_use: frozenset[str]) -> Mailbox:
        label = self._labels.get(name)
        mailbox = GmailMailbox(self, name, uidvalidity, special_use, label)
        if label is not None:
            self._system[label] = mailbox
        return mailbox


class GmailServer(DemoServer):
    """A server with one account of Gmail; a context manager that starts and stops it.

    Args:
        account: May be looked at and changed while the server runs.
        hidden: Capabilities that it shall not have.
        ssl_context: Makes the port speak TLS from the first byte.

    Attributes:
        commands: Each command line of each client, as it came, literals left out.
    """

    def __init__(
        self,
        account: GmailAccount,
        *,
        hidden: frozenset[str] = frozenset(),
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self.account = account
        self.commands: list[bytes] = []
        store = Store()
        store.add(account)
        super().__init__(store, ssl_context=ssl_context, record=self.commands.append, dialect=GMAIL, hidden=hidden)


def entries(messages: Iterable[Message]) -> list[Entry]:
    """Give messages of a mailbox as what they are."""
    return [_entry(message) for message in messages]


def store(session: Session, arguments: Arguments, *, uid: bool) -> bytes:
    """STORE and UID STORE, of flags or of labels."""
    ahead = copy(arguments)
    ahead.space()
    numbers = ahead.sequence_set()
    ahead.space()
    item = ahead.word()
    change = _CHANGES.get(item.removesuffix(b".SILENT"))
    if change is None:
        return message_commands.store(session, arguments, uid=uid)
    ahead.space()
    labels = ahead.listing(lambda: _label(ahead)) if ahead.peek(b"(") else [_label(ahead)]
    ahead.end()
    view, account = session.selected, session.user
    assert isinstance(account, GmailAccount)
    if not view.writable:
        raise NoError(b"[CANNOT] the mailbox is open read-only")
    told = [_labels_item(view)]
    if uid:
        told.insert(0, fetching.Item(b"UID", lambda message: (b"%d" % message.uid,)))
    with account.lock:
        chosen = [each for each in view.select(numbers, uid=uid) if not each[1].expunged]
        for entry in entries([message for _, message in chosen]):
            account.relabel(entry.message, change, labels, kept=_shown_label(view))
        if not item.endswith(b".SILENT"):
            for number, message in chosen:
                session.wire.write_all(fetching.response(number, message, told))
    return b"STORE completed"


def _label(arguments: Arguments) -> str:
    octets = arguments.match(_BARE_LABEL, "a label")[0] if arguments.peek(b"\\") else arguments.astring()
    try:
        return names.decode(octets)
    except ValueError:
        raise BadError("a label is not valid modified UTF-7") from None


def _shown_label(view: View) -> str:
    assert isinstance(view.mailbox, GmailMailbox)
    return view.mailbox.label


def _entry(message: Message) -> Entry:
    assert isinstance(message, Entry), "a message of another server"
    return message


def _labels_item(view: View) -> fetching.Item:
    def written(message: Message) -> Sequence[bytes]:
        labels = sorted(_entry(message).message.labels - {_shown_label(view)})
        return (b"(%s)" % b" ".join(_astring(names.encode(label)) for label in labels),)

    return fetching.Item(b"X-GM-LABELS", written)


def _astring(text: bytes) -> bytes:
    return text if _ATOM.fullmatch(text) else quoted(text)


def _msgid_item(_: View) -> fetching.Item:
    return fetching.Item(b"X-GM-MSGID", lambda message: (b"%d" % _entry(message).message.msgid,))


def _thrid_item(_: View) -> fetching.Item:
    return fetching.Item(b"X-GM-THRID", lambda message: (b"%d" % _entry(message).message.thrid,))


def _id(arguments: Arguments) -> int:
    arguments.space()
    number = int(arguments.match(_ID, "a number of 64 bits")[0])
    if number >= 1 << 64:
        raise BadError("a number is too large")
    return number


def _msgid_key(arguments: Arguments, _: View) -> Test:
    wanted = _id(arguments)
    return lambda _, message: _entry(message).message.msgid == wanted


def _thrid_key(arguments: Arguments, _: View) -> Test:
    wanted = _id(arguments)
    return lambda _, message: _entry(message).message.thrid == wanted


def _labels_key(arguments: Arguments, _: View) -> Test:
    arguments.space()
    wanted = _label(arguments).lower()
    return lambda _, message: any(label.lower() == wanted for label in _entry(message).message.labels)


_CHANGES = {change.value.replace("FLAGS", "X-GM-LABELS").encode(): change for change in FlagChange}

GMAIL = Dialect(
    (
        *("IMAP4rev1", "UNSELECT", "NAMESPACE", "QUOTA", "ID", "SASL-IR", "X-GM-EXT-1", "UIDPLUS", "MOVE", "ESEARCH"),
        "SPECIAL-USE",
    ),
    {
        **DIALECT.commands,
        b"STORE": Command(partial(store, uid=False), State.SELECTED, expunges=False),
        b"UID STORE": Command(partial(store, uid=True), State.SELECTED),
    },
    items={b"X-GM-MSGID": _msgid_item, b"X-GM-THRID": _thrid_item, b"X-GM-LABELS": _labels_item},
    keys={b"X-GM-MSGID": _msgid_key, b"X-GM-THRID": _thrid_key, b"X-GM-LABELS": _labels_key},
)
