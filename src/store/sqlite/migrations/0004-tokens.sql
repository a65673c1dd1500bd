-- Enrollment tokens, what they were used for, and what waits for an operator. Of a secret only its hash is here.

CREATE TABLE tokens (
  name TEXT NOT NULL PRIMARY KEY CHECK (length(name) = 8),
  secret_sha256 TEXT NOT NULL CHECK (length(secret_sha256) = 64),
  target TEXT NOT NULL CHECK (json_valid(target)),
  register INTEGER NOT NULL CHECK (register IN (0, 1)),
  groups TEXT NOT NULL CHECK (json_valid(groups)),
  networks TEXT NOT NULL CHECK (json_valid(networks)),
  approve TEXT NOT NULL CHECK (approve IN ('auto', 'operator')),
  uses_max INTEGER NOT NULL CHECK (uses_max >= 1),
  uses INTEGER NOT NULL CHECK (uses BETWEEN 0 AND uses_max),
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  revoked_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TRIGGER tokens_keep_what_they_are BEFORE UPDATE ON tokens
WHEN NEW.name IS NOT OLD.name OR NEW.secret_sha256 IS NOT OLD.secret_sha256 OR NEW.target IS NOT OLD.target OR NEW.register IS NOT OLD.register
  OR NEW.groups IS NOT OLD.groups OR NEW.networks IS NOT OLD.networks OR NEW.approve IS NOT OLD.approve OR NEW.uses_max IS NOT OLD.uses_max
  OR NEW.created_at IS NOT OLD.created_at OR NEW.expires_at IS NOT OLD.expires_at OR NEW.uses < OLD.uses
  OR (OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS NOT OLD.revoked_at)
BEGIN SELECT RAISE(ABORT, 'what a token is for is fixed'); END;

-- A use is a device and a key. The primary key makes asking again no second use.
CREATE TABLE token_uses (
  token TEXT NOT NULL REFERENCES tokens (name),
  device TEXT NOT NULL REFERENCES devices (id),
  spki_sha256 TEXT NOT NULL CHECK (length(spki_sha256) = 64),
  used_at INTEGER NOT NULL,
  PRIMARY KEY (token, device, spki_sha256)
) STRICT, WITHOUT ROWID;

CREATE TABLE enrollments (
  id TEXT NOT NULL PRIMARY KEY,
  token TEXT NOT NULL REFERENCES tokens (name),
  device TEXT NOT NULL,
  spki_sha256 TEXT NOT NULL CHECK (length(spki_sha256) = 64),
  state TEXT NOT NULL CHECK (state IN ('pending', 'approved', 'rejected')),
  source TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  decided_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX enrollments_by_state ON enrollments (state, id);

CREATE TRIGGER enrollments_are_decided_once BEFORE UPDATE ON enrollments
WHEN OLD.state <> 'pending'
BEGIN SELECT RAISE(ABORT, 'a decision stands'); END;
