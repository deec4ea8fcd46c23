"""The server of the benchmarks: a private Dovecot, its mail written straight into its Maildirs, maybe far away.

Law of this room: what a mailbox holds is remembered by digest while it is written, so that what a program has stored
can be compared with it. One server for all sets, a user for each; nothing of it is removed before the end.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from tests.benchmarks import peers
from tests.benchmarks.corpus import letters
from tests.servers.dovecot import NOBODY, Dovecot, dovecot_version
from tests.servers.dovecot_conf import compressing
from tests.servers.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.benchmarks.corpus import MailSet
    from tests.servers.dovecot import Account

_FAT_LINE = 64 * 2**20
"""Octets that may be under way in each direction, so that the delay costs time and not throughput."""


class Held(NamedTuple):
    """An account and what its mailboxes hold: SHA-256 of every message, octets of all."""

    account: Account
    digests: dict[str, set[bytes]]
    octets: dict[str, int]

    def mailboxes(self, protocol: str) -> tuple[str, ...]:
        """Name the mailboxes that a protocol shows."""
        return tuple(self.digests) if protocol == "imap" else ("INBOX",)


def new_server() -> Dovecot:
    """Make the server, not yet started; its mail is in Maildirs, as on most servers, and it offers COMPRESS."""
    return Dovecot(storage="maildir", extra=compressing(dovecot_version()))


def fill(server: Dovecot, user: str, mail: MailSet, seed: int) -> Held:
    """Make a user with a set of mail; every message is seen, so that no program changes a flag by reading it."""
    account = server.add_user(user)
    home = server.root / "mail" / user
    digests: dict[str, set[bytes]] = {mailbox: set() for mailbox in mail.mailboxes}
    octets = dict.fromkeys(mail.mailboxes, 0)
    folders = {mailbox: _folder(home, mailbox) for mailbox in mail.mailboxes}
    for index, letter in enumerate(letters(mail, seed)):
        size = len(letter.octets)
        # S and W as Dovecot writes them: the size on disk, and with CRLF.
        path = f"{folders[letter.mailbox]}/{letter.received}.{index}.benchmark,S={size},W={size}:2,S"
        with open(path, "xb", buffering=0) as file:  # noqa: PTH123 - a Path for each of 100,000 costs
            file.write(letter.octets)
        os.utime(path, (letter.received, letter.received))
        digests[letter.mailbox].add(hashlib.sha256(letter.octets).digest())
        octets[letter.mailbox] += size
    if os.geteuid() == 0:
        for path, folders_here, files_here in os.walk(home):
            for name in (".", *folders_here, *files_here):
                os.chown(os.path.join(path, name), NOBODY, NOBODY)  # noqa: PTH118 - see above
    return Held(account, digests, octets)


def _folder(home: Path, mailbox: str) -> Path:
    box = home / "mail" if mailbox == "INBOX" else home / "mail" / f".{mailbox.replace('/', '.')}"
    for name in ("cur", "new", "tmp"):
        (box / name).mkdir(parents=True, mode=0o700)
    return box / "cur"


@contextmanager
def reach(held: Held, protocol: str, delay: float, rate: float = 0) -> Iterator[peers.Target]:
    """Give the way to an account: at once, or through a line.

    It takes `delay` seconds in each direction, and carries `rate` octets a second, 0 for as many as come.
    """
    account = held.account
    port = account.imap_port if protocol == "imap" else account.pop3_port
    mailboxes = held.mailboxes(protocol)
    target = peers.Target(
        protocol, port, account.user, account.password, mailboxes, sum(held.octets[name] for name in mailboxes)
    )
    if not delay and not rate:
        yield target
        return
    with Proxy(port, delay=delay, rate=rate, record=False, backlog=_FAT_LINE) as line:
        yield target._replace(port=line.port)
