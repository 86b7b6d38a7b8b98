-- One row per listener and track with listening time or, where there are skips, a skip, by listener, then track.
-- A skip is a recommended track heard for less than a threshold; it adds no listening time.
-- Times are added as decimals of six places, so that the sum depends on neither the order nor the number of the files.
-- $organic    BOOLEAN, count organic tracks too
-- $min_time   DOUBLE, share 0..1; events heard less are left out
-- $skip_time  DOUBLE, share 0..1; recommended tracks heard less were skipped; 0: there are no skips
-- FROM organic_events(user BIGINT, track BIGINT, time DOUBLE, organic BOOLEAN, heldout BOOLEAN)
-- Columns:
--   user, track
--   train, total              FLOAT, listening time in the training sessions (0 where there is none), and in all
--   train_skips, total_skips  FLOAT, skips in these
WITH classified AS (
    SELECT
        user, track, heldout,
        CAST(time AS DECIMAL(9, 6)) AS listened,
        $skip_time > 0 AND NOT organic AND time < $skip_time AS skipped,
        time > 0 AND time >= $min_time AND ($organic OR NOT organic) AS heard
    FROM organic_events
)
SELECT
    user, track,
    CAST(coalesce(sum(listened) FILTER (WHERE NOT skipped AND NOT heldout), 0) AS FLOAT) AS train,
    CAST(coalesce(sum(listened) FILTER (WHERE NOT skipped), 0) AS FLOAT) AS total,
    CAST(count(*) FILTER (WHERE skipped AND NOT heldout) AS FLOAT) AS train_skips,
    CAST(count(*) FILTER (WHERE skipped) AS FLOAT) AS total_skips
FROM classified
WHERE heard OR skipped
GROUP BY user, track
ORDER BY user, track
