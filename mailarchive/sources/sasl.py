"""What SASL mechanisms say to prove who we are, the same over IMAP and POP3.

The law of this room: pure; a password or token goes in, the text of one answer comes out, and `answers` names every
text that a server could repeat, so that each of them is taken out of what people see.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mailarchive.address import ServerAddress
    from mailarchive.secret import Secret

FAILED: Final = {"OAUTHBEARER": "\1", "XOAUTH2": ""}
"""What a client says to the challenge with which a server refuses a token (RFC 7628 section 3.2.3)."""


def plain(user: str, secret: Secret) -> str:
    """Give the message of PLAIN (RFC 4616)."""
    return f"\0{user}\0{secret.reveal()}"


def xoauth2(user: str, secret: Secret) -> str:
    """Give the message of XOAUTH2, which Google and Microsoft describe."""
    return f"user={user}\1auth=Bearer {secret.reveal()}\1\1"


def oauthbearer(address: ServerAddress, secret: Secret) -> str:
    """Give the message of OAUTHBEARER (RFC 7628 section 3.1)."""
    name = address.user.replace("=", "=3D").replace(",", "=2C")
    return f"n,a={name},\1host={address.host}\1port={address.port}\1auth=Bearer {secret.reveal()}\1\1"


def answers(address: ServerAddress, secret: Secret) -> list[str]:
    """Give the secret, and everything that we may send with it inside."""
    if secret.is_token:
        return [secret.reveal(), xoauth2(address.user, secret), oauthbearer(address, secret)]
    return [secret.reveal(), plain(address.user, secret)]


def status(challenge: bytes) -> str:
    """Read why a token is refused from the challenge that says it; empty where it does not. Foreign text."""
    with suppress(ValueError, RecursionError):
        said = json.loads(challenge)
        if isinstance(said, dict) and isinstance(said.get("status"), str):
            return str(said["status"])
    return ""
