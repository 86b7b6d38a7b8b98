-- One row: how many events there are, and from when to when.
-- Parameters:
--   none
-- Tables:
--   events(timestamp BIGINT)
-- Columns:
--   events           BIGINT
--   first_timestamp  BIGINT, ms since the epoch; NULL without events
--   last_timestamp   BIGINT, likewise
SELECT count(*) AS events, min(timestamp) AS first_timestamp, max(timestamp) AS last_timestamp
FROM events
