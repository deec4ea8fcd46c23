"""Archived mail in the forms of other programs.

The law of this room: a form writes through `outgoing.ExportFolder` and nothing else; a name of a file is made by
`names.py`; nothing that a sender wrote runs, is fetched, or leads out of the folder.
"""
