"""Pages that any browser shows, also in ten years and without a network: an index, months, a page for each message.

The law of this room: what a sender wrote is text, or HTML that `cleaning.py` let through; names of pages are made of
digests; a file that a browser would run when it is opened gets an ending that it does not run.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from mailarchive import headers, mbox_block
from mailarchive.exports import names, pages
from mailarchive.exports.attachments import file_of
from mailarchive.exports.cleaning import cleaner
from mailarchive.exports.octets import whole
from mailarchive.reading import decoded, parts
from mailarchive.reading import text as text_of
from mailarchive.reading.fields import in_charset

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailarchive.finding import Found
    from mailarchive.outgoing import ExportFolder, Outgoing
    from mailarchive.reading import Octets, Part

MOST: Final = 1024 * 1024
"""Octets of one text that are shown."""

_RUNS = re.compile(
    r"\.(?:[a-z]*html?|[a-z]*xml|xht|xsl[a-z]*|svgz?|mht|js|mjs|css|hta|url|webloc|lnk|desktop)\Z", re.IGNORECASE
)
_UNDATED: Final = "undated"


class Html:
    """See the head of this file.

    Args:
        folder: Where to.
        title: Of the first page.
        note: What stands below that.
    """

    once = True

    def __init__(self, folder: ExportFolder, title: str, note: str) -> None:
        self._folder, self._title, self._note = folder, title, note
        self._clean = cleaner()
        self._months: dict[str, int] = {}
        page = files("mailarchive.exports").joinpath("page")
        for name in ("style.css", "search.js"):
            folder.write((), name, [page.joinpath(name).read_bytes()])
        folder.append((), "messages.js", [b"var messages = [\n"])

    @property
    def cleans(self) -> bool:
        """Whether HTML can be shown as such; without nh3 it is shown as text."""
        return self._clean is not None

    def add(self, message: Outgoing) -> int:
        """Write the page of one message, its files, and its lines in the lists."""
        found = message.found
        shelf, name = found.id[:2], found.id[:32]
        date = mbox_block.in_utc(found.internal_date)
        month = f"{date.year:04}-{date.month:02}" if date is not None else _UNDATED
        with whole(message, self._folder) as octets:
            shown = _Shown(self._folder, octets, ("files", shelf, name))
            body = "".join(self._body(shown))
            named = headers.fields(octets[: headers.HEAD], (b"to", b"cc"))
            to, cc = (", ".join(map(headers.decoded, named[each])) for each in (b"to", b"cc"))
        page = pages.message(found, (to, cc), body, [*shown.carried], month)
        self._folder.write(("messages", shelf), f"{name}.html", [page.encode("utf-8", "replace")])
        self._list(found, ("messages", shelf, f"{name}.html"), month)
        return 1 + shown.written

    def finish(self) -> None:
        """End the lists, and write the first page."""
        for month in self._months:
            self._folder.append(("months",), f"{month}.html", [pages.MONTH_CLOSING.encode()])
        self._folder.append((), "messages.js", [b"];\n"])
        page = pages.index(self._title, self._months, self._note)
        self._folder.write((), "index.html", [page.encode("utf-8", "replace")])

    def _list(self, found: Found, page: tuple[str, ...], month: str) -> None:
        lines = [pages.month_row(found, f"../{pages.address(page)}")]
        if month not in self._months:
            lines.insert(0, pages.month_opening(month))
        self._folder.append(("months",), f"{month}.html", [each.encode("utf-8", "replace") for each in lines])
        self._months[month] = self._months.get(month, 0) + 1
        row = [pages.address(page), pages.day(found.internal_date), found.sender, found.subject, found.mailbox]
        self._folder.append((), "messages.js", [f"{json.dumps([*row, found.attachments])},\n".encode("ascii")])

    def _body(self, shown: _Shown) -> Iterator[str]:
        """Give the texts of a message: HTML as such where it can be cleaned, with the plain text beside it."""
        if shown.html and self._clean is not None:
            for part in shown.html:
                yield f'<div class="mail">{self._clean(shown.source(part), shown.picture)}</div>\n'
            plain = [part for part in shown.texts if part not in shown.html]
            if plain:
                yield f"<details><summary>As plain text</summary>\n{''.join(map(shown.plain, plain))}</details>\n"
        else:
            # The plain text of an alternative says what its HTML says.
            plain = [part for part in shown.texts if part not in shown.html] or shown.texts
            yield from map(shown.plain, plain)
        shown.carry_the_rest()


@dataclass
class _Shown:
    """What one page shows, and the files beside it.

    Attributes:
        texts: The parts that are text, in their order. `html`: those of them that are HTML.
        others: The parts that become files.
        carried: Those that are written already.
    """

    folder: ExportFolder
    octets: Octets
    place: tuple[str, ...]
    texts: list[Part] = field(default_factory=list)
    html: list[Part] = field(default_factory=list)
    others: list[Part] = field(default_factory=list)
    carried: list[pages.File] = field(default_factory=list)
    written: int = 0
    _pictures: dict[str, tuple[Part, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        inside = 0
        for part in parts(self.octets):
            # The texts of a message inside are read in its own file.
            if part.kind in ("text/plain", "text/html") and not part.attached:
                if part.begin >= inside:
                    self.texts.append(part)
                    if part.kind == "text/html":
                        self.html.append(part)
                continue
            self.others.append(part)
            if part.is_message:
                inside = max(inside, part.end)
            elif part.kind.startswith("image/") and (known := self._content_id(part)):
                self._pictures.setdefault(known, (part, ""))

    def source(self, part: Part) -> str:
        """Give HTML as it was sent."""
        octets = b""
        for piece in decoded(self.octets, part):
            octets += piece
            if len(octets) >= MOST:
                break
        return in_charset(octets[:MOST], part.charset).replace("\0", " ")

    def plain(self, part: Part) -> str:
        """Give the text of a part as it stands on the page."""
        words = text_of(self.octets, part, MOST)
        return f'<pre class="text" dir="auto">{pages.text(words)}</pre>\n'

    def picture(self, content_id: str) -> str | None:
        """Give the address of a picture that the message carries, which is written when it is first asked for."""
        part, where = self._pictures.get(content_id.strip().strip("<>"), (None, ""))
        if part is None or names.file_name(file_of(part)) != _harmless(names.file_name(file_of(part))):
            return None
        if not where:
            where = self._write(part).address
            self._pictures[content_id.strip().strip("<>")] = (part, where)
            self.others.remove(part)
        return where

    def carry_the_rest(self) -> None:
        """Write what is not shown in the text, to be opened by a click."""
        for part in self.others:
            self.carried.append(self._write(part))

    def _write(self, part: Part) -> pages.File:
        name = file_of(part)
        size = 0

        def counted() -> Iterator[bytes]:
            nonlocal size
            for piece in decoded(self.octets, part):
                size += len(piece)
                yield piece

        chosen = self.folder.write(self.place, _harmless(name), counted())
        self.written += 1
        return pages.File(f"../../{pages.address((*self.place, chosen))}", chosen, size)

    def _content_id(self, part: Part) -> str:
        head = self.octets[part.header : min(part.begin, part.header + headers.FIELD)]
        values = headers.fields(head, (b"content-id",))[b"content-id"]
        return values[0].decode("latin-1").strip().strip("<>") if values else ""


def _harmless(name: str) -> str:
    """Put an ending behind the name of a file that a browser would run, so that it shows its text."""
    return f"{name}.txt" if _RUNS.search(name) else name
