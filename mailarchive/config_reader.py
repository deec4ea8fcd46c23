"""From the tree of a TOML file to checked accounts.

The law of this room: everything wrong is collected with its line and said at once. An unknown key is an error, and a
password has no key. Nothing here opens a file or a connection.
"""

from __future__ import annotations

import os
import re
import shlex
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mailarchive.address import Security, is_bare_tunnel, parse_url, tunnel_address
from mailarchive.config_lines import key_lines
from mailarchive.config_values import (
    PROVIDERS,
    Account,
    Config,
    DeletionKeys,
    LimitKeys,
    MonitorKeys,
    OAuthKeys,
    did_you_mean,
    quoted,
    refused_ping,
    toml_key,
)
from mailarchive.errors import ConfigError, UsageError
from mailarchive.model import Method

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mailarchive.address import ServerAddress

_ACCOUNT_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9_-])?")
_TOP_KEYS = ("archive", "defaults", "account")
_DELETION_KEYS = ("delete", "delete_method", "keep_flagged", "keep_unread", "min_copies_age", "max_delete")
_LIMIT_KEYS = ("max_wait", "max_bytes")
_MONITOR_KEYS = ("ping_url", "on_failure", "textfile")
_SELECTION_KEYS = (
    *("older_than", "mailboxes", "format", "layout", "index"),
    *_DELETION_KEYS,
    *_LIMIT_KEYS,
    *_MONITOR_KEYS,
)
_PROOF_KEYS = ("password_command", "password_file", "keyring", "oauth")
_ACCOUNT_KEYS = ("server", "user", "tunnel", "archive", *_PROOF_KEYS, *_SELECTION_KEYS, "ca_file")
_CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "format": ("maildir", "mbox"),
    "layout": ("nested", "maildir++"),
    "delete_method": tuple(method.value for method in Method if method is not Method.GMAIL),
}
_SECRET_KEYS = frozenset({"password", "passwd", "pass", "pw", "secret", "token"})
_OWN_CLIENT = (
    "register a program of your own at the provider and write its id as client_id, or let a helper do it all: "
    "token_command"
)
_TYPE_NAMES: Final = {bool: "true or false", int: "a number", float: "a number", str: "a text", list: "a list"}


def read_tree(
    path: Path, text: str, tree: dict[str, Any], *, environ: Mapping[str, str], open_to_others: bool = False
) -> Config:
    """Turn the tree of a TOML text into a configuration in which everything is right.

    Args:
        path: The file, for messages and for relative paths.
        text: What it holds, for the lines of what is wrong.
        tree: What the TOML reader made of the text.
        environ: The environment variables.
        open_to_others: Whether other users can read the file.

    Raises:
        ConfigError: Something is wrong; the message has one line for each problem.
    """
    reader = _Reader(path, text, environ)
    reader.open_to_others = open_to_others
    return reader.config(tree)


class _Problem(NamedTuple):
    line: int
    text: str
    hint: str


class _Reader:
    """Turns the tree of a TOML file into a Config, and collects what is wrong on the way."""

    def __init__(self, path: Path, text: str, environ: Mapping[str, str]) -> None:
        self.path = path
        self.environ = environ
        self.open_to_others = False
        self.lines = key_lines(text)
        self.problems: list[_Problem] = []
        self.owners: dict[Path, str] = {}
        self.ancestors: dict[Path, str] = {}
        self.alike: dict[str, str] = {}

    def config(self, tree: dict[str, Any]) -> Config:
        self.unknown((), tree, _TOP_KEYS)
        folder = self.place((), tree, "archive") or self.expand((), "archive", "~/Mail/archive") or self.path.parent
        defaults = self.table(("defaults",), tree.get("defaults", {}))
        self.unknown(("defaults",), defaults, _SELECTION_KEYS)
        chosen = self.selection(("defaults",), defaults)
        accounts: dict[str, Account] = {}
        for name, given in self.table(("account",), tree.get("account", {})).items():
            table = self.table(("account", name), given)
            account = self.account(name, table, chosen, folder) if table is given else None
            if account is not None:
                self.apart(account)
                accounts[name] = account
        if self.problems:
            raise self.error()
        return Config(self.path, folder, accounts)

    def account(self, name: str, given: dict[str, Any], defaults: dict[str, Any], folder: Path) -> Account | None:
        at = ("account", name)
        if not _ACCOUNT_NAME.fullmatch(name):
            self.problem(
                at,
                "this cannot be the name of an account, which also names a folder and a variable",
                "use letters a to z, digits, `-`, `_` and `.`, the first a letter or digit, at most 64",
            )
        self.unknown(at, given, _ACCOUNT_KEYS)
        address = self.address(at, given)
        tunnel = self.tunnel(at, given, address)
        command = self.command((*at, "password_command"), given.get("password_command"))
        password_file = self.place(at, given, "password_file")
        keyring = self.flag((*at, "keyring"), given.get("keyring")) or False
        oauth = self.oauth((*at, "oauth"), given["oauth"]) if "oauth" in given else None
        self.only_one(at, given, keyring=keyring)
        archive = self.place(at, given, "archive") or folder / name
        ca_file = self.place(at, given, "ca_file")
        selection = {**defaults, **self.selection(at, given)}
        self.fitting(at, selection)
        if address is None:
            return None
        monitoring = MonitorKeys(**{key: selection.pop(key) for key in _MONITOR_KEYS if key in selection})
        limits = LimitKeys(**{key: selection.pop(key) for key in _LIMIT_KEYS if key in selection})
        deletion = DeletionKeys(**{key: selection.pop(key) for key in _DELETION_KEYS if key in selection})
        return Account(
            name,
            address,
            archive,
            command,
            password_file,
            keyring=keyring,
            oauth=oauth,
            ca_file=ca_file,
            deletion=deletion,
            limits=limits,
            monitoring=monitoring,
            tunnel=tunnel,
            **selection,
        )

    def address(self, at: tuple[str, ...], given: dict[str, Any]) -> ServerAddress | None:
        user = self.text((*at, "user"), given.get("user"))
        if "server" not in given:
            self.problem(at, "server is missing", 'add server = "imaps://imap.example.org"')
            return None
        server = self.text((*at, "server"), given["server"])
        if server is None or (user is None and "user" in given):
            return None
        try:
            if is_bare_tunnel(server):
                return tunnel_address(at[-1], user=user)
            return parse_url(server, user=user)
        except UsageError as error:
            self.problem((*at, "server"), error.message, _keys_for_options(error.hint))
            return None

    def tunnel(
        self, at: tuple[str, ...], given: dict[str, Any], address: ServerAddress | None
    ) -> str | tuple[str, ...] | None:
        """Read the command of a tunnel, which takes the place of a host and of everything that proves who we are."""
        command = self.command((*at, "tunnel"), given.get("tunnel"))
        if address is None:
            return command
        if address.security is not Security.TUNNEL:
            if "tunnel" in given:
                self.problem((*at, "tunnel"), "the server is no tunnel", 'write server = "imap+tunnel:"')
            return None
        if "tunnel" not in given:
            self.problem(at, "tunnel is missing", 'add tunnel = "ssh HOST doveadm exec imap"')
        for key in (*_PROOF_KEYS, "ca_file"):
            if key in given:
                self.problem((*at, key), "a tunnel is signed in already", "leave it out")
        return command

    def command(self, at: tuple[str, ...], value: Any) -> str | tuple[str, ...] | None:
        if isinstance(value, list) and value:
            return self.texts(at, value)
        return self.text(at, value)

    def only_one(self, at: tuple[str, ...], given: dict[str, Any], *, keyring: bool) -> None:
        """Refuse two ways to prove who one is; only the tokens of OAuth2 may be in the keyring."""
        first, *others = [key for key in _PROOF_KEYS if key in given and (key != "keyring" or keyring)] or [""]
        for other in others:
            if (first, other) != ("keyring", "oauth"):
                self.problem((*at, other), f"there is a {first} too", "give only one of them")

    def oauth(self, at: tuple[str, ...], value: Any) -> OAuthKeys | None:
        """Read a table of OAuth2: a command that gives tokens, or a client id and whom to ask."""
        if not isinstance(value, dict):
            self.problem(at, f"expected a table, got {_type_name(value)}", 'write oauth = { provider = "microsoft", …')
            return None
        self.unknown(at, value, tuple(OAuthKeys.__dataclass_fields__))
        keys = OAuthKeys(
            token_command=self.command((*at, "token_command"), value.get("token_command")),
            provider=self.text((*at, "provider"), value.get("provider")),
            client_id=self.text((*at, "client_id"), value.get("client_id")),
            client_secret_command=self.command((*at, "client_secret_command"), value.get("client_secret_command")),
            issuer=self.text((*at, "issuer"), value.get("issuer")),
            scopes=self.texts((*at, "scopes"), value.get("scopes")) or (),
        )
        if keys.token_command is not None:
            if set(value) != {"token_command"}:
                self.problem(at, "with token_command the other keys mean nothing", "leave them out")
            return keys
        if "client_id" not in value:
            self.problem(at, "client_id is missing", _OWN_CLIENT)
        if keys.issuer is not None and not re.fullmatch(r"https://[!-~]+", keys.issuer):
            self.problem((*at, "issuer"), "the issuer is no address that begins with https://", "")
        elif keys.issuer is None and keys.provider not in PROVIDERS:
            hint = did_you_mean(keys.provider or "", PROVIDERS) or f"use {' or '.join(map(repr, PROVIDERS))}"
            self.problem(at, "the provider is not known", f"{hint}, or add its issuer, an https:// address")
        return keys

    def selection(self, at: tuple[str, ...], given: dict[str, Any]) -> dict[str, Any]:
        """Give what is set of the keys that [defaults] may hold too."""
        found: dict[str, Any] = {
            "older_than": self.age((*at, "older_than"), given.get("older_than")),
            "mailboxes": self.patterns((*at, "mailboxes"), given.get("mailboxes")),
            "format": self.choice((*at, "format"), given.get("format")),
            "layout": self.choice((*at, "layout"), given.get("layout")),
            "index": self.flag((*at, "index"), given.get("index")),
            "delete": self.flag((*at, "delete"), given.get("delete")),
            "delete_method": self.choice((*at, "delete_method"), given.get("delete_method")),
            "keep_flagged": self.flag((*at, "keep_flagged"), given.get("keep_flagged")),
            "keep_unread": self.flag((*at, "keep_unread"), given.get("keep_unread")),
            "min_copies_age": self.age((*at, "min_copies_age"), given.get("min_copies_age")),
            "max_delete": self.number((*at, "max_delete"), given.get("max_delete")),
            "max_wait": self.measure((*at, "max_wait"), given.get("max_wait")),
            "max_bytes": self.measure((*at, "max_bytes"), given.get("max_bytes")),
            "ping_url": self.ping((*at, "ping_url"), given.get("ping_url")),
            "on_failure": self.text((*at, "on_failure"), given.get("on_failure")),
            "textfile": self.place(at, given, "textfile"),
        }
        return {key: value for key, value in found.items() if value is not None}

    def fitting(self, at: tuple[str, ...], selection: dict[str, Any]) -> None:
        if selection.get("format") == "mbox" and selection.get("layout") == "maildir++":
            self.problem((*at, "layout"), "'maildir++' is for Maildirs, and the format is 'mbox'", "leave it out")

    def age(self, at: tuple[str, ...], value: Any) -> str | None:
        text = self.text(at, value)
        if text is None:
            return None
        from mailarchive.dates import DateSyntaxError, parse_age

        try:
            parse_age(text)
        except DateSyntaxError as error:
            self.problem(at, error.message, error.hint)
        return text

    def measure(self, at: tuple[str, ...], value: Any) -> str | None:
        """Read a duration or a size, whichever the key is for."""
        text = self.text(at, value)
        if text is None:
            return None
        from mailarchive.dates import DateSyntaxError, parse_duration, parse_size

        try:
            (parse_duration if at[-1] == "max_wait" else parse_size)(text)
        except DateSyntaxError as error:
            self.problem(at, error.message, error.hint)
        return text

    def ping(self, at: tuple[str, ...], value: Any) -> str | None:
        """Read an address to ping, which no message repeats."""
        text = self.text(at, value)
        if text is not None and (reason := refused_ping(text)):
            self.problem(at, reason, 'write ping_url = "https://hc-ping.com/…"')
        return text

    def choice(self, at: tuple[str, ...], value: Any) -> str | None:
        text = self.text(at, value)
        known = _CHOICES[at[-1]]
        if text is not None and text not in known:
            self.problem(at, f"unknown {at[-1]} {quoted(text)}", f"use {' or '.join(map(repr, known))}")
        return text

    def flag(self, at: tuple[str, ...], value: Any) -> bool | None:
        if value is None or isinstance(value, bool):
            return value
        self.problem(at, f"expected true or false, got {_type_name(value)}", f"write {at[-1]} = true")
        return None

    def number(self, at: tuple[str, ...], value: Any) -> int | None:
        """Read a whole number of messages; zero would be a way to say no that nobody would look for."""
        if value is None:
            return None
        if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
            return value
        got = str(value)[:20] if type(value) in (int, float) else _type_name(value)
        self.problem(at, f"expected a whole number from 1, got {got}", f"write {at[-1]} = 500")
        return None

    def text(self, at: tuple[str, ...], value: Any) -> str | None:
        if value is None:
            return None
        if not isinstance(value, str):
            self.problem(at, f"expected a text, got {_type_name(value)}", f'write {at[-1]} = "…"')
        elif not value.strip():
            self.problem(at, "the text is empty", f"leave {at[-1]} out, or give it a value")
        elif any(unicodedata.category(letter) == "Cc" for letter in value):
            self.problem(at, "the text holds a line break or control character", "")
        else:
            return value
        return None

    def texts(self, at: tuple[str, ...], value: Any) -> tuple[str, ...] | None:
        if value is None:
            return None
        if not isinstance(value, list):
            self.problem(at, f"expected a list of texts, got {_type_name(value)}", f'write {at[-1]} = ["…"]')
            return None
        return tuple(text for item in value if (text := self.text(at, item)) is not None)

    def patterns(self, at: tuple[str, ...], value: Any) -> tuple[str, ...] | None:
        """Read patterns on names of mailboxes."""
        found = self.texts(at, value)
        for text in found or ():
            if not text.removeprefix("!"):
                self.problem(at, f"{quoted(text)} is the name of no mailbox", "write '*' for all mailboxes")
        return found

    def table(self, at: tuple[str, ...], value: Any) -> dict[str, Any]:
        if isinstance(value, dict):
            return value
        example = ".".join((*at, "NAME") if at == ("account",) else at)
        self.problem(at, f"expected a table, got {_type_name(value)}", f"write [{example}] and its keys below")
        return {}

    def place(self, at: tuple[str, ...], given: dict[str, Any], key: str) -> Path | None:
        text = self.text((*at, key), given.get(key))
        return None if text is None else self.expand(at, key, text)

    def expand(self, at: tuple[str, ...], key: str, text: str) -> Path | None:
        """Make a path absolute: `~` is a home, and what is relative lies beside the configuration."""
        home = self.environ.get("HOME")
        if home and (text == "~" or text.startswith("~/")):
            return Path(os.path.normpath(home + text[1:]))
        try:
            return Path(os.path.normpath(self.path.absolute().parent / Path(text).expanduser()))
        except RuntimeError:
            self.problem((*at, key), f"the home folder of {quoted(text)} is not known", "write the whole path")
            return None

    def apart(self, account: Account) -> None:
        """Refuse an account that would share an archive or a password with an earlier one."""
        at, name, archive = ("account", account.name), account.name, account.archive
        near = [self.owners[path] for path in (archive, *archive.parents) if path in self.owners]
        if archive in self.ancestors:
            near.append(self.ancestors[archive])
        if near:
            where = f"the same folder as, or inside or around, the archive of account.{near[0]}"
            self.problem((*at, "archive"), where, "each account needs a folder of its own")
        # One variable MAILARCHIVE_…_PASSWORD would serve both, and one password would reach both servers.
        twin = self.alike.setdefault(re.sub("[^a-z0-9]", "_", name.lower()), name)
        if twin != name:
            self.problem(at, f"differs from account.{twin} only in case or marks", "choose another name")
        self.owners.setdefault(archive, name)
        for path in archive.parents:
            self.ancestors.setdefault(path, name)

    def unknown(self, at: tuple[str, ...], given: dict[str, Any], known: Sequence[str]) -> None:
        for key, value in given.items():
            if key in known:
                continue
            if key.casefold() in _SECRET_KEYS:
                self.exposed((*at, key), "a password never stands in the configuration", "use password_command")
                continue
            if at[-1:] == ("oauth",) and re.search("secret|token", key.casefold()):
                self.exposed((*at, key), "a secret never stands in the configuration", "use client_secret_command")
                continue
            hint = did_you_mean(key, known)
            if not hint and not at and isinstance(value, dict):
                hint = f"is it an account? write [account.{toml_key(key)}]"
            self.problem((*at, key), "unknown key", hint or f"the keys are {', '.join(known)}")

    def exposed(self, at: tuple[str, ...], text: str, hint: str) -> None:
        """Refuse a secret, and say that it is none any more where other users can read the file."""
        if self.open_to_others:
            text += ", and other users can read this one"
            hint = f"chmod 600 {shlex.quote(str(self.path))}, have it changed, and {hint}"
        self.problem(at, text, hint)

    def problem(self, at: tuple[str, ...], text: str, hint: str) -> None:
        line = next((self.lines[at[:n]] for n in range(len(at), 0, -1) if at[:n] in self.lines), 1)
        self.problems.append(_Problem(line, f"{'.'.join(map(toml_key, at))}: {text}", hint))

    def error(self) -> ConfigError:
        found = sorted(dict.fromkeys(self.problems), key=lambda problem: problem.line)
        hints = [problem for problem in found if problem.hint]
        return ConfigError(
            "\n".join(f"{self.path.name}:{line}: {text}" for line, text, _ in found),
            hint=hints[0].hint if len(found) == 1 and hints else "; ".join(f"line {n}: {hint}" for n, _, hint in hints),
        )


def _type_name(value: Any) -> str:
    return "a table" if isinstance(value, dict) else _TYPE_NAMES.get(type(value), "a date or time")


def _keys_for_options(hint: str) -> str:
    """Turn `--password-file` into `password_file`: keys are the long option names with `_`."""
    return re.sub(r"--([a-z][a-z-]*)", lambda match: match[1].replace("-", "_"), hint)
