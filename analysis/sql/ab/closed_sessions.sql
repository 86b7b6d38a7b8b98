-- One row per closed session of a slice, in the part of the experiment in which it counts: what metrics read as `sessions`.
-- FROM slice_sessions(user BIGINT, arm VARCHAR, number BIGINT, is_closed BOOLEAN, start_ms BIGINT, end_ms BIGINT, first_position BIGINT, organic BIGINT, tracks BIGINT, time HUGEINT, recommended_tracks BIGINT, recommended_time HUGEINT, skips BIGINT, repeats BIGINT, requests BIGINT, latency HUGEINT, logged_requests BIGINT, logged_latency HUGEINT, named BIGINT, fallbacks BIGINT)
-- FROM parts(user BIGINT, arm VARCHAR, number BIGINT, part BIGINT)
-- Columns:
--   user, arm           arm is NULL for the time before the experiment
--   part                0 for the whole experiment, a day, an hour, or a segment
--   number, start_ms, end_ms, first_position, organic  as in sessions.sql
--   time, recommended_time          DOUBLE, tracks
--   tracks, recommended_tracks, skips, repeats, requests, logged_requests, named, fallbacks  as in listener_sums.sql
--   exact_time, exact_recommended_time, exact_latency, exact_logged_latency  HUGEINT, in 2^-80 tracks or s, for sums that
--                                   depend on no order
SELECT
    sessions.user, sessions.arm, part,
    sessions.number, start_ms, end_ms, first_position, organic,
    time / pow(2, 80) AS time,
    recommended_time / pow(2, 80) AS recommended_time,
    tracks, recommended_tracks, skips, repeats, requests, logged_requests, named, fallbacks,
    time AS exact_time,
    recommended_time AS exact_recommended_time,
    latency AS exact_latency,
    logged_latency AS exact_logged_latency
FROM slice_sessions AS sessions
JOIN parts
    ON parts.user = sessions.user AND parts.number = sessions.number AND parts.arm IS NOT DISTINCT FROM sessions.arm
WHERE is_closed
