"""Runs an import: finds the archive, recognises the sources, and reads them.

The law of this room: no server is asked for anything. What is no mail is refused before the archive is opened, and an
archive that an account does not have yet is made only after that.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from mailarchive import imports
from mailarchive.address import parse_url
from mailarchive.archives.opening import open_for_reading
from mailarchive.cli.options import converted
from mailarchive.cli.running import make_run, open_places
from mailarchive.cli.targets import Target, targets
from mailarchive.cli.zone import now
from mailarchive.credentials import PasswordSources
from mailarchive.errors import ArchiveError, UsageError
from mailarchive.importing import import_mail
from mailarchive.sources.tls import Trust

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mailarchive.cli.interrupt import Interrupt
    from mailarchive.cli.options import Shared
    from mailarchive.errors import ExitCode
    from mailarchive.screen import Screen

_SHOWN = 5
_NOT_SAID = ("to", "user", "password_command", "password_file", "ca_file", "fingerprint")


def target_of(
    account: str | None, archive: str | None, wait: str | None, shared: Shared, environ: Mapping[str, str]
) -> Target:
    """Find the archive that is meant: of an account, or at a place.

    Raises:
        UsageError: Both are named, or none where there are several accounts.
        ArchiveError: There is no archive at that place.
        ConfigError: The configuration is missing or wrong.
    """
    if archive is not None:
        if account is not None:
            raise UsageError("--account and --archive do not go together", hint="name one of them")
        return _at(Path(archive).expanduser().absolute(), wait)
    options = {**dict.fromkeys(_NOT_SAID), "wait": wait}
    found = targets((account,) if account else (), options, shared, environ)
    if len(found) != 1:
        names = ", ".join(target.name for target in found)
        raise UsageError("which account gets the mail?", hint=f"add --account NAME, one of: {names}")
    return found[0]


def _at(path: Path, wait: str | None) -> Target:
    from mailarchive import dates

    opened = open_for_reading(path)
    if opened is None:
        raise ArchiveError(f"there is no archive in {path}", hint="mailarchive backup makes one")
    opened.close()
    address = parse_url(opened.marker.account)
    patience = converted("--wait", wait, dates.parse_duration) or 0.0
    nobody = PasswordSources(command=None, file=None, account=None, environ={}, prompt=None)
    return Target(address.user, address, path, nobody, Trust(), wait=patience)


def run_import(
    target: Target, paths: Sequence[str], screen: Screen, interrupt: Interrupt, *, into: str | None, dry_run: bool
) -> ExitCode:
    """Take what lies at some paths into one archive, and give the code of the run.

    Raises:
        MailarchiveError: The run could not begin.
    """
    sources = [imports.look(path) for path in map(_path, paths)]
    for source in sources:
        _refuse_itself(source.path, target.archive)
    run = make_run("import", target, now(), _named([str(source.path) for source in sources]), None)
    with ExitStack() as stack:
        archive, catalogue = open_places(stack, target, run, screen, dry_run=dry_run)
        with interrupt:
            return import_mail(
                ((str(source.path), source.size, source.messages()) for source in sources),
                archive,
                catalogue,
                run=run,
                report=screen,
                stop=interrupt,
                clock=time.monotonic,
                into=into or "",
                dry_run=dry_run,
            ).exit_code


def _named(paths: Sequence[str]) -> str:
    """Say in words where the mail comes from; a shell may have made thousands of names of a pattern."""
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return f"from {', '.join(paths[:_SHOWN])}{more}"


def _path(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise UsageError(f"{text}: the home folder of that user is not known", hint="write the whole path") from None


def _refuse_itself(source: Path, archive: Path) -> None:
    """Refuse an archive as its own source, or a folder that holds it: it would grow while it is read."""
    here, there = source.resolve(), archive.resolve()
    if here == there or here in there.parents or there in here.parents:
        raise UsageError(f"{source} and the archive {archive} lie in each other", hint="name another source")
