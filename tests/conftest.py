"""What every test stands on: a home that is not the user's, fixed randomness, and programs that may be missing.

Law of this room: no test reads or writes the real home, and none depends on the environment it is started from. A test
marked `dovecot` or `reader("mutt", ...)` is skipped where the program is absent; with MAILARCHIVE_REQUIRE_SERVERS=1,
as in CI, it fails instead.
"""

from __future__ import annotations

import compileall
import itertools
import logging
import os
import random
import signal
import zlib
from typing import TYPE_CHECKING, Protocol

import hypothesis
import pytest

import mailarchive
from mailarchive.secret import KNOWN
from tests import parallel
from tests.servers.dovecot import Dovecot, find_program
from tests.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from xdist.remote import Producer
    from xdist.scheduler import LoadScopeScheduling

    from tests.servers.dovecot import Account

STRICT_VARIABLE = "MAILARCHIVE_REQUIRE_SERVERS"
_STEERING = (
    "ALL_PROXY CLICOLOR CLICOLOR_FORCE COLUMNS CREDENTIALS_DIRECTORY CURL_CA_BUNDLE DISPLAY EDITOR FORCE_COLOR "
    "GNUPGHOME HTTPS_PROXY HTTP_PROXY LESS LINES MAIL MAILCHECK MAILDIR MAILRC MUTTRC NETRC NOTMUCH_CONFIG "
    "NOTMUCH_DATABASE NOTMUCH_PROFILE NO_COLOR PAGER PASSWORD_STORE_DIR PYTHON_KEYRING_BACKEND REQUESTS_CA_BUNDLE "
    "SSH_CONNECTION SSL_CERT_DIR SSL_CERT_FILE TTY_COMPATIBLE TTY_INTERACTIVE VISUAL WAYLAND_DISPLAY all_proxy "
    "http_proxy https_proxy"
)
_CLEARED = frozenset(_STEERING.split())
_PLACES = {
    "HOME": "",
    "USERPROFILE": "",
    "APPDATA": "AppData/Roaming",
    "LOCALAPPDATA": "AppData/Local",
    "XDG_CACHE_HOME": ".cache",
    "XDG_CONFIG_DIRS": "etc/xdg",
    "XDG_CONFIG_HOME": ".config",
    "XDG_DATA_HOME": ".local/share",
    "XDG_RUNTIME_DIR": "run",
    "XDG_STATE_HOME": ".local/state",
}

hypothesis.settings.register_profile("deterministic", derandomize=True, deadline=None, print_blob=True)
hypothesis.settings.load_profile("deterministic")


class MakeUser(Protocol):
    """The type of the fixture `dovecot_user`."""

    def __call__(self, user: str | None = None, password: str = "secret") -> Account:
        """Make a user with an empty maildrop on the server of the session."""


def pytest_configure(config: pytest.Config) -> None:
    """Prepare for the programs that the tests start.

    They hear signals that were ignored for this one, as under nohup or in a job: a handler ends with exec, an ignored
    signal stays ignored. And they find the package compiled, even where they may not write that down.
    """
    if not hasattr(config, "workerinput"):
        for folder in mailarchive.__path__:
            compileall.compile_dir(folder, quiet=2)
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: None)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--seed` and `--long`."""
    parser.addoption("--seed", type=int, default=20251123, help="seed of the tests that use the fixture `seed`")
    parser.addoption("--long", action="store_true", help="run also the tests that take minutes")


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Share the tests out among several processes."""
    parallel.share_out(config)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Have one of several processes begin with the files that take long."""
    if hasattr(config, "workerinput"):
        parallel.long_first(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Say how many processes `-n auto` means, and a call without it."""
    return parallel.processes()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling | None:
    """Choose what hands out the tests."""
    return parallel.scheduler(config, log)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Apply the markers `long`, `dovecot`, `reader` and `needs_root`."""
    if item.get_closest_marker("long") and not (item.config.getoption("--long") or servers_required()):
        pytest.skip("takes minutes; --long runs it, and so does .ci/run")
    wanted = ["dovecot", "doveadm"] if item.get_closest_marker("dovecot") else []
    for marker in item.iter_markers("reader"):
        wanted += marker.args
    for program in wanted:
        require_program(program)
    if item.get_closest_marker("needs_root") and os.geteuid() != 0:
        pytest.skip("needs root")


def servers_required() -> bool:
    """Say whether this is a run that may leave nothing out, as that of .ci/run."""
    return os.environ.get(STRICT_VARIABLE) == "1"


def require_program(name: str) -> str:
    """Return the path of a program; without it, skip the test, or fail it where servers are required."""
    path = find_program(name)
    if path is not None:
        return path
    if servers_required():
        pytest.fail(f"{name} is not installed, and {STRICT_VARIABLE}=1 demands it", pytrace=False)
    pytest.skip(f"{name} is not installed")


@pytest.fixture(scope="session")
def require() -> Callable[[str], str]:
    """Return `require_program`: `require("mutt")` is the path of mutt, or the test is skipped, or failed in CI."""
    return require_program


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return an endless row of folders, not yet made, one for each test: quicker than `tmp_path` for each."""
    base = tmp_path_factory.mktemp("homes")
    return (base / str(number) for number in itertools.count())


@pytest.fixture(scope="session", autouse=True)
def first_home(homes: Iterator[Path]) -> Iterator[Path]:
    """Give what is made once for many tests a home too, so that nothing of it is left in that of the user."""
    place = next(homes)
    with pytest.MonkeyPatch.context() as patch:
        for variable, below in _PLACES.items():
            patch.setenv(variable, str(place / below))
        (place / "run").mkdir(parents=True, mode=0o700)
        yield place


@pytest.fixture(autouse=True)
def home(homes: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Point HOME and every place that programs look at to a new empty folder, and forget what was there."""
    place = next(homes)
    KNOWN.forget()
    for variable in list(os.environ):
        if variable in _CLEARED or (variable.startswith("MAILARCHIVE_") and variable != STRICT_VARIABLE):
            monkeypatch.delenv(variable)
    for variable, below in _PLACES.items():
        monkeypatch.setenv(variable, str(place / below))
    (place / "run").mkdir(parents=True, mode=0o700)
    # A line that breaks is what many tests are about; those that try again say so.
    for command in ("BACKUP", "DU", "PRUNE", "RESTORE", "UNDO"):
        monkeypatch.setenv(f"MAILARCHIVE_{command}_MAX_WAIT", "0s")
    return place


@pytest.fixture
def vault(
    home: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> Iterator[Vault]:
    """Yield what takes secrets; at the end of the test they are looked for in all that it said, logged and wrote."""
    caplog.set_level(logging.DEBUG)
    kept = Vault()
    yield kept
    logged = [
        f"{record.getMessage()} {record.exc_text or ''}"
        for when in ("setup", "call")
        for record in caplog.get_records(when)
    ]
    said = capfd.readouterr()
    assert kept.found("\n".join([said.out, said.err, *logged]), (home, tmp_path)) == []


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """Return a number of the test's own, printed so that a failure shows it; `--seed` changes all of them."""
    base: int = request.config.getoption("--seed")
    chosen = zlib.crc32(request.node.nodeid.encode(), base & 0xFFFFFFFF)
    print(f"seed {chosen} (--seed {base})")  # noqa: T201 - pytest shows it with a failure
    return chosen


@pytest.fixture
def rng(seed: int) -> random.Random:
    """Return a random generator started from `seed`."""
    return random.Random(seed)


@pytest.fixture(scope="session")
def dovecot() -> Iterator[Dovecot]:
    """Yield the one Dovecot of the session; use `dovecot_user` for a maildrop of your own."""
    require_program("dovecot")
    with Dovecot() as server:
        yield server


@pytest.fixture
def dovecot_user(dovecot: Dovecot, request: pytest.FixtureRequest) -> MakeUser:
    """Return a function that makes a user, with an empty maildrop, in a millisecond."""
    made = itertools.count()

    def make(user: str | None = None, password: str = "secret") -> Account:
        unique = f"{zlib.crc32(request.node.nodeid.encode()):08x}-{next(made)}@example.org"
        return dovecot.add_user(user or f"user-{unique}", password)

    return make
