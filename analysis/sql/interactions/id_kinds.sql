-- One row per file and combination of the kinds of ids in some plays.
-- FROM checked(source VARCHAR, user_kind VARCHAR, track_kind VARCHAR, share DOUBLE, reason VARCHAR)
-- Columns:
--   source                 VARCHAR, digest of the file
--   user_kind, track_kind  VARCHAR, 'number' or 'text' by the query's types, 'digits' or 'characters' where it has none
--   rows, good             BIGINT, how many there are, and how many are good
--   shares, beyond         BIGINT, how many rows have a share, and a share above 1
--   largest                DOUBLE, the largest share
SELECT
    source, user_kind, track_kind,
    count(*) AS rows,
    count(*) FILTER (reason IS NULL) AS good,
    count(share) AS shares,
    count(*) FILTER (share > 1) AS beyond,
    max(share) AS largest
FROM checked
GROUP BY ALL
