-- One row per cut-off and listener, in that order: how well the recommendations predict the held-out listening.
--
-- A track is relevant if it was heard for at least $min_time in the held-out sessions, a hit is a relevant track
-- among the first k recommendations, and R is the number of the listener's relevant tracks. A listener without
-- recommendations counts 0. A metric is NULL for a listener whom it does not concern. Sums are compensated (fsum,
-- favg), so that neither the order of the rows nor the number of threads shows in the last digit.
-- $ks                  INTEGER[], cut-offs: how many of the best recommendations count
-- $min_time            DOUBLE, listening time from which a held-out track is relevant, share of the track
-- $training_listeners  BIGINT, listeners of the training sessions
-- $with_lists          BOOLEAN, compute novelty and all after it, which are NULL otherwise and cost half of all
-- FROM recommendations(listener BIGINT, rank BIGINT, track BIGINT, is_new BOOLEAN)
-- FROM truth(listener BIGINT, track BIGINT, time DOUBLE, skipped BOOLEAN)
-- FROM ideals(k INTEGER, listener BIGINT, relevant BIGINT, ideal_dcg DOUBLE, ideal_graded_dcg DOUBLE, new_share DOUBLE)
-- FROM tracks(track BIGINT, listeners BIGINT, artist BIGINT)
-- Columns:
--   k                  the cut-off
--   listener           the listener's index
--   ndcg               Σ over hits of 1 / log2(rank + 1), divided by the same sum over ranks 1 … min(k, R)
--   precision          hits / k
--   recall             hits / R
--   map                average precision, whose mean is MAP@k: Σ over hits of the precision at their rank, divided by min(k, R)
--   mrr                1 / rank of the first hit; 0 without one
--   hit_rate           1 with a hit, 0 without; ndcg to hit_rate are NULL where R = 0
--   graded_ndcg        Σ over the first k of listening time / log2(rank + 1), divided by the same sum over the held-out
--                      tracks sorted by listening time, longest first, up to k of them; NULL where nothing was heard
--   heard              recommendations among the first k that were heard in the held-out sessions, for any time
--   hit_time           their listening time in all; the metric is Σ hit_time / Σ heard over listeners
--   skip_rate          skipped tracks among the first k, divided by k
--   novelty            mean over the first k of −log2((training listeners who heard the track + 1) /
--                      ($training_listeners + 1)), in bits: 0 for a track that all heard, finite for one that nobody
--                      heard; NULL for a listener without recommendations, like all that follows
--   popularity         mean over the first k of the share of training listeners who heard the track
--   artists            artists of the first k; each track of no known artist counts as an artist
--   distance           intra-list distance: share of the pairs of the first k that are not of the same artist; NULL of
--                      a single track (Ziegler, McNee, Konstan & Lausen, Improving Recommendation Lists Through Topic
--                      Diversification, 2005, section 3.3, with the artist as the only topic)
--   calibration        distance of the share of new tracks in the first k from that in the held-out tracks: 0 is best
--                      (Steck, Calibrated Recommendations, 2018, with two classes and the absolute difference)
WITH cutoffs AS (
    SELECT unnest($ks)::INTEGER AS k
),
found AS (
    SELECT
        listener, rank, time, skipped,
        time >= $min_time AS relevant,
        count(*) FILTER (time >= $min_time) OVER (PARTITION BY listener ORDER BY rank) AS hits_so_far
    FROM recommendations
    JOIN truth USING (listener, track)
    WHERE time > 0 OR skipped
),
accuracy AS (
    SELECT
        k, listener,
        count(*) FILTER (relevant) AS hits,
        fsum(1 / log2(rank + 1)) FILTER (relevant) AS dcg,
        fsum(hits_so_far / rank) FILTER (relevant) AS precisions,
        min(rank) FILTER (relevant) AS first_rank,
        fsum(time / log2(rank + 1)) AS graded_dcg,
        count(*) FILTER (time > 0) AS heard,
        count(*) FILTER (skipped) AS skips,
        fsum(time) AS heard_time
    FROM found
    JOIN cutoffs ON rank <= k
    GROUP BY ALL
),
described AS (
    SELECT
        listener, rank, is_new,
        coalesce(tracks.listeners, 0) AS track_listeners,
        -- earlier tracks by the same artist
        row_number() OVER (PARTITION BY listener, coalesce(artist, -1 - track) ORDER BY rank) - 1 AS earlier
    FROM recommendations
    LEFT JOIN tracks USING (track)
    WHERE $with_lists
),
described_lists AS (
    SELECT
        k, listener,
        favg(-log2((track_listeners + 1) / ($training_listeners + 1))) AS novelty,
        favg(track_listeners / $training_listeners) AS popularity,
        count(*) FILTER (earlier = 0) AS artists,
        1 - sum(earlier) / nullif(count(*) * (count(*) - 1) / 2, 0) AS distance,
        avg(is_new::INTEGER) AS listed_new_share
    FROM described
    JOIN cutoffs ON rank <= k
    GROUP BY ALL
)
SELECT
    k, listener,
    coalesce(dcg, 0) / ideal_dcg AS ndcg,
    CASE WHEN relevant > 0 THEN coalesce(hits, 0) / k END AS precision,
    coalesce(hits, 0) / relevant AS recall,
    CASE WHEN relevant > 0 THEN coalesce(precisions, 0) / least(k, relevant) END AS map,
    CASE WHEN relevant > 0 THEN coalesce(1 / first_rank, 0) END AS mrr,
    CASE WHEN relevant > 0 THEN coalesce(hits > 0, false)::DOUBLE END AS hit_rate,
    coalesce(graded_dcg, 0) / ideal_graded_dcg AS graded_ndcg,
    coalesce(heard, 0) AS heard,
    coalesce(heard_time, 0) AS hit_time,
    coalesce(skips, 0) / k AS skip_rate,
    novelty, popularity, artists, distance,
    abs(listed_new_share - new_share) AS calibration
FROM ideals
SEMI JOIN cutoffs USING (k)
LEFT JOIN accuracy USING (k, listener)
LEFT JOIN described_lists USING (k, listener)
ORDER BY k, listener
