"""The screen of a person: a progress bar on stderr while the run lasts, then the result with colours on stdout.

The law of this room: the only one that imports rich. The bar is one line, drawn at most ten times a second by whoever
reports an event, with no thread, no hidden cursor and no escape sequence of its own, and gone before anything else is
printed. rich parses nothing here: no markup, no highlighter, no emoji codes.
"""

from __future__ import annotations

import io
import os
import time
from typing import TYPE_CHECKING

from rich.color import ColorSystem
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.style import Style

from mailarchive.events import (
    Archived,
    Deleting,
    Exported,
    Exporting,
    Expunged,
    Fetching,
    Imported,
    Importing,
    Listing,
    PutBack,
    Reindexing,
    Restoring,
    Verifying,
)
from mailarchive.screen.plain import Plain, columns, is_terminal
from mailarchive.screen.safe import safe
from mailarchive.screen.words import cut, encodable, format_count, format_size

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from rich.progress import ProgressColumn

    from mailarchive.errors import MailarchiveError
    from mailarchive.events import (
        Event,
        ExportFinished,
        Failed,
        Finished,
        Gone,
        ImportFinished,
        Kept,
        MailboxFinished,
        NotPutBack,
        Planned,
        ReindexFinished,
        RestoreFinished,
        UsageFinished,
        Verified,
        VerifyFinished,
    )
    from mailarchive.screen.plain import Sink
    from mailarchive.screen.words import Line, Role

_INTERVAL = 0.1
_ROOMY = 60

_STYLES: dict[Role, str] = {
    "title": "bold",
    "head": "dim",
    "total": "bold",
    "bad": "red",
    "warn": "yellow",
}


def wants_color(color: bool | None, stream: TextIO | None) -> bool:
    """Decide about one stream: as told, else only on a terminal and without NO_COLOR (no-color.org)."""
    if color is not None:
        return color
    return not os.environ.get("NO_COLOR") and is_terminal(stream)


def paint(line: Line, *, color: bool) -> str:
    """Give the text of a line, with the colours of its role if there are to be any."""
    style = _STYLES.get(line.role)
    if not color or style is None:
        return line.text
    return Style.parse(style).render(line.text, color_system=ColorSystem.STANDARD)


class Bar:
    """One line of progress at a time.

    Args:
        sink: Where it is drawn, with carriage returns and blanks only.
        width: Asked before each drawing, because windows change.
        color: Whether the bar may have colours.
        clock: Seconds that only go forward.
    """

    def __init__(self, sink: Sink, width: Callable[[], int], *, color: bool, clock: Callable[[], float]) -> None:
        self._sink = sink
        self._width = width
        self._clock = clock
        self._console = Console(
            file=io.StringIO(),
            color_system="standard" if color else None,
            no_color=not color,
            force_terminal=color,
            force_interactive=False,
            force_jupyter=False,
            legacy_windows=False,
            markup=False,
            highlight=False,
            emoji=False,
        )
        self._progress: Progress | None = None
        self._task = TaskID(0)
        self._what = ""
        self._total = self._size = self._done = self._octets = 0
        self._drawn = 0
        self._due = 0.0

    def start(self, what: str, total: int, size: int = 0) -> None:
        """Begin at nothing of `total` steps, 0 for unknown; `size` counts the octets where the steps are messages."""
        self.clear()
        self._what, self._total, self._size = what, total, size
        self._done = self._octets = 0
        parts: list[ProgressColumn] = [TextColumn("{task.description}", markup=False)]
        roomy = self._width() >= _ROOMY
        if roomy:
            parts.append(BarColumn(bar_width=None))
        parts.append(TextColumn("{task.fields[steps]}", markup=False))
        if size and roomy:
            parts += [TextColumn("{task.fields[octets]}", markup=False), TransferSpeedColumn(), TimeRemainingColumn()]
        self._progress = Progress(*parts, console=self._console, auto_refresh=False, get_time=self._clock, expand=True)
        self._task = self._progress.add_task("", total=max(1, size or total), steps="", octets="")
        self._draw(self._progress)

    def advance(self, steps: int, octets: int = 0) -> None:
        """Count further; after the last step the line is gone."""
        self._octets += octets
        self.reach(self._done + steps, self._what)

    def reach(self, done: int, what: str) -> None:
        """Say that so many steps are done, and draw that if the last drawing is old enough."""
        self._done, self._what = done, what
        if self._progress is None:
            return
        if 0 < self._total <= done:
            self.clear()
        elif self._clock() >= self._due:
            self._draw(self._progress)

    def clear(self) -> None:
        """Take the line away, and draw no more until the next `start`."""
        self._progress = None
        self.hide()

    def hide(self) -> None:
        """Take the line away until the next drawing."""
        if self._drawn:
            self._sink.write("\r" + " " * min(self._drawn, self._cells()) + "\r")
            self._drawn = 0
            self._due = 0.0

    def _draw(self, progress: Progress) -> None:
        self._due = self._clock() + _INTERVAL
        width = self._console.width = self._cells()
        progress.update(
            self._task,
            description=encodable(cut(self._what, max(8, width // 3)), self._sink.encoding),
            completed=min(self._octets, self._size) if self._size else self._done,
            steps=format_count(self._done) + (f"/{format_count(self._total)}" if self._total else ""),
            octets=format_size(self._octets),
        )
        with self._console.capture() as captured:
            self._console.print(progress.make_tasks_table(progress.tasks))
        self._sink.write("\r" + captured.get().split("\n", 1)[0])
        self._drawn = width

    def _cells(self) -> int:
        """One cell less than there is: a terminal that is filled to its last cell may begin a new line."""
        return max(1, self._width() - 1)


class Terminal(Plain):
    """A bar while something is being listed, fetched, deleted or put back, then the result."""

    _draws_quota = True

    def __init__(
        self,
        stdout: TextIO | None,
        stderr: TextIO | None,
        *,
        verbose: bool = False,
        color: bool | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(stdout, stderr, verbose=verbose)
        self._out_color = wants_color(color, stdout)
        self._err_color = wants_color(color, stderr)
        self._bar = Bar(self._notes, lambda: columns(stderr), color=self._err_color, clock=clock)
        self._listing = self._deleting = False
        more: dict[type[Event], Callable[..., None]] = {
            Listing: self._on_listing,
            Fetching: self._on_fetching,
            Archived: self._on_archived,
            Deleting: self._on_deleting,
            Expunged: self._on_expunged,
            Restoring: self._on_restoring,
            PutBack: self._on_put_back,
            Importing: self._on_importing,
            Exporting: self._on_exporting,
            Exported: self._on_exported,
            Imported: self._on_imported,
            Verifying: self._on_verifying,
            Reindexing: self._on_reindexing,
        }
        self._handlers |= more

    def close(self) -> None:
        """Take the bar away, for good or before a question is asked."""
        self._end_bar()

    def error(self, err: MailarchiveError) -> None:
        """Take the bar away, then print the error and its hint on stderr."""
        self._end_bar()
        super().error(err)

    def _out(self, line: Line) -> None:
        self._result.write(paint(line, color=self._out_color) + "\n")

    def _err(self, line: Line) -> None:
        self._bar.hide()
        self._notes.write(paint(line, color=self._err_color) + "\n")

    def _on_listing(self, event: Listing) -> None:
        if not self._listing:
            self._listing = True
            self._bar.start("listing", event.total)
        self._bar.reach(event.done, f"listing {safe(event.mailbox)}")

    def _on_planned(self, event: Planned) -> None:
        self._end_bar()
        super()._on_planned(event)

    def _on_fetching(self, event: Fetching) -> None:
        self._end_bar()
        if event.count:
            self._bar.start(safe(event.mailbox), event.count, event.size)

    def _on_archived(self, event: Archived) -> None:
        self._bar.advance(1, event.size)

    def _on_deleting(self, event: Deleting) -> None:
        self._end_bar()
        if event.count:
            self._deleting = True
            self._bar.start(f"deleting from {safe(event.mailbox)}", event.count)

    def _on_expunged(self, _event: Expunged) -> None:
        self._one_less()

    def _on_kept(self, event: Kept) -> None:
        super()._on_kept(event)
        self._one_less()

    def _one_less(self) -> None:
        """Count a message of a deletion; what is kept at another time is no step of the bar that is there then."""
        if self._deleting:
            self._bar.advance(1)

    def _on_restoring(self, event: Restoring) -> None:
        self._end_bar()
        if event.count:
            self._bar.start(f"putting back {safe(event.mailbox)}", event.count, event.size)

    def _on_put_back(self, event: PutBack) -> None:
        self._bar.advance(1, event.size)

    def _on_not_put_back(self, event: NotPutBack) -> None:
        super()._on_not_put_back(event)
        self._bar.advance(1)

    def _on_restore_finished(self, event: RestoreFinished) -> None:
        self._end_bar()
        super()._on_restore_finished(event)

    def _on_importing(self, event: Importing) -> None:
        self._end_bar()
        if event.size:
            self._bar.start(f"reading {safe(event.source)}", 0, event.size)

    def _on_imported(self, event: Imported) -> None:
        self._bar.advance(1, event.extent)

    def _on_import_finished(self, event: ImportFinished) -> None:
        self._end_bar()
        super()._on_import_finished(event)

    def _on_exporting(self, event: Exporting) -> None:
        self._end_bar()
        self._bar.start(f"writing {safe(event.form)}", 0, 0)

    def _on_exported(self, event: Exported) -> None:
        self._bar.advance(1, event.size)

    def _on_export_finished(self, event: ExportFinished) -> None:
        self._end_bar()
        super()._on_export_finished(event)

    def _on_verifying(self, event: Verifying) -> None:
        self._end_bar()
        if event.count:
            self._bar.start("reading back", event.count, event.size)

    def _on_verified(self, event: Verified) -> None:
        super()._on_verified(event)
        self._bar.advance(1, event.size)

    def _on_verify_finished(self, event: VerifyFinished) -> None:
        self._end_bar()
        super()._on_verify_finished(event)

    def _on_reindexing(self, event: Reindexing) -> None:
        self._end_bar()
        if event.count:
            self._bar.start("reading", event.count)

    def _on_reindex_finished(self, event: ReindexFinished) -> None:
        self._end_bar()
        super()._on_reindex_finished(event)

    def _on_usage_finished(self, event: UsageFinished) -> None:
        self._end_bar()
        super()._on_usage_finished(event)

    def _on_failed(self, event: Failed) -> None:
        super()._on_failed(event)
        self._bar.advance(1)

    def _on_gone(self, event: Gone) -> None:
        super()._on_gone(event)
        self._bar.advance(event.count)

    def _on_mailbox_finished(self, event: MailboxFinished) -> None:
        self._end_bar()
        super()._on_mailbox_finished(event)

    def _on_finished(self, event: Finished) -> None:
        self._end_bar()
        super()._on_finished(event)

    def _end_bar(self) -> None:
        self._listing = self._deleting = False
        self._bar.clear()
