-- One row per play, with the split that its session is in.
-- FROM named_plays(user BIGINT, track BIGINT, timestamp BIGINT, amount DOUBLE, share DOUBLE, skipped BOOLEAN, ends BOOLEAN, session VARCHAR)
-- FROM sessions(user BIGINT, session VARCHAR, number BIGINT, heldout BOOLEAN)
-- Columns:
--   user, track, timestamp, amount, share, skipped, ends  as in named_plays.sql
--   number, heldout  of its session
SELECT user, track, timestamp, amount, share, skipped, ends, number, heldout
FROM named_plays
JOIN sessions USING (user, session)
