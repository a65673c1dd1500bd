-- A token is proven by a secret, by the key of a claim's certificate, or by a certificate of a manufacturer's CA; and a certificate says
-- through which token it came. Who planned it is in its plan: it can be asked for.

ALTER TABLE tokens RENAME COLUMN secret_sha256 TO proof_sha256;
ALTER TABLE tokens ADD COLUMN proof TEXT NOT NULL DEFAULT '{"kind":"secret"}' CHECK (json_valid(proof) AND json_extract(proof, '$.kind') IN ('secret', 'claim', 'manufacturer'));
ALTER TABLE tokens ADD COLUMN suspended_at INTEGER;
CREATE INDEX tokens_by_certificate ON tokens (proof_sha256) WHERE json_extract(proof, '$.kind') <> 'secret';
CREATE UNIQUE INDEX claims_have_keys_of_their_own ON tokens (proof_sha256) WHERE json_extract(proof, '$.kind') = 'claim';

CREATE TRIGGER tokens_keep_their_proof BEFORE UPDATE ON tokens
WHEN NEW.proof IS NOT OLD.proof
BEGIN SELECT RAISE(ABORT, 'what a token is for is fixed'); END;

ALTER TABLE certificates ADD COLUMN through TEXT REFERENCES tokens (name);
-- What tokens have given so far, as far as it is not revoked. Of renewals nobody wrote down from which certificate they came.
UPDATE certificates SET through = (SELECT json_extract(plan, '$.actor.name') FROM certificate_plans AS p WHERE p.number = certificates.number)
WHERE state <> 'revoked' AND number IN (SELECT number FROM certificate_plans WHERE json_extract(plan, '$.actor.kind') = 'token');
CREATE INDEX certificates_by_token ON certificates (through, issuer, serial) WHERE through IS NOT NULL;
-- In the order in which they were planned: a row's number is behind every key of an index.
CREATE INDEX certificates_in_turn ON certificates (through) WHERE through IS NOT NULL;

CREATE TRIGGER certificates_keep_their_way BEFORE UPDATE ON certificates
WHEN NEW.through IS NOT OLD.through
BEGIN SELECT RAISE(ABORT, 'through which token a certificate came is fixed'); END;

ALTER TABLE certificate_plans ADD COLUMN actor_kind TEXT GENERATED ALWAYS AS (json_extract(plan, '$.actor.kind')) VIRTUAL;
ALTER TABLE certificate_plans ADD COLUMN actor_name TEXT GENERATED ALWAYS AS (json_extract(plan, '$.actor.name')) VIRTUAL;
CREATE INDEX plans_by_actor ON certificate_plans (actor_kind);
