"""A server that keeps its mail as it should and says what a test wants: for whole runs against every lie of a server.

Built on the demo server, so that what a run has changed can be looked at afterwards; only what is said is false. A
`Fault` names the commands that it is for. Its words stand in the place of the answer, and the command is not carried
out; or it is a function that gets the honest answer to a command that was, and may do what it likes meanwhile.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

from mailarchive.demo.server import DIALECT, DemoServer
from mailarchive.demo.session import Session
from mailarchive.demo.store import Store
from mailarchive.demo.wire import HungUpError, Wire
from tests import maildir
from tests.command import mailarchive, plain_url
from tests.jobs import text

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path
    from threading import Event

    from tests.command import Result

Words: TypeAlias = "bytes | Iterable[bytes]"
"""What a server sends: `TAG` stands for the tag, and at `<CUT>` the connection ends. It need not end by itself."""
Lie: TypeAlias = "Words | Callable[[bytes], Words]"

USER, PASSWORD = "kim", "secret"
OLD, WORK, YOUNG = (1, 2, 3, 4), (11, 12), (5,)
ALL = (*OLD, *WORK, *YOUNG)
"""The numbers of the messages that a new server has: UIDs 1 to 4 of INBOX, UIDs 1 and 2 of Work, UID 5 of INBOX."""
BODIES = r"^UID FETCH .*BODY\.PEEK\[\]"
FACTS = r"^UID FETCH [^ ]+ \(UID FLAGS INTERNALDATE RFC822\.SIZE\)"
PROBE = r"^UID FETCH .*HEADER\.FIELDS"
EVERYTHING = r"^(?!CAPABILITY|AUTHENTICATE|LOGIN)"
"""Every command after the sign-in."""
DELETE = ("--older-than", "1y", "--delete", "--yes")
OK = b"TAG OK done\r\n"
NOW = datetime.now(UTC).replace(microsecond=0)


@dataclass
class Fault:
    """What a server says to the commands that a pattern fits.

    Attributes:
        after: So many of them are answered as they should be first. `times`: and after so many, the rest again.
    """

    pattern: str
    says: Lie
    after: int = 0
    times: int | None = None
    _seen: int = field(default=0, init=False)

    def takes(self, command: str) -> bool:
        """Tell whether this command gets it."""
        if not re.search(self.pattern, command):
            return False
        self._seen += 1
        return self.after < self._seen and (self.times is None or self._seen <= self.after + self.times)


class Misbehaving(DemoServer):
    """The server; a context manager that starts and stops it.

    Args:
        faults: The first that takes a command is what it gets.
        hidden: Capabilities that it shall not have. `also`: what it announces beside those that it has.

    Attributes:
        account: Its one user; may be changed while the server runs.
        faults: May be changed between two runs.
        commands: Each command, without its tag.
    """

    def __init__(self, *faults: Fault, hidden: Sequence[str] = (), also: Sequence[str] = ()) -> None:
        store = Store()
        self.account = store.add_account(USER, PASSWORD)
        self.inbox, self.work = self.account.mailbox("INBOX"), self.account.create("Work")
        for box, numbers, days in ((self.inbox, OLD, 800), (self.work, WORK, 800), (self.inbox, YOUNG, 30)):
            for number in numbers:
                box.append(text(number), NOW - timedelta(days=days + number), ["\\Seen"])
        self.faults = list(faults)
        self.commands: list[str] = []
        dialect = replace(DIALECT, capabilities=(*DIALECT.capabilities, *also))
        super().__init__(store, dialect=dialect, hidden=frozenset(hidden))

    def run(self, archive: Path, *words: str, command: str = "backup", of: str = "", json: bool = True) -> Result:
        """Run a command on it; `of` is the run that an undo takes back."""
        place = "--to" if command == "backup" else "--archive"
        url = plain_url(self.imap_port, USER)
        first = ("--json",) * json + (command,) + (of,) * bool(of)
        return mailarchive(*first, url, place, archive, *words, password=PASSWORD)

    def holds(self, mailbox: str = "INBOX") -> list[int]:
        """Give the UIDs of a mailbox."""
        found = self.account.find(mailbox)
        return [message.uid for message in found.messages()] if found is not None else []

    def marked(self, mailbox: str = "INBOX") -> list[int]:
        r"""Give the UIDs that carry `\Deleted`."""
        return [each.uid for each in self.account.mailbox(mailbox).messages() if "\\Deleted" in each.flags]

    def _serve_imap(self, wire: Wire) -> None:
        held = _Held(wire._sock)
        _Liar(held, self.store, self._dialect, self._stopping, self).serve()


class _Held(Wire):
    """A line on which an answer can be held back until the end of it is known."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.holding = False

    def flush(self) -> None:
        if not self.holding:
            super().flush()

    def line(self, cap: int) -> bytes:
        # What asks the client to go on, as in AUTHENTICATE, cannot wait.
        super().flush()
        return super().line(cap)

    def taken(self) -> bytes:
        """Give what was held back, which is not sent then."""
        answer, self._out, self._waiting = b"".join(self._out), [], 0
        return answer


class _Liar(Session):
    def __init__(self, wire: _Held, store: Store, dialect: object, stopping: Event, server: Misbehaving) -> None:
        super().__init__(wire, store, dialect, stopping)  # type: ignore[arg-type] # what the server was made with
        self._held, self._server = wire, server

    def _carry_out(self, text: bytes, literals: list[bytes]) -> None:
        # What a server with CONDSTORE does with it is for a test to say.
        text = text.removesuffix(b" (CONDSTORE)")
        tag, _, command = text.partition(b" ")
        said = command.decode("utf-8", "replace")
        self._server.commands.append(said)
        fault = next((each for each in self._server.faults if each.takes(said)), None)
        if fault is None:
            super()._carry_out(text, literals)
            return
        words = fault.says
        if callable(words):
            self._held.holding = True
            super()._carry_out(text, literals)
            self._held.holding = False
            words = words(self._held.taken())
        self._say(tag, words)

    def _say(self, tag: bytes, words: Words) -> None:
        for piece in (words,) if isinstance(words, bytes) else words:
            octets, cut, _ = piece.replace(b"TAG", tag).partition(b"<CUT>")
            self.wire.write(octets)
            if cut:
                self.wire.flush()
                self.over = True
                self.wire.hang_up(writing=True)
                raise HungUpError
        self.wire.flush()


def responses(answer: bytes) -> list[bytes]:
    """Cut an answer into its responses, each whole with its literals."""
    found, at = [], 0
    while at < len(answer):
        begin = at
        while True:
            end = answer.index(b"\r\n", at) + 2
            literal = re.search(rb"\{(\d+)\}\r\n\Z", answer[at:end])
            at = end + int(literal[1]) if literal else end
            if not literal:
                break
        found.append(answer[begin:at])
    return found


def between(noise: bytes) -> Callable[[bytes], bytes]:
    """Say something before each response of an answer."""
    return lambda answer: b"".join(noise + each for each in responses(answer))


def instead(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    """Say something in the place of what fits a pattern."""
    return lambda answer: re.sub(old, new, answer, flags=re.DOTALL)


def only(uid: int, change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Change what is said of one message."""
    named = re.compile(rb"\* \d+ FETCH \(.*?\bUID %d\b" % uid, re.DOTALL)
    return lambda answer: b"".join(change(each) if named.match(each) else each for each in responses(answer))


def texted(octets: bytes) -> Callable[[bytes], bytes]:
    """Give other octets, with their right number, as the body of a message."""
    body = b"BODY[] {%d}\r\n" % len(octets) + octets
    return lambda answer: re.sub(rb"BODY\[\] \{\d+\}\r\n.*(?=\)\r\n\Z)", lambda _: body, answer, flags=re.DOTALL)


def withheld(uid: int, says: bytes, *, alone: bool = False) -> Callable[[bytes], bytes]:
    """Refuse each answer that would name a message; the others of that command come first, unless it is `alone`."""
    named = re.compile(rb"\* \d+ FETCH \(.*?\bUID %d\b" % uid, re.DOTALL)

    def answered(answer: bytes) -> bytes:
        parts = responses(answer)
        others = [each for each in parts if not named.match(each)]
        if len(others) == len(parts):
            return answer
        return b"".join(() if alone else others[:-1]) + b"TAG " + says + b"\r\n"

    return answered


def endless(piece: bytes) -> Iterable[bytes]:
    """Send this until nobody listens any more."""
    return itertools.repeat(piece * max(1, 65536 // len(piece)))


def told(result: Result, event: str) -> list[dict[str, Any]]:
    """Give what a run told in events of one kind."""
    return [each for each in result.events if each["event"] == event]


def warnings(result: Result, *, serious: bool | None = None) -> list[str]:
    """Give the warnings of a run, or only those that are serious or not."""
    return [each["message"] for each in told(result, "warned") if serious in (None, each["serious"])]


def total(result: Result) -> tuple[int, int, int, int]:
    """Give how many messages were archived, deleted, kept and failed."""
    counts = result.end["total"]
    assert counts["selected"] == counts["already"] + counts["archived"] + counts["failed"]
    return counts["archived"], counts["deleted"], counts["kept"], counts["failed"]


def archived(archive: Path) -> list[bytes]:
    """Give the octets of every file of an archive."""
    return sorted(each.octets for each in maildir.files(archive))


def these(*numbers: int) -> list[bytes]:
    """Give the octets of messages."""
    return sorted(text(number) for number in numbers)


def recovered(server: Misbehaving, archive: Path) -> Result:
    """Let the server behave: the next run archives what is missing, each once, and the one after it nothing."""
    server.faults.clear()
    result = server.run(archive)
    assert result.code == 0, result.out
    assert archived(archive) == these(*ALL)
    again = server.run(archive)
    assert (again.code, again.end["total"]["archived"]) == (0, 0)
    return result
