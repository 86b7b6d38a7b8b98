-- One row per refused row, by source, then row.
-- Parameters:
--   none
-- Tables:
--   judged(source VARCHAR, row BIGINT, user VARCHAR, track VARCHAR, weight DOUBLE, timestamp BIGINT, session VARCHAR, reason VARCHAR, text VARCHAR)
-- Columns:
--   source, row, reason, text  as in judged
SELECT source, row, reason, text
FROM judged
WHERE reason IS NOT NULL
ORDER BY source, row
