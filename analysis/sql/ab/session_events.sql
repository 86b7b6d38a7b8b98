-- One row per event of a slice, with its position among the events of its listener in its arm.
-- They are ordered by time; of those at the same millisecond 'next' stands before 'last', then the smaller track, and
-- of equal ones the shorter listening. A 'last' closes a session and the next event opens another. What was
-- logged as the session's name plays no part: the original service logs none.
-- $arms           VARCHAR[], arms with a recommender of their own
-- $recommenders   VARCHAR[], theirs
-- $end_ms         BIGINT, the first millisecond after the experiment's planned end
-- FROM assigned(user BIGINT, arm VARCHAR, timestamp BIGINT, message VARCHAR, track BIGINT, time DOUBLE, latency DOUBLE, recommendation BIGINT, recommender VARCHAR, credit INTEGER)
-- Columns:
--   user, arm, timestamp, track, time, latency  as in assigned
--   credit       INTEGER, 1 or 2 where the first or second of two interleaved recommenders recommended the track
--   is_last      BOOLEAN, the message is 'last'
--   position     BIGINT, 1 for the listener's first event in the arm
--   number       BIGINT, 0 for the listener's first session in the arm
--   is_organic   BOOLEAN, opens its session
--   is_named     BOOLEAN, a recommendation was asked for, and it is known who answered
--   is_fallback  BOOLEAN, another than the arm's own recommender did
--   is_broken    BOOLEAN, the event before is of the same session and recommended another track, and no two of the
--                events from the one before that to the one after this are of the same millisecond, whose order is unknown
WITH labelled AS (
    SELECT
        assigned.* EXCLUDE (message, recommender),
        message = 'last' AS is_last,
        message = 'next' AND recommender IS NOT NULL AS is_named,
        coalesce(message = 'next' AND recommender <> own, false) AS is_fallback
    FROM assigned
    LEFT JOIN (
        SELECT unnest(CAST($arms AS VARCHAR[])) AS arm, unnest(CAST($recommenders AS VARCHAR[])) AS own
    ) AS own_recommenders
        ON own_recommenders.arm = assigned.arm
    WHERE timestamp < $end_ms
),
ordered AS (
    SELECT
        *,
        row_number() OVER in_order AS position,
        coalesce(
            count(*) FILTER (WHERE is_last) OVER (in_order ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0
        ) AS number,
        lag(is_last) OVER in_order AS last_before,
        lag(timestamp) OVER in_order AS timestamp_before,
        lag(timestamp, 2) OVER in_order AS timestamp_two_before,
        lead(timestamp) OVER in_order AS timestamp_after,
        lag(recommendation) OVER in_order AS recommended_before,
        lag(credit) OVER in_order AS credit_before
    FROM labelled
    WINDOW in_order AS (PARTITION BY user, arm ORDER BY timestamp, is_last, track, time, recommendation)
)
SELECT
    user, arm, timestamp, track, time, latency,
    CASE WHEN NOT last_before AND track = recommended_before THEN credit_before END AS credit,
    is_last, position, number,
    coalesce(last_before, true) AS is_organic,
    is_named, is_fallback,
    coalesce(NOT last_before AND track <> recommended_before AND timestamp <> timestamp_before, false)
    AND timestamp_before IS DISTINCT FROM timestamp_two_before
    AND timestamp IS DISTINCT FROM timestamp_after AS is_broken
FROM ordered
