-- One row per number that may stand for a listener: of the id as text, and of the id as a whole number.
-- FROM grouped(listener VARCHAR, label VARCHAR)
-- Columns:
--   user    BIGINT
--   label   VARCHAR, the listener's group
--   second  VARCHAR, another group of the same listener; else NULL
SELECT user, min(label) AS label, nullif(max(label), min(label)) AS second
FROM (
    SELECT unnest([CAST(md5_number(listener) >> 65 AS BIGINT), TRY_CAST(listener AS BIGINT)]) AS user, label
    FROM grouped
)
WHERE user IS NOT NULL
GROUP BY user
