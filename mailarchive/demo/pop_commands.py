"""The commands of POP3 (RFC 1939; RFC 2449; RFC 2595; RFC 5034).

The law of this room: no password is taken on a line that should have TLS and has not; a refused one is answered the
same way whatever was wrong with it; nothing but QUIT changes the mailbox, and nothing at all changes a flag.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from mailarchive.demo import sasl
from mailarchive.demo.pop import Answer, Command, NonsenseError, RefusedError, State, read_number, sent_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailarchive.demo.mailbox import Message
    from mailarchive.demo.pop import PopSession

_HEADER_END = re.compile(rb"(?:\A|\n)\r?\n")


def capa(session: PopSession, argument: bytes) -> Answer:
    """CAPA (RFC 2449 section 5)."""
    _end(argument)
    return Answer(b"this is what there is", _lines(session.capabilities()))


def stls(session: PopSession, argument: bytes) -> None:
    """STLS (RFC 2595 section 4)."""
    _end(argument)
    if session.stls is None or not session.may_start_tls:
        raise NonsenseError("TLS is not offered here and now")
    session.answer(Answer(b"begin TLS now"))
    session.wire.start_tls(session.stls)


def user(session: PopSession, argument: bytes) -> Answer:
    """USER; any name is taken, so that nobody learns which there are."""
    _check_line(session)
    session.named = _text(argument)
    return Answer(b"and the password?")


def password(session: PopSession, argument: bytes) -> Answer:
    """PASS; spaces are a part of the password (RFC 1939 section 7)."""
    _check_line(session)
    named, session.named = session.named, None
    if named is None:
        raise NonsenseError("USER comes first")
    return session.sign_in(named, _text(argument))


def auth(session: PopSession, argument: bytes) -> Answer:
    """AUTH PLAIN, with an initial response or without (RFC 5034 section 4)."""
    mechanism, space, initial = argument.partition(b" ")
    if mechanism.upper() != b"PLAIN":
        raise RefusedError(b"only PLAIN is offered")
    _check_line(session)
    response = initial if space else session.ask(b"")
    if response == b"*":
        raise RefusedError(b"cancelled")
    try:
        identity, name, secret = sasl.plain(response)
    except ValueError as error:
        raise NonsenseError(str(error)) from None
    if identity not in ("", name):
        raise RefusedError(b"nobody may act for others here", b"AUTH", "AUTH-RESP-CODE")
    return session.sign_in(name, secret)


def stat(session: PopSession, argument: bytes) -> Answer:
    """STAT: how many messages and octets, those that are marked left out."""
    _end(argument)
    present = session.present()
    return Answer(b"%d %d" % (len(present), sum(sent_size(message.raw) for _, message in present)))


def listing(session: PopSession, argument: bytes) -> Answer:
    """LIST: the octets of one message, or of all that are not marked."""
    return _scan(session, argument, lambda message: str(sent_size(message.raw)))


def uidl(session: PopSession, argument: bytes) -> Answer:
    """UIDL: UIDVALIDITY and UID as in IMAP."""
    uidvalidity = session.uidvalidity
    return _scan(session, argument, lambda message: f"{uidvalidity}.{message.uid}")


def retrieve(session: PopSession, argument: bytes) -> Answer:
    """RETR: a message as it is, even if it is gone meanwhile."""
    _, message = session.numbered(argument)
    return Answer(b"%d octets" % sent_size(message.raw), message.raw)


def top(session: PopSession, argument: bytes) -> Answer:
    """TOP: the header, the empty line, and so many lines of the body; LF ends a line, with CR before it or without."""
    number, _, count = argument.partition(b" ")
    wanted = read_number(count)
    _, message = session.numbered(number)
    return Answer(b"the top follows", _top(message.raw, wanted))


def delete(session: PopSession, argument: bytes) -> Answer:
    """DELE: marks a message, no more."""
    number, _ = session.numbered(argument)
    session.marked.add(number)
    return Answer(b"message %d is marked as deleted" % number)


def reset(session: PopSession, argument: bytes) -> Answer:
    """RSET: takes all marks away."""
    _end(argument)
    session.marked.clear()
    return Answer(b"%d messages" % len(session.messages))


def noop(_: PopSession, argument: bytes) -> Answer:
    """NOOP."""
    _end(argument)
    return Answer(b"done")


def leave(session: PopSession, argument: bytes) -> Answer:
    """QUIT: removes for good what is marked, and ends."""
    _end(argument)
    session.remove_marked()
    session.over = True
    return Answer(b"until next time")


def _scan(session: PopSession, argument: bytes, shown: Callable[[Message], str]) -> Answer:
    if argument:
        number, message = session.numbered(argument)
        return Answer(f"{number} {shown(message)}".encode())
    present = session.present()
    lines = [f"{number} {shown(message)}" for number, message in present]
    return Answer(b"%d messages" % len(present), _lines(lines))


def _top(raw: bytes, count: int) -> bytes:
    header = _HEADER_END.search(raw)
    if header is None:
        return raw
    end = header.end()
    for _ in range(count):
        end = raw.find(b"\n", end) + 1
        if not end:
            return raw
    return raw[:end]


def _lines(lines: list[str]) -> bytes:
    return "".join(f"{line}\r\n" for line in lines).encode()


def _end(argument: bytes) -> None:
    if argument:
        raise NonsenseError("that command takes no argument")


def _text(argument: bytes) -> str:
    if not argument:
        raise NonsenseError("something is missing behind the command")
    try:
        return argument.decode()
    except UnicodeDecodeError:
        raise NonsenseError("that is not UTF-8") from None


def _check_line(session: PopSession) -> None:
    if not session.may_sign_in:
        raise RefusedError(b"TLS comes first")


COMMANDS: Final = {
    b"CAPA": Command(capa, State.ANY, "CAPA"),
    b"QUIT": Command(leave, State.ANY),
    b"STLS": Command(stls, State.AUTHORIZATION, "STLS"),
    b"USER": Command(user, State.AUTHORIZATION, "USER"),
    b"PASS": Command(password, State.AUTHORIZATION, "USER"),
    b"AUTH": Command(auth, State.AUTHORIZATION),
    b"STAT": Command(stat, State.TRANSACTION),
    b"LIST": Command(listing, State.TRANSACTION),
    b"UIDL": Command(uidl, State.TRANSACTION, "UIDL"),
    b"RETR": Command(retrieve, State.TRANSACTION),
    b"TOP": Command(top, State.TRANSACTION, "TOP"),
    b"DELE": Command(delete, State.TRANSACTION),
    b"RSET": Command(reset, State.TRANSACTION),
    b"NOOP": Command(noop, State.TRANSACTION),
}
