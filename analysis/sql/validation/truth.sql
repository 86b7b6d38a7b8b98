-- One row per held-out pair.
-- FROM heldout(user BIGINT, track BIGINT, time DOUBLE)
-- Columns:
--   listener, track, time  the listener's index, 0, 1, … in the order of users; the track's id; its held-out listening time
SELECT dense_rank() OVER (ORDER BY user) - 1 AS listener, track, time
FROM heldout
ORDER BY listener, track
