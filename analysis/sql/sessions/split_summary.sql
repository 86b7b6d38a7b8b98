-- One row per partition: the size of both splits, and what would betray a leak between them.
-- FROM sessions(events BIGINT)
-- FROM split_plays(number BIGINT, heldout BOOLEAN)
-- Columns:
--   events, split_plays  BIGINT, plays of all sessions, and in either split; equal unless one was lost or doubled
--   heldout_events, sessions, heldout_sessions  BIGINT
--   sessions_in_both   BIGINT, sessions with plays in both splits; 0 unless training sees held-out listening
WITH by_session AS (
    SELECT count(*) AS plays, count(*) FILTER (heldout) AS heldout_plays
    FROM split_plays
    GROUP BY number
)
SELECT
    (SELECT CAST(coalesce(sum(events), 0) AS BIGINT) FROM sessions) AS events,
    CAST(coalesce(sum(plays), 0) AS BIGINT) AS split_plays,
    CAST(coalesce(sum(heldout_plays), 0) AS BIGINT) AS heldout_events,
    count(*) AS sessions,
    count(*) FILTER (heldout_plays > 0) AS heldout_sessions,
    count(*) FILTER (heldout_plays > 0 AND heldout_plays < plays) AS sessions_in_both
FROM by_session
