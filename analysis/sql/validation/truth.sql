-- One row per held-out pair that was heard at all.
-- FROM heldout(user BIGINT, track BIGINT, time DOUBLE)
-- FROM listeners(listener BIGINT, user BIGINT, relevant BIGINT)
-- Columns:
--   listener, track, time  the listener's index, the track's id, and its time in the held-out sessions, above 0
SELECT listener, track, time
FROM heldout
JOIN listeners USING (user)
WHERE time > 0
ORDER BY listener, track
