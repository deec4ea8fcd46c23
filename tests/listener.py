"""A small HTTP server on this computer that writes down what it is asked, for tests of pings."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl
    from types import TracebackType
    from typing import Self


class _Silent(ThreadingHTTPServer):
    def handle_error(self, *_: Any) -> None:
        """Say nothing of a client that goes away."""


class Listener:
    """Answers each request with the next of some codes, and with the last one from there on.

    Attributes:
        asked: The targets of all requests, in order.
        location: Where a redirection points.
    """

    def __init__(self, *codes: int, location: str = "", context: ssl.SSLContext | None = None) -> None:
        self.asked: list[str] = []
        self.location = location
        codes = codes or (200,)
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                self.send_response(codes[min(len(asked), len(codes)) - 1])
                if location:
                    self.send_header("Location", location)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = _Silent(("127.0.0.1", 0), Handler)
        if context is not None:
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._server.server_port

    @property
    def url(self) -> str:
        """The address to ping."""
        return f"http://127.0.0.1:{self._server.server_port}/canary-uuid-4711"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
