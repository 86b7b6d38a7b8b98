-- One row: when the experiment began and how far its log goes, and counts of what may be wrong with the events.
-- FROM listener_sums_whole(user BIGINT, arm VARCHAR)
-- FROM all_sessions(arm VARCHAR, start_ms BIGINT, end_ms BIGINT, is_closed BOOLEAN, tracks BIGINT, requests BIGINT, logged_requests BIGINT, duplicates BIGINT, broken BIGINT)
-- Columns:
--   first_ms, last_ms   BIGINT, the experiment's first and last event
--   renamed             VARCHAR, what looks like an arm that was renamed: one begins after another has ended; NULL where none does
--   outside             BIGINT, events of listeners who are in no arm at that time
--   changing_listeners  BIGINT, listeners who were in more than one arm
--   events, dropped_events, duplicates, broken_chains  BIGINT, as in `Quality` of `analysis/ab/evidence.py`
--   negative_latencies  BIGINT, as there
WITH spans AS (
    SELECT
        arm, min(start_ms) AS first_ms, max(end_ms) AS last_ms,
        strftime(make_timestamp(1000 * min(start_ms)), '%Y-%m-%d %H:%M') AS begins,
        strftime(make_timestamp(1000 * max(end_ms)), '%Y-%m-%d %H:%M') AS ends
    FROM all_sessions
    WHERE arm IS NOT NULL
    GROUP BY arm
)
SELECT
    min(start_ms) AS first_ms,
    max(end_ms) AS last_ms,
    (
        SELECT
            min(concat('Arm ', earlier.arm, ' ends at ', earlier.ends, ' UTC, and arm ', later.arm, ' begins at ',
                later.begins, '; if it was renamed, report on the log of one name alone.'))
        FROM spans AS earlier
        JOIN spans AS later ON earlier.last_ms < later.first_ms
    ) AS renamed,
    (SELECT CAST(coalesce(sum(tracks), 0) AS BIGINT) FROM all_sessions WHERE arm IS NULL) AS outside,
    (
        SELECT count(*)
        FROM (SELECT user FROM listener_sums_whole WHERE arm IS NOT NULL GROUP BY user HAVING count(*) > 1)
    ) AS changing_listeners,
    CAST(sum(tracks) AS BIGINT) AS events,
    CAST(coalesce(sum(tracks) FILTER (WHERE NOT is_closed), 0) AS BIGINT) AS dropped_events,
    CAST(sum(duplicates) AS BIGINT) AS duplicates,
    CAST(sum(broken) AS BIGINT) AS broken_chains,
    CAST(sum(logged_requests - requests) AS BIGINT) AS negative_latencies
FROM all_sessions
WHERE arm IS NOT NULL
