"""Mail servers in DNS: SRV records (RFC 6186) and mail exchangers.

The law of this room: what an answer means is pure; only `Resolver` asks, by a library that is an extra, imported where
it is used. DNS is not signed here, so every name it brings is a claim that a person confirms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from mailarchive.address import Security, ServerAddress
from mailarchive.discovery.candidate import Candidate, host_name, within

if TYPE_CHECKING:
    from mailarchive.address import Protocol as MailProtocol
    from mailarchive.discovery.candidate import MailAddress

_SERVICES: Final[dict[MailProtocol, tuple[tuple[str, Security], ...]]] = {
    "imap": (("_imaps._tcp", Security.TLS), ("_imap._tcp", Security.STARTTLS)),
    "pop": (("_pop3s._tcp", Security.TLS), ("_pop3._tcp", Security.STARTTLS)),
}
_PATIENCE: Final = 5.0
"""Seconds for one question."""


class Service(NamedTuple):
    """One SRV record (RFC 2782)."""

    priority: int
    weight: int
    port: int
    target: str


class AsksDns(Protocol):
    """What is needed of DNS. Both raise NoAnswerError where there is no answer."""

    def services(self, name: str) -> list[Service]:
        """Give the SRV records of a name."""
        ...

    def exchangers(self, domain: str) -> list[str]:
        """Give the mail exchangers of a domain, the preferred one first."""
        ...


class NoAnswerError(Exception):
    """DNS cannot be asked, or does not answer, in words for people."""


def candidates(dns: AsksDns, address: MailAddress, protocol: MailProtocol) -> list[Candidate]:
    """Give what SRV records name for a domain, the preferred one first; those with TLS from the first octet lead.

    Raises:
        NoAnswerError: DNS cannot be asked.
    """
    found = []
    for service, security in _SERVICES[protocol]:
        records = dns.services(f"{service}.{address.domain}")
        for record in sorted(records, key=lambda each: (each.priority, -each.weight, each.target))[:5]:
            # The target "." says that there is no such service (RFC 6186 section 3.4).
            host = host_name(record.target.removesuffix("."))
            if host is None or not 1 <= record.port <= 65535:
                continue
            doubts: tuple[str, ...] = ("nobody has signed this answer",)
            if not within(host, address.domain):
                doubts = (*doubts, f"its name does not end in {address.domain}")
            where = ServerAddress(protocol, security, host, record.port, address.text)
            found.append(Candidate(where, f"DNS, {service}.{address.domain}", doubts=doubts))
    return found


class Resolver:
    """Asks the resolver of this computer."""

    def services(self, name: str) -> list[Service]:
        """Ask for SRV records."""
        return [
            Service(int(item.priority), int(item.weight), int(item.port), str(item.target))
            for item in self._ask(name, "SRV")
        ]

    def exchangers(self, domain: str) -> list[str]:
        """Ask for MX records."""
        found = sorted((int(item.preference), str(item.exchange).lower()) for item in self._ask(domain, "MX"))
        return [host for _, text in found if (host := host_name(text.removesuffix("."))) is not None]

    @staticmethod
    def _ask(name: str, kind: str) -> list[Any]:
        try:
            import dns.exception
            import dns.resolver
        except ImportError:
            raise NoAnswerError("DNS is not asked without a part: pip install 'mailarchive[dns]'") from None
        try:
            return list(dns.resolver.resolve(name, kind, lifetime=_PATIENCE))
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        except (dns.exception.DNSException, OSError):
            raise NoAnswerError("DNS does not answer") from None
