-- One row: what the first rows of a table of plays or interactions hold, as text.
-- FROM plays(user VARCHAR, weight VARCHAR, timestamp VARCHAR)
-- Columns:
--   rows    BIGINT, how many there are
--   median  DOUBLE, of the weights above 0; NULL without
--   spread  DOUBLE, the .99 quantile of the weights above 0 over their .01 quantile; NULL without
--   days    DOUBLE, mean number of days with a play of a listener; NULL without timestamps
WITH parsed AS (
    SELECT
        user,
        CASE WHEN isfinite(TRY_CAST(weight AS DOUBLE)) AND TRY_CAST(weight AS DOUBLE) > 0 THEN TRY_CAST(weight AS DOUBLE) END AS weight,
        TRY_CAST(timestamp AS DOUBLE) AS number,
        CASE WHEN number IS NULL THEN left(timestamp, 10) WHEN number < 1e11 THEN CAST(number // 86400 AS VARCHAR)
            ELSE CAST(number // 86400000 AS VARCHAR) END AS day
    FROM plays
)
SELECT
    count(*) AS rows,
    quantile_cont(weight, 0.5) AS median,
    quantile_cont(weight, 0.99) / quantile_cont(weight, 0.01) AS spread,
    count(DISTINCT (user, day)) FILTER (day IS NOT NULL) / nullif(count(DISTINCT user), 0) AS days
FROM parsed
