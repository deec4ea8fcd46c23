"""Where a password comes from: a command, a file, the environment, systemd, netrc, the keyring, or a person.

The law of this room: the order stands here, and a source that is there and fails is an error, never a reason to try
the next one. A password lives in a `Secret` and nowhere else: it is in no message, no repr, no traceback and no
exception that another one hangs on; it is changed in nothing but one line end.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mailarchive.errors import ConfigError
from mailarchive.secret import MAX_OCTETS, Secret, checked
from mailarchive.secret_command import COMMAND_TIMEOUT, child_environment, printed
from mailarchive.secret_places import from_file, from_keyring, from_netrc, from_systemd

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

__all__ = ["MAX_OCTETS", "PasswordSources", "Secret", "child_environment", "password_for"]


@dataclass(frozen=True, slots=True)
class PasswordSources:
    """Where to look for a password, in this order.

    1. `command`, then `file`, from the command line;
    2. the environment variable `variable`;
    3. the credential `credential` of the systemd unit;
    4. what the account names: `configured_command`, `configured_file` or `keyring`;
    5. the netrc, by `host` and `user`;
    6. a person.

    Attributes:
        command: A text for `/bin/sh -c`, or a command with its arguments, run without a shell.
        file: Holds the password and nothing else, and is closed to other users.
        account: The account's name, which names its variable and its credential; None for a one-off.
        environ: The environment variables, also of the command.
        configured_command: `password_command` of the account. `configured_file`: its `password_file`.
        keyring: Whether the account's password is in the keyring of the desktop.
        host: Where the password is for. `user`: whose it is. Empty for nobody: netrc is not looked at.
        prompt: Asks a person without echo; None where nobody may be asked.
    """

    command: str | Sequence[str] | None = None
    file: Path | None = None
    account: str | None = None
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    configured_command: str | Sequence[str] | None = None
    configured_file: Path | None = None
    keyring: bool = False
    host: str = ""
    user: str = ""
    prompt: Callable[[], str] | None = None

    @property
    def variable(self) -> str:
        """The name of the environment variable that may hold the password."""
        if self.account is None:
            return "MAILARCHIVE_PASSWORD"
        return f"MAILARCHIVE_{re.sub('[^A-Z0-9]', '_', self.account.upper())}_PASSWORD"

    @property
    def credential(self) -> str:
        """The name of the credential in a systemd unit that may hold the password."""
        return f"mailarchive.{self.account}.password" if self.account else "mailarchive.password"


def password_for(sources: PasswordSources, *, timeout: float = COMMAND_TIMEOUT) -> Secret:
    """Give the password from the first source that is there; a source that fails is an error, not a reason to go on.

    Args:
        sources: Where to look.
        timeout: Seconds that a command may take.

    Raises:
        ConfigError: No source is there, or the first one has no usable password.
    """
    found = given_password(sources, timeout=timeout)
    who = f"{sources.account}: " if sources.account else ""
    if found is None and sources.configured_command is not None:
        found = _from_command(sources.configured_command, sources.environ, timeout, who)
    elif found is None and sources.configured_file is not None:
        found = from_file(sources.configured_file, who)
    elif found is None and sources.keyring:
        found = from_keyring(sources.account or "", who)
    if found is None and sources.host:
        found = from_netrc(sources.environ, sources.host, sources.user, who)
    if found is None and sources.prompt is not None:
        with contextlib.suppress(EOFError):
            return checked(sources.prompt(), f"{who}the password typed in")
    if found is not None:
        return found
    ways = f"--password-command, --password-file or the variable {sources.variable}"
    raise ConfigError(
        f"{who}no password",
        hint=f"set password_command in the configuration, or use {ways}" if sources.account else f"use {ways}",
    )


def given_password(sources: PasswordSources, *, timeout: float = COMMAND_TIMEOUT) -> Secret | None:
    """Give the password that this call was given: by an option, a variable or systemd; None if it was given none.

    Raises:
        ConfigError: It was given one that cannot be used.
    """
    who = f"{sources.account}: " if sources.account else ""
    if sources.command is not None:
        return _from_command(sources.command, sources.environ, timeout, who)
    if sources.file is not None:
        return from_file(sources.file, who)
    if (given := sources.environ.get(sources.variable)) is not None:
        return checked(given, f"{who}the variable {sources.variable}")
    return from_systemd(sources.environ, sources.credential, who)


def _from_command(command: str | Sequence[str], environ: Mapping[str, str], timeout: float, who: str) -> Secret:
    what = f"{who}the password command"
    return checked(printed(command, environ, what, timeout=timeout), f"{what}'s output")
