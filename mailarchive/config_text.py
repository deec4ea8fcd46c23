"""An account as the lines that stand in a configuration.

The law of this room: pure, and it only adds: what a person has written stays octet for octet. A value is written so
that the reader gives the same value back; a secret has no key here either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mailarchive.config_values import toml_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailarchive.address import ServerAddress
    from mailarchive.config_values import OAuthKeys

HEAD: Final = "# Accounts of mailarchive. No password stands here, only where it comes from.\n"
_ESCAPES: Final = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}


@dataclass(frozen=True, slots=True)
class NewAccount:
    """What is to be written; a key that is None or empty is left out.

    Attributes:
        name: A name that the configuration does not have.
        address: Server and user.
        archive: Path of its folder, as it is to be written; None for the one below the common folder.
        password_command: As in the configuration. `password_file`, `keyring`, `oauth`, `ca_file` likewise.
        older_than: As in the configuration. `format` likewise.
    """

    name: str
    address: ServerAddress
    archive: str | None = None
    password_command: str | None = None
    password_file: str | None = None
    keyring: bool = False
    oauth: OAuthKeys | None = None
    ca_file: str | None = None
    older_than: str | None = None
    format: str | None = None

    def lines(self) -> list[str]:
        """Give its lines, the first being that of the table."""
        pairs = (
            ("server", self.address.shown),
            ("user", self.address.user),
            ("password_command", self.password_command),
            ("password_file", self.password_file),
            ("ca_file", self.ca_file),
            ("archive", self.archive),
            ("older_than", self.older_than),
            ("format", self.format),
        )
        given = [f"{key} = {text(value)}" for key, value in pairs if value]
        if self.keyring:
            given.append("keyring = true")
        if self.oauth is not None:
            given.append(f"oauth = {_inline(self.oauth)}")
        return [f"[account.{toml_key(self.name)}]", *given]


def with_account(before: str, account: NewAccount) -> str:
    """Add an account at the end of a configuration; an empty one gets a first line.

    Args:
        before: The text as it is; its kind of line end is kept.
        account: What to add.
    """
    # TOML counts the table last opened for what follows, so a new table at the end touches none before it.
    end = "\r\n" if "\r\n" in before else "\n"
    added = end.join(["", *account.lines(), ""])
    if not before.strip():
        return before + HEAD.replace("\n", end) + added
    return before + ("" if before.endswith("\n") else end) + added


def text(value: str) -> str:
    """Write a TOML basic string."""
    return '"' + "".join(_ESCAPES.get(letter, _letter(letter)) for letter in value) + '"'


def _letter(letter: str) -> str:
    return letter if letter.isprintable() else f"\\U{ord(letter):08X}"


def _inline(keys: OAuthKeys) -> str:
    found = {name: getattr(keys, name) for name in type(keys).__dataclass_fields__}
    return "{ " + ", ".join(f"{key} = {_value(value)}" for key, value in found.items() if value) + " }"


def _value(value: str | Sequence[str]) -> str:
    return text(value) if isinstance(value, str) else f"[{', '.join(map(text, value))}]"
