"""Servers: one module for each protocol, opened by address."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from mailarchive.errors import UsageError

if TYPE_CHECKING:
    from mailarchive.address import ServerAddress
    from mailarchive.sources.imap import ImapSource
    from mailarchive.sources.pop import PopSource
    from mailarchive.sources.tls import Trust


class Purpose(Enum):
    """The most that a session may ever do on the server, whatever a bug asks for."""

    READ = auto()
    DELETE = auto()
    RESTORE = auto()


def connect(
    address: ServerAddress, password: str, trust: Trust, *, purpose: Purpose = Purpose.READ
) -> ImapSource | PopSource:
    """Connect and sign in.

    Raises:
        UsageError: The purpose cannot be on this server.
        AccountError: Unreachable, not trusted, sign-in refused, or to be tried later.
    """
    if address.protocol == "pop":
        return _connect_pop(address, password, trust, purpose)
    # Imported here, because `--help` must not wait for ssl and imapclient.
    from mailarchive.sources.imap import ImapSource
    from mailarchive.sources.imap_gate import Phase
    from mailarchive.sources.imap_session import sign_in

    phases = {Purpose.READ: Phase.READING, Purpose.DELETE: Phase.DELETING, Purpose.RESTORE: Phase.RESTORING}
    return ImapSource(sign_in(address, password, trust), phases[purpose])


def _connect_pop(address: ServerAddress, password: str, trust: Trust, purpose: Purpose) -> PopSource:
    if purpose is Purpose.RESTORE:
        raise UsageError("POP3 takes no messages, so nothing can be put back over it", hint="name the IMAP server")
    from mailarchive.sources.pop import PopSource
    from mailarchive.sources.pop_session import Secret, sign_in

    return PopSource(
        lambda: sign_in(address, Secret(password), trust),
        may_delete=purpose is Purpose.DELETE,
        quiet_end=address.host.endswith((".gmail.com", ".googlemail.com")),
    )
