"""`mailarchive export`: write archived mail in the form of other programs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from mailarchive.cli.options import open_screen, with_shared
from mailarchive.cli.search import QueryCommand, place_options

if TYPE_CHECKING:
    from mailarchive.cli.options import Shared

FORMS = ("eml", "mbox", "thunderbird", "html", "attachments")


@click.command(cls=QueryCommand, short_help="Write archived mail as files of other programs, offline.")
@click.argument("words", nargs=-1, metavar="[QUERY]...")
@click.option("--as", "as", type=click.Choice(FORMS), required=True, help="The form of the files.")
@click.option("--to", metavar="PATH", type=click.Path(), required=True, help="A new folder, or an empty one.")
@place_options
@with_shared
def export(
    words: tuple[str, ...],
    *,
    to: str,
    account: tuple[str, ...],
    archive: tuple[str, ...],
    shared: Shared,
    **options: Any,
) -> int:
    """Write what QUERY finds, or everything, into the new folder PATH; `mailarchive search --help` tells the queries.

    \b
    eml          a file for each message, exactly as it was received, in folders by mailbox
    mbox         a file for each mailbox (mboxrd), with the flags
    thunderbird  the same with folders and flags as Thunderbird keeps them: copy what is in PATH into
                 Mail/Local Folders of a profile while Thunderbird is closed
    html         pages for any browser, with an index and a search; nothing remote is loaded, no script of a
                 sender runs, attachments lie beside
    attachments  the files that messages carry

    Every message is compared with its digest before it is written; a damaged one is named and left out. PATH is there
    when everything is written, and until then PATH.unfinished.
    """  # noqa: D301 - Click reads the backspace as "leave this paragraph as it is"
    from mailarchive.cli.exporting import run_export

    with open_screen(shared) as screen:
        return run_export(
            " ".join(words), account, archive, shared, os.environ, screen=screen, form=options["as"], to=to
        )
