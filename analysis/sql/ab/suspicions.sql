-- One row per arm and kind of behaviour that no listener can have, with the listeners who show it.
-- $most_tracks        BIGINT, tracks that a listener can hear on a day
-- $same_ms_share      DOUBLE, share of a listener's events, at least ten, that may follow another within its millisecond
-- $shortest_track_ms  DOUBLE, length of the shortest track; 0 if the log's clock says nothing of the listening
-- FROM all_sessions(user BIGINT, arm VARCHAR, start_ms BIGINT, end_ms BIGINT, tracks BIGINT, recommended_time HUGEINT, same_ms BIGINT)
-- FROM listener_sums_day(user BIGINT, arm VARCHAR, tracks BIGINT)
-- FROM overlapping(user BIGINT, arm VARCHAR)
-- Columns:
--   kind       VARCHAR: 'tracks', 'same_ms', 'clock' or 'overlap'
--   arm
--   listeners  BIGINT
--   examples   BIGINT[], the three smallest ids
WITH suspects AS (
    SELECT DISTINCT 'tracks' AS kind, arm, user
    FROM listener_sums_day
    WHERE tracks > $most_tracks
    UNION ALL
    SELECT 'same_ms' AS kind, arm, user
    FROM all_sessions
    WHERE arm IS NOT NULL
    GROUP BY arm, user
    HAVING sum(same_ms) >= greatest(10, $same_ms_share * sum(tracks))
    UNION ALL
    SELECT DISTINCT 'clock' AS kind, arm, user
    FROM all_sessions
    WHERE arm IS NOT NULL AND recommended_time / pow(2, 80) * $shortest_track_ms > end_ms - start_ms
    UNION ALL
    SELECT 'overlap' AS kind, arm, user
    FROM overlapping
)
SELECT kind, arm, count(*) AS listeners, min(user, 3) AS examples
FROM suspects
GROUP BY kind, arm
ORDER BY kind, arm
