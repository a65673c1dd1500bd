-- The life of a CA: made, known to the door, current (new certificates come from it), replaced (known to the door still), retired.
-- A CA of others is recorded for its name and key alone, and keeps the state of the default.

ALTER TABLE cas ADD COLUMN state TEXT NOT NULL DEFAULT 'trusted' CHECK (state IN ('created', 'trusted', 'current', 'replaced', 'retired'));
ALTER TABLE cas ADD COLUMN since INTEGER NOT NULL DEFAULT 0;
UPDATE cas SET since = created_at;
UPDATE cas SET state = 'current' WHERE role IN ('root', 'issuing');

-- Two that issue would be two that a device is told of.
CREATE UNIQUE INDEX cas_have_one_current ON cas (role) WHERE state = 'current';

CREATE TRIGGER cas_keep_what_they_are BEFORE UPDATE ON cas
WHEN NEW.name IS NOT OLD.name OR NEW.role IS NOT OLD.role OR NEW.tenant IS NOT OLD.tenant OR NEW.der IS NOT OLD.der
  OR NEW.spki_sha256 IS NOT OLD.spki_sha256 OR NEW.created_at IS NOT OLD.created_at
BEGIN SELECT RAISE(ABORT, 'what a CA is is fixed'); END;

CREATE TRIGGER cas_retire_for_good BEFORE UPDATE ON cas
WHEN OLD.state = 'retired'
BEGIN SELECT RAISE(ABORT, 'a CA retires for good'); END;

CREATE TRIGGER cas_are_kept BEFORE DELETE ON cas
BEGIN SELECT RAISE(ABORT, 'a CA is never deleted'); END;

-- Certificates that CAs have given each other are few among millions.
CREATE INDEX certificates_of_cas ON certificates (issuer, serial) WHERE profile IN ('root', 'issuing');
