"""What the command line says about deleting, and when that may be acted on.

The law of this room: a deletion needs a selection that somebody wrote down and a yes that somebody gave; both are
demanded before anything is connected. What the command line says comes before what the account says.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from mailarchive.cli.options import ContradictionError, Pair, converted
from mailarchive.config_values import toml_key
from mailarchive.errors import ConfigError, UsageError
from mailarchive.model import Method

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from mailarchive.cli.options import Selection, Shared
    from mailarchive.cli.targets import Target
    from mailarchive.errors import MailarchiveError
    from mailarchive.events import Planned
    from mailarchive.job import Answer, Deletion
    from mailarchive.policy import Policy

_Command = TypeVar("_Command", bound="Callable[..., object]")

_WHETHER = click.option(
    "--delete/--no-delete",
    cls=Pair,
    default=None,
    help="Then delete on the server what this run has proved to hold; the default is not to.",
)
_HOW = (
    click.option(
        "--delete-method",
        type=click.Choice([method.value for method in Method if method is not Method.GMAIL]),
        help="How mail leaves the server; auto if nothing is said: exactly the proved messages and no others, and where"
        " a server cannot do that, nothing.",
    ),
    click.option(
        "--keep-flagged/--no-keep-flagged",
        cls=Pair,
        default=None,
        help="Flagged mail stays on the server; the default.",
    ),
    click.option(
        "--keep-unread/--no-keep-unread",
        cls=Pair,
        default=None,
        help="Unread mail stays on the server; not the default.",
    ),
    click.option("--min-copies-age", metavar="AGE", help="Delete only what was archived so long ago: 2w, 90d."),
    click.option(
        "--max-delete",
        metavar="N",
        type=click.IntRange(min=1),
        help="Delete nothing if it would be more than N messages.",
    ),
    click.option("--include-restored", is_flag=True, help="Delete also what undo or restore has put back."),
)
_UNTIL = {Method.TRASH.value: "it is emptied", Method.MARK.value: "the mailbox is expunged"}
_CONSENT = click.option("-y", "--yes", is_flag=True, help="Do not ask before deleting.")


def deletion_options(*, whether: bool) -> Callable[[_Command], _Command]:
    """Add the options that say how to delete and, for a command that does other things too, whether."""

    def add(command: _Command) -> _Command:
        for option in reversed((*((_WHETHER,) if whether else ()), *_HOW, _CONSENT)):
            command = option(command)
        return command

    return add


@dataclass(frozen=True, slots=True)
class Removal:
    """What a command line says about deleting, before an account adds its own.

    Attributes:
        delete: Whether to delete; None leaves it to the account.
        method: None leaves it to the account, as do `keep_flagged`, `keep_unread`, `min_copies_age` and `max_delete`.
        include_restored: Whether what was put back is deleted too.
        yes: Whether the answer to the question is given already.
        asks: Whether there is somebody to be asked.
        mute: Whether nobody may be asked, terminal or not.
        alone: Whether one account runs at a time; nobody answers for several.
        spelled: Options that stand on the command line and mean nothing to a run that does not delete.
    """

    delete: bool | None = None
    method: str | None = None
    keep_flagged: bool | None = None
    keep_unread: bool | None = None
    min_copies_age: str | None = None
    max_delete: int | None = None
    include_restored: bool = False
    yes: bool = False
    asks: bool = False
    mute: bool = False
    spelled: tuple[str, ...] = ()
    alone: bool = True

    @classmethod
    def take(cls, options: dict[str, Any], shared: Shared) -> Removal:
        """Take the options about deleting out of all options of a command; one without `--delete` always deletes."""
        context = click.get_current_context()
        how = [name for option in _HOW for name in _names(option)]
        spelled = [name for name in how if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
        return cls(
            delete=options.pop("delete", True),
            method=options.pop("delete_method"),
            yes=options.pop("yes"),
            asks=_somebody_is_there(shared),
            mute=_is_mute(shared),
            spelled=tuple(f"--{name.replace('_', '-')}" for name in spelled),
            **{name: options.pop(name) for name in how if name != "delete_method"},
        )

    def wanted(self, target: Target) -> bool:
        """Tell whether a run on the target is to delete."""
        return bool(_first(self.delete, target.deletion.delete, otherwise=False))

    def check(
        self, targets: Sequence[Target], selection: Selection, now: datetime, *, dry_run: bool
    ) -> dict[str, MailarchiveError]:
        """Refuse what may not be acted on, before anything is connected or asked for.

        Returns:
            What an account is refused for because of its own configuration, by its name: that stops this one alone.

        Raises:
            UsageError: The selection cannot be read; a deletion has no selection, a cut-off that is still to come, or
                nobody's yes; or options about deleting stand where nothing is to be deleted.
        """
        refused: dict[str, MailarchiveError] = {}
        for target in targets:
            try:
                self._check(target, selection, now, dry_run=dry_run)
            except (ConfigError, ContradictionError) as error:
                refused[target.name] = error
        if self.spelled and not any(self.wanted(target) for target in targets):
            raise UsageError(
                f"{self.spelled[0]} goes with --delete, and nothing is to be deleted here",
                hint=f"add --delete, or leave {self.spelled[0]} out",
            )
        return refused

    def _check(self, target: Target, selection: Selection, now: datetime, *, dry_run: bool) -> None:
        policy, _ = selection.policy(now, target)
        self._refuse_flags(target)
        if self.wanted(target):
            self._demand_selection(target, selection, policy)
            _refuse_the_future(policy, now)
            self._refuse_what_frees_nothing(target, policy)
            self.deletion(target, now, _nobody)
            if not dry_run:
                self._demand_consent(target)

    def _demand_selection(self, target: Target, selection: Selection, policy: Policy) -> None:
        """Refuse to delete "everything" only because nobody said what."""
        if _chooses(selection, policy):
            return
        if self.delete is None:
            raise ConfigError(
                f"{target.name}: which mail is to be deleted? delete = true is in the configuration, and nothing says"
                " which",
                hint=f'add older_than = "1y" to [account.{toml_key(target.name)}]',
            )
        raise UsageError(
            f"{target.name}: which mail is to be deleted? Nothing says so",
            hint="add --older-than 1y or another option that chooses mail; --mailbox '*' means all of it",
        )

    def _refuse_what_frees_nothing(self, target: Target, policy: Policy) -> None:
        """Refuse to delete until the quota is low enough by a way that does not lower it."""
        method = self.method or target.deletion.delete_method
        until = _UNTIL.get(method or "")
        if policy.keep_under is None or until is None:
            return
        reason = f"{target.name}: {method} frees no quota until {until}, so --keep-under cannot go with"
        if self.method is None:
            raise ConfigError(
                f'{reason} delete_method = "{method}"', hint="leave --keep-under out, or add --delete-method expunge"
            )
        raise UsageError(
            f"{reason} --delete-method {method}", hint="leave --keep-under out, or use --delete-method expunge"
        )

    def _refuse_flags(self, target: Target) -> None:
        """Refuse a rule about flags where the protocol has none; the configuration may say it of all accounts."""
        if target.address.protocol != "pop":
            return
        for said, option in ((self.keep_flagged, "--keep-flagged"), (self.keep_unread, "--keep-unread")):
            if said:
                raise UsageError(f"{target.name}: POP3 has no flags, so {option} has nothing to act on")

    def applied(self, policy: Policy, target: Target) -> Policy:
        """Add to a selection what stays on the server whatever is asked."""
        theirs = target.deletion
        return replace(
            policy,
            keep_flagged=_first(self.keep_flagged, theirs.keep_flagged, otherwise=True),
            keep_unread=_first(self.keep_unread, theirs.keep_unread, otherwise=False),
            keep_put_back=not self.include_restored,
        )

    def deletion(self, target: Target, now: datetime, consent: Callable[[Planned], Answer]) -> Deletion | None:
        """Say what a run on the target deletes, resolved against the clock; None if it deletes nothing."""
        from mailarchive import dates
        from mailarchive.job import Deletion

        if not self.wanted(target):
            return None
        theirs = target.deletion
        age = converted("--min-copies-age", self.min_copies_age or theirs.min_copies_age, dates.parse_age)
        return Deletion(
            consent=consent,
            method=Method(self.method or theirs.delete_method or Method.AUTO),
            # The one who said the most about it is the one who has to say something else if the server refuses.
            from_config=self.method is None and (theirs.delete_method is not None or self.delete is None),
            max_delete=_first(self.max_delete, theirs.max_delete, otherwise=None),
            archived_before=None if age is None else dates.cut_off(age, now),
        )

    def _demand_consent(self, target: Target) -> None:
        # Who sits at a terminal is used to be asked, also where the account says delete = true.
        if self.asks and not self.alone and not self.yes:
            raise UsageError(
                f"{target.name}: deleting needs a yes, and with --jobs nobody is asked",
                hint="add --yes, or leave --jobs out",
            )
        if self.yes or self.asks or target.deletion.delete:
            return
        configured = "" if target.is_one_off else f", or delete = true to the account {target.name}"
        why = "nobody may be asked" if self.mute else "there is no terminal to ask at"
        raise UsageError(f"{target.name}: deleting needs a yes, and {why}", hint=f"add --yes{configured}")


def _names(option: Callable[..., Any]) -> list[str]:
    """Read the names of the parameters that a decorator would add."""

    def empty() -> None:
        """Carry the parameters."""

    option(empty)
    found: list[click.Option] = getattr(empty, "__click_params__", [])
    return [str(each.name) for each in found]


def _first(mine: Any, theirs: Any, *, otherwise: Any) -> Any:
    """Give what the command line says, else what the account says, else what is built in."""
    return mine if mine is not None else theirs if theirs is not None else otherwise


def _nobody(_planned: Planned) -> Answer:
    """Stand in for a question that is not asked."""
    from mailarchive.job import Answer

    return Answer.NO


def _is_mute(shared: Shared) -> bool:
    """Tell whether no question may be asked; JSON lines are read by a program."""
    return shared.no_input or shared.json


def _somebody_is_there(shared: Shared) -> bool:
    """Tell whether a question would be seen and could be answered."""
    from mailarchive.screen.plain import is_terminal

    return not _is_mute(shared) and is_terminal(sys.stdin) and is_terminal(sys.stderr)


def _chooses(selection: Selection, policy: Policy) -> bool:
    """Tell whether somebody said which mail may be deleted.

    The mailboxes of the configuration say where mail is archived from, and --limit how much at once; neither says that
    it may go. A pattern that only excludes says what may not.
    """
    amounts = policy.free is not None or policy.keep_under is not None
    named = any(not pattern.startswith("!") for pattern in selection.options["mailbox"])
    return named or amounts or bool(policy.imap_search) or not policy.takes_all


def _refuse_the_future(policy: Policy, now: datetime) -> None:
    """Refuse a cut-off that is still to come: mail that nobody has seen yet would be deleted."""
    if policy.before is not None and policy.before > now:
        raise UsageError(
            f"--before {policy.before:%Y-%m-%d} is in the future: mail that has not come yet would be deleted too",
            hint="name a day that is over, or use --older-than",
        )
