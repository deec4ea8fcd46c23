"""From words to what the full-text search of SQLite takes (FTS5), for what is kept and for what is asked alike.

The law of this room: pure. What a user or a sender wrote goes into quotes, so that nothing in it is an operator.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from mailarchive.query import AllOf, AnyOf, Field, Not, Words

if TYPE_CHECKING:
    from mailarchive.query import Term

COLUMNS: Final = {
    Field.SUBJECT: "subject",
    Field.FROM: "sender",
    Field.TO: "{receiver copied}",
    Field.CC: "copied",
    Field.LIST: "list",
    Field.FILENAME: "filename",
}
"""Where words of a field are looked for."""

_DEEPEST = 8
"""Levels of an expression; SQLite's parser has a small stack."""

_UNSPACED = re.compile(
    "([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3\uf900-\ufaff])"
)
_SURROGATES = re.compile("[\ud800-\udfff\0]")


def spaced(text: str) -> str:
    """Put the letters apart of writings that put no blanks between words, so that a word inside a sentence is found.

    What no database takes, lone surrogates and NUL, becomes a blank.
    """
    if text.isascii():
        return text.replace("\0", " ")
    return _UNSPACED.sub(r" \1 ", _SURROGATES.sub(" ", text))


def expression(term: Term, depth: int = 0) -> str:
    """Write a term as an expression of FTS5; empty where it is not about words alone."""
    match term:
        case Words():
            return _phrase(term)
        case AnyOf(parts) if depth < _DEEPEST:
            found = [expression(part, depth + 1) for part in parts]
            return f"({' OR '.join(found)})" if all(found) else ""
        case AllOf(parts) if depth < _DEEPEST:
            wanted = [expression(part, depth + 1) for part in parts if not isinstance(part, Not)]
            refused = [expression(part.part, depth + 1) for part in parts if isinstance(part, Not)]
            if not wanted or not all(wanted) or not all(refused):
                return ""
            positive = f"({' AND '.join(wanted)})"
            return f"({positive} NOT ({' OR '.join(refused)}))" if refused else positive
    return ""


def divided(root: Term) -> tuple[str, list[Term]]:
    """Cut what is asked for into an expression that every answer fulfils, and all else; the first may be empty."""
    parts = root.parts if isinstance(root, AllOf) else (root,)
    wanted: list[Term] = []
    rest: list[Term] = []
    for part in parts:
        inner = part.part if isinstance(part, Not) else part
        (wanted if expression(inner) else rest).append(part)
    found = expression(AllOf(tuple(wanted)))
    return (found, rest) if found else ("", list(parts))


def _phrase(words: Words) -> str:
    quoted = spaced(words.text).replace('"', " ")
    phrase = f'"{quoted}"{" *" if words.prefix else ""}'
    column = COLUMNS.get(words.field)
    return f"{column} : {phrase}" if column else phrase
