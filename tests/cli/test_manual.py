"""The manual pages in docs/man: made of the commands, current, and read by man and groff without a complaint."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from mailarchive.cli import cli, manual
from mailarchive.cli.topics import TOPICS
from mailarchive.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FOLDER = Path(__file__).parents[2] / "docs" / "man"
PAGES = manual.pages()


def commands(group: click.Group, words: tuple[str, ...]) -> Iterator[tuple[str, click.Command]]:
    """Give every command with the name of its page."""
    yield "-".join(words), group
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*words, name))
        else:
            yield "-".join((*words, name)), command


COMMANDS = dict(commands(cli, ("mailarchive",)))


def test_the_pages_are_current() -> None:
    """Those in docs/man are what the commands say now: `python -m mailarchive.cli.manual docs/man`."""
    assert {path.name: path.read_text(encoding="ascii") for path in FOLDER.iterdir()} == PAGES


def test_each_command_has_a_page() -> None:
    """Groups and what is in them too."""
    assert set(PAGES) == {f"{name}.1" for name in COMMANDS}
    assert {"mailarchive.1", "mailarchive-backup.1", "mailarchive-config-show.1"} <= set(PAGES)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_page_has_every_option(name: str) -> None:
    """And every code that the program ends with."""
    text = PAGES[f"{name}.1"].replace("\\-", "-")
    options = [each for each in COMMANDS[name].params if isinstance(each, click.Option) and not each.hidden]
    for option in options:
        for word in (*option.opts, *option.secondary_opts):
            assert f"\\fB{word}\\fR" in text
    for code in ExitCode:
        assert f".TP\n{code.value}\n" in text


def test_the_wheel_brings_the_pages() -> None:
    """Where man looks for them, beside the folder of the program."""
    project = tomllib.loads((FOLDER.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["shared-data"] == {"docs/man": "share/man/man1"}


def test_the_pages_change_nothing_twice(tmp_path: Path) -> None:
    """Old pages go, other files stay."""
    (tmp_path / "mailarchive-gone.1").touch()
    (tmp_path / "other.1").touch()
    manual.write(tmp_path)
    manual.write(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*PAGES, "other.1"}


def test_groff_has_nothing_to_warn_of(require: Callable[[str], str]) -> None:
    """All pages in one go, with every warning on."""
    files = sorted(str(path) for path in FOLDER.iterdir())
    done = subprocess.run([require("groff"), "-man", "-ww", "-Tutf8", *files], capture_output=True, check=True)
    assert done.stderr == b""


def test_man_shows_what_we_wrote(require: Callable[[str], str]) -> None:
    """Hyphens, quotes and letters beyond ASCII arrive as they are, so that an example can be copied."""
    done = subprocess.run(
        [require("man"), "-l", "--warnings", str(FOLDER / "mailarchive.1")],
        capture_output=True,
        check=True,
        env={"MANWIDTH": "100", "LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin", "MANPAGER": "cat"},
    )
    assert done.stderr == b""
    text = re.sub(".\b", "", done.stdout.decode())
    for line in ("--mailbox 'Lists/*'   only these; '!Lists/*' all but these", "17 6 * * *  mailarchive backup -q"):
        assert line in text
    for name in TOPICS:
        if name != "exit-codes":
            assert f"\n{name.upper()}\n" in text
    assert "mailarchive-backup(1)" in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a-b", "a\\-b"),
        (".so /etc/passwd", "\\&.so /etc/passwd"),
        ("'x'", "\\(aqx\\(aq"),
        ("back\\slash", "back\\eslash"),
        ("`bold` · é", "\\&\\fBbold\\fR \\[u00B7] \\[u00E9]"),
        ("", "\\&"),
        ("~/^", "\\(ti/\\(ha"),
    ],
)
def test_no_letter_is_taken_for_roff(text: str, expected: str) -> None:
    """What begins with a dot is no request, and a backslash begins nothing."""
    assert manual._line(text).removeprefix("\\&") == expected.removeprefix("\\&")
    assert not manual._line(text).startswith((".", "'"))
