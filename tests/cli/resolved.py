"""What a run would get from options, environment and configuration, recorded instead of run."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

    from mailarchive.cli.deleting import Removal
    from mailarchive.cli.targets import Target
    from mailarchive.job import Deletion
    from mailarchive.policy import Policy

URL = "imap+insecure://me@127.0.0.1:9"
OLD = ("--older-than", "1y")


class Resolved(NamedTuple):
    """What a run would get."""

    target: Target
    removal: Removal
    policy: Policy
    deletion: Deletion | None


def configure(home: Path, keys: str = "", defaults: str = "", more: str = "") -> Path:
    """Write a configuration with the account `home`; gives a file that shows whether its password was asked for."""
    asked = home / "asked"
    config = home / ".config" / "mailarchive" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(
        f'archive = "{home}/mail"\n[defaults]\n{defaults}\n[account.home]\nserver = "{URL}"\n'
        f"password_command = \"touch '{asked}'; echo secret\"\n{keys}\n{more}"
    )
    config.chmod(0o600)
    return asked


def deletion_of(runs: list[Resolved]) -> Deletion:
    """Give the deletion of the only run."""
    assert len(runs) == 1
    assert runs[0].deletion is not None
    return runs[0].deletion
