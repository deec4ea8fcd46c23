"""A scripted IMAP server at the other end of a socket pair: it answers each command with what the test says.

For what a real server never does. The client's side is a signed-in session of ours, so that a test begins behind the
sign-in. And orders to delete, made as every order is.
"""

from __future__ import annotations

import re
import socket
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mailarchive.address import Security, ServerAddress
from mailarchive.expunge import Evidence, Guards, How, approve
from mailarchive.model import UID, Digest, Envelope, Location, Mailbox, MailboxStatus, Method, Placement, RemoteMessage
from mailarchive.policy import Policy
from mailarchive.sources.imap_session import Session
from mailarchive.sources.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from types import TracebackType
    from typing import BinaryIO, Self

    from mailarchive.expunge import ExpungeOrder

BOX = Mailbox("INBOX", b"INBOX")
TRASH = Mailbox("Trash", b"Trash", special_use=frozenset({"\\Trash"}))
_DIGEST = Digest("sha256:" + "a" * 64)
_OLD = datetime(2020, 1, 1, tzinfo=UTC)
_POLICY = Policy(before=datetime(2025, 1, 1, tzinfo=UTC))
_LITERAL = re.compile(r"\{(\d+)(\+?)\}$")

Answer = bytes
"""`TAG` in it stands for the tag of the command."""


class Scripted:
    """Answers the commands of one session from a list of (pattern, answer); each pair is used once, in any order.

    A command that no pattern fits is answered with BAD and stands in `unexpected`. The answer may hold `<CUT>`: the
    connection ends there, though what the client still sends is heard. A command that ends in a literal is answered
    once more after an answer with a line that begins with `+`.

    A literal behind a literal (RFC 3502) is asked for and taken too, before the command is answered; what stands
    between them is in `between`.

    Attributes:
        commands: Each command line without its tag.
        literals: What came of each literal, its first MiB.
        unexpected: What no pattern fits, and what stands behind a literal instead of the end of the line.
    """

    def __init__(
        self,
        script: Sequence[tuple[str, Answer]],
        *,
        capability: Sequence[str] = ("IMAP4REV1", "ESEARCH", "UIDPLUS"),
        timeout: float = 5.0,
    ) -> None:
        self._script = list(script)
        self.commands: list[str] = []
        self.literals: list[bytes] = []
        self.unexpected: list[str] = []
        self.between: list[str] = []
        ours, theirs = socket.socketpair()
        address = ServerAddress("imap", Security.NONE, "127.0.0.1", 143, "me")
        wire = Wire(ours, "test.example:143", timeout=timeout)
        self.session = Session(wire, address, frozenset(capability))
        self._sock = theirs
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.session.wire.close()
        self._thread.join(5)
        self._sock.close()

    def _serve(self) -> None:
        with self._sock.makefile("rb") as lines:
            try:
                for line in lines:
                    tag, _, command = line.strip().decode("utf-8", "replace").partition(" ")
                    self.commands.append(command)
                    literal = _LITERAL.search(command)
                    if literal and literal[2] and not self._take(lines, int(literal[1])):
                        break
                    answer = self._answer(tag, command)
                    if literal and re.search(rb"^\+", answer, re.MULTILINE):
                        if not self._take(lines, int(literal[1])):
                            break
                        self._answer(tag, command)
            except OSError:
                pass

    def _take(self, lines: BinaryIO, size: int) -> bool:
        """Read a literal, of which the beginning is kept, and the end of its line; tell whether all of it came."""
        kept = lines.read(min(size, 1 << 20))
        self.literals.append(kept)
        left = size - len(kept)
        while left and (piece := lines.read(min(left, 1 << 16))):
            left -= len(piece)
        tail = lines.readline()
        if tail and tail != b"\r\n":
            return self._take_next(lines, tail.decode("latin-1"))
        return bool(tail)

    def _take_next(self, lines: BinaryIO, tail: str) -> bool:
        literal = _LITERAL.search(tail.strip())
        if literal is None:
            self.unexpected.append(tail)
            return True
        self.between.append(tail.removesuffix("\r\n"))
        if not literal[2]:
            self._sock.sendall(b"+ more\r\n")
        return self._take(lines, int(literal[1]))

    def _answer(self, tag: str, command: str) -> bytes:
        if command == "LOGOUT":
            answer = b"* BYE see you\r\nTAG OK\r\n<CUT>"
        else:
            found = next(
                (index for index, (pattern, _) in enumerate(self._script) if re.search(pattern, command)), None
            )
            if found is None:
                self.unexpected.append(command)
            answer = b"TAG BAD unexpected\r\n" if found is None else self._script.pop(found)[1]
        octets, cut, _ = answer.replace(b"TAG", tag.encode()).partition(b"<CUT>")
        self._sock.sendall(octets)
        if cut:
            self._sock.shutdown(socket.SHUT_WR)
        return octets


def _proof(uid: int, *, mailbox: str = "INBOX", uidvalidity: int = 77, flags: Collection[str] = ()) -> Evidence:
    """Give good evidence for a message."""
    fresh = RemoteMessage(UID(uid), 100, _OLD, frozenset({"\\Seen", *flags}), f"10{uid}")
    row = Placement(
        mailbox=mailbox,
        uidvalidity=uidvalidity,
        uid=UID(uid),
        digest=_DIGEST,
        size=100,
        location=Location("x"),
        internal_date=_OLD,
        flags=frozenset(),
        size_announced=100,
        ident="i",
        archived_at=_OLD,
        object_id=f"10{uid}",
    )
    return Evidence(UID(uid), row, _DIGEST, fresh, Envelope(ident="i"))


def ordered(
    *uids: int,
    method: Method = Method.EXPUNGE,
    was_deleted: Collection[int] = (),
    strangers: Collection[int] = (),
    box: Mailbox = BOX,
    uidvalidity: int = 77,
    trash: Mailbox = TRASH,
) -> ExpungeOrder:
    """Give an order for these messages, made as every order is; the id that each keeps is its UID after 10.

    Some may have been marked before, and `strangers` are other messages that others have marked.
    """
    evidence = [
        _proof(uid, mailbox=box.name, uidvalidity=uidvalidity, flags=["\\Deleted"] if uid in was_deleted else [])
        for uid in uids
    ]
    status = MailboxStatus(len(uids), uidvalidity=uidvalidity, writable=True)
    how = How(method, trash if method in (Method.TRASH, Method.GMAIL) else None)
    marked = [UID(uid) for uid in (*was_deleted, *strangers)]
    order, refused = approve(box, status, evidence, _POLICY, Guards(), how=how, marked=marked)
    assert order is not None
    assert refused == ()
    return order
