"""The options that commands share: what to print, which server, which mail.

The law of this room: the command line becomes values here, once. What cannot be read is refused with the wording of
`interface.md` section 8, before anything is connected or opened.
"""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mailarchive.errors import MailarchiveError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from mailarchive.cli.targets import Target
    from mailarchive.policy import Policy
    from mailarchive.screen import Screen

_Command = TypeVar("_Command", bound="Callable[..., object]")


class ContradictionError(UsageError):
    """What the command line asks for cannot be together with what one account says; other accounts go on."""


class Pair(click.Option):
    """A flag with a name for yes and a name for no; the environment may use either, as on the command line.

    A variable of the no that is itself negative (`..._NO_DELETE=0`) says nothing: nobody asks for a deletion that way.
    """

    def value_from_envvar(self, ctx: click.Context) -> Any:
        """Read the variables of both names.

        Raises:
            UsageError: They contradict each other.
        """
        found = super().value_from_envvar(ctx)
        said = None if found is None else click.BOOL.convert(found, self, ctx)
        for name in self.secondary_opts:
            variable = f"{ctx.auto_envvar_prefix}_{_variable(name)}"
            text = os.environ.get(variable)
            if not text or not click.BOOL.convert(text, self, ctx):
                continue
            if said:
                other = f"{ctx.auto_envvar_prefix}_{_variable(self.opts[0])}"
                raise UsageError(f"{other} and {variable} contradict each other", hint="unset one of them")
            said = False
        return said


def _variable(option: str) -> str:
    return option.lstrip("-").replace("-", "_").upper()


@dataclass(frozen=True, slots=True)
class Shared:
    """What every command knows, whether said before or after its name."""

    config: str | None = None
    json: bool = False
    quiet: bool = False
    verbose: bool = False
    debug: bool = False
    no_color: bool = False
    no_input: bool = False
    log_file: str | None = None

    @classmethod
    def of(cls, options: Mapping[str, object], above: Shared | None = None) -> Shared:
        """Make one of parsed options; what was said before the command's name counts too."""
        said = {name: value for name, value in options.items() if value}
        return replace(above or cls(), **said)  # type: ignore[arg-type] # the names are those of the options below


_SHARED = (
    click.option("--config", metavar="FILE", help="Configuration file.", type=click.Path()),
    click.option("--json", is_flag=True, help="One JSON object a line on stdout, nothing else."),
    click.option("-q", "--quiet", is_flag=True, help="Say nothing unless something needs a human."),
    click.option("-v", "--verbose", is_flag=True, help="Say more."),
    click.option("--debug", is_flag=True, help="Add a traceback to an error."),
    click.option("--no-color", is_flag=True, help="No colours; NO_COLOR does the same."),
    click.option("--no-input", is_flag=True, help="Never ask for anything."),
    click.option(
        "--log-file",
        metavar="FILE",
        type=click.Path(),
        help="Add a line of JSON for each event and each error; without subjects, addresses and secrets.",
    ),
)


def shared_options(command: _Command) -> _Command:
    """Add the options that every command has."""
    for option in reversed(_SHARED):
        command = option(command)
    return command


def with_shared(command: Callable[..., int]) -> Callable[..., int]:
    """Gather the shared options of a command, and those before its name, into one `Shared`."""

    @functools.wraps(command)
    def wrapper(*arguments: object, **options: object) -> int:
        above = click.get_current_context().find_object(Shared)
        names = tuple(field for field in Shared.__dataclass_fields__ if field in options)
        shared = Shared.of({name: options.pop(name) for name in names}, above)
        try:
            return command(*arguments, shared=shared, **options)
        except MailarchiveError as error:
            _log(error, shared)
            raise

    return shared_options(wrapper)


def _log(error: MailarchiveError, shared: Shared) -> None:
    """Add to the log what ends a command before, or outside of, any screen."""
    if not shared.log_file:
        return
    from mailarchive.monitoring.log import Log

    log = Log(Path(shared.log_file).expanduser(), lambda text: click.echo(f"mailarchive: warning: {text}", err=True))
    log.error(error)
    log.close()


def open_screen(shared: Shared) -> Screen:
    """Make the screen that the shared options and the streams ask for, and the log in front of it."""
    return logged(_screen(shared), shared)


def logged(screen: Screen, shared: Shared) -> Screen:
    """Put the log that the shared options ask for in front of a screen."""
    if not shared.log_file:
        return screen
    from mailarchive.monitoring.log import Logged

    return Logged.to(shared.log_file, screen)


def _screen(shared: Shared) -> Screen:
    import sys

    from mailarchive.screen import choose

    return choose(
        json=shared.json,
        quiet=shared.quiet,
        verbose=shared.verbose,
        color=False if shared.no_color else None,
        stdout=sys.stdout,
        stderr=sys.stderr,
    )


def show_traceback(error: BaseException, shared: Shared) -> None:
    """With --debug, show where an error came from, made safe for a terminal; local values are never shown."""
    if not shared.debug:
        return
    import sys
    import traceback

    from mailarchive.screen.safe import safe
    from mailarchive.secret import KNOWN

    # Before it is cut into lines, because a secret in it may have been broken there.
    for line in KNOWN.scrub("".join(traceback.format_exception(error))).splitlines():
        click.echo(safe(line, limit=1000), file=sys.stderr)


def converted(option: str, text: str | None, convert: Callable[[str], Any]) -> Any:
    """Read the text of an option; a text that cannot be read is a UsageError that names the option."""
    from mailarchive.dates import DateSyntaxError

    if text is None:
        return None
    try:
        return convert(text)
    except DateSyntaxError as error:
        raise UsageError(f"{option} {error.message}", hint=error.hint) from None


_SERVER = (
    click.option("--user", metavar="NAME", help="User name, if it does not stand in the URL."),
    click.option("--password-command", metavar="COMMAND", help="A command that prints the password."),
    click.option("--password-file", metavar="FILE", type=click.Path(), help="A file that holds the password."),
    click.option("--ca-file", metavar="FILE", type=click.Path(), help="Trust these authorities (PEM)."),
    click.option("--fingerprint", metavar="SHA256", help="Trust this one certificate."),
    click.option("--wait", metavar="DURATION", help="Wait so long for another run on the archive: 90s, 10min, 2h."),
    click.option(
        "--max-wait",
        metavar="DURATION",
        help="Wait so long for a server that asks for it, or whose line broke; 0s for not at all.  [default: 60s]",
    ),
)
_PLACES = {
    "to": "The archive of a one-off URL; made if it is missing.",
    "archive": "The archive of a one-off URL, as `backup --to` made it.",
}


def server_options(place: str) -> Callable[[_Command], _Command]:
    """Add the options that say which server and which archive; `place` names the one for the archive of a URL."""
    archive = click.option(f"--{place}", metavar="DIR", type=click.Path(), help=_PLACES[place])

    def add(command: _Command) -> _Command:
        for option in reversed((archive, *_SERVER)):
            command = option(command)
        return command

    return add


_KIND = (
    click.option(
        "--format",
        type=click.Choice(["maildir", "mbox"]),
        help="Of a new archive: a file for each message, or one for each mailbox and year.  [default: maildir]",
    ),
    click.option(
        "--layout",
        type=click.Choice(["nested", "maildir++"]),
        help="How the folders of a new archive of Maildirs lie.  [default: nested]",
    ),
)


def kind_options(command: _Command) -> _Command:
    """Add the options that say in which form a new archive keeps its mail."""
    for option in reversed(_KIND):
        command = option(command)
    return command


class Names(click.types.StringParamType):
    """Names that the environment gives as a list with commas, because mailboxes have blanks in their names."""

    envvar_list_splitter = ","


_SELECTION = (
    click.option("--older-than", metavar="AGE", help="Mail older than 1y, 18m (months), 1y6m, 2w, 90d."),
    click.option("--newer-than", metavar="AGE", help="Mail newer than that."),
    click.option("--before", metavar="DATE", help="Mail before 2024, 2024-03 or 2024-03-01."),
    click.option("--after", metavar="DATE", help="Mail from that day on."),
    click.option(
        "--date",
        type=click.Choice(["received", "sent"]),
        default="received",
        show_default=True,
        help="Which date counts.",
    ),
    click.option(
        "--mailbox",
        type=Names(),
        metavar="PATTERN",
        multiple=True,
        help="Only these mailboxes; * and ? are wildcards, a leading ! excludes. Repeatable. Without it: all but Junk,"
        " Trash, Drafts and All Mail, which only their exact name brings in.",
    ),
    click.option("--larger-than", metavar="SIZE", help="Mail larger than 500K, 10M, 1G."),
    click.option("--smaller-than", metavar="SIZE", help="Mail smaller than that."),
    click.option("--from", "from", metavar="TEXT", help="The sender contains TEXT."),
    click.option("--to-addr", metavar="TEXT", help="To or Cc contains TEXT."),
    click.option("--subject", metavar="TEXT", help="The subject contains TEXT."),
    click.option("--list-id", metavar="TEXT", help="The List-Id contains TEXT."),
    click.option("--seen/--unseen", cls=Pair, default=None, help="Only read, or only unread mail."),
    click.option("--flagged/--unflagged", cls=Pair, default=None, help="Only flagged, or only unflagged mail."),
    click.option("--imap-search", metavar="TEXT", help="Raw IMAP SEARCH keys, judged by the server."),
    click.option(
        "--limit",
        metavar="N",
        type=click.IntRange(min=1),
        help="At most N messages to fetch or to delete, oldest first; what stays anyway is not counted.",
    ),
    click.option("--free", metavar="SIZE", help="Only the oldest mail that adds up to SIZE."),
    click.option("--keep-under", metavar="PERCENT", help="Only the oldest mail above this use of the quota."),
)


def selection_options(command: _Command) -> _Command:
    """Add the options that choose mail."""
    for option in reversed(_SELECTION):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class Selection:
    """The parsed selection of a command line, before an account adds its own defaults."""

    options: Mapping[str, Any]
    any_age: bool = False

    @classmethod
    def take(cls, options: dict[str, Any]) -> Selection:
        """Take the selection options out of all options of a command."""
        return cls({option.name: options.pop(option.name) for option in _parameters(_SELECTION)})

    @classmethod
    def of(cls, **options: Any) -> Selection:
        """Make a selection of a few options; all others are as if they were not given."""
        nothing = {option.name: () if option.multiple else None for option in _parameters(_SELECTION)}
        return cls({**nothing, "date": "received", **options})

    @classmethod
    def everything(cls) -> Selection:
        """Select mail of every age, also where the account names one; its mailboxes count."""
        return replace(cls.of(), any_age=True)

    def policy(self, now: datetime, target: Target) -> tuple[Policy, str]:
        """Resolve the selection against the clock.

        Args:
            now: Aware, in the local zone.
            target: Its `older_than` counts unless the command line says where the mail ends, by --older-than or
                --before; its `mailboxes` unless the command line names some.

        Returns:
            The policy, and the selection in words with the resolved instants.

        Raises:
            ContradictionError: The account's `older_than` leaves nothing of what the command line asks for.
            UsageError: The selection cannot be read.
        """
        from mailarchive.cli.selection import resolve

        merged = dict(self.options)
        configured = ""
        if not self.any_age and not (merged["older_than"] or merged["before"]):
            merged["older_than"] = target.older_than
            configured = f'{target.name}: older_than = "{target.older_than}" in the configuration'
        merged["mailbox"] = tuple(merged["mailbox"] or target.mailboxes)
        policy, words = resolve(merged, now, configured=configured)
        return replace(policy, demand_mailboxes=bool(self.options["mailbox"])), words


def _parameters(decorators: tuple[Callable[..., Any], ...]) -> list[click.Option]:
    """Read the parameters that decorators would add."""

    def empty() -> None:
        """Carry the parameters."""

    for decorator in decorators:
        decorator(empty)
    found: list[click.Option] = getattr(empty, "__click_params__", [])
    return found
