"""Makes the manual pages out of the commands: `python -m mailarchive.cli.manual docs/man`.

The law of this room: what a page says stands in the commands and the topics, and nowhere else; the same commands give
the same octets with every version of Click, so that a test can compare them with those in docs/man.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from mailarchive.cli import cli
from mailarchive.cli.topics import TOPICS
from mailarchive.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator

_OWN: Final = {"exit-codes"}
"""Topics that have a section of their own form."""
_FILES: Final = (
    ("$XDG_CONFIG_HOME/mailarchive/config.toml", "The configuration, else ~/.config/mailarchive/config.toml."),
    ("ARCHIVE/.mailarchive/", "What is known of the mail of an archive; see mailarchive help archive."),
)


def pages() -> dict[str, str]:
    """Give every page by the name of its file."""
    found = {}
    for words, command in _walk(("mailarchive",), cli):
        found["-".join(words) + ".1"] = "\n".join(_page(words, command)) + "\n"
    return found


def write(folder: Path) -> None:
    """Write every page into a folder, and take away those of commands that are no more."""
    folder.mkdir(parents=True, exist_ok=True)
    made = pages()
    for name, text in made.items():
        (folder / name).write_text(text, encoding="ascii")
    for path in folder.glob("mailarchive*.1"):
        if path.name not in made:
            path.unlink()


def _walk(words: tuple[str, ...], command: click.Command) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield words, command
    if isinstance(command, click.Group):
        for name in sorted(command.commands):
            yield from _walk((*words, name), command.commands[name])


def _page(words: tuple[str, ...], command: click.Command) -> Iterator[str]:
    name = "-".join(words)
    yield f'.TH {_roff(name.upper())} 1 "" mailarchive "User Commands"'
    yield ".SH NAME"
    yield f"{_roff(name)} \\- {_roff(_summary(command))}"
    yield ".SH SYNOPSIS"
    yield f".B {_roff(' '.join(words))}"
    yield _roff(" ".join(_usage(command)))
    yield ".SH DESCRIPTION"
    yield from _text(command.help or "")
    yield from _arguments(command)
    if isinstance(command, click.Group):
        yield ".SH COMMANDS"
        for each in sorted(command.commands):
            yield from _item(f"\\fB{_roff(name)}\\-{_roff(each)}\\fR(1)", _summary(command.commands[each]))
    if len(words) == 1:
        yield from _topics()
    yield ".SH EXIT STATUS"
    for code in ExitCode:
        yield from _item(str(code.value), f"{code.meaning[0].upper()}{code.meaning[1:]}.")
    yield from _around(words)


def _summary(command: click.Command) -> str:
    text = command.short_help or (command.help or "").partition("\n")[0]
    text = text.strip().rstrip(".")
    return text[:1].lower() + text[1:]


def _usage(command: click.Command) -> Iterator[str]:
    yield "[OPTIONS]"
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            yield _value(parameter)
    if isinstance(command, click.Group):
        yield "COMMAND [ARGS]..."


def _value(parameter: click.Parameter) -> str:
    """Give the word for what a parameter takes."""
    if parameter.metavar:
        return parameter.metavar
    if isinstance(parameter.type, click.Choice):
        return "|".join(str(choice) for choice in parameter.type.choices)
    return (parameter.name or "").upper() if isinstance(parameter, click.Argument) else parameter.type.name.upper()


def _arguments(command: click.Command) -> Iterator[str]:
    yield ".SH OPTIONS"
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            names = ", ".join(f"\\fB{_roff(name)}\\fR" for name in parameter.opts)
            if parameter.secondary_opts:
                names += " / " + ", ".join(f"\\fB{_roff(name)}\\fR" for name in parameter.secondary_opts)
            value = "" if parameter.is_flag or parameter.count else f" \\fI{_roff(_value(parameter))}\\fR"
            default = f"  [default: {parameter.default}]" if parameter.show_default else ""
            yield from _item(names + value, (parameter.help or "") + default)
    yield from _item("\\fB\\-h\\fR, \\fB\\-\\-help\\fR", "Show a short form of this text.")


def _topics() -> Iterator[str]:
    for name, topic in TOPICS.items():
        if name not in _OWN:
            yield f".SH {_roff(name.upper())}"
            yield from _text(topic.text)


def _around(words: tuple[str, ...]) -> Iterator[str]:
    yield ".SH ENVIRONMENT"
    variable = "_".join((*words, "OPTION")).upper().replace("-", "_")
    yield from _item(
        f"\\fB{_roff(variable)}\\fR", "The value of an option that is not given, its name in capitals with underscores."
    )
    yield from _item("\\fBMAILARCHIVE_CONFIG\\fR", "The configuration, in place of the usual one.")
    yield ".SH FILES"
    for path, what in _FILES:
        yield from _item(f"\\fI{_roff(path)}\\fR", what)
    if len(words) > 1:
        yield ".SH SEE ALSO"
        yield "\\fBmailarchive\\fR(1)"


def _item(head: str, text: str) -> Iterator[str]:
    """Give one entry of a list; its head is roff already."""
    yield ".TP"
    yield head
    yield _line(text)


def _text(text: str) -> Iterator[str]:
    r"""Give paragraphs; one that is indented, or marked by Click's `\b`, keeps its lines."""
    for number, paragraph in enumerate(re.split(r"\n[ \t]*\n", _dedented(text))):
        lines = paragraph.strip("\n").split("\n")
        kept = lines[0].strip() == "\b"
        lines = lines[1:] if kept else lines
        if kept or lines[0].startswith(" "):
            yield from (".PP", ".RS 4", ".nf", *(_line(line.removeprefix("  ")) for line in lines), ".fi", ".RE")
        elif "".join(lines).strip():
            if number:
                yield ".PP"
            yield _line(" ".join(line.strip() for line in lines))


def _dedented(text: str) -> str:
    import inspect

    return inspect.cleandoc(text)


def _line(text: str) -> str:
    """Give a line of text, what stands in backquotes in bold."""
    parts = [_roff(part) for part in text.split("`")]
    line = "".join(part if index % 2 == 0 else f"\\fB{part}\\fR" for index, part in enumerate(parts))
    return f"\\&{line}" if line.startswith((".", "'")) or not line else line


def _roff(text: str) -> str:
    """Give text as roff shows it letter by letter, in ASCII."""
    tame = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    tame = tame.replace("^", "\\(ha").replace("~", "\\(ti")
    return "".join(letter if letter.isascii() else f"\\[u{ord(letter):04X}]" for letter in tame)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
