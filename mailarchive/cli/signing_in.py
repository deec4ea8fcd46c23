"""Signs in by OAuth2 with a person at the keyboard, and forgets what that gave.

The law of this room: what a person has to do is said on stderr, what a provider says is made safe first, and a sign-in
counts only when the mail server has let us in with it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mailarchive.cli.proving import grant_of, store_of
from mailarchive.config import load
from mailarchive.errors import ConfigError, ExitCode
from mailarchive.screen.safe import safe
from mailarchive.sources import connect
from mailarchive.sources.tls import Trust

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mailarchive.cli.options import Shared
    from mailarchive.config import Account
    from mailarchive.config_values import OAuthKeys
    from mailarchive.oauth import Grant
    from mailarchive.oauth.device import UserCode
    from mailarchive.oauth.loopback import Address

_DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")


def sign_in(name: str, shared: Shared, environ: Mapping[str, str], *, device: bool | None) -> int:
    """Sign in to an account and try it out; gives the exit code. Raises MailarchiveError.

    Args:
        name: Of an account of the configuration.
        shared: What every command knows.
        environ: The environment variables.
        device: Whether by a code, or else by a browser; None for what the provider offers.
    """
    account, keys = _account(name, shared, environ)
    grant = grant_of(keys, account.name, account.address, environ, keyring=account.keyring)
    ask_person(grant, name, shared, environ, device=device)
    connect(account.address, grant, Trust(account.ca_file)).close()
    store = store_of(name, environ, keyring=account.keyring)
    if not (shared.quiet or shared.json):
        host = account.address.host
        click.echo(f"{name}: {host} lets {safe(account.address.user)} in; the tokens are in {safe(store.place)}")
    return int(ExitCode.DONE)


def ask_person(grant: Grant, name: str, shared: Shared, environ: Mapping[str, str], *, device: bool | None) -> None:
    """Let a person sign in at a provider; see `sign_in`."""
    codes, browsers = grant.ways()
    if device is None:
        device = codes
    if not (codes if device else browsers):
        other = "--browser" if device else "--device"
        raise ConfigError(f"{name}: the provider does not sign in that way", hint=f"mailarchive login {name} {other}")
    if device:
        grant.by_device(_tell_code)
    else:
        asks = not shared.no_input and sys.stdin is not None and sys.stdin.isatty()
        grant.by_browser(lambda address: _tell_address(address, environ, asks=asks), pasted=sys.stdin if asks else None)


def sign_out(name: str, shared: Shared, environ: Mapping[str, str]) -> int:
    """Forget the tokens of an account; gives the exit code. Raises MailarchiveError."""
    account, _ = _account(name, shared, environ)
    was_there = store_of(name, environ, keyring=account.keyring).forget()
    if not (shared.quiet or shared.json):
        click.echo(f"{name}: signed out" if was_there else f"{name}: nobody was signed in")
    return int(ExitCode.DONE)


def _account(name: str, shared: Shared, environ: Mapping[str, str]) -> tuple[Account, OAuthKeys]:
    config = load(Path(shared.config) if shared.config else None, environ=environ)
    (account,) = config.select([name])
    if account.oauth is None:
        raise ConfigError(
            f"{name}: it signs in by a password",
            hint='for OAuth2 give the account oauth = { provider = "...", client_id = "..." }',
        )
    return account, account.oauth


def _tell_code(shown: UserCode) -> None:
    url, code = safe(shown.url, limit=500), safe(shown.code, limit=100)
    click.echo(f"Open {url} in any browser and type this code:\n\n  {code}\n\nWaiting for you ...", err=True)


def _tell_address(address: Address, environ: Mapping[str, str], *, asks: bool) -> None:
    click.echo(f"Open this in a browser of this computer:\n\n  {safe(address.url, limit=4000)}\n", err=True)
    if environ.get("SSH_CONNECTION"):
        click.echo(
            "You are here by ssh. On the computer with the browser, forward the port first:\n\n"
            f"  ssh -N -L {address.port}:127.0.0.1:{address.port} {os.uname().nodename}\n",
            err=True,
        )
    elif any(environ.get(name) for name in _DISPLAYS) or sys.platform == "darwin":
        import webbrowser

        webbrowser.open(address.url)
    if asks:
        click.echo("Or paste here the address that the browser ends at, which it may say it cannot open.", err=True)
    click.echo("Waiting for you ...", err=True)
