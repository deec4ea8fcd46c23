"""Shares the tests out among several processes, for most of the time they wait for a disk or a server.

Law of this room: a file stays whole and in its order, in one process, but for what `APART` names; and without
pytest-xdist everything runs as ever, in one.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import pytest
    from xdist.remote import Producer
    from xdist.scheduler import LoadScopeScheduling

LONG: Final = ("crash", "property", "servers", "cli")
"""Folders whose files take long, the longest first; what is quick fills the gaps at the end."""
APART: Final = frozenset(
    {
        "test_f004_every_cut_of_the_line_of_a_deleting_run",
        "test_f111_two_hundred_and_fifty_kills_lose_nothing",
        "test_f004_f030_f079_a_line_that_breaks_once_at_very_many_moments",
        "test_f112_what_was_vouched_for_is_whole_after_a_power_cut",
    }
)
"""Functions of which each case takes as long as a file, and needs no other."""


def share_out(config: pytest.Config) -> None:
    """Choose several processes where folders are to be tested, unless the words of the call speak against it.

    A debugger or a bare terminal needs one process, and a few tests are over before others have begun.
    """
    option = config.option
    if hasattr(config, "workerinput") or not hasattr(option, "numprocesses"):
        return
    alone = option.usepdb or option.trace or option.capture == "no" or option.collectonly
    if option.numprocesses is None and not (option.tx or alone) and any(map(_is_folder, config.args)):
        option.numprocesses = "auto"
    if option.numprocesses and option.dist == "no":
        option.dist = "loadfile"


def processes() -> int:
    """Give how many fit: one more than there are processors."""
    return min((os.cpu_count() or 1) + 1, 8)


def scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling | None:
    """Make what hands out the units; None where somebody chose another way."""
    if config.option.dist != "loadfile":
        return None
    from xdist.scheduler import LoadScopeScheduling

    config.option.loadscopereorder = False
    made = LoadScopeScheduling(config, log)
    made._split_scope = unit
    return made


def long_first(items: list[pytest.Item]) -> None:
    """Put the files that take long to the front, those with a test marked `long` before the others of a folder."""
    marked = {item.path for item in items if item.get_closest_marker("long")}
    rank = {name: index for index, name in enumerate(LONG)}
    items.sort(key=lambda item: (rank.get(item.path.parent.name, len(LONG)), item.path not in marked))


def unit(nodeid: str) -> str:
    """Give the name of what goes to a process as a whole."""
    file, _, test = nodeid.partition("::")
    return nodeid if test.partition("[")[0] in APART else file


def _is_folder(word: str) -> bool:
    return Path(word).is_dir()
