-- One row per source: how many of its rows are good and how many refused.
-- Parameters:
--   none
-- Tables:
--   verified(source VARCHAR, row BIGINT, user VARCHAR, track VARCHAR, weight DOUBLE, timestamp BIGINT, session VARCHAR, reason VARCHAR, text VARCHAR)
-- Columns:
--   source    VARCHAR, digest of the file
--   good      BIGINT
--   rejected  BIGINT
SELECT source, count(*) FILTER (reason IS NULL) AS good, count(*) FILTER (reason IS NOT NULL) AS rejected
FROM verified
GROUP BY source
ORDER BY source
