"""Makes text from servers, senders and files harmless before it reaches a terminal, a table or a log.

The law of this room: what leaves it is one line of printable characters, at most as long as asked, and nothing in it
can steer a terminal, turn the order of the text around or hide. What is taken out is shown as an escape, not dropped.
Secrets are taken out before (`scrub.py`), because here they could change so that they are no longer found.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_ELLIPSIS = "…"
_MOST_MARKS = 4  # combining marks on one letter; no writing needs more, and a tower of them covers other lines
_JOINERS = "\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}"  # part of ordinary Persian, Hindi and emoji
_BLANK_LETTERS = "\u115f\u1160\u17b4\u17b5\u3164\uffa0\u034f"  # letters and marks by category, and yet invisible
_SELECTORS = re.compile("[\ufe00-\ufe0d\U000e0100-\U000e01ef]")  # invisible; only those for text and emoji are usual


def safe(text: str, *, limit: int = 200) -> str:
    r"""Make one harmless line of any text.

    Controls, line breaks, format characters (bidi controls, zero width), lone surrogates, private and unassigned
    characters become escapes such as `\x1b`; odd blanks become a blank; more than four marks on one letter, and letters
    that cannot be seen, become escapes too. Joiners between letters or emoji are left out.

    Args:
        text: Anything.
        limit: At most so many characters are returned, at least 1; a longer text ends in `…`.
    """
    if len(text) <= limit and text.isascii() and text.isprintable():
        return text
    parts: list[str] = []
    room = limit
    for part in _harmless(text):
        parts.append(part)
        room -= len(part)
        if room < 0:
            break
    else:
        return "".join(parts)
    while parts and room < 1:  # whole escapes are taken away, so that none is cut in the middle
        room += len(parts.pop())
    return "".join(parts) + _ELLIPSIS


def _harmless(text: str) -> Iterator[str]:
    """Give a harmless form of each character; none for a joiner."""
    marks = -1  # on the letter before; -1 where there is no letter to carry one
    for letter in text:
        if letter in _JOINERS:
            continue
        category = unicodedata.category(letter)
        if category == "Zs":
            marks = -1
            yield " "
        elif not letter.isprintable() or letter in _BLANK_LETTERS or _SELECTORS.match(letter):
            marks = -1
            yield _escape(letter)
        elif not category.startswith("M"):
            marks = 0
            yield letter
        elif 0 <= marks < _MOST_MARKS:
            marks += 1
            yield letter
        else:
            yield _escape(letter)


def _escape(letter: str) -> str:
    return letter.encode("unicode_escape", "surrogatepass").decode("ascii")


def safe_bytes(data: bytes, *, limit: int = 200) -> str:
    r"""Make one harmless line of octets: what is UTF-8 as text, every other octet as `\xNN`; see `safe`."""
    return safe(data.decode("utf-8", "backslashreplace"), limit=limit)
