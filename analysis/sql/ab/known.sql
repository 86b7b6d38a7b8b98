-- One row per listener, arm and part with a session, closed or not.
-- FROM divided(user BIGINT, arm VARCHAR, part BIGINT)
-- Columns:
--   user, arm, part
SELECT DISTINCT user, arm, part
FROM divided
