"""Many accounts in one call: how many at a time, and which of them are ours.

The law of this room: which shard an account falls into is said by its name and the number of shards alone, and never
changes: other machines, other versions and other configurations must give the same answer, or an account would be
backed up twice or by nobody. Several accounts at a time means that nobody is asked anything.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mailarchive.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mailarchive.cli.targets import Target

_Command = TypeVar("_Command", bound="Callable[..., object]")

_SHARD = re.compile(r"([0-9]{1,9})/([0-9]{1,9})")
_OPTIONS = (
    click.option(
        "--jobs",
        metavar="N",
        type=click.IntRange(min=1),
        default=1,
        help="So many accounts at a time, at most 4 of one host; nobody is asked anything then.  [default: 1]",
    ),
    click.option(
        "--shard",
        metavar="I/N",
        help="Only the accounts of part I of N, 0/N to N-1/N; which part, the name of the account decides for ever.",
    ),
)


def crowd_options(command: _Command) -> _Command:
    """Add the options for many accounts."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def shard_of(account: str, shards: int) -> int:
    """Say which shard an account is in: the first 8 octets of the SHA-256 of its name in UTF-8, modulo `shards`.

    The octets are a number with the most significant one first.
    """
    digest = hashlib.sha256(account.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") % shards


@dataclass(frozen=True, slots=True)
class Crowd:
    """How many accounts at a time, and which.

    Attributes:
        jobs: At a time.
        shard: Which shard of how many; None for all accounts.
    """

    jobs: int = 1
    shard: tuple[int, int] | None = None

    @classmethod
    def take(cls, options: dict[str, Any]) -> Crowd:
        """Take the options for many accounts out of all options of a command. Raises UsageError."""
        return cls(options.pop("jobs"), _parsed(options.pop("shard")))

    def ours(self, targets: Sequence[Target]) -> list[Target]:
        """Give the targets of the shard; if several of them run at a time, nobody is asked for their passwords.

        Raises:
            UsageError: The target is a URL, which has no name to be told by.
        """
        chosen = list(targets)
        if self.shard is not None:
            if any(target.is_one_off for target in targets):
                raise UsageError(
                    "--shard chooses accounts of the configuration, and a URL is none", hint="leave it out"
                )
            mine, shards = self.shard
            chosen = [target for target in targets if shard_of(target.name, shards) == mine]
        if self.alone(chosen):
            return chosen
        return [replace(target, password=replace(target.password, prompt=None)) for target in chosen]

    def alone(self, targets: Sequence[Target]) -> bool:
        """Tell whether one account runs at a time."""
        return self.jobs == 1 or len(targets) < 2


def _parsed(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    found = _SHARD.fullmatch(text)
    if found is None:
        raise UsageError(f"--shard {text[:40]!a}: not a part of a number of parts", hint="use 0/4, 1/4, 2/4 and 3/4")
    mine, shards = int(found[1]), int(found[2])
    if shards == 0:
        raise UsageError(f"--shard {text!a}: there must be one part at least", hint="use 0/1 for all accounts")
    if mine >= shards:
        last = f"0/{shards} to {shards - 1}/{shards}" if shards > 1 else "0/1"
        raise UsageError(f"--shard {text!a}: the parts are counted from 0", hint=f"use {last}")
    return mine, shards
