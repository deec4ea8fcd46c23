"""Fixtures of the tests of the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mailarchive.cli import running
from mailarchive.cli.zone import now
from mailarchive.errors import ExitCode
from tests.cli.resolved import Resolved

if TYPE_CHECKING:
    from mailarchive.cli.deleting import Removal
    from mailarchive.cli.options import Selection
    from mailarchive.cli.targets import Target
    from mailarchive.events import Planned
    from mailarchive.job import Answer


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Resolved]:
    """Record what runs would get, instead of running."""
    found: list[Resolved] = []

    def nobody(_planned: Planned) -> Answer:
        raise AssertionError

    def record(target: Target, selection: Selection, *_: object, removal: Removal, **__: object) -> ExitCode:
        policy, _words = selection.policy(now(), target)
        deletion = removal.deletion(target, now(), nobody)
        found.append(Resolved(target, removal, removal.applied(policy, target), deletion))
        return ExitCode.DONE

    monkeypatch.setattr(running, "run_backup", record)
    monkeypatch.setattr(running, "run_prune", record)
    return found
