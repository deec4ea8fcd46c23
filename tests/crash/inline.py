"""Runs the program for tests on small disks: how little is free does not matter until nothing is.

Each batch is made durable in the main thread, so that strace counts all calls in one row.
"""

from __future__ import annotations

from mailarchive import space
from mailarchive.cli import main
from mailarchive.cli.background import Background
from mailarchive.ports import at_once

if __name__ == "__main__":
    setattr(Background, "__call__", lambda _, task: at_once(task))  # noqa: B010 - to a type checker it is a method
    setattr(space, "ROOM", 0)  # noqa: B010 - to a type checker it never changes
    main()
