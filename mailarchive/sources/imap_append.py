"""Puts messages on an IMAP server: CREATE, APPEND (RFC 9051 sections 6.3.4 and 6.3.12, RFC 3502), and Gmail's labels.

The law of this room: the octets go out as they are, in pieces; a date and flags go with them; nothing that is on the
server is changed.
"""

from __future__ import annotations

import re
from datetime import UTC
from typing import TYPE_CHECKING

from imapclient import imap_utf7

from mailarchive.errors import MailboxError, MessageError, ProtocolError
from mailarchive.model import ANSWERED, DRAFT, FLAGGED, SEEN, UID, Mailbox
from mailarchive.sources import uid_set
from mailarchive.sources.imap_commands import Literal, Refused, quoted
from mailarchive.sources.imap_expunge import Marks
from mailarchive.sources.imap_gate import AWAY, CHANGING_LINE, Phase
from mailarchive.sources.imap_items import GMAIL
from mailarchive.sources.imap_list import MONTHS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from mailarchive.extras import Appending
    from mailarchive.sources.imap_commands import Commands

TOGETHER = 100
"""Messages in one APPEND: a server holds them all until it has the last one."""

_APPENDUID = re.compile(rb"\[APPENDUID \d{1,10} ([\d,:]{1,2000})\]", re.IGNORECASE)
_KEYWORD = re.compile(r"[A-Za-z0-9!#$&'+,\-./:;<=>?@\[^_`|}~]+")
_SYSTEM = frozenset(flag.lower() for flag in (SEEN, ANSWERED, FLAGGED, DRAFT))
"""The system flags that are given; no server takes any but those of the RFC, and a message put back is to stay."""
_LABELS_LINE = CHANGING_LINE - 80
_FULL = re.compile(r"\[OVERQUOTA\]|quota", re.IGNORECASE)
_NO_MAILBOX = re.compile(r"\[TRYCREATE\]|\[NONEXISTENT\]", re.IGNORECASE)


def create(commands: Commands, name: str) -> Mailbox:
    """Make a mailbox; its name goes out in modified UTF-7."""
    try:
        wire = bytes(imap_utf7.encode(name))
    except UnicodeEncodeError:
        raise MailboxError("a mailbox name that is no text cannot be made") from None
    with commands.gate.enter(Phase.RESTORING):
        try:
            commands.run(b"CREATE", quoted(wire))
        except Refused as refused:
            raise refused.error(commands.wire.peer, f"the server does not make the mailbox {name}") from None
    return Mailbox(name, wire)


def append(commands: Commands, mailbox: Mailbox, message: Appending) -> UID | None:
    """Put one message into a mailbox, and on Gmail its labels on it.

    Raises:
        MessageError: The server does not take this message.
        MailboxError: There is no room, or no such mailbox.
    """
    with commands.gate.enter(Phase.RESTORING):
        uid = _append(commands, mailbox, [message])[0]
        if message.labels and uid is not None and GMAIL in commands.capability:
            label(commands, mailbox, uid, message.labels)
    return uid


def at_once(commands: Commands) -> int:
    """Say how many messages one APPEND takes (RFC 3502); where there are labels, each message needs its UID first."""
    return TOGETHER if "MULTIAPPEND" in commands.capability and GMAIL not in commands.capability else 1


def append_many(commands: Commands, mailbox: Mailbox, messages: Sequence[Appending]) -> list[UID | None]:
    """Put messages into a mailbox by one command, all or none (RFC 3502); raises what `append` does."""
    with commands.gate.enter(Phase.RESTORING):
        return _append(commands, mailbox, messages)


def _append(commands: Commands, mailbox: Mailbox, messages: Sequence[Appending]) -> list[UID | None]:
    try:
        commands.send_literals(b"APPEND", _literals(mailbox, messages))
        for _ in commands.answers():
            commands.skip()
    except Refused as refused:
        if _FULL.search(refused.said) or _NO_MAILBOX.search(refused.said) or refused.patience:
            raise refused.error(commands.wire.peer, f"the server takes nothing into {mailbox.name}") from None
        raise MessageError(f"the server does not take it: {refused.said}") from None
    found = _APPENDUID.search(commands.completed)
    nothing: list[UID | None] = [None] * len(messages)
    try:
        uids = uid_set.parse(found.group(1), most=len(messages)) if found else []
    except ProtocolError:
        return nothing
    return [UID(uid) for uid in uids] if len(uids) == len(messages) else nothing


def _literals(mailbox: Mailbox, messages: Sequence[Appending]) -> Iterator[Literal]:
    """Give each message with what stands before it: the mailbox once, then flags and date."""
    before = [quoted(mailbox.wire)]
    for message in messages:
        flags = sorted(flag for flag in message.flags if flag.lower() in _SYSTEM or _KEYWORD.fullmatch(flag))
        parts = [*before, b"(" + " ".join(flags).encode("ascii") + b")"]
        if message.internal_date is not None:
            parts.append(b'"' + _date_time(message.internal_date) + b'"')
        yield Literal(b" ".join(parts), message.size, message.chunks())
        before = []


def unmark(commands: Commands, mailbox: Mailbox, uids: Sequence[int]) -> None:
    r"""Take `\Deleted` off messages, as the second half of taking a run back that only marked them."""
    with commands.gate.enter(Phase.RESTORING):
        try:
            commands.run(b"SELECT", quoted(mailbox.wire))
            for part in Marks(commands).sets(uids):
                commands.run(b"UID STORE", part + rb" -FLAGS.SILENT (\Deleted)")
        except Refused as refused:
            raise refused.error(commands.wire.peer, "the server does not take marks off") from None


def label(commands: Commands, mailbox: Mailbox, uid: UID, labels: frozenset[str]) -> None:
    """Put labels on a message (X-GM-EXT-1); those that no server can take are left out."""
    sets = list(_label_sets(quoted(text.encode("utf-8", "replace")) for text in sorted(labels)))
    if not sets:
        return
    with commands.gate.enter(Phase.RESTORING):
        try:
            commands.run(b"SELECT", quoted(mailbox.wire))
            for texts in sets:
                commands.run(b"UID STORE", b"%d +X-GM-LABELS.SILENT (%s)" % (uid, texts))
        except Refused as refused:
            raise MessageError(
                f"it is there again, but the server does not put its labels on: {refused.said}"
            ) from None


def _label_sets(texts: Iterable[bytes]) -> Iterator[bytes]:
    """Cut labels, quoted, into lists that fit on a line."""
    parts: list[bytes] = []
    for text in texts:
        if len(text) > _LABELS_LINE or AWAY.search(text) or any(octet in text for octet in b"\r\n\0"):
            continue
        if parts and sum(map(len, parts)) + len(parts) + len(text) > _LABELS_LINE:
            yield b" ".join(parts)
            parts = []
        parts.append(text)
    if parts:
        yield b" ".join(parts)


def _date_time(instant: datetime) -> bytes:
    """Write the date-time of RFC 9051 section 9 in the zone of the instant, whatever the locale."""
    offset = instant.utcoffset()
    if offset is None or offset.seconds % 60:
        # A zone has hours and minutes.
        instant = instant.astimezone(UTC)
    month = MONTHS[instant.month - 1]
    return f"{instant.day:2d}-{month}-{instant.year:04d} {instant:%H:%M:%S %z}".encode("ascii")
