"""Which mailboxes there are, and which messages a mailbox holds (RFC 9051 sections 6.3.9 and 6.4.4).

The law of this room: a server's SEARCH only narrows, is checked by a control question, and is not used when the
answer does not add up; what is listed is compared with EXISTS; a line that cannot be read costs that line alone.
"""

from __future__ import annotations

import itertools
from datetime import UTC, timedelta
from typing import TYPE_CHECKING

from imapclient import imap_utf7

from mailarchive.errors import MailboxError, ProtocolError
from mailarchive.model import INBOX, Mailbox, is_inbox
from mailarchive.sources import uid_set
from mailarchive.sources.imap_commands import Refused
from mailarchive.sources.imap_fetch import facts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from mailarchive.model import Criteria, MailboxStatus, RemoteMessage
    from mailarchive.sources.imap_commands import Commands
    from mailarchive.sources.imap_lexer import Lexer, Value

MOST_MAILBOXES = 10_000
LONGEST_NAME = 1000
WINDOW = 10_000
"""Messages in one window of a listing."""

SKEW = timedelta(days=2)
"""SEARCH knows no time and no zone, and zones span -12 to +14 hours."""

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_USES = {
    use.lower(): use
    for use in ("\\All", "\\Archive", "\\Drafts", "\\Flagged", "\\Junk", "\\Sent", "\\Trash", "\\Important")
}


def mailboxes(commands: Commands) -> tuple[list[Mailbox], list[str]]:
    """List all mailboxes; gives them, and a sentence for each line that could not be read."""
    foreign = _foreign_prefixes(commands)
    arguments = b'"" "*"'
    if {"LIST-EXTENDED", "SPECIAL-USE"} <= commands.capability:
        arguments += b" RETURN (SPECIAL-USE)"
    found: dict[str, Mailbox] = {}
    unread: list[str] = []
    commands.send(b"LIST", arguments)
    try:
        for line in commands.answers():
            if not line[2:].upper().startswith(b"LIST "):
                commands.skip()
                continue
            mailbox = _mailbox(commands.lexer, foreign)
            if isinstance(mailbox, str):
                unread.append(mailbox)
            elif len(found) >= MOST_MAILBOXES:
                raise ProtocolError(f"{commands.wire.peer} lists more than {MOST_MAILBOXES} mailboxes")
            else:
                found.setdefault(mailbox.name, mailbox)
    except Refused as refused:
        raise ProtocolError(f"{commands.wire.peer} does not list its mailboxes: {refused.shown}") from None
    return list(found.values()), unread


def _mailbox(lexer: Lexer, foreign: Sequence[bytes]) -> Mailbox | str:
    """Read one LIST line; a sentence instead of a mailbox if it makes no sense."""
    lexer.at = len(b"* LIST ")
    try:
        values = lexer.values()
    except ProtocolError:
        return "a line of the list of mailboxes could not be read and was skipped"
    match values[:3]:
        case [list() as attributes, (bytes() | None) as delimiter, bytes() as wire] if wire:
            pass
        case _:
            return "a line of the list of mailboxes could not be read and was skipped"
    if len(wire) > LONGEST_NAME:
        return f"a mailbox name of {len(wire)} octets was skipped"
    lowered = {flag.decode("ascii", "replace").lower() for flag in attributes if isinstance(flag, bytes)}
    return Mailbox(
        name=_decoded(wire),
        wire=wire,
        delimiter=delimiter.decode("latin-1") if delimiter else None,
        special_use=frozenset(_USES[flag] for flag in lowered if flag in _USES),
        selectable=not lowered & {"\\noselect", "\\nonexistent"},
        personal=not any(wire.startswith(prefix) for prefix in foreign),
    )


def _decoded(wire: bytes) -> str:
    """Decode modified UTF-7; a name that is not valid stays as the ASCII it is (RFC 9051 appendix A.1)."""
    try:
        name = imap_utf7.decode(wire)
        valid = wire.isascii() and imap_utf7.encode(name) == wire
    except (UnicodeError, ValueError):
        valid = False
    if not valid:
        # Servers with UTF8=ACCEPT habits send UTF-8; others send what they like.
        name = wire.decode("utf-8", "backslashreplace")
    return INBOX if is_inbox(name) else name


def _foreign_prefixes(commands: Commands) -> list[bytes]:
    """Ask which prefixes belong to other users and to everybody (RFC 2342)."""
    if "NAMESPACE" not in commands.capability:
        return []
    prefixes: list[bytes] = []

    def take(lexer: Lexer, line: bytes) -> None:
        if not line[2:].upper().startswith(b"NAMESPACE "):
            commands.skip()
            return
        lexer.at = len(b"* NAMESPACE ")
        for kind in lexer.values()[1:3]:
            prefixes.extend(_prefixes(kind))

    try:
        commands.run(b"NAMESPACE", handle=take)
    except Refused:
        return []
    return prefixes


def _prefixes(kind: Value) -> Iterator[bytes]:
    for space in kind if isinstance(kind, list) else ():
        if isinstance(space, list) and space and isinstance(space[0], bytes) and space[0]:
            yield space[0]


class Lister:
    """Lists the messages of the open mailbox; `doubts` says why its answers are not to be trusted."""

    def __init__(self, commands: Commands, status: MailboxStatus, name: str) -> None:
        self._commands = commands
        self._status = status
        self._name = name
        self.doubts: list[str] = []

    def listing(self, criteria: Criteria) -> list[RemoteMessage]:
        """Give at least every message that fits, in ascending order of UID, each once."""
        if not self._status.exists:
            return []
        windows = self._windows()
        keys = _keys(criteria)
        if criteria.imap_search:
            uids = self._search_all(windows, _join(_raw(criteria.imap_search), *keys))
            return self._facts_of(uids)
        if keys and self._trusted(windows, criteria):
            return self._facts_of(self._search_all(windows, _join(*keys)))
        return self._everything(windows)

    def _windows(self) -> list[bytes]:
        """Cut the mailbox into ranges of UIDs with at most `WINDOW` messages each."""
        size = WINDOW
        for name in self._commands.capability:
            limit = name.removeprefix("MESSAGELIMIT=")
            if limit != name and limit.isdigit() and int(limit):
                size = min(size, int(limit))
        if self._status.exists <= size:
            return [b"1:%d" % uid_set.HIGHEST]
        numbers = range(size + 1, self._status.exists + 1, size)
        borders: list[int] = []
        for begin in range(0, len(numbers), 500):
            wanted = b",".join(b"%d" % number for number in numbers[begin : begin + 500])
            borders.extend(self._search(wanted))
        edges = [1, *sorted({uid for uid in borders if uid > 1}), uid_set.HIGHEST + 1]
        return [b"%d:%d" % (low, high - 1) for low, high in itertools.pairwise(edges)]

    def _search_all(self, windows: Sequence[bytes], keys: bytes) -> list[int]:
        found: set[int] = set()
        for window in windows:
            within = keys if len(windows) == 1 else b"UID " + window + b" " + keys
            found.update(self._search(within))
        return sorted(found)

    def _search(self, keys: bytes) -> list[int]:
        """Ask UID SEARCH; merges every line of the answer, whichever of the two forms it has (RFC 4731)."""
        found: list[int] = []

        def take(lexer: Lexer, line: bytes) -> None:
            kind = line[2:10].upper()
            if kind.startswith(b"SEARCH"):
                words = line[8:].split()
                found.extend(int(word) for word in words if word.isdigit())
            elif kind.startswith(b"ESEARCH"):
                lexer.at = len(b"* ESEARCH")
                values = lexer.values()
                for name, value in itertools.pairwise(values):
                    if name == b"ALL" and isinstance(value, bytes):
                        found.extend(uid_set.parse(value, most=max(self._status.exists, WINDOW) * 2))
            else:
                self._commands.skip()

        form = b"RETURN (ALL) " if "ESEARCH" in self._commands.capability else b""
        try:
            self._commands.run(b"UID SEARCH", form + keys, take)
        except Refused as refused:
            raise MailboxError(f"the server cannot search {self._name}: {refused.shown}") from None
        return found

    def _count(self, windows: Sequence[bytes], keys: bytes) -> int:
        """Ask how many messages match."""
        if "ESEARCH" not in self._commands.capability:
            return len(self._search_all(windows, keys))
        counts: list[int] = []

        def take(lexer: Lexer, line: bytes) -> None:
            if not line[2:10].upper().startswith(b"ESEARCH"):
                self._commands.skip()
                return
            lexer.at = len(b"* ESEARCH")
            values = lexer.values()
            pairs = itertools.pairwise(values)
            counts.extend(int(n) for name, n in pairs if name == b"COUNT" and isinstance(n, bytes) and n.isdigit())

        try:
            self._commands.run(b"UID SEARCH", b"RETURN (COUNT) " + keys, take)
        except Refused as refused:
            raise MailboxError(f"the server cannot search {self._name}: {refused.shown}") from None
        return sum(counts)

    def _trusted(self, windows: Sequence[bytes], criteria: Criteria) -> bool:
        """Ask the control question: do the messages before a day and those since it add up to all?"""
        day = criteria.received_before or criteria.received_from
        try:
            if day is not None:
                keys = (key + b" " + _day(day) for key in (b"BEFORE", b"SINCE"))
                if sum(self._count(windows, key) for key in keys) != self._status.exists:
                    return False
        except MailboxError:
            return False
        return True

    def _facts_of(self, uids: list[int]) -> list[RemoteMessage]:
        sets = [part for part, _ in uid_set.commands(uids, octets=7000)]
        return self._collect(sets, wanted=set(uids))

    def _everything(self, windows: Sequence[bytes]) -> list[RemoteMessage]:
        messages = self._collect(windows, wanted=None)
        if len(messages) < self._status.exists:
            self.doubts.append(f"the server lists {len(messages)} of {self._status.exists} messages")
        return messages

    def _collect(self, sets: Sequence[bytes], wanted: set[int] | None) -> list[RemoteMessage]:
        found: dict[int, RemoteMessage] = {}
        twice: set[int] = set()
        try:
            for fact in facts(self._commands, sets):
                uid = int(fact.message.uid)
                if not fact.whole or (wanted is not None and uid not in wanted):
                    continue
                if uid in found and found[uid] != fact.message:
                    twice.add(uid)
                found[uid] = fact.message
        except Refused as refused:
            raise MailboxError(f"the server does not list {self._name}: {refused.shown}") from None
        if twice:
            self.doubts.append(f"the server lists {len(twice)} UIDs twice with different facts; they are left alone")
        return [found[uid] for uid in sorted(found) if uid not in twice]


def _keys(criteria: Criteria) -> list[bytes]:
    """Turn what may narrow the listing into SEARCH keys, wide enough for any zone."""
    keys = []
    if criteria.received_before is not None:
        keys.append(b"BEFORE " + _day(criteria.received_before + SKEW))
    if criteria.received_from is not None:
        keys.append(b"SINCE " + _day(criteria.received_from - SKEW))
    return keys


def _day(instant: datetime) -> bytes:
    """Write the date of RFC 9051, such as `1-Feb-1994`, whatever the locale."""
    day = instant.astimezone(UTC)
    return b"%d-%s-%04d" % (day.day, _MONTHS[day.month - 1].encode(), day.year)


def _raw(keys: str) -> bytes:
    """Put the user's own SEARCH keys in parentheses, so that they stay one key."""
    return b"(" + keys.encode("utf-8") + b")"


def _join(*keys: bytes) -> bytes:
    return b" ".join(keys)
