-- One row per listener, in order.
-- FROM split_plays(user BIGINT, timestamp BIGINT, heldout BOOLEAN)
-- Columns:
--   user
--   training, all  BIGINT, the latest timestamp, or position, in the training sessions, -1 without one; in all
SELECT
    user,
    coalesce(max(timestamp) FILTER (NOT heldout), -1) AS training,
    max(timestamp) AS "all"
FROM split_plays
GROUP BY user
ORDER BY user
