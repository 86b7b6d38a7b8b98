-- One row per segment of an experiment.
-- $parts  VARCHAR[], the names of the parts of a listener's first days
-- $days   INTEGER[], days since the epoch, UTC, by whose ends the experiment is shown
-- Columns:
--   segment   VARCHAR, '' for the whole experiment
--   part      BIGINT, of listeners' first days, from 1; NULL for all days
--   until_ms  BIGINT, it has the sessions that ended before
SELECT unnest(
    [{'segment': '', 'part': CAST(NULL AS BIGINT), 'until_ms': 9223372036854775807}]
    || list_transform(
        CAST($parts AS VARCHAR[]), lambda name, part: {'segment': name, 'part': part, 'until_ms': 9223372036854775807}
    )
    || [{'segment': 'until=' || (DATE '1970-01-01' + day), 'part': NULL, 'until_ms': 86400000 * (1 + CAST(day AS BIGINT))}
        FOR day IN CAST($days AS INTEGER[])],
    recursive := true
)
