"""Writes the messages of the sample, kind by kind.

The law of this room: a message follows from the state of its writer and from its moment alone; the bytes of its files
look like those of a real file at their start and like noise behind it, so that they cannot be compressed either.
"""

from __future__ import annotations

from datetime import timedelta, timezone
from typing import TYPE_CHECKING

from mailarchive.demo import sample_mime as mime
from mailarchive.demo import sample_words as words

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from random import Random

    from mailarchive.demo.sample_mime import Part
    from mailarchive.demo.sample_words import Person

_NOISE = 1 << 20
_JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x48\x00\x48\x00\x00"
_DOCUMENTS = (
    ("report {number}.pdf", "application/pdf", b"%PDF-1.5\n%\xe2\xe3\xcf\xd3\n"),
    ("figures-{year}.xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", b"PK\x03\x04\x14\x00"),
    ("Entwurf für {year}.pdf", "application/pdf", b"%PDF-1.4\n"),
    ("archive-{number}.zip", "application/zip", b"PK\x03\x04\x0a\x00"),
)


class Writer:
    """What the messages are made of: a source of chance, noise, and the last Message-ID for answers."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self._noise = random.randbytes(_NOISE)
        self._last = ("", "")

    def noise(self, octets: int) -> bytes:
        """Give noise; at most 1 MiB."""
        start = self.random.randrange(_NOISE - octets)
        return self._noise[start : start + octets]

    def paragraphs(self, sentences: Sequence[str], count: int) -> str:
        """Give paragraphs of two to six sentences."""
        most = min(6, len(sentences))
        return "\n\n".join(
            _wrapped(" ".join(self.random.sample(sentences, self.random.randint(2, most)))) for _ in range(count)
        )

    def subject(self, templates: Sequence[str], moment: datetime) -> str:
        """Give a subject."""
        number = self.random.randrange(10_000, 999_999)
        return self.random.choice(templates).format(number=number, year=moment.year)

    def fields(
        self, author: Person, to: Person, subject: str, moment: datetime, more: Sequence[str] = (), *, reply: float = 0
    ) -> list[str]:
        """Give the fields of a header; with the chance `reply` it answers the message before."""
        ident = f"<{self.random.getrandbits(64):016x}@{author.address.partition('@')[2]}>"
        local = moment.astimezone(timezone(timedelta(hours=author.zone)))
        answer = []
        if self._last[0] and self.random.random() < reply:
            subject = "Re: " + self._last[1].removeprefix("Re: ")
            answer = [f"In-Reply-To: {self._last[0]}", f"References: {self._last[0]}"]
        self._last = (ident, subject)
        return [
            *more,
            f"From: {mime.address(author)}",
            f"To: {mime.address(to)}",
            f"Subject: {mime.encoded(subject)}",
            f"Date: {mime.date(local)}",
            f"Message-ID: {ident}",
            *answer,
        ]

    def boundary(self) -> str:
        """Give a boundary that no part holds."""
        return f"=_{self.random.getrandbits(96):024x}"

    def photo(self) -> Part:
        """Give a photograph of 70 to 260 kB."""
        octets = self.random.randrange(70_000, 260_000)
        return mime.attachment(f"IMG_{self.random.randrange(10_000):04}.jpg", "image/jpeg", _JPEG + self.noise(octets))

    def document(self, moment: datetime) -> Part:
        """Give a document of 20 to 160 kB."""
        name, kind, start = self.random.choice(_DOCUMENTS)
        name = name.format(number=self.random.randrange(100, 1000), year=moment.year)
        return mime.attachment(name, kind, start + self.noise(self.random.randrange(20_000, 160_000)))


def friendly(writer: Writer, moment: datetime) -> bytes:
    """A letter of a friend, now and then an answer."""
    fields, body = _friendly(writer, moment)
    return mime.message(fields, body)


def with_photo(writer: Writer, moment: datetime) -> bytes:
    """A letter of a friend with a photograph, every fourth time; a plain one else."""
    fields, body = _friendly(writer, moment)
    return mime.message(fields, _mixed(writer, body, writer.photo()) if writer.random.random() < 0.25 else body)


def work(writer: Writer, moment: datetime) -> bytes:
    """A letter of a colleague, every tenth time with a document."""
    fields, body = _work(writer, moment)
    file = writer.random.random() < 0.1
    return mime.message(fields, _mixed(writer, body, writer.document(moment)) if file else body)


def with_document(writer: Writer, moment: datetime) -> bytes:
    """A letter of a colleague with one or two documents."""
    fields, body = _work(writer, moment)
    files = [writer.document(moment) for _ in range(writer.random.randint(1, 2))]
    return mime.message(fields, _mixed(writer, body, *files))


def notice(writer: Writer, moment: datetime) -> bytes:
    """A message of a shop or a club, in plain text and in HTML."""
    author = writer.random.choice(words.SENDERS_OF_NOTICES)
    subject = writer.subject(words.NOTICE_SUBJECTS, moment)
    said = writer.paragraphs(words.FORMAL, writer.random.randint(1, 3))
    more = [f"List-Unsubscribe: <https://{author.address.partition('@')[2]}/leave>", "Precedence: bulk"]
    fields = writer.fields(author, words.ME, subject, moment, more)
    return mime.message(fields, _alternative(writer, f"{subject}\n\n{said}\n\n{author.name}\n"))


def list_post(writer: Writer, moment: datetime) -> bytes:
    """A post to a mailing list, often an answer that quotes."""
    author = writer.random.choice(words.DEVELOPERS)
    subject = writer.subject(words.LIST_SUBJECTS, moment)
    said = writer.paragraphs(words.TECHNICAL, writer.random.randint(1, 4))
    quoted = writer.paragraphs(words.TECHNICAL, 1).replace("\n", "\n> ")
    address = words.Person("debian", "debian@lists.example.org", 0)
    more = ["List-Id: Talk about the distribution <debian.lists.example.org>", "Precedence: list"]
    fields = writer.fields(author, address, subject, moment, more, reply=0.6)
    body = mime.text(f"> {quoted}\n\n{said}\n\n-- \n{author.name}\n")
    return mime.message(fields, body)


def spam(writer: Writer, moment: datetime) -> bytes:
    """What nobody wants; the author's clock may be anywhere."""
    author = writer.random.choice(words.SPAMMERS)
    fields = writer.fields(author, words.ME, writer.subject(words.SPAM_SUBJECTS, moment), moment, ["X-Spam-Flag: YES"])
    said = writer.paragraphs(words.SALESY, 2)
    return mime.message(fields, mime.text(f"<html><body><h1>{said}</h1></body></html>\n", subtype="html"))


def draft(writer: Writer, moment: datetime) -> bytes:
    """A letter that was never finished."""
    to = writer.random.choice(words.FRIENDS)
    fields = writer.fields(words.ME, to, writer.subject(words.FRIENDLY_SUBJECTS, moment), moment)
    return mime.message(fields, mime.text(f"Dear {to.name.split()[0]},\n\n{writer.paragraphs(words.ENGLISH, 1)}\n"))


def sent(writer: Writer, moment: datetime) -> bytes:
    """A letter to a friend."""
    fields, body = _sent(writer, moment)
    return mime.message(fields, body)


def sent_file(writer: Writer, moment: datetime) -> bytes:
    """A letter to a friend, every fifth time with a document."""
    fields, body = _sent(writer, moment)
    file = writer.random.random() < 0.2
    return mime.message(fields, _mixed(writer, body, writer.document(moment)) if file else body)


def french(writer: Writer, moment: datetime) -> bytes:
    """A letter about holidays, in French; half of them in Latin-1."""
    fields, body = _french(writer, moment)
    return mime.message(fields, body)


def french_photo(writer: Writer, moment: datetime) -> bytes:
    """The same with a photograph."""
    fields, body = _french(writer, moment)
    return mime.message(fields, _mixed(writer, body, writer.photo()))


def japanese(writer: Writer, moment: datetime) -> bytes:
    """A letter in Japanese; half of them in ISO-2022-JP."""
    fields, body = _japanese(writer, moment)
    return mime.message(fields, body)


def japanese_photo(writer: Writer, moment: datetime) -> bytes:
    """The same with a photograph."""
    fields, body = _japanese(writer, moment)
    return mime.message(fields, _mixed(writer, body, writer.photo()))


def zone(moment: datetime) -> timezone:
    """Give the zone of the server's clock: two hours from April to October, else one."""
    return timezone(timedelta(hours=2 if 4 <= moment.month <= 10 else 1))


def _friendly(writer: Writer, moment: datetime) -> tuple[list[str], Part]:
    author = writer.random.choice(words.FRIENDS)
    fields = writer.fields(author, words.ME, writer.subject(words.FRIENDLY_SUBJECTS, moment), moment, reply=0.25)
    said = writer.paragraphs(words.ENGLISH, writer.random.randint(1, 5))
    return fields, mime.text(f"Dear Robin,\n\n{said}\n\nYours, {author.name}\n")


def _work(writer: Writer, moment: datetime) -> tuple[list[str], Part]:
    author = writer.random.choice(words.COLLEAGUES)
    fields = writer.fields(author, words.ME, writer.subject(words.WORK_SUBJECTS, moment), moment, reply=0.3)
    said = writer.paragraphs(words.FORMAL + words.ENGLISH, writer.random.randint(1, 5))
    letter = f"Hello Robin,\n\n{said}\n\nRegards\n{author.name}\n"
    return fields, _alternative(writer, letter) if writer.random.random() < 0.4 else mime.text(letter)


def _sent(writer: Writer, moment: datetime) -> tuple[list[str], Part]:
    to = writer.random.choice(words.FRIENDS + words.COLLEAGUES)
    subject = "Re: " + writer.subject(words.FRIENDLY_SUBJECTS, moment).removeprefix("Re: ")
    fields = writer.fields(words.ME, to, subject, moment, ["User-Agent: Pigeon/3.2"])
    said = writer.paragraphs(words.ENGLISH, writer.random.randint(1, 3))
    return fields, mime.text(f"{said}\n\nBest wishes\nRobin\n")


def _french(writer: Writer, moment: datetime) -> tuple[list[str], Part]:
    author = writer.random.choice(words.FRENCH)
    fields = writer.fields(author, words.ME, writer.subject(words.FRENCH_SUBJECTS, moment), moment)
    said = writer.paragraphs(words.FRENCH_TEXT, writer.random.randint(1, 3))
    charset = writer.random.choice(("utf-8", "iso-8859-1"))
    return fields, mime.text(f"Salut Robin,\n\n{said}\n\nÀ bientôt\n{author.name}\n", charset=charset)


def _japanese(writer: Writer, moment: datetime) -> tuple[list[str], Part]:
    author = writer.random.choice(words.JAPANESE)
    fields = writer.fields(author, words.ME, writer.subject(words.JAPANESE_SUBJECTS, moment), moment)
    said = "\n".join(writer.random.choices(words.JAPANESE_TEXT, k=writer.random.randint(2, 6)))
    charset = writer.random.choice(("utf-8", "iso-2022-jp"))
    return fields, mime.text(f"ロビンさん\n\n{said}\n\n{author.name}\n", charset=charset)


def _alternative(writer: Writer, letter: str) -> Part:
    page = "".join(f"<p>{each}</p>\n" for each in letter.replace("&", "&amp;").split("\n\n"))
    html = f"<!DOCTYPE html>\n<html><body>\n{page}</body></html>\n"
    return mime.multipart("alternative", writer.boundary(), [mime.text(letter), mime.text(html, subtype="html")])


def _mixed(writer: Writer, body: Part, *files: Part) -> Part:
    return mime.multipart("mixed", writer.boundary(), [body, *files])


def _wrapped(text: str, width: int = 76) -> str:
    """Break a text into lines; textwrap does more and is much slower."""
    lines, line = [], ""
    for word in text.split(" "):
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return "\n".join([*lines, line])
