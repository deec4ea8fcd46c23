"""What a run works on: one account of the configuration, or one URL of the command line.

The law of this room: everything about servers, secrets and places is gathered here before a run, and nothing is
connected or asked for yet.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from mailarchive.address import Security, looks_like_url, parse_url
from mailarchive.archives.marker import KINDS, Kind
from mailarchive.cli.options import converted
from mailarchive.config_values import DeletionKeys, LimitKeys, MonitorKeys
from mailarchive.credentials import PasswordSources
from mailarchive.errors import UsageError
from mailarchive.secret import KNOWN
from mailarchive.sources.tls import Trust, normal_fingerprint
from mailarchive.sources.tunnel import Tunnel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mailarchive.address import ServerAddress
    from mailarchive.cli.options import Shared
    from mailarchive.config import Account
    from mailarchive.config_values import OAuthKeys
    from mailarchive.monitoring.watch import Watch


MAX_WAIT: Final = 60.0
"""Seconds of patience with a server, where nothing else is said."""
_NO_LIMITS: Final = LimitKeys()


@dataclass(frozen=True, slots=True)
class Target:
    """One account on one server, its archive, and how to get in.

    Attributes:
        name: Name of the account, or the user of a URL.
        older_than: The account's own selection; the command line comes before it. `mailboxes` likewise.
        oauth: How the account signs in by OAuth2, unless the command line gives a password.
        wait: Seconds to wait for another run on the archive.
        max_wait: Seconds to wait for a server that asks for it, or whose line broke.
        max_bytes: Octets of messages that a run may fetch; None for any number.
        remember: Whether the absence of the archive is an error in later runs; not for one that is soon removed.
        deletion: What the account says about deleting; the command line comes before it.
        config: The configuration, if it does not stand where it is looked for.
        trusted: The options of the command line that say whom to trust.
        lasting: Whether the server is still there when the program has ended.
        kind: The form that its archive must have; None for any.
        tunnel: The command to speak to instead of a server.
        index: Whether the words of its mail are kept beside it.
        monitoring: What the account says about telling others how a backup went.
    """

    name: str
    address: ServerAddress
    archive: Path
    password: PasswordSources
    trust: Trust
    older_than: str | None = None
    mailboxes: tuple[str, ...] = ()
    wait: float = 0.0
    max_wait: float = MAX_WAIT
    max_bytes: int | None = None
    remember: bool = True
    deletion: DeletionKeys = field(default_factory=DeletionKeys)
    config: Path | None = None
    trusted: tuple[str, ...] = ()
    oauth: OAuthKeys | None = None
    lasting: bool = True
    kind: Kind | None = None
    tunnel: Tunnel | None = None
    index: bool = True
    monitoring: MonitorKeys = field(default_factory=MonitorKeys)

    @property
    def is_one_off(self) -> bool:
        """Whether it is a URL and no account of the configuration."""
        return self.password.account is None

    def undo(self, run: str) -> tuple[str, ...]:
        """Give the command that puts back what a run deletes; empty if there is none.

        An account is found by its run; a one-off must be named again. Nothing can be put back over POP3.
        """
        if self.address.protocol == "pop" or not self.lasting:
            return ()
        config = ("--config", str(self.config)) if self.config is not None else ()
        place = (self.address.identity, "--archive", str(self.archive)) if self.is_one_off else ()
        return ("mailarchive", *config, "undo", run, *place, *self.trusted)


def targets(
    accounts: tuple[str, ...],
    options: Mapping[str, Any],
    shared: Shared,
    environ: Mapping[str, str],
    *,
    place: str = "to",
) -> list[Target]:
    """Gather what a command works on.

    Args:
        accounts: Names of accounts, or one URL; none for all accounts.
        options: Those of `options.server_options`, made with the same `place`.
        shared: What every command knows.
        environ: The environment variables.
        place: The option, without its hyphens, that names the archive of a URL.

    Raises:
        UsageError: A URL beside other accounts, or without its archive; an archive or a user beside accounts.
        ConfigError: The configuration is missing or wrong.
    """
    from mailarchive import dates

    wait = converted("--wait", options["wait"], dates.parse_duration) or 0.0
    may_ask = not shared.no_input and sys.stdin is not None and sys.stdin.isatty()
    urls = [each for each in accounts if looks_like_url(each)]
    if urls:
        if len(accounts) > 1:
            raise UsageError("a URL stands alone", hint="run the command once for each server")
        return [_limited(_one_off(urls[0], options, environ, wait, place=place, may_ask=may_ask), options)]
    if options[place]:
        raise UsageError(f"--{place} goes with a URL; an account has its archive in the configuration")
    if options.get("format") or options.get("layout"):
        raise UsageError("--format and --layout go with a URL; an account has them in the configuration")
    if options["user"]:
        raise UsageError("--user goes with a URL; an account has its user in the configuration")
    from mailarchive.config import load

    named = Path(shared.config) if shared.config else None
    config = load(named, environ=environ)
    return [
        _limited(_of_account(account, options, environ, wait, named=named, may_ask=may_ask), options, account.limits)
        for account in config.select(accounts)
    ]


def _limited(target: Target, options: Mapping[str, Any], keys: LimitKeys = _NO_LIMITS) -> Target:
    """Add the patience and the budget, of the command line or else of the account."""
    from mailarchive import dates

    patience = converted("--max-wait", options.get("max_wait") or keys.max_wait, dates.parse_duration)
    budget = converted("--max-bytes", options.get("max_bytes") or keys.max_bytes, dates.parse_size)
    return replace(target, max_wait=MAX_WAIT if patience is None else patience, max_bytes=budget)


def _of_account(
    account: Account,
    options: Mapping[str, Any],
    environ: Mapping[str, str],
    wait: float,
    *,
    named: Path | None,
    may_ask: bool,
) -> Target:
    password = PasswordSources(
        command=options["password_command"],
        file=_path(options["password_file"]),
        account=account.name,
        environ=environ,
        configured_command=account.password_command,
        configured_file=account.password_file,
        keyring=account.keyring,
        host=account.address.host,
        user=account.address.user,
        prompt=_prompt(account.address) if may_ask else None,
    )
    trust = _trust(_path(options["ca_file"]) or account.ca_file, options["fingerprint"])
    KNOWN.add(account.monitoring.ping_url or "")
    return Target(
        account.name,
        account.address,
        account.archive,
        password,
        trust,
        account.older_than,
        account.mailboxes,
        wait,
        deletion=account.deletion,
        config=None if named is None else named.absolute(),
        trusted=_trusted(options),
        kind=_kind(account.format, account.layout),
        oauth=account.oauth,
        tunnel=None if account.tunnel is None else Tunnel(account.tunnel, environ),
        index=account.index,
        monitoring=account.monitoring,
    )


def _one_off(
    url: str, options: Mapping[str, Any], environ: Mapping[str, str], wait: float, *, place: str, may_ask: bool
) -> Target:
    address = parse_url(url, user=options["user"])
    if address.security is Security.TUNNEL:
        parse_url("imap+tunnel:")  # says that it needs an account
    archive = _path(options[place])
    if archive is None:
        question = "where to?" if place == "to" else "where is its archive?"
        raise UsageError(f"{address.shown}: {question}", hint=f"add --{place} DIR, the folder of the archive")
    password = PasswordSources(
        command=options["password_command"],
        file=_path(options["password_file"]),
        account=None,
        environ=environ,
        host=address.host,
        user=address.user,
        prompt=_prompt(address) if may_ask else None,
    )
    trust = _trust(_path(options["ca_file"]), options["fingerprint"])
    kind = _kind(options.get("format"), options.get("layout"))
    if kind is not None and kind not in KINDS:
        raise UsageError("--layout maildir++ is for Maildirs", hint="leave out --format mbox, or the layout")
    return Target(address.user, address, archive, password, trust, wait=wait, trusted=_trusted(options), kind=kind)


def _kind(form: str | None, layout: str | None) -> Kind | None:
    """Give the form of an archive that was asked for; None where nothing was said."""
    return Kind(form or "maildir", layout or "nested") if form or layout else None


def _path(text: str | None) -> Path | None:
    if not text:
        return None
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:
        raise UsageError(f"{text}: the home folder of that user is not known", hint="write the whole path") from None


def _trust(ca_file: Path | None, fingerprint: str | None) -> Trust:
    if not fingerprint:
        return Trust(ca_file)
    try:
        return Trust(ca_file, normal_fingerprint(fingerprint))
    except ValueError as error:
        raise UsageError(f"--fingerprint: {error}", hint="openssl x509 -noout -fingerprint -sha256 -in FILE") from None


def _trusted(options: Mapping[str, Any]) -> tuple[str, ...]:
    """Give the options about trust as they can be typed again, in any folder."""
    file = _path(options["ca_file"])
    words = ("--ca-file", str(file)) if file is not None else ()
    return (*words, "--fingerprint", options["fingerprint"]) if options["fingerprint"] else words


def _prompt(address: ServerAddress) -> Callable[[], str]:
    """Make the question for the password of an account; the answer is not echoed. EOFError if there is no answer."""

    def ask() -> str:
        try:
            answer: str = click.prompt(f"Password of {address.user} on {address.host}", hide_input=True, err=True)
        except click.Abort as abort:
            # Click makes one of the end of the input (Ctrl-D) and of an interrupt (Ctrl-C).
            ended = isinstance(abort.__context__, EOFError)
            if not ended:
                raise
            raise EOFError from None
        return answer

    return ask


def watch_of(chosen: Sequence[Target], textfile: str | None, environ: Mapping[str, str]) -> Watch:
    """Make what tells others how a backup of these went; the option comes before what an account says."""
    from mailarchive.monitoring.watch import Watch, Watched

    file = _path(textfile)
    return Watch([Watched(each.name, each.monitoring, file or each.monitoring.textfile) for each in chosen], environ)
