"""What a run works on: one account of the configuration, or one URL of the command line.

The law of this room: everything about servers, secrets and places is gathered here before a run, and nothing is
connected or asked for yet.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mailarchive.address import looks_like_url, parse_url
from mailarchive.cli.options import converted
from mailarchive.credentials import PasswordSources
from mailarchive.errors import UsageError
from mailarchive.sources.tls import Trust, normal_fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mailarchive.address import ServerAddress
    from mailarchive.cli.options import Shared


@dataclass(frozen=True, slots=True)
class Target:
    """One account on one server, its archive, and how to get in.

    Attributes:
        name: Name of the account, or the user of a URL.
        older_than: The account's own selection; the command line comes before it. `mailboxes` likewise.
        wait: Seconds to wait for another run on the archive.
        remember: Whether the absence of the archive is an error in later runs; not for one that is soon removed.
    """

    name: str
    address: ServerAddress
    archive: Path
    password: PasswordSources
    trust: Trust
    older_than: str | None = None
    mailboxes: tuple[str, ...] = ()
    wait: float = 0.0
    remember: bool = True


def targets(
    accounts: tuple[str, ...], options: Mapping[str, Any], shared: Shared, environ: Mapping[str, str]
) -> list[Target]:
    """Gather what a command works on.

    Raises:
        UsageError: A URL beside other accounts, or without --to; --to beside accounts.
        ConfigError: The configuration is missing or wrong.
    """
    from mailarchive import dates

    wait = converted("--wait", options["wait"], dates.parse_duration) or 0.0
    may_ask = not shared.no_input and sys.stdin is not None and sys.stdin.isatty()
    urls = [each for each in accounts if looks_like_url(each)]
    if urls:
        if len(accounts) > 1:
            raise UsageError("a URL stands alone", hint="run the command once for each server")
        return [_one_off(urls[0], options, environ, wait, may_ask=may_ask)]
    if options["to"]:
        raise UsageError("--to goes with a URL; an account has its archive in the configuration")
    from mailarchive.config import load

    config = load(Path(shared.config) if shared.config else None, environ=environ)
    found = []
    for account in config.select(accounts):
        password = PasswordSources(
            command=options["password_command"],
            file=_path(options["password_file"]),
            account=account.name,
            environ=environ,
            configured_command=account.password_command,
            configured_file=account.password_file,
            prompt=_prompt(account.address) if may_ask else None,
        )
        trust = _trust(_path(options["ca_file"]) or account.ca_file, options["fingerprint"])
        found.append(
            Target(
                account.name,
                account.address,
                account.archive,
                password,
                trust,
                account.older_than,
                account.mailboxes,
                wait,
            )
        )
    return found


def _one_off(url: str, options: Mapping[str, Any], environ: Mapping[str, str], wait: float, *, may_ask: bool) -> Target:
    address = parse_url(url, user=options["user"])
    archive = _path(options["to"])
    if archive is None:
        raise UsageError(f"{address.shown}: where to?", hint="add --to DIR, the folder of the archive")
    password = PasswordSources(
        command=options["password_command"],
        file=_path(options["password_file"]),
        account=None,
        environ=environ,
        prompt=_prompt(address) if may_ask else None,
    )
    trust = _trust(_path(options["ca_file"]), options["fingerprint"])
    return Target(address.user, address, archive, password, trust, wait=wait)


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


def _prompt(address: ServerAddress) -> Callable[[], str]:
    """Make the question for the password of an account; the answer is not echoed."""

    def ask() -> str:
        answer: str = click.prompt(f"Password of {address.user} on {address.host}", hide_input=True, err=True)
        return answer

    return ask
