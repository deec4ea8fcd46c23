"""`mailarchive show`: read one archived message."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mailarchive.cli.options import open_screen, with_shared
from mailarchive.cli.search import place_options
from mailarchive.errors import UsageError

if TYPE_CHECKING:
    from mailarchive.cli.options import Shared


@click.command(short_help="Read one archived message.")
@click.argument("identity", metavar="ID")
@click.option("--raw", is_flag=True, help="Give the exact octets of the message.")
@click.option("--part", metavar="N", help="Give the content of one part, such as 2 or 2.1, decoded.")
@click.option("--html", is_flag=True, help="Show the text of its HTML, also if it has a plain text.")
@click.option("--to", metavar="FILE", type=click.Path(), help="Write --raw or --part into a new file.")
@place_options
@with_shared
def show(
    identity: str,
    *,
    raw: bool,
    part: str | None,
    html: bool,
    to: str | None,
    account: tuple[str, ...],
    archive: tuple[str, ...],
    shared: Shared,
) -> int:
    """Show the headers, the text and the attachments of one message; ID is the first digits that `search` prints.

    HTML is shown as text, nothing is loaded or run, and what could steer a terminal is shown as an escape. So --raw and
    --part go to a pipe or, with --to, into a file that is not there yet.
    """
    from mailarchive.cli.showing import run_show

    if sum((raw, part is not None, html)) > 1:
        raise UsageError("--raw, --part and --html do not go together")
    if to is not None and not (raw or part is not None):
        raise UsageError("--to goes with --raw or --part", hint=f"mailarchive show {identity} --raw --to FILE")
    with open_screen(shared) as screen:
        return run_show(
            identity,
            account,
            archive,
            shared,
            os.environ,
            screen=screen,
            raw=raw,
            part=part,
            html=html,
            to=Path(to).expanduser() if to is not None else None,
        )
