-- One row: what the first rows of a table of plays or interactions hold, as text.
-- FROM plays(user VARCHAR, item VARCHAR, weight VARCHAR)
-- Columns:
--   rows       BIGINT, how many there are
--   median     DOUBLE, of the weights above 0; NULL without
--   spread     DOUBLE, the .99 quantile of the weights above 0 over their .01 quantile; NULL without
--   listeners  BIGINT, distinct users
--   tracks     BIGINT, distinct items
--   pairs      BIGINT, distinct pairs of user and item
WITH parsed AS (
    SELECT
        user,
        item,
        CASE WHEN isfinite(TRY_CAST(weight AS DOUBLE)) AND TRY_CAST(weight AS DOUBLE) > 0 THEN TRY_CAST(weight AS DOUBLE) END AS weight
    FROM plays
)
SELECT
    count(*) AS rows,
    quantile_cont(weight, 0.5) AS median,
    quantile_cont(weight, 0.99) / quantile_cont(weight, 0.01) AS spread,
    count(DISTINCT user) AS listeners,
    count(DISTINCT item) AS tracks,
    count(DISTINCT (user, item)) AS pairs
FROM parsed
