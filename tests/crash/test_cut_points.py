"""The line of `backup --delete` breaks after each octet, of either side, on a real Dovecot; then it is run again.

After the break each message is on the server as it was, or whole in the archive; after the next run all is as without
a break, and the one after that has nothing to do. RST and FIN take turns; so do a server that takes no further
connection and one that does. `tests/crash/cuts.py` is the one case.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.crash.cuts import ENDS, Seen, cases, post

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from tests.crash.cuts import Protocol

pytestmark = pytest.mark.dovecot

PROTOCOLS = pytest.mark.parametrize("protocol", ["imap", "pop"])
STEP = 7


@PROTOCOLS
def test_f004_a_cut_of_the_line_of_a_deleting_run(memory: Path, rng: random.Random, protocol: Protocol) -> None:
    """A few octets of each side, half of them after the first change on the server."""
    seen = Seen()
    with post(protocol, memory) as server:
        session = server.session()
        assert all(0 < before < total for total, before in session.values())
        every = cases(session, step=1, seed=0)
        for side, (_, before) in session.items():
            for later in (False, True):
                some = [case for case in every if case.side == side and (case.octets >= before) == later]
                for case in rng.sample(some, 3):
                    server.try_out(case, seen)
    assert seen.cases == 12
    assert seen.codes.keys() <= ENDS


@pytest.mark.long
@pytest.mark.timeout(1800)
@PROTOCOLS
def test_f004_every_cut_of_the_line_of_a_deleting_run(memory: Path, seed: int, protocol: Protocol) -> None:
    """Each octet from the first change on the server to the end, and every seventh before it."""
    shares = os.cpu_count() or 1
    with ExitStack() as stack:
        workers = []
        for share in range(shares):
            folder = memory / str(share)
            folder.mkdir()
            words = map(str, (protocol, folder, STEP, seed, share, shares))
            command = [sys.executable, "-m", "tests.crash.cuts", *words]
            child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            workers.append(stack.enter_context(child))
            # Where this test is ended before them, they still end their servers.
            stack.callback(child.send_signal, signal.SIGINT)
        said = [worker.communicate() for worker in workers]
    total: Counter[str] = Counter()
    codes: Counter[str] = Counter()
    for worker, (out, err) in zip(workers, said, strict=True):
        assert worker.returncode == 0, err[-4000:]
        seen = json.loads(out)
        codes += Counter(seen.pop("codes"))
        total += Counter(seen)
    print(total, codes)  # noqa: T201 - shown with a failure
    # A run has so many octets to be cut at: about 2,900 cases over IMAP, 1,000 over POP3.
    assert total["cases"] > (2800 if protocol == "imap" else 900)
    assert {int(code) for code in codes} <= ENDS
    # Cuts came before the archive was there, while it grew, with marks set, and when all was gone.
    assert total["cases"] > total["archived"] > 100
    assert total["gone"] > 0
    assert (total["marked"] > 100) == (protocol == "imap")
