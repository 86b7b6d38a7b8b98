-- One row per session of a slice that is in an arm, with its segment of one kind.
-- $by        VARCHAR, 'novelty' for the days since its listener's first session in the arm, 'past' for whether the listener
--            was there before the experiment, else labels of listeners, or of the track that opened it
-- $start_ms  BIGINT, the experiment's first event
-- FROM slice_sessions(user BIGINT, arm VARCHAR, start_ms BIGINT, end_ms BIGINT, organic BIGINT)
-- FROM labels(division VARCHAR, of_track BOOLEAN, key BIGINT, label VARCHAR)
-- Columns:
--   user, arm, start_ms, end_ms, organic  the session's, as in sessions.sql, with what else it has
--   part  VARCHAR, 'day 1', 'day 2', then 'from day 3', 'from day 5', 'from day 9' and so on; 'new' or 'known'; or a label,
--         'unknown' where there is none
WITH earlier AS (
    SELECT user FROM slice_sessions WHERE arm IS NULL AND end_ms < $start_ms
),
counted AS (
    SELECT
        sessions.*, label,
        (start_ms - min(start_ms) OVER (PARTITION BY user, arm)) // 86400000 AS days
    FROM slice_sessions AS sessions
    LEFT JOIN (SELECT key, min(label) AS label FROM labels WHERE division = $by GROUP BY key) AS known
        ON known.key = CASE WHEN (SELECT any_value(of_track) FROM labels WHERE division = $by) THEN organic ELSE user END
    WHERE arm IS NOT NULL
)
SELECT
    * EXCLUDE (label, days),
    CASE
        WHEN $by = 'past' THEN CASE WHEN user IN (FROM earlier) THEN 'known' ELSE 'new' END
        WHEN $by <> 'novelty' THEN coalesce(label, 'unknown')
        WHEN days < 2 THEN 'day ' || (days + 1)
        ELSE 'from day ' || CAST(pow(2, floor(log2(days))) + 1 AS BIGINT)
    END AS part
FROM counted
