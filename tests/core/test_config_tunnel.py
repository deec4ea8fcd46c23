"""Tunnel accounts in the configuration, and their addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mailarchive.address import Security, ServerAddress, parse_url, tunnel_address
from mailarchive.errors import UsageError
from tests.core.test_config import read, refused

if TYPE_CHECKING:
    from pathlib import Path


def test_a_bare_tunnel_is_named_by_its_account(tmp_path: Path) -> None:
    """The command may be a text or a list; the user is the account unless one is named."""
    text = "[account.Home]\nserver = 'imap+tunnel:'\ntunnel = 'ssh h doveadm exec imap'\n"
    account = read(tmp_path, text).accounts["Home"]
    assert account.address == ServerAddress("imap", Security.TUNNEL, "home", 143, "Home")
    assert account.address.identity == "imap+tunnel://Home@home"
    assert account.address.shown == "imap+tunnel://home"
    assert account.tunnel == "ssh h doveadm exec imap"
    account = read(tmp_path, text.replace("'ssh h doveadm exec imap'", '["ssh", "h"]\nuser = "me@x.org"')).accounts[
        "Home"
    ]
    assert account.tunnel == ("ssh", "h")
    assert account.address.user == "me@x.org"


def test_a_tunnel_to_a_named_server_keeps_the_archive_of_that_server() -> None:
    """User and host are the identity, so that an account can change from TLS to a tunnel and back."""
    tunnel, tls = parse_url("imap+tunnel://me@imap.example.org"), parse_url("imaps://me@imap.example.org")
    assert (tunnel.user, tunnel.host) == (tls.user, tls.host)
    assert parse_url(tunnel.identity) == tunnel
    assert parse_url(tunnel_address("home").identity) == tunnel_address("home")


def test_a_tunnel_has_no_port_and_no_bare_form_outside_of_the_configuration() -> None:
    """Its command knows where to go."""
    with pytest.raises(UsageError, match="a tunnel has no port"):
        parse_url("imap+tunnel://me@imap.example.org:143")
    for text in ("imap+tunnel:", "IMAP+TUNNEL://"):
        with pytest.raises(UsageError, match="a tunnel is an account of the configuration"):
            parse_url(text)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("server = 'imap+tunnel:'", "account.x: tunnel is missing"),
        ("server = 'imap+tunnel://me@h'", "account.x: tunnel is missing"),
        ("server = 'imaps://me@h'\ntunnel = 'ssh h'", "account.x.tunnel: the server is no tunnel"),
        ("server = 'imap+tunnel:'\ntunnel = ''", "account.x.tunnel: the text is empty"),
        ("server = 'imap+tunnel:'\ntunnel = 3", "account.x.tunnel: expected a text"),
        ("server = 'imap+tunnel:'\ntunnel = 'a'\npassword_command = 'b'", "password_command: a tunnel is signed in"),
        ("server = 'imap+tunnel:'\ntunnel = 'a'\nkeyring = true", "keyring: a tunnel is signed in already"),
        ("server = 'imap+tunnel:'\ntunnel = 'a'\nca_file = 'b'", "ca_file: a tunnel is signed in already"),
    ],
)
def test_what_does_not_fit_a_tunnel_is_told(tmp_path: Path, keys: str, said: str) -> None:
    """Each with its key."""
    assert said in refused(tmp_path, f"[account.x]\n{keys}\n").message
