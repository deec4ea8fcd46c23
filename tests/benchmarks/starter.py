"""Starts one program, waits for it, and says what it and its children took: seconds, seconds, octets, exit code.

Law of this room: as small as a Python can be, because a program cannot be seen to be smaller than the process that
started it: its largest resident size (getrusage) begins with that of its parent. It prints one line to stdout and
gives the program its stderr for both.

    python -I -S starter.py USER PROGRAM [ARGUMENT]...     (USER is a number, or - for the same)
"""

from __future__ import annotations

import posix
import resource  # noqa: F401 - wait4 wants it, when another user may be unable to read it
import sys
import time


def main() -> None:
    """Run the command line that is given."""
    user, *command = sys.argv[1:]
    if user != "-":
        # Here and not in the caller: another user may be unable to start the Python of this one.
        posix.setgroups([])
        posix.setgid(int(user))
        posix.setuid(int(user))
    begun = time.monotonic()
    child = posix.posix_spawn(command[0], command, posix.environ, file_actions=[(posix.POSIX_SPAWN_DUP2, 2, 1)])
    _, status, used = posix.wait4(child, 0)
    wall = time.monotonic() - begun
    code = -posix.WTERMSIG(status) if posix.WIFSIGNALED(status) else posix.WEXITSTATUS(status)
    size = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(wall, used.ru_utime + used.ru_stime, size, code)  # noqa: T201


if __name__ == "__main__":
    main()
