-- Yambda's listens, or multi_event files: seconds since an unknown day, rounded to 5; shares in percent.
-- columns: uid, item_id, timestamp, played_ratio_pct, is_organic
SELECT
    uid AS listener,
    item_id AS track,
    to_timestamp("timestamp") AS played_at,
    least(played_ratio_pct, 100) / 100 AS share,
    is_organic AS organic
FROM {path}
WHERE played_ratio_pct IS NOT NULL  -- likes have none
