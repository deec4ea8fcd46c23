"""How numbers, names and tables look as text.

The law of this room: pure functions from values to text without colour. Widths are counted in cells of a terminal,
a foreign string passes `safe` before anything else sees it, and a table that has no room folds or stacks its rows
instead of hiding a number.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence  # noqa: TC003 - a named tuple reads its types at run time
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from mailarchive.events import Tally
from mailarchive.screen.safe import safe

if TYPE_CHECKING:
    from mailarchive.events import Finished, Planned, PlannedMailbox, Started, VerifyFinished
    from mailarchive.model import Quota

Role: TypeAlias = Literal["", "title", "head", "total", "bad", "warn"]
"""What a line is, so that a screen with colours can choose one."""

WIDE = 10_000
"""The width where there is no terminal: nothing is ever cut."""

_INDENT = 2
_NAME = 16
_SIZE = 9
_UNITS = (("B", 1), ("kB", 10), ("MB", 10), ("GB", 100), ("TB", 100), ("PB", 100))  # and the parts that count
_PLAINER = {"·": "-", "→": "->", "…": "~", "█": "#", "░": ".", "━": "-", "╸": "-", "╺": "-"}


class Line(NamedTuple):
    """One line of a report and what it is."""

    text: str
    role: Role = ""


class _Row(NamedTuple):
    """One row of a table: a name, and the numbers right of it."""

    name: str
    cells: Sequence[str]
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


def quota_line(quota: Quota, before: Quota | None = None) -> str:
    """Say how full an account is: `1.92 GB of 2.00 GB (96 %)`, after `before  →  ` where that is known.

    Both numbers stand in the unit of the limit, unless the use would then look like nothing.
    """
    limit = format_size(quota.limit)
    index = next(i for i, (name, _) in enumerate(_UNITS) if name == limit.split(" ")[1])
    used = _in_unit(quota.used, index) if 100 * quota.used >= 1000**index else format_size(quota.used)
    line = f"{used} of {limit} ({percent(quota)} %)"
    return line if before is None else f"{quota_line(before)}  →  {line}"


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


# Tables


def result_table(finished: Finished, *, width: int, deleting: bool, encoding: str = "utf-8") -> list[str]:
    """Lay out what a run did, a row for each mailbox and one for their sum (`interface.md` section 7).

    Args:
        finished: The end of the run.
        width: Cells in a line. Long names are cut; below that the rows fold, then stack.
        deleting: Whether the run was asked to delete: only then are there columns for it.
        encoding: What the lines will be written in; names are laid out as it can write them.
    """
    return [line.text for line in _result_table(finished, width=width, deleting=deleting, encoding=encoding)]


def _result_table(finished: Finished, *, width: int, deleting: bool, encoding: str) -> list[Line]:
    removal = ("deleted", "kept") if deleting else ()
    header = ("on server", "selected", "already", "archived", *removal, "failed", "bytes")

    def row(name: str, tally: Tally, role: Role = "") -> _Row:
        gone = (tally.deleted, tally.kept) if deleting else ()
        counts = (tally.on_server, tally.selected, tally.already, tally.archived, *gone, tally.failed)
        cells = (*map(format_count, counts), format_size(tally.size))
        return _Row(encodable(name, encoding), cells, "bad" if tally.failed else role)

    rows = [row(safe(name), tally) for name, tally in finished.mailboxes]
    return _table(header, [*rows, row("total", finished.total, "total")], width)


def plan_table(planned: Planned, *, width: int = WIDE, encoding: str = "utf-8") -> list[str]:
    """Lay out what a run would do, a row for each mailbox and one for their sum."""
    return [line.text for line in _plan_table(planned, width=width, encoding=encoding)]


def _plan_table(planned: Planned, *, width: int, encoding: str) -> list[Line]:
    def cells(boxes: Sequence[PlannedMailbox]) -> list[str]:
        counts = [(box.on_server, box.selected, box.already, box.fetch) for box in boxes]
        sums = [sum(column) for column in zip((0, 0, 0, 0), *counts, strict=True)]
        return [*map(format_count, sums), format_size(sum(box.size for box in boxes))]

    rows = [_Row(encodable(safe(box.mailbox), encoding), cells([box])) for box in planned.mailboxes]
    total = _Row("total", cells(planned.mailboxes), "total")
    return _table(("on server", "selected", "already", "to fetch", "bytes"), [*rows, total], width)


def _table(header: Sequence[str], rows: Sequence[_Row], width: int) -> list[Line]:
    """Choose the roomiest of the forms that fit: aligned, aligned with cut names, folded, stacked."""
    rows = [_Row("mailbox", header, "head"), *rows]
    widths = [max(len(cell) for cell in column) for column in zip(*(row.cells for row in rows), strict=True)]
    widths[-1] = max(widths[-1], _SIZE)
    names = max(cell_width(row.name) for row in rows)
    room = 0
    for gap in (3, 2):
        room = width - _INDENT - sum(widths) - gap * len(widths)
        if room >= names:
            return _aligned(rows, max(names, min(_NAME, room)), widths, gap)
    if room >= _NAME:
        return _aligned(rows, room, widths, 2)
    if _INDENT + sum(widths) + 2 * (len(widths) - 1) <= width:
        return _folded(rows, widths, width)
    return _stacked(rows, width)


def _numbers(cells: Sequence[str], widths: Sequence[int], gap: int) -> str:
    return (" " * gap).join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))


def _aligned(rows: Sequence[_Row], names: int, widths: Sequence[int], gap: int) -> list[Line]:
    """Put name and numbers side by side."""
    return [
        Line(
            " " * _INDENT + pad(cut(row.name, names), names) + " " * gap + _numbers(row.cells, widths, gap),
            row.role,
        )
        for row in rows
    ]


def _folded(rows: Sequence[_Row], widths: Sequence[int], width: int) -> list[Line]:
    """Put each name on a line of its own above its numbers."""
    lines = []
    for row in rows:
        if row.role != "head":
            lines.append(Line(" " * _INDENT + cut(row.name, width - _INDENT), row.role))
        lines.append(Line(" " * _INDENT + _numbers(row.cells, widths, 2), row.role))
    return lines


def _stacked(rows: Sequence[_Row], width: int) -> list[Line]:
    """Put each number on a line of its own, with its column's name."""
    header = rows[0].cells
    labels = max(map(len, header))
    values = max(len(cell) for row in rows[1:] for cell in row.cells)
    lines = []
    for row in rows[1:]:
        lines.append(Line(cut(row.name, width), row.role))
        lines += [
            Line(f" {label:{labels}} {cell:>{values}}", row.role) for label, cell in zip(header, row.cells, strict=True)
        ]
    return lines


# Reports


def title(started: Started) -> Line:
    """Say which account, which server and which mail: `home · imaps://imap.example.org · older than 1y = …`."""
    parts = (safe(started.account), safe(started.server), safe(started.selection, limit=1000) or "everything")
    return Line(" · ".join(part for part in parts if part), "title")


def plan_lines(started: Started | None, planned: Planned, *, width: int, encoding: str) -> list[Line]:
    """Write the whole result of a dry run."""
    count = sum(box.fetch for box in planned.mailboxes)
    size = sum(box.size for box in planned.mailboxes)
    return [
        *([title(started)] if started else []),
        *(_plan_table(planned, width=width, encoding=encoding) if planned.mailboxes else []),
        Line(f"  would archive {messages(count)}, {format_size(size)}; nothing was changed"),
    ]


def result_lines(
    started: Started | None, finished: Finished, *, width: int, encoding: str, home: str = "", bar: bool = False
) -> list[Line]:
    """Write the whole result of a run (`interface.md` section 7); with `bar`, draw the quota too."""
    total = finished.total
    deleting = bool(total.deleted or total.kept or finished.kept or (started and started.command == "prune"))
    lines = [title(started)] if started else []
    if finished.mailboxes or total != Tally():
        lines += _result_table(finished, width=width, deleting=deleting, encoding=encoding)
    elif not finished.exit_code:
        lines.append(Line("  nothing to do"))
    if finished.kept:
        lines.append(Line("  kept: " + ", ".join(f"{format_count(n)} {safe(why)}" for why, n in finished.kept)))
    if finished.quota:
        drawn = quota_bar(finished.quota) + " " if bar else ""
        role: Role = "warn" if percent(finished.quota) >= 90 else ""
        lines.append(Line(f"  quota: {drawn}{quota_line(finished.quota)}", role))
    return [*lines, *_whereabouts(finished, width, home)]


def _whereabouts(finished: Finished, width: int, home: str) -> list[Line]:
    """Say where the mail is and what the run is called, on one line if there is room."""
    run = safe(finished.run)
    parts = [f"archive: {safe(tilde(finished.archive, home), limit=1000)}", f"run: {run}"]
    if finished.total.deleted:
        parts.append(f"undo with: mailarchive undo {run}")
    line = "  " + "   ".join(parts)
    return [Line(line)] if cell_width(line) <= width else [Line("  " + part) for part in parts]


def verify_lines(finished: VerifyFinished, *, home: str) -> list[Line]:
    """Say what a verification found, in a few lines."""
    share = "" if finished.read == finished.held else f" of {format_count(finished.held)}"
    line = f"{format_count(finished.read)}{share} messages read back, {format_size(finished.size)}"
    bad = sum(count for flaw, count in finished.flaws if flaw.serious)
    kinds = ", ".join(f"{format_count(count)} {flaw}" for flaw, count in finished.flaws)
    return [
        Line(safe(tilde(finished.archive, home), limit=1000), "title"),
        Line(f"  {line}: {kinds or 'all as they were archived'}", "bad" if bad else ""),
    ]
