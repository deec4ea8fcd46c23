"""A scripted IMAP server at the other end of a socket pair: it answers each command with what the test says.

For what a real server never does. The client's side is a signed-in session of ours, so that a test begins behind the
sign-in.
"""

from __future__ import annotations

import re
import socket
import threading
from typing import TYPE_CHECKING

from mailarchive.address import Security, ServerAddress
from mailarchive.sources.imap_session import Session
from mailarchive.sources.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

Answer = bytes
"""`TAG` in it stands for the tag of the command."""


class Scripted:
    """Answers the commands of one session from a list of (pattern, answer); each pair is used once, in any order.

    A command that no pattern fits is answered with BAD and stands in `unexpected`. The answer may hold `<CUT>`: the
    connection ends there.
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
        self.unexpected: list[str] = []
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
                    if not self._answer(tag, command):
                        break
            except OSError:
                pass

    def _answer(self, tag: str, command: str) -> bool:
        if command == "LOGOUT":
            self._sock.sendall(b"* BYE see you\r\n" + tag.encode() + b" OK\r\n")
            return False
        found = next((index for index, (pattern, _) in enumerate(self._script) if re.search(pattern, command)), None)
        if found is None:
            self.unexpected.append(command)
            answer = b"TAG BAD unexpected\r\n"
        else:
            answer = self._script.pop(found)[1]
        octets, cut, _ = answer.replace(b"TAG", tag.encode()).partition(b"<CUT>")
        self._sock.sendall(octets)
        if cut:
            self._sock.shutdown(socket.SHUT_RDWR)
            return False
        return True
