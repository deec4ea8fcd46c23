"""What the documents say to type can be typed: every command in them is one, with options that it has."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from mailarchive.cli import cli
from mailarchive.cli.topics import TOPICS

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_CALL = re.compile(r"(?:^|[\s/(\"\[])mailarchive (?P<words>[^\n]*)")


def blocks(text: str) -> list[str]:
    """Give the lines of a document's blocks of commands and outputs that call the program."""
    found = re.findall(r"^```[a-z]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = "".join(found).replace("\\\n", " ").splitlines()
    return [match["words"] for line in lines if (match := _CALL.search(line)) and not line.lstrip().startswith("#")]


def inline(text: str) -> list[str]:
    """Give the calls that stand in a sentence."""
    outside = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"`mailarchive ([^`]+)`", outside.replace("\n", " "))


def call(words: str) -> list[str]:
    """Split a call as a shell does, up to the end of the command."""
    try:
        parts = shlex.split(words, comments=True)
    except ValueError:  # the quote belongs to what the call stands in
        parts = shlex.split(words.rstrip("\"']"), comments=True)
    end = next((index for index, part in enumerate(parts) if part in ("&&", "|", ";", ">", ">>")), len(parts))
    return [part.rstrip('"]') for part in parts[:end]]


def parse(words: list[str]) -> None:
    """Let Click read a call, without running it."""
    command: click.Command = cli
    context = cli.make_context("mailarchive", list(words))
    while isinstance(command, click.Group):
        # The name of it has changed between versions of Click.
        first = context._protected_args if hasattr(context, "_protected_args") else context.protected_args
        name, below, rest = command.resolve_command(context, [*first, *context.args])
        assert below is not None
        if isinstance(below, click.Group) and not rest:
            return
        context = below.make_context(name, rest, parent=context)
        command = below


CALLS = [(path.name, words) for path in DOCUMENTS for words in blocks(path.read_text(encoding="utf-8"))]
MENTIONS = [(path.name, words) for path in DOCUMENTS for words in inline(path.read_text(encoding="utf-8"))]
MENTIONS += [(f"help {name}", words) for name, topic in TOPICS.items() for words in inline(topic.text)]


@pytest.mark.parametrize(("document", "words"), CALLS)
def test_a_call_in_a_block_can_be_typed(document: str, words: str) -> None:
    """Command, options, their values and the number of arguments."""
    assert document
    parse(call(words))


@pytest.mark.parametrize(("document", "words"), MENTIONS)
def test_a_call_in_a_sentence_names_what_there_is(document: str, words: str) -> None:
    """Arguments may be left out there."""
    assert document
    try:
        parse(call(words))
    except (click.MissingParameter, click.exceptions.Exit):
        pass  # it is talked about, not typed
    except click.UsageError as error:
        if "Missing" not in error.format_message():
            raise


def test_documents_are_read_at_all() -> None:
    """There are many, and a wrong one is seen."""
    assert len(CALLS) > 15
    assert len(MENTIONS) > 15
    for wrong in ("backup --frobnicate", "frobnicate", "backup --jobs many", "config frobnicate", "login"):
        with pytest.raises(click.UsageError):
            parse(call(wrong))
