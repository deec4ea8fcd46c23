"""`mailarchive undo`: put back what one run has deleted."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from mailarchive.cli.options import server_options, with_shared

if TYPE_CHECKING:
    from mailarchive.cli.options import Shared


@click.command(short_help="Put back on the server what one run has deleted there.")
@click.argument("run", metavar="RUN")
@click.argument("server", required=False, metavar="[ACCOUNT|URL]")
@server_options("archive")
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be put back and change nothing.")
@with_shared
def undo(run: str, server: str | None, *, dry_run: bool, shared: Shared, **options: Any) -> int:
    """Put back on the server exactly what RUN has deleted there, with flags and dates, each message once.

    RUN is the id of a run, as the run printed it, or its beginning. It is looked for in the archives of all accounts,
    or of ACCOUNT. What is put back is kept by later runs that delete, until --include-restored says otherwise. For a
    one-off:

    \b
      mailarchive undo RUN imaps://me@imap.example.org --archive ~/Mail/archive/me
    """  # noqa: D301 - Click reads the backspace as "leave this paragraph as it is"
    from mailarchive.cli import running
    from mailarchive.cli.targets import targets
    from mailarchive.cli.undoing import find, refuse_swapped

    refuse_swapped(run, server)
    chosen = targets((server,) if server else (), options, shared, os.environ, place="archive")
    target, of = find(run, chosen)
    return running.run_each(
        [target],
        lambda target, screen, interrupt: running.run_undo(target, of, screen, interrupt, dry_run=dry_run),
        shared,
    )
