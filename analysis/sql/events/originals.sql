-- One row per id of a listener, and one per id of a track, of some event logs with text ids.
-- FROM text_values(user VARCHAR, track VARCHAR, recommendation VARCHAR)
-- Columns:
--   user, track, reason  VARCHAR, NULL where it is not the row of a listener, or of a track; the reason is always NULL
SELECT DISTINCT CAST(user AS VARCHAR) AS user, CAST(NULL AS VARCHAR) AS track, CAST(NULL AS VARCHAR) AS reason
FROM text_values
UNION ALL
SELECT DISTINCT NULL, unnest([CAST(track AS VARCHAR), CAST(recommendation AS VARCHAR)]), NULL
FROM text_values
