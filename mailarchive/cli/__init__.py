"""The command line: `mailarchive COMMAND`.

The law of this room: only here everything meets. Commands are thin; what is heavy is imported inside them, so that
`--help` is quick. Every error ends as one line, a hint and its exit code; a traceback is shown only with `--debug`.
"""

from __future__ import annotations

import gc
import os
import sys
from typing import TYPE_CHECKING, NoReturn

import click

from mailarchive import __version__
from mailarchive.cli.backup import backup
from mailarchive.cli.completion import completion
from mailarchive.cli.config import config
from mailarchive.cli.demo import demo
from mailarchive.cli.doctor import doctor
from mailarchive.cli.du import du
from mailarchive.cli.export import export
from mailarchive.cli.help import help_
from mailarchive.cli.import_ import import_
from mailarchive.cli.init import init
from mailarchive.cli.login import login, logout
from mailarchive.cli.options import Shared, shared_options, show_traceback
from mailarchive.cli.prune import prune
from mailarchive.cli.reindex import reindex
from mailarchive.cli.restore import restore
from mailarchive.cli.schedule import schedule
from mailarchive.cli.search import list_, search
from mailarchive.cli.show import show
from mailarchive.cli.status import status
from mailarchive.cli.undo import undo
from mailarchive.cli.verify import verify
from mailarchive.errors import ExitCode, MailarchiveError, UsageError
from mailarchive.secret import KNOWN

if TYPE_CHECKING:
    from collections.abc import Sequence

_TRUE = frozenset({"1", "true", "t", "yes", "y", "on"})
_EPILOG = "\b\nExit codes:\n" + "\n".join(f"  {code.value:>3}  {code.meaning}" for code in ExitCode)


@click.group(
    epilog=_EPILOG,
    context_settings={"auto_envvar_prefix": "MAILARCHIVE", "help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="mailarchive")
@shared_options
@click.pass_context
def cli(context: click.Context, /, **shared: object) -> None:
    """Archive old mail from a server into plain local files.

    `mailarchive backup --older-than 1y` copies mail older than a year into files that any mail program opens. With
    `--delete` it then removes from the server exactly what it has just proved to hold; without it, nothing on the
    server is changed. `mailarchive demo` shows it, without an account and without a network.
    """
    context.obj = Shared.of(shared)


cli.add_command(backup)
cli.add_command(completion)
cli.add_command(config)
cli.add_command(demo)
cli.add_command(doctor)
cli.add_command(du)
cli.add_command(export)
cli.add_command(help_)
cli.add_command(import_)
cli.add_command(init)
cli.add_command(login)
cli.add_command(logout)
cli.add_command(prune)
cli.add_command(reindex)
cli.add_command(schedule)
cli.add_command(status)
cli.add_command(restore)
cli.add_command(list_)
cli.add_command(search)
cli.add_command(show)
cli.add_command(undo)
cli.add_command(verify)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and end the process with the right code."""
    _name_files_in_utf8()
    # Values are made by the hundred thousand and hardly ever in circles, so looking for these seldom saves a tenth.
    gc.set_threshold(50_000, 20, 100)
    sys.exit(run(arguments))


def _name_files_in_utf8() -> None:
    """Begin anew with names of files in UTF-8, where the locale wants others: it has no letters for all mailboxes.

    What is printed keeps the encoding of the locale.
    """
    if sys.getfilesystemencoding().lower() == "utf-8" or sys.flags.utf8_mode or not sys.executable:
        return
    if sys.stdout is not None:
        os.environ.setdefault("PYTHONIOENCODING", f"{sys.stdout.encoding}:{sys.stdout.errors}")
    os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606 - it is this very program


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and give the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if instruction := os.environ.get("_MAILARCHIVE_COMPLETE"):
        from mailarchive.cli.completing import answer

        return answer(cli, instruction)
    KNOWN.forget()
    shared = Shared(debug=_said("debug", words), json=_said("json", words))
    try:
        result = cli.main(words, prog_name="mailarchive", standalone_mode=False)
    except click.ClickException as error:
        command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "mailarchive"
        show_traceback(error, shared)
        return _complain(UsageError(error.format_message().rstrip("."), hint=f"{command} --help"), shared)
    except MailarchiveError as error:
        show_traceback(error, shared)
        return _complain(error, shared)
    except (KeyboardInterrupt, click.Abort) as error:
        _tell(MailarchiveError("interrupted"))
        # Click makes an Abort of whatever ends a program by the keyboard, also of ours that knows its code.
        return int(getattr(error.__cause__ or error, "code", ExitCode.INTERRUPT))
    except MemoryError as error:
        show_traceback(error, shared)
        _tell(MailarchiveError("there is not enough memory for this process", hint="raise the limit: ulimit -v"))
        return int(ExitCode.BUG)
    except Exception as error:  # noqa: BLE001 - the last line of defence: a bug ends in one line, not in a page
        show_traceback(error, shared)
        what = f"unexpected failure ({type(error).__name__})"
        _tell(MailarchiveError(what, hint="run it again with --debug and report what it says"))
        return int(ExitCode.BUG)
    return int(result) if isinstance(result, int) else int(ExitCode.DONE)


def _said(flag: str, words: Sequence[str]) -> bool:
    """Tell whether a shared flag stands on the command line or in the environment, also where that cannot be read."""
    commands = [f"{word}_" for word in words if word in cli.commands]
    values = (os.environ.get(f"MAILARCHIVE_{command}{flag}".upper(), "") for command in ("", *commands))
    return f"--{flag}" in words or any(value.strip().lower() in _TRUE for value in values)


def _complain(error: MailarchiveError, shared: Shared) -> int:
    """Tell an error that no screen has told: to a person, and to a script that reads lines; gives its code."""
    if shared.json:
        from mailarchive.screen.jsonl import JsonLines

        JsonLines(sys.stdout).error(error)
    _tell(error)
    return int(error.exit_code)


def _tell(error: MailarchiveError) -> None:
    from mailarchive.screen.plain import Plain

    Plain(None, sys.stderr).error(error)
