"""Pages of an export as HTML.

The law of this room: pure. Every text is foreign and is escaped here, but for what `cleaning.py` gave. Each page says
what a browser may do with it: fetch pictures and styles of this export, and on the first page its two scripts; nothing
else, and nothing of any network.
"""

from __future__ import annotations

import re
import unicodedata
from html import escape
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote

from mailarchive.model import ANSWERED, FLAGGED, FORWARDED, SEEN

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from mailarchive.finding import Found

MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)

_POLICY: Final = "default-src 'none'; img-src 'self' data:; style-src 'self'; {}base-uri 'none'; form-action 'none'"
_ADDRESS = re.compile(r"(?<=\S)\s*<[^<>]*>")
_NOT_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff\ud800-\udfff]")
_FLAGS: Final = {FLAGGED: "flagged", ANSWERED: "answered", FORWARDED: "forwarded"}
_UNITS: Final = ("B", "kB", "MB", "GB")


class File(NamedTuple):
    """A file that lies beside a page: its address from there, what it is called, and its octets."""

    address: str
    name: str
    size: int


def line(text: str) -> str:
    """Make one line of a foreign text, without what turns or hides letters, and escape it."""
    kept = "".join(" " if unicodedata.category(letter) in ("Cc", "Cf", "Zl", "Zp") else letter for letter in text)
    return escape(" ".join(_NOT_TEXT.sub("\N{REPLACEMENT CHARACTER}", kept).split()))


def text(words: str) -> str:
    """Escape a foreign text of many lines."""
    return escape(_NOT_TEXT.sub("\N{REPLACEMENT CHARACTER}", words))


def address(parts: Iterable[str]) -> str:
    """Make a relative address of the parts of a path."""
    return "/".join(quote(each, safe="") for each in parts)


def opening(title: str, top: str, *, scripts: bool = False) -> str:
    """Begin a page.

    Args:
        title: Escaped.
        top: The way to the folder of the export: empty, or `../` once or more.
        scripts: Whether it has the two scripts of the export.
    """
    policy = _POLICY.format("script-src 'self'; " if scripts else "")
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta http-equiv="x-dns-prefetch-control" content="off">\n<meta name="referrer" content="no-referrer">\n'
        '<meta name="robots" content="noindex">\n<meta name="viewport" content="width=device-width">\n'
        f'<title>{title}</title>\n<link rel="stylesheet" href="{top}style.css">\n<body>\n'
    )


def month_opening(key: str) -> str:
    """Begin the page of a month, such as `2014-03`, or of what has no date."""
    name = month_name(key)
    return (
        f'{opening(name, "../")}<nav><a href="../index.html">All mail</a></nav>\n<h1>{name}</h1>\n'
        '<table class="list">\n<thead><tr><th class="day">Date<th class="who">From<th class="what">Subject'
        '<th class="box">Mailbox<th class="files">Files</thead>\n<tbody>\n'
    )


def month_row(found: Found, href: str) -> str:
    """Write the line of one message; `href` leads from that page to its own."""
    sender, subject, box = line(found.sender), line(found.subject) or "(no subject)", line(found.mailbox)
    who = line(_ADDRESS.sub("", found.sender).replace('"', ""))
    return (
        f'<tr><td class="day">{day(found.internal_date)}<td class="who" dir="auto" title="{sender}">{who}'
        f'<td class="what" dir="auto" title="{subject}"><a href="{href}">{subject}</a>'
        f'<td class="box" dir="auto" title="{box}">{box}<td class="files">{found.attachments or ""}\n'
    )


MONTH_CLOSING: Final = "</tbody></table>\n"


def month_name(key: str) -> str:
    """Write the name of a month."""
    year, _, month = key.partition("-")
    return f"{MONTHS[int(month) - 1]} {year}" if month else "Without a date"


def day(date: datetime | None) -> str:
    """Write the day of a message."""
    return f"{date:%Y-%m-%d}" if date is not None else ""


def index(title: str, months: Mapping[str, int], note: str) -> str:
    """Write the first page: a table of years and months, and the search."""
    years = sorted({key[:4] for key in months if key[4:5] == "-"}, reverse=True)
    head = "".join(f"<th>{name[:3]}" for name in MONTHS)
    rows = "".join(_year(year, months) for year in years)
    undated = months.get("undated", 0)
    more = f'<p><a href="months/undated.html">{undated} without a date</a></p>\n' if undated else ""
    return (
        f"{opening(line(title), '', scripts=True)}<h1>{line(title)}</h1>\n"
        f'<p class="note">{text(note)}</p>\n'
        '<div class="search"><input id="words" type="search" autocomplete="off" spellcheck="false"'
        ' placeholder="Search senders, subjects, mailboxes, dates" aria-label="Search"></div>\n'
        '<div id="result"></div>\n'
        f'<div id="months"><div class="wide"><table class="years"><thead><tr><th>{head}<th>Total</thead>\n'
        f"<tbody>\n{rows}</tbody></table></div>\n{more}</div>\n"
        '<script src="search.js"></script>\n'
    )


def _year(year: str, months: Mapping[str, int]) -> str:
    counts = [(f"{year}-{number:02}", months.get(f"{year}-{number:02}", 0)) for number in range(1, 13)]
    cells = "".join(f'<td><a href="months/{key}.html">{n}</a>' if n else "<td>" for key, n in counts)
    return f'<tr><th scope="row">{year}{cells}<td class="sum">{sum(n for _, n in counts)}\n'


def message(found: Found, to_and_cc: tuple[str, str], body: str, carried: Sequence[File], back: str) -> str:
    """Write the page of one message; `body` is HTML that is harmless already, and `back` the page of its month."""
    subject = line(found.subject) or "(no subject)"
    date = found.internal_date
    facts = [
        ("From", line(found.sender)),
        ("To", line(to_and_cc[0])),
        ("Cc", line(to_and_cc[1])),
        ("Date", f"{date:%A, %Y-%m-%d %H:%M %z}" if date is not None else ""),
        ("Mailbox", line(found.mailbox)),
        ("Flags", line(", ".join(_flags(found.flags)))),
    ]
    shown = "".join(f'<dt>{name}</dt><dd dir="auto">{value}</dd>\n' for name, value in facts if value)
    files = "".join(
        f'<li><a href="{each.address}" download>{line(each.name)}</a><span>{size(each.size)}</span></li>\n'
        for each in carried
    )
    return (
        f'{opening(subject, "../../")}<nav><a href="../../index.html">All mail</a> \N{MIDDLE DOT} '
        f'<a href="../../months/{back}.html">{month_name(back)}</a></nav>\n<h1 dir="auto">{subject}</h1>\n'
        f'<dl class="head">\n{shown}</dl>\n{body}' + (f'<ul class="carried">\n{files}</ul>\n' if files else "")
    )


def _flags(flags: frozenset[str] | None) -> list[str]:
    if flags is None:
        return []
    unread = ["unread"] if SEEN not in flags else []
    words = sorted(flag for flag in flags if not flag.startswith("\\") and flag not in _FLAGS)
    return [*unread, *(name for flag, name in _FLAGS.items() if flag in flags), *words]


def size(octets: int) -> str:
    """Write a size."""
    number = float(octets)
    for unit in _UNITS[:-1]:
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} {_UNITS[-1]}"
