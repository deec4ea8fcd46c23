"""Runs an export: finds the mail, makes the folder, and writes.

The law of this room: no server is asked for anything and no archive is changed. The place is looked at before anything
is read, and gets the folder only when all of it is there.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mailarchive.cli.finding import opened, places, tell_unread
from mailarchive.cli.interrupt import Interrupt
from mailarchive.cli.zone import now
from mailarchive.errors import UsageError, worst
from mailarchive.events import Warned
from mailarchive.export import export
from mailarchive.exports.folder import NewFolder
from mailarchive.exports.names import part
from mailarchive.query import parse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mailarchive.cli.finding import Place
    from mailarchive.cli.options import Shared
    from mailarchive.outgoing import Form, Outgoing
    from mailarchive.screen import Screen


def run_export(
    text: str,
    accounts: tuple[str, ...],
    archives: tuple[str, ...],
    shared: Shared,
    environ: Mapping[str, str],
    *,
    screen: Screen,
    form: str,
    to: str,
) -> int:
    """Find and write; gives the exit code.

    Args:
        text: The query as it was typed; empty for everything.
        accounts: Whose archives.
        archives: Folders instead.
        shared: What every command knows.
        environ: The environment variables.
        screen: For what happens.
        form: As `--as` names it.
        to: The folder to be made.

    Raises:
        UsageError: The query cannot be read, or something is at the place.
        ConfigError: The configuration is missing or wrong.
        ArchiveError: There is no archive.
    """
    query = parse(text, now=now())
    where = places(accounts, archives, shared, environ)
    path = _path(to)
    for place in where:
        _refuse_inside(path, place.folder)
    interrupt = Interrupt()
    with ExitStack() as stack:
        folder = stack.enter_context(NewFolder(path))
        stack.enter_context(interrupt)
        writer = _Kept(_form(form, folder, where, text), folder)
        if form == "html" and not _cleans(writer):
            what = "HTML mail is shown as plain text; with nh3 it is shown as it looks: pip install 'mailarchive[html]'"
            screen(Warned(what, serious=False))
        ready = [stack.enter_context(opened(place, screen, interrupt, query=query, tell=True)) for place in where]
        codes = [tell_unread(one, query, screen) for one in ready]
        several = len(ready) > 1
        finished = export(
            (
                (part(one.place.name) if several else "", one.archive.mail, one.finder.find(query, once=writer.once))
                for one in ready
            ),
            writer,
            name=form,
            to=str(path),
            report=screen,
            stop=interrupt,
            clock=time.monotonic,
        )
        return int(worst([*codes, finished.exit_code]))


class _Kept(NamedTuple):
    """A form whose folder gets its place when all is written."""

    form: Form
    folder: NewFolder

    @property
    def once(self) -> bool:
        """See `outgoing.Form`."""
        return self.form.once

    def add(self, message: Outgoing) -> int:
        """See `outgoing.Form`."""
        return self.form.add(message)

    def finish(self) -> None:
        """Write what stands at the end, and keep everything."""
        self.form.finish()
        self.folder.keep()


def _form(name: str, folder: NewFolder, where: Sequence[Place], text: str) -> Form:
    if name == "eml":
        from mailarchive.exports.eml import Eml

        return Eml(folder)
    if name == "mbox":
        from mailarchive.exports.mbox import Mbox

        return Mbox(folder)
    if name == "thunderbird":
        from mailarchive.exports.thunderbird import Thunderbird

        return Thunderbird(folder, folder.path.name)
    if name == "attachments":
        from mailarchive.exports.attachments import Attachments

        return Attachments(folder)
    from mailarchive.exports.html import Html

    title = f"Mail of {', '.join(place.name for place in where)}"
    what = f"What was found by: {text}" if text.strip() else "Everything that is archived"
    return Html(folder, title, f"{what} \N{MIDDLE DOT} {now():%Y-%m-%d}")


def _cleans(writer: _Kept) -> bool:
    from mailarchive.exports.html import Html

    return isinstance(writer.form, Html) and writer.form.cleans


def _path(text: str) -> Path:
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:
        raise UsageError(f"{text}: the home folder of that user is not known", hint="write the whole path") from None


def _refuse_inside(path: Path, archive: Path) -> None:
    """Refuse a place inside an archive, where strange files would be taken for mail."""
    here, there = path.resolve(), archive.resolve()
    if here == there or there in here.parents:
        raise UsageError(f"{path} lies in the archive {archive}", hint="name a folder outside of it")
