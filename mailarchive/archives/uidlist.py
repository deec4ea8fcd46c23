"""Dovecot's two files beside the mail of a mailbox, as text: `dovecot-uidlist` and `dovecot-keywords`.

The law of this room: pure; text in, values out, and back (`archive-format.md` section 4). It writes only what Dovecot
takes as it is, and of what others have written it reads what makes sense and never fails over the rest: nothing of the
mail hangs on these files.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

UIDLIST: Final = "dovecot-uidlist"
KEYWORDS: Final = "dovecot-keywords"

LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
"""Of the keywords in a file name; the number of a keyword is the place of its letter."""

LAST: Final = 2**32 - 1
"""The largest UID and UIDVALIDITY (RFC 9051 section 2.3.1.1)."""

_NUMBER = re.compile(r"[0-9]{1,10}")
_GUID = re.compile(r"[0-9a-f]{32}")
_INFO = re.compile(r"[:;!]2,[^/]*\Z")
_UIDL = re.compile(r"[\x21-\x7e]{1,70}")
# An atom of RFC 9051 section 9; whoever serves the archive shows it as it is.
_KEYWORD = re.compile(r"[!#$&'+,\-./0-9:;<=>?@A-Z\[^_`a-z|}~]{1,250}")
_LINE = re.compile(r"([0-9]{1,2}) ([^\x00-\x1f\x7f]+)")


class Numbered(NamedTuple):
    """One file of a mailbox and what a server called it.

    Attributes:
        name: Of the file, up to the separator before its flags.
        uids: Of the messages with these octets, ascending; the first one is the UID that Dovecot gives the file.
        uidl: Its UIDL; empty for none.
    """

    name: str
    uids: tuple[int, ...]
    uidl: str = ""


@dataclass(frozen=True, slots=True)
class UidList:
    """The UIDs of one generation of a mailbox.

    Attributes:
        uidnext: Larger than every UID of the generation, used or not.
        guid: 32 hex digits that name the mailbox; empty where the file has none.
        files: By ascending first UID; no file and no UID comes twice.
    """

    uidvalidity: int
    uidnext: int
    guid: str = ""
    files: tuple[Numbered, ...] = ()

    def text(self) -> str:
        """Write it as Dovecot does: one line a file, further UIDs of it in `X`, which Dovecot keeps untouched."""
        guid = f" G{self.guid}" if self.guid else ""
        lines = [f"3 V{self.uidvalidity} N{self.uidnext}{guid}\n"]
        for name, (uid, *more), uidl in self.files:
            further = f" X{','.join(map(str, more))}" if more else ""
            shown = f" P{uidl}" if writable_uidl(uidl) else ""
            lines.append(f"{uid}{further}{shown} :{name}\n")
        return "".join(lines)


def writable_uidl(uidl: str) -> bool:
    """Tell whether a UIDL can stand in the list (RFC 1939 section 7); others stand in the manifest only."""
    return _UIDL.fullmatch(uidl) is not None


def parse_uidlist(text: str) -> UidList | None:
    """Read a `dovecot-uidlist` of version 3; None if its first line is not that of one.

    A line that makes no sense, or that names a UID or a file a second time, is left out, and its UIDs with it.
    """
    header, _, rest = text.partition("\n")
    version, *fields = header.split(" ")
    facts = {field[:1]: field[1:] for field in fields}
    uidvalidity, uidnext = _number(facts.get("V", "")), _number(facts.get("N", ""))
    if version != "3" or uidvalidity is None or uidnext is None:
        return None
    files: list[Numbered] = []
    uids: set[int] = set()
    names: set[str] = set()
    for line in rest.split("\n"):
        found = _numbered(line)
        if found is not None and found.name not in names and uids.isdisjoint(found.uids):
            files.append(found)
            names.add(found.name)
            uids.update(found.uids)
    files.sort(key=lambda file: file.uids)
    guid = facts.get("G", "")
    uidnext = min(max(uidnext, max(uids, default=0) + 1), LAST)
    return UidList(uidvalidity, uidnext, guid if _GUID.fullmatch(guid) else "", tuple(files))


def parse_keywords(text: str) -> dict[int, str]:
    """Read a `dovecot-keywords`: the keyword of each number from 0 to 25; the first line of a number counts."""
    found: dict[int, str] = {}
    for line in text.split("\n"):
        parts = _LINE.fullmatch(line)
        if parts is not None and int(parts[1]) < len(LETTERS):
            found.setdefault(int(parts[1]), parts[2])
    return found


def is_keyword(flag: str) -> bool:
    r"""Tell whether a flag is a keyword that can have a letter, which `\Seen` is not.

    `$Forwarded` is one, although it has the letter P too: Dovecot shows only what has a line in its own file.
    """
    return _KEYWORD.fullmatch(flag) is not None


class Keywords:
    """The letters of one mailbox, in order of first sight and never given to another keyword.

    Args:
        text: The file as it is; lines are only added to it.
        used: Letters that stand in names of files; one without a line has a meaning that nobody knows any more.
    """

    def __init__(self, text: str, used: Iterable[str] = ()) -> None:
        self.text = text
        self.grown = False
        table = parse_keywords(text)
        # Keywords have no case (RFC 9051 section 2.3.2).
        self._places = {keyword.lower(): place for place, keyword in sorted(table.items(), reverse=True)}
        self._next = max([*table, *(LETTERS.index(letter) for letter in used if letter in LETTERS)], default=-1) + 1

    def letters(self, flags: Iterable[str]) -> str:
        """Give the letters of the keywords among some flags, sorted; a new one gets the next that is free, if any."""
        places = set()
        for flag in sorted(filter(is_keyword, flags)):
            if flag.lower() not in self._places and self._next < len(LETTERS):
                self._add(flag)
            if flag.lower() in self._places:
                places.add(self._places[flag.lower()])
        return "".join(LETTERS[place] for place in sorted(places))

    def _add(self, keyword: str) -> None:
        self._places[keyword.lower()] = self._next
        whole = self.text if self.text.endswith("\n") or not self.text else f"{self.text}\n"
        self.text = f"{whole}{self._next} {keyword}\n"
        self._next += 1
        self.grown = True


def _number(text: str) -> int | None:
    if not _NUMBER.fullmatch(text):
        return None
    number = int(text)
    return number if 0 < number <= LAST else None


def _numbered(line: str) -> Numbered | None:
    """Read one line: a UID, extensions of a letter and a value each, and the name behind a colon."""
    head, colon, name = line.partition(" :")
    uid, *fields = head.split(" ")
    name = _INFO.sub("", name)
    extensions = {field[:1]: field[1:] for field in fields}
    more = extensions["X"].split(",") if "X" in extensions else []
    uids = [_number(each) for each in (uid, *more)]
    whole = sorted({each for each in uids if each is not None})
    if not colon or not name or "/" in name or len(whole) != len(uids):
        return None
    uidl = extensions.get("P", "")
    return Numbered(name, tuple(whole), uidl if writable_uidl(uidl) else "")
