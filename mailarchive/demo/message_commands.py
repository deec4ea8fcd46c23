r"""The commands on the messages of the selected mailbox (RFC 3501 section 6.4; RFC 3691, 4315 and 6851).

The law of this room: after EXAMINE nothing is changed, `\Seen` included; UID EXPUNGE removes what is both named and
marked, and nothing else; a copy or a move happens as a whole or not at all.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from mailarchive.demo import fetch as fetching
from mailarchive.demo import search as searching
from mailarchive.demo.mailbox import FlagChange
from mailarchive.demo.mailbox_commands import target
from mailarchive.demo.session import Command, NoError, State
from mailarchive.demo.syntax import BadError, compact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailarchive.demo.mailbox import Mailbox, Message
    from mailarchive.demo.session import Session
    from mailarchive.demo.syntax import Arguments
    from mailarchive.demo.view import Numbered, View

_GONE = b"[EXPUNGEISSUED] some of the messages are gone"


def close(session: Session, arguments: Arguments) -> bytes:
    r"""CLOSE: removes what is marked `\Deleted` without telling this session, and leaves."""
    arguments.end()
    view = session.selected
    session.leave()
    if view.writable:
        view.mailbox.expunge(_deleted(view.mailbox.messages()))
    return b"CLOSE completed"


def unselect(session: Session, arguments: Arguments) -> bytes:
    """UNSELECT: leaves, and removes nothing (RFC 3691)."""
    arguments.end()
    session.leave()
    return b"UNSELECT completed"


def expunge(session: Session, arguments: Arguments) -> bytes:
    r"""EXPUNGE: removes all that is marked `\Deleted`."""
    arguments.end()
    view = _writable(session)
    view.mailbox.expunge(_deleted(view.mailbox.messages()))
    return b"EXPUNGE completed"


def uid_expunge(session: Session, arguments: Arguments) -> bytes:
    r"""UID EXPUNGE: removes what is named and marked `\Deleted` (RFC 4315 section 2.1)."""
    arguments.space()
    named = arguments.sequence_set()
    arguments.end()
    view = _writable(session)
    with session.user.lock:
        view.mailbox.expunge(_deleted([message for _, message in view.select(named, uid=True)]))
    return b"UID EXPUNGE completed"


def search(session: Session, arguments: Arguments, *, uid: bool) -> bytes:
    """SEARCH and UID SEARCH, with RETURN as in RFC 4731."""
    arguments.space()
    view = session.selected
    asked = searching.options(arguments)
    try:
        test = searching.Keys(arguments, view, session.dialect.keys).program()
    except searching.CharsetError:
        raise NoError(b"[BADCHARSET (US-ASCII UTF-8)] that charset is not known here") from None
    found = [
        message.uid if uid else number
        for number, message in enumerate(view.messages, 1)
        if not message.expunged and test(number, message)
    ]
    session.wire.write(searching.result(session.tag, found, asked, uid=uid))
    return b"SEARCH completed"


def fetch(session: Session, arguments: Arguments, *, uid: bool) -> bytes:
    """FETCH and UID FETCH."""
    arguments.space()
    named = arguments.sequence_set()
    arguments.space()
    view = session.selected
    try:
        items = fetching.items(arguments, view, session.dialect.items, uid=uid)
    except fetching.NotOfferedError as error:
        raise NoError(b"[CANNOT] %s is not offered here" % str(error).encode()) from None
    arguments.end()
    sets_seen = view.writable and any(item.sets_seen for item in items)
    tells_flags = any(item.name == b"FLAGS" for item in items)
    flags = fetching.flags_item(view)
    for number, message in view.select(named, uid=uid):
        wanted = items
        if sets_seen and "\\Seen" not in message.flags:
            view.mailbox.change_flags([message], FlagChange.ADD, ["\\Seen"], untold=view)
            wanted = items if tells_flags else [*items, flags]
        if tells_flags:
            view.told(message)
        session.wire.write_all(fetching.response(number, message, wanted))
    return b"FETCH completed"


def store(session: Session, arguments: Arguments, *, uid: bool) -> bytes:
    """STORE and UID STORE."""
    arguments.space()
    named = arguments.sequence_set()
    arguments.space()
    item = arguments.word()
    silent = item.endswith(b".SILENT")
    change = _CHANGES.get(item.removesuffix(b".SILENT"))
    if change is None:
        raise BadError("STORE changes FLAGS, +FLAGS or -FLAGS")
    arguments.space()
    flags = arguments.listing(arguments.flag) if arguments.peek(b"(") else _bare_flags(arguments)
    arguments.end()
    view = _writable(session)
    with session.user.lock:
        chosen = view.select(named, uid=uid)
        kept = [(number, message) for number, message in chosen if not message.expunged]
        view.mailbox.change_flags([message for _, message in kept], change, flags, untold=view)
        if not silent:
            _tell_flags(session, view, kept, uid=uid)
    if len(kept) < len(chosen):
        raise NoError(_GONE)
    return b"STORE completed"


def copy(session: Session, arguments: Arguments, *, uid: bool) -> bytes:
    """COPY and UID COPY, answered with COPYUID (RFC 4315 section 3)."""
    with session.user.lock:
        messages, mailbox = _to_mailbox(session, arguments, uid=uid)
        copies = mailbox.take(messages)
    return _copyuid(session, mailbox, messages, copies) + b"COPY completed"


def move(session: Session, arguments: Arguments, *, uid: bool) -> bytes:
    """MOVE and UID MOVE; COPYUID comes before the EXPUNGEs (RFC 6851 section 4.3)."""
    view = _writable(session)
    with session.user.lock:
        messages, mailbox = _to_mailbox(session, arguments, uid=uid)
        moved = session.user.move(view.mailbox, messages, mailbox)
    if moved:
        session.wire.write(b"* OK %smoved\r\n" % _copyuid(session, mailbox, messages, moved))
    return b"MOVE completed"


def _tell_flags(session: Session, view: View, chosen: Sequence[Numbered], *, uid: bool) -> None:
    for number, message in chosen:
        view.told(message)
        with_uid = b"UID %d " % message.uid if uid else b""
        session.wire.write(b"* %d FETCH (%sFLAGS %s)\r\n" % (number, with_uid, view.flags(message)))


def _to_mailbox(session: Session, arguments: Arguments, *, uid: bool) -> tuple[list[Message], Mailbox]:
    """Read what shall go where; the lock is held."""
    arguments.space()
    named = arguments.sequence_set()
    arguments.space()
    name = arguments.mailbox()
    arguments.end()
    messages = [message for _, message in session.selected.select(named, uid=uid)]
    mailbox = target(session, name)
    if any(message.expunged for message in messages):
        raise NoError(_GONE)
    return messages, mailbox


def _copyuid(session: Session, mailbox: Mailbox, sources: Sequence[Message], copies: Sequence[Message]) -> bytes:
    """Write the response code and a space, or nothing where nothing was copied or the server has no UIDPLUS."""
    if not copies or not session.offers("UIDPLUS"):
        return b""
    uids = compact([message.uid for message in sources]), compact([message.uid for message in copies])
    return b"[COPYUID %d %s %s] " % (mailbox.uidvalidity, *uids)


def _bare_flags(arguments: Arguments) -> list[str]:
    flags = [arguments.flag()]
    while arguments.take(b" "):
        flags.append(arguments.flag())
    return flags


def _deleted(messages: Sequence[Message]) -> list[Message]:
    return [message for message in messages if "\\Deleted" in message.flags]


def _writable(session: Session) -> View:
    if not session.selected.writable:
        raise NoError(b"[CANNOT] the mailbox is open read-only")
    return session.selected


_CHANGES = {change.value.encode(): change for change in FlagChange}

COMMANDS: Final = {
    b"CLOSE": Command(close, State.SELECTED),
    b"UNSELECT": Command(unselect, State.SELECTED),
    b"EXPUNGE": Command(expunge, State.SELECTED),
    b"UID EXPUNGE": Command(uid_expunge, State.SELECTED),
    b"SEARCH": Command(partial(search, uid=False), State.SELECTED, expunges=False),
    b"UID SEARCH": Command(partial(search, uid=True), State.SELECTED),
    b"FETCH": Command(partial(fetch, uid=False), State.SELECTED, expunges=False),
    b"UID FETCH": Command(partial(fetch, uid=True), State.SELECTED),
    b"STORE": Command(partial(store, uid=False), State.SELECTED, expunges=False),
    b"UID STORE": Command(partial(store, uid=True), State.SELECTED),
    b"COPY": Command(partial(copy, uid=False), State.SELECTED),
    b"UID COPY": Command(partial(copy, uid=True), State.SELECTED),
    b"MOVE": Command(partial(move, uid=False), State.SELECTED),
    b"UID MOVE": Command(partial(move, uid=True), State.SELECTED),
}
