"""Short texts about what concerns several commands: for `mailarchive help TOPIC` and for the manual page.

The law of this room: each text stands here once. Paragraphs are parted by an empty line; a paragraph that is indented
is printed as it stands.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from mailarchive.errors import ExitCode


class Topic(NamedTuple):
    """A text, and what it is about in a few words."""

    summary: str
    text: str


_SELECTING: Final = """\
The same options choose mail in `backup`, `prune` and `du`. Without any, `backup` takes everything; a deletion demands
one. All that are given must hold.

  --older-than 1y       received before this day a year ago; 18m are months,
                        also 1y6m, 2w, 90d
  --before 2024-03      before the 1st of March 2024; --after from then on
  --date sent           the Date header counts, not when it was received
  --mailbox 'Lists/*'   only these; '!Lists/*' all but these
  --larger-than 10M     also --smaller-than; K, M and G
  --from, --to-addr, --subject, --list-id TEXT
                        the header contains TEXT; case does not matter
  --seen, --unseen, --flagged, --unflagged
                        by flag, not over POP3
  --limit 1000          at most so many, the oldest first
  --free 2G             the oldest that add up to 2 GB
  --keep-under 80       the oldest, until the quota is below 80 %

Ages are counted back from the start of today, and the run says which instant that is. Junk, Trash, Drafts and Gmail's
All Mail are left out, unless --mailbox gives their exact name. An account may have an `older_than` and `mailboxes` of
its own in the configuration; the command line comes before it.

Look first: with --dry-run the plan is printed, and nothing is changed anywhere.
"""

_DELETING: Final = """\
Nothing is deleted on a server unless you ask for it: by `backup --delete`, by `prune`, or by `delete = true` in an
account. Then exactly those messages go that the selection picks and whose archived copy was, in that very run, read
back from the disk and found to be what was recorded.

A deletion needs a selection (see `mailarchive help selecting`) and a yes: you are asked at a terminal, with the plan
before your eyes; elsewhere, and with --jobs, --yes says it, or `delete = true` in the account where nobody is there.

  --keep-flagged        flagged mail stays; this is so without saying it
  --keep-unread         unread mail stays too
  --min-copies-age 2w   only what was archived by a run so long ago
  --max-delete 5000     nothing at all, if it would be more
  --delete-method auto  exactly the proved messages; on a server that cannot do
                        that it refuses and names trash, mark and exclusive

`mailarchive undo RUN` puts back what one run deleted; the result of the run says what to type. What was put back is
kept by later runs, unless --include-restored says otherwise.
"""

_PASSWORDS: Final = """\
A password never stands in a URL or in an argument. It comes from the first of these that is there:

  1. --password-command COMMAND, --password-file FILE
  2. the variable MAILARCHIVE_<ACCOUNT>_PASSWORD, for a URL MAILARCHIVE_PASSWORD
  3. the systemd credential mailarchive.<account>.password
  4. password_command, password_file or keyring = true in the account
  5. ~/.netrc
  6. you, at a terminal

One that is there and fails is an error, and the next is not tried. A password that a server refuses is not sent
twice. Many providers want an app password here; Microsoft wants OAuth2: see `mailarchive login --help`.
"""

_ARCHIVE: Final = """\
An archive is a folder that holds the mail of one account as plain files: a Maildir for each mailbox, or with `format =
"mbox"` one file for each mailbox and year. mutt, Thunderbird, notmuch, Dovecot and grep open it without this program.

  INBOX/cur/            one file a message, exactly as the server sent it
  Lists/debian/cur/
  .mailarchive/         what is known of it: the catalogue, and what each run did

The mail is the truth. The catalogue can be lost: `mailarchive reindex` makes it anew from the files. `mailarchive
verify` reads every message back and compares it with what was recorded. Do not sort or rename mail in an archive while
a run works on it, and make a copy of the archive as of anything that you would miss.
"""

_CRON: Final = """\
A backup is made to run every day without anybody looking:

  17 6 * * *  mailarchive backup -q

`mailarchive schedule --install` sets that up for you, with systemd, cron or launchd.

With -q nothing is printed when all is well, so that cron sends mail only when something needs you. The exit code says
what (see `mailarchive help exit-codes`). A second run on the same archive ends at once with 11, silently with -q;
--wait 10min makes it wait. A line that breaks, or a server that asks for patience, is what 75 and 15 mean: the next run
goes on there.

Give the password by `password_command`, a file or a systemd credential: the keyring of a desktop is closed at night.
`mailarchive status -q --max-age 2d` ends with 3 if the last success is older than two days: enough for a monitor.
Many accounts: --jobs 8 runs eight at a time.
"""

_EXIT_CODES: Final = "\n".join(
    [
        "The last line of a run says in words what the exit code says to a script:",
        "",
        *(f"  {code.value:>3}  {code.meaning}" for code in ExitCode),
        "",
        "With several accounts the most serious code wins: 1, 13, 14, 10, 2, 12, 16, 15, 11, 75, a signal, 3. One",
        "account that fails does not stop the others.",
        "",
    ]
)

TOPICS: Final = {
    "selecting": Topic("which mail a command works on", _SELECTING),
    "deleting": Topic("when mail leaves the server, and how to get it back", _DELETING),
    "passwords": Topic("where passwords come from", _PASSWORDS),
    "exit-codes": Topic("what the program ends with", _EXIT_CODES),
    "archive": Topic("what lies on your disk", _ARCHIVE),
    "cron": Topic("every day without thinking", _CRON),
}
