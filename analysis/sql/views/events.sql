-- One row per event of the logs or the store of an experiment.
-- $experiment  VARCHAR, JSON pointer of the experiment
-- FROM stored(user BIGINT, track BIGINT, timestamp BIGINT, share DOUBLE, message VARCHAR, experiments VARCHAR, recommender VARCHAR, recommendation BIGINT, session VARCHAR, latency DOUBLE)
-- FROM listener_names(id BIGINT, listener VARCHAR)
-- FROM track_names(id BIGINT, track VARCHAR, title VARCHAR, artist VARCHAR)
-- Columns:
--   listener        who listens, an id as it was logged
--   arm             VARCHAR, the listener's arm; NULL outside of the experiment
--   played_at       TIMESTAMP in UTC
--   track           the track that was heard, an id as it was logged
--   share           DOUBLE, share of that track that was heard, 0 to 1
--   recommendation  the track that was recommended next, an id as it was logged
--   recommender     VARCHAR, the recommender that answered
--   message         VARCHAR, next, or last at the end of a session
--   session         VARCHAR, NULL in old logs
--   latency         DOUBLE, seconds spent in the service
SELECT
    coalesce(listener, cast_to_type(stored.user, listener)) AS listener,
    json_extract_string(experiments, $experiment) AS arm,
    epoch_ms(timestamp) AS played_at,
    coalesce(heard.track, cast_to_type(stored.track, heard.track)) AS track, share,
    coalesce(named.track, cast_to_type(recommendation, named.track)) AS recommendation,
    recommender, message, session, latency
FROM stored
LEFT JOIN listener_names ON listener_names.id = stored.user
LEFT JOIN track_names AS heard ON heard.id = stored.track
LEFT JOIN track_names AS named ON named.id = recommendation
