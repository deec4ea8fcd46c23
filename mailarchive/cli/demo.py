"""`mailarchive demo`: the whole promise in a few seconds, without an account and without a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mailarchive.cli.options import with_shared

if TYPE_CHECKING:
    from mailarchive.cli.options import Shared


@click.command(short_help="Show it all, without an account and a network.")
@click.option("--pop", is_flag=True, help="Speak POP3, which shows one mailbox, instead of IMAP.")
@click.option("--keep", is_flag=True, help="Leave the archive there instead of removing it at the end.")
@click.option("--to", metavar="DIR", type=click.Path(), help="Put the archive there, and leave it there.")
@with_shared
def demo(*, pop: bool, keep: bool, to: str | None, shared: Shared) -> int:
    """Free a mailbox that is nearly full, on a built-in server, and check every byte.

    A mail server with ten years of made-up mail and a nearly full quota is started on this computer only. The same
    code as for a real server then archives what is older than a year, reads it back, shows the plan, and deletes
    exactly that on the server. At the end everything is compared with what the server held. The server ends with the
    demo, so there is nothing to undo then.
    """
    from mailarchive.cli.demonstration import demonstrate

    return demonstrate(pop=pop, keep=keep, to=to, shared=shared)
