"""Questions to a person at the terminal, each with the flag that answers it beforehand.

The law of this room: questions stand on stderr, answers come from stdin, and a secret is not echoed. Where nobody may
be asked, the usual answer counts, or the flag that is missing is named; an answer that cannot be is told, and asked
again.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final, TypeVar

import click

from mailarchive.errors import MailarchiveError, UsageError
from mailarchive.screen.plain import Sink
from mailarchive.screen.safe import safe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_Value = TypeVar("_Value")
_ENDED: Final = "the question was not answered, and nothing was written"


class Asker:
    """Asks, or does not.

    Args:
        asks: Whether a person may be asked.
    """

    def __init__(self, *, asks: bool) -> None:
        self.asks = asks
        self._out = Sink(sys.stderr)

    def tell(self, text: str = "") -> None:
        """Say something to the person; a script, which nobody reads, is told nothing."""
        if self.asks:
            self._out.write(text + "\n")

    def complain(self, error: MailarchiveError) -> None:
        """Say what was wrong with an answer."""
        hint = f" ({safe(error.hint, limit=500)})" if error.hint else ""
        self.tell(f"  ! {safe(error.message, limit=1000)}{hint}")

    def value(
        self, question: str, flag: str, convert: Callable[[str], _Value], *, given: str | None, usual: str | None = None
    ) -> _Value:
        """Get a value.

        Args:
            question: Without its question mark.
            flag: The option that answers it.
            convert: Reads an answer; raises MailarchiveError for one that cannot be.
            given: What the option said; it is not asked about.
            usual: What an empty answer means; None where an answer is needed.

        Raises:
            UsageError: Nobody may be asked and there is no usual answer, or the input ended.
            MailarchiveError: The option cannot be.
        """
        if given is not None or not self.asks:
            return convert(self._needed(given if given is not None else usual, question, flag))
        while True:
            answer = self._line(f"{question}{f' [{safe(usual)}]' if usual else ''}: ").strip()
            if not answer and usual is None:
                continue
            try:
                return convert(answer or usual or "")
            except MailarchiveError as error:
                self.complain(error)

    def choice(self, question: str, flag: str, ways: Mapping[str, str], usual: str) -> str:
        """Let a person choose one of several ways by its number or word; gives its word."""
        words = list(ways)
        self.tell(f"{question}:")
        for number, word in enumerate(words, 1):
            self.tell(f"  {number}  {word:<9} {ways[word]}")

        def chosen(answer: str) -> str:
            if answer.isascii() and answer.isdigit() and 1 <= int(answer) <= len(words):
                return words[int(answer) - 1]
            if answer.lower() in words:
                return answer.lower()
            raise UsageError(f"{answer[:40]!a} is none of them", hint=f"type a number from 1 to {len(words)}")

        return self.value("Number or word", flag, chosen, given=None, usual=usual)

    def yes(self, question: str, flag: str, *, given: bool | None = None, usual: bool) -> bool:
        """Ask for a yes or no; see `value`."""

        def read(answer: str) -> bool:
            word = answer.casefold()
            if word in ("y", "yes", "n", "no"):
                return word in ("y", "yes")
            raise UsageError("please answer y or n")

        said = None if given is None else "y" if given else "n"
        return self.value(
            f"{question}? [{'Y/n' if usual else 'y/N'}]", flag, _or(read, usual=usual), given=said, usual=""
        )

    def secret(self, question: str, instead: str) -> str:
        """Ask for a secret, which is not echoed.

        Args:
            question: What for.
            instead: What to use where nobody may be asked.
        """
        if not self.asks:
            raise UsageError(f"{question} is missing, and nobody may be asked", hint=instead)
        try:
            answer: str = click.prompt(question, hide_input=True, err=True)
        except click.Abort as abort:
            # Click makes one of the end of the input (Ctrl-D) and of an interrupt (Ctrl-C).
            if not isinstance(abort.__context__, EOFError):
                raise
            raise UsageError(_ENDED, hint=instead) from None
        return answer

    @staticmethod
    def _needed(answer: str | None, question: str, flag: str) -> str:
        if answer is None:
            raise UsageError(f"{flag} is missing, and nobody may be asked ({question})", hint="mailarchive init --help")
        return answer

    def _line(self, question: str) -> str:
        self._out.write(question)
        try:
            line = sys.stdin.buffer.readline().decode("utf-8", "replace")
        except (OSError, ValueError):  # the terminal is gone
            line = ""
        if not line:
            self._out.write("\n")
            raise UsageError(_ENDED, hint="mailarchive init --help")
        return line


def _or(read: Callable[[str], bool], *, usual: bool) -> Callable[[str], bool]:
    return lambda answer: read(answer) if answer else usual
