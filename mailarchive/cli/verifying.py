"""Runs the verification on archives, and the comparison with their servers."""

from __future__ import annotations

import random
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mailarchive.archives.marker import META
from mailarchive.archives.opening import open_for_reading
from mailarchive.catalogue import SqliteCatalogue
from mailarchive.cli.options import Selection, show_traceback
from mailarchive.cli.running import run_backup
from mailarchive.cli.targets import targets
from mailarchive.cli.verify import folder_of
from mailarchive.errors import ArchiveError, MailarchiveError, UsageError
from mailarchive.verify import verify

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mailarchive.cli.interrupt import Interrupt
    from mailarchive.cli.options import Shared
    from mailarchive.errors import ExitCode
    from mailarchive.model import Location
    from mailarchive.screen import Screen


def archives_of(
    what: tuple[str, ...], archive: str | None, shared: Shared, environ: Mapping[str, str]
) -> tuple[tuple[str, ...], list[Path]]:
    """Find the archives that are meant; gives also the names of the accounts, if accounts are meant."""
    named = [*what, *([archive] if archive else [])]
    folders = [folder_of(text) for text in named]
    if archive:
        folders[-1] = Path(archive).expanduser().absolute()
    if named and all(folders):
        return (), [folder for folder in folders if folder is not None]
    if any(folders):
        raise UsageError("accounts and folders do not go together", hint="verify the folders by themselves")
    from mailarchive.config import load

    config = load(Path(shared.config) if shared.config else None, environ=environ)
    accounts = config.select(what)
    return tuple(account.name for account in accounts), [account.archive for account in accounts]


def run_verify(folder: Path, share: float, screen: Screen, interrupt: Interrupt) -> ExitCode:
    """Read one archive back; gives the code of the run. Raises MailarchiveError if there is none."""
    opened = open_for_reading(folder)
    if opened is None:
        raise ArchiveError(f"there is no archive in {folder}", hint="mailarchive backup makes one")

    def pick(everything: Sequence[Location]) -> Sequence[Location]:
        count = round(len(everything) * share)
        return everything if share == 1 else sorted(random.sample(everything, max(1, count) if everything else 0))

    runs = folder / META / "runs"
    begun = not opened.catalogue.exists() and runs.is_dir() and any(runs.iterdir())
    with opened, SqliteCatalogue.snapshot(opened.catalogue, opened.marker.id) as catalogue, interrupt:
        lost = "the catalogue is gone" if begun else "the catalogue cannot be used" if catalogue.set_aside else ""
        if lost:
            lost += (
                "; every message is compared with its name, and one that is missing cannot be noticed;"
                f" hint: mailarchive reindex {shlex.quote(str(folder))} makes it anew"
            )
        return verify(
            opened.mail,
            catalogue,
            name=str(folder),
            report=screen,
            stop=interrupt,
            clock=time.monotonic,
            pick=pick,
            lost=lost,
        ).exit_code


def run_comparison(
    accounts: tuple[str, ...], shared: Shared, screen: Screen, interrupt: Interrupt, environ: Mapping[str, str]
) -> list[ExitCode]:
    """Show for each account what its server holds and its archive does not: the plan of a backup of everything."""
    nothing = dict.fromkeys(("wait", "to", "user", "password_command", "password_file", "ca_file", "fingerprint"), None)
    codes = []
    for target in targets(accounts, nothing, shared, environ):
        try:
            codes.append(run_backup(target, Selection.everything(), screen, interrupt, dry_run=True))
        except MailarchiveError as error:
            show_traceback(error, shared)
            screen.error(error)
            codes.append(error.exit_code)
    return codes
