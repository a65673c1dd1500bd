-- Orders to renew, as they were given: whom one means is asked of devices and certificates each time. And of what it was last said that
-- it expires, so that a start does not say it again.

CREATE TABLE renewal_orders (
  id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 8 AND id NOT GLOB '*[^0-9a-f]*'),
  choice TEXT NOT NULL CHECK (json_valid(choice)),
  ordered_at INTEGER NOT NULL,
  over_ms INTEGER NOT NULL CHECK (over_ms >= 0),
  devices INTEGER NOT NULL CHECK (devices >= 0),
  ended_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TRIGGER renewal_orders_are_fixed BEFORE UPDATE ON renewal_orders
WHEN NEW.id IS NOT OLD.id OR NEW.choice IS NOT OLD.choice OR NEW.ordered_at IS NOT OLD.ordered_at OR NEW.over_ms IS NOT OLD.over_ms
  OR NEW.devices IS NOT OLD.devices OR OLD.ended_at IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'an order stands as it was given, and ends once'); END;

CREATE TABLE expiry_told (
  what TEXT NOT NULL PRIMARY KEY,
  told_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What expires is read from here, soonest first, whatever else there is.
CREATE INDEX certificates_by_end ON certificates (not_after, issuer, serial) WHERE state IN ('issued', 'active') AND device IS NOT NULL;
