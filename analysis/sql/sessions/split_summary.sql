-- One row per partition: the size of both splits, and what would betray a leak between them.
-- FROM events(user BIGINT)
-- FROM split_events(number BIGINT, heldout BOOLEAN)
-- Columns:
--   events, split_events  BIGINT, events of the partition, and in either split; equal unless one was lost or doubled
--   heldout_events, sessions, heldout_sessions  BIGINT
--   sessions_in_both   BIGINT, sessions with events in both splits; 0 unless training sees held-out listening
WITH by_session AS (
    SELECT count(*) AS events, count(*) FILTER (heldout) AS heldout_events
    FROM split_events
    GROUP BY number
)
SELECT
    (SELECT count(*) FROM events) AS events,
    CAST(coalesce(sum(events), 0) AS BIGINT) AS split_events,
    CAST(coalesce(sum(heldout_events), 0) AS BIGINT) AS heldout_events,
    count(*) AS sessions,
    count(*) FILTER (heldout_events > 0) AS heldout_sessions,
    count(*) FILTER (heldout_events > 0 AND heldout_events < events) AS sessions_in_both
FROM by_session
