"""How the tests are shared out among processes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests import parallel

TESTS = Path(parallel.__file__).parent
NOTHING = {"usepdb": False, "trace": False, "capture": "fd", "collectonly": False, "tx": [], "dist": "no"}


def chosen(word: str, **options: object) -> tuple[object, object]:
    """Give the number of processes, and how the tests are handed out, for a call with a word and options."""
    option = SimpleNamespace(**{**NOTHING, "numprocesses": None, **options})
    parallel.share_out(cast("pytest.Config", SimpleNamespace(option=option, args=[word])))
    return option.numprocesses, option.dist


@pytest.mark.parametrize(
    ("word", "options", "expected"),
    [
        (str(TESTS), {}, ("auto", "loadfile")),
        (__file__, {}, (None, "no")),
        (f"{__file__}::test_of_that_name", {}, (None, "no")),
        (str(TESTS), {"usepdb": True}, (None, "no")),
        (str(TESTS), {"trace": True}, (None, "no")),
        (str(TESTS), {"capture": "no"}, (None, "no")),
        (str(TESTS), {"collectonly": True}, (None, "no")),
        (str(TESTS), {"numprocesses": 0}, (0, "no")),
        (__file__, {"numprocesses": 5}, (5, "loadfile")),
        (str(TESTS), {"numprocesses": 5, "dist": "worksteal"}, (5, "worksteal")),
    ],
)
def test_folders_are_tested_by_several_processes(word: str, options: dict[str, Any], expected: object) -> None:
    """Unless somebody sits before a debugger, or says otherwise."""
    assert chosen(word, **options) == expected


def test_without_the_plugin_nothing_is_chosen() -> None:
    """There are no options for it then."""
    option = SimpleNamespace(**NOTHING)
    parallel.share_out(cast("pytest.Config", SimpleNamespace(option=option, args=[str(TESTS)])))
    assert vars(option) == NOTHING


def test_a_file_stays_whole_but_for_a_few_functions() -> None:
    """And those are still there."""
    assert parallel.unit("tests/core/test_plan.py::Group::test_one[a::b]") == "tests/core/test_plan.py"
    text = "\n".join(path.read_text("utf-8") for path in TESTS.glob("*/test_*.py"))
    for name in parallel.APART:
        assert f"def {name}(" in text
        assert parallel.unit(f"tests/crash/test_x.py::{name}[imap]") == f"tests/crash/test_x.py::{name}[imap]"
    for folder in parallel.LONG:
        assert (TESTS / folder).is_dir()
