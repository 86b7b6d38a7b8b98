-- One row per held-out session: each listener's last one, for listeners with at least two.
-- Tables:
--   sessions(user BIGINT, session VARCHAR, start_ms BIGINT)
-- Columns:
--   user, session  the listener and the session's name
SELECT user, session
FROM sessions
QUALIFY
    row_number() OVER (PARTITION BY user ORDER BY start_ms DESC, session DESC) = 1
    AND count(*) OVER (PARTITION BY user) > 1
