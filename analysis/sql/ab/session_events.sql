-- One row per event, with its place among the events of its listener in its arm.
-- They are ordered by time; of those at the same millisecond 'next' stands before 'last', then the smaller track, and
-- of equal ones whatever makes the order certain. A 'last' closes a session and the next event opens another. What was
-- logged as the session's name plays no part: the original service logs none.
-- Parameters:
--   none
-- Tables:
--   assigned(user BIGINT, arm VARCHAR, timestamp BIGINT, is_last BOOLEAN, track BIGINT, time DOUBLE, latency DOUBLE, recommendation BIGINT, session UBIGINT, recommender VARCHAR)
--   own_recommenders(arm VARCHAR, own VARCHAR)
-- Columns:
--   user, arm, timestamp, is_last, track, time, latency  as in assigned
--   place        BIGINT, 1 for the listener's first event in the arm
--   number       BIGINT, 0 for the listener's first session in the arm
--   is_organic   BOOLEAN, opens its session
--   is_answer    BOOLEAN, a recommendation was asked for
--   is_named     BOOLEAN, of an answer it is known who recommended
--   is_fallback  BOOLEAN, another than the arm's own recommender did
--   same_ms      BOOLEAN, at the millisecond of the event before
--   is_repeated  BOOLEAN, equals the event before
--   is_broken    BOOLEAN, the event before is of the same session and recommended another track
--   is_reversed  BOOLEAN, broken, and it would fit the other way round
SELECT
    user, assigned.arm, timestamp, is_last, track, time, latency,
    row_number() OVER in_order AS place,
    CAST(coalesce(
        count(*) FILTER (WHERE is_last) OVER (in_order ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0
    ) AS BIGINT) AS number,
    coalesce(lag(is_last) OVER in_order, true) AS is_organic,
    NOT is_last AS is_answer,
    NOT is_last AND recommender IS NOT NULL AS is_named,
    NOT is_last AND recommender IS NOT NULL AND own IS NOT NULL AND recommender <> own AS is_fallback,
    coalesce(timestamp = lag(timestamp) OVER in_order, false) AS same_ms,
    coalesce(
        timestamp = lag(timestamp) OVER in_order AND track = lag(track) OVER in_order
        AND time = lag(time) OVER in_order AND is_last = lag(is_last) OVER in_order,
        false
    ) AS is_repeated,
    coalesce(NOT lag(is_last) OVER in_order AND track <> lag(recommendation) OVER in_order, false) AS is_broken,
    coalesce(
        NOT lag(is_last) OVER in_order AND track <> lag(recommendation) OVER in_order
        AND recommendation = lag(track) OVER in_order,
        false
    ) AS is_reversed
FROM assigned
LEFT JOIN own_recommenders ON own_recommenders.arm = assigned.arm
WINDOW in_order AS (
    PARTITION BY user, assigned.arm
    ORDER BY timestamp, is_last, track, time, recommendation, latency, session, recommender
)
