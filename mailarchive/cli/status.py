"""`mailarchive status`: how the archives stand."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from mailarchive.cli.options import with_shared

if TYPE_CHECKING:
    from mailarchive.cli.options import Shared


@click.command(short_help="Show what is archived, how the last runs ended, and what is due.")
@click.argument("accounts", nargs=-1, metavar="[ACCOUNT]...")
@click.option("--archive", metavar="DIR", type=click.Path(), multiple=True, help="An archive of a one-off. Repeatable.")
@click.option("--max-age", metavar="AGE", help="Exit 3 if the last success is older: 36h, 2d, 1w.")
@with_shared
def status(accounts: tuple[str, ...], *, archive: tuple[str, ...], max_age: str | None, shared: Shared) -> int:
    """Show of each account what is archived, how its last run ended, the quota as that run saw it, and what is due.

    No server is asked and no password is needed; nothing is changed, and a run that is going is not kept waiting. A
    success is a backup that came to its end, even if single messages failed. A sign-in that was refused leaves no
    trace in an archive: with --max-age it shows after a while.

    The exit code is 0, or 3 if something needs a human; 13 if an archive is not where it was.
    """
    from mailarchive.cli.standings import show

    return show(accounts, archive, max_age, shared, os.environ)
