"""The demo server: loopback ports, a thread for each client, and an end within a second.

The law of this room: it listens where it is told and nowhere else, never holds the process up (daemon threads), and
leaves no socket open behind it.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from typing import TYPE_CHECKING, Self

from mailarchive.demo import mailbox_commands, message_commands, pop_commands, session_commands
from mailarchive.demo.pop import Maildrops, PopSession
from mailarchive.demo.session import Dialect, Session
from mailarchive.demo.wire import HungUpError, Wire

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence

    from mailarchive.demo.store import Store

DIALECT = Dialect(
    (
        *("IMAP4rev1", "LITERAL+", "SASL-IR", "ID", "NAMESPACE", "UIDPLUS", "MOVE", "UNSELECT", "ESEARCH"),
        *("SPECIAL-USE", "QUOTA", "QUOTA=RES-STORAGE"),
    ),
    session_commands.COMMANDS | mailbox_commands.COMMANDS | message_commands.COMMANDS,
)

_RECOVERY = 0.1
"""Seconds to wait where no client can be taken, for want of descriptors."""

_PATIENCE = 0.4
"""Seconds that a client has to take its BYE."""


class Port:
    """A listening socket that gives each client to `serve` in a thread of its own.

    Args:
        serve: Talks to one client until it is over; it may raise HungUpError.
        stopping: Set when all shall end.
        tls: Puts TLS on the line from the first byte.
    """

    def __init__(
        self, host: str, serve: Callable[[Wire], None], stopping: threading.Event, tls: ssl.SSLContext | None
    ) -> None:
        self._serve = serve
        self._stopping = stopping
        self._tls = tls
        self._lock = threading.Lock()
        self._clients: dict[threading.Thread, Wire] = {}
        self._listener = socket.create_server((host, 0), backlog=50)
        self._listener.setblocking(False)
        self._woken, self._waker = socket.socketpair()
        self.number: int = self._listener.getsockname()[1]
        self._accepting = threading.Thread(target=self._accept, name=f"demo port {self.number}", daemon=True)
        self._accepting.start()

    def close(self) -> None:
        """Take no more clients, and let those that wait for a command end."""
        self._waker.close()
        self._accepting.join()
        self._woken.close()
        self._listener.close()
        self.hang_up(writing=False)

    def hang_up(self, *, writing: bool) -> None:
        """End the lines of all clients that there are; of those that take nothing only if `writing`."""
        with self._lock:
            for wire in self._clients.values():
                wire.hang_up(writing=writing)

    def join(self, deadline: float) -> None:
        """Wait for the end of all clients, at most until a time of the monotonic clock."""
        with self._lock:
            threads = list(self._clients)
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _accept(self) -> None:
        with selectors.DefaultSelector() as ready:
            ready.register(self._listener, selectors.EVENT_READ)
            ready.register(self._woken, selectors.EVENT_READ)
            while not self._stopping.is_set():
                ready.select()
                self._welcome()

    def _welcome(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except BlockingIOError:
            return
        except OSError:
            # No descriptors left, or a client that went away at once: neither may end the listening.
            self._stopping.wait(_RECOVERY)
            return
        wire = Wire(sock)
        thread = threading.Thread(target=self._talk, args=(wire,), name="demo client", daemon=True)
        with self._lock:
            self._clients[thread] = wire
        thread.start()

    def _talk(self, wire: Wire) -> None:
        try:
            with contextlib.suppress(HungUpError):
                if self._tls is not None:
                    wire.start_tls(self._tls)
                self._serve(wire)
        finally:
            with self._lock:
                wire.close()
                del self._clients[threading.current_thread()]


class DemoServer:
    """An IMAP4rev1 and POP3 server over a store; a context manager that starts and stops it.

    POP3 shows the INBOX of the same accounts on a port of its own, with the same TLS.

    Args:
        store: Its accounts; may be looked at and changed while the server runs.
        host: The address to listen on; the ports are free ones.
        ssl_context: Makes the ports speak TLS from the first byte.
        starttls_context: Offers STARTTLS and STLS, and then takes no password before it.
        record: Called with each command line of each client, as it came, literals left out.
        dialect: What it understands of IMAP, if not what this module says.
        hidden: Capabilities that it shall not have, such as `UIDPLUS` of the dialect or `UIDL` of POP3; their commands
            are answered with BAD or `-ERR`, their response codes left out.
    """

    def __init__(
        self,
        store: Store,
        host: str = "127.0.0.1",
        *,
        ssl_context: ssl.SSLContext | None = None,
        starttls_context: ssl.SSLContext | None = None,
        record: Callable[[bytes], None] | None = None,
        dialect: Dialect = DIALECT,
        hidden: frozenset[str] = frozenset(),
    ) -> None:
        self.store = store
        self.host = host
        self._ssl_context = ssl_context
        self._starttls_context = starttls_context
        self._record = record
        self._dialect = dialect.without(hidden)
        self._hidden = hidden
        self._maildrops = Maildrops()
        self._stopping = threading.Event()
        self._imap: Port | None = None
        self._pop: Port | None = None

    @property
    def imap_port(self) -> int:
        """The TCP port of IMAP; only while the server runs."""
        assert self._imap is not None, "the server has not been started"
        return self._imap.number

    @property
    def pop_port(self) -> int:
        """The TCP port of POP3; only while the server runs."""
        assert self._pop is not None, "the server has not been started"
        return self._pop.number

    def start(self) -> None:
        """Listen; does nothing if it does already."""
        if self._imap is None:
            self._stopping.clear()
            self._imap = Port(self.host, self._serve_imap, self._stopping, self._ssl_context)
            try:
                self._pop = Port(self.host, self._serve_pop, self._stopping, self._ssl_context)
            except OSError:
                self.stop()
                raise

    def stop(self) -> None:
        """End every session, with BYE in IMAP, and close all, within a second; does nothing if it is stopped."""
        ports = [port for port in (self._imap, self._pop) if port is not None]
        if ports:
            self._stopping.set()
            _close(ports)
            self._imap = self._pop = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _serve_imap(self, wire: Wire) -> None:
        Session(
            wire,
            self.store,
            self._dialect,
            self._stopping,
            starttls=self._starttls_context,
            record=self._record,
        ).serve()

    def _serve_pop(self, wire: Wire) -> None:
        PopSession(
            wire,
            self.store,
            self._maildrops,
            pop_commands.COMMANDS,
            self._stopping,
            stls=self._starttls_context,
            record=self._record,
            hidden=self._hidden,
        ).serve()


def _close(ports: Sequence[Port]) -> None:
    """Close ports; those whose client takes nothing are cut off, all at the same time."""
    for port in ports:
        port.close()
    deadline = time.monotonic() + _PATIENCE
    for port in ports:
        port.join(deadline)
    for port in ports:
        port.hang_up(writing=True)
    for port in ports:
        port.join(deadline + _PATIENCE / 2)
