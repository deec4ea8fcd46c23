"""Runs the parsers of what servers and files say under atheris, which looks for new ways through them by itself.

Law of this room: an optional job, no test; atheris is no dependency of ours. An error that is not ours stops it, and
the octets that made it are kept in a file `crash-…` in the folder that it was started in.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import atheris  # type: ignore[import-untyped, import-not-found, unused-ignore] # who runs this installs it

with atheris.instrument_imports(include=["mailarchive"]):
    from mailarchive import headers, mbox_block
    from mailarchive.archives import uidlist
    from mailarchive.discovery import autoconfig
    from mailarchive.discovery.candidate import mail_address
    from mailarchive.imports import imap_backup
    from mailarchive.model import Criteria, MailboxStatus
    from mailarchive.sources import imap, imap_list
    from mailarchive.sources.pop_drop import Drop, Pace
    from tests.property import test_fuzz_files, test_fuzz_imap, test_fuzz_pop, test_fuzz_typed
    from tests.property.mutation import commands_of, line_of, only_ours
    from tests.property.test_fuzz_imap import BOX, fetched, sane, session_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def _listed(octets: bytes) -> None:
    sane(imap_list.Lister(commands_of(octets), MailboxStatus(5, 7, 6), "INBOX").listing(Criteria()))


def _opened(octets: bytes) -> None:
    with imap.ImapSource(session_of(octets)).open(BOX) as box:
        assert box.status.exists >= 0


def _described(octets: bytes) -> None:
    with suppress(autoconfig.NoDescriptionError):
        autoconfig.read(octets, mail_address("me@example.org"), "x")


def _headed(octets: bytes) -> None:
    headers.envelope(octets)
    headers.arrival(octets)
    headers.judged(octets, len(octets))


TARGETS: dict[str, Callable[[bytes], object]] = {
    "bodies": lambda octets: list(fetched(commands_of(octets))),
    "listing": _listed,
    "mailboxes": lambda octets: imap_list.mailboxes(commands_of(octets)),
    "opening": _opened,
    "quota": lambda octets: imap.ImapSource(session_of(octets)).quota(),
    "maildrop": lambda octets: Drop(line_of(octets), frozenset(), 1, Pace()),
    "headers": _headed,
    "block": mbox_block.parse,
    "uidlist": lambda octets: uidlist.parse_uidlist(octets.decode("latin-1")),
    "index": imap_backup.read_index,
    "autoconfig": _described,
}

SEEDS: dict[str, Sequence[bytes]] = {
    "bodies": test_fuzz_imap.BODIES,
    "listing": [*test_fuzz_imap.FACTS, *test_fuzz_imap.HITS],
    "mailboxes": test_fuzz_imap.LISTS,
    "opening": test_fuzz_imap.OPENED,
    "quota": test_fuzz_imap.QUOTAS,
    "maildrop": test_fuzz_pop.SESSIONS,
    "headers": test_fuzz_typed.HEADS,
    "block": test_fuzz_files.MBOXES,
    "uidlist": test_fuzz_files.UIDLISTS,
    "index": [test_fuzz_files.INDEX],
    "autoconfig": [test_fuzz_typed.XML],
}
"""What a folder that is empty is filled with."""


def main() -> None:
    """Fuzz the target that the first word names, with seeds in the folder that the second one names."""
    if len(sys.argv) < 3 or sys.argv[1] not in TARGETS:
        sys.exit(f"usage: python -m tests.fuzz TARGET FOLDER [OPTION OF LIBFUZZER]...; targets: {', '.join(TARGETS)}")
    target = sys.argv.pop(1)
    read, folder = TARGETS[target], Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    if not any(folder.iterdir()):
        for number, seed in enumerate(SEEDS[target]):
            (folder / f"seed-{number}").write_bytes(seed)

    def once(octets: bytes) -> None:
        with only_ours():
            read(octets)

    atheris.Setup(sys.argv, once)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
