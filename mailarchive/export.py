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
from mailarchive.hierarchy import Hierarchy
from mailarchive.mboxrd import Lines
from mailarchive.outgoing import Outgoing
from mailarchive.tally import Outlet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mailarchive.errors import ExitCode
    from mailarchive.events import Report
    from mailarchive.finding import Found
    from mailarchive.model import Digest
    from mailarchive.outgoing import Form
    from mailarchive.ports import Archive, Stop


def export(
    wanted: Iterable[tuple[str, Archive, Iterable[Found]]],
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
        wanted: What to write: the folder that the mailboxes of an archive get, empty for none; the archive, and what
            was found in it, which is read once.
        form: How, and where to. It is finished only if nothing has ended the export before.
        name: Of the form.
        to: The place, for people.
        report: Hears of every step, last of all of what is returned.
        stop: Asked between messages.
        clock: Seconds of a monotonic clock.
    """
    begun = clock()
    report(Exporting(name, to))
    work = _Export(form, report)
    error = hint = ""
    try:
        for above, archive, found in wanted:
            work.add_all(_Shelf(above, archive, Hierarchy(archive)), found, stop)
        if (stopped := stop()) is not None:
            work.codes.add(stopped)
            error = "interrupted; nothing was exported"
        elif work.rows:
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


@dataclass(frozen=True, slots=True)
class _Shelf:
    """One archive, and the folder that its mailboxes get."""

    above: str
    archive: Archive
    hierarchy: Hierarchy

    def proved(self, each: Found) -> Outgoing:
        """Read a copy to its end; ArchiveError if it is not what it was."""
        lines, digest = Lines(), hashlib.sha256()
        for piece in self.archive.read(each.location):
            digest.update(piece)
            lines.feed(bytes(piece))
        if digest.hexdigest() != each.id:
            raise ArchiveError("its copy in the archive is damaged")
        parts = self.hierarchy.parts(each.mailbox)
        return Outgoing(
            each,
            (self.above, *parts) if self.above else parts,
            lines.is_crlf,
            lines.is_ended,
            lambda: self.archive.read(each.location),
        )


@dataclass(slots=True)
class _Export:
    """An export under way."""

    form: Form
    report: Report
    rows: dict[str, Outlet] = field(default_factory=dict)
    codes: set[ExitCode] = field(default_factory=set)
    files: int = 0
    _seen: set[Digest] = field(default_factory=set)

    def add_all(self, shelf: _Shelf, found: Iterable[Found], stop: Stop) -> None:
        """Write what was found in one archive, until somebody says stop."""
        for each in found:
            if stop() is not None:
                return
            if shelf.above and self.form.once:
                # One archive gives each message once by itself; two may hold the same.
                if each.digest in self._seen:
                    continue
                self._seen.add(each.digest)
            self._add(shelf, each)

    def _add(self, shelf: _Shelf, each: Found) -> None:
        try:
            self.files += self.form.add(shelf.proved(each))
        except DiskError:
            raise
        except (ArchiveError, MessageError) as error:
            self.codes.add(error.exit_code)
            self._count(each, Outlet(found=1, failed=1))
            self.report(NotExported(each.mailbox, each.digest, error.message))
        else:
            self._count(each, Outlet(found=1, written=1, size=each.size))
            self.report(Exported(each.mailbox, each.digest, each.size))

    def _count(self, each: Found, more: Outlet) -> None:
        self.rows[each.mailbox] = self.rows.get(each.mailbox, Outlet()) + more
