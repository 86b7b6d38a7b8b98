-- One row per session of a slice, with the label of its listener, or of the track that opened it, which the listener chose.
-- $of_track  BOOLEAN, labels are of tracks
-- FROM slice_sessions(user BIGINT, arm VARCHAR, organic BIGINT)
-- FROM labels(key BIGINT, label VARCHAR)
-- Columns:
--   user, arm, organic  the session's, as in sessions.sql, with what else it has
--   part                VARCHAR, the label; 'unknown' where there is none
SELECT sessions.*, coalesce(label, 'unknown') AS part
FROM slice_sessions AS sessions
LEFT JOIN (SELECT key, min(label) AS label FROM labels GROUP BY key) AS known
    ON known.key = CASE WHEN $of_track THEN organic ELSE user END
WHERE arm IS NOT NULL
