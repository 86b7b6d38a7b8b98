-- One row per combination of the kinds of ids in some plays.
-- FROM checked(user_kind VARCHAR, track_kind VARCHAR, share DOUBLE, reason VARCHAR)
-- Columns:
--   user_kind, track_kind  VARCHAR, 'whole number' or 'text' by the query's types, 'digits' or 'characters' where it has none
--   lines                  BIGINT, how many rows are good
--   shares, beyond         BIGINT, how many rows have a share, and a share above 1
--   largest                DOUBLE, the largest share
SELECT
    user_kind, track_kind,
    count(*) FILTER (reason IS NULL) AS lines,
    count(share) AS shares,
    count(*) FILTER (share > 1) AS beyond,
    max(share) AS largest
FROM checked
GROUP BY ALL
