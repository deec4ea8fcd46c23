"""`mailarchive verify`: read the archive back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mailarchive.cli.options import open_screen, with_shared
from mailarchive.errors import UsageError, worst

if TYPE_CHECKING:
    from mailarchive.cli.options import Shared
    from mailarchive.errors import ExitCode


@click.command(short_help="Read the archive back and compare every message.")
@click.argument("what", nargs=-1, metavar="[ACCOUNT]...|DIR")
@click.option("--archive", metavar="DIR", type=click.Path(), help="The archive of a one-off; the same as DIR.")
@click.option("--sample", metavar="PERCENT", help="Read only so much of it, chosen by chance: 5%.")
@click.option("--server", is_flag=True, help="Also say what the server of an account holds that is not archived.")
@with_shared
def verify(what: tuple[str, ...], *, archive: str | None, sample: str | None, server: bool, shared: Shared) -> int:
    """Read every message of an archive back and compare it with the digest that was recorded for it.

    Nothing is changed, repaired or removed. Damage is listed, and ends with exit code 13. Without an ACCOUNT or a
    folder, the archives of all accounts are read.
    """
    from mailarchive.cli.interrupt import Interrupt
    from mailarchive.cli.running import each
    from mailarchive.cli.verifying import archives_of, run_comparison, run_verify

    share = _share(sample)
    accounts, folders = archives_of(what, archive, shared, os.environ)
    if server and not accounts:
        raise UsageError("--server goes with an account of the configuration")
    interrupt = Interrupt()
    with open_screen(shared) as screen:

        def one(folder: Path) -> ExitCode:
            return run_verify(folder, share, screen, interrupt)

        codes = each(folders, one, screen, interrupt, shared)
        if server and interrupt.code is None:
            codes += run_comparison(accounts, shared, screen, interrupt, os.environ)
    return int(worst(codes))


def _share(sample: str | None) -> float:
    """Read `5%` or `0.5` percent as a share; 1 for everything."""
    if sample is None:
        return 1.0
    try:
        percent = float(sample.removesuffix("%"))
    except ValueError:
        percent = 0.0
    if not 0 < percent <= 100:
        raise UsageError(f"--sample {sample!r}: not a number over 0 and up to 100", hint="use --sample 5%")
    return percent / 100


def folder_of(text: str) -> Path | None:
    """Tell whether an argument means a folder: it names one, or it looks like a path."""
    path = Path(text).expanduser() if text.startswith("~") else Path(text)
    return path.absolute() if os.sep in text or path.is_dir() else None
