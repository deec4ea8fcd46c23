"""How an account says that it signs in: by one of several ways to a password, or by OAuth2."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mailarchive.config import load
from mailarchive.config_values import OAuthKeys
from mailarchive.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from mailarchive.config import Account

SERVER = "[account.a]\nserver = 'imaps://me@imap.example.org'\n"


def read(folder: Path, keys: str) -> Account:
    """Read the one account of a configuration with these keys."""
    file = folder / "config.toml"
    file.write_text(f"{SERVER}{keys}\n")
    file.chmod(0o600)
    return load(file, environ={"HOME": "/home/me"}).accounts["a"]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (
            "oauth = { provider = 'microsoft', client_id = 'c' }",
            OAuthKeys(provider="microsoft", client_id="c"),
        ),
        (
            "[account.a.oauth]\nprovider = 'google'\nclient_id = 'c'\nclient_secret_command = ['pass', 'x']\n",
            OAuthKeys(provider="google", client_id="c", client_secret_command=("pass", "x")),
        ),
        (
            "oauth = { issuer = 'https://id.example.org', client_id = 'c', scopes = ['a', 'b'] }",
            OAuthKeys(issuer="https://id.example.org", client_id="c", scopes=("a", "b")),
        ),
        (
            "oauth = { provider = 'our own', issuer = 'https://id.example.org/x', client_id = 'c' }",
            OAuthKeys(provider="our own", issuer="https://id.example.org/x", client_id="c"),
        ),
        ("oauth = { token_command = 'oama access me' }", OAuthKeys(token_command="oama access me")),
    ],
)
def test_the_ways_of_oauth(tmp_path: Path, keys: str, expected: OAuthKeys) -> None:
    """As a table in one line or in several."""
    account = read(tmp_path, keys)
    assert account.oauth == expected
    assert not account.keyring


def test_the_keyring_for_passwords_and_for_tokens(tmp_path: Path) -> None:
    """One key for both; false is as if it were not there."""
    account = read(tmp_path, "keyring = true")
    assert (account.keyring, account.oauth) == (True, None)
    account = read(tmp_path, "keyring = true\noauth = { token_command = 'x' }")
    assert account.keyring
    assert account.oauth is not None
    assert read(tmp_path, "keyring = false\npassword_command = 'x'").password_command == "x"


@pytest.mark.parametrize(
    ("keys", "message", "hint"),
    [
        ("oauth = 'microsoft'", "a.oauth: expected a table, got a text", "write oauth = {"),
        ("oauth = {}", "a.oauth: client_id is missing", "register a program of your own"),
        ("oauth = { provider = 'microsoft' }", "a.oauth: client_id is missing", "client_id"),
        ("oauth = { client_id = 'c' }", "a.oauth: the provider is not known", "use 'google' or 'microsoft'"),
        (
            "oauth = { client_id = 'c', provider = 'mircosoft' }",
            "a.oauth: the provider is not known",
            "did you mean 'microsoft'?",
        ),
        ("oauth = { client_id = 5, provider = 'google' }", "client_id: expected a text, got a number", ""),
        ("oauth = { client_id = '', provider = 'google' }", "client_id: the text is empty", ""),
        ("oauth = { client_id = 'c', issuer = 'http://x.org' }", "issuer: the issuer is no address", ""),
        ("oauth = { client_id = 'c', issuer = 'https://' }", "issuer: the issuer is no address", ""),
        ("oauth = { client_id = 'c', issuer = 'https://x y' }", "issuer: the issuer is no address", ""),
        ("oauth = { client_id = 'c', provider = 'google', scope = [] }", "oauth.scope: unknown key", "'scopes'?"),
        ("oauth = { client_id = 'c', provider = 'google', scopes = 'x' }", "expected a list of texts", ""),
        (
            "oauth = { client_id = 'c', provider = 'google', client_secret = 'canary' }",
            "oauth.client_secret: a secret never stands in the configuration",
            "use client_secret_command",
        ),
        ("oauth = { token_command = 'x', refresh_token = 'canary' }", "a secret never stands in", ""),
        ("oauth = { token_command = 'x', client_id = 'c' }", "with token_command the other keys mean nothing", "out"),
        ("oauth = { token_command = [] }", "token_command: expected a text, got a list", ""),
        ("oauth = { token_command = 'x' }\npassword_command = 'y'", "oauth: there is a password_command too", "one"),
        ("keyring = true\npassword_file = 'y'", "keyring: there is a password_file too", "only one"),
        ("keyring = 'yes'", "keyring: expected true or false, got a text", "write keyring = true"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, keys: str, message: str, hint: str) -> None:
    """And no secret that was written there is repeated."""
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, keys)
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.message.startswith("config.toml:")
    assert "canary" not in caught.value.message + caught.value.hint
