"""The table of faults and the tests that show its rows, checked against each other by reading the tests."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.rows.table import ROWS, markdown

ROOT = Path(__file__).parents[2]


@cache
def names_in(path: Path) -> frozenset[str]:
    """Name the test functions of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = (node.name for node in tree.body if isinstance(node, ast.FunctionDef))
    return frozenset(name for name in functions if name.startswith("test_"))


def test_no_row_is_missing() -> None:
    """The numbers of all sections, each once and without a gap."""
    assert list(ROWS) == list(range(1, len(ROWS) + 1))
    assert all(row.tests or row.not_shown for row in ROWS.values())


def test_the_document_is_current() -> None:
    """docs/faults.md is what the rows say; `python -m tests.rows.table > docs/faults.md` makes it."""
    assert (ROOT / "docs" / "faults.md").read_text(encoding="utf-8") == markdown()


@pytest.mark.parametrize("number", ROWS)
def test_the_tests_of_a_row_exist_and_are_named_by_it(number: int) -> None:
    """Each node id leads to a test whose name holds the number."""
    for node in ROWS[number].tests:
        path, _, name = node.partition("::")
        assert name in names_in(ROOT / path), node
        assert f"_f{number:03}_" in name, node


def test_no_test_of_these_rows_is_left_out() -> None:
    """A test that names a row stands in the table."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for name in names_in(path):
            node = f"{path.relative_to(ROOT).as_posix()}::{name}"
            for number in map(int, re.findall(r"(?<=_f)\d{3}(?=_)", name)):
                assert number not in ROWS or node in ROWS[number].tests, node
