"""Measures the index: how many messages a second it takes in, how large it is, and how soon a search has answers.

    python -m tests.benchmarks.searching [--messages 100000] [--folder DIR]

Law of this room: no server; an archive is written as a backup writes it, and nothing here asserts a time. Indexing is
told in seconds of this process's processor, searches as the least of several, because others may be at work.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mailarchive.archives.opening import open_for_writing
from mailarchive.catalogue import SqliteCatalogue
from mailarchive.index import NAME, Index, SqliteFinder, fill
from mailarchive.model import UID, Mailbox, Placement, RemoteMessage
from mailarchive.query import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAILBOXES = 11
_VOCABULARY = 50_000
_OCTETS = 8_000
_RUNS = 7
_BATCH = 1000


class Arriving(NamedTuple):
    """A message on its way into the archive; see `ports.Incoming`."""

    message: RemoteMessage
    octets: bytes

    def chunks(self) -> Iterator[bytes]:
        """Give it in one piece."""
        yield self.octets


class Writer:
    """Writes letters of words that are as rare as those of a language: the n-th comes 1/n as often as the first."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        letters = "etaoinshrdlucmfwypvbgkjqxz"
        self.words = ["".join(self._rng.choices(letters, k=self._rng.randint(2, 10))) for _ in range(_VOCABULARY)]
        self._weights = list(accumulate(1 / (rank + 3) for rank in range(_VOCABULARY)))

    def some(self, number: int) -> list[str]:
        """Draw words."""
        return self._rng.choices(self.words, cum_weights=self._weights, k=number)

    def letter(self, number: int) -> bytes:
        """Write one; every fourth has its text as HTML too."""
        sender, domain = self.some(2)
        head = (
            f"Received: from a.example by b.example with ESMTPS id {number:x}; Mon, 1 Jan 2024 00:00:00 +0000\r\n"
            f"From: {sender} <{sender}@{domain}.example>\r\nTo: kim@example.org\r\n"
            f"Subject: {' '.join(self.some(6))}\r\n"
            f"Date: Mon, 1 Jan 2024 00:00:00 +0000\r\nMessage-ID: <{number}@b.example>\r\nMIME-Version: 1.0\r\n"
        )
        if number % 4:
            return f"{head}Content-Type: text/plain; charset=utf-8\r\n\r\n{self._text(_OCTETS - len(head))}".encode()
        text = self._text((_OCTETS - len(head)) // 2 - 300)
        html = "<html><body>" + "".join(f"<p class=x>{line}</p>\r\n" for line in text.split("\r\n")) + "</body></html>"
        parts = (("text/plain", text), ("text/html", html))
        body = "".join(f"--b\r\nContent-Type: {kind}; charset=utf-8\r\n\r\n{content}\r\n" for kind, content in parts)
        return f"{head}Content-Type: multipart/alternative; boundary=b\r\n\r\n{body}--b--\r\n".encode()

    def _text(self, octets: int) -> str:
        lines: list[str] = []
        while octets > 0:
            lines.append(" ".join(self.some(11)))
            octets -= len(lines[-1]) + 2
        return "\r\n".join(lines)


def write(folder: Path, count: int, writer: Writer) -> int:
    """Make an archive of letters, an hour apart; gives their octets."""
    boxes = [Mailbox(f"Box {number}") for number in range(_MAILBOXES)]
    octets = 0
    account = "imaps://kim@imap.example.org"
    with (
        open_for_writing(folder, account, run="bench", started="00:00", remember=False) as archive,
        closing(SqliteCatalogue(archive.catalogue, archive.marker.id)) as catalogue,
    ):
        for begin in range(0, count, _BATCH):
            box, rows = boxes[begin // _BATCH % _MAILBOXES], []
            for number in range(begin, min(begin + _BATCH, count)):
                raw = writer.letter(number)
                octets += len(raw)
                date = datetime(2010, 1, 1, tzinfo=UTC) + timedelta(hours=number)
                flags = frozenset({"\\Seen"} if number % 5 else ())
                remote = RemoteMessage(UID(number + 1), len(raw), date, flags)
                stored = archive.mail.add(box, Arriving(remote, raw), 7)
                rows.append(
                    Placement(
                        box.name, 7, remote.uid, stored.digest, stored.size, stored.location, date, flags,
                        origin="fetched",
                    )
                )  # fmt: skip
            archive.mail.sync()
            catalogue.record("bench", rows)
    return octets


def measure(folder: Path, octets: int, writer: Writer) -> None:
    """Fill the index and search it; prints Markdown."""
    with open_for_writing(folder, "imaps://kim@imap.example.org", run="x", started="00:00", remember=False) as archive:
        path = archive.catalogue.with_name(NAME)
        with closing(Index(path, archive.catalogue, archive.marker.id)) as index:
            waiting = list(index.waiting())
            begun = time.process_time()
            fill(index, archive.mail, waiting, stop=lambda: None)
            spent = time.process_time() - begun
            each = octets / len(waiting) / 1000
            tell(f"{len(waiting)} messages of {each:.1f} kB: {len(waiting) / spent:.0f} a second of one processor")
        size = path.stat().st_size
        tell(f"index {size / 1e6:.0f} MB, {100 * size / octets:.0f} % of the mail\n")
        tell("| search | answers at all | 50 newest, ms |\n|---|--:|--:|")
        with closing(Index(path, archive.catalogue, archive.marker.id)) as index:
            finder = SqliteFinder(index)
            for title, text in searches(writer.words):
                query = parse(text, now=datetime.now(UTC))
                total = sum(1 for _ in finder.find(query))
                best = min(timed(finder, text) for _ in range(_RUNS))
                tell(f"| {title} | {total} | {1000 * best:.1f} |")


def timed(finder: SqliteFinder, text: str) -> float:
    """Search once, from the text to the last of fifty answers; gives the seconds."""
    begun = time.perf_counter()
    for _ in finder.find(parse(text, now=datetime.now(UTC)), limit=50):
        pass
    return time.perf_counter() - begun


def searches(words: list[str]) -> list[tuple[str, str]]:
    """Give what is searched for: what it is, and the query."""
    return [
        ("a rare word", words[30_000]),
        ("a word of one message in a hundred", words[9_000]),
        ("a word of one message in ten", words[900]),
        ("the commonest word", words[0]),
        ("a phrase and a field", f'"{words[150]} {words[160]}" from:{words[0]}'),
        ("a phrase of the commonest words and a field", f'"{words[3]} {words[4]}" from:{words[0]}'),
        ("a word, a mailbox and an age", f'{words[900]} in:"Box 3" older_than:3y'),
        ("what has not a word", f"-{words[900]}"),
        ("a mailbox", 'in:"Box 3"'),
        ("everything", ""),
    ]


def tell(line: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Read the options, make the mail, measure."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.searching", description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="where a folder is made and removed again")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    writer = Writer(options.seed)
    with tempfile.TemporaryDirectory(prefix="searching-", dir=options.folder) as folder:
        octets = write(Path(folder) / "archive", options.messages, writer)
        measure(Path(folder) / "archive", octets, writer)


if __name__ == "__main__":
    main()
