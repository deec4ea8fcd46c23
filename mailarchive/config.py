"""The configuration: one TOML file in, checked accounts out.

The law of this room: everything wrong in the file is said at once, each with its line. An unknown key is an error, a
password has no key, and a file that somebody else could have written is not read, because it names commands that we
run. Nothing here opens a connection or looks into an archive.
"""

from __future__ import annotations

import difflib
import os
import re
import shlex
import stat
import sys
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mailarchive.address import parse_url
from mailarchive.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mailarchive.address import ServerAddress

_MAX_OCTETS = 1 << 20
_ACCOUNT_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9_-])?")
_TOP_KEYS = ("archive", "defaults", "account")
_SELECTION_KEYS = ("older_than", "mailboxes", "format", "layout")
_ACCOUNT_KEYS = ("server", "user", "archive", "password_command", "password_file", *_SELECTION_KEYS, "ca_file")
_CHOICES: Final = {"format": ("maildir",), "layout": ("nested",)}
_SECRET_KEYS = frozenset({"password", "passwd", "pass", "pw", "secret", "token"})
_ONE_OFF = "a one-off needs no configuration: mailarchive backup imaps://USER@HOST --to DIR --older-than 1y"
_TYPE_NAMES: Final = {bool: "true or false", int: "a number", float: "a number", str: "a text", list: "a list"}


@dataclass(frozen=True, slots=True)
class Account:
    """One login on one server and the folder for its mail.

    Attributes:
        name: What the command line calls it.
        address: Server and user.
        archive: Absolute path of the archive folder of this account.
        password_command: A text for `/bin/sh -c`, or a command with its arguments, run without a shell.
        password_file: A file that holds the password and nothing else.
        older_than: An age that `dates.parse_age` reads, as it was written.
        mailboxes: Patterns as `policy.Policy` takes them; empty for the default choice.
        ca_file: Certificates of the authorities to trust instead of the system's.
        format: Format of a new archive. `layout`: how its folders lie.
    """

    name: str
    address: ServerAddress
    archive: Path
    password_command: str | tuple[str, ...] | None = None
    password_file: Path | None = None
    older_than: str | None = None
    mailboxes: tuple[str, ...] = ()
    ca_file: Path | None = None
    format: str = "maildir"
    layout: str = "nested"


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
            raise ConfigError(f"{self.path}: no account is configured", hint=f"add [account.NAME]; {_ONE_OFF}")
        for name in chosen:
            if name not in self.accounts:
                self._refuse(name)
        return [self.accounts[name] for name in chosen or self.accounts]

    def _refuse(self, name: str) -> None:
        if "@" in name or ":" in name:
            parse_url(name)  # says what is missing, and does not repeat a password
        raise ConfigError(
            f"no account {_safe(name)} in {self.path}",
            hint=_did_you_mean(name, list(self.accounts)) or f"the accounts are {', '.join(self.accounts)}",
        )


def default_path(environ: Mapping[str, str]) -> Path:
    """Say where the configuration is: `MAILARCHIVE_CONFIG`, else the place that the platform has for it."""
    if named := environ.get("MAILARCHIVE_CONFIG"):
        return Path(named)
    base = environ.get("XDG_CONFIG_HOME", "")
    if os.path.isabs(base):  # noqa: PTH117 - a relative one is to be ignored, and "" is no path at all
        return Path(base, "mailarchive", "config.toml")
    if sys.platform.startswith("linux") and environ.get("HOME"):
        return Path(environ["HOME"], ".config", "mailarchive", "config.toml")
    import platformdirs

    return platformdirs.user_config_path("mailarchive", appauthor=False) / "config.toml"


def load(path: Path | None, *, environ: Mapping[str, str]) -> Config:
    """Read and check the configuration.

    Args:
        path: The file; None for the default place.
        environ: The environment variables.

    Raises:
        ConfigError: The file is missing, not to be trusted, or wrong; the message has one line for each problem.
    """
    found = path or default_path(environ)
    text = _read(found)
    return _Reader(found, text, environ).config(_parse(found, text))


def _read(path: Path) -> str:
    """Read a file that nobody else can have written; it names commands that we shall run."""
    try:
        # Without O_NONBLOCK the opening of a pipe would wait for its writer.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            _check_trust(path, os.fstat(file.fileno()))
            data = file.read(_MAX_OCTETS + 1)
    except FileNotFoundError:
        raise ConfigError(f"no configuration: {path} does not exist", hint=_ONE_OFF) from None
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    if len(data) > _MAX_OCTETS:
        raise ConfigError(f"{path}: a configuration of more than {_MAX_OCTETS >> 20} MiB is not read")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path.name}:{line}: not UTF-8", hint="save the file as UTF-8") from None


def _check_trust(path: Path, state: os.stat_result) -> None:
    if not stat.S_ISREG(state.st_mode):
        raise ConfigError(f"{path} is not a regular file")
    if state.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigError(
            f"{path}: other users may write to it (mode {stat.S_IMODE(state.st_mode):04o}), and it names commands",
            hint=f"chmod go-w {shlex.quote(str(path))}",
        )
    if state.st_uid not in (0, os.geteuid()):
        raise ConfigError(f"{path}: belongs to another user, and it names commands", hint="make a copy of your own")


def _parse(path: Path, text: str) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ConfigError(f"{path.name}: nested too deeply") from None
    except ValueError as error:  # TOMLDecodeError, and that of a number with thousands of digits
        reason, _, where = str(error).partition(" (at ")
        place = re.match(r"line (\d+)", where)
        line = int(place[1]) if place else text.rstrip().count("\n") + 1
        twice = re.fullmatch(r"Cannot declare \((.*?),?\) twice", reason)
        what = f"[{twice[1].replace(', ', '.')}] is there twice".replace("'", "") if twice else f"not TOML: {reason}"
        raise ConfigError(
            f"{path.name}:{line}: {what}", hint="see https://toml.io for how a value is written"
        ) from None


class _Problem(NamedTuple):
    line: int
    text: str
    hint: str


class _Reader:
    """Turns the tree of a TOML file into a Config, and collects what is wrong on the way."""

    def __init__(self, path: Path, text: str, environ: Mapping[str, str]) -> None:
        self.path = path
        self.environ = environ
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
        command = self.command(at, given)
        password_file = self.place(at, given, "password_file")
        if command and password_file:
            self.problem((*at, "password_file"), "there is a password_command too", "give only one of them")
        archive = self.place(at, given, "archive") or folder / name
        ca_file = self.place(at, given, "ca_file")
        selection = {**defaults, **self.selection(at, given)}
        if address is None:
            return None
        return Account(name, address, archive, command, password_file, ca_file=ca_file, **selection)

    def address(self, at: tuple[str, ...], given: dict[str, Any]) -> ServerAddress | None:
        user = self.text((*at, "user"), given.get("user"))
        if "server" not in given:
            self.problem(at, "server is missing", 'add server = "imaps://imap.example.org"')
            return None
        server = self.text((*at, "server"), given["server"])
        if server is None or (user is None and "user" in given):
            return None
        try:
            return parse_url(server, user=user)
        except UsageError as error:
            self.problem((*at, "server"), error.message, _keys_for_options(error.hint))
            return None

    def command(self, at: tuple[str, ...], given: dict[str, Any]) -> str | tuple[str, ...] | None:
        value = given.get("password_command")
        if isinstance(value, list) and value:
            return self.texts((*at, "password_command"), value)
        return self.text((*at, "password_command"), value)

    def selection(self, at: tuple[str, ...], given: dict[str, Any]) -> dict[str, Any]:
        """Give what is set of the keys that [defaults] may hold too."""
        found = {
            "older_than": self.age((*at, "older_than"), given.get("older_than")),
            "mailboxes": self.texts((*at, "mailboxes"), given.get("mailboxes")),
            "format": self.choice((*at, "format"), given.get("format")),
            "layout": self.choice((*at, "layout"), given.get("layout")),
        }
        return {key: value for key, value in found.items() if value is not None}

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

    def choice(self, at: tuple[str, ...], value: Any) -> str | None:
        text = self.text(at, value)
        known = _CHOICES[at[-1]]
        if text is not None and text not in known:
            self.problem(at, f"unknown {at[-1]} {_safe(text)}", f"use {' or '.join(map(repr, known))}")
        return text

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
            self.problem((*at, key), f"the home folder of {_safe(text)} is not known", "write the whole path")
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
                self.problem((*at, key), "a password never stands in the configuration", "use password_command")
                continue
            hint = _did_you_mean(key, known)
            if not hint and not at and isinstance(value, dict):
                hint = f"is it an account? write [account.{_key(key)}]"
            self.problem((*at, key), "unknown key", hint or f"the keys are {', '.join(known)}")

    def problem(self, at: tuple[str, ...], text: str, hint: str) -> None:
        line = next((self.lines[at[:n]] for n in range(len(at), 0, -1) if at[:n] in self.lines), 1)
        self.problems.append(_Problem(line, f"{'.'.join(map(_key, at))}: {text}", hint))

    def error(self) -> ConfigError:
        found = sorted(dict.fromkeys(self.problems), key=lambda problem: problem.line)
        hints = [problem for problem in found if problem.hint]
        return ConfigError(
            "\n".join(f"{self.path.name}:{line}: {text}" for line, text, _ in found),
            hint=hints[0].hint if len(found) == 1 and hints else "; ".join(f"line {n}: {hint}" for n, _, hint in hints),
        )


_STRING = (
    r'"""(?:[^"\\]|\\.|"{1,2}(?!"))*"{3,5}'
    r"|'{3}(?:[^']|'{1,2}(?!'))*'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'"
)
_TOKEN = re.compile(rf"(?P<word>[\w-]+|{_STRING})|(?P<comment>#[^\n]*)|(?P<mark>[\[\]{{}}=\n])|[^\n]", re.DOTALL)


def key_lines(text: str) -> dict[tuple[str, ...], int]:
    """Find the line, counted from 1, on which each table and key of a valid TOML text stands first.

    Keys inside an inline table are not listed; the line of the table's own key is theirs.
    """
    lines: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    line, depth, in_value = 1, 0, False
    for token in _TOKEN.finditer(text):
        mark = token["mark"]
        if token["word"] and not in_value:
            words += (_unquoted(token["word"]),)
        elif mark == "\n" and depth <= 0:
            in_value, words, depth = False, (), 0
        elif mark in ("[", "{"):
            depth += 1
        elif mark in ("]", "}"):
            depth -= 1
            if not in_value and depth == 0:
                table = words
                lines.setdefault(table, line)
        elif mark == "=" and not in_value:
            in_value = True
            # A dotted key makes the tables on its way, too.
            for n in range(len(table) + 1, len(table + words) + 1):
                lines.setdefault((table + words)[:n], line)
        line += token[0].count("\n")
    return lines


def _unquoted(word: str) -> str:
    import tomllib

    return str(tomllib.loads(f"key = {word}")["key"]) if word[0] in "\"'" else word


def _key(key: str) -> str:
    """Show a key as it stands in a TOML file, made of ASCII only where it is a quoted one."""
    return key if re.fullmatch("[A-Za-z0-9_-]+", key) else _safe(key)


def _safe(text: str) -> str:
    return ascii(text if len(text) <= 80 else text[:79] + "…")


def _type_name(value: Any) -> str:
    return "a table" if isinstance(value, dict) else _TYPE_NAMES.get(type(value), "a date or time")


def _keys_for_options(hint: str) -> str:
    """Turn `--password-file` into `password_file`: keys are the long option names with `_`."""
    return re.sub(r"--([a-z][a-z-]*)", lambda match: match[1].replace("-", "_"), hint)


def _did_you_mean(word: str, known: Sequence[str]) -> str:
    """Give the nearest known word as a question; empty if none is near."""

    def nearness(candidate: str) -> float:
        parts = (candidate, candidate.partition("_")[0])
        return max(difflib.SequenceMatcher(None, word.casefold(), part.casefold()).ratio() for part in parts)

    best = max(known, key=nearness, default="")
    return f"did you mean {best!r}?" if best and nearness(best) >= 0.7 else ""
