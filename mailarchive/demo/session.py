"""One IMAP session: reads commands, checks that they come at the right time, and answers (RFC 3501).

The law of this room: a command is read as a whole before anything is done; each gets exactly one tagged answer, with
what others have changed told before it; after FETCH, STORE and SEARCH by number no EXPUNGE is told. A client that
breaks the caps or keeps talking nonsense is sent away.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple

from mailarchive.demo.mailbox import (
    MailboxExistsError,
    NameRefusedError,
    NoSuchMailboxError,
    OverQuotaError,
    StoreError,
)
from mailarchive.demo.syntax import Arguments, BadError
from mailarchive.demo.wire import HungUpError, TooLongError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping
    from threading import Event

    from mailarchive.demo.fetch import Item
    from mailarchive.demo.search import Test
    from mailarchive.demo.store import Account, Store
    from mailarchive.demo.view import View
    from mailarchive.demo.wire import Wire

LONGEST_LINE = 65536
LARGEST_STRING = 65536
LARGEST_MESSAGE = 64 << 20
MOST_LITERALS = 100
MOST_BAD = 10
"""Commands with BAD in a row after which the client is sent away."""

_COMMAND = re.compile(rb'([^\x00-\x20(){%*"\\\x7f-\xff+]+) ((?:UID )?[A-Z]+)(?= |\Z)', re.IGNORECASE)
_TAG = re.compile(rb'[^\x00-\x20(){%*"\\\x7f-\xff+]+(?= )')
_LITERAL = re.compile(rb"\{(\d{1,10})(\+?)\}\r\n\Z")
_EXTENSIONS = {
    "ID": {b"ID"},
    "MOVE": {b"MOVE", b"UID MOVE"},
    "NAMESPACE": {b"NAMESPACE"},
    "QUOTA": {b"GETQUOTA", b"GETQUOTAROOT"},
    "UIDPLUS": {b"UID EXPUNGE"},
    "UNSELECT": {b"UNSELECT"},
}
"""The commands that a capability brings."""

_CODES: dict[type[StoreError], bytes] = {
    OverQuotaError: b"[OVERQUOTA] the messages do not fit",
    MailboxExistsError: b"[ALREADYEXISTS] there is such a mailbox",
    NoSuchMailboxError: b"[NONEXISTENT] there is no such mailbox",
    NameRefusedError: b"[CANNOT] that name cannot be used so",
}


class NoError(Exception):
    """The command cannot be carried out: a tagged NO with this text."""

    def __init__(self, text: bytes) -> None:
        super().__init__(text)
        self.text = text


class State(Enum):
    """When a command may come (RFC 3501 section 3)."""

    ANY = auto()
    GREETED = auto()
    SIGNED_IN = auto()
    SELECTED = auto()


class Command(NamedTuple):
    """A command of the protocol.

    Attributes:
        run: Takes the session and the arguments behind the name, and gives the text of the tagged OK;
            nothing if it has been sent already.
        expunges: Whether EXPUNGE may be told in its answer (RFC 3501 section 7.4.1).
    """

    run: Callable[[Session, Arguments], bytes]
    state: State
    expunges: bool = True


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a server understands.

    Attributes:
        capabilities: What it announces at every point, in this order.
        commands: By name, in capitals.
        items: The data items of FETCH beyond those of the RFC, by name; each is made for a selected mailbox.
        keys: The keys of SEARCH beyond those of the RFC, by name; each reads what stands behind the name.
    """

    capabilities: tuple[str, ...]
    commands: Mapping[bytes, Command]
    items: Mapping[bytes, Callable[[View], Item]] = field(default_factory=dict)
    keys: Mapping[bytes, Callable[[Arguments, View], Test]] = field(default_factory=dict)

    def without(self, hidden: frozenset[str]) -> Dialect:
        """Leave capabilities out, such as `UIDPLUS`, with the commands that they bring; nothing else is refused."""
        gone = {name for capability in hidden for name in _EXTENSIONS.get(capability, ())}
        return replace(
            self,
            capabilities=tuple(
                each for each in self.capabilities if each not in hidden and each.partition("=")[0] not in hidden
            ),
            commands={name: command for name, command in self.commands.items() if name not in gone},
        )


class Session:
    """One client.

    Args:
        wire: The line; TLS is on it where the port is TLS from the first byte.
        dialect: What it may say.
        starttls: Offers STARTTLS with this context, and refuses sign-in before it.
        record: Gets each command as it came, literals left out.

    Attributes:
        tag: Of the command that is being carried out.
        account: Who has signed in. `view`: what is selected.
        over: Set when the client has said LOGOUT.
    """

    def __init__(
        self,
        wire: Wire,
        store: Store,
        dialect: Dialect,
        stopping: Event,
        *,
        starttls: ssl.SSLContext | None = None,
        record: Callable[[bytes], None] | None = None,
    ) -> None:
        self.wire = wire
        self.store = store
        self.dialect = dialect
        self.starttls = starttls
        self.tag = b""
        self.account: Account | None = None
        self.view: View | None = None
        self.over = False
        self._stopping = stopping
        self._record = record
        self._bad = 0

    @property
    def user(self) -> Account:
        """The account; only for commands that need one."""
        assert self.account is not None
        return self.account

    @property
    def selected(self) -> View:
        """The selected mailbox; only for commands that need one."""
        assert self.view is not None
        return self.view

    @property
    def may_sign_in(self) -> bool:
        """Whether a password may come over this line."""
        return self.starttls is None or self.wire.encrypted

    def capability(self) -> bytes:
        """Give what may be used at this point."""
        always = " ".join(self.dialect.capabilities)
        if self.account is not None:
            return always.encode()
        if self.may_sign_in:
            return f"{always} AUTH=PLAIN".encode()
        return f"{always} STARTTLS LOGINDISABLED".encode()

    def offers(self, capability: str) -> bool:
        """Tell whether a capability is announced."""
        return capability in self.dialect.capabilities

    def serve(self) -> None:
        """Greet, answer until one side has had enough, and leave the mailbox."""
        try:
            self.wire.write(b"* OK [CAPABILITY %s] mailarchive demo server ready\r\n" % self.capability())
            self.wire.flush()
            while not self.over:
                if self._stopping.is_set():
                    raise HungUpError
                self._one_command()
        except TooLongError:
            self._dismiss(b"that is longer than this server takes")
        except HungUpError:
            if self._stopping.is_set():
                self._dismiss(b"the server is going down")
        finally:
            self.leave()

    def leave(self) -> None:
        """Leave the selected mailbox, if there is one."""
        if self.view is not None:
            self.view.close()
            self.view = None

    def ask(self, prompt: bytes) -> bytes:
        """Send a continuation request and read the line that answers it, without CRLF."""
        self.wire.write(b"+ %s\r\n" % prompt)
        self.wire.flush()
        return self.wire.line(LONGEST_LINE).removesuffix(b"\n").removesuffix(b"\r")

    def _dismiss(self, why: bytes) -> None:
        try:
            self.wire.write(b"* BYE %s\r\n" % why)
            self.wire.flush()
        except HungUpError:
            pass  # it has gone already

    def _one_command(self) -> None:
        line = self.wire.line(LONGEST_LINE)
        if not line.endswith(b"\r\n"):
            self._answer(b"*", b"BAD a line must end in CRLF")
            return
        found = _COMMAND.match(line.rstrip(b"\r\n"))
        name = found[2].upper() if found else b""
        text, literals = line, list[bytes]()
        while literal := _LITERAL.search(line):
            size, waiting = int(literal[1]), not literal[2]
            if size > self._largest(name, literals):
                if not waiting:
                    raise TooLongError
                self._answer(found[1] if found else b"*", b"NO [TOOBIG] that is more than this server takes")
                return
            if waiting:
                self.wire.write(b"+ go ahead\r\n")
                self.wire.flush()
            literals.append(self.wire.exactly(size))
            line = self.wire.line(LONGEST_LINE)
            text += line
            if len(text) > LONGEST_LINE:
                raise TooLongError
        text = text.removesuffix(b"\r\n")
        if self._record is not None:
            self._record(text)
        self._carry_out(text, literals)

    def _largest(self, name: bytes, before: list[bytes]) -> int:
        if len(before) >= MOST_LITERALS:
            return -1
        return LARGEST_MESSAGE if name == b"APPEND" and self.account is not None else LARGEST_STRING

    def _carry_out(self, text: bytes, literals: list[bytes]) -> None:
        found = _COMMAND.match(text)
        command = self.dialect.commands.get(found[2].upper()) if found else None
        if not found or command is None:
            tag = _TAG.match(text)
            self._answer(tag[0] if tag else b"*", b"BAD that is no command")
            return
        self.tag = found[1]
        expunges = command.expunges
        try:
            self._check_state(command.state)
            completed = command.run(self, Arguments(text[found.end() :], literals))
            if not completed:
                return
            answer = b"OK " + completed
        except BadError as error:
            answer, expunges = b"BAD " + str(error).encode(), False
        except NoError as error:
            answer = b"NO " + error.text
        except StoreError as error:
            answer = b"NO " + _CODES[type(error)]
        self._answer(self.tag, answer, expunges=expunges)

    def _check_state(self, state: State) -> None:
        if state is State.GREETED and self.account is not None:
            raise BadError("already signed in")
        if state in (State.SIGNED_IN, State.SELECTED) and self.account is None:
            raise BadError("sign in first")
        if state is State.SELECTED and self.view is None:
            raise BadError("no mailbox is selected")

    def _answer(self, tag: bytes, answer: bytes, *, expunges: bool = False) -> None:
        if self.view is not None:
            self.wire.write_all(self.view.announce(expunges=expunges))
        self.wire.write(tag, b" ", answer, b"\r\n")
        self.wire.flush()
        self._bad = self._bad + 1 if answer.startswith(b"BAD") else 0
        if self._bad >= MOST_BAD:
            self._dismiss(b"too many commands that make no sense")
            self.over = True
