"""Archive to files of other programs: what a query finds, each message proved before it is written.

The law of this room: the archive is only read. A copy that is not what it was is told, and never written as if it were;
one bad message ends no export.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mailarchive.errors import ArchiveError, DiskError, MailarchiveError, MessageError, worst
from mailarchive.events import Exported, ExportFinished, Exporting, NotExported
from mailarchive.mboxrd import Lines
from mailarchive.outgoing import Outgoing
from mailarchive.tally import Outlet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mailarchive.errors import ExitCode
    from mailarchive.events import Report
    from mailarchive.finding import Found
    from mailarchive.outgoing import Form
    from mailarchive.ports import Archive, Stop


def export(
    wanted: Iterable[Found],
    archive: Archive,
    form: Form,
    *,
    name: str,
    to: str,
    report: Report,
    stop: Stop,
    clock: Callable[[], float],
) -> ExportFinished:
    """Write what was found in a form.

    Args:
        wanted: What to write; read once.
        archive: Where it lies.
        form: How, and where to. It is finished only if nothing has ended the export before.
        name: Of the form.
        to: The place, for people.
        report: Hears of every step, last of all of what is returned.
        stop: Asked between messages.
        clock: Seconds of a monotonic clock.
    """
    begun = clock()
    report(Exporting(name, to))
    work = _Export(archive, form, report, Hierarchy(archive))
    error = hint = ""
    try:
        for each in wanted:
            if (stopped := stop()) is not None:
                work.codes.add(stopped)
                error = "interrupted; nothing was exported"
                break
            work.add(each)
        else:
            form.finish()
    except MailarchiveError as trouble:
        work.codes.add(trouble.exit_code)
        error, hint = f"{trouble.message}; nothing was exported", trouble.hint
    finished = ExportFinished(
        form=name,
        to=to,
        mailboxes=tuple(work.rows.items()),
        total=sum(work.rows.values(), Outlet()),
        files=work.files,
        exit_code=worst(work.codes),
        seconds=clock() - begun,
        error=error,
        hint=hint,
    )
    report(finished)
    return finished


@dataclass(slots=True)
class _Export:
    """An export under way."""

    archive: Archive
    form: Form
    report: Report
    hierarchy: Hierarchy
    rows: dict[str, Outlet] = field(default_factory=dict)
    codes: set[ExitCode] = field(default_factory=set)
    files: int = 0

    def add(self, each: Found) -> None:
        """Write one message, or tell why not."""
        try:
            self.files += self.form.add(self._proved(each))
        except DiskError:
            raise
        except (ArchiveError, MessageError) as error:
            self.codes.add(error.exit_code)
            self._count(each, Outlet(found=1, failed=1))
            self.report(NotExported(each.mailbox, each.digest, error.message))
        else:
            self._count(each, Outlet(found=1, written=1, size=each.size))
            self.report(Exported(each.mailbox, each.digest, each.size))

    def _proved(self, each: Found) -> Outgoing:
        """Read a copy to its end; ArchiveError if it is not what it was."""
        archive, lines, digest = self.archive, Lines(), hashlib.sha256()
        for piece in archive.read(each.location):
            digest.update(piece)
            lines.feed(bytes(piece))
        if digest.hexdigest() != each.id:
            raise ArchiveError("its copy in the archive is damaged")
        return Outgoing(
            each,
            self.hierarchy.parts(each.mailbox),
            lines.is_crlf,
            lines.is_ended,
            lambda: archive.read(each.location),
        )

    def _count(self, each: Found, more: Outlet) -> None:
        self.rows[each.mailbox] = self.rows.get(each.mailbox, Outlet()) + more


class Hierarchy:
    """How the names of mailboxes are divided: their delimiters stand in the manifests, of which few are read."""

    def __init__(self, archive: Archive) -> None:
        self._lines = _mailboxes(archive)
        self._known: dict[str, str | None] = {}

    def parts(self, name: str) -> tuple[str, ...]:
        """Cut a name at the delimiter of its server; at `/` where no manifest tells it."""
        while name not in self._known:
            found, delimiter = next(self._lines, (name, "/"))
            self._known.setdefault(found, delimiter)
        delimiter = self._known[name]
        return tuple(name.split(delimiter)) if delimiter else (name,)


def _mailboxes(archive: Archive) -> Iterator[tuple[str, str | None]]:
    """Give each mailbox that a manifest speaks of, and its delimiter, the newest first."""
    for run in reversed(archive.runs()):
        for line in archive.told(run, lambda _: None):
            name, delimiter = line.get("name"), line.get("delimiter")
            if line.get("type") == "mailbox" and isinstance(name, str):
                yield name, delimiter if isinstance(delimiter, str) and delimiter else None
