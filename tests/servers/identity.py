"""An identity provider on this computer: device codes, a browser's consent, refresh, and refusals; over real TLS.

Its access tokens are JSON Web Tokens (RFC 7519, HS256), so that a Dovecot that has the key judges them by itself; for
one that asks it answers introspection (RFC 7662). A refresh token is good once, as careful providers have it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
import ssl
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.servers.dovecot import _certificates

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self

DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
CLIENT = "client-of-a-person"


class Identity:
    """The provider; use it as a context manager.

    Attributes:
        user: Whom it gives tokens for.
        lifetime: Seconds that an access token says it lives.
        script: What the next requests to the token endpoint are answered with: an error code, an answer's octets with
            its status, or None for what is right.
        requests: Each form that came to the token or device endpoint, with the path as `path`.
        given: Every secret that it gave out.
        device: What the answer of the device endpoint is overlaid with. `described`: likewise of the discovery.
        denies: Whether the person says no in the browser.
        client_secret: What a client must show; empty for nothing.
    """

    def __init__(self, user: str, *, lifetime: float = 3600) -> None:
        self.user, self.lifetime = user, lifetime
        self.script: list[str | tuple[int, bytes] | None] = []
        self.requests: list[dict[str, str]] = []
        self.given: list[str] = []
        self.device: dict[str, Any] = {}
        self.described: dict[str, Any] = {}
        self.denies = False
        self.client_secret = ""
        self.key = secrets.token_bytes(32)
        self._refresh: set[str] = set()
        self._access: set[str] = set()
        self._codes: dict[str, dict[str, str]] = {}
        self._devices: set[str] = set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.identity = self  # type: ignore[attr-defined] # where the handler finds it
        authority, certificate = _certificates()
        self._authority = authority
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    @property
    def issuer(self) -> str:
        """Its address."""
        return f"https://localhost:{self._server.server_address[1]}"

    def trust(self, folder: Path) -> Path:
        """Write down the authority that signed its certificate; gives the file."""
        path = folder / "authority.pem"
        self._authority.cert_pem.write_to_path(path)
        return path

    def remember(self, text: str) -> str:
        """Count a text among the secrets that it gave."""
        self.given.append(text)
        return text

    def access_token(self, lifetime: float | None = None) -> str:
        """Make an access token that ends in so many seconds."""
        now = time.time()
        ends = now + (self.lifetime if lifetime is None else lifetime)
        claims: dict[str, Any] = {
            "jti": secrets.token_hex(8),
            "iss": self.issuer,
            "sub": self.user,
            "email": self.user,
            "iat": int(now) - 5,
            "exp": int(ends),
        }
        head, body = (_coded(json.dumps(each).encode()) for each in ({"alg": "HS256", "typ": "JWT"}, claims))
        signature = _coded(hmac.digest(self.key, f"{head}.{body}".encode(), "sha256"))
        token = self.remember(f"{head}.{body}.{signature}")
        self._access.add(token)
        return token

    def tokens(self) -> dict[str, Any]:
        """Give an answer of the token endpoint (RFC 6749 section 5.1)."""
        refresh = self.remember(f"refresh-{secrets.token_urlsafe(24)}")
        self._refresh.add(refresh)
        # Granted is named differently from what was asked for, as Microsoft does.
        return {
            "access_token": self.access_token(),
            "refresh_token": refresh,
            "token_type": "Bearer",
            "expires_in": int(self.lifetime),
            "scope": "mail",
        }

    def revoke(self) -> None:
        """Take every refresh token no more."""
        self._refresh.clear()

    def description(self) -> dict[str, Any]:
        """Give what it says of itself (RFC 8414 section 3.2)."""
        issuer = self.issuer
        return {
            "issuer": issuer,
            "token_endpoint": f"{issuer}/token",
            "device_authorization_endpoint": f"{issuer}/device",
            "authorization_endpoint": f"{issuer}/authorize",
            **self.described,
        }

    def device_code(self) -> dict[str, Any]:
        """Give a device code (RFC 8628 section 3.2)."""
        code = self.remember(f"device-{secrets.token_urlsafe(12)}")
        self._devices.add(code)
        here = {"verification_uri": f"{self.issuer}/here", "user_code": "ABCD-EFGH", "interval": 1, "expires_in": 900}
        return {"device_code": code, **here, **self.device}

    def consent(self, query: dict[str, str]) -> str:
        """Do what a person does in the browser; gives where the browser is sent."""
        if self.denies:
            answer = {"error": "access_denied", "state": query["state"]}
        else:
            code = self.remember(f"code-{secrets.token_urlsafe(12)}")
            self._codes[code] = query
            answer = {"code": code, "state": query["state"]}
        return f"{query['redirect_uri']}?{urlencode(answer)}"

    def exchange(self, form: dict[str, str]) -> tuple[int, Any]:
        """Answer the token endpoint."""
        scripted = self.script.pop(0) if self.script else None
        if isinstance(scripted, tuple):
            return scripted
        error = scripted or self._refusal(form)
        if error:
            # An answer that repeats what it was asked with, to see whether anybody prints that.
            said = " ".join(form.values())
            return 400, {"error": error, "error_description": f"no: {said}\x1b[31m\r\nsecond line"}
        return 200, self.tokens()

    def _refusal(self, form: dict[str, str]) -> str:
        """Judge a request (RFC 6749 section 5.2); gives the error code, or nothing."""
        if form.get("client_id") != CLIENT or form.get("client_secret", "") != self.client_secret:
            return "invalid_client"
        kind = form.get("grant_type")
        if kind == "refresh_token":
            known = form.get("refresh_token", "") in self._refresh
            self._refresh.discard(form.get("refresh_token", ""))
            return "" if known else "invalid_grant"
        if kind == DEVICE:
            return "" if form.get("device_code") in self._devices else "expired_token"
        asked = self._codes.pop(form.get("code", ""), None)
        if kind != "authorization_code" or asked is None:
            return "invalid_grant"
        challenge = _coded(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        right = (asked["code_challenge"], asked["redirect_uri"]) == (challenge, form.get("redirect_uri"))
        return "" if right and asked["code_challenge_method"] == "S256" else "invalid_grant"

    def introspect(self, token: str) -> dict[str, Any]:
        """Say whether an access token is good (RFC 7662 section 2.2)."""
        active = token in self._access
        return {"active": active, "email": self.user, "username": self.user} if active else {"active": False}


class _Handler(BaseHTTPRequestHandler):
    timeout = 10

    @property
    def _identity(self) -> Identity:
        identity: Identity = self.server.identity  # type: ignore[attr-defined] # put there by Identity
        return identity

    def do_GET(self) -> None:
        """Describe the provider, or send a browser on its way."""
        parts = urlsplit(self.path)
        if parts.path == "/.well-known/openid-configuration":
            self._answer(200, self._identity.description())
        elif parts.path == "/authorize":
            target = self._identity.consent({key: values[0] for key, values in parse_qs(parts.query).items()})
            self.send_response(302)
            self.send_header("Location", target)
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._answer(404, {})

    def do_POST(self) -> None:
        """Answer a form."""
        octets = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        form = {key: values[0] for key, values in parse_qs(octets.decode()).items()}
        if self.path == "/introspect":
            self._answer(200, self._identity.introspect(form.get("token", "")))
            return
        self._identity.requests.append({"path": self.path, **form})
        if self.path == "/device":
            self._answer(200, self._identity.device_code())
        else:
            self._answer(*self._identity.exchange(form))

    def _answer(self, status: int, body: Any) -> None:
        octets = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header("Location", body.decode())
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(octets)))
        self.end_headers()
        self.wfile.write(octets)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _coded(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def redirected(url: str) -> str:
    """Ask a provider for its page, as a browser does, and give the address that it sends the browser to."""

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: Any) -> None:
            return None

    context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
    opener = urllib.request.build_opener(Stay, urllib.request.HTTPSHandler(context=context))
    try:
        opener.open(url, timeout=10)
    except urllib.error.HTTPError as answer:
        with answer:
            return str(answer.headers["Location"])
    raise AssertionError("no redirect")
