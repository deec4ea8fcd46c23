"""How a target proves who it is: a password, or tokens of OAuth2.

The law of this room: what the command line, the environment or systemd gives comes before what the account says;
nothing is asked for before it is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailarchive.credentials import given_password, password_for
from mailarchive.errors import ConfigError
from mailarchive.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mailarchive.address import ServerAddress
    from mailarchive.cli.targets import Target
    from mailarchive.config_values import OAuthKeys
    from mailarchive.oauth import Grant
    from mailarchive.secret import Proof
    from mailarchive.tokens import TokenStore


def proof_of(target: Target) -> Proof:
    """Give what proves who a target is; nothing for a tunnel, which is signed in already.

    Raises:
        ConfigError: There is no password, or none that can be used.
        SignInError: Nobody has signed in by OAuth2 yet.
    """
    keys = target.oauth
    if target.tunnel is not None:
        return Secret("")
    if keys is None:
        return password_for(target.password)
    given = given_password(target.password)
    if given is not None:
        return given
    if keys.token_command is not None:
        from mailarchive.oauth import HelperToken

        return HelperToken(keys.token_command, target.name, target.password.environ)
    return grant_of(keys, target.name, target.address, target.password.environ, keyring=target.password.keyring)


def grant_of(keys: OAuthKeys, name: str, address: ServerAddress, environ: Mapping[str, str], *, keyring: bool) -> Grant:
    """Give what a person has granted, or is to grant, for an account. Raises ConfigError if a helper does that."""
    from mailarchive.oauth import Grant

    if keys.token_command is not None:
        raise ConfigError(f"{name}: its token_command signs in", hint="sign in with the program that it runs")
    return Grant(keys, name, address, store_of(name, environ, keyring=keyring), environ)


def store_of(name: str, environ: Mapping[str, str], *, keyring: bool) -> TokenStore:
    """Say where the tokens of an account are kept."""
    from mailarchive.tokens import TokenStore, state_folder

    return TokenStore(state_folder(environ) / "tokens", name, keyring=keyring)
