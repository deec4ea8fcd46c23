"""Sends IMAP commands and reads their answers, in the order they were sent.

The law of this room: a command leaves only through the gate, which knows what the phase of the work allows; its answer
is read to its end before anything else is; what a server may send is capped.
"""

from __future__ import annotations

import re
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from mailarchive.errors import ArchiveError, LaterError, MailboxError, ProtocolError, SignInError, UnreachableError
from mailarchive.sources.imap_gate import Gate, Phase
from mailarchive.sources.imap_lexer import Lexer, OversizedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mailarchive.errors import MailarchiveError
    from mailarchive.ports import Chunk
    from mailarchive.sources.imap_lexer import Value
    from mailarchive.sources.imap_session import Session
    from mailarchive.sources.wire import Wire

LINE = 8000
"""Octets of a command line that every server takes (RFC 7162 section 4 asks for 8192)."""

_TAGGED = re.compile(rb"(M\d+) (OK|NO|BAD)\b ?(.*?)\r?\n\Z", re.IGNORECASE | re.DOTALL)
_TEXT = re.compile(rb"\* (?:OK|NO|BAD|PREAUTH)\b", re.IGNORECASE)
_LITERAL_AT_END = re.compile(rb"\{(\d{1,20})\+?\}\r?\n\Z")
_LATER = re.compile(
    r"\[(?:THROTTLED|LIMIT|UNAVAILABLE|INUSE)\]|Suggested Backoff Time|throttled|Too many simultaneous"
    r"|Maximum number of connections|session expired|exceeded .{0,20}bandwidth limits",
    re.IGNORECASE,
)
_FINAL = re.compile(r"session expired|exceeded .{0,20}bandwidth limits", re.IGNORECASE)
"""The limits of a day (Gmail)."""
_BACKOFF = re.compile(r"Suggested Backoff Time: (\d{1,12}) ?(milliseconds|seconds)?", re.IGNORECASE)
_NOT_CONNECTED = re.compile(r"authenticated but not connected", re.IGNORECASE)
_EXPUNGE = re.compile(rb"\* \d{1,10} EXPUNGE\b", re.IGNORECASE)

UNTAGGED = 200_000
"""Untagged responses to one command."""
OCTETS = 256 * 1024 * 1024
"""Octets in the answer to one command, bodies of messages left out."""
ALERTS = 20
EAGER = 64 * 1024
"""Octets of a literal that is sent without waiting for the server to ask for it."""


def later(peer: str, what: str, said: str) -> LaterError:
    """Make the error for a server that asks for patience; `said` is its sentence, maybe with the time to wait."""
    found = _BACKOFF.search(said)
    after = None if found is None else int(found.group(1)) / (1 if (found.group(2) or "m")[0] in "sS" else 1000)
    return LaterError(f"{peer} {what}: {said}", after=after, final=bool(_FINAL.search(said)))


class Refused(Exception):  # noqa: N818 - a value between modules of this folder, mapped before it leaves it
    """A tagged NO or BAD; `said` is the server's sentence without secrets, still foreign text."""

    def __init__(self, said: str) -> None:
        super().__init__(said)
        self.said = said or "refused without a reason"

    @property
    def patience(self) -> bool:
        """Whether the server asks for patience."""
        return bool(_LATER.search(self.said))

    def error(self, peer: str, what: str, otherwise: type[MailarchiveError] = MailboxError) -> MailarchiveError:
        """Make the error for it: later if the server asks for patience, else as the caller says."""
        if self.patience:
            return later(peer, "asks to wait", self.said)
        if _NOT_CONNECTED.search(self.said):
            return SignInError(
                f"{peer} has let us in and gives nothing: {self.said}",
                hint="on Exchange this is a wrong password, or a sign-in without the right to IMAP",
                temporary=True,
            )
        return otherwise(f"{what}: {self.said}")


class Literal(NamedTuple):
    """The octets that end a command, or a part of one, and the arguments before them."""

    arguments: bytes
    size: int
    chunks: Iterable[Chunk]


class Commands:
    """The commands of one session; answers come in the order of the commands, several may be on their way.

    Attributes:
        alerts: What the server wants a human to read.
        oddities: Sentences on why what was read is not to be trusted for a deletion.
        bodies: Octets of bodies of messages that were asked for, which no budget counts.
        expunged: Messages of the open mailbox that other hands have removed so far.
        completed: The text of the last tagged OK, response code and all.
        compress_asked: Whether COMPRESS was sent (`imap_compress.py`).
    """

    def __init__(self, session: Session, most: Phase = Phase.READING) -> None:
        self.wire: Wire = session.wire
        self.lexer = Lexer(session.wire)
        self.capability = session.capability
        self.gate = Gate(most)
        self.completed = b""
        self.compress_asked = False
        self._tags: deque[tuple[bytes, int]] = deque()
        self._unheeded: set[bytes] = set()
        self._number = 0
        self.alerts: list[str] = list(session.alerts)
        self.oddities: list[str] = []
        self.bodies = 0
        self.expunged = 0
        self._left = 0
        self._before = 0

    @property
    def busy(self) -> bool:
        """Whether an answer that matters has not been read to its end; the line is then good for nothing else."""
        return len(self._tags) > len(self._unheeded)

    def send(self, command: bytes, arguments: bytes = b"") -> None:
        """Send one command.

        Args:
            command: In upper case, with UID where it belongs to it.
            arguments: The rest of the line.
        """
        self.gate.check(command, arguments)
        self.wire.send(b"%s %s%s%s\r\n" % (self._tag(), command, b" " if arguments else b"", arguments))

    def mention(self, command: bytes, arguments: bytes) -> None:
        """Send a command whose answer does not matter; it is read before that of the next one."""
        self.send(command, arguments)
        self._unheeded.add(self._tags[-1][0])

    def send_literals(self, command: bytes, literals: Iterable[Literal]) -> None:
        """Send one command that ends in literals, each with its arguments (RFC 9051 section 4.3, RFC 7888).

        Raises:
            Refused: The server does not want one of them; it and what follows was not sent.
            ArchiveError: The chunks were not `size` octets; the line is closed.
            Whatever `chunks` raises; the line is closed, as the next command would become a part of the literal.
        """
        self.heed()
        tag = b""
        for literal in literals:
            self.gate.check(command, literal.arguments)
            start = b"" if tag else b"%s %s" % (self._tag(), command)
            tag = tag or self._tags[-1][0]
            self._announce(tag, start, literal)
            try:
                self._send_octets(literal.chunks, literal.size)
            except BaseException:
                self.wire.close()
                raise
        self.wire.send(b"\r\n")

    def _announce(self, tag: bytes, start: bytes, literal: Literal) -> None:
        """Send the arguments before a literal, and wait until the server asks for it if it wants to be waited for."""
        plus = "LITERAL+" in self.capability or ("LITERAL-" in self.capability and literal.size <= 4096)
        plus = plus and literal.size <= EAGER
        self.wire.send(b"%s %s {%d%s}\r\n" % (start, literal.arguments, literal.size, b"+" if plus else b""))
        if not plus:
            self._await_invitation(tag)

    def _send_octets(self, chunks: Iterable[Chunk], size: int) -> None:
        left = size
        for chunk in chunks:
            left -= len(chunk)
            if left < 0:
                break
            self.wire.send(chunk)
        if left:
            raise ArchiveError("a message of the archive changed while it was sent")

    def _await_invitation(self, tag: bytes) -> None:
        """Wait for the `+` that asks for a literal."""
        before = self.wire.received
        for _ in range(UNTAGGED):
            line = self.lexer.next()
            if line.startswith(b"+"):
                return
            if not line.startswith(b"* "):
                self._finish(tag, line)
                break
            if not self._notice(line):
                self.skip()
            if self.wire.received - before > OCTETS:
                break
        raise ProtocolError(f"{self.wire.peer} does not ask for the message that was announced")

    def _tag(self) -> bytes:
        """Begin a command: what has arrived so far is no answer to it."""
        self._number += 1
        tag = b"M%d" % self._number
        self._tags.append((tag, self.wire.received))
        return tag

    def answers(self, *, most: int | None = None) -> Iterator[bytes]:
        """Give the lines of the untagged responses to the oldest command, at most `most` or `UNTAGGED` of them.

        The lexer stands at the start of each line. The caller reads as much as it wants of a response that it knows;
        a literal that it leaves is an error of the caller. Between two lines it may take responses from the wire
        itself (`imap_usual.py`), and then spends them.

        Raises:
            Refused: The command ended with NO or BAD.
            UnreachableError, LaterError: The server said BYE.
            ProtocolError: The answer makes no sense, or never ends.
        """
        self.heed()
        self._left, self._before = UNTAGGED if most is None else most, self.wire.received - self.bodies
        return self._answers(self._tags[0][0])

    def spend(self, responses: int) -> None:
        """Count responses to the oldest command against its budget; ProtocolError if it is used up."""
        self._left -= responses
        if self._left < 0 or self.wire.received - self.bodies - self._before > OCTETS:
            raise ProtocolError(f"{self.wire.peer} answers without end")

    def _answers(self, tag: bytes) -> Iterator[bytes]:
        lexer = self.lexer
        while True:
            line = lexer.next()
            self.spend(1)
            if line.startswith(b"* "):
                lexer.at = 2
                if line[2:3].isdigit() and _EXPUNGE.match(line):
                    self.expunged += 1
                if line[2:3] in b"OBobPpNn" and self._notice(line):
                    continue
                yield line
                continue
            self._finish(tag, line)
            return

    def run(self, command: bytes, arguments: bytes = b"", handle: Callable[[Lexer, bytes], None] | None = None) -> None:
        """Send a command and read its answer, giving each untagged response to `handle`."""
        self.send(command, arguments)
        for line in self.answers():
            if handle is not None:
                handle(self.lexer, line)
            else:
                self.skip()

    def skip(self) -> None:
        """Read a response that nobody wants to its end; its literals are dropped piece by piece."""
        if _TEXT.match(self.lexer.line):
            return
        before = self.wire.received
        while found := _LITERAL_AT_END.search(self.lexer.line):
            size = int(found.group(1))
            if self.wire.received - before + size > OCTETS:
                raise ProtocolError(f"{self.wire.peer} answers without end")
            for _ in self.wire.pieces(size):
                pass
            self.lexer.next()

    def values(self, start: bytes) -> list[Value] | None:
        """Read the values of a response behind its start; None if they make no sense, and it is skipped then.

        Raises:
            OversizedError: They are more than anybody means.
        """
        self.lexer.at = len(start)
        try:
            return self.lexer.values()
        except OversizedError:
            raise
        except ProtocolError:
            self.skip()
            return None

    def _notice(self, line: bytes) -> bool:
        """Handle BYE, and remember ALERTs; tell whether the line needs no one else."""
        words = line[2:].split(None, 1)
        kind = words[0].upper() if words else b""
        text = words[1].strip() if len(words) > 1 else b""
        if kind == b"BYE":
            said = self.wire.words(text)
            if _LATER.search(said):
                raise later(self.wire.peer, "closed the session", said)
            raise UnreachableError(f"{self.wire.peer} closed the session: {said}", temporary=True)
        return kind in (b"OK", b"NO", b"BAD") and self._alert(text)

    def _alert(self, text: bytes) -> bool:
        """Remember an ALERT; tell whether it is one."""
        if text[:7].upper() != b"[ALERT]":
            return False
        if len(self.alerts) < ALERTS:
            self.alerts.append(self.wire.words(text[7:].strip()))
        return True

    def odd(self, sentence: str) -> None:
        """Note once why what was read is not to be trusted."""
        if len(self.oddities) < ALERTS and sentence not in self.oddities:
            self.oddities.append(sentence)

    def drain(self) -> None:
        """Read the answers that are still on their way and drop them; a refusal among them says nothing new."""
        while self.busy:
            self._drop()

    def heed(self) -> None:
        """Read the answers that do not matter and come before all others."""
        while self._tags and (tag := self._tags[0][0]) in self._unheeded:
            self._unheeded.remove(tag)
            self._drop()

    def _drop(self) -> None:
        """Read the oldest answer, whatever it says."""
        with suppress(Refused):
            for _ in self.answers():
                self.skip()

    def _finish(self, tag: bytes, line: bytes) -> None:
        found = _TAGGED.match(line)
        if not found:
            raise ProtocolError(f"{self.wire.peer} sent something that is no IMAP response")
        if found.group(1).upper() != tag:
            raise ProtocolError(f"{self.wire.peer} answered a command that was not asked")
        _, before = self._tags.popleft()
        if self.wire.taken <= before:
            raise ProtocolError(f"{self.wire.peer} answered a command before it was asked")
        if found.group(2).upper() != b"OK":
            raise Refused(self.wire.words(found.group(3)))
        self.completed = found.group(3)
        self._alert(self.completed)


def quoted(text: bytes) -> bytes:
    """Give a string as an argument: quoted, with its quotes and backslashes escaped (RFC 9051 section 4.3)."""
    return b'"' + text.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
