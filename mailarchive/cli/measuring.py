"""Looks at servers for `du`, and writes the picture.

The law of this room: the server is opened for reading, and of the archive a copy of the catalogue is read. The picture
is the only thing that is written: a file of its name is replaced, a link or a folder of its name never.
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mailarchive import dates
from mailarchive.address import looks_like_url
from mailarchive.archives.opening import open_for_reading
from mailarchive.catalogue import SqliteCatalogue
from mailarchive.cli.running import connected, run_each
from mailarchive.cli.targets import targets
from mailarchive.cli.zone import now
from mailarchive.du import Question, du
from mailarchive.errors import ArchiveError, UsageError, os_error
from mailarchive.events import Warned
from mailarchive.policy import Policy
from mailarchive.sources import Purpose

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mailarchive.cli.interrupt import Interrupt
    from mailarchive.cli.options import Selection, Shared
    from mailarchive.cli.targets import Target
    from mailarchive.du import Heads
    from mailarchive.errors import ExitCode
    from mailarchive.events import UsageFinished
    from mailarchive.screen import Screen

AGES: Final = ("6m", "1y", "2y", "5y")
"""Of which is said what they would free, beside that of the account."""


def measure(
    accounts: tuple[str, ...],
    selection: Selection,
    options: Mapping[str, Any],
    shared: Shared,
    environ: Mapping[str, str],
    *,
    heads: Heads,
    svg: str | None,
) -> int:
    """Look at accounts, or at one server; gives the most serious code.

    Raises:
        UsageError, ConfigError: What is to be looked at cannot be told, or there is no place for the picture.
    """
    picture = None if svg is None else _place(svg)
    has_archive = bool(options["archive"]) or not any(map(looks_like_url, accounts))
    # A server can be looked at without an archive, so the place of one is made up then and never looked at.
    archive = options["archive"] or (None if has_archive else ".")
    chosen = targets(accounts, {**options, "archive": archive}, shared, environ, place="archive")
    found: list[UsageFinished] = []

    def work(target: Target, screen: Screen, interrupt: Interrupt) -> ExitCode:
        question = _question(target, selection, heads)
        with ExitStack() as stack:
            catalogue = _catalogue(stack, target, screen) if has_archive else None
            source = stack.enter_context(connected(target, Purpose.READ, screen, interrupt))
            with interrupt:
                finished = du(source, catalogue, question, report=screen, stop=interrupt, clock=time.monotonic)
        found.append(finished)
        return finished.exit_code

    code = run_each(chosen, work, shared)
    if picture is not None and found:
        from mailarchive.screen.svg import drawing

        _write(picture, drawing(found))
    return code


def _question(target: Target, selection: Selection, heads: Heads) -> Question:
    """Resolve what is asked against one look at the clock."""
    present = now()
    every_age = replace(selection, any_age=True)
    local, words = every_age.policy(present, replace(target, mailboxes=()))
    policy = local.in_utc()
    keys = target.deletion
    backup = Policy(
        mailboxes=tuple(selection.options["mailbox"]) or target.mailboxes,
        keep_flagged=keys.keep_flagged is not False,
        keep_unread=bool(keys.keep_unread),
    )
    names = dict.fromkeys((*AGES, *filter(None, (target.older_than, selection.options["older_than"]))))
    ages = sorted(((name, dates.cut_off(dates.parse_age(name), present)) for name in names), key=lambda age: age[1])
    zone = present.tzinfo
    assert zone is not None
    return Question(
        policy.in_utc(), backup, tuple(reversed(ages)), zone, heads, target.name, target.address.shown, words
    )


def _catalogue(stack: ExitStack, target: Target, screen: Screen) -> SqliteCatalogue | None:
    """Open a copy of the catalogue of a target, if it has one that can be read; else say what is then not known."""
    try:
        found = open_for_reading(target.archive, target.address.identity)
        if found is None:
            return None
        with found:
            if not found.catalogue.exists():
                return None
            return stack.enter_context(SqliteCatalogue.snapshot(found.catalogue, found.marker.id))
    except ArchiveError as error:
        screen(Warned(f"what is archived is not known: {error.message}"))
        return None


def _place(svg: str) -> Path:
    """Say where the picture goes. Raises UsageError if there is no place for it."""
    path = Path(os.path.expanduser(svg)).absolute()  # noqa: PTH111 - the home of a user who is not there is no error
    if not path.parent.is_dir():
        raise UsageError(f"--svg {svg}: there is no folder {path.parent}", hint="make it first")
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise UsageError(f"--svg {svg} is a link or no file; it is not written through", hint="choose another name")
    return path


def _write(path: Path, text: str) -> None:
    """Write the picture for this user alone. Raises ArchiveError, DiskError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise os_error(error, str(path)) from None
