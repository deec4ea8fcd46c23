"""`mailarchive help`: what a command takes, and texts about what concerns several of them."""

from __future__ import annotations

import os
import sys

import click

from mailarchive.cli.topics import TOPICS
from mailarchive.errors import UsageError

_LIST = "\b\n" + "\n".join(f"  {name:<10}  {topic.summary}" for name, topic in TOPICS.items())


@click.command("help", short_help="Explain a command or a topic.", epilog=f"\b\nTopics:\n{_LIST[2:]}")
@click.argument("words", nargs=-1, metavar="[COMMAND|TOPIC]")
@click.pass_context
def help_(context: click.Context, /, words: tuple[str, ...]) -> int:
    """Explain a COMMAND, as its --help does, or one of the topics below."""
    root = context.find_root()
    if len(words) == 1 and words[0] in TOPICS:
        _show(TOPICS[words[0]].text.replace("`", ""))
        return 0
    if not words:
        _show(f"{root.get_help()}\n\nTopics (mailarchive help TOPIC):\n{_LIST[2:]}\n")
        return 0
    _show(_found(root, words).get_help() + "\n")
    return 0


def _found(context: click.Context, words: tuple[str, ...]) -> click.Context:
    """Give the context of a command, whose help knows its whole name. Raises UsageError."""
    for word in words:
        group = context.command
        command = group.get_command(context, word) if isinstance(group, click.Group) else None
        if command is None:
            raise _unknown(context, word)
        context = click.Context(command, info_name=command.name, parent=context)
    return context


def _unknown(context: click.Context, word: str) -> UsageError:
    from mailarchive.plan import nearest

    names = list(context.command.commands) if isinstance(context.command, click.Group) else []
    if context.parent is None:
        names += TOPICS
    close = nearest(word, names)
    return UsageError(
        f"there is no help about {word[:80]!a}", hint=f"did you mean {close!r}?" if close else "mailarchive help"
    )


def _show(text: str) -> None:
    """Print a text, in the pager at a terminal; one that ends at once if the text fits on the screen."""
    if sys.stdout is None:
        return
    if not (sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()):
        click.echo(text, nl=False)
        return
    os.environ.setdefault("LESS", "FRX")
    click.echo_via_pager(text)
