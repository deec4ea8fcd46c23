"""How `mailarchive undo RUN` finds the run, before it connects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mailarchive.address import parse_url
from mailarchive.archives.opening import open_for_writing
from mailarchive.cli import running
from mailarchive.cli.options import Shared
from mailarchive.cli.targets import targets
from mailarchive.errors import ExitCode
from tests.command import mailarchive

if TYPE_CHECKING:
    from pathlib import Path

    from mailarchive.cli.targets import Target

URL = "imap+insecure://me@127.0.0.1:9"
FIRST, SECOND, THIRD = "2026-01-01T000000Z-aaaaaa", "2026-01-02T000000Z-bbbbbb", "2026-01-02T120000Z-cccccc"
DELETED = '{"type":"archived","uid":1}\n{"type":"expunging","uids":[1]}\n{"type":"expunged","uid":1}\n'
BEGUN = '{"type":"expunging","uids":[1]}\n'
FETCHED = '{"type":"archived","uid":1}\n{"type":"finished","exit":0}\n'


@pytest.fixture
def undone(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, bool]]:
    """Record account, run and dry run of what would be undone, instead of doing it."""
    found: list[tuple[str, str, bool]] = []

    def record(target: Target, of: str, *_: object, dry_run: bool) -> ExitCode:
        found.append((target.name, of, dry_run))
        return ExitCode.DONE

    monkeypatch.setattr(running, "run_undo", record)
    return found


def make_archive(folder: Path, runs: dict[str, str]) -> Path:
    """Make an archive without mail, with these manifests; gives the folder that holds them."""
    folder.parent.mkdir(exist_ok=True, parents=True)
    open_for_writing(folder, parse_url(URL).identity, run="x", started="", remember=False).close()
    manifests = folder / ".mailarchive" / "runs"
    for run, text in runs.items():
        (manifests / f"{run}.jsonl").write_text(text)
    return manifests


@pytest.fixture
def home(home: Path) -> Path:
    """Configure two accounts with archives, and one without; no password may be asked for."""
    config = home / ".config" / "mailarchive" / "config.toml"
    config.parent.mkdir(parents=True)
    tables = (
        f"[account.{name}]\nserver = '{URL}'\npassword_command = 'touch {home}/asked'\n" for name in ("a", "b", "new")
    )
    config.write_text(f'archive = "{home}/mail"\n{"".join(tables)}')
    config.chmod(0o600)
    make_archive(home / "mail" / "a", {FIRST: DELETED, SECOND: FETCHED})
    make_archive(home / "mail" / "b", {THIRD: BEGUN})
    return home


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([FIRST], ("a", FIRST, False)),
        ([THIRD], ("b", THIRD, False)),
        ([FIRST, "a"], ("a", FIRST, False)),
        (["2026-01-01"], ("a", FIRST, False)),
        (["2026-01-02T1"], ("b", THIRD, False)),
        (["2026-01-02", "b"], ("b", THIRD, False)),
        ([SECOND, "--dry-run"], ("a", SECOND, True)),
        (["2", "b", "-n"], ("b", THIRD, True)),
    ],
)
@pytest.mark.usefixtures("home")
def test_a_run_is_found_by_its_beginning(
    undone: list[tuple[str, str, bool]], words: list[str], expected: tuple[str, str, bool]
) -> None:
    """In the archives of all accounts, or of the one that is named."""
    assert mailarchive("undo", *words).code == 0
    assert undone == [expected]


def test_an_id_that_begins_another_one_is_still_meant(undone: list[tuple[str, str, bool]], home: Path) -> None:
    """The whole id comes before what only begins so."""
    (home / "mail" / "a" / ".mailarchive" / "runs" / f"{FIRST}0.jsonl").write_text(DELETED)
    assert mailarchive("undo", FIRST).code == 0
    assert undone == [("a", FIRST, False)]


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["2026-01-02"], "several runs begin with 2026-01-02", f"write more of it: {THIRD}, {SECOND}"),
        (["2025"], "there is no run 2025 in {mail}/a, {mail}/b, {mail}/new", f"that deleted: {THIRD}, {FIRST}"),
        ([THIRD, "a"], f"there is no run {THIRD} in {{mail}}/a", f"the newest runs that deleted: {FIRST}"),
        ([FIRST, "new"], f"there is no run {FIRST} in {{mail}}/new", "no run there has deleted anything"),
        ([FIRST.lower()], f"there is no run {FIRST.lower()} in", "the newest runs"),
        (["../a/x"], "'../a/x' cannot be the id of a run", "it looks like 2026-11-23T081502Z-3f"),
        (["/etc/passwd"], "'/etc/passwd' cannot be the id of a run", "it looks like"),
        (["*"], "'*' cannot be the id of a run", "it looks like"),
        (["2026-01-01T000000Z-aaaaaa.jsonl"], "cannot be the id of a run", "it looks like"),
        (["2026\n"], "'2026\\n' cannot be the id of a run", "it looks like"),
        (["２０２６"], "cannot be the id of a run", "it looks like"),  # noqa: RUF001 - digits, but not of ASCII
        (["\x1b]0;owned\x07"], "cannot be the id of a run", "it looks like"),
        ([""], "'' cannot be the id of a run", "it looks like"),
        (["9" * 65], "cannot be the id of a run", "it looks like"),
        ([], "Missing argument 'RUN'", "undo --help"),
        ([FIRST, "a", "b"], "unexpected extra argument", "undo --help"),
        ([FIRST, URL], "where is its archive?", "add --archive DIR"),
        ([FIRST, "a", "--archive", "x"], "--archive goes with a URL", ""),
        ([FIRST, "--archive", "x"], "--archive goes with a URL", ""),
        ([FIRST, "--yes"], "no such option", ""),
    ],
)
def test_what_is_not_found_is_told_with_the_runs_that_deleted(
    undone: list[tuple[str, str, bool]], home: Path, words: list[str], message: str, hint: str
) -> None:
    """Exit 2, where was looked, and what there is; nothing typed is used as a path."""
    result = mailarchive("undo", *words)
    assert (result.code, result.out, undone) == (2, "", [])
    first, *hints = result.err.splitlines()
    assert message.format(mail=home / "mail").lower() in first.lower()
    assert hint in "\n".join(hints)
    assert "\x1b" not in result.err
    assert not (home / "asked").exists()


def test_at_most_three_runs_are_named(undone: list[tuple[str, str, bool]], home: Path) -> None:
    """The newest that deleted, also where newer ones did not."""
    runs = {f"2026-02-{day:02}T000000Z-dddddd": DELETED if day < 7 else FETCHED for day in range(1, 20)}
    make_archive(home / "mail" / "new", runs)
    result = mailarchive("undo", "2030", "new")
    assert result.code == 2
    named = ", ".join(f"2026-02-0{day}T000000Z-dddddd" for day in (6, 5, 4))
    assert f"the newest runs that deleted: {named}\n" in result.err
    result = mailarchive("undo", "2026-02", "new")
    assert f"write more of it: {named}, ..." in result.err
    assert result.err.rstrip().endswith(", ...")
    assert undone == []


def test_a_mark_at_the_edge_of_a_block_is_seen(home: Path) -> None:
    """A manifest is read in blocks."""
    before = '{"type":"archived"}\n' * 60_000
    for shift in (0, 5, 12, 19):
        text = before[: (1 << 20) - shift - 1] + "\n" + '{"type":"expunging"}\n'
        (home / "mail" / "b" / ".mailarchive" / "runs" / f"{THIRD}.jsonl").write_text(text)
        assert f"the newest runs that deleted: {THIRD}" in mailarchive("undo", "2030", "b").err, shift


def test_the_name_of_a_mailbox_cannot_look_like_a_deletion(home: Path) -> None:
    """In JSON its quotes are escaped."""
    text = '{"type":"archived","mailbox":"\\"type\\":\\"expunging\\""}\n'
    (home / "mail" / "b" / ".mailarchive" / "runs" / f"{THIRD}.jsonl").write_text(text)
    assert "no run there has deleted anything" in mailarchive("undo", "2030", "b").err


def test_only_files_with_the_name_of_a_run_are_runs(undone: list[tuple[str, str, bool]], home: Path) -> None:
    """No link, no folder, nothing with another ending or with a name that steers a terminal."""
    runs = home / "mail" / "b" / ".mailarchive" / "runs"
    (runs / "2027-link.jsonl").symlink_to(runs / f"{THIRD}.jsonl")
    (runs / "2027-folder.jsonl").mkdir()
    (runs / "2027-other.txt").write_text(DELETED)
    (runs / "2027-\x1b[31m.jsonl").write_text(DELETED)
    (runs / "2027-ü.jsonl").write_text(DELETED)
    result = mailarchive("undo", "2027")
    assert (result.code, undone) == (2, [])
    assert "there is no run 2027" in result.err


def test_a_run_that_two_accounts_have_needs_the_name_of_one(undone: list[tuple[str, str, bool]], home: Path) -> None:
    """A folder was copied, say."""
    make_archive(home / "mail" / "new", {FIRST: DELETED})
    result = mailarchive("undo", FIRST)
    assert (result.code, undone) == (2, [])
    assert f"{FIRST} is a run of several accounts" in result.err
    assert "hint: add one of their names: a, new" in result.err
    assert mailarchive("undo", FIRST, "new").code == 0
    assert undone == [("new", FIRST, False)]


def test_an_archive_that_cannot_be_looked_into_stops_only_a_search_in_vain(
    undone: list[tuple[str, str, bool]], home: Path
) -> None:
    """What is found elsewhere is found; otherwise the run may be just there, and that is told: exit 13."""
    (home / "mail" / "b" / ".mailarchive" / "archive.toml").write_text("garbage")
    assert mailarchive("undo", FIRST).code == 0
    result = mailarchive("undo", THIRD)
    assert result.code == 13
    assert "archive.toml" in result.err
    assert undone == [("a", FIRST, False)]


def test_a_one_off_has_its_archive_by_option(undone: list[tuple[str, str, bool]], tmp_path: Path) -> None:
    """`undo RUN URL --archive DIR`, without any configuration."""
    make_archive(tmp_path / "one", {FIRST: DELETED})
    assert mailarchive("undo", FIRST, URL, "--archive", tmp_path / "one").code == 0
    assert undone == [("me", FIRST, False)]
    other = mailarchive("undo", FIRST, URL.replace("me@", "you@"), "--archive", tmp_path / "one")
    assert other.code == 13
    assert "is the archive of" in other.err
    none = mailarchive("undo", FIRST, URL, "--archive", tmp_path / "none")
    assert none.code == 13
    assert f"error: there is no archive in {tmp_path / 'none'}\nhint: mailarchive backup makes one\n" in none.err
    assert not (tmp_path / "none").exists()


def test_runs_that_deleted_are_named_before_those_that_did_not(home: Path) -> None:
    """What a user may want to undo; the newest of the others only where there is room."""
    runs = {f"2026-02-{day:02}T000000Z-dddddd": DELETED if day in {3, 7} else FETCHED for day in range(1, 20)}
    make_archive(home / "mail" / "new", runs)
    named = ", ".join(f"2026-02-{day}T000000Z-dddddd" for day in ("07", "03", "19"))
    assert f"hint: write more of it: {named}, ...\n" in mailarchive("undo", "2026-02", "new").err


def test_settling_what_another_run_deleted_is_no_deletion(home: Path) -> None:
    """A backup that only looked at an interrupted deletion has nothing to undo."""
    settled = f'{{"type":"expunged","of":"{FIRST}","mailbox":"INBOX","uid":1}}\n'
    make_archive(home / "mail" / "new", {SECOND: settled, THIRD: BEGUN})
    assert f"the newest runs that deleted: {THIRD}\n" in mailarchive("undo", "2030", "new").err


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ([URL, FIRST], "mailarchive undo RUN URL --archive DIR"),
        ([URL, FIRST, "--archive", "x"], "mailarchive undo RUN URL --archive DIR"),
        ([URL], "mailarchive undo RUN URL --archive DIR"),
        (["imaps://me:geheim@imap.example.org", FIRST], "mailarchive undo RUN URL --archive DIR"),
        (["a", FIRST], "mailarchive undo RUN ACCOUNT"),
    ],
)
@pytest.mark.usefixtures("home")
def test_words_in_the_wrong_order(undone: list[tuple[str, str, bool]], words: list[str], hint: str) -> None:
    """RUN comes first; what was typed may hold a password, and is not repeated."""
    result = mailarchive("undo", *words)
    assert (result.code, result.out, undone) == (2, "", [])
    assert result.err == (f"mailarchive: error: the id of the run comes first, then the account or URL\nhint: {hint}\n")


POP = URL.replace("imap", "pop")


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_nothing_can_be_put_back_over_pop(
    undone: list[tuple[str, str, bool]], tmp_path: Path, dry: tuple[str, ...]
) -> None:
    """Exit 2 before a password is asked for; the hint is what to type."""
    make_archive(tmp_path / "one", {FIRST: DELETED})
    asked = ("--password-command", f"touch {tmp_path}/asked; echo x")
    result = mailarchive("undo", FIRST[:12], POP, "--archive", tmp_path / "one", *asked, *dry)
    assert (result.code, undone) == (2, [])
    assert "error: me: POP3 takes no messages, so nothing can be put back over it\n" in result.err
    assert f"mailarchive undo {FIRST} imaps://USER@HOST --archive {tmp_path / 'one'}\n" in result.err
    assert not (tmp_path / "asked").exists()


PIN = "ab" * 32


@pytest.mark.parametrize(
    ("accounts", "words", "expected"),
    [
        (("a",), {}, ["undo", FIRST]),
        (("a",), {"config": "c d.toml"}, ["--config", "{here}/c d.toml", "undo", FIRST]),
        (
            ("a",),
            {"config": "c d.toml", "ca_file": "ca.pem"},
            ["--config", "{here}/c d.toml", "undo", FIRST, "--ca-file", "{here}/ca.pem"],
        ),
        ((URL,), {"config": "c d.toml"}, ["undo", FIRST, URL, "--archive", "{here}/x y"]),
        (
            (URL,),
            {"ca_file": "ca.pem", "fingerprint": PIN},
            ["undo", FIRST, URL, "--archive", "{here}/x y", "--ca-file", "{here}/ca.pem", "--fingerprint", PIN],
        ),
        ((POP,), {"ca_file": "ca.pem"}, []),
    ],
)
def test_the_command_that_undoes_a_run_names_all_that_it_needs(
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    accounts: tuple[str, ...],
    words: dict[str, str],
    expected: list[str],
) -> None:
    """From whatever folder it is typed: the configuration, the archive, and whom to trust."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c d.toml").write_text((home / ".config" / "mailarchive" / "config.toml").read_text())
    names = ("wait", "user", "password_command", "password_file", "ca_file", "fingerprint")
    options = {**dict.fromkeys(names), "to": "x y" if accounts != ("a",) else None, **words}
    (target,) = targets(accounts, options, Shared(config=words.get("config")), {"HOME": str(home)})
    program = ["mailarchive"] if expected else []
    there = [word.format(here=tmp_path).replace(URL, target.address.identity) for word in expected]
    assert list(target.undo(FIRST)) == [*program, *there]
