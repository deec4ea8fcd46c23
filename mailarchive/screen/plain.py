"""The screen of cron jobs and pipes: the result on stdout, what a human should see on stderr.

The law of this room: no colour, no bar, no line before it is needed. A stream that breaks is left alone from then on,
a character that the stream cannot write becomes one that it can, and neither ever stops a backup.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from mailarchive.errors import ExitCode
from mailarchive.events import (
    ExportFinished,
    Failed,
    Finished,
    Gone,
    Held,
    ImportFinished,
    Kept,
    MailboxFinished,
    NotExported,
    NotImported,
    NotPutBack,
    Planned,
    ReindexFinished,
    RestoreFinished,
    Settled,
    Started,
    UsageFinished,
    Verified,
    VerifyFinished,
    Waiting,
    Warned,
)
from mailarchive.screen.reports import (
    counts,
    export_lines,
    import_lines,
    plan_lines,
    reindex_lines,
    restore_lines,
    result_lines,
    settled_text,
    verify_lines,
)
from mailarchive.screen.safe import safe
from mailarchive.screen.words import WIDE, Line, encodable, format_count, format_size, messages
from mailarchive.secret import KNOWN

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self, TextIO

    from mailarchive.errors import MailarchiveError
    from mailarchive.events import Event
    from mailarchive.screen.words import Role

LONG = 1000
"""How much of a sentence is printed; a name is cut much earlier."""

_DIGITS = 12
"""Of a digest, as much as `show` needs to find the message."""


def is_terminal(stream: TextIO | None) -> bool:
    """Tell whether a stream is a terminal; one that is closed or missing is not."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


def columns(stream: TextIO | None) -> int:
    """Count the cells in a line of a terminal; 80 where it does not say, `WIDE` where there is none."""
    if stream is None or not is_terminal(stream):
        return WIDE
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


class Sink:
    """A stream that can be written to whatever happens to it."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self.encoding: str = getattr(stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> None:
        """Write and flush; silent after the first failure (closed pipe, full disk, terminal gone)."""
        if self._stream is None:
            return
        try:
            self._stream.write(encodable(text, self.encoding))
            self._stream.flush()
        except (OSError, ValueError):
            self._give_up(self._stream)

    def _give_up(self, stream: TextIO) -> None:
        """Point the descriptor at nothing, or the interpreter fails over the rest of the buffer when it exits."""
        self._stream = None
        try:
            descriptor = stream.fileno()
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, descriptor)
            os.close(nothing)
        except (OSError, ValueError):
            pass  # no descriptor behind it, so nothing to flush either


class Plain:
    """Text without colour; with `quiet`, silent unless the exit code is going to be something else than 0.

    `width` is how many cells a line has, where the stream cannot say it.
    """

    _draws_quota = False

    def __init__(
        self,
        stdout: TextIO | None,
        stderr: TextIO | None,
        *,
        quiet: bool = False,
        verbose: bool = False,
        width: int | None = None,
    ) -> None:
        self._cells = width
        self._stdout = stdout
        self._stderr = stderr
        self._result = Sink(stdout)
        self._notes = Sink(stderr)
        self._quiet = quiet
        self._verbose = verbose and not quiet
        self._started: Started | None = None
        self._waiting: list[Line] = []
        self._said = ("", "")
        self._handlers: dict[type[Event], Callable[[Any], None]] = {
            Started: self._on_started,
            Planned: self._on_planned,
            Failed: self._on_failed,
            Held: self._on_held,
            Gone: self._on_gone,
            Kept: self._on_kept,
            Waiting: self._on_waiting,
            Settled: self._on_settled,
            NotPutBack: self._on_not_put_back,
            RestoreFinished: self._on_restore_finished,
            NotImported: self._on_not_imported,
            NotExported: self._on_not_exported,
            ExportFinished: self._on_export_finished,
            ImportFinished: self._on_import_finished,
            Warned: self._on_warned,
            MailboxFinished: self._on_mailbox_finished,
            Finished: self._on_finished,
            Verified: self._on_verified,
            VerifyFinished: self._on_verify_finished,
            ReindexFinished: self._on_reindex_finished,
            UsageFinished: self._on_usage_finished,
        }

    def __call__(self, event: Event) -> None:
        """Show one event."""
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()

    def close(self) -> None:
        """Nothing to take away."""

    def error(self, err: MailarchiveError) -> None:
        """Print `mailarchive: error: …` and `hint: …` on stderr, each line of either with its own prefix."""
        self._release()
        if (err.message, err.hint) != self._said:
            self._complain(err.message, err.hint)

    def question(self, planned: Planned) -> None:
        """Print the plan on stderr, also with `quiet`: a person is about to be asked."""
        self.close()
        width, encoding = columns(self._stderr), self._notes.encoding
        for line in plan_lines(self._started, planned, width=width, encoding=encoding, asking=True):
            self._err(line)

    # What the two streams get

    def _out(self, line: Line) -> None:
        self._result.write(line.text + "\n")

    def _err(self, line: Line) -> None:
        self._notes.write(line.text + "\n")

    def _width(self) -> int:
        return columns(self._stdout) if self._cells is None else self._cells

    def _note(self, text: str, role: Role, *, urgent: bool) -> None:
        """Print a line on stderr, or with `quiet` keep what may turn out to be nothing until the run is over."""
        line = Line(f"mailarchive: {text}", role)
        if self._quiet and not urgent:
            self._waiting.append(line)
        else:
            self._err(line)

    def _release(self) -> None:
        for line in self._waiting:
            self._err(line)
        self._waiting.clear()

    def _complain(self, message: str, hint: str) -> None:
        self._said = (message, hint)
        sayings: tuple[tuple[str, str, Role], ...] = (("mailarchive: error: ", message, "bad"), ("hint: ", hint, ""))
        for prefix, text, role in sayings:
            for part in KNOWN.scrub(text).split("\n"):
                if part.strip():
                    self._err(Line(prefix + safe(part, limit=LONG), role))

    # Events

    def _on_started(self, event: Started) -> None:
        # What is kept back already belongs to this run: it was said while its archive was opened.
        self._started = event

    def _on_planned(self, event: Planned) -> None:
        if self._started is not None and self._started.dry_run:
            if not self._quiet:
                lines = plan_lines(self._started, event, width=self._width(), encoding=self._result.encoding)
                self._print(lines)
        elif self._verbose:
            count = sum(box.fetch for box in event.mailboxes)
            line = f"plan: {messages(count)} to fetch, {format_size(sum(box.size for box in event.mailboxes))}"
            if event.deleting:
                line += f"; {messages(event.delete)} to delete, {format_size(event.delete_size)}"
            self._err(Line(line))

    def _on_failed(self, event: Failed) -> None:
        where = f"{safe(event.mailbox)} {safe(str(event.uid))}"
        self._note(f"failed: {where}: {safe(event.reason, limit=LONG)}", "bad", urgent=True)

    def _on_held(self, event: Held) -> None:
        where = f"{safe(event.mailbox)} {safe(str(event.uid))}"
        self._note(f"held back: {where}: {safe(event.reason, limit=LONG)}", "warn", urgent=False)

    def _on_gone(self, event: Gone) -> None:
        if self._verbose:
            self._err(Line(f"{safe(event.mailbox)}: {messages(event.count)} removed by another hand meanwhile"))

    def _on_waiting(self, event: Waiting) -> None:
        seconds = max(1, round(event.seconds))
        self._note(f"{safe(event.reason, limit=LONG)}; trying again in {seconds} s", "warn", urgent=False)

    def _on_kept(self, event: Kept) -> None:
        if self._verbose:
            where = f"{safe(event.mailbox)} {safe(str(event.uid))}"
            detail = f" ({safe(event.detail, limit=LONG)})" if event.detail else ""
            self._err(Line(f"kept: {where}: {safe(event.reason, limit=LONG)}{detail}"))

    def _on_settled(self, event: Settled) -> None:
        self._note(settled_text(event), "bad" if event.open else "warn", urgent=bool(event.open))
        if event.open:
            self._err(Line("hint: run mailarchive prune to settle it"))

    def _on_not_put_back(self, event: NotPutBack) -> None:
        self._not_done("not put back", event)

    def _on_not_exported(self, event: NotExported) -> None:
        self._not_done("not exported", event)

    def _not_done(self, what: str, event: NotPutBack | NotExported) -> None:
        digits = safe(event.digest.removeprefix("sha256:")[:_DIGITS])
        reason = safe(event.reason, limit=LONG)
        self._note(f"{what}: {safe(event.mailbox)} {digits}: {reason}", "bad", urgent=True)

    def _on_not_imported(self, event: NotImported) -> None:
        where = safe(event.source, limit=LONG)
        where += "" if event.offset is None else f" at octet {event.offset}"
        self._note(f"not imported: {where}: {safe(event.reason, limit=LONG)}", "bad", urgent=True)

    def _on_warned(self, event: Warned) -> None:
        where = f"{safe(event.mailbox)}: " if event.mailbox else ""
        text = f"warning: {where}{safe(event.message, limit=LONG)}"
        self._note(text, "bad" if event.serious else "warn", urgent=event.serious)

    def _on_mailbox_finished(self, event: MailboxFinished) -> None:
        if self._verbose:
            self._err(Line(f"{safe(event.mailbox)}: {counts(event.tally)}, {format_size(event.tally.size)}"))

    def _on_finished(self, event: Finished) -> None:
        self._end_waiting(event.exit_code)
        if self._quiet:
            self._summarize(event.exit_code, counts(event.total))
        elif self._started is None or not self._started.dry_run:
            self._print(
                result_lines(
                    self._started,
                    event,
                    width=self._width(),
                    encoding=self._result.encoding,
                    home=os.environ.get("HOME", ""),
                    bar=self._draws_quota,
                )
            )
        if event.error:
            self._complain(event.error, event.hint)

    def _on_restore_finished(self, event: RestoreFinished) -> None:
        self._end_waiting(event.exit_code)
        if self._quiet:
            total = event.total
            self._summarize(
                event.exit_code, f"{format_count(total.put_back)} put back, {format_count(total.failed)} failed"
            )
        else:
            self._print(
                restore_lines(
                    self._started,
                    event,
                    width=self._width(),
                    encoding=self._result.encoding,
                    home=os.environ.get("HOME", ""),
                    bar=self._draws_quota,
                )
            )
        if event.error:
            self._complain(event.error, event.hint)

    def _on_import_finished(self, event: ImportFinished) -> None:
        self._end_waiting(event.exit_code)
        total, home = event.total, os.environ.get("HOME", "")
        if self._quiet:
            done = f"{format_count(total.new)} new, {format_count(total.already)} already"
            self._summarize(event.exit_code, f"{done}, {format_count(total.failed)} failed")
        else:
            width, encoding = self._width(), self._result.encoding
            self._print(import_lines(self._started, event, width=width, encoding=encoding, home=home))
        if event.error:
            self._complain(event.error, event.hint)

    def _on_export_finished(self, event: ExportFinished) -> None:
        self._end_waiting(event.exit_code)
        if not self._quiet and not event.error:
            home, encoding = os.environ.get("HOME", ""), self._result.encoding
            self._print(export_lines(event, width=self._width(), encoding=encoding, home=home))
        if event.error:
            self._complain(event.error, event.hint)

    def _on_verified(self, event: Verified) -> None:
        if event.flaw is None:
            return
        detail = f" ({safe(event.detail, limit=LONG)})" if event.detail else ""
        text = f"{event.flaw}: {safe(event.location, limit=LONG)}{detail}"
        self._note(text, "bad" if event.flaw.serious else "warn", urgent=event.flaw.serious)

    def _on_verify_finished(self, event: VerifyFinished) -> None:
        self._end_waiting(event.exit_code)
        if not self._quiet:
            self._print(verify_lines(event, home=os.environ.get("HOME", "")))
        if event.error:
            self._complain(event.error, event.hint)

    def _on_reindex_finished(self, event: ReindexFinished) -> None:
        self._end_waiting(event.exit_code)
        if not self._quiet:
            self._print(reindex_lines(event, width=self._width(), home=os.environ.get("HOME", "")))
        if event.error:
            self._complain(event.error, event.hint)

    def _on_usage_finished(self, event: UsageFinished) -> None:
        from mailarchive.screen.usage import usage_lines

        self._end_waiting(event.exit_code)
        if not self._quiet:
            self._print(usage_lines(event, width=self._width(), encoding=self._result.encoding, bar=self._draws_quota))

    def _print(self, lines: list[Line]) -> None:
        for line in lines:
            self._out(line)

    def _end_waiting(self, code: ExitCode) -> None:
        """Print what was kept back, or forget it if the run ended well."""
        if code is ExitCode.DONE:
            self._waiting.clear()
        self._release()

    def _summarize(self, code: ExitCode, done: str) -> None:
        """Say in one line how a quiet run ended, unless it ended well."""
        if code is not ExitCode.DONE:
            account = f"{safe(self._started.account)}: " if self._started is not None else ""
            self._err(Line(f"mailarchive: {account}{done}; exit {code:d}: {code.meaning}", "bad"))
