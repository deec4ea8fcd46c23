"""Signing in with the browser of this computer: the provider sends it back to a port of ours (RFC 8252, RFC 7636).

The law of this room: we listen on 127.0.0.1 only, for one answer, which must carry the state that only the browser of
this attempt knows; the code in it is worth nothing without the verifier that never leaves this process. No line that a
browser sends is logged.
"""

from __future__ import annotations

import os
import select
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from mailarchive.errors import SignInError
from mailarchive.scrub import scrub

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from mailarchive.oauth.providers import Provider
    from mailarchive.oauth.talk import Talk

LONGEST = 600.0
"""Seconds that a person may take."""
_LINE = 5.0
"""Seconds that a browser may take for its request."""
_MOST = 8192
"""Octets of an address that is pasted."""
_DONE = b"<!doctype html><title>mailarchive</title><p>You are signed in. This window can be closed."
_OTHER = b"<!doctype html><title>mailarchive</title><p>This is not the answer that is waited for."


class Address(NamedTuple):
    """What a person opens in a browser, and the port on which the answer comes back."""

    url: str
    port: int


def loopback_tokens(
    talk: Talk,
    provider: Provider,
    tell: Callable[[Address], None],
    *,
    clock: Callable[[], float],
    pasted: TextIO | None = None,
) -> dict[str, Any]:
    """Get tokens by way of a browser.

    Args:
        talk: With the provider.
        provider: It has an `authorization_url`.
        tell: Shows the address to the person, or opens it.
        clock: Seconds that never go backwards.
        pasted: Where a person may type the address that the browser ended at, if it runs on another computer; None
            where nobody may be asked.

    Raises:
        SignInError: The person said no, or nothing in time.
        MailarchiveError: The provider cannot be reached or understood.
    """
    with _Listener() as listener:
        redirect = f"http://{provider.redirect_host}:{listener.port}/"
        session = talk.session(redirect_uri=redirect, scope=list(provider.scopes), pkce="S256")
        with session:
            url, state = session.authorization_url(provider.authorization_url, **dict(provider.extra))
            listener.state = state
            tell(Address(url, listener.port))
            answer = _wait(listener, clock, pasted)
            if answer is None:
                raise SignInError(f"nobody has said yes to {provider.name} in time", hint=talk.advice)
            code = answer.get("code", [""])[0]
            if not code:
                said = scrub(answer.get("error", ["no code"])[0], [state])[:100]
                raise SignInError(f"{provider.name} refuses ({said})", hint=talk.advice)
            talk.hide(code)
            return talk.token(session, provider.token_url, code=code)


def _wait(listener: _Listener, clock: Callable[[], float], pasted: TextIO | None) -> dict[str, list[str]] | None:
    """Wait for the browser, or for a person who pastes where it ended; None if neither comes in time."""
    end = clock() + LONGEST
    source = None if pasted is None else pasted.fileno()
    typed = b""
    while listener.answer is None and (left := end - clock()) > 0:
        sources: list[Any] = [listener] if source is None else [listener, source]
        ready = select.select(sources, [], [], min(left, 1.0))[0]
        if listener in ready:
            listener.handle_request()
        elif ready and source is not None:
            # Read past the buffer of the stream, which may hold lines that nobody waits for any more.
            piece = os.read(source, _MOST)
            source = source if piece else None
            *lines, typed = [*(typed + piece).split(b"\n"), *([] if piece else [b""])]
            typed = typed[-_MOST:]
            for line in lines:
                listener.take(line.decode("ascii", "replace"))
    return listener.answer


class _Listener(TCPServer):
    """Waits on a free port of this computer for the one request that carries our state."""

    timeout = _LINE

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.state = ""
        self.answer: dict[str, list[str]] | None = None

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    def take(self, address: str) -> bool:
        """Take the answer out of an address, if it is the one that is waited for."""
        query: dict[str, list[str]] = {}
        with suppress(ValueError):
            query = parse_qs(urlsplit(address.strip()).query, max_num_fields=30)
        if self.answer is None and query.get("state") == [self.state] and ("code" in query or "error" in query):
            self.answer = query
            return True
        return False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that hangs up ends nothing."""


class _Handler(BaseHTTPRequestHandler):
    server: _Listener
    timeout = _LINE

    def do_GET(self) -> None:
        """Answer a browser."""
        taken = self.server.take(self.path)
        body = _DONE if taken else _OTHER
        self.send_response(200 if taken else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        # The address holds the code: no other page is to be told where the browser came from.
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing: the line holds the code."""
