"""The benchmarks themselves: the same mail each time, the right arithmetic, and measures of what they say."""

from __future__ import annotations

import hashlib
import os
import select
import sys
from typing import TYPE_CHECKING

import pytest

from tests.benchmarks import listing, measure, profiled, table
from tests.benchmarks.__main__ import ALL, cells
from tests.benchmarks.corpus import SETS, letters
from tests.benchmarks.measure import Cost, UnableError
from tests.benchmarks.peers import OURS, TOOLS, Tool
from tests.benchmarks.rounds import Cell, Outcome, Rules, differences, play, profile, stored
from tests.benchmarks.server import fill, new_server

if TYPE_CHECKING:
    from pathlib import Path

    from tests.benchmarks.peers import Target

MIB = 2**20


def costs(*walls: float) -> list[Cost]:
    """Make costs of these seconds."""
    return [Cost(wall, wall / 2, 10 * MIB) for wall in walls]


@pytest.mark.parametrize("name", "SML")
def test_a_set_is_the_same_for_the_same_seed_and_another_for_another(name: str) -> None:
    """Octets, mailboxes and dates; no message is there twice."""
    mail = SETS[name]._replace(number=60)
    once = list(letters(mail, 7))
    assert once == list(letters(mail, 7))
    assert len(once) == len({letter.octets for letter in once}) == 60
    assert [len(letter.octets) for letter in letters(mail, 8)] != [len(letter.octets) for letter in once]


@pytest.mark.parametrize("name", SETS)
def test_mail_is_plain_and_of_the_size_that_the_set_names(name: str) -> None:
    """ASCII with CRLF only, in the order of its dates, in every mailbox, within a tenth of the range of sizes."""
    mail = SETS[name]._replace(number=30 if name != "H" else 2)
    made = list(letters(mail, 1))
    lowest, highest = mail.sizes[0][0], mail.sizes[-1][1]
    for letter in made:
        assert letter.octets.isascii()
        assert letter.octets.count(b"\n") == letter.octets.count(b"\r") == letter.octets.count(b"\r\n")
        assert letter.octets.endswith(b"\r\n")
        assert lowest * 0.9 <= len(letter.octets) <= highest * 1.1
    assert [letter.received for letter in made] == sorted(letter.received for letter in made)
    assert {letter.mailbox for letter in made} == set(mail.mailboxes)


def test_a_ratio_is_the_median_of_those_within_the_rounds() -> None:
    """Not the ratio of the medians, which here is 4 / 2."""
    assert table.ratio(costs(9, 4, 1), costs(3, 1, 2)) == "3.00"
    assert table.ratio(costs(4), []) == "-"


def test_a_table_has_medians_and_the_reason_of_a_failure() -> None:
    """Beside mbsync and beside the drain; what is not measured is a dash."""
    outcomes = {
        OURS: Outcome(costs(2, 8, 3), costs(0.5, 0.5, 0.5)),
        "mbsync": Outcome(costs(4, 4, 4), costs(1, 1, 1)),
        "fdm": Outcome(why="stored 3 of 9 messages"),
        "drain": Outcome(costs(1, 1, 1)),
    }
    lines = table.lay_out(Cell("M", "imap", 25), outcomes, 82_000_000).splitlines()
    assert lines[0] == "### M over IMAP, through 25 ms each way: 20,000 of about 4 KiB in 11 mailboxes, 82 MB"
    assert lines[4:] == [
        "| mailarchive | 3.00 | 2.00-8.00 | 0.75 | 3.00 | 1.50 | 10 | 0.50 | 0.50 | 10 |",
        "| mbsync | 4.00 | 4.00-4.00 | 1.00 | 4.00 | 2.00 | 10 | 1.00 | 1.00 | 10 |",
        "| fdm | stored 3 of 9 messages |  |  |  |  |  |  |  |  |",
        "| raw socket, drops all | 1.00 | 1.00-1.00 | 0.25 | 1.00 | 0.50 | 10 | - | - | - |",
    ]
    assert {line.count("|") for line in lines[2:]} == {11}


def test_nothing_asked_for_is_everything_and_one_option_is_enough_for_a_cell() -> None:
    """A delay alone means every set and both protocols through it."""
    assert cells([], [], None) == list(ALL)
    assert cells(["M"], ["imap"], 25) == [Cell("M", "imap", 25)]
    assert len(cells([], [], 5)) == 2 * len(SETS)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="sizes are as Linux counts them")
def test_peak_memory_is_that_of_the_largest_process_below_and_not_ours() -> None:
    """A child of a shell counts; the size of this process does not."""
    ballast = b"x" * (150 * MIB)
    small = measure.run(["sh", "-c", "true"], os.environ, patience=20)
    code = f"b'x' * {100 * MIB}"
    large = measure.run(["sh", "-c", f'{sys.executable} -c "{code}"; true'], os.environ, patience=20)
    assert small.peak < 50 * MIB < len(ballast)
    assert 100 * MIB < large.peak < 150 * MIB


def test_a_program_that_fails_is_unable_and_says_why() -> None:
    """Its last line is made harmless for a table; a code that is good for it passes; a missing one is named."""
    with pytest.raises(UnableError, match=r"^exit 3: no \?\[2J mail \? here$"):
        measure.run(
            ["sh", "-c", "echo first; printf 'no \\033[2J mail | here\\n' >&2; exit 3"], os.environ, patience=20
        )
    assert measure.run(["sh", "-c", "exit 1"], os.environ, patience=20, good=(0, 1)).wall > 0
    with pytest.raises(UnableError, match=r"^exit -9: "):
        measure.run(["sh", "-c", "kill -9 $$"], os.environ, patience=20)
    with pytest.raises(UnableError, match="is not installed"):
        measure.run(["no-such-program"], os.environ, patience=20)


def test_a_program_that_does_not_end_is_stopped_with_its_children(tmp_path: Path) -> None:
    """They would be in the way of all that is measured afterwards; here they hold a pipe open while they live."""
    os.mkfifo(tmp_path / "pipe")
    reading = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(UnableError, match=r"^stopped after 1 s$"):
        measure.run(["sh", "-c", f"exec 3>{tmp_path}/pipe; echo up >&3; sleep 60 & wait"], os.environ, patience=1)
    assert os.read(reading, 9) == b"up\n"
    assert select.select([reading], [], [], 10)[0]
    assert os.read(reading, 9) == b""
    os.close(reading)


@pytest.mark.dovecot
def test_a_small_run_measures_a_pull_and_a_run_without_new_mail(tmp_path: Path) -> None:
    """The server gives the mail that was written into it, the archive is compared with it, and a profile can be had."""
    mail = SETS["M"]._replace(number=30)
    rules = Rules(2, tmp_path / "scratch", 60)
    rules.scratch.mkdir()
    with new_server() as server:
        held = fill(server, "m", mail, 1)
        with held.account.witness() as witness:
            for mailbox, digests in held.digests.items():
                served = witness.raw_messages(mailbox).values()
                assert {hashlib.sha256(octets).digest() for octets in served} == digests
        for protocol in ("imap", "pop3"):
            outcomes = play(Cell("M", protocol, 1), held, [OURS, "drain"], rules)
            assert [outcome.why for outcome in outcomes.values()] == ["", ""]
            assert {len(outcomes[OURS].first), len(outcomes[OURS].again), len(outcomes["drain"].first)} == {rules.runs}
            rules = rules._replace(runs=1)
            assert all(cost.wall > 0 and cost.cpu > 0 for cost in outcomes[OURS].first)
        profile(Cell("M", "imap"), held, rules, tmp_path / "profile")
    assert "maildir.py" in profiled.busiest(str(tmp_path / "profile"), 500)
    (archive,) = rules.scratch.glob("profile-*/archive")
    assert (stored(archive), differences(archive, held, mail.mailboxes)) == (30, 0)
    first, second, *_ = archive.glob("*/cur/*")
    first.unlink()
    second.write_bytes(b"other")
    assert (stored(archive), differences(archive, held, mail.mailboxes)) == (29, 3)


@pytest.mark.dovecot
def test_a_program_without_all_messages_has_its_reason_and_no_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that stores nothing; ours with as many messages but others; one that is missing."""

    def forge(_target: Target, place: Path) -> list[str]:
        (place / "archive/INBOX/cur").mkdir(parents=True)
        for number in range(30):
            (place / f"archive/INBOX/cur/{number}").touch()
        return ["true"]

    for name, pull in (("idle", lambda *_: ["true"]), (OURS, forge)):
        monkeypatch.setitem(TOOLS, name, Tool(name, "true", {"imap": pull}, (), frozenset()))
    monkeypatch.setitem(TOOLS, "absent", Tool("absent", "no-such-program", {"imap": forge}, (), frozenset()))
    with new_server() as server:
        held = fill(server, "l", SETS["L"]._replace(number=30), 1)
        outcomes = play(Cell("L", "imap"), held, ["idle", OURS, "absent", "mpop"], Rules(2, tmp_path, 60))
    assert {name: outcome.why for name, outcome in outcomes.items()} == {
        "idle": "stored 0 of 30 messages",
        OURS: "31 messages differ from those on the server",
        "absent": "not installed",
    }
    assert not any(outcome.first or outcome.again for outcome in outcomes.values())


@pytest.mark.long
@pytest.mark.dovecot
def test_a_listing_is_measured_beside_a_socket(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A row for each program, whose ratio is that of the least times."""
    monkeypatch.setitem(SETS, "S", SETS["S"]._replace(number=20))
    listing.main(["--set", "S", "--runs", "1"])
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert [row[0].removeprefix("| ") for row in rows[1:]] == [
        *(listing.RAW, listing.START),
        *("du --no-senders", "du", "du --headers"),
    ]
    assert rows[1][2] == "1.00"
    assert all(float(row[1]) >= 0 and float(row[3]) >= 0 for row in rows[1:])
