"""Signing in by OAuth2 to a Dovecot that judges the tokens itself, as a user does: login, backup, logout.

One Dovecot checks the signature of a token with the provider's key and offers OAUTHBEARER and XOAUTH2; the other asks
the provider (introspection) and offers XOAUTH2 only, as Microsoft does.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import ssl
import sys
import tempfile
import threading
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mailarchive.address import Security, ServerAddress
from mailarchive.config_values import OAuthKeys
from mailarchive.errors import SignInError
from mailarchive.oauth import Grant
from mailarchive.secret import Secret
from mailarchive.sources import connect
from mailarchive.sources.pop import PopSource
from mailarchive.sources.tls import Trust
from mailarchive.tokens import TokenStore
from tests import maildir
from tests.cli.terminal import at_a_terminal
from tests.conftest import require_program
from tests.corpus import corpus
from tests.servers.dovecot import Dovecot, dovecot_version
from tests.servers.identity import CLIENT, Identity, redirected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import MakeUser
    from tests.vault import Vault

pytestmark = pytest.mark.dovecot
USER = "kim@example.org"
OTHERS = ['wrong "\\ canary', "wrong-ümläut-canary", "wrong-🐟-canary", "canary" * 50, " wrong canary "]

_CONFIG = """\
auth_mechanisms = plain login {mechanisms}
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {file}
}}
"""


@pytest.fixture(scope="module")
def provider() -> Iterator[Identity]:
    """Serve the provider of both servers."""
    with Identity(USER) as identity:
        yield identity


@pytest.fixture(scope="module")
def places() -> Iterator[Path]:
    """Make a folder that Dovecot's own users can read."""
    require_program("dovecot")
    if dovecot_version() >= (2, 4):
        pytest.skip("Dovecot 2.4 has another configuration for OAuth2, which these tests do not write")
    folder = Path(tempfile.mkdtemp(prefix="oauth-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def by_key(provider: Identity, places: Path) -> Iterator[Dovecot]:
    """Start the Dovecot that has the key."""
    key = places / "keys" / "default" / "HS256" / "default"
    key.parent.mkdir(parents=True)
    key.write_bytes(base64.b64encode(provider.key))
    file = places / "by-key.conf"
    file.write_text(
        f"introspection_mode = local\nlocal_validation_key_dict = fs:posix:prefix={places}/keys/\n"
        "username_attribute = email\n"
    )
    with Dovecot(
        extra=_CONFIG.format(mechanisms="xoauth2 oauthbearer", file=file), users={USER: "not-this-one"}
    ) as server:
        yield server


@pytest.fixture(scope="module")
def by_asking(provider: Identity, places: Path) -> Iterator[Dovecot]:
    """Start the Dovecot that asks."""
    authority = provider.trust(places)
    file = places / "by-asking.conf"
    file.write_text(
        f"introspection_mode = post\nintrospection_url = {provider.issuer}/introspect\nforce_introspection = yes\n"
        f"username_attribute = email\nactive_attribute = active\nactive_value = true\ntls_ca_cert_file = {authority}\n"
    )
    with Dovecot(extra=_CONFIG.format(mechanisms="xoauth2", file=file), users={USER: "not-this-one"}) as server:
        yield server


@pytest.fixture
def identity(provider: Identity, vault: Vault, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Identity:
    """Give the provider as a test wants it: trusted, and with its secrets in the vault."""
    monkeypatch.setenv("SSL_CERT_FILE", str(provider.trust(tmp_path)))
    provider.user, provider.lifetime, provider.client_secret, provider.denies = USER, 3600, "", False
    provider.script, provider.device, provider.described = [], {"interval": 1}, {}
    provider.requests.clear()
    provider.given.clear()
    vault.secrets.append(provider.given)
    vault.keepers.add(kept(home))
    return provider


def kept(home: Path) -> Path:
    """Say where the tokens of the account are."""
    return home / ".local" / "state" / "mailarchive" / "tokens" / "home.json"


def url(server: Dovecot, protocol: str) -> str:
    """Give the server of an account."""
    return f"{protocol}s://localhost:{server.imaps_port if protocol == 'imap' else server.pop3s_port}"


def configure(home: Path, server: Dovecot, identity: Identity | None, protocol: str = "imap", oauth: str = "") -> Path:
    """Write the configuration with the account `home`; gives the archive."""
    if identity is not None:
        oauth = f'{{ issuer = "{identity.issuer}", client_id = "{CLIENT}", scopes = ["mail"] {oauth} }}'
    file = home / ".config" / "mailarchive" / "config.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        f'[account.home]\nserver = "{url(server, protocol)}"\nuser = "{USER}"\narchive = "{home}/mail"\n'
        f'ca_file = "{server.ca_file}"\noauth = {oauth}\n'
    )
    file.chmod(0o600)
    return home / "mail"


def fill(server: Dovecot, count: int) -> None:
    """Put messages into the mailbox, by the server's own tool, instead of those that are there."""
    server.doveadm("expunge", "-u", USER, "mailbox", "INBOX", "all")
    with server.witness() as witness:
        witness.append_many("INBOX", corpus(count, seed=count, now=datetime.now(UTC)))


def trusting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the browser of the test trust the provider."""
    context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
    handler = urllib.request.HTTPSHandler(context=context)
    monkeypatch.setattr(urllib.request, "_opener", urllib.request.build_opener(handler))


@pytest.mark.parametrize(
    "way",
    [
        ("by_key", "imap", "OAUTHBEARER"),
        ("by_asking", "imap", "XOAUTH2"),
        ("by_key", "pop", "XOAUTH2"),
        ("by_asking", "pop", "XOAUTH2"),
    ],
    ids="-".join,
)
def test_login_backup_logout(
    identity: Identity, vault: Vault, home: Path, request: pytest.FixtureRequest, way: tuple[str, str, str]
) -> None:
    """A code, then runs without a person, then none any more."""
    fixture, protocol, mechanism = way
    server: Dovecot = request.getfixturevalue(fixture)
    fill(server, 5)
    archive = configure(home, server, identity, protocol)
    seen = len(server.log_text())
    result = vault.run("login", "home")
    assert result.code == 0, result.err
    assert f"Open {identity.issuer}/here in any browser and type this code:\n\n  ABCD-EFGH\n" in result.err
    assert result.out == f"home: localhost lets {USER} in; the tokens are in {kept(home)}\n"
    assert (kept(home).stat().st_mode & 0o7777, kept(home).parent.stat().st_mode & 0o7777) == (0o600, 0o700)
    result = vault.run("backup", "home")
    assert result.code == 0, result.err
    assert len(maildir.files(archive)) == 5
    log = server.log_text()[seen:]
    assert log.count(f"method={mechanism}") == 2
    assert "method=PLAIN" not in log
    assert vault.run("logout", "home").out == "home: signed out\n"
    assert not kept(home).exists()
    assert vault.run("logout", "home").out == "home: nobody was signed in\n"
    result = vault.run("-q", "backup", "home")
    assert result.code == 12
    assert "hint: mailarchive login home\n" in result.err


def test_login_by_a_browser(
    by_key: Dovecot, identity: Identity, vault: Vault, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a computer with a display its browser is opened; the address stands on the screen all the same."""
    configure(home, by_key, identity)
    monkeypatch.setenv("DISPLAY", ":9")
    opened: list[str] = []

    def browse(address: str) -> bool:
        opened.append(address)
        threading.Thread(target=lambda: urllib.request.urlopen(address, timeout=20).read(), daemon=True).start()
        return True

    monkeypatch.setattr("webbrowser.open", browse)
    trusting(monkeypatch)
    result = vault.run("login", "home", "--browser")
    assert result.code == 0, result.err
    assert opened[0] in result.err
    assert "ssh -N -L" not in result.err


def test_at_a_terminal_the_address_may_be_pasted(
    by_key: Dovecot, identity: Identity, vault: Vault, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a browser on another computer, which ends at a page that it cannot open."""
    configure(home, by_key, identity)
    trusting(monkeypatch)

    def elsewhere(drawn: str) -> str:
        return redirected(drawn.partition("browser of this computer:")[2].split()[0]) + "\n"

    command = [sys.executable, "-m", "mailarchive", "login", "home", "--browser"]
    seen = at_a_terminal(command, [("Waiting for you", elsewhere)])
    assert seen.code == 0, seen.text
    assert "localhost lets kim@example.org in" in seen.text
    # What a person types is shown by the terminal, and a code is good once.
    vault.secrets.append([text for text in identity.given if not text.startswith("code-")])
    vault.secrets.remove(identity.given)
    vault.texts.append(seen.text)


def wizard(server: Dovecot, identity: Identity) -> list[str]:
    """Give the words that set an account up with the provider of the test."""
    known = ["--oauth", "acme", "--issuer", identity.issuer, "--client-id", CLIENT, "--scope", "mail"]
    return ["--server", url(server, "imap"), "--name", "home", "--ca-file", str(server.ca_file), *known]


def test_init_signs_in_and_keeps_the_tokens_at_the_end(
    by_key: Dovecot, identity: Identity, vault: Vault, home: Path
) -> None:
    """A code, the mailboxes, the questions; only then the tokens, and a backup needs nobody."""
    fill(by_key, 3)
    command = [sys.executable, "-m", "mailarchive", "init", USER, *wizard(by_key, identity)]

    def not_yet(_: str) -> str:
        assert not [path for path in home.rglob("*") if path.is_file()]
        return "y\r"

    answers: list[tuple[str, str | Callable[[str], str]]] = [
        ("all) [1y]", "all\r"),
        ("The folder of the archive", f"{home}/mail\r"),
        ("Number or word [maildir]", "\r"),
        ("config.toml? [Y/n]", not_yet),
        ("(nothing is changed)? [Y/n]", "y\r"),
    ]
    seen = at_a_terminal(command, answers)
    vault.texts.append(seen.text)
    assert seen.code == 0, seen.text
    assert "ABCD-EFGH" in seen.text
    assert "would archive 3 messages" in seen.text
    assert kept(home).stat().st_mode & 0o7777 == 0o600
    assert vault.run("backup", "--no-input").code == 0
    assert len(maildir.files(home / "mail")) == 3
    assert [each["path"] for each in identity.requests].count("/device") == 1


def test_init_that_is_left_keeps_no_tokens(by_key: Dovecot, identity: Identity, vault: Vault, home: Path) -> None:
    """Ctrl-C after the sign-in: neither tokens nor a configuration."""
    command = [sys.executable, "-m", "mailarchive", "init", USER, *wizard(by_key, identity)]
    seen = at_a_terminal(command, [("all) [1y]", "\x03")])
    vault.texts.append(seen.text)
    assert seen.code == 130, seen.text
    assert not [path for path in home.rglob("*") if path.is_file()]


def test_by_ssh_the_way_back_is_said(
    by_key: Dovecot, identity: Identity, vault: Vault, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No browser is opened there; the line that forwards the port is ready to be typed."""
    configure(home, by_key, identity)
    monkeypatch.setenv("SSH_CONNECTION", "192.0.2.1 1 192.0.2.2 22")
    monkeypatch.setenv("DISPLAY", ":9")
    monkeypatch.setattr("mailarchive.oauth.loopback.LONGEST", 0.2)
    monkeypatch.setattr("webbrowser.open", lambda _: pytest.fail("a browser was opened"))
    result = vault.run("login", "home", "--browser")
    assert result.code == 12
    assert "nobody has said yes" in result.err
    port = result.err.partition("ssh -N -L ")[2].partition(":")[0]
    assert f"redirect_uri=http%3A%2F%2F127.0.0.1%3A{port}%2F" in result.err


def test_a_login_of_somebody_else_is_refused_by_the_server(
    by_key: Dovecot, identity: Identity, vault: Vault, home: Path
) -> None:
    """Who is signed in at the provider under another name is told at once, and not at night by cron."""
    configure(home, by_key, identity)
    identity.user = "mallory@example.org"
    result = vault.run("login", "home")
    assert result.code == 12
    assert f"localhost refused the sign-in of {USER}" in result.err


@pytest.mark.parametrize("protocol", ["imap", "pop"])
def test_f025_a_token_that_the_server_takes_no_more_is_renewed(
    by_key: Dovecot, identity: Identity, vault: Vault, home: Path, protocol: str
) -> None:
    """The provider said an hour, the server finds it expired: one refusal, one renewal, and the run goes on."""
    configure(home, by_key, identity, protocol)
    fill(by_key, 3)
    assert vault.run("login", "home").code == 0
    text = kept(home).read_text()
    stale = identity.access_token(-60)
    kept(home).write_text(_with_access(text, stale))
    seen = len(by_key.log_text())
    result = vault.run("backup", "home")
    assert result.code == 0, result.err
    assert len(maildir.files(home / "mail")) == 3
    assert refusals(by_key, seen) == 1
    assert exchanged(identity)[1:] == ["refresh_token"]
    assert stale not in kept(home).read_text()


def refusals(server: Dovecot, seen: int) -> int:
    """Count the refused sign-ins in the log behind a place; a line is written a moment after the answer."""
    end = time.monotonic() + 5
    while "auth failed" not in server.log_text()[seen:] and time.monotonic() < end:
        time.sleep(0.05)
    return server.log_text()[seen:].count("auth failed, 1 attempts")


def exchanged(identity: Identity) -> list[str]:
    """Name what the provider was asked for at its token endpoint."""
    return [request["grant_type"] for request in identity.requests if request["path"] == "/token"]


def _with_access(text: str, token: str) -> str:
    """Change the access token in what the store keeps."""
    return json.dumps(json.loads(text) | {"access": token})


def test_f025_a_token_that_ends_in_mid_run_is_renewed_at_the_next_session(
    by_key: Dovecot, identity: Identity, vault: Vault, home: Path
) -> None:
    """A run over POP3 has many sessions, and each asks for a token that is good then."""
    store, file = TokenStore(home / "state", "home"), home / "state" / "home.json"
    address = ServerAddress("pop", Security.TLS, "localhost", by_key.pop3s_port, USER)
    keys = OAuthKeys(issuer=identity.issuer, client_id=CLIENT, scopes=("mail",))
    vault.keepers.add(file)
    now = [datetime.now(UTC).timestamp()]
    grant = Grant(keys, "home", address, store, {}, clock=lambda: now[0])
    grant.by_device(lambda _: None, wait=lambda _: None)
    source = connect(address, grant, Trust(by_key.ca_file))
    assert isinstance(source, PopSource)
    source.abandon()
    now[0] += identity.lifetime
    source.drop()
    source.abandon()
    file.write_text(_with_access(file.read_text(), "expired.not.good"))
    source.drop()
    source.close()
    assert exchanged(identity)[1:] == ["refresh_token", "refresh_token"]


def test_f025_a_grant_that_was_withdrawn_ends_the_run(
    by_key: Dovecot, identity: Identity, vault: Vault, home: Path
) -> None:
    """invalid_grant: 12, what to type, and the other accounts go on; signing in again helps."""
    configure(home, by_key, identity)
    identity.lifetime = 60
    assert vault.run("login", "home").code == 0
    identity.revoke()
    result = vault.run("--json", "backup")
    assert result.code == 12
    error = result.events[-1]
    assert (error["event"], error["exit_code"], error["hint"]) == ("error", 12, "mailarchive login home")
    assert "invalid_grant" in error["message"]
    identity.lifetime = 3600
    assert vault.run("login", "home").code == 0
    assert vault.run("backup").code == 0


def test_f029_a_helper_of_the_users_gives_the_token(
    by_key: Dovecot, identity: Identity, vault: Vault, home: Path, tmp_path: Path
) -> None:
    """`token_command`; neither the arguments nor the environment of any process hold a secret of ours."""
    token = tmp_path / "token"
    token.write_text(identity.access_token())
    vault.keepers.add(token)
    vault.secrets.append("other-password-4711")
    seen = tmp_path / "seen"
    command = f"cat /proc/$PPID/cmdline /proc/self/cmdline /proc/self/environ > {seen}; cat {token}"
    archive = configure(home, by_key, None, oauth=f"{{ token_command = '{command}' }}")
    fill(by_key, 2)
    result = vault.process("backup", "home", environ={"MAILARCHIVE_WORK_PASSWORD": "other-password-4711"})
    assert result.code == 0, result.err
    assert len(maildir.files(archive)) == 2
    assert b"mailarchive" in seen.read_bytes()
    result = vault.run("login", "home")
    assert result.code == 10
    assert "sign in with the program that it runs" in result.err


def test_a_password_of_the_command_line_comes_first(
    by_key: Dovecot, identity: Identity, vault: Vault, home: Path, tmp_path: Path
) -> None:
    """Whoever names one means it, also for an account that signs in by tokens."""
    configure(home, by_key, identity)
    file = tmp_path / "password"
    file.write_text("not-this-one")
    file.chmod(0o600)
    assert vault.run("backup", "home", "--password-file", file).code == 0
    assert identity.requests == []


@pytest.mark.parametrize("protocol", ["imap", "pop"])
def test_f022_a_server_without_oauth(
    dovecot: Dovecot, identity: Identity, vault: Vault, home: Path, protocol: str
) -> None:
    """The usual Dovecot: 12, with the ways that it offers."""
    configure(home, dovecot, identity, protocol)
    result = vault.run("login", "home")
    assert result.code == 12
    assert "localhost takes no OAuth2 token" in result.err
    assert "hint: it offers LOGIN, PLAIN" in result.err


@pytest.mark.parametrize("protocol", ["imap", "pop"])
@pytest.mark.parametrize("password", OTHERS)
def test_f020_f027_wrong_passwords_of_every_kind(
    dovecot_user: MakeUser, vault: Vault, tmp_path: Path, protocol: str, password: str
) -> None:
    """12 after one attempt, without the password anywhere; the right one, as odd, lets in."""
    right = f"right{password}"
    vault.secrets += [password, right]
    account = dovecot_user(None, right)
    where = url(account.server, protocol).replace("://", f"://{account.user.replace('@', '%40')}@")
    words = ("backup", where, "--to", tmp_path / "a", "--ca-file", account.ca_file)
    seen = len(account.server.log_text())
    result = vault.run(*words, password=password)
    assert (result.code, result.out) == (12, "")
    assert f"refused the sign-in of {account.user}" in result.err
    assert "Traceback" in result.err
    assert refusals(account.server, seen) == 1
    assert not (tmp_path / "a").exists()
    assert vault.run(*words, password=right).code == 0


def test_a_token_of_another_is_refused_by_both(
    by_key: Dovecot, by_asking: Dovecot, identity: Identity, vault: Vault
) -> None:
    """Not only the name counts: a token for somebody else, one with a wrong signature, and rubbish."""
    good = identity.access_token()
    identity.user = "mallory@example.org"
    foreign = identity.access_token()
    bad = good[:-8] + "AAAAAAAA"
    vault.secrets.append(bad)
    for server in (by_key, by_asking):
        address = ServerAddress("imap", Security.TLS, "localhost", server.imaps_port, USER)
        for token in (bad, foreign, "rubbish-token"):
            with vault.raises(SignInError) as caught:
                connect(address, Secret(token, is_token=True, advice="login"), Trust(server.ca_file))
            assert caught[0].hint == "login"  # type: ignore[attr-defined] # one of ours
    identity.user = USER
    connect(
        ServerAddress("imap", Security.TLS, "localhost", by_key.imaps_port, USER),
        Secret(good, is_token=True),
        Trust(by_key.ca_file),
    ).close()
