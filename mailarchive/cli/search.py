"""`mailarchive search` and `mailarchive list`: find archived mail."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, TypeVar

import click

from mailarchive.cli.options import open_screen, with_shared
from mailarchive.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailarchive.cli.options import Shared

_Command = TypeVar("_Command", bound="Callable[..., object]")

_GRAMMAR = """\
Words and "phrases" are looked for in subject, sender, recipients, text and names of attachments. Case and accents do
not count, and invoic* finds longer words too.

\b
from: to: cc: subject: list: filename:  words in one field (to: is To and Cc)
in:PATTERN                              the mailbox; * and ? are wildcards
older_than:1y newer_than:90d            age, in y, m (months), w or d
before:2024-03 after:2024               date of receipt
larger:5M smaller:500K                  size
has:attachment                          or is:flagged is:unread is:read
                                        is:answered
id:3f2a                                 the ID begins so

All terms must be met; OR, a minus before a term, and parentheses say otherwise. Put quotes around what your shell
would change:

\b
  mailarchive search 'from:anna (invoice OR "final notice") -in:Junk'
"""


class QueryCommand(click.Command):
    """A command whose arguments are a query: a word such as `-draft` is a part of it, and no option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Let only `-q`, `-v` and `-h` be short options."""
        # With a blank before it Click takes it for an argument, and the blank means nothing in a query.
        return super().parse_args(ctx, [f" {word}" if re.match("-[^-]{2}", word) else word for word in args])


def place_options(command: _Command) -> _Command:
    """Add the options that say which archives are searched."""
    add = (
        click.option(
            "--account", metavar="ACCOUNT", multiple=True, help="Only the archive of this account. Repeatable."
        ),
        click.option("--archive", metavar="DIR", multiple=True, type=click.Path(), help="The archive in this folder."),
    )
    for option in reversed(add):
        command = option(command)
    return command


def _shared_parts(command: _Command) -> _Command:
    add = (
        click.argument("words", nargs=-1, metavar="[QUERY]..."),
        click.option("--limit", metavar="N", type=click.IntRange(min=0), help="At most N messages; 0 for all."),
        click.option("--ids", is_flag=True, help="Print only the whole IDs, one a line."),
    )
    for option in reversed(add):
        command = option(command)
    return place_options(command)


@click.command(cls=QueryCommand, short_help="Find archived mail, offline.", epilog=_GRAMMAR)
@_shared_parts
@with_shared
def search(
    words: tuple[str, ...],
    *,
    account: tuple[str, ...],
    archive: tuple[str, ...],
    limit: int | None,
    ids: bool,
    shared: Shared,
) -> int:
    """Find archived mail by its words and other marks, newest first, without a server.

    A terminal shows the 50 newest; elsewhere all are printed, one a line with tabs between date, ID, octets, mailbox,
    sender and subject. The archives of all accounts are searched, each message is told once, and `mailarchive show ID`
    reads it. Nothing found is no error.
    """
    from mailarchive.cli.searching import run_search

    text = " ".join(words)
    if not text.strip():
        raise UsageError("nothing to look for", hint="mailarchive list shows everything")
    with open_screen(shared) as screen:
        return run_search(text, account, archive, shared, os.environ, screen=screen, limit=limit, ids=ids, once=True)


@click.command("list", cls=QueryCommand, short_help="List archived mail by mailbox.", epilog=_GRAMMAR)
@_shared_parts
@with_shared
def list_(
    words: tuple[str, ...],
    *,
    account: tuple[str, ...],
    archive: tuple[str, ...],
    limit: int | None,
    ids: bool,
    shared: Shared,
) -> int:
    """List archived mail, newest first: all of it, or what a query picks, such as in:INBOX.

    A message that lies in several mailboxes is listed in each of them.
    """
    from mailarchive.cli.searching import run_search

    with open_screen(shared) as screen:
        return run_search(
            " ".join(words), account, archive, shared, os.environ, screen=screen, limit=limit, ids=ids, once=False
        )
