"""`mailarchive backup`: the main job."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from mailarchive.cli.options import Selection, open_screen, selection_options, show_traceback, with_shared
from mailarchive.errors import BusyError, MailarchiveError, worst

if TYPE_CHECKING:
    from mailarchive.cli.options import Shared
    from mailarchive.errors import ExitCode

_SERVER = (
    click.option("--to", metavar="DIR", type=click.Path(), help="The archive of a one-off URL; made if it is missing."),
    click.option("--user", metavar="NAME", help="User name, if it does not stand in the URL."),
    click.option("--password-command", metavar="COMMAND", help="A command that prints the password."),
    click.option("--password-file", metavar="FILE", type=click.Path(), help="A file that holds the password."),
    click.option("--ca-file", metavar="FILE", type=click.Path(), help="Trust these authorities (PEM)."),
    click.option("--fingerprint", metavar="SHA256", help="Trust this one certificate."),
    click.option("--wait", metavar="DURATION", help="Wait so long for another run on the archive: 90s, 10min, 2h."),
)


def _server_options(command: Any) -> Any:
    for option in reversed(_SERVER):
        command = option(command)
    return command


@click.command(short_help="Archive what the archive does not hold yet.")
@click.argument("accounts", nargs=-1, metavar="[ACCOUNT]...|URL")
@_server_options
@selection_options
@click.option("-n", "--dry-run", is_flag=True, help="Print the plan and change nothing.")
@with_shared
def backup(accounts: tuple[str, ...], *, dry_run: bool, shared: Shared, **options: Any) -> int:
    """Archive what the selection picks and the archive does not hold yet.

    Nothing on the server is changed. ACCOUNT is a name from the configuration; without one, all of them are backed
    up, one after the other, and one that fails does not stop the others. A one-off needs no configuration:

    \b
      mailarchive backup imaps://me@imap.example.org --to ~/Mail/archive/me --older-than 1y

    The password comes from --password-command, --password-file, MAILARCHIVE_PASSWORD (for an account
    MAILARCHIVE_<ACCOUNT>_PASSWORD), or a prompt; it never stands in the URL.
    """  # noqa: D301 - Click reads the backspace as "leave this paragraph as it is"
    from mailarchive.cli.running import Interrupt, run_backup
    from mailarchive.cli.targets import targets

    selection = Selection.take(options)
    chosen = targets(accounts, options, shared, os.environ)
    codes: list[ExitCode] = []
    interrupt = Interrupt()
    with open_screen(shared) as screen:
        for target in chosen:
            if interrupt.code is not None:
                codes.append(interrupt.code)
                break
            try:
                code = run_backup(target, selection, screen, interrupt, dry_run=dry_run)
            except MailarchiveError as error:
                show_traceback(error, shared)
                # Under cron the next run comes by itself, and a mail about each overlap would be noise.
                if not (shared.quiet and isinstance(error, BusyError)):
                    screen.error(error)
                code = error.exit_code
            codes.append(code)
    return int(worst(codes))
