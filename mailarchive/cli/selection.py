"""From the texts of the selection options to a policy with instants.

The law of this room: everything that is relative to the clock is resolved here, once for a run, and told in words.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from mailarchive import dates
from mailarchive.cli.options import ContradictionError, converted
from mailarchive.errors import UsageError
from mailarchive.policy import DateKind, HeaderTests, Policy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

FUTURE = timedelta(days=2)
"""A Date header further ahead than this is not believed."""


def resolve(options: Mapping[str, Any], now: datetime, *, configured: str = "") -> tuple[Policy, str]:
    """Turn the options of `cli.options` into a policy and words.

    Args:
        options: By name.
        now: Aware, in the local zone.
        configured: What to call the age that mail must have, where it is not from the command line.

    Raises:
        ContradictionError: No message can be of that age and as the options demand.
        UsageError: A text cannot be read, or two options contradict each other.
    """
    _refuse_breaks(options)
    before, before_words = _bound(options, now, "older_than", "before")
    after, after_words = _bound(options, now, "newer_than", "after")
    if before is not None and after is not None and after >= before:
        if configured:
            theirs = next(name for name in ("newer_than", "after") if options[name])
            raise ContradictionError(
                f"{configured} and --{theirs.replace('_', '-')} {options[theirs]} leave no message",
                hint="add --older-than or --before, which takes the place of the account's older_than",
            )
        raise UsageError("no message can be both before and after these dates", hint="exchange the two")
    policy = Policy(
        before=before,
        after=after,
        date=DateKind(options["date"]),
        sane_until=now + FUTURE,
        mailboxes=options["mailbox"],
        larger_than=converted("--larger-than", options["larger_than"], dates.parse_size),
        smaller_than=converted("--smaller-than", options["smaller_than"], dates.parse_size),
        headers=HeaderTests(
            from_=options["from"] or "",
            to=options["to_addr"] or "",
            subject=options["subject"] or "",
            list_id=options["list_id"] or "",
        ),
        seen=options["seen"],
        flagged=options["flagged"],
        imap_search=options["imap_search"] or "",
        limit=options["limit"],
        free=converted("--free", options["free"], dates.parse_size),
        keep_under=_percent(options["keep_under"]),
        relative=bool(options["older_than"] or options["newer_than"]),
    )
    return policy, ", ".join([*before_words, *after_words, *_words(options)])


def _bound(options: Mapping[str, Any], now: datetime, age: str, date: str) -> tuple[datetime | None, list[str]]:
    """Resolve an age or a date, of which only one may be given."""
    age_option, date_option = f"--{age.replace('_', '-')}", f"--{date}"
    if options[age] and options[date]:
        raise UsageError(f"{age_option} and {date_option} say the same thing twice", hint="use one of them")
    side = "before" if date == "before" else "from"
    if options[age]:
        instant = dates.cut_off(converted(age_option, options[age], dates.parse_age), now)
        return instant, [f"{age.replace('_', ' ')} {options[age]} = {side} {dates.describe(instant)}"]
    if options[date]:
        instant = converted(date_option, options[date], lambda text: dates.start_of(text, now.tzinfo))
        return instant, [f"{side} {dates.describe(instant)}"]
    return None, []


def _words(options: Mapping[str, Any]) -> list[str]:
    """Say what else the selection asks for, in the words of the options."""
    words = []
    if options["date"] != "received":
        words.append(f"by date {options['date']}")
    words.extend(f"mailbox {pattern}" for pattern in options["mailbox"])
    names = ("larger_than", "smaller_than", "from", "to_addr", "subject", "list_id", "imap_search", "limit", "free")
    words.extend(f"{name.replace('_', ' ')} {options[name]}" for name in (*names, "keep_under") if options[name])
    for name, other in (("seen", "unseen"), ("flagged", "unflagged")):
        if options[name] is not None:
            words.append(name if options[name] else other)
    return words


def _percent(text: str | None) -> float | None:
    if text is None:
        return None
    digits = text.removesuffix("%").strip()
    if not digits.isascii() or not digits.isdigit() or not 1 <= int(digits) <= 100:
        raise UsageError(f"--keep-under {text!r}: not a number from 1 to 100", hint="use --keep-under 80")
    return float(digits)


def _refuse_breaks(options: Mapping[str, Any]) -> None:
    """Refuse what could break out of a line of the protocol."""
    search = options["imap_search"] or ""
    if not search.isascii() or not search.isprintable():
        raise UsageError("--imap-search takes printable ASCII only")
    if search.count("(") != search.count(")") or search.count('"') % 2 or "{" in search:
        raise UsageError("--imap-search: the parentheses or quotes do not close")
    for pattern in options["mailbox"]:
        if any(sign in pattern for sign in "\r\n\0"):
            raise UsageError("--mailbox: a line break or a NUL is in the name")
        if not pattern.removeprefix("!"):
            raise UsageError("--mailbox: the pattern is empty", hint="'*' means all")
