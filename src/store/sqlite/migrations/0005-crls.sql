-- What was published. A CRL number is taken here before the list is signed, so that none is given twice, whatever becomes of
-- the file, the process or the clock. `scope` is '' for the whole list of an issuer, '3of16' for a shard.

CREATE TABLE crls (
  issuer TEXT NOT NULL,
  scope TEXT NOT NULL CHECK (scope NOT GLOB '*[^0-9of]*'),
  number INTEGER NOT NULL CHECK (number >= 1),
  this_update INTEGER NOT NULL,
  next_update INTEGER NOT NULL,
  PRIMARY KEY (issuer, scope)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER crl_numbers_rise BEFORE UPDATE ON crls
WHEN NEW.number <= OLD.number
BEGIN SELECT RAISE(ABORT, 'a CRL number is never used again'); END;

CREATE TRIGGER crl_numbers_are_kept BEFORE DELETE ON crls
BEGIN SELECT RAISE(ABORT, 'a CRL number is never forgotten'); END;

-- Since when a device is suspended or retired: its certificates are published as revoked from then on.
CREATE TABLE devices_out (
  device TEXT NOT NULL PRIMARY KEY REFERENCES devices (id),
  since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO devices_out SELECT id, unixepoch() * 1000 FROM devices WHERE state IN ('suspended', 'retired');

-- A list of a million entries is read from here alone, in its order, without a look at the table for each of them.
CREATE INDEX certificates_revoked ON certificates (issuer, serial, revoked_at, revocation_reason, not_after) WHERE state = 'revoked';
