-- One row per event of a slice up to the horizon of the experiment.
-- $end_ms  BIGINT, the first millisecond after it
-- FROM whole_slice(user BIGINT, timestamp BIGINT)
-- Columns:
--   user, timestamp  as in the slice, with what else it has: assigned.sql
SELECT *
FROM whole_slice
WHERE timestamp < $end_ms
