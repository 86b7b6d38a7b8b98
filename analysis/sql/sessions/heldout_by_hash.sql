-- One row per held-out session: a share of all sessions, drawn by the MD5 of the seed, the listener and the session's
-- name. It depends on nothing else, so it is the same on any cluster and however the store is bucketed.
-- Parameters:
--   $seed     BIGINT, the configuration's seed
--   $holdout  DOUBLE, share of the sessions, 0..1
-- Tables:
--   sessions(user BIGINT, session VARCHAR, start_ms BIGINT)
-- Columns:
--   user, session  the listener and the session's name
SELECT user, session
FROM sessions
WHERE CAST(md5_number_lower(concat_ws(' ', CAST($seed AS BIGINT), user, session)) AS DOUBLE) / 18446744073709551616.0 < $holdout
