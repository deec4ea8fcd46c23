"""Reads the logs of strace on a program with threads.

strace counts the calls of each thread by itself, and an injected signal comes at the n-th call of whichever thread is
there first: so the points at which a program can be stopped are as many as its busiest thread has calls.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def reached(lines: Iterable[str], call: str) -> list[int]:
    """Give for the first, second, third ... call of any thread where in the log it was made first."""
    seen: Counter[str] = Counter()
    places: list[int] = []
    for at, line in enumerate(lines):
        found = re.match(rf"(\d+) +{call}\(", line)
        if found is not None:
            seen[found[1]] += 1
            if seen[found[1]] > len(places):
                places.append(at)
    return places
