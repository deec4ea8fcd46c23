"""One POP3 session over the INBOX of an account (RFC 1939; RFC 2449; RFC 2595; RFC 3206).

The law of this room: a maildrop belongs to one session at a time and is given back however that session ends; what it
holds is settled at sign-in; a message leaves it only after a QUIT. Each command gets exactly one answer, and a client
that breaks the caps or keeps talking nonsense is sent away.
"""

from __future__ import annotations

import contextlib
import re
import threading
from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple

from mailarchive.demo.wire import HungUpError, TooLongError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping
    from threading import Event

    from mailarchive.demo.mailbox import Message
    from mailarchive.demo.store import Account, Store
    from mailarchive.demo.wire import Wire

LONGEST_COMMAND = 255
"""Octets of a command with its CRLF (RFC 2449 section 4)."""

LONGEST_LINE = 65536
"""Octets after which a line is not even read to its end."""

MOST_BAD = 10
"""Commands that make no sense, in a row, after which the client is sent away."""

_PATIENCE = 0.2
"""Seconds that a sign-in waits for the maildrop of a session whose line has just dropped."""

_CAPABILITIES = (
    *("TOP", "UIDL", "USER", "SASL PLAIN", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "STLS"),
    "IMPLEMENTATION mailarchive-demo-server",
)
_NUMBER = re.compile(rb"\d{1,10}")


class RefusedError(Exception):
    """The command cannot be carried out: `-ERR` with this text.

    Args:
        text: Why.
        code: A response code such as `IN-USE`, without brackets.
        needs: The capability that brings the code.
    """

    def __init__(self, text: bytes, code: bytes = b"", needs: str = "RESP-CODES") -> None:
        super().__init__(text)
        self.text = text
        self.code = code
        self.needs = needs


class NonsenseError(Exception):
    """The command breaks the grammar or comes at the wrong time: `-ERR`, and it is counted."""


class State(Enum):
    """When a command may come (RFC 1939 section 3)."""

    ANY = auto()
    AUTHORIZATION = auto()
    TRANSACTION = auto()


class Answer(NamedTuple):
    """What stands behind `+OK`, and the octets that follow if the answer has more lines."""

    text: bytes
    body: bytes | None = None


class Command(NamedTuple):
    """A command of the protocol.

    Attributes:
        run: Takes the session and what stands behind the name and one space, and gives the answer; None if that has
            been sent already.
        capability: What brings it, for servers that hide that.
    """

    run: Callable[[PopSession, bytes], Answer | None]
    state: State
    capability: str = ""


class Maildrops:
    """Which accounts have a session of POP3; shared by all sessions of a server."""

    def __init__(self) -> None:
        self._freed = threading.Condition()
        self._taken: set[Account] = set()

    def take(self, account: Account) -> bool:
        """Lock a maildrop; False if another session has it and does not give it back at once."""
        with self._freed:
            if not self._freed.wait_for(lambda: account not in self._taken, _PATIENCE):
                return False
            self._taken.add(account)
            return True

    def give_back(self, account: Account) -> None:
        """Unlock a maildrop."""
        with self._freed:
            self._taken.remove(account)
            self._freed.notify_all()


class PopSession:
    """One client.

    Args:
        wire: The line; TLS is on it where the port is TLS from the first byte.
        maildrops: Those of the server.
        commands: By name, in capitals.
        stls: Offers STLS with this context, and refuses sign-in before it.
        record: Gets each command as it came, without CRLF.
        hidden: Capabilities that it shall not have.

    Attributes:
        named: The user of the last USER.
        account: Who has signed in.
        messages: Those of the maildrop at sign-in, by message number less one.
        marked: The numbers of those that QUIT shall remove.
        over: Set when the client has said QUIT.
    """

    def __init__(
        self,
        wire: Wire,
        store: Store,
        maildrops: Maildrops,
        commands: Mapping[bytes, Command],
        stopping: Event,
        *,
        stls: ssl.SSLContext | None = None,
        record: Callable[[bytes], None] | None = None,
        hidden: frozenset[str] = frozenset(),
    ) -> None:
        self.wire = wire
        self.stls = stls
        self.named: str | None = None
        self.account: Account | None = None
        self.messages: list[Message] = []
        self.marked: set[int] = set()
        self.over = False
        self._store = store
        self._maildrops = maildrops
        self._commands = commands
        self._stopping = stopping
        self._record = record
        self._hidden = hidden
        self._bad = 0

    @property
    def may_sign_in(self) -> bool:
        """Whether a password may come over this line."""
        return self.stls is None or self.wire.encrypted

    @property
    def may_start_tls(self) -> bool:
        """Whether STLS is offered at this point."""
        return self.stls is not None and not self.wire.encrypted and self.account is None

    @property
    def uidvalidity(self) -> int:
        """The UIDVALIDITY of the maildrop."""
        assert self.account is not None
        return self.account.mailbox("INBOX").uidvalidity

    def capabilities(self) -> list[str]:
        """Give what may be used at this point."""
        missing = set(self._hidden)
        if not self.may_start_tls:
            missing.add("STLS")
        if not self.may_sign_in:
            missing |= {"USER", "SASL"}
        return [each for each in _CAPABILITIES if each.partition(" ")[0] not in missing]

    def sign_in(self, user: str, password: str) -> Answer:
        """Open the maildrop of a user.

        Raises:
            RefusedError: User or password is wrong, or another session has the maildrop.
        """
        account = self._store.sign_in(user, password)
        if account is None:
            raise RefusedError(b"user or password is wrong", b"AUTH", "AUTH-RESP-CODE")
        if not self._maildrops.take(account):
            raise RefusedError(b"another session has locked the maildrop", b"IN-USE")
        self.account = account
        self.messages = account.mailbox("INBOX").messages()
        return Answer(b"signed in, %d messages" % len(self.messages))

    def present(self) -> list[tuple[int, Message]]:
        """Give the messages that are not marked, with their numbers."""
        return [each for each in enumerate(self.messages, 1) if each[0] not in self.marked]

    def numbered(self, text: bytes) -> tuple[int, Message]:
        """Read a message number; gives it with its message.

        Raises:
            NonsenseError: It is no number.
            RefusedError: There is no such message, or it is marked.
        """
        number = read_number(text)
        if not 1 <= number <= len(self.messages):
            raise RefusedError(b"there is no message of that number")
        if number in self.marked:
            raise RefusedError(b"that message is marked as deleted")
        return number, self.messages[number - 1]

    def remove_marked(self) -> None:
        """Remove what is marked, for good, and give the maildrop back."""
        if self.account is not None and self.marked:
            self.account.mailbox("INBOX").expunge([self.messages[number - 1] for number in sorted(self.marked)])
        self.leave()

    def leave(self) -> None:
        """Give the maildrop back as it is, if there is one."""
        if self.account is not None:
            self._maildrops.give_back(self.account)
            self.account = None

    def serve(self) -> None:
        """Greet, answer until one side has had enough, and give the maildrop back."""
        try:
            self.answer(Answer(b"mailarchive demo server ready"))
            while not self.over and not self._stopping.is_set():
                self._one_command()
        except TooLongError:
            self._dismiss(b"that is longer than this server takes")
        except HungUpError:
            pass  # a dropped line undoes all marks
        finally:
            self.leave()

    def ask(self, prompt: bytes) -> bytes:
        """Send a continuation request and read the line that answers it, without CRLF (RFC 5034 section 4)."""
        self.wire.write(b"+ %s\r\n" % prompt)
        self.wire.flush()
        return self.wire.line(LONGEST_LINE).removesuffix(b"\n").removesuffix(b"\r")

    def answer(self, answer: Answer) -> None:
        """Send `+OK`."""
        self.wire.write(b"+OK ", answer.text, b"\r\n")
        if answer.body is not None:
            self.wire.write(stuffed(answer.body))
            self.wire.write(b".\r\n")
        self.wire.flush()

    def _refuse(self, error: RefusedError) -> None:
        shown = error.code and not self._hidden & {error.needs, "RESP-CODES"}
        self.wire.write(b"-ERR ", b"[%s] " % error.code if shown else b"", error.text, b"\r\n")
        self.wire.flush()

    def _dismiss(self, why: bytes) -> None:
        self.over = True
        with contextlib.suppress(HungUpError):  # it may have gone already
            self._refuse(RefusedError(why))

    def _one_command(self) -> None:
        line = self.wire.line(LONGEST_LINE)
        if self._record is not None:
            self._record(line.removesuffix(b"\r\n"))
        try:
            answer = self._carry_out(line)
        except NonsenseError as error:
            self._bad += 1
            self._refuse(RefusedError(str(error).encode()))
            if self._bad >= MOST_BAD:
                self._dismiss(b"too many commands that make no sense")
            return
        except RefusedError as error:
            self._refuse(error)
        else:
            if answer is not None:
                self.answer(answer)
        self._bad = 0

    def _carry_out(self, line: bytes) -> Answer | None:
        if len(line) > LONGEST_COMMAND:
            raise NonsenseError("a command has at most 255 octets")
        if not line.endswith(b"\r\n"):
            raise NonsenseError("a line must end in CRLF")
        name, _, argument = line.removesuffix(b"\r\n").partition(b" ")
        command = self._commands.get(name.upper())
        if command is None or command.capability in self._hidden:
            raise NonsenseError("that is no command")
        if command.state is State.AUTHORIZATION and self.account is not None:
            raise NonsenseError("already signed in")
        if command.state is State.TRANSACTION and self.account is None:
            raise NonsenseError("sign in first")
        return command.run(self, argument)


def read_number(text: bytes) -> int:
    """Read a number; NonsenseError if it is none."""
    if not _NUMBER.fullmatch(text):
        raise NonsenseError("that is no number")
    return int(text)


def sent_size(octets: bytes) -> int:
    """Count the octets of a message as they are sent, dots that are stuffed left out."""
    return len(octets) if _ends_line(octets) else len(octets) + 2


def stuffed(octets: bytes) -> bytes:
    """Double the dots at the start of lines, which CRLF alone ends, and end the last line (RFC 1939 section 3)."""
    inner = octets.replace(b"\r\n.", b"\r\n..")
    return (b"." if octets.startswith(b".") else b"") + inner + (b"" if _ends_line(octets) else b"\r\n")


def _ends_line(octets: bytes) -> bool:
    return not octets or octets.endswith(b"\r\n")
