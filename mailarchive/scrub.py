"""Takes known secrets out of text before anybody sees it.

The law of this room: pure; whoever holds a secret and hands on foreign text sends the text through here first, in
whatever form a server or a library may have repeated the secret.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode, urlsafe_b64encode
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MASK: Final = "***"
_SHORT = 4


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

    def forget(self) -> None:
        """Forget every secret, because nothing is left that could show one."""
        self._forms = set()

    def scrub(self, text: str) -> str:
        """Give the text with `***` in the place of each secret; touching and overlapping ones become one."""
        # Of a copy, because another thread may be learning a secret.
        spans = sorted(span for form in tuple(self._forms) for span in _found(form, text))
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
