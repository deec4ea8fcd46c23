"""What some octets hash to.

The law of this room: pure; octets come in pieces and are never held.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from mailarchive.model import Digest

if TYPE_CHECKING:
    from collections.abc import Iterable


def digested(pieces: Iterable[bytes | bytearray | memoryview]) -> tuple[Digest, int]:
    """Give the digest of octets, and their number."""
    digest = hashlib.sha256()
    size = 0
    for piece in pieces:
        digest.update(piece)
        size += len(piece)
    return Digest(f"sha256:{digest.hexdigest()}"), size
