"""A tree of folders with mail in it: which mailboxes it holds, and what they are called.

The law of this room: it only looks. A folder with `cur` is a Maildir, a file that begins with a From line an mbox, one
with an index beside it that of imap-backup, one that ends in `.eml` a message. A mailbox is called as its folders are;
a folder `Maildir` is no mailbox of that name, but holds those of the folder above it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from mailarchive.errors import MessageError
from mailarchive.foreign import LeftOut, NotRead, Origin, text
from mailarchive.imports import eml, imap_backup, maildir, mbox
from mailarchive.imports.files import SourceFile, reason
from mailarchive.model import INBOX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mailarchive.foreign import Foreign

LINK: Final = "a link, which is not followed"

_LOOKED_AT = 2048  # octets of a file
_NO_MAIL = frozenset({".msf", ".json", ".toml", ".sqlite", ".dat", ".db", ".html", ".js", ".log"})
_ENDINGS = (".mbox", ".mbx")
_SUBFOLDERS = ".sbd"  # of a mailbox of Thunderbird
_APPLE = "mbox"
_PROFILE = "prefs.js"  # is there in a profile of Thunderbird
_ACCOUNTS = frozenset({"Mail", "ImapMail"})
_ROOTS = frozenset({"maildir", ".maildir"})
_OTHERS = frozenset({".mailarchive", ".notmuch", ".git"})


class Piece(NamedTuple):
    """One mailbox of a source: how it is read, where it is, what it is called, and its octets."""

    read: Callable[[Path, str], Iterator[Foreign]]
    path: Path
    mailbox: str
    size: int


Found: TypeAlias = "Piece | LeftOut | NotRead"


class _Folder(NamedTuple):
    """A folder that was listed, without the links in it."""

    path: Path
    parts: tuple[str, ...]
    folders: tuple[str, ...]
    files: tuple[str, ...]

    @property
    def is_maildir(self) -> bool:
        return "cur" in self.folders


def tree(root: Path, top: str) -> Iterator[Found]:
    """Give the mailboxes of a folder and of those below it; `top` is what the folder itself is called."""
    waiting: list[tuple[Path, tuple[str, ...]]] = [(root, ())]
    while waiting:
        path, parts = waiting.pop()
        try:
            folder, links = _listed(path, parts)
        except OSError as error:
            yield NotRead(Origin(str(path)), "/".join(parts) or top, reason(error))
            continue
        yield from links
        yield from _mailboxes(folder, top)
        waiting.extend(reversed(list(_below(folder, top))))


def is_mbox(path: Path) -> bool:
    """Tell whether a file is an mbox, maybe an empty one. Raises MessageError if it cannot be read."""
    source = SourceFile(path)
    return mbox.looks_like_mbox(source.part(0, _LOOKED_AT)) or (not source.size and path.suffix in _ENDINGS)


def named(name: str) -> str:
    """Read a name of the system as text that can be written anywhere."""
    return text(os.fsencode(name))


def stem(name: str) -> str:
    """Give the name of an mbox file without its ending."""
    found = next((ending for ending in _ENDINGS if name.lower().endswith(ending)), imap_backup.INDEX)
    return name[: -len(found)] if name.lower().endswith(found) and len(name) > len(found) else name


def _listed(path: Path, parts: tuple[str, ...]) -> tuple[_Folder, list[LeftOut]]:
    with os.scandir(path) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    links = [LeftOut(Origin(entry.path), LINK) for entry in found if entry.is_symlink()]
    folders = tuple(entry.name for entry in found if entry.is_dir(follow_symlinks=False))
    files = tuple(entry.name for entry in found if entry.is_file(follow_symlinks=False))
    return _Folder(path, parts, folders, files), links


def _mailboxes(folder: _Folder, top: str) -> Iterator[Found]:
    """Give the mailboxes that lie in one folder."""
    if folder.is_maildir:
        yield Piece(maildir.messages, folder.path, _maildir_name(folder, top), maildir.size_of(folder.path))
        return
    indexes = {name for name in folder.files if name.endswith(imap_backup.INDEX)}
    letters = False
    for name in folder.files:
        path = folder.path / name
        mailbox = _mbox_name(folder, name, top)
        if name in indexes:
            original = "/".join(map(imap_backup.name_of, (*folder.parts, stem(named(name)))))
            yield Piece(imap_backup.messages, path, original, imap_backup.size_of(path))
        elif name.lower().endswith(eml.ENDING):
            letters = True
        elif path.suffix in _NO_MAIL or _belongs(name, indexes):
            continue
        else:
            try:
                if is_mbox(path):
                    yield Piece(mbox.messages, path, mailbox, path.stat().st_size)
            except (MessageError, OSError) as error:
                why = error.message if isinstance(error, MessageError) else reason(error)
                yield NotRead(Origin(str(path)), mailbox, why)
    if letters:
        yield Piece(eml.messages, folder.path, eml.mailbox_of(folder.parts, top), eml.size_of(folder.path))


def _belongs(name: str, indexes: set[str]) -> bool:
    """Tell whether a file is read by way of the index beside it."""
    return name.endswith(imap_backup.MAIL) and name.removesuffix(imap_backup.MAIL) + imap_backup.INDEX in indexes


def _mbox_name(folder: _Folder, name: str, top: str) -> str:
    """Name the mailbox of an mbox file; Apple Mail exports one as a file `mbox` in a folder `NAME.mbox`."""
    if name == _APPLE and stem(folder.path.name) != folder.path.name:
        parts = folder.parts or (top,)
        return "/".join((*parts[:-1], stem(parts[-1])))
    return "/".join((*folder.parts, stem(named(name))))


def _maildir_name(folder: _Folder, top: str) -> str:
    return "/".join(folder.parts) or (INBOX if _is_inbox(folder, top) else top)


def _is_inbox(folder: _Folder, top: str) -> bool:
    """Tell whether a Maildir at the root of a source is INBOX: its name says so, or mailboxes with dots are in it."""
    names = (top.lower(), folder.path.name.lower())
    return not _ROOTS.isdisjoint(names) or any(_is_plus(folder, name) for name in folder.folders)


def _is_plus(folder: _Folder, name: str) -> bool:
    return folder.is_maildir and name.startswith(".") and (folder.path / name / "cur").is_dir()


def _below(folder: _Folder, top: str) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Give the folders to look into next, with the parts of their mailboxes."""
    above = folder.parts
    if folder.is_maildir and not above and not _is_inbox(folder, top):
        above = (top,)
    for name in folder.folders:
        path = folder.path / name
        if name in _OTHERS or (folder.is_maildir and name in ("cur", "new", "tmp")):
            continue
        if name.lower() in _ROOTS and (path / "cur").is_dir():
            yield path, above
        elif name.startswith("."):
            if _is_plus(folder, name):
                plain = maildir.plus_name(named(name))
                yield path, (*above, plain)
        elif not above and name in _ACCOUNTS and _PROFILE in folder.files:
            yield path, ()
        else:
            yield path, (*above, named(name.removesuffix(_SUBFOLDERS)))
