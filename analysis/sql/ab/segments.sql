-- One row per segment of an experiment.
-- $in_parts  BOOLEAN, parts are compared: the first quarter of the experiment, and its later half
-- $days      INTEGER[], days since the epoch, UTC, by whose ends the experiment is shown
-- Columns:
--   segment   VARCHAR, '' for the whole experiment
--   is_part   BOOLEAN, it has the sessions whose parts name it
--   only_old    BOOLEAN, it has the listeners who came in the first half
--   until_ms  BIGINT, it has the sessions that ended before
SELECT '' AS segment, false AS is_part, false AS only_old, 9223372036854775807 AS until_ms
UNION ALL
SELECT name, true, name LIKE '%days', 9223372036854775807
FROM unnest(['first days', 'later days', 'first quarter', 'later half']) AS parts (name)
WHERE $in_parts
UNION ALL
SELECT 'until=' || (DATE '1970-01-01' + day), false, false, 86400000::BIGINT * (1 + day)
FROM unnest(CAST($days AS INTEGER[])) AS days (day)
