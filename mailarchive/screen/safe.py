"""Makes text from servers, senders and files harmless before it reaches a terminal, a table or a log.

The law of this room: what leaves it is one line of printable characters, at most as long as asked, and nothing in it
can steer a terminal, turn the order of the text around or hide. What is taken out is shown as an escape, not dropped.
First `scrub`, which takes secrets out, then `safe`, which could change them so that they are no longer found.
"""

from __future__ import annotations

import json
import re
import unicodedata
from base64 import b64encode, urlsafe_b64encode
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MASK: Final = "***"
_ELLIPSIS = "…"
_MOST_MARKS = 4  # combining marks on one letter; no writing needs more, and a tower of them covers other lines
_JOINERS = "\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}"  # part of ordinary Persian, Hindi and emoji
_BLANK_LETTERS = "\u115f\u1160\u17b4\u17b5\u3164\uffa0\u034f"  # letters and marks by category, and yet invisible
_SELECTORS = re.compile("[\ufe00-\ufe0d\U000e0100-\U000e01ef]")  # invisible; only those for text and emoji are usual
_SHORT = 4


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


class Scrubber:
    """Takes known secrets out of text, in the forms in which libraries and protocols repeat them.

    These are the secret as it is, quoted for Python, JSON or IMAP, percent-encoded, and in base64 by itself. What is
    made of a secret and other text, such as the initial response of SASL PLAIN, is a secret of its own: add it.
    A secret under four characters is taken out only where it stands alone, else it would take the text apart.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._forms: set[str] = set()
        for secret in secrets:
            self.add(secret)

    def __repr__(self) -> str:
        return f"<Scrubber of {len(self._forms)} forms>"

    def add(self, secret: str) -> None:
        """Learn a secret; an empty one is none."""
        if secret:
            self._forms.update(form for form in _forms(secret) if form)

    def scrub(self, text: str) -> str:
        """Give the text with `***` in the place of each secret; touching and overlapping ones become one."""
        spans = sorted(span for form in self._forms for span in _found(form, text))
        parts: list[str] = []
        done = 0
        for start, end in spans:
            if start >= done:
                # Two secrets without anything between them leave one mask: their number says nothing to anybody.
                parts += [text[done:start], MASK] if start > done or not parts else []
            done = max(done, end)
        return "".join([*parts, text[done:]])


def scrub(text: str, secrets: Iterable[str]) -> str:
    """Give the text with `***` in the place of each secret, in all forms that `Scrubber` knows."""
    return Scrubber(secrets).scrub(text)


def _forms(secret: str) -> set[str]:
    octets = secret.encode("utf-8", "surrogatepass")
    quoted = {quote(octets, safe=""), quote(octets), quote_plus(octets)}
    encoded = {b64encode(octets).decode(), urlsafe_b64encode(octets).decode()}
    return {
        secret,
        *quoted,
        *(re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), form) for form in quoted),
        *encoded,
        *(form.rstrip("=") for form in encoded),
        repr(secret)[1:-1],
        ascii(secret)[1:-1],
        repr(octets)[2:-1],
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        secret.replace("\\", "\\\\").replace('"', '\\"'),
    }


def _found(form: str, text: str) -> Iterator[tuple[int, int]]:
    """Give every place of a form in the text, overlapping ones too."""
    at = text.find(form)
    while at >= 0:
        end = at + len(form)
        if len(form) >= _SHORT or not (text[at - 1 : at].isalnum() or text[end : end + 1].isalnum()):
            yield at, end
        at = text.find(form, at + 1)
