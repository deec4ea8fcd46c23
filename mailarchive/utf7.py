"""Modified UTF-7, in which IMAP and Maildir++ write the names of mailboxes (RFC 3501 section 5.1.3).

The law of this room: pure; a text has one proper form, which `encode` writes. Whoever wants no other one compares.
"""

from __future__ import annotations

import base64
import re

_SHIFTED = re.compile(r"&([A-Za-z0-9+,]*)-")
_FOREIGN = re.compile(r"[^\x20-\x7e]+")


def encode(text: str) -> str:
    """Write a text."""

    def shifted(run: re.Match[str]) -> str:
        letters = base64.b64encode(run[0].encode("utf-16-be")).decode("ascii").rstrip("=")
        return f"&{letters.replace('/', ',')}-"

    return _FOREIGN.sub(shifted, text.replace("&", "&-"))


def decode(text: str) -> str:
    """Read a text, also where it is not in its proper form. Raises ValueError if it cannot be read."""

    def plain(run: re.Match[str]) -> str:
        letters = run[1].replace(",", "/")
        return base64.b64decode(letters + "=" * (-len(letters) % 4)).decode("utf-16-be") if letters else "&"

    return _SHIFTED.sub(plain, text)
