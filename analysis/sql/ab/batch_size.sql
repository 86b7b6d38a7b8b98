-- One row: the number of events of a batch.
-- Parameters:
--   none
-- Tables:
--   batch(user BIGINT)
-- Columns:
--   events  BIGINT
SELECT count(*) AS events
FROM batch
