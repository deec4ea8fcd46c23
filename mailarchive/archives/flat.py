"""Mailbox names to the folders of a Maildir++ and back (`archive-format.md` sections 2 and 4).

The law of this room: pure; INBOX is the folder `Maildir`, and every other mailbox lies flat in it, as `.Work.2014`,
each part escaped as in the other layout, its dots too, and then in modified UTF-7. Folders are kept apart as that
encoding is folded, for its letters mean something else in the other case.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mailarchive import utf7
from mailarchive.archives.names import Names, Writing
from mailarchive.model import INBOX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

ROOT: Final = "Maildir"
"""The folder of INBOX, which holds all the others."""


def decode(text: str) -> str | None:
    """Read modified UTF-7; None if it is not valid, or not in its one proper form."""
    try:
        found = utf7.decode(text)
        return found if utf7.encode(found) == text else None
    except ValueError:
        return None


WRITING: Final = Writing(part=160, path=180, tail=60, wire=utf7.encode, forbidden=frozenset("."))
"""All parts together fill at most 248 octets, of the 255 that a filesystem takes."""


class FlatNames:
    """Gives each mailbox of a Maildir++ its folder; see `Names`, whose folders are the parts of ours.

    Args:
        siblings: Gives the names of what is there in a folder of the archive, which is named by its parts.
        known: The true names by folder, from the marker.
        record: Called with a folder (`/` between its parts) and a true name that cannot be read back from it.
    """

    def __init__(
        self,
        siblings: Callable[[tuple[str, ...]], Iterable[str]],
        known: Mapping[str, str],
        record: Callable[[str, str], None],
    ) -> None:
        self._siblings = siblings
        self._record = record
        self._there: dict[tuple[str, ...], list[str]] | None = None
        self._known = {"/".join(parts): name for folder, name in known.items() if (parts := _parts(folder))}
        self._names = Names(self._below, self._known, self._keep, writing=WRITING)

    def folder(self, name: str, delimiter: str | None) -> tuple[str, ...]:
        """Give the parts of the folder of a mailbox."""
        return _flat(self._names.folder(name, delimiter))

    def mailbox(self, folder: Sequence[str], delimiter: str | None) -> str | None:
        """Give the full name of the mailbox of a folder; None if no mailbox can have it."""
        parts = _parts("/".join(folder))
        return self._names.mailbox(parts, delimiter) if parts else None

    def _below(self, above: tuple[str, ...]) -> list[str]:
        """Give the parts that come next in the folders that begin with some parts."""
        if self._there is None:
            self._there = {}
            for name in self._siblings((ROOT,)):
                # What we do not write is reserved as it stands, for it may be ours in other case.
                parts = tuple(decode(part) or part for part in name[1:].split(".")) if name.startswith(".") else ()
                for count, part in enumerate(parts):
                    self._there.setdefault(parts[:count], []).append(part)
        return self._there.get(above, [])

    def _keep(self, folder: str, name: str) -> None:
        self._known[folder] = name
        self._record("/".join(_flat(tuple(folder.split("/")))), name)


def _flat(parts: tuple[str, ...]) -> tuple[str, ...]:
    return (ROOT,) if parts == (INBOX,) else (ROOT, "".join(f".{utf7.encode(part)}" for part in parts))


def _parts(folder: str) -> tuple[str, ...] | None:
    """Read the parts back from a folder; None if it is not one that we write."""
    if folder == ROOT:
        return (INBOX,)
    above, _, name = folder.partition("/")
    if above != ROOT or not name.startswith(".") or "/" in name:
        return None
    parts = [decode(part) for part in name[1:].split(".")]
    return tuple(part for part in parts if part) if all(parts) and parts != [INBOX] else None
