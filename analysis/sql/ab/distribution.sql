-- One row per arm and bin: the closed sessions whose size is in the bin.
-- $edges  DOUBLE[], lower ends of the bins, ascending; a bin ends where the next begins, the last is open
-- $what   VARCHAR, 'tracks' or 'time'
-- FROM all_sessions(arm VARCHAR, is_closed BOOLEAN, tracks BIGINT, time HUGEINT)
-- Columns:
--   arm
--   bin        BIGINT, 1 for the first
--   sessions   BIGINT
--   quantiles  DOUBLE[], the 10th, 50th, 90th and 99th percentile of the size of all sessions of the arm
WITH sizes AS (
    SELECT arm, CASE $what WHEN 'tracks' THEN CAST(tracks AS DOUBLE) WHEN 'time' THEN time / pow(2, 80) END AS size
    FROM all_sessions
    WHERE arm IS NOT NULL AND is_closed
),
bins AS (
    SELECT arm, CAST(len(list_filter($edges, lambda edge: edge <= size)) AS BIGINT) AS bin, count(*) AS sessions
    FROM sizes
    GROUP BY arm, bin
),
spreads AS (
    SELECT arm, quantile_cont(size, [0.1, 0.5, 0.9, 0.99]) AS quantiles
    FROM sizes
    GROUP BY arm
)
SELECT arm, bin, sessions, quantiles
FROM bins
JOIN spreads USING (arm)
ORDER BY arm, bin
