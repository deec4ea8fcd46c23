"""What stands in a response of SASL PLAIN (RFC 4616), whatever protocol carries it.

The law of this room: nothing is guessed; a response that is not exactly right is refused.
"""

from __future__ import annotations

import base64
import binascii


def plain(response: bytes) -> tuple[str, str, str]:
    """Read a response in base64; `=` stands for an empty one (RFC 4959 section 3).

    Returns:
        The authorization identity, empty or not; the user; the password.

    Raises:
        ValueError: It is none; the text says why.
    """
    try:
        octets = base64.b64decode(b"" if response == b"=" else response, validate=True)
        parts = octets.decode().split("\0")
    except (binascii.Error, UnicodeDecodeError):
        raise ValueError("that is not base64 of UTF-8") from None
    if response not in (b"=", base64.b64encode(octets)):
        raise ValueError("that is not base64 of UTF-8")  # Python forgives some that is too much
    if len(parts) != 3:
        raise ValueError("PLAIN takes three parts")
    identity, user, password = parts
    return identity, user, password
