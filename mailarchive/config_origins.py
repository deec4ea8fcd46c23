"""Where each setting of an account comes from: the environment, the account, [defaults], or the program itself.

The law of this room: it repeats the order in which a backup looks, and decides nothing. A command is shown, for it
stands in the file; a password or token is not, not even its length.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from mailarchive.credentials import PasswordSources
from mailarchive.scrub import MASK
from mailarchive.secret_places import systemd_credential

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from mailarchive.config import Written
    from mailarchive.config_values import Account

_TRUE: Final = frozenset({"1", "true", "t", "yes", "y", "on"})
_BUILT_IN: Final[dict[str, Any]] = {
    "older_than": None,
    "mailboxes": None,
    "format": "maildir",
    "layout": "nested",
    "index": True,
    "delete": False,
    "delete_method": "auto",
    "keep_flagged": True,
    "keep_unread": False,
    "min_copies_age": None,
    "max_delete": None,
    "max_wait": "60s",
    "max_bytes": None,
    "ping_url": None,
    "on_failure": None,
    "textfile": None,
}
_VARIABLES: Final = {"mailboxes": "MAILBOX"}
"""Names of options in variables, where they are not those of the keys."""
_IN_THE_FILE_ONLY: Final = ("format", "layout", "ping_url", "on_failure")


@dataclass(frozen=True, slots=True)
class Setting:
    """What is in force for one key of an account.

    Attributes:
        key: As in the configuration; `password` where the password itself is given.
        value: A text, a number, a truth or a list of texts; None where there is none. Never a secret.
        origin: `environment`, `account`, `[defaults]`, `top level` or `built-in`.
        variable: The variable that it comes from. `line`: of the file; None where it is not from there.
    """

    key: str
    value: Any
    origin: str = "built-in"
    variable: str = ""
    line: int | None = None


def settings(written: Written, account: Account, environ: Mapping[str, str]) -> list[Setting]:
    """Give every setting that a backup of the account would have if it were started now without options."""
    found = _Origins(written, account, environ)
    rows = [
        Setting("server", account.address.shown, "account", line=found.line("server")),
        _user(found, account),
        _archive(found, account),
        *_proof(found, account, environ),
        *(_masked(found.selection(key)) for key in _BUILT_IN),
    ]
    if account.tunnel is None:
        rows.append(found.variable("ca_file") or found.of_account("ca_file") or Setting("ca_file", None))
    return rows


class _Origins:
    """Looks for a key in the environment and in the tables of the file."""

    def __init__(self, written: Written, account: Account, environ: Mapping[str, str]) -> None:
        self.given: dict[str, Any] = written.tree["account"][account.name]
        self.defaults: dict[str, Any] = written.tree.get("defaults", {})
        self.top = written.tree
        self.environ = environ
        self._lines = written.lines
        self._at = ("account", account.name)

    def line(self, *keys: str) -> int | None:
        """Give the line of a key of the account, or of the table that it stands in."""
        return self.line_of((*self._at, *keys))

    def line_of(self, at: tuple[str, ...]) -> int | None:
        return next((self._lines[at[:n]] for n in range(len(at), 0, -1) if at[:n] in self._lines), None)

    def of_account(self, key: str) -> Setting | None:
        return Setting(key, self.given[key], "account", line=self.line(key)) if key in self.given else None

    def variable(self, key: str, name: str = "") -> Setting | None:
        """Look for the variables of the option of a backup; that of the no of a yes comes first, as for a run."""
        option = name or _VARIABLES.get(key, key.upper())
        truth = isinstance(_BUILT_IN.get(key), bool)
        opposite = f"MAILARCHIVE_BACKUP_NO_{option}"
        if truth and self.environ.get(opposite, "").strip().lower() in _TRUE:
            return Setting(key, False, "environment", opposite)
        variable = f"MAILARCHIVE_BACKUP_{option}"
        text = self.environ.get(variable)
        if not text:
            return None
        value: Any = text
        if truth:
            value = text.strip().lower() in _TRUE
        elif key == "mailboxes":
            value = text.split(",")
        return Setting(key, value, "environment", variable)

    def selection(self, key: str) -> Setting:
        """Look for a key that [defaults] may hold too."""
        if key not in _IN_THE_FILE_ONLY and (found := self.variable(key)):
            return found
        if key == "older_than" and (found := self.variable("before")):
            return found  # it takes the place of the account's age
        if found := self.of_account(key):
            return found
        if key in self.defaults:
            return Setting(key, self.defaults[key], "[defaults]", line=self.line_of(("defaults", key)))
        return Setting(key, _BUILT_IN[key])


def _masked(setting: Setting) -> Setting:
    """Hide an address to ping: who knows it can say that all is well."""
    secret = setting.key == "ping_url" and setting.value is not None
    return replace(setting, value=MASK) if secret else setting


def _user(found: _Origins, account: Account) -> Setting:
    key = "user" if "user" in found.given else "server"
    return Setting("user", account.address.user, "account", line=found.line(key))


def _archive(found: _Origins, account: Account) -> Setting:
    value: Path = account.archive
    if "archive" in found.given:
        return Setting("archive", str(value), "account", line=found.line("archive"))
    if "archive" in found.top:
        return Setting("archive", str(value), "top level", line=found.line_of(("archive",)))
    return Setting("archive", str(value))


def _proof(found: _Origins, account: Account, environ: Mapping[str, str]) -> Iterator[Setting]:
    """Give what the sign-in would use, in the order of `credentials.PasswordSources`."""
    if account.tunnel is not None:
        yield Setting("tunnel", found.given["tunnel"], "account", line=found.line("tunnel"))
        return
    sources = PasswordSources(account=account.name, environ=environ)
    for key in ("password_command", "password_file"):
        if setting := found.variable(key):
            yield setting
            return
    if sources.variable in environ:
        yield Setting("password", MASK, "environment", sources.variable)
        return
    if systemd_credential(environ, sources.credential) is not None:
        yield Setting("password", MASK, "environment", f"CREDENTIALS_DIRECTORY/{sources.credential}")
        return
    for key in ("password_command", "password_file", "keyring"):
        if (setting := found.of_account(key)) and setting.value is not False:
            yield setting
    for key, value in found.given.get("oauth", {}).items():
        yield Setting(f"oauth.{key}", value, "account", line=found.line("oauth", key))
    if not any(key in found.given for key in ("password_command", "password_file", "oauth")) and not account.keyring:
        yield Setting("password", "from ~/.netrc, or asked for")
