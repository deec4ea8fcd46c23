"""Mailbox names on the wire: modified UTF-7 and the wildcards of LIST (RFC 3501 sections 5.1.3 and 6.3.8).

The law of this room: strict in what it reads, and one name has one form on the wire, so that names can be compared
there.
"""

from __future__ import annotations

from mailarchive import utf7

DELIMITER = ord("/")


def encode(name: str) -> bytes:
    """Write a name in modified UTF-7."""
    return utf7.encode(name).encode("ascii")


def decode(wire: bytes) -> str:
    """Read a name in modified UTF-7.

    Raises:
        ValueError: It is not valid, or not in its one proper form.
    """
    name = utf7.decode(wire.decode("ascii"))
    if encode(name) != wire:
        raise ValueError("not modified UTF-7")
    return name


def matches(pattern: bytes, name: bytes) -> bool:
    """Tell whether a pattern of LIST fits a whole name: `*` stands for anything, `%` for anything but a delimiter.

    Takes time in proportion to the two lengths, whatever the pattern.
    """
    reached = {0}
    for sign in pattern:
        if sign == ord("*"):
            reached = set(range(min(reached), len(name) + 1))
        elif sign == ord("%"):
            reached = _within_level(name, reached)
        else:
            reached = {at + 1 for at in reached if at < len(name) and name[at] == sign}
        if not reached:
            return False
    return len(name) in reached


def _within_level(name: bytes, reached: set[int]) -> set[int]:
    """Give every place that can be reached without stepping over a delimiter."""
    further = set(reached)
    for at in range(len(name)):
        if at in further and name[at] != DELIMITER:
            further.add(at + 1)
    return further
