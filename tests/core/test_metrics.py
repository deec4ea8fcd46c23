"""The text for Prometheus, and the file that keeps it."""

from __future__ import annotations

import stat
import threading
from typing import TYPE_CHECKING

import pytest

from mailarchive.errors import ExitCode
from mailarchive.model import Quota
from mailarchive.monitoring import textfile
from mailarchive.monitoring.metrics import MARK, Key, merged, numbers, parsed, rendered
from mailarchive.monitoring.outcome import Outcome
from mailarchive.tally import Tally

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = 'a"} 1\nmailarchive_exit_code{account="b\\'


def outcome(account: str = "home", code: ExitCode = ExitCode.DONE, at: float = 1000.0) -> Outcome:
    """Make an outcome with numbers that differ from each other."""
    total = Tally(selected=9, archived=4, deleted=3, failed=2, size=4711)
    return Outcome(account, code, at, 1.25, run="r", total=total, quota=Quota(80, 100))


def test_every_number_has_its_gauge() -> None:
    """The whole text of one account."""
    lines = merged("", [outcome(code=ExitCode.PARTIAL)]).splitlines()
    assert lines[0] == MARK
    assert [line for line in lines if not line.startswith("#")] == [
        'mailarchive_last_run_timestamp_seconds{account="home"} 1000',
        'mailarchive_last_success_timestamp_seconds{account="home"} 1000',
        'mailarchive_exit_code{account="home"} 3',
        'mailarchive_messages_archived{account="home"} 4',
        'mailarchive_messages_deleted{account="home"} 3',
        'mailarchive_messages_failed{account="home"} 2',
        'mailarchive_archived_bytes{account="home"} 4711',
        'mailarchive_duration_seconds{account="home"} 1.250',
        'mailarchive_quota_used_bytes{account="home"} 80',
        'mailarchive_quota_limit_bytes{account="home"} 100',
    ]
    assert sum(line.startswith("# TYPE ") for line in lines) == 10


def test_a_failure_keeps_the_last_success_and_the_last_quota() -> None:
    """What could not begin knows neither; it archived nothing, and that is said."""
    before = merged("", [outcome(at=1000.0)])
    after = parsed(merged(before, [Outcome("home", ExitCode.SIGN_IN, 2000.0, 0.5)]))
    assert after[Key("home", "last_success_timestamp_seconds")] == 1000
    assert after[Key("home", "last_run_timestamp_seconds")] == 2000
    assert after[Key("home", "exit_code")] == 12
    assert after[Key("home", "messages_archived")] == 0
    assert after[Key("home", "quota_used_bytes")] == 80


def test_other_accounts_stay_as_they_were() -> None:
    """A run on one account says nothing of another."""
    before = merged("", [outcome("a"), outcome("b", at=5.0)])
    after = merged(before, [outcome("a", ExitCode.UNREACHABLE, at=6.0)])
    assert {key: value for key, value in parsed(after).items() if key.account == "b"} == numbers(outcome("b", at=5.0))


@pytest.mark.parametrize("name", [HOSTILE, "back\\slash", "\\n", 'quote"', "käse", "{}"])
def test_a_hostile_name_stays_one_label(name: str) -> None:
    """It makes no line of its own, and is read back as it was."""
    text = merged("", [outcome(name), outcome("plain")])
    assert {key.account for key in parsed(text)} == {name, "plain"}
    assert parsed(text) == numbers(outcome(name)) | numbers(outcome("plain"))
    assert len(text.splitlines()) == 1 + 10 * 4


def test_what_is_not_ours_is_dropped() -> None:
    """Lines of another program, unknown gauges, torn lines."""
    foreign = (
        'node_x 1\nmailarchive_fun{account="a"} 1\nmailarchive_exit_code{account="a"} x\nmailarchive_exit_code{acc'
    )
    assert parsed(foreign) == {}
    assert rendered({}) == f"{MARK}\n"


def test_the_file_is_kept_by_rename_and_readable_for_the_collector(tmp_path: Path) -> None:
    """No draft is left behind."""
    path = tmp_path / "mail.prom"
    assert textfile.write(path, [outcome("a")]) == ""
    first = path.stat().st_ino
    assert textfile.write(path, [outcome("b")]) == ""
    assert path.stat().st_ino != first
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert {key.account for key in parsed(path.read_text())} == {"a", "b"}
    assert [each.name for each in tmp_path.iterdir()] == ["mail.prom"]


def test_a_file_of_another_program_is_left_alone(tmp_path: Path) -> None:
    """A slip in the path costs nobody a file; a folder and a link to nowhere are refused too."""
    path = tmp_path / "precious"
    path.write_text("do not lose me\n")
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    assert "not written by mailarchive" in textfile.write(path, [outcome()])
    assert path.read_text() == "do not lose me\n"
    assert textfile.write(tmp_path, [outcome()])
    assert textfile.write(tmp_path / "nowhere", [outcome()])
    assert textfile.write(tmp_path / "absent" / "x.prom", [outcome()]) == "No such file or directory"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["nowhere", "precious"]


def test_runs_that_end_at_once_lose_nothing_of_each_other(tmp_path: Path) -> None:
    """Each account of many writers is in the file at the end."""
    path = tmp_path / "mail.prom"
    names = [f"account{number}" for number in range(12)]
    threads = [threading.Thread(target=textfile.write, args=(path, [outcome(name)])) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {key.account for key in parsed(path.read_text())} == set(names)
