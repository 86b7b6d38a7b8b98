-- One row per file of a table, by file: how its good timestamps are written, and how large its shares are.
-- FROM checked(source VARCHAR, row BIGINT, weight DOUBLE, clock VARCHAR)
-- Columns:
--   source        VARCHAR, digest of the file
--   clocks        VARCHAR, such as '3 dates, 40 seconds', the rarest first; NULL without timestamps
--   formats       BIGINT, how many of these there are
--   valued, beyond  BIGINT, rows with a weight or a share, and those where it is above 1
--   largest       DOUBLE, the largest weight or share
WITH counted AS (
    SELECT source, clock, count(*) AS lines, count(weight) AS weights, count(*) FILTER (weight > 1) AS beyond, max(weight) AS largest
    FROM checked
    GROUP BY ALL
)
SELECT
    source,
    string_agg(format('{:,} {}', lines, clock), ', ' ORDER BY lines, clock) AS clocks,
    count(clock) AS formats,
    CAST(sum(weights) AS BIGINT) AS valued,
    CAST(sum(beyond) AS BIGINT) AS beyond,
    max(largest) AS largest
FROM counted
GROUP BY source
ORDER BY source
