"""A real browser without a window, and a listener that hears whatever it asks for."""

from __future__ import annotations

import http.server
import subprocess
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self

_QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--no-pings",
    "--disable-extensions",
    "--metrics-recording-only",
    "--disable-features=OptimizationHints,MediaRouter,Translate",
    "--virtual-time-budget=3000",
    "--run-all-compositor-stages-before-draw",
    "--hide-scrollbars",
]


class Listener:
    """Answers every request on a port of the loopback address, and keeps the paths that were asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        listener = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                listener.asked.append(self.path)
                self.send_response(204)
                self.end_headers()

            do_POST = do_GET  # noqa: N815 - the name that the server looks for

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join(5)
        self._server.server_close()

    @property
    def beacons(self) -> list[str]:
        """What a message asked for; a browser may have asked for things of its own."""
        return [path for path in self.asked if "beacon" in path]


def opened(chromium: str, page: Path, home: Path, listener: Listener, *more: str) -> str:
    """Open a page, let it do what it does, and give its document as it is then; every name leads to the listener."""
    command = [
        chromium,
        *_QUIET,
        f"--user-data-dir={home / 'profile'}",
        f"--host-resolver-rules=MAP * {listener.host}",
        *(more or ("--dump-dom",)),
        page.as_uri(),
    ]
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "TZ": "UTC"}
    done = subprocess.run(command, capture_output=True, check=False, timeout=100, env=environment)
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")[-2000:]
    return done.stdout.decode("utf-8", "replace")
