"""A scripted POP3 server on a loopback port: it answers each command with what the test says.

For what a real server never does. Law of this room: nothing is answered that no script holds, and each connection gets
the script of its number, whether or not the one before has ended.
"""

from __future__ import annotations

import re
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

CUT = b"<CUT>"
READY = b"+OK ready\r\n"
UNEXPECTED = b"-ERR unexpected\r\n"

Script = list[tuple[str, bytes]]
"""Patterns of commands, and what to answer."""

SIGN_IN: Script = [
    (r"^CAPA$", b"+OK\r\nTOP\r\nUIDL\r\nUSER\r\nSASL PLAIN\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\n.\r\n"),
    (r"^(USER|AUTH PLAIN) .", b"+OK\r\n"),
    (r"^PASS ", b"+OK\r\n"),
]
"""What a client says before its first STAT or UIDL; in front of other pairs it makes a script."""

QUIT = (r"^QUIT$", b"+OK until next time\r\n" + CUT)


class ScriptedPop:
    """Answers the commands of several sessions, each from a script of its own; a context manager.

    Each pair of a script is used once, in any order; among those that fit the first. A command that none fits is
    answered with `-ERR unexpected` and stands in `unexpected`. The answer may hold `<CUT>`: nothing more is sent then,
    though what the client still says is heard. An empty answer is none at all. A connection more than there are scripts
    gets the last greeting, and an empty script.

    Args:
        sessions: The scripts.
        greetings: Of the sessions in turn; the last one is that of all further ones. May hold `<CUT>`.

    Attributes:
        host: Where it listens. `port`: the TCP port, plain.
        commands: The command lines of each session there was.
        unexpected: What no pattern fits.
    """

    host = "127.0.0.1"

    def __init__(
        self, sessions: Sequence[Sequence[tuple[str, bytes]]], *, greetings: Sequence[bytes] = (READY,)
    ) -> None:
        self.commands: list[list[str]] = []
        self.unexpected: list[str] = []
        self._scripts = [list(script) for script in sessions]
        self._greetings = greetings
        self._listener = socket.create_server((self.host, 0))
        self.port: int = self._listener.getsockname()[1]
        self._over = threading.Event()
        self._talking: list[tuple[threading.Thread, socket.socket]] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._accepting.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        socket.create_connection((self.host, self.port)).close()  # wakes it
        self._accepting.join(5)
        self._listener.close()
        for thread, sock in self._talking:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            thread.join(5)
            sock.close()

    def _accept(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            if self._over.is_set():
                sock.close()
                return
            number = len(self.commands)
            self.commands.append([])
            script = self._scripts[number] if number < len(self._scripts) else []
            greeting = self._greetings[min(number, len(self._greetings) - 1)]
            thread = threading.Thread(target=self._talk, args=(sock, greeting, script, self.commands[-1]), daemon=True)
            self._talking.append((thread, sock))
            thread.start()

    def _talk(self, sock: socket.socket, greeting: bytes, script: Script, commands: list[str]) -> None:
        with suppress(OSError), sock.makefile("rb") as lines:
            cut = _send(sock, greeting)
            for line in lines:
                command = line.rstrip(b"\r\n").decode("utf-8", "replace")
                commands.append(command)
                if not cut:
                    cut = _send(sock, self._answer(script, command))

    def _answer(self, script: Script, command: str) -> bytes:
        found = next((index for index, (pattern, _) in enumerate(script) if re.search(pattern, command)), None)
        if found is None:
            self.unexpected.append(command)
            return UNEXPECTED
        return script.pop(found)[1]


def _send(sock: socket.socket, answer: bytes) -> bool:
    """Send an answer up to where it is cut; tells whether it is."""
    octets, cut, _ = answer.partition(CUT)
    sock.sendall(octets)
    if cut:
        sock.shutdown(socket.SHUT_WR)
    return bool(cut)


def multiline(octets: bytes, text: bytes = b"") -> bytes:
    """Give the answer with these octets: dots stuffed, one more CRLF if they do not end so, and the last dot."""
    stuffed = re.sub(rb"(\A|\r\n)\.", rb"\1..", octets)
    end = b"" if not octets or octets.endswith(b"\r\n") else b"\r\n"
    return b"+OK " + text + b"\r\n" + stuffed + end + b".\r\n"


def drop_after(answer: bytes, octets: int) -> bytes:
    """Give the beginning of an answer; the connection ends behind it."""
    return answer[:octets] + CUT
