import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import platformdirs
import pytest

from mailarchive.config import Config, default_path, load
from mailarchive.config_lines import key_lines
from mailarchive.errors import ConfigError, ExitCode, UsageError

FULL = """\
archive = "~/Mail/archive"

[defaults]
older_than = "1y"
mailboxes = ["*", "!Lists/*"]

[account.home]
server = "imaps://imap.example.org"
user = "me@example.org"
password_command = "pass show mail/home | head -1"
ca_file = "~/ca.pem"

[account."old.isp"]
server = "imap://me%40example.net@imap.example.net:1143"
password_file = "secrets/isp"
archive = "/srv/mail/isp"
older_than = "18m"
mailboxes = []
format = "maildir"
layout = "nested"

[account.list]
server = "imaps://me@imap.example.org"
password_command = ["secret-tool", "lookup", "a b", "c"]
"""
SERVER = 'server = "imaps://me@imap.example.org"\n'


def write(folder: Path, text: str | bytes, mode: int = 0o600) -> Path:
    """Write a configuration with its mode set whatever the umask is."""
    path = folder / "config.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    return path


def read(folder: Path, text: str | bytes) -> Config:
    """Load a text with a home of its own."""
    return load(write(folder, text), environ={"HOME": "/home/me"})


def refused(folder: Path, text: str | bytes) -> ConfigError:
    """Give the error that a configuration ends in."""
    with pytest.raises(ConfigError) as caught:
        read(folder, text)
    assert caught.value.exit_code is ExitCode.CONFIG
    return caught.value


def test_a_full_configuration_is_read(tmp_path: Path) -> None:
    """Every key reaches its account, defaults reach those that say nothing, and paths are absolute."""
    config = read(tmp_path, FULL)
    assert config.path == tmp_path / "config.toml"
    assert config.archive == Path("/home/me/Mail/archive")
    assert list(config.accounts) == ["home", "old.isp", "list"]
    home, isp, listed = config.accounts.values()
    assert home.address.identity == "imaps://me%40example.org@imap.example.org:993"
    assert home.archive == Path("/home/me/Mail/archive/home")
    assert home.password_command == "pass show mail/home | head -1"
    assert (home.password_file, home.ca_file) == (None, Path("/home/me/ca.pem"))
    assert (home.older_than, home.mailboxes) == ("1y", ("*", "!Lists/*"))
    assert (home.format, home.layout) == (None, None)
    assert isp.address.identity == "imap://me%40example.net@imap.example.net:1143"
    assert (isp.archive, isp.password_file) == (Path("/srv/mail/isp"), tmp_path / "secrets/isp")
    assert (isp.older_than, isp.mailboxes) == ("18m", ())
    assert listed.password_command == ("secret-tool", "lookup", "a b", "c")


def test_the_archives_lie_in_the_home_unless_said_otherwise(tmp_path: Path) -> None:
    """Without `archive` an account's folder is `~/Mail/archive/NAME`; a relative one lies beside the file."""
    config = read(tmp_path, f"[account.a]\n{SERVER}\n[account.b]\n{SERVER}archive = '../b/./x'\n")
    assert config.accounts["a"].archive == Path("/home/me/Mail/archive/a")
    assert config.accounts["b"].archive == tmp_path.parent / "b" / "x"


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + FULL,
        FULL.replace("\n", "\r\n"),
        FULL.replace("[account.home]", "[ account . 'home' ] # mine"),
        FULL.replace("[account.home]", "[account.home] # ü\n\n# [account.home]"),
    ],
)
def test_the_way_a_file_is_written_does_not_matter(tmp_path: Path, text: str) -> None:
    """A byte order mark, CRLF, comments and quoted names change nothing."""
    assert read(tmp_path, text) == read(tmp_path, FULL)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            f"#\n\n\n\n\n\n[account.home]\n{SERVER}pasword = 'x'\n",
            "config.toml:9: account.home.pasword: unknown key",
            "did you mean 'password_command'?",
        ),
        (f"[account.home]\n{SERVER}mailbox = 'x'", "config.toml:3: account.home.mailbox: unknown key", "'mailboxes'?"),
        (f"[account.home]\n{SERVER}expunge = 1", "config.toml:3: account.home.expunge: unknown key", "the keys are"),
        (
            f"[account.home]\n{SERVER}password = 'x'",
            "config.toml:3: account.home.password: a password never stands in the configuration",
            "use password_command",
        ),
        ("[acount.home]", "config.toml:1: acount: unknown key", "did you mean 'account'?"),
        ("archives = 'x'", "config.toml:1: archives: unknown key", "did you mean 'archive'?"),
        (f"[home]\n{SERVER}", "config.toml:1: home: unknown key", "write [account.home]"),
        ("[defaults]\nserver = 'x'", "config.toml:2: defaults.server: unknown key", "older_than"),
        (f"[account.'a b']\n{SERVER}", "config.toml:1: account.'a b': this cannot be the name", "letters"),
        (f"[account.'..']\n{SERVER}", "config.toml:1: account.'..': this cannot be the name", "letters"),
        (f"[account.-x]\n{SERVER}", "config.toml:1: account.-x: this cannot be the name", "letters"),
        (f"[account.'büro']\n{SERVER}", "config.toml:1: account.'b\\xfcro': this cannot be", "letters"),
        (f'[account."a\\nb"]\n{SERVER}', "config.toml:1: account.'a\\nb': this cannot be", "letters"),
        (f"[account.{'x' * 65}]\n{SERVER}", f"account.{'x' * 65}: this cannot be", "64"),
        ("[account.a]", "config.toml:1: account.a: server is missing", "imaps://imap.example.org"),
        ("[account.a]\nserver = 1", "config.toml:2: account.a.server: expected a text, got a number", "server ="),
        ("[account.a]\nserver = true", "expected a text, got true or false", ""),
        ("[account.a]\nserver = ['x']", "expected a text, got a list", ""),
        ("[account.a]\nserver = {a=1}", "expected a text, got a table", ""),
        ("[account.a]\nserver = 2024-01-01", "expected a text, got a date or time", ""),
        ("[account.a]\nserver = ' '", "config.toml:2: account.a.server: the text is empty", ""),
        (f"[account.a]\n{SERVER}user = 1", "config.toml:3: account.a.user: expected a text, got a number", ""),
        (f"[account.a]\n{SERVER}user = 'you'", "config.toml:2: account.a.server: two user names", ""),
        (
            "[account.a]\nserver='imaps://imap.example.org'",
            "account.a.server: imaps://imap.example.org: the user",
            "by user",
        ),
        (
            "[account.a]\nserver='https://a.org'",
            "config.toml:2: account.a.server: https:// is a web address",
            "imaps://",
        ),
        (
            "[account.a]\nserver='imap+insecure://me@a.org'",
            "config.toml:2: account.a.server: a.org: clear text",
            "imaps://",
        ),
        (f"[account.a]\n{SERVER}mailboxes = 'x'", "expected a list of texts, got a text", 'mailboxes = ["'),
        (
            f"[account.a]\n{SERVER}mailboxes = ['x', '']",
            "account.a.mailboxes: the text is empty",
            "",
        ),
        (
            f"[account.a]\n{SERVER}mailboxes = ['!']",
            "account.a.mailboxes: '!' is the name of no mailbox",
            "'*' for all",
        ),
        (f"[account.a]\n{SERVER}mailboxes = ['x', 1]", "account.a.mailboxes: expected a text, got a number", ""),
        (
            f'[account.a]\n{SERVER}mailboxes = ["x\\r\\nA1 LOGOUT"]',
            "account.a.mailboxes: the text holds a line break",
            "",
        ),
        (f'[account.a]\n{SERVER}mailboxes = ["x\\u0000"]', "account.a.mailboxes: the text holds a line break", ""),
        (f"[account.a]\n{SERVER}password_command = []", "password_command: expected a text, got a list", ""),
        (
            f"[account.a]\n{SERVER}format = 'zip'",
            "config.toml:3: account.a.format: unknown format 'zip'",
            "'maildir' or 'mbox'",
        ),
        (
            f"[defaults]\nformat = 'mbox'\n[account.a]\n{SERVER}layout = 'maildir++'",
            "config.toml:5: account.a.layout: 'maildir++' is for Maildirs",
            "leave it out",
        ),
        (f"[account.a]\n{SERVER}layout = 'flat'", "config.toml:3: account.a.layout: unknown layout 'flat'", "'nested'"),
        (f"[account.a]\n{SERVER}older_than = '1'", "config.toml:3: account.a.older_than: ", ""),
        (f"[account.a]\n{SERVER}archive = '~nobody-has-this-name/x'", "config.toml:3: account.a.archive: the home", ""),
        (
            f"[account.a]\n{SERVER}password_command = 'x'\npassword_file = 'y'",
            "config.toml:4: account.a.password_file: there is a password_command too",
            "only one",
        ),
        ("account = 1", "config.toml:1: account: expected a table, got a number", "[account.NAME]"),
        ("[account]\nserver = 'x'", "config.toml:2: account.server: expected a table, got a text", "[account.server]"),
        ("defaults = []", "config.toml:1: defaults: expected a table, got a list", "[defaults]"),
        ("[[account]]\na = 1", "config.toml:1: account: expected a table, got a list", ""),
        ("account.a = {server = 'x://y'}", "config.toml:1: account.a.server: unknown kind of server 'x'", ""),
    ],
)
def test_f138_what_is_wrong_is_named_with_its_line(tmp_path: Path, text: str, message: str, hint: str) -> None:
    """A single mistake gives one line with file, line and key, and a hint what to write."""
    error = refused(tmp_path, text)
    assert message in error.message
    assert error.message.count("\n") == 0
    assert hint in error.hint


def test_f138_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    """Several mistakes give one line each in the order of the file; the hints name their lines."""
    text = "[account.a]\nserver = 'http://x'\nuser = 3\n[defaults]\nformt = 'x'\nlayout = 1\n"
    text += f"[account.b]\n{SERVER}oldr = 1\n"
    error = refused(tmp_path, text)
    lines = error.message.split("\n")
    assert [line.split(": ")[:2] for line in lines] == [
        ["config.toml:3", "account.a.user"],
        ["config.toml:5", "defaults.formt"],
        ["config.toml:6", "defaults.layout"],
        ["config.toml:9", "account.b.oldr"],
    ]
    assert "line 5: did you mean 'format'?" in error.hint
    assert "line 9: did you mean 'older_than'?" in error.hint


def test_a_password_in_the_server_is_refused_without_being_repeated(tmp_path: Path) -> None:
    """A password in `server` or under a key of its own stands in no part of the error; the hint names the keys."""
    error = refused(tmp_path, "[account.a]\nserver = 'imaps://me:s3cr3t@imap.example.org'\npassword = 's3cr3t'\n")
    assert "password_command or password_file" in error.hint
    assert "--" not in error.hint
    assert "s3cr3t" not in f"{error.message} {error.hint} {error!r} {error.__context__!r}"


@pytest.mark.parametrize(
    ("one", "other"),
    [("~/x", "~/x"), ("~/x", "~/x/."), ("~/x/y", "~/x"), ("~/x", "~/x/y/z"), ("~/Mail/archive/b", None)],
)
def test_accounts_do_not_share_an_archive(tmp_path: Path, one: str, other: str | None) -> None:
    """Two accounts whose archives are the same folder, or inside one another, are refused."""
    second = f"archive = '{other}'\n" if other else ""
    error = refused(tmp_path, f"[account.a]\n{SERVER}archive = '{one}'\n[account.b]\n{SERVER}{second}")
    assert "config.toml:" in error.message
    assert "the archive of account.a" in error.message


def test_neighbouring_archives_are_fine(tmp_path: Path) -> None:
    """Archives beside one another, also with a common beginning of their names, are accepted."""
    text = f"[account.a]\n{SERVER}archive = '~/m/x'\n[account.b]\n{SERVER}archive = '~/m/x2'\n[account.c]\n{SERVER}"
    assert len(read(tmp_path, text).accounts) == 3


def test_names_that_would_share_a_variable_are_refused(tmp_path: Path) -> None:
    """Names that differ only in case or marks would get each other's password from one variable."""
    error = refused(tmp_path, f"[account.a-b]\n{SERVER}[account.A_b]\n{SERVER}")
    assert error.message == "config.toml:3: account.A_b: differs from account.a-b only in case or marks"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = 1\nb = \n", "config.toml:2: not TOML: "),
        ("a = 'x", "config.toml:1: not TOML: "),
        ("\n\narchive = 'x'\narchive = 'y'\n", "config.toml:4: not TOML: "),
        ("[account.home]\n\n[account.home]\n", "config.toml:3: [account.home] is there twice"),
        ("just words\n", "config.toml:1: not TOML: "),
        (b"a = 1\nb = '\xff'\n", "config.toml:2: not UTF-8"),
        ("a = " + "[" * 100_000, "config.toml: nested too deeply"),
        ("a = " + "9" * 5000, "config.toml:1: not TOML: "),
        ("#" * (1 << 20) + "\n", "more than 1 MiB"),
    ],
)
def test_f138_what_is_not_toml_is_refused_with_its_line(tmp_path: Path, text: str | bytes, message: str) -> None:
    """Text that is not TOML, an account that is there twice, and absurd files are refused; with a line where known."""
    error = refused(tmp_path, text)
    assert message in error.message
    assert error.__cause__ is None


def test_f138_a_missing_file_says_how_to_do_without(tmp_path: Path) -> None:
    """A missing configuration is an error whose hint shows the one-off form."""
    with pytest.raises(ConfigError, match=r"no configuration: .*/none\.toml does not exist") as caught:
        load(tmp_path / "none.toml", environ={})
    assert "mailarchive backup imaps://" in caught.value.hint


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666, 0o664])
def test_a_file_that_others_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    """Who can write the file could have us run a command, so it is not read; the hint is the command that helps."""
    path = write(tmp_path, FULL, mode)
    with pytest.raises(ConfigError, match="other users may write") as caught:
        load(path, environ={"HOME": "/home/me"})
    assert f"mode {mode:04o}" in caught.value.message
    subprocess.run(caught.value.hint, shell=True, check=True)
    assert load(path, environ={"HOME": "/home/me"}).accounts


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o644, 0o755])
def test_a_file_that_others_may_read_is_fine(tmp_path: Path, mode: int) -> None:
    """No key of the configuration holds a secret, so it need not be hidden."""
    assert load(write(tmp_path, FULL, mode), environ={"HOME": "/home/me"}).accounts


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a file away")
def test_a_file_of_another_user_is_refused(tmp_path: Path) -> None:
    """A configuration that belongs to neither us nor root is not read."""
    path = write(tmp_path, FULL)
    os.chown(path, 12345, -1)
    with pytest.raises(ConfigError, match="belongs to another user"):
        load(path, environ={})


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    """A folder, a pipe without a writer, and a path below a file end in an error and do not block."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path, message in (
        (tmp_path, "Is a directory"),
        (pipe, "regular file"),
        (write(tmp_path, "") / "x", "cannot read"),
    ):
        with pytest.raises(ConfigError, match=message):
            load(path, environ={})


def test_a_link_to_a_good_file_is_followed(tmp_path: Path) -> None:
    """Who keeps the configuration elsewhere may link to it; the target is what is checked."""
    (tmp_path / "real").mkdir()
    link = tmp_path / "config.toml"
    link.symlink_to(write(tmp_path / "real", FULL))
    assert load(link, environ={"HOME": "/home/me"}).accounts
    link.resolve().chmod(stat.S_IRUSR | stat.S_IWOTH)
    with pytest.raises(ConfigError, match="other users may write"):
        load(link, environ={})


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the places of Linux")
@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"MAILARCHIVE_CONFIG": "/x/y.toml", "XDG_CONFIG_HOME": "/xdg"}, "/x/y.toml"),
        ({"XDG_CONFIG_HOME": "/xdg", "HOME": "/h"}, "/xdg/mailarchive/config.toml"),
        ({"XDG_CONFIG_HOME": "not/absolute", "HOME": "/h"}, "/h/.config/mailarchive/config.toml"),
        ({"MAILARCHIVE_CONFIG": "", "XDG_CONFIG_HOME": "", "HOME": "/h"}, "/h/.config/mailarchive/config.toml"),
    ],
)
def test_the_default_place_follows_the_environment(environ: dict[str, str], expected: str) -> None:
    """`MAILARCHIVE_CONFIG` wins, then an absolute `XDG_CONFIG_HOME`, then `~/.config`."""
    assert default_path(environ) == Path(expected)


def test_without_any_variable_the_platform_decides() -> None:
    """With no hint in the environment given, the place is that of platformdirs."""
    assert default_path({}) == platformdirs.user_config_path("mailarchive", appauthor=False) / "config.toml"


def test_load_without_a_path_reads_the_default_place(tmp_path: Path) -> None:
    """`load(None)` reads the file that the environment leads to."""
    (tmp_path / "mailarchive").mkdir()
    path = write(tmp_path / "mailarchive", FULL)
    assert load(None, environ={"XDG_CONFIG_HOME": str(tmp_path), "HOME": "/home/me"}).path == path


def test_select_gives_accounts_in_the_order_asked_for(tmp_path: Path) -> None:
    """No names mean all accounts; names give theirs, each once."""
    config = read(tmp_path, FULL)
    assert [account.name for account in config.select([])] == ["home", "old.isp", "list"]
    assert [account.name for account in config.select(["list", "home", "list"])] == ["list", "home"]


@pytest.mark.parametrize(
    ("name", "hint"),
    [("hmoe", "did you mean 'home'?"), ("HOME", "did you mean 'home'?"), ("zzz", "home, old.isp, list")],
)
def test_an_unknown_account_is_refused_with_the_nearest(tmp_path: Path, name: str, hint: str) -> None:
    """An unknown name is an error of the configuration, with the nearest name or all of them."""
    config = read(tmp_path, FULL)
    with pytest.raises(ConfigError, match=f"no account '{name}'") as caught:
        config.select(["home", name])
    assert hint in caught.value.hint


def test_select_shows_how_to_write_an_address(tmp_path: Path) -> None:
    """A server's address without its scheme is recognised as one, and a password in it is not repeated."""
    config = read(tmp_path, FULL)
    with pytest.raises(UsageError) as caught:
        config.select(["me@imap.example.org"])
    assert "imaps://me@imap.example.org" in caught.value.hint
    with pytest.raises(UsageError) as caught:
        config.select(["me:s3cr3t@imap.example.org"])
    assert "s3cr3t" not in caught.value.message + caught.value.hint


def test_select_without_any_account_says_so(tmp_path: Path) -> None:
    """An empty configuration is valid, but there is nothing to select."""
    config = read(tmp_path, "[defaults]\nformat = 'maildir'\n")
    with pytest.raises(ConfigError, match="no account is configured"):
        config.select([])


def test_thousands_of_accounts_load_quickly(tmp_path: Path) -> None:
    """Two thousand accounts are read and compared with one another in a few seconds."""
    text = "".join(f"[account.a{n}]\n{SERVER}" for n in range(2000))
    start = time.monotonic()
    assert len(read(tmp_path, text).accounts) == 2000
    assert time.monotonic() - start < 5


def test_lines_are_found_in_every_way_to_write_a_key() -> None:
    """Tables, dotted and quoted keys, arrays, and strings that look like keys are told apart."""
    text = '''\
# [no.table]
top = "[no.table] = 'x' # no comment"

[ a . "b.c" ]   # comment
k1.k2 = 1
'quo"ted' = """
[no.table]
no = "key"\\"""" ""
""" # k = 1
"esc\\u0041\\"" = \'\'\'
[no.table] ' ''
no = 1\'\'\'
list = [ # [no]
  "no = 1", ["]"],
  { no = 2 },
]
inline = { x = 1, y = "}" }
after = 2024-01-01T00:00:00Z
[[array.of]]
x = 1
[[array.of]]
x = 2
[a.d]
'''
    assert key_lines(text) == {
        ("top",): 2,
        ("a", "b.c"): 4,
        ("a", "b.c", "k1"): 5,
        ("a", "b.c", "k1", "k2"): 5,
        ("a", "b.c", 'quo"ted'): 6,
        ("a", "b.c", 'escA"'): 10,
        ("a", "b.c", "list"): 13,
        ("a", "b.c", "inline"): 17,
        ("a", "b.c", "after"): 18,
        ("array", "of"): 19,
        ("array", "of", "x"): 20,
        ("a", "d"): 23,
    }


def test_importing_the_configuration_is_cheap() -> None:
    """Neither the TOML reader nor platformdirs is loaded before a configuration is read."""
    code = "import sys, mailarchive.config; print(*sorted({'tomllib', 'platformdirs', 'dateutil'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""
