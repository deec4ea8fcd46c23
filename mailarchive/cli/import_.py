"""`mailarchive import`: take in mail of other programs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from mailarchive.cli.options import with_shared

if TYPE_CHECKING:
    from mailarchive.cli.options import Shared


@click.command("import", short_help="Take mail of other programs into an archive.")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path())
@click.option("--account", metavar="NAME", help="The account whose archive gets it; may be left out if there is one.")
@click.option("--archive", metavar="DIR", type=click.Path(), help="An archive that is there, in place of an account.")
@click.option("--mailbox", metavar="NAME", help="Put everything into this mailbox.")
@click.option("--wait", metavar="DURATION", help="Wait so long for another run on the archive: 90s, 10min, 2h.")
@click.option("-n", "--dry-run", is_flag=True, help="Say what is new and change nothing.")
@with_shared
def import_(
    paths: tuple[str, ...],
    *,
    account: str | None,
    archive: str | None,
    mailbox: str | None,
    wait: str | None,
    dry_run: bool,
    shared: Shared,
) -> int:
    """Take mail that other programs have kept into an archive.

    Known are mbox files (also of Google Takeout and Thunderbird), Maildirs, folders of .eml files, and what imap-backup
    wrote; a PATH may hold several kinds, and is only read. Each message is taken once, however often this is run, and
    nothing that was imported is a ground for deleting anything on a server.
    """
    from mailarchive.cli.importing import run_import, target_of
    from mailarchive.cli.running import run_each

    target = target_of(account, archive, wait, shared, os.environ)
    return run_each(
        [target],
        lambda target, screen, interrupt: run_import(target, paths, screen, interrupt, into=mailbox, dry_run=dry_run),
        shared,
    )
