"""The commands about the session itself: greeting, TLS, sign-in (RFC 3501 sections 6.1 and 6.2; RFC 2971; RFC 4959).

The law of this room: no password is taken on a line that should have TLS and has not, and a refused one is answered
the same way whatever was wrong with it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from mailarchive.demo import sasl
from mailarchive.demo.session import Command, NoError, State
from mailarchive.demo.syntax import BadError

if TYPE_CHECKING:
    from mailarchive.demo.session import Session
    from mailarchive.demo.syntax import Arguments

_BASE64 = re.compile(rb"[A-Za-z0-9+/]+={0,2}|=")
"""A single `=` is an empty response."""


def capability(session: Session, arguments: Arguments) -> bytes:
    """CAPABILITY."""
    arguments.end()
    session.wire.write(b"* CAPABILITY %s\r\n" % session.capability())
    return b"CAPABILITY completed"


def noop(_: Session, arguments: Arguments) -> bytes:
    """NOOP and CHECK: news come with the answer."""
    arguments.end()
    return b"done"


def logout(session: Session, arguments: Arguments) -> bytes:
    """LOGOUT."""
    arguments.end()
    session.leave()
    session.wire.write(b"* BYE until next time\r\n")
    session.over = True
    return b"LOGOUT completed"


def identify(session: Session, arguments: Arguments) -> bytes:
    """ID: says who we are (RFC 2971)."""
    arguments.space()
    if not arguments.take(b"NIL"):
        said = arguments.listing(lambda: None if arguments.take(b"NIL") else arguments.string())
        if len(said) % 2 or None in said[::2]:
            raise BadError("ID takes pairs")
    arguments.end()
    session.wire.write(b'* ID ("name" "mailarchive demo server")\r\n')
    return b"ID completed"


def starttls(session: Session, arguments: Arguments) -> bytes:
    """STARTTLS (RFC 3501 section 6.2.1)."""
    arguments.end()
    if session.starttls is None or session.wire.encrypted:
        raise BadError("TLS is not offered here and now")
    session.wire.write(session.tag + b" OK begin TLS now\r\n")
    session.wire.flush()
    session.wire.start_tls(session.starttls)
    return b""


def login(session: Session, arguments: Arguments) -> bytes:
    """LOGIN."""
    arguments.space()
    user = arguments.text()
    arguments.space()
    password = arguments.text()
    arguments.end()
    return _sign_in(session, user, password)


def authenticate(session: Session, arguments: Arguments) -> bytes:
    """AUTHENTICATE PLAIN, with an initial response or without (RFC 4959; RFC 4616)."""
    arguments.space()
    mechanism = arguments.word()
    initial = arguments.match(_BASE64, "an initial response")[0] if arguments.take(b" ") else None
    arguments.end()
    if mechanism != b"PLAIN":
        raise NoError(b"[CANNOT] only PLAIN is offered")
    _check_line(session)
    answer = session.ask(b"") if initial is None else initial
    if answer == b"*":
        raise BadError("cancelled")
    try:
        identity, user, password = sasl.plain(answer)
    except ValueError as error:
        raise BadError(str(error)) from None
    if identity not in ("", user):
        raise NoError(b"[AUTHORIZATIONFAILED] nobody may act for others here")
    return _sign_in(session, user, password)


def _sign_in(session: Session, user: str, password: str) -> bytes:
    _check_line(session)
    account = session.store.sign_in(user, password)
    if account is None:
        raise NoError(b"[AUTHENTICATIONFAILED] user or password is wrong")
    session.account = account
    return b"[CAPABILITY %s] signed in" % session.capability()


def _check_line(session: Session) -> None:
    if not session.may_sign_in:
        raise NoError(b"[PRIVACYREQUIRED] TLS comes first")


COMMANDS: Final = {
    b"CAPABILITY": Command(capability, State.ANY),
    b"NOOP": Command(noop, State.ANY),
    b"LOGOUT": Command(logout, State.ANY),
    b"ID": Command(identify, State.ANY),
    b"STARTTLS": Command(starttls, State.GREETED),
    b"LOGIN": Command(login, State.GREETED),
    b"AUTHENTICATE": Command(authenticate, State.GREETED),
    b"CHECK": Command(noop, State.SELECTED),
}
