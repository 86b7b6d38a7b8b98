-- One row per session of an arm, closed or not: the view `sessions` of a warehouse.
-- FROM all_sessions(user BIGINT, arm VARCHAR, number BIGINT, is_closed BOOLEAN, start_ms BIGINT, end_ms BIGINT, organic BIGINT, tracks BIGINT, time HUGEINT, recommended_tracks BIGINT, recommended_time HUGEINT, skips BIGINT, repeats BIGINT)
-- Columns:
--   user, arm, number, is_closed, organic, tracks, recommended_tracks, skips, repeats  as in sessions.sql
--   start, until            TIMESTAMP, UTC, of its first and last event
--   time, recommended_time  DOUBLE, tracks
SELECT
    user, arm, number, is_closed, organic, tracks, recommended_tracks, skips, repeats,
    epoch_ms(start_ms) AS start,
    epoch_ms(end_ms) AS until,
    time / pow(2, 80) AS time,
    recommended_time / pow(2, 80) AS recommended_time
FROM all_sessions
WHERE arm IS NOT NULL
