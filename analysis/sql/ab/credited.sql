-- One row per listener and arm: what they heard, in closed sessions, of the tracks credited to one of two recommenders.
-- FROM events(user BIGINT, arm VARCHAR, credit INTEGER, time DOUBLE)
-- Columns:
--   user, arm
--   first_tracks, second_tracks  BIGINT, recommended tracks credited to the first and to the second
--   first_time, second_time      DOUBLE, their listening time in tracks
SELECT
    user, arm,
    count(*) FILTER (credit = 1) AS first_tracks,
    count(*) FILTER (credit = 2) AS second_tracks,
    CAST(coalesce(sum(exact_time) FILTER (credit = 1), 0) AS DOUBLE) AS first_time,
    CAST(coalesce(sum(exact_time) FILTER (credit = 2), 0) AS DOUBLE) AS second_time
FROM (SELECT *, CAST(time AS DECIMAL(38, 20)) AS exact_time FROM events)
WHERE credit IS NOT NULL AND arm IS NOT NULL
GROUP BY ALL
