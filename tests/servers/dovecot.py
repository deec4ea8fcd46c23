"""A real, private Dovecot for tests: own configuration, own directories, free ports on 127.0.0.1, own processes.

Law of this room: nothing of the system's Dovecot is read or touched, and only processes started here are ended. Works
as root (mail belongs to `nobody`) and as any other user. The configuration is written for the
version that `dovecot --version` tells. Mail is not synced to disk: a test server may lose it.
"""

from __future__ import annotations

import base64
import contextlib
import grp
import itertools
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from tests.servers.dovecot_conf import Settings, configuration
from tests.servers.witness import LOOPBACK, Observed, Witness

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import trustme

START_SECONDS = 15
NOBODY = 65534
_ADMIN_PATHS = ("/usr/local/sbin", "/usr/sbin", "/sbin")
_PORTS = ("imap", "imaps", "pop3", "pop3s")


class DovecotError(RuntimeError):
    """Dovecot did not start, or one of its programs failed; the text holds its log."""


def find_program(name: str) -> str | None:
    """Return the path of a program, looked for in PATH and in the folders of system administration."""
    return shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", os.defpath), *_ADMIN_PATHS)))


@dataclass(frozen=True, slots=True)
class Account(Observed):
    """One user of a running server: where and how to sign in, and an independent look at the mail."""

    server: Dovecot
    user: str
    password: str

    host = "localhost"

    @property
    def imap_port(self) -> int:
        """Plain text with STARTTLS."""
        return self.server.imap_port

    @property
    def imaps_port(self) -> int:
        """Implicit TLS."""
        return self.server.imaps_port

    @property
    def pop3_port(self) -> int:
        """Plain text with STLS."""
        return self.server.pop3_port

    @property
    def pop3s_port(self) -> int:
        """Implicit TLS."""
        return self.server.pop3s_port

    @property
    def ca_file(self) -> Path:
        """The certificate of the authority that signed the server's, for `localhost` and 127.0.0.1."""
        return self.server.ca_file

    def witness(self) -> Witness:
        """Return a signed-in client of the standard library, to be used as a context manager."""
        return Witness(self.imap_port, self.user, self.password)

    def imap_exec(self) -> list[str]:
        """Return a command whose stdin and stdout speak IMAP, already signed in (PREAUTH)."""
        return self.server.imap_exec(self.user)


class Dovecot(Observed):
    r"""A Dovecot of one's own; use it as a context manager, or `start`, `stop` (mail stays), `close` (mail goes).

    Args:
        capability: The whole IMAP CAPABILITY list instead of the built-in one; see `dovecot_conf.capabilities_without`.
        quota: A limit for each user such as "10M", with the IMAP QUOTA extension; None for none.
        extra: Raw configuration after all else, in the syntax of the installed version (`dovecot_version`).
        users: Names and passwords, in any characters but controls, and names without `/` and `:`.
        storage: How Dovecot keeps its mail; sdbox is the quickest, maildir is what most servers use.
    """

    def __init__(
        self,
        *,
        capability: str | None = None,
        quota: str | None = None,
        extra: str = "",
        users: Mapping[str, str] | None = None,
        storage: Literal["sdbox", "maildir"] = "sdbox",
    ) -> None:
        self.capability, self.quota_limit, self.extra, self.storage = capability, quota, extra, storage
        self.root = Path(tempfile.mkdtemp(prefix="dovecot-", dir=_short_temp()))
        self._process: subprocess.Popen[bytes] | None = None
        self._ports = dict.fromkeys(_PORTS, 0)
        self._users: dict[str, str] = {}
        try:
            self._lay_out()
            for user, password in (users or {"user": "secret"}).items():
                self.add_user(user, password)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    @property
    def imap_port(self) -> int:
        """Plain text with STARTTLS; signing in without TLS is allowed."""
        return self._ports["imap"]

    @property
    def imaps_port(self) -> int:
        """Implicit TLS."""
        return self._ports["imaps"]

    @property
    def pop3_port(self) -> int:
        """Plain text with STLS; signing in without TLS is allowed."""
        return self._ports["pop3"]

    @property
    def pop3s_port(self) -> int:
        """Implicit TLS."""
        return self._ports["pop3s"]

    @property
    def ca_file(self) -> Path:
        """The certificate of the authority that signed the server's, for `localhost` and 127.0.0.1."""
        return self.root / "ca.pem"

    @property
    def config_file(self) -> Path:
        """The configuration in use."""
        return self.root / "dovecot.conf"

    @property
    def user(self) -> str:
        """The first user."""
        return next(iter(self._users))

    @property
    def password(self) -> str:
        """The password of the first user."""
        return self._users[self.user]

    @property
    def account(self) -> Account:
        """The first user with all that a test may ask of one."""
        return Account(self, self.user, self.password)

    def witness(self) -> Witness:
        """Return a client signed in as the first user, to be used as a context manager."""
        return self.account.witness()

    def add_user(self, user: str, password: str = "secret") -> Account:
        """Make a user with an empty maildrop, also while the server runs; about a millisecond."""
        if not user or user in {".", ".."} or re.search(r"[/:\x00-\x1f\x7f]", user):
            raise ValueError(f"a user cannot be called {user!r}")
        if re.search(r"[\x00-\x1f\x7f]", password):
            raise ValueError("Dovecot refuses control characters in a password")
        # A file for each user: Dovecot may notice a change of one it knows only in the next second.
        secret = base64.b64encode(password.encode()).decode()
        entry = self.root / "users" / user
        entry.write_text(f"{user}:{{PLAIN.b64}}{secret}::::::\n", encoding="utf-8")
        entry.chmod(0o644)
        self._users[user] = password
        return Account(self, user, password)

    def start(self) -> None:
        """Start the server and wait for its greetings; `DovecotError` with its log where that fails."""
        if self._process is not None:
            raise DovecotError("this server is already running")
        for attempt in range(3):
            if attempt or not self.imap_port:
                self._ports = _free_ports()
            self.config_file.write_text(self._configuration(), encoding="utf-8")
            (self.root / "dovecot.log").write_bytes(b"")
            self._spawn()
            if self._ready():
                return
            log = self.log_text()
            self.stop()
            if "already in use" not in log:
                raise DovecotError(f"Dovecot did not start:\n{log}\nwith:\n{self.config_file.read_text()}")
        raise DovecotError(f"no free ports for Dovecot:\n{log}")

    def stop(self) -> None:
        """End this server's processes and wait for them, about a second; mail and ports stay for another `start`."""
        if self._process is None:
            return
        process, self._process = self._process, None
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)
        if not _group_ends(process.pid, seconds=0.3):
            _kill_group(process)
            _group_ends(process.pid, seconds=0.3)

    def close(self) -> None:
        """End this server's processes at once and remove everything it wrote."""
        process, self._process = self._process, None
        if process is not None:
            _kill_group(process)
        shutil.rmtree(self.root, ignore_errors=True)
        if self.root.exists():  # a session was in the middle of its last write
            shutil.rmtree(self.root, ignore_errors=True)

    def log_text(self) -> str:
        """Return what the server and its start said so far."""
        files = (self.root / "console", self.root / "dovecot.log")
        return "".join(path.read_text(encoding="utf-8", errors="replace") for path in files if path.exists())

    def doveadm(self, *args: str) -> str:
        """Run `doveadm` on this server and return its output, for instance `doveadm("mailbox", "list", "-u", user)`."""
        done = subprocess.run(
            [_program("doveadm"), "-c", str(self.config_file), *args], capture_output=True, check=False, timeout=60
        )
        if done.returncode:
            raise DovecotError(f"doveadm {' '.join(args)}: {done.returncode}\n{done.stderr.decode(errors='replace')}")
        return done.stdout.decode()

    def imap_exec(self, user: str | None = None) -> list[str]:
        """Return a command whose stdin and stdout speak IMAP, already signed in as the user (PREAUTH)."""
        return [_program("doveadm"), "-c", str(self.config_file), "exec", "imap", "-u", user or self.user]

    def _lay_out(self) -> None:
        self.root.chmod(0o755)
        for name in ("run", "state", "users", "mail"):
            (self.root / name).mkdir(mode=0o755)
        if os.geteuid() == 0:
            os.chown(self.root / "mail", NOBODY, NOBODY)
        authority, certificate = _certificates()
        authority.cert_pem.write_to_path(self.ca_file)
        certificate.private_key_and_cert_chain_pem.write_to_path(self.root / "server.pem")

    def _configuration(self) -> str:
        root = os.geteuid() == 0
        names = None if root else (pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name)
        settings = Settings(
            root=self.root,
            ports=self._ports,
            mail_ids=(NOBODY, NOBODY) if root else (os.geteuid(), os.getegid()),
            run_as=names,
            storage=self.storage,
            capability=self.capability,
            quota=self.quota_limit,
            extra=self.extra,
        )
        return configuration(settings, dovecot_version())

    def _spawn(self) -> None:
        with (self.root / "console").open("wb") as console:
            self._process = subprocess.Popen(
                [_program("dovecot"), "-F", "-c", str(self.config_file)],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                cwd=self.root,
                env={"PATH": os.environ.get("PATH", os.defpath), "TZ": os.environ.get("TZ", "UTC")},
                start_new_session=True,
            )

    def _ready(self) -> bool:
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        waiting = [(self.imap_port, b"* OK"), (self.pop3_port, b"+OK")]
        while waiting and time.monotonic() < deadline and self._process.poll() is None:
            waiting = [(port, greeting) for port, greeting in waiting if not _greets(port, greeting)]
            time.sleep(0.02 if waiting else 0)
        return not waiting


def dovecot_version() -> tuple[int, int]:
    """Return major and minor version of the installed Dovecot."""
    said = subprocess.run([_program("dovecot"), "--version"], capture_output=True, check=True, timeout=30).stdout
    match = re.match(rb"(\d+)\.(\d+)", said)
    if match is None:
        raise DovecotError(f"dovecot --version said {said!r}")
    return int(match[1]), int(match[2])


def _program(name: str) -> str:
    path = find_program(name)
    if path is None:
        raise DovecotError(f"{name} is not installed")
    return path


def _short_temp() -> str:
    # The path of a Unix socket holds about 100 octets, and pytest's own folders are closed to other users.
    chosen = tempfile.gettempdir()
    return chosen if len(chosen) < 40 else "/tmp"


@cache
def _candidates() -> Iterator[int]:
    # Below those that the system gives to whoever asks for any port, or others would have one between `stop` and
    # `start`; and each process of the tests has some of its own.
    first = 10_000 + os.getpid() % 250 * 80
    return itertools.cycle(range(first, first + 80))


def _free_ports() -> dict[str, int]:
    ports: dict[str, int] = {}
    for port in itertools.islice(_candidates(), 80):
        with contextlib.suppress(OSError), socket.create_server((LOOPBACK, port)):
            ports[_PORTS[len(ports)]] = port
        if len(ports) == len(_PORTS):
            return ports
    raise DovecotError("no free ports")


def _greets(port: int, greeting: bytes) -> bool:
    try:
        with socket.create_connection((LOOPBACK, port), timeout=2) as line:
            return line.recv(256).startswith(greeting)
    except OSError:
        return False


def _group_ends(group: int, *, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < deadline:
            os.killpg(group, 0)
            time.sleep(0.005)
        return False
    return True


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    # The group is the server's own (start_new_session), so this reaches nobody else.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@cache
def _certificates() -> tuple[trustme.CA, trustme.LeafCert]:
    import trustme

    authority = trustme.CA()
    return authority, authority.issue_cert("localhost", LOOPBACK)
