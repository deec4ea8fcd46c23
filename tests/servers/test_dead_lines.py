"""Lines that are refused, hang, break or crawl, up to the sign-in and in the middle of a run."""

from __future__ import annotations

import errno
import functools
import socket
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

import pytest

from mailarchive.address import Security, ServerAddress
from mailarchive.demo.server import DemoServer
from mailarchive.demo.store import Account, Store
from mailarchive.errors import LaterError, UnreachableError
from mailarchive.sources import connect, imap_session, pop_session, tls, wire
from mailarchive.sources.tls import Trust
from mailarchive.sources.wire import Wire
from tests import maildir
from tests.command import mailarchive
from tests.servers.proxy import Proxy
from tests.servers.scripted_pop import ScriptedPop
from tests.servers.test_sign_in import GREETING, PLAIN, STARTTLS, Talker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from typing import Any, Literal

    from tests.servers.proxy import Cut

    Protocol = Literal["imap", "pop"]

USER = "kim@example.org"
PASSWORD = "canary 4711"
PROTOCOLS = pytest.mark.parametrize("protocol", ["imap", "pop"])
OLD = datetime.now(UTC).replace(microsecond=0) - timedelta(days=700)


def address(port: int, protocol: Protocol = "imap", security: Security = Security.NONE) -> ServerAddress:
    """Make the address of a server on this computer."""
    return ServerAddress(protocol, security, "127.0.0.1", port, USER)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait a third of a second where a user waits half a minute or more."""
    monkeypatch.setattr(tls, "Wire", functools.partial(Wire, timeout=0.3))
    monkeypatch.setattr(tls, "CONNECT_TIMEOUT", 0.3)
    monkeypatch.setattr(pop_session, "PATIENCE", 0.2)


@pytest.fixture
def closed() -> Iterator[int]:
    """Give a port on which nobody listens, and that nobody else can take meanwhile."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        yield int(deaf.getsockname()[1])


@pytest.fixture
def full() -> Iterator[int]:
    """Give a port whose queue is full, so that what knocks is never answered."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(8):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield int(listener.getsockname()[1])


# Rows 1, 2 and 18: getting there


@PROTOCOLS
def test_f001_nobody_listens(protocol: Protocol, closed: int) -> None:
    """15, with host and port, and it may work later."""
    with pytest.raises(UnreachableError, match=f"cannot connect to 127.0.0.1:{closed}: Connection refused") as caught:
        connect(address(closed, protocol), PASSWORD, Trust())
    assert caught.value.temporary


@pytest.mark.parametrize("code", [socket.EAI_NONAME, socket.EAI_AGAIN])
def test_f001_a_name_that_is_not_found(home: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """One line and a hint, 15, and the other account is backed up; only a resolver that is away may be back later."""
    look = socket.getaddrinfo

    def lookup(host: str, *rest: Any, **more: Any) -> Any:
        if host.endswith(".invalid"):
            raise socket.gaierror(code, "the resolver says no")
        return look(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    store = Store()
    store.add_account(USER, "secret").mailbox("INBOX").append(b"Subject: x\r\n\r\nx\r\n", OLD, ())
    config = home / ".config" / "mailarchive" / "config.toml"
    config.parent.mkdir(parents=True)
    with DemoServer(store) as server:
        accounts = {"away": "imaps://nowhere.invalid", "here": f"imap+insecure://127.0.0.1:{server.imap_port}"}
        text = "".join(
            f'[account.{name}]\nserver = "{where}"\nuser = "{USER}"\npassword_command = "echo secret"\n'
            for name, where in accounts.items()
        )
        config.write_text(f'archive = "{home}/mail"\n{text}')
        config.chmod(0o600)
        result = mailarchive("backup")
    assert result.code == 15
    assert len([line for line in result.err.splitlines() if "error:" in line]) == 1
    assert "cannot find nowhere.invalid (for port 993): the resolver says no" in result.err
    assert len(maildir.files(home / "mail" / "here")) == 1
    with pytest.raises(UnreachableError) as caught:
        tls.dial("nowhere.invalid", 993)
    assert caught.value.temporary is (code == socket.EAI_AGAIN)


@PROTOCOLS
@pytest.mark.usefixtures("hasty")
def test_f002_a_port_that_never_answers(protocol: Protocol, full: int) -> None:
    """15 when the time is over, here a third of a second."""
    began = time.monotonic()
    with pytest.raises(UnreachableError, match=f"127.0.0.1:{full} did not answer for 0 s") as caught:
        connect(address(full, protocol), PASSWORD, Trust())
    assert 0.25 < time.monotonic() - began < 3
    assert caught.value.temporary


def test_f002_the_time_is_half_a_minute() -> None:
    """For all addresses together."""
    assert tls.CONNECT_TIMEOUT == 30


def found(*places: tuple[str, int]) -> Callable[..., list[tuple[Any, ...]]]:
    """Make a resolver that gives these addresses, in this order."""
    kind = (socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
    families = [socket.AF_INET6 if ":" in host else socket.AF_INET for host, _ in places]
    return lambda *_, **__: [(family, *kind, place) for family, place in zip(families, places, strict=True)]


@pytest.mark.parametrize("fault", ["refused", "silent", "no way", "no IPv6", "all of them"])
def test_f018_the_address_that_works_is_used(
    monkeypatch: pytest.MonkeyPatch, closed: int, full: int, fault: str
) -> None:
    """Whatever is wrong with those before it, and soon."""
    places = {
        "refused": [("127.0.0.1", closed)],
        "silent": [("127.0.0.1", full)],
        "no way": [("::1", closed)],
        "no IPv6": [("fe80::1", 9)],
        "all of them": [("127.0.0.1", full), ("::1", closed), ("127.0.0.1", closed), ("127.0.0.1", full)],
    }[fault]
    if fault == "no way":
        # As where the kernel knows IPv6 and has no route.
        monkeypatch.setattr(socket, "socket", lambda family, *rest, make=socket.socket: unroutable(family, rest, make))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setattr(socket, "getaddrinfo", found(*places, listener.getsockname()))
        began = time.monotonic()
        line = tls.dial("mail.example", 993)
        assert line.sock.getpeername() == listener.getsockname()
        line.close()
    assert time.monotonic() - began < 2


def unroutable(family: int, rest: Sequence[Any], make: type[socket.socket]) -> socket.socket:
    """Make a socket, if it is not of IPv6."""
    if family == socket.AF_INET6:
        raise OSError(errno.EAFNOSUPPORT, "Address family not supported")
    return make(family, *rest)


def test_f018_what_is_wrong_with_the_server_is_told(monkeypatch: pytest.MonkeyPatch, closed: int) -> None:
    """Not that this computer has no IPv6, whichever comes last."""
    ours, theirs = ("fe80::1", 9), ("127.0.0.1", closed)
    for places in ((ours, theirs), (theirs, ours)):
        monkeypatch.setattr(socket, "getaddrinfo", found(*places))
        with pytest.raises(UnreachableError, match=r"cannot connect to mail\.example:993: Connection refused"):
            tls.dial("mail.example", 993)


def test_f018_the_name_localhost_has_two_addresses(tmp_path: Path) -> None:
    """A server that listens on IPv4 only is found by it, and all is done."""
    store = Store()
    store.add_account("kim", "secret").mailbox("INBOX").append(b"Subject: x\r\n\r\nx\r\n", OLD, ())
    with DemoServer(store) as server:
        result = mailarchive("backup", f"imap+insecure://kim@localhost:{server.imap_port}", "--to", tmp_path / "a")
    assert result.code == 0


# Row 3: silence before the run begins

IMAP_SILENT: dict[str, tuple[Security, bytes, list[bytes]]] = {
    "greeting": (Security.NONE, b"", [b""]),
    "half a greeting": (Security.NONE, b"* OK re", [b""]),
    "handshake": (Security.TLS, b"", [b""]),
    "what it can do": (Security.NONE, GREETING, [b"", b""]),
    "STARTTLS": (Security.STARTTLS, GREETING, [STARTTLS, STARTTLS, b""]),
    "handshake after STARTTLS": (Security.STARTTLS, GREETING, [STARTTLS, STARTTLS, b"TAG OK go\r\n", b""]),
    "challenge": (Security.NONE, GREETING, [PLAIN, b"", b""]),
    "sign-in": (Security.NONE, GREETING, [PLAIN, b"+ \r\n", b""]),
    "after the sign-in": (Security.NONE, GREETING, [PLAIN, b"+ \r\n", b"TAG OK in\r\n", b""]),
}
CAPA = (r"^CAPA$", b"+OK\r\nSTLS\r\nUSER\r\n.\r\n")
POP_SILENT: dict[str, tuple[Security, bytes, list[tuple[str, bytes]]]] = {
    "greeting": (Security.NONE, b"", []),
    "half a greeting": (Security.NONE, b"+OK re", []),
    "handshake": (Security.TLS, b"", []),
    "STLS": (Security.STARTTLS, b"+OK\r\n", [CAPA, (r"^STLS$", b"")]),
    "handshake after STLS": (Security.STARTTLS, b"+OK\r\n", [CAPA, (r"^STLS$", b"+OK\r\n")]),
    "user": (Security.NONE, b"+OK\r\n", [CAPA, (r"^USER ", b"")]),
    "password": (Security.NONE, b"+OK\r\n", [CAPA, (r"^USER ", b"+OK\r\n"), (r"^PASS ", b"")]),
}


def silence(where: ServerAddress) -> None:
    """Connect to a server that falls silent: 15, soon, to be tried later, and no word of a wrong password."""
    began = time.monotonic()
    with pytest.raises(UnreachableError, match=r"silent|did not finish the TLS handshake") as caught:
        connect(where, PASSWORD, Trust())
    assert time.monotonic() - began < 3
    assert caught.value.temporary
    assert "refused" not in caught.value.message


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("place", IMAP_SILENT)
def test_f003_an_imap_server_that_falls_silent(place: str) -> None:
    """At each step of the way in."""
    security, greeting, answers = IMAP_SILENT[place]
    # What a handshake sends is no line, and may hold any number of them.
    with Talker(greeting, [*answers, *[b""] * 50]) as server:
        silence(address(server.port, "imap", security))


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("place", POP_SILENT)
def test_f003_a_pop3_server_that_falls_silent(place: str) -> None:
    """At each step of the way in."""
    security, greeting, script = POP_SILENT[place]
    nothing: list[tuple[str, bytes]] = [(r"", b"")] * 50
    with ScriptedPop([[*script, *nothing]], greetings=[greeting]) as server:
        silence(address(server.port, "pop", security))


@contextmanager
def dripping(first: bytes, *, every: float) -> Iterator[int]:
    """Serve one client: some octets, and then one more again and again; gives the port."""
    over = threading.Event()

    def drip() -> None:
        with suppress(OSError):
            sock, _ = listener.accept()
            with sock:
                sock.sendall(first)
                while not over.wait(every):
                    sock.sendall(b"\0")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            over.set()
            thread.join(5)


@pytest.mark.usefixtures("hasty")
def test_f003_a_handshake_that_never_ends() -> None:
    """A record of 16 KiB whose octets come one by one: the time is for the whole handshake."""
    with dripping(b"\x16\x03\x03\x40\x00", every=0.05) as port:
        silence(address(port, "imap", Security.TLS))


# Row 7: one octet at a time


def test_f007_a_line_that_crawls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under the least rate for too long: 75; the wait costs no processor."""
    monkeypatch.setattr(wire, "SLOW", 0.5)
    with dripping(b"* OK ", every=0.01) as port:
        line = tls.dial("127.0.0.1", port)
        began, busy = time.monotonic(), time.process_time()
        with pytest.raises(LaterError, match="less than 1024 octets a second"):
            line.readline()
        took, used = time.monotonic() - began, time.process_time() - busy
        line.close()
    assert 0.4 < took < 5
    assert used < took / 2


def test_f007_it_is_five_minutes() -> None:
    """And 1 KiB a second."""
    assert (wire.SLOW, wire.SLOWEST) == (300, 1024)


# Rows 4 to 6 and 8: in the middle of a run


class Place:
    """A server with old mail, the archive of its account, and a way to it that can be cut."""

    def __init__(self, server: DemoServer, archive: Path, protocol: Protocol, samples: Sequence[bytes]) -> None:
        self.archive, self.protocol, self.samples = archive, protocol, sorted(samples)
        self.port = server.imap_port if protocol == "imap" else server.pop_port
        self.url = f"{protocol}+insecure://{USER.replace('@', '%40')}@127.0.0.1:{self.port}"
        self._server = server
        server.store.add(Account(USER, PASSWORD))
        self.box = server.store.account(USER).mailbox("INBOX")
        for sample in samples:
            self.box.append(sample, OLD, ())

    def run(self, *words: str, proxy: Proxy | None = None) -> int:
        """Run a backup, through a proxy if there is one; gives its exit code."""
        self._settle()
        with pytest.MonkeyPatch.context() as patch:
            if proxy is not None:
                # The archive belongs to an address, so the proxy has to be behind the same one.
                for module in (imap_session, pop_session):
                    patch.setattr(module, "dial", lambda host, _: tls.dial(host, proxy.port))
            result = mailarchive("backup", self.url, "--to", self.archive, *words, password=PASSWORD)
        assert "Traceback" not in result.err
        assert "canary" not in result.err
        return result.code

    def _settle(self) -> None:
        """Wait until the server serves nobody any more, and no maildrop is locked."""
        deadline = time.monotonic() + 5
        ports = (self._server._imap, self._server._pop)
        while any(port is not None and port._clients for port in ports) and time.monotonic() < deadline:
            time.sleep(0.002)

    def left(self) -> list[bytes]:
        """Give what is on the server."""
        self._settle()
        return sorted(message.raw for message in self.box.messages())

    def held(self) -> list[bytes]:
        """Give what is in the archive; each file is as its name says."""
        return sorted(each.octets for each in maildir.files(self.archive)) if self.archive.exists() else []


@pytest.fixture(scope="module")
def demo() -> Iterator[DemoServer]:
    """Serve whoever is added."""
    with DemoServer(Store()) as server:
        yield server


def letters(count: int, size: int = 200) -> list[bytes]:
    """Make messages, each another, of about so many octets."""
    head = b"Date: " + format_datetime(OLD).encode() + b"\r\nSubject: "
    return [head + b"%d\r\n\r\n" % number + b"%06d\r\n" % number * (size // 8) for number in range(count)]


@PROTOCOLS
@pytest.mark.parametrize("cut", ["fin", "rst", "hang"])
@pytest.mark.usefixtures("hasty")
def test_f005_f006_the_line_ends_inside_a_message(
    demo: DemoServer, tmp_path: Path, protocol: Protocol, cut: Cut
) -> None:
    """FIN, RST, or silence: 15; what came in part never gets a name, and the next run has it whole, once."""
    place = Place(demo, tmp_path / "a", protocol, letters(3, 100_000))
    with Proxy(place.port, cut_server=150_000, cut=cut, cuts=None) as proxy:
        assert place.run(proxy=proxy) == 15
        assert any(connection.cut for connection in proxy.connections)
    assert set(place.held()) < set(place.samples)
    assert place.run() == 0
    assert place.held() == place.samples
    assert place.run() == 0
    assert place.held() == place.left() == place.samples


def cuts(octets: int, step: int) -> range:
    """Give the places at which a session is cut."""
    return range(1, octets, step)


def broken(demo: DemoServer, folder: Path, protocol: Protocol, side: str, *, cut: Cut, step: int) -> set[int]:
    """Cut a deleting run after each step of octets, then run again without a cut; gives the exit codes of the first.

    At each moment each message is on the server or in the archive, and in the end in the archive, once.
    """
    words = ("--delete", "--yes", "--older-than", "1y")
    place = Place(demo, folder / "whole", protocol, letters(3))
    with Proxy(place.port) as proxy:
        assert place.run(*words, proxy=proxy) == 0
        octets = proxy.bytes_from_server if side == "server" else proxy.bytes_from_client
    codes = set()
    for at in cuts(octets, step):
        place = Place(demo, folder / str(at), protocol, letters(3))
        where: dict[str, Any] = {f"cut_{side}": at}
        with Proxy(place.port, cut=cut, **where) as proxy:
            codes.add(place.run(*words, proxy=proxy))
        held = place.held()
        assert {*held, *place.left()} == set(place.samples), at
        assert len(held) == len(set(held)), at
        assert place.run(*words) == 0, at
        assert (place.held(), place.left()) == (place.samples, []), at
    return codes


@PROTOCOLS
@pytest.mark.parametrize("cut", ["fin", "rst"])
@pytest.mark.parametrize("side", ["server", "client"])
def test_f004_a_line_that_breaks_at_any_moment(
    demo: DemoServer, tmp_path: Path, protocol: Protocol, side: str, cut: Cut
) -> None:
    """In greeting, sign-in, LIST, FETCH, STORE, EXPUNGE or LOGOUT; every 149th octet."""
    assert broken(demo, tmp_path, protocol, side, cut=cut, step=149) <= {0, 3, 15}


@PROTOCOLS
def test_f007_a_run_that_crawls(
    demo: DemoServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: Protocol
) -> None:
    """75; what came whole is kept, and the next run goes on."""
    place = Place(demo, tmp_path / "a", protocol, letters(3, 100_000))
    monkeypatch.setattr(wire, "SLOW", 0.5)
    monkeypatch.setattr(wire, "SLOWEST", 1_000_000)
    with Proxy(place.port, delay=0.05, backlog=512) as proxy:
        assert place.run(proxy=proxy) == 75
    assert set(place.held()) < set(place.samples)
    assert place.run() == 0
    assert place.held() == place.samples


def test_f008_latency_is_paid_by_the_batch(demo: DemoServer, tmp_path: Path) -> None:
    """Three hundred messages take no more round trips than three."""
    trips = []
    for count in (3, 300):
        place = Place(demo, tmp_path / str(count), "imap", letters(count))
        with Proxy(place.port, delay=0.005) as proxy:
            assert place.run(proxy=proxy) == 0
            trips.append(proxy.round_trips)
        assert len(place.held()) == count
    assert trips[1] <= trips[0] + 6, trips


@pytest.mark.parametrize("cut", ["fin", "rst"])
def test_f004_a_line_that_breaks_between_two_answers(demo: DemoServer, tmp_path: Path, cut: Cut) -> None:
    """After the last DELE: no broken protocol; the server takes the marks back. 3 if QUIT was under way."""
    words = ("--delete", "--yes", "--older-than", "1y")
    whole = Place(demo, tmp_path / "whole", "pop", letters(3))
    with Proxy(whole.port) as proxy:
        assert whole.run(*words, proxy=proxy) == 0
        at = bytes(proxy.connections[0].server).rindex(b"+OK")
    place = Place(demo, tmp_path / "a", "pop", letters(3))
    with Proxy(place.port, cut=cut, cut_server=at) as proxy:
        assert place.run(*words, proxy=proxy) in (3, 15)
    assert place.held() == place.left() == place.samples
    assert place.run(*words) == 0
    assert (place.held(), place.left()) == (place.samples, [])


# Row 16


def test_f016_a_referral_is_not_followed(tmp_path: Path) -> None:
    """12; nobody is called there, and the sentence cannot steer the terminal."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.settimeout(0.2)
        port = other.getsockname()[1]
        no = f"TAG NO [REFERRAL imap://127.0.0.1:{port}/] try \x1b[2J there\r\n".encode()
        with Talker(GREETING, [PLAIN, b"+ \r\n", no]) as server:
            url = f"imap+insecure://kim@127.0.0.1:{server.port}"
            result = mailarchive("backup", url, "--to", tmp_path / "a", password=PASSWORD)
        with pytest.raises(TimeoutError):
            other.accept()
    assert result.code == 12
    assert "REFERRAL" in result.err
    assert "\x1b" not in result.err
    assert "canary" not in result.err
