"""The built-in table of providers: what is known without asking anybody.

The law of this room: the table is data (`presets.toml`), read once; nothing is guessed from a name that it does not
have.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mailarchive.address import parse_url
from mailarchive.discovery.candidate import Candidate, Way, within

if TYPE_CHECKING:
    from mailarchive.address import Protocol
    from mailarchive.discovery.candidate import MailAddress

SOURCE: Final = "known to this program"


@dataclass(frozen=True, slots=True)
class Preset:
    """One provider; see the head of `presets.toml`."""

    domains: tuple[str, ...]
    imap: str | None
    pop: str | None
    ways: tuple[Way, ...]
    mx: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    local_user: bool = False
    provider: str | None = None
    notes: tuple[str, ...] = ()

    def has(self, domain: str) -> bool:
        """Tell whether addresses of a domain are theirs."""
        return domain not in self.excluded and any(_fits(domain, pattern) for pattern in self.domains)

    def candidate(self, address: MailAddress, protocol: Protocol, source: str) -> Candidate | None:
        """Give their server; None where they have none that speaks the protocol."""
        url = self.imap if protocol == "imap" else self.pop
        if url is None:
            return None
        user = address.local if self.local_user else address.text
        return Candidate(parse_url(url, user=user), source, self.ways, self.provider, self.notes)


def _fits(domain: str, pattern: str) -> bool:
    if not pattern.endswith(".*"):
        return domain == pattern
    name, _, rest = domain.partition(".")
    # `yahoo.de` and `yahoo.co.uk`, and not `yahoo.mail.example.org`.
    top, _, country = rest.partition(".")
    return name == pattern[:-2] and (not country or (top in {"co", "com"} and len(country) == 2))


@functools.cache
def presets() -> tuple[Preset, ...]:
    """Read the table."""
    import tomllib
    from importlib.resources import files

    text = files("mailarchive.discovery").joinpath("presets.toml").read_text(encoding="utf-8")
    return tuple(_preset(table) for table in tomllib.loads(text)["preset"])


def _preset(table: dict[str, Any]) -> Preset:
    return Preset(
        domains=tuple(table.pop("domains")),
        imap=table.pop("imap", None),
        pop=table.pop("pop", None),
        ways=tuple(Way(word) for word in table.pop("ways")),
        mx=tuple(table.pop("mx", ())),
        excluded=tuple(table.pop("except", ())),
        local_user=table.pop("user", "address") == "local",
        provider=table.pop("provider", None),
        notes=tuple(table.pop("notes", ())),
        **table,
    )


def by_domain(address: MailAddress, protocol: Protocol) -> Candidate | None:
    """Look an address up by its domain."""
    for preset in presets():
        if preset.has(address.domain):
            return preset.candidate(address, protocol, SOURCE)
    return None


def by_exchanger(address: MailAddress, exchangers: list[str], protocol: Protocol) -> Candidate | None:
    """Look an address up by the host names of its mail exchangers, the preferred one first: own domains at a provider.

    The table knows the provider; that the domain is there is what DNS says, which nobody signs.
    """
    for host in exchangers:
        for preset in presets():
            if any(within(host, end) for end in preset.mx):
                return preset.candidate(address, protocol, f"{SOURCE}; DNS names {host} for the mail of the domain")
    return None
