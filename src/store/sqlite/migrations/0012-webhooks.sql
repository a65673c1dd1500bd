-- Webhooks, how far each has been told, and what was given up. Which there are is said by commits; how far they are changes with every
-- message, and is no history.

CREATE TABLE webhooks (
  name TEXT NOT NULL PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 64),
  url TEXT NOT NULL,
  kinds TEXT NOT NULL CHECK (json_valid(kinds)),
  created_at INTEGER NOT NULL,
  from_number INTEGER NOT NULL CHECK (from_number >= 0),
  from_offset INTEGER NOT NULL CHECK (from_offset >= 0),
  told_number INTEGER NOT NULL CHECK (told_number >= 0),
  told_offset INTEGER NOT NULL CHECK (told_offset >= 0)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER webhooks_are_fixed BEFORE UPDATE ON webhooks
WHEN NEW.name IS NOT OLD.name OR NEW.url IS NOT OLD.url OR NEW.kinds IS NOT OLD.kinds OR NEW.created_at IS NOT OLD.created_at
  OR NEW.from_number IS NOT OLD.from_number OR NEW.from_offset IS NOT OLD.from_offset
BEGIN SELECT RAISE(ABORT, 'a webhook stands as it was made: make another'); END;

CREATE TABLE webhook_dead (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  webhook TEXT NOT NULL REFERENCES webhooks (name) ON DELETE CASCADE,
  number INTEGER NOT NULL,
  line TEXT NOT NULL,
  at INTEGER NOT NULL,
  attempts INTEGER NOT NULL CHECK (attempts >= 1),
  because TEXT NOT NULL
) STRICT;

CREATE INDEX webhook_dead_of ON webhook_dead (webhook, id);
