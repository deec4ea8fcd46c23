"""The description of a domain's mail servers that Thunderbird calls autoconfig: XML in, candidates out.

The law of this room: pure and suspicious. A document type, an entity, too much, too deep or not XML: the whole text is
refused. An entry without TLS, with a strange host name or port is left out, and what is left names no other user than
the one who asks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Never
from xml.parsers import expat

from mailarchive.address import Security, ServerAddress
from mailarchive.discovery.candidate import Candidate, Way, host_name, within
from mailarchive.errors import UsageError

if TYPE_CHECKING:
    from mailarchive.address import Protocol
    from mailarchive.discovery.candidate import MailAddress

MOST: Final = 100_000
"""Octets of a description."""
_DEEPEST: Final = 20
_MOST_SERVERS: Final = 20
_PROTOCOLS: Final[dict[str, Protocol]] = {"imap": "imap", "pop3": "pop"}
_SECURITY: Final = {"ssl": Security.TLS, "starttls": Security.STARTTLS}
_WAYS: Final = {
    "password-cleartext": Way.PASSWORD,
    "password-encrypted": Way.PASSWORD,
    "plain": Way.PASSWORD,
    "secure": Way.PASSWORD,
    "oauth2": Way.OAUTH,
}
_PROVIDERS: Final = {"gmail.com": "google", "outlook.office365.com": "microsoft"}


class NoDescriptionError(ValueError):
    """The text is not such a description, in words for people."""


@dataclass
class _Server:
    kind: str
    fields: dict[str, list[str]] = field(default_factory=dict)

    def first(self, name: str) -> str:
        return next(iter(self.fields.get(name, ())), "").strip()


def read(data: bytes, address: MailAddress, source: str) -> list[Candidate]:
    """Give the servers of a description for an address, in its order, IMAP and POP3.

    Args:
        data: The XML.
        address: Whose servers are looked for.
        source: Where it came from, for people.

    Raises:
        NoDescriptionError: It is refused.
    """
    if len(data) > MOST:
        raise NoDescriptionError(f"more than {MOST // 1000} kB")
    reader = _Reader()
    reader.read(data)
    doubts = _doubts(reader.domains, address.domain)
    found = [_candidate(server, address, source, doubts) for server in reader.servers]
    return [each for each in found if each is not None]


class _Reader:
    """Collects the incoming servers and the domains of a description."""

    def __init__(self) -> None:
        self.servers: list[_Server] = []
        self.domains: list[str] = []
        self._path: list[str] = []
        self._text: list[str] = []

    def read(self, data: bytes) -> None:
        parser = expat.ParserCreate()
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text.append
        # Whatever declares anything is refused before it could be expanded or fetched.
        parser.StartDoctypeDeclHandler = _refuse
        parser.EntityDeclHandler = _refuse
        parser.ExternalEntityRefHandler = _refuse
        try:
            parser.Parse(data, True)
        except (expat.ExpatError, ValueError, LookupError) as error:
            if isinstance(error, NoDescriptionError):
                raise
            raise NoDescriptionError("not XML") from None

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if not self._path and name != "clientConfig":
            raise NoDescriptionError("not a description of mail servers")
        if len(self._path) >= _DEEPEST:
            raise NoDescriptionError("nested too deeply")
        self._path.append(name)
        self._text.clear()
        if self._path[:-1] == ["clientConfig", "emailProvider"] and name == "incomingServer":
            if len(self.servers) >= _MOST_SERVERS:
                raise NoDescriptionError("too many servers")
            self.servers.append(_Server(attributes.get("type", "").lower()))

    def _end(self, name: str) -> None:
        text = "".join(self._text)
        self._text.clear()
        self._path.pop()
        if self._path == ["clientConfig", "emailProvider", "incomingServer"]:
            self.servers[-1].fields.setdefault(name, []).append(text)
        elif self._path == ["clientConfig", "emailProvider"] and name == "domain":
            self.domains.append(text.strip())


def _refuse(*_: object) -> Never:
    raise NoDescriptionError("it declares a document type or entities")


def _doubts(domains: list[str], mine: str) -> tuple[str, ...]:
    """Say so where a description is of other domains; hosters serve theirs for the domains of their customers."""
    named = [host_name(domain) or domain for domain in domains]
    if not named or any(domain in (mine, "%EMAILDOMAIN%") for domain in named):
        return ()
    return (f"it is a description of {named[0]}, not of {mine}",)


def _candidate(server: _Server, address: MailAddress, source: str, doubts: tuple[str, ...]) -> Candidate | None:
    protocol = _PROTOCOLS.get(server.kind)
    security = _SECURITY.get(server.first("socketType").lower())
    host = host_name(_filled(server.first("hostname"), address, domain=address.domain))
    port = server.first("port")
    # A name that is not made of ours belongs to somebody else.
    name = server.first("username")
    user = _filled(name, address, domain=address.text.rpartition("@")[2]) if "%EMAIL" in name else address.text
    if protocol is None or security is None or host is None or not re.fullmatch("[0-9]{1,5}", port, re.ASCII):
        return None
    try:
        where = ServerAddress(protocol, security, host, int(port), user)
    except UsageError:
        return None
    if not within(host, address.domain):
        doubts = (*doubts, f"its name does not end in {address.domain}")
    ways = tuple(dict.fromkeys(_WAYS[word] for word in _words(server) if word in _WAYS))
    provider = next((name for end, name in _PROVIDERS.items() if within(host, end)), None)
    return Candidate(where, source, ways, provider, doubts=doubts)


def _words(server: _Server) -> list[str]:
    return [word.strip().lower() for word in server.fields.get("authentication", ())]


def _filled(text: str, address: MailAddress, *, domain: str) -> str:
    """Put the address in for its placeholders, in one pass, so that no address can bring in another one."""
    parts = {"EMAILADDRESS": address.text, "EMAILLOCALPART": address.local, "EMAILDOMAIN": domain}
    return re.sub("%(EMAILADDRESS|EMAILLOCALPART|EMAILDOMAIN)%", lambda found: parts[found[1]], text)
