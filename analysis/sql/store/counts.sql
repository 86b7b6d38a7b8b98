-- One row: what the rows of a session store are of.
-- FROM stored(user BIGINT, track BIGINT)
-- Columns:
--   listeners, tracks, plays  BIGINT; plays are rows
SELECT count(DISTINCT user) AS listeners, count(DISTINCT track) AS tracks, count(*) AS plays
FROM stored
