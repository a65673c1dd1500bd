-- The registry. Times are milliseconds since the epoch, hashes and serial numbers lower-case hex, bytes blobs: the same in
-- every store. What core/registry.ts promises is written down here a second time, so that a bug in the program, or a hand
-- at the file, meets the database's own refusal.

CREATE TABLE devices (
  id TEXT NOT NULL PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 64 AND id NOT GLOB '*[^A-Za-z0-9_.-]*'),
  tenant TEXT NOT NULL,
  groups TEXT NOT NULL,
  attributes TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('pending', 'active', 'suspended', 'quarantined', 'retired')),
  created_at INTEGER NOT NULL,
  revision INTEGER NOT NULL CHECK (revision >= 1)
) STRICT, WITHOUT ROWID;

CREATE INDEX devices_by_state ON devices (state, id);

CREATE TABLE device_groups (
  group_name TEXT NOT NULL,
  device TEXT NOT NULL REFERENCES devices (id),
  PRIMARY KEY (group_name, device)
) STRICT, WITHOUT ROWID;

CREATE INDEX device_groups_by_device ON device_groups (device);

CREATE TRIGGER devices_are_kept BEFORE DELETE ON devices
BEGIN SELECT RAISE(ABORT, 'a device is never deleted'); END;

CREATE TRIGGER devices_keep_what_they_are BEFORE UPDATE ON devices
WHEN NEW.id IS NOT OLD.id OR NEW.tenant IS NOT OLD.tenant OR NEW.created_at IS NOT OLD.created_at
BEGIN SELECT RAISE(ABORT, 'id, tenant and creation of a device are fixed'); END;

CREATE TRIGGER devices_count_revisions BEFORE UPDATE ON devices
WHEN NEW.revision IS NOT OLD.revision + 1
BEGIN SELECT RAISE(ABORT, 'every change of a device is one revision'); END;

CREATE TRIGGER devices_retire_for_good BEFORE UPDATE ON devices
WHEN OLD.state = 'retired' AND NEW.state <> 'retired'
BEGIN SELECT RAISE(ABORT, 'retirement is final'); END;

CREATE TABLE cas (
  name TEXT NOT NULL PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 64 AND name NOT GLOB '*[^A-Za-z0-9_.-]*'),
  role TEXT NOT NULL CHECK (role IN ('root', 'issuing', 'trusted')),
  tenant TEXT NOT NULL,
  der BLOB NOT NULL,
  spki_sha256 TEXT NOT NULL CHECK (length(spki_sha256) = 64),
  created_at INTEGER NOT NULL
) STRICT;

CREATE INDEX cas_by_key ON cas (spki_sha256);

CREATE TABLE certificates (
  number INTEGER PRIMARY KEY,
  issuer TEXT NOT NULL,
  serial TEXT NOT NULL CHECK (length(serial) BETWEEN 2 AND 40 AND serial NOT GLOB '*[^0-9a-f]*'),
  profile TEXT NOT NULL CHECK (profile IN ('root', 'issuing', 'server', 'operator', 'device', 'claim', 'ocsp-responder')),
  device TEXT REFERENCES devices (id),
  state TEXT NOT NULL CHECK (state IN ('planned', 'issued', 'active', 'superseded', 'revoked')),
  spki_sha256 TEXT NOT NULL CHECK (length(spki_sha256) = 64),
  sha256 TEXT CHECK (length(sha256) = 64),
  not_before INTEGER NOT NULL,
  not_after INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  revoked_at INTEGER,
  revocation_reason TEXT,
  UNIQUE (issuer, serial),
  CHECK ((state = 'revoked') = (revoked_at IS NOT NULL)),
  CHECK ((revoked_at IS NULL) = (revocation_reason IS NULL)),
  CHECK (state NOT IN ('issued', 'active') OR sha256 IS NOT NULL)
) STRICT;

-- One certificate has one fingerprint, and one fingerprint one certificate.
CREATE UNIQUE INDEX certificates_by_sha256 ON certificates (sha256) WHERE sha256 IS NOT NULL;
CREATE INDEX certificates_by_key ON certificates (spki_sha256, device, state);
CREATE INDEX certificates_by_serial ON certificates (serial, issuer);
CREATE INDEX certificates_by_device ON certificates (device, issuer, serial);
CREATE INDEX certificates_by_state ON certificates (state, issuer, serial);

CREATE TRIGGER certificates_are_kept BEFORE DELETE ON certificates
BEGIN SELECT RAISE(ABORT, 'a certificate is never deleted'); END;

CREATE TRIGGER certificates_keep_what_they_are BEFORE UPDATE ON certificates
WHEN NEW.issuer IS NOT OLD.issuer OR NEW.serial IS NOT OLD.serial OR NEW.profile IS NOT OLD.profile
  OR NEW.device IS NOT OLD.device OR NEW.spki_sha256 IS NOT OLD.spki_sha256 OR NEW.not_before IS NOT OLD.not_before
  OR NEW.not_after IS NOT OLD.not_after OR NEW.created_at IS NOT OLD.created_at
  OR (OLD.sha256 IS NOT NULL AND NEW.sha256 IS NOT OLD.sha256)
BEGIN SELECT RAISE(ABORT, 'what a certificate says is fixed'); END;

CREATE TRIGGER certificates_are_revoked_for_good BEFORE UPDATE ON certificates
WHEN OLD.state = 'revoked'
BEGIN SELECT RAISE(ABORT, 'revocation is final'); END;

CREATE TRIGGER certificates_do_not_go_back BEFORE UPDATE ON certificates
WHEN (OLD.state = 'superseded' AND NEW.state NOT IN ('superseded', 'revoked'))
  OR (OLD.state = 'active' AND NEW.state IN ('planned', 'issued'))
  OR (OLD.state = 'issued' AND NEW.state = 'planned')
BEGIN SELECT RAISE(ABORT, 'a certificate does not go back to an earlier state'); END;

-- A key has one owner. That a revoked key stays unusable for its own device too is an expectation, not an invariant.
CREATE TRIGGER keys_have_one_owner BEFORE INSERT ON certificates
WHEN EXISTS (SELECT 1 FROM certificates WHERE spki_sha256 = NEW.spki_sha256 AND device IS NOT NEW.device)
  OR (NEW.profile NOT IN ('root', 'issuing') AND EXISTS (SELECT 1 FROM cas WHERE spki_sha256 = NEW.spki_sha256))
BEGIN SELECT RAISE(ABORT, 'the key belongs to another'); END;

CREATE TRIGGER ca_keys_are_their_own BEFORE INSERT ON cas
WHEN EXISTS (SELECT 1 FROM certificates WHERE spki_sha256 = NEW.spki_sha256 AND profile NOT IN ('root', 'issuing'))
BEGIN SELECT RAISE(ABORT, 'the key belongs to another'); END;

-- Bodies stand apart, so that what is read often stays small.
CREATE TABLE certificate_bodies (
  number INTEGER PRIMARY KEY REFERENCES certificates (number),
  der BLOB NOT NULL
) STRICT;

CREATE TABLE feed (
  sequence INTEGER PRIMARY KEY,
  committed_at INTEGER NOT NULL,
  change TEXT NOT NULL
) STRICT;

CREATE TRIGGER feed_has_no_gaps BEFORE INSERT ON feed
WHEN NEW.sequence IS NOT (SELECT coalesce(max(sequence), 0) + 1 FROM feed)
BEGIN SELECT RAISE(ABORT, 'the change feed has no gaps'); END;

CREATE TRIGGER feed_is_fixed BEFORE UPDATE ON feed
BEGIN SELECT RAISE(ABORT, 'the change feed is not rewritten'); END;

-- Audit events of commits, until they stand in the log. AUTOINCREMENT: a position is never given twice, for it is how a
-- restart knows what the log already has.
CREATE TABLE audit_waiting (
  position INTEGER PRIMARY KEY AUTOINCREMENT,
  event TEXT NOT NULL
) STRICT;

-- How far the audit log had come when it was last on disk. What is missing from the file up to here was cut off.
CREATE TABLE audit_head (
  only INTEGER PRIMARY KEY CHECK (only = 1),
  records INTEGER NOT NULL,
  hash TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  position INTEGER NOT NULL
) STRICT;
INSERT INTO audit_head VALUES (1, 0, '0000000000000000000000000000000000000000000000000000000000000000', 0, 0);

CREATE TRIGGER audit_head_is_kept BEFORE DELETE ON audit_head
BEGIN SELECT RAISE(ABORT, 'the audit head is kept'); END;

CREATE TRIGGER audit_head_does_not_go_back BEFORE UPDATE ON audit_head
WHEN NEW.records < OLD.records OR NEW.position < OLD.position
BEGIN SELECT RAISE(ABORT, 'the audit log does not shrink'); END;
