-- One row per store: from when on a split by time holds sessions out. The table has the rows of
-- `sessions/starts_by_minute` of all partitions.
-- $holdout  DOUBLE, the share of all sessions that may be held out, 0..1
-- FROM starts(minute BIGINT, sessions BIGINT)
-- Columns:
--   cutoff_ms  BIGINT, milliseconds since the epoch, UTC: the first minute from which on at most the share begins, or
--              the one after the last
WITH minutes AS (
    SELECT minute, sum(sessions) AS sessions
    FROM starts
    GROUP BY minute
),
later AS (
    SELECT
        minute,
        sum(sessions) OVER (ORDER BY minute DESC) AS from_here_on,
        sum(sessions) OVER () AS total
    FROM minutes
)
SELECT CAST(60000 * coalesce(min(minute) FILTER (WHERE from_here_on <= $holdout * total), max(minute) + 1) AS BIGINT) AS cutoff_ms
FROM later
