"""Asks how mailboxes stand without opening any of them (RFC 9051 section 6.3.11, RFC 7162 section 3.1.7).

The law of this room: a mailbox of which the answer is missing, refused, or about another name is left out, and is then
opened as any other. Nothing is concluded here; none of these mailboxes may be the selected one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mailarchive.model import MailboxStatus, is_inbox
from mailarchive.sources.imap_commands import Refused, quoted
from mailarchive.sources.imap_follow import is_able

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailarchive.model import Mailbox
    from mailarchive.sources.imap_commands import Commands
    from mailarchive.sources.imap_lexer import Value

IN_FLIGHT: Final = 32
"""Questions on their way at a time."""
_ITEMS: Final = (b"MESSAGES", b"UIDNEXT", b"UIDVALIDITY", b"HIGHESTMODSEQ")
_ANSWER: Final = b"* STATUS "


def glance(commands: Commands, mailboxes: Sequence[Mailbox]) -> dict[str, MailboxStatus]:
    """Give by name what the server says of mailboxes whose four numbers it tells.

    Raises:
        LaterError: The server asks for patience.
    """
    found: dict[str, MailboxStatus] = {}
    if not is_able(commands):
        return found
    sent = 0
    refusal: Refused | None = None
    for done, mailbox in enumerate(mailboxes):
        while sent < len(mailboxes) and sent - done < IN_FLIGHT and refusal is None:
            commands.send(b"STATUS", quoted(mailboxes[sent].wire) + b" (" + b" ".join(_ITEMS) + b")")
            sent += 1
        if done == sent:
            break
        try:
            status = _answered(commands, mailbox)
        except Refused as refused:
            status = None
            if refused.patience:
                refusal = refused
        if status is not None:
            found[mailbox.name] = status
    if refusal is not None:
        raise refusal.error(commands.wire.peer, "the server refuses")
    return found


def _answered(commands: Commands, mailbox: Mailbox) -> MailboxStatus | None:
    """Read the answer to the oldest question. Raises Refused."""
    found: MailboxStatus | None = None
    for line in commands.answers():
        if line[: len(_ANSWER)].upper() == _ANSWER:
            found = _status(commands, mailbox) or found
        else:
            commands.skip()
    return found


def _status(commands: Commands, mailbox: Mailbox) -> MailboxStatus | None:
    """Read one answer; None if it is about another mailbox, or lacks a number."""
    match commands.values(_ANSWER):
        case [bytes() as name, list() as pairs] if _is_named(name, mailbox):
            told = {_upper(item): _number(value) for item, value in zip(pairs[::2], pairs[1::2], strict=False)}
        case _:
            return None
    exists, uidnext, uidvalidity, highestmodseq = (told.get(item) for item in _ITEMS)
    if exists is None or not uidnext or not uidvalidity or not highestmodseq:
        return None
    return MailboxStatus(exists, uidvalidity, uidnext, highestmodseq)


def _is_named(name: bytes, mailbox: Mailbox) -> bool:
    return name == mailbox.wire or (is_inbox(name.decode("ascii", "replace")) and is_inbox(mailbox.name))


def _upper(value: Value) -> bytes:
    return value.upper() if isinstance(value, bytes) else b""


def _number(value: Value) -> int | None:
    return int(value) if isinstance(value, bytes) and value.isdigit() and len(value) <= 19 else None
