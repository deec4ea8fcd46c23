"""Runs our own command under cProfile and writes what every thread of it did to one file, for `pstats`.

Law of this room: the command runs as it always does; only the profiler is added. It costs about as much again, so its
figures say where the time goes, not how much there is.

    python -m tests.benchmarks.profiled FILE ARGUMENT...
"""

from __future__ import annotations

import contextlib
import cProfile
import io
import pstats
import sys
import threading

from mailarchive.cli import run


def main(file: str, arguments: list[str]) -> int:
    """Run the command; gives its exit code."""
    profiles = [cProfile.Profile()]
    plain = threading.Thread.run

    def watched(self: threading.Thread) -> None:
        own = cProfile.Profile()
        # From Python 3.12 on, one profiler sees all threads and a second one is refused.
        with contextlib.suppress(ValueError):
            own.enable()
            profiles.append(own)
        try:
            plain(self)
        finally:
            own.disable()

    threading.Thread.run = watched  # type: ignore[method-assign]
    code = profiles[0].runcall(run, arguments)
    found = pstats.Stats(profiles[0])
    for profile in profiles[1:]:
        if profile.getstats():
            found.add(profile)
    found.dump_stats(file)
    return code


def busiest(file: str, number: int = 25) -> str:
    """Lay out the functions with the most time of their own."""
    out = io.StringIO()
    pstats.Stats(file, stream=out).strip_dirs().sort_stats("tottime").print_stats(number)
    return out.getvalue()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], sys.argv[2:]))
