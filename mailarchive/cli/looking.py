"""What stands on a server that has just let us in: its mailboxes, their sizes, the quota.

The law of this room: everything is opened for reading and only listed; names of mailboxes are foreign text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mailarchive.errors import MailboxError
from mailarchive.extras import HasQuota
from mailarchive.model import Criteria
from mailarchive.screen.safe import safe
from mailarchive.screen.words import cut, format_count, format_size, pad, quota_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailarchive.model import Mailbox
    from mailarchive.sources.imap import ImapSource
    from mailarchive.sources.pop import PopSource

_MOST_SIZES: Final = 50_000
"""Messages whose sizes are asked for, over all mailboxes; a larger mailbox shows none."""
_MOST_LINES: Final = 40
_WIDTH: Final = 36


def look(source: ImapSource | PopSource) -> Iterator[str]:
    """Give a line for each mailbox, as it is looked at, and one for the quota.

    Raises:
        AccountError: The line dies.
    """
    mailboxes, _ = source.mailboxes()
    chosen = [mailbox for mailbox in mailboxes if mailbox.selectable and mailbox.personal]
    left = _MOST_SIZES
    yield f"  {pad('mailbox', _WIDTH)} {'messages':>10} {'size':>10}"
    for mailbox in chosen[:_MOST_LINES]:
        name = pad(cut(safe(mailbox.name), _WIDTH), _WIDTH)
        try:
            count, size = _sizes(source, mailbox, left)
        except MailboxError:
            yield f"  {name} {'cannot be opened':>21}"
            continue
        left -= 0 if size is None else count
        yield f"  {name} {format_count(count):>10} {'-' if size is None else format_size(size):>10}"
    if len(chosen) > _MOST_LINES:
        yield f"  and {format_count(len(chosen) - _MOST_LINES)} more"
    quota = source.quota() if isinstance(source, HasQuota) else None
    if quota is not None:
        yield f"  quota: {quota_line(quota)}"


def _sizes(source: ImapSource | PopSource, mailbox: Mailbox, most: int) -> tuple[int, int | None]:
    """Give the number of messages and their octets; None for octets where there are more than `most`."""
    with source.open(mailbox) as opened:
        count = opened.status.exists
        if count > most:
            return count, None
        return count, sum(message.size or 0 for message in opened.listing(Criteria()))
