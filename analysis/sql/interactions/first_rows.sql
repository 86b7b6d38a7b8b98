-- One row: what the first rows of a table of plays or interactions hold.
-- FROM checked(user VARCHAR, track VARCHAR, artist VARCHAR, track_kind VARCHAR, amount DOUBLE, reason VARCHAR)
-- Columns:
--   rows, rejected           BIGINT, how many there are, and how many of these are refused
--   why                      VARCHAR, a reason for it, the most frequent; NULL without
--   median                   DOUBLE, of the amounts above 0; NULL without
--   spread                   DOUBLE, the .99 quantile of the amounts above 0 over their .01 quantile; NULL without
--   listeners, tracks        BIGINT, distinct users and items of the good rows
--   titles                   BIGINT, their distinct pairs of artist and item; 0 where items are numbers
--   pairs                    BIGINT, their distinct pairs of user and item
WITH marked AS (
    SELECT
        * REPLACE (CASE WHEN amount > 0 AND reason IS NULL THEN amount END AS amount),
        reason IS NULL AS good
    FROM checked
)
SELECT
    count(*) AS rows,
    count(reason) AS rejected,
    mode(reason) AS why,
    quantile_cont(amount, 0.5) AS median,
    quantile_cont(amount, 0.99) / quantile_cont(amount, 0.01) AS spread,
    count(DISTINCT user) FILTER (good) AS listeners,
    count(DISTINCT track) FILTER (good) AS tracks,
    count(DISTINCT (artist, track)) FILTER (good AND artist IS NOT NULL AND track_kind IN ('text', 'characters')) AS titles,
    count(DISTINCT (user, track)) FILTER (good) AS pairs
FROM marked
