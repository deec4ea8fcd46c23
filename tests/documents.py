"""Reads the documents: what they tell the user to type, and where their links lead.

Law of this room: the text is what a user has before the eyes; what a document shows in a block of `sh`, `toml` or
`crontab` is meant to be used as it stands. `python -m tests.documents` prints the table of docs/providers.md.
"""

from __future__ import annotations

import re
import shlex
import tomllib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import mailarchive

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`(mailarchive [^`\n]+)`")
_LINK = re.compile(r"\]\(([^()\s]+)\)")
_ENDS = frozenset({"|", "||", "&&", ";", ">", ">>", "2>", "&"})


@dataclass(frozen=True)
class Block:
    """A fenced block of a document, with the number of its first line."""

    document: Path
    line: int
    language: str
    text: str

    @property
    def name(self) -> str:
        """What a failure of it is called."""
        return f"{self.document.name}:{self.line}"


def blocks(document: Path, *languages: str) -> list[Block]:
    """Give the blocks of a document in these languages."""
    text = document.read_text(encoding="utf-8")
    found = (
        Block(document, text.count("\n", 0, block.start()) + 2, block[1], block[2]) for block in _BLOCK.finditer(text)
    )
    return [block for block in found if block.language in languages]


def section(document: Path, heading: str) -> str:
    """Give the text of one section of the second level."""
    text = document.read_text(encoding="utf-8")
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"{document.name} has no section {heading!r}"
    return found[1]


def commands(text: str) -> Iterator[list[str]]:
    """Give the words of every call of the program that a block holds, without what stands around it.

    A call begins a command; in a container it follows the name of the image, in a crontab the times.
    """
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        ends = [-1, *(at for at, word in enumerate(words) if word in _ENDS), len(words)]
        for before, end in pairwise(ends):
            part = words[before + 1 : end]
            places = [at for at, word in enumerate(part) if Path(word).name == "mailarchive"]
            if part[:2] == ["docker", "run"] or (part and re.fullmatch(r"[\d*]+|@\w+", part[0])):
                yield part[places[0] + 1 :]
            elif places[:1] == [0]:
                yield part[1:]


def shown(document: Path) -> Iterator[tuple[str, list[str]]]:
    """Give the commands of a document, in blocks and in the text, with where they stand."""
    for block in blocks(document, "sh", "crontab"):
        for words in commands(block.text):
            yield block.name, words
    for found in _INLINE.finditer(_BLOCK.sub("", document.read_text(encoding="utf-8"))):
        # Where the text offers a choice, as in `--as eml|mbox`, the first one stands for all.
        yield document.name, [word.partition("|")[0] for word in shlex.split(found[1])[1:]]


def links(document: Path) -> list[str]:
    """Give the targets of the links of a document that lead to files here."""
    text = _BLOCK.sub("", document.read_text(encoding="utf-8"))
    return [target for target in _LINK.findall(text) if not target.startswith(("http://", "https://", "mailto:"))]


def anchors(document: Path) -> set[str]:
    """Name the headings of a document as links name them."""
    text = _BLOCK.sub("", document.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def provider_table() -> str:
    """Make the table of the servers that are known without asking anybody."""
    data = tomllib.loads((Path(mailarchive.__file__).parent / "discovery" / "presets.toml").read_text("utf-8"))
    names = {"app-password": "app password", "oauth": "OAuth2", "password": "password"}
    lines = ["| addresses | IMAP | POP3 | sign-in | user name |", "|---|---|---|---|---|"]
    for preset in data["preset"]:
        domains = ", ".join(preset["domains"]).replace("*", "\\*")
        user = "before the @" if preset.get("user") == "local" else "the address"
        ways = ", ".join(names[way] for way in preset["ways"])
        pop = f"`{preset['pop']}`" if "pop" in preset else "–"  # noqa: RUF001 - the dash of an empty cell
        lines.append(f"| {domains} | `{preset['imap']}` | {pop} | {ways} | {user} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(provider_table(), end="")  # noqa: T201 - that is what it is for
