-- One row per cut-off, in that order: how the recommendations of all listeners spread over the catalogue.
-- $ks              INTEGER[], cut-offs: how many of the best recommendations count
-- $catalogue_size  BIGINT, tracks of the catalogue
-- FROM recommendations(rank BIGINT, track BIGINT)
-- Columns:
--   k         the cut-off
--   coverage  share of the tracks that are among the first k of any list
--   gini      Gini coefficient of the number of lists with each track among the first k: 0 where all tracks are on as
--             many lists, near 1 where a few tracks are on all; 0 without recommendations
WITH cutoffs AS (
    SELECT unnest($ks)::INTEGER AS k
),
listed AS (
    SELECT k, track, count(*) AS lists
    FROM recommendations
    JOIN cutoffs ON rank <= k
    GROUP BY ALL
),
ranked AS (
    -- tracks on no list come first
    SELECT k, lists, $catalogue_size - row_number() OVER (PARTITION BY k ORDER BY lists DESC) + 1 AS position
    FROM listed
)
SELECT
    k,
    count(lists) / $catalogue_size AS coverage,
    coalesce(sum((2 * position - $catalogue_size - 1) * lists) / ($catalogue_size * sum(lists)), 0) AS gini
FROM cutoffs
LEFT JOIN ranked USING (k)
GROUP BY k
ORDER BY k
