"""Several accounts at a time, each in a process of its own.

The law of this room: an account hears and says what it would alone, and what it says is printed whole, when it has
ended; as JSON lines, line by line. No account stops another one, whatever becomes of it, and none is left running.

Processes and not threads, because signals reach only the first thread of a process, and an exception that ends a run at
once reaches no other; because a crash or a lack of memory then costs one account; and because what changes the whole
process (standard streams, secrets that are known) stays with one account. Speed speaks little: with two servers on a
busy computer of two cores the median of three runs was 2.4 s by processes, 2.5 s by threads, 2.9 s one by one; the
more a run computes, the more threads would share one core. They are forked, which is done nowhere else and refused once
a thread is running, because its locks would be copied: so the program is loaded and the configuration read once for
all. Each has a session of its own, so that Ctrl-C reaches it only through us, once, and no password command asks at a
terminal that others write to.
"""

from __future__ import annotations

import os
import selectors
import signal
import sys
import tempfile
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Final, NoReturn

import click

from mailarchive.cli.interrupt import SIGNALS
from mailarchive.cli.options import logged, show_traceback
from mailarchive.errors import ExitCode, MailarchiveError, worst
from mailarchive.monitoring.log import Logged
from mailarchive.screen.jsonl import JsonLines
from mailarchive.screen.plain import Plain, Sink, columns, is_terminal
from mailarchive.screen.safe import safe
from mailarchive.screen.words import WIDE, cut

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import FrameType

    from mailarchive.cli.options import Shared
    from mailarchive.cli.targets import Target
    from mailarchive.screen import Screen

    Work = Callable[[Target, Screen], ExitCode]

PER_HOST: Final = 4
"""Connections to one host; more of them many servers refuse."""
_BLOCK: Final = 1 << 16
_UNSAID: Final = 255
"""Of a process that could not even say what was wrong."""


@dataclass
class _Running:
    """An account that runs.

    Attributes:
        target: The account.
        pid: Of its process.
        pipe: What it says on stdout; its end is the end of the process.
        notes: What it, and the commands that it starts, say on stderr.
        said: What came through the pipe and is not printed yet.
    """

    target: Target
    pid: int
    pipe: int
    notes: IO[bytes]
    said: bytearray = field(default_factory=bytearray)


class Fleet:
    """Runs accounts side by side.

    Args:
        work: What to do with each, in its own process.
        shared: What every command knows.
        jobs: How many at a time.
    """

    def __init__(self, work: Work, shared: Shared, jobs: int) -> None:
        self._work = work
        self._shared = shared
        self._jobs = jobs
        self._code: ExitCode | None = None
        self._before: dict[signal.Signals, object] = {}
        self._running: dict[int, _Running] = {}
        self._out, self._err = Sink(sys.stdout), Sink(sys.stderr)
        self._status = _Status(shared)
        self._selector = selectors.DefaultSelector()

    def run(self, targets: Sequence[Target]) -> list[ExitCode]:
        """Run the targets; gives the code of each, in their order.

        The first signal reaches all that run, and no other is begun: its code is that of those that never ran.
        """
        waiting = list(targets)
        codes: dict[str, ExitCode] = {}
        with self._selector, self._signals():
            while True:
                while self._code is None and (target := self._next(waiting)) is not None:
                    waiting.remove(target)
                    self._begin(target, codes)
                if not self._running:
                    break
                self._status.show(len(codes), len(targets), [each.target.name for each in self._running.values()])
                for key, _ in self._selector.select():
                    self._hear(key.data, codes)
        self._status.hide()
        return [codes.get(target.name, self._code or ExitCode.BUG) for target in targets]

    def _next(self, waiting: Sequence[Target]) -> Target | None:
        """Choose the first account that may begin."""
        if len(self._running) >= self._jobs:
            return None
        busy = [_host(each.target) for each in self._running.values()]
        return next((target for target in waiting if busy.count(_host(target)) < PER_HOST), None)

    def _begin(self, target: Target, codes: dict[str, ExitCode]) -> None:
        """Start the process of an account; a system that gives none fails this account alone."""
        try:
            self._fork(target)
        except OSError as error:
            self._say(b"", f"mailarchive: error: {safe(target.name)}: no process for it: {error.strerror}\n")
            codes[target.name] = ExitCode.LATER

    def _fork(self, target: Target) -> None:
        if threading.active_count() > 1:
            raise RuntimeError("a program with threads must not fork")
        notes = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed when the process has ended
        reading, writing = os.pipe()
        # No signal comes between the birth of a process and the moment that we know of it.
        mask: set[int] = set(signal.pthread_sigmask(signal.SIG_BLOCK, self._before))
        try:
            pid = os.fork()
            if pid == 0:
                self._be_born(target, writing, notes, mask)
            self._running[pid] = _Running(target, pid, reading, notes)
        except OSError:
            os.close(reading)
            notes.close()
            raise
        finally:
            os.close(writing)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        self._selector.register(reading, selectors.EVENT_READ, self._running[pid])

    def _be_born(self, target: Target, writing: int, notes: IO[bytes], mask: set[int]) -> NoReturn:
        """Be the process of an account, from its first moment to its last."""
        code = _UNSAID
        try:
            os.setsid()
            self._let_go()
            for other in self._running.values():
                os.close(other.pipe)
            screen = self._screen(target, writing, notes)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            code = int(self._alone(target, screen))
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)

    def _screen(self, target: Target, writing: int, notes: IO[bytes]) -> Screen:
        """Give a new process its streams, and the screen on them.

        The pipe is not handed on to commands that are started, so that one that stays does not keep it open.
        """
        width = columns(sys.stdout) if is_terminal(sys.stdout) else WIDE
        nothing = os.open(os.devnull, os.O_RDONLY)
        for number, source in ((0, nothing), (1, notes.fileno()), (2, notes.fileno())):
            os.dup2(source, number)
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - descriptors, for as long as it lives
        sys.stdout = open(writing, "w", encoding=self._out.encoding, errors="backslashreplace")  # noqa: SIM115
        sys.stderr = open(2, "w", encoding=self._err.encoding, errors="backslashreplace", closefd=False)  # noqa: SIM115
        shared = self._shared
        if shared.json:
            return logged(JsonLines(sys.stdout, account=target.name, begun=True), shared)
        return logged(Plain(sys.stdout, sys.stderr, quiet=shared.quiet, verbose=shared.verbose, width=width), shared)

    def _alone(self, target: Target, screen: Screen) -> ExitCode:
        """Do the work in the process of an account; whatever goes wrong is told as it would be of a single one."""
        try:
            with screen:
                return self._work(target, screen)
        except (KeyboardInterrupt, click.Abort) as error:
            Plain(None, sys.stderr).error(MailarchiveError(f"{target.name}: interrupted"))
            code: ExitCode = getattr(error.__cause__ or error, "code", ExitCode.INTERRUPT)
            return code
        except Exception as error:  # noqa: BLE001 - a bug costs one account, and is told in one line
            show_traceback(error, self._shared)
            what = f"{target.name}: unexpected failure ({type(error).__name__})"
            screen.error(MailarchiveError(what, hint="run it again with --debug and report what it says"))
            return ExitCode.BUG

    def _hear(self, child: _Running, codes: dict[str, ExitCode]) -> None:
        """Take what a process says, and its end."""
        data = os.read(child.pipe, _BLOCK)
        child.said += data
        if self._shared.json and (whole := child.said.rfind(b"\n") + 1):
            self._say(bytes(child.said[:whole]), "")
            del child.said[:whole]
        if data:
            return
        self._selector.unregister(child.pipe)
        os.close(child.pipe)
        del self._running[child.pid]  # before its number can be that of another process
        _, status = os.waitpid(child.pid, 0)
        child.notes.seek(0)
        notes = child.notes.read().decode(self._err.encoding, "backslashreplace")
        child.notes.close()
        code, why = _meaning(os.waitstatus_to_exitcode(status))
        if why:
            notes += f"mailarchive: error: {safe(child.target.name)}: {why}\n"
        # Half a JSON line is that of a process that was killed, and no use to anybody.
        self._say(b"" if self._shared.json else bytes(child.said), notes)
        codes[child.target.name] = code

    def _say(self, result: bytes, notes: str) -> None:
        self._status.hide()
        if notes:
            self._err.write(notes)
        if result:
            self._out.write(result.decode(self._out.encoding, "backslashreplace"))

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Hand each signal to all that run, once."""
        for number in SIGNALS:
            # A signal that whoever started us has switched off (nohup) stays off.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._caught)
        try:
            yield
        finally:
            self._let_go()

    def _let_go(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type] # it is what signal() gave us
        self._before.clear()

    def _caught(self, number: int, _frame: FrameType | None) -> None:
        self._code = self._code or SIGNALS[signal.Signals(number)]
        for pid in self._running:
            os.kill(pid, number)


class _Status:
    """One line on the terminal that says who is running."""

    def __init__(self, shared: Shared) -> None:
        dumb = os.environ.get("TERM", "") in {"dumb", "unknown"}
        self._shows = is_terminal(sys.stderr) and not (shared.quiet or shared.json or dumb)
        self._sink = Sink(sys.stderr)
        self._drawn = 0

    def show(self, done: int, total: int, names: Sequence[str]) -> None:
        """Draw the line."""
        if not self._shows:
            return
        self.hide()
        room = max(1, columns(sys.stderr) - 1)
        line = cut(f"{done} of {total} accounts done; running: {', '.join(map(safe, names))}", room)
        self._sink.write("\r" + line)
        self._drawn = room

    def hide(self) -> None:
        """Take the line away until the next drawing."""
        if self._drawn:
            self._sink.write("\r" + " " * self._drawn + "\r")
            self._drawn = 0


def json_lines(screen: Screen) -> JsonLines | None:
    """Give the screen of scripts, if that is it, also behind a log."""
    shown = screen.shown if isinstance(screen, Logged) else screen
    return shown if isinstance(shown, JsonLines) else None


def summarize(targets: Sequence[Target], codes: Sequence[ExitCode], shared: Shared, lines: JsonLines | None) -> None:
    """Say in the end how it went with several accounts: the most serious first line by line, and the rest as a number.

    With --quiet nothing: what needs a human was said. As JSON one line `accounts_finished`.
    """
    ends = list(zip((target.name for target in targets), codes, strict=True))
    if lines is not None:
        lines.account = None
        accounts = [{"account": name, "exit_code": int(code)} for name, code in ends]
        lines.record("accounts_finished", {"accounts": accounts, "exit_code": int(worst(codes))})
    elif not shared.quiet:
        out = Sink(sys.stdout)
        well = sum(code is ExitCode.DONE for code in codes)
        out.write(f"{len(ends)} account{'' if len(ends) == 1 else 's'}: {well} done, {len(ends) - well} with trouble\n")
        for name, code in ends:
            if code is not ExitCode.DONE:
                out.write(f"  {safe(name)}: exit {code:d}: {code.meaning}\n")


def _host(target: Target) -> str:
    """Give the server that an account counts for; a command counts for itself."""
    return target.address.host.lower() or f"tunnel {target.name}"


def _meaning(status: int) -> tuple[ExitCode, str]:
    """Give the code for the status of a process, and what to say if it could say nothing itself."""
    if status < 0:
        number = -status
        ended = next((code for each, code in SIGNALS.items() if each == number), None)
        return ended or ExitCode.BUG, "interrupted" if ended else f"its process was ended by signal {number}"
    known = next((code for code in ExitCode if code == status), None)
    return (ExitCode.BUG, f"its process ended with {status}") if known is None else (known, "")
