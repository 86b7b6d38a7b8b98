-- One row per refused row, by source, then row.
-- FROM verified(source VARCHAR, row BIGINT, reason VARCHAR, text VARCHAR)
-- Columns:
--   source, row, reason, text  as in verified
SELECT source, row, reason, text
FROM verified
WHERE reason IS NOT NULL
ORDER BY source, row
