-- One row per listener and arm: what they heard, in closed sessions, of the tracks credited to one of two recommenders.
-- FROM events(user BIGINT, arm VARCHAR, credit INTEGER, time DOUBLE)
-- Columns:
--   user, arm
--   first_tracks, second_tracks  BIGINT, recommended tracks credited to the first and to the second
--   first_time, second_time      DOUBLE, their listening time in tracks
SELECT
    user, arm,
    count(*) FILTER (WHERE credit = 1) AS first_tracks,
    count(*) FILTER (WHERE credit = 2) AS second_tracks,
    coalesce(sum(CAST(time * pow(2, 80) AS HUGEINT)) FILTER (WHERE credit = 1), 0) / pow(2, 80) AS first_time,
    coalesce(sum(CAST(time * pow(2, 80) AS HUGEINT)) FILTER (WHERE credit = 2), 0) / pow(2, 80) AS second_time
FROM events
WHERE credit IS NOT NULL AND arm IS NOT NULL
GROUP BY user, arm
