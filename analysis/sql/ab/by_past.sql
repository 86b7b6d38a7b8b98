-- One row per session of a slice, with whether its listener was there before the experiment.
-- $start_ms  BIGINT, the experiment's first event
-- FROM slice_sessions(user BIGINT, arm VARCHAR, number BIGINT, end_ms BIGINT)
-- Columns:
--   user, arm, number  the session
--   part               VARCHAR, 'new' or 'known'
SELECT
    user, arm, number,
    CASE WHEN user IN (SELECT user FROM slice_sessions WHERE arm IS NULL AND end_ms < $start_ms) THEN 'known' ELSE 'new' END
    AS part
FROM slice_sessions
WHERE arm IS NOT NULL
