-- What the detection ladder did to a device: since when, why, and the state before, as JSON. Only it may be taken back by the
-- ladder's own command; an order of an operator leaves none.

ALTER TABLE devices ADD COLUMN hold TEXT CHECK (hold IS NULL OR (state IN ('quarantined', 'suspended') AND json_valid(hold)));
