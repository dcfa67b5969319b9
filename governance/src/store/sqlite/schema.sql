-- One row a key. `version` is the version of a record or a state, the value of a counter or an epoch, and for a log or a list the
-- position that was last used before it was emptied.
CREATE TABLE keys (
  id      INTEGER PRIMARY KEY,
  key     TEXT NOT NULL UNIQUE,
  kind    TEXT NOT NULL,
  version INTEGER NOT NULL,
  until   INTEGER,
  value   BLOB
) STRICT;
CREATE INDEX keys_until ON keys (until) WHERE until IS NOT NULL;

-- The fields of a table or a state, the members of a set.
CREATE TABLE cells (
  id      INTEGER PRIMARY KEY,
  owner   INTEGER NOT NULL,
  field   TEXT NOT NULL,
  version INTEGER NOT NULL,
  value   BLOB NOT NULL,
  UNIQUE (owner, field)
) STRICT;

-- The entries of a log, the items of a list. Positions are 1, 2, 3, … without holes.
CREATE TABLE entries (
  id       INTEGER PRIMARY KEY,
  owner    INTEGER NOT NULL,
  position INTEGER NOT NULL,
  at       INTEGER NOT NULL,
  value    BLOB NOT NULL,
  key      TEXT,
  field    TEXT,
  version  INTEGER,
  meta     BLOB,
  token    TEXT,
  UNIQUE (owner, position)
) STRICT;

-- Answers that are remembered, under the tenant's prefix and the token, in the order in which they may be forgotten.
CREATE TABLE tokens (
  id         INTEGER PRIMARY KEY,
  token      TEXT NOT NULL UNIQUE,
  digest     INTEGER NOT NULL,
  generation INTEGER NOT NULL,
  at         INTEGER NOT NULL,
  until      INTEGER NOT NULL,
  results    BLOB NOT NULL
) STRICT;

-- What was said lately, for the other processes.
CREATE TABLE signals (
  id      INTEGER PRIMARY KEY,
  origin  INTEGER NOT NULL,
  at      INTEGER NOT NULL,
  channel TEXT NOT NULL,
  payload BLOB NOT NULL
) STRICT;

-- One row: the furthest that the store's time has come, how many transactions have written, and in which boot of the machine the time is
-- that anchor plus what has elapsed since.
CREATE TABLE clock (
  id           INTEGER PRIMARY KEY CHECK (id = 1),
  now          INTEGER NOT NULL,
  transactions INTEGER NOT NULL,
  boot         TEXT NOT NULL,
  anchor       INTEGER NOT NULL
) STRICT;
