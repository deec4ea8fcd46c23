"""`mailarchive doctor`: looks at everything that a backup needs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from mailarchive.cli.options import server_options, with_shared

if TYPE_CHECKING:
    from mailarchive.cli.options import Shared


@click.command(short_help="Check the configuration, the disk, the server and the archive.")
@click.argument("accounts", nargs=-1, metavar="[ACCOUNT]...|URL")
@server_options("archive")
@with_shared
def doctor(accounts: tuple[str, ...], *, shared: Shared, **options: Any) -> int:
    """Check everything that a backup of each ACCOUNT, or of all of them, needs; and change nothing anywhere.

    That is the configuration, permissions, the disk, the clock, the name of the server, its port, its certificate, the
    sign-in, what the server can do and how mail would be deleted there, the quota, the archive and its catalogue. Each
    line begins with a tick, with a ! for what is worth a thought, or with a cross for what would stop a backup; what
    to type next stands below. The exit code is that of the most serious cross.
    """
    from mailarchive.cli.doctoring import examine

    return examine(accounts, options, shared, os.environ)
