"""What a query asks for, as values.

The law of this room: immutable and pure. Every text in here was typed by a user and stands for itself: who hands it to
an engine quotes it, and nothing in it is ever read as that engine's language.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime


class Field(StrEnum):
    """Where words are looked for; the value is what stands before the colon."""

    ANYWHERE = ""
    FROM = "from"
    TO = "to"
    CC = "cc"
    SUBJECT = "subject"
    LIST = "list"
    FILENAME = "filename"


@dataclass(frozen=True, slots=True)
class Words:
    """Words that follow one another; case, accents and what stands between them do not count.

    Attributes:
        field: Where they stand; `TO` means To and Cc.
        text: As it was typed; it has a letter or a digit.
        prefix: Whether the last word may go on.
    """

    field: Field
    text: str
    prefix: bool = False


@dataclass(frozen=True, slots=True)
class In:
    """It lies in a mailbox whose full name matches a pattern, as `policy.matches` does."""

    pattern: str


@dataclass(frozen=True, slots=True)
class Dated:
    """It was received before one aware instant, or at or after another; one of the two is None."""

    before: datetime | None = None
    after: datetime | None = None


@dataclass(frozen=True, slots=True)
class Sized:
    """It has more octets than one number, or fewer than another; one of the two is None."""

    above: int | None = None
    below: int | None = None


@dataclass(frozen=True, slots=True)
class Flag:
    """It had, or had not, a flag when it was archived; where the flags are unknown it is neither."""

    flag: str
    present: bool = True


@dataclass(frozen=True, slots=True)
class Attachment:
    """It has an attachment."""


@dataclass(frozen=True, slots=True)
class Id:
    """Its digest begins with these lower-case hex digits."""

    prefix: str


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite."""

    part: Term


@dataclass(frozen=True, slots=True)
class AllOf:
    """All of these; with none of them, everything."""

    parts: tuple[Term, ...] = ()


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one of these."""

    parts: tuple[Term, ...]


Term: TypeAlias = "Words | In | Dated | Sized | Flag | Attachment | Id | Not | AllOf | AnyOf"


@dataclass(frozen=True, slots=True)
class Query:
    """A query that was understood.

    Attributes:
        text: As it was typed.
        root: What it asks for.
    """

    text: str = ""
    root: Term = AllOf()

    @property
    def everything(self) -> bool:
        """Whether it asks for nothing in particular."""
        return self.root == AllOf()

    def terms(self) -> Iterator[Term]:
        """Give everything that is asked for, without what joins it."""
        waiting = [self.root]
        while waiting:
            term = waiting.pop()
            match term:
                case AllOf(parts) | AnyOf(parts):
                    waiting.extend(reversed(parts))
                case Not(part):
                    waiting.append(part)
                case _:
                    yield term
