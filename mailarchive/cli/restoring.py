"""Runs a restore: which archive the mail is taken from, which server gets it, and where that is written down.

The law of this room: what is put back is written down in the archive of the server that gets it, so that its later runs
keep it; where that server has no archive here, it is written down beside the mail, and nothing is kept for it.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mailarchive.address import looks_like_url, parse_url
from mailarchive.archives.opening import open_for_reading
from mailarchive.cli.finding import Place, opened, tell_unread
from mailarchive.cli.interrupt import Interrupt
from mailarchive.cli.options import open_screen
from mailarchive.cli.running import connected, is_absent, make_run, open_places
from mailarchive.cli.targets import targets
from mailarchive.cli.zone import now
from mailarchive.errors import ArchiveError, UsageError, worst
from mailarchive.query import parse
from mailarchive.restore import restore
from mailarchive.sources import Purpose

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mailarchive.cli.options import Shared
    from mailarchive.cli.targets import Target
    from mailarchive.config import Account
    from mailarchive.errors import ExitCode
    from mailarchive.query import Query
    from mailarchive.screen import Screen


class Task(NamedTuple):
    """What is to be done.

    Attributes:
        mail: The archive that the mail is taken from.
        server: What gets it.
        books: The archive where it is written down; its address is that of the archive.
        keeps: Whether `books` is the archive of `server`.
        text: The query as it was typed.
    """

    mail: Place
    server: Target
    books: Target
    keeps: bool
    text: str


def task_of(
    words: Sequence[str], other: str | None, options: Mapping[str, Any], shared: Shared, environ: Mapping[str, str]
) -> Task:
    """Find out what the words mean.

    Args:
        words: An account or URL, if the first one is such, and the query.
        other: The account or URL that gets the mail instead of the one that it is of.
        options: Those of `options.server_options("archive")`.
        shared: What every command knows.
        environ: The environment variables.

    Raises:
        UsageError: Nothing, or more than one thing, is meant.
        ConfigError: The configuration is missing or wrong.
        ArchiveError: There is no archive.
    """

    def server_of(name: str, archive: str | None) -> Target:
        return targets((name,), {**options, "archive": archive}, shared, environ, place="archive")[0]

    first = words[0].strip() if words else ""
    if looks_like_url(first):
        if other is not None:
            raise UsageError("a URL and --account name two servers", hint="leave one of them out")
        server = server_of(first, options["archive"])
        return _own(server, Place(server.archive.name, server.archive), words[1:])
    if options["archive"]:
        if other is None:
            hint = "name it first, as imaps://USER@HOST, or by --account"
            raise UsageError("which server gets the mail?", hint=hint)
        folder = Path(options["archive"]).expanduser().absolute()
        return _elsewhere(other, Place(folder.name, folder), words, server_of)
    account, rest = _account(words, shared, environ)
    mail = Place(account.name, account.archive, account.index)
    if other is not None and other != account.name:
        return _elsewhere(other, mail, rest, server_of)
    return _own(server_of(account.name, None), mail, rest)


def _account(words: Sequence[str], shared: Shared, environ: Mapping[str, str]) -> tuple[Account, Sequence[str]]:
    """Find the account whose mail is meant; the first word is one only if it is configured."""
    from mailarchive.config import load

    config = load(Path(shared.config) if shared.config else None, environ=environ)
    if words and words[0] in config.accounts:
        return config.accounts[words[0]], words[1:]
    accounts = config.select(())
    if not words:
        names = ", ".join(account.name for account in accounts)
        raise UsageError("what is to be put back?", hint=f"name an account for all of its mail, or a query: {names}")
    if len(accounts) > 1:
        names = ", ".join(account.name for account in accounts)
        raise UsageError("the mail of which account?", hint=f"name it before the query, one of: {names}")
    return accounts[0], words


def _own(server: Target, mail: Place, words: Sequence[str]) -> Task:
    return Task(mail, server, server, keeps=True, text=" ".join(words))


def _elsewhere(other: str, mail: Place, words: Sequence[str], server_of: Callable[[str, str | None], Target]) -> Task:
    """Have another server get the mail: an account, with an archive of its own, or a URL, without."""
    text = " ".join(words)
    if not looks_like_url(other):
        server = server_of(other, None)
        return Task(mail, server, server, keeps=True, text=text)
    server = server_of(other, str(mail.folder))
    archive = open_for_reading(mail.folder)
    if archive is None:
        raise ArchiveError(f"there is no archive in {mail.folder}", hint="mailarchive backup makes one")
    archive.close()
    address = parse_url(archive.marker.account)
    same = address.identity == server.address.identity
    return Task(mail, server, replace(server, address=address), keeps=same, text=text)


def run_restore(task: Task, shared: Shared, *, to: str | None, dry_run: bool) -> int:
    """Put back what is found; gives the code of the run.

    Raises:
        MailarchiveError: The run could not begin.
    """
    query = parse(task.text, now=now())
    with open_screen(shared) as screen:
        return int(_run(task, query, screen, to=to, dry_run=dry_run))


def _run(task: Task, query: Query, screen: Screen, *, to: str | None, dry_run: bool) -> ExitCode:
    server, books, interrupt = task.server, task.books, Interrupt()
    run = make_run("restore", server, now(), task.text or "everything", None)
    with ExitStack() as stack:
        with interrupt:
            mail = stack.enter_context(opened(task.mail, screen, interrupt, query=query))
        # As in every run: what is there is locked first, and a new archive is made only behind the sign-in.
        places = None if is_absent(books) else open_places(stack, books, run, screen, dry_run=dry_run)
        purpose = Purpose.READ if dry_run else Purpose.RESTORE
        source = stack.enter_context(connected(server, purpose, screen, interrupt, persevering=False))
        archive, catalogue = places or open_places(stack, books, run, screen, dry_run=dry_run)
        # Only now: a Ctrl-C at the password prompt or while connecting ends the program at once.
        stack.enter_context(interrupt)
        unread = tell_unread(mail, query, screen)
        finished = restore(
            source,
            mail.archive.mail,
            archive,
            catalogue,
            wanted=lambda: mail.finder.find(query),
            to=to or "",
            run=run,
            report=screen,
            stop=interrupt,
            clock=time.monotonic,
            keeps=task.keeps,
            dry_run=dry_run,
        )
        return worst([unread, finished.exit_code])
