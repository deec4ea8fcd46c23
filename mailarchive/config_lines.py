"""The lines of a TOML text on which its keys stand, because the TOML reader of Python does not tell them.

The law of this room: pure, and only for texts that are valid TOML; it says where a key is, never what it means.
"""

from __future__ import annotations

import re

_STRING = (
    r'"""(?:[^"\\]|\\.|"{1,2}(?!"))*"{3,5}'
    r"|'{3}(?:[^']|'{1,2}(?!'))*'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'"
)
_TOKEN = re.compile(rf"(?P<word>[\w-]+|{_STRING})|(?P<comment>#[^\n]*)|(?P<mark>[\[\]{{}}=\n])|[^\n]", re.DOTALL)


def key_lines(text: str) -> dict[tuple[str, ...], int]:
    """Find the line, counted from 1, on which each table and key of a valid TOML text stands first.

    Keys inside an inline table are not listed; the line of the table's own key is theirs.
    """
    lines: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    line, depth, in_value = 1, 0, False
    for token in _TOKEN.finditer(text):
        mark = token["mark"]
        if token["word"] and not in_value:
            words += (_unquoted(token["word"]),)
        elif mark == "\n" and depth <= 0:
            in_value, words, depth = False, (), 0
        elif mark in ("[", "{"):
            depth += 1
        elif mark in ("]", "}"):
            depth -= 1
            if not in_value and depth == 0:
                table = words
                lines.setdefault(table, line)
        elif mark == "=" and not in_value:
            in_value = True
            # A dotted key makes the tables on its way, too.
            for n in range(len(table) + 1, len(table + words) + 1):
                lines.setdefault((table + words)[:n], line)
        line += token[0].count("\n")
    return lines


def _unquoted(word: str) -> str:
    import tomllib

    return str(tomllib.loads(f"key = {word}")["key"]) if word[0] in "\"'" else word
