"""What a row of the table of faults is, and what becomes of it here.

Law of this room: a row keeps its number for ever; what no test shows is said in words, with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One fault.

    Attributes:
        fault: What goes wrong, in a few words.
        tests: Node ids, without parameters.
        not_shown: What of the row no test shows, and why; empty if all is shown.
    """

    fault: str
    tests: tuple[str, ...]
    not_shown: str = ""
