"""Descriptions of mail servers by HTTPS (`mailarchive.discovery.https`), from a server on this computer."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING

import pytest
import trustme

from mailarchive.discovery import look_up, mail_address
from mailarchive.discovery.https import Https, NothingThereError
from mailarchive.discovery.records import NoAnswerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mailarchive.discovery.records import Service

    Talk = Callable[[ssl.SSLSocket, str], None]

NAMES = ("autoconfig.example.org", "example.org", "xn--bcher-kva.example")
XML = (
    b'<clientConfig version="1.1"><emailProvider id="example.org"><domain>example.org</domain>'
    b'<incomingServer type="imap"><hostname>imap.example.org</hostname><port>993</port><socketType>SSL</socketType>'
    b"<username>%EMAILADDRESS%</username></incomingServer></emailProvider></clientConfig>"
)


class Web:
    """A server whose answers are made octet by octet; every connection is dialled to it, whatever its name."""

    def __init__(self, authority: trustme.CA, names: tuple[str, ...] = NAMES) -> None:
        self.asked: list[str] = []
        self.dialled: list[tuple[str, int]] = []
        self.talk: Talk = self.answer(200, XML)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*names).configure_cert(self._context)
        self._door = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def dial(self, host: str, port: int, timeout: float) -> socket.socket:
        """Connect to this server."""
        self.dialled.append((host, port))
        return socket.create_connection(self._door.getsockname(), timeout)

    def close(self) -> None:
        """Stop."""
        with contextlib.suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        self._thread.join()

    @staticmethod
    def answer(status: int, body: bytes = b"", *headers: str) -> Talk:
        """Make an answer."""

        def talk(line: ssl.SSLSocket, _: str) -> None:
            head = "\r\n".join([f"HTTP/1.1 {status} X", *headers, "Connection: close", "", ""])
            line.sendall(head.encode() + body)

        return talk

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._door.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), plain, self._context.wrap_socket(plain, server_side=True) as line:
                head = b""
                while not head.endswith(b"\r\n\r\n") and (piece := line.recv(4096)):
                    head += piece
                self.asked.append(head.split(b"\r\n")[0].decode())
                self.talk(line, head.decode())


@pytest.fixture
def authority() -> trustme.CA:
    """Make an authority."""
    return trustme.CA()


@pytest.fixture
def web(authority: trustme.CA) -> Iterator[Web]:
    """Serve."""
    running = Web(authority)
    yield running
    running.close()


def https(web: Web, authority: trustme.CA | None, *, most: int = 100_000, patience: float = 10.0) -> Https:
    """Make what fetches from it; without an authority, that of the system counts."""
    context = None
    if authority is not None:
        context = ssl.create_default_context()
        authority.configure_trust(context)
    return Https(most, context, web.dial, patience)


class NoDns:
    """Is never to be asked."""

    def services(self, name: str) -> list[Service]:
        """Fail."""
        raise AssertionError(name)

    def exchangers(self, domain: str) -> list[str]:
        """Fail as without the extra."""
        raise NoAnswerError(f"not asked for {domain}")


def test_a_description_from_a_real_server(web: Web, authority: trustme.CA) -> None:
    """The whole way: one request, to the domain's own host, with the address encoded, by TLS on port 443."""
    found = look_up(mail_address("me+x@example.org"), "imap", https(web, authority), NoDns())
    assert [each.address.identity for each in found.candidates] == ["imaps://me%2Bx%40example.org@imap.example.org:993"]
    assert web.asked == ["GET /mail/config-v1.1.xml?emailaddress=me%2Bx%40example.org HTTP/1.1"]
    assert web.dialled == [("autoconfig.example.org", 443)]


def test_where_nothing_is_there_the_next_place_is_asked(web: Web, authority: trustme.CA) -> None:
    """A 404 at both of the domain's hosts, a certificate of another name at the directory, and no DNS."""
    web.talk = web.answer(404, b"<html>no\x1b[31m</html>")
    found = look_up(mail_address("me@example.org"), "imap", https(web, authority), NoDns())
    assert found.candidates == ()
    assert [each.partition(": ")[2] for each in found.silent[:2]] == ["nothing there (HTTP 404)"] * 2
    assert "its certificate is not to be trusted" in found.silent[2]
    assert len(web.asked) == 2
    assert [host for host, _ in web.dialled][2] == "autoconfig.thunderbird.net"


def test_a_host_that_the_system_does_not_trust_is_told_nothing(web: Web) -> None:
    """The request is sent only when the certificate has been found good."""
    with pytest.raises(NothingThereError, match="certificate is not to be trusted"):
        https(web, None).get("https://example.org/x?emailaddress=me")
    assert web.asked == []


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("http://example.org/x", "without TLS"),
        ("HTTP://example.org/x", "without TLS"),
        ("file:///etc/passwd", "without TLS"),
        ("//127.0.0.1/x", "strange address"),
        ("https://127.0.0.1/x", "strange address"),
        ("https://[::1]/x", "strange address"),
        ("https://me@example.org/x", "strange address"),
        ("https://example.org/\x85x", "strange address"),
        ("https://example.org:99999/x", "does not speak HTTP"),
        ("https://[", "does not speak HTTP"),
        ("https://other.example/x", "certificate is not to be trusted"),
        ("/again", "redirected too often"),
        ("", "redirected too often"),
    ],
)
def test_redirections_that_are_not_followed(web: Web, authority: trustme.CA, place: str, why: str) -> None:
    """To anything but HTTPS, to numbers, to other users' hosts, round and round."""
    web.talk = web.answer(302, b"", f"Location: {place}")
    with pytest.raises(NothingThereError, match=why):
        https(web, authority).get("https://example.org/start")
    assert len(web.asked) == (4 if why == "redirected too often" else 1)


@pytest.mark.parametrize("place", ["https://autoconfig.example.org/there", "/there"])
def test_a_redirection_to_https_is_followed(web: Web, authority: trustme.CA, place: str) -> None:
    """Also to another host, whose certificate is checked for its own name."""

    def talk(line: ssl.SSLSocket, head: str) -> None:
        answer = web.answer(301, b"", f"Location: {place}") if "/start" in head else web.answer(200, XML)
        answer(line, head)

    web.talk = talk
    assert https(web, authority).get("https://example.org/start") == XML
    assert web.asked[1] == "GET /there HTTP/1.1"


@pytest.mark.parametrize("headers", [(), ("Content-Length: 1000000",), ("Content-Length: -1",)])
def test_no_more_than_the_most_is_read(web: Web, authority: trustme.CA, headers: tuple[str, ...]) -> None:
    """Whatever length the server announces."""
    web.talk = web.answer(200, b"x" * 1_000_000, *headers)
    with pytest.raises(NothingThereError, match="more than 100 kB"):
        https(web, authority).get("https://example.org/x")


def test_a_body_without_an_end_is_left_at_the_most(web: Web, authority: trustme.CA) -> None:
    """It is not waited for until the time is up."""

    def pour(line: ssl.SSLSocket, _: str) -> None:
        with contextlib.suppress(OSError):
            line.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                line.sendall(b"x" * 10_000)

    web.talk = pour
    start = time.monotonic()
    with pytest.raises(NothingThereError, match="more than 100 kB"):
        https(web, authority, patience=8).get("https://example.org/x")
    assert time.monotonic() - start < 4


def garbage(line: ssl.SSLSocket, _: str) -> None:
    """Speak another protocol."""
    line.sendall(b"* OK IMAP4rev1 ready\x1b[31m\r\n")


def endless(line: ssl.SSLSocket, _: str) -> None:
    """Send header fields for ever."""
    with contextlib.suppress(OSError):
        line.sendall(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000)


@pytest.mark.parametrize("talk", [garbage, endless])
def test_what_is_not_http_is_refused(web: Web, authority: trustme.CA, talk: Talk) -> None:
    """In words of ours; nothing that the server said is repeated."""
    web.talk = talk
    with pytest.raises(NothingThereError) as caught:
        https(web, authority).get("https://example.org/x")
    assert str(caught.value) == "does not speak HTTP"


@pytest.mark.parametrize("first", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 90000\r\n\r\n"])
def test_a_slow_server_is_left_in_time(web: Web, authority: trustme.CA, first: bytes) -> None:
    """Octets that come one by one do not make the time longer, neither in the head nor in the body."""
    stop = threading.Event()

    def drip(line: ssl.SSLSocket, _: str) -> None:
        with contextlib.suppress(OSError):
            line.sendall(first)
            while not stop.wait(0.05):
                line.sendall(b"H")

    web.talk = drip
    start = time.monotonic()
    with pytest.raises(NothingThereError, match="no answer in time"):
        https(web, authority, patience=0.6).get("https://example.org/x")
    stop.set()
    assert time.monotonic() - start < 5


def test_a_host_that_is_not_there(web: Web, authority: trustme.CA) -> None:
    """In words, by the reason."""
    for error, why in ((socket.gaierror(), "no such host"), (ConnectionRefusedError(), "cannot be reached")):

        def dial(*_: object, error: OSError = error) -> socket.socket:
            raise error

        with pytest.raises(NothingThereError, match=why):
            Https(100, https(web, authority).context, dial).get("https://example.org/")
