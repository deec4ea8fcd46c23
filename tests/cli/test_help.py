"""`mailarchive help`: what --help says, texts about topics, and help after a slip."""

from __future__ import annotations

import click
import pytest

from mailarchive.cli import cli
from mailarchive.cli.topics import TOPICS
from mailarchive.errors import _BY_SERIOUSNESS, ExitCode
from tests.cli import terminal
from tests.command import mailarchive


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_help_with_a_command_is_its_help(name: str) -> None:
    """To the letter."""
    asked = mailarchive("help", name)
    assert (asked.code, asked.err) == (0, "")
    assert asked.out == mailarchive(name, "--help").out
    command = cli.commands[name]
    for below in command.commands if isinstance(command, click.Group) else ():
        assert mailarchive("help", name, below).out == mailarchive(name, below, "--help").out


@pytest.mark.parametrize("name", sorted(TOPICS))
def test_a_topic(name: str) -> None:
    """A screen or two of text, without marks for the manual; --help lists it."""
    result = mailarchive("help", name)
    assert (result.code, result.err) == (0, "")
    assert "`" not in result.out
    assert max(map(len, result.out.splitlines())) <= 120
    assert name in mailarchive("help").out
    assert name in mailarchive("help", "--help").out


def test_every_exit_code_is_explained_in_the_order_of_the_program() -> None:
    """The sentence about the most serious one too."""
    text = " ".join(mailarchive("help", "exit-codes").out.split())
    for code in ExitCode:
        assert f"{code.value} {code.meaning}" in text
    signals = (ExitCode.INTERRUPT, ExitCode.TERMINATE, ExitCode.HANGUP)
    order = ", ".join(str(code.value) for code in _BY_SERIOUSNESS if code not in (*signals, ExitCode.PARTIAL))
    assert f"the most serious code wins: {order}, a signal, 3." in text


@pytest.mark.parametrize(
    ("words", "what", "hint"),
    [
        (["deletin"], "'deletin'", "did you mean 'deleting'?"),
        (["bakcup"], "'bakcup'", "did you mean 'backup'?"),
        (["config", "shwo"], "'shwo'", "did you mean 'show'?"),
        (["backup", "x"], "'x'", "mailarchive help"),
        (["qqqq"], "'qqqq'", "mailarchive help"),
        (["\x1b[31m"], "'\\x1b[31m'", "mailarchive help"),
    ],
)
def test_help_about_nothing(words: list[str], what: str, hint: str) -> None:
    """Exit 2, one line, and what was meant."""
    result = mailarchive("help", *words)
    assert (result.code, result.out) == (2, "")
    assert result.err == f"mailarchive: error: there is no help about {what}\nhint: {hint}\n"


def test_a_terminal_gets_a_pager() -> None:
    """That of PAGER; a pipe gets the text alone."""
    seen = terminal.mailarchive("help", "cron", PAGER="sed s,^,paged:,")
    assert seen.code == 0
    assert "paged:A backup is made to run every day" in seen.text
