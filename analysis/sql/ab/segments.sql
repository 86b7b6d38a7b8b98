-- One row per segment of an experiment.
-- $in_parts  BOOLEAN, a listener's first days are two parts, each a quarter of the experiment
-- $days      INTEGER[], days since the epoch, UTC, by whose ends the experiment is shown
-- Columns:
--   segment   VARCHAR, '' for the whole experiment
--   part      BIGINT, of listeners' first days, from 1; NULL for all days
--   until_ms  BIGINT, it has the sessions that ended before
SELECT '' AS segment, NULL AS part, 9223372036854775807 AS until_ms
UNION ALL
SELECT name, part, 9223372036854775807
FROM unnest(['first days', 'later days']) WITH ORDINALITY AS parts (name, part)
WHERE $in_parts
UNION ALL
SELECT 'until=' || (DATE '1970-01-01' + day), NULL, 86400000::BIGINT * (1 + day)
FROM unnest(CAST($days AS INTEGER[])) AS days (day)
