"""A TCP proxy on the loopback that records both directions, adds delay, bounds the rate, and cuts the line.

Law of this room: octets pass unchanged and in order, and only what was handed on is recorded. One thread serves all
connections, so that nothing here needs a lock; a test reads the record after its client is done.
"""

from __future__ import annotations

import contextlib
import re
import select
import socket
import struct
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Literal, Self

LOOPBACK = "127.0.0.1"
Cut = Literal["fin", "rst", "hang"]
_CHUNK = 64 * 1024
_BACKLOG = 1024 * 1024
_LITERAL = re.compile(rb"\{(\d+)\+?\}$")
_RESET = struct.pack("ii", 1, 0)


@dataclass(slots=True, eq=False)
class Connection:
    """What passed over one connection.

    Attributes:
        client: Octets of the client that reached the server.
        server: Octets of the server that reached the client.
        round_trips: How often the client spoke after it had heard something, the greeting included: what a client
            that waits for each answer pays in latency. Pipelined commands count once.
        cut: Whether the proxy cut it.
    """

    client: bytearray = field(default_factory=bytearray)
    server: bytearray = field(default_factory=bytearray)
    round_trips: int = 0
    cut: bool = False

    def commands(self) -> list[bytes]:
        """Return what the client sent as lines without CRLF, each literal left out and only its `{size}` kept.

        A command with literals is one line. Stops after STARTTLS or STLS: what follows is not for us to read.
        """
        data = bytes(self.client)
        lines: list[bytes] = []
        line, at = b"", 0
        while (end := data.find(b"\n", at)) >= 0:
            piece = data[at:end].rstrip(b"\r")
            line += piece
            at = end + 1
            if literal := _LITERAL.search(piece):
                at += int(literal[1])
                continue
            lines.append(line)
            if line.upper().endswith((b"STARTTLS", b"STLS")):
                return lines
            line = b""
        return [*lines, line] if line else lines


@dataclass(slots=True, eq=False)
class _Flow:
    """One direction of one connection; `limit` is where it is to be cut, `free_at` when it takes the next octet."""

    source: socket.socket
    sink: socket.socket
    record: bytearray
    limit: int | None
    keep: bool
    backlog: int
    free_at: float = 0.0
    waiting: deque[tuple[float, bytes]] = field(default_factory=deque)
    waiting_octets: int = 0
    ended: bool = False
    finished: bool = False
    blocked: bool = False

    @property
    def wants(self) -> bool:
        return not self.ended and self.waiting_octets < self.backlog


@dataclass(slots=True, eq=False)
class _Pair:
    record: Connection
    up: _Flow
    down: _Flow
    heard: bool = True
    draining: bool = False

    @property
    def flows(self) -> tuple[_Flow, _Flow]:
        return self.up, self.down


class Proxy:
    """A proxy before a server on the loopback; use it as a context manager and connect to its `port`.

    Args:
        target: Port of the server.
        delay: Seconds that each octet spends on the way, in each direction.
        rate: Octets a second that each direction of each connection carries; 0 for as many as come.
        cut_server: Cut the line when exactly so many octets of the server have reached the client.
        cut_client: Cut the line when exactly so many octets of the client have reached the server.
        cut: `fin` ends the stream in order, `rst` resets it, `hang` keeps the line and passes nothing more on; after a
            reset the client may lose what it had not read.
        cuts: How many connections are cut, the first ones; later ones live. None for all.
        most: How many connections are taken; whoever comes later is refused. None for any number.
        record: Whether to keep what passes; without it nothing can be cut by octets.
        backlog: Octets that may be under way in each direction; with a delay this bounds the throughput.

    Attributes:
        connections: The record of each connection, oldest first.
    """

    def __init__(
        self,
        target: int,
        *,
        delay: float = 0.0,
        rate: float = 0.0,
        cut_server: int | None = None,
        cut_client: int | None = None,
        cut: Cut = "fin",
        cuts: int | None = 1,
        most: int | None = None,
        record: bool = True,
        backlog: int = _BACKLOG,
    ) -> None:
        if not record and (cut_server is not None or cut_client is not None):
            raise ValueError("octets are counted in the record")
        self.record, self.backlog = record, backlog
        self.target, self.delay, self.rate = target, delay, rate
        self.cut_server, self.cut_client, self.cut, self.cuts, self.most = cut_server, cut_client, cut, cuts, most
        self.connections: list[Connection] = []
        self.port = 0
        self._pairs: list[_Pair] = []
        self._stack = contextlib.ExitStack()
        self._listener: socket.socket
        self._waker: socket.socket
        self._alarm: socket.socket
        self._stopping = False
        self._failure: BaseException | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._listener = self._stack.enter_context(socket.create_server((LOOPBACK, 0)))
        self._waker, self._alarm = (self._stack.enter_context(end) for end in socket.socketpair())
        self._listener.setblocking(False)
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, name=f"proxy-{self.port}", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Close every line and end the thread; raises what went wrong in it."""
        if self._thread is None:
            return
        thread, self._thread = self._thread, None
        self._stopping = True
        self._waker.send(b"!")
        thread.join()
        for pair in self._pairs:
            self._close(pair)
        self._stack.close()
        if self._failure is not None:
            raise self._failure

    @property
    def bytes_from_client(self) -> int:
        """Octets of all clients that reached the server."""
        return sum(len(connection.client) for connection in self.connections)

    @property
    def bytes_from_server(self) -> int:
        """Octets of the server that reached the clients."""
        return sum(len(connection.server) for connection in self.connections)

    @property
    def round_trips(self) -> int:
        """Sum over the connections; see `Connection.round_trips`."""
        return sum(connection.round_trips for connection in self.connections)

    def client_commands(self) -> list[bytes]:
        """Return the commands of all connections, oldest connection first; see `Connection.commands`."""
        return [line for connection in self.connections for line in connection.commands()]

    def _serve(self) -> None:
        try:
            while not self._stopping:
                self._turn()
        except BaseException as error:  # noqa: BLE001 - handed to the test by `stop`
            self._failure = error

    def _turn(self) -> None:
        flows = [(pair, flow) for pair in self._pairs for flow in pair.flows]
        listening = [self._listener] if self._listener.fileno() >= 0 else []
        reading = [*listening, self._alarm, *(flow.source for _, flow in flows if flow.wants)]
        writing = [flow.sink for _, flow in flows if flow.blocked]
        now = time.monotonic()
        dues = [flow.waiting[0][0] - now for _, flow in flows if flow.waiting and not flow.blocked]
        ready, _, _ = select.select(reading, writing, [], max(0.0, min(dues)) if dues else None)
        for pair, flow in flows:
            if flow.source in ready and pair in self._pairs:
                self._receive(pair, flow)
        for pair, flow in flows:
            if pair in self._pairs:
                self._send(pair, flow)
        if self._listener in ready:
            self._accept()

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:
            return
        if self.most is not None and len(self.connections) + 1 >= self.most:
            self._listener.close()
        try:
            server = socket.create_connection((LOOPBACK, self.target), timeout=5)
        except OSError:
            client.close()
            return
        record = Connection()
        mortal = self.cuts is None or len(self.connections) < self.cuts
        for end in (client, server):
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        kind = (self.record, self.backlog)
        up = _Flow(client, server, record.client, self.cut_client if mortal else None, *kind)
        down = _Flow(server, client, record.server, self.cut_server if mortal else None, *kind)
        self.connections.append(record)
        self._pairs.append(_Pair(record, up, down))

    def _receive(self, pair: _Pair, flow: _Flow) -> None:
        try:
            most = _CHUNK if pair.draining else min(_CHUNK, flow.backlog - flow.waiting_octets)
            # A hundredth of a second at a time, or the line would come in bursts.
            data = flow.source.recv(min(most, int(self.rate / 100) + 1) if self.rate else most)
        except BlockingIOError:
            return
        except OSError:
            self._drop(pair, reset=True)
            return
        if pair.draining:
            flow.ended = flow.finished = not data
        else:
            flow.ended = not data
            if self.rate:
                flow.free_at = max(flow.free_at, time.monotonic()) + len(data) / self.rate
            flow.waiting.append((max(flow.free_at, time.monotonic()) + self.delay, data))
            flow.waiting_octets += len(data)
            if flow is pair.up and data and pair.heard:
                pair.record.round_trips += 1
                pair.heard = False
        if pair.up.finished and pair.down.finished:
            self._drop(pair, reset=False)

    def _send(self, pair: _Pair, flow: _Flow) -> None:
        flow.blocked = False
        while flow.waiting and flow.waiting[0][0] <= time.monotonic():
            due, data = flow.waiting.popleft()
            flow.waiting_octets -= len(data)
            if not data:
                self._finish(pair, flow)
                return
            room = len(data) if flow.limit is None else flow.limit - len(flow.record)
            try:
                sent = flow.sink.send(data[:room]) if room else 0
            except BlockingIOError:
                sent = 0
            except OSError:
                self._drop(pair, reset=True)
                return
            if flow.keep:
                flow.record += data[:sent]
            pair.heard |= flow is pair.down and sent > 0
            if len(flow.record) == flow.limit:
                self._cut(pair)
                return
            if sent < len(data):
                flow.waiting.appendleft((due, data[sent:]))
                flow.waiting_octets += len(data) - sent
                flow.blocked = True
                return

    def _finish(self, pair: _Pair, flow: _Flow) -> None:
        flow.finished = True
        with contextlib.suppress(OSError):
            flow.sink.shutdown(socket.SHUT_WR)
        if pair.up.finished and pair.down.finished:
            self._drop(pair, reset=False)

    def _cut(self, pair: _Pair) -> None:
        pair.record.cut = True
        if self.cut == "rst":
            self._drop(pair, reset=True)
            return
        # Closing with unread octets would reset the line, so each side is told the end and then heard out.
        pair.draining = True
        for flow in pair.flows:
            flow.waiting.clear()
            flow.waiting_octets = 0
            flow.blocked = False
            flow.finished = flow.ended
            if self.cut == "fin":
                with contextlib.suppress(OSError):
                    flow.sink.shutdown(socket.SHUT_WR)

    def _drop(self, pair: _Pair, *, reset: bool) -> None:
        self._pairs.remove(pair)
        if reset:
            for flow in pair.flows:
                flow.source.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._close(pair)

    @staticmethod
    def _close(pair: _Pair) -> None:
        for flow in pair.flows:
            flow.source.close()
