"""Names of files and folders that every system takes, made of foreign text.

The law of this room: pure. A name is one part of a path, never `.`, `..` or empty, without anything that a system, a
shell's listing or a browser could take for something else; it is never the way back to the original.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailarchive.finding import Found

LONGEST: Final = 120
"""Octets of a name in UTF-8; the smallest limit of a filesystem is 143 (eCryptfs), and numbers are put behind."""

_REFUSED = re.compile(r'[\\/:*?"<>|%#&;$`\'~^{}!]')
_BLANKS = re.compile(r"\s+")
_RESERVED = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(?:\..*)?", re.IGNORECASE)
_ENDING = re.compile(r"\.[A-Za-z0-9]{1,10}\Z")


def part(text: str, *, instead: str = "unnamed", most: int = LONGEST) -> str:
    """Make one name of any text; `instead` where nothing of it can be kept.

    What is not printable, or means something to a system, becomes a blank; runs of blanks become one.
    """
    kept = "".join(letter if _is_plain(letter) else " " for letter in unicodedata.normalize("NFC", text[:1000]))
    kept = _BLANKS.sub(" ", _REFUSED.sub(" ", kept)).strip(" .-")
    kept = _cut(kept, most).rstrip(" .")
    if _RESERVED.fullmatch(kept):
        kept = f"_{kept}"
    return kept or instead


def file_name(text: str, *, instead: str = "unnamed", most: int = LONGEST) -> str:
    """Make a name of what a sender calls a file: of the last part if it is a path; its ending stays."""
    base = re.split(r"[\\/]", text[-1000:])[-1].lstrip(". ")
    ending = found[0] if (found := _ENDING.search(base)) else ""
    stem = part(base[: len(base) - len(ending)], instead=instead, most=most - len(ending))
    return f"{stem}{ending}"


def of_message(found: Found) -> str:
    """Make a name of a message, without an ending: its day, and the beginnings of its subject and its digest."""
    date = found.internal_date
    day = f"{date:%Y-%m-%d}" if date is not None else "undated"
    return " ".join((day, part(found.subject, instead="no subject", most=60), found.id[:12]))


def folders(parts: Sequence[str]) -> tuple[str, ...]:
    """Make folders of the parts of a mailbox's name."""
    return tuple(part(each, instead="_", most=80) for each in parts[:20]) or ("_",)


def numbered(name: str, number: int) -> str:
    """Give another name for a file whose name is taken: a number before the ending."""
    ending = found[0] if (found := _ENDING.search(name)) else ""
    return f"{name[: len(name) - len(ending)]} ({number}){ending}"


def _is_plain(letter: str) -> bool:
    """Tell whether a character is seen as itself, by itself."""
    return letter.isprintable() and unicodedata.category(letter) not in ("Cf", "Cc", "Cs", "Co", "Cn")


def _cut(text: str, most: int) -> str:
    return text.encode("utf-8")[:most].decode("utf-8", "ignore")
