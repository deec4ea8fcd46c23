"""From the text of a query to what it asks for.

    query  = any
    any    = all *( "OR" all )                    OR binds looser than standing side by side
    all    = *( ["AND"] not )
    not    = *( "-" / "NOT" ) one
    one    = "(" any ")" / field ":" value / value
    value  = 1*letter / DQUOTE text DQUOTE        no blank, quote or parenthesis in the first

The law of this room: pure; the depth and the number of terms are bounded, so that no text costs more than a blink.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

from mailarchive import dates
from mailarchive.errors import UsageError
from mailarchive.model import ANSWERED, FLAGGED, SEEN
from mailarchive.query.terms import AllOf, AnyOf, Attachment, Dated, Field, Flag, Id, In, Not, Query, Sized, Words

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from mailarchive.query.terms import Term

LONGEST: Final = 10_000
"""Characters of a query."""

_MOST_TERMS = 200
_DEEPEST = 50
_SHORTEST_ID = 4

_TOKEN = re.compile(
    r"\s*(?:(?P<sign>[()])"
    r"|(?P<minus>-(?=[^\s)]))"
    r"|(?P<field>[A-Za-z][A-Za-z_-]{0,39}):(?!//)(?P<value>\"[^\"]*\"?|[^\s\"()]*)"
    r"|(?P<word>\"[^\"]*\"?|[^\s\"()]+))"
)
_LETTER = re.compile(r"[^\W_]")

_FLAGS: Final = {
    "flagged": Flag(FLAGGED),
    "unread": Flag(SEEN, present=False),
    "read": Flag(SEEN),
    "answered": Flag(ANSWERED),
}
_ALSO_CALLED: Final = {
    "starred": "flagged",
    "important": "flagged",
    "seen": "read",
    "unseen": "unread",
    "replied": "answered",
    "sender": "from",
    "mailbox": "in",
    "folder": "in",
    "label": "in",
    "since": "after",
    "until": "before",
    "older": "older_than",
    "newer": "newer_than",
    "size": "larger",
    "attachment": "filename",
    "file": "filename",
    "list-id": "list",
    "recipient": "to",
    "attachments": "attachment",
}
"""Words of other programs; they are no words of ours, and the hint names ours."""


class _Token(NamedTuple):
    """A piece of the text: `kind` is sign, minus, field or word; `at` is where it begins, from 0."""

    kind: str
    text: str
    at: int
    value: str = ""
    value_at: int = 0

    @property
    def operator(self) -> str:
        """The word of the grammar that it is; empty if it is none."""
        return self.text if self.kind == "word" and self.text in ("OR", "AND", "NOT") else ""


def parse(text: str, *, now: datetime) -> Query:
    """Read a query; an empty one asks for everything.

    Args:
        text: As it was typed.
        now: Aware, in the local zone; ages and dates count from it.

    Raises:
        UsageError: It cannot be read; the message says at which character, the hint what to write.
    """
    if len(text) > LONGEST:
        raise UsageError(f"the query is longer than {LONGEST} characters")
    reader = _Reader(_tokens(text), now, len(text))
    return Query(text, reader.read())


def digest_prefix(text: str) -> str:
    """Read an ID: the first digits of a digest, at least four, `sha256:` before them or not.

    Raises:
        UsageError: It is no such thing.
    """
    digits = text.strip().lower().removeprefix("sha256:")
    if not re.fullmatch("[0-9a-f]{1,64}", digits):
        raise UsageError(f"{_shown(text)}: is no ID", hint="an ID is the first digits of what `search --ids` prints")
    if len(digits) < _SHORTEST_ID:
        raise UsageError(f"{_shown(text)}: an ID has at least {_SHORTEST_ID} digits")
    return digits


def _tokens(text: str) -> list[_Token]:
    """Cut the text into pieces."""
    found: list[_Token] = []
    at, end = 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        assert match is not None, "a lone quote is a word too, and all else is one"
        kind = match.lastgroup or ""
        kind = "field" if kind == "value" else kind
        begin, value_at = match.start(kind), max(match.start("value"), 0)
        found.append(_Token(kind, match[kind], begin, match["value"] or "", value_at))
        at = match.end()
    return found


class _Reader:
    """Reads pieces by the grammar."""

    def __init__(self, tokens: list[_Token], now: datetime, end: int) -> None:
        self._tokens = tokens
        self._now = now
        self._end = end
        self._at = 0
        self._terms = 0

    def read(self) -> Term:
        root = self._any(0)
        if (rest := self._next()) is not None:
            _refuse(rest.at, "this parenthesis closes nothing", "leave it out, or put it into quotes")
        return root

    def _next(self) -> _Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _ends(self) -> bool:
        token = self._next()
        return token is None or (token.kind == "sign" and token.text == ")")

    def _takes(self, word: str) -> bool:
        """Step over a word of the grammar, if it comes next."""
        token = self._next()
        if token is None or token.operator != word:
            return False
        self._at += 1
        return True

    def _any(self, depth: int) -> Term:
        parts = [self._all(depth)]
        while (token := self._next()) is not None and self._takes("OR"):
            if parts[-1] == AllOf():
                _refuse(token.at, "nothing stands before OR", 'to look for the word itself write "OR"')
            if self._ends():
                _refuse(token.at, "nothing stands after OR", 'to look for the word itself write "OR"')
            parts.append(self._all(depth))
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def _all(self, depth: int) -> Term:
        parts: list[Term] = []
        while not self._ends():
            token = self._next()
            assert token is not None
            if token.operator == "OR":
                break
            if self._takes("AND"):
                following = self._next()
                if not parts or following is None or self._ends() or following.operator in ("AND", "OR"):
                    _refuse(token.at, "AND stands between two terms", 'to look for the word itself write "AND"')
                continue
            parts.append(self._not(depth))
        return parts[0] if len(parts) == 1 else AllOf(tuple(parts))

    def _not(self, depth: int) -> Term:
        negative = False
        while (token := self._next()) is not None and (token.kind == "minus" or token.operator == "NOT"):
            self._at += 1
            negative = not negative
            following = self._next()
            if following is None or self._ends() or following.operator in ("AND", "OR"):
                _refuse(token.at, f"nothing stands after {token.text}", "put a word of the text into quotes")
        part = self._one(depth)
        return Not(part) if negative else part

    def _one(self, depth: int) -> Term:
        token = self._next()
        assert token is not None
        self._at += 1
        if token.kind == "sign":
            return self._group(token, depth + 1)
        self._terms += 1
        if self._terms > _MOST_TERMS:
            _refuse(token.at, f"a query has at most {_MOST_TERMS} terms")
        if token.kind == "field":
            return _field(token, self._now, grouped=self._opens_at(token.value_at))
        return _words(Field.ANYWHERE, token.text, token.at)

    def _opens_at(self, at: int) -> bool:
        """Tell whether a group begins there."""
        token = self._next()
        return token is not None and token.at == at and token.text == "("

    def _group(self, opened: _Token, depth: int) -> Term:
        if depth > _DEEPEST:
            _refuse(opened.at, f"parentheses lie in one another at most {_DEEPEST} deep")
        inner = self._any(depth)
        if self._next() is None:
            _refuse(opened.at, "this parenthesis is not closed", "add ) where the group ends")
        self._at += 1
        if inner == AllOf():
            _refuse(opened.at, "there is nothing in these parentheses", "leave them out")
        return inner


def _field(token: _Token, now: datetime, *, grouped: bool) -> Term:
    """Read `field:value`."""
    name = token.text.lower()
    reader = _READERS.get(name)
    if reader is None:
        _refuse(
            token.at,
            f"there is no field {token.text + ':'!r}",
            _meant(name, _READERS, ":") or f"put it into quotes, or use one of {_listed(_READERS, ':')}",
        )
    if grouped:
        _refuse(token.at, f"{name}: takes one value", f"write ({name}:a OR {name}:b)")
    value = _unquoted(token.value, token.value_at)
    if not value.strip():
        _refuse(token.value_at, f"nothing stands after {name}:", "write the value without a blank before it")
    try:
        return reader(name, token.value, token.value_at, now)
    except dates.DateSyntaxError as error:
        hint = re.sub("--(older|newer)-than", r"\1_than:", error.hint)
        _refuse(token.value_at, f"{name}: {error.message}", hint)


def _in_field(name: str, value: str, at: int, _now: datetime) -> Term:
    return _words(Field(name), value, at)


def _in_mailbox(_name: str, value: str, at: int, _now: datetime) -> Term:
    pattern = _unquoted(value, at)
    if pattern.startswith("!"):
        _refuse(at, "in: takes no !", f"write -in:{_shown(pattern[1:], quoted=False)}")
    return In(pattern)


def _by_age(name: str, value: str, at: int, now: datetime) -> Term:
    instant = dates.cut_off(dates.parse_age(_unquoted(value, at)), now)
    return Dated(before=instant) if name == "older_than" else Dated(after=instant)


def _by_date(name: str, value: str, at: int, now: datetime) -> Term:
    instant = dates.start_of(_unquoted(value, at), now.tzinfo)
    return Dated(before=instant) if name == "before" else Dated(after=instant)


def _by_size(name: str, value: str, at: int, _now: datetime) -> Term:
    size = dates.parse_size(_unquoted(value, at))
    return Sized(above=size) if name == "larger" else Sized(below=size)


def _with_attachment(_name: str, value: str, at: int, _now: datetime) -> Term:
    word = _unquoted(value, at).lower()
    if word != "attachment":
        _refuse(at, f"has: knows no {_shown(word)}", "write has:attachment")
    return Attachment()


def _by_flag(_name: str, value: str, at: int, _now: datetime) -> Term:
    word = _unquoted(value, at).lower()
    flag = _FLAGS.get(word)
    if flag is None:
        _refuse(at, f"is: knows no {_shown(word)}", _meant(word, _FLAGS) or f"write one of {_listed(_FLAGS)}")
    return flag


def _by_id(_name: str, value: str, at: int, _now: datetime) -> Term:
    try:
        return Id(digest_prefix(_unquoted(value, at)))
    except UsageError as error:
        _refuse(at, f"id: {error.message}", error.hint)


_READERS: Final[dict[str, Callable[[str, str, int, datetime], Term]]] = {
    **{field.value: _in_field for field in Field if field},
    "in": _in_mailbox,
    "older_than": _by_age,
    "newer_than": _by_age,
    "before": _by_date,
    "after": _by_date,
    "larger": _by_size,
    "smaller": _by_size,
    "has": _with_attachment,
    "is": _by_flag,
    "id": _by_id,
}


def _words(field: Field, text: str, at: int) -> Words:
    """Read a word or a phrase; a word that ends in `*` may go on."""
    words = _unquoted(text, at)
    if not _LETTER.search(words):
        _refuse(at, f"{_shown(words)} has no letter or digit to look for")
    if any("\ud800" <= letter <= "\udfff" for letter in words):
        _refuse(at, "this is no text", "is the terminal set to UTF-8?")
    prefix = not text.startswith('"') and words.endswith("*") and _LETTER.match(words[-2]) is not None
    return Words(field, words.removesuffix("*") if prefix else words, prefix)


def _unquoted(text: str, at: int) -> str:
    if not text.startswith('"'):
        return text
    if len(text) < 2 or not text.endswith('"'):
        _refuse(at, "this quote is not closed", 'add " where the phrase ends')
    return text[1:-1]


def _meant(word: str, known: dict[str, Callable[..., Term]] | dict[str, Flag], sign: str = "") -> str:
    """Say which known word an unknown one is most like; empty if it is like none."""
    also = _ALSO_CALLED.get(word, "")
    close = [also] if also in known else get_close_matches(word.replace("-", "_"), known, 1)
    return f"did you mean {close[0] + sign!r}?" if close else ""


def _listed(words: dict[str, Callable[..., Term]] | dict[str, Flag], sign: str = "") -> str:
    return ", ".join(f"{word}{sign}" for word in words)


def _shown(text: str, *, quoted: bool = True) -> str:
    cut = text if len(text) <= 40 else text[:39] + "…"
    return repr(cut) if quoted else cut


def _refuse(at: int, trouble: str, hint: str = "") -> NoReturn:
    raise UsageError(f"the query, at character {at + 1}: {trouble}", hint=hint)
