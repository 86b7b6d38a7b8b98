-- One row per listener of an arm, by listener: what the bootstrap and the rank test need.
-- Parameters:
--   $arm  VARCHAR, the arm
-- Tables:
--   listeners(user BIGINT, arm VARCHAR, sessions BIGINT, tracks BIGINT, time DOUBLE, mean_request_latency DOUBLE, mean_tracks_per_session DOUBLE, mean_time_per_session DOUBLE, recommended_tracks BIGINT, recommended_time DOUBLE, skips BIGINT, repeats BIGINT, requests BIGINT, latency_ms DOUBLE, named BIGINT, fallbacks BIGINT)
-- Columns:
--   sessions, tracks, time, mean_request_latency, mean_tracks_per_session, mean_time_per_session, recommended_tracks, recommended_time, skips, repeats, requests, latency_ms, named, fallbacks  as in listeners
SELECT
    sessions, tracks, time, mean_request_latency, mean_tracks_per_session, mean_time_per_session,
    recommended_tracks, recommended_time, skips, repeats, requests, latency_ms, named, fallbacks
FROM listeners
WHERE arm = $arm
ORDER BY user
