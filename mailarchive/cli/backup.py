"""`mailarchive backup`: the main job."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from mailarchive.cli.crowd import Crowd, crowd_options
from mailarchive.cli.deleting import Removal, deletion_options
from mailarchive.cli.options import Pair, Selection, kind_options, selection_options, server_options, with_shared

if TYPE_CHECKING:
    from mailarchive.cli.options import Shared


@click.command(short_help="Archive what the archive does not hold yet.")
@click.argument("accounts", nargs=-1, metavar="[ACCOUNT]...|URL")
@server_options("to")
@kind_options
@selection_options
@deletion_options(whether=True)
@click.option("--max-bytes", metavar="SIZE", help="Fetch no more than 500M, 2G in this run; the next one goes on.")
@click.option(
    "--index/--no-index",
    cls=Pair,
    default=None,
    help="Take the new mail into the index for `search` at the end.  [default: the account's, else yes]",
)
@click.option(
    "--textfile",
    metavar="FILE",
    type=click.Path(),
    help="Keep metrics of it there, for Prometheus: NAME.prom.",
)
@crowd_options
@click.option("-n", "--dry-run", is_flag=True, help="Print the plan and change nothing.")
@with_shared
def backup(
    accounts: tuple[str, ...],
    *,
    index: bool | None,
    dry_run: bool,
    textfile: str | None,
    shared: Shared,
    **options: Any,
) -> int:
    """Archive what the selection picks and the archive does not hold yet.

    Nothing on the server is changed, unless --delete or the account says so: then exactly those messages are deleted
    there that were written, read back and compared in this run. ACCOUNT is a name from the configuration; without one,
    all of them are backed up, one after the other or --jobs at a time, and one that fails does not stop the others. A
    one-off needs no configuration:

    \b
      mailarchive backup imaps://me@imap.example.org --to ~/Mail/archive/me --older-than 1y

    The password comes from --password-command, --password-file, MAILARCHIVE_PASSWORD (for an account
    MAILARCHIVE_<ACCOUNT>_PASSWORD), or a prompt; it never stands in the URL.
    """  # noqa: D301 - Click reads the backspace as "leave this paragraph as it is"
    from mailarchive.cli import running
    from mailarchive.cli.targets import targets, watch_of
    from mailarchive.cli.zone import now

    crowd = Crowd.take(options)
    selection, removal = Selection.take(options), Removal.take(options, shared)
    chosen = crowd.ours(targets(accounts, options, shared, os.environ))
    if index is not None:
        chosen = [replace(target, index=index) for target in chosen]
    removal = replace(removal, alone=crowd.alone(chosen))
    refused = removal.check(chosen, selection, now(), dry_run=dry_run) if chosen else {}
    return running.run_each(
        chosen,
        lambda target, screen, interrupt: running.run_backup(
            target, selection, screen, interrupt, dry_run=dry_run, removal=removal
        ),
        shared,
        refused,
        None if dry_run else watch_of(chosen, textfile, os.environ),
        jobs=crowd.jobs,
    )
