-- One row: counts of what may be wrong with the events.
-- FROM known_whole(user BIGINT, arm VARCHAR)
-- FROM all_sessions(arm VARCHAR, is_closed BOOLEAN, tracks BIGINT, requests BIGINT, logged_requests BIGINT, answers BIGINT, named BIGINT, duplicates BIGINT, broken BIGINT, reversed BIGINT)
-- Columns:
--   events, outside, unclosed_sessions, dropped_events  BIGINT, as in `analysis.ab.data_quality.Quality`
--   duplicates, broken_chains, clock_went_back, without_latency, negative_latencies, without_recommender  BIGINT, as there
--   changing_listeners                                  BIGINT, listeners who were in more than one arm
SELECT
    CAST(coalesce(sum(tracks) FILTER (WHERE arm IS NOT NULL), 0) AS BIGINT) AS events,
    CAST(coalesce(sum(tracks) FILTER (WHERE arm IS NULL), 0) AS BIGINT) AS outside,
    count(*) FILTER (WHERE arm IS NOT NULL AND NOT is_closed) AS unclosed_sessions,
    CAST(coalesce(sum(tracks) FILTER (WHERE arm IS NOT NULL AND NOT is_closed), 0) AS BIGINT) AS dropped_events,
    CAST(coalesce(sum(duplicates) FILTER (WHERE arm IS NOT NULL), 0) AS BIGINT) AS duplicates,
    CAST(coalesce(sum(broken) FILTER (WHERE arm IS NOT NULL), 0) AS BIGINT) AS broken_chains,
    CAST(coalesce(sum(reversed) FILTER (WHERE arm IS NOT NULL), 0) AS BIGINT) AS clock_went_back,
    CAST(coalesce(sum(tracks - logged_requests) FILTER (WHERE arm IS NOT NULL), 0) AS BIGINT) AS without_latency,
    CAST(coalesce(sum(logged_requests - requests) FILTER (WHERE arm IS NOT NULL), 0) AS BIGINT) AS negative_latencies,
    CAST(coalesce(sum(answers - named) FILTER (WHERE arm IS NOT NULL), 0) AS BIGINT) AS without_recommender,
    (
        SELECT count(*)
        FROM (SELECT user FROM known_whole WHERE arm IS NOT NULL GROUP BY user HAVING count(*) > 1)
    ) AS changing_listeners
FROM all_sessions
