r"""Carries an order out on an IMAP server: mark, remove exactly those, look again (`safety.md` section 6, D5 to D7).

The law of this room: it touches what the order names and nothing else, and takes no answer of the server for granted:
what is gone is what a look after it no longer finds. What is still there loses our mark again. Strangers' marks are
lifted for `exclusive` alone, and given back.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from mailarchive.errors import MailboxError, ProtocolError
from mailarchive.model import DELETED, UID, ItemState, Method
from mailarchive.ports import ExpungeResult
from mailarchive.sources import uid_set
from mailarchive.sources.imap_commands import LINE, Refused, later, quoted
from mailarchive.sources.imap_gate import CHANGING_LINE
from mailarchive.sources.imap_hits import Hits
from mailarchive.sources.imap_items import GMAIL, read_all

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from mailarchive.expunge import ExpungeOrder
    from mailarchive.model import UIDL, Mailbox
    from mailarchive.sources.imap_commands import Commands
    from mailarchive.sources.imap_lexer import Lexer

_UIDNEXT = re.compile(rb"\bUIDNEXT (\d{1,10})\b", re.IGNORECASE)
_ISSUED = re.compile(r"\[EXPUNGEISSUED\]", re.IGNORECASE)
_LIMIT = re.compile(r"MESSAGELIMIT=(\d{1,9})")
NO_STORE = "the server does not mark messages as deleted"
NOT_ALONE = "another program marks or removes messages here, and --delete-method exclusive needs to be alone"
NOT_REMOVED = "the server says that it removed them, and they are still there"


class Marks:
    r"""The `\Deleted` marks of the mailbox that is open, and which messages are there."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands
        limits = [int(found[1]) for name in commands.capability if (found := _LIMIT.fullmatch(name))]
        self._most = max(1, min([uid_set.MOST, *limits]))

    def put(self, uids: Iterable[int], *, deleted: bool) -> None:
        """Put the mark on messages or take it off; raises Refused."""
        sign = b"+" if deleted else b"-"
        for part in self.sets(uids):
            self._commands.run(b"UID STORE", part + b" " + sign + rb"FLAGS.SILENT (\Deleted)")

    def all(self, most: int, *, whole: bool = False) -> frozenset[UID]:
        """Give every message that carries the mark, at most `most`; with `whole`, no answer that is cut off.

        Raises:
            Refused: The server does not search, or not all of the mailbox (RFC 9738) where that is asked for.
        """
        hits = Hits(self._commands, most)
        # In ranges where it can be, because a line with very many numbers is more than is read.
        form = b"RETURN (ALL) " if "ESEARCH" in self._commands.capability else b""
        self._commands.run(b"UID SEARCH", form + b"DELETED", hits.take)
        if whole and b"[MESSAGELIMIT" in self._commands.completed.upper():
            raise Refused(f"the server does not tell all marks: {self._commands.wire.words(self._commands.completed)}")
        return frozenset(UID(uid) for uid in hits.uids)

    def look(self, uids: Iterable[int]) -> dict[int, frozenset[str] | None]:
        """Give the flags of those that are still there, None where they are not told; raises Refused."""
        wanted = sorted(set(uids))
        there: dict[int, frozenset[str] | None] = {}
        for part, some in uid_set.commands(wanted, octets=LINE - 64, most=self._most):
            try:
                found = self._ask(part, set(some))
            except Refused as refused:
                if not _ISSUED.search(refused.said):
                    raise
                # Another hand removed some, which this session has not been told yet (RFC 2180 section 4.1).
                self._commands.run(b"NOOP")
                found = self._ask(part, set(some))
            there.update(found)
        return there

    def _ask(self, part: bytes, named: set[int]) -> dict[int, frozenset[str] | None]:
        """Ask for the flags of one set; raises Refused."""
        there: dict[int, frozenset[str] | None] = {}
        self._commands.send(b"UID FETCH", part + b" (UID FLAGS)")
        for line in self._commands.answers():
            items = read_all(self._commands, line)
            if items is not None and items.uid in named:
                there[int(items.uid)] = there.get(int(items.uid)) if items.flags is None else items.flags
        return there

    def sets(self, uids: Iterable[int], room: int = 80) -> Iterator[bytes]:
        """Cut UIDs into sets whose commands stay within the octets that every server takes."""
        for part, _ in uid_set.commands(sorted(set(uids)), octets=CHANGING_LINE - room, most=self._most):
            yield part


class Expunger:
    """Carries one order out in the mailbox that is open.

    Args:
        exists: Messages in the mailbox.
        can_move: Whether the server has UID MOVE.
        reopen: Opens a mailbox for changes, as the one that is selected.
    """

    def __init__(
        self,
        commands: Commands,
        order: ExpungeOrder,
        exists: int,
        *,
        can_move: bool,
        reopen: Callable[[Mailbox], None],
    ) -> None:
        self._commands = commands
        self._can_move = can_move
        self._order = order
        self._exists = exists
        self._reopen = reopen
        self._marks = Marks(commands)
        self._uids = {int(item.uid) for item in order.items}
        self._ours = {int(item.uid) for item in order.items if not item.was_deleted}

    def carry_out(self) -> ExpungeResult:
        """Do it.

        Raises:
            MailboxError: The server refused before anything was changed.
            AccountError: It does not say what has become of the messages, or the line died: the next session looks.
        """
        method = self._order.how.method
        steps = {
            Method.EXPUNGE: self._expunge,
            Method.TRASH: self._trash,
            Method.MARK: self._mark,
            Method.EXCLUSIVE: self._exclusive,
            Method.GMAIL: self._gmail,
        }
        try:
            return steps[method]()
        except Refused as refused:
            what = "the server does not say what has become of the messages"
            raise refused.error(self._commands.wire.peer, what, ProtocolError) from None

    # The methods

    def _expunge(self, gone: ItemState = ItemState.GONE) -> ExpungeResult:
        if refusal := self._put_marks():
            return refusal
        try:
            strangers = self._marks.all(self._most) - self._uids
        except Refused as refused:
            self._impatient(refused)
            return self._refused(refused.said)
        said = self._remove(self._uids)
        # The look comes first: it is what makes a server tell of what has vanished.
        there = self._marks.look(self._uids)
        vanished = self._vanished(strangers)
        self._unmark(there)
        return replace(self._result(there, gone, said or NOT_REMOVED, ignored=True), strangers=vanished)

    def _trash(self) -> ExpungeResult:
        trash = self._order.how.trash
        assert trash is not None
        if self._can_move:
            there, said = self._moved(trash)
            return self._result(there, ItemState.IN_TRASH, said or NOT_REMOVED, ignored=not said)
        target = quoted(trash.wire)
        for part in self._marks.sets(self._uids, room=80 + len(target)):
            try:
                self._commands.run(b"UID COPY", part + b" " + target)
            except Refused as refused:
                self._impatient(refused)
                # Some copies may be in the trash now; nothing has left its place, and nothing has a mark of ours.
                there = self._marks.look(self._uids)
                return self._result(there, ItemState.GONE, _in_trash_words(refused.said), ignored=False)
        return self._expunge(ItemState.IN_TRASH)

    def _mark(self) -> ExpungeResult:
        if refusal := self._put_marks():
            return refusal
        there = self._marks.look(self._uids)
        states: dict[UID | UIDL, ItemState] = {
            UID(uid): ItemState.GONE
            if uid not in there
            else ItemState.MARKED
            if DELETED in (there[uid] or ())
            else ItemState.REFUSED
            for uid in self._uids
        }
        ignored = ItemState.REFUSED in states.values()
        return ExpungeResult(states, NO_STORE if ignored else "", ignored=ignored)

    def _exclusive(self) -> ExpungeResult:
        """Take the marks of strangers off, remove what is marked, which is ours alone, and give them back."""
        strangers = {int(uid) for uid in self._order.strangers}
        refusal: Refused | None = None
        alone = marking = False
        try:
            self._marks.put(strangers, deleted=False)
            marking = True
            self._marks.put(self._uids, deleted=True)
            alone = self._marks.all(self._most, whole=True) == self._uids
            if alone:
                with self._commands.gate.one_expunge():
                    self._commands.run(b"EXPUNGE")
        except Refused as refused:
            refusal = refused
        # Whatever happened, the marks of others are given back before anything else, and ours do not stay.
        lifted = self._give_back(strangers)
        there = self._marks.look(self._uids)
        if marking:
            self._unmark(there)
        if refusal is not None:
            self._impatient(refusal)
        said = refusal.said if refusal is not None else NOT_REMOVED if alone else NOT_ALONE
        ignored = alone or refusal is not None
        return replace(self._result(there, ItemState.GONE, said, ignored=ignored), lifted=lifted)

    def _gmail(self) -> ExpungeResult:
        """Move to the trash, which takes every label off, and remove exactly those there."""
        trash = self._order.how.trash
        assert trash is not None
        first = self._uidnext(trash)
        there, said = self._moved(trash)
        moved = {item.fresh.object_id: UID(int(item.uid)) for item in self._order.items if int(item.uid) not in there}
        gone = self._gone_from(trash, moved, first) if moved else set()
        result = self._result(there, ItemState.IN_TRASH, said or NOT_REMOVED, ignored=not said)
        return replace(result, states={**result.states, **dict.fromkeys(gone, ItemState.GONE)})

    def _gone_from(self, trash: Mailbox, moved: Mapping[str, UID], first: int) -> set[UID]:
        """Remove from the trash what was moved there, and open the mailbox of the order again; gives what is gone.

        What the trash refuses stays in it. After an error on the line nothing more is sent.
        """
        gone: set[UID] = set()
        try:
            self._reopen(trash)
            gone = {moved[object_id] for object_id in self._empty_of(moved, first)}
        except Refused as refused:
            self._impatient(refused)
        except MailboxError:
            pass
        try:
            self._reopen(self._order.mailbox)
        except MailboxError as error:
            raise ProtocolError(f"after the trash: {error.message}") from None
        return gone

    def _empty_of(self, ids: Collection[str], first: int) -> set[str]:
        """Remove from the trash, which is open, exactly the messages of these ids; gives the ids that are gone."""
        found = find_ids(self._commands, ids, first)
        uids = set(found.values())
        if not uids:
            return set()
        self._marks.put(uids, deleted=True)
        self._remove(uids)
        left = self._marks.look(uids)
        self._marks.put(left, deleted=False)
        return {object_id for object_id, uid in found.items() if uid not in left}

    # The steps

    def _put_marks(self) -> ExpungeResult | None:
        """Mark what the order names (D5); gives the result if the server refuses."""
        try:
            self._marks.put(self._uids, deleted=True)
        except Refused as refused:
            self._impatient(refused)
            return self._refused(refused.said)
        return None

    def _remove(self, uids: Collection[int]) -> str:
        """Remove exactly the marked ones among these (D6); gives what the server says against it."""
        for part in self._marks.sets(uids):
            try:
                self._commands.run(b"UID EXPUNGE", part)
            except Refused as refused:
                self._impatient(refused)
                return refused.said
        return ""

    def _moved(self, trash: Mailbox) -> tuple[Collection[int], str]:
        """Move to the trash; gives what is still here, whatever the server said, and what it said against it."""
        said = ""
        target = quoted(trash.wire)
        for part in self._marks.sets(self._uids, room=80 + len(target)):
            try:
                self._commands.run(b"UID MOVE", part + b" " + target)
            except Refused as refused:
                self._impatient(refused)
                said = _in_trash_words(refused.said)
                break
        return self._marks.look(self._uids), said

    def _result(self, there: Collection[int], gone: ItemState, said: str, *, ignored: bool) -> ExpungeResult:
        """Say what became of each message: what is still there was refused."""
        states: dict[UID | UIDL, ItemState] = {
            UID(uid): ItemState.REFUSED if uid in there else gone for uid in self._uids
        }
        return ExpungeResult(states, said if there else "", ignored=ignored and bool(there))

    def _refused(self, said: str) -> ExpungeResult:
        """Take our marks off, as far as there are any, and say that all stay."""
        there = self._marks.look(self._uids)
        self._unmark(there)
        states: dict[UID | UIDL, ItemState] = {
            UID(uid): ItemState.REFUSED if uid in there else ItemState.GONE for uid in self._uids
        }
        return ExpungeResult(states, said)

    def _unmark(self, there: Mapping[int, frozenset[str] | None]) -> None:
        """Take our marks off what is still there; those that were there before we came stay."""
        shown = {uid for uid, flags in there.items() if flags is None or DELETED in flags}
        self._marks.put(self._ours & shown, deleted=False)

    def _give_back(self, strangers: set[int]) -> frozenset[UID | UIDL]:
        """Put the marks of strangers on again; gives those that could not get them."""
        try:
            self._marks.put(strangers, deleted=True)
        except Refused:
            return frozenset(UID(uid) for uid in strangers)
        return frozenset()

    def _vanished(self, strangers: frozenset[UID]) -> int:
        """Count strangers that were marked before our UID EXPUNGE and are not there after it."""
        if not strangers:
            return 0
        left = strangers - self._marks.all(self._most)
        return len(left) - len(self._marks.look(left)) if left else 0

    def _uidnext(self, mailbox: Mailbox) -> int:
        """Ask for the UID that the next message of a mailbox gets."""
        found: list[int] = []

        def take(_lexer: Lexer, line: bytes) -> None:
            found.extend(int(number) for number in _UIDNEXT.findall(line))
            self._commands.skip()

        try:
            self._commands.run(b"STATUS", quoted(mailbox.wire) + b" (UIDNEXT)", take)
        except Refused as refused:
            raise refused.error(self._commands.wire.peer, f"the server does not tell of {mailbox.name}") from None
        return max(found, default=1)

    def _impatient(self, refused: Refused) -> None:
        if refused.patience:
            raise later(self._commands.wire.peer, "asks to wait", refused.said) from None

    @property
    def _most(self) -> int:
        return self._exists + 1000


def find_ids(commands: Commands, ids: Collection[str], first: int) -> dict[str, UID]:
    """Find messages of the open mailbox by X-GM-MSGID, among those with a UID of at least `first`; raises Refused."""
    found: dict[str, UID] = {}
    if GMAIL not in commands.capability or not ids:
        return found
    commands.send(b"UID FETCH", b"%d:%d (UID X-GM-MSGID)" % (first, uid_set.HIGHEST))
    for line in commands.answers():
        items = read_all(commands, line)
        if items is not None and items.uid is not None and items.object_id in ids:
            found[items.object_id] = items.uid
    return found


def _in_trash_words(said: str) -> str:
    """Say why the trash took nothing, with the way out."""
    if "OVERQUOTA" in said.upper() or "quota" in said.lower():
        return f"the trash takes no more ({said}); --delete-method expunge needs no room"
    return f"the trash takes nothing: {said}"
