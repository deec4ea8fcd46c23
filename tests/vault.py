"""Looks for secrets where none may be: in what a test printed, logged, raised and wrote.

A module that asks for the fixture `vault` has every test end with that look. What is looked for are the secrets that
the test puts into the vault, in every form in which `mailarchive.scrub` knows them to be repeated, and more.
"""

from __future__ import annotations

import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mailarchive.scrub import _forms
from tests.command import mailarchive, process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.command import Result


class Vault:
    """What must stay secret in a test, and everything that it has said.

    Attributes:
        secrets: Texts that nobody may find. A list of another object may stand in it, and be filled later.
        texts: What was said.
        keepers: Files that may hold secrets.
    """

    def __init__(self) -> None:
        self.secrets: list[str | list[str]] = []
        self.texts: list[str] = []
        self.keepers: set[Path] = set()

    def run(self, *words: str | Path, password: str = "unused-word") -> Result:
        """Run the command line in this process, with --debug, and take down what it says."""
        result = mailarchive("--debug", *words, password=password)
        self.texts += [result.out, result.err]
        return result

    def process(self, *words: str | Path, environ: dict[str, str] | None = None) -> Result:
        """Run the command line as a process of its own, with --debug, and take down what it says."""
        result = process("--debug", *words, environ=environ)
        self.texts += [result.out, result.err]
        return result

    @contextmanager
    def raises(self, kind: type[BaseException]) -> Iterator[list[BaseException]]:
        """Expect exactly this kind of error and take its traceback down, with every error that hangs on it."""
        caught: list[BaseException] = []
        try:
            yield caught
        except kind as error:
            caught.append(error)
            self.texts += traceback.format_exception(error)
            each: BaseException | None = error
            while each is not None:
                self.texts += [repr(each), repr(vars(each))]
                each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)
        assert [type(error) for error in caught] == [kind]

    def found(self, said: str, places: tuple[Path, ...]) -> list[str]:
        """Name every secret that was said, or stands in a file below these places, and where."""
        whole = "\n".join([*self.texts, said])
        secrets = [text for each in self.secrets for text in ([each] if isinstance(each, str) else each)]
        assert all(len(text) >= 8 for text in secrets), "too short to be looked for"
        leaks = []
        for text in secrets:
            forms = _forms(text)
            leaks += [f"{form!r} was said" for form in forms if form in whole]
            for path in (path for place in places for path in place.rglob("*") if path.is_file()):
                if path not in self.keepers:
                    data = path.read_bytes()
                    leaks += [f"{form!r} is in {path}" for form in forms if form.encode() in data]
        return leaks
