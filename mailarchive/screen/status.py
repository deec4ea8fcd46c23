"""How archives stand, as a table with a line for each thing that is due.

The law of this room: pure functions from values to lines without colour; a foreign text passes `safe` before.
"""

from __future__ import annotations

from collections.abc import Sequence  # noqa: TC003 - a named tuple reads its types at run time
from typing import TYPE_CHECKING, Final, NamedTuple

from mailarchive.screen.safe import safe
from mailarchive.screen.tables import table
from mailarchive.screen.words import encodable, fold, format_count, format_size, percent
from mailarchive.standing import Due, Standing, ago  # noqa: TC001 - likewise

if TYPE_CHECKING:
    from datetime import datetime

    from mailarchive.screen.words import Line, Role

_HEADER: Final = ("messages", "size", "last run", "result", "last success", "quota")
_LONG: Final = 1000


class Row(NamedTuple):
    """An account, or an archive by itself; what is due is in the order of `standing.due`.

    Attributes:
        error: Why the archive cannot be looked at; empty if it can. `hint`: what to do about that.
    """

    name: str
    standing: Standing
    dues: Sequence[Due] = ()
    error: str = ""
    hint: str = ""


def status_lines(rows: Sequence[Row], now: datetime, *, width: int, encoding: str) -> list[Line]:
    """Lay out archives, one below the other, and then what is due for each."""
    cells = [(encodable(safe(row.name), encoding), _cells(row, now), _is_bad(row)) for row in rows]
    lines = table("account", _HEADER, cells, width)
    for row in rows:
        name = safe(row.name)
        if row.error:
            lines += fold([f"✗ {name}: {safe(row.error, limit=_LONG)}"], width, "bad")
            lines += fold([f"  {safe(row.hint, limit=_LONG)}"], width) if row.hint else []
        for due in row.dues:
            sign = "!" if due.serious else "·"
            role: Role = "warn" if due.serious else ""
            lines += fold([f"{sign} {name}: {safe(due.text, limit=_LONG)}"], width, role)
            lines += fold([f"  {safe(due.hint, limit=_LONG)}"], width) if due.hint else []
    return lines


def _is_bad(row: Row) -> bool:
    return bool(row.error) or any(due.serious for due in row.dues)


def _cells(row: Row, now: datetime) -> list[str]:
    standing = row.standing
    holdings, last, success = standing.holdings, standing.last, standing.success
    return [
        "-" if holdings is None else format_count(holdings.messages),
        "-" if holdings is None else format_size(holdings.size),
        (last and ago(last.ended or last.started, now)) or "-",
        "not found" if row.error else _result(standing),
        (success and ago(success.ended or success.started, now)) or "-",
        f"{percent(standing.quota)} %" if standing.quota is not None else "-",
    ]


def _result(standing: Standing) -> str:
    last = standing.last
    if standing.holder:
        return "running"
    if last is None:
        return "-"
    if last.exit is None:
        return "cut short"
    return "ok" if last.exit == 0 else f"exit {last.exit}"
