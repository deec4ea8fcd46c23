"""`mailarchive restore`: put archived mail back on a server."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from mailarchive.cli.options import server_options, with_shared
from mailarchive.cli.search import QueryCommand

if TYPE_CHECKING:
    from mailarchive.cli.options import Shared


@click.command(cls=QueryCommand, short_help="Put archived mail back on a server.")
@click.argument("words", nargs=-1, metavar="[ACCOUNT|URL] [QUERY]...")
@click.option("--account", metavar="ACCOUNT|URL", help="The server that gets it, instead of its own.")
@click.option("--to-mailbox", metavar="NAME", help="Put everything into this mailbox; it is made if it is missing.")
@server_options("archive")
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be put back and change nothing.")
@with_shared
def restore(
    words: tuple[str, ...],
    *,
    account: str | None,
    to_mailbox: str | None,
    dry_run: bool,
    shared: Shared,
    **options: Any,
) -> int:
    """Put what QUERY finds in the archive of ACCOUNT back on its server, with flags, keywords and dates.

    `mailarchive search --help` tells the queries; without one, all archived mail of ACCOUNT is put back. The first word
    is an account if there is one of that name, and the account may be left out if there is only one. Every message
    goes into the mailbox that it was in, which is made if it is missing; what is there already is not put there twice,
    so a restore that was cut short is simply run again. Later runs that delete keep what was put back, until
    --include-restored says otherwise. For a one-off, or to move the mail to another server:

    \b
      mailarchive restore imaps://me@imap.example.org from:anna --archive ~/Mail/archive/me
      mailarchive restore home newer_than:2y --account work --to-mailbox "From home"
    """  # noqa: D301 - Click reads the backspace as "leave this paragraph as it is"
    from mailarchive.cli.restoring import run_restore, task_of

    task = task_of(words, account, options, shared, os.environ)
    return run_restore(task, shared, to=to_mailbox, dry_run=dry_run)
