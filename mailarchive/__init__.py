"""Archive old mail from a server into plain local files, and never lose a message."""

__version__ = "0.1.0"
