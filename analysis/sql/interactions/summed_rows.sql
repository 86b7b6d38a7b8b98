-- One row per user, track, timestamp, session and source of the good rows, with the weights of repeated rows
-- added, exactly to 1e-9, so that the sum does not depend on their order. Rows of equal weight are copies and count once, but for rows
-- with dates alone: a track may be played twice on a day.
-- FROM verified(source VARCHAR, user_number BIGINT, track_number BIGINT, amount DOUBLE, timestamp BIGINT, session VARCHAR, disliked BOOLEAN, reason VARCHAR)
-- Columns:
--   user, track  BIGINT, their numbers
--   timestamp    BIGINT, ms since the epoch, UTC, or the position; NULL without
--   amount       DOUBLE, the weight
--   session, source  VARCHAR; the session is NULL without
--   disliked     BOOLEAN, a row says that the listener disliked it; NULL without
SELECT
    user_number AS user,
    track_number AS track,
    timestamp,
    CAST(CASE WHEN timestamp % 86400000 <> 0 THEN sum(DISTINCT CAST(amount AS DECIMAL(38, 9)))
        ELSE sum(CAST(amount AS DECIMAL(38, 9))) END AS DOUBLE) AS amount,
    session, source,
    bool_or(disliked) AS disliked
FROM verified
WHERE reason IS NULL
GROUP BY user_number, track_number, timestamp, session, source
