-- One row per line of an event log, checked: a line that breaks a rule, or that might, fails the statement with
-- 'odd line', and `analysis.logs.lines` then says which it is. The rules are the same as there.
-- The keys come as JSON text, because a typed key would be cast in silence: "7" and 7.2 to 7, true to 1. The text is
-- DuckDB's own: of the numbers up to 2^63 those not written as whole have a point in it, or are tiny, such as 1e-7,
-- and give 0. Anything missing is NULL, and NULL in a condition is odd.
-- Parameters:
--   none
-- Tables:
--   log_lines(message VARCHAR, timestamp JSON, user JSON, track JSON, time JSON, latency JSON, recommendation JSON, experiments JSON, session JSON, recommender JSON, propensity JSON)
-- Columns:
--   user            BIGINT, 0..2^63-1
--   timestamp       BIGINT, ms since the epoch, UTC
--   message         VARCHAR, 'next' or 'last'
--   track           BIGINT, the track just heard
--   time            DOUBLE, share of it that was heard, 0..1
--   latency         DOUBLE, seconds spent in the service
--   recommendation  BIGINT, the track recommended next
--   experiments     VARCHAR, JSON text as logged, white space aside
--   session         VARCHAR
--   recommender     VARCHAR
--   propensity      DOUBLE, 0 excluded, to 1
WITH texts AS (
    SELECT
        message,
        CAST(timestamp AS VARCHAR) AS timestamp,
        CAST(user AS VARCHAR) AS user,
        CAST(track AS VARCHAR) AS track,
        CAST(time AS VARCHAR) AS time,
        CAST(latency AS VARCHAR) AS latency,
        CAST(recommendation AS VARCHAR) AS recommendation,
        CAST(experiments AS VARCHAR) AS experiments,
        CAST(session AS VARCHAR) AS session,
        CAST(recommender AS VARCHAR) AS recommender,
        CAST(propensity AS VARCHAR) AS propensity
    FROM log_lines
),
parsed AS (
    SELECT
        *,
        TRY_CAST(timestamp AS BIGINT) AS timestamp_ms,
        TRY_CAST(user AS BIGINT) AS user_id,
        TRY_CAST(track AS BIGINT) AS track_id,
        TRY_CAST(time AS DOUBLE) AS share,
        TRY_CAST(latency AS DOUBLE) AS seconds,
        TRY_CAST(recommendation AS BIGINT) AS recommended_id,
        TRY_CAST(propensity AS DOUBLE) AS probability
    FROM texts
)
SELECT
    CASE
        WHEN message IN ('next', 'last')
        AND NOT contains(timestamp, '.') AND timestamp_ms BETWEEN 100000000000 AND 99999999999999
        AND NOT contains(user, '.') AND (user_id > 0 OR user = '0')
        AND NOT contains(track, '.') AND (track_id > 0 OR track = '0')
        AND share BETWEEN 0 AND 1
        AND (latency IS NULL OR seconds BETWEEN 0 AND 1000000)
        AND (
            recommendation IS NULL
            OR (NOT contains(recommendation, '.') AND (recommended_id > 0 OR recommendation = '0'))
        )
        AND (session IS NULL OR (starts_with(session, '"') AND strlen(session) > 2))
        AND (recommender IS NULL OR starts_with(recommender, '"'))
        AND (propensity IS NULL OR (probability > 0 AND probability <= 1))
        THEN user_id
        ELSE error('odd line')
    END AS user,
    timestamp_ms AS timestamp,
    message,
    track_id AS track,
    share AS time,
    seconds AS latency,
    recommended_id AS recommendation,
    experiments,
    json_extract_string(session, '$') AS session,
    json_extract_string(recommender, '$') AS recommender,
    probability AS propensity
FROM parsed
