"""What a run would do or did, as rows and columns.

The law of this room: pure functions from events to lines without colour. A foreign name passes `safe` before anything
else sees it, and a table that has no room folds or stacks its rows instead of hiding a number.

All of them take the `width` of a line in cells (long names are cut; below that the rows fold, then stack) and the
`encoding` that the lines will be written in, because names are laid out as it can write them.
"""

from __future__ import annotations

from collections.abc import Sequence  # noqa: TC003 - a named tuple reads its types at run time
from typing import TYPE_CHECKING, NamedTuple

from mailarchive.model import Method
from mailarchive.screen.safe import safe
from mailarchive.screen.words import INDENT, WIDE, Line, cell_width, cut, encodable, format_count, format_size, pad

if TYPE_CHECKING:
    from mailarchive.events import ExportFinished, Finished, ImportFinished, Planned, PlannedMailbox, RestoreFinished
    from mailarchive.screen.words import Role
    from mailarchive.tally import Intake, Outlet, Return, Tally

_NAME = 16
_SIZE = 9


class _Row(NamedTuple):
    """One row of a table: a name, and the numbers right of it."""

    name: str
    cells: Sequence[str]
    role: Role = ""


def frees(method: str) -> bool:
    """Tell whether a deletion by this method gives quota back at once."""
    return method not in (Method.TRASH, Method.MARK)


def result_table(finished: Finished, *, width: int = WIDE, deleting: bool, encoding: str = "utf-8") -> list[Line]:
    """Lay out what a run did, a row for each mailbox and one for their sum (`interface.md` section 7).

    `deleting` says whether there are columns for a deletion.
    """
    removal = ("deleted", "kept") if deleting else ()
    header = ("on server", "selected", "already", "archived", *removal, "failed", "bytes")

    def row(name: str, tally: Tally, role: Role = "") -> _Row:
        gone = (tally.deleted, tally.kept) if deleting else ()
        counts = (tally.on_server, tally.selected, tally.already, tally.archived, *gone, tally.failed)
        cells = (*map(format_count, counts), format_size(tally.size))
        return _Row(encodable(name, encoding), cells, "bad" if tally.failed else role)

    rows = [row(safe(name), tally) for name, tally in finished.mailboxes]
    return _table(header, [*rows, row("total", finished.total, "total")], width)


def plan_table(planned: Planned, *, width: int = WIDE, encoding: str = "utf-8") -> list[Line]:
    """Lay out what a run would do, a row for each mailbox and one for their sum.

    There are columns for a deletion if one was asked for; the last is called `freed` only if the method frees it.
    """
    header = ["on server", "selected", "already", "to fetch", "bytes"]
    if planned.deleting:
        header += ["to delete", "to keep", "freed" if frees(planned.method) else "their bytes"]

    def cells(boxes: Sequence[PlannedMailbox]) -> list[str]:
        counts = [(box.on_server, box.selected, box.already, box.fetch, box.delete, box.keep) for box in boxes]
        *sums, delete, keep = (sum(column) for column in zip((0,) * 6, *counts, strict=True))
        shown = [*map(format_count, sums), format_size(sum(box.size for box in boxes))]
        freed = format_size(sum(box.delete_size for box in boxes))
        return [*shown, format_count(delete), format_count(keep), freed] if planned.deleting else shown

    rows = [_Row(encodable(safe(box.mailbox), encoding), cells([box])) for box in planned.mailboxes]
    return _table(header, [*rows, _Row("total", cells(planned.mailboxes), "total")], width)


def restore_table(
    finished: RestoreFinished, *, width: int = WIDE, encoding: str = "utf-8", dry_run: bool = False
) -> list[Line]:
    """Lay out what was put back, or what would be, a row for each mailbox and one for their sum."""
    header = (
        "of the run" if finished.of else "found",
        "to put back" if dry_run else "put back",
        "there already",
        "failed",
        "bytes",
    )
    return _outcome(finished, header, width, encoding)


def import_table(
    finished: ImportFinished, *, width: int = WIDE, encoding: str = "utf-8", dry_run: bool = False
) -> list[Line]:
    """Lay out what was taken in, or what would be, a row for each mailbox and one for their sum."""
    header = ("read", "would be new" if dry_run else "new", "already", "failed", "bytes")
    return _outcome(finished, header, width, encoding)


def export_table(finished: ExportFinished, *, width: int = WIDE, encoding: str = "utf-8") -> list[Line]:
    """Lay out what was written, a row for each mailbox and one for their sum."""
    return _outcome(finished, ("found", "written", "failed", "bytes"), width, encoding)


def _outcome(
    finished: RestoreFinished | ImportFinished | ExportFinished,
    header: tuple[str, ...],
    width: int,
    encoding: str,
) -> list[Line]:
    """Lay out numbers, then octets: a row for each mailbox, and one for their sum."""

    def row(name: str, numbers: Return | Intake | Outlet, role: Role = "") -> _Row:
        cells = (*map(format_count, numbers.counts), format_size(numbers.size))
        return _Row(encodable(name, encoding), cells, "bad" if numbers.failed else role)

    rows = [row(safe(name), numbers) for name, numbers in finished.mailboxes]
    return _table(header, [*rows, row("total", finished.total, "total")], width)


def table(first: str, header: Sequence[str], rows: Sequence[tuple[str, Sequence[str], bool]], width: int) -> list[Line]:
    """Lay out any rows: name, cells, and whether it is a bad one; `first` is what the names are."""
    return _table(header, [_Row(name, cells, "bad" if bad else "") for name, cells, bad in rows], width, first)


# Layout


def _table(header: Sequence[str], rows: Sequence[_Row], width: int, first: str = "mailbox") -> list[Line]:
    """Choose the roomiest of the forms that fit: aligned, aligned with cut names, folded, stacked."""
    rows = [_Row(first, header, "head"), *rows]
    widths = [max(len(cell) for cell in column) for column in zip(*(row.cells for row in rows), strict=True)]
    tight = list(widths)
    widths[-1] = max(widths[-1], _SIZE)
    names = max(cell_width(row.name) for row in rows)
    room = 0
    for gap in (3, 2):
        room = width - INDENT - sum(widths) - gap * len(widths)
        if room >= names:
            return _aligned(rows, max(names, min(_NAME, room)), widths, gap)
    if room >= _NAME:
        return _aligned(rows, room, widths, 2)
    for tried in (widths, tight):
        if INDENT + sum(tried) + 2 * (len(tried) - 1) <= width:
            return _folded(rows, tried, width)
    return _stacked(rows, width)


def _numbers(cells: Sequence[str], widths: Sequence[int], gap: int) -> str:
    return (" " * gap).join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))


def _aligned(rows: Sequence[_Row], names: int, widths: Sequence[int], gap: int) -> list[Line]:
    """Put name and numbers side by side."""
    return [
        Line(
            " " * INDENT + pad(cut(row.name, names), names) + " " * gap + _numbers(row.cells, widths, gap),
            row.role,
        )
        for row in rows
    ]


def _folded(rows: Sequence[_Row], widths: Sequence[int], width: int) -> list[Line]:
    """Put each name on a line of its own above its numbers."""
    lines = []
    for row in rows:
        if row.role != "head":
            lines.append(Line(" " * INDENT + cut(row.name, width - INDENT), row.role))
        lines.append(Line(" " * INDENT + _numbers(row.cells, widths, 2), row.role))
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
