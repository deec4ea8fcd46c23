"""`mailarchive schedule`: backups that start by themselves."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from mailarchive.cli.options import with_shared

if TYPE_CHECKING:
    from mailarchive.cli.options import Shared


@click.command(short_help="Let backups start by themselves, by systemd, cron or launchd.")
@click.argument("accounts", nargs=-1, metavar="[ACCOUNT]...")
@click.option(
    "--every", type=click.Choice(["hour", "day", "week"]), default="day", show_default=True, help="How often."
)
@click.option(
    "--at", metavar="TIME", help="When: 03:15, or with --every week 'Sun 03:15'.  [default: after 3 at night]"
)
@click.option(
    "--system",
    type=click.Choice(["systemd", "cron", "launchd"]),
    help="Who starts them.  [default: what this computer has]",
)
@click.option("--install", is_flag=True, help="Write it down where the system looks, and switch it on.")
@click.option("--remove", is_flag=True, help="Take away what --install wrote: of ACCOUNT, or all of it.")
@click.option("-n", "--dry-run", is_flag=True, help="Change nothing, and say what --install or --remove would do.")
@with_shared
def schedule(accounts: tuple[str, ...], *, shared: Shared, **options: Any) -> int:
    """Print what lets `mailarchive backup -q` start by itself: a timer of systemd, a line of a crontab, or an agent of
    launchd; with --install, write it down.

    ACCOUNT is a name from the configuration, and each gets a schedule of its own; without one, a single schedule backs
    up all accounts, also those that are added later. Nothing is changed without --install or --remove, and these two
    never touch what this command did not write. --log-file is handed on to the backups.

    \b
      mailarchive schedule
      mailarchive schedule home --every day --at 03:15 --install
    """  # noqa: D205, D301 - Click reads the first paragraph as one, and the backspace as "leave it as it is"
    from mailarchive.cli.scheduling import run

    return run(accounts, options, shared, os.environ)
