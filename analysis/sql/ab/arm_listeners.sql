-- One row per listener of an arm, by listener.
-- $arm  VARCHAR, the arm; NULL for the time before the experiment
-- FROM listeners(user BIGINT, arm VARCHAR, sessions BIGINT, tracks BIGINT, time DOUBLE, logged_requests BIGINT, logged_latency_ms DOUBLE)
-- Columns:
--   user, sessions, tracks, time, logged_requests, logged_latency_ms  as in listener_sums.sql or original_listeners.sql, with what else they have
SELECT * EXCLUDE (arm)
FROM listeners
WHERE arm IS NOT DISTINCT FROM $arm
ORDER BY user
