"""A server that may be the one of a mail address, and the mail address itself.

The law of this room: pure text in, checked values out. Whoever described a server, its name, port and user have
passed `address.py`; a server without TLS is none.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from mailarchive.address import parse_url
from mailarchive.errors import UsageError

if TYPE_CHECKING:
    from mailarchive.address import ServerAddress

_LONGEST: Final = 254  # RFC 5321 section 4.5.3.1.3, less the angle brackets


class Way(StrEnum):
    """How one proves who one is."""

    PASSWORD = "password"  # noqa: S105 - the name of a way
    APP_PASSWORD = "app-password"  # noqa: S105 - likewise
    OAUTH = "oauth"


@dataclass(frozen=True, slots=True)
class MailAddress:
    """An e-mail address.

    Attributes:
        text: As it was typed, without blanks around it.
        local: What stands before the @. `domain`: what stands behind it, lower-case ASCII (`xn--...`).
    """

    text: str
    local: str
    domain: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A server for a mail address.

    Attributes:
        address: Where, with the user name it wants.
        source: Who says so, for people; may hold foreign text.
        ways: How one proves who one is there, the usual way first; empty where nobody says.
        provider: Whom OAuth2 asks, a word of `config_values.PROVIDERS`; None where nobody says.
        notes: What to know before the sign-in.
        doubts: Why to look twice before saying yes; may hold foreign text.
    """

    address: ServerAddress
    source: str
    ways: tuple[Way, ...] = ()
    provider: str | None = None
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


def mail_address(text: str) -> MailAddress:
    """Read an e-mail address; the domain may be an international one.

    Raises:
        UsageError: It is none, or its domain is an IP address or a name without a dot.
    """
    text = text.strip()
    local, at, domain = text.rpartition("@")
    shown = ascii(text if len(text) <= 80 else text[:79] + "…")
    bad = any(letter.isspace() or unicodedata.category(letter).startswith("C") for letter in text)
    if not (local and at and domain) or bad or len(text) > _LONGEST or re.search("[/?#:\\[\\]]", domain):
        raise UsageError(f"{shown} is no e-mail address", hint="write it like me@example.org")
    host = host_name(domain)
    if host is None or "." not in host:
        raise UsageError(f"{shown}: no domain stands behind the @", hint="write it like me@example.org")
    return MailAddress(text, local, host)


def host_name(text: str) -> str | None:
    """Give a host name in lower-case ASCII; None for an IP address and for anything else."""
    if not text or set(text) & set("/?#@:[]% \t"):
        return None
    try:
        host = parse_url(f"imaps://{text}", user="x").host
    except UsageError:
        return None
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host
    return None


def within(host: str, domain: str) -> bool:
    """Tell whether a host lies in a domain."""
    return host == domain or host.endswith("." + domain)
