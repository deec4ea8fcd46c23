"""What `mailarchive demo` does: a server that is nearly full, and the whole promise on it, with a proof of its own."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from mailarchive.address import parse_url
from mailarchive.archives import place
from mailarchive.archives.opening import open_for_reading
from mailarchive.cli.deleting import Removal
from mailarchive.cli.interrupt import Interrupt
from mailarchive.cli.options import Selection, open_screen
from mailarchive.cli.running import run_backup, run_prune
from mailarchive.cli.targets import Target
from mailarchive.cli.verifying import run_verify
from mailarchive.cli.zone import now
from mailarchive.credentials import PasswordSources
from mailarchive.demo.sample import USER, build_store
from mailarchive.demo.server import DemoServer
from mailarchive.errors import ArchiveError, ExitCode, UsageError
from mailarchive.model import INBOX
from mailarchive.screen.plain import Sink
from mailarchive.screen.words import format_count, format_size
from mailarchive.sources.tls import Trust

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailarchive.cli.options import Shared
    from mailarchive.demo.store import Account

AGE = "1y"


def demonstrate(*, pop: bool, keep: bool, to: str | None, shared: Shared) -> int:
    """Run the demo, over POP3 or IMAP; gives the exit code."""
    password = secrets.token_urlsafe(12)
    store = build_store(now(), password=password)
    account = store.account(USER)
    folder = Path(to).expanduser().absolute() if to else _temporary() / "archive"
    if to and folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty, and the demo has new mail each time", hint="name a new folder")
    keep = keep or to is not None
    try:
        with DemoServer(store) as server:
            scheme, port = ("pop", server.pop_port) if pop else ("imap", server.imap_port)
            url = f"{scheme}+insecure://{quote(USER)}@127.0.0.1:{port}"
            target = Target(
                name=USER,
                address=parse_url(url),
                archive=folder,
                password=PasswordSources(account=None, environ={"MAILARCHIVE_PASSWORD": password}),
                trust=Trust(),
                remember=keep,
                lasting=False,
            )
            return int(_Show(account, target, url, keep, shared, _sayer(shared)).run())
    finally:
        if not keep:
            shutil.rmtree(folder.parent, ignore_errors=True)


def _temporary() -> Path:
    """Make a folder on a disk: what is in memory is no ground to delete mail on, not even made-up mail."""
    for parent in (None, "/var/tmp"):  # noqa: S108 - mkdtemp makes a folder there that is ours alone
        try:
            folder = Path(tempfile.mkdtemp(prefix="mailarchive-demo-", dir=parent))
        except OSError:
            continue
        try:
            if not place.doubts(folder):
                return folder
        except ArchiveError:
            pass
        folder.rmdir()
    return Path(tempfile.mkdtemp(prefix="mailarchive-demo-"))


def _sayer(shared: Shared) -> Callable[[str], None]:
    """Speak to people only; a script reads the JSON lines. A reader who goes away stops nothing."""
    sink = Sink(sys.stdout)

    def say(text: str) -> None:
        if not (shared.json or shared.quiet):
            sink.write(text + "\n")

    return say


@dataclass(frozen=True, slots=True)
class _Show:
    """The steps, one after the other; a step that fails ends the show with its code."""

    account: Account
    target: Target
    url: str
    keep: bool
    shared: Shared
    say: Callable[[str], None]

    @property
    def _pop(self) -> bool:
        return self.target.address.protocol == "pop"

    def run(self) -> ExitCode:
        """Show everything; gives the exit code."""
        held = self._octets_on_server()
        say, folder = self.say, self.target.archive
        self._introduce()
        steps = (
            ("The old mail comes home", f"backup {self.url} --older-than {AGE} --to {folder}", self._backup),
            ("Every message is read back and compared", f"verify {folder}", self._verify),
            ("The plan of a deletion", self._prune_words("--dry-run"), lambda: self._prune(dry_run=True)),
            ("What is proved leaves the server", self._prune_words("--yes"), lambda: self._prune(dry_run=False)),
        )
        for number, (title, words, step) in enumerate(steps, 2):
            say(f"\n{number}. {title}")
            say(f"   $ mailarchive {words}\n")
            code = step()
            if code is not ExitCode.DONE:
                if place.doubts(folder):
                    say("\n   A folder on a disk shows the rest: mailarchive demo --to DIR")
                return code
        return self._prove(held)

    def _introduce(self) -> None:
        say, boxes = self.say, self.account.mailboxes()
        count = sum(len(box.messages()) for box in boxes)
        say("1. A mailbox that is nearly full")
        say(f"   A mail server runs on this computer. It holds {format_count(count)} messages of ten years in")
        say(f"   {len(boxes)} mailboxes and has used {self._quota()} of its quota.")
        if self._pop:
            inbox = format_count(len(self.account.mailbox(INBOX).messages()))
            say(f"   POP3 shows one mailbox of them, INBOX, with {inbox} messages. It knows no quota, so")
            say("   the figures about that come from the server itself.")

    def _prune_words(self, option: str) -> str:
        return f"prune {self.url} --older-than {AGE} --archive {self.target.archive} {option}"

    def _backup(self) -> ExitCode:
        with open_screen(self.shared) as screen:
            return run_backup(self.target, Selection.of(older_than=AGE), screen, Interrupt(), dry_run=False)

    def _verify(self) -> ExitCode:
        with open_screen(self.shared) as screen:
            return run_verify(self.target.archive, 1.0, screen, Interrupt())

    def _prune(self, *, dry_run: bool) -> ExitCode:
        selection = Selection.of(older_than=AGE)
        with open_screen(self.shared) as screen:
            return run_prune(
                self.target, selection, screen, Interrupt(), dry_run=dry_run, removal=Removal(delete=True, yes=True)
            )

    def _quota(self) -> str:
        account = self.account
        return f"{100 * account.used / account.limit:.0f} %" if account.limit else "none"

    def _octets_on_server(self) -> dict[bytes, int]:
        """Give the digest of every message that the protocol shows, and how often it is there.

        POP3 gives whole lines, so the last one of a message gets an end where it has none (RFC 1939 section 3).
        """
        found: dict[bytes, int] = {}
        for box in [self.account.mailbox(INBOX)] if self._pop else self.account.mailboxes():
            for message in box.messages():
                bare = self._pop and not message.raw.endswith(b"\r\n")
                digest = hashlib.sha256(message.raw + (b"\r\n" if bare else b"")).digest()
                found[digest] = found.get(digest, 0) + 1
        return found

    def _prove(self, held: dict[bytes, int]) -> ExitCode:
        """Compare what was there with what is there and what is archived, without the program's own eyes."""
        files, octets, size = self._files()
        left = self._octets_on_server()
        strange = sum(digest not in held for digest in octets)
        lost = sum(digest not in left and digest not in octets for digest in held)
        say = self.say
        say("\n6. The proof")
        where = "in INBOX" if self._pop else "on the server"
        say(f"   Before: {self._count(held)} messages {where}. Now: {self._count(left)} there, and")
        say(f"   {format_count(files)} files ({format_size(size)}) here, each octet for octet what the server held.")
        if self._pop:
            say("   (POP3 gives whole lines: a message whose last line has no end gets one on its way.)")
        say(f"   Lost: {lost}. Changed: {strange}. Used of the quota: {self._quota()}.")
        self._where()
        return ExitCode.BUG if lost or strange or not files else ExitCode.DONE

    def _count(self, left: dict[bytes, int]) -> str:
        return format_count(sum(left.values()))

    def _files(self) -> tuple[int, set[bytes], int]:
        """Read every file of the archive; gives their number, the digests, and the octets in all."""
        found: set[bytes] = set()
        files = size = 0
        opened = open_for_reading(self.target.archive, self.target.address.identity)
        if opened is not None:
            with opened:
                for _, location in opened.mail.scan():
                    octets = b"".join(opened.mail.read(location, cold=True))
                    files += 1
                    size += len(octets)
                    found.add(hashlib.sha256(octets).digest())
        return files, found, size

    def _where(self) -> None:
        folder, say = self.target.archive, self.say
        say("\n7. Plain files")
        files = sorted(path for path in folder.rglob("*") if path.parent.name == "cur")
        for path in files[:: max(1, len(files) // 3)][:3]:
            say(f"   {path.relative_to(folder)}")
        if self.keep:
            say(f"\n   The archive is in {folder}")
            say(f"   Look into it:  {'mutt -R -f' if shutil.which('mutt') else 'ls'} {folder / 'INBOX'}{os.sep}")
        else:
            say(f"\n   The archive was in {folder} and is removed now; --keep or --to DIR leaves it.")
