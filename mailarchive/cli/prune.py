"""`mailarchive prune`: delete on the server what is archived already."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from mailarchive.cli.crowd import Crowd, crowd_options
from mailarchive.cli.deleting import Removal, deletion_options
from mailarchive.cli.options import Selection, selection_options, server_options, with_shared

if TYPE_CHECKING:
    from mailarchive.cli.options import Shared


@click.command(short_help="Delete on the server what is archived and proved.")
@click.argument("accounts", nargs=-1, metavar="[ACCOUNT]...|URL")
@server_options("archive")
@selection_options
@deletion_options(whether=False)
@crowd_options
@click.option("-n", "--dry-run", is_flag=True, help="Print the plan and change nothing.")
@with_shared
def prune(accounts: tuple[str, ...], *, dry_run: bool, shared: Shared, **options: Any) -> int:
    """Delete on the server what the selection picks and the archive holds already.

    Nothing is fetched. Each archived copy is read back and compared first, and only what matches is deleted. ACCOUNT
    is a name from the configuration; without one, all of them are pruned. On a terminal the plan is shown and a yes is
    asked for; elsewhere --yes or `delete = true` in the account is needed. `mailarchive undo` puts back what a run has
    deleted.

    \b
      mailarchive prune home --older-than 2y --dry-run
    """  # noqa: D301 - Click reads the backspace as "leave this paragraph as it is"
    from mailarchive.cli import running
    from mailarchive.cli.targets import targets
    from mailarchive.cli.zone import now

    crowd = Crowd.take(options)
    selection, removal = Selection.take(options), Removal.take(options, shared)
    chosen = crowd.ours(targets(accounts, options, shared, os.environ, place="archive"))
    removal = replace(removal, alone=crowd.alone(chosen))
    refused = removal.check(chosen, selection, now(), dry_run=dry_run) if chosen else {}
    return running.run_each(
        chosen,
        lambda target, screen, interrupt: running.run_prune(
            target, selection, screen, interrupt, dry_run=dry_run, removal=removal
        ),
        shared,
        refused,
        jobs=crowd.jobs,
    )
