-- One row per arm and day: sums over the listeners of that day, and over all listeners up to its end.
-- A metric is a sum over a listener's days (time), a ratio of sums of all listeners (time and sessions), or a mean over
-- listeners of each one's ratio. Of a listener x is the sum or the ratio, and y the denominator, or 1. A listener's
-- x and y change on days with sessions alone, so that sums up to a day are those up to the day before and the changes.
-- Parameters:
--   $numerator     VARCHAR, a column of listener_days
--   $denominator   VARCHAR, another, or '' for none
--   $per_listener  BOOLEAN, a mean over listeners of their ratios
-- Tables:
--   listener_days(user BIGINT, arm VARCHAR, day BIGINT, sessions BIGINT, tracks BIGINT, time DOUBLE, recommended_tracks BIGINT, recommended_time DOUBLE, skips BIGINT, repeats BIGINT, requests BIGINT, latency_ms DOUBLE, named BIGINT, fallbacks BIGINT)
-- Columns:
--   arm
--   day                                           BIGINT, days since the epoch, UTC
--   day_count, day_x, day_y, day_xx, day_xy, day_yy  listeners of the day, and sums of x, y and their products
--   count, x, y, xx, xy, yy                          the same of all up to the day
WITH chosen AS (
    SELECT
        arm, user, day,
        CAST(CASE $numerator
            WHEN 'sessions' THEN sessions
            WHEN 'tracks' THEN tracks
            WHEN 'time' THEN time
            WHEN 'recommended_tracks' THEN recommended_tracks
            WHEN 'recommended_time' THEN recommended_time
            WHEN 'skips' THEN skips
            WHEN 'repeats' THEN repeats
            WHEN 'requests' THEN requests
            WHEN 'latency_ms' THEN latency_ms
            WHEN 'named' THEN named
            WHEN 'fallbacks' THEN fallbacks
        END AS DOUBLE) AS numerator,
        CAST(CASE $denominator
            WHEN 'sessions' THEN sessions
            WHEN 'tracks' THEN tracks
            WHEN 'time' THEN time
            WHEN 'recommended_tracks' THEN recommended_tracks
            WHEN 'recommended_time' THEN recommended_time
            WHEN 'skips' THEN skips
            WHEN 'repeats' THEN repeats
            WHEN 'requests' THEN requests
            WHEN 'latency_ms' THEN latency_ms
            WHEN 'named' THEN named
            WHEN 'fallbacks' THEN fallbacks
        END AS DOUBLE) AS denominator
    FROM listener_days
),
running AS (
    SELECT
        arm, user, day, numerator, denominator,
        sum(numerator) OVER so_far AS numerator_so_far,
        sum(denominator) OVER so_far AS denominator_so_far
    FROM chosen
    WINDOW so_far AS (PARTITION BY arm, user ORDER BY day)
),
valued AS (
    SELECT
        arm, user, day,
        CASE WHEN $per_listener THEN numerator / nullif(denominator, 0) ELSE numerator END AS day_x,
        CASE WHEN $per_listener OR $denominator = '' THEN 1.0 ELSE denominator END AS day_y,
        CASE WHEN $per_listener THEN numerator_so_far / nullif(denominator_so_far, 0) ELSE numerator_so_far END AS x,
        CASE WHEN $per_listener OR $denominator = '' THEN 1.0 ELSE denominator_so_far END AS y
    FROM running
),
changes AS (
    SELECT
        *,
        lag(x) OVER in_order AS x_before,
        coalesce(lag(x) OVER in_order, 0) AS old_x,
        CASE WHEN lag(x) OVER in_order IS NULL THEN 0 ELSE lag(y) OVER in_order END AS old_y
    FROM valued
    WINDOW in_order AS (PARTITION BY arm, user ORDER BY day)
),
daily AS (
    SELECT
        arm, day,
        count(day_x) AS day_count,
        coalesce(sum(day_x), 0) AS day_x,
        coalesce(sum(day_y) FILTER (WHERE day_x IS NOT NULL), 0) AS day_y,
        coalesce(sum(day_x * day_x), 0) AS day_xx,
        coalesce(sum(day_x * day_y), 0) AS day_xy,
        coalesce(sum(day_y * day_y) FILTER (WHERE day_x IS NOT NULL), 0) AS day_yy,
        count(*) FILTER (WHERE x IS NOT NULL AND x_before IS NULL) AS count,
        coalesce(sum(x - old_x), 0) AS x,
        coalesce(sum(y - old_y) FILTER (WHERE x IS NOT NULL), 0) AS y,
        coalesce(sum(x * x - old_x * old_x), 0) AS xx,
        coalesce(sum(x * y - old_x * old_y), 0) AS xy,
        coalesce(sum(y * y - old_y * old_y) FILTER (WHERE x IS NOT NULL), 0) AS yy
    FROM changes
    GROUP BY arm, day
)
SELECT
    arm, day, day_count, day_x, day_y, day_xx, day_xy, day_yy,
    CAST(sum(count) OVER so_far AS BIGINT) AS count,
    sum(x) OVER so_far AS x,
    sum(y) OVER so_far AS y,
    sum(xx) OVER so_far AS xx,
    sum(xy) OVER so_far AS xy,
    sum(yy) OVER so_far AS yy
FROM daily
WINDOW so_far AS (PARTITION BY arm ORDER BY day)
ORDER BY day, arm
