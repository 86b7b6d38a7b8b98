-- One row per partition: the size of both sides of the split, and what would betray a leak between them.
-- FROM events(user BIGINT)
-- FROM split_events(number BIGINT, heldout BOOLEAN)
-- Columns:
--   events, split_events  BIGINT, events of the partition, and on either side; equal unless one was lost or doubled
--   heldout_events, sessions, heldout_sessions  BIGINT
--   sessions_on_both   BIGINT, sessions with events on both sides; 0 unless training sees held-out listening
WITH by_session AS (
    SELECT count(*) AS events, count(*) FILTER (WHERE heldout) AS heldout_events
    FROM split_events
    GROUP BY number
)
SELECT
    (SELECT count(*) FROM events) AS events,
    CAST(coalesce(sum(events), 0) AS BIGINT) AS split_events,
    CAST(coalesce(sum(heldout_events), 0) AS BIGINT) AS heldout_events,
    count(*) AS sessions,
    count(*) FILTER (WHERE heldout_events > 0) AS heldout_sessions,
    count(*) FILTER (WHERE heldout_events > 0 AND heldout_events < events) AS sessions_on_both
FROM by_session
