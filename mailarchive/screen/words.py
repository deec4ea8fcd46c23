"""How numbers, names and lines look as text.

The law of this room: pure functions from values to text without colour. Widths are counted in cells of a terminal, and
what is foreign has passed `safe` before.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailarchive.model import Quota

Role: TypeAlias = Literal["", "title", "head", "total", "bad", "warn"]
"""What a line is, so that a screen with colours can choose one."""

WIDE = 10_000
"""The width where there is no terminal: nothing is ever cut."""

INDENT = 2
"""Blanks before everything that belongs to a title."""

_UNITS = (("B", 1), ("kB", 10), ("MB", 10), ("GB", 100), ("TB", 100), ("PB", 100))  # and the parts that count
_PLAINER = {"·": "-", "→": "->", "…": "~", "█": "#", "░": ".", "━": "-", "╸": "-", "╺": "-", "✓": "+", "✗": "x"}


class Line(NamedTuple):
    """One line of a report and what it is."""

    text: str
    role: Role = ""


# Numbers


def format_count(n: int) -> str:
    """Write a number in groups of three digits with plain blanks between them: `12 402`."""
    return f"{n:,}".replace(",", " ")


def format_size(octets: int) -> str:
    """Write a number of octets in decimal units: `999 B`, `92.1 MB`, `1.92 GB`."""
    index = 0
    while index < len(_UNITS) - 1 and _scaled(octets, index) >= 1000 * _UNITS[index][1]:
        index += 1
    return _in_unit(octets, index)


def _scaled(octets: int, index: int) -> int:
    """Give the number as the last printed digit counts it, rounded half up: 1 920 000 000 in GB is 192."""
    unit: int = 1000**index
    return (octets * _UNITS[index][1] + unit // 2) // unit


def _in_unit(octets: int, index: int) -> str:
    name, parts = _UNITS[index]
    whole, fraction = divmod(_scaled(octets, index), parts)
    return f"{whole} {name}" if parts == 1 else f"{whole}.{fraction:0{len(str(parts)) - 1}} {name}"


def messages(n: int) -> str:
    """Count messages in words: `1 message`, `9 811 messages`."""
    return f"{format_count(n)} message{'' if n == 1 else 's'}"


def percent(quota: Quota) -> int:
    """Round the use of a quota half up, but say 100 only where the limit is reached."""
    if quota.limit <= 0:
        return 0
    rounded = (200 * quota.used + quota.limit) // (2 * quota.limit)
    return min(rounded, 99) if quota.used < quota.limit else rounded


def quota_line(quota: Quota) -> str:
    """Say how full an account is: `1.92 GB of 2.00 GB (96 %)`.

    Both numbers stand in the unit of the limit, unless the use would then look like nothing.
    """
    limit = format_size(quota.limit)
    index = next(i for i, (name, _) in enumerate(_UNITS) if name == limit.split(" ")[1])
    used = _in_unit(quota.used, index) if 100 * quota.used >= 1000**index else format_size(quota.used)
    return f"{used} of {limit} ({percent(quota)} %)"


def quota_bar(quota: Quota, cells: int = 10) -> str:
    """Draw how full an account is; the last cell is filled only at the limit."""
    full = max(0, min(cells, percent(quota) * cells // 100))
    return "█" * full + "░" * (cells - full)


# Text


def encodable(text: str, encoding: str) -> str:
    r"""Give the text as this encoding can write it: our own signs by plainer ones, the rest as `\x` escapes."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        plainer = "".join(_PLAINER.get(character, character) for character in text)
        return plainer.encode(encoding, "backslashreplace").decode(encoding)
    return text


def cell_width(text: str) -> int:
    """Count the cells that the text takes on a terminal (Unicode Annex 11; ambiguous is narrow)."""
    return len(text) if text.isascii() else sum(_cells(character) for character in text)


def _cells(character: str) -> int:
    if unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


def cut(text: str, cells: int, sign: str = "…") -> str:
    """Shorten the text to at most this many cells, with the sign where something is missing."""
    if cell_width(text) <= cells:
        return text
    if cells < 1:
        return ""
    room = cells - cell_width(sign)
    kept = []
    for character in text:
        room -= _cells(character)
        if room < 0:
            break
        kept.append(character)
    return "".join(kept) + sign


def pad(text: str, cells: int) -> str:
    """Fill the text with blanks up to this many cells."""
    return text + " " * (cells - cell_width(text))


def tilde(path: str, home: str) -> str:
    """Write a path below the home directory with `~`."""
    home = home.rstrip("/")
    if home and (path == home or path.startswith(home + "/")):
        return "~" + path[len(home) :]
    return path


def fold(parts: Sequence[str], width: int, role: Role = "") -> list[Line]:
    """Put phrases into one indented line, or, where they have no room, into several that are indented twice.

    A phrase is never broken, so that a number and its word stay together.
    """
    lines = []
    line = " " * INDENT + parts[0]
    for part in parts[1:]:
        longer = f"{line} {part}"
        if cell_width(longer) > width:
            lines.append(Line(line, role))
            longer = " " * 2 * INDENT + part.lstrip()
        line = longer
    return [*lines, Line(line, role)]
