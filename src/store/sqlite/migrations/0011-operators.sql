-- Who works at the desk. What they may do is kept here and not in their certificates; the first of them is there from the beginning, and
-- whatever operator certificate was issued for nobody else is that one's.

CREATE TABLE operators (
  name TEXT NOT NULL PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 64),
  role TEXT NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
  tenant TEXT,
  created_at INTEGER NOT NULL,
  revoked_at INTEGER
) STRICT, WITHOUT ROWID;

INSERT INTO operators (name, role, tenant, created_at) VALUES ('operator', 'admin', NULL, 0);

CREATE TRIGGER operators_stay_out BEFORE UPDATE ON operators
WHEN NEW.name IS NOT OLD.name OR NEW.tenant IS NOT OLD.tenant OR NEW.created_at IS NOT OLD.created_at OR OLD.revoked_at IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'an operator who is revoked stays so, and has one name and one tenant'); END;

CREATE TRIGGER operators_are_kept BEFORE DELETE ON operators
BEGIN SELECT RAISE(ABORT, 'an operator is revoked, not deleted'); END;

CREATE TABLE operator_certificates (
  issuer TEXT NOT NULL,
  serial TEXT NOT NULL,
  operator TEXT NOT NULL REFERENCES operators (name),
  PRIMARY KEY (issuer, serial)
) STRICT, WITHOUT ROWID;

CREATE INDEX certificates_by_operator ON operator_certificates (operator);

INSERT INTO operator_certificates (issuer, serial, operator) SELECT issuer, serial, 'operator' FROM certificates WHERE profile = 'operator';

CREATE TRIGGER operator_certificates_are_somebodys AFTER INSERT ON certificates
WHEN NEW.profile = 'operator'
BEGIN INSERT INTO operator_certificates (issuer, serial, operator) VALUES (NEW.issuer, NEW.serial, 'operator'); END;

-- What an operator of a tenant made is of this tenant.
ALTER TABLE tokens ADD COLUMN tenant TEXT;

CREATE INDEX tokens_by_tenant ON tokens (tenant, name) WHERE tenant IS NOT NULL;

CREATE TRIGGER tokens_keep_their_tenant BEFORE UPDATE ON tokens
WHEN NEW.tenant IS NOT OLD.tenant
BEGIN SELECT RAISE(ABORT, 'a token stays in its tenant'); END;

CREATE INDEX devices_by_tenant ON devices (tenant, id);
