-- One row per event of a bucket, in the order of the session store: by user and time, 'next' before 'last', the
-- smaller track first. The experiments are in canonical JSON: keys sorted, no white space.
-- Parameters:
--   none
-- Tables:
--   events(user BIGINT, timestamp BIGINT, message VARCHAR, track BIGINT, time DOUBLE, latency FLOAT, recommendation BIGINT, experiments VARCHAR, session VARCHAR, recommender VARCHAR, propensity DOUBLE)
--   canonical_assignments(experiments VARCHAR, canonical VARCHAR)
-- Columns:
--   user, timestamp, message, track, time, latency, recommendation  as in events
--   experiments                                                     VARCHAR, canonical JSON text
--   session, recommender, propensity                                as in events
SELECT
    user, timestamp, message, track, time, latency, recommendation,
    coalesce(canonical, events.experiments) AS experiments,
    session, recommender, propensity
FROM events
LEFT JOIN canonical_assignments ON canonical_assignments.experiments = events.experiments
ORDER BY user, timestamp, message DESC, track, time, recommendation, session
