"""`mailarchive du`: where the quota goes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from mailarchive.cli.options import Selection, selection_options, server_options, with_shared
from mailarchive.errors import UsageError

if TYPE_CHECKING:
    from mailarchive.cli.options import Shared


@click.command(short_help="Show where the quota goes on the server.")
@click.argument("accounts", nargs=-1, metavar="[ACCOUNT]...|URL")
@server_options("archive")
@selection_options
@click.option("--headers", is_flag=True, help="Ask for the header of every message: all senders, and POP3's dates.")
@click.option("--no-senders", is_flag=True, help="Ask for no header at all, where the selection needs none.")
@click.option("--svg", metavar="FILE", type=click.Path(), help="Also write a picture. A file of that name is replaced.")
@with_shared
def du(
    accounts: tuple[str, ...],
    *,
    headers: bool,
    no_senders: bool,
    svg: str | None,
    shared: Shared,
    **options: Any,
) -> int:
    """Show where the quota goes on the server: by mailbox, year, size and sender, and what each age would free.

    Nothing is downloaded and nothing is changed: sizes and dates are listed, and of the largest messages, up to 90 % of
    all octets and 10,000 messages, the sender is asked for. Trash and Junk are counted too, because they take room; an
    age of the account is not, but is one of the ages of which is said what they free. That is an estimate: it leaves
    out flagged mail and mailboxes that a backup leaves out, and a deletion looks at each message itself.

    \b
      mailarchive du home
      mailarchive du home --mailbox INBOX --larger-than 1M --svg usage.svg
    """  # noqa: D301 - Click reads the backspace as "leave this paragraph as it is"
    from mailarchive.cli.measuring import measure
    from mailarchive.du import Heads

    if headers and no_senders:
        raise UsageError("--headers and --no-senders contradict each other", hint="leave one out")
    heads = Heads.ALL if headers else Heads.NONE if no_senders else Heads.LARGEST
    return measure(accounts, Selection.take(options), options, shared, os.environ, heads=heads, svg=svg)
