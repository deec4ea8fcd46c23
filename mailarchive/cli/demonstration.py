"""What `mailarchive demo` does: a server, a backup, a second backup, and the proof."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from mailarchive.address import parse_url
from mailarchive.archives.opening import open_for_reading
from mailarchive.cli.options import Selection, open_screen
from mailarchive.cli.running import Interrupt, run_backup
from mailarchive.cli.targets import Target
from mailarchive.cli.zone import now
from mailarchive.credentials import PasswordSources
from mailarchive.demo.sample import USER, build_store
from mailarchive.demo.server import DemoServer
from mailarchive.errors import ExitCode, UsageError
from mailarchive.screen.plain import Sink
from mailarchive.screen.words import format_count, format_size
from mailarchive.sources.tls import Trust

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailarchive.cli.options import Shared
    from mailarchive.demo.store import Account

AGE = "1y"


def demonstrate(*, keep: bool, to: str | None, shared: Shared) -> int:
    """Run the demo; gives the exit code."""
    password = secrets.token_urlsafe(12)
    store = build_store(now(), password=password)
    account = store.account(USER)
    folder = Path(to).expanduser().absolute() if to else Path(tempfile.mkdtemp(prefix="mailarchive-demo-")) / "archive"
    if to and folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty, and the demo has new mail each time", hint="name a new folder")
    keep = keep or to is not None
    say = _sayer(shared)
    try:
        with DemoServer(store) as server:
            return _show(server, account, password, folder, keep=keep, shared=shared, say=say)
    finally:
        if not keep:
            shutil.rmtree(folder.parent, ignore_errors=True)


def _sayer(shared: Shared) -> Callable[[str], None]:
    """Speak to people only; a script reads the JSON lines. A reader who goes away stops nothing."""
    sink = Sink(sys.stdout)

    def say(text: str) -> None:
        if not (shared.json or shared.quiet):
            sink.write(text + "\n")

    return say


def _show(
    server: DemoServer,
    account: Account,
    password: str,
    folder: Path,
    *,
    keep: bool,
    shared: Shared,
    say: Callable[[str], None],
) -> int:
    url = f"imap+insecure://{quote(USER)}@127.0.0.1:{server.imap_port}"
    boxes = account.mailboxes()
    count = sum(len(box.messages()) for box in boxes)
    say("1. A mailbox that is nearly full")
    say(f"   A mail server runs on this computer. It holds {format_count(count)} messages of ten years in")
    say(f"   {len(boxes)} mailboxes and has used {_quota_words(account)} of its quota.\n")
    say("2. The old mail comes home")
    say(f"   $ mailarchive backup {url} --older-than {AGE} --to {folder}\n")
    target = Target(
        name=USER,
        address=parse_url(url),
        archive=folder,
        password=PasswordSources(account=None, environ={"MAILARCHIVE_PASSWORD": password}),
        trust=Trust(),
        remember=keep,
    )
    code = _backup(target, shared)
    if code is not ExitCode.DONE:
        return int(code)
    say("\n3. The same again: there is nothing left to do\n")
    code = _backup(target, shared)
    if code is not ExitCode.DONE:
        return int(code)
    files, size, different = _compare(folder, target, account)
    number, octets = format_count(files), format_size(size)
    say("\n4. The proof")
    say(f"   {number} files ({octets}) were read back and compared with the server byte for byte:")
    say(f"   {different} differ. Nothing on the server was changed or marked as read.\n")
    _where(folder, keep=keep, say=say)
    return int(ExitCode.BUG if different or not files else ExitCode.DONE)


def _backup(target: Target, shared: Shared) -> ExitCode:
    selection = Selection.of(older_than=AGE)
    with open_screen(shared) as screen:
        return run_backup(target, selection, screen, Interrupt(), dry_run=False)


def _quota_words(account: Account) -> str:
    return f"{100 * account.used / account.limit:.0f} %" if account.limit else "none"


def _compare(folder: Path, target: Target, account: Account) -> tuple[int, int, int]:
    """Read every file back and look for its octets on the server; gives files, octets, and how many differ."""
    held = {hashlib.sha256(m.raw).digest() for box in account.mailboxes() for m in box.messages()}
    opened = open_for_reading(folder, target.address.identity)
    files = size = different = 0
    if opened is not None:
        with opened:
            for _, location in opened.mail.scan():
                octets = b"".join(opened.mail.read(location, cold=True))
                files += 1
                size += len(octets)
                different += hashlib.sha256(octets).digest() not in held
    return files, size, different


def _where(folder: Path, *, keep: bool, say: Callable[[str], None]) -> None:
    say("5. Plain files")
    files = sorted(path for path in folder.rglob("*") if path.parent.name == "cur")
    for path in files[:: max(1, len(files) // 3)][:3]:
        say(f"   {path.relative_to(folder)}")
    if keep:
        say(f"\n   The archive is in {folder}")
        say(f"   Look into it:  {'mutt -R -f' if shutil.which('mutt') else 'ls'} {folder / 'INBOX'}{os.sep}")
    else:
        say(f"\n   The archive was in {folder} and is removed now; --keep or --to DIR leaves it.")
