-- One row per partition: the size of all its sessions, and of the held-out sessions.
-- FROM split_plays(number BIGINT, heldout BOOLEAN)
-- Columns:
--   events, heldout_events, sessions, heldout_sessions  BIGINT; events are plays
SELECT
    count(*) AS events,
    count(*) FILTER (heldout) AS heldout_events,
    count(DISTINCT number) AS sessions,
    count(DISTINCT number) FILTER (heldout) AS heldout_sessions
FROM split_plays
