-- One row per segment of an experiment.
-- $days  INTEGER[], days since the epoch, UTC, by whose ends the experiment is shown
-- Columns:
--   segment   VARCHAR, '' for the whole experiment
--   until_ms  BIGINT, it has the sessions that ended before
SELECT
    unnest([''] || ['until=' || (DATE '1970-01-01' + day) FOR day IN CAST($days AS INTEGER[])]) AS segment,
    unnest([9223372036854775807] || [86400000 * (1 + CAST(day AS BIGINT)) FOR day IN CAST($days AS INTEGER[])]) AS until_ms
