-- The catalogue, version 1. Everything here can be made again from the files of the archive.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- What a message is: its octets, once, wherever they were seen.
CREATE TABLE content (
    id     INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,          -- 32 octets of SHA-256
    size   INTEGER NOT NULL
);

CREATE TABLE mailbox (
    id            INTEGER PRIMARY KEY,
    name          TEXT NOT NULL UNIQUE,
    messages      INTEGER,                -- EXISTS, as last seen on the server
    uidvalidity   INTEGER,                -- likewise; NULL: the server has none
    uidnext       INTEGER,
    highestmodseq INTEGER,
    seen_run      TEXT                    -- the last run that saw it in the server's list
);

-- Where a message was seen on the server. Content and placement are two axes and are never collapsed.
CREATE TABLE placement (
    mailbox        INTEGER NOT NULL REFERENCES mailbox (id),
    uidvalidity    INTEGER NOT NULL,      -- 0: the server has none
    uid            NOT NULL,              -- INTEGER for a UID, TEXT for a UIDL
    content        INTEGER NOT NULL REFERENCES content (id),
    location       TEXT NOT NULL,         -- a token of the archive, of the copy in this mailbox
    verified_at    TEXT,                  -- when that copy was last read back; NULL: never
    internal_date  TEXT,                  -- ISO 8601 with zone; NULL: unknown
    flags          TEXT,                  -- joined by blanks; NULL: unknown
    size_announced INTEGER,
    ident          TEXT NOT NULL,
    hold           TEXT NOT NULL,         -- why it may never be deleted; empty: nothing speaks against it
    origin         TEXT NOT NULL,         -- fetched, manifest, uidlist, import
    archived_at    TEXT NOT NULL,
    expunged_at    TEXT,
    run            TEXT NOT NULL,
    PRIMARY KEY (mailbox, uidvalidity, uid)
) WITHOUT ROWID;

CREATE INDEX placement_content ON placement (content);

CREATE TABLE run (
    id       TEXT PRIMARY KEY,
    command  TEXT NOT NULL,
    started  TEXT NOT NULL,
    facts    TEXT NOT NULL,               -- JSON: selection, cut-off, whether it may delete
    ended    TEXT,
    result   TEXT                         -- JSON: counts, exit code
) WITHOUT ROWID;
