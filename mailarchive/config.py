"""The configuration: one TOML file in, checked accounts out.

The law of this room: everything wrong in the file is said at once, each with its line. An unknown key is an error, a
password has no key, and a file that somebody else could have written is not read, because it names commands that we
run. Nothing here opens a connection or looks into an archive.
"""

from __future__ import annotations

import os
import re
import shlex
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mailarchive.config_lines import key_lines
from mailarchive.config_reader import read_tree
from mailarchive.config_values import ONE_OFF, Account, Config, DeletionKeys
from mailarchive.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Account", "Config", "DeletionKeys", "Written", "default_path", "load", "written"]

_MAX_OCTETS = 1 << 20


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


class Written(NamedTuple):
    """A configuration beside what was written down for it.

    Attributes:
        config: What it means.
        tree: What the TOML reader made of the file.
        lines: On which line each table and key stands.
    """

    config: Config
    tree: dict[str, Any]
    lines: dict[tuple[str, ...], int]


def load(path: Path | None, *, environ: Mapping[str, str]) -> Config:
    """Read and check the configuration; see `written`."""
    return written(path, environ=environ).config


def written(path: Path | None, *, environ: Mapping[str, str]) -> Written:
    """Read and check the configuration, and keep what was written.

    Args:
        path: The file; None for the default place.
        environ: The environment variables.

    Raises:
        ConfigError: The file is missing, not to be trusted, or wrong; the message has one line for each problem.
    """
    found = path or default_path(environ)
    text = _decoded(found, octets(found))
    tree = _parse(found, text)
    config = read_tree(found, text, tree, environ=environ, open_to_others=_is_open(found))
    return Written(config, tree, key_lines(text))


def checked(path: Path, data: bytes, *, environ: Mapping[str, str]) -> Config:
    """Check what is, or is to be, in the configuration; see `load`. The file itself is not looked at."""
    text = _decoded(path, data)
    return read_tree(path, text, _parse(path, text), environ=environ)


def _is_open(path: Path) -> bool:
    """Tell whether other users can read a file."""
    try:
        return bool(path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))
    except OSError:
        return True


def octets(path: Path) -> bytes:
    """Read a file that nobody else can have written, because it names commands that we shall run; see `load`."""
    try:
        # Without O_NONBLOCK the opening of a pipe would wait for its writer.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            _check_trust(path, os.fstat(file.fileno()))
            data = file.read(_MAX_OCTETS + 1)
    except FileNotFoundError:
        raise ConfigError(
            f"no configuration: {path} does not exist", hint=f"mailarchive init makes one; {ONE_OFF}"
        ) from None
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    if len(data) > _MAX_OCTETS:
        raise ConfigError(f"{path}: a configuration of more than {_MAX_OCTETS >> 20} MiB is not read")
    return data


def _decoded(path: Path, data: bytes) -> str:
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
