-- One row per file of a table, by file: how its good timestamps are written, and how large its shares are.
-- FROM checked(source VARCHAR, row BIGINT, amount DOUBLE, timestamp BIGINT, clock VARCHAR)
-- Columns:
--   source        VARCHAR, digest of the file
--   clocks        VARCHAR, such as '3 dates, 40 seconds', the rarest first; NULL without timestamps
--   formats       BIGINT, how many of these there are
--   are_dates     BOOLEAN, all may be numbers such as 20231114, taken for seconds
--   valued, beyond  BIGINT, rows with an amount, and with an amount above 1
--   largest       DOUBLE, the largest amount
WITH counted AS (
    SELECT source, clock, count(*) AS lines, count(amount) AS amounts, count(*) FILTER (amount > 1) AS beyond, max(amount) AS largest, min(timestamp) >= 19700101e3 AND max(timestamp) < 21000101e3 AS are_dates
    FROM checked
    GROUP BY ALL
)
SELECT
    source,
    string_agg(format('{:,} {}', lines, clock), ', ' ORDER BY lines, clock) AS clocks,
    count(clock) AS formats,
    bool_and(are_dates) AS are_dates,
    CAST(sum(amounts) AS BIGINT) AS valued,
    CAST(sum(beyond) AS BIGINT) AS beyond,
    max(largest) AS largest
FROM counted
GROUP BY source
ORDER BY source
