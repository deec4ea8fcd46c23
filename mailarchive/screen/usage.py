"""Where the octets of an account are, as tables with bars.

The law of this room: pure functions from values to lines without colour. A foreign text passes `safe` before anything
else sees it; a number is never cut, a name is.
"""

from __future__ import annotations

from collections.abc import Sequence  # noqa: TC003 - a named tuple reads its types at run time
from typing import TYPE_CHECKING, Final, NamedTuple

from mailarchive.screen.safe import safe
from mailarchive.screen.words import (
    INDENT,
    Line,
    cell_width,
    cut,
    encodable,
    fold,
    format_count,
    format_size,
    messages,
    pad,
    quota_bar,
    quota_line,
)
from mailarchive.usage import UNDATED

if TYPE_CHECKING:
    from mailarchive.events import UsageFinished
    from mailarchive.usage import Freed, Large, Part

MOST: Final = 20
"""Mailboxes that are shown; the JSON output has all of them."""
_ASKS: Final = "--headers asks for all"
_BAR: Final = 20
_NAMES: Final = 48
_LEAST: Final = 8
_COUNT, _SIZE, _SHARE = 11, 10, 5
_LONG: Final = 1000


def usage_lines(event: UsageFinished, *, width: int, encoding: str, bar: bool) -> list[Line]:
    """Write the whole result.

    Args:
        event: What was found out.
        width: Cells of a line.
        encoding: That the lines will be written in.
        bar: Whether bars are drawn.
    """
    usage = event.usage
    parts = (safe(event.account), safe(event.server), safe(event.selection, limit=_LONG))
    lines = [Line(" · ".join(part for part in parts if part), "title")]
    lines += _total_lines(event, width, bar=bar)
    dated = any(part.name != UNDATED for part in usage.years)
    tables: list[tuple[str, Sequence[Part]]] = [
        ("mailbox", usage.mailboxes[:MOST]),
        ("year", usage.years if dated else ()),
        ("size", usage.sizes),
        ("sender's domain", usage.domains),
        ("sender", usage.senders),
    ]
    form = _Form.of(tables, width, encoding, bar=bar)
    for title, rows in tables:
        if rows:
            whole = usage.asked.size if title.startswith("sender") else usage.size
            lines += [Line(""), *form.table(title, rows, whole)]
        if title == "mailbox" and (more := len(usage.mailboxes) - len(rows)):
            lines += fold([f"and {format_count(more)} more"], width)
        if title == "sender's domain" and rows and usage.asked.messages < usage.messages:
            share = format_share(usage.asked.size, usage.size)
            lines += fold([f"of the {messages(usage.asked.messages)} that hold {share};", _ASKS], width)
    if usage.largest:
        lines += [Line(""), Line("  largest messages", "head")]
        lines += [_large_line(each, width, encoding) for each in usage.largest]
    if usage.ages and dated:
        lines += [Line(""), *(line for freed in usage.ages for line in _freed_lines(freed, usage.size, width))]
    for sentence in event.unsaid:
        lines += fold([f"not known: {safe(sentence, limit=_LONG)}"], width, "warn")
    if not event.complete:
        lines += fold(["interrupted:", "this is only a part"], width, "warn")
    return lines


def _total_lines(event: UsageFinished, width: int, *, bar: bool) -> list[Line]:
    usage = event.usage
    phrases = [f"{messages(usage.messages)}, {format_size(usage.size)}"]
    if event.quota is not None:
        phrases[0] += ";"
        phrases.append(f"quota: {quota_line(event.quota)}")
        if bar:
            phrases.append(quota_bar(event.quota))
    lines = fold(phrases, width)
    if event.labels and len(usage.mailboxes) > 1:
        lines += fold(["a message with several labels counts for each of them,", "and once for all"], width)
    return lines


class _Form(NamedTuple):
    """How wide the columns of all tables are; where there is no room for bars, there are none."""

    names: int
    bars: int
    encoding: str

    @classmethod
    def of(cls, tables: Sequence[tuple[str, Sequence[Part]]], width: int, encoding: str, *, bar: bool) -> _Form:
        """Choose it for tables with these titles and rows."""
        texts = [text for title, rows in tables for text in (title, *(_named(part, encoding) for part in rows))]
        numbers = INDENT + _COUNT + _SIZE + _SHARE + 5
        names = min(_NAMES, max(map(cell_width, texts)), max(_LEAST, width - numbers))
        room = min(_BAR, width - numbers - names - 2)
        return cls(names, room if bar and room >= _LEAST else 0, encoding)

    def table(self, title: str, rows: Sequence[Part], whole: int) -> list[Line]:
        """Lay out one division, a row for each part."""
        head = f"{' ' * INDENT}{pad(title, self.names)} {'messages':>{_COUNT}}  {'size':>{_SIZE}}"
        lines = [Line(head, "head")]
        for part in rows:
            name = pad(cut(_named(part, self.encoding), self.names), self.names)
            text = f"{' ' * INDENT}{name} {format_count(part.messages):>{_COUNT}}  {format_size(part.size):>{_SIZE}}"
            share = format_share(part.size, whole)
            lines.append(Line(f"{text}  {share:>{_SHARE}}  {_bar(part.size, whole, self.bars)}".rstrip()))
        return lines


def _named(part: Part, encoding: str) -> str:
    return encodable(safe(part.name) or "(no name)", encoding)


def _bar(size: int, whole: int, cells: int) -> str:
    full = (2 * size * cells + whole) // (2 * whole) if whole else 0
    return "█" * min(cells, full)


def format_share(size: int, whole: int) -> str:
    """Say which part of the whole it is: `41 %`; what is not nothing is at least `<1 %`."""
    percent = (200 * size + whole) // (2 * whole) if whole else 0
    return "<1 %" if size and not percent else f"{percent} %"


def _large_line(each: Large, width: int, encoding: str) -> Line:
    """Write one of the largest messages: what has no room at the end is cut."""
    date = f"{each.date:%Y-%m-%d}" if each.date is not None else "-"
    parts = (safe(each.mailbox), safe(each.sender), safe(each.subject))
    text = encodable("  ".join(part for part in parts if part), encoding)
    return Line(cut(f"{' ' * INDENT}{format_size(each.size):>{_SIZE}}  {date:<10}  {text}", max(width, 24)))


def _freed_lines(freed: Freed, whole: int, width: int) -> list[Line]:
    """Say what archiving would take off the server: an estimate, because a deletion looks at every message itself."""
    phrases = [
        f"archiving what is older than {safe(freed.age)}",
        f"frees {format_size(freed.size)} ({format_share(freed.size, whole)}),",
        messages(freed.messages),
    ]
    if freed.archived and freed.archived_size is not None:
        phrases[-1] += ";"
        phrases.append(f"{format_size(freed.archived_size)} of it is archived already")
    return fold(phrases, width)
