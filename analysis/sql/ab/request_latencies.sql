-- One row per event of a closed session with a latency of 0 or more.
-- FROM events(user BIGINT, arm VARCHAR, part BIGINT, latency DOUBLE)
-- Columns:
--   user, arm, part
--   value            DOUBLE, latency in ms
SELECT user, arm, part, 1000 * latency AS value
FROM events
WHERE latency >= 0
