"""Servers: one module for each protocol, opened by address."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from mailarchive.errors import UsageError

if TYPE_CHECKING:
    from mailarchive.address import ServerAddress
    from mailarchive.sources.imap import ImapSource
    from mailarchive.sources.tls import Trust


class Purpose(Enum):
    """The most that a session may ever do on the server, whatever a bug asks for."""

    READ = auto()
    DELETE = auto()
    RESTORE = auto()


def connect(address: ServerAddress, password: str, trust: Trust, *, purpose: Purpose = Purpose.READ) -> ImapSource:
    """Connect and sign in.

    Raises:
        UsageError: The protocol of the address is not spoken here.
        AccountError: Unreachable, not trusted, sign-in refused, or to be tried later.
    """
    if address.protocol != "imap":
        raise UsageError(f"{address.shown}: only IMAP servers can be read", hint="use imaps://user@host")
    # Imported here, because `--help` must not wait for ssl and imapclient.
    from mailarchive.sources.imap import ImapSource
    from mailarchive.sources.imap_gate import Phase
    from mailarchive.sources.imap_session import sign_in

    phases = {Purpose.READ: Phase.READING, Purpose.DELETE: Phase.DELETING, Purpose.RESTORE: Phase.RESTORING}
    return ImapSource(sign_in(address, password, trust), phases[purpose])
