-- One row per partition: the size of its sessions, and of the held-out sessions.
-- FROM sessions(plays BIGINT, heldout BOOLEAN)
-- Columns:
--   events, heldout_events, sessions, heldout_sessions  BIGINT; events are plays
SELECT
    CAST(coalesce(sum(plays), 0) AS BIGINT) AS events,
    CAST(coalesce(sum(plays) FILTER (heldout), 0) AS BIGINT) AS heldout_events,
    count(*) AS sessions,
    count(*) FILTER (heldout) AS heldout_sessions
FROM sessions
