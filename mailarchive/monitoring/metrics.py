"""The text that Prometheus reads: one gauge for each number of an account's last backup.

The law of this room: pure. A label is escaped, a line that is not ours is dropped, and what an earlier text says of an
account stays until a new outcome says otherwise; above all its last success.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from mailarchive.monitoring.outcome import SUCCESSES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mailarchive.monitoring.outcome import Outcome

MARK: Final = "# Written by mailarchive backup; it writes this file anew after each run."
_SUCCESS: Final = "last_success_timestamp_seconds"
GAUGES: Final = {
    "last_run_timestamp_seconds": "When the last backup ended.",
    _SUCCESS: "When the last backup ended that came to its end (exit code 0 or 3).",
    "exit_code": "Exit code of the last backup; the README lists them.",
    "messages_archived": "Messages that the last backup archived.",
    "messages_deleted": "Messages that the last backup deleted on the server.",
    "messages_failed": "Messages that the last backup could not archive.",
    "archived_bytes": "Octets that the last backup archived.",
    "duration_seconds": "How long the last backup took.",
    "quota_used_bytes": "Octets in use on the server, as it said last.",
    "quota_limit_bytes": "Octets that the server grants, as it said last.",
}
_LINE: Final = re.compile(r'mailarchive_([a-z_]+)\{account="((?:[^"\\\n]|\\[\\"n])*)"\} (-?[0-9]+(?:\.[0-9]+)?)')


class Key(NamedTuple):
    """One number: which gauge, of which account."""

    account: str
    gauge: str


def numbers(outcome: Outcome) -> dict[Key, float]:
    """Give the numbers of an outcome; those that are not known are left out, and so stay as they were."""
    found: dict[str, float] = {
        "last_run_timestamp_seconds": outcome.at,
        "exit_code": int(outcome.code),
        "duration_seconds": outcome.seconds,
        "messages_archived": 0,
        "messages_deleted": 0,
        "messages_failed": 0,
        "archived_bytes": 0,
    }
    if outcome.code in SUCCESSES:
        found[_SUCCESS] = outcome.at
    if outcome.total is not None:
        total = outcome.total
        found |= {"messages_archived": total.archived, "messages_deleted": total.deleted}
        found |= {"messages_failed": total.failed, "archived_bytes": total.size}
    if outcome.quota is not None:
        found |= {"quota_used_bytes": outcome.quota.used, "quota_limit_bytes": outcome.quota.limit}
    return {Key(outcome.account, gauge): value for gauge, value in found.items()}


def parsed(text: str) -> dict[Key, float]:
    """Read what `rendered` gave; anything else in it is left out."""
    found: dict[Key, float] = {}
    for line in text.split("\n"):
        match = _LINE.fullmatch(line)
        if match and match[1] in GAUGES:
            found[Key(_unescaped(match[2]), match[1])] = float(match[3])
    return found


def rendered(values: Mapping[Key, float]) -> str:
    """Give the text, gauge by gauge, the accounts in order."""
    lines = [MARK]
    for gauge, words in GAUGES.items():
        rows = sorted((key.account, value) for key, value in values.items() if key.gauge == gauge)
        if rows:
            lines += [f"# HELP mailarchive_{gauge} {words}", f"# TYPE mailarchive_{gauge} gauge"]
            lines += [f'mailarchive_{gauge}{{account="{_escaped(name)}"}} {_number(value)}' for name, value in rows]
    return "\n".join([*lines, ""])


def merged(before: str, outcomes: Iterable[Outcome]) -> str:
    """Give the text with these outcomes in the place of what it said of their accounts."""
    values = parsed(before)
    for outcome in outcomes:
        values |= numbers(outcome)
    return rendered(values)


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:.3f}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], text)
