-- One row per listener and track with listening time or a skip, by listener, then track.
-- A skip is a recommended track heard for less than a threshold; it adds no listening time.
-- Times are added as decimals of six places, so that the sum depends on neither the order nor the number of the files.
-- $organic    BOOLEAN, count organic tracks too
-- $min_time   DOUBLE, share 0..1; events heard less are left out
-- $skip_time  DOUBLE, share 0..1; recommended tracks heard less were skipped; 0: there are no skips
-- FROM organic_events(user BIGINT, track BIGINT, time DOUBLE, organic BOOLEAN, heldout BOOLEAN)
-- Columns:
--   user, track
--   train, total  FLOAT, listening time in the training sessions, and in all;
--                 where there is none, minus the number of skips in these
WITH classified AS (
    SELECT
        user, track, heldout,
        CAST(time AS DECIMAL(9, 6)) AS listened,
        $skip_time > 0 AND NOT organic AND time < $skip_time AS skipped,
        time > 0 AND time >= $min_time AND ($organic OR NOT organic) AS heard
    FROM organic_events
), summed AS (
    SELECT
        user, track,
        sum(listened) FILTER (WHERE NOT skipped AND NOT heldout) AS train_time,
        sum(listened) FILTER (WHERE NOT skipped) AS total_time,
        count(*) FILTER (WHERE skipped AND NOT heldout) AS train_skips,
        count(*) FILTER (WHERE skipped) AS total_skips
    FROM classified
    WHERE heard OR skipped
    GROUP BY user, track
)
SELECT
    user, track,
    CAST(coalesce(train_time, -train_skips) AS FLOAT) AS train,
    CAST(coalesce(total_time, -total_skips) AS FLOAT) AS total
FROM summed
ORDER BY user, track
