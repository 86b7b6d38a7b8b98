-- One row per arm and kind of behaviour that no listener can have, with the listeners who show it.
-- $most_tracks        BIGINT, tracks that a listener can hear on a day
-- $at_once_share      DOUBLE, share of a listener's events, at least ten, that may follow another before its answer came
-- FROM all_sessions(user BIGINT, arm VARCHAR, tracks BIGINT, at_once BIGINT)
-- FROM listener_sums_day(user BIGINT, arm VARCHAR, tracks BIGINT)
-- Columns:
--   kind       VARCHAR: 'tracks' or 'at_once'
--   arm
--   listeners  BIGINT
--   examples   BIGINT[], the three smallest ids
WITH suspects AS (
    SELECT DISTINCT 'tracks' AS kind, arm, user
    FROM listener_sums_day
    WHERE tracks > $most_tracks
    UNION ALL
    SELECT 'at_once' AS kind, arm, user
    FROM all_sessions
    WHERE arm IS NOT NULL
    GROUP BY arm, user
    HAVING sum(at_once) >= greatest(10, $at_once_share * sum(tracks))
)
SELECT kind, arm, count(*) AS listeners, min(user, 3) AS examples
FROM suspects
GROUP BY kind, arm
ORDER BY kind, arm
