-- One row per session of a slice in an arm, with its segments.
-- $start_ms  BIGINT, the experiment's first event
-- $days      INTEGER[], days since the epoch, UTC, by whose ends the experiment is shown
-- $parts     VARCHAR[], the segments of a listener's first days, one after the other; none where it is too short
-- $part_ms   BIGINT, how long each of them is
-- $old_ms    BIGINT, listeners who came later have not been there for both
-- FROM slice_sessions(user BIGINT, arm VARCHAR, number BIGINT, start_ms BIGINT, end_ms BIGINT)
-- Columns:
--   user, arm, number  as in slice_sessions.sql
--   segments           VARCHAR[], '' for the whole experiment; whether the listener was there before; the part of the
--                      listener's first days; each day by whose end the session had ended
--   parts              VARCHAR[], all parts of the listener's first days, also without a session
WITH firsts AS (
    SELECT user, arm, min(start_ms) AS first_ms, if(first_ms <= $old_ms, CAST($parts AS VARCHAR[]), []) AS parts
    FROM slice_sessions
    GROUP BY user, arm
),
earlier AS (
    SELECT DISTINCT user FROM slice_sessions WHERE arm IS NULL AND end_ms < $start_ms
)
SELECT
    user, arm, number,
    list_concat(
        ['', 'listeners new or known before=' || if(earlier.user IS NULL, 'new', 'known')],
        list_filter(parts, lambda part, place: place = (start_ms - first_ms) // $part_ms + 1),
        ['until=' || (DATE '1970-01-01' + day) FOR day IN CAST($days AS INTEGER[]) IF day >= end_ms // 86400000]
    ) AS segments,
    parts
FROM slice_sessions
JOIN firsts USING (user, arm)
LEFT JOIN earlier USING (user)
