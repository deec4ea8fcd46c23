"""Which mailboxes there are, and which messages a mailbox holds (RFC 9051 sections 6.3.9 and 6.4.4).

The law of this room: a server's SEARCH only narrows, is checked by a control question, and is not used when the
answer does not add up; what is listed is compared with EXISTS; a line that cannot be read costs that line alone.
"""

from __future__ import annotations

import heapq
import itertools
from array import array
from collections import Counter
from dataclasses import replace
from datetime import UTC, timedelta
from typing import TYPE_CHECKING

from imapclient import imap_utf7

from mailarchive.errors import MailboxError, ProtocolError
from mailarchive.messages import Messages
from mailarchive.model import INBOX, UID, Mailbox, RemoteMessage, is_inbox
from mailarchive.sources import uid_set
from mailarchive.sources.imap_commands import LINE, Refused
from mailarchive.sources.imap_facts import Collector
from mailarchive.sources.imap_hits import Hits, ascending
from mailarchive.sources.imap_lexer import SMALL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from mailarchive.model import Criteria, MailboxStatus
    from mailarchive.sources.imap_commands import Commands
    from mailarchive.sources.imap_lexer import Value

MOST_MAILBOXES = 10_000
LONGEST_NAME = 1000
WINDOW = 10_000
"""Messages in one window of a listing."""
MOST_WINDOWS = 10_000
EVERYTHING = b"1:%d" % uid_set.HIGHEST

SKEW = timedelta(days=2)
"""SEARCH knows no time and no zone, and zones span -12 to +14 hours."""

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_USES = {
    use.lower(): use
    for use in ("\\All", "\\Archive", "\\Drafts", "\\Flagged", "\\Junk", "\\Sent", "\\Trash", "\\Important")
}


def mailboxes(commands: Commands) -> tuple[list[Mailbox], list[str]]:
    """List all mailboxes; gives them, and a sentence for each line that could not be read."""
    arguments = b'"" "*"'
    if {"LIST-EXTENDED", "SPECIAL-USE"} <= commands.capability:
        arguments += b" RETURN (SPECIAL-USE)"
    found: list[Mailbox] = []
    unread: list[str] = []
    named = "NAMESPACE" in commands.capability
    if named:
        commands.send(b"NAMESPACE")
    commands.send(b"LIST", arguments)
    namespaces = _namespaces(commands) if named else []
    try:
        for line in commands.answers():
            if not line[2:].upper().startswith(b"LIST "):
                commands.skip()
                continue
            mailbox = _mailbox(commands, namespaces)
            if len(found) + len(unread) >= MOST_MAILBOXES:
                raise ProtocolError(f"{commands.wire.peer} lists more than {MOST_MAILBOXES} mailboxes")
            if isinstance(mailbox, str):
                unread.append(mailbox)
            else:
                found.append(mailbox)
    except Refused as refused:
        what = f"{commands.wire.peer} does not list its mailboxes"
        raise refused.error(commands.wire.peer, what, ProtocolError) from None
    apart, lost = _told_apart(found)
    return apart, [*unread, *lost]


def _told_apart(found: list[Mailbox]) -> tuple[list[Mailbox], list[str]]:
    """Keep mailboxes whose names decode to the same text: each but the proper spelling carries its octets.

    It depends on the octets alone, not on the order of the list, so that each keeps its name in every run.
    """
    by_wire = {mailbox.wire: mailbox for mailbox in found}
    counts = Counter(mailbox.name for mailbox in by_wire.values())
    named: dict[str, Mailbox] = {}
    lost: list[str] = []
    for mailbox in by_wire.values():
        own = mailbox
        if counts[mailbox.name] > 1 and not _is_proper(mailbox):
            own = replace(mailbox, name=f"{mailbox.name} [{mailbox.wire.hex()}]")
        if own.name in counts and own is not mailbox:
            lost.append("a mailbox was skipped: its name cannot be told from that of another one")
        elif own.name in named:
            lost.append("a mailbox was skipped: the server lists its name in two spellings")
        else:
            named[own.name] = own
    return list(named.values()), lost


def _is_proper(mailbox: Mailbox) -> bool:
    """Tell whether the name is spelt on the wire as modified UTF-7 demands."""
    return bool(imap_utf7.encode(mailbox.name) == mailbox.wire)


def _mailbox(commands: Commands, namespaces: Sequence[tuple[bytes, bool]]) -> Mailbox | str:
    """Read one LIST line; a sentence instead of a mailbox if it makes no sense."""
    match commands.values(b"* LIST "):
        case [list() as attributes, (bytes() | None) as delimiter, bytes() as wire, *_] if wire:
            pass
        case _:
            return "a line of the list of mailboxes could not be read and was skipped"
    if len(wire) > SMALL:
        raise ProtocolError(f"{commands.wire.peer} lists a mailbox with a name of {len(wire)} octets")
    if len(wire) > LONGEST_NAME:
        return f"a mailbox name of {len(wire)} octets was skipped"
    if any(octet in wire for octet in b"\r\n\0"):
        return "a mailbox name with a line break or a NUL was skipped: no command can carry it"
    lowered = {flag.decode("ascii", "replace").lower() for flag in attributes if isinstance(flag, bytes)}
    return Mailbox(
        name=_decoded(wire),
        wire=wire,
        delimiter=delimiter.decode("latin-1") if delimiter else None,
        special_use=frozenset(_USES[flag] for flag in lowered if flag in _USES),
        selectable=not lowered & {"\\noselect", "\\nonexistent"},
        personal=_is_personal(wire, namespaces),
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


def _is_personal(wire: bytes, namespaces: Sequence[tuple[bytes, bool]]) -> bool:
    """Tell whose mailbox it is: the longest prefix that fits decides."""
    fitting = [(len(prefix), personal) for prefix, personal in namespaces if wire.startswith(prefix)]
    return max(fitting, default=(0, True))[1]


def _namespaces(commands: Commands) -> list[tuple[bytes, bool]]:
    """Read which prefixes are the user's own, and which belong to others and to everybody (RFC 2342)."""
    found: list[tuple[bytes, bool]] = []
    try:
        for line in commands.answers():
            if not line[2:].upper().startswith(b"NAMESPACE "):
                commands.skip()
                continue
            commands.lexer.at = len(b"* NAMESPACE ")
            for number, kind in enumerate(commands.lexer.values()[:3]):
                # An empty prefix of others would make everything foreign; it cannot be meant.
                found.extend((prefix, number == 0) for prefix in _prefixes(kind) if prefix or number == 0)
    except Refused:
        return []
    return found


def _prefixes(kind: Value) -> Iterator[bytes]:
    for space in kind if isinstance(kind, list) else ():
        if isinstance(space, list) and space and isinstance(space[0], bytes):
            yield space[0]


def found(commands: Commands, uids: Sequence[int], keys: bytes) -> list[UID]:
    """Ask UID SEARCH which of these messages are there and fit the keys; raises Refused."""
    there: set[int] = set()
    for part, some in uid_set.commands(uids, octets=LINE - len(keys) - 64):
        hits = Hits(commands, most=len(some) + WINDOW)
        commands.run(b"UID SEARCH", b"UID " + part + (b" " + keys if keys else b""), hits.take)
        there.update(set(hits.uids) & set(some))
    return [UID(uid) for uid in sorted(there)]


class Lister:
    """Lists the messages of the open mailbox; `doubts` says why its answers are not to be trusted."""

    def __init__(self, commands: Commands, status: MailboxStatus, name: str) -> None:
        self._commands = commands
        self._status = status
        self._name = name
        self.doubts: list[str] = []

    def listing(self, criteria: Criteria) -> Messages:
        """Give at least every message that fits, in ascending order of UID, each once."""
        if not self._status.exists:
            return Messages()
        windows = self.windows()
        narrowing = _narrowing(criteria)
        if criteria.imap_search:
            keys = _join(_raw(criteria.imap_search), *narrowing[:1])
            return self._facts_of(self._found_by_user(windows, keys))
        if narrowing:
            uids = self._narrowed(windows, *narrowing)
            if uids is not None:
                messages = self._facts_of(uids)
                return messages if not self.doubts else self._all_the_same(windows, messages)
        return self._everything(windows)

    def windows(self, most: int = WINDOW) -> list[bytes]:
        """Cut the mailbox into ranges of UIDs with at most so many messages each."""
        size = most
        for name in self._commands.capability:
            limit = name.removeprefix("MESSAGELIMIT=")
            if limit != name and limit.isdigit() and len(limit) < 10:
                size = min(size, max(int(limit), 1))
        if self._status.exists <= size:
            return [EVERYTHING]
        if self._status.exists // size > MOST_WINDOWS:
            raise MailboxError(f"{self._name} has more messages than this server lets anybody list")
        numbers = range(size + 1, self._status.exists + 1, size)
        edges = [1, *self._borders(numbers), uid_set.HIGHEST + 1]
        return [b"%d:%d" % (low, high - 1) for low, high in itertools.pairwise(edges)]

    def _borders(self, numbers: range) -> list[int]:
        """Find the UIDs at the given places of the mailbox; without a SEARCH that works, cut the UIDs evenly."""
        found: set[int] = set()
        try:
            for begin in range(0, len(numbers), 500):
                found.update(self.search(b",".join(b"%d" % n for n in numbers[begin : begin + 500])).uids)
        except MailboxError:
            found.clear()
        if len(found) != len(numbers):
            # The server does not search by place, so the UIDs are cut evenly, as far as their end is known.
            last = self._status.uidnext or 1
            found = set(range(numbers.step + 1, last, max(numbers.step, last // MOST_WINDOWS)))
        return sorted(uid for uid in found if uid > 1)

    def _narrowed(self, windows: Sequence[bytes], keys: bytes, others: bytes) -> Sequence[int] | None:
        """Search for what is wanted, and count all others; None if the two do not add up to the mailbox."""
        found = array("I")
        counted = 0
        try:
            for window in windows:
                hits = self.search(within(window, keys))
                if hits.count is not None and hits.count != len(set(hits.uids)):
                    return None
                found.extend(hits.uids)
                counted += self.search(within(window, others), count=True).number
        except MailboxError:
            return None
        uids = ascending(found)
        return uids if len(uids) + counted == self._status.exists - self._commands.expunged else None

    def _found_by_user(self, windows: Sequence[bytes], keys: bytes) -> Sequence[int]:
        """Search for the user's own keys, which only the server can judge."""
        found = array("I")
        for window in windows:
            hits = self.search(within(window, keys))
            if "ESEARCH" in self._commands.capability and hits.count != len(set(hits.uids)):
                raise MailboxError(f"the server's answer to the search in {self._name} is not whole")
            found.extend(hits.uids)
        return ascending(found)

    def search(self, keys: bytes, *, count: bool = False) -> Hits:
        """Ask UID SEARCH; merges every line of the answer, whichever of the two forms it has (RFC 4731)."""
        # One window holds at most all of the mailbox, where it could not be cut better.
        hits = Hits(self._commands, most=self._status.exists + WINDOW)
        form = b""
        if "ESEARCH" in self._commands.capability:
            form = b"RETURN (COUNT) " if count else b"RETURN (COUNT ALL) "
        try:
            self._commands.run(b"UID SEARCH", form + keys, hits.take)
        except Refused as refused:
            peer = self._commands.wire.peer
            raise refused.error(peer, f"the server cannot search {self._name}") from None
        return hits

    def _all_the_same(self, windows: Sequence[bytes], narrowed: Messages) -> Messages:
        """List everything because what was found by the search is not what is listed; what comes whole is believed."""
        before, self.doubts = self.doubts, []
        try:
            everything = self._everything(windows)
        except MailboxError:
            self.doubts = before
            return narrowed
        if not self.doubts:
            return everything
        self.doubts = list(dict.fromkeys([*before, *self.doubts]))
        others = (message for message in narrowed if everything.find(int(message.uid)) is None)
        return Messages(heapq.merge(everything, others, key=lambda message: int(message.uid)))

    def _facts_of(self, uids: Sequence[int]) -> Messages:
        sets = [part for part, _ in uid_set.commands(uids, octets=7000)]
        gone = self._commands.expunged
        messages = self._collect(sets, wanted=uids)
        if len(messages) == len(uids):
            return messages
        lacking = set(uids).difference(int(message.uid) for message in messages)
        if len(lacking) > self._commands.expunged - gone:
            self.doubts.append(f"the server finds {len(lacking)} messages and does not list them")
        # What was found by the search and not listed is unknown, and unknown is archived.
        unknown = (RemoteMessage(UID(uid)) for uid in sorted(lacking))
        return Messages(heapq.merge(messages, unknown, key=lambda message: int(message.uid)))

    def _everything(self, windows: Sequence[bytes]) -> Messages:
        messages = self._collect(windows, wanted=None)
        there = self._status.exists - self._commands.expunged
        if len(messages) < there:
            self.doubts.append(f"the server lists {len(messages)} of {there} messages")
        return messages

    def _collect(self, sets: Sequence[bytes], wanted: Sequence[int] | None) -> Messages:
        """Read the facts of messages; `wanted` are their UIDs in ascending order, None for all."""
        collector = Collector(self._commands, wanted, most=self._status.exists + WINDOW)
        refusal = None
        try:
            collector.collect(sets)
        except Refused as refused:
            refusal = refused
        if refusal is not None and (refusal.patience or not len(collector)):
            raise refusal.error(self._commands.wire.peer, f"the server does not list {self._name}")
        if refusal is not None and wanted is None:
            self.doubts.append(f"the server does not list all of {self._name}: {refusal.said}")
        if twice := len(collector.twice):
            self.doubts.append(f"the server lists {twice} UIDs twice with different facts; they are left alone")
        return collector.messages()


def within(window: bytes, keys: bytes) -> bytes:
    """Search in one window only; the window of everything needs no key."""
    return keys if window == EVERYTHING else b"UID " + window + b" " + keys


def _narrowing(criteria: Criteria) -> tuple[bytes, ...]:
    """Give the SEARCH keys that narrow the listing, wide enough for any zone, and those of all other messages."""
    before, since = b"", b""
    if criteria.received_before is not None:
        before = _day(criteria.received_before + SKEW)
    if criteria.received_from is not None:
        since = _day(criteria.received_from - SKEW)
    if before and since:
        return b"BEFORE " + before + b" SINCE " + since, b"OR SINCE " + before + b" BEFORE " + since
    if before:
        return b"BEFORE " + before, b"SINCE " + before
    return (b"SINCE " + since, b"BEFORE " + since) if since else ()


def _day(instant: datetime) -> bytes:
    """Write the date of RFC 9051, such as `1-Feb-1994`, whatever the locale."""
    day = instant.astimezone(UTC)
    return b"%d-%s-%04d" % (day.day, MONTHS[day.month - 1].encode(), day.year)


def _raw(keys: str) -> bytes:
    """Put the user's own SEARCH keys in parentheses, so that they stay one key."""
    return b"(" + keys.encode("utf-8") + b")"


def _join(*keys: bytes) -> bytes:
    return b" ".join(keys)
