-- One row per listener and day on which they closed a session, by listener, then day.
-- Tables:
--   listener_days(user BIGINT, arm VARCHAR, day BIGINT, sessions BIGINT, tracks BIGINT, time DOUBLE, recommended_tracks BIGINT, recommended_time DOUBLE, skips BIGINT, repeats BIGINT, requests BIGINT, latency_ms DOUBLE, named BIGINT, fallbacks BIGINT)
-- Columns:
--   user, day, sessions, tracks, time, recommended_tracks, recommended_time, skips, repeats, requests, latency_ms, named, fallbacks  as in ab/listener_days.sql
SELECT * EXCLUDE (arm)
FROM listener_days
ORDER BY user, day
