-- One row: when an experiment began and how far its log goes.
-- FROM all_sessions(arm VARCHAR, start_ms BIGINT, end_ms BIGINT)
-- Columns:
--   first_ms, last_ms  BIGINT, its first and last event; NULL without any
SELECT min(start_ms) AS first_ms, max(end_ms) AS last_ms
FROM all_sessions
WHERE arm IS NOT NULL
