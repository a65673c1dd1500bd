-- What a planned certificate will say beyond its row: its names, and who asked. Whoever signs reads it from here and from
-- nowhere else, so it is written once, with the plan, and never again.

CREATE TABLE certificate_plans (
  number INTEGER PRIMARY KEY REFERENCES certificates (number),
  plan TEXT NOT NULL CHECK (json_valid(plan))
) STRICT;

CREATE TRIGGER plans_are_fixed BEFORE UPDATE ON certificate_plans
BEGIN SELECT RAISE(ABORT, 'a plan is not rewritten'); END;

CREATE TRIGGER plans_are_kept BEFORE DELETE ON certificate_plans
BEGIN SELECT RAISE(ABORT, 'a plan is never deleted'); END;

CREATE TRIGGER plans_come_before_certificates BEFORE INSERT ON certificate_plans
WHEN (SELECT state FROM certificates WHERE number = NEW.number) IS NOT 'planned'
BEGIN SELECT RAISE(ABORT, 'only what is planned has a plan'); END;
