"""From an e-mail address to the servers that may be its own.

The law of this room: the table on this computer comes first, and nothing leaves the machine before the caller has
asked a person; what others answer is a claim, to be shown and confirmed. A look-up that fails is one sentence, and the
next one is tried.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import quote

from mailarchive.discovery import autoconfig, presets, records
from mailarchive.discovery.autoconfig import NoDescriptionError
from mailarchive.discovery.candidate import Candidate, MailAddress, Way, mail_address
from mailarchive.discovery.records import NoAnswerError

if TYPE_CHECKING:
    from mailarchive.address import Protocol as MailProtocol
    from mailarchive.discovery.records import AsksDns

__all__ = ["DIRECTORY", "Candidate", "Found", "MailAddress", "Way", "known", "look_up", "mail_address"]

DIRECTORY: Final = "autoconfig.thunderbird.net"
"""Thunderbird's public directory, which is told the domain and nothing else."""


class Gets(Protocol):
    """What is needed of HTTPS."""

    def get(self, url: str) -> bytes:
        """Fetch a text. Raises `https.NothingThereError`."""
        ...


@dataclass(frozen=True, slots=True)
class Found:
    """What a look-up brought.

    Attributes:
        candidates: The likeliest first; empty if nobody knows a server.
        silent: A sentence for each place that knew none, or could not be asked.
    """

    candidates: tuple[Candidate, ...] = ()
    silent: tuple[str, ...] = field(default=())


def known(address: MailAddress, protocol: MailProtocol) -> Candidate | None:
    """Give the server that the built-in table has for an address; nobody is asked."""
    return presets.by_domain(address, protocol)


def look_up(address: MailAddress, protocol: MailProtocol, https: Gets, dns: AsksDns) -> Found:
    """Ask the domain's own hosts, then Thunderbird's directory, then DNS, until one names a server.

    Args:
        address: The domain's own hosts are told all of it, the others only its domain.
        protocol: What the server has to speak.
        https: Fetches.
        dns: Asks DNS.
    """
    silent: list[str] = []
    for url in places(address):
        found, why = _described(url, address, protocol, https)
        if found:
            return Found(found, tuple(silent))
        silent.append(f"{url.partition('?')[0]}: {why}")
    try:
        named = presets.by_exchanger(address, dns.exchangers(address.domain), protocol)
        candidates = (named,) if named else tuple(records.candidates(dns, address, protocol))
    except NoAnswerError as error:
        return Found((), (*silent, str(error)))
    return Found(candidates, (*silent, *(() if candidates else ("DNS names no server",))))


def places(address: MailAddress) -> tuple[str, str, str]:
    """Say where a description may be, in the order in which to ask."""
    who = f"emailaddress={quote(address.text, safe='')}"
    return (
        f"https://autoconfig.{address.domain}/mail/config-v1.1.xml?{who}",
        f"https://{address.domain}/.well-known/autoconfig/mail/config-v1.1.xml?{who}",
        f"https://{DIRECTORY}/v1.1/{address.domain}",
    )


def _described(
    url: str, address: MailAddress, protocol: MailProtocol, https: Gets
) -> tuple[tuple[Candidate, ...], str]:
    from mailarchive.discovery.https import NothingThereError

    try:
        candidates = autoconfig.read(https.get(url), address, url.partition("?")[0])
    except (NothingThereError, NoDescriptionError) as error:
        return (), str(error)
    found = tuple(each for each in candidates if each.address.protocol == protocol)
    return found, "" if found else "it names no server with TLS"
