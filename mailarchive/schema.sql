-- The catalogue, version 3. Everything here can be made again from the files of the archive.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,               -- archive: its id; sane_now: when the clock was last trusted
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
    uid            NOT NULL,              -- INTEGER for a UID, TEXT for a UIDL or a message behind a label
    content        INTEGER NOT NULL REFERENCES content (id),
    location       TEXT NOT NULL,         -- a token of the archive, of the copy in this mailbox
    verified_at    TEXT,                  -- when that copy was last read back; NULL: never
    internal_date  TEXT,                  -- ISO 8601 with zone; NULL: unknown
    flags          TEXT,                  -- joined by blanks; NULL: unknown
    size_announced INTEGER,
    ident          TEXT NOT NULL,
    hold           TEXT NOT NULL,         -- why it may never be deleted; empty: nothing speaks against it
    origin         TEXT NOT NULL,         -- fetched, manifest, label, uidlist, import
    archived_at    TEXT NOT NULL,         -- when these octets were first archived under this UID
    expunged_at    TEXT,                  -- when it was found to have left the server by our hand
    run            TEXT NOT NULL,
    object_id      TEXT NOT NULL DEFAULT '',        -- EMAILID or X-GM-MSGID; empty: the server gives none
    confirmed      INTEGER NOT NULL DEFAULT 0,      -- 1: a second fetch gave the same octets
    PRIMARY KEY (mailbox, uidvalidity, uid)
) WITHOUT ROWID;

CREATE INDEX placement_content ON placement (content);

-- Dates that had to be asked for apart, because the protocol does not list them (POP3), so that it is done once.
CREATE TABLE dated (
    mailbox       INTEGER NOT NULL REFERENCES mailbox (id),
    uid           TEXT NOT NULL,
    size          INTEGER,                -- as announced; another one is another message
    internal_date TEXT,                   -- NULL: the header has none that can be read
    PRIMARY KEY (mailbox, uid)
) WITHOUT ROWID;

-- What a mailbox held when it was listed last, so that a run asks only for what has changed. It vouches for nothing.
CREATE TABLE listing (
    mailbox       INTEGER PRIMARY KEY REFERENCES mailbox (id),
    uidvalidity   INTEGER NOT NULL,
    uidnext       INTEGER NOT NULL,
    highestmodseq INTEGER NOT NULL,
    listed_at     TEXT NOT NULL,          -- when every message was asked for last
    messages      INTEGER NOT NULL,
    facts         BLOB NOT NULL           -- UID, size, date and flags of each, as `messages.py` packs them
);

CREATE TABLE run (
    id       TEXT PRIMARY KEY,
    command  TEXT NOT NULL,
    started  TEXT NOT NULL,
    facts    TEXT NOT NULL,               -- JSON: selection, cut-off, whether it may delete
    ended    TEXT,
    result   TEXT                         -- JSON: counts, exit code
) WITHOUT ROWID;

-- The journal of deletions: committed before the server hears of one, and again when it is known what came of it.
CREATE TABLE expunge_batch (
    id          INTEGER PRIMARY KEY,
    run         TEXT NOT NULL,
    mailbox     INTEGER NOT NULL REFERENCES mailbox (id),
    uidvalidity INTEGER NOT NULL,
    method      TEXT NOT NULL,            -- a word of model.Method
    opened_at   TEXT NOT NULL,
    closed_at   TEXT                      -- NULL: an item is an intent, or a mark is lifted
);

CREATE INDEX expunge_batch_open ON expunge_batch (id) WHERE closed_at IS NULL;

CREATE TABLE expunge_item (
    batch       INTEGER NOT NULL REFERENCES expunge_batch (id),
    uid         NOT NULL,
    digest      BLOB NOT NULL,            -- of the copy that was the proof
    was_deleted INTEGER NOT NULL,         -- 1: marked before we came
    state       TEXT NOT NULL,            -- a word of model.ItemState
    PRIMARY KEY (batch, uid)
) WITHOUT ROWID;

-- Marks of other programs that were taken off for a while; the method `exclusive` alone does that.
CREATE TABLE foreign_mark (
    batch       INTEGER NOT NULL REFERENCES expunge_batch (id),
    uid         NOT NULL,
    state       TEXT NOT NULL,            -- lifted, restored
    fingerprint TEXT NOT NULL,            -- what the message was, so that no other one gets the mark
    PRIMARY KEY (batch, uid)
) WITHOUT ROWID;

-- What was put on the server again after a deletion, so that no selection takes it away a second time.
CREATE TABLE put_back (
    digest BLOB NOT NULL,
    ident  TEXT NOT NULL,                 -- empty: unknown
    run    TEXT NOT NULL,
    at     TEXT NOT NULL,
    PRIMARY KEY (digest, ident)
) WITHOUT ROWID;

CREATE INDEX put_back_ident ON put_back (ident);
