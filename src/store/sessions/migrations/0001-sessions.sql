-- What outlives a connection. Times are milliseconds since the epoch, flags 0 and 1, bytes blobs: the same in every store.
-- A body is a message as message-bytes.ts writes it, with its CRC-32 beside it: what the disk changed is not delivered.

-- The last transaction that is in: whoever saw its COMMIT fail can tell whether it happened.
CREATE TABLE batches (
  only INTEGER PRIMARY KEY CHECK (only = 1),
  last INTEGER NOT NULL
) STRICT;
INSERT INTO batches VALUES (1, 0);

CREATE TABLE sessions (
  -- Never given twice: a message for a session that has ended must not reach the one after it.
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  key TEXT NOT NULL UNIQUE,
  -- tenant/device
  owner TEXT NOT NULL,
  expiry_seconds INTEGER NOT NULL,
  -- NULL while it is connected.
  expires_at INTEGER,
  sent_through INTEGER NOT NULL DEFAULT 0,
  -- Sequence numbers from here on were never given. It runs ahead of what was given, so that it need not be written for each.
  next_sequence INTEGER NOT NULL DEFAULT 1
) STRICT;

CREATE INDEX sessions_by_owner ON sessions (owner);
-- At a start only those that were connected are touched, not every session that is kept.
CREATE INDEX sessions_connected ON sessions (expires_at) WHERE expires_at IS NULL;
CREATE INDEX sessions_by_deadline ON sessions (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE receiving (
  session INTEGER NOT NULL,
  packet_id INTEGER NOT NULL CHECK (packet_id BETWEEN 1 AND 65535),
  PRIMARY KEY (session, packet_id)
) STRICT, WITHOUT ROWID;

-- The levels of all filters as a tree; 0 is its root. A topic is matched by walking it, so nothing of it is held in memory.
CREATE TABLE topic_nodes (
  id INTEGER PRIMARY KEY CHECK (id > 0),
  parent INTEGER NOT NULL,
  label TEXT NOT NULL,
  -- Subscriptions that end here, and nodes below.
  uses INTEGER NOT NULL CHECK (uses >= 0),
  UNIQUE (parent, label)
) STRICT;

CREATE TABLE subscriptions (
  session INTEGER NOT NULL,
  filter TEXT NOT NULL,
  node INTEGER NOT NULL,
  qos INTEGER NOT NULL CHECK (qos BETWEEN 0 AND 2),
  no_local INTEGER NOT NULL,
  retain_as_published INTEGER NOT NULL,
  retain_handling INTEGER NOT NULL CHECK (retain_handling BETWEEN 0 AND 2),
  identifier INTEGER,
  PRIMARY KEY (session, filter)
) STRICT, WITHOUT ROWID;

CREATE INDEX subscriptions_by_node ON subscriptions (node);

CREATE TABLE messages (
  id INTEGER PRIMARY KEY,
  -- Queue entries that wait for it.
  refs INTEGER NOT NULL CHECK (refs > 0),
  expires_at INTEGER,
  crc INTEGER NOT NULL,
  body BLOB NOT NULL
) STRICT;

CREATE TABLE queue (
  session INTEGER NOT NULL,
  sequence INTEGER NOT NULL CHECK (sequence > 0),
  qos INTEGER NOT NULL CHECK (qos IN (1, 2)),
  retain INTEGER NOT NULL,
  -- Subscription Identifiers, separated by commas.
  identifiers TEXT NOT NULL,
  -- NULL: only PUBREL is left to be sent.
  message INTEGER,
  bytes INTEGER NOT NULL,
  queued_at INTEGER NOT NULL,
  PRIMARY KEY (session, sequence)
) STRICT, WITHOUT ROWID;

-- A message goes with the last entry that waits for it.
CREATE TRIGGER queue_entry_gone AFTER DELETE ON queue WHEN OLD.message IS NOT NULL
BEGIN
  DELETE FROM messages WHERE id = OLD.message AND refs = 1;
  UPDATE messages SET refs = refs - 1 WHERE id = OLD.message;
END;

CREATE TRIGGER queue_entry_released AFTER UPDATE OF message ON queue WHEN OLD.message IS NOT NULL AND NEW.message IS NULL
BEGIN
  DELETE FROM messages WHERE id = OLD.message AND refs = 1;
  UPDATE messages SET refs = refs - 1 WHERE id = OLD.message;
END;

-- Who published, once for all that he retained. The hash is over facts and leaf.
CREATE TABLE publishers (
  id INTEGER PRIMARY KEY,
  hash TEXT NOT NULL UNIQUE CHECK (length(hash) = 64),
  facts TEXT NOT NULL,
  leaf BLOB NOT NULL
) STRICT;

CREATE TABLE retained (
  topic TEXT NOT NULL PRIMARY KEY,
  -- tenant/device of the publisher: what it has left is bounded.
  owner TEXT NOT NULL,
  expires_at INTEGER,
  publisher INTEGER NOT NULL,
  crc INTEGER NOT NULL,
  body BLOB NOT NULL
) STRICT;

CREATE INDEX retained_by_owner ON retained (owner, expires_at);
CREATE INDEX retained_by_publisher ON retained (publisher);

CREATE TABLE wills (
  -- Never given twice: who publishes one clears just that one.
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  -- The session's. One that has ended may have one that is due beside that of its successor.
  key TEXT NOT NULL,
  -- NULL while it is connected.
  due_at INTEGER,
  delay_seconds INTEGER NOT NULL,
  publisher INTEGER NOT NULL,
  crc INTEGER NOT NULL,
  body BLOB NOT NULL
) STRICT;

CREATE INDEX wills_by_publisher ON wills (publisher);
CREATE UNIQUE INDEX wills_connected ON wills (key) WHERE due_at IS NULL;
CREATE INDEX wills_by_key ON wills (key);
CREATE INDEX wills_by_deadline ON wills (due_at) WHERE due_at IS NOT NULL;

CREATE TRIGGER retained_gone AFTER DELETE ON retained
BEGIN
  DELETE FROM publishers WHERE id = OLD.publisher AND NOT EXISTS (SELECT 1 FROM retained WHERE publisher = OLD.publisher) AND NOT EXISTS (SELECT 1 FROM wills WHERE publisher = OLD.publisher);
END;

CREATE TRIGGER retained_by_another AFTER UPDATE OF publisher ON retained WHEN OLD.publisher <> NEW.publisher
BEGIN
  DELETE FROM publishers WHERE id = OLD.publisher AND NOT EXISTS (SELECT 1 FROM retained WHERE publisher = OLD.publisher) AND NOT EXISTS (SELECT 1 FROM wills WHERE publisher = OLD.publisher);
END;

CREATE TRIGGER will_gone AFTER DELETE ON wills
BEGIN
  DELETE FROM publishers WHERE id = OLD.publisher AND NOT EXISTS (SELECT 1 FROM retained WHERE publisher = OLD.publisher) AND NOT EXISTS (SELECT 1 FROM wills WHERE publisher = OLD.publisher);
END;

CREATE TRIGGER will_of_another AFTER UPDATE OF publisher ON wills WHEN OLD.publisher <> NEW.publisher
BEGIN
  DELETE FROM publishers WHERE id = OLD.publisher AND NOT EXISTS (SELECT 1 FROM retained WHERE publisher = OLD.publisher) AND NOT EXISTS (SELECT 1 FROM wills WHERE publisher = OLD.publisher);
END;
