"""What is found in order, worth a thought, or wrong with an account, a disk and a server, and what to type next.

The law of this room: pure; each check is one function from what was seen to findings, so that a table can test it. A
warning changes no exit code; what would stop a backup has the code in which the backup would end.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from mailarchive import guards, space
from mailarchive.errors import ExitCode, UsageError
from mailarchive.expunge import choose
from mailarchive.model import Method
from mailarchive.screen.words import format_size, quota_line

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from datetime import datetime

    from mailarchive.archives.looking import ArchiveSeen, DiskSeen
    from mailarchive.errors import MailarchiveError
    from mailarchive.model import Capabilities, Mailbox, Quota
    from mailarchive.sources.looking import Certificate

SOON: Final = 14
"""Days before the end of a certificate in which it should have been renewed."""
FULL: Final = 90
"""Percent of a quota above which something should be done."""
LITTLE: Final = 1_000_000_000
"""Octets of a disk below which a backup may end early."""
NOTHING: Final = space.ROOM
"""Octets below which it will."""

_NO_COLON: Final = frozenset({"cifs", "exfat", "msdos", "ntfs3", "smb3", "smbfs", "vfat"})
_NO_LINKS: Final = frozenset({"exfat", "msdos", "vfat"})
_IMAP: Final = ("UIDPLUS", "MOVE", "ESEARCH", "CONDSTORE", "QUOTA", "SPECIAL-USE", "LITERAL+", "COMPRESS=DEFLATE", "ID")
_POP: Final = ("UIDL", "TOP", "PIPELINING", "STLS")
_REV2: Final = frozenset({"UIDPLUS", "MOVE", "ESEARCH", "SPECIAL-USE"})
"""What IMAP4rev2 holds without saying so (RFC 9051 appendix E)."""
_DEEDS: Final = {
    Method.EXPUNGE: "removes exactly what is proved, at once",
    Method.GMAIL: "moves what is proved to the trash and removes exactly that from there",
    Method.TRASH: "moves what is proved to the trash; no quota comes back before that is emptied",
    Method.MARK: "only marks what is proved as deleted; no quota comes back before the mailbox is expunged",
    Method.EXCLUSIVE: "removes what is proved and nothing else, if no other program uses the mailbox meanwhile",
}


class Level(StrEnum):
    """How good a finding is."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check has found.

    Attributes:
        check: A word for what was looked at.
        level: How good it is.
        text: A sentence, which may hold foreign text.
        hint: What to type or look at next; empty where there is nothing to do.
        code: In which a backup would end because of it.
    """

    check: str
    level: Level
    text: str
    hint: str = ""
    code: ExitCode = ExitCode.DONE


def fine(check: str, text: str) -> Finding:
    """Say that something is in order."""
    return Finding(check, Level.OK, text)


def doubtful(check: str, text: str, hint: str = "") -> Finding:
    """Say that something is worth a thought, and stops nothing."""
    return Finding(check, Level.WARNING, text, hint)


def failed(check: str, error: MailarchiveError) -> Finding:
    """Say what stops a backup."""
    return Finding(check, Level.FAILED, error.message, error.hint, error.exit_code)


def permissions(path: str, doubts: Sequence[str] | None) -> list[Finding]:
    """Judge the folder of an archive by what `archives.looking.doubts` says of it; a doubt holds deletions back."""
    if doubts is None:
        return []
    if not doubts:
        return [fine("permissions", f"{path} is yours, and nobody else may write there")]
    return [
        doubtful(
            "permissions",
            f"{doubt}; nothing is deleted because of that",
            f"chmod go-w {shlex.quote(doubt.removesuffix(writable))}"
            if doubt.endswith(writable := " is writable by others")
            else "choose a folder on a disk",
        )
        for doubt in doubts
    ]


def disk(seen: DiskSeen) -> list[Finding]:
    """Judge the disk on which an archive lies or would lie."""
    kind = seen.kind or "a filesystem of unknown kind"
    room = f"{format_size(seen.free)} free of {format_size(seen.size)} on {kind}"
    found = []
    if not seen.writable:
        hint = f"ls -ld {shlex.quote(seen.path)}"
        found.append(Finding("disk", Level.FAILED, f"nothing can be written in {seen.path}", hint, ExitCode.ARCHIVE))
    if seen.unsynced:
        text = f"{seen.path} cannot be synced ({seen.unsynced}), so nothing there is sure to last"
        found.append(Finding("disk", Level.FAILED, text, "choose a folder on another disk", ExitCode.DISK))
    if seen.free < NOTHING:
        hint = f"df -h {shlex.quote(seen.path)}"
        found.append(Finding("disk", Level.FAILED, f"no room: {room}", hint, ExitCode.DISK))
    elif seen.free < LITTLE:
        found.append(doubtful("disk", f"little room: {room}", f"df -h {shlex.quote(seen.path)}"))
    else:
        found.append(fine("disk", room))
    if not seen.lasting:
        found.append(doubtful("disk", f"{kind} cannot sync a folder, so new names may be lost in a power cut"))
    if seen.network:
        found.append(doubtful("disk", f"{kind} is a network filesystem: slower, and it must know locks"))
    if seen.kind in _NO_COLON:
        found.append(doubtful("disk", f"{kind} refuses a colon in names, so flags stand behind a ; there"))
    if seen.kind in _NO_LINKS:
        found.append(doubtful("disk", f"{kind} has no hard links, so a message in two mailboxes takes its room twice"))
    return found


def archive(path: str, name: str, seen: ArchiveSeen | None) -> list[Finding]:
    """Judge an archive, its lock and what was set aside in it; `name` is what is typed for its account."""
    if seen is None:
        return [fine("archive", f"{path} is not there yet; the first backup makes it")]
    found = [fine("archive", f"{path} holds {seen.kind}, and belongs to this account")]
    if seen.holder:
        found.append(doubtful("lock", f"a run {seen.holder}", f"mailarchive backup {name} --wait 10min"))
    else:
        found.append(fine("lock", "no run is going"))
    if seen.damaged:
        where = f"{path}/.mailarchive/damaged"
        things = "1 thing was" if seen.damaged == 1 else f"{seen.damaged} things were"
        found.append(doubtful("damaged", f"{things} found damaged and set aside", f"ls -l {shlex.quote(where)}"))
    return found


def catalogue(path: str, trouble: str) -> list[Finding]:
    """Judge the catalogue of an archive; without one that can be used, everything is compared with the server again."""
    if not trouble:
        return [fine("catalogue", "it can be read")]
    return [doubtful("catalogue", f"it cannot be used: {trouble}", f"mailarchive reindex {shlex.quote(path)}")]


def clock(now: datetime, last_sane: datetime | None) -> list[Finding]:
    """Judge the clock by the last run; a doubt holds deletions back."""
    if doubt := guards.clock(now, last_sane):
        return [doubtful("clock", f"{doubt}; nothing is deleted because of that", "date")]
    return [fine("clock", f"{now:%Y-%m-%d %H:%M %Z}")]


def names(host: str, addresses: Sequence[str]) -> list[Finding]:
    """Tell to what a host name leads."""
    shown = ", ".join(addresses[:4]) + (", ..." if len(addresses) > 4 else "")
    return [fine("dns", f"{host} is {shown}" if [host] != list(addresses) else f"{host} is an address already")]


def certificate(seen: Certificate | None, now: datetime) -> list[Finding]:
    """Judge a certificate that was found good a moment ago; None where the line is clear text to this computer."""
    if seen is None:
        return [doubtful("tls", "no TLS: clear text, which goes to this computer only")]
    if seen.until is None:
        return [fine("tls", f"{seen.version}, the certificate of --fingerprint")]
    days = (seen.until - now).days
    shown = ", ".join(seen.names[:4]) + (", ..." if len(seen.names) > 4 else "")
    text = f"{seen.version}, for {shown or 'nobody named'}, good for {days} more day{'' if days == 1 else 's'}"
    return [doubtful("tls", text, "tell whoever runs the server")] if days < SOON else [fine("tls", text)]


def capabilities(announced: Collection[str], can: Capabilities) -> list[Finding]:
    """Tell what the server can do of what makes a difference here."""
    wanted = _IMAP if can.flags else _POP
    offered = set(announced) | (_REV2 if "IMAP4REV2" in announced else set())
    there = [name for name in wanted if name in offered]
    absent = [name for name in wanted if name not in offered]
    text = " ".join(there) or "none that matter here"
    return [fine("capabilities", f"{text}; without {' '.join(absent)}" if absent else text)]


def deletion(asked: str | None, can: Capabilities, mailboxes: Iterable[Mailbox], *, delete: bool) -> list[Finding]:
    """Tell how mail would leave the server.

    Args:
        asked: `delete_method` of the account; None for `auto`.
        can: What the server can do.
        mailboxes: What there is, for the trash among it.
        delete: Whether the account wants its backups to delete.
    """
    try:
        how = choose(Method(asked or Method.AUTO), can, mailboxes)
    except UsageError as error:
        if delete:
            return [failed("deletion", error)]
        return [doubtful("deletion", error.message, error.hint)]
    deed = _DEEDS[how.method] if can.flags else "DELE of exactly what is proved, done at QUIT"
    return [fine("deletion", f"{how.method.value}: {deed}{'' if delete else ' (only with --delete)'}")]


def quota(seen: Quota | None, name: str) -> list[Finding]:
    """Judge how full an account is; `name` is what is typed for it."""
    if seen is None:
        return [fine("quota", "the server tells none")]
    if seen.percent < FULL:
        return [fine("quota", quota_line(seen))]
    hint = f"mailarchive backup {name} --keep-under {FULL}% --delete --dry-run"
    return [doubtful("quota", quota_line(seen), hint)]


def full_text(*, there: bool) -> list[Finding]:
    """Tell whether SQLite can search words."""
    if there:
        return [fine("search", "SQLite has FTS5")]
    return [doubtful("search", "the SQLite of this Python has no FTS5, which `mailarchive search` needs")]
