r"""Helps the tests of the demo server: a small store, and a client that speaks raw lines.

Law of this room: nothing is made nicer on the way; the tests see every untagged line and every octet that came.
"""

from __future__ import annotations

import re
import socket
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple, Self

from mailarchive.demo.store import Store

if TYPE_CHECKING:
    import ssl

    from mailarchive.demo.server import DemoServer
    from mailarchive.demo.store import Account

USER, PASSWORD = "robin", "s3cret"
DAY = datetime(2020, 5, 17, 12, 30, 0, tzinfo=UTC)
_LITERAL = re.compile(rb"\{(\d+)\}\r\n\Z")


class Answer(NamedTuple):
    """The untagged responses, each whole with its literals and without its last CRLF, and the tagged one."""

    untagged: list[bytes]
    tagged: bytes

    @property
    def ok(self) -> bool:
        """Whether the tagged response is OK."""
        return self.tagged.startswith(b"OK")


class Connection:
    """A line to one port of the demo server; nothing has been read from it yet."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        self.sock = socket.create_connection((host, port), timeout=10)
        if tls is not None:
            self.sock = tls.wrap_socket(self.sock, server_hostname="localhost")
        self._file = self.sock.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection without a word."""
        self._file.close()
        self.sock.close()

    def start_tls(self, context: ssl.SSLContext) -> None:
        """Put TLS on the line."""
        self._file.close()
        self.sock = context.wrap_socket(self.sock, server_hostname="localhost")
        self._file = self.sock.makefile("rb")

    def send(self, octets: bytes) -> None:
        """Send octets as they are."""
        self.sock.sendall(octets)


class Client(Connection):
    """One connection that has read its greeting."""

    def __init__(self, server: DemoServer, *, sign_in: bool = True, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(server.host, server.imap_port, tls)
        self._number = 0
        self.greeting = self.response()
        if sign_in:
            assert self.run(f"LOGIN {USER} {PASSWORD}").ok

    def response(self) -> bytes:
        """Read one response with its literals, without the last CRLF; empty at the end of the connection."""
        whole = b""
        while line := self._file.readline():
            assert line.endswith(b"\r\n"), line
            whole += line
            literal = _LITERAL.search(line)
            if not literal:
                break
            whole += self._file.read(int(literal[1]))
        return whole.removesuffix(b"\r\n")

    def finish(self, tag: bytes) -> Answer:
        """Read up to the response with a tag."""
        untagged: list[bytes] = []
        while True:
            response = self.response()
            assert response, "the server closed the connection"
            if response.startswith(tag + b" "):
                return Answer(untagged, response.removeprefix(tag + b" "))
            untagged.append(response.removeprefix(b"* "))

    def run(self, command: str | bytes) -> Answer:
        """Send a command, a str as UTF-8, and read its answer."""
        self._number += 1
        tag = b"t%d" % self._number
        self.send(tag + b" " + (command.encode() if isinstance(command, str) else command) + b"\r\n")
        return self.finish(tag)


def letter(subject: str, body: str = "Hello.\r\n", more: str = "") -> bytes:
    """Write a small message."""
    return f"From: Anna <anna@example.org>\r\nTo: {USER}@example.org\r\nSubject: {subject}\r\n{more}\r\n{body}".encode()


def small_store(limit: int | None = 1_000_000) -> tuple[Store, Account]:
    """Give a store whose INBOX holds the messages of UID 1 to 5: `one` to `five`, of 17 to 21 May 2020."""
    store = Store()
    account = store.add_account(USER, PASSWORD, limit)
    inbox = account.mailbox("INBOX")
    for place, subject in enumerate(("one", "two", "three", "four", "five")):
        inbox.append(letter(subject), DAY.replace(day=17 + place), ["\\Seen"] if place % 2 else [])
    account.create("Trash", ["\\Trash"])
    account.create("Work/Projects")
    return store, account
