"""Makes mail as other programs keep it, and reads it through the room that imports it."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

from mailarchive import imports
from mailarchive.foreign import ForeignMessage, Remark

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from mailarchive.foreign import Foreign

FROM = b"From a@example.org Sat Mar  1 09:00:00 2014\n"
TAKEOUT = b"From 1545@xxx Fri Sep 16 22:26:51 +0000 2016\r\n"


def letter(number: int, body: bytes = b"hello\n", more: bytes = b"") -> bytes:
    """Make a message with LF that differs from all others."""
    head = b"Message-ID: <%d@example.org>\nDate: Sat, 1 Mar 2014 10:00:00 +0100\nFrom: a@example.org\n" % number
    return head + more + b"\n" + body


def crlf(octets: bytes) -> bytes:
    """Give a message as it was on the wire."""
    return re.sub(rb"(?<!\r)\n", b"\r\n", octets)


def mbox(letters: Iterable[bytes], line: bytes = FROM) -> bytes:
    """Write an mbox (mboxrd), in the line ends of its From line."""
    end = b"\r\n" if line.endswith(b"\r\n") else b"\n"
    return b"".join(line + re.sub(rb"(?m)^(>*From )", rb">\1", each) + end for each in letters)


def maildir(folder: Path, files: dict[str, bytes], mtime: float = 1393664400.0) -> None:
    """Write a Maildir; the names say `cur/` or `new/` first."""
    for sub in ("cur", "new", "tmp"):
        (folder / sub).mkdir(parents=True, exist_ok=True)
    for name, octets in files.items():
        (folder / name).write_bytes(octets)
        os.utime(folder / name, (mtime, mtime))


def imap_backup(
    folder: Path, name: str, letters: Sequence[tuple[int, bytes, Sequence[str]]], version: float = 3
) -> list[dict[str, Any]]:
    """Write the pair of files as imap-backup does, of messages as they are on the wire; gives the entries."""
    folder.mkdir(parents=True, exist_ok=True)
    entries: list[dict[str, Any]] = []
    octets = b""
    for uid, sent, flags in letters:
        body = re.sub(rb"\n(>*From)", rb"\n>\1", sent.replace(b"\r\n", b"\n"))
        body += b"" if body.endswith(b"\n") else b"\n"
        body += b"" if body.endswith(b"\n\n") else b"\n"
        stored = FROM + body
        entries.append({"uid": uid, "offset": len(octets), "length": len(stored), "flags": list(flags)})
        octets += stored
    (folder / f"{name}.mbox").write_bytes(octets)
    index(folder / f"{name}.imap", entries, version)
    return entries


def index(path: Path, entries: Sequence[dict[str, Any]], version: float = 3) -> None:
    """Write an index of imap-backup."""
    path.write_text(json.dumps({"version": version, "uid_validity": 1234567, "messages": entries}))


def read(path: Path) -> list[Foreign]:
    """Read everything that an import would."""
    return list(imports.look(path).messages())


def letters(found: Iterable[Foreign]) -> list[ForeignMessage]:
    """Give the messages."""
    return [each for each in found if isinstance(each, ForeignMessage)]


def octets(found: Iterable[Foreign]) -> list[bytes]:
    """Give the octets of the messages."""
    return [b"".join(each.chunks()) for each in letters(found)]


def mailboxes(found: Iterable[Foreign]) -> list[str]:
    """Give the mailbox of each message."""
    return [each.mailbox for each in letters(found)]


def reasons(found: Iterable[Foreign]) -> list[str]:
    """Give why something was not read, or left out, or what was remarked."""
    others = [each for each in found if not isinstance(each, ForeignMessage)]
    return [each.text if isinstance(each, Remark) else each.reason for each in others]
