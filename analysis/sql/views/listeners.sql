-- One row per listener.
-- FROM plays(listener VARCHAR, track VARCHAR, played_at TIMESTAMP)
-- Columns:
--   listener    an id as it was ingested
--   plays       BIGINT, number of plays
--   tracks      BIGINT, number of distinct tracks
--   first_play  TIMESTAMP in UTC
--   last_play   TIMESTAMP in UTC
SELECT
    listener, count(*) AS plays, count(DISTINCT track) AS tracks,
    min(played_at) AS first_play, max(played_at) AS last_play
FROM plays
GROUP BY listener
