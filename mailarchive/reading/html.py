"""HTML as text.

The law of this room: one pass, linear whatever is written, and nothing is fetched, run or rendered. Each expression
takes what it began with to its end or to the end of the text, so that no sender can make it look twice.
"""

from __future__ import annotations

import re
from html import unescape
from typing import Final

_PIECE = re.compile(
    r"<!--.*?(?:-->|\Z)"
    r"|<(?P<dark>script|style|title|template|svg|iframe|head)\b(?=[\s/>])"
    r"|</?(?P<name>[A-Za-z][A-Za-z0-9:-]*)[^>]*(?:>|\Z)"
    r"|<[!?/][^>]*(?:>|\Z)",
    re.DOTALL | re.IGNORECASE,
)
_ENDS: Final = {
    name: re.compile(rf"</{name}\b[^>]*(?:>|\Z)", re.IGNORECASE)
    for name in "script style title template svg iframe head".split()  # noqa: SIM905 - easier to read
}
_BLOCKS: Final = frozenset(
    "address article aside blockquote body br center dd div dl dt fieldset figcaption figure footer form h1 h2 h3 h4 h5"  # noqa: SIM905 - a long list
    " h6 header hr html li main nav ol option p pre section table tbody tfoot thead tr ul".split()
)
_CELLS: Final = frozenset({"td", "th"})
_BLANKS = re.compile(r"[ \t\r\n\f\xa0]+")
_RUNS = re.compile(r"[ \t]{2,}")
_LINES = re.compile(r"[ \t]*\n[ \t\n]*")


def plain(html: str) -> str:
    """Give the text of some HTML: blocks on lines of their own, entities as what they stand for, no scripts."""
    found: list[str] = []
    at = 0
    # The end of what is not shown is looked for once for each kind, if it is not there.
    endless: set[str] = set()
    while (piece := _PIECE.search(html, at)) is not None:
        if piece.start() > at:
            found.append(_BLANKS.sub(" ", html[at : piece.start()]))
        at = piece.end()
        dark, name = piece["dark"], (piece["name"] or "").lower()
        if dark:
            at = _behind(html, at, dark.lower(), endless)
        elif name in _BLOCKS:
            found.append("\n")
        elif name in _CELLS:
            found.append(" ")
    found.append(_BLANKS.sub(" ", html[at:]))
    return _LINES.sub("\n", _RUNS.sub(" ", unescape("".join(found)))).strip()


def _behind(html: str, at: int, name: str, endless: set[str]) -> int:
    """Give where the text goes on behind an element that is not shown."""
    if name not in endless:
        end = _ENDS[name].search(html, at)
        if end is not None:
            return end.end()
        endless.add(name)
    # Never closed: what is behind an open script or style is no text; all else is shown.
    return len(html) if name in ("script", "style") else html.find(">", at) + 1 or len(html)
