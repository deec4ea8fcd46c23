"""`mailarchive completion`: the script that lets a shell complete our words."""

from __future__ import annotations

import click


@click.command(short_help="Print a script for the completion of a shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, /, shell: str) -> int:
    """Print the script that makes bash (4.4 or newer), zsh or fish complete commands, options, accounts and mailboxes.

    \b
      bash:  mailarchive completion bash > ~/.local/share/bash-completion/completions/mailarchive
      zsh:   mailarchive completion zsh > "${fpath[1]}/_mailarchive"
      fish:  mailarchive completion fish > ~/.config/fish/completions/mailarchive.fish

    Names of accounts come from the configuration, those of mailboxes from the archives; no server is asked and no
    command of the configuration is run.
    """  # noqa: D301 - Click reads the backspace as "leave this paragraph as it is"
    from mailarchive.cli.completing import script

    click.echo(script(shell, context.find_root().command))
    return 0
