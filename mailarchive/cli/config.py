"""`mailarchive config show`, `check` and `path`: what the configuration says, and whether it can be used."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from mailarchive.cli.options import with_shared

if TYPE_CHECKING:
    from mailarchive.cli.options import Shared


@click.group(short_help="Show and check the configuration.", no_args_is_help=False)
def config() -> None:
    """Show and check the configuration.

    It is one TOML file: that of --config, else of the variable MAILARCHIVE_CONFIG, else config.toml in the folder that
    your system has for it, such as ~/.config/mailarchive.
    """


@config.command(short_help="Show the settings in force, and where each comes from.")
@click.argument("accounts", nargs=-1, metavar="[ACCOUNT]...")
@with_shared
def show(accounts: tuple[str, ...], *, shared: Shared) -> int:
    """Show what a backup of each ACCOUNT, or of all of them, would use if it were started now without options.

    Each setting is followed by where it comes from: the environment, the account, [defaults], the top level of the
    file, or the program itself; with the variable, or the line of the file. Passwords and tokens are never shown;
    a command that prints one is.
    """
    from mailarchive.cli.configured import show_settings

    return show_settings(accounts, shared, os.environ)


@config.command(short_help="Read the configuration and say all that is wrong with it.")
@with_shared
def check(*, shared: Shared) -> int:
    """Read the configuration and say everything that is wrong with it at once, each with its line; then exit with 10.

    Nothing is connected, and no command is run: `mailarchive doctor` does that.
    """
    from mailarchive.cli.configured import check_file

    return check_file(shared, os.environ)


@config.command(short_help="Say where the configuration is looked for.")
@with_shared
def path(*, shared: Shared) -> int:
    """Print the path of the file that would be read, whether it is there or not."""
    from mailarchive.cli.configured import show_path

    return show_path(shared, os.environ)
