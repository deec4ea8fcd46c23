"""Makes the catalogue of one archive anew, under its lock."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mailarchive.archives.durable import Directory
from mailarchive.archives.marker import META
from mailarchive.archives.opening import open_for_reading, open_for_writing
from mailarchive.catalogue_rebuild import SqliteRebuild, remembered
from mailarchive.cli.running import new_id
from mailarchive.cli.zone import now
from mailarchive.errors import ArchiveError
from mailarchive.index import NAME, drop
from mailarchive.reindex import reindex

if TYPE_CHECKING:
    from pathlib import Path

    from mailarchive.cli.interrupt import Interrupt
    from mailarchive.errors import ExitCode
    from mailarchive.screen import Screen


def run_reindex(folder: Path, wait: float, screen: Screen, interrupt: Interrupt) -> ExitCode:
    """Make the catalogue of one archive anew; gives the code of the run.

    Raises:
        MailarchiveError: There is no archive, or another run holds it.
    """
    there = open_for_reading(folder)
    if there is None:
        raise ArchiveError(f"there is no archive in {folder}", hint="mailarchive backup makes one")
    there.close()
    started = now()

    def sync() -> None:
        meta = Directory.at(str(folder / META))
        try:
            meta.sync()
        finally:
            meta.close()

    opened = open_for_writing(folder, there.marker.account, run="", started=started.strftime("%H:%M"), wait=wait)
    with opened:
        holds, sane = remembered(opened.catalogue, opened.marker.id)
        made = SqliteRebuild.beside(opened.catalogue, opened.marker.id, network=opened.network, sync=sync)
        with made as catalogue, interrupt:
            code = reindex(
                opened.mail,
                catalogue,
                name=str(folder),
                run=new_id(started),
                report=screen,
                stop=interrupt,
                clock=time.monotonic,
                holds=holds,
                sane=sane,
            ).exit_code
        # Whoever has the catalogue made anew wants the index anew as well; the next backup or search fills it.
        drop(opened.catalogue.with_name(NAME))
        return code
