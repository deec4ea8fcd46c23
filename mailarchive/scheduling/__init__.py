"""Backups that start by themselves: what systemd, cron and launchd are to be told, and telling them.

The law of this room: texts are pure, and printing them changes nothing. Only what bears our mark is ever written over
or taken away, and everything that stands beside it stays.
"""
