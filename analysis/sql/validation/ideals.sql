-- One row per cut-off and listener: what the best possible recommendations would reach.
-- $ks        INTEGER[], cut-offs: how many of the best recommendations count
-- $min_time  DOUBLE, listening time from which a held-out track is relevant, share of the track
-- FROM truth(listener BIGINT, track BIGINT, time DOUBLE, is_new BOOLEAN)
-- Columns:
--   k, listener       the cut-off, the listener's index
--   relevant          the listener's relevant tracks; NULL where there is none
--   ideal_dcg         Σ 1 / log2(rank + 1) over ranks 1 … min(k, relevant); NULL where nothing is relevant
--   ideal_graded_dcg  Σ time / log2(rank + 1) over ranks 1 … min(k, tracks heard), the held-out tracks sorted by
--                     listening time, longest first; NULL where nothing was heard
--   new_share         share of new tracks in those that were heard; NULL where nothing was heard
WITH ranked AS (
    SELECT listener, time, is_new, row_number() OVER (PARTITION BY listener ORDER BY time DESC) AS rank
    FROM truth
)
SELECT
    k, listener,
    nullif(count(*) FILTER (time >= $min_time), 0) AS relevant,
    fsum(1 / log2(rank + 1)) FILTER (rank <= k AND time >= $min_time) AS ideal_dcg,
    fsum(time / log2(rank + 1)) FILTER (rank <= k AND time > 0) AS ideal_graded_dcg,
    avg(is_new::INTEGER) FILTER (time > 0) AS new_share
FROM ranked
CROSS JOIN (SELECT unnest($ks)::INTEGER AS k)
GROUP BY ALL
