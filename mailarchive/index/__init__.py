"""The words of archived mail, in a file beside it, so that it is found again.

The law of this room: derived and disposable. Nothing but searching rests on this file, losing it costs only time, and
whatever is wrong with it or with a message never stops a backup. It is a file of its own, so that the catalogue, which
is copied for each dry run and vouches for deletions, stays small.
"""

from mailarchive.index.filling import fill
from mailarchive.index.finder import SqliteFinder
from mailarchive.index.store import NAME, Index, Waiting, drop

__all__ = ["NAME", "Index", "SqliteFinder", "Waiting", "drop", "fill"]
