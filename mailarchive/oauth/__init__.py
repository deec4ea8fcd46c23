"""Signing in by OAuth2: an access token for each session, renewed when its time is over.

The law of this room: a token is asked for only where one is needed; a refresh token is used under the account's lock,
and its successor is kept before anything else happens, because a provider may take each of them only once; a sign-in
that is over ends with what to type.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from mailarchive.errors import ConfigError, ProtocolError, SignInError
from mailarchive.oauth.providers import provider_for
from mailarchive.secret import Secret, checked
from mailarchive.secret_command import printed
from mailarchive.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TextIO

    from mailarchive.address import ServerAddress
    from mailarchive.config_values import OAuthKeys
    from mailarchive.oauth.device import UserCode
    from mailarchive.oauth.loopback import Address
    from mailarchive.oauth.providers import Provider
    from mailarchive.oauth.talk import Talk
    from mailarchive.tokens import TokenStore

LONGEST: Final = 400 * 86400.0
"""Seconds after which no access token is believed to be good."""
EARLY: Final = 120.0
"""Seconds before its end from which on a token is not used any more."""


class HelperToken:
    """Tokens that a command of the user's prints, one for each session; a `Proof`."""

    def __init__(self, command: str | tuple[str, ...], account: str, environ: Mapping[str, str]) -> None:
        self._command, self._account, self._environ = command, account, environ
        self._last: Secret | None = None

    def current(self) -> Secret:
        """Run the command. Raises ConfigError."""
        what = f"{self._account}: the token command"
        octets = printed(self._command, self._environ, what, kind="token")
        advice = "the token of token_command was refused: run the command yourself, or sign in with its program again"
        self._last = checked(octets, f"{what}'s output", kind="token", is_token=True, advice=advice)
        return self._last

    def renewed(self) -> Secret | None:
        """Run it once more; None if it prints the same."""
        before = self._last
        fresh = self.current()
        return None if fresh == before else fresh


class Grant:
    """What a person has granted us at a provider; a `Proof`.

    Args:
        keys: What the configuration says; it has a client id.
        account: Name of the account.
        address: What the tokens are for.
        store: Where they are kept.
        environ: The environment variables, for the command that prints the client's secret.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        keys: OAuthKeys,
        account: str,
        address: ServerAddress,
        store: TokenStore,
        environ: Mapping[str, str],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys, self._account, self._address = keys, account, address
        self._store, self._environ, self._clock = store, environ, clock
        self._advice = f"mailarchive login {account}"
        self._is_fresh = True
        self._talking: tuple[Talk, Provider] | None = None
        who = (keys.provider or "", keys.issuer or "", keys.client_id or "", address.user, address.protocol)
        self._owner = " ".join(who)

    def current(self) -> Secret:
        """Give a token that is still good, renewed if it has to be.

        Raises:
            SignInError: Nobody has signed in, or the provider takes our refresh token no more.
            MailarchiveError: The provider or the store fails.
        """
        found = self._kept()
        if found.expires_at is None or found.expires_at - self._clock() > EARLY:
            self._is_fresh = False
            return self._given(found)
        return self._refreshed(found)

    def renewed(self) -> Secret | None:
        """Renew a token that was refused; None if it cannot be, or was given out fresh."""
        found = self._kept()
        if found.refresh is None or self._is_fresh:
            return None
        return self._refreshed(found)

    def by_device(
        self,
        tell: Callable[[UserCode], None],
        *,
        wait: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Sign in by a code (RFC 8628) and keep the tokens. Raises MailarchiveError."""
        from mailarchive.oauth.device import device_tokens

        talk, provider = self._talk()
        self._keep(device_tokens(talk, provider, tell, wait=wait, clock=clock))

    def by_browser(
        self,
        tell: Callable[[Address], None],
        *,
        pasted: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Sign in by a browser (RFC 8252) and keep the tokens. Raises MailarchiveError."""
        from mailarchive.oauth.loopback import loopback_tokens

        talk, provider = self._talk()
        self._keep(loopback_tokens(talk, provider, tell, clock=clock, pasted=pasted))

    def ways(self) -> tuple[bool, bool]:
        """Say whether the provider gives device codes, and whether it works with a browser. Raises MailarchiveError."""
        _, provider = self._talk()
        return bool(provider.device_url), bool(provider.authorization_url)

    def _talk(self) -> tuple[Talk, Provider]:
        """Find out whom to talk to, once: a command that gives the client's secret may ask a person."""
        if self._talking is not None:
            return self._talking
        from mailarchive.oauth.talk import Talk

        secret = None
        if self._keys.client_secret_command is not None:
            what = f"{self._account}: the client_secret_command"
            octets = printed(self._keys.client_secret_command, self._environ, what, kind="secret")
            secret = checked(octets, f"{what}'s output", kind="secret")
        talk = Talk(self._keys.client_id or "", secret, self._advice)
        self._talking = talk, provider_for(self._keys, self._address.protocol, talk.get)
        return self._talking

    def _kept(self) -> Tokens:
        found = self._store.load()
        if found is None or found.owner != self._owner:
            raise SignInError(f"{self._account}: nobody has signed in yet", hint=self._advice)
        return found

    def _given(self, tokens: Tokens) -> Secret:
        return Secret(tokens.access.reveal(), is_token=True, advice=self._advice)

    def _refreshed(self, seen: Tokens) -> Secret:
        self._is_fresh = True
        with self._store.locked():
            found = self._kept()
            if found != seen:
                # Another run has renewed it in the meantime.
                return self._given(found)
            if found.refresh is None:
                raise SignInError(f"{self._account}: the sign-in has expired", hint=self._advice)
            talk, provider = self._talk()
            talk.hide(found.access.reveal(), found.refresh.reveal())
            answer = talk.refreshed(provider.token_url, found.refresh.reveal())
            return self._given(self._saved(answer))

    def _keep(self, answer: dict[str, Any]) -> None:
        if not answer.get("refresh_token"):
            raise ConfigError(
                f"{self._account}: the provider gives no refresh token, so every run would need a person",
                hint="add what it wants for one to `scopes`, often offline_access",
            )
        with self._store.locked():
            self._saved(answer)

    def _saved(self, answer: dict[str, Any]) -> Tokens:
        """Keep what a provider gave."""
        access, refresh, seconds = (answer.get(key) for key in ("access_token", "refresh_token", "expires_in"))
        for text in (access, refresh):
            if not isinstance(text, str) or not text.isascii() or not text.isprintable():
                raise ProtocolError(f"{self._account}: the provider gives something that is no token")
        lifetime = _lifetime(seconds)
        expires_at = self._clock() + lifetime if lifetime is not None else None
        tokens = Tokens(self._owner, Secret(str(access), is_token=True), Secret(str(refresh)), expires_at)
        self._store.save(tokens)
        return tokens


def _lifetime(seconds: Any) -> float | None:
    """Read how long a token lives; None where nobody says. JSON knows numbers that no float can hold."""
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or seconds != seconds:  # noqa: PLR0124 - NaN
        return None
    return float(min(max(seconds, 0), LONGEST))
