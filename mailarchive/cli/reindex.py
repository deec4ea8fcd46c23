"""`mailarchive reindex`: make the catalogue anew from the files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from mailarchive.cli.options import converted, open_screen, with_shared
from mailarchive.errors import worst

if TYPE_CHECKING:
    from pathlib import Path

    from mailarchive.cli.options import Shared
    from mailarchive.errors import ExitCode


@click.command(short_help="Make the catalogue of an archive anew from its files.")
@click.argument("what", nargs=-1, metavar="[ACCOUNT]...|DIR")
@click.option("--archive", metavar="DIR", type=click.Path(), help="The archive of a one-off; the same as DIR.")
@click.option("--wait", metavar="DURATION", help="Wait so long for another run on the archive: 90s, 10min, 2h.")
@with_shared
def reindex(what: tuple[str, ...], *, archive: str | None, wait: str | None, shared: Shared) -> int:
    """Make the catalogue of an archive anew from its files, after it was lost or damaged.

    The mail is read and never changed, and no server is asked. The next backup fetches nothing again that the files
    place on the server, and nothing is deleted there before its copy has been read back. The old catalogue is kept
    beside the new one. Damage is listed, and ends with exit code 13. Without an ACCOUNT or a folder, the archives of
    all accounts are read.
    """
    from mailarchive import dates
    from mailarchive.cli.interrupt import Interrupt
    from mailarchive.cli.reindexing import run_reindex
    from mailarchive.cli.running import each
    from mailarchive.cli.verifying import archives_of

    patience = converted("--wait", wait, dates.parse_duration) or 0.0
    _, folders = archives_of(what, archive, shared, os.environ)
    interrupt = Interrupt()
    with open_screen(shared) as screen:

        def one(folder: Path) -> ExitCode:
            return run_reindex(folder, patience, screen, interrupt)

        return int(worst(each(folders, one, screen, interrupt, shared)))
