"""Pulls one maildrop over POP3 by several programs in turn, and prints what each took, as a Markdown table.

Law of this room: every program pulls the same mail from the same server in the same run, into local files, with its
own durability; nothing here asserts a time. Outputs are removed only after the last run, because a filesystem is slow
where something was just deleted. `python -m tests.benchmarks.pop` runs it; `--set S --tools mpop` is one cell.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.corpus import corpus
from tests.servers.dovecot import Dovecot, dovecot_version, find_program

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.corpus import Sample, Sizes
    from tests.servers.dovecot import Account

SETS: dict[str, tuple[int, Sizes, str]] = {
    "S": (2_000, "mixed", "2 000 of mixed sizes, with attachments"),
    "M": (5_000, "small", "5 000 of about 3 kB"),
    "L": (20_000, "tiny", "20 000 of about 1 kB"),
}


NOBODY = 65534


class Cost(NamedTuple):
    """What one run of a program took: seconds of wall and processor time, largest resident size in octets."""

    wall: float
    cpu: float
    peak: int


class UnableError(Exception):
    """A program did not pull the maildrop; the text says what it did."""


class Tool(NamedTuple):
    """A program: how it is called for an account and an empty folder, and how its version is asked for."""

    program: str
    command: Callable[[Account, Path], list[str]]
    version: list[str]


def _mailarchive(account: Account, place: Path) -> list[str]:
    url = f"pop+insecure://{account.user}@127.0.0.1:{account.pop3_port}"
    return [sys.executable, "-m", "mailarchive", "-q", "backup", url, "--to", str(place / "archive")]


def _maildir(place: Path) -> Path:
    box = place / "box"
    for name in ("cur", "new", "tmp"):
        (box / name).mkdir(parents=True)
    return box


def _secret(place: Path, name: str, text: str) -> Path:
    path = place / name
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
    return path


def _mpop(account: Account, place: Path) -> list[str]:
    box = _maildir(place)
    text = (
        f"account default\nhost 127.0.0.1\nport {account.pop3_port}\nuser {account.user}\npassword {account.password}\n"
    )
    text += f"auth user\ntls off\nkeep on\nuidls_file {place}/uidls\ndelivery maildir {box}\nreceived_header off\n"
    return ["mpop", "-Q", f"--file={_secret(place, 'mpoprc', text)}"]


def _fetchmail(account: Account, place: Path) -> list[str]:
    box = _maildir(place)
    text = f"poll 127.0.0.1 proto pop3 port {account.pop3_port} user {account.user} password {account.password}"
    text += f' sslproto "" keep mda "mdeliver -v {box}"\n'
    file = _secret(place, "fetchmailrc", text)
    return ["fetchmail", "-s", "-f", str(file), "--idfile", str(place / "ids"), "--pidfile", str(place / "pid")]


def _getmail(account: Account, place: Path) -> list[str]:
    box = _maildir(place)
    text = f"[retriever]\ntype = SimplePOP3Retriever\nserver = 127.0.0.1\nport = {account.pop3_port}\n"
    text += f"username = {account.user}\npassword = {account.password}\n"
    text += f"[destination]\ntype = Maildir\npath = {box}/\n[options]\nverbose = 0\ndelete = false\n"
    return ["getmail", "-q", f"--getmaildir={place}", f"--rcfile={_secret(place, 'getmailrc', text)}"]


TOOLS = {
    "mailarchive": Tool("python3", _mailarchive, [sys.executable, "-m", "mailarchive", "--version"]),
    "mpop": Tool("mpop", _mpop, ["mpop", "--version"]),
    "fetchmail": Tool("fetchmail", _fetchmail, ["fetchmail", "--version"]),
    "getmail6": Tool("getmail", _getmail, ["getmail", "--version"]),
}


def measure(command: Sequence[str], environ: dict[str, str], *, user: int | None) -> Cost:
    """Run a program to its end, as a user if it refuses to run as root; its children count too.

    Raises: UnableError: it exited with something other than 0 or 1.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.monotonic()
    log = tempfile.TemporaryFile()  # noqa: SIM115 - read below if the program fails
    done = subprocess.Popen(
        command, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log, user=user, group=user
    )
    peak = 0
    while done.poll() is None:
        peak = max(peak, _resident(done.pid))
        time.sleep(0.01)
    wall = time.monotonic() - begun
    if done.returncode not in (0, 1):
        log.seek(0)
        print(log.read().decode(errors="replace")[-500:], file=sys.stderr)  # noqa: T201
        raise UnableError(f"exit {done.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)
    return Cost(wall, cpu, peak)


def _resident(pid: int) -> int:
    """Give the largest resident size of a process so far, in octets; what it was before its exec does not count."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(encoding="ascii"))
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0


def count(place: Path) -> int:
    """Count the messages that a program has stored."""
    return sum(len(list(folder.iterdir())) for name in ("cur", "new") for folder in place.rglob(name))


def pull(account: Account, tool: Tool, scratch: Path, expected: int) -> Cost:
    """Pull the maildrop once into a new folder.

    Raises: UnableError: not everything was stored.
    """
    place = Path(tempfile.mkdtemp(dir=scratch))
    environ = {**os.environ, "MAILARCHIVE_PASSWORD": account.password, "HOME": str(place)}
    command = tool.command(account, place)
    user = NOBODY if tool.program == "getmail" and os.geteuid() == 0 else None
    if user is not None:
        for path in (place, *place.rglob("*")):
            os.chown(path, user, user)
    try:
        cost = measure(command, environ, user=user)
    except UnableError as why:
        raise UnableError(f"{why} after {count(place)} of {expected} messages") from None
    found = count(place)
    if found != expected:
        raise UnableError(f"stored {found} of {expected} messages")
    return cost


def table(name: str, costs: dict[str, list[Cost]], unable: dict[str, str], samples: Sequence[Sample]) -> str:
    """Lay out the medians of one set, and the ratios to ours; a program that did not do the work is named."""
    octets = sum(len(sample.raw) for sample in samples)
    lines = [f"### {name}: {SETS[name][2]}, {octets / 1e6:.0f} MB", ""]
    lines += ["| program | wall s (median) | min-max | ours / this | cpu s | peak MiB |", "|---|--:|--:|--:|--:|--:|"]
    ours = statistics.median(cost.wall for cost in costs["mailarchive"]) if "mailarchive" in costs else None
    for tool, runs in costs.items():
        walls = [cost.wall for cost in runs]
        wall = statistics.median(walls)
        ratio = f"{ours / wall:.2f}" if ours is not None else "-"
        cpu = statistics.median(cost.cpu for cost in runs)
        peak = max(cost.peak for cost in runs) / 2**20
        lines.append(f"| {tool} | {wall:.2f} | {min(walls):.2f}-{max(walls):.2f} | {ratio} | {cpu:.2f} | {peak:.0f} |")
    lines += [f"| {tool} | {why} | | | | |" for tool, why in unable.items()]
    return "\n".join(lines) + "\n"


def version(tool: Tool) -> str:
    """Ask a program for its version."""
    done = subprocess.run(tool.version, capture_output=True, check=False, text=True)
    found = re.search(r"\d+\.\d+[\w.+-]*", done.stdout + done.stderr)
    return found[0] if found else "?"


def main() -> None:
    """Run what the command line asks for and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", choices=[*SETS, "all"], default="all")
    parser.add_argument("--tools", default=",".join(TOOLS))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    tools = {name: TOOLS[name] for name in asked.tools.split(",") if find_program(TOOLS[name].program)}
    system = f"{platform.system()} {platform.release()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"{system}, Dovecot {'.'.join(map(str, dovecot_version()))}, loopback without TLS, seed {asked.seed}")  # noqa: T201
    print(", ".join(f"{name} {version(tool)}" for name, tool in tools.items()) + "\n")  # noqa: T201
    scratch = Path(tempfile.mkdtemp(prefix="benchmark-"))
    scratch.chmod(0o755)
    try:
        for name in SETS if asked.set == "all" else [asked.set]:
            number, sizes, _ = SETS[name]
            samples = corpus(number, seed=asked.seed, now=datetime.now(UTC), sizes=sizes)
            with Dovecot() as server:
                server.account.append_many("INBOX", samples)
                costs: dict[str, list[Cost]] = {tool: [] for tool in tools}
                unable: dict[str, str] = {}
                for _ in range(asked.runs):
                    for tool in [tool for tool in costs if tool not in unable]:
                        try:
                            costs[tool].append(pull(server.account, tools[tool], scratch, number))
                        except UnableError as why:
                            unable[tool] = str(why)
                done = {tool: runs for tool, runs in costs.items() if tool not in unable}
            print(table(name, done, unable, samples))  # noqa: T201
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
