"""Where a server is and who signs in there, read from the URLs of the command line and the configuration.

The law of this room: pure text in, a checked value out. An address holds no password, and text that seems to hold one
is never repeated in an error. Clear text cannot be asked for except on a loopback address, and nothing that could
break out of a protocol line (CR, LF, NUL, any control character) gets through.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal, TypeAlias
from urllib.parse import quote, unquote

from mailarchive.errors import UsageError


class Security(StrEnum):
    """How a connection is protected."""

    TLS = "tls"
    STARTTLS = "starttls"
    TUNNEL = "tunnel"
    NONE = "none"


Protocol: TypeAlias = Literal["imap", "pop"]

_SCHEMES: Final[dict[str, tuple[Protocol, Security, int]]] = {
    "imaps": ("imap", Security.TLS, 993),
    "pops": ("pop", Security.TLS, 995),
    "imap": ("imap", Security.STARTTLS, 143),
    "pop": ("pop", Security.STARTTLS, 110),
    "imap+insecure": ("imap", Security.NONE, 143),
    "pop+insecure": ("pop", Security.NONE, 110),
    "imap+tunnel": ("imap", Security.TUNNEL, 143),
}
_SCHEME = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]*)://")
_SCHEME_IN_HASTE = re.compile(r"\s*(?:imap|pop)s?(?:\+insecure)?:/?(?!/)")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER_AT_END = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")
_PLAIN_PLACE = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_UNSAFE = frozenset({"Cc", "Cs", "Zl", "Zp"})


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """One login on one server.

    Attributes:
        protocol: `imap` or `pop`.
        security: How the connection is protected; NONE only on a loopback address.
        host: Lower-case ASCII host name, or an IP address without brackets; of a tunnel only a name for people.
        port: 1 to 65535; of a tunnel it means nothing.
        user: The user name as the server gets it, decoded, never empty.

    Raises:
        UsageError: One of these does not hold.
    """

    protocol: Protocol
    security: Security
    host: str
    port: int
    user: str

    def __post_init__(self) -> None:
        """Refuse what no session may be opened with."""
        if not self.host or _unsafe(self.host):
            raise UsageError("the host name is empty or holds a control character", hint="use imaps://USER@HOST")
        if not 1 <= self.port <= 65535:
            raise UsageError(f"{self.host}: the port is not a number from 1 to 65535")
        if self.security is Security.NONE and not _is_loopback(self.host):
            raise UsageError(
                f"{self.host}: clear text is refused, except to this computer (127.0.0.1, ::1, localhost)",
                hint=f"use {self.protocol}s://{self._place}",
            )
        if not self.user:
            raise UsageError(
                f"{self.shown}: the user name is missing",
                hint=f"write {self.scheme}://USER@{self._place}, or give it by --user",
            )
        if _unsafe(self.user):
            raise UsageError(
                f"{self.shown}: the user name {_quoted(self.user)} holds a line break or control character"
            )

    @property
    def scheme(self) -> str:
        """The scheme of the URL, such as `imaps`."""
        return next(name for name, parts in _SCHEMES.items() if parts[:2] == (self.protocol, self.security))

    @property
    def _place(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def identity(self) -> str:
        """The canonical URL, always with user and port: what an archive is bound to. It holds no secret."""
        port = "" if self.security is Security.TUNNEL else f":{self.port}"
        return f"{self.scheme}://{quote(self.user, safe='')}@{self._place}{port}"

    @property
    def shown(self) -> str:
        """The URL for people and logs: no user, and the port only where it is not the usual one."""
        port = "" if self.port == _SCHEMES[self.scheme][2] else f":{self.port}"
        return f"{self.scheme}://{self._place}{port}"


def looks_like_url(text: str) -> bool:
    """Tell whether a word of the command line is meant as a server's URL and not as the name of an account."""
    return _SCHEME.match(text) is not None or is_bare_tunnel(text)


def is_bare_tunnel(text: str) -> bool:
    """Tell whether a text is `imap+tunnel:`, which names no server."""
    return re.fullmatch(r"\s*imap\+tunnel:(?://)?\s*", text, re.IGNORECASE) is not None


def tunnel_address(name: str, *, user: str | None = None) -> ServerAddress:
    """Make the address of a tunnel that is called `name`, which is also its user where nobody is named."""
    return ServerAddress("imap", Security.TUNNEL, name.lower(), 143, user or name)


def parse_url(text: str, *, user: str | None = None) -> ServerAddress:
    """Read `imaps://user@host[:port]` and its kin (`interface.md` section 4).

    Args:
        text: The URL; its user name is percent-encoded, its host name may be an international one.
        user: The user name as it is, for a URL without one.

    Raises:
        UsageError: It is not such a URL, or there is no user name, or two different ones.
    """
    match = _SCHEME.match(text)
    start = match or _SCHEME_IN_HASTE.match(text)
    rest = text[start.end() :] if start else text
    # Looked for before anything else, in the whole rest: a password may hold `/`, `#` or `@`, and no other complaint
    # may then show a piece of it.
    if ":" in rest.rpartition("@")[0]:
        raise UsageError(
            "a password never stands in a server's address",
            hint="use --password-command or --password-file, or wait to be asked; this one may now be in the shell's "
            "history (a `:` in a user name is written %3A)",
        )
    if _unsafe(text):
        raise UsageError("the server's address holds a line break or control character")
    if is_bare_tunnel(text):
        raise UsageError(
            "a tunnel is an account of the configuration, where its command stands",
            hint='write [account.NAME] with server = "imap+tunnel:" and tunnel = "ssh HOST doveadm exec imap"',
        )
    if match is None:
        raise _no_scheme(rest)
    scheme = match[1].lower()
    if scheme not in _SCHEMES:
        raise _unknown_scheme(scheme)
    name, at, place = rest.rpartition("@")
    if set("/?#") & set(rest):
        raise UsageError(
            "a server's address ends after host and port: no path, `?` or `#`",
            hint=f"write {scheme}://USER@{_plain(re.split('[/?#]', place)[0])}; in a user name / is %2F, ? %3F, # %23",
        )
    if "@" in name:
        raise UsageError(
            "a user name with @ is written with %40 in an address",
            hint=f"write {scheme}://{_encoded(name)}@{_plain(place)}, or give it by --user",
        )
    protocol, security, default = _SCHEMES[scheme]
    if security is Security.TUNNEL and ":" in place:
        raise UsageError("a tunnel has no port: its command knows where to go", hint=f"write {scheme}://USER@HOST")
    host, port = _host_and_port(place, default)
    return ServerAddress(protocol, security, host, port, _one_user(_decoded(name) if at else "", user))


def _no_scheme(text: str) -> UsageError:
    name, at, place = text.rpartition("@")
    if not at:
        form = f"write imaps://USER@{_plain(text.partition(':')[0])}"
    elif "@" in name:
        form = f"write imaps://{_encoded(name)}@{_plain(place)}"
    else:
        user = _encoded(name)
        form = f"write imaps://{user}@{_plain(place)}, or, if that is a mail address, imaps://{_encoded(text)}@HOST"
    # Cut at the first colon: behind it stands a port, or the password of somebody who forgot the host.
    return UsageError(f"{_quoted(text.partition(':')[0])}: imaps:// or another kind of server is missing", hint=form)


def _unknown_scheme(scheme: str) -> UsageError:
    if scheme in ("http", "https"):
        return UsageError(
            f"{scheme}:// is a web address; the address of the mail server is needed",
            hint="write imaps://USER@HOST; the provider's help names its IMAP server, often imap.example.org",
        )
    return UsageError(f"unknown kind of server {_quoted(scheme)}", hint=f"use one of {', '.join(_SCHEMES)}")


def _host_and_port(place: str, default: int) -> tuple[str, int]:
    if place.startswith("["):
        inner, bracket, tail = place[1:].partition("]")
        if not bracket or (tail and not tail.startswith(":")):
            raise UsageError(
                "the brackets of an IPv6 address do not match", hint="write imaps://USER@[2001:db8::1]:993"
            )
        host, colon, port = _ipv6(inner), tail[:1], tail[1:]
    elif place.count(":") > 1:
        raise UsageError("an IPv6 address stands in brackets", hint="write imaps://USER@[2001:db8::1]:993")
    else:
        name, colon, port = place.partition(":")
        host = _host(name)
    if not colon:
        return host, default
    # The text is not shown: it may be the password of somebody who forgot the host.
    if not (port.isascii() and port.isdecimal() and len(port) <= 5 and 1 <= int(port) <= 65535):
        raise UsageError(f"{host}: the port is not a number from 1 to 65535", hint=f"the usual one is {default}")
    return host, int(port)


def _ipv6(text: str) -> str:
    try:
        if "%" not in text:  # a zone has a meaning on one machine only, so it cannot be part of an identity
            return ipaddress.IPv6Address(text).compressed
    except ValueError:
        pass
    raise UsageError(f"{_quoted(text)} is not an IPv6 address")


def _host(text: str) -> str:
    """Give the host name in lower-case ASCII, or the IPv4 address."""
    name = _ascii_name(text).removesuffix(".") if 0 < len(text) <= 253 else ""
    if not all(_LABEL.fullmatch(label) for label in name.split(".")):
        form = (
            "write imaps://USER@HOST" if text.isascii() else "write the name in its ASCII form, which begins with xn--"
        )
        raise UsageError(f"{_quoted(text)} is not a host name", hint=form)
    if _NUMBER_AT_END.fullmatch(name):
        # `127.1` or `0x7f000001` would be taken for an address by some resolvers; only the full form says which.
        try:
            return str(ipaddress.IPv4Address(name))
        except ValueError:
            raise UsageError(f"{_quoted(text)} is not an IPv4 address") from None
    return name


def _ascii_name(text: str) -> str:
    """Encode an international host name (RFC 3490); empty where that cannot be done without changing the name."""
    if text.isascii():
        return text.lower()
    try:
        encoded = text.encode("idna")
        back = encoded.decode("idna")
    except UnicodeError:
        return ""
    # The codec maps: a sharp s becomes ss, a full-width digit a digit. That would be another server than the one read.
    return encoded.decode("ascii").lower() if back == unicodedata.normalize("NFC", text.lower()) else ""


def _decoded(name: str) -> str:
    try:
        if not re.search("%(?![0-9A-Fa-f]{2})", name):
            return unquote(name, errors="strict")
    except UnicodeDecodeError:
        pass
    raise UsageError(f"the user name {_quoted(name)} is not rightly percent-encoded", hint="a % itself is written %25")


def _one_user(inside: str, apart: str | None) -> str:
    if inside and apart and inside != apart:
        raise UsageError(
            f"two user names: {_quoted(inside)} in the address and {_quoted(apart)} apart from it", hint="give only one"
        )
    return inside or apart or ""


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address in ipaddress.ip_network("127.0.0.0/8") or address == ipaddress.IPv6Address("::1")


def _unsafe(text: str) -> bool:
    """Tell whether a text holds a control character, a line separator, or bytes that were no UTF-8 (surrogates)."""
    return any(unicodedata.category(letter) in _UNSAFE for letter in text)


def _encoded(name: str) -> str:
    return quote(unquote(name), safe="")


def _plain(place: str) -> str:
    """Give host and port for a hint, or a word in their place where they are not plain."""
    return place if _PLAIN_PLACE.fullmatch(place) else "HOST"


def _quoted(text: str) -> str:
    return ascii(text if len(text) <= 80 else text[:79] + "…")
