-- One row per user, track, timestamp, session and source of the good rows, by user, timestamp, track, with the weights of
-- repeated rows added, exactly to 1e-9, so that the sum does not depend on their order. Rows that are equal in their weight, too, are
-- copies and count once, but for those with dates alone: a track may be played twice on a day.
-- FROM numbered(source VARCHAR, user BIGINT, track BIGINT, weight DOUBLE, timestamp BIGINT, session VARCHAR)
-- Columns:
--   user    BIGINT, the number that stands for it where there is one, or else itself
--   timestamp  BIGINT, ms since the epoch, UTC; NULL without
--   track   as user
--   time    DOUBLE, the weight
--   session, source  VARCHAR; the session is NULL without
SELECT
    user, timestamp, track,
    CAST(CASE WHEN timestamp % 86400000 <> 0 THEN sum(DISTINCT CAST(weight AS DECIMAL(38, 9)))
        ELSE sum(CAST(weight AS DECIMAL(38, 9))) END AS DOUBLE) AS time,
    session, source
FROM numbered
GROUP BY user, timestamp, track, session, source
ORDER BY user, timestamp, track, session, source
