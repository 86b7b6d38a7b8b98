-- One row per session of a slice that counts in a part of the experiment. Before the experiment only closed ones count.
-- $by        VARCHAR, what a part is: 'whole' for all, 'day' or 'hour' in which the session ended (since the epoch, UTC),
--            'novelty' for the days since its listener's first session in the arm, 'past' for whether the listener was
--            there before; else for the label of the listener, or of the track that opened it, which the listener chose
-- $of_track  BOOLEAN, labels are of tracks
-- $start_ms  BIGINT, the experiment's first event; sessions without an arm that ended before it are the past
-- FROM slice_sessions(user BIGINT, arm VARCHAR, is_closed BOOLEAN, start_ms BIGINT, end_ms BIGINT, organic BIGINT)
-- FROM labels(key BIGINT, label VARCHAR)
-- Columns:
--   user, arm, is_closed, start_ms, end_ms, organic  the session's, as in sessions.sql, with what else it has
--   part  VARCHAR: '0' for all, a number of days or hours, 'day 1', 'day 2', 'from day 3', 'from day 5', 'from day 9' and
--         so on, 'new' or 'known', or a label, 'unknown' where there is none
WITH counted AS (
    SELECT
        sessions.*, label,
        (start_ms - min(start_ms) OVER (PARTITION BY user, arm)) // 86400000 AS days,
        bool_or(arm IS NULL AND end_ms < $start_ms) OVER (PARTITION BY user) AS is_known
    FROM slice_sessions AS sessions
    LEFT JOIN (SELECT key, min(label) AS label FROM labels GROUP BY key) AS known
        ON known.key = CASE WHEN $of_track THEN organic ELSE user END
)
SELECT
    * EXCLUDE (label, days, is_known),
    CASE $by
        WHEN 'whole' THEN '0'
        WHEN 'day' THEN CAST(end_ms // 86400000 AS VARCHAR)
        WHEN 'hour' THEN CAST(end_ms // 3600000 AS VARCHAR)
        WHEN 'past' THEN CASE WHEN is_known THEN 'known' ELSE 'new' END
        WHEN 'novelty' THEN
            CASE WHEN days < 2 THEN 'day ' || (days + 1)
                ELSE 'from day ' || CAST(pow(2, floor(log2(days))) + 1 AS BIGINT) END
        ELSE coalesce(label, 'unknown')
    END AS part
FROM counted
WHERE arm IS NOT NULL OR ($by = 'whole' AND is_closed AND end_ms < $start_ms)
