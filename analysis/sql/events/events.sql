-- One row per line of some event logs, as DuckDB's JSON reader casts the values to the keys' types. A line with a value
-- out of its range fails the statement with 'odd line'; `analysis.logs.lines` then says which it is, by the same rules.
-- Anything missing is NULL, and NULL in a condition is odd.
-- FROM log_values(message VARCHAR, timestamp BIGINT, user BIGINT, track BIGINT, time DOUBLE, latency DOUBLE, recommendation BIGINT, experiments VARCHAR, session VARCHAR, recommender VARCHAR, propensity DOUBLE)
-- Columns:
--   user, timestamp, message, track, time  as logged: docs/formats.md, `analysis.logs.lines.Event`
--   latency      DOUBLE, as logged, also where a clock that was set back made it negative; NULL beyond a million seconds
--   recommendation, experiments, session, recommender, propensity  as logged, the experiments as JSON text
SELECT
    CASE
        WHEN message IN ('next', 'last')
        AND timestamp BETWEEN 100000000000 AND 99999999999999
        AND user >= 0
        AND track >= 0
        AND time BETWEEN 0 AND 1
        AND (recommendation IS NULL OR recommendation >= 0)
        AND (session IS NULL OR session <> '')
        AND (propensity IS NULL OR (propensity > 0 AND propensity <= 1))
        THEN user
        ELSE error('odd line')
    END AS user,
    timestamp, message, track, time,
    CASE WHEN abs(latency) <= 1000000 THEN latency END AS latency,
    recommendation, experiments, session, recommender, propensity
FROM log_values
