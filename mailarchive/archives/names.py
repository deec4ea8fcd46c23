"""Mailbox names to folder names and back (`archive-format.md` section 2).

The law of this room: pure; whatever a server calls its mailboxes, each gets a folder of its own inside the archive, the
same one in every run, on every filesystem, and the name can be read back from it. No part is `.` or `..`, holds a
separator, a control or format character, or is longer than 200 octets.
"""

from __future__ import annotations

import re
import unicodedata
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

from mailarchive.model import INBOX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

PART: Final = 200
"""Octets of one part of a folder, at most; filesystems take 255."""

PATH: Final = 3000
"""Octets of a folder below the archive, at most, without its last part; PATH_MAX is 4096."""


class Writing(NamedTuple):
    """How the parts of a folder are written down.

    Attributes:
        part: Octets of one part, at most.
        path: Of all of them; what goes beyond becomes one part, by its hash.
        tail: Of that part.
        wire: Gives a part as it stands on disk; it must keep parts apart.
        forbidden: Characters that are escaped too.
        mbox: Whether the archive holds mbox files, so that `.mbox` at the end is reserved.
    """

    part: int = PART
    path: int = PATH
    tail: int = PART
    wire: Callable[[str], str] = str
    forbidden: frozenset[str] = frozenset()
    mbox: bool = False

    def octets(self, part: str) -> int:
        """Count the octets of an escaped part on disk."""
        return len(self.wire(part).encode())

    def escaped(self, part: str, places: set[int]) -> str:
        """Percent-escape what must never stand there, and the characters at the given places."""
        return _escaped(part, places, self.forbidden)

    def plain(self, part: str) -> str:
        """Give the plainest way to write a part."""
        return self.escaped(part, _forced(part, mbox=self.mbox))

    def cut(self, text: str, octets: int) -> str:
        """Give the beginning of an escaped text, without half an escape or half a character."""
        end = 0
        for token in re.finditer("%[0-9A-F]{2}|.", text, re.DOTALL):
            if self.octets(text[: token.end()]) > octets:
                break
            end = token.end()
        return text[:end]


_CUT = "%~"
_FORBIDDEN = frozenset('%/\\:*?"<>|')
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# What Maildir, Windows, and the files that we and Dovecot put into a mailbox lay claim to.
_DEVICES = "cur|new|tmp|con|prn|aux|nul|conin[$]|conout[$]|com[0-9¹²³]|lpt[0-9¹²³]"
_FILES = r"dovecot-(?:uidlist|keywords|uidvalidity).*|dovecot\.(?:index|list\.index|mailbox\.log).*|maildirfolder"
_RESERVED = re.compile(rf"(?:{_DEVICES}) *(?:\..*)?|{_FILES}", re.IGNORECASE | re.DOTALL)
_MBOX = re.compile(r"\.mbox(?:\.lock)?\Z", re.IGNORECASE)
_ESCAPED = re.compile(rb"%([0-9A-F]{2})")
_IGNORABLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]")


def escape_part(part: str, *, mbox: bool = False) -> str:
    """Make a folder name of one part of a mailbox name, whatever stands beside it and however long it gets.

    Args:
        part: Between two delimiters; an empty one becomes `%`.
        mbox: Whether the archive holds mbox files, so that `.mbox` at the end is reserved.
    """
    return Writing(mbox=mbox).plain(part)


def unescape_part(folder: str) -> str | None:
    """Read a part back; None if it is not what `escape_part` writes, as after a cut."""
    if folder == "%":
        return ""
    try:
        octets = folder.encode("utf-8")
        if b"%" in _ESCAPED.sub(b"", octets):
            return None
        return _ESCAPED.sub(lambda found: bytes([int(found[1], 16)]), octets).decode("utf-8", "surrogatepass")
    except UnicodeError:
        return None


class Names:
    """Gives each mailbox of an archive its folder.

    Args:
        siblings: Gives the names of what is there in a folder of the archive, which is named by its parts; none if it
            does not exist. Asked once for each folder.
        known: The true names by folder, from the marker; read, never written.
        record: Called with a folder (`/` between its parts) and a true name that cannot be read back from it.
        mbox: As for `escape_part`.
        writing: How parts are written; None for folders in folders.
    """

    def __init__(
        self,
        siblings: Callable[[tuple[str, ...]], Iterable[str]],
        known: Mapping[str, str],
        record: Callable[[str, str], None],
        *,
        mbox: bool = False,
        writing: Writing | None = None,
    ) -> None:
        self._siblings = siblings
        self._known = known
        self._record = record
        self._writing = writing or Writing(mbox=mbox)
        self._folders: dict[tuple[str, str | None], tuple[str, ...]] = {}
        self._owners: dict[tuple[str, ...], str] = {}
        self._levels: dict[tuple[str, ...], _Level] = {}

    def folder(self, name: str, delimiter: str | None) -> tuple[str, ...]:
        """Give the parts of the folder of a mailbox.

        Args:
            name: The full name, decoded.
            delimiter: None for a flat name.
        """
        key = (name, delimiter)
        if key not in self._folders:
            # Only in ASCII: a dotless i also has the capital I.
            self._folders[key] = self._find(INBOX if name.isascii() and name.upper() == INBOX else name, delimiter)
        return self._folders[key]

    def mailbox(self, folder: Sequence[str], delimiter: str | None) -> str | None:
        """Give the full name of the mailbox of a folder; None if no mailbox can have it."""
        paths = ["/".join(folder[:count]) for count in range(len(folder) + 1)]
        count = next((count for count in range(len(folder), 0, -1) if paths[count] in self._known), 0)
        parts = [self._known[paths[count]]] if count else []
        for part in folder[count:]:
            text = unescape_part(part)
            if text is None:
                return None
            parts.append(text)
        return (delimiter or "/").join(parts)

    def _find(self, name: str, delimiter: str | None) -> tuple[str, ...]:
        parts = name.split(delimiter) if delimiter else [name]
        above: tuple[str, ...] = ()
        octets = 0
        for count, part in enumerate(parts, 1):
            upto = (delimiter or "").join(parts[:count])
            piece = self._choose(above, part, upto)
            octets += self._writing.octets(piece) + 1
            if octets > self._writing.path:
                # All that is left becomes one part, by the hash of the whole name.
                return self._claim(above, self._hashed(above, part, name, self._writing.tail), name)
            above = self._claim(above, piece, upto)
        return above

    def _choose(self, above: tuple[str, ...], part: str, upto: str) -> str:
        """Choose the folder name of the part that ends a (parent) mailbox name: the one it has, or a new one."""
        if not above and part == INBOX:
            return INBOX
        level = self._level(above)
        hashed = self._hashed(above, part, upto, self._writing.part)
        forms = list(self._forms(level, part))
        # Another mailbox that is written the same comes of a second delimiter on the server.
        taken = any(self._owner(above, form) not in (None, upto) for form in forms)
        if taken or hashed in level.names:
            return hashed
        there = next((form for form in forms if form in level.names), None)
        return there or next((form for form in forms if not level.clashes(form)), hashed)

    def _forms(self, level: _Level, part: str) -> Iterator[str]:
        """Give the ways to write a part, the plainest first, as far as they are short enough."""
        always = _forced(part, mbox=self._writing.mbox)
        must = self._writing.forbidden
        foreign = {at for at, letter in enumerate(part) if not letter.isascii()}
        free = [at for at, letter in enumerate(part) if at not in always and letter not in must and not _must(letter)]
        # The first letter; in a name without a letter to escape, the first character.
        first = {next((at for at in free if part[at].isalpha()), free[0])} if free else set()
        plain = self._writing.escaped(part, always)
        steps = (foreign, first) if level.differs_in_form(plain) else (first, foreign)
        everything = set(range(len(part)))
        for form in dict.fromkeys(
            self._writing.escaped(part, always | more) for more in (always, *steps, first | foreign, everything)
        ):
            if self._writing.octets(form) <= self._writing.part:
                yield form

    def _hashed(self, above: tuple[str, ...], part: str, name: str, octets: int) -> str:
        """Give the cut form of a part, which carries 16 digits of the hash of the name (64 if they are taken)."""
        digest = sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
        text, room = self._writing.plain(part), octets - len(_CUT)
        short, long = (self._writing.cut(text, room - digits) + _CUT + digest[:digits] for digits in (16, 64))
        return short if self._owner(above, short) in (None, _writable(name), name) else long

    def _owner(self, above: tuple[str, ...], piece: str) -> str | None:
        """Give the (parent) mailbox that a folder is known to stand for."""
        folder = (*above, piece)
        return self._owners.get(folder, self._known.get("/".join(folder)))

    def _claim(self, above: tuple[str, ...], piece: str, name: str) -> tuple[str, ...]:
        folder = (*above, piece)
        self._owners[folder] = name
        self._level(above).add(piece)
        path = "/".join(folder)
        if _CUT in piece and self._known.get(path) != _writable(name):
            self._record(path, _writable(name))
        return folder

    def _level(self, above: tuple[str, ...]) -> _Level:
        if above not in self._levels:
            self._levels[above] = _Level(self._siblings(above), self._writing.wire)
            if not above:
                self._levels[above].reserve(INBOX)
        return self._levels[above]


class _Level:
    """What is in one folder, as the most forgetful filesystem would tell it apart."""

    def __init__(self, names: Iterable[str], wire: Callable[[str], str]) -> None:
        self.names: set[str] = set()
        self._wire = wire
        self._folded: set[str] = set()
        self._normal: set[str] = set()
        for name in names:
            self.add(name)

    def add(self, name: str) -> None:
        if name not in self.names:
            self.names.add(name)
            self.reserve(name)

    def reserve(self, name: str) -> None:
        self._folded.update(self._folds(name))
        self._normal.add(_normal(name))

    def clashes(self, name: str) -> bool:
        """Tell whether some filesystem would take the name for another one that is here."""
        return not self._folded.isdisjoint(self._folds(name))

    def differs_in_form(self, name: str) -> bool:
        """Tell whether it differs from another one here in its Unicode normal form and not in case."""
        return name not in self.names and _normal(name) in self._normal

    def _folds(self, name: str) -> set[str]:
        return {_folded(each) for each in {name, self._wire(name)}}


def _normal(name: str) -> str:
    return unicodedata.normalize("NFKC", _IGNORABLE.sub("", name))


def _folded(name: str) -> str:
    # By way of capitals, because Windows and exFAT compare those; twice, because each step can undo another.
    for _ in range(2):
        name = _normal(unicodedata.normalize("NFD", name).upper().casefold())
    return name


def _must(letter: str) -> bool:
    return letter in _FORBIDDEN or unicodedata.category(letter) in _INVISIBLE


def _forced(part: str, *, mbox: bool) -> set[int]:
    """Give the places of the characters that are escaped because of where they stand."""
    places = set()
    if part[:1] in (".", "~") or _RESERVED.fullmatch(part):
        places.add(0)
    if part[-1:] in (".", " "):
        places.add(len(part) - 1)
    if mbox and (found := _MBOX.search(part)):
        places.add(found.start())
    return places


def _escaped(part: str, places: set[int], forbidden: frozenset[str]) -> str:
    if not part:
        return "%"
    return "".join(
        "".join(f"%{octet:02X}" for octet in letter.encode("utf-8", "surrogatepass"))
        if at in places or letter in forbidden or _must(letter)
        else letter
        for at, letter in enumerate(part)
    )


def _writable(name: str) -> str:
    """Give a name as the marker can hold it; a lone surrogate, which TOML cannot, becomes `?`."""
    return name.encode("utf-8", "replace").decode()
