"""HTML of strangers as elements that are closed in their order and not nested deeply.

The law of this room: one pass, linear whatever is written. A cleaner that builds a tree takes minutes for a tower of a
hundred thousand elements; what leaves here is a flat tree of listed elements, and every other `<` is text.
"""

from __future__ import annotations

import re
from html import escape, unescape
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

DEEPEST: Final = 100
"""Elements inside one another; the text of what lies deeper is kept."""

_ATTRIBUTES: Final = 50
_TAG = re.compile(r"<(?:(?P<close>/)?(?P<name>[A-Za-z][^\s/<>]{0,50})(?![^\s/>])|(?P<odd>[!?/]))")
_ATTRIBUTE = re.compile(
    r"[\s/]*(?:(?P<end>>)|(?P<name>[^\s/>=][^\s/>=]*)(?:\s*=\s*(?:\"(?P<double>[^\"]*)\"|'(?P<single>[^']*)'"
    r"|(?P<bare>[^\s\"'>][^\s>]*)?))?)"
)
_VOID: Final = frozenset({"br", "col", "hr", "img", "wbr"})
_CELLS: Final = frozenset({"td", "th", "p"})
_CLOSED_BY: Final = {
    "p": frozenset({"p"}),
    "li": frozenset({"li", "p"}),
    "dt": frozenset({"dt", "dd", "p"}),
    "dd": frozenset({"dt", "dd", "p"}),
    "td": _CELLS,
    "th": _CELLS,
    "tr": _CELLS | {"tr"},
    "tbody": _CELLS | {"tr", "thead", "tbody"},
    "tfoot": _CELLS | {"tr", "thead", "tbody"},
}
"""What an element ends that was never closed."""


def tidy(html: str, tags: Collection[str], dark: Collection[str]) -> str:
    """Give the same in order.

    Args:
        html: Anything.
        tags: The elements that stay; of all others only what is in them stays.
        dark: The elements of which nothing stays.
    """
    reader = _Tidy(html, tags, dark)
    reader.read()
    return "".join(reader.out)


class _Tidy:
    def __init__(self, html: str, tags: Collection[str], dark: Collection[str]) -> None:
        self.out: list[str] = []
        self._html, self._tags, self._dark = html, tags, dark
        self._open: list[str] = []
        # An end that is not there is looked for once.
        self._endless: set[str] = set()

    def read(self) -> None:
        html, at = self._html, 0
        while (found := _TAG.search(html, at)) is not None:
            self._text(at, found.start())
            name = (found["name"] or "").lower()
            if found["odd"]:
                at = self._behind_odd(found.start())
            elif found["close"]:
                at = (html.find(">", found.end()) + 1) or len(html)
                self._close(name)
            else:
                at, attributes = self._attributes(found.end(), keep=name in self._tags)
                if name in self._dark:
                    at = self._behind(name, at)
                elif name in self._tags:
                    self._start(name, attributes)
        self._text(at, len(html))
        self._close_down_to(0)

    def _text(self, begin: int, end: int) -> None:
        self.out.append(self._html[begin:end].replace("<", "&lt;").replace(">", "&gt;"))

    def _behind_odd(self, at: int) -> int:
        """Give where a comment or a declaration ends; one that does not end takes the rest."""
        sign, length = ("-->", 3) if self._html.startswith("<!--", at) else (">", 1)
        end = self._html.find(sign, at + 2)
        return end + length if end >= 0 else len(self._html)

    def _behind(self, name: str, at: int) -> int:
        """Give where an element of which nothing stays ends; without an end, scripts and styles take the rest."""
        if name not in self._endless:
            end = re.compile(rf"</{name}(?![^\s/>])[^>]*>", re.IGNORECASE).search(self._html, at)
            if end is not None:
                return end.end()
            self._endless.add(name)
        return len(self._html) if name in ("script", "style") else at

    def _attributes(self, at: int, *, keep: bool) -> tuple[int, str]:
        """Read attributes up to the end of their tag, and write them anew; a tag that does not end takes the rest."""
        written: list[str] = []
        html, count = self._html, 0
        while (found := _ATTRIBUTE.match(html, at)) is not None and found.end() > at:
            at = found.end()
            if found["end"]:
                return at, "".join(written)
            count += 1
            if keep and count <= _ATTRIBUTES and found["name"].isalpha() and found["name"].isascii():
                value = unescape(found["double"] or found["single"] or found["bare"] or "")
                written.append(f' {found["name"].lower()}="{escape(value)}"')
        if at < len(html) and html[at] in "\"'=":
            # A quote that is not closed, or stands where none can.
            end = html.find(">", at)
            return (end + 1, "") if end >= 0 else (len(html), "")
        return len(html), ""

    def _start(self, name: str, attributes: str) -> None:
        ended = _CLOSED_BY.get(name, frozenset())
        while self._open and self._open[-1] in ended:
            self.out.append(f"</{self._open.pop()}>")
        if name in _VOID:
            self.out.append(f"<{name}{attributes}>")
        elif len(self._open) < DEEPEST:
            self._open.append(name)
            self.out.append(f"<{name}{attributes}>")

    def _close(self, name: str) -> None:
        if name in self._open:
            last = len(self._open) - 1 - self._open[::-1].index(name)
            self._close_down_to(last)

    def _close_down_to(self, depth: int) -> None:
        while len(self._open) > depth:
            self.out.append(f"</{self._open.pop()}>")
