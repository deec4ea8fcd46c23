"""Answers the shell: what could stand where the cursor is.

The law of this room: nothing is connected, asked for, run or changed, and whatever goes wrong is silence: an error in
the middle of somebody's command line helps nobody. What is offered is typed into that line, so a name from a server
that could end it, steer the terminal or be run by the shell is quoted, or left out.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    split_arg_string,
)

from mailarchive.cli.options import Names
from mailarchive.screen.plain import Sink
from mailarchive.screen.safe import safe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mailarchive.config import Config

VARIABLE: Final = "_MAILARCHIVE_COMPLETE"
"""What the script of a shell sets to ask; its value is the shell and `_complete`."""
_MOST: Final = 1000  # names; nobody looks through more, and a shell takes long over them
_TAME: Final = re.compile(r"[\w./+@%,-]")

_BASH: Final = """\
%(complete_func)s() {
    local type value
    COMPREPLY=()
    while IFS=, read -r type value; do
        case $type in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain) COMPREPLY+=("$value") ;;
        esac
    done < <(COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD %(complete_var)s=bash_complete "$1" 2>/dev/null)
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class _Bash(BashComplete):
    """Bash types what it is given as it is, so each letter that means something to it gets a backslash."""

    source_template = _BASH

    def source(self) -> str:
        """Give the script. No bash is started for it: it may be for another computer."""
        return ShellComplete.source(self)

    def get_completion_args(self) -> tuple[list[str], str]:
        """Give the words before the one that is completed, and that one; bash makes three words of `--option=value`."""
        args, incomplete = super().get_completion_args()
        if incomplete == "=" and args and args[-1].startswith("--"):
            return args, ""
        if len(args) > 1 and args[-1] == "=" and args[-2].startswith("--"):
            return args[:-1], incomplete
        return args, incomplete

    def format_completion(self, item: CompletionItem[str]) -> str:
        """Give one line."""
        value = item.value if item.type != "plain" else "".join(_escaped(letter) for letter in item.value)
        return f"{item.type},{value}"


class _Fish(FishComplete):
    """Fish quotes what it types; the script of Click would cut a name at its first comma."""

    source_template = FishComplete.source_template.replace('string split ","', 'string split -m 1 ","')

    def get_completion_args(self) -> tuple[list[str], str]:
        """Give the words before the one that is completed, and that one, which an older Click leaves quoted."""
        words = split_arg_string(os.environ["COMP_WORDS"])
        return (words[1:-1], words[-1]) if os.environ["COMP_CWORD"] else (words[1:], "")


_SHELLS: Final[dict[str, type[ShellComplete]]] = {"bash": _Bash, "zsh": ZshComplete, "fish": _Fish}
SHELLS: Final = tuple(_SHELLS)


def script(shell: str, cli: click.Command) -> str:
    """Give the script that makes a shell ask us."""
    return _SHELLS[shell](cli, {}, "mailarchive", VARIABLE).source()


def answer(cli: click.Group, instruction: str) -> int:
    """Print what could be typed, for the script of a shell; gives the exit code, and never says what went wrong."""
    shell, _, what = instruction.partition("_")
    if shell not in _SHELLS or what != "complete":
        return 1
    text = ""
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            _teach(cli)
            # What Click makes of the words it forgets where an option has no value yet; so they go along.
            words: list[str] = []
            made = _SHELLS[shell](cli, {"obj": words}, "mailarchive", VARIABLE)
            words += made.get_completion_args()[0]
            text = made.complete()
    except (Exception, SystemExit, KeyboardInterrupt):  # noqa: BLE001 - see the law
        return 1
    if text:
        Sink(sys.stdout).write(text + "\n")
    return 0


def _escaped(letter: str) -> str:
    return letter if _TAME.match(letter) else "\\" + letter


def _teach(group: click.Group) -> None:
    """Say of every command which of its words are accounts or mailboxes: by what they say of them."""
    for command in group.commands.values():
        if isinstance(command, click.Group):
            _teach(command)
        for parameter in command.params:
            words = parameter.metavar or ""
            if "ACCOUNT" in words or parameter.name == "account":
                parameter.type = _Accounts(folders="DIR" in words)
            elif parameter.name == "mailbox":
                parameter.type = _Mailboxes()


class _Accounts(click.types.StringParamType):
    """Completes the name of an account."""

    def __init__(self, *, folders: bool) -> None:
        self._folders = folders

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        """Give the accounts that begin so; else, where a folder may stand, let the shell look for one."""
        given = ctx.params.get(param.name or "") or ()
        config = _config(ctx)
        names = [name for name in (config.accounts if config else ()) if name not in given]
        found = [CompletionItem(name) for name in names if name.startswith(incomplete)]
        return found or ([CompletionItem(incomplete, type="dir")] if self._folders else [])


class _Mailboxes(Names):
    """Completes the name of a mailbox, as the archives know it; a leading `!` stays."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        """Give the mailboxes of the accounts that are named, or of all."""
        del param
        mark = "!" if incomplete.startswith("!") else ""
        names = {name for place in _archives(ctx) for name in _mailboxes(place)}
        fit = sorted(name for name in names if name.startswith(incomplete[len(mark) :]) and _is_harmless(name))
        return [CompletionItem(mark + name) for name in fit[:_MOST]]


def _is_harmless(name: str) -> bool:
    """Tell whether a name is one line of letters that can be seen; what a shell thinks of them is its script's part."""
    return bool(name) and safe(name, limit=len(name)) == name and not name.startswith(("-", "~"))


def _config(ctx: click.Context) -> Config | None:
    """Read the configuration that is named, or the usual one; None if it cannot be used."""
    from mailarchive.config import load
    from mailarchive.errors import MailarchiveError

    named = next((each.params["config"] for each in _up(ctx) if each.params.get("config")), None)
    try:
        return load(Path(named).expanduser() if named else None, environ=os.environ)
    except (MailarchiveError, RuntimeError):
        return None


def _up(ctx: click.Context | None) -> Iterator[click.Context]:
    while ctx is not None:
        yield ctx
        ctx = ctx.parent


def _archives(ctx: click.Context) -> list[Path]:
    """Give the archives that a command line names, or else all."""
    named = [ctx.params.get(name) for name in ("archive", "to")]
    places = [place for value in named for place in _words(value)]
    if places:
        return [Path(place).expanduser() for place in places]
    config = _config(ctx)
    if config is None:
        return []
    chosen = [account for name, account in config.accounts.items() if name in ctx.obj]
    return [account.archive for account in chosen or config.accounts.values()]


def _words(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        return [value]
    return [word for word in value if isinstance(word, str)] if isinstance(value, tuple | list) else []


def _mailboxes(archive: Path) -> list[str]:
    """Read the names of mailboxes in a catalogue, as it is at this moment: without a lock and without making a file."""
    import sqlite3

    from mailarchive.archives.marker import META

    file = archive.absolute() / META / "catalogue.sqlite"
    with contextlib.suppress(sqlite3.Error, OSError):
        if not file.is_file():
            return []
        with contextlib.closing(sqlite3.connect(f"{file.as_uri()}?mode=ro&immutable=1", uri=True)) as db:
            rows = db.execute("SELECT DISTINCT name FROM mailbox LIMIT ?", (_MOST * 10,)).fetchall()
            return [name for (name,) in rows if isinstance(name, str)]
    return []
