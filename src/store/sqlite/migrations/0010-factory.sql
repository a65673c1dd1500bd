-- What a factory said of a device: the hash of its public key, and a one-time password, of which a token knows only a hash.

ALTER TABLE devices ADD COLUMN key_sha256 TEXT CHECK (length(key_sha256) = 64);

CREATE UNIQUE INDEX devices_by_key ON devices (key_sha256) WHERE key_sha256 IS NOT NULL;

CREATE TRIGGER devices_keep_their_key BEFORE UPDATE ON devices
WHEN NEW.key_sha256 IS NOT OLD.key_sha256
BEGIN SELECT RAISE(ABORT, 'the reported key of a device is fixed'); END;

CREATE TRIGGER reported_keys_have_one_owner BEFORE INSERT ON devices
WHEN NEW.key_sha256 IS NOT NULL AND (
  EXISTS (SELECT 1 FROM certificates WHERE spki_sha256 = NEW.key_sha256 AND device IS NOT NEW.id)
  OR EXISTS (SELECT 1 FROM cas WHERE spki_sha256 = NEW.key_sha256))
BEGIN SELECT RAISE(ABORT, 'the key belongs to another'); END;

CREATE TRIGGER keys_are_not_reported_of_others BEFORE INSERT ON certificates
WHEN EXISTS (SELECT 1 FROM devices WHERE key_sha256 = NEW.spki_sha256 AND id IS NOT NEW.device)
BEGIN SELECT RAISE(ABORT, 'the key belongs to another'); END;

-- The device whose password this token is; it has no name that anybody would say. Of those that count a device has one.
ALTER TABLE tokens ADD COLUMN password_of TEXT REFERENCES devices (id);

CREATE UNIQUE INDEX tokens_by_password ON tokens (password_of) WHERE password_of IS NOT NULL AND revoked_at IS NULL;

CREATE TRIGGER passwords_are_of_one_device BEFORE INSERT ON tokens
WHEN NEW.password_of IS NOT NULL AND (NEW.password_of IS NOT NEW.target ->> 'device' OR NEW.register <> 0)
BEGIN SELECT RAISE(ABORT, 'a password is for its device'); END;

CREATE TRIGGER passwords_keep_their_device BEFORE UPDATE ON tokens
WHEN NEW.password_of IS NOT OLD.password_of
BEGIN SELECT RAISE(ABORT, 'a password is for its device'); END;
