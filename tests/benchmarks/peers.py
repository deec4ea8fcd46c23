"""The programs that are measured: how each is told to pull one account into an empty folder, and what it can do.

Law of this room: one entry a program, its own defaults for durability, no compression unless its title says so, nothing
deleted on the server. Passwords stand in files of mode 0600 or in the environment. Everything that a program writes is
below its folder.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_HOST = "127.0.0.1"
_DRAIN = Path(__file__).with_name("drain.py")
OURS, DRAIN = "mailarchive", "drain"


class Target(NamedTuple):
    """An account to pull, how much it holds in octets, and where it listens on this machine."""

    protocol: str
    port: int
    user: str
    password: str
    mailboxes: tuple[str, ...]
    octets: int


class Tool(NamedTuple):
    """A program.

    Attributes:
        title: What the table calls it.
        program: What has to be in PATH for it.
        pull: For each protocol it can, what makes its command line from an account and an empty folder.
        version: Asks for its version.
        again: The protocols over which it remembers what it has, so that a run without new mail means something.
        stores: Whether it keeps what it reads, in Maildirs below its folder.
        as_root: Whether it agrees to be started by root.
        good: Its exit codes where all is well; for some, 1 means that there was no mail.
    """

    title: str
    program: str
    pull: Mapping[str, Callable[[Target, Path], list[str]]]
    version: tuple[str, ...]
    again: frozenset[str]
    stores: bool = True
    as_root: bool = True
    good: tuple[int, ...] = (0,)

    def missing(self) -> bool:
        """Say whether this machine lacks it."""
        return shutil.which(self.program) is None


def environment(target: Target, place: Path) -> dict[str, str]:
    """Give the environment in which a program runs; its home is its folder.

    Programs in Python find their modules compiled, as where they are installed.
    """
    own = {"HOME": str(place), "MAILARCHIVE_PASSWORD": target.password, "BENCHMARK_PASSWORD": target.password}
    own["PYTHONPYCACHEPREFIX"] = str(place.parent / "bytecode")
    left_out = ("XDG_", "MAILARCHIVE_", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    return {**kept, **own}


def archive_arguments(target: Target, place: Path) -> list[str]:
    """Give the arguments of our own command; the archive is `archive` below the folder, without an index."""
    url = f"{'imap' if target.protocol == 'imap' else 'pop'}+insecure://{target.user}@{_HOST}:{target.port}"
    return ["-q", "backup", url, "--to", str(place / "archive"), "--no-index"]


def _mailarchive(target: Target, place: Path) -> list[str]:
    return [sys.executable, "-m", "mailarchive", *archive_arguments(target, place)]


def _far(target: Target, place: Path) -> list[str]:
    return [sys.executable, "-m", "tests.benchmarks.far", "judged", *archive_arguments(target, place)]


def _deflated(target: Target, place: Path) -> list[str]:
    return [sys.executable, "-m", "tests.benchmarks.far", "always", *archive_arguments(target, place)]


def _drain(target: Target, _place: Path) -> list[str]:
    account = [target.protocol, str(target.port), target.user, str(target.octets)]
    return [sys.executable, "-I", "-S", str(_DRAIN), *account, *target.mailboxes]


def _file(place: Path, name: str, *lines: str) -> str:
    """Write a configuration once: the run without new mail uses the same."""
    path = place / name
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text("\n".join((*lines, "")), encoding="utf-8")
    return str(path)


def _maildir(place: Path) -> Path:
    box = place / "box"
    for folder in (box, box / "cur", box / "new", box / "tmp"):
        folder.mkdir(mode=0o700, exist_ok=True)
    return box


def _mbsync(target: Target, place: Path, *more: str, hidden: str = "DisableExtensions COMPRESS=DEFLATE\n") -> list[str]:
    box = place / "box"
    box.mkdir(exist_ok=True)
    far = [f"IMAPAccount a\nHost {_HOST}\nPort {target.port}\nUser {target.user}\nPass {target.password}"]
    far += [f"SSLType None\nAuthMechs LOGIN\n{hidden}", "IMAPStore far\nAccount a\n"]
    near = f"MaildirStore near\nPath {box}/\nInbox {box}/INBOX\nSubFolders Verbatim\n"
    channel = "Channel all\nFar :far:\nNear :near:\nPatterns *\nCreate Near\nSync Pull\nSyncState *"
    return ["mbsync", "-q", "-c", _file(place, "mbsyncrc", *more, *far, near, channel), "-a"]


def _mbsync_without_sync(target: Target, place: Path) -> list[str]:
    return _mbsync(target, place, "FSync no", "")


def _mbsync_deflated(target: Target, place: Path) -> list[str]:
    return _mbsync(target, place, hidden="")


def _offlineimap(target: Target, place: Path) -> list[str]:
    general = [f"[general]\naccounts = a\nmetadata = {place}/state\nui = quiet", "[Account a]"]
    near = (
        f"localrepository = near\nremoterepository = far\n[Repository near]\ntype = Maildir\nlocalfolders = {place}/box"
    )
    far = f"[Repository far]\ntype = IMAP\nremotehost = {_HOST}\nremoteport = {target.port}\nssl = no\nstarttls = no"
    secret = f"remoteuser = {target.user}\nremotepass = {target.password}\nreadonly = True"
    return ["offlineimap", "-c", _file(place, "offlineimaprc", *general, near, far, secret), "-o"]


def _getmail(target: Target, place: Path) -> list[str]:
    kind = "IMAP" if target.protocol == "imap" else "POP3"
    lines = [f"[retriever]\ntype = Simple{kind}Retriever\nserver = {_HOST}\nport = {target.port}"]
    lines.append(f"username = {target.user}\npassword = {target.password}")
    if target.protocol == "imap":
        lines.append(f"mailboxes = ({', '.join(repr(name) for name in target.mailboxes)},)")
    lines.append(f"[destination]\ntype = Maildir\npath = {_maildir(place)}/")
    lines.append("[options]\nverbose = 0\ndelete = false\nread_all = false")
    return ["getmail", "-q", f"--getmaildir={place}", f"--rcfile={_file(place, 'getmailrc', *lines)}"]


def _fetchmail(target: Target, place: Path) -> list[str]:
    words = [f"poll {_HOST} proto {target.protocol} port {target.port} user {target.user} password {target.password}"]
    if target.protocol == "imap":
        words.append(f"folder {','.join(target.mailboxes)} fetchall")
    words.append(f'sslproto "" keep mda "mdeliver {_maildir(place)}"')
    file = _file(place, "fetchmailrc", " ".join(words))
    return ["fetchmail", "-s", "-f", file, "--idfile", str(place / "ids"), "--pidfile", str(place / "pid")]


def _mpop(target: Target, place: Path) -> list[str]:
    lines = [f"account default\nhost {_HOST}\nport {target.port}\nuser {target.user}\npassword {target.password}"]
    lines.append(f"auth user\ntls off\nkeep on\nuidls_file {place}/uidls\ndelivery maildir {_maildir(place)}")
    return ["mpop", "-Q", f"--file={_file(place, 'mpoprc', *lines)}"]


def _fdm(target: Target, place: Path) -> list[str]:
    where = f'server "{_HOST}" port {target.port} user "{target.user}" pass "{target.password}"'
    if target.protocol == "imap":
        names = " ".join(f'"{name}"' for name in target.mailboxes)
        where += f" folders {{ {names} }} no-cram-md5 insecure"
    else:
        where += f' new-only cache "{place}/ids" no-apop insecure'
    lines = [
        f'set lock-file "{place}/lock"',
        f'action "keep" maildir "{_maildir(place)}"',
        f'account "a" {target.protocol} {where} keep',
    ]
    return ["fdm", "-f", _file(place, "fdm.conf", *lines, 'match all action "keep"'), "fetch"]


_BOTH = frozenset({"imap", "pop3"})
_IMAP, _POP3 = frozenset({"imap"}), frozenset({"pop3"})

TOOLS = {
    OURS: Tool(
        OURS,
        sys.executable,
        {"imap": _mailarchive, "pop3": _mailarchive},
        (sys.executable, "-m", "mailarchive", "--version"),
        _BOTH,
    ),
    "far": Tool("mailarchive, COMPRESS as judged", sys.executable, {"imap": _far}, (), _IMAP),
    "deflated": Tool("mailarchive, COMPRESS always", sys.executable, {"imap": _deflated}, (), _IMAP),
    "mbsync": Tool("mbsync", "mbsync", {"imap": _mbsync}, ("mbsync", "--version"), _IMAP),
    "mbsync-deflated": Tool("mbsync, COMPRESS", "mbsync", {"imap": _mbsync_deflated}, (), _IMAP),
    "mbsync-nofsync": Tool("mbsync, FSync no", "mbsync", {"imap": _mbsync_without_sync}, (), _IMAP),
    "mpop": Tool("mpop", "mpop", {"pop3": _mpop}, ("mpop", "--version"), _POP3),
    "fdm": Tool("fdm", "fdm", {"imap": _fdm, "pop3": _fdm}, ("dpkg-query", "-W", "fdm"), _POP3, as_root=False),
    "fetchmail": Tool(
        "fetchmail + mdeliver",
        "fetchmail",
        {"imap": _fetchmail, "pop3": _fetchmail},
        ("fetchmail", "--version"),
        _POP3,
        good=(0, 1),
    ),
    "offlineimap3": Tool("offlineimap3", "offlineimap", {"imap": _offlineimap}, ("offlineimap", "--version"), _IMAP),
    "getmail6": Tool(
        "getmail6", "getmail", {"imap": _getmail, "pop3": _getmail}, ("getmail", "--version"), _BOTH, as_root=False
    ),
    DRAIN: Tool(
        "raw socket, drops all", sys.executable, {"imap": _drain, "pop3": _drain}, (), frozenset(), stores=False
    ),
}
IF_NAMED = frozenset({"far", "deflated", "mbsync-deflated"})
"""Programs that say something only about a line of its own, and so are not among all."""
BASELINES = {"imap": "mbsync", "pop3": "mpop"}
"""The peer beside which every other stands."""
