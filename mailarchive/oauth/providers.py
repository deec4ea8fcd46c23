"""Who gives tokens: two well-known providers, and any other by its issuer URL (RFC 8414, OpenID Connect Discovery).

The law of this room: nothing goes anywhere but over HTTPS; what an issuer says of itself counts only if it names itself
as it was asked for. The client id is the user's own; none is built in, and none of another program is borrowed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from mailarchive.errors import ConfigError, ProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailarchive.address import Protocol
    from mailarchive.config_values import OAuthKeys

_MICROSOFT: Final = "https://login.microsoftonline.com/"
_MICROSOFT_SCOPES: Final = {
    "imap": "https://outlook.office.com/IMAP.AccessAsUser.All",
    "pop": "https://outlook.office.com/POP.AccessAsUser.All",
}


@dataclass(frozen=True, slots=True)
class Provider:
    """Where tokens come from.

    Attributes:
        name: For people.
        token_url: Where a code or a refresh token becomes an access token (RFC 6749 section 3.2).
        device_url: Where a device code is given out (RFC 8628 section 3.1); empty where there is none.
        authorization_url: What a person opens in a browser (RFC 6749 section 3.1); empty where there is none.
        scopes: What is asked for.
        redirect_host: The name of this computer that the provider takes in a redirect (RFC 8252 section 7.3).
        extra: Further parameters of `authorization_url`.
    """

    name: str
    token_url: str = ""
    device_url: str = ""
    authorization_url: str = ""
    scopes: tuple[str, ...] = ()
    redirect_host: str = "127.0.0.1"
    extra: tuple[tuple[str, str], ...] = ()


_GOOGLE: Final = Provider(
    "Google",
    token_url="https://oauth2.googleapis.com/token",  # noqa: S106 - an address
    authorization_url="https://accounts.google.com/o/oauth2/v2/auth",
    scopes=("https://mail.google.com/",),
    # Without these two Google gives a refresh token only the first time that a person consents.
    extra=(("access_type", "offline"), ("prompt", "consent")),
)


def provider_for(keys: OAuthKeys, protocol: Protocol, ask: Callable[[str], Any]) -> Provider:
    """Say where the tokens of an account come from.

    Args:
        keys: What the configuration says.
        protocol: What the tokens are for.
        ask: Gets the JSON of an HTTPS address; raises MailarchiveError.

    Raises:
        ConfigError: An address is not HTTPS.
        ProtocolError: An issuer does not describe itself as it should.
    """
    known = _known(keys.provider, protocol)
    if keys.scopes:
        known = replace(known, scopes=keys.scopes)
    if keys.issuer is None:
        return known
    found = _described(keys.issuer, ask)
    return replace(
        known,
        name=known.name or keys.issuer,
        token_url=_endpoint(keys.issuer, found, "token_endpoint", needed=True),
        device_url=_endpoint(keys.issuer, found, "device_authorization_endpoint"),
        authorization_url=_endpoint(keys.issuer, found, "authorization_endpoint"),
    )


def _known(provider: str | None, protocol: Protocol) -> Provider:
    if provider == "google":
        return _GOOGLE
    if provider == "microsoft":
        return Provider(
            "Microsoft",
            token_url=f"{_MICROSOFT}common/oauth2/v2.0/token",
            device_url=f"{_MICROSOFT}common/oauth2/v2.0/devicecode",
            authorization_url=f"{_MICROSOFT}common/oauth2/v2.0/authorize",
            scopes=(_MICROSOFT_SCOPES[protocol], "offline_access"),
            # Of a loopback redirect Microsoft ignores the port only with this name.
            redirect_host="localhost",
        )
    return Provider(provider or "")


def _described(issuer: str, ask: Callable[[str], Any]) -> dict[str, Any]:
    """Get what an issuer says of itself, from where OpenID Connect or else RFC 8414 section 3.1 puts it."""
    parts = urlsplit(https(issuer, "the issuer"))
    place, path = f"https://{parts.netloc}", parts.path.rstrip("/")
    urls = (
        f"{place}{path}/.well-known/openid-configuration",
        f"{place}/.well-known/oauth-authorization-server{path}",
    )
    found = next((said for url in urls if (said := ask(url)) is not None), None)
    if not isinstance(found, dict):
        raise ProtocolError(
            f"{issuer} does not describe itself", hint="check `issuer`: what stands before /.well-known/"
        )
    named = found.get("issuer")
    # Microsoft names every tenant by its number, and its issuer for all of them by a pattern.
    same = isinstance(named, str) and (named.rstrip("/") == issuer.rstrip("/") or _both_microsoft(named, issuer))
    if not same:
        raise ProtocolError(f"{issuer} calls itself by another name; that cannot be trusted")
    return found


def _both_microsoft(one: str, other: str) -> bool:
    return one.startswith(_MICROSOFT) and other.startswith(_MICROSOFT)


def _endpoint(issuer: str, found: dict[str, Any], key: str, *, needed: bool = False) -> str:
    url = found.get(key, "")
    if not isinstance(url, str) or not (url or not needed):
        raise ProtocolError(f"{issuer} names no {key}")
    return url and https(url, f"{key} of {issuer}")


def https(url: str, what: str) -> str:
    """Give an address back if it is one of HTTPS. Raises ConfigError."""
    try:
        parts = urlsplit(url)
        right = parts.scheme == "https" and parts.hostname and not parts.username and not parts.fragment
    except ValueError:
        right = False
    if not right or not url.isascii() or not url.isprintable() or " " in url:
        raise ConfigError(f"{what} is not an address that begins with https://")
    return url
