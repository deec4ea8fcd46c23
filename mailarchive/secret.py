"""Passwords and tokens as values that do not show themselves.

The law of this room: a secret is in no message, no repr and no pickle; what a password may hold is said here, once;
whoever prints an error or a traceback takes everything `KNOWN` out of it, so that a slip elsewhere stays inside.
"""

from __future__ import annotations

import contextlib
import hmac
from typing import TYPE_CHECKING, Final, NoReturn, Protocol

from mailarchive.errors import ConfigError
from mailarchive.scrub import MASK, Scrubber

if TYPE_CHECKING:
    from typing import Self

MAX_OCTETS: Final = 64 << 10
KNOWN: Final = Scrubber()
"""Every secret that this call of the program has held."""


class Proof(Protocol):
    """What proves who we are, each time that a session is opened."""

    def current(self) -> Secret:
        """Give the password, or a token that is still good. Raises MailarchiveError."""
        ...

    def renewed(self) -> Secret | None:
        """Give another one after a refusal; None where there is none: a password is never sent twice (lock-out)."""
        ...


class Secret:
    """A text that shows itself only on request, and then as it is.

    It cannot be pickled or copied, and compares in constant time. It is a `Proof` of its own.

    Attributes:
        is_token: Whether it is an OAuth2 access token and not a password.
        advice: What to do when it is refused; empty where nobody knows.
    """

    __slots__ = ("_text", "advice", "is_token")

    def __init__(self, text: str, *, is_token: bool = False, advice: str = "") -> None:
        KNOWN.add(text)
        self._text = text
        self.is_token = is_token
        self.advice = advice

    def reveal(self) -> str:
        """Give the text, to be handed to the sign-in and to nothing else."""
        return self._text

    def current(self) -> Self:
        """Give itself."""
        return self

    def renewed(self) -> None:
        """Give nothing: there is no other."""

    def __repr__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        mine, theirs = (secret.reveal().encode("utf-8", "surrogatepass") for secret in (self, other))
        return hmac.compare_digest(mine, theirs)

    __hash__ = None  # type: ignore[assignment]  # no set and no key holds a secret

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret is neither pickled nor copied")


def checked(
    given: str | bytes, what: str, *, kind: str = "password", is_token: bool = False, advice: str = ""
) -> Secret:
    """Take off one line end and refuse what no sign-in could send; no error is chained to one that holds the text.

    Args:
        given: As it came, at most a little more than `MAX_OCTETS`.
        what: Where it came from, for messages.
        kind: What it should be, for messages.
        is_token: See `Secret`.
        advice: See `Secret`.

    Raises:
        ConfigError: It is empty, not UTF-8, too long, or holds a control character.
    """
    text: str | None = None
    with contextlib.suppress(UnicodeError):
        data = given.encode() if isinstance(given, str) else given
        text = data.decode()
    if text is None:
        raise ConfigError(f"{what} is not UTF-8")
    text = text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text
    if not text:
        raise ConfigError(f"{what} is empty")
    if len(data) > MAX_OCTETS:
        raise ConfigError(f"{what} has more than {MAX_OCTETS >> 10} KiB; that is no {kind}")
    if any(letter < " " or letter == "\x7f" for letter in text):
        raise ConfigError(
            f"{what} holds a control character or a second line", hint=f"a {kind} is one line, and nothing else"
        )
    return Secret(text, is_token=is_token, advice=advice)
