"""The commands on mailboxes as a whole, and APPEND (RFC 3501 section 6.3; RFC 2342, 6154, 9208 and 4315).

The law of this room: a name leaves as modified UTF-7; a refusal has the code of RFC 5530 that says why.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from mailarchive.demo import names
from mailarchive.demo.mailbox import NoSuchMailboxError
from mailarchive.demo.session import Command, NoError, State
from mailarchive.demo.store import DELIMITER, parents, proper_name
from mailarchive.demo.syntax import BadError, quoted
from mailarchive.demo.view import View
from mailarchive.model import INBOX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mailarchive.demo.mailbox import Mailbox, Message
    from mailarchive.demo.session import Session
    from mailarchive.demo.store import Account
    from mailarchive.demo.syntax import Arguments

QUOTA_ROOT = b'""'


def namespace(session: Session, arguments: Arguments) -> bytes:
    """NAMESPACE: one of one's own (RFC 2342)."""
    arguments.end()
    session.wire.write(b'* NAMESPACE (("" "%s")) NIL NIL\r\n' % DELIMITER.encode())
    return b"NAMESPACE completed"


def list_(session: Session, arguments: Arguments) -> bytes:
    """LIST, with the special-use options of RFC 6154 section 3."""
    arguments.space()
    only_special = False
    if arguments.peek(b"("):
        only_special = bool(arguments.listing(lambda: _special_use(arguments)))
        arguments.space()
    pattern = _pattern(arguments)
    if arguments.take(b" RETURN "):
        arguments.listing(lambda: _special_use(arguments))
    arguments.end()
    if not pattern:
        session.wire.write(b'* LIST (\\Noselect) "%s" ""\r\n' % DELIMITER.encode())
    for attributes, wire in _listed(session.user, pattern):
        if not only_special or attributes not in (b"", b"\\Noselect"):
            session.wire.write(_list_line(b"LIST", attributes, wire))
    return b"LIST completed"


def lsub(session: Session, arguments: Arguments) -> bytes:
    """LSUB: every mailbox is subscribed to."""
    arguments.space()
    pattern = _pattern(arguments)
    arguments.end()
    for attributes, wire in _listed(session.user, pattern):
        session.wire.write(_list_line(b"LSUB", attributes, wire))
    return b"LSUB completed"


def subscribe(session: Session, arguments: Arguments) -> bytes:
    """SUBSCRIBE and UNSUBSCRIBE: nothing is remembered, but the mailbox must be there."""
    _existing(session, arguments)
    return b"done"


def status(session: Session, arguments: Arguments) -> bytes:
    """STATUS (RFC 3501 section 6.3.10)."""
    arguments.space()
    name = arguments.mailbox()
    arguments.space()
    asked = arguments.listing(arguments.word)
    arguments.end()
    if not asked or not set(asked) <= set(_STATUS):
        raise BadError("that cannot be asked of a mailbox")
    mailbox = session.user.mailbox(name)
    with session.user.lock:
        messages = mailbox.messages()
        values = b" ".join(b"%s %d" % (item, _STATUS[item](mailbox, messages)) for item in asked)
    session.wire.write(b"* STATUS %s (%s)\r\n" % (quoted(names.encode(mailbox.name)), values))
    return b"STATUS completed"


def select(session: Session, arguments: Arguments) -> bytes:
    """SELECT."""
    return _open(session, arguments, writable=True)


def examine(session: Session, arguments: Arguments) -> bytes:
    """EXAMINE."""
    return _open(session, arguments, writable=False)


def create(session: Session, arguments: Arguments) -> bytes:
    """CREATE."""
    name = _only_name(arguments)
    session.user.create(name)
    return b"CREATE completed"


def delete(session: Session, arguments: Arguments) -> bytes:
    """DELETE; a session that has the mailbox selected sees its messages go."""
    name = _only_name(arguments)
    session.user.delete(name)
    return b"DELETE completed"


def rename(session: Session, arguments: Arguments) -> bytes:
    """RENAME."""
    arguments.space()
    old = arguments.mailbox()
    new = _only_name(arguments)
    session.user.rename(old, new)
    return b"RENAME completed"


def append(session: Session, arguments: Arguments) -> bytes:
    """APPEND of one message (RFC 3501 section 6.3.11), answered with APPENDUID (RFC 4315 section 3)."""
    arguments.space()
    name = arguments.mailbox()
    arguments.space()
    flags: list[str] = []
    moment = datetime.now(UTC).replace(microsecond=0)
    if arguments.peek(b"("):
        flags = arguments.listing(arguments.flag)
        arguments.space()
    if arguments.peek(b'"'):
        moment = arguments.date_time()
        arguments.space()
    raw = arguments.literal()
    arguments.end()
    if not raw or b"\0" in raw:
        raise NoError(b"[CANNOT] a message has at least one octet and no NUL")
    mailbox = target(session, name)
    message = mailbox.append(raw, moment, flags)
    if not session.offers("UIDPLUS"):
        return b"APPEND completed"
    return b"[APPENDUID %d %d] APPEND completed" % (mailbox.uidvalidity, message.uid)


def getquota(session: Session, arguments: Arguments) -> bytes:
    """GETQUOTA (RFC 9208 section 4.2)."""
    arguments.space()
    root = arguments.astring()
    arguments.end()
    if root or session.user.limit is None:
        raise NoError(b"[NONEXISTENT] there is no such quota root")
    session.wire.write(_quota_line(session.user))
    return b"GETQUOTA completed"


def getquotaroot(session: Session, arguments: Arguments) -> bytes:
    """GETQUOTAROOT (RFC 9208 section 4.3)."""
    mailbox = _existing(session, arguments)
    limited = session.user.limit is not None
    root = b" " + QUOTA_ROOT if limited else b""
    session.wire.write(b"* QUOTAROOT %s%s\r\n" % (quoted(names.encode(mailbox.name)), root))
    if limited:
        session.wire.write(_quota_line(session.user))
    return b"GETQUOTAROOT completed"


def target(session: Session, name: str) -> Mailbox:
    """Give the mailbox that messages shall go to; NO with TRYCREATE if it is not there."""
    try:
        return session.user.mailbox(name)
    except NoSuchMailboxError:
        raise NoError(b"[TRYCREATE] there is no such mailbox") from None


def _open(session: Session, arguments: Arguments, *, writable: bool) -> bytes:
    arguments.space()
    name = arguments.mailbox()
    arguments.end()
    # Even a SELECT that fails leaves the mailbox that was selected before.
    session.leave()
    mailbox = session.user.mailbox(name)
    with session.user.lock:
        view = session.view = View(mailbox, writable=writable)
        uidnext = mailbox.uidnext
        unseen = next((number for number, each in enumerate(view.messages, 1) if "\\Seen" not in each.flags), None)
    wire = session.wire
    wire.write(view.flags_line(), *view.size_lines())
    if unseen is not None:
        wire.write(b"* OK [UNSEEN %d] the first that was not read\r\n" % unseen)
    permanent = b"\\Answered \\Flagged \\Deleted \\Seen \\Draft \\*" if writable else b""
    wire.write(b"* OK [PERMANENTFLAGS (%s)] what is kept\r\n" % permanent)
    wire.write(b"* OK [UIDVALIDITY %d] UIDs are valid\r\n" % mailbox.uidvalidity)
    wire.write(b"* OK [UIDNEXT %d] the next UID\r\n" % uidnext)
    return b"[READ-WRITE] SELECT completed" if writable else b"[READ-ONLY] EXAMINE completed"


def _only_name(arguments: Arguments) -> str:
    arguments.space()
    name = arguments.mailbox()
    arguments.end()
    return name


def _existing(session: Session, arguments: Arguments) -> Mailbox:
    return session.user.mailbox(_only_name(arguments))


def _special_use(arguments: Arguments) -> bytes:
    if arguments.word() != b"SPECIAL-USE":
        raise BadError("LIST knows no option but SPECIAL-USE here")
    return b"SPECIAL-USE"


def _pattern(arguments: Arguments) -> bytes:
    """Read reference and pattern; the reference is simply what the pattern goes on from."""
    reference = arguments.astring()
    arguments.space()
    pattern = arguments.pattern()
    return reference + pattern if pattern else b""


def _listed(account: Account, pattern: bytes) -> Iterator[tuple[bytes, bytes]]:
    r"""Give attributes and wire name of each mailbox that fits, and `\Noselect` for the gaps above them."""
    with account.lock:
        found = {mailbox.name: " ".join(sorted(mailbox.special_use)).encode() for mailbox in account.mailboxes()}
    for name in list(found):
        for parent in parents(name):
            found.setdefault(parent, b"\\Noselect")
    proper = proper_name(pattern.decode("latin-1")).encode("latin-1")
    for name, attributes in found.items():
        wire = names.encode(name)
        # INBOX has no case, so a part of its name has none either.
        if names.matches(proper, wire) or (name == INBOX and names.matches(pattern.upper(), wire)):
            yield attributes, wire


def _list_line(kind: bytes, attributes: bytes, wire: bytes) -> bytes:
    return b'* %s (%s) "%s" %s\r\n' % (kind, attributes, DELIMITER.encode(), quoted(wire))


def _quota_line(account: Account) -> bytes:
    assert account.limit is not None
    return b"* QUOTA %s (STORAGE %d %d)\r\n" % (QUOTA_ROOT, -(-account.used // 1024), account.limit // 1024)


_STATUS: dict[bytes, Callable[[Mailbox, list[Message]], int]] = {
    b"MESSAGES": lambda _, messages: len(messages),
    b"RECENT": lambda mailbox, messages: sum(message.uid >= mailbox.recent_from for message in messages),
    b"UIDNEXT": lambda mailbox, _: mailbox.uidnext,
    b"UIDVALIDITY": lambda mailbox, _: mailbox.uidvalidity,
    b"UNSEEN": lambda _, messages: sum("\\Seen" not in message.flags for message in messages),
}

COMMANDS: Final = {
    b"NAMESPACE": Command(namespace, State.SIGNED_IN),
    b"LIST": Command(list_, State.SIGNED_IN),
    b"LSUB": Command(lsub, State.SIGNED_IN),
    b"SUBSCRIBE": Command(subscribe, State.SIGNED_IN),
    b"UNSUBSCRIBE": Command(subscribe, State.SIGNED_IN),
    b"STATUS": Command(status, State.SIGNED_IN),
    b"SELECT": Command(select, State.SIGNED_IN),
    b"EXAMINE": Command(examine, State.SIGNED_IN),
    b"CREATE": Command(create, State.SIGNED_IN),
    b"DELETE": Command(delete, State.SIGNED_IN),
    b"RENAME": Command(rename, State.SIGNED_IN),
    b"APPEND": Command(append, State.SIGNED_IN),
    b"GETQUOTA": Command(getquota, State.SIGNED_IN),
    b"GETQUOTAROOT": Command(getquotaroot, State.SIGNED_IN),
}
