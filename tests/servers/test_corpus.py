"""What the corpus and the fixtures of `conftest.py` promise to every test."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import pytest
from platformdirs import user_cache_path, user_config_path, user_state_path

from tests.corpus import MAILBOXES, Sizes, corpus, spread

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = datetime(2025, 11, 23, 12, tzinfo=UTC)
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("sizes", get_args(Sizes))
def test_corpus_is_the_same_each_time_and_never_repeats(sizes: Sizes) -> None:
    """A seed gives the same messages twice, all different, over the whole span, with CRLF and nothing deleted."""
    samples = corpus(120, seed=11, now=NOW, years=3, sizes=sizes)
    assert samples == corpus(120, seed=11, now=NOW, years=3, sizes=sizes)
    assert samples != corpus(120, seed=12, now=NOW, years=3, sizes=sizes)
    assert len({sample.raw for sample in samples}) == 120
    ages = [NOW - sample.internal_date for sample in samples]
    assert timedelta(0) <= min(ages) < timedelta(days=60)
    assert timedelta(days=3 * 365 - 60) < max(ages) <= timedelta(days=3 * 365.25 + 1)
    for sample in samples:
        assert sample.raw.replace(b"\r\n", b"").translate(None, b"\r\n\0") == sample.raw.replace(b"\r\n", b"")
        assert sample.imap_exact
        assert "\\Deleted" not in sample.flags


def test_corpus_holds_every_trap() -> None:
    """A dozen messages hold 8-bit text, long lines, dot lines, `From ` lines, no body and no last newline."""
    raws = [sample.raw for sample in corpus(12, seed=13, now=NOW, sizes="tiny")]
    assert any(not raw.isascii() for raw in raws)
    assert any(not raw.partition(b"\r\n\r\n")[0].isascii() for raw in raws)
    assert any(max(map(len, raw.split(b"\r\n"))) > 1000 for raw in raws)
    assert any(b"\r\n.\r\n" in raw and b"\r\n..\r\n" in raw for raw in raws)
    assert any(b"\r\nFrom " in raw and b"\r\n>From " in raw for raw in raws)
    assert any(raw.endswith(b"\r\n\r\n") for raw in raws)
    assert any(not raw.endswith(b"\r\n") for raw in raws)
    assert any(b"Content-Disposition: attachment" in raw for raw in raws)
    assert any(b"=?utf-8?B?" in raw for raw in raws)


def test_spread_loses_nothing() -> None:
    """Each sample goes to one mailbox, each mailbox gets some, and a single mailbox gets all."""
    samples = corpus(50, seed=14, now=NOW, sizes="tiny")
    dealt = spread(samples)
    assert tuple(dealt) == MAILBOXES
    assert all(dealt.values())
    assert sorted(sample.name for part in dealt.values() for sample in part) == sorted(one.name for one in samples)
    assert spread(samples, ["Only"]) == {"Only": samples}


def test_the_real_home_is_out_of_reach(home: Path) -> None:
    """HOME and the places of platformdirs lie in a folder of the test's own; of our variables only its own are set."""
    assert Path("~").expanduser() == home
    for place in (user_config_path("mailarchive"), user_state_path("mailarchive"), user_cache_path("mailarchive")):
        assert place.is_relative_to(home)
    assert list(home.iterdir()) == [home / "run"]
    ours = {name for name in os.environ if name.startswith("MAILARCHIVE_")} - {"MAILARCHIVE_REQUIRE_SERVERS"}
    assert all(name.endswith("_MAX_WAIT") for name in ours), ours


@pytest.mark.parametrize(("strict", "outcome"), [("", "skipped"), ("1", "errors")])
def test_missing_programs_skip_here_and_fail_in_ci(tmp_path: Path, strict: str, outcome: str) -> None:
    """A reader that is not installed skips its test, and fails it where servers are required."""
    (tmp_path / "test_it.py").write_text(
        "import pytest\n@pytest.mark.reader('no-such-reader')\ndef test_it():\n    assert False\n"
    )
    (tmp_path / "conftest.py").write_text("from tests.conftest import *\n")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MAILARCHIVE_REQUIRE_SERVERS": strict}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-rs",
            "-p",
            "no:cacheprovider",
            "-o",
            "markers=reader",
            "--rootdir",
            ".",
            "test_it.py",
        ],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert "no-such-reader is not installed" in done.stdout
    assert f"1 {outcome.rstrip('s')}" in done.stdout
    assert done.returncode == (1 if strict else 0)


def test_seed_belongs_to_the_test(seed: int, rng: random.Random, capsys: pytest.CaptureFixture[str]) -> None:
    """The seed is the same in every run, shown with a failure, and starts `rng`."""
    assert rng.random() == random.Random(seed).random()
    assert seed.bit_length() <= 32
    assert capsys.readouterr().out in {"", f"seed {seed} (--seed 20251123)\n"}


def test_require_finds_programs(require: Callable[[str], str]) -> None:
    """`require` gives the path of what is there and skips for what is not."""
    assert Path(require("sh")).is_absolute()
    with pytest.raises((pytest.skip.Exception, pytest.fail.Exception), match="no-such-program is not installed"):
        require("no-such-program")
