"""Where the tokens of an account are kept between runs: a file in the state folder, or the keyring of the desktop.

The law of this room: a file is closed to others from its first octet and changes as a whole, by rename; who renews a
token holds the account's lock, so that of two runs one renews and the other uses what it got.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import stat
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mailarchive import keychain
from mailarchive.errors import ConfigError, DiskError, LaterError
from mailarchive.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PATIENCE: Final = 60.0
"""Seconds to wait for another run that renews the same token."""
_VERSION: Final = 1
_MOST = 256 << 10
_LAST: Final = 2**53
"""Seconds since the epoch that no token lives to see."""
_INSTEAD: Final = "leave out keyring = true, and the tokens are kept in a file"


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a provider gave for an account.

    Attributes:
        owner: What the tokens belong to: provider, client and user in one text. Others never get them.
        access: The access token.
        refresh: The refresh token; None where none was given.
        expires_at: Seconds since the epoch at which the access token ends; None where nobody said.
    """

    owner: str
    access: Secret
    refresh: Secret | None = None
    expires_at: float | None = field(default=None)

    def text(self) -> str:
        """Give them as JSON, with everything in it: only for the store."""
        refresh = self.refresh.reveal() if self.refresh else None
        known = {"owner": self.owner, "access": self.access.reveal(), "refresh": refresh, "expires_at": self.expires_at}
        return json.dumps({"version": _VERSION, **known})

    @classmethod
    def of(cls, text: str) -> Tokens | None:
        """Read what `text` gave; None for anything else, also of another version."""
        found: Any = None
        with contextlib.suppress(ValueError, RecursionError):
            found = json.loads(text)
        if not isinstance(found, dict) or found.pop("version", None) != _VERSION:
            return None
        if set(found) != {each.name for each in fields(cls)}:
            return None
        owner, access, refresh, expires_at = (found[key] for key in ("owner", "access", "refresh", "expires_at"))
        if not (isinstance(owner, str) and isinstance(access, str) and isinstance(refresh, str | None)):
            return None
        if not isinstance(expires_at, int | float | None) or not 0 <= (expires_at or 0) < _LAST:
            return None
        return cls(owner, Secret(access, is_token=True), Secret(refresh) if refresh else None, expires_at)


def state_folder(environ: Mapping[str, str]) -> Path:
    """Say where the program keeps what it must remember: `$XDG_STATE_HOME`, else the place of the platform."""
    base = environ.get("XDG_STATE_HOME", "")
    if base.startswith("/"):
        return Path(base, "mailarchive")
    if sys.platform.startswith("linux") and environ.get("HOME"):
        return Path(environ["HOME"], ".local", "state", "mailarchive")
    import platformdirs

    return platformdirs.user_state_path("mailarchive", appauthor=False)


class TokenStore:
    """The tokens of one account.

    Args:
        folder: Made with mode 0700 when something is kept.
        account: The name of the account, which is the name of a file.
        keyring: Whether the keyring keeps them instead of a file.
    """

    def __init__(self, folder: Path, account: str, *, keyring: bool = False) -> None:
        self._folder = folder
        self._account = account
        self._keyring = keyring
        self._who = f"{account}: "

    @property
    def place(self) -> str:
        """Where they are, for people."""
        return "the keyring" if self._keyring else str(self._path)

    @property
    def _path(self) -> Path:
        return self._folder / f"{self._account}.json"

    @property
    def _entry(self) -> str:
        return f"{self._account} oauth"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the account's lock.

        Raises:
            LaterError: Another run holds it for too long.
            DiskError: The folder cannot be written.
        """
        import filelock

        self._make()
        lock = filelock.FileLock(self._folder / f"{self._account}.lock", timeout=PATIENCE, mode=0o600)
        try:
            lock.acquire()
        except filelock.Timeout:
            raise LaterError(f"{self._who}another run has been renewing the sign-in for {PATIENCE:.0f} s") from None
        except OSError as error:
            raise DiskError(f"{self._who}cannot lock {self._folder}: {error.strerror}") from None
        try:
            yield
        finally:
            lock.release()

    def load(self) -> Tokens | None:
        """Give what is kept; None if nothing is, or nothing that can be read.

        Raises:
            ConfigError: The file is open to other users, or cannot be read.
        """
        if self._keyring:
            text = keychain.read(self._entry, self._who, _INSTEAD)
            return Tokens.of(text) if text else None
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(fd, encoding="utf-8", errors="replace") as file:
                mode = os.fstat(fd).st_mode
                if not stat.S_ISREG(mode) or mode & 0o077:
                    raise ConfigError(
                        f"{self._who}{self._path} is open to other users (mode {stat.S_IMODE(mode):04o})",
                        hint=f"mailarchive logout {self._account}, and withdraw the access at the provider",
                    )
                return Tokens.of(file.read(_MOST))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigError(f"{self._who}cannot read {self._path}: {error.strerror}") from None

    def save(self, tokens: Tokens) -> None:
        """Keep these instead of what was kept. Raises DiskError, or ConfigError for the keyring."""
        if self._keyring:
            keychain.write(self._entry, tokens.text(), self._who, _INSTEAD)
            return
        self._make()
        draft = self._folder / f".{self._account}.{secrets.token_hex(4)}"
        try:
            fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                with os.fdopen(fd, "w", encoding="utf-8") as file:
                    os.fchmod(fd, 0o600)
                    file.write(tokens.text())
                    file.flush()
                    os.fsync(fd)
                os.replace(draft, self._path)  # noqa: PTH105 - the laws of rooms are tested by these names
            except BaseException:
                draft.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise DiskError(f"{self._who}cannot write {self._path}: {error.strerror}") from None

    def forget(self) -> bool:
        """Remove what is kept, and what an unfinished writing left; tells whether there was anything."""
        if self._keyring:
            return keychain.remove(self._entry, self._who, _INSTEAD)
        found = self._path.exists() or self._path.is_symlink()
        try:
            self._path.unlink(missing_ok=True)
            for draft in self._folder.glob(f".{self._account}.????????"):
                draft.unlink(missing_ok=True)
        except OSError as error:
            raise DiskError(f"{self._who}cannot remove {self._path}: {error.strerror}") from None
        return found

    def _make(self) -> None:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise DiskError(f"{self._who}cannot make {self._folder}: {error.strerror}") from None
