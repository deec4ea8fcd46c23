"""Runs the program in forks of a process that has imported it, so that a kill never falls into the import.

Law of this room: whoever starts a run may kill it by its id at any time, for the id stays its own until `reap`. As a
program it reads lines: the words of a run in JSON, which it answers with the id, and then an empty one, which it
answers with the exit code when the run is over.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import select
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Run:
    """A run of the program."""

    def __init__(self, program: subprocess.Popen[str], words: Sequence[str]) -> None:
        assert program.stdin is not None
        assert program.stdout is not None
        self._in, self._out = program.stdin, program.stdout
        self._tell(json.dumps(words))
        self.pid = int(self._out.readline())
        self._end = os.pidfd_open(self.pid)

    def ended(self, seconds: float = 0) -> bool:
        """Wait so long; tells whether it has come to its end."""
        return bool(select.select([self._end], [], [], seconds)[0])

    def kill(self) -> None:
        """End it as the kernel does, and no matter whether it still lives."""
        os.kill(self.pid, signal.SIGKILL)

    def reap(self) -> int:
        """Wait for its end; gives its exit code, negative for a signal."""
        self._tell("")
        code = int(self._out.readline())
        os.close(self._end)
        return code

    def _tell(self, line: str) -> None:
        self._in.write(line + "\n")
        self._in.flush()


@contextmanager
def forks() -> Iterator[subprocess.Popen[str]]:
    """Give the process that forks; see `Run`."""
    command = [sys.executable, "-m", "tests.crash.forks"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        yield program


def main() -> None:
    """See above."""
    import mailarchive
    from mailarchive.archives import place

    # What was killed is not lost with memory, so the archive may lie there.
    place.VOLATILE = frozenset()
    for module in pkgutil.walk_packages(mailarchive.__path__, "mailarchive."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    from mailarchive.cli import main as program

    for line in sys.stdin:
        child = os.fork()
        if not child:
            nothing = os.open(os.devnull, os.O_RDWR)
            for each in (0, 1, 2):
                os.dup2(nothing, each)
            sys.argv[1:] = json.loads(line)
            program()
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()
        sys.stdin.readline()
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
