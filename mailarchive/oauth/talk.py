"""How we talk to a provider: over HTTPS only, with a time limit, to no other place than was asked for.

The law of this room: the only file that knows oauthlib and requests, extras that are imported where they are used; what
they log is switched off, because it holds tokens; what they raise becomes one of our errors, with every secret of the
talk taken out of the provider's words.
"""

from __future__ import annotations

import logging
import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from mailarchive.errors import ConfigError, LaterError, MailarchiveError, ProtocolError, SignInError, UnreachableError
from mailarchive.oauth.providers import https
from mailarchive.scrub import Scrubber

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from oauthlib.oauth2 import Client
    from requests import Response
    from requests_oauthlib import OAuth2Session

    from mailarchive.secret import Secret

TIMEOUT: Final = 30.0
WORDS: Final = 300
"""Characters of a provider's sentence that people are shown."""
_TEMPORARY: Final = frozenset({"temporarily_unavailable", "server_error"})


class PendingError(Exception):
    """The person has not said yes yet (RFC 8628 section 3.5); `slower` if we ask too often."""

    def __init__(self, *, slower: bool) -> None:
        super().__init__()
        self.slower = slower


class Talk:
    """One conversation with a provider.

    Args:
        client_id: The user's own; sent in clear, as RFC 6749 section 2.3.1 has it, and no secret.
        client_secret: What some providers want of an installed program besides; None for none.
        advice: The hint where a sign-in is refused.
    """

    def __init__(self, client_id: str, client_secret: Secret | None, advice: str) -> None:
        _require()
        _quiet()
        self.client_id = client_id
        self.advice = advice
        self._client_secret = client_secret.reveal() if client_secret else None
        self._scrubber = Scrubber([client_secret.reveal()] if client_secret else ())

    def hide(self, *texts: str) -> None:
        """Take these out of everything that the provider says from now on."""
        for text in texts:
            self._scrubber.add(text)

    def get(self, url: str) -> Any:
        """Get the JSON of an address; None where there is nothing (404).

        Raises:
            UnreachableError, LaterError, ProtocolError: As their names say.
        """
        with self._understood(url), self.session() as session:
            response = session.get(https(url, "the address"), timeout=TIMEOUT)
            if response.status_code == 404:
                return None
            return _passed(response).json()

    def post(self, url: str, body: Mapping[str, str]) -> Any:
        """Post a form; gives the JSON of the answer. Raises as `get`, and SignInError."""
        from oauthlib.oauth2.rfc6749.errors import raise_from_error

        with self._understood(url), self.session() as session:
            answer = _passed(session.post(https(url, "the address"), data=dict(body), timeout=TIMEOUT)).json()
            if isinstance(answer, dict) and "error" in answer:
                raise_from_error(answer["error"], answer)
            return answer

    def token(self, session: OAuth2Session, url: str, **parameters: str) -> dict[str, Any]:
        """Exchange a code for tokens.

        Raises:
            PendingError: A person is still to be waited for.
            SignInError, UnreachableError, LaterError, ProtocolError: As their names say.
        """
        # The scope is not repeated: what is granted may be named differently, which the library takes for an attack.
        session.scope = None
        with self._understood(url):
            found: dict[str, Any] = session.fetch_token(
                https(url, "the address"),
                include_client_id=True,
                timeout=TIMEOUT,
                client_secret=self._client_secret,
                **parameters,  # type: ignore[arg-type] # texts only, of which none is an argument named above
            )
        return found

    def refreshed(self, url: str, refresh_token: str) -> dict[str, Any]:
        """Exchange a refresh token for new tokens; see `token`."""
        with self._understood(url), self.session() as session:
            found: dict[str, Any] = session.refresh_token(
                https(url, "the address"),
                refresh_token=refresh_token,
                client_id=self.client_id,
                timeout=TIMEOUT,
                client_secret=self._client_secret,
            )
        return found

    def session(self, client: Client | None = None, **more: Any) -> OAuth2Session:
        """Make a session of the library, which trusts whom this computer trusts and follows no redirect."""
        from requests_oauthlib import OAuth2Session

        session = OAuth2Session(self.client_id, client=client, **more)
        # A redirect of a POST would carry the refresh token to wherever it points.
        session.max_redirects = 0
        paths = ssl.get_default_verify_paths()
        session.verify = paths.cafile or paths.capath or True
        for kind in ("access_token_response", "refresh_token_response"):
            session.compliance_hook[kind].add(_passed)
        return session

    @contextmanager
    def _understood(self, url: str) -> Iterator[None]:
        """Turn what the libraries raise into our errors; nothing of theirs hangs on them."""
        try:
            yield
        except (MailarchiveError, PendingError):
            raise
        except Exception as raised:  # noqa: BLE001 - which ones the libraries raise is their own affair
            raise self._error(raised, url) from None

    def _error(self, raised: Exception, url: str) -> Exception:
        import requests
        from oauthlib.oauth2 import OAuth2Error

        host = url.partition("://")[2].partition("/")[0]
        if isinstance(raised, OAuth2Error) and type(raised).__name__ != "MissingTokenError":
            return self._refusal(raised, host)
        if isinstance(raised, requests.exceptions.SSLError):
            return UnreachableError(f"the certificate of {host} is not trusted; nothing was sent")
        if isinstance(raised, requests.exceptions.Timeout):
            return UnreachableError(f"{host} did not answer for {TIMEOUT:.0f} s", temporary=True)
        if isinstance(raised, requests.exceptions.TooManyRedirects):
            return ProtocolError(f"{host} sends us elsewhere; that is not followed")
        if isinstance(raised, requests.exceptions.ConnectionError):
            return UnreachableError(f"cannot connect to {host}", temporary=True)
        return ProtocolError(f"{host} answers something that cannot be read ({type(raised).__name__})")

    def _refusal(self, raised: Exception, host: str) -> Exception:
        code = str(getattr(raised, "error", "") or "")
        if code in ("authorization_pending", "slow_down"):
            return PendingError(slower=code == "slow_down")
        said = str(getattr(raised, "description", "") or "").splitlines()
        words = self._scrubber.scrub(": ".join([code, *said[:1]]))[:WORDS]
        if code in _TEMPORARY:
            return LaterError(f"{host} does not answer now ({words})")
        return SignInError(f"{host} refuses ({words})", hint=self.advice)


def _passed(response: Response) -> Response:
    """Let an answer through that a provider gives on purpose: also an error in JSON, but none of a broken server."""
    host = response.url.partition("://")[2].partition("/")[0]
    if response.status_code == 429:
        raise LaterError(f"{host} asks us to wait", hint="run it again in some minutes")
    if response.status_code >= 500:
        raise UnreachableError(f"{host} does not work now (status {response.status_code})", temporary=True)
    return response


def _quiet() -> None:
    """Switch off what the libraries log: every request, with its secrets."""
    for name in ("requests_oauthlib", "oauthlib"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.CRITICAL + 1)
        logger.propagate = False


def _require() -> None:
    """Raise ConfigError, with what to type, if the extra is not installed."""
    try:
        import requests_oauthlib  # noqa: F401 - to see whether it is there, and oauthlib with it
    except ImportError:
        raise ConfigError(
            "OAuth2 needs a part that is not installed", hint="pip install 'mailarchive[oauth]'"
        ) from None
