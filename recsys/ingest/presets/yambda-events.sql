-- Yambda's multi_event files, which also have likes.
SELECT
    uid AS listener,
    item_id AS track,
    to_timestamp("timestamp") AS played_at,
    least(played_ratio_pct, 100) / 100 AS share,
    is_organic AS organic
FROM {path}
WHERE event_type = 'listen'
