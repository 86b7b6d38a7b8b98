-- Yambda's listens: seconds since an unknown day, rounded to 5; shares in percent.
SELECT
    uid AS listener,
    item_id AS track,
    to_timestamp("timestamp") AS played_at,
    least(played_ratio_pct, 100) / 100 AS share,
    is_organic AS organic
FROM {path}
