"""Where the octets of accounts are, as a picture: one self-contained SVG, without script, style sheet, font or link.

The law of this room: pure, from values to text. A foreign text passes `safe`, which leaves no control character that
XML forbids, and then the escapes of XML; it stands in text elements only, never in an attribute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

from mailarchive.screen.safe import safe
from mailarchive.screen.usage import format_share
from mailarchive.screen.words import cut, format_size, messages, quota_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailarchive.events import UsageFinished
    from mailarchive.usage import Part

_WIDTH: Final = 860
_LINE: Final = 18
_NAMES: Final = 300
_BAR: Final = 340
_MOST: Final = 15
_INK, _FAINT, _FILL, _PAPER = "#1b1f24", "#5f6b7a", "#3b73b9", "#ffffff"


def drawing(events: Sequence[UsageFinished]) -> str:
    """Draw what was found out about accounts, one below the other."""
    page = _Page()
    for event in events:
        _draw(page, event)
    height = page.y + _LINE
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}"'
        ' font-family="sans-serif" font-size="13">\n'
        f'<rect width="{_WIDTH}" height="{height}" fill="{_PAPER}"/>\n' + "\n".join(page.parts) + "\n</svg>\n"
    )


class _Page:
    """What is drawn, from above down."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.y = _LINE

    def text(self, words: str, x: int = 20, *, color: str = _INK, bold: bool = False, end: bool = False) -> None:
        more = ' font-weight="bold"' if bold else ""
        more += ' text-anchor="end"' if end else ""
        self.parts.append(f'<text x="{x}" y="{self.y}" fill="{color}"{more}>{escape(safe(words))}</text>')

    def bar(self, x: int, width: float) -> None:
        self.parts.append(f'<rect x="{x}" y="{self.y - 11}" width="{width:.1f}" height="13" fill="{_FILL}"/>')


def _draw(page: _Page, event: UsageFinished) -> None:
    usage = event.usage
    page.y += _LINE
    page.text(" · ".join(part for part in (event.account, event.server) if part), bold=True)
    page.y += _LINE
    quota = f"; quota: {quota_line(event.quota)}" if event.quota is not None else ""
    page.text(f"{messages(usage.messages)}, {format_size(usage.size)}{quota}")
    for title, rows, whole in (
        ("mailbox", usage.mailboxes, usage.size),
        ("year", usage.years, usage.size),
        ("size", usage.sizes, usage.size),
        ("sender's domain", usage.domains, usage.asked.size),
        ("sender", usage.senders, usage.asked.size),
    ):
        if rows:
            _draw_table(page, title, rows, whole, most=len(rows) if title == "year" else _MOST)
        if title == "sender" and rows and usage.asked.messages < usage.messages:
            page.y += _LINE
            share = format_share(usage.asked.size, usage.size)
            page.text(f"of the {messages(usage.asked.messages)} that hold {share}", color=_FAINT)
    page.y += _LINE
    for freed in usage.ages:
        page.y += _LINE
        share = format_share(freed.size, usage.size)
        page.text(f"archiving what is older than {freed.age} frees {format_size(freed.size)} ({share})")


def _draw_table(page: _Page, title: str, rows: Sequence[Part], whole: int, *, most: int) -> None:
    page.y += 2 * _LINE
    page.text(title, color=_FAINT)
    for part in rows[:most]:
        page.y += _LINE
        page.text(cut(safe(part.name) or "(no name)", 40))
        page.bar(20 + _NAMES, _BAR * part.size / whole if whole else 0)
        page.text(format_size(part.size), _WIDTH - 80, end=True)
        page.text(format_share(part.size, whole), _WIDTH - 20, color=_FAINT, end=True)
    if len(rows) > most:
        page.y += _LINE
        page.text(f"and {len(rows) - most} more", color=_FAINT)
