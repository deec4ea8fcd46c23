import copy
import os
import pickle
import shlex
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from mailarchive.credentials import MAX_OCTETS, PasswordSources, Secret, child_environment, password_for
from mailarchive.errors import ConfigError, ExitCode

CANARY = "c4n4ry"
PASSWORDS = [
    "x",
    "with blank and  two ",
    "\"double\" 'single' `back`",
    "back\\slash\\n $HOME $(id) %s {0} !",
    "äöüß€",
    "🔑 emoji 👩‍👩‍👧",
    "long" * 75,
    "é composed, e\u0301 not",
    "#=;*?[]~",
]


def refused(sources: PasswordSources, *, timeout: float = 30) -> ConfigError:
    """Give the error that the sources end in; nothing hangs on it."""
    with pytest.raises(ConfigError) as caught:
        password_for(sources, timeout=timeout)
    error = caught.value
    assert error.exit_code is ExitCode.CONFIG
    shown = "".join(traceback.format_exception(error)) + error.message + error.hint + repr(error.__context__)
    assert CANARY not in shown
    return error


def secret_file(folder: Path, content: str | bytes, mode: int = 0o600) -> Path:
    """Write a password file with its mode set whatever the umask is."""
    path = folder / "pass word"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)
    return path


def python(code: str) -> tuple[str, ...]:
    """Make a command of some Python."""
    return (sys.executable, "-c", code)


def no_prompt() -> str:
    """Stand for a prompt that must not be reached."""
    raise AssertionError("a person was asked")


@pytest.mark.parametrize("password", PASSWORDS)
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_f027_a_password_passes_unchanged(tmp_path: Path, password: str, end: str) -> None:
    """From file, command and shell, environment and prompt comes the same text, without its one line end."""
    path = secret_file(tmp_path, password + end)
    variables = {"PATH": os.environ["PATH"], "MAILARCHIVE_PASSWORD": password + end}
    found = [
        password_for(PasswordSources(file=path)),
        password_for(PasswordSources(command=("cat", str(path)), environ=variables)),
        password_for(PasswordSources(command=f"cat {shlex.quote(str(path))} | cat", environ=variables)),
        password_for(PasswordSources(environ=variables)),
        password_for(PasswordSources(prompt=lambda: password + end)),
    ]
    assert [secret.reveal() for secret in found] == [password] * 5


def test_a_command_as_a_list_is_not_read_by_a_shell() -> None:
    """The arguments of a list reach the command as they are."""
    sources = PasswordSources(command=["printf", "%s", "$HOME; `id` *"], environ={"PATH": os.environ["PATH"]})
    assert password_for(sources).reveal() == "$HOME; `id` *"


def test_the_first_source_wins(tmp_path: Path) -> None:
    """Options come before the environment, that before the configuration, and a person is asked last."""
    path = secret_file(tmp_path, "file")
    other = tmp_path / "other"
    other.write_text("configured file")
    other.chmod(0o600)
    environ = {"PATH": os.environ["PATH"]}
    variable = {"MAILARCHIVE_HOME_PASSWORD": "variable", "MAILARCHIVE_PASSWORD": "one-off"}

    def found(**given: object) -> str:
        sources = {"account": "home", "environ": environ, "prompt": lambda: "person", **given}
        return password_for(PasswordSources(**sources)).reveal()  # type: ignore[arg-type] # a bag of them, to leave out

    configured = {"configured_command": "echo configured", "configured_file": other}
    assert found(command="echo option", file=path, **configured) == "option"
    assert found(file=path, environ=environ | variable, **configured) == "file"
    assert found(environ=environ | variable, **configured) == "variable"
    assert found(**configured) == "configured"
    assert found(configured_file=other) == "configured file"
    assert found() == "person"
    assert found(account=None, environ=environ | variable) == "one-off"


@pytest.mark.parametrize(
    ("account", "variable"),
    [
        ("home", "MAILARCHIVE_HOME_PASSWORD"),
        ("old-isp.2", "MAILARCHIVE_OLD_ISP_2_PASSWORD"),
        (None, "MAILARCHIVE_PASSWORD"),
    ],
)
def test_each_account_has_a_variable_of_its_own(account: str | None, variable: str) -> None:
    """The variable is named after the account; that of a one-off serves no account, and the other way round."""
    assert PasswordSources(account=account).variable == variable
    assert password_for(PasswordSources(account=account, environ={variable: "x"})).reveal() == "x"
    others = {"MAILARCHIVE_PASSWORD": CANARY, "MAILARCHIVE_HOME_PASSWORD": CANARY, "MAILARCHIVE_X_PASSWORD": CANARY}
    del others[variable if variable in others else "MAILARCHIVE_X_PASSWORD"]
    assert "no password" in refused(PasswordSources(account=account, environ=others)).message


def test_without_any_source_the_hint_names_them() -> None:
    """No source: an error that names the account and every way to give its password."""
    error = refused(PasswordSources(account="home"))
    assert error.message == "home: no password"
    for way in ("password_command", "--password-command", "--password-file", "MAILARCHIVE_HOME_PASSWORD"):
        assert way in error.hint
    assert "MAILARCHIVE_PASSWORD" in refused(PasswordSources()).hint


def test_a_prompt_at_the_end_of_its_input_is_no_password() -> None:
    """End of file at the prompt ends in the same error as no source."""

    def ends() -> str:
        raise EOFError

    assert "no password" in refused(PasswordSources(prompt=ends)).message


BAD = [
    (b"", "is empty"),
    (b"\n", "is empty"),
    (b"\r\n", "is empty"),
    (f"{CANARY}\n\n".encode(), "control character"),
    (f"{CANARY}\nuser: me\n".encode(), "control character"),
    (f"{CANARY}\r".encode(), "control character"),
    (f"{CANARY}\r\r\n".encode(), "control character"),
    (f"{CANARY}\0".encode(), "control character"),
    (f"{CANARY}\t".encode(), "control character"),
    (f"{CANARY}\x7f".encode(), "control character"),
    (f"{CANARY}\x1b[0m".encode(), "control character"),
    (f"{CANARY}\xe4".encode("latin-1"), "not UTF-8"),
    (f"{CANARY}\ud800".encode("utf-8", "surrogatepass"), "not UTF-8"),
    (CANARY.encode() * 200_000, "more than 64 KiB"),
]


@pytest.mark.parametrize(("content", "message"), BAD)
def test_f026_what_is_no_password_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    """Nothing, a second line, NUL and other controls, other encodings and a megabyte are refused, never shown."""
    path = secret_file(tmp_path, content)
    environ = {"PATH": os.environ["PATH"]}
    assert message in refused(PasswordSources(file=path)).message
    assert message in refused(PasswordSources(command=("cat", str(path)), environ=environ)).message
    assert message in refused(PasswordSources(prompt=lambda: content.decode("utf-8", "surrogateescape"))).message


@pytest.mark.parametrize(("size", "fits"), [(MAX_OCTETS, True), (MAX_OCTETS + 1, False)])
def test_the_limit_is_64_kib(tmp_path: Path, size: int, fits: bool) -> None:
    """Exactly 64 KiB is still read whole; one octet more is refused, from a file and from a command."""
    path = secret_file(tmp_path, "x" * size)
    for sources in (PasswordSources(file=path), PasswordSources(command=f"/bin/cat {shlex.quote(str(path))}")):
        if fits:
            assert len(password_for(sources).reveal()) == size
        else:
            assert "64 KiB" in refused(sources).message


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (f"echo {CANARY}; exit 3", "home: the password command ended with exit status 3"),
        (f"echo {CANARY}; kill -9 $$", "was ended by signal 9"),
        (f"no-such-command-{CANARY}", "ended with exit status 127"),
        (("no-such-command", CANARY), "cannot be started: No such file or directory"),
        (("/", CANARY), "cannot be started: Permission denied"),
        (("echo", f"{CANARY}\0"), "cannot be started: it holds a NUL"),
        ("", "is empty"),
        (" ", "is empty"),
        ((), "is empty"),
    ],
)
def test_f026_a_failing_command_is_named_by_its_status(command: str | tuple[str, ...], message: str) -> None:
    """A command that fails or cannot run is an error with its status; neither its text nor its output is shown."""
    sources = PasswordSources(command=command, account="home", environ={"PATH": "/usr/bin:/bin"}, prompt=no_prompt)
    assert message in refused(sources).message


@pytest.mark.parametrize(
    "command",
    [
        "sleep 60",
        f"echo {CANARY}; sleep 60",
        f"exec 3>&1; echo {CANARY}; sleep 60 | cat",
        f"echo {CANARY}; exec >&-; sleep 60",
        "trap '' TERM; sleep 60",
        python("import time; time.sleep(60)"),
    ],
)
def test_f026_a_hanging_command_is_ended(command: str | tuple[str, ...]) -> None:
    """After its time a command is ended, also one that has printed something, closed its output, or has children."""
    start = time.monotonic()
    error = refused(PasswordSources(command=command, environ={"PATH": "/usr/bin:/bin"}), timeout=0.4)
    assert "did not end within 0.4 s" in error.message
    assert time.monotonic() - start < 4


def test_f026_an_endless_output_is_cut(tmp_path: Path) -> None:
    """A command that prints without end is stopped at once, not after its time."""
    start = time.monotonic()
    message = refused(PasswordSources(command="yes", environ={"PATH": "/usr/bin:/bin"})).message
    assert "more than 64 KiB" in message
    assert time.monotonic() - start < 10
    assert list(tmp_path.iterdir()) == []


def test_a_slow_command_is_waited_for() -> None:
    """A password that comes in pieces is read whole."""
    command = python("import sys, time; sys.stdout.write('a'); sys.stdout.flush(); time.sleep(0.4); print('b')")
    assert password_for(PasswordSources(command=command)).reveal() == "ab"


def test_a_helper_that_stays_behind_does_not_hold_us_up() -> None:
    """The end of the command counts, even if something it started keeps the output open."""
    start = time.monotonic()
    sources = PasswordSources(command="echo x; sleep 20 &", environ={"PATH": "/usr/bin:/bin"})
    assert password_for(sources).reveal() == "x"
    assert time.monotonic() - start < 10


def test_a_command_does_not_read_our_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where standard input is no terminal the command finds it empty: what is piped to us is not its to read."""
    path = tmp_path / "input"
    path.write_text("not for the command\n")
    with path.open() as given:
        monkeypatch.setattr(sys, "stdin", given)
        before = os.dup(0)
        os.dup2(given.fileno(), 0)
        try:
            assert password_for(PasswordSources(command='/bin/cat; echo "x"')).reveal() == "x"
        finally:
            os.dup2(before, 0)
            os.close(before)


def test_a_command_may_ask_on_the_terminal() -> None:
    """Where we have a terminal, the command reads what a person types there (pinentry, gpg, pass)."""
    code = """
import fcntl, sys, termios
from mailarchive.credentials import PasswordSources, password_for
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
print(password_for(PasswordSources(command='read x; read y </dev/tty; echo "$x+$y"')).reveal(), flush=True)
"""
    ours, theirs = os.openpty()
    try:
        os.write(ours, b"one\ntwo\n")
        found = subprocess.run(
            [sys.executable, "-c", code],
            stdin=theirs,
            capture_output=True,
            text=True,
            start_new_session=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert (found.stdout, found.stderr) == ("one+two\n", "")


def test_f029_our_passwords_are_not_passed_on_to_commands() -> None:
    """A command that we start gets the environment given, without any variable that holds a password of ours."""
    environ = {
        "PATH": os.environ["PATH"],
        "MAILARCHIVE_PASSWORD": CANARY,
        "MAILARCHIVE_HOME_PASSWORD": CANARY,
        "MAILARCHIVE_CONFIG": "/x",
        "OTHER_PASSWORD": "y",
    }
    code = "import os; print(sorted(k for k in os.environ if not k.startswith(('LC_', '__'))))"
    found = password_for(PasswordSources(command=python(code), environ=environ)).reveal()
    assert found == "['MAILARCHIVE_CONFIG', 'OTHER_PASSWORD', 'PATH']"
    assert set(child_environment(environ)) == {"PATH", "MAILARCHIVE_CONFIG", "OTHER_PASSWORD"}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o644, 0o666])
def test_f138_a_password_file_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    """A file that group or others may read or write is refused, with its mode and the command that helps."""
    path = secret_file(tmp_path, CANARY, mode)
    error = refused(PasswordSources(file=path))
    assert f"open to other users (mode {mode:04o})" in error.message
    assert f"chmod 600 {shlex.quote(str(path))}" in error.hint


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_password_file_of_our_own_is_read(tmp_path: Path, mode: int) -> None:
    """A file that only we can read is fine, also by way of a link."""
    link = tmp_path / "link"
    link.symlink_to(secret_file(tmp_path, "x", mode))
    assert password_for(PasswordSources(file=link)).reveal() == "x"


def test_what_is_no_password_file_is_refused_at_once(tmp_path: Path) -> None:
    """A missing file, a folder, a device and a pipe without a writer end in an error and do not block."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    expected = {
        tmp_path / "none": "No such file",
        tmp_path: "Is a directory",
        pipe: "not a regular file",
        Path("/dev/null"): "not a regular file",
    }
    for path, message in expected.items():
        assert message in refused(PasswordSources(file=path)).message


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        "{}".format,
        "{!r:>9}".format,
        lambda secret: f"{secret:>9}",
        lambda secret: "%s %r" % (secret, secret),  # noqa: UP031 - the old way to format is what is tested
        lambda secret: repr([secret, {1: secret}]),
        lambda secret: repr(PasswordSources(environ={"MAILARCHIVE_PASSWORD": secret.reveal()})),
    ],
)
def test_a_secret_does_not_show_itself(show: Callable[[Secret], str]) -> None:
    """However it is formatted, a secret is three stars, and the sources do not show the environment."""
    shown = show(Secret(CANARY))
    assert CANARY not in shown
    assert "***" in shown or "PasswordSources" in shown


def test_a_secret_is_neither_pickled_nor_copied_nor_a_key() -> None:
    """A secret has no way out but `reveal`."""
    secret = Secret(CANARY)
    for way in (pickle.dumps, copy.copy, copy.deepcopy, hash, vars):
        with pytest.raises(TypeError) as caught:
            way(secret)
        assert CANARY not in str(caught.value)


def test_secrets_compare_by_their_text() -> None:
    """Equal texts are equal secrets; a secret never equals a plain text."""
    assert Secret("ä\udce4") == Secret("ä\udce4")
    assert Secret("a") != Secret("b")
    assert Secret("a") != Secret("ab")
    assert Secret("a") != "a"
