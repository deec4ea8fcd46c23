"""What tells others how a backup went: pings, a command on failure, a file of metrics, a log.

The law of this room: nothing here changes what is archived or deleted, nor an exit code; what fails is a warning. No
secret, subject or address leaves through here; every foreign text is made safe first.
"""
