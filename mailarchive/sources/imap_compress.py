"""Puts deflate on the line of an IMAP session where that pays (RFC 4978).

The law of this room: asked for once a session, after sign-in, so that no secret is ever in a compressed stream, and
only while no answer is on its way; a server that refuses is asked no more, and the session goes on as it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailarchive.sources import pace
from mailarchive.sources.imap_commands import Refused

if TYPE_CHECKING:
    from mailarchive.sources.imap_commands import Commands

CAPABILITY = "COMPRESS=DEFLATE"


def can(commands: Commands) -> bool:
    """Tell whether deflate may still come: it is offered, was not asked for, and the server is not on this computer."""
    return CAPABILITY in commands.capability and not commands.compress_asked and commands.wire.is_far


def is_open(commands: Commands) -> bool:
    """Tell whether too little has come to know, so that the first answer should come alone."""
    wire = commands.wire
    return can(commands) and wire.round_trip >= pace.NEAR and not pace.tells(wire.round_trip, wire.longest)


def consider(commands: Commands) -> None:
    """Put deflate on the line if it has shown to be slow."""
    if commands.busy or not can(commands) or not pace.pays(commands.wire.round_trip, commands.wire.longest):
        return
    commands.compress_asked = True
    try:
        commands.run(b"COMPRESS", b"DEFLATE")
    except Refused:
        return
    commands.wire.start_deflate()
