"""Who gives tokens, and what is believed of what an issuer says of itself (RFC 8414, OpenID Connect Discovery)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mailarchive.config_values import OAuthKeys
from mailarchive.errors import ConfigError, ProtocolError
from mailarchive.oauth.providers import provider_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailarchive.errors import MailarchiveError


def described(answer: Any) -> Callable[[str], Any]:
    """Answer every question with the same."""
    return lambda _url: answer


ISSUER = "https://id.example.org/realm"
RIGHT = {"issuer": ISSUER, "token_endpoint": "https://id.example.org/t"}


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (None, ProtocolError),
        ([], ProtocolError),
        ({}, ProtocolError),
        (RIGHT | {"issuer": "https://evil.example/realm"}, ProtocolError),
        (RIGHT | {"issuer": ["x"]}, ProtocolError),
        (RIGHT | {"token_endpoint": None}, ProtocolError),
        (RIGHT | {"token_endpoint": ""}, ProtocolError),
        (RIGHT | {"token_endpoint": "http://id.example.org/t"}, ConfigError),
        (RIGHT | {"device_authorization_endpoint": "ftp://x/"}, ConfigError),
        (RIGHT | {"authorization_endpoint": 5}, ProtocolError),
    ],
)
def test_an_issuer_must_name_itself_and_https(answer: Any, kind: type[MailarchiveError]) -> None:
    """RFC 8414 section 3.3, and no address of clear text."""
    with pytest.raises(kind):
        provider_for(OAuthKeys(issuer=ISSUER), "imap", described(answer))


def test_an_issuer_is_asked_in_both_places() -> None:
    """OpenID Connect puts its description behind the path, RFC 8414 before it."""
    asked: list[str] = []

    def ask(url: str) -> Any:
        asked.append(url)
        return None if len(asked) == 1 else RIGHT

    found = provider_for(OAuthKeys(issuer=ISSUER + "/", scopes=("mail",)), "imap", ask)
    assert asked == [
        "https://id.example.org/realm/.well-known/openid-configuration",
        "https://id.example.org/.well-known/oauth-authorization-server/realm",
    ]
    assert (found.token_url, found.device_url, found.scopes) == ("https://id.example.org/t", "", ("mail",))


def test_a_tenant_of_microsoft_goes_by_another_name() -> None:
    """It is asked for by its domain and calls itself by its number."""
    issuer = "https://login.microsoftonline.com/example.org/v2.0"
    answer = {
        "issuer": "https://login.microsoftonline.com/1234/v2.0",
        "token_endpoint": "https://login.microsoftonline.com/t",
    }
    assert provider_for(OAuthKeys(provider="microsoft", issuer=issuer), "imap", described(answer)).token_url
    with pytest.raises(ProtocolError):
        provider_for(
            OAuthKeys(issuer=issuer), "imap", described({**answer, "issuer": "https://login.microsoftonline.com.evil/"})
        )


@pytest.mark.parametrize(
    ("provider", "protocol", "scope", "device"),
    [
        ("microsoft", "imap", "https://outlook.office.com/IMAP.AccessAsUser.All", True),
        ("microsoft", "pop", "https://outlook.office.com/POP.AccessAsUser.All", True),
        ("google", "imap", "https://mail.google.com/", False),
    ],
)
def test_the_known_providers(provider: str, protocol: Any, scope: str, device: bool) -> None:
    """Nobody is asked where they are, and all their addresses are HTTPS; scopes of one's own replace theirs."""

    def nobody(url: str) -> None:
        raise AssertionError(url)

    found = provider_for(OAuthKeys(provider=provider), protocol, nobody)
    assert scope in found.scopes
    assert bool(found.device_url) is device
    for url in (found.token_url, found.authorization_url, found.device_url or found.token_url):
        assert url.startswith("https://")
    assert provider_for(OAuthKeys(provider=provider, scopes=("x",)), protocol, nobody).scopes == ("x",)
