"""`mailarchive login` and `mailarchive logout`: sign in by OAuth2, and forget it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from mailarchive.cli.options import with_shared

if TYPE_CHECKING:
    from mailarchive.cli.options import Shared


@click.command(short_help="Sign in to an account by OAuth2.")
@click.argument("account", metavar="ACCOUNT")
@click.option("--device/--browser", default=None, help="By a code typed anywhere, or by the browser of this computer.")
@with_shared
def login(account: str, *, device: bool | None, shared: Shared) -> int:
    """Sign in to ACCOUNT by OAuth2, so that runs can do so by themselves from then on.

    The account says whom to ask, with a client id of your own (README, "Google and Microsoft"):

    \b
      [account.work]
      server = "imaps://outlook.office365.com"
      user = "me@example.org"
      oauth = { provider = "microsoft", client_id = "..." }

    Without an option a code is shown where the provider gives one, as Microsoft does; else a browser is needed, as
    for Google. The tokens are kept in a file that only you can read, or in the keyring with `keyring = true`.
    """  # noqa: D301 - Click reads the backspace as "leave this paragraph as it is"
    from mailarchive.cli.signing_in import sign_in

    return sign_in(account, shared, os.environ, device=device)


@click.command(short_help="Forget the OAuth2 sign-in of an account.")
@click.argument("account", metavar="ACCOUNT")
@with_shared
def logout(account: str, *, shared: Shared) -> int:
    """Remove the tokens of ACCOUNT from this computer.

    What the provider has granted ends there, on its page for the security of your account.
    """
    from mailarchive.cli.signing_in import sign_out

    return sign_out(account, shared, os.environ)
