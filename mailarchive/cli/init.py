"""`mailarchive init`: from an e-mail address to an account in the configuration."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from mailarchive.cli.options import with_shared

if TYPE_CHECKING:
    from mailarchive.cli.options import Shared


@click.command(short_help="Set an account up, step by step.")
@click.argument("address", metavar="[EMAIL]", required=False)
@click.option("--server", metavar="URL", help="The server, such as imaps://imap.example.org; nothing is looked up.")
@click.option("--user", metavar="NAME", help="User name there.  [default: the address]")
@click.option("--pop", is_flag=True, help="Look for a POP3 server, not for IMAP.")
@click.option("--lookup/--no-lookup", default=None, help="Whether others may be asked for the server of the domain.")
@click.option("--name", metavar="NAME", help="What to call the account.")
@click.option("--password-command", metavar="COMMAND", help="A command that prints the password.")
@click.option("--password-file", metavar="FILE", type=click.Path(), help="A file that holds it; made if it is missing.")
@click.option("--keyring", is_flag=True, help="The keyring of the desktop keeps the password.")
@click.option("--ask-password", is_flag=True, help="Keep no password: a person or a variable gives it each time.")
@click.option("--oauth", metavar="PROVIDER", help="Sign in by OAuth2: google, microsoft, or a name beside --issuer.")
@click.option("--client-id", metavar="ID", help="Your client id at the provider.")
@click.option("--client-secret-command", metavar="COMMAND", help="A command that prints the secret of that client.")
@click.option("--issuer", metavar="URL", help="Where another provider describes itself.")
@click.option("--scope", metavar="WORD", multiple=True, help="What to ask another provider for. Repeatable.")
@click.option("--device/--browser", default=None, help="OAuth2 by a code typed anywhere, or by a browser here.")
@click.option("--token-command", metavar="COMMAND", help="A command that prints OAuth2 tokens.")
@click.option("--ca-file", metavar="FILE", type=click.Path(), help="Trust these authorities (PEM).")
@click.option("--test/--no-test", default=True, help="Whether to sign in before anything is written.  [default: test]")
@click.option("--older-than", metavar="AGE", help="Which mail: older than 1y, 18m (months), 90d; `all` for all.")
@click.option("--to", metavar="DIR", type=click.Path(), help="The folder of the archive.")
@click.option("--format", type=click.Choice(["maildir", "mbox"]), help="A file for each message, or for each mailbox.")
@click.option(
    "-n/-N", "--dry-run/--no-dry-run", default=None, help="Whether to show the plan of a first backup at the end."
)
@with_shared
def init(*, shared: Shared, **options: Any) -> int:
    """Set an account up: server, password, sign-in, age, place of the archive.

    Each question has an option that answers it; with --no-input nothing is asked. The server of a known provider is
    known here; for others you are asked before anything is looked up, and shown what was found. Nothing is written
    before the end, and what stands in the configuration already stays as it is. A password is never written into it:

    \b
      mailarchive init me@example.org
      mailarchive init me@example.org --server imaps://imap.example.org \\
        --password-command 'pass show mail' --older-than 1y --no-input
    """  # noqa: D301 - Click reads the backspace as "leave this paragraph as it is"
    from mailarchive.cli.initialising import initialise

    return initialise(options, shared, os.environ)
