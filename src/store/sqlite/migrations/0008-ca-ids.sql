-- The device ids that a CA may name: a list of patterns, or nothing where it may name any. Like everything that a CA is, it is fixed.

ALTER TABLE cas ADD COLUMN ids TEXT CHECK (ids IS NULL OR (json_valid(ids) AND json_type(ids) = 'array' AND json_array_length(ids) > 0));

DROP TRIGGER cas_keep_what_they_are;
CREATE TRIGGER cas_keep_what_they_are BEFORE UPDATE ON cas
WHEN NEW.name IS NOT OLD.name OR NEW.role IS NOT OLD.role OR NEW.tenant IS NOT OLD.tenant OR NEW.der IS NOT OLD.der
  OR NEW.spki_sha256 IS NOT OLD.spki_sha256 OR NEW.created_at IS NOT OLD.created_at OR NEW.ids IS NOT OLD.ids
BEGIN SELECT RAISE(ABORT, 'what a CA is is fixed'); END;
