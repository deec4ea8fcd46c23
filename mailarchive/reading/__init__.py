"""What a person can read of a message: its fields, its text, the names of its attachments.

The law of this room: pure, and whatever a sender wrote, it never raises, takes linear time, and has caps on header,
parts, depth and text. Nothing is opened, unpacked, rendered or fetched. What it returns is foreign text still: who
prints it makes it safe first.
"""

from mailarchive.reading.letter import Letter, read
from mailarchive.reading.parts import Octets, Part, parts
from mailarchive.reading.texts import decoded, text

__all__ = ["Letter", "Octets", "Part", "decoded", "parts", "read", "text"]
