-- One row per event, and whether its track opened its session.
-- FROM split_events(user BIGINT, timestamp BIGINT, track BIGINT, time DOUBLE, ends BOOLEAN, number BIGINT, heldout BOOLEAN)
-- Columns:
--   user, track, time, heldout  as in split_events
--   organic                     BOOLEAN, the track opened the session; not computed where nobody reads it
SELECT
    user, track, time, heldout,
    row_number() OVER (PARTITION BY number ORDER BY timestamp, ends, track) = 1 AS organic
FROM split_events
