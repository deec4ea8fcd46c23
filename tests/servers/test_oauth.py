"""OAuth2 with a provider: device codes, browsers, renewal, refusals (RFC 6749, 7636, 8252, 8414, 8628)."""

from __future__ import annotations

import json
import os
import threading
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from mailarchive.address import Security, ServerAddress
from mailarchive.config_values import OAuthKeys
from mailarchive.errors import (
    ConfigError,
    ExitCode,
    LaterError,
    MailarchiveError,
    ProtocolError,
    SignInError,
    UnreachableError,
)
from mailarchive.oauth import Grant, HelperToken
from mailarchive.tokens import TokenStore
from tests.servers.identity import CLIENT, Identity, redirected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mailarchive.oauth.device import UserCode
    from mailarchive.oauth.loopback import Address
    from tests.vault import Vault

USER = "kim@example.org"
SECRET = "client-secret-canary"
IMAP = ServerAddress("imap", Security.TLS, "imap.example.org", 993, USER)


@pytest.fixture
def identity(vault: Vault, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Identity]:
    """Serve a provider that this test trusts, and whose tokens nobody may find but in the file that keeps them."""
    with Identity(USER) as provider:
        monkeypatch.setenv("SSL_CERT_FILE", str(provider.trust(tmp_path)))
        vault.secrets += [provider.given, SECRET]
        vault.keepers.add(home / "state" / "home.json")
        yield provider


@pytest.fixture
def store(home: Path) -> TokenStore:
    """Make the store of an account."""
    return TokenStore(home / "state", "home")


class Clock:
    """Seconds that pass only when somebody waits."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        """Tell the time."""
        return self.now

    def wait(self, seconds: float) -> None:
        """Let seconds pass."""
        self.waits.append(seconds)
        self.now += seconds


def grant(identity: Identity, store: TokenStore, **more: Any) -> Grant:
    """Make the grant of an account whose provider is this one."""
    clock = more.pop("clock", time.time)
    keys = OAuthKeys(**{"issuer": identity.issuer, "client_id": CLIENT, "scopes": ("mail", "offline"), **more})
    return Grant(keys, "home", IMAP, store, {"PATH": os.environ["PATH"]}, clock=clock)


def by_device(made: Grant, clock: Clock | None = None) -> list[UserCode]:
    """Sign in by a code; gives what was shown."""
    shown: list[UserCode] = []
    clock = clock or Clock()
    made.by_device(shown.append, wait=clock.wait, clock=clock)
    return shown


# Device codes


def test_a_device_code_becomes_tokens(identity: Identity, store: TokenStore) -> None:
    """The person sees the address and the code; the scope that comes back may be called differently."""
    made = grant(identity, store)
    assert by_device(made) == [(f"{identity.issuer}/here", "ABCD-EFGH")]
    asked, polled = identity.requests
    assert asked == {"path": "/device", "client_id": CLIENT, "scope": "mail offline"}
    assert (polled["path"], polled["client_id"]) == ("/token", CLIENT)
    secret = made.current()
    assert (secret.reveal(), secret.is_token) == (identity.given[-1], True)
    assert secret.advice == "mailarchive login home"
    assert len(identity.requests) == 2


@pytest.mark.parametrize(
    ("script", "waits"),
    [
        (["authorization_pending"] * 3, [1.0] * 4),
        (["authorization_pending", "slow_down", "authorization_pending", "slow_down"], [1.0, 1.0, 6.0, 6.0, 11.0]),
        ([(503, b"<html>"), "authorization_pending"], [1.0, 2.0, 2.0]),
    ],
)
def test_pending_and_slow_down_are_obeyed(
    identity: Identity, store: TokenStore, script: list[Any], waits: list[float]
) -> None:
    """`slow_down` adds five seconds for good (RFC 8628 section 3.5); a provider that stumbles is asked more rarely."""
    identity.script = script
    clock = Clock()
    by_device(grant(identity, store), clock)
    assert clock.waits == waits


@pytest.mark.parametrize(
    ("overlay", "first"), [({}, 1.0), ({"interval": None}, 5.0), ({"interval": 0}, 5.0), ({"interval": 9999}, 60.0)]
)
def test_the_interval_of_the_provider_is_kept(
    identity: Identity, store: TokenStore, overlay: dict[str, Any], first: float
) -> None:
    """Five seconds where it says none, and never more than a minute."""
    identity.device = overlay
    clock = Clock()
    by_device(grant(identity, store), clock)
    assert clock.waits == [first]


def test_a_code_that_nobody_types_ends(identity: Identity, store: TokenStore, vault: Vault) -> None:
    """When its life is over, not later: 12."""
    identity.script = ["authorization_pending"] * 500
    identity.device = {"expires_in": 10}
    clock = Clock()
    with vault.raises(SignInError) as caught:
        by_device(grant(identity, store), clock)
    assert "in time" in str(caught[0])
    assert len(clock.waits) == 10


@pytest.mark.parametrize("code", ["access_denied", "expired_token", "invalid_client", "unauthorized_client"])
def test_a_refusal_ends_the_sign_in(identity: Identity, store: TokenStore, vault: Vault, code: str) -> None:
    """12, with the provider's word, once, and without what it was asked with, though it repeats that."""
    identity.script = [code]
    with vault.raises(SignInError) as caught:
        by_device(grant(identity, store))
    assert code in str(caught[0])
    assert "***" in str(caught[0])
    assert "second line" not in str(caught[0])
    assert store.load() is None
    assert len(identity.requests) == 2


@pytest.mark.parametrize(
    "overlay",
    [
        {"device_code": None},
        {"user_code": ""},
        {"user_code": 5},
        {"verification_uri": None},
    ],
)
def test_a_senseless_device_code(identity: Identity, store: TokenStore, vault: Vault, overlay: dict[str, Any]) -> None:
    """16."""
    identity.device = overlay
    with vault.raises(ProtocolError):
        by_device(grant(identity, store))


@pytest.mark.parametrize(
    "url", ["http://example.org/", "javascript:alert(1)", "https://", "https://a@b.example/", "https://a b/"]
)
def test_a_person_is_sent_to_https_only(identity: Identity, store: TokenStore, vault: Vault, url: str) -> None:
    """Nobody is told to open anything else."""
    identity.device = {"verification_uri": url}
    with vault.raises(ConfigError):
        by_device(grant(identity, store))


def test_tokens_without_a_refresh_token_are_not_kept(identity: Identity, store: TokenStore, vault: Vault) -> None:
    """A run without a person could do nothing with them; the hint says what to add."""
    answer = {"access_token": identity.remember("access-canary"), "token_type": "Bearer", "expires_in": 3600}
    identity.script = [(200, json.dumps(answer).encode())]
    with vault.raises(ConfigError) as caught:
        by_device(grant(identity, store))
    assert "offline_access" in caught[0].hint  # type: ignore[attr-defined] # one of ours
    assert store.load() is None


# Browsers


class Browser:
    """Opens what it is told in a thread, as a person does."""

    def __init__(self, change: Callable[[str], str] = lambda url: url) -> None:
        self.change = change
        self.opened: list[Address] = []
        self.pages: list[str] = []
        self.ended = ""

    def __call__(self, address: Address) -> None:
        """Be told an address."""
        self.opened.append(address)
        threading.Thread(target=self._open, args=(address.url,), daemon=True).start()

    def _open(self, url: str) -> None:
        with urllib.request.urlopen(redirected(url), timeout=10) as first:
            self.pages.append(first.read().decode())


def test_a_browser_brings_a_code(identity: Identity, store: TokenStore) -> None:
    """By PKCE with S256 and a state, to 127.0.0.1; the person reads that it is done."""
    made, browser = grant(identity, store), Browser()
    made.by_browser(browser)
    ((url, port),) = browser.opened
    asked = {key: values[0] for key, values in parse_qs(urlsplit(url).query).items()}
    assert asked["redirect_uri"] == f"http://127.0.0.1:{port}/"
    assert (asked["response_type"], asked["client_id"], asked["scope"]) == ("code", CLIENT, "mail offline")
    assert asked["code_challenge_method"] == "S256"
    (exchanged,) = identity.requests
    assert len(exchanged["code_verifier"]) >= 43
    assert exchanged["code_verifier"] not in url
    assert made.current().reveal() == identity.given[-1]
    assert "signed in" in browser.pages[0]


def test_a_client_secret_comes_from_a_command(identity: Identity, store: TokenStore, vault: Vault, home: Path) -> None:
    """Google wants one of an installed program; the command runs once. A wrong one is refused and not shown."""
    identity.client_secret = SECRET
    asked = home / "asked"
    made = grant(identity, store, client_secret_command=f"echo x >> {asked}; echo {SECRET}")
    assert made.ways() == (True, True)
    made.by_browser(Browser())
    made.current()
    assert made.renewed() is not None
    assert asked.read_text() == "x\n"
    for command, kind in (("echo client-secret-canary-wrong", SignInError), (f"echo {SECRET}; exit 3", ConfigError)):
        vault.secrets.append("client-secret-canary-wrong")
        with vault.raises(kind):
            grant(identity, store, client_secret_command=command).by_browser(Browser())


def test_a_person_who_says_no(identity: Identity, store: TokenStore, vault: Vault) -> None:
    """12."""
    identity.denies = True
    with vault.raises(SignInError) as caught:
        grant(identity, store).by_browser(Browser())
    assert "access_denied" in str(caught[0])


def test_only_the_answer_with_our_state_counts(identity: Identity, store: TokenStore) -> None:
    """What other pages and programs send to the port is turned away, and the true answer is still taken."""
    seen: list[int] = []

    class Intruder(Browser):
        def _open(self, url: str) -> None:
            port = self.opened[0].port
            for path in (
                "/?code=evil&state=guessed",
                "/?code=evil",
                "/favicon.ico",
                "/?state=x&error=y",
                "/?" + "a=b&" * 99,
            ):
                with pytest.raises(urllib.error.HTTPError) as caught:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10)
                with caught.value as answer:
                    seen.append(answer.code)
            super()._open(url)

    grant(identity, store).by_browser(Intruder())
    assert seen == [404] * 5
    assert store.load() is not None
    assert all(request.get("code") != "evil" for request in identity.requests)


def test_an_address_that_is_pasted_does_as_well(identity: Identity, store: TokenStore) -> None:
    """For a browser on another computer, which cannot open the port; rubbish before it is passed over."""
    there, here = os.pipe()
    made = grant(identity, store)

    def paste(address: Address) -> None:
        os.write(here, b"what?\n" + redirected(address.url).encode() + b"\n")

    with os.fdopen(there) as lines:
        made.by_browser(paste, pasted=lines)
    os.close(here)
    assert store.load() is not None


def test_nobody_comes(identity: Identity, store: TokenStore, vault: Vault) -> None:
    """The waiting ends by itself: 12. An end of the input ends nothing."""
    times = iter([0.0, 1.0, 500.0, 601.0])
    with Path(os.devnull).open() as nothing, vault.raises(SignInError) as caught:
        grant(identity, store).by_browser(lambda _: None, pasted=nothing, clock=lambda: next(times))
    assert "in time" in str(caught[0])


# Renewal


def test_f025_a_token_is_renewed_before_it_ends(identity: Identity, store: TokenStore) -> None:
    """Once for each life of an access token; the new refresh token replaces the old one."""
    now = [time.time()]
    made = grant(identity, store, clock=lambda: now[0])
    by_device(made)
    first = made.current().reveal()
    now[0] += identity.lifetime - 200
    assert made.current().reveal() == first
    now[0] += 150
    second = made.current().reveal()
    assert second != first
    assert identity.requests[-1]["grant_type"] == "refresh_token"
    now[0] += identity.lifetime
    assert made.current().reveal() not in (first, second)
    assert len(identity.requests) == 4


def test_f025_a_refused_token_is_renewed_once(identity: Identity, store: TokenStore) -> None:
    """One that came from the store may be renewed; one that was just given out may not."""
    made = grant(identity, store)
    by_device(made)
    first = made.current()
    fresh = made.renewed()
    assert fresh is not None
    assert fresh != first
    assert made.renewed() is None
    assert made.current() == fresh


@pytest.mark.parametrize("error", ["invalid_grant", "interaction_required", "invalid_client"])
def test_f025_a_grant_that_is_over(identity: Identity, store: TokenStore, vault: Vault, error: str) -> None:
    """12, the hint says what to type, and the provider is asked once."""
    now = [time.time()]
    made = grant(identity, store, clock=lambda: now[0])
    by_device(made)
    now[0] += identity.lifetime
    identity.script = [error]
    before = len(identity.requests)
    with vault.raises(SignInError) as caught:
        made.current()
    assert isinstance(caught[0], SignInError)
    assert (caught[0].exit_code, caught[0].hint) == (ExitCode.SIGN_IN, "mailarchive login home")
    assert error in caught[0].message
    assert len(identity.requests) == before + 1


def test_f025_a_refresh_token_that_was_withdrawn(identity: Identity, store: TokenStore, vault: Vault) -> None:
    """The provider's own invalid_grant."""
    now = [time.time()]
    made = grant(identity, store, clock=lambda: now[0])
    by_device(made)
    identity.revoke()
    now[0] += identity.lifetime
    with vault.raises(SignInError) as caught:
        made.current()
    assert "invalid_grant" in str(caught[0])


def test_two_runs_renew_a_token_once(identity: Identity, store: TokenStore, home: Path) -> None:
    """The second one waits for the lock and takes what the first one got: a refresh token is good once."""
    late = time.time() + identity.lifetime
    by_device(grant(identity, store))
    found: list[str] = []
    failed: list[MailarchiveError] = []

    def run() -> None:
        try:
            own = TokenStore(home / "state", "home")
            found.append(grant(identity, own, clock=lambda: late).current().reveal())
        except MailarchiveError as error:
            failed.append(error)

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failed == []
    assert set(found) == {identity.given[-1]} or len(set(found)) == 1
    assert sum(request.get("grant_type") == "refresh_token" for request in identity.requests) == 1


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ((500, b"<html>oops"), UnreachableError),
        ((503, b""), UnreachableError),
        ((429, b""), LaterError),
        ((200, b"<html>hello"), ProtocolError),
        ((200, b"[1, 2]"), ProtocolError),
        ((200, b'"text"'), ProtocolError),
        ((200, b"{}"), ProtocolError),
        ((200, b'{"access_token": 5, "token_type": "Bearer"}'), ProtocolError),
        ((200, b'{"access_token": "a\\r\\nb", "token_type": "Bearer"}'), ProtocolError),
        ((200, b"{" * 5000), ProtocolError),
        ((400, b'{"error": {"a": 1}}'), SignInError),
        ((307, b"https://localhost:1/"), ProtocolError),
        ("temporarily_unavailable", LaterError),
        ("server_error", LaterError),
    ],
)
def test_each_failure_of_a_provider_is_the_right_error(
    identity: Identity, store: TokenStore, vault: Vault, answer: Any, kind: type[MailarchiveError]
) -> None:
    """What is kept stays as it was, and a redirect takes the refresh token nowhere."""
    now = [time.time()]
    made = grant(identity, store, clock=lambda: now[0])
    by_device(made)
    before = store.load()
    now[0] += identity.lifetime
    identity.script = [answer]
    with vault.raises(kind):
        made.current()
    assert store.load() == before


def test_a_provider_that_is_not_there_or_not_trusted(
    identity: Identity, store: TokenStore, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """15; nothing is sent to one with a wrong certificate."""
    made = grant(identity, store)
    by_device(made)
    heard = len(identity.requests)
    monkeypatch.delenv("SSL_CERT_FILE")
    late = grant(identity, store, clock=lambda: time.time() + identity.lifetime)
    with vault.raises(UnreachableError) as caught:
        late.current()
    assert "not trusted" in str(caught[0])
    assert len(identity.requests) == heard
    gone = OAuthKeys(issuer="https://localhost:9", client_id=CLIENT)
    with vault.raises(UnreachableError):
        Grant(gone, "home", IMAP, store, {}).ways()


def test_nobody_has_signed_in(identity: Identity, store: TokenStore, vault: Vault) -> None:
    """12, with what to type; also when the account has another client, provider or user since."""
    with vault.raises(SignInError) as caught:
        grant(identity, store).current()
    assert caught[0].hint == "mailarchive login home"  # type: ignore[attr-defined] # one of ours
    by_device(grant(identity, store))
    with vault.raises(SignInError):
        grant(identity, store, client_id="another").current()
    assert len(identity.requests) == 2


def test_what_the_provider_cannot_do_is_said(identity: Identity, store: TokenStore) -> None:
    """Device codes and browsers are two things."""
    assert grant(identity, store).ways() == (True, True)
    identity.described = {"device_authorization_endpoint": ""}
    assert grant(identity, store).ways() == (False, True)


# Without the extra, and by a helper


def test_without_the_extra_the_error_says_what_to_install(
    identity: Identity, store: TokenStore, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """10, with the command."""
    monkeypatch.setitem(__import__("sys").modules, "requests_oauthlib", None)
    with vault.raises(ConfigError) as caught:
        grant(identity, store).ways()
    assert caught[0].hint == "pip install 'mailarchive[oauth]'"  # type: ignore[attr-defined] # one of ours


@contextmanager
def helper(path: Path, text: str) -> Iterator[HelperToken]:
    """Make a helper that prints a text."""
    (path / "token").write_text(text)
    yield HelperToken(f"cat {path}/token", "home", {"PATH": os.environ["PATH"]})


def test_a_helper_prints_a_token(tmp_path: Path, vault: Vault) -> None:
    """For each session; after a refusal it is asked once more, and nothing is sent if it says the same."""
    vault.secrets += ["helper-token-1", "helper-token-2"]
    vault.keepers.add(tmp_path / "token")
    with helper(tmp_path, "helper-token-1\n") as proof:
        secret = proof.current()
        assert (secret.reveal(), secret.is_token) == ("helper-token-1", True)
        assert proof.renewed() is None
        (tmp_path / "token").write_text("helper-token-2")
        fresh = proof.renewed()
        assert fresh is not None
        assert fresh.reveal() == "helper-token-2"


@pytest.mark.parametrize("text", ["", "helper-token-1\nhelper-token-2\n", "helper-token-1\0", "helper-token-1" * 9000])
def test_f026_a_helper_that_prints_no_token(tmp_path: Path, vault: Vault, text: str) -> None:
    """10, and never what it printed."""
    vault.secrets += ["helper-token-1"]
    vault.keepers.add(tmp_path / "token")
    with helper(tmp_path, text) as proof, vault.raises(ConfigError):
        proof.current()
