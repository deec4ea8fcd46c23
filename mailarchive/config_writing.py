"""Writes a configuration: as a whole, by rename, or not at all.

The law of this room: a text is written only if it reads back as a right configuration, and only over the octets that
it was made from; a new file is closed to others from its first octet. A file of a password is never written over.
"""

from __future__ import annotations

import os
import secrets
import stat
from typing import TYPE_CHECKING

from mailarchive.config import checked, octets
from mailarchive.config_text import with_account
from mailarchive.errors import ConfigError, DiskError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mailarchive.config import Config
    from mailarchive.config_text import NewAccount
    from mailarchive.secret import Secret


class Draft:
    """A configuration that gets one more account.

    Args:
        path: The file, which need not be there; a link is followed.
        environ: The environment variables.

    Raises:
        ConfigError: It is there and wrong, or cannot be read.
    """

    def __init__(self, path: Path, environ: Mapping[str, str]) -> None:
        self.path = path
        self._environ = environ
        self._before = _octets(path)
        self.config: Config = checked(path, self._before or b"", environ=environ)
        """What it says before."""

    def text(self, account: NewAccount) -> str:
        """Give the file as it will be.

        Raises:
            ConfigError: It would not be right: the name or the folder is taken, or the file's form has no room for it.
        """
        before = (self._before or b"").decode("utf-8")
        after = with_account(before, account)
        try:
            there = checked(self.path, after.encode(), environ=self._environ).accounts
        except ConfigError as error:
            raise ConfigError(f"the account cannot be added: {error.message}", hint=error.hint) from None
        if set(there) != {*self.config.accounts, account.name}:
            raise ConfigError(f"the account cannot be added at the end of {self.path}")
        return after

    def write(self, account: NewAccount) -> None:
        """Write the file with the account.

        Raises:
            ConfigError: It would not be right, or has changed in the meantime.
            DiskError: It cannot be written.
        """
        after = self.text(account).encode()
        target = self.path.resolve()
        try:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            mode = 0o600 if self._before is None else stat.S_IMODE(target.stat().st_mode)
            draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
            try:
                _create(draft, after, mode)
                if _octets(self.path) != self._before:
                    raise ConfigError(f"{self.path} was changed in the meantime; nothing was written", hint="once more")
                os.replace(draft, target)  # noqa: PTH105 - the laws of rooms are tested by these names
            except BaseException:
                draft.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise DiskError(f"cannot write {self.path}: {error.strerror}") from None


def write_password(path: Path, password: Secret) -> None:
    """Make the file of a password, which is not there yet, closed to others.

    Raises:
        ConfigError: It is there. DiskError: It cannot be written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _create(path, password.reveal().encode() + b"\n", 0o600)
    except FileExistsError:
        raise ConfigError(f"the password file {path} is there already", hint="name another one") from None
    except OSError as error:
        raise DiskError(f"cannot write the password file {path}: {error.strerror}") from None


def _octets(path: Path) -> bytes | None:
    """Read what is there, whatever it is; None for nothing. What may not be trusted is refused."""
    return octets(path) if path.exists() or path.is_symlink() else None


def _create(path: Path, data: bytes, mode: int) -> None:
    """Make a file of these octets, synced; nothing is left behind where that fails."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            os.fchmod(fd, mode)
            file.write(data)
            file.flush()
            os.fsync(fd)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
