"""The table of faults: each row, the tests that show it, and what no test shows.

`python -m tests.rows.table` prints it as it stands in docs/faults.md.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from tests.rows.crash import CRASH
from tests.rows.disk import DISK
from tests.rows.imap import IMAP
from tests.rows.network import NETWORK
from tests.rows.pop import POP
from tests.rows.sign_in import SIGN_IN
from tests.rows.wrong_input import WRONG_INPUT

if TYPE_CHECKING:
    from tests.rows.row import Row

SECTIONS: Final[dict[str, dict[int, Row]]] = {
    "Network and TLS": NETWORK,
    "Sign-in": SIGN_IN,
    "IMAP": IMAP,
    "POP3": POP,
    "Files and disk": DISK,
    "Crash, concurrency, time, content": CRASH,
    "Wrong input": WRONG_INPUT,
}
ROWS: Final[dict[int, Row]] = {number: row for rows in SECTIONS.values() for number, row in rows.items()}

HEAD: Final = """# What can go wrong, and the tests that show what becomes of it

Made by `python -m tests.rows.table`; the tests check that it is current. A row keeps its number for ever, and a test
that is named `test_f012_…` belongs to row 12. Every test named here runs in `.ci/run`, as root and with servers.
"""


def markdown() -> str:
    """Make the text of docs/faults.md."""
    parts = [HEAD]
    for title, rows in SECTIONS.items():
        parts.append(f"## {title}\n\n| row | fault | shown by | not shown, and why |\n|--:|---|---|---|")
        parts.extend(_line(number, row) for number, row in rows.items())
        parts.append("")
    return "\n".join(parts).rstrip() + "\n"


def _line(number: int, row: Row) -> str:
    by_file: dict[str, list[str]] = {}
    for node in row.tests:
        path, _, name = node.partition("::")
        by_file.setdefault(path.removeprefix("tests/"), []).append(name.removeprefix("test_"))
    shown = "; ".join(f"`{path}`: {', '.join(names)}" for path, names in by_file.items())
    return f"| {number} | {row.fault} | {shown} | {row.not_shown} |"


if __name__ == "__main__":
    sys.stdout.write(markdown())
