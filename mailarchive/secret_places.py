"""Places that hold a password: a file, the credentials of a systemd unit, netrc, the keyring of the desktop.

The law of this room: a place is only read, one that other users can read is refused, and what stands in it is never
shown.
"""

from __future__ import annotations

import os
import re
import shlex
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from mailarchive import keychain
from mailarchive.errors import ConfigError
from mailarchive.secret import MAX_OCTETS, checked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mailarchive.secret import Secret

_NETRC_OCTETS = 1 << 20
_NETRC_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)', re.DOTALL)


def from_file(path: Path, who: str) -> Secret:
    """Read a file that holds a password and nothing else, and that nobody else can read.

    Raises:
        ConfigError: It cannot be read, is open to others, or holds no password.
    """
    what = f"the password file {path}"
    return checked(_read(path, what, who, MAX_OCTETS, private=True), f"{who}{what}")


def from_systemd(environ: Mapping[str, str], name: str, who: str) -> Secret | None:
    """Read a credential that systemd has put into `$CREDENTIALS_DIRECTORY` for this unit; None if there is none."""
    path = systemd_credential(environ, name)
    if path is None:
        return None
    # systemd grants the reading by an access list, which shows as the mode of a group: the folder is what is closed.
    return checked(_read(path, f"the credential {name}", who, MAX_OCTETS, private=False), f"{who}the credential {name}")


def systemd_credential(environ: Mapping[str, str], name: str) -> Path | None:
    """Say where a credential of this unit is; None if there is none."""
    folder = environ.get("CREDENTIALS_DIRECTORY", "")
    path = Path(folder, name)
    return path if folder.startswith("/") and path.exists() else None


def from_netrc(environ: Mapping[str, str], host: str, user: str, who: str) -> Secret | None:
    """Look into `$NETRC`, else `~/.netrc`, for a machine with this host and login; None if it names none.

    `default` is not looked at: a password for any host would reach a host that is only a slip of the pen.

    Raises:
        ConfigError: The file has the password and is open to others, or cannot be read.
    """
    named = environ.get("NETRC") or (f"{environ['HOME']}/.netrc" if environ.get("HOME") else "")
    path = Path(named)
    if not named or not path.is_file():
        return None
    what = f"the file {path}"
    text = _read(path, what, who, _NETRC_OCTETS, private=False).decode("utf-8", "surrogateescape")
    for machine, login, password in _machines(text):
        if (machine.casefold(), login) == (host.casefold(), user):
            _read(path, what, who, 1, private=True)
            return checked(password, f"{who}the password in {path}")
    return None


def from_keyring(account: str, who: str) -> Secret:
    """Ask the keyring of the desktop.

    Raises:
        ConfigError: There is no keyring here, or it has no password for the account.
    """
    text = keychain.read(account, who, "use password_command or password_file instead of keyring = true")
    if text is None:
        hint = f"put it there: keyring set {keychain.SERVICE} {shlex.quote(account)}"
        raise ConfigError(f"{who}the keyring holds no password for it", hint=hint)
    return checked(text, f"{who}the password in the keyring")


def _read(path: Path, what: str, who: str, most: int, *, private: bool) -> bytes:
    """Read a regular file, one octet more than `most` of it at most; with `private` only if it is closed to others."""
    try:
        # Without O_NONBLOCK the opening of a pipe would wait for its writer.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise ConfigError(f"{who}{what} is not a regular file")
            if private and mode & 0o066:
                raise ConfigError(
                    f"{who}{what} is open to other users (mode {stat.S_IMODE(mode):04o})",
                    hint=f"chmod 600 {shlex.quote(str(path))}, and change the password if others use this computer",
                )
            return file.read(most + 1)
    except OSError as error:
        raise ConfigError(f"{who}cannot read {what}: {error.strerror}") from None


def _machines(text: str) -> Iterator[tuple[str, str, str]]:
    """Give machine, login and password of each entry of a netrc; the reader of Python knows one entry a host only."""
    words = _netrc_words(text)
    entry: dict[str, str] = {}
    for word in words:
        if word in ("machine", "default"):
            if len(entry) == 3:
                yield entry["machine"], entry["login"], entry["password"]
            entry = {"machine": next(words, "")} if word == "machine" else {}
        elif word in ("login", "password") and entry:
            entry[word] = next(words, "")
        elif word in ("account", "login", "password"):
            next(words, None)
    if len(entry) == 3:
        yield entry["machine"], entry["login"], entry["password"]


def _netrc_words(text: str) -> Iterator[str]:
    """Give the words of a netrc without comments and macros; a word in quotes may hold blanks."""
    in_macro = False
    for line in text.split("\n"):
        in_macro = in_macro and bool(line.strip())
        if in_macro or line.lstrip().startswith("#"):
            continue
        for found in _NETRC_WORD.finditer(line):
            quoted, bare = found.groups()
            if bare == "macdef":
                in_macro = True
                break
            yield bare if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
