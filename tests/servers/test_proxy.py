"""What the recording, delaying and cutting proxy promises."""

from __future__ import annotations

import imaplib
import random
import socket
import threading
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import pytest

from tests.corpus import Sample, corpus
from tests.servers.proxy import Proxy
from tests.servers.witness import LOOPBACK, Witness, WitnessError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import MakeUser

NOW = datetime(2025, 11, 23, 12, tzinfo=UTC)


@pytest.mark.dovecot
def test_proxy_records_and_hides_nothing(dovecot_user: MakeUser) -> None:
    """Through the proxy the mail is the same, and the record holds every octet and each command without literals."""
    account = dovecot_user()
    samples = corpus(20, seed=10, now=NOW, sizes="small")
    with Proxy(account.imap_port) as proxy:
        with Witness(proxy.port, account.user, account.password) as witness:
            witness.append_many("Récu", samples)
            assert list(witness.raw_messages("Récu").values()) == [sample.raw for sample in samples]
        commands = proxy.client_commands()
        (connection,) = proxy.connections
    assert proxy.bytes_from_client == len(connection.client) > sum(len(sample.raw) for sample in samples)
    assert proxy.bytes_from_server == len(connection.server)
    assert connection.server.startswith(b"* OK")
    assert not connection.cut
    assert [command.split()[1] for command in commands if command.split()[1:]] == [
        b"CAPABILITY", b"AUTHENTICATE", b"CREATE", b"APPEND", b"EXAMINE", b"FETCH", b"LOGOUT",
    ]  # fmt: skip
    (append,) = (command for command in commands if b"APPEND" in command)
    assert append.count(b"+}") == len(samples)
    assert b"Subject" not in append
    assert proxy.round_trips == 8


def test_proxy_that_records_nothing_still_hands_on_everything() -> None:
    """As a benchmark wants it; without a record nothing can be cut."""
    payload = random.Random(5).randbytes(3_000_000)
    with _talker(payload) as port, Proxy(port, delay=0.01, record=False, backlog=10_000_000) as proxy:
        assert _drink(proxy.port)[0] == payload
        assert proxy.bytes_from_server == 0
    with pytest.raises(ValueError, match="record"):
        Proxy(port, cut_server=1, record=False)


@pytest.mark.parametrize("how", ["fin", "rst"])
@pytest.mark.parametrize("octets", [0, 1, 5_000, 100_000])
def test_proxy_cuts_what_the_server_says(how: Literal["fin", "rst"], octets: int) -> None:
    """The client gets exactly so many octets, then the end or a reset; the next connection lives."""
    payload = random.Random(octets).randbytes(200_000)
    with _talker(payload) as port, Proxy(port, cut_server=octets, cut=how) as proxy:
        got, ended = _drink(proxy.port)
        assert ended == how
        assert payload.startswith(got)
        assert len(got) == octets or how == "rst"
        assert _drink(proxy.port) == (payload, "fin")
    assert [(len(one.server), one.cut) for one in proxy.connections] == [(octets, True), (len(payload), False)]


@pytest.mark.dovecot
@pytest.mark.parametrize("how", ["fin", "rst"])
def test_proxy_cuts_what_the_client_says(dovecot_user: MakeUser, how: Literal["fin", "rst"]) -> None:
    """A message cut in the middle of its APPEND does not reach the server, which had exactly so many octets."""
    account = dovecot_user()
    with Proxy(account.imap_port, cut_client=20_000, cut=how) as proxy:
        with (
            pytest.raises((WitnessError, OSError, imaplib.IMAP4.abort)),
            Witness(proxy.port, account.user, account.password) as witness,
        ):
            witness.append_many("INBOX", [Sample(b"x" * 5_000_000, NOW)])
        assert [(len(one.client), one.cut) for one in proxy.connections] == [(20_000, True)]
    assert account.raw_messages() == {}


@pytest.mark.parametrize(("cuts", "ends"), [(2, [True, True, False]), (None, [True, True, True])])
def test_proxy_cuts_as_many_connections_as_asked(cuts: int | None, ends: list[bool]) -> None:
    """The first `cuts` connections are cut, or all of them."""
    with _talker(b"hello world") as port, Proxy(port, cut_server=5, cuts=cuts) as proxy:
        got = [_drink(proxy.port)[0] for _ in ends]
    assert got == [b"hello" if end else b"hello world" for end in ends]
    assert [one.cut for one in proxy.connections] == ends


def test_proxy_refuses_whoever_comes_later() -> None:
    """Beyond the number that it takes, and whether those lines still live or not."""
    with _talker(b"hello world") as port, Proxy(port, cut_server=5, most=2) as proxy:
        assert [_drink(proxy.port)[0] for _ in range(2)] == [b"hello", b"hello world"]
        with pytest.raises(ConnectionRefusedError):
            _drink(proxy.port)
    assert len(proxy.connections) == 2


@pytest.mark.dovecot
def test_proxy_delays_each_round_trip(dovecot_user: MakeUser) -> None:
    """Each round trip takes two delays, pipelined commands share one, and stopping takes no time."""
    account = dovecot_user()
    with Proxy(account.imap_port, delay=0.05) as proxy:
        with Witness(proxy.port, account.user, account.password) as witness:
            before, began = proxy.round_trips, time.perf_counter()
            for _ in range(4):
                witness.imap.noop()
            waited = time.perf_counter() - began
            assert proxy.round_trips - before == 4
            assert 0.4 <= waited < 2
            witness.imap.send(b"p1 NOOP\r\np2 NOOP\r\np3 NOOP\r\n")
            while not witness.imap.readline().startswith(b"p3 OK"):
                pass
            assert proxy.round_trips - before == 5
        began = time.perf_counter()
    assert time.perf_counter() - began < 1


def test_proxy_before_a_dead_server_hangs_up() -> None:
    """Where nobody listens behind the proxy, the client is hung up on."""
    with socket.socket() as dead:
        dead.bind((LOOPBACK, 0))
        with Proxy(int(dead.getsockname()[1])) as proxy:
            assert _drink(proxy.port)[0] == b""
    assert proxy.connections == []


def test_proxy_is_blind_after_starttls() -> None:
    """Commands end with STARTTLS, for what follows is sealed; a literal's lines are no commands."""
    with _talker(b"ready\r\n") as port, Proxy(port) as proxy:
        said = b"a LOGIN {4}\r\nus\r\n {6+}\r\npa\nss! x\r\nb STARTTLS\r\n\x16\x03\x01\n"
        with socket.create_connection((LOOPBACK, proxy.port), timeout=10) as client:
            client.sendall(said)
            while proxy.bytes_from_client < len(said):
                time.sleep(0.01)
        assert proxy.client_commands() == [b"a LOGIN {4} {6+} x", b"b STARTTLS"]


@contextmanager
def _talker(payload: bytes) -> Iterator[int]:
    """Serve the same octets to everybody who connects, then the end; yield the port."""
    with socket.create_server((LOOPBACK, 0)) as server:
        thread = threading.Thread(target=_talk, args=(server, payload))
        thread.start()
        try:
            yield int(server.getsockname()[1])
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def _talk(server: socket.socket, payload: bytes) -> None:
    while True:
        try:
            client, _ = server.accept()
        except OSError:
            return
        with client, suppress(OSError):
            client.sendall(payload)
            client.shutdown(socket.SHUT_WR)
            while client.recv(1000):
                pass


def _drink(port: int) -> tuple[bytes, str]:
    """Connect and read to the end; a reset may come before the connection is even noticed."""
    got = b""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=10) as client:
            while data := client.recv(65536):
                got += data
    except ConnectionResetError:
        return got, "rst"
    return got, "fin"
