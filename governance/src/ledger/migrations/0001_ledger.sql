-- The record. Everything else can be made again from it.
PRAGMA user_version = 2;

CREATE TABLE agent_actions (
    seq         INTEGER PRIMARY KEY,
    segment     TEXT    NOT NULL,
    number      INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    kind        TEXT    NOT NULL,
    action      TEXT    NOT NULL,
    agent_id    TEXT,
    pipeline_id TEXT,
    intent      TEXT,
    result      TEXT,
    payload     TEXT,
    -- In place of a payload that was dropped.
    payload_hash BLOB,
    chain       BLOB    NOT NULL,
    CHECK ((payload IS NULL) = (payload_hash IS NOT NULL))
) STRICT;

-- An outcome stands in its intent's segment, unless somebody else found it out: only those need an index.
CREATE INDEX agent_actions_elsewhere ON agent_actions (intent)
    WHERE intent IS NOT NULL AND substr(intent, 1, length(segment) + 1) <> segment || '.';
CREATE INDEX agent_actions_agent ON agent_actions (agent_id) WHERE agent_id IS NOT NULL;
CREATE INDEX agent_actions_pipeline ON agent_actions (pipeline_id) WHERE pipeline_id IS NOT NULL;
CREATE INDEX agent_actions_retention ON agent_actions (seq) WHERE action = 'retention';
CREATE INDEX agent_actions_metric ON agent_actions (seq) WHERE action = 'metric';
CREATE INDEX agent_actions_violation ON agent_actions (seq) WHERE action = 'violation';
CREATE INDEX agent_actions_promotion ON agent_actions (seq) WHERE action = 'promotion';
-- Each call that needs an approval asks for these, and so does each that waits for one, again and again: of its own agent.
CREATE INDEX agent_actions_approval ON agent_actions (agent_id) WHERE action = 'approval';
CREATE INDEX agent_actions_approver ON agent_actions (seq) WHERE action = 'approver';

-- Projections of the record: a row here says what the payload of the entry with its seq says, and `verify` compares the two.
CREATE TABLE agent_metrics (
    seq         INTEGER PRIMARY KEY REFERENCES agent_actions (seq),
    at          INTEGER NOT NULL,
    agent_id    TEXT,
    pipeline_id TEXT,
    name        TEXT,
    value       REAL,
    unit        TEXT
) STRICT;

CREATE TABLE violations (
    seq         INTEGER PRIMARY KEY REFERENCES agent_actions (seq),
    at          INTEGER NOT NULL,
    agent_id    TEXT,
    pipeline_id TEXT,
    type        TEXT,
    severity    TEXT,
    revocation  TEXT,
    detail      TEXT
) STRICT;

CREATE INDEX violations_agent ON violations (agent_id, at);

CREATE TABLE promotions (
    seq         INTEGER PRIMARY KEY REFERENCES agent_actions (seq),
    at          INTEGER NOT NULL,
    agent_id    TEXT,
    pipeline_id TEXT,
    profile     TEXT,
    from_tier   TEXT,
    to_tier     TEXT,
    status      TEXT,
    approver    TEXT,
    reason      TEXT
) STRICT;

CREATE INDEX promotions_profile ON promotions (profile, at);

-- Where each segment's entries stand: numbers from `number` on, at `first` up to `last`. One row a batch and segment does what an
-- index with a key an entry would, at none of its cost.
CREATE TABLE runs (
    first   INTEGER PRIMARY KEY,
    last    INTEGER NOT NULL,
    segment TEXT    NOT NULL,
    number  INTEGER NOT NULL
) STRICT;

CREATE INDEX runs_segment ON runs (segment, number);

-- Signed heads, one a batch.
CREATE TABLE heads (
    size      INTEGER PRIMARY KEY,
    root      TEXT    NOT NULL,
    at        INTEGER NOT NULL,
    key       TEXT    NOT NULL,
    signature TEXT    NOT NULL
) STRICT;

-- How far each segment has been read.
CREATE TABLE segments (
    id     TEXT PRIMARY KEY,
    state  TEXT    NOT NULL CHECK (state IN ('open', 'closed', 'adopted', 'vanished', 'damaged')),
    number INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    chain  BLOB    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX segments_open ON segments (id) WHERE state = 'open';

-- The highest generation that was acknowledged, by store.
CREATE TABLE witness (
    store      TEXT PRIMARY KEY,
    generation INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- How far payloads were dropped, where the record says so. Only how far the work is: what may be missing is told by the record itself.
CREATE TABLE retention (
    one   INTEGER PRIMARY KEY CHECK (one = 1),
    done  INTEGER NOT NULL
) STRICT;

INSERT INTO retention (one, done) VALUES (1, 0);

-- The highest fence that has sequenced, and the tree it left.
CREATE TABLE sequencer (
    one   INTEGER PRIMARY KEY CHECK (one = 1),
    fence INTEGER NOT NULL,
    size  INTEGER NOT NULL,
    peaks BLOB    NOT NULL
) STRICT;

INSERT INTO sequencer (one, fence, size, peaks) VALUES (1, 0, 0, x'');

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
