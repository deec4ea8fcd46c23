"""HTML as text.

The law of this room: one pass, linear whatever is written, and nothing is fetched, run or rendered. Each expression
takes what it began with to its end or to the end of the text, so that no sender can make it look twice.
"""

from __future__ import annotations

import re
from html import unescape
from typing import Final

_DARK: Final = ("script", "style", "title", "template", "svg", "iframe", "head")
"""Elements of which nothing is shown."""

_BLOCKS: Final = (
    "address|article|aside|blockquote|body|br|center|dd|div|dl|dt|fieldset|figcaption|figure|footer|form|h[1-6]|header|hr"
    "|html|li|main|nav|ol|option|p|pre|section|table|tbody|tfoot|thead|tr|ul"
)
_HIDDEN = re.compile(rf"<!--.*?(?:-->|\Z)|<({'|'.join(_DARK)})\b(?=[\s/>])", re.DOTALL | re.IGNORECASE)
_ENDS: Final = {name: re.compile(rf"</{name}\b[^>]*(?:>|\Z)", re.IGNORECASE) for name in _DARK}
_BLOCK = re.compile(rf"</?(?:{_BLOCKS})(?![A-Za-z0-9:-])[^>]*(?:>|\Z)", re.IGNORECASE)
_CELL = re.compile(r"</?t[dh](?![A-Za-z0-9:-])[^>]*(?:>|\Z)", re.IGNORECASE)
_TAG = re.compile(r"<[A-Za-z!?/][^>]*(?:>|\Z)")


def plain(html: str) -> str:
    """Give the text of some HTML: blocks on lines of their own, entities as what they stand for, no scripts."""
    # To split and join is a tenth of the work of an expression that looks for blanks.
    flat = " ".join(_shown(html).split())
    found = unescape(_TAG.sub("", _CELL.sub(" ", _BLOCK.sub("\n", flat))))
    return "\n".join(filter(None, (" ".join(line.split()) for line in found.split("\n"))))


def _shown(html: str) -> str:
    """Leave out comments and what is in elements that are not shown."""
    found: list[str] = []
    at = 0
    # The end of an element that is not there is looked for once for each kind.
    endless: set[str] = set()
    while (piece := _HIDDEN.search(html, at)) is not None:
        found.append(html[at : piece.start()])
        at = _behind(html, piece.end(), piece[1].lower(), endless) if piece[1] else piece.end()
    found.append(html[at:])
    return "".join(found)


def _behind(html: str, at: int, name: str, endless: set[str]) -> int:
    """Give where the text goes on behind an element that is not shown."""
    if name not in endless:
        end = _ENDS[name].search(html, at)
        if end is not None:
            return end.end()
        endless.add(name)
    # Never closed: what is behind an open script or style is no text; all else is shown.
    return len(html) if name in ("script", "style") else html.find(">", at) + 1 or len(html)
