-- One row per event, with the session it belongs to.
-- A logged session name is kept. Where there is none (logs of the original service) a listener's session begins at
-- its first event, after a 'last', and after a silence longer than the gap; its name is '@' and its first millisecond.
-- Of events at the same millisecond 'next' stands before 'last', then the smaller track.
-- The answer to a recommendation can be weighted by inverse propensity, clipped: with p the probability with which the
-- track was drawn, its weight is uniform / p, between the least and the largest (Bottou et al., "Counterfactual reasoning
-- and learning systems", JMLR 2013, section 4.4; Schnabel et al., "Recommendations as treatments", ICML 2016). Where p is
-- not known, or another track was played than was recommended, and for the organic track, it is 1.
-- Parameters:
--   $gap_ms   BIGINT, milliseconds of silence that end a session
--   $uniform  DOUBLE, the probability with which a track is drawn under uniformly random recommendations
--   $least    DOUBLE, the least weight of an answer
--   $largest  DOUBLE, the largest; with least and largest 1 there are no weights
-- Tables:
--   events(user BIGINT, timestamp BIGINT, message VARCHAR, track BIGINT, time DOUBLE, recommendation BIGINT, session VARCHAR, propensity DOUBLE)
-- Columns:
--   user, timestamp, track, time  as logged
--   session                       the session's name, unique within its listener
--   start_ms                      BIGINT, the session's first millisecond
--   position                      BIGINT, 1 for the organic track, which opens the session
--   weight                        DOUBLE, of the answer to a recommendation
WITH marked AS (
    SELECT
        user, timestamp, message, track, time, recommendation, propensity,
        lag(message) OVER in_order IS NULL
        OR lag(message) OVER in_order = 'last'
        OR timestamp - lag(timestamp) OVER in_order > $gap_ms AS opens
    FROM events
    WHERE session IS NULL
    WINDOW in_order AS (PARTITION BY user ORDER BY timestamp, message DESC, track)
),
numbered AS (
    SELECT
        user, timestamp, message, track, time, recommendation, propensity,
        sum(CAST(opens AS INTEGER)) OVER (
            PARTITION BY user ORDER BY timestamp, message DESC, track ROWS UNBOUNDED PRECEDING
        ) AS ordinal
    FROM marked
),
placed AS (
    SELECT
        user, timestamp, track, time, session,
        min(timestamp) OVER in_session AS start_ms,
        row_number() OVER in_session AS position,
        CASE WHEN track = lag(recommendation) OVER in_session THEN lag(propensity) OVER in_session END AS drawn_with
    FROM events
    WHERE session IS NOT NULL
    WINDOW in_session AS (PARTITION BY user, session ORDER BY timestamp, message DESC, track)
    UNION ALL
    SELECT
        user, timestamp, track, time,
        '@' || CAST(min(timestamp) OVER in_session AS VARCHAR) AS session,
        min(timestamp) OVER in_session AS start_ms,
        row_number() OVER in_session AS position,
        CASE WHEN track = lag(recommendation) OVER in_session THEN lag(propensity) OVER in_session END AS drawn_with
    FROM numbered
    WINDOW in_session AS (PARTITION BY user, ordinal ORDER BY timestamp, message DESC, track)
)
SELECT
    user, timestamp, track, time, session, start_ms, position,
    CASE WHEN drawn_with IS NULL THEN 1.0 ELSE greatest($least, least($largest, $uniform / drawn_with)) END AS weight
FROM placed
