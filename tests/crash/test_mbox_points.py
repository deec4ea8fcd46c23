"""An append to an mbox file that is stopped at any of its steps is recovered (K16)."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.long
@pytest.mark.timeout(300)
def test_f110_killed_at_every_step_of_an_append_it_is_recovered(tmp_path: Path) -> None:
    """What was durable is there, what is there is right, and the next run ends with each message once."""
    command = [sys.executable, "-m", "tests.crash.mbox_steps", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout) > 100
