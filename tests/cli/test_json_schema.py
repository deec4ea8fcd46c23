"""docs/json.md, the events, and what runs print, against each other."""

from __future__ import annotations

import ast
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import mailarchive as package
from mailarchive.demo.server import DemoServer
from mailarchive.demo.store import Store
from tests.command import mailarchive
from tests.core.screen_samples import EVERY_EVENT
from tests.corpus import corpus
from tests.json_schema import RECORDS, lines, markdown, problems

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailarchive.events import Event

ROOT = Path(package.__file__).parent.parent


def test_the_document_is_current() -> None:
    """`python -m tests.json_schema > docs/json.md` makes it."""
    assert (ROOT / "docs" / "json.md").read_text(encoding="utf-8") == markdown()


@pytest.mark.parametrize(("event", "line"), EVERY_EVENT, ids=lambda value: type(value).__name__)
def test_each_event_prints_what_the_schema_says(event: Event, line: dict[str, Any]) -> None:
    """Every field, of the right type, and no other."""
    assert event is not None
    assert problems(line) == []


@pytest.mark.parametrize(
    "line",
    [
        {"event": "listing", "mailbox": "INBOX", "done": 1},
        {"event": "listing", "mailbox": "INBOX", "done": 1, "total": "7"},
        {"event": "listing", "mailbox": "INBOX", "done": True, "total": 7},
        {"event": "listing", "mailbox": "INBOX", "done": 1, "total": 7, "more": 0},
        {"event": "listening", "mailbox": "INBOX", "done": 1, "total": 7},
        {"event": "kept", "mailbox": "INBOX", "uid": None, "reason": "x", "detail": ""},
    ],
)
def test_what_is_not_in_the_schema_is_found(line: dict[str, Any]) -> None:
    """The check can fail: a field too few or too many, a wrong type, an unknown line."""
    assert problems(line)


def test_every_line_that_is_no_event_is_in_the_schema() -> None:
    """Each name with which a command calls `record` has its fields in `RECORDS`."""
    found = set()
    for path in Path(package.__file__).parent.glob("cli/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "record":
                first = node.args[0]
                assert isinstance(first, ast.Constant), ast.unparse(node)
                found.add(first.value)
    assert found | {"schema", "error"} == set(RECORDS)


@pytest.fixture(scope="module")
def server() -> Iterator[DemoServer]:
    """Serve five messages."""
    store = Store()
    box = store.add_account("kim", "secret", limit=50_000_000).find("INBOX")
    assert box is not None
    for sample in corpus(5, seed=5, now=datetime.now(UTC) - timedelta(days=500), sizes="small"):
        box.append(sample.raw, sample.internal_date, sample.flags)
    with DemoServer(store) as running:
        yield running


def test_what_runs_print_is_what_the_schema_says(server: DemoServer, home: Path) -> None:
    """Of every command that prints lines and needs no second server; the schema comes first."""
    config = home / ".config" / "mailarchive" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(
        f'[account.home]\nserver = "imap+insecure://127.0.0.1:{server.imap_port}"\nuser = "kim"\n'
        'password_command = "echo secret"\non_failure = "false"\nmailboxes = ["INBOX"]\n'
    )
    config.chmod(0o600)
    seen: set[str] = set()
    for words in (
        ["status"],
        ["backup", "--dry-run"],
        ["backup"],
        ["backup", "--older-than", "1y", "--delete", "--no-keep-flagged", "--yes"],
        ["backup", "--mailbox", "absent"],
        ["backup", "unknown"],
        ["backup", "--shard", "1/2"],
        ["status"],
        ["verify", "home"],
        ["reindex", "home"],
        ["du", "home"],
        ["search", "has:attachment OR larger:1"],
        ["list", "--limit", "2"],
        ["export", "--as", "eml", "--to", str(home / "out")],
        ["restore", "home", "--dry-run"],
        ["doctor"],
        ["config", "show"],
        ["config", "check"],
        ["config", "path"],
        ["schedule", "--system", "cron"],
        ["schedule", "--system", "launchd", "--install"],
    ):
        events = mailarchive("--json", *words).events
        assert events[0]["event"] == "schema"
        assert [found for line in events for found in problems(line)] == []
        seen |= {line["event"] for line in events}
    (first, *_) = [line for line in mailarchive("--json", "list").events if line["event"] == "found"]
    shown = mailarchive("--json", "show", first["id"]).events
    assert [found for line in shown for found in problems(line)] == []
    seen |= {line["event"] for line in shown}
    assert set(RECORDS) <= seen
    assert seen <= set(lines())
    assert {"started", "planned", "archived", "expunged", "finished", "warned", "usage_finished"} <= seen
