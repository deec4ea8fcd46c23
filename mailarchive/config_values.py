"""What a configuration says, as checked values: accounts, and what each of them wants deleted.

The law of this room: immutable, and as it was written; what an age or a word means is worked out by who uses it.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from mailarchive.address import parse_url
from mailarchive.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from mailarchive.address import ServerAddress

ONE_OFF: Final = "a one-off needs no configuration: mailarchive backup imaps://USER@HOST --to DIR --older-than 1y"


@dataclass(frozen=True, slots=True)
class DeletionKeys:
    """What the configuration says about deleting, as it was written; None where it says nothing.

    Attributes:
        delete: Whether a backup deletes afterwards what it has proved to hold.
        delete_method: A word of `model.Method`.
        keep_flagged: Whether flagged messages stay. `keep_unread`: whether unread ones stay.
        min_copies_age: An age that `dates.parse_age` reads: only what was archived so long ago is deleted.
        max_delete: Nothing is deleted if it would be more messages.
    """

    delete: bool | None = None
    delete_method: str | None = None
    keep_flagged: bool | None = None
    keep_unread: bool | None = None
    min_copies_age: str | None = None
    max_delete: int | None = None


@dataclass(frozen=True, slots=True)
class LimitKeys:
    """What the configuration says about patience and transfer, as it was written; None where it says nothing.

    Attributes:
        max_wait: A duration that `dates.parse_duration` reads: so long a run waits for a server that asks for it.
        max_bytes: A size that `dates.parse_size` reads: so much a run may fetch.
    """

    max_wait: str | None = None
    max_bytes: str | None = None


@dataclass(frozen=True, slots=True)
class MonitorKeys:
    """What the configuration says about telling others how a backup went, as it was written.

    Attributes:
        ping_url: The address to ping, which counts as a secret; see `refused_ping`.
        on_failure: A text for `/bin/sh -c`, run when a backup ends with anything but 0.
        textfile: Absolute path of a file of metrics for Prometheus.
    """

    ping_url: str | None = None
    on_failure: str | None = None
    textfile: Path | None = None


def refused_ping(url: str) -> str:
    """Say why an address is not pinged; "" for one that is."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        return "this is no address"
    if parts.username is not None or parts.fragment or not url.isascii() or " " in url:
        return "the address holds a user, a fragment or a blank"
    if not host or parts.scheme not in ("http", "https"):
        return "the address does not begin with https:// and a host"
    if parts.scheme == "http" and host not in ("localhost", "127.0.0.1", "::1"):
        return "in clear text only this computer is pinged"
    return ""


@dataclass(frozen=True, slots=True)
class OAuthKeys:
    """What the configuration says about OAuth2: a helper of the user's, or a client id with a provider.

    Attributes:
        token_command: Prints an access token; a text for `/bin/sh -c`, or a command with its arguments.
        provider: A word of `PROVIDERS`, or a name for people beside an `issuer`.
        client_id: The user's own, from the provider's page for programs.
        client_secret_command: Prints what some providers want of an installed program besides.
        issuer: The HTTPS address at which a provider describes itself.
        scopes: What to ask for; empty for what the provider needs for mail.
    """

    token_command: str | tuple[str, ...] | None = None
    provider: str | None = None
    client_id: str | None = None
    client_secret_command: str | tuple[str, ...] | None = None
    issuer: str | None = None
    scopes: tuple[str, ...] = ()


PROVIDERS: Final = ("google", "microsoft")
"""The providers whose addresses are known here."""


@dataclass(frozen=True, slots=True)
class Account:
    """One login on one server and the folder for its mail.

    Attributes:
        name: What the command line calls it.
        address: Server and user.
        archive: Absolute path of the archive folder of this account.
        password_command: A text for `/bin/sh -c`, or a command with its arguments, run without a shell.
        password_file: A file that holds the password and nothing else.
        keyring: Whether its password, or its tokens, are in the keyring of the desktop.
        oauth: How it signs in by OAuth2; None for a password.
        older_than: An age that `dates.parse_age` reads, as it was written.
        mailboxes: Patterns as `policy.Policy` takes them; empty for the default choice.
        ca_file: Certificates of the authorities to trust instead of the system's.
        tunnel: A command that speaks IMAP and is signed in already, instead of a connection.
        deletion: What it says about deleting on the server.
        limits: What it says about patience and transfer.
        monitoring: What it says about telling others how a backup went.
        format: Of its archive, which is fixed when that is made; None for any. `layout`: how its folders lie.
        index: Whether the words of its mail are kept beside it, so that it is searched quickly.
    """

    name: str
    address: ServerAddress
    archive: Path
    password_command: str | tuple[str, ...] | None = None
    password_file: Path | None = None
    keyring: bool = False
    oauth: OAuthKeys | None = None
    older_than: str | None = None
    mailboxes: tuple[str, ...] = ()
    ca_file: Path | None = None
    deletion: DeletionKeys = field(default_factory=DeletionKeys)
    limits: LimitKeys = field(default_factory=LimitKeys)
    monitoring: MonitorKeys = field(default_factory=MonitorKeys)
    format: str | None = None
    layout: str | None = None
    tunnel: str | tuple[str, ...] | None = None
    index: bool = True


@dataclass(frozen=True, slots=True)
class Config:
    """A configuration in which everything is right.

    Attributes:
        path: The file it was read from.
        archive: The folder that holds the archives of accounts without one of their own.
        accounts: By name, in the order of the file.
    """

    path: Path
    archive: Path
    accounts: dict[str, Account] = field(default_factory=dict)

    def select(self, names: Iterable[str]) -> list[Account]:
        """Give the named accounts, each once, in the order asked for; all of them for no names.

        Raises:
            ConfigError: There is no such account, or none at all.
            UsageError: A name is an attempt at a server's address.
        """
        chosen = dict.fromkeys(names)
        if not self.accounts:
            raise ConfigError(f"{self.path}: no account is configured", hint=f"mailarchive init adds one; {ONE_OFF}")
        for name in chosen:
            if name not in self.accounts:
                self._refuse(name)
        return [self.accounts[name] for name in chosen or self.accounts]

    def _refuse(self, name: str) -> None:
        if "@" in name or ":" in name:
            parse_url(name)  # says what is missing, and does not repeat a password
        raise ConfigError(
            f"no account {quoted(name)} in {self.path}",
            hint=did_you_mean(name, list(self.accounts)) or f"the accounts are {', '.join(self.accounts)}",
        )


def toml_key(key: str) -> str:
    """Show a key as it stands in a TOML file, made of ASCII only where it is a quoted one."""
    return key if re.fullmatch("[A-Za-z0-9_-]+", key) else quoted(key)


def quoted(text: str) -> str:
    """Show foreign text in quotes, made of ASCII only, and not too much of it."""
    return ascii(text if len(text) <= 80 else text[:79] + "…")


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Give the nearest known word as a question; empty if none is near."""

    def nearness(candidate: str) -> float:
        parts = (candidate, candidate.partition("_")[0])
        return max(difflib.SequenceMatcher(None, word.casefold(), part.casefold()).ratio() for part in parts)

    best = max(known, key=nearness, default="")
    return f"did you mean {best!r}?" if best and nearness(best) >= 0.7 else ""
