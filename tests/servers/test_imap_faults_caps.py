r"""Rows 54 to 58 of the table of faults: literals that lie, lines without end, floods, and lists in lists in lists.

Each test is a whole run: it ends with 16, what came whole before is archived, nothing is deleted that is not, memory
stays flat, and as soon as the server behaves, the next run goes on.
"""

from __future__ import annotations

import itertools
import re
import sys
from typing import TYPE_CHECKING

import pytest

from mailarchive.sources import imap_fetch
from tests.command import plain_url
from tests.jobs import text
from tests.servers.misbehaving import (
    ALL,
    BODIES,
    DELETE,
    FACTS,
    OK,
    OLD,
    PROBE,
    USER,
    Fault,
    Misbehaving,
    archived,
    endless,
    instead,
    only,
    recovered,
    responses,
    these,
    told,
    total,
)
from tests.servers.test_memory import peak_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from tests.servers.misbehaving import Lie

INBOX = ("--mailbox", "INBOX", *DELETE)
AT_SIGN_IN = ("^CAPABILITY", "^AUTHENTICATE")
ASKING = ("^NAMESPACE", "^LIST", "^GETQUOTAROOT", "^EXAMINE", "^UID SEARCH", FACTS, BODIES)
CHANGING = ("^SELECT", PROBE, "^UID STORE", "^UID EXPUNGE")


def stopped(server: Misbehaving, archive: Path, command: str) -> str:
    """Run a deletion that this command breaks: 16, nothing lost; gives the error."""
    result = server.run(archive, *DELETE)
    assert result.code == 16
    gone = {*OLD, 5} - set(server.holds())
    assert not gone
    assert archived(archive) == (these(*OLD) if command in CHANGING else [])
    server.faults.clear()
    after = server.run(archive, *DELETE)
    assert (after.code, server.holds(), server.holds("Work"), server.marked()) == (0, [5], [], [])
    end = result.events[-1]
    return str(end["error"] if "error" in end else end["message"])


# Rows 54 and 55: literals


@pytest.mark.parametrize("size", [b"{99999999999999}", b"{5000000000}", b"{-1}", b"{x}", b"{3}", b"{100}", b"{500}"])
@pytest.mark.parametrize("first", [True, False])
def test_f054_f055_a_literal_that_lies_is_no_message(tmp_path: Path, size: bytes, *, first: bool) -> None:
    """Giant, negative, too short or too long: 16 with the UID, what came before is archived, and nothing of it is kept.

    Whether the UID stands before the body or behind it.
    """
    lie = instead(rb"\{\d+\}", size)
    behind = instead(rb"\(UID 2 (.*)\)\r\n\Z", rb"(\1 UID 2)" + b"\r\n")
    with Misbehaving(Fault(BODIES, only(2, lie if first else lambda answer: behind(lie(answer))))) as server:
        result = server.run(tmp_path, *INBOX)
        assert result.code == 16
        assert not first or "for UID 2;" in result.end["error"]
        assert archived(tmp_path) == these(1)
        assert (server.holds(), server.marked()) == ([1, 2, 3, 4, 5], [])
        recovered(server, tmp_path)


def test_f054_a_message_over_the_cap_is_read_past_and_the_others_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1 GiB where a user runs it, less here: it stays, all others are archived and deleted."""
    monkeypatch.setattr(imap_fetch, "LITERAL_CAP", 1000)
    with Misbehaving() as server:
        server.inbox.append(text(70, 2000), server.inbox.messages()[0].internal_date, ["\\Seen"])
        result = server.run(tmp_path, *INBOX)
        assert (result.code, total(result)) == (3, (4, 4, 0, 1))
        assert [(each["uid"], each["reason"]) for each in told(result, "failed")] == [(6, "it is larger than 1 GiB")]
        assert (archived(tmp_path), server.holds()) == (these(*OLD), [5, 6])


def test_f055_a_literal_that_swallows_the_next_message_is_never_deletable(tmp_path: Path) -> None:
    """The line goes on as if nothing had been; one has other octets than announced, one is missing, and both stay."""

    def swallowing(answer: bytes) -> bytes:
        parts = responses(answer)
        size = len(parts[1]) - len(b")\r\n") + len(parts[2]) - len(b")\r\n")
        octets = size - parts[1].index(b"}\r\n") - 3 + len(b")\r\n")
        return b"".join([parts[0], re.sub(rb"\{\d+\}", b"{%d}" % octets, parts[1]), *parts[2:]])

    with Misbehaving(Fault(BODIES, swallowing, times=1)) as server:
        result = server.run(tmp_path, *INBOX)
        assert (result.code, total(result)) == (3, (3, 2, 1, 1))
        assert [each["uid"] for each in told(result, "held")] == [2]
        assert [each["uid"] for each in told(result, "failed")] == [3]
        assert server.holds() == [2, 3, 5]
        after = server.run(tmp_path, *INBOX)
        assert (after.code, total(after), server.holds()) == (0, (1, 1, 1, 0), [2, 5])
        assert set(these(1, 3, 4)) <= set(archived(tmp_path))


# Rows 56 to 58: lines, floods and nesting


@pytest.mark.parametrize("command", [*AT_SIGN_IN, *ASKING, *CHANGING])
def test_f056_a_line_without_end(tmp_path: Path, command: str) -> None:
    """After a MiB it is left, before the sign-in after 64 KiB."""
    with Misbehaving(Fault(command, endless(b"* " + b"x" * 1000))) as server:
        assert re.search(r"a line of more than (1048576|65536) octets", stopped(server, tmp_path, command))


@pytest.mark.parametrize("command", [*AT_SIGN_IN, *ASKING, *CHANGING])
def test_f057_an_answer_without_end(tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A budget of lines ends it; a tenth of that where a user runs it."""
    monkeypatch.setattr("mailarchive.sources.imap_commands.UNTAGGED", 20_000)
    with Misbehaving(Fault(command, endless(b"* OK x\r\n"))) as server:
        assert re.search(r"without end|more than \d+ lines", stopped(server, tmp_path, command))


NESTED = b"(" * 100_000


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (FACTS, b"* 1 FETCH (UID 1 FLAGS " + NESTED),
        (FACTS, b"* 1 FETCH (UID 1 FLAGS " + NESTED + b")" * 100_000 + b")"),
        (BODIES, b"* 1 FETCH (UID 1 X " + NESTED),
        (PROBE, b"* 1 FETCH (UID 1 X " + NESTED),
    ],
)
def test_f058_lists_in_lists_in_lists(tmp_path: Path, command: str, says: bytes) -> None:
    """The depth has a cap, so that it ends in words and not in a RecursionError."""
    with Misbehaving(Fault(command, says + b"\r\n" + OK)) as server:
        assert "nested more than 32 deep" in stopped(server, tmp_path, command)


# Memory


def numbered(shape: bytes) -> Iterable[bytes]:
    """Send lines without end, each with a number of its own."""
    numbers = itertools.count(1)
    while True:
        yield b"".join(shape.replace(b"%", b"%d" % next(numbers)) for _ in range(2000))


def giant(answer: bytes) -> Iterable[bytes]:
    """Announce 3 GB for the second message and send 200 MB of it."""
    parts = responses(answer)
    yield parts[0] + re.sub(rb"\{\d+\}\r\n.*", b"{3000000000}\r\n", parts[1], flags=re.DOTALL)
    for _ in range(200):
        yield b"x" * 1_000_000
    yield b"<CUT>"


FLOODS: dict[str, tuple[str, Callable[[], Lie], int]] = {
    "a giant literal": (BODIES, lambda: giant, 15),
    "a line": (BODIES, lambda: endless(b"x"), 16),
    "long lines": (FACTS, lambda: endless(b"* OK " + b"x" * 1_000_000 + b"\r\n"), 16),
    "alerts": (FACTS, lambda: endless(b"* OK [ALERT] " + b"x" * 900 + b"\r\n"), 16),
    "messages": (FACTS, lambda: numbered(b'* % FETCH (UID % FLAGS (\\X%) INTERNALDATE "x" RFC822.SIZE %)\r\n'), 16),
    "mailboxes": ("^LIST", lambda: numbered(b'* LIST () "/" "box %"\r\n'), 16),
    "hits": ("^UID SEARCH", lambda: numbered(b"* SEARCH %\r\n"), 16),
    "quotas": ("^GETQUOTAROOT", lambda: numbered(b"* QUOTA r% (STORAGE 1 2)\r\n"), 16),
    "namespaces": ("^NAMESPACE", lambda: numbered(b'* NAMESPACE (("x%" "/")) NIL NIL\r\n'), 16),
}
QUICK = ("a giant literal", "a line", "mailboxes", "hits")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak is read from /proc")
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.long]) for name in FLOODS]
)
def test_f054_f056_f057_memory_stays_flat(tmp_path: Path, name: str) -> None:
    """The whole process, interpreter included, whatever a server pours out."""
    command, says, code = FLOODS[name]
    with Misbehaving(Fault(command, says())) as server:
        url = plain_url(server.imap_port, USER)
        peak = peak_of("backup", url, "--to", tmp_path / "a", "--older-than", "1y", code=code)
        assert set(archived(tmp_path / "a")) <= set(these(*ALL))
    print(f"peak {peak / 1024**2:.1f} MiB")  # noqa: T201 - for the record
    assert peak < 100 * 1024 * 1024
